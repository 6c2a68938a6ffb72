"""Sentences that replies of every kind are woven with: the air, lore, a memory, the companion. Pure."""

from __future__ import annotations

from flower.engine.offline.context import Stage
from flower.engine.offline.dialogue import aside
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import lower_first, spoken
from flower.engine.offline.tables import acts, asked, weave

Paragraphs = list[list[str]]


def the_air(stage: Stage) -> str:
    """Returns a sentence of the weather, the light or the sounds of the place."""
    return stage.pick.say(stage.palette.air)


def tell(stage: Stage, fact: Fact | None) -> str:
    """Returns a fact that belongs to the line, told by the narrator."""
    return stage.pick.say(weave.FACT_NEAR, stage.fact_slots(fact)) if fact else ""


def some_lore(stage: Stage) -> str:
    """Returns a fact that belongs to the line, else one from around, else a detail or ""."""
    near = stage.near(least=20)
    if near:
        return tell(stage, near)
    fact = stage.spare()
    if fact is None:
        return stage.pick.say(acts.DETAIL) if stage.pick.percent(50) else ""
    return stage.pick.say(weave.FACT, stage.slots(stage.fact_slots(fact)))


def call_back(stage: Stage) -> str:
    """Returns a memory that the line touches, or ""."""
    memory = stage.memory()
    if memory is None or memory.score < 20 or stage.pick.heard(memory.text[:40]) or not memory.own:
        return ""
    stage.pick.note(memory.text[:40])
    return stage.pick.say(asked.MEMORY_LINK, memory_slots(memory.retold, memory.text))


def memory_slots(retold: str, text: str) -> dict[str, str]:
    """Returns the slots a memory fills: retold to the player, and in their own words."""
    return {
        "memory": retold,
        "memory_lc": lower_first(retold),
        "memory_quoted": spoken(text, tagged=False),
    }


def middle(stage: Stage, *, callback: bool = True) -> list[str]:
    """Returns the middle of a reply: a memory or lore, and the companion's word about it."""
    back = call_back(stage) if callback else ""
    lore = some_lore(stage) if not back or stage.pick.percent(50) else ""
    return [back, lore, aside(stage)]
