"""What PostgreSQL refuses, by what is to be done about it, and as a sentence. Pure."""

from __future__ import annotations

from enum import Enum

import psycopg


class Failure(Enum):
    """What to do about an error."""

    AGAIN = "again"  # another transaction was in the way: the same once more
    LOST = "lost"  # the connection is gone, or the server takes no writes: a new one
    REFUSED = "refused"  # it would be refused again


_AGAIN = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "23505",  # unique_violation: two engines added the same; the second time it is found
    "55P03",  # lock_not_available
}
_LOST = {
    "25006",  # read_only_sql_transaction: the server was the primary
    "25P03",  # idle_in_transaction_session_timeout
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "57P05",  # idle_session_timeout
}
_SENTENCES = {
    "53100": "not saved: the disk of the database server is full; its administrator has to free some space",
    "53300": "not saved: the database server has no connection left; raise its max_connections",
    "42501": "the database does not let this user do that; it needs to own the schema",
    "57014": "the database took too long and was stopped; try again",
    "55P03": "not saved: another engine holds what this needs; try again",
    "40001": "not saved: other engines changed the same at the same time; try again",
    "40P01": "not saved: other engines changed the same at the same time; try again",
    "28P01": "the database does not take this password; see `store` in config.yaml",
    "28000": "the database does not let this user in; see `store` in config.yaml",
    "FL001": "not done: another engine plays this story at the moment; try again when nobody has it open",
    "3D000": "there is no such database on the server; create it, or see `store` in config.yaml",
}
AWAY = "the database does not answer; what you wrote stays here, send it again in a moment"


def kind_of(error: psycopg.Error) -> Failure:
    """Returns what to do about an error."""
    state = error.sqlstate or ""
    if state in _AGAIN:
        return Failure.AGAIN
    if state in _LOST or state.startswith("08"):
        return Failure.LOST
    lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if not state and (lost or type(error) is psycopg.DatabaseError):
        return Failure.LOST
    return Failure.REFUSED


def sentence(error: psycopg.Error) -> str:
    """Returns the sentence for people."""
    state = error.sqlstate or ""
    if state in _SENTENCES:
        return _SENTENCES[state]
    if kind_of(error) is Failure.LOST:
        return f"not saved: {AWAY}"
    message = error.diag.message_primary if error.sqlstate else str(error)
    return f"the database refused: {' '.join(str(message).split())}"
