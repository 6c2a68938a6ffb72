"""The trash of whole stories; that of single messages is ``discarded``. Functions over a connection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.store import paths, stories, streaming_text, tree
from flower.engine.store.stories import StoredSession
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


def delete(db: Connection, session_id: str, now: float) -> bool:
    """Puts a story into the trash; returns whether there was one."""
    deleted = db.execute(
        "UPDATE sessions SET deleted = ? WHERE id = ? AND deleted IS NULL", (now, session_id)
    ).rowcount
    db.execute("UPDATE selections SET session_id = '' WHERE session_id = ?", (session_id,))
    return deleted > 0


def restore(db: Connection, session_id: str, owner: int = 0) -> bool:
    """Takes a story of ``owner`` out of the trash; returns whether it was there."""
    statement = "UPDATE sessions SET deleted = NULL WHERE id = ? AND deleted IS NOT NULL AND owner = ?"
    return db.execute(statement, (session_id, owner)).rowcount > 0


def listed(db: Connection, most: int = limits.SESSIONS_LISTED, owner: int = 0) -> list[StoredSession]:
    """Returns the stories of ``owner`` in the trash, the one deleted last first."""
    condition = "s.deleted IS NOT NULL AND s.owner = ? ORDER BY s.deleted DESC LIMIT ?"
    return stories.where(db, condition, (owner, most))


def expired(db: Connection, before: float) -> list[str]:
    """Returns the ids of the stories that were put into the trash before that time."""
    rows = db.execute("SELECT id FROM sessions WHERE deleted < ?", (before,))
    return [session_id for (session_id,) in rows]


def purge(db: Connection, session_id: str) -> bool:
    """Deletes a story in the trash for good, with all its messages; returns whether it was there."""
    one = "FROM sessions WHERE id = ? AND deleted IS NOT NULL"
    if db.execute(f"SELECT 1 {one}", (session_id,)).fetchone() is None:
        return False
    db.execute("UPDATE sessions SET active_leaf = NULL WHERE id = ?", (session_id,))
    db.execute(f"DELETE {one}", (session_id,))
    paths.forgotten(db)
    return True


# --- The trash of single messages: a message goes there with everything that hangs below it.
#
# What is in the trash is hidden from every path, list and search, keeps its text, and can be taken back
# until ``limits.TRASH_KEPT_S`` are over. Functions over a connection, like ``tree``.

# ruff: noqa: S608 - only constants are put into statements, values never


_DISCARD = """
    UPDATE messages SET deleted = :now, deleted_with = :id
    WHERE deleted IS NULL AND id IN (
        WITH RECURSIVE below(id) AS (
            SELECT :id UNION SELECT m.id FROM messages m JOIN below ON m.parent_id = below.id
        ) SELECT id FROM below
    )
"""

_LIFT_BRANCHES = """
    UPDATE branches SET leaf = (SELECT parent_id FROM messages WHERE id = branches.leaf)
    WHERE leaf IN (SELECT value FROM json_each(?))
"""
_PURGE = "DELETE FROM messages WHERE deleted IS NOT NULL AND id IN (SELECT value FROM json_each(?))"


class Discarded(Struct, frozen=True):
    """A message in the trash, with how many went there together."""

    id: int
    role: str
    content: str
    messages: int


def discard(db: Connection, session_id: str, message_id: int, now: float) -> int:
    """Puts a message and all below it into the trash; returns how many messages that were.

    If the story stood there it goes on with another reply to the same line, else above the message.
    """
    message = tree.find(db, session_id, message_id)
    leaf = stories.active_leaf(db, session_id)
    on_path = tree.on_path(db, leaf, message_id)
    other = _another_reply(db, message) if on_path else None
    count = db.execute(_DISCARD, {"id": message_id, "now": now}).rowcount
    if on_path:
        leaf = tree.leaf_below(db, other) if other is not None else message.parent_id
    tree.go(db, session_id, leaf)
    return count


def _another_reply(db: Connection, message: stories.Message) -> int | None:
    """Returns the reply beside ``message`` that is nearest, older ones first."""
    if message.role != "assistant":
        return None
    replies = [m.id for m in tree.siblings(db, message) if m.role == "assistant" and m.id != message.id]
    older = [other for other in replies if other < message.id]
    return older[-1] if older else replies[0] if replies else None


def restore_messages(db: Connection, session_id: str, message_id: int) -> int:
    """Takes back what went into the trash together with a message, and goes there; returns how many."""
    row = db.execute(
        "SELECT deleted_with FROM messages WHERE id = ? AND session_id = ? AND deleted IS NOT NULL",
        (message_id, session_id),
    ).fetchone()
    if row is None:
        raise CommandError(f"Message {message_id} is not in the trash; /restore lists what is.")
    (top,) = row
    (parent,) = db.execute("SELECT parent_id FROM messages WHERE id = ?", (top,)).fetchone()
    if parent is not None and stories.visible(db, session_id, parent) is None:
        raise CommandError(
            f"Message {top} hangs below one that is in the trash; /restore {parent} first."
        )
    count = db.execute(
        "UPDATE messages SET deleted = NULL, deleted_with = NULL"
        " WHERE session_id = ? AND deleted IS NOT NULL AND deleted_with = ?",
        (session_id, top),
    ).rowcount
    tree.go(db, session_id, tree.leaf_below(db, top))
    return count


def list_messages(db: Connection, session_id: str) -> list[Discarded]:
    """Returns what is in the trash of a story, the newest first."""
    rows = db.execute(
        f"SELECT m.id, m.role, {streaming_text.text_of('m')},"
        " (SELECT count(*) FROM messages t WHERE t.session_id = m.session_id AND t.deleted IS NOT NULL"
        " AND t.deleted_with = m.id) FROM messages m"
        " WHERE m.session_id = ? AND m.deleted IS NOT NULL AND m.deleted_with = m.id"
        " ORDER BY m.deleted DESC, m.id DESC LIMIT ?",
        (session_id, limits.BRANCHES_LISTED),
    )
    return [Discarded(*row) for row in rows]


def expired_messages(db: Connection, before: float) -> list[int]:
    """Returns the ids of all messages that were put into the trash before that time, or hang there."""
    rows = db.execute(
        """
        WITH RECURSIVE below(id) AS (
            SELECT id FROM messages WHERE deleted < ?
            UNION SELECT m.id FROM messages m JOIN below ON m.parent_id = below.id
        ) SELECT id FROM below ORDER BY id
        """,
        (before,),
    )
    return [message_id for (message_id,) in rows]


def purge_messages(db: Connection, ids: Sequence[int]) -> None:
    """Deletes messages in the trash for good; named branches that ended there end above them."""
    gone = (json.dumps(ids),)
    while db.execute(_LIFT_BRANCHES, gone).rowcount:
        pass
    db.execute(_PURGE, gone)
    paths.forgotten(db)
