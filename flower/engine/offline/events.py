"""Pacing: complications, turns of the hour, people coming in, and the hook a reply ends on. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Stage
from flower.engine.offline.parse import stems
from flower.engine.offline.tables import weave
from flower.engine.offline.tables.thread import Thread
from flower.engine.offline.tables.threads import THREADS

_GENERAL = stems(
    "ask look go talk wait see take turn find follow listen try get help answer who stop check count"
)
_TOWARDS = frozenset({"look", "search", "move", "use", "take", "other", "fight", "risk"})
_ELSEWHERE = frozenset({"recall", "dice", "aside"})  # these are answered, whatever is going on
_EVERY = 4  # a complication about every fourth reply keeps an hour from going slack
_WORDS_FULL = 130  # a reply of so many words takes no more than a hook
_WORDS_SHORT = 45  # a paragraph of so few words can take the hook in


def pending(stage: Stage) -> Thread | None:
    """Returns the thread that the last reply opened, if any."""
    folded = stage.last.casefold()
    return next((thread for thread in THREADS if thread.mark.casefold() in folded), None)


def turned_to(stage: Stage, thread: Thread) -> bool:
    """Returns whether the line takes the thread up: by its own words, or by pointing at nothing else."""
    if stage.reading.kind in _ELSEWHERE:
        return False
    if stage.reading.words & (stems(thread.words) - _GENERAL):
        return True
    if stage.named or stage.reading.object:
        return False
    points = re.search(r"\b(it|him|her|them|that|there|this)\b", stage.reading.text.casefold())
    return stage.reading.kind in _TOWARDS and bool(points or stage.reading.words & stems(thread.words))


def _new_thread(stage: Stage) -> Thread | None:
    """Returns a thread that fits the world and was not played lately."""
    text = "\n".join(
        message.content for message in stage.history if message.role == "assistant"
    ).casefold()
    free = [
        thread for thread in THREADS
        if thread.palette in ("", stage.palette.key) and thread.mark.casefold() not in text
    ]  # fmt: skip
    own = [thread for thread in free if thread.palette]
    return stage.pick.any_of(own if own and stage.pick.percent(70) else free) if free else None


def close(stage: Stage, paragraphs: list[list[str]], opened: Thread | None) -> None:
    """Adds the end of the reply to its paragraphs: the open thread, a new one, or a hook."""
    taken_up = opened is not None and turned_to(stage, opened)
    is_talk = len(paragraphs) > 2  # a talk ends on the speaker waiting, everything else is open
    if opened is not None and not taken_up and stage.pick.percent(65):
        ignored = stage.pick.fill(
            opened.ignored, stage.slots({"other": _person(stage), "other_place": _place(stage)})
        )
        paragraphs.insert(len(paragraphs) - is_talk, [ignored])
        return
    if taken_up:
        return
    thread = _new_thread(stage) if opened is None and _due(stage) else None
    if thread is not None:
        if is_talk:
            paragraphs.pop()  # an interruption cuts off the speaker who was about to wait
        slots = stage.slots({"other": _person(stage), "other_place": _place(stage)})
        paragraphs.append([stage.pick.fill(thread.opening, slots)])
        return
    if not is_talk:
        _hook(stage, paragraphs)


def _hook(stage: Stage, paragraphs: list[list[str]]) -> None:
    kind = stage.reading.kind
    slots = stage.slots()
    words = sum(len(sentence.split()) for parts in paragraphs for sentence in parts)
    own = weave.HOOK_BY_KIND.get("know" if kind in ("oracle", "recall", "think") else kind, ())
    if words < _WORDS_FULL and kind not in ("move", "continue") and stage.pick.percent(35):
        hook = stage.pick.say(weave.ENTER, slots)
    else:
        hook = stage.pick.say(own if own and stage.pick.percent(55) else weave.HOOK, slots)
    if sum(len(sentence.split()) for sentence in paragraphs[-1]) < _WORDS_SHORT and len(paragraphs) > 1:
        paragraphs[-1].append(hook)
    else:
        paragraphs.append([hook])


def _due(stage: Stage) -> bool:
    turn = stage.cue.turn_number + stage.cue.seed % _EVERY
    return stage.cue.turn_number > 0 and turn % _EVERY == _EVERY - 1


def _person(stage: Stage) -> str:
    name = stage.other("person")
    return name.said if name else "somebody you know"


def _place(stage: Stage) -> str:
    name = stage.other("place")
    return name.said if name else "the way you came"
