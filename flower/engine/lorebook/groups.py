"""Inclusion groups: of the entries of one group only one fires. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set

from flower.engine.lorebook.rules import EntryId, ReadyEntry

__all__ = ["Scoring", "left_as_recorded", "losers"]


class Scoring:
    """How often the keys of an entry are found, and whether that counts for it."""

    def __init__(self, score: Callable[[ReadyEntry], int], everywhere: bool) -> None:
        self.score = score
        self._everywhere = everywhere

    def counts(self, rule: ReadyEntry) -> bool:
        own = rule.entry.group_scoring
        return self._everywhere if own is None else own


def losers(
    candidates: Sequence[ReadyEntry],
    won: Mapping[str, EntryId],
    sticky: Set[EntryId],
    scoring: Scoring,
    chance: Callable[[str], float],
) -> dict[int, str]:
    """Returns which of the rules found lose their group, by rank, and to what.

    ``won`` are groups in which an entry has fired before, ``sticky`` the entries that stay. Of an
    entry's several groups each is settled by itself: one lost is enough to be out.
    """
    lost: dict[int, str] = {}
    groups: dict[str, list[ReadyEntry]] = {}
    for rule in candidates:
        for group in names(rule):
            groups.setdefault(group, []).append(rule)
    # Who stays wins without dice. In the other groups those with fewer keys than the best are out before the dice.
    staying = {name: [m for m in members if m.id in sticky] for name, members in groups.items()}
    for name, members in groups.items():
        if staying[name]:
            _lose(members, staying[name], lost)
        else:
            groups[name] = _best(members, scoring, lost)
    for name, members in groups.items():
        if staying[name]:
            continue
        if name in won:
            lost.update((rule.rank, str(won[name])) for rule in members)
        elif len(members) > 1:
            _lose(members, [_winner(name, members, chance)], lost)
    return lost


def names(rule: ReadyEntry) -> tuple[str, ...]:
    """Returns the groups of a rule without the spaces around their names."""
    return tuple(dict.fromkeys(group.strip() for group in rule.entry.groups))


def left_as_recorded(
    candidates: Sequence[ReadyEntry],
    blocked: Set[str],
    sticky: Set[EntryId],
    cooling: Set[EntryId],
    scoring: Scoring,
    chance: Callable[[str], float],
) -> list[ReadyEntry]:
    """Returns what is left of the rules found by the habits of SillyTavern 1.18.

    There a rule that loses twice takes the last of all with it, one that stays and would rest at once is
    lost, and only a rule with one group blocks it later (``blocked``).
    """
    left = list(candidates)

    def lose(rules: Iterable[ReadyEntry]) -> None:
        for rule in rules:
            if left:
                left.pop(left.index(rule) if rule in left else -1)

    groups: dict[str, list[ReadyEntry]] = {}
    for rule in candidates:
        for group in rule.entry.groups:
            groups.setdefault(group, []).append(rule)
    staying: set[str] = set()
    for name, members in groups.items():
        if any(rule.id in sticky for rule in members):
            staying.add(name)
            lose(rule for rule in members if rule.id not in sticky)
        lose(rule for rule in members if rule.id in cooling)
    for name in [name for name in groups if name not in staying]:
        best = _best(groups[name], scoring, {})
        lose(rule for rule in groups[name] if rule not in best)
        groups[name] = best
    for name, members in groups.items():
        if name in staying:
            continue
        if name in blocked:
            lose(members)
        elif len(members) > 1:
            winner = _winner(name, members, chance)
            lose(rule for rule in members if rule is not winner)
    return left


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
    # A point on a line on which each member has a stretch as long as its weight.
    point = chance(f"group:{name}") * sum(rule.entry.group_weight for rule in members)
    for rule in members:
        point -= rule.entry.group_weight
        if point <= 0:
            return rule
    return members[-1]


def _lose(members: Sequence[ReadyEntry], winners: Sequence[ReadyEntry], lost: dict[int, str]) -> None:
    ranks = {winner.rank for winner in winners}
    for rule in members:
        if rule.rank not in ranks:
            lost.setdefault(rule.rank, str(winners[0].id))
