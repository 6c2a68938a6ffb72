"""What speaks to an engine from outside it: clients, the command line, and other engines.

In order: ``address`` and ``line`` (where, and the bytes), ``websocket`` and ``connection`` (one socket, kept for
ever, with the ``events`` it reports), ``identity`` (which client this is), ``early`` (the call before trio is
loaded); ``engine_http`` with ``import_upload``, ``shell_upload`` and ``export_fetch`` (files, over HTTP).
"""
