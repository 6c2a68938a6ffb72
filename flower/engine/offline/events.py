"""Pacing: complications in two beats, and what a reply ends on. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.stems import stems
from flower.engine.offline.tables import Event, word_list

_GENERAL = stems(
    "ask look go talk wait see take turn find follow listen try get help answer who stop check count search"
)
_PEOPLE = re.compile(
    r"\b(?:man|woman|child|boy|girl|somebody|someone|stranger|rider|customer|scribe|pilgrim)\b",
    re.IGNORECASE,
)
_TOWARDS = frozenset({"look", "search", "move", "use", "take", "other", "fight", "risk"})
# These are answered, whatever is going on; and where somebody opens their heart nothing bursts in.
_ELSEWHERE = frozenset({"recall", "dice", "aside"})
_QUIET = frozenset({"speech", "recall", "dice", "aside", "know", "oracle", "state"})
EVERY = 8  # a complication about every eighth reply keeps an hour from going slack
FIRST = 3  # and none before the player has found their feet
WORDS_FULL = 90  # a reply of so many words needs no more to end on


def pending(context: Context) -> Event | None:
    """Returns the event that the last reply opened, if any."""
    folded = context.last.casefold()
    return next((event for event in context.phrases.events if event.mark.casefold() in folded), None)


def turned_to(context: Context, event: Event) -> bool:
    """Returns whether the line takes the event up: by its own words, or by pointing at nothing else."""
    line = context.line
    if line.kind in _ELSEWHERE:
        return False
    if line.kind == "speech" and context.named:
        return False  # somebody is asked about something else
    if line.words & (stems(event.words) - _GENERAL):
        return True
    if context.named or line.object or context.goal or context.heard.feeling:
        return False
    pronouns = "it|them|that|there|this" + ("|him|her" if _PEOPLE.search(event.opening) else "")
    points = re.search(rf"\b(?:{pronouns})\b", line.text.casefold())
    if line.verb in word_list("giving_up") or line.kind == "fight":
        return False  # "I give it back", "I hit him": something, or somebody, of the story's own
    return line.kind in _TOWARDS and bool(points or line.words & stems(event.words))


def close(context: Context, paragraphs: list[list[str]], opened: Event | None) -> None:
    """Adds the end of the reply to its paragraphs: the open event, a new one, or a word to go on from."""
    if context.line.verb == "die":  # nothing goes on that the player could turn to
        return
    if opened is not None:
        if not turned_to(context, opened) and context.line.kind not in _QUIET:
            paragraphs.append([context.pick.fill(opened.ignored, _slots(context))])
        return
    event = _new_event(context) if _due(context) else None
    if event is not None:
        paragraphs.append([context.pick.fill(event.opening, _slots(context))])
        return
    words = sum(len(sentence.split()) for parts in paragraphs for sentence in parts)
    if words < WORDS_FULL and context.line.kind not in _QUIET and context.pick.percent(25):
        paragraphs[-1].append(context.say(f"end.{context.line.kind} end.any"))


def _new_event(context: Context) -> Event | None:
    """Returns an event that fits the world and was not played before, here or in another story lately."""
    free = [
        event
        for event in context.phrases.events
        if event.setting in ("", context.setting.key) and not context.pick.heard(event.mark)
    ]
    own = [event for event in free if event.setting]
    return context.pick.any_of(own if own and context.pick.percent(75) else free) if free else None


def _due(context: Context) -> bool:
    if context.line.kind in _QUIET or context.heard.feeling or context.heard.disclosure:
        return False
    if context.line.foreign:  # nothing bursts in on what was not understood
        return False
    if context.happened or context.cue.happening or context.cue.turn_number < FIRST:
        return False
    if not context.pick.percent(40):
        return False
    recent = "\n".join(context.replies[-EVERY + 1 :]).casefold()
    return not any(event.mark.casefold() in recent for event in context.phrases.events)


def _slots(context: Context) -> dict[str, str]:
    slots = context.slots
    return slots | {
        "other": slots["other"] or "somebody you know",
        "other_place": slots["other_place"] or "the way you came",
    }
