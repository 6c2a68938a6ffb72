"""The stories in PostgreSQL: the same functions over a connection, the same promises.

``dialect`` has what differs in statements, ``definitions`` what differs in the schema, ``connection`` the driver,
``database`` transactions and what happens when the server is away, ``search_index`` the words of stories. Imported
only by engines whose settings name a PostgreSQL database.
"""
