"""Files of other roleplay programs as values, and values as their files. Pure: bytes in, bytes out.

``reader.read`` takes any file and tells its kind by its content, never by its name. Every broken file is one
sentence, in time linear in its size and in bounded memory. What Flower does not use is kept beside what it does,
and written again. A picture is decoded for a thumbnail alone (``thumbnail``).

What is read is in ``values``. Around it: ``containers`` (a card in a picture or archive) with ``pictures`` and
``archive``; ``json_text`` and ``fields``. Then by what it is: ``cards`` with ``card_assets``, ``book_reader`` and
``other_books``, ``sillytavern_chats`` and ``other_chats``, ``presets``, ``script_reader``; and by program:
``sillytavern_settings``, ``backyard``, ``novelai``, ``kobold``.

Writers: ``card_writer`` (JSON, PNG, CHARX), ``book_writer`` (World Info, V3), ``sillytavern_chats`` (one file per
end of a tree), ``sillytavern_settings`` (presets, quick replies, groups), ``flower_story`` (a whole tree).
``chat_tree.merge`` makes one tree of the files of a chat.
"""
