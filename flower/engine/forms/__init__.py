"""What can be edited, as named fields of text: characters, worlds, rules, personas, lorebooks, entries. Pure.

``specs`` has the fields of everything, ``values`` their text and back, ``drafted`` a character that a model wrote.
"""
