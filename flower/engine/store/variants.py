"""Variants: another reply to the same line, a line or reply that was edited, and going from one to another.

Functions over a connection, each one a whole transaction inside ``Database.write``, like ``tree``. Nothing
here deletes or changes a text. Raises ``CommandError`` with the sentence for the player when a change
makes no sense.
"""

from __future__ import annotations

import sqlite3

from msgspec import Struct

from flower.engine.store import growth, stories, tree
from flower.engine.store.stories import Message
from flower.errors import CommandError

GO_ON = "Go on."  # what a reply answers when the player has said nothing
NOT_INHERITED = ("recalled", "recalled_ids", "manifest")  # they belong to the prompt of the old text


class Opened(Struct, frozen=True):
    """A reply that is about to be written; ``variant`` is how many were written for its line before."""

    line_id: int
    line: str
    reply_id: int
    variant: int


class Continued(Struct, frozen=True):
    """A reply that is about to grow again. ``line``: what it answers, "" for a greeting."""

    reply_id: int
    line: str
    text: str  # so far
    variant: int  # as in ``Opened``


def choose_variant(
    db: sqlite3.Connection, session_id: str, message_id: int | None, number: int, *, step: bool = False
) -> tuple[int, int]:
    """Goes on with another variant of a message; returns its number and how many there are.

    ``step``: ``number`` is how far to go from this one, round the end if need be.
    """
    message = tree.find(db, session_id, message_id)
    others = tree.siblings(db, message)
    if len(others) == 1:
        raise CommandError(f"Message {message.id} has no other variants; /retry or /edit makes one.")
    at = [other.id for other in others].index(message.id)
    wanted = (at + number) % len(others) if step else number - 1
    if not 0 <= wanted < len(others):
        raise CommandError(f"Message {message.id} has the variants 1 to {len(others)}.")
    other = others[wanted].id
    if not tree.on_path(db, tree.active_leaf(db, session_id), other):
        tree.go(db, session_id, tree.leaf_below(db, other))
    return wanted + 1, len(others)


def open_variant(
    db: sqlite3.Connection, session_id: str, message_id: int | None, model: str, now: float
) -> Opened:
    """Opens another reply beside one of the narrator's, or to a player's line."""
    message = tree.find(db, session_id, message_id)
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
    line = tree.find(db, session_id, message_id)
    return _open(db, _edited(db, line, text, now), model, now)


def _open(db: sqlite3.Connection, line: Message, model: str, now: float) -> Opened:
    tree.go(db, line.session_id, line.id)
    reply_id = stories.append(
        db, line.session_id, line.id, "assistant", "", "streaming", model=model, now=now
    )
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, line.session_id))
    earlier = _earlier_replies(db, line.id, reply_id)
    return Opened(line.id, line.content if line.role == "user" else GO_ON, reply_id, earlier)


def open_again(db: sqlite3.Connection, session_id: str) -> Continued:
    """Lets the reply at which a story stands grow again: nothing can come below it until it has ended."""
    path = stories.active_path(db, session_id, most=2)
    if not path or path[-1].role != "assistant":
        raise CommandError("There is no reply to continue; write a line first.")
    reply = path[-1]
    growth.reopen(db, reply.id)
    line = path[0].content if path[0].role == "user" else ""
    earlier = _earlier_replies(db, reply.parent_id, reply.id) if reply.parent_id is not None else 0
    return Continued(reply.id, line, reply.content, earlier)


def _earlier_replies(db: sqlite3.Connection, line_id: int, reply_id: int) -> int:
    """Returns how many replies were written for a line before this one, in the trash or not.

    It makes each of them another one, also where a seed decides.
    """
    (count,) = db.execute(
        "SELECT count(*) FROM messages WHERE parent_id = ? AND role = 'assistant' AND id < ?",
        (line_id, reply_id),
    ).fetchone()
    return int(count)


def edit_reply(
    db: sqlite3.Connection, session_id: str, message_id: int, text: str, now: float
) -> Message:
    """Puts a changed text beside a reply; returns the new message. The story goes on from there."""
    return _edited(db, tree.find(db, session_id, message_id), text, now)


def _edited(db: sqlite3.Connection, message: Message, text: str, now: float) -> Message:
    if message.role == "system":
        raise CommandError(f"Message {message.id} was not written by anybody; it stays as it is.")
    if text == message.content:
        raise CommandError(f"This is what message {message.id} says already.")
    if message.parent_id is not None:
        tree.go(db, message.session_id, message.parent_id)
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
