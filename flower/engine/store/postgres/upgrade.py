"""Brings the schema in PostgreSQL up to date, whichever of several engines comes first.

Steps only add, so that engines of the version before go on with the schema while others come with the next one.
"""

from __future__ import annotations

from typing import Any

import psycopg

from flower.engine.store import schema
from flower.engine.store.postgres import definitions, fences
from flower.errors import StoreError

OLDEST = 150_000  # PostgreSQL 15
_LOCK = 0x666C6F77  # of all engines that change the schema: "flow"


def bring_up_to_date(raw: psycopg.Connection[Any]) -> None:
    """Makes the tables or adds what is new. Raises ``StoreError`` or ``psycopg.Error``."""
    _check_server(raw)
    newest = len(schema.MIGRATIONS)
    with raw.transaction():
        raw.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        for statement in definitions.BEGINNING:
            _do(raw, statement)
        version = _version(raw)
        if version > newest:
            raise StoreError(
                f"the database was made by a newer Flower (schema {version}, this one knows {newest}); update Flower"
            )
        if version == newest and _own(raw) >= definitions.OWN:
            return
        for number in range(version + 1, newest + 1):
            for statement in definitions.script(number):
                _do(raw, statement)
        for statement in (
            *definitions.COLUMNS,
            *definitions.FUNCTIONS,
            *definitions.TRIGGERS,
            *fences.FENCES,
        ):
            _do(raw, statement)
        if version == 0:
            _do(raw, definitions.LEAF)
        for name, value in (("schema", newest), ("own", definitions.OWN)):
            raw.execute(
                "INSERT INTO about VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (name, str(value)),
            )


def _check_server(raw: psycopg.Connection[Any]) -> None:
    if raw.info.server_version < OLDEST:
        raise StoreError("Flower needs PostgreSQL 15 or newer")
    encoding = raw.execute("SHOW server_encoding").fetchone()
    if encoding is None or encoding[0] != "UTF8":
        raise StoreError(
            "the database must have the encoding UTF8: CREATE DATABASE flower ENCODING 'UTF8'"
        )


def _version(raw: psycopg.Connection[Any]) -> int:
    row = raw.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
    return int(row[0]) if row else 0


def _own(raw: psycopg.Connection[Any]) -> int:
    row = raw.execute("SELECT value FROM about WHERE name = 'own'").fetchone()
    return int(row[0]) if row else 0


def _do(raw: psycopg.Connection[Any], statement: str) -> None:
    raw.execute(statement.encode())
