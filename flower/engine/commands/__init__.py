"""What players type behind a slash.

In order: ``catalogue`` (what people read of a command), ``registry`` (what carries it out, who may give it),
``dispatch`` (a line comes in), ``lookup`` (what its words mean). Then a module for each subject: ``stories``,
``tree``, ``steering``, ``cast``, ``game``, ``world``, ``lorebooks``, ``memories`` (``/why`` too), ``models``,
``table``, ``library``, ``authoring`` and ``editing`` with ``edited_rows``, ``scripts``, ``exports``, ``program``.
"""
