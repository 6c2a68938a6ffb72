"""Named presets of settings and imported templates, as functions over a connection. Owns the table ``presets``.

What the values mean is not known here; whoever reads one checks it, as it may come from another version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

Kind = Literal["samplers", "instruct", "context"]
SAMPLERS: Kind = "samplers"
INSTRUCT: Kind = "instruct"  # how prompts are written as text
CONTEXT: Kind = "context"  # what is around the system text in one; it goes with the one of its name
KINDS: tuple[Kind, ...] = (SAMPLERS, INSTRUCT, CONTEXT)
LISTED = 1_000


def put(db: Connection, kind: Kind, name: str, values: Mapping[str, object], now: float) -> None:
    """Stores a preset, in the place of the one with its name."""
    db.execute("DELETE FROM presets WHERE kind = ? AND name = ?", (kind, name))
    db.execute("INSERT INTO presets VALUES (?, ?, ?, ?)", (kind, name, json.dumps(values), now))


def find(db: Connection, kind: Kind, name: str) -> tuple[str, dict[str, Any]] | None:
    """Returns a preset as its name is written, and what is in it; None if there is none."""
    row = db.execute(
        "SELECT name, data FROM presets WHERE kind = ? AND name = ?", (kind, name)
    ).fetchone()
    return (row[0], _values(row[1])) if row else None


def listed(db: Connection, kind: Kind) -> dict[str, dict[str, Any]]:
    """Returns the presets of a kind by name."""
    rows = db.execute(
        "SELECT name, data FROM presets WHERE kind = ? ORDER BY name LIMIT ?", (kind, LISTED)
    )
    return {name: _values(data) for name, data in rows}


def names(db: Connection, kind: Kind) -> tuple[str, ...]:
    rows = db.execute("SELECT name FROM presets WHERE kind = ? ORDER BY name LIMIT ?", (kind, LISTED))
    return tuple(name for (name,) in rows)


def remove(db: Connection, kind: Kind, name: str) -> bool:
    """Returns whether there was one."""
    done = db.execute("DELETE FROM presets WHERE kind = ? AND name = ?", (kind, name))
    return done.rowcount > 0


def _values(data: str) -> dict[str, Any]:
    """Returns a JSON object, an empty one for damaged text."""
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
