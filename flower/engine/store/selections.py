"""What every client has chosen, kept so that it finds it again. Functions over a connection."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from msgspec import Struct


class Selection(Struct, frozen=True):
    """What one client has chosen."""

    client: str
    model: str = ""  # "" = whatever the default is
    world_id: str = ""
    character_id: str = ""
    session_id: str = ""
    rules: tuple[str, ...] = ()
    nsfw: bool = False


def load(db: sqlite3.Connection, client: str) -> Selection:
    """Returns what ``client`` had chosen; a new client starts where the last one left off."""
    row = db.execute(
        "SELECT model, world_id, character_id, session_id, rules, nsfw FROM selections"
        " ORDER BY client = ? DESC, updated DESC LIMIT 1",
        (client,),
    ).fetchone()
    if row is None:
        return Selection(client)
    return Selection(client, row[0], row[1], row[2], row[3], tuple(json.loads(row[4])), bool(row[5]))


def change(db: sqlite3.Connection, chosen: Selection, changed: Sequence[str], now: float) -> None:
    """Stores the fields ``changed`` of what a client has chosen; all of them for a new client.

    Clients without an id share one row: what another one chose there meanwhile stays.
    """
    columns = ", ".join(f"{field} = excluded.{field}" for field in (*changed, "updated"))
    db.execute(
        "INSERT INTO selections"  # noqa: S608 - our own names are put in
        " (client, model, world_id, character_id, session_id, rules, nsfw, updated)"
        f" VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (client) DO UPDATE SET {columns}",
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
