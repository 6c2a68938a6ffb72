"""What the offline narrator goes by: the same moment as in the prompt, in its parts. Pure.

Made for providers that compose; for a model the prompt says it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from flower.engine.assets.kinds import World
from flower.engine.game.checks import WORKED
from flower.engine.game.clocks import NEAR_SHARE, Now
from flower.engine.game.steering import NARRATOR
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.direction import ambience_of
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.provider.base import Cue, PromptMessage
from flower.engine.store.passages import Passage
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message

CUE_LORE_CHARS = 120_000  # of a world, read once as a whole by the offline narrator

CUE_MESSAGES = 120  # of the story, as the offline narrator sees it


def cue_of(turn: TurnInput, context: PromptContext, *, seed: int, earlier: tuple[str, ...] = ()) -> Cue:
    """Returns the moment that the reply is to answer; ``earlier`` are replies in other stories."""
    direction, current = context.direction, context.current
    world, played = direction.world, direction.played
    # Nobody of the cast speaks where the narrator was asked.
    character = direction.character if direction.speaker != NARRATOR else None
    others = [one for one in played if character is None or one.id != character.id]
    messages, begun = _last_messages(turn, context.path)
    return Cue(
        line=turn.line,
        world=world.name if world is not None else "",
        scene=world.scene if world is not None else "",
        world_lore=world.lore[:CUE_LORE_CHARS] if world is not None else "",
        character=character.name if character is not None else "",
        persona=character.persona if character is not None else "",
        stage=() if character is None else tuple((one.name, one.persona) for one in others),
        pronouns=() if character is None else tuple(one.pronouns for one in (character, *others)),
        speaks=bool(direction.speaker) and direction.speaker != NARRATOR,
        user=current.steering.persona.name,
        people=tuple(person.name for person in current.state.people),
        lore=_lore(context),
        memories=tuple(item.passage.text for item in context.hits if item.passage.kind == "memory"),
        story=tuple(_spoken(message) for message in messages),
        begun=begun,
        unheard=frozenset(n for n, one in enumerate(messages) if one.id in context.absent),
        earlier=earlier,
        turn_number=sum(message.role == "user" for message in context.path) - 1,
        seed=seed,
        outcome=_outcome(context.path),
        decided=tuple(_decided(context.path, len(messages))),
        happening=tuple(_happening(current)),
        nearing=tuple(_nearing(current)),
        inventory=tuple(current.state.sheet.inventory),
        conditions=current.state.sheet.conditions,
        **_surroundings(world, turn.session_id, current),
    )


def _last_messages(turn: TurnInput, path: Sequence[Message]) -> tuple[list[Message], str]:
    """Returns the last messages without dice and notes, and apart from them the reply that goes on, if one does."""
    messages = [m for m in path[-CUE_MESSAGES:] if m.role != "system"]
    goes_on = turn.continues and messages and messages[-1].role == "assistant"
    begun = messages.pop().content if goes_on else ""
    return messages, begun


def _lore(context: PromptContext) -> tuple[str, ...]:
    """Returns what lorebooks and recall have for the line."""
    recalled = (_headed(item.passage) for item in context.hits if item.passage.kind == "lore")
    return (*(entry.text for entry in context.entries.fired), *recalled)


def _surroundings(world: World | None, session_id: str, current: CurrentState) -> dict[str, Any]:
    """Returns where and when it is: what was set by hand wins over the world's ambience."""
    sheet, around = current.state.sheet, ambience_of(world, session_id, current)
    return {
        "place": sheet.place,
        "time": sheet.time or around.get("light", ""),
        "weather": sheet.weather or around.get("weather", ""),
        "mood": sheet.mood or around.get("mood", ""),
    }


def _happening(current: CurrentState) -> list[str]:
    """Returns what the clocks lead to that this line has filled."""
    now = current.now
    before = Now(now.lines - 1, now.time)
    return [
        clock.then or clock.name
        for clock in current.state.clocks
        if clock.at(now) == clock.size and (clock.at(before) < clock.size or clock.line == now.lines)
    ]


def _nearing(current: CurrentState) -> list[str]:
    """Returns the names of the clocks that are nearly full."""
    now = current.now
    return [
        clock.name
        for clock in current.state.clocks
        if clock.size * NEAR_SHARE <= clock.at(now) < clock.size
    ]


def _decided(path: Sequence[Message], most: int) -> Sequence[str]:
    """Returns the outcome of dice for each of the player's lines among the last messages of a path."""
    messages = path[-CUE_MESSAGES:]
    first = len(path) - len(messages)
    return [
        _outcome(path[: first + index + 1])
        for index, message in enumerate(messages)
        if message.role == "user"
    ][:most]


def _outcome(path: Sequence[Message]) -> Literal["", "strong", "miss"]:
    """Returns what dice right before the newest line, or in its place, have decided."""
    for message in path[:-3:-1]:
        if message.role == "assistant":
            break
        if message.role == "system":
            degree = message.extra.roll.degree if message.extra.roll is not None else None
            return "" if degree is None else "strong" if degree in WORKED else "miss"
    return ""


def _spoken(message: Message) -> PromptMessage:
    return PromptMessage("user" if message.role == "user" else "assistant", message.content)


def _headed(passage: Passage) -> str:
    """Returns a passage under its heading: where lore is kept says whether it is a secret."""
    return f"## {passage.title}\n{passage.text}" if passage.title else passage.text
