"""Stories in PostgreSQL without an engine: one state of them, for commands that only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg

from flower.engine.store import schema
from flower.engine.store.postgres import definitions, errors
from flower.engine.store.postgres.connection import PostgresConnection, connect
from flower.errors import StoreError


@contextmanager
def reading(url: str) -> Iterator[PostgresConnection]:
    """A connection that sees one state of the stories. Raises ``StoreError``, in the block as well."""
    try:
        with closing(connect(url, definitions.SETTINGS)) as raw:
            raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            _check(raw)
            yield PostgresConnection(raw)
    except psycopg.Error as error:
        raise StoreError(errors.sentence(error)) from error


def _check(raw: psycopg.Connection[Any]) -> None:
    there = raw.execute("SELECT to_regclass('about') IS NOT NULL").fetchone()
    if there is None or not there[0]:
        raise StoreError("there are no stories in the database that `store` names yet")
    version = raw.execute("SELECT value FROM about WHERE name = 'schema'").fetchone()
    if version is None or int(version[0]) != len(schema.MIGRATIONS):
        raise StoreError(
            "the stories in the database were made by another version of Flower; start its newest engine once"
        )
