"""Stories, characters and lorebooks as files for people and for other programs.

``files`` writes them and ``render`` has the formats of a story; ``chats`` and ``library_files`` are for other
programs, ``library_archive`` is a whole home.
"""
