"""Stories and the messages of their trees, as functions over a connection.

Every function that writes expects to run inside ``Database.write``: one call is one transaction.
Times are Unix seconds and only shown; order comes from ids, since clocks of small machines jump.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from flower import limits
from flower.engine.store import paths, streaming_text
from flower.engine.store.extra import (
    MessageExtra,
    SessionExtra,
    load_extra,
    load_without_manifest,
    readable,
)
from flower.engine.store.paths import ID, up
from flower.text import one_line

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

# ruff: noqa: S608 - only constants are put into statements, values never


Row = tuple[Any, ...]
SESSIONS_MAX = 10_000  # stories of one user, the trash included
_KEPT = "s.deleted IS NULL AND s.archived <= :archived"
_ORDER = "ORDER BY s.pinned DESC, s.updated DESC, s.rowid DESC"
_OF_ALL = f"sessions s WHERE {_KEPT}"
# The stories that somebody may see: theirs, and those at whose table they sit. Not with OR, for which PostgreSQL
# reads the stories of everybody; with what orders them, as to look ids up again takes as long as to find them.
_SEEN = f"""
    (SELECT s.rowid, s.pinned, s.updated FROM sessions s WHERE {_KEPT} AND s.owner = :user
    UNION SELECT s.rowid, s.pinned, s.updated FROM seats t CROSS JOIN sessions s ON s.id = t.session_id
    WHERE {_KEPT} AND t.user_id = :user) s"""
_ALL = 2**62  # messages: of no limit


class Message(Struct, frozen=True):
    """One node of a story's tree. ``status``: complete, streaming, stopped, length, blocked,
    interrupted or error."""

    id: int
    session_id: str
    parent_id: int | None
    role: str
    content: str
    status: str
    model: str
    request: str | None
    created: float
    extra: MessageExtra


class StoredSession(Struct, frozen=True):
    """A story's row; ``messages`` counts its whole tree, ``branch`` is the named one it is on.

    ``owner``: the number of the user who made it, 0 for the owner of the home.
    """

    id: str
    world_id: str
    character_id: str
    title: str
    active_leaf: int | None
    created: float
    updated: float
    messages: int
    branch: str
    pinned: int
    archived: int
    extra: SessionExtra
    owner: int = 0


# The columns of a message but the last, its extra data.
_MESSAGE = (
    "m.id, m.session_id, m.parent_id, m.role,"
    f" {streaming_text.text_of('m')}, m.status, m.model, m.request, m.created"
)
_OF_IDS = f"SELECT {_MESSAGE}, m.extra FROM json_each(?) j CROSS JOIN messages m ON m.id = j.value"
_EXTRA = readable("extra")
_SESSION = """
    SELECT s.id, s.world_id, s.character_id, s.title, s.active_leaf, s.created, s.updated,
           (SELECT count(*) FROM messages m WHERE m.session_id = s.id)
           - (SELECT count(*) FROM messages m WHERE m.session_id = s.id AND m.deleted IS NOT NULL),
           s.branch, s.pinned, s.archived, s.owner, s.extra
    FROM sessions s
"""


def _message(row: Row) -> Message:
    *columns, data = row
    return Message(*[*columns, load_extra(data, MessageExtra)])


def _session(row: Row) -> StoredSession:
    *columns, owner, data = row
    return StoredSession(*[*columns, load_extra(data, SessionExtra), owner])


# --- sessions -----------------------------------------------------------------------------------


def create_session(
    db: Connection,
    session_id: str,
    world_id: str,
    character_id: str,
    greeting: str,
    now: float,
    owner: int = 0,
) -> None:
    """Creates a story; a greeting, if any, becomes its root message."""
    db.execute(
        "INSERT INTO sessions (id, world_id, character_id, created, updated, owner)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (session_id, world_id, character_id, now, now, owner),
    )
    if greeting:
        append(db, session_id, None, "assistant", greeting, "complete", now=now)


def session(db: Connection, session_id: str) -> StoredSession | None:
    """Returns a story that is not in the trash."""
    matches = where(db, "s.id = ? AND s.deleted IS NULL", (session_id,))
    return matches[0] if matches else None


def active_leaf(db: Connection, session_id: str) -> int | None:
    """Returns the message at which the story is; None for an empty story, or none."""
    row = db.execute("SELECT active_leaf FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return row[0] if row else None


def leaf_and_title(db: Connection, session_id: str) -> tuple[int | None, str] | None:
    """Returns the active leaf and the title of a story that is not in the trash.

    What every turn asks; to count the messages as well takes as long as the story is.
    """
    row = db.execute(
        "SELECT active_leaf, title FROM sessions WHERE id = ? AND deleted IS NULL", (session_id,)
    ).fetchone()
    return (row[0], row[1]) if row else None


def sessions(
    db: Connection,
    most: int = limits.SESSIONS_LISTED,
    *,
    archived: bool = False,
    user: int | None = None,
) -> list[StoredSession]:
    """Returns the stories: pinned ones first, then the one played last; ``archived`` ones if wanted.

    ``user``: only those that they may see.
    """
    # Those that are wanted first: else the messages of all stories would be counted.
    listed = _OF_ALL if user is None else _SEEN
    condition = f"s.rowid IN (SELECT s.rowid FROM {listed} {_ORDER} LIMIT :most) {_ORDER}"
    return where(db, condition, {"archived": archived, "user": user, "most": most})


def where(db: Connection, condition: str, values: Row | Mapping[str, Any]) -> list[StoredSession]:
    """Returns the stories ``s`` that an SQL condition, with its order and limit, names."""
    return [_session(row) for row in db.execute(f"{_SESSION} WHERE {condition}", values)]


def set_character(db: Connection, session_id: str, character_id: str) -> None:
    """Lets a story be about another character."""
    db.execute("UPDATE sessions SET character_id = ? WHERE id = ?", (character_id, session_id))


def rename(db: Connection, session_id: str, title: str) -> None:
    """Gives a story another title, cut to ``limits.TITLE_CHARS``."""
    db.execute("UPDATE sessions SET title = ? WHERE id = ?", (title_of(title), session_id))


def set_pinned(db: Connection, session_id: str, pinned: bool) -> None:
    """Makes a story stand first in every list, or no longer."""
    db.execute("UPDATE sessions SET pinned = ? WHERE id = ?", (pinned, session_id))


def set_archived(db: Connection, session_id: str, archived: bool) -> None:
    """Takes a story out of the list of those being played, or puts it back."""
    db.execute("UPDATE sessions SET archived = ? WHERE id = ?", (archived, session_id))


def set_session_extra(db: Connection, session_id: str, changes: Mapping[str, Any]) -> None:
    """Merges ``changes`` into the session's extra data."""
    _patch(db, "sessions", session_id, changes)


def _patch(db: Connection, table: str, row_id: str | int, changes: Mapping[str, Any]) -> None:
    """Merges ``changes`` into a row's extra data; None takes a key out. The same is not written again."""
    merged = f"json_patch({_EXTRA}, :changes)"
    db.execute(
        f"UPDATE {table} SET extra = {merged} WHERE id = :id AND extra != {merged}",
        {"changes": json.dumps(changes), "id": row_id},
    )


def count_sessions(db: Connection, owner: int | None = None) -> int:
    """Returns how many stories there are, or how many somebody made; those in the trash included."""
    if owner is None:
        (count,) = db.execute("SELECT count(*) FROM sessions").fetchone()
    else:
        (count,) = db.execute("SELECT count(*) FROM sessions WHERE owner = ?", (owner,)).fetchone()
    return int(count)


def has_others(db: Connection) -> bool:
    """Whether somebody beside the home's owner has made a story."""
    row = db.execute("SELECT 1 FROM sessions WHERE owner > 0 LIMIT 1").fetchone()
    return row is not None


def has_others_things(db: Connection) -> bool:
    """Whether somebody beside the home's owner has a story, or something in a library of their own."""
    return has_others(db) or any(
        db.execute(f"SELECT 1 FROM {table} WHERE owner > 0 LIMIT 1").fetchone() is not None
        for table in ("characters", "books", "own_assets")
    )


def is_owner(db: Connection, session_id: str, user: int) -> bool:
    """Whether a user made a story, be it in the trash."""
    mine = "SELECT 1 FROM sessions WHERE id = ? AND owner = ?"
    return db.execute(mine, (session_id, user)).fetchone() is not None


# --- messages -----------------------------------------------------------------------------------


def title_of(line: str) -> str:
    """Returns the title that a story gets from a line."""
    return one_line(line, limits.TITLE_CHARS)


def append(
    db: Connection,
    session_id: str,
    parent_id: int | None,
    role: str,
    content: str,
    status: str,
    *,
    now: float,
    model: str = "",
    request: str | None = None,
) -> int:
    """Adds a message under ``parent_id`` and makes it the active leaf; returns its id."""
    message_id = _insert(db, (session_id, parent_id, role, content, status, model, request, now))
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (message_id, session_id))
    if parent_id is not None:
        db.execute("UPDATE messages SET chosen = ? WHERE id = ?", (message_id, parent_id))
    else:
        db.execute("UPDATE sessions SET root = ? WHERE id = ?", (message_id, session_id))
    return message_id


def append_exchange(
    db: Connection,
    session_id: str,
    parent_id: int | None,
    line: str,
    model: str,
    request: str | None,
    now: float,
) -> tuple[int, int]:
    """Adds a line of the player and the reply that begins, which becomes the active leaf; returns their ids.

    As ``append`` twice, with half as many statements: a line waits for each of them.
    """
    line_id = _insert(db, (session_id, parent_id, "user", line, "complete", "", request, now))
    reply_id = _insert(db, (session_id, line_id, "assistant", "", "streaming", model, None, now))
    db.execute(
        "UPDATE sessions SET active_leaf = ?, updated = ? WHERE id = ?", (reply_id, now, session_id)
    )
    db.execute(
        "UPDATE messages SET chosen = CASE WHEN id = ? THEN ? ELSE ? END WHERE id IN (?, ?)",
        (line_id, reply_id, line_id, parent_id, line_id),
    )
    if parent_id is None:
        db.execute("UPDATE sessions SET root = ? WHERE id = ?", (line_id, session_id))
    return line_id, reply_id


def _insert(db: Connection, values: Row) -> int:
    cursor = db.execute(
        "INSERT INTO messages (session_id, parent_id, role, content, status, model, request, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def visible(db: Connection, session_id: str, message_id: int) -> Message | None:
    """Returns a message of a story that is not in the trash."""
    matches = _messages(
        db, "m.id = ? AND m.session_id = ? AND m.deleted IS NULL", (message_id, session_id)
    )
    return matches[0] if matches else None


def children(db: Connection, session_id: str, parent_id: int | None) -> list[Message]:
    """Returns what follows a message (None: the beginnings of a story), oldest first, no trash."""
    place = "m.parent_id = ?" if parent_id is not None else "m.session_id = ? AND m.parent_id IS NULL"
    above = parent_id if parent_id is not None else session_id
    return _messages(db, f"{place} AND m.deleted IS NULL ORDER BY m.id", (above,))


def tree(db: Connection, session_id: str) -> list[Message]:
    """Returns every message of a story that is not in the trash, parents before children."""
    return _messages(db, "m.session_id = ? AND m.deleted IS NULL ORDER BY m.id", (session_id,))


def set_message_extra(db: Connection, message_id: int, changes: Mapping[str, Any]) -> None:
    """Merges ``changes`` into the message's extra data."""
    _patch(db, "messages", message_id, changes)
    if not paths.ON_A_WAY.isdisjoint(changes):
        paths.changed(db, message_id)


def message(db: Connection, message_id: int) -> Message | None:
    """Returns a message; None for one that is not there."""
    matches = _messages(db, "m.id = ?", (message_id,))
    return matches[0] if matches else None


def _messages(db: Connection, condition: str, values: Row) -> list[Message]:
    """Returns the messages ``m`` that an SQL condition, with its order, names."""
    rows = db.execute(f"SELECT {_MESSAGE}, m.extra FROM messages m WHERE {condition}", values)
    return [_message(row) for row in rows]


def path(
    db: Connection,
    leaf: int | None,
    *,
    before: int | None = None,
    most: int | None = None,
    story: str | None = None,
) -> list[Message]:
    """Returns the messages from the root to ``leaf``, oldest first; ``story``: theirs, if it is known.

    With ``before`` only those above that message, with ``most`` only the last so many. ``extra`` comes
    without the manifests of their prompts.
    """
    if leaf is None:
        return []
    way_ids = paths.kept_ids(db, leaf, story) if before is None else None
    if way_ids is not None:
        ids = json.dumps(way_ids.last(most), separators=(",", ":"))
        of_ids = db.execute(_OF_IDS, (ids,)).fetchall()
        return [_on_path(row) for row in sorted(of_ids)]  # by id, which no two have in common
    start = "SELECT parent_id FROM messages WHERE id = ?" if before is not None else f"SELECT {ID}"
    rows = db.execute(
        f"""
        {up(f"({start})")}
        SELECT {_MESSAGE}, m.extra FROM up CROSS JOIN messages m ON m.id = up.id LIMIT ?
        """,  # from the leaf upwards, as the walk goes
        (before if before is not None else leaf, most if most is not None else _ALL),
    )
    return [_on_path(row) for row in rows][::-1]


def _on_path(row: Row) -> Message:
    *columns, data = row
    return Message(*[*columns, load_without_manifest(data)])


def active_path(db: Connection, session_id: str, *, most: int | None = None) -> list[Message]:
    """Returns the messages from the root to the active leaf, or the last so many of them."""
    place = leaf_and_title(db, session_id)
    return path(db, place[0] if place is not None else None, most=most, story=session_id)


def path_ids(db: Connection, leaf: int | None) -> paths.Ids:
    """Returns the ids of every message between the root and ``leaf``, the root's first."""
    return paths.way(db, leaf).ids
