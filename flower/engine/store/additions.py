"""Messages that are no exchange of line and reply: dice, the player's own narration, answers to them.

Functions over a connection that expect to run inside ``Database.write``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from flower.engine.store import stories, tree, variants
from flower.engine.store.variants import GO_ON
from flower.errors import CommandError


def add_message(
    db: sqlite3.Connection,
    session_id: str,
    role: str,
    make: Callable[[int], tuple[str, Mapping[str, Any]]],
    request: str | None,
    now: float,
) -> stories.Message | None:
    """Appends a whole message to the active path; ``make`` gives content and extra data for its id.

    Returns None when ``request`` was stored before: it was sent again. Raises ``CommandError`` while a
    reply is being written, which must stay the last message until its end.
    """
    if (
        request is not None
        and db.execute(
            "SELECT 1 FROM messages WHERE session_id = ? AND request = ?", (session_id, request)
        ).fetchone()
    ):
        return None
    leaf = tree.active_leaf(db, session_id)
    streaming = db.execute("SELECT 1 FROM messages WHERE id = ? AND status = 'streaming'", (leaf,))
    if streaming.fetchone():
        raise CommandError("A reply is being written; do this again when it has ended.")
    message_id = stories.append(db, session_id, leaf, role, "", "complete", request=request, now=now)
    content, extra = make(message_id)
    db.execute(
        "UPDATE messages SET content = ?, extra = ? WHERE id = ?",
        (content, json.dumps(extra), message_id),
    )
    db.execute("UPDATE sessions SET updated = ? WHERE id = ?", (now, session_id))
    return stories.message(db, message_id)


def open_answer(db: sqlite3.Connection, session_id: str, model: str, now: float) -> variants.Opened:
    """Opens a reply to what stands last in the story: dice, or the player's own narration.

    Raises ``CommandError`` when a reply of the narrator stands there, which ``/continue`` lets grow.
    """
    leaf = tree.active_leaf(db, session_id)
    last = stories.message(db, leaf) if leaf is not None else None
    if last is None or (last.role == "assistant" and last.extra.get("by") != "player"):
        raise CommandError(
            "Tell what? /narrate TEXT adds to the story, /continue lets the reply go on."
        )
    line = last.content if last.role == "user" else GO_ON
    reply = stories.append(db, session_id, last.id, "assistant", "", "streaming", model=model, now=now)
    return variants.Opened(last.id, line, reply, 0)
