"""Inclusion groups: of the entries of one group only one fires. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from flower.engine.lorebook.rules import EntryId, ReadyEntry

__all__ = ["Scoring", "losers"]


class Scoring:
    """How often the keys of an entry are found, and whether that counts for it."""

    def __init__(self, score: Callable[[ReadyEntry], int], everywhere: bool) -> None:
        self.score = score
        self._everywhere = everywhere

    def counts(self, rule: ReadyEntry) -> bool:
        own = rule.entry.group_scoring
        return self._everywhere if own is None else own


def losers(
    found: Sequence[ReadyEntry],
    taken: Mapping[str, EntryId],
    sticky: Set[EntryId],
    scoring: Scoring,
    chance: Callable[[str], float],
) -> dict[int, str]:
    """Returns which of the rules found lose their group, by rank, and to what.

    ``taken`` are groups in which an entry has fired before, ``sticky`` the entries that stay. Of an
    entry's several groups each is settled by itself: one lost is enough to be out.
    """
    lost: dict[int, str] = {}
    groups: dict[str, list[ReadyEntry]] = {}
    for rule in found:
        for group in rule.entry.groups:
            groups.setdefault(group, []).append(rule)
    staying = {name: [m for m in members if m.id in sticky] for name, members in groups.items()}
    for name, members in groups.items():
        if staying[name]:
            _lose(members, staying[name], lost)
        else:
            groups[name] = _best(members, scoring, lost)
    for name, members in groups.items():
        if staying[name]:
            continue
        if name in taken:
            lost.update((rule.rank, str(taken[name])) for rule in members)
        elif len(members) > 1:
            _lose(members, [_winner(name, members, chance)], lost)
    return lost


def _best(members: list[ReadyEntry], scoring: Scoring, lost: dict[int, str]) -> list[ReadyEntry]:
    """Returns the members without those that are scored and have fewer keys than the best."""
    if not any(scoring.counts(rule) for rule in members):
        return members
    scores = {rule.rank: scoring.score(rule) for rule in members}
    best = max(scores.values())
    left = [rule for rule in members if scores[rule.rank] == best or not scoring.counts(rule)]
    _lose(members, left, lost)
    return left


def _winner(name: str, members: Sequence[ReadyEntry], chance: Callable[[str], float]) -> ReadyEntry:
    preferred = [rule for rule in members if rule.entry.group_override]
    if preferred:
        return max(preferred, key=lambda rule: rule.entry.order)
    point = chance(f"group:{name}") * sum(rule.entry.group_weight for rule in members)
    for rule in members:
        point -= rule.entry.group_weight
        if point <= 0:
            return rule
    return members[-1]


def _lose(members: Sequence[ReadyEntry], winners: Sequence[ReadyEntry], lost: dict[int, str]) -> None:
    kept = {winner.rank for winner in winners}
    for rule in members:
        if rule.rank not in kept:
            lost.setdefault(rule.rank, str(winners[0].id))
