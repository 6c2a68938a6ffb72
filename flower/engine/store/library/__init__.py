"""Rows of what is in a library: what people import or write for themselves, and use in many stories.

A module for each kind, as functions over a connection: ``characters``, ``books``, ``personas``, ``scripts``,
``presets``, ``quick_replies``; ``own_assets`` that users wrote, ``favourites``, and ``originals``, the files of
other programs that things came from.
"""
