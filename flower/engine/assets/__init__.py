"""Worlds, characters and rules: what they are, the files they come from, and whose they are.

In order: ``kinds`` (what each is), ``loader`` (read from files), ``yaml_files`` (written to them), ``shelves`` (by
id, and by user).
"""
