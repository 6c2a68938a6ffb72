"""Composes one reply: what the act leads to, what the world adds, what the player may answer.

Pure: everything random comes from the ``Chance`` passed in, so the same turn gives the same reply.
A reply is a list of paragraphs; a paragraph is a list of sentences joined and tidied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flower.engine.offline import answering
from flower.engine.offline.context import Stage
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
from flower.engine.offline.tables import acts, asked, risks, weave
from flower.engine.offline.tables.names import BODY_PARTS
from flower.engine.offline.templates import Chance
from flower.engine.provider.base import ChatMessage, Cue

_TRIED = ("move", "take", "use", "look", "rest", "think", "state", "other")  # acts without dice of ours
_THROWING = ("fight", "risk", "search")


def compose(cue: Cue, messages: Sequence[ChatMessage], chance: Chance) -> str:
    """Returns the reply as two to four paragraphs separated by blank lines; never empty."""
    stage = Stage(cue, messages, chance)
    thread = pending(stage)
    if thread is not None and turned_to(stage, thread):
        paragraphs = _taken_up(
            stage, stage.pick.fill(thread.met, stage.slots({"other": _somebody(stage)}))
        )
    else:
        paragraphs = _decided(stage) if cue.outcome else _HANDLERS[_kind(stage)](stage)
    close(stage, paragraphs, thread)
    return _finish(stage, paragraphs)


def _kind(stage: Stage) -> Kind:
    return "speech" if _seeks_somebody(stage) else stage.reading.kind


def _decided(stage: Stage) -> Paragraphs:
    """Returns a reply to a line that the player's dice have decided: it is told as they fell."""
    kind = _kind(stage)
    if kind in _TRIED and stage.reading.act:
        return _risk(stage)
    paragraphs = _HANDLERS[kind](stage)
    if kind not in _THROWING:
        lead = risks.DICE_WORK if stage.cue.outcome == "strong" else risks.DICE_FAIL
        paragraphs.insert(0, [stage.pick.say(lead)])
    return paragraphs


def _finish(stage: Stage, paragraphs: Paragraphs) -> str:
    if stage.reading.foreign:
        paragraphs.insert(0, [stage.pick.say(asked.FOREIGN)])
    text = "\n\n".join(part for part in (tidy(" ".join(parts)) for parts in paragraphs) if part)
    if stage.lore.own and not any(name.short in text for name in stage.lore.own):
        head, _, tail = text.rpartition("\n\n")
        touch = stage.pick.say(weave.TOUCH, stage.slots())
        text = f"{head} {touch}\n\n{tail}" if head else f"{touch} {tail}"
    return text


def _taken_up(stage: Stage, met: str) -> Paragraphs:
    kind = stage.reading.kind
    lead = (
        stage.pick.say(acts.MOVE[:1], stage.slots()) if kind not in ("speech", "know", "oracle") else ""
    )
    return [[lead, met], [tell(stage, stage.near()) or aside(stage)]]


def _seeks_somebody(stage: Stage) -> bool:
    """Going to see a person of the lore is the start of a talk."""
    return (
        stage.reading.kind in ("look", "search", "move")
        and stage.reading.verb in ("see", "find", "meet", "visit", "seek", "approach", "look")
        and any(name.kind == "person" and not name.gone for name in stage.named)
        and not re.search(r"'s\b", stage.reading.text)
        and re.search(
            r"\b(see|find|meet|visit|seek|approach|look for)\b", stage.reading.text.casefold()
        )
        is not None
    )


def _somebody(stage: Stage) -> str:
    name = stage.other("person")
    return name.said if name else "somebody you know"


def _verb_of_its_own(stage: Stage, slots: dict[str, str]) -> str:
    """Returns a phrase for just this verb, or "" when the verb has none."""
    return stage.pick.say(acts.BY_VERB.get(stage.reading.verb, ()), slots)


# --- one handler per kind of line ---------------------------------------------------------------
def _look(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    opening = _verb_of_its_own(stage, slots) or stage.pick.say(acts.LOOK, slots)
    fact = stage.near()
    if stage.reading.verb in ("listen", "hear"):
        heard = fact or stage.spare()
        said = stage.pick.say(weave.OVERHEARD, slots | stage.fact_slots(heard)) if heard else ""
        return [[opening, the_air(stage)], [said, aside(stage)]]
    told = tell(stage, fact)
    return [
        [opening, told or the_air(stage)],
        [stage.pick.say(acts.DETAIL), call_back(stage) if told else some_lore(stage), aside(stage)],
    ]


def _search(stage: Stage) -> Paragraphs:
    throw = stage.throw()
    slots = stage.slots()
    found = {"strong": risks.SEARCH_STRONG, "mixed": risks.SEARCH_MIXED, "miss": risks.SEARCH_MISS}[
        throw.outcome
    ]
    first = [stage.pick.say(risks.SEARCH, slots), stage.pick.say(found, slots), throw.shown]
    if throw.outcome == "miss":
        return [first, middle(stage)]
    clue = stage.near(secret=throw.outcome == "strong", least=16)
    second = [stage.pick.say(acts.CLUE, slots), tell(stage, clue) if clue else some_lore(stage)]
    return [first, second]


def _move(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    place = next((name for name in stage.named if name.kind != "person"), None)
    going = acts.MOVE if stage.reading.act else acts.MOVE_PLAIN
    first = [_verb_of_its_own(stage, slots) or stage.pick.say(going, slots)]
    if place is None:
        return [[*first, the_air(stage)], [stage.pick.say(weave.ENTER, slots), *middle(stage)]]
    told = tell(stage, stage.near())
    first += [stage.pick.say(acts.ARRIVE, slots | {"place": place.said}), told, the_air(stage)]
    return [first, [call_back(stage), aside(stage) or stage.pick.say(acts.DETAIL)]]


def _fight(stage: Stage) -> Paragraphs:
    throw = stage.throw()
    person = next((name for name in stage.named if name.kind == "person"), None)
    foe = person.short if person else _foe(stage)
    slots = stage.slots({"foe": foe, "foe_them": person.them if person else "them"})
    table = {"strong": risks.FIGHT_STRONG, "mixed": risks.FIGHT_MIXED, "miss": risks.FIGHT_MISS}[
        throw.outcome
    ]
    return [
        [stage.pick.say(table, slots), throw.shown],
        [
            stage.pick.say(risks.FIGHT_AFTER),
            tell(stage, stage.near(least=20)) or some_lore(stage),
            aside(stage),
        ],
    ]


def _foe(stage: Stage) -> str:
    """Returns whom a blow is meant for when the lore does not know them."""
    named = re.search(r"\s([A-Z][\w'-]+)", stage.reading.act)
    if named:
        return named.group(1)
    noun = stage.reading.object
    struck = noun.rsplit(" ", 1)[-1]
    return "the other" if not noun or noun.startswith("your ") or struck in BODY_PARTS else noun


def _risk(stage: Stage) -> Paragraphs:
    throw = stage.throw()
    table = {"strong": risks.RISK_STRONG, "mixed": risks.RISK_MIXED, "miss": risks.RISK_MISS}[
        throw.outcome
    ]
    return [[stage.pick.say(table, stage.slots()), throw.shown, the_air(stage)], middle(stage)]


def _use(stage: Stage) -> Paragraphs:
    luck = stage.pick.chance.randrange(6)
    table = acts.USE_TROUBLE if luck == 0 else acts.USE_MORE if luck == 5 else acts.USE_WORKS
    slots = stage.slots()
    own = _verb_of_its_own(stage, slots) if luck < 5 else ""
    first = [
        own or stage.pick.say(table, slots) or stage.pick.say(acts.OTHER_PLAIN, slots),
        tell(stage, stage.near()),
    ]
    second = (
        [stage.pick.say(acts.CLUE, slots)]
        if luck == 5
        else [stage.pick.say(acts.DETAIL)]
        if luck > 2 and not own
        else []
    )
    return [[*first, the_air(stage)], [*second, *middle(stage)]]


def _take(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = stage.pick.say(acts.TAKE, slots) or stage.pick.say(acts.OTHER_PLAIN, slots)
    clue = stage.pick.say(acts.CLUE, slots) if stage.pick.percent(50) else stage.pick.say(acts.DETAIL)
    return [[first, clue, tell(stage, stage.near())], [the_air(stage), *middle(stage)]]


def _trade(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    price = stage.near(price=True, least=8) or stage.spare(price=True)
    first = [stage.pick.say(acts.TRADE, slots), tell(stage, price)]
    if stage.reading.verb in acts.HAGGLING:
        throw = stage.throw()
        table = acts.TRADE_STUCK if throw.outcome == "miss" else acts.TRADE_WORKS
        second = [stage.pick.say(table, slots), throw.shown]
    else:  # a thing with a price on it needs no luck
        second = [stage.pick.say(acts.TRADE_WORKS, slots)]
    return [first, [*second, aside(stage) or the_air(stage)]]


def _rest(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = _verb_of_its_own(stage, slots) or stage.pick.say(acts.REST, slots)
    return [[first, stage.pick.say(stage.palette.shifts) or the_air(stage)], middle(stage)]


def _think(stage: Stage) -> Paragraphs:
    fact = stage.near() or stage.spare()
    memory = call_back(stage)
    return [[stage.pick.say(acts.THINK), memory, tell(stage, fact)], [the_air(stage), aside(stage)]]


def _state(stage: Stage) -> Paragraphs:
    return [[stage.pick.say(acts.STATE, stage.slots()), the_air(stage)], middle(stage)]


def _other(stage: Stage) -> Paragraphs:
    table = acts.OTHER if stage.reading.act else acts.OTHER_PLAIN
    return [
        [stage.pick.say(table, stage.slots()), tell(stage, stage.near()), the_air(stage)],
        middle(stage),
    ]


def _continue(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = [stage.pick.say(acts.CONTINUE, slots), stage.pick.say(stage.palette.shifts), the_air(stage)]
    return [first, [stage.pick.say(weave.ENTER, slots), *middle(stage, callback=False)]]


_HANDLERS: dict[str, Callable[[Stage], Paragraphs]] = {
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
