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
import sqlite3
from collections.abc import Mapping, Sequence

from msgspec import Struct

from flower import limits
from flower.engine.store import states, stories
from flower.engine.store.stories import Message
from flower.errors import CommandError

GO_ON = "Go on."  # what a reply answers when the player has said nothing
NOT_INHERITED = ("recalled", "recalled_ids", "manifest")  # they belong to the prompt of the old text


class Page(Struct, frozen=True):
    """Messages in a row, oldest first. ``variants``: (number from 1, count) of those with siblings."""

    messages: Sequence[Message]
    variants: Mapping[int, tuple[int, int]] = {}
    sheet: Sequence[tuple[str, str]] | None = None  # rows of the state sheet; None above the end


class Opened(Struct, frozen=True):
    """A reply that is about to be written; ``variant`` is how many were written for its line before."""

    line_id: int
    line: str
    reply_id: int
    variant: int


# --- reading ------------------------------------------------------------------------------------


def page(db: sqlite3.Connection, session_id: str, before: int | None = None) -> Page | None:
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


def find(db: sqlite3.Connection, session_id: str, message_id: int | None) -> Message:
    """Returns a message of a story, None: the newest one that somebody wrote.

    Dice and other notes between the lines are passed over.
    """
    if message_id is not None:
        found = stories.visible(db, session_id, message_id)
        if found is None:
            raise CommandError(f"There is no message {message_id} in this story.")
        return found
    written = _last(db, session_id, ("user", "assistant"))
    if written is None:
        raise CommandError("This story is empty; write a line first.")
    return written


def last_line(db: sqlite3.Connection, session_id: str) -> Message:
    """Returns the player's newest line on the active path."""
    found = _last(db, session_id, ("user",))
    if found is None:
        raise CommandError("You have not written a line yet.")
    return found


def _last(db: sqlite3.Connection, session_id: str, roles: Sequence[str]) -> Message | None:
    leaf = active_leaf(db, session_id)
    while leaf is not None:
        message = stories.visible(db, session_id, leaf)
        if message is None or message.role in roles:
            return message
        leaf = message.parent_id
    return None


def active_leaf(db: sqlite3.Connection, session_id: str) -> int | None:
    """Returns the message at which the story stands, None before its first one."""
    row = db.execute("SELECT active_leaf FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return row[0] if row else None


def on_path(db: sqlite3.Connection, leaf: int | None, message_id: int) -> bool:
    """Whether a message is on the way to ``leaf``; ids grow along it, so the walk ends early."""
    found = db.execute(
        """
        WITH RECURSIVE up(id) AS (
            SELECT ?1 UNION ALL SELECT m.parent_id FROM messages m JOIN up ON m.id = up.id WHERE up.id > ?2
        ) SELECT 1 FROM up WHERE id = ?2
        """,
        (leaf, message_id),
    )
    return found.fetchone() is not None


def siblings(db: sqlite3.Connection, message: Message) -> list[Message]:
    """Returns a message and its variants, oldest first."""
    return stories.children(db, message.session_id, message.parent_id)


def variants(db: sqlite3.Connection, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Returns (number from 1, count) of every message in ``ids`` that has a sibling."""
    rows = db.execute(
        """
        SELECT m.id, count(*) FILTER (WHERE s.id <= m.id), count(*)
        FROM messages m JOIN messages s
          ON s.parent_id = m.parent_id AND s.deleted IS NULL
        WHERE m.id IN (SELECT value FROM json_each(?1)) AND m.parent_id IS NOT NULL
        GROUP BY m.id HAVING count(*) > 1
        UNION ALL
        SELECT m.id, count(*) FILTER (WHERE s.id <= m.id), count(*)
        FROM messages m JOIN messages s
          ON s.session_id = m.session_id AND s.parent_id IS NULL AND s.deleted IS NULL
        WHERE m.id IN (SELECT value FROM json_each(?1)) AND m.parent_id IS NULL
        GROUP BY m.id HAVING count(*) > 1
        """,
        (json.dumps(ids),),
    )
    return {message_id: (number, count) for message_id, number, count in rows}


def leaf_below(db: sqlite3.Connection, message_id: int) -> int:
    """Returns where the story stood when it went through this message last."""
    while (child := chosen_child(db, message_id)) is not None:
        message_id = child
    return message_id


def chosen_child(db: sqlite3.Connection, message_id: int) -> int | None:
    """Returns the child that the story went on with last, else the newest one; None at an end."""
    row = db.execute(
        "SELECT c.id FROM messages c JOIN messages m ON m.id = c.parent_id"
        " WHERE m.id = ? AND c.deleted IS NULL ORDER BY c.id = m.chosen DESC, c.id DESC LIMIT 1",
        (message_id,),
    ).fetchone()
    return row[0] if row else None


def _chosen_root(db: sqlite3.Connection, session_id: str) -> int | None:
    row = db.execute(
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id"
        " WHERE s.id = ? AND m.parent_id IS NULL AND m.deleted IS NULL"
        " ORDER BY m.id = s.root DESC, m.id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return row[0] if row else None


# --- moving -------------------------------------------------------------------------------------


def go(db: sqlite3.Connection, session_id: str, leaf: int | None) -> None:
    """Makes the active path end at ``leaf``; at the answer to it, if it is a player's line with one."""
    if leaf is not None:
        leaf = _settled(db, session_id, leaf)
        # Along the way only what differs is written: mostly nothing, once after a switch.
        db.execute(
            """
            WITH RECURSIVE up(id, parent_id) AS (
                SELECT id, parent_id FROM messages WHERE id = ?
                UNION ALL
                SELECT m.id, m.parent_id FROM messages m JOIN up ON m.id = up.parent_id
            )
            UPDATE messages SET chosen = up.id FROM up
            WHERE messages.id = up.parent_id AND messages.chosen IS NOT up.id
            """,
            (leaf,),
        )
        root = min(stories.path_ids(db, leaf))
        db.execute("UPDATE sessions SET root = ? WHERE id = ?", (root, session_id))
    _stand_at(db, session_id, leaf)


def _settled(db: sqlite3.Connection, session_id: str, leaf: int) -> int:
    """Returns ``leaf``, or the answer to it that was shown last."""
    message = stories.visible(db, session_id, leaf)
    if message is None or message.role != "user":
        return leaf
    child = chosen_child(db, leaf)
    answers = [m.id for m in stories.children(db, session_id, leaf) if m.role == "assistant"]
    return child if child in answers else answers[-1] if answers else leaf


def _stand_at(db: sqlite3.Connection, session_id: str, leaf: int | None) -> None:
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (leaf, session_id))


def undo(db: sqlite3.Connection, session_id: str) -> Message:
    """Goes back by one exchange, or by one note between the lines; returns what was taken back."""
    leaf = active_leaf(db, session_id)
    message = stories.visible(db, session_id, leaf) if leaf is not None else None
    if message is None or (message.parent_id is None and message.role == "assistant"):
        raise CommandError("There is nothing to undo; this is where the story begins.")
    if message.role == "assistant" and message.parent_id is not None:
        parent = stories.visible(db, session_id, message.parent_id)
        if parent is not None and parent.role == "user":
            message = parent
    _stand_at(db, session_id, message.parent_id)
    return message


def redo(db: sqlite3.Connection, session_id: str) -> Message:
    """Goes down again by what ``undo`` goes back; returns the line or note that is there again."""
    leaf = active_leaf(db, session_id)
    child = chosen_child(db, leaf) if leaf is not None else _chosen_root(db, session_id)
    message = stories.visible(db, session_id, child) if child is not None else None
    if message is None:
        raise CommandError("There is nothing to redo; the story ends here.")
    end = message.id
    if message.role == "user":
        answer = chosen_child(db, message.id)
        found = stories.visible(db, session_id, answer) if answer is not None else None
        end = found.id if found is not None and found.role == "assistant" else end
    _stand_at(db, session_id, end)
    return message


def choose_variant(
    db: sqlite3.Connection, session_id: str, message_id: int | None, number: int, *, step: bool = False
) -> tuple[int, int]:
    """Goes on with another variant of a message; returns its number and how many there are.

    ``step``: ``number`` is how far to go from this one, round the end if need be.
    """
    message = find(db, session_id, message_id)
    others = siblings(db, message)
    if len(others) == 1:
        raise CommandError(f"Message {message.id} has no other variants; /retry or /edit makes one.")
    at = [other.id for other in others].index(message.id)
    wanted = (at + number) % len(others) if step else number - 1
    if not 0 <= wanted < len(others):
        raise CommandError(f"Message {message.id} has the variants 1 to {len(others)}.")
    if wanted != at:
        go(db, session_id, leaf_below(db, others[wanted].id))
    return wanted + 1, len(others)


# --- growing ------------------------------------------------------------------------------------


def open_variant(
    db: sqlite3.Connection, session_id: str, message_id: int | None, model: str, now: float
) -> Opened:
    """Opens another reply beside one of the narrator's, or to a player's line."""
    message = find(db, session_id, message_id)
    if message.role == "user":
        return _open(db, message, model, now)
    answered = None
    if message.role == "assistant" and message.extra.get("by") != "player" and message.parent_id:
        answered = stories.visible(db, session_id, message.parent_id)
    if answered is None:
        raise CommandError(
            f"Message {message.id} is no reply to anything; /edit {message.id} TEXT rewrites it."
        )
    return _open(db, answered, model, now)


def open_edit(
    db: sqlite3.Connection, session_id: str, message_id: int, text: str, model: str, now: float
) -> Opened:
    """Puts a changed line beside a player's line and opens the reply to it."""
    line = find(db, session_id, message_id)
    return _open(db, _edited(db, line, text, now), model, now)


def _open(db: sqlite3.Connection, line: Message, model: str, now: float) -> Opened:
    go(db, line.session_id, line.id)
    reply_id = stories.append(
        db, line.session_id, line.id, "assistant", "", "streaming", model=model, now=now
    )
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, line.session_id))
    earlier = _earlier_replies(db, line.id, reply_id)
    return Opened(line.id, line.content if line.role == "user" else GO_ON, reply_id, earlier)


def earlier_replies(db: sqlite3.Connection, reply: Message) -> int:
    """Returns how many replies were written for the same line before this one, in the trash or not.

    It makes each of them another one, also where a seed decides.
    """
    return _earlier_replies(db, reply.parent_id, reply.id) if reply.parent_id is not None else 0


def _earlier_replies(db: sqlite3.Connection, line_id: int, reply_id: int) -> int:
    (count,) = db.execute(
        "SELECT count(*) FROM messages WHERE parent_id = ? AND role = 'assistant' AND id < ?",
        (line_id, reply_id),
    ).fetchone()
    return int(count)


def edit_reply(
    db: sqlite3.Connection, session_id: str, message_id: int, text: str, now: float
) -> Message:
    """Puts a changed text beside a reply; returns the new message. The story goes on from there."""
    return _edited(db, find(db, session_id, message_id), text, now)


def _edited(db: sqlite3.Connection, message: Message, text: str, now: float) -> Message:
    if message.role == "system":
        raise CommandError(f"Message {message.id} was not written by anybody; it stays as it is.")
    if text == message.content:
        raise CommandError(f"This is what message {message.id} says already.")
    if message.parent_id is not None:
        go(db, message.session_id, message.parent_id)
    new_id = stories.append(
        db,
        message.session_id,
        message.parent_id,
        message.role,
        text,
        "complete",
        model=message.model,
        now=now,
    )
    kept = {key: value for key, value in message.extra.items() if key not in NOT_INHERITED}
    stories.set_message_extra(db, new_id, {**kept, "edited": True})
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, message.session_id))
    made = stories.visible(db, message.session_id, new_id)
    assert made is not None
    return made
