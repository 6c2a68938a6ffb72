"""Replies to lines that ask: of the past, of the world, of fate, of dice, of the game. Pure."""

from __future__ import annotations

import re

from flower.engine.offline import oracle
from flower.engine.offline.context import ASKED_SCORE, Context
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

_ALL_SO_FAR = re.compile(
    r"\b(so far|what (?:has|have|did) (?:happened|i done|we done|i do|we do|been)|up to now|until now)\b",
    re.IGNORECASE,
)


def answer_dice(context: Context) -> Paragraphs:
    """Returns the player's roll and what it leads to."""
    count, sides, bonus = context.reading.dice
    shown, share = oracle.roll(context.pick.chance, count, sides, bonus)
    table = "dice_high" if share >= 0.66 else "dice_middle" if share >= 0.34 else "dice_low"
    return [[shown, context.say(table)], [the_air(context), *middle(context, callback=False)]]


def answer_aside(context: Context) -> Paragraphs:
    """Returns help for a player who speaks to the narrator rather than in the story."""
    return [[context.say("help")], [the_air(context), some_lore(context)]]


def _recap(context: Context) -> Paragraphs:
    """What the player did so far, in their own words turned round."""
    told = context.deeds()
    if not told:
        return [[context.say("memory_none")], [some_lore(context), aside(context)]]
    joined = [
        f"{context.say('recap_join')} {lower_first(deed)}" if index else deed
        for index, deed in enumerate(told)
    ]
    return [[context.say("recap"), *joined], [context.say("memory_after"), aside(context)]]


def answer_recall(context: Context) -> Paragraphs:
    """Returns what the player asks about their own past."""
    if _ALL_SO_FAR.search(context.reading.text):
        return _recap(context)
    memory = context.memory()
    if memory is None:
        if context.near(least=12) is not None:
            return answer_know(context)
        return [[context.say("memory_none")], [some_lore(context), aside(context)]]
    return _remembered(context, memory)


def _remembered(context: Context, memory: Recollection) -> Paragraphs:
    table = "memory_vague" if memory.score == 0 else "memory" if memory.own else "memory_told"
    first = [
        context.say(table, memory_slots(memory.retold, memory.text)),
        context.say("memory_after"),
    ]
    return [first, [tell(context, context.near(least=20)), the_air(context), aside(context)]]


def _here(context: Context, about: Here) -> Paragraphs:
    """Returns the answer to a question that a look around answers."""
    slots = context.slots()
    if about == "hour":
        return [
            [context.say("hour"), the_air(context)],
            [some_lore(context), aside(context)],
        ]
    if about == "people":
        company = context.companion.name if context.companion else ""
        seen = context.say("here_who", slots | {"companion": company})
        return [[seen, the_air(context)], [some_lore(context), aside(context)]]
    scene = sentences(context.cue.scene)
    where = {"world": context.cue.world, "scene": scene[0] if scene else ""}
    return [
        [context.say("here_where", slots | where), the_air(context)],
        [some_lore(context), aside(context)],
    ]


def answer_know(context: Context) -> Paragraphs:
    """Returns what is known about what is asked: of the place, the player's own words, the lore."""
    if about := here(context.reading.text):
        return _here(context, about)
    said = context.memory()
    if said is not None and said.own and said.whole:
        mine = put_away(context.reading.text, said.text)
        if mine or not context.in_lore(context.reading.words):
            return _remembered(context, said)
    fact = context.near(secret=context.pick.percent(30), least=ASKED_SCORE)
    memory = call_back(context)
    if fact is None and not memory:
        return [
            [context.say("known_nothing"), context.say("known_by_others", context.slots())],
            [some_lore(context), aside(context)],
        ]
    if fact is None:
        return [[memory], [some_lore(context), aside(context)]]
    if context.companion is not None and not fact.secret and context.pick.percent(45):
        first = [answers(context, context.companion, fact)]
    else:
        first = [context.say("known_secret" if fact.secret else "known", context.fact_slots(fact))]
    also = context.near(least=12)
    second = [context.say("known_also", context.fact_slots(also)) or also.text] if also else []
    return [[*first, *second], [memory, the_air(context), aside(context)]]


def answer_oracle(context: Context) -> Paragraphs:
    """Returns what fate says to a yes-or-no question, with its roll."""
    answer, roll = oracle.answer(context.pick.chance, context.reading.likely)
    positive = answer.startswith("yes")
    said = restate(context.reading.text, positive, context.lore.names)
    first = context.say(f"oracle.{answer}", {"restated": said})
    shown = f"[oracle, {context.reading.likely}% for yes: {roll}]"
    return [
        [first, shown],
        [
            tell(context, context.near(secret=answer == "yes_and")) or some_lore(context),
            the_air(context),
            aside(context),
        ],
    ]
