"""All rows at once: from one database into another, or as the rows of an archive and back.

``copying`` copies between SQLite and PostgreSQL, ``library_rows`` reads a library for an archive, ``library_loader``
takes it back.
"""
