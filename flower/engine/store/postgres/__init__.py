"""The stories in PostgreSQL: the same functions over a connection, the same promises.

``database`` has transactions and what happens when the server is away, ``link`` one connection that is made anew,
``connection`` the driver, ``errors`` what the server refuses. ``dialect`` has what differs in statements,
``definitions`` what differs in the schema, ``upgrade`` brings it up to date, ``search_index`` has the words of
stories. Several engines: ``engines`` (who plays which story), ``pulse`` (signs of life), ``fences`` (triggers).
``reading`` needs no engine. Imported only by engines whose settings name a PostgreSQL database.
"""
