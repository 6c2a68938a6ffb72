"""Composes one reply: what the act leads to, what the world adds, what the player may answer.

Pure: everything random comes from the ``Chance`` passed in, so the same turn gives the same reply.
A reply is a list of paragraphs; a paragraph is a list of sentences joined and tidied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from flower.engine.provider.base import ChatMessage, Cue
from flower.engine.provider.offline import oracle
from flower.engine.provider.offline.grammar import lower_first, spoken, tidy
from flower.engine.provider.offline.lore import Fact
from flower.engine.provider.offline.picker import Chance
from flower.engine.provider.offline.reading import Kind
from flower.engine.provider.offline.restate import restate
from flower.engine.provider.offline.stage import ASKED_SCORE, Stage
from flower.engine.provider.offline.tables import acts, asked, weave
from flower.engine.provider.offline.tables.names import BODY_PARTS
from flower.engine.provider.offline.talk import answers, aside, talk
from flower.engine.provider.offline.threads import close, pending, turned_to

Paragraphs = list[list[str]]
_TRIED = ("move", "take", "use", "look", "rest", "think", "state", "other")  # acts without dice of ours
_THROWING = ("fight", "risk", "search")
_ALL_SO_FAR = re.compile(
    r"\b(so far|what (?:has|have|did) (?:happened|i done|we done|i do|we do|been)|up to now|until now)\b",
    re.IGNORECASE,
)


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
        lead = acts.DICE_WORK if stage.cue.outcome == "strong" else acts.DICE_FAIL
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
    return [[lead, met], [_told(stage, stage.near()) or aside(stage)]]


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


# --- sentences used by several handlers ---------------------------------------------------------
def _air(stage: Stage) -> str:
    return stage.pick.say(stage.palette.air)


def _told(stage: Stage, fact: Fact | None) -> str:
    """Returns a fact that belongs to the line, told by the narrator."""
    return stage.pick.say(weave.FACT_NEAR, stage.fact_slots(fact)) if fact else ""


def _lore(stage: Stage) -> str:
    """Returns a fact that belongs to the line, else one from around, else a detail or ""."""
    near = stage.near(least=20)
    if near:
        return _told(stage, near)
    fact = stage.spare()
    if fact is None:
        return stage.pick.say(acts.DETAIL) if stage.pick.percent(50) else ""
    return stage.pick.say(weave.FACT, stage.slots(stage.fact_slots(fact)))


def _callback(stage: Stage) -> str:
    """Returns a memory that the line touches, or ""."""
    memory = stage.memory()
    if memory is None or memory.score < 20 or stage.pick.heard(memory.text[:40]) or not memory.own:
        return ""
    stage.pick.note(memory.text[:40])
    return stage.pick.say(asked.MEMORY_LINK, _memory_slots(memory.retold, memory.text))


def _memory_slots(retold: str, text: str) -> dict[str, str]:
    return {
        "memory": retold,
        "memory_lc": lower_first(retold),
        "memory_quoted": spoken(text, tagged=False),
    }


def _world(stage: Stage, *, callback: bool = True) -> list[str]:
    """Returns the middle of a reply: a memory or lore, and the companion's word about it."""
    back = _callback(stage) if callback else ""
    lore = _lore(stage) if not back or stage.pick.percent(50) else ""
    return [back, lore, aside(stage)]


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
        return [[opening, _air(stage)], [said, aside(stage)]]
    told = _told(stage, fact)
    return [
        [opening, told or _air(stage)],
        [stage.pick.say(acts.DETAIL), _callback(stage) if told else _lore(stage), aside(stage)],
    ]


def _search(stage: Stage) -> Paragraphs:
    throw = stage.throw()
    slots = stage.slots()
    found = {"strong": acts.SEARCH_STRONG, "mixed": acts.SEARCH_MIXED, "miss": acts.SEARCH_MISS}[
        throw.outcome
    ]
    first = [stage.pick.say(acts.SEARCH, slots), stage.pick.say(found, slots), throw.shown]
    if throw.outcome == "miss":
        return [first, _world(stage)]
    clue = stage.near(secret=throw.outcome == "strong", least=16)
    second = [stage.pick.say(acts.CLUE, slots), _told(stage, clue) if clue else _lore(stage)]
    return [first, second]


def _move(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    place = next((name for name in stage.named if name.kind != "person"), None)
    going = acts.MOVE if stage.reading.act else acts.MOVE_PLAIN
    first = [_verb_of_its_own(stage, slots) or stage.pick.say(going, slots)]
    if place is None:
        return [[*first, _air(stage)], [stage.pick.say(weave.ENTER, slots), *_world(stage)]]
    told = _told(stage, stage.near())
    first += [stage.pick.say(acts.ARRIVE, slots | {"place": place.said}), told, _air(stage)]
    return [first, [_callback(stage), aside(stage) or stage.pick.say(acts.DETAIL)]]


def _fight(stage: Stage) -> Paragraphs:
    throw = stage.throw()
    person = next((name for name in stage.named if name.kind == "person"), None)
    foe = person.short if person else _foe(stage)
    slots = stage.slots({"foe": foe, "foe_them": person.them if person else "them"})
    table = {"strong": acts.FIGHT_STRONG, "mixed": acts.FIGHT_MIXED, "miss": acts.FIGHT_MISS}[
        throw.outcome
    ]
    return [
        [stage.pick.say(table, slots), throw.shown],
        [
            stage.pick.say(acts.FIGHT_AFTER),
            _told(stage, stage.near(least=20)) or _lore(stage),
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
    table = {"strong": acts.RISK_STRONG, "mixed": acts.RISK_MIXED, "miss": acts.RISK_MISS}[
        throw.outcome
    ]
    return [[stage.pick.say(table, stage.slots()), throw.shown, _air(stage)], _world(stage)]


def _use(stage: Stage) -> Paragraphs:
    luck = stage.pick.chance.randrange(6)
    table = acts.USE_TROUBLE if luck == 0 else acts.USE_MORE if luck == 5 else acts.USE_WORKS
    slots = stage.slots()
    own = _verb_of_its_own(stage, slots) if luck < 5 else ""
    first = [
        own or stage.pick.say(table, slots) or stage.pick.say(acts.OTHER_PLAIN, slots),
        _told(stage, stage.near()),
    ]
    second = (
        [stage.pick.say(acts.CLUE, slots)]
        if luck == 5
        else [stage.pick.say(acts.DETAIL)]
        if luck > 2 and not own
        else []
    )
    return [[*first, _air(stage)], [*second, *_world(stage)]]


def _take(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = stage.pick.say(acts.TAKE, slots) or stage.pick.say(acts.OTHER_PLAIN, slots)
    clue = stage.pick.say(acts.CLUE, slots) if stage.pick.percent(50) else stage.pick.say(acts.DETAIL)
    return [[first, clue, _told(stage, stage.near())], [_air(stage), *_world(stage)]]


def _trade(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    price = stage.near(price=True, least=8) or stage.spare(price=True)
    first = [stage.pick.say(acts.TRADE, slots), _told(stage, price)]
    if stage.reading.verb in acts.HAGGLING:
        throw = stage.throw()
        table = acts.TRADE_STUCK if throw.outcome == "miss" else acts.TRADE_WORKS
        second = [stage.pick.say(table, slots), throw.shown]
    else:  # a thing with a price on it needs no luck
        second = [stage.pick.say(acts.TRADE_WORKS, slots)]
    return [first, [*second, aside(stage) or _air(stage)]]


def _rest(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = _verb_of_its_own(stage, slots) or stage.pick.say(acts.REST, slots)
    return [[first, stage.pick.say(stage.palette.shifts) or _air(stage)], _world(stage)]


def _think(stage: Stage) -> Paragraphs:
    fact = stage.near() or stage.spare()
    memory = _callback(stage)
    return [[stage.pick.say(acts.THINK), memory, _told(stage, fact)], [_air(stage), aside(stage)]]


def _state(stage: Stage) -> Paragraphs:
    return [[stage.pick.say(acts.STATE, stage.slots()), _air(stage)], _world(stage)]


def _other(stage: Stage) -> Paragraphs:
    table = acts.OTHER if stage.reading.act else acts.OTHER_PLAIN
    return [
        [stage.pick.say(table, stage.slots()), _told(stage, stage.near()), _air(stage)],
        _world(stage),
    ]


def _continue(stage: Stage) -> Paragraphs:
    slots = stage.slots()
    first = [stage.pick.say(acts.CONTINUE, slots), stage.pick.say(stage.palette.shifts), _air(stage)]
    return [first, [stage.pick.say(weave.ENTER, slots), *_world(stage, callback=False)]]


def _dice(stage: Stage) -> Paragraphs:
    count, sides, bonus = stage.reading.dice
    shown, share = oracle.roll(stage.pick.chance, count, sides, bonus)
    table = asked.DICE_HIGH if share >= 0.66 else asked.DICE_MIDDLE if share >= 0.34 else asked.DICE_LOW
    return [[shown, stage.pick.say(table)], [_air(stage), *_world(stage, callback=False)]]


def _aside(stage: Stage) -> Paragraphs:
    return [[stage.pick.say(asked.ASIDE_HELP)], [_air(stage), _lore(stage)]]


def _recap(stage: Stage) -> Paragraphs:
    """What the player did so far, in their own words turned round."""
    told = stage.deeds()
    if not told:
        return [[stage.pick.say(asked.MEMORY_NONE)], [_lore(stage), aside(stage)]]
    joined = [
        f"{stage.pick.say(asked.RECAP_JOIN)} {lower_first(deed)}" if index else deed
        for index, deed in enumerate(told)
    ]
    return [[stage.pick.say(asked.RECAP), *joined], [stage.pick.say(asked.MEMORY_AFTER), aside(stage)]]


def _recall(stage: Stage) -> Paragraphs:
    if _ALL_SO_FAR.search(stage.reading.text):
        return _recap(stage)
    memory = stage.memory()
    if memory is None:
        if stage.near(least=12) is not None:
            return _know(stage)
        return [[stage.pick.say(asked.MEMORY_NONE)], [_lore(stage), aside(stage)]]
    table = (
        asked.MEMORY_VAGUE if memory.score == 0 else asked.MEMORY if memory.own else asked.MEMORY_TOLD
    )
    first = [
        stage.pick.say(table, _memory_slots(memory.retold, memory.text)),
        stage.pick.say(asked.MEMORY_AFTER),
    ]
    return [first, [_told(stage, stage.near(least=20)), _air(stage), aside(stage)]]


def _know(stage: Stage) -> Paragraphs:
    fact = stage.near(secret=stage.pick.percent(30), least=ASKED_SCORE)
    memory = _callback(stage)
    if fact is None and not memory:
        return [
            [stage.pick.say(asked.KNOW_NONE), stage.pick.say(asked.KNOW_WHO, stage.slots())],
            [_lore(stage), aside(stage)],
        ]
    if fact is None:
        return [[memory], [_lore(stage), aside(stage)]]
    if stage.companion is not None and not fact.secret and stage.pick.percent(45):
        first = [answers(stage, stage.companion, fact)]
    else:
        first = [
            stage.pick.say(asked.KNOW_SECRET if fact.secret else asked.KNOW, stage.fact_slots(fact))
        ]
    also = stage.near(least=12)
    second = [stage.pick.say(asked.KNOW_ALSO, stage.fact_slots(also)) or also.text] if also else []
    return [[*first, *second], [memory, _air(stage), aside(stage)]]


def _oracle(stage: Stage) -> Paragraphs:
    answer, roll = oracle.answer(stage.pick.chance, stage.reading.likely)
    positive = answer.startswith("yes")
    said = restate(stage.reading.text, positive, stage.lore.names)
    first = stage.pick.say(asked.ORACLE[answer], {"restated": said})
    shown = f"[oracle, {stage.reading.likely}% for yes: {roll}]"
    return [
        [first, shown],
        [
            _told(stage, stage.near(secret=answer == "yes_and")) or _lore(stage),
            _air(stage),
            aside(stage),
        ],
    ]


_HANDLERS: dict[str, Callable[[Stage], Paragraphs]] = {
    "aside": _aside,
    "continue": _continue,
    "dice": _dice,
    "fight": _fight,
    "know": _know,
    "look": _look,
    "move": _move,
    "oracle": _oracle,
    "other": _other,
    "recall": _recall,
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
