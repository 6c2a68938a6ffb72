"""Chats of other programs as stories, as functions over a connection.

The files of one chat come in any order, together or years apart. Each is grafted onto the story it belongs
to: what is there already is found, only the rest is added. Every function that writes expects to run inside
``Database.write``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.store import stories, tree
from flower.engine.store.extra import readable

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


class ChatNode(Struct, frozen=True):
    """One text of a chat. ``parent`` is the index of the node it follows, smaller than its own."""

    parent: int | None
    role: str
    text: str
    created: float
    model: str = ""
    speaker: str = ""  # a name
    hidden: bool = False
    shown: bool = True  # among its variants


class Begun(Struct, frozen=True):
    """What a story is to be when it is new."""

    session_id: str
    title: str
    character_id: str
    created: float
    updated: float


def story_of(db: Connection, marks: Sequence[bytes]) -> str:
    """Returns the story that one of ``marks`` belongs to, "" for none; one in the trash is none."""
    for mark in marks:
        row = db.execute(
            "SELECT s.id FROM chat_marks c JOIN sessions s ON s.id = c.session_id"
            " WHERE c.mark = ? AND s.deleted IS NULL",
            (mark,),
        ).fetchone()
        if row is not None:
            return str(row[0])
    return ""


def begin(db: Connection, begun: Begun, owner: int = 0) -> None:
    """Makes somebody's story without messages."""
    stories.create_session(db, begun.session_id, "", begun.character_id, "", begun.created, owner)
    stories.rename(db, begun.session_id, begun.title)
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (begun.updated, begun.session_id))


def mark(
    db: Connection,
    session_id: str,
    marks: Sequence[bytes],
    original: int,
    character: str,
    linked_book: str,
) -> None:
    """Notes that a file belongs to a story, and what else would."""
    db.executemany(
        "INSERT INTO chat_marks VALUES (?, ?)"
        " ON CONFLICT (mark) DO UPDATE SET session_id = excluded.session_id",
        [(one, session_id) for one in marks],
    )
    db.execute(
        "INSERT INTO chat_files VALUES (?, ?, ?, ?) ON CONFLICT (session_id, original)"
        " DO UPDATE SET character = excluded.character, linked_book = excluded.linked_book",
        (session_id, original, character, linked_book),
    )


def graft(
    db: Connection,
    session_id: str,
    nodes: Sequence[ChatNode],
    leaf: int | None,
    *,
    branch: bool,
) -> int:
    """Adds the nodes that a story does not have yet; returns how many.

    ``leaf`` is the node at which the file ends. The story is there then, unless it is a ``branch`` of
    a story that was here, or the story was played on since.
    """
    present = _messages(db, session_id)
    fresh = not present
    places: list[int] = []
    added: set[int] = set()
    for node in nodes:
        parent = None if node.parent is None else places[node.parent]
        key = (parent, node.role, node.text)
        place = present.get(key)
        if place is None:
            place = present[key] = _insert(db, session_id, parent, node)
            added.add(place)
            if node.shown and parent is not None:
                db.execute("UPDATE messages SET chosen = ? WHERE id = ?", (place, parent))
        places.append(place)
    if leaf is not None and added and (fresh or not branch) and not _played_on(db, session_id, added):
        tree.go(db, session_id, places[leaf])
    return len(added)


def _messages(db: Connection, session_id: str) -> dict[tuple[int | None, str, str], int]:
    rows = db.execute(
        "SELECT parent_id, role, content, id FROM messages WHERE session_id = ?"
        " AND deleted IS NULL AND status != 'streaming' ORDER BY id DESC",
        (session_id,),
    )
    return {(parent, role, content): number for parent, role, content, number in rows}


def _insert(db: Connection, session_id: str, parent: int | None, node: ChatNode) -> int:
    extra = {"imported": True}
    if node.hidden:
        extra["hidden"] = True
    data = {**extra, **({"name": node.speaker} if node.speaker else {})}
    cursor = db.execute(
        "INSERT INTO messages (session_id, parent_id, role, content, status, model, created, extra)"
        " VALUES (?, ?, ?, ?, 'complete', ?, ?, ?)",
        (session_id, parent, node.role, node.text, node.model, node.created, json.dumps(data)),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _played_on(db: Connection, session_id: str, added: set[int]) -> bool:
    """Whether the story is at a message that came from no file."""
    row = db.execute(
        f"SELECT m.id, json_type({readable('m.extra')}, '$.imported') FROM sessions s JOIN messages m"  # noqa: S608 - a name of our own
        " ON m.id = s.active_leaf WHERE s.id = ?",
        (session_id,),
    ).fetchone()
    return row is not None and row[0] not in added and row[1] != "true"


def give_character(
    db: Connection, name: str, file: str, character_id: str, owner: int = 0
) -> list[str]:
    """Lets a user's imported stories with somebody of this name be with that character; returns their ids."""
    rows = db.execute(
        "SELECT DISTINCT s.id FROM chat_files c JOIN sessions s ON s.id = c.session_id"
        " WHERE c.character IN (?, ?) AND s.character_id = '' AND s.owner = ?",
        (name, file, owner),
    ).fetchall()
    for (session_id,) in rows:
        stories.set_character(db, session_id, character_id)
    return [row[0] for row in rows]


def files_of(db: Connection, session_id: str) -> list[tuple[str, bytes]]:
    """Returns the files a story came from: name and content."""
    rows = db.execute(
        "SELECT o.name, o.data FROM chat_files c JOIN originals o ON o.id = c.original"
        " WHERE c.session_id = ? ORDER BY o.id",
        (session_id,),
    )
    return [(name, data) for name, data in rows]


def with_book(db: Connection, book_file: str, owner: int = 0) -> list[str]:
    """Returns a user's stories whose files point to a lorebook of this name."""
    rows = db.execute(
        "SELECT DISTINCT c.session_id FROM chat_files c JOIN sessions s ON s.id = c.session_id"
        " WHERE c.linked_book = ? AND s.owner = ?",
        (book_file, owner),
    )
    return [row[0] for row in rows]


def of_file(db: Connection, name: str) -> list[str]:
    """Returns the stories of the home's owner that came from a file of this name."""
    rows = db.execute(
        "SELECT DISTINCT s.id FROM originals o JOIN chat_files c ON c.original = o.id"
        " JOIN sessions s ON s.id = c.session_id"
        " WHERE o.name = ? AND s.deleted IS NULL AND s.owner = 0 LIMIT 20",
        (name,),
    )
    return [row[0] for row in rows]


def character_of(db: Connection, session_id: str) -> str:
    """Returns the id of a story's own character, "" for none."""
    row = db.execute("SELECT character_id FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return str(row[0]) if row else ""
