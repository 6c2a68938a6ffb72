"""Rows of what is in a library: what people import or write for themselves, and use in many stories.

A module for each kind, as functions over a connection; ``originals`` has the files of other programs they came from.
"""
