"""Messages that no model reads, and messages taken out of a way through the tree.

Functions over a connection that expect to run inside ``Database.write``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower.engine.store import branches, stories, tree
from flower.engine.store.stories import Message
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


def set_hidden(db: Connection, session_id: str, first: int, last: int, hidden: bool) -> int:
    """Hides the messages from ``first`` to ``last`` of the present way, or shows them; returns how many.

    Summaries that tell of them are dropped: the next ones are made without. Raises ``CommandError`` when
    there is none of them on this way.
    """
    path = stories.active_path(db, session_id)
    chosen = [m for m in path if first <= m.id <= last]
    if not chosen:
        raise CommandError("No such message is on this branch of the story.")
    changed = [m for m in chosen if m.extra.hidden is not hidden]
    for message in changed:
        stories.set_message_extra(db, message.id, {"hidden": True if hidden else None})
    if changed:
        later = [(m.id,) for m in path if m.id >= changed[0].id]
        db.executemany("DELETE FROM summaries WHERE last_id = ?", later)
        tree.forget_window(db, session_id)
    return len(changed)


def without(db: Connection, session_id: str, message_id: int, now: float) -> Message:
    """Goes on in a branch that is like the present one but for one message; returns that message.

    What follows it is there again as copies, since the old branch keeps its own. Raises ``CommandError``
    when the message is not on this way.
    """
    path = stories.active_path(db, session_id)
    place = next((index for index, m in enumerate(path) if m.id == message_id), None)
    if place is None:
        raise CommandError(f"Message {message_id} is not on this branch of the story.")
    gone = path[place]
    if len(path) == 1:
        raise CommandError("It is the only message; /delete puts it into the trash.")
    branches.begin(db, session_id, None, "", now)  # the old way keeps its name
    parent = gone.parent_id
    for message in path[place + 1 :]:
        parent = _copied(db, session_id, message.id, parent)
    if parent is not None:
        tree.go(db, session_id, parent)
    tree.forget_window(db, session_id)
    return gone


def _copied(db: Connection, session_id: str, message_id: int, parent: int | None) -> int:
    """Returns the id of a copy of a message under another one; what its prompt said stays with the old."""
    row = db.execute(
        """
        INSERT INTO messages (session_id, parent_id, role, content, status, model, usage, created, extra)
        SELECT session_id, ?, role, content, status, model, usage, created,
               json_remove(CASE WHEN json_valid(extra) THEN extra ELSE '{}' END, '$.recalled',
                           '$.private', '$.recalled_ids', '$.stands', '$.manifest')
        FROM messages WHERE id = ? RETURNING id
        """,
        (parent, message_id),
    ).fetchone()
    return int(row[0])
