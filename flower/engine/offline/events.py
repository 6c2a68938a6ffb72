"""Pacing: complications, turns of the hour, people coming in, and the hook a reply ends on. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.parse import stems
from flower.engine.offline.tables import Event

_GENERAL = stems(
    "ask look go talk wait see take turn find follow listen try get help answer who stop check count"
)
_TOWARDS = frozenset({"look", "search", "move", "use", "take", "other", "fight", "risk"})
_ELSEWHERE = frozenset({"recall", "dice", "aside"})  # these are answered, whatever is going on
_EVERY = 4  # a complication about every fourth reply keeps an hour from going slack
_WORDS_FULL = 130  # a reply of so many words takes no more than a hook
_WORDS_SHORT = 45  # a paragraph of so few words can take the hook in


def pending(context: Context) -> Event | None:
    """Returns the event that the last reply opened, if any."""
    folded = context.last.casefold()
    return next((event for event in context.phrases.events if event.mark.casefold() in folded), None)


def turned_to(context: Context, event: Event) -> bool:
    """Returns whether the line takes the event up: by its own words, or by pointing at nothing else."""
    if context.reading.kind in _ELSEWHERE:
        return False
    if context.reading.words & (stems(event.words) - _GENERAL):
        return True
    if context.named or context.reading.object:
        return False
    points = re.search(r"\b(it|him|her|them|that|there|this)\b", context.reading.text.casefold())
    return context.reading.kind in _TOWARDS and bool(
        points or context.reading.words & stems(event.words)
    )


def _new_event(context: Context) -> Event | None:
    """Returns an event that fits the world and was not played lately."""
    text = "\n".join(
        message.content for message in context.history if message.role == "assistant"
    ).casefold()
    free = [
        event for event in context.phrases.events
        if event.setting in ("", context.setting.key) and event.mark.casefold() not in text
    ]  # fmt: skip
    own = [event for event in free if event.setting]
    return context.pick.any_of(own if own and context.pick.percent(70) else free) if free else None


def close(context: Context, paragraphs: list[list[str]], opened: Event | None) -> None:
    """Adds the end of the reply to its paragraphs: the open event, a new one, or a hook."""
    taken_up = opened is not None and turned_to(context, opened)
    is_talk = len(paragraphs) > 2  # a talk ends on the speaker waiting, everything else is open
    if opened is not None and not taken_up and context.pick.percent(65):
        ignored = context.pick.fill(
            opened.ignored, context.slots({"other": _person(context), "other_place": _place(context)})
        )
        paragraphs.insert(len(paragraphs) - is_talk, [ignored])
        return
    if taken_up:
        return
    event = _new_event(context) if opened is None and _due(context) else None
    if event is not None:
        if is_talk:
            paragraphs.pop()  # an interruption cuts off the speaker who was about to wait
        slots = context.slots({"other": _person(context), "other_place": _place(context)})
        paragraphs.append([context.pick.fill(event.opening, slots)])
        return
    if not is_talk:
        _hook(context, paragraphs)


def _hook(context: Context, paragraphs: list[list[str]]) -> None:
    kind = context.reading.kind
    slots = context.slots()
    words = sum(len(sentence.split()) for parts in paragraphs for sentence in parts)
    own = f"hook.{'know' if kind in ('oracle', 'recall', 'think') else kind}"
    if words < _WORDS_FULL and kind not in ("move", "continue") and context.pick.percent(35):
        hook = context.say("arrival", slots)
    else:
        hook = context.say(own if context.has(own) and context.pick.percent(55) else "hook.any", slots)
    if sum(len(sentence.split()) for sentence in paragraphs[-1]) < _WORDS_SHORT and len(paragraphs) > 1:
        paragraphs[-1].append(hook)
    else:
        paragraphs.append([hook])


def _due(context: Context) -> bool:
    turn = context.cue.turn_number + context.cue.seed % _EVERY
    return context.cue.turn_number > 0 and turn % _EVERY == _EVERY - 1


def _person(context: Context) -> str:
    name = context.other("person")
    return name.said if name else "somebody you know"


def _place(context: Context) -> str:
    name = context.other("place")
    return name.said if name else "the way you came"
