"""The state of a story at one of its messages. Pure.

It is kept whole with the message at which it changed and holds until the next change on the way to a
leaf. So taking back a line takes back what it led to, and every branch has a state of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.game import clocks
from flower.engine.game import sheet as sheet_of
from flower.engine.game.clocks import Clock, Now
from flower.engine.game.people import Person
from flower.engine.game.sheet import Sheet
from flower.engine.game.steering import Steering
from flower.errors import CommandError, StoreError

STORY_STATE_BYTES = 64 * limits.KIB  # kept with each message at which it changed
STORY_VARIABLES_BYTES = 64 * limits.KIB  # of macros; kept with each line whose note set some


class StoryState(Struct, frozen=True, omit_defaults=True):
    """Everything that is true in the story now."""

    sheet: Sheet = Sheet()
    people: tuple[Person, ...] = ()
    clocks: tuple[Clock, ...] = ()
    pins: tuple[str, ...] = ()  # facts that stay in front of the narrator


Change = Callable[[StoryState], StoryState]

_state = msgspec.json.Decoder(StoryState)
_steering = msgspec.json.Decoder(Steering)
_variables = msgspec.json.Decoder(dict[str, str])


def shown_rows(state: StoryState, now: Now) -> tuple[tuple[str, str], ...]:
    """Returns the sheet and the clocks as rows of a name and a value, for a screen."""
    ticking = tuple((clock.name, clocks.display_text(clock, now)) for clock in state.clocks)
    return (*sheet_of.rows(state.sheet), *ticking)


def load_state(data: str | None) -> StoryState:
    """Returns the state in a JSON text; None: a new story's. Raises ``StoreError`` if it is damaged."""
    try:
        return _state.decode(data) if data else StoryState()
    except msgspec.MsgspecError as error:
        raise StoreError(
            f"the state of this story is damaged ({error}); /state undo removes it"
        ) from error


def load_steering(data: str | None) -> Steering:
    """Returns the steering in a JSON text; None: a new story's. Raises ``StoreError`` if it is damaged."""
    try:
        return _steering.decode(data) if data else Steering()
    except msgspec.MsgspecError as error:
        raise StoreError(f"the steering of this story is damaged: {error}") from error


def load_variables(data: str | None) -> dict[str, str]:
    """Returns the variables of macros in a JSON text; None: there are none.

    Raises ``StoreError`` if they are damaged.
    """
    try:
        return _variables.decode(data) if data else {}
    except msgspec.MsgspecError as error:
        raise StoreError(f"the variables of this story are damaged: {error}") from error


def dump_variables(variables: Mapping[str, str]) -> str:
    """Returns the JSON text; raises ``CommandError`` when it is too long to be kept with a message."""
    data = msgspec.json.encode(variables)
    if len(data) > STORY_VARIABLES_BYTES:
        raise CommandError("they are too long; let a note set fewer or shorter ones.")
    return data.decode()


def dump(value: StoryState | Steering) -> str:
    """Returns the JSON text; raises ``CommandError`` when it is too long to be kept with a message."""
    data = msgspec.json.encode(value)
    if len(data) > STORY_STATE_BYTES:
        raise CommandError("The state of this story is full; take something away first.")
    return data.decode()
