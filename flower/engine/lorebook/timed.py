"""Effects that last: an entry that stays, rests, or has fired for good. Pure.

They are values. Whoever scans keeps what ``after`` returns with the place in the story, so that a retry
or another branch goes on from its own past. Times are counted in visible messages of that branch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

from flower.engine.lorebook.rules import EntryId, ReadyEntry

__all__ = ["NOTHING", "Effect", "Running", "Timed", "after", "begin"]


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
    kept: tuple[EntryId, ...] = ()  # fire from now on
    done: tuple[EntryId, ...] = ()  # never fire again


NOTHING = Timed()


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
    """Returns the effects to keep with the place in the story where ``fired`` were told."""
    kept, done = dict.fromkeys(timed.kept), dict.fromkeys(timed.done)
    for rule in fired:
        if rule.entry.sticky > 0:
            running.sticky.setdefault(rule.id, _effect(rule, rule.entry.sticky, count, False))
        if rule.entry.cooldown > 0:
            running.cooldown.setdefault(rule.id, _effect(rule, rule.entry.cooldown, count, False))
        if rule.decorators.keep_activate_after_match:
            kept[rule.id] = None
        if rule.decorators.dont_activate_after_match:
            done[rule.id] = None
    return structs.replace(
        timed,
        sticky=tuple(running.sticky.values()),
        cooldown=tuple(running.cooldown.values()),
        kept=tuple(kept),
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
