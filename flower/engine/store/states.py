"""The state of stories and how they are steered, as functions over a connection.

A state is kept in the ``extra`` data of the message at which it changed and holds for everything below
it; what a story without messages has is kept with the session. Variables of macros are kept in the same
way, but apart: no player has set them, so taking back a change of the state leaves them alone. Steering
is always the session's.
Every function that writes expects to run inside ``Database.write``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.game.clocks import Now
from flower.engine.game.state import (
    Change,
    StoryState,
    dump,
    load_state,
    load_steering,
    load_variables,
    shown_rows,
)
from flower.engine.game.steering import Persona, Steering
from flower.engine.store import paths, stories
from flower.engine.store.extra import part, readable
from flower.errors import StoreError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

STATE_UNDO = 8  # changes at one message that can be taken back one by one


class CurrentState(Struct, frozen=True):
    """The state of a story at one of its messages. ``begun``: when the story was made, Unix seconds."""

    state: StoryState
    steering: Steering
    now: Now
    begun: float
    speaker: str = ""  # the id of the character that spoke in the newest reply
    variables: Mapping[str, str] = {}  # that macros of notes and greetings have set


def begin_story(
    db: Connection,
    session_id: str,
    world_id: str,
    character_id: str,
    greeting: str,
    persona: Persona,
    now: float,
    state: StoryState,
    variables: str | None,
    others: Sequence[tuple[str, str | None]] = (),
    owner: int = 0,
) -> None:
    """Creates a story in which the player is who they were in the one before.

    ``state`` is what holds at its beginning and is no change that can be taken back: people it brings
    along. ``variables`` of its greeting: as ``dump_variables`` gives them, None for none. ``others`` are
    further greetings with theirs: variants of the first message.
    """
    stories.create_session(db, session_id, world_id, character_id, greeting, now, owner)
    if state != StoryState():
        _set_states(db, *_row(db, session_id), dump(state), [])
    if variables is not None:
        keep_variables(db, session_id, variables)
    if persona != Persona():
        change_steering(db, session_id, lambda steered: replace(steered, persona=persona))
    first = stories.active_leaf(db, session_id)
    _add_greetings(db, session_id, others, state, now)
    if others:
        _begin_with(db, session_id, first)


def greet_anew(
    db: Connection, session_id: str, greetings: Sequence[tuple[str, str | None]], now: float
) -> bool:
    """Lets a story that has only its greeting begin with the first of ``greetings``; all become variants.

    Returns whether it was so: what is a variant already is not added again, and a story that goes on stays as it is.
    """
    path = stories.active_path(db, session_id, most=2)
    if [message.role for message in path] != ["assistant"]:
        return False
    present = {one.content for one in stories.children(db, session_id, None)}
    new = [one for one in greetings if one[0] not in present]
    if not new:
        return False
    state = _state(db, session_id, paths.way(db, path[0].id).state)
    first, *_ = _add_greetings(db, session_id, new, state, now)
    _begin_with(db, session_id, first)
    return True


def _add_greetings(
    db: Connection,
    session_id: str,
    greetings: Sequence[tuple[str, str | None]],
    state: StoryState,
    now: float,
) -> list[int]:
    """Adds variants of a story's first message, and what holds at them; returns their numbers."""
    added = []
    for text, variables in greetings:
        number = stories.append(db, session_id, None, "assistant", text, "complete", now=now)
        if state != StoryState():
            _set_states(db, "messages", number, dump(state), [])
        if variables is not None:
            keep_variables(db, session_id, variables, number)
        added.append(number)
    return added


def _begin_with(db: Connection, session_id: str, first: int | None) -> None:
    db.execute("UPDATE sessions SET active_leaf = ?, root = ? WHERE id = ?", (first, first, session_id))


def begin_with_pins(db: Connection, session_id: str, pins: tuple[str, ...]) -> None:
    """Gives a story facts that are in every prompt, from its beginning on."""
    _set_states(db, *_row(db, session_id), dump(StoryState(pins=pins)), [])


def current_at(db: Connection, session_id: str, leaf: int | None, now: float) -> CurrentState:
    """Returns the state of the story at ``leaf``; ``now`` is the time clocks are read at."""
    way = paths.way(db, leaf, session_id)
    row = db.execute("SELECT created, extra FROM sessions WHERE id = ?", (session_id,)).fetchone()
    begun, own = row or (now, "{}")
    at = [number for number in (way.reply, way.state, way.variables) if number is not None]
    extras: dict[int | None, str] = {None: own}
    if at:
        statement = f"SELECT id, extra FROM messages WHERE id IN ({', '.join('?' * len(at))})"  # noqa: S608 - signs
        extras.update(db.execute(statement, at).fetchall())
    spoke = part(extras.get(way.reply, "{}"), "speaker") if way.reply is not None else None
    return CurrentState(
        state=load_state(part(extras.get(way.state, "{}"), "state")),
        steering=load_steering(part(own, "steering")),
        now=Now(way.lines, now),
        begun=begun,
        speaker=spoke or "",
        variables=load_variables(part(extras.get(way.variables, "{}"), "variables")),
    )


def current(db: Connection, session_id: str, now: float) -> CurrentState:
    """Returns the state of the story at its active leaf."""
    return current_at(db, session_id, stories.active_leaf(db, session_id), now)


_EXTRA = readable("extra")


def rows(db: Connection, session_id: str, leaf: int | None) -> tuple[tuple[str, str], ...]:
    """Returns the state sheet at ``leaf`` as rows of a name and a value, clocks included."""
    state = state_at(db, session_id, leaf)
    if state == StoryState():
        return ()
    if not state.clocks:  # nothing depends on how far the story has come
        return shown_rows(state, Now(0, 0.0))
    newest = stories.message(db, leaf) if leaf is not None else None
    return shown_rows(
        state, Now(paths.way(db, leaf).lines, newest.created if newest is not None else 0.0)
    )


# --- the state ----------------------------------------------------------------------------------


def nearest_state(db: Connection, leaf: int | None) -> int | None:
    """Returns the message nearest above ``leaf``, or itself, at which the state changed; None for none."""
    return paths.way(db, leaf).state


def state_at(db: Connection, session_id: str, leaf: int | None) -> StoryState:
    """Returns the state that holds at ``leaf``; raises ``StoreError`` if it is damaged."""
    return _state(db, session_id, nearest_state(db, leaf))


def _state(db: Connection, session_id: str, message_id: int | None) -> StoryState:
    """Returns the state kept with a message, None: with the story."""
    if message_id is None:
        return load_state(_extra(db, "sessions", session_id, "state"))
    return load_state(_extra(db, "messages", message_id, "state"))


def change_state(db: Connection, session_id: str, change: Change, at: int | None = None) -> StoryState:
    """Changes the state at message ``at`` (None: the active leaf) and returns it.

    The last ``STATE_UNDO`` states that this message had before stay with it, for ``undo_state``.
    """
    leaf = at if at is not None else stories.active_leaf(db, session_id)
    table, row_id = _row(db, session_id, at)
    state = change(state_at(db, session_id, leaf))
    before = [*_states_before(db, table, row_id), _extra(db, table, row_id, "state")]
    _set_states(db, table, row_id, dump(state), before[-STATE_UNDO:])
    return state


def undo_state(db: Connection, session_id: str) -> bool:
    """Takes back the last change at the last message that changed something; returns whether one did.

    What a story began with stays, unless it is damaged: then it is removed.
    """
    place = nearest_state(db, stories.active_leaf(db, session_id))
    table, row_id = ("messages", place) if place is not None else ("sessions", session_id)
    before = _states_before(db, table, row_id)
    if before:
        _set_states(db, table, row_id, before[-1], before[:-1])
        return True
    try:
        load_state(_extra(db, table, row_id, "state"))
    except StoreError:
        _set_states(db, table, row_id, None, [])
        return True
    return False


def _row(db: Connection, session_id: str, at: int | None = None) -> tuple[str, str | int]:
    """Returns the table and the row that keep what changes at a message, None: at the active leaf."""
    leaf = at if at is not None else stories.active_leaf(db, session_id)
    return ("messages", leaf) if leaf is not None else ("sessions", session_id)


def _states_before(db: Connection, table: str, row_id: str | int) -> list[str | None]:
    """Returns the earlier states of a row as JSON, oldest first; None: it had none of its own."""
    data = _extra(db, table, row_id, "states_before")
    return json.loads(data) if data else []


def _set_states(
    db: Connection, table: str, row_id: str | int, state: str | None, before: list[str | None]
) -> None:
    args: tuple[str, ...]
    if state is None:
        changed, args = f"json_remove({_EXTRA}, '$.state', '$.states_before')", ()
    else:
        changed = f"json_set({_EXTRA}, '$.state', json(?), '$.states_before', json(?))"
        args = (state, json.dumps(before))
    db.execute(f"UPDATE {table} SET extra = {changed} WHERE id = ?", (*args, row_id))  # noqa: S608 - names of our own
    _changed(db, row_id)


def _changed(db: Connection, row_id: str | int) -> None:
    if isinstance(row_id, int):  # a message, not a story
        paths.changed(db, row_id)


# --- variables ----------------------------------------------------------------------------------


def variables_at(db: Connection, session_id: str, leaf: int | None) -> dict[str, str]:
    """Returns the variables of macros that hold at ``leaf``."""
    return _variables(db, session_id, paths.way(db, leaf).variables)


def keep_variables(db: Connection, session_id: str, variables: str, at: int | None = None) -> None:
    """Keeps the variables of macros with message ``at`` (None: the active leaf), in place of its own.

    ``variables`` are as ``dump_variables`` gives them, so that nothing but the disk can refuse them here.
    """
    table, row_id = _row(db, session_id, at)
    db.execute(
        f"UPDATE {table} SET extra = json_set({_EXTRA}, '$.variables', json(?)) WHERE id = ?",  # noqa: S608 - a name of our own
        (variables, row_id),
    )
    _changed(db, row_id)


def _variables(db: Connection, session_id: str, message_id: int | None) -> dict[str, str]:
    """Returns the variables kept with a message, None: with the story."""
    if message_id is None:
        return load_variables(_extra(db, "sessions", session_id, "variables"))
    return load_variables(_extra(db, "messages", message_id, "variables"))


# --- steering -----------------------------------------------------------------------------------


def steering(db: Connection, session_id: str) -> Steering:
    """Returns how a story is steered; raises ``StoreError`` if that is damaged."""
    return load_steering(_extra(db, "sessions", session_id, "steering"))


def change_steering(
    db: Connection, session_id: str, change: Callable[[Steering], Steering]
) -> Steering:
    """Changes how a story is steered and returns it."""
    changed = change(steering(db, session_id))
    _set_session_extra(db, session_id, "steering", dump(changed))
    return changed


def change_persona(db: Connection, was: Persona, new: Persona, owner: int = 0) -> None:
    """Lets a user be ``new`` in all stories of theirs in which they are ``was``, word for word."""
    rows = db.execute(
        f"SELECT id FROM sessions WHERE json_extract({_EXTRA}, '$.steering.persona.name') = ?"  # noqa: S608 - names of our own
        " AND owner = ?",
        (was.name, owner),
    )

    def follow(steered: Steering) -> Steering:
        return replace(steered, persona=new) if steered.persona == was else steered

    for (session_id,) in rows.fetchall():
        with suppress(StoreError):  # steering that is damaged is reported where that story is opened
            change_steering(db, session_id, follow)


def _extra(db: Connection, table: str, row_id: str | int | None, key: str) -> str | None:
    """Returns what a row's extra data has under ``key``: objects as JSON, texts as they are."""
    row = db.execute(
        f"SELECT json_extract({_EXTRA}, ?) FROM {table} WHERE id = ?",  # noqa: S608 - a name of our own
        (f"$.{key}", row_id),
    ).fetchone()
    return row[0] if row else None


def _set_session_extra(db: Connection, session_id: str, key: str, data: str) -> None:
    db.execute(
        f"UPDATE sessions SET extra = json_set({_EXTRA}, ?, json(?)) WHERE id = ?",  # noqa: S608 - a constant is put in
        (f"$.{key}", data, session_id),
    )
