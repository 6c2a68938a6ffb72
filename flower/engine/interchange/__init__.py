"""Files of other roleplay programs as values, and values as their files. Pure: bytes in, bytes out.

``reader.read`` takes any file and tells its kind by its content, never by its name. Every broken file is one
sentence, in time linear in its size and in bounded memory. What Flower does not use is kept beside what it
does, and written again. A picture is decoded for a thumbnail alone (``thumbnail``).

Writers: ``card_writer`` (JSON, PNG, CHARX), ``book_writer`` (World Info, V3), ``sillytavern_chats`` (one file per end
of a tree), ``sillytavern_settings`` (presets, quick replies, groups), ``flower_story`` (a whole tree).
``chat_tree.merge`` makes one tree of the files of a chat.
"""
