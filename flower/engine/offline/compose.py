"""Composes one reply: what the act leads to, what the world adds, what the player may answer.

Pure: everything random comes from the ``Chance`` passed in, so the same turn gives the same reply.
A reply is a list of paragraphs; a paragraph is a list of sentences joined and tidied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flower.engine.offline import answering
from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import aside, talk
from flower.engine.offline.events import close, pending, turned_to
from flower.engine.offline.grammar import tidy
from flower.engine.offline.narration import (
    Paragraphs,
    call_back,
    middle,
    some_lore,
    tell,
    the_air,
)
from flower.engine.offline.parse import Kind
from flower.engine.offline.tables import Phrases, word_list
from flower.engine.offline.templates import Chance
from flower.engine.provider.base import ChatMessage, Cue

_TRIED = ("move", "take", "use", "look", "rest", "think", "state", "other")  # acts without dice of ours
_THROWING = ("fight", "risk", "search")


def compose(cue: Cue, messages: Sequence[ChatMessage], chance: Chance, phrases: Phrases) -> str:
    """Returns the reply as two to four paragraphs separated by blank lines; never empty."""
    context = Context(cue, messages, chance, phrases)
    event = pending(context)
    if event is not None and turned_to(context, event):
        paragraphs = _taken_up(
            context, context.pick.fill(event.met, context.slots({"other": _somebody(context)}))
        )
    else:
        paragraphs = _decided(context) if cue.outcome else _HANDLERS[_kind(context)](context)
    close(context, paragraphs, event)
    return _finish(context, paragraphs)


def _kind(context: Context) -> Kind:
    return "speech" if _seeks_somebody(context) else context.reading.kind


def _decided(context: Context) -> Paragraphs:
    """Returns a reply to a line that the player's dice have decided: it is told as they fell."""
    kind = _kind(context)
    if kind in _TRIED and context.reading.act:
        return _risk(context)
    paragraphs = _HANDLERS[kind](context)
    if kind not in _THROWING:
        lead = "dice_worked" if context.cue.outcome == "strong" else "dice_failed"
        paragraphs.insert(0, [context.say(lead)])
    return paragraphs


def _finish(context: Context, paragraphs: Paragraphs) -> str:
    if context.reading.foreign:
        paragraphs.insert(0, [context.say("foreign")])
    text = "\n\n".join(part for part in (tidy(" ".join(parts)) for parts in paragraphs) if part)
    if context.lore.own and not any(name.short in text for name in context.lore.own):
        head, _, tail = text.rpartition("\n\n")
        touch = context.say("lore_name", context.slots())
        text = f"{head} {touch}\n\n{tail}" if head else f"{touch} {tail}"
    return text


def _taken_up(context: Context, met: str) -> Paragraphs:
    kind = context.reading.kind
    lead = (
        context.say("move_simple", context.slots()) if kind not in ("speech", "know", "oracle") else ""
    )
    return [[lead, met], [tell(context, context.near()) or aside(context)]]


def _seeks_somebody(context: Context) -> bool:
    """Going to see a person of the lore is the start of a talk."""
    return (
        context.reading.kind in ("look", "search", "move")
        and context.reading.verb in ("see", "find", "meet", "visit", "seek", "approach", "look")
        and any(name.kind == "person" and not name.gone for name in context.named)
        and not re.search(r"'s\b", context.reading.text)
        and re.search(
            r"\b(see|find|meet|visit|seek|approach|look for)\b", context.reading.text.casefold()
        )
        is not None
    )


def _somebody(context: Context) -> str:
    name = context.other("person")
    return name.said if name else "somebody you know"


def _verb_of_its_own(context: Context, slots: dict[str, str]) -> str:
    """Returns a phrase for just this verb, or "" when the verb has none."""
    return context.say(f"verb.{context.reading.verb}", slots)


# --- one handler per kind of line ---------------------------------------------------------------
def _look(context: Context) -> Paragraphs:
    slots = context.slots()
    opening = _verb_of_its_own(context, slots) or context.say("look", slots)
    fact = context.near()
    if context.reading.verb in ("listen", "hear"):
        heard = fact or context.spare()
        said = context.say("overheard", slots | context.fact_slots(heard)) if heard else ""
        return [[opening, the_air(context)], [said, aside(context)]]
    told = tell(context, fact)
    return [
        [opening, told or the_air(context)],
        [context.say("detail"), call_back(context) if told else some_lore(context), aside(context)],
    ]


def _search(context: Context) -> Paragraphs:
    throw = context.throw()
    slots = context.slots()
    found = {"strong": "search_strong", "mixed": "search_mixed", "miss": "search_miss"}[throw.outcome]
    first = [context.say("search", slots), context.say(found, slots), throw.shown]
    if throw.outcome == "miss":
        return [first, middle(context)]
    clue = context.near(secret=throw.outcome == "strong", least=16)
    second = [context.say("clue", slots), tell(context, clue) if clue else some_lore(context)]
    return [first, second]


def _move(context: Context) -> Paragraphs:
    slots = context.slots()
    place = next((name for name in context.named if name.kind != "person"), None)
    going = "move" if context.reading.act else "move_bare"
    first = [_verb_of_its_own(context, slots) or context.say(going, slots)]
    if place is None:
        return [[*first, the_air(context)], [context.say("arrival", slots), *middle(context)]]
    told = tell(context, context.near())
    first += [context.say("arrive", slots | {"place": place.said}), told, the_air(context)]
    return [first, [call_back(context), aside(context) or context.say("detail")]]


def _fight(context: Context) -> Paragraphs:
    throw = context.throw()
    person = next((name for name in context.named if name.kind == "person"), None)
    foe = person.short if person else _foe(context)
    slots = context.slots({"foe": foe, "foe_them": person.them if person else "them"})
    table = {"strong": "fight_strong", "mixed": "fight_mixed", "miss": "fight_miss"}[throw.outcome]
    return [
        [context.say(table, slots), throw.shown],
        [
            context.say("fight_after"),
            tell(context, context.near(least=20)) or some_lore(context),
            aside(context),
        ],
    ]


def _foe(context: Context) -> str:
    """Returns whom a blow is meant for when the lore does not know them."""
    named = re.search(r"\s([A-Z][\w'-]+)", context.reading.act)
    if named:
        return named.group(1)
    noun = context.reading.object
    struck = noun.rsplit(" ", 1)[-1]
    return (
        "the other"
        if not noun or noun.startswith("your ") or struck in word_list("body_parts")
        else noun
    )


def _risk(context: Context) -> Paragraphs:
    throw = context.throw()
    table = {"strong": "risk_strong", "mixed": "risk_mixed", "miss": "risk_miss"}[throw.outcome]
    return [[context.say(table, context.slots()), throw.shown, the_air(context)], middle(context)]


def _use(context: Context) -> Paragraphs:
    luck = context.pick.chance.randrange(6)
    table = "use_trouble" if luck == 0 else "use_finds" if luck == 5 else "use"
    slots = context.slots()
    own = _verb_of_its_own(context, slots) if luck < 5 else ""
    first = [
        own or context.say(table, slots) or context.say("any_act_bare", slots),
        tell(context, context.near()),
    ]
    second = (
        [context.say("clue", slots)]
        if luck == 5
        else [context.say("detail")]
        if luck > 2 and not own
        else []
    )
    return [[*first, the_air(context)], [*second, *middle(context)]]


def _take(context: Context) -> Paragraphs:
    slots = context.slots()
    first = context.say("take", slots) or context.say("any_act_bare", slots)
    clue = context.say("clue", slots) if context.pick.percent(50) else context.say("detail")
    return [[first, clue, tell(context, context.near())], [the_air(context), *middle(context)]]


def _trade(context: Context) -> Paragraphs:
    slots = context.slots()
    price = context.near(price=True, least=8) or context.spare(price=True)
    first = [context.say("trade", slots), tell(context, price)]
    if context.reading.verb in word_list("haggling"):
        throw = context.throw()
        table = "trade_stuck" if throw.outcome == "miss" else "trade_works"
        second = [context.say(table, slots), throw.shown]
    else:  # a thing with a price on it needs no luck
        second = [context.say("trade_works", slots)]
    return [first, [*second, aside(context) or the_air(context)]]


def _rest(context: Context) -> Paragraphs:
    slots = context.slots()
    first = _verb_of_its_own(context, slots) or context.say("rest", slots)
    return [[first, context.say("hour") or the_air(context)], middle(context)]


def _think(context: Context) -> Paragraphs:
    fact = context.near() or context.spare()
    memory = call_back(context)
    return [[context.say("think"), memory, tell(context, fact)], [the_air(context), aside(context)]]


def _state(context: Context) -> Paragraphs:
    return [[context.say("condition", context.slots()), the_air(context)], middle(context)]


def _other(context: Context) -> Paragraphs:
    table = "any_act" if context.reading.act else "any_act_bare"
    return [
        [context.say(table, context.slots()), tell(context, context.near()), the_air(context)],
        middle(context),
    ]


def _continue(context: Context) -> Paragraphs:
    slots = context.slots()
    first = [context.say("continue", slots), context.say("hour"), the_air(context)]
    return [first, [context.say("arrival", slots), *middle(context, callback=False)]]


_HANDLERS: dict[str, Callable[[Context], Paragraphs]] = {
    "aside": answering.answer_aside,
    "continue": _continue,
    "dice": answering.answer_dice,
    "fight": _fight,
    "know": answering.answer_know,
    "look": _look,
    "move": _move,
    "oracle": answering.answer_oracle,
    "other": _other,
    "recall": answering.answer_recall,
    "rest": _rest,
    "risk": _risk,
    "search": _search,
    "speech": talk,
    "state": _state,
    "take": _take,
    "think": _think,
    "trade": _trade,
    "use": _use,
}
