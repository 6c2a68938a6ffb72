"""Replies to lines that ask: of the past, of the world, of fate, of dice, of the game. Pure."""

from __future__ import annotations

import re

from flower.engine.offline import oracle
from flower.engine.offline.context import ASKED_SCORE, Stage
from flower.engine.offline.dialogue import answers, aside
from flower.engine.offline.grammar import lower_first, sentences
from flower.engine.offline.narration import (
    Paragraphs,
    call_back,
    memory_slots,
    middle,
    some_lore,
    tell,
    the_air,
)
from flower.engine.offline.questions import Here, here, put_away
from flower.engine.offline.recall import Recollection
from flower.engine.offline.restate import restate
from flower.engine.offline.tables import asked

_ALL_SO_FAR = re.compile(
    r"\b(so far|what (?:has|have|did) (?:happened|i done|we done|i do|we do|been)|up to now|until now)\b",
    re.IGNORECASE,
)


def answer_dice(stage: Stage) -> Paragraphs:
    """Returns the player's roll and what it leads to."""
    count, sides, bonus = stage.reading.dice
    shown, share = oracle.roll(stage.pick.chance, count, sides, bonus)
    table = asked.DICE_HIGH if share >= 0.66 else asked.DICE_MIDDLE if share >= 0.34 else asked.DICE_LOW
    return [[shown, stage.pick.say(table)], [the_air(stage), *middle(stage, callback=False)]]


def answer_aside(stage: Stage) -> Paragraphs:
    """Returns help for a player who speaks to the narrator rather than in the story."""
    return [[stage.pick.say(asked.ASIDE_HELP)], [the_air(stage), some_lore(stage)]]


def _recap(stage: Stage) -> Paragraphs:
    """What the player did so far, in their own words turned round."""
    told = stage.deeds()
    if not told:
        return [[stage.pick.say(asked.MEMORY_NONE)], [some_lore(stage), aside(stage)]]
    joined = [
        f"{stage.pick.say(asked.RECAP_JOIN)} {lower_first(deed)}" if index else deed
        for index, deed in enumerate(told)
    ]
    return [[stage.pick.say(asked.RECAP), *joined], [stage.pick.say(asked.MEMORY_AFTER), aside(stage)]]


def answer_recall(stage: Stage) -> Paragraphs:
    """Returns what the player asks about their own past."""
    if _ALL_SO_FAR.search(stage.reading.text):
        return _recap(stage)
    memory = stage.memory()
    if memory is None:
        if stage.near(least=12) is not None:
            return answer_know(stage)
        return [[stage.pick.say(asked.MEMORY_NONE)], [some_lore(stage), aside(stage)]]
    return _remembered(stage, memory)


def _remembered(stage: Stage, memory: Recollection) -> Paragraphs:
    table = (
        asked.MEMORY_VAGUE if memory.score == 0 else asked.MEMORY if memory.own else asked.MEMORY_TOLD
    )
    first = [
        stage.pick.say(table, memory_slots(memory.retold, memory.text)),
        stage.pick.say(asked.MEMORY_AFTER),
    ]
    return [first, [tell(stage, stage.near(least=20)), the_air(stage), aside(stage)]]


def _here(stage: Stage, about: Here) -> Paragraphs:
    """Returns the answer to a question that a look around answers."""
    slots = stage.slots()
    if about == "hour":
        return [
            [stage.pick.say(stage.palette.shifts), the_air(stage)],
            [some_lore(stage), aside(stage)],
        ]
    if about == "people":
        company = stage.companion.name if stage.companion else ""
        seen = stage.pick.say(asked.HERE_WHO, slots | {"companion": company})
        return [[seen, the_air(stage)], [some_lore(stage), aside(stage)]]
    scene = sentences(stage.cue.scene)
    where = {"world": stage.cue.world, "scene": scene[0] if scene else ""}
    return [
        [stage.pick.say(asked.HERE_WHERE, slots | where), the_air(stage)],
        [some_lore(stage), aside(stage)],
    ]


def answer_know(stage: Stage) -> Paragraphs:
    """Returns what is known about what is asked: of the place, the player's own words, the lore."""
    if about := here(stage.reading.text):
        return _here(stage, about)
    said = stage.memory()
    if said is not None and said.own and said.whole:
        mine = put_away(stage.reading.text, said.text)
        if mine or not stage.in_lore(stage.reading.words):
            return _remembered(stage, said)
    fact = stage.near(secret=stage.pick.percent(30), least=ASKED_SCORE)
    memory = call_back(stage)
    if fact is None and not memory:
        return [
            [stage.pick.say(asked.KNOW_NONE), stage.pick.say(asked.KNOW_WHO, stage.slots())],
            [some_lore(stage), aside(stage)],
        ]
    if fact is None:
        return [[memory], [some_lore(stage), aside(stage)]]
    if stage.companion is not None and not fact.secret and stage.pick.percent(45):
        first = [answers(stage, stage.companion, fact)]
    else:
        first = [
            stage.pick.say(asked.KNOW_SECRET if fact.secret else asked.KNOW, stage.fact_slots(fact))
        ]
    also = stage.near(least=12)
    second = [stage.pick.say(asked.KNOW_ALSO, stage.fact_slots(also)) or also.text] if also else []
    return [[*first, *second], [memory, the_air(stage), aside(stage)]]


def answer_oracle(stage: Stage) -> Paragraphs:
    """Returns what fate says to a yes-or-no question, with its roll."""
    answer, roll = oracle.answer(stage.pick.chance, stage.reading.likely)
    positive = answer.startswith("yes")
    said = restate(stage.reading.text, positive, stage.lore.names)
    first = stage.pick.say(asked.ORACLE[answer], {"restated": said})
    shown = f"[oracle, {stage.reading.likely}% for yes: {roll}]"
    return [
        [first, shown],
        [
            tell(stage, stage.near(secret=answer == "yes_and")) or some_lore(stage),
            the_air(stage),
            aside(stage),
        ],
    ]
