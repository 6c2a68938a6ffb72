"""Worlds, characters and rules: what they are, the files they come from, and whose they are."""
