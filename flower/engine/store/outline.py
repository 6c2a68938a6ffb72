"""The shape of a story's tree, read from the database, and the words of the messages that are shown.

Functions over a connection, like ``tree``. What is folded is decided in ``flower.engine.store.outline_fold``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.store import branches, outline_fold, stories, streaming_text
from flower.engine.store.outline_fold import Node
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


class Words(Struct, frozen=True):
    """What an outline says of one message: who said it and its beginning."""

    role: str
    status: str
    beginning: str


class Outline(Struct, frozen=True):
    """The tree of a story around a message. ``names``: of branches, by the message at which they end.

    ``leaf``: where the story is, 0 before its beginning. ``messages``: of the whole tree, without the trash.
    """

    focus: int
    leaf: int
    messages: int
    nodes: list[Node]
    words: dict[int, Words]
    names: dict[int, list[str]]


def read(db: Connection, session_id: str, focus: int | None) -> Outline:
    """Returns the outline around a message, None: around where the story is.

    Raises ``CommandError`` if there is no such message, in the tree or in the trash.
    """
    # What is behind the text of a message in its row is slow to read: it is asked of an index, or of
    # the few messages where it matters.
    twigs = db.execute(
        "SELECT id, coalesce(parent_id, 0) FROM messages WHERE session_id = ? ORDER BY id",
        (session_id,),
    ).fetchall()
    leaf = stories.active_leaf(db, session_id)

    def chosen(message: int) -> int | None:
        row = db.execute("SELECT chosen FROM messages WHERE id = ?", (message,)).fetchone()
        return row[0] if row else None

    shape = outline_fold.Shape(twigs, leaf, _deleted(db, session_id), chosen)
    if focus is not None and focus not in shape.parent:
        raise CommandError(f"There is no message {focus} in this story.")
    names = _names(db, session_id)
    nodes = outline_fold.fold(shape, focus, list(names))
    at = focus if focus is not None else leaf or (nodes[0].message if nodes else 0)
    words = _words(db, [node.message for node in nodes if not node.folded])
    return Outline(
        focus=at, leaf=leaf or 0, messages=len(shape.order), nodes=nodes, words=words, names=names
    )


def _deleted(db: Connection, session_id: str) -> set[int]:
    rows = db.execute(
        "SELECT id FROM messages WHERE session_id = ? AND deleted IS NOT NULL", (session_id,)
    )
    return {message for (message,) in rows}


def _names(db: Connection, session_id: str) -> dict[int, list[str]]:
    """Returns the names of the branches by the message at which they end, the one in use first."""
    by_leaf: dict[int, list[str]] = {}
    for end in sorted(branches.named(db, session_id), key=lambda end: not end.active):
        if end.leaf is not None:
            by_leaf.setdefault(end.leaf, []).append(end.name)
    return by_leaf


def _words(db: Connection, ids: Iterable[int]) -> dict[int, Words]:
    rows = db.execute(
        f"SELECT m.id, m.role, m.status, substr({streaming_text.text_of('m')}, 1, ?) FROM messages m"  # noqa: S608
        " WHERE m.id IN (SELECT value FROM json_each(?))",
        (limits.PREVIEW_CHARS * 4, json.dumps(list(ids))),
    )
    return {message: Words(role, status, beginning) for message, role, status, beginning in rows}


def message(db: Connection, session_id: str, message_id: int) -> tuple[stories.Message, bool]:
    """Returns a message of a story and whether it is in the trash; raises ``CommandError`` for none."""
    stored = stories.message(db, message_id)
    if stored is None or stored.session_id != session_id:
        raise CommandError(f"There is no message {message_id} in this story.")
    return stored, stories.visible(db, session_id, message_id) is None
