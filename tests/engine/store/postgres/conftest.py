"""What rules of PostgreSQL's modules begin with: a server, a link and a clock that are played."""

from importlib.util import find_spec

if find_spec("psycopg") is None:  # an extra: its modules cannot even be imported
    collect_ignore_glob = ["test_*.py"]
else:
    from tests.server_fakes import clock, engine, life, raw, server

    __all__ = ["clock", "engine", "life", "raw", "server"]
