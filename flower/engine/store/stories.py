"""Sessions, the message tree and selections, as functions over a connection.

Every function that writes expects to run inside ``Database.write``: one call is one transaction.
Times are Unix seconds and only shown; order comes from ids, since clocks of small machines jump.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from flower import limits
from flower.errors import CommandError

Row = tuple[Any, ...]


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
    extra: dict[str, Any]


class StoredSession(Struct, frozen=True):
    """A story's row; ``messages`` counts its whole tree, ``branch`` is the named one it is on."""

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
    extra: dict[str, Any]


class Selection(Struct, frozen=True):
    """What one client has chosen."""

    client: str
    model: str = ""  # "" = whatever the default is
    world_id: str = ""
    character_id: str = ""
    session_id: str = ""
    rules: tuple[str, ...] = ()
    nsfw: bool = False


class Exchange(Struct, frozen=True):
    """A player's line and the reply that was opened for it."""

    user_id: int
    reply_id: int
    already_there: bool = False  # the same request had been stored before; nothing was written
    titled: bool = False  # the line gave the story its title


_MESSAGE = "id, session_id, parent_id, role, content, status, model, request, created, extra"
_SESSION = """
    SELECT s.id, s.world_id, s.character_id, s.title, s.active_leaf, s.created, s.updated,
           (SELECT count(*) FROM messages m WHERE m.session_id = s.id)
           - (SELECT count(*) FROM messages m WHERE m.session_id = s.id AND m.deleted IS NOT NULL),
           s.branch, s.pinned, s.archived, s.extra
    FROM sessions s
"""


def _message(row: Row) -> Message:
    return Message(*_with_extra(row))


def _session(row: Row) -> StoredSession:
    return StoredSession(*_with_extra(row))


def _with_extra(row: Row) -> list[Any]:
    """Returns the columns with the last one, the extra data, decoded."""
    return [*row[:-1], json.loads(row[-1]) if row[-1] != "{}" else {}]


# --- sessions -----------------------------------------------------------------------------------


def create_session(
    db: sqlite3.Connection, session_id: str, world_id: str, character_id: str, greeting: str, now: float
) -> None:
    """Creates a story; a greeting, if any, becomes its root message."""
    db.execute(
        "INSERT INTO sessions (id, world_id, character_id, created, updated) VALUES (?, ?, ?, ?, ?)",
        (session_id, world_id, character_id, now, now),
    )
    if greeting:
        append(db, session_id, None, "assistant", greeting, "complete", now=now)


def session(db: sqlite3.Connection, session_id: str) -> StoredSession | None:
    """Returns a story that is not in the trash."""
    row = db.execute(_SESSION + " WHERE s.id = ? AND s.deleted IS NULL", (session_id,)).fetchone()
    return _session(row) if row else None


def sessions(
    db: sqlite3.Connection, most: int = limits.SESSIONS_LISTED, *, archived: bool = False
) -> list[StoredSession]:
    """Returns the stories: pinned ones first, then the one played last; ``archived`` ones if wanted."""
    played = (
        " WHERE s.deleted IS NULL AND s.archived <= ?"
        " ORDER BY s.pinned DESC, s.updated DESC, s.rowid DESC LIMIT ?"
    )
    return [_session(row) for row in db.execute(_SESSION + played, (archived, most))]


def set_character(db: sqlite3.Connection, session_id: str, character_id: str) -> None:
    db.execute("UPDATE sessions SET character_id = ? WHERE id = ?", (character_id, session_id))


def rename(db: sqlite3.Connection, session_id: str, title: str) -> None:
    """Gives a story another title, cut to ``limits.TITLE_CHARS``."""
    db.execute("UPDATE sessions SET title = ? WHERE id = ?", (_title(title), session_id))


def set_pinned(db: sqlite3.Connection, session_id: str, pinned: bool) -> None:
    """Makes a story stand first in every list, or no longer."""
    db.execute("UPDATE sessions SET pinned = ? WHERE id = ?", (pinned, session_id))


def set_archived(db: sqlite3.Connection, session_id: str, archived: bool) -> None:
    """Takes a story out of the list of those being played, or puts it back."""
    db.execute("UPDATE sessions SET archived = ? WHERE id = ?", (archived, session_id))


def set_session_extra(db: sqlite3.Connection, session_id: str, changes: Mapping[str, Any]) -> None:
    """Merges ``changes`` into the session's extra data."""
    db.execute(
        "UPDATE sessions SET extra = json_patch(extra, ?) WHERE id = ?",
        (json.dumps(changes), session_id),
    )


def count_sessions(db: sqlite3.Connection) -> int:
    """Returns how many stories there are, those in the trash included."""
    (count,) = db.execute("SELECT count(*) FROM sessions").fetchone()
    return int(count)


# --- the trash ----------------------------------------------------------------------------------


def delete_session(db: sqlite3.Connection, session_id: str, now: float) -> bool:
    """Puts a story into the trash; returns whether there was one."""
    deleted = db.execute(
        "UPDATE sessions SET deleted = ? WHERE id = ? AND deleted IS NULL", (now, session_id)
    ).rowcount
    db.execute("UPDATE selections SET session_id = '' WHERE session_id = ?", (session_id,))
    return deleted > 0


def restore_session(db: sqlite3.Connection, session_id: str) -> bool:
    """Takes a story out of the trash; returns whether it was there."""
    taken = "UPDATE sessions SET deleted = NULL WHERE id = ? AND deleted IS NOT NULL"
    return db.execute(taken, (session_id,)).rowcount > 0


def trash(db: sqlite3.Connection, most: int = limits.SESSIONS_LISTED) -> list[StoredSession]:
    """Returns the stories in the trash, the one deleted last first."""
    thrown = " WHERE s.deleted IS NOT NULL ORDER BY s.deleted DESC LIMIT ?"
    return [_session(row) for row in db.execute(_SESSION + thrown, (most,))]


def expired(db: sqlite3.Connection, before: float) -> list[str]:
    """Returns the ids of the stories that were put into the trash before that time."""
    rows = db.execute("SELECT id FROM sessions WHERE deleted < ?", (before,))
    return [session_id for (session_id,) in rows]


def purge_session(db: sqlite3.Connection, session_id: str) -> bool:
    """Deletes a story in the trash for good, with all its messages; returns whether it was there."""
    thrown = "FROM sessions WHERE id = ? AND deleted IS NOT NULL"
    if db.execute(f"SELECT 1 {thrown}", (session_id,)).fetchone() is None:
        return False
    db.execute("UPDATE sessions SET active_leaf = NULL WHERE id = ?", (session_id,))
    db.execute(f"DELETE {thrown}", (session_id,))
    return True


# --- messages -----------------------------------------------------------------------------------


def begin_exchange(
    db: sqlite3.Connection, session_id: str, line: str, model: str, request: str | None, now: float
) -> Exchange:
    """Stores the player's line and opens the reply under the active leaf.

    A ``request`` that was stored before changes nothing and returns the exchange it made.
    """
    if request is not None:
        row = db.execute(
            "SELECT u.id, (SELECT min(r.id) FROM messages r WHERE r.parent_id = u.id)"
            " FROM messages u WHERE u.session_id = ? AND u.request = ?",
            (session_id, request),
        ).fetchone()
        if row:
            return Exchange(row[0], row[1] or row[0], already_there=True)
    found = session(db, session_id)
    if found is None:
        raise CommandError("This story is in the trash; /session restore takes it back.")
    leaf = found.active_leaf
    user_id = append(db, session_id, leaf, "user", line, "complete", request=request, now=now)
    reply_id = append(db, session_id, user_id, "assistant", "", "streaming", model=model, now=now)
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, session_id))
    titled = db.execute(
        "UPDATE sessions SET title = ? WHERE id = ? AND title = ''", (_title(line), session_id)
    ).rowcount
    return Exchange(user_id, reply_id, titled=titled > 0)


def _title(line: str) -> str:
    title = " ".join(line.split())
    if len(title) <= limits.TITLE_CHARS:
        return title
    return title[: limits.TITLE_CHARS - 1].rstrip() + "…"


def append(
    db: sqlite3.Connection,
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
    cursor = db.execute(
        "INSERT INTO messages (session_id, parent_id, role, content, status, model, request, created)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (session_id, parent_id, role, content, status, model, request, now),
    )
    message_id = cursor.lastrowid
    assert message_id is not None
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (message_id, session_id))
    if parent_id is not None:
        db.execute("UPDATE messages SET chosen = ? WHERE id = ?", (message_id, parent_id))
    else:
        db.execute("UPDATE sessions SET root = ? WHERE id = ?", (message_id, session_id))
    return message_id


def save_reply(
    db: sqlite3.Connection,
    message_id: int,
    content: str,
    status: str,
    usage: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> None:
    """Writes a reply's text so far (status streaming) or its end."""
    db.execute(
        "UPDATE messages SET content = ?, status = ?, usage = coalesce(?, usage), model = coalesce(?, model)"
        " WHERE id = ?",
        (content, status, json.dumps(usage) if usage is not None else None, model, message_id),
    )


def visible(db: sqlite3.Connection, session_id: str, message_id: int) -> Message | None:
    """Returns a message of a story that is not in the trash."""
    row = db.execute(
        f"SELECT {_MESSAGE} FROM messages WHERE id = ? AND session_id = ? AND deleted IS NULL",  # noqa: S608
        (message_id, session_id),
    ).fetchone()
    return _message(row) if row else None


def children(db: sqlite3.Connection, session_id: str, parent_id: int | None) -> list[Message]:
    """Returns what follows a message (None: the beginnings of a story), oldest first, no trash."""
    place = "parent_id = ?" if parent_id is not None else "session_id = ? AND parent_id IS NULL"
    rows = db.execute(
        f"SELECT {_MESSAGE} FROM messages WHERE {place} AND deleted IS NULL ORDER BY id",  # noqa: S608
        (parent_id if parent_id is not None else session_id,),
    )
    return [_message(row) for row in rows]


def tree(db: sqlite3.Connection, session_id: str) -> list[Message]:
    """Returns every message of a story that is not in the trash, parents before children."""
    rows = db.execute(
        f"SELECT {_MESSAGE} FROM messages WHERE session_id = ? AND deleted IS NULL ORDER BY id",  # noqa: S608
        (session_id,),
    )
    return [_message(row) for row in rows]


def set_message_extra(db: sqlite3.Connection, message_id: int, changes: Mapping[str, Any]) -> None:
    """Merges ``changes`` into the message's extra data."""
    db.execute(
        "UPDATE messages SET extra = json_patch(extra, ?) WHERE id = ?",
        (json.dumps(changes), message_id),
    )


def record_prompt(
    db: sqlite3.Connection,
    session_id: str,
    user_id: int,
    reply_id: int,
    line_extra: Mapping[str, Any],
    manifest: Sequence[Mapping[str, Any]],
    window_start: int | None,
    *,
    speaker: str = "",
) -> None:
    """Stores what a prompt was made of: with the line, with the reply, with the story.

    ``speaker``: id of the character that the reply belongs to.
    """
    if line_extra:
        set_message_extra(db, user_id, line_extra)
    set_message_extra(db, reply_id, {"manifest": list(manifest), "speaker": speaker or None})
    set_session_extra(db, session_id, {"window_start": window_start})


def manifest(
    db: sqlite3.Connection, session_id: str, message_id: int | None = None
) -> list[dict[str, Any]] | None:
    """Returns the parts of the prompt behind a reply (None: the newest); None if there was no prompt."""
    row = db.execute(
        "SELECT json_extract(extra, '$.manifest') FROM messages"
        " WHERE session_id = ? AND id = coalesce(?, id) AND json_extract(extra, '$.manifest') IS NOT NULL"
        " ORDER BY id DESC LIMIT 1",
        (session_id, message_id),
    ).fetchone()
    return json.loads(row[0]) if row else None


# --- sampler settings ---------------------------------------------------------------------------


def params(db: sqlite3.Connection, session_id: str, model: str) -> dict[str, Any]:
    """Returns the settings that hold for a model in a story; the story's own win."""
    found = session(db, session_id)
    own = found.extra.get("params", {}) if found is not None else {}
    return {**model_params(db, model), **own}


def model_params(db: sqlite3.Connection, model: str) -> dict[str, Any]:
    row = db.execute("SELECT params FROM model_params WHERE model = ?", (model,)).fetchone()
    return json.loads(row[0]) if row else {}


def set_model_param(db: sqlite3.Connection, model: str, name: str, value: Any) -> None:
    """Sets one setting of a model, or with None takes it back."""
    changed = {
        key: old for key, old in {**model_params(db, model), name: value}.items() if old is not None
    }
    db.execute("INSERT OR REPLACE INTO model_params VALUES (?, ?)", (model, json.dumps(changed)))


# --- messages, one by one -----------------------------------------------------------------------


def reopen_reply(db: sqlite3.Connection, message_id: int) -> None:
    """Lets a finished reply grow again."""
    db.execute("UPDATE messages SET status = 'streaming' WHERE id = ?", (message_id,))


def message(db: sqlite3.Connection, message_id: int) -> Message | None:
    row = db.execute(f"SELECT {_MESSAGE} FROM messages WHERE id = ?", (message_id,)).fetchone()  # noqa: S608
    return _message(row) if row else None


def path(
    db: sqlite3.Connection, leaf: int | None, *, before: int | None = None, most: int | None = None
) -> list[Message]:
    """Returns the messages from the root to ``leaf``, oldest first.

    With ``before`` only those above that message, with ``most`` only the last so many. The manifests of
    their prompts are left out of ``extra``: long, needed by ``/why`` alone, and read for every prompt.
    """
    if leaf is None:
        return []
    above = ", ".join(f"m.{column}" for column in _MESSAGE.split(", ")[:-1])
    above += """, CASE WHEN instr(m.extra, '"manifest"') THEN json_remove(m.extra, '$.manifest') ELSE m.extra END"""
    start = "SELECT parent_id FROM messages WHERE id = ?" if before is not None else "SELECT ?"
    rows = db.execute(
        f"""
        WITH RECURSIVE up(id, depth) AS (
            SELECT ({start}), 0
            UNION ALL
            SELECT m.parent_id, up.depth + 1 FROM messages m JOIN up ON m.id = up.id
            WHERE m.parent_id IS NOT NULL AND up.depth + 1 < ?
        )
        SELECT {above} FROM up JOIN messages m ON m.id = up.id ORDER BY up.depth DESC
        """,  # noqa: S608 - only column names of this module are put in
        (before if before is not None else leaf, most if most is not None else 1 << 40),
    )
    return [_message(row) for row in rows]


def active_path(db: sqlite3.Connection, session_id: str, *, most: int | None = None) -> list[Message]:
    """Returns the messages from the root to the active leaf, or the last so many of them."""
    found = session(db, session_id)
    return path(db, found.active_leaf if found is not None else None, most=most)


def path_ids(db: sqlite3.Connection, leaf: int | None) -> frozenset[int]:
    """Returns the ids of every message between the root and ``leaf``."""
    rows = db.execute(
        """
        WITH RECURSIVE up(id) AS (
            SELECT ? UNION ALL SELECT m.parent_id FROM messages m JOIN up ON m.id = up.id
            WHERE m.parent_id IS NOT NULL
        ) SELECT id FROM up
        """,
        (leaf,),
    )
    return frozenset(row[0] for row in rows if row[0] is not None)


def mark_interrupted(db: sqlite3.Connection) -> int:
    """Marks replies that a dead engine left streaming; returns how many there were."""
    return db.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'").rowcount


def unremembered(db: sqlite3.Connection) -> list[tuple[str, int, str, str]]:
    """Returns (story, reply, line, text) of exchanges that ended without becoming a memory.

    Only the last one of a story can be: it was being saved when its engine died.
    """
    return db.execute(
        """
        SELECT r.session_id, r.id, u.content, r.content
        FROM messages r JOIN messages u ON u.id = r.parent_id AND u.role = 'user'
        WHERE r.id IN (SELECT max(id) FROM messages GROUP BY session_id)
          AND r.role = 'assistant' AND r.content != '' AND r.status NOT IN ('streaming', 'error')
          AND json_extract(r.extra, '$.forgotten') IS NULL
          AND NOT EXISTS (SELECT 1 FROM passages p WHERE p.message_id = r.id)
        """
    ).fetchall()


# --- selections ---------------------------------------------------------------------------------


def load_selection(db: sqlite3.Connection, client: str) -> Selection:
    """Returns what ``client`` had chosen; a new client starts where the last one left off."""
    row = db.execute(
        "SELECT model, world_id, character_id, session_id, rules, nsfw FROM selections"
        " ORDER BY client = ? DESC, updated DESC LIMIT 1",
        (client,),
    ).fetchone()
    if row is None:
        return Selection(client)
    return Selection(client, row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), bool(row[5]))


def save_selection(db: sqlite3.Connection, chosen: Selection, now: float) -> None:
    db.execute(
        "INSERT OR REPLACE INTO selections VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            chosen.client,
            chosen.model,
            chosen.world_id,
            chosen.character_id,
            chosen.session_id,
            json.dumps(chosen.rules),
            chosen.nsfw,
            now,
        ),
    )


# --- lore a player attached ---------------------------------------------------------------------


def attach_lore(db: sqlite3.Connection, world_id: str, text: str, now: float) -> int:
    """Stores a text of lore for a world; returns its id."""
    cursor = db.execute(
        "INSERT INTO attached_lore (world_id, text, created) VALUES (?, ?, ?)", (world_id, text, now)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def detach_lore(db: sqlite3.Connection, number: int) -> None:
    db.execute("DELETE FROM attached_lore WHERE id = ?", (number,))


def attached_lore(db: sqlite3.Connection, world_id: str) -> Sequence[tuple[int, str]]:
    """Returns (id, text) of everything attached to a world."""
    return db.execute(
        "SELECT id, text FROM attached_lore WHERE world_id = ? ORDER BY id", (world_id,)
    ).fetchall()
