"""Sentences that replies of every kind are made with: the air, lore, a memory, the companion. Pure."""

from __future__ import annotations

from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import aside
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import lower_first, spoken

Paragraphs = list[list[str]]


def the_air(context: Context) -> str:
    """Returns a sentence of the weather, the light or the sounds of the place."""
    return context.say("air")


def tell(context: Context, fact: Fact | None) -> str:
    """Returns a fact that belongs to the line, told by the narrator."""
    return context.say("lore_near", context.fact_slots(fact)) if fact else ""


def some_lore(context: Context) -> str:
    """Returns a fact that belongs to the line, else one from around, else a detail or ""."""
    near = context.near(least=20)
    if near:
        return tell(context, near)
    fact = context.spare()
    if fact is None:
        return context.say("detail") if context.pick.percent(50) else ""
    return context.say("lore", context.slots(context.fact_slots(fact)))


def call_back(context: Context) -> str:
    """Returns a memory that the line touches, or ""."""
    memory = context.memory()
    if memory is None or memory.score < 20 or context.pick.heard(memory.text[:40]) or not memory.own:
        return ""
    context.pick.note(memory.text[:40])
    return context.say("memory_comes_back", memory_slots(memory.retold, memory.text))


def memory_slots(retold: str, text: str) -> dict[str, str]:
    """Returns the slots a memory fills: retold to the player, and in their own words."""
    return {
        "memory": retold,
        "memory_lc": lower_first(retold),
        "memory_quoted": spoken(text, tagged=False),
    }


def middle(context: Context, *, callback: bool = True) -> list[str]:
    """Returns the middle of a reply: a memory or lore, and the companion's word about it."""
    back = call_back(context) if callback else ""
    lore = some_lore(context) if not back or context.pick.percent(50) else ""
    return [back, lore, aside(context)]
