"""A story's tree of messages: where its active path ends, and how that changes.

Functions over a connection, each one a whole transaction inside ``Database.write``. Siblings are the
variants of a message: replies written anew, lines that were edited, lines said after going back. Every
message remembers in ``chosen`` which child the story went on with last, so that every way through the
tree can be walked again.

Nothing here deletes or changes a text. The active path never ends at a player's line that has an
answer to show, so going one exchange back and forth again always ends in the same place.

Raises ``CommandError`` with the sentence for the player when a change makes no sense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.store import paths, states, stories
from flower.engine.store.paths import ID, up
from flower.engine.store.stories import Message
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection


class Page(Struct, frozen=True):
    """Messages in a row, oldest first. ``variants``: (number from 1, count) of those with siblings;
    ``shown``: by id, what screens show in the place of a message's words."""

    messages: Sequence[Message]
    variants: Mapping[int, tuple[int, int]] = {}
    sheet: Sequence[tuple[str, str]] | None = None  # rows of the state sheet; None above the end
    shown: Mapping[int, str] = {}


# --- reading ------------------------------------------------------------------------------------


def page(db: Connection, session_id: str, before: int | None = None) -> Page | None:
    """Returns the end of the active path, or what is above message ``before``; None without a story.

    It may be one message longer than ``limits.HISTORY_PAGE_MESSAGES``, which tells that there is more.
    """
    row = db.execute(
        "SELECT active_leaf FROM sessions WHERE id = ? AND deleted IS NULL", (session_id,)
    ).fetchone()
    if row is None:
        return None
    (leaf,) = row
    if before is not None and stories.visible(db, session_id, before) is None:
        return Page(())
    most = limits.HISTORY_PAGE_MESSAGES + 1
    messages = stories.path(db, leaf, before=before, most=most)
    sheet = states.rows(db, session_id, leaf) if before is None else None
    return Page(messages, variants(db, [message.id for message in messages]), sheet)


def find(db: Connection, session_id: str, message_id: int | None) -> Message:
    """Returns a message of a story, None: the newest one that somebody wrote.

    Dice and other notes between the lines are passed over.
    """
    if message_id is not None:
        message = stories.visible(db, session_id, message_id)
        if message is None:
            raise CommandError(f"There is no message {message_id} in this story.")
        return message
    written = _last(db, session_id, ("user", "assistant"))
    if written is None:
        raise CommandError("This story is empty; write a line first.")
    return written


def last_line(db: Connection, session_id: str) -> Message:
    """Returns the player's newest line on the active path."""
    message = _last(db, session_id, ("user",))
    if message is None:
        raise CommandError("You have not written a line yet.")
    return message


def _last(db: Connection, session_id: str, roles: Sequence[str]) -> Message | None:
    leaf = stories.active_leaf(db, session_id)
    while leaf is not None:
        message = stories.visible(db, session_id, leaf)
        if message is None or message.role in roles:
            return message
        leaf = message.parent_id
    return None


def on_path(db: Connection, leaf: int | None, message_id: int) -> bool:
    """Whether a message is on the way to ``leaf``; ids grow along it, so the walk ends early."""
    row = db.execute(
        f"{up('CAST(:leaf AS INTEGER)', until='up.id <= :id')} SELECT 1 FROM up WHERE id = :id",  # noqa: S608 - our own words
        {"leaf": leaf, "id": message_id},
    )
    return row.fetchone() is not None


def window_start(db: Connection, session_id: str) -> int | None:
    """Returns the message at which the last prompt's history began, None if it began on another way."""
    stored = stories.session(db, session_id)
    if stored is None:
        return None
    start = stored.extra.window_start
    return start if start is not None and on_path(db, stored.active_leaf, start) else None


def forget_window(db: Connection, session_id: str) -> None:
    """Lets the next prompt lay out its history anew, also after the engine has ended."""
    stories.set_session_extra(db, session_id, {"window_start": None})


def siblings(db: Connection, message: Message) -> list[Message]:
    """Returns a message and its variants, oldest first."""
    return stories.children(db, message.session_id, message.parent_id)


def greeting(db: Connection, session_id: str, path: paths.Ids) -> int | None:
    """Returns which of its greetings a story has on the path with these messages, 0 for the first.

    None for a story that the player began.
    """
    root = next(iter(path), None)
    if root is None or _role(db, root) != "assistant":
        return None
    row = db.execute(
        "SELECT count(*) FROM messages INDEXED BY messages_roots WHERE session_id = ? AND parent_id IS NULL"
        " AND role = 'assistant' AND deleted IS NULL AND id < ?",
        (session_id, root),
    ).fetchone()
    return int(row[0])


def _role(db: Connection, message_id: int) -> str:
    row = db.execute("SELECT role FROM messages WHERE id = ?", (message_id,)).fetchone()
    return str(row[0]) if row else ""


def variants(db: Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Returns (number from 1, count) of every message in ``ids`` that has a sibling."""
    rows = db.execute(
        """
        SELECT m.id, count(*) FILTER (WHERE s.id <= m.id), count(*)
        FROM json_each(:ids) j CROSS JOIN messages m ON m.id = j.value CROSS JOIN messages s
          ON s.parent_id = m.parent_id AND s.deleted IS NULL
        WHERE +m.parent_id IS NOT NULL
        GROUP BY m.id HAVING count(*) > 1
        UNION ALL
        SELECT m.id, count(*) FILTER (WHERE s.id <= m.id), count(*)
        FROM json_each(:ids) j CROSS JOIN messages m ON m.id = j.value CROSS JOIN messages s INDEXED BY messages_roots
          ON s.session_id = m.session_id AND s.parent_id IS NULL AND s.deleted IS NULL
        WHERE +m.parent_id IS NULL
        GROUP BY m.id HAVING count(*) > 1
        """,
        {"ids": json.dumps(ids)},
    )
    return {message_id: (number, count) for message_id, number, count in rows}


def leaf_below(db: Connection, message_id: int) -> int:
    """Returns where the story stood when it went through this message last."""
    while (child := chosen_child(db, message_id)) is not None:
        message_id = child
    return message_id


def chosen_child(db: Connection, message_id: int) -> int | None:
    """Returns the child that the story went on with last, else the newest one; None at an end."""
    row = db.execute(
        "SELECT c.id FROM messages c JOIN messages m ON m.id = c.parent_id"
        " WHERE m.id = ? AND c.id > m.id AND c.deleted IS NULL ORDER BY c.id = m.chosen DESC, c.id DESC LIMIT 1",
        (message_id,),
    ).fetchone()
    return row[0] if row else None


def _chosen_root(db: Connection, session_id: str) -> int | None:
    row = db.execute(
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id"
        " WHERE s.id = ? AND m.parent_id IS NULL AND m.deleted IS NULL"
        " ORDER BY m.id = s.root DESC, m.id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return row[0] if row else None


# --- moving -------------------------------------------------------------------------------------


def go(db: Connection, session_id: str, leaf: int | None) -> None:
    """Makes the active path end at ``leaf``; at the answer to it, if it is a player's line with one.

    None: before the first message; in a story with a greeting that is the greeting.
    """
    leaf = leaf if leaf is not None else _greeting(db, session_id)
    if leaf is not None:
        leaf = _settled(db, session_id, leaf)
        _choose_along(db, leaf)
        root = next(iter(stories.path_ids(db, leaf)))
        db.execute("UPDATE sessions SET root = ? WHERE id = ?", (root, session_id))
    _stand_at(db, session_id, leaf)


def _choose_along(db: Connection, leaf: int) -> None:
    """Notes for each message on the way to ``leaf`` which answer leads there.

    Only what differs is written: mostly nothing, once after a switch. Read first and written by id, as the plan
    of an UPDATE from a walk reads every message of the home with SQLite 3.46.
    """
    differing = db.execute(
        up(ID) + " SELECT above.id, below.id FROM up AS below"  # noqa: S608 - no values in it
        " CROSS JOIN messages AS above ON above.id = (SELECT parent_id FROM messages WHERE id = below.id)"
        " WHERE above.chosen IS NOT below.id",
        (leaf,),
    ).fetchall()
    db.executemany(
        "UPDATE messages SET chosen = ? WHERE id = ?", [(below, above) for above, below in differing]
    )


def _greeting(db: Connection, session_id: str) -> int | None:
    row = db.execute(
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE s.id = ?"
        " AND m.parent_id IS NULL AND m.deleted IS NULL AND m.role = 'assistant'"
        " ORDER BY m.id = s.root DESC, m.id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return row[0] if row else None


def _settled(db: Connection, session_id: str, leaf: int) -> int:
    """Returns ``leaf``, or the answer to it that was shown last."""
    message = stories.visible(db, session_id, leaf)
    if message is None or message.role != "user":
        return leaf
    child = chosen_child(db, leaf)
    answers = _answers(db, session_id, leaf)
    return child if child in answers else answers[-1] if answers else leaf


def _answers(db: Connection, session_id: str, line: int) -> list[int]:
    return [m.id for m in stories.children(db, session_id, line) if m.role == "assistant"]


def _stand_at(db: Connection, session_id: str, leaf: int | None) -> None:
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (leaf, session_id))


def undo(db: Connection, session_id: str) -> Message:
    """Goes back by one exchange, or by one note between the lines; returns what was taken back."""
    leaf = stories.active_leaf(db, session_id)
    message = stories.visible(db, session_id, leaf) if leaf is not None else None
    if message is None or (message.parent_id is None and message.role == "assistant"):
        raise CommandError("There is nothing to undo; this is where the story begins.")
    # A line goes with its answer. So does whatever else is below a line that has answers: a note,
    # or another line, said while the answer was in the trash.
    while (line := _answered_line(db, session_id, message.parent_id)) is not None:
        message = line
    _stand_at(db, session_id, message.parent_id)
    return message


def redo(db: Connection, session_id: str) -> Message:
    """Goes down again by what ``undo`` goes back; returns the line or note that is there again."""
    leaf = stories.active_leaf(db, session_id)
    child = chosen_child(db, leaf) if leaf is not None else _chosen_root(db, session_id)
    message = stories.visible(db, session_id, child) if child is not None else None
    if message is None:
        raise CommandError("There is nothing to redo; the story ends here.")
    end: int | None = message.id
    while _answered_line(db, session_id, end) is not None:
        assert end is not None  # it has a line
        end = chosen_child(db, end)
    _stand_at(db, session_id, end)
    return message


def _answered_line(db: Connection, session_id: str, message_id: int | None) -> Message | None:
    """Returns the message if it is a player's line with an answer to show."""
    message = stories.visible(db, session_id, message_id) if message_id is not None else None
    if message is None or message.role != "user" or not _answers(db, session_id, message.id):
        return None
    return message
