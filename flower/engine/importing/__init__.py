"""Files of other programs brought into a home: read, stored, linked to each other, reported.

In order: ``importer`` (one after the other), ``take`` (one file into the database) with ``chats``;
``library_archive`` (a whole home), ``watch`` (the folder ``import/``).
"""
