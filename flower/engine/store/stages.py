"""Who of a cast was there when something was said, as functions over a connection.

Kept in the extra data of the message at which it changed, as ``stage``: the narrator and ids of characters; it holds
below that message, on its way. A story that only ever had its own character has none; before the first one everybody
is taken to have been there. Functions that write expect to run inside ``Database.write``.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flower.engine.game.steering import NARRATOR
from flower.engine.store import paths, stories
from flower.engine.store.extra import MessageExtra, load_without_manifest, patch

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

CHANGES_READ = 100  # the last ones; who was there before those was always there


def keep(db: Connection, session_id: str, message_id: int, there: Sequence[str]) -> None:
    """Notes with a message which characters were there, if others were there above it."""
    before = paths.way(db, message_id, session_id).stages.last(1)
    above = _stage(db, before[0]) if before else ()
    stage = (NARRATOR, *there)
    if stage != above and (above or len(there) > 1):
        stories.set_message_extra(db, message_id, patch(stage=stage))


def begin(db: Connection, session_id: str, alone: str) -> None:
    """Notes that until now nobody but a story's own character was there ("": only the narrator).

    To be called when its first other character comes.
    """
    stored = stories.session(db, session_id)
    way = paths.way(db, stored.active_leaf if stored is not None else None, session_id)
    root = next(iter(way.ids), None)
    if root is not None and not way.stages.last(1):
        stage = (NARRATOR, alone) if alone else (NARRATOR,)
        stories.set_message_extra(db, root, patch(stage=stage))


def witnessed(db: Connection, session_id: str, leaf: int | None, character: str) -> paths.Ids:
    """Returns the messages on the way to ``leaf`` whose memories a character may have."""
    way = paths.way(db, leaf, session_id)
    changes, ids = way.stages.last(CHANGES_READ), way.ids.last(None)
    away: set[int] = set()
    # A change is noted with the reply: the line that it answers was said to those who are there, too.
    starts = [max(bisect_left(ids, change) - 1, 0) for change in changes]
    ends = [*starts, len(ids)][1:]
    for change, start, end in zip(changes, starts, ends, strict=True):
        if character not in _stage(db, change):
            away.update(ids[start:end])
    return way.remembered.but(away)


def _stage(db: Connection, message_id: int) -> tuple[str, ...]:
    row = db.execute("SELECT extra FROM messages WHERE id = ?", (message_id,)).fetchone()
    extra = load_without_manifest(row[0]) if row else MessageExtra()
    return extra.stage
