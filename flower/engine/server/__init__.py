"""The socket side of an engine: bytes to messages, and who may send them.

In order: ``listener`` binds and serves, ``app`` has the routes, ``access`` the rules of who may come in and
``door`` who is in, ``connection`` one client. Beside them ``relay`` (on to the engine that plays the story),
``file_transfer``, ``health``, ``lifetime`` (how long an engine lives), and ``hypercorn_patches`` with
``without_http2``.
"""
