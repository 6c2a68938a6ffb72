"""What can be edited, as named fields of text: characters, worlds, rules, personas, lorebooks, entries. Pure."""
