"""Named presets of settings and imported templates, as functions over a connection. Owns ``presets``, the home
owner's, and ``own_presets``: sampler settings of each user. Templates are everybody's.

What the values mean is not known here; whoever reads one checks it, as it may come from another version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from flower.engine.store.extra import json_object

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

# ruff: noqa: S608 - only constants are put into statements, values never

Kind = Literal["samplers", "instruct", "context"]
SAMPLERS: Kind = "samplers"
INSTRUCT: Kind = "instruct"  # how prompts are written as text
CONTEXT: Kind = "context"  # what is around the system text in one; it goes with the one of its name
KINDS: tuple[Kind, ...] = (SAMPLERS, INSTRUCT, CONTEXT)
LISTED = 1_000


def put(
    db: Connection, kind: Kind, name: str, values: Mapping[str, object], now: float, user: int = 0
) -> None:
    """Stores a preset, in the place of the one with its name."""
    remove(db, kind, name, user)
    if user and kind == SAMPLERS:
        db.execute(
            "INSERT INTO own_presets (owner, name, data, updated) VALUES (?, ?, ?, ?)",
            (user, name, json.dumps(values), now),
        )
    else:
        db.execute("INSERT INTO presets VALUES (?, ?, ?, ?)", (kind, name, json.dumps(values), now))


def find(db: Connection, kind: Kind, name: str, user: int = 0) -> tuple[str, dict[str, Any]] | None:
    """Returns a preset as its name is written, and what is in it; None if there is none."""
    mine, key = _mine(kind, user)
    row = db.execute(f"SELECT name, data FROM {mine} AND name = ?", (key, name)).fetchone()
    return (row[0], json_object(row[1])) if row else None


def listed(db: Connection, kind: Kind, user: int = 0) -> dict[str, dict[str, Any]]:
    """Returns the presets of a kind by name."""
    mine, key = _mine(kind, user)
    rows = db.execute(f"SELECT name, data FROM {mine} ORDER BY name LIMIT ?", (key, LISTED))
    return {name: json_object(data) for name, data in rows}


def names(db: Connection, kind: Kind, user: int = 0) -> tuple[str, ...]:
    """Returns the names of the presets of a kind that somebody sees, at most ``LISTED``."""
    mine, key = _mine(kind, user)
    rows = db.execute(f"SELECT name FROM {mine} ORDER BY name LIMIT ?", (key, LISTED))
    return tuple(name for (name,) in rows)


def remove(db: Connection, kind: Kind, name: str, user: int = 0) -> bool:
    """Returns whether there was one."""
    mine, key = _mine(kind, user)
    return db.execute(f"DELETE FROM {mine} AND name = ?", (key, name)).rowcount > 0


def _mine(kind: Kind, user: int) -> tuple[str, int | str]:
    """Returns a table with the condition for what a user has of a kind, and its value."""
    if user and kind == SAMPLERS:
        return "own_presets WHERE owner = ?", user
    return "presets WHERE kind = ?", kind
