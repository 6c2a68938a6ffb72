"""The stories in one SQLite file: the connection and its transactions, and the file itself.

``database`` runs functions in transactions, ``connection`` opens and migrates the file, ``file`` reads, checks, copies
and replaces it without an engine, ``recovery`` saves what can be saved of a damaged one.
"""
