"""Named branches of a story: places in its tree that one can go back to by name.

A story is on one named branch or on none. The branch it is on ends where the story is; the others
remember where they were left. Functions over a connection, like ``tree``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.store import paths, stories, streaming_text, tree
from flower.engine.store.extra import dump_extra
from flower.engine.store.stories import Message
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

BRANCHES_MAX = 100  # named branches of one story

MAIN = "main"


class End(Struct, frozen=True):
    """A way through the tree: its name ("" for none), its last message and whether one is on it."""

    name: str
    last: Message | None
    messages: int
    active: bool


class Tip(Struct, frozen=True):
    """Where a named branch ends (None: before the first message) and whether the story is on it."""

    name: str
    leaf: int | None
    active: bool


def begin(db: Connection, session_id: str, message_id: int | None, name: str, now: float) -> str:
    """Begins a branch at a message (None: where the story is) and goes there; returns its name."""
    names = _names(db, session_id)
    if len(names) >= BRANCHES_MAX:
        raise CommandError(f"This story has {len(names)} named branches, the most there can be.")
    name = name or _free_name(names)
    if name.isdecimal() or len(name) > limits.BRANCH_NAME_CHARS:
        raise CommandError(
            f"A branch's name is a word or some, no number, at most {limits.BRANCH_NAME_CHARS} characters."
        )
    if name.lower() in {other.lower() for other in names}:
        raise CommandError(f"There is a branch {name!r} already; /checkout {name} goes there.")
    target = tree.find(db, session_id, message_id).id if message_id is not None else None
    _leave(db, session_id, now)
    if target is not None:
        tree.go(db, session_id, target)
    _save(db, session_id, name, stories.active_leaf(db, session_id), now)
    _be_on(db, session_id, name)
    return name


def _free_name(names: list[str]) -> str:
    number = len(names) + (2 if not names else 1)
    while f"branch-{number}" in names:
        number += 1
    return f"branch-{number}"


def checkout(db: Connection, session_id: str, name: str, now: float) -> str:
    """Goes to where a named branch was left; returns its name as it is written."""
    names = {one.lower(): one for one in _names(db, session_id)}
    match = names.get(name.lower())
    if match is None:
        choice = f"There is: {', '.join(names.values())}." if names else "/branch NAME makes one."
        raise CommandError(f"There is no branch {name!r} in this story. {choice}")
    if match == current(db, session_id):
        raise CommandError(f"The story is on branch {match} already.")
    (leaf,) = db.execute(
        "SELECT leaf FROM branches WHERE session_id = ? AND name = ?", (session_id, match)
    ).fetchone()
    _leave(db, session_id, now)
    tree.go(db, session_id, _still_there(db, session_id, leaf))
    _be_on(db, session_id, match)
    return match


def goto(db: Connection, session_id: str, message_id: int, now: float) -> Message:
    """Takes the story to a message, on no named branch; returns the message it is at."""
    return _go_off(db, session_id, tree.find(db, session_id, message_id).id, now)


def show(db: Connection, session_id: str, message_id: int, now: float) -> Message:
    """Goes where the story stood when it went through a message last; returns where that is."""
    target = tree.find(db, session_id, message_id)
    return _go_off(db, session_id, tree.leaf_below(db, target.id), now)


def _go_off(db: Connection, session_id: str, leaf: int, now: float) -> Message:
    _leave(db, session_id, now)
    tree.go(db, session_id, leaf)
    _be_on(db, session_id, "")
    return tree.find(db, session_id, stories.active_leaf(db, session_id))


def current(db: Connection, session_id: str) -> str:
    """Returns the name of the branch that the story is on, "" for none."""
    row = db.execute("SELECT branch FROM sessions WHERE id = ?", (session_id,)).fetchone()
    return str(row[0]) if row else ""


def ends(db: Connection, session_id: str) -> list[End]:
    """Returns the named branches, then the other ends of the tree, the newest first."""
    on, leaf = current(db, session_id), stories.active_leaf(db, session_id)
    with_names = named(db, session_id)
    seen = {tip.leaf for tip in with_names}
    named_ends = [_end(db, session_id, tip.name, tip.leaf, active=tip.active) for tip in with_names]
    others = db.execute(
        "SELECT m.id FROM messages m WHERE m.session_id = ? AND m.deleted IS NULL AND NOT EXISTS"
        " (SELECT 1 FROM messages c WHERE c.parent_id = m.id AND c.deleted IS NULL)"
        " ORDER BY m.id DESC LIMIT ?",
        (session_id, limits.BRANCHES_LISTED),
    )
    unnamed = [end for (end,) in others.fetchall() if end not in seen]
    if not on and leaf is not None and leaf not in unnamed:
        unnamed.insert(0, leaf)
    return named_ends + [
        _end(db, session_id, "", end, active=not on and end == leaf) for end in unnamed
    ]


def named(db: Connection, session_id: str) -> list[Tip]:
    """Returns where the named branches end, in the order in which they were made."""
    on, leaf = current(db, session_id), stories.active_leaf(db, session_id)
    rows = db.execute(
        "SELECT name, leaf FROM branches WHERE session_id = ? ORDER BY created, rowid", (session_id,)
    )
    return [
        Tip(name, leaf if name == on else _still_there(db, session_id, left_at), name == on)
        for name, left_at in rows.fetchall()
    ]


def _end(db: Connection, session_id: str, name: str, leaf: int | None, *, active: bool) -> End:
    last = stories.visible(db, session_id, leaf) if leaf is not None else None
    return End(name, last, len(stories.path_ids(db, leaf)), active)


def _names(db: Connection, session_id: str) -> list[str]:
    rows = db.execute(
        "SELECT name FROM branches WHERE session_id = ? ORDER BY created, rowid", (session_id,)
    )
    return [name for (name,) in rows]


def _leave(db: Connection, session_id: str, now: float) -> None:
    """Remembers where the branch that the story is on ends; the first one of a story is ``MAIN``."""
    name = current(db, session_id)
    if not name and not _names(db, session_id):
        name = MAIN
    if name:
        _save(db, session_id, name, stories.active_leaf(db, session_id), now)


def _save(db: Connection, session_id: str, name: str, leaf: int | None, now: float) -> None:
    db.execute(
        "INSERT INTO branches (session_id, name, leaf, created) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_id, name) DO UPDATE SET leaf = excluded.leaf",
        (session_id, name, leaf, now),
    )


def _be_on(db: Connection, session_id: str, name: str) -> None:
    db.execute("UPDATE sessions SET branch = ? WHERE id = ?", (name, session_id))


def _still_there(db: Connection, session_id: str, leaf: int | None) -> int | None:
    """Returns ``leaf`` or the nearest message above it that is not in the trash."""
    while leaf is not None and stories.visible(db, session_id, leaf) is None:
        row = db.execute("SELECT parent_id FROM messages WHERE id = ?", (leaf,)).fetchone()
        leaf = row[0] if row else None
    return leaf


# --- Variants: another reply to the same line, a line or reply that was edited, and going from one to another.
#
# Functions over a connection, each one a whole transaction inside ``Database.write``, like ``tree``. Nothing
# here deletes or changes a text. Raises ``CommandError`` with the sentence for the player when a change
# makes no sense.

GO_ON = "Go on."  # what a reply answers when the player has said nothing


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
    db: Connection, session_id: str, message_id: int | None, number: int, *, step: bool = False
) -> tuple[int, int]:
    """Goes on with another variant of a message; returns its number and how many there are.

    ``step``: ``number`` is how far to go from this one, round the end if need be.
    """
    message = tree.find(db, session_id, message_id)
    others = tree.siblings(db, message)
    if len(others) == 1:
        raise CommandError(f"Message {message.id} has no other variants; /retry or /edit makes one.")
    at = [other.id for other in others].index(message.id)
    place = (at + number) % len(others) if step else number - 1
    if not 0 <= place < len(others):
        raise CommandError(f"Message {message.id} has the variants 1 to {len(others)}.")
    other = others[place].id
    if not tree.on_path(db, stories.active_leaf(db, session_id), other):
        tree.go(db, session_id, tree.leaf_below(db, other))
    return place + 1, len(others)


def open_variant(
    db: Connection, session_id: str, message_id: int | None, model: str, now: float
) -> Opened:
    """Opens another reply beside one of the narrator's, or to a player's line."""
    message = tree.find(db, session_id, message_id)
    if message.role == "user":
        return _open(db, message, model, now)
    answered = None
    if message.role == "assistant" and message.extra.by != "player" and message.parent_id:
        answered = stories.visible(db, session_id, message.parent_id)
    if answered is None:
        raise CommandError(
            f"Message {message.id} is no reply to anything; /edit {message.id} TEXT rewrites it."
        )
    return _open(db, answered, model, now)


def open_edit(
    db: Connection, session_id: str, message_id: int, text: str, model: str, now: float
) -> Opened:
    """Puts a changed line beside a player's line and opens the reply to it."""
    line = tree.find(db, session_id, message_id)
    return _open(db, _edited(db, line, text, now), model, now)


def _open(db: Connection, line: Message, model: str, now: float) -> Opened:
    tree.go(db, line.session_id, line.id)
    reply_id = stories.append(
        db, line.session_id, line.id, "assistant", "", "streaming", model=model, now=now
    )
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, line.session_id))
    earlier = _earlier_replies(db, line.id, reply_id)
    return Opened(line.id, line.content if line.role == "user" else GO_ON, reply_id, earlier)


def open_again(db: Connection, session_id: str) -> Continued:
    """Lets the last reply of a story grow again: nothing can come below it until it has ended."""
    path = stories.active_path(db, session_id, most=2)
    if not path or path[-1].role != "assistant":
        raise CommandError("There is no reply to continue; write a line first.")
    reply = path[-1]
    streaming_text.reopen(db, reply.id)
    line = path[0].content if path[0].role == "user" else ""
    earlier = _earlier_replies(db, reply.parent_id, reply.id) if reply.parent_id is not None else 0
    return Continued(reply.id, line, reply.content, earlier)


def _earlier_replies(db: Connection, line_id: int, reply_id: int) -> int:
    """Returns how many replies were written for a line before this one, in the trash or not.

    It makes each of them another one, also where a seed decides.
    """
    (count,) = db.execute(
        "SELECT count(*) FROM messages WHERE parent_id = ? AND role = 'assistant' AND id < ?",
        (line_id, reply_id),
    ).fetchone()
    return int(count)


def edit_reply(db: Connection, session_id: str, message_id: int, text: str, now: float) -> Message:
    """Puts a changed text beside a reply; returns the new message. The story goes on from there."""
    return _edited(db, tree.find(db, session_id, message_id), text, now)


def _edited(db: Connection, message: Message, text: str, now: float) -> Message:
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
    # What belongs to the prompt of the old text stays there.
    extra = replace(message.extra, recalled="", recalled_ids=(), manifest=(), edited=True)
    db.execute("UPDATE messages SET extra = ? WHERE id = ?", (dump_extra(extra), new_id))
    paths.changed(db, new_id)
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, message.session_id))
    made = stories.visible(db, message.session_id, new_id)
    assert made is not None
    return made
