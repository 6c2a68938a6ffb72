"""One moment of a story, as a scan gets it: what was said, the wishes of its player, the effects that last. Pure.

Effects (an entry that stays, rests, or has fired for good) are values. Whoever scans keeps what ``after`` returns with
the place in the story, so that a retry or another branch goes on from its own past. Times are counted in visible
messages of that branch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field, structs

from flower.engine.lorebook.book import TextSource
from flower.engine.lorebook.rules import EntryId, ReadyEntry

__all__ = [
    "NOTHING", "Effect", "Running", "ScanSettings", "Situation", "SpokenLine", "Timed", "after", "begin", "budget",
    "seeded",
]  # fmt: skip


class Effect(Struct, frozen=True):
    """One effect. It is void for an entry that was changed since: ``fingerprint`` differs then."""

    entry: EntryId
    fingerprint: str
    start: int  # messages there were
    end: int  # messages at which it is over
    protected: bool = False  # holds where the story was cut back too


class Timed(Struct, frozen=True):
    """All effects at one place in a story."""

    sticky: tuple[Effect, ...] = ()
    cooldown: tuple[Effect, ...] = ()
    always: tuple[EntryId, ...] = field(name="kept", default=())  # fire from now on
    done: tuple[EntryId, ...] = ()  # never fire again


NOTHING = Timed()


class SpokenLine(Struct, frozen=True):
    """One visible message."""

    speaker: str
    text: str


class ScanSettings(Struct, frozen=True):
    """How to scan. The defaults are those of a new installation of the program books are written for."""

    depth: int = 2  # newest messages
    budget: int = 2_048  # tokens
    include_names: bool = True  # messages are read as "Name: text"
    recursive: bool = True
    recursion_steps: int = 0  # passes at most; 0 = as many as there are
    group_scoring: bool = False
    min_activations: int = 0  # read further back until so many have fired; not with recursion_steps
    min_activations_depth: int = 0  # but not further than this; 0 = to the beginning


class Situation(Struct, frozen=True, kw_only=True):
    """One moment of a story. ``messages`` are the visible ones of its branch, oldest first; of a long
    branch the newest will do if ``count`` says how many there are."""

    messages: tuple[SpokenLine, ...] = ()
    count: int | None = None
    replies: int = 0  # messages of the character among them
    characters: frozenset[str] = frozenset()  # names that filters may mean
    tags: frozenset[str] = frozenset()
    trigger: str = "normal"
    sources: Mapping[TextSource, str] = {}
    injected: tuple[str, ...] = ()  # other parts of the prompt that are searched too
    greeting: int | None = None  # which the story began with
    persona_icon: str = ""
    requested: frozenset[EntryId] = frozenset()  # entries that fire without a key
    timed: Timed = NOTHING
    variables: Mapping[str, str] = {}
    dry: bool = False  # a trial: lasting effects are neither used nor set


def budget(percent: float, context: int, cap: int = 0) -> int:
    """Returns the tokens that a share of the context is: at least 1, at most ``cap`` unless that is 0."""
    tokens = int(percent * context / 100 + 0.5) or 1
    return min(tokens, cap) if cap > 0 else tokens


def seeded(seed: str) -> Callable[[str], float]:
    """Returns chance from 0 to below 1 that follows from the seed and from what it is drawn for.

    A change in one entry leaves the dice of the others as they were.
    """

    def draw(purpose: str) -> float:
        whole = f"{seed}\0{purpose}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(whole, digest_size=7).digest(), "big") / 2**56

    return draw


# --- Effects that last, from one moment to the next


class Running(Struct):
    """The effects that hold during one scan, and the table that is left of those before."""

    sticky: dict[EntryId, Effect]
    cooldown: dict[EntryId, Effect]
    held_sticky: set[EntryId]  # effects of entries that are as they were
    held_cooldown: set[EntryId]


def begin(timed: Timed, rules: Mapping[EntryId, ReadyEntry], count: int) -> Running:
    """Returns what holds at ``count`` messages: what is over is gone, an ended stay begins its rest."""
    running = Running({}, {e.entry: e for e in timed.cooldown}, set(), set())
    for effect in timed.sticky:
        rule = _rule(effect, rules)
        if _dropped(effect, rule, count, rule.entry.sticky if rule else 0):
            if rule is not None and rule.entry.cooldown and _ended(effect, rule.entry.sticky, count):
                running.cooldown[effect.entry] = _effect(rule, rule.entry.cooldown, count, True)
        else:
            running.sticky[effect.entry] = effect
            if rule is not None:
                running.held_sticky.add(effect.entry)
    for effect in tuple(running.cooldown.values()):
        rule = _rule(effect, rules)
        if _dropped(effect, rule, count, rule.entry.cooldown if rule else 0):
            del running.cooldown[effect.entry]
        elif rule is not None:
            running.held_cooldown.add(effect.entry)
    return running


def after(timed: Timed, running: Running, fired: Iterable[ReadyEntry], count: int) -> Timed:
    """Returns the effects to keep with the place in the story at which ``fired`` did fire."""
    always, done = dict.fromkeys(timed.always), dict.fromkeys(timed.done)
    for rule in fired:
        if rule.entry.sticky > 0:
            running.sticky.setdefault(rule.id, _effect(rule, rule.entry.sticky, count, False))
        if rule.entry.cooldown > 0:
            running.cooldown.setdefault(rule.id, _effect(rule, rule.entry.cooldown, count, False))
        if rule.decorators.keep_activate_after_match:
            always[rule.id] = None
        if rule.decorators.dont_activate_after_match:
            done[rule.id] = None
    return structs.replace(
        timed,
        sticky=tuple(running.sticky.values()),
        cooldown=tuple(running.cooldown.values()),
        always=tuple(always),
        done=tuple(done),
    )


def _rule(effect: Effect, rules: Mapping[EntryId, ReadyEntry]) -> ReadyEntry | None:
    rule = rules.get(effect.entry)
    return rule if rule is not None and rule.fingerprint == effect.fingerprint else None


def _dropped(effect: Effect, rule: ReadyEntry | None, count: int, length: int) -> bool:
    """Returns whether an effect is over, or void since the story was cut back to before it."""
    if count <= effect.start and not effect.protected:
        return True
    if rule is not None and length <= 0:
        return True
    return count >= effect.end


def _ended(effect: Effect, length: int, count: int) -> bool:
    """Returns whether a dropped effect ran its full time."""
    return length > 0 and count >= effect.end and (effect.protected or count > effect.start)


def _effect(rule: ReadyEntry, length: int, count: int, protected: bool) -> Effect:
    return Effect(rule.id, rule.fingerprint, count, count + length, protected)
