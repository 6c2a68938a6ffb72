"""The database: functions over a connection, a module for each table or two.

In order: ``connection`` (what functions get) and ``transactions``, ``schema`` (every table). Stories: ``stories``,
``tree``, ``paths``, ``exchanges``, ``streaming_text``, ``extra``, ``states``, ``stages``, ``branches``, ``hiding``,
``trash``, ``outline`` with ``outline_fold``, ``imported_chats``. Recall: ``passages``, ``vector_rows``,
``term_rows``, ``world_lore``. Search: ``search``, ``words``. People: ``users``, ``seats``, ``whispers``,
``selections``, ``prompts``, ``allowances``, ``audit``. Values in columns: ``packing``. ``library`` has the rows of
what is imported, ``sqlite`` and ``postgres`` are the databases, ``transfer`` copies from one into another.
"""
