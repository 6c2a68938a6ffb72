"""What clients have chosen: the world, character, story, model and rules of each, and sampler settings.

Kept so that a client finds it again. Functions over a connection; those that write expect to run inside
``Database.write``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from flower.engine.store import stories
from flower.engine.store.extra import SessionExtra, json_object, load_extra

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

# ruff: noqa: S608 - only constants are put into statements, values never


class Selection(Struct, frozen=True):
    """What one client has chosen."""

    client: str
    model: str = ""  # "" = whatever the default is
    world_id: str = ""
    character_id: str = ""
    session_id: str = ""
    rules: tuple[str, ...] = ()
    nsfw: bool = False


def client_key(user: int, client: str) -> str:
    """Returns under which name what a user's client chooses is kept; one cannot name another's."""
    if not user:
        return client.lstrip("@") if "/" in client else client
    return f"@{user}/{client}"


def user_of(key: str) -> int:
    """Returns the user whose client has this key."""
    number, slash, _ = key[1:].partition("/") if key.startswith("@") else ("", "", "")
    return int(number) if slash and number.isdecimal() else 0


def load(db: Connection, client: str, user: int = 0) -> Selection:
    """Returns what ``client`` had chosen; a new client starts where the last one of its user left off.

    ``client`` is a ``client_key``.
    """
    # The sign behind "/" is "0", behind "@" it is "A".
    mine = "client >= ? AND client < ?" if user else "(client < '@' OR client >= 'A')"
    row = db.execute(
        f"SELECT model, world_id, character_id, session_id, rules, nsfw FROM selections WHERE {mine}"
        " ORDER BY client = ? DESC, updated DESC LIMIT 1",
        (*((f"@{user}/", f"@{user}0") if user else ()), client),
    ).fetchone()
    if row is None:
        return Selection(client)
    return Selection(
        client=client,
        model=row[0],
        world_id=row[1],
        character_id=row[2],
        session_id=row[3],
        rules=_rules(row[4]),
        nsfw=bool(row[5]),
    )


def _rules(data: str) -> tuple[str, ...]:
    """Returns the ids of chosen rules; none for damaged text."""
    try:
        return msgspec.json.decode(data, type=tuple[str, ...])
    except msgspec.MsgspecError:
        return ()


def change(db: Connection, chosen: Selection, changed: Sequence[str], now: float) -> None:
    """Stores the fields ``changed`` of what a client has chosen; all of them for a new client.

    Clients without an id share one row: what another one chose there meanwhile stays.
    """
    columns = ", ".join(f"{field} = excluded.{field}" for field in (*changed, "updated"))
    db.execute(
        "INSERT INTO selections"
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


# --- sampler settings: a model's, and a story's own that win over them ---


def of_story(db: Connection, session_id: str, model: str) -> dict[str, Any]:
    """Returns the settings that hold for a model in a story; the story's own win."""
    everywhere, extra = db.execute(
        "SELECT (SELECT params FROM model_params WHERE model = ?),"
        " (SELECT extra FROM sessions WHERE id = ? AND deleted IS NULL)",
        (model, session_id),
    ).fetchone()
    return {**json_object(everywhere or "{}"), **load_extra(extra or "{}", SessionExtra).params}


def set_of_story(db: Connection, session_id: str, name: str, value: Any) -> None:
    """Sets one setting of a story, or with None takes it back."""
    stories.set_session_extra(db, session_id, {"params": {name: value}})


def set_all_of_story(db: Connection, session_id: str, values: Mapping[str, Any]) -> None:
    """Makes ``values`` all settings of a story."""
    stories.set_session_extra(db, session_id, {"params": None})
    stories.set_session_extra(db, session_id, {"params": dict(values) or None})


def of_model(db: Connection, model: str) -> dict[str, Any]:
    """Returns the settings that hold for a model in all stories."""
    row = db.execute("SELECT params FROM model_params WHERE model = ?", (model,)).fetchone()
    return json_object(row[0]) if row else {}


def set_of_model(db: Connection, model: str, name: str, value: Any) -> None:
    """Sets one setting of a model, or with None takes it back."""
    changed = {key: old for key, old in {**of_model(db, model), name: value}.items() if old is not None}
    db.execute(
        "INSERT INTO model_params VALUES (?, ?) ON CONFLICT (model) DO UPDATE SET params = excluded.params",
        (model, json.dumps(changed)),
    )
