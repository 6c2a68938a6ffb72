"""Which entries fire. Pure.

One scan is a row of passes. The first reads the newest messages. What fired in a pass is read in the
next, so one entry may bring another (recursion); entries that wait for that are let in level by level;
and if too few fired, further messages are read. Each pass goes: what is found, who wins its group, whose
dice are good, what fits the budget. The order of all this is that of the program most books are written
for; ``docs/lorebooks.md`` names where we differ and why.

Owns the passes and the budget. Time, chance, the size of texts and macros are arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil

from msgspec import Struct

from flower import limits
from flower.engine.lorebook.decorators import split_hidden_keys
from flower.engine.lorebook.groups import Scoring, left_as_recorded, losers, names
from flower.engine.lorebook.index import ScanText
from flower.engine.lorebook.judge import Judge
from flower.engine.lorebook.matching import Stopwatch
from flower.engine.lorebook.outcome import Fired, Held, Outcome, Pass, Reason, place_of
from flower.engine.lorebook.rules import EntryId, KeyedBooks, ReadyEntry
from flower.engine.lorebook.situation import Running, ScanSettings, Situation, after, begin

LORE_PASSES = 1_200  # of one scan: reading back to LORE_SCAN_DEPTH, and a long row of entries

__all__ = ["Tools", "scan"]

_INITIAL, _RECURSION, _WIDENING, _NONE = "initial", "recursion", "min_activations", "none"


def _unchanged(text: str, variables: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
    return text, variables


class Tools(Struct, frozen=True):
    """What the outside lends: the size of a text in tokens, chance from 0 to below 1 for a purpose, macros
    (text and variables before to text and variables after), and a clock in seconds for slow patterns."""

    tokens: Callable[[str], float]
    chance: Callable[[str], float]
    expand: Callable[[str, Mapping[str, str]], tuple[str, Mapping[str, str]]] = _unchanged
    clock: Callable[[], float] | None = None


def scan(library: KeyedBooks, situation: Situation, settings: ScanSettings, tools: Tools) -> Outcome:
    """Returns what fires in a situation. Never raises, whatever books and messages say."""
    return _Scan(library, situation, settings, tools).run()


class _Scan:
    def __init__(
        self, library: KeyedBooks, situation: Situation, settings: ScanSettings, tools: Tools
    ) -> None:
        self._library = library
        self._situation = situation
        self._settings = settings
        self._tools = tools
        self._variables = situation.variables
        count = situation.count
        self._count = len(situation.messages) if count is None else count
        self._running = (
            Running({}, {}, set(), set())
            if situation.dry
            else begin(situation.timed, library.by_id, self._count)
        )
        self._text = ScanText(
            library.index,
            self._messages(),
            situation.sources,
            [self._expanded(text) for text in situation.injected],
        )
        self._judge = Judge(
            library, situation, self._text, self._running, Stopwatch(tools.clock), self._count
        )
        self._depth = settings.depth
        self._candidates: set[int] = set(library.unindexed)
        self._fired: dict[EntryId, Fired] = {}
        self._rules: dict[EntryId, ReadyEntry] = {}
        self._out: set[int] = set()  # ranks that had their chance
        self._held: dict[int, Held] = {}
        self._recorded = library.matching.as_recorded
        self._spent = 0.0  # tokens of earlier passes
        self._by_book: dict[str, float] = {}
        self._overflowed = False
        self._passes: list[Pass] = []

    def run(self) -> Outcome:
        library = self._library
        self._candidates |= {
            library.by_id[entry].rank
            for entry in (*self._situation.requested, *self._judge.lasting)
            if entry in library.by_id
        }
        self._meet(self._text.first_terms())
        self._read(max(self._depth, library.deepest))
        levels = list(library.levels)
        self._judge.level = levels.pop(0) if levels else 0
        state = _INITIAL if library.rules else _NONE
        while state != _NONE and len(self._passes) < self._limit():
            state = self._pass(state, levels)
        return self._outcome()

    def _limit(self) -> int:
        return self._settings.recursion_steps or LORE_PASSES

    # --- one pass -------------------------------------------------------------------------------

    def _pass(self, state: str, levels: list[int]) -> str:
        """Returns the kind of the next pass."""
        judge = self._judge
        judge.begin_pass(
            state == _RECURSION,
            state != _WIDENING,
            self._settings.recursive,
            self._depth,
            self._variables,
            self._expanded,
        )
        hits = [rule for rule in self._waiting() if self._is_found(rule)]
        hits.sort(key=self._served)
        winners = self._winners(hits)
        admitted = self._admit(winners)
        next_state = self._next(state, levels, admitted)
        self._passes.append(Pass(state, tuple(rule.id for rule in winners), next_state))
        if next_state != _NONE:
            self._bring(admitted)
        return next_state

    def _waiting(self) -> list[ReadyEntry]:
        rules = self._library.rules
        return [
            rules[rank]
            for rank in sorted(self._candidates - self._out)
            if rules[rank].id not in self._fired
        ]

    def _is_found(self, rule: ReadyEntry) -> bool:
        verdict = self._judge.verdict(rule)
        if verdict is None:
            return False
        if verdict.reason is not None:
            self._hold(rule, verdict.reason, verdict.key, verdict.detail)
            return False
        return True

    def _served(self, rule: ReadyEntry) -> tuple[bool, bool, int]:
        """Orders rules as they are served: first those that stay, last those that can wait."""
        sticky = rule.id in self._running.held_sticky
        return not sticky, rule.decorators.ignore_on_max_context, rule.rank

    def _winners(self, hits: Sequence[ReadyEntry]) -> list[ReadyEntry]:
        scoring = Scoring(self._judge.score, self._settings.group_scoring)
        if self._recorded:
            return self._winners_as_recorded(hits, scoring)
        won = {group: rule.id for rule in self._rules.values() for group in names(rule)}
        lost = losers(hits, won, self._running.held_sticky, scoring, self._tools.chance)
        for rule in hits:
            if rule.rank in lost:
                self._hold(rule, Reason.GROUP, self._judge.key(rule), f"lost to {lost[rule.rank]}")
        return [rule for rule in hits if rule.rank not in lost]

    def _winners_as_recorded(self, hits: Sequence[ReadyEntry], scoring: Scoring) -> list[ReadyEntry]:
        fired = [rule.entry.groups for rule in self._rules.values()]
        blocked = frozenset(groups[0] for groups in fired if len(groups) == 1)
        running = self._running
        left = left_as_recorded(
            hits, blocked, running.held_sticky, running.held_cooldown, scoring, self._tools.chance
        )
        for rule in hits:
            if rule not in left:
                self._hold(rule, Reason.GROUP, self._judge.key(rule))
        return left

    def _admit(self, winners: Sequence[ReadyEntry]) -> list[tuple[ReadyEntry, str]]:
        """Lets in whose dice are good and what fits; returns them with the text that others may read."""
        admitted: list[tuple[ReadyEntry, str]] = []
        left_out: list[tuple[ReadyEntry, str]] = []
        fresh = 0.0
        for rule in winners:
            if self._halted and not rule.entry.ignore_budget:
                self._hold(rule, Reason.BUDGET, self._judge.key(rule))
                left_out.append((rule, rule.text))
                continue
            if not self._lucky(rule):
                continue
            text, hidden = split_hidden_keys(rule.text)
            before = self._variables
            text = self._expanded(text)
            size = self._tools.tokens(text)
            if self._recorded and rule.entry.ignore_budget:
                fresh += size  # for those after it, though not for itself
            if not rule.entry.ignore_budget:
                if not self._fits(rule, fresh, size):
                    if not self._recorded:
                        self._variables = before  # what is left out sets nothing
                    left_out.append((rule, text))
                    continue
                fresh += size
                self._by_book[rule.id.book] = self._by_book.get(rule.id.book, 0.0) + size
            self._fire(rule, text, size)
            admitted.append((rule, "\n".join((text, *hidden))))
        if self._recorded:  # only what others may read counts from here on
            fresh = sum(
                self._fired[rule.id].tokens for rule, _ in admitted if not rule.entry.prevent_recursion
            )
            admitted += left_out  # which others may read there, too
        self._spent += fresh
        return admitted

    def _lucky(self, rule: ReadyEntry) -> bool:
        entry = rule.entry
        if not entry.use_probability or entry.probability == 100:
            return True
        if rule.id in self._running.held_sticky:
            return True
        rolled = self._tools.chance(f"dice:{rule.id}") * 100
        if rolled <= entry.probability:
            return True
        self._out.add(rule.rank)
        detail = f"{rolled:.0f} rolled, {entry.probability:g} at most"
        self._hold(rule, Reason.DICE, self._judge.key(rule), detail)
        return False

    def _fits(self, rule: ReadyEntry, fresh: float, size: float) -> bool:
        own = rule.book_budget
        spent = ceil(self._spent)
        left = self._settings.budget - spent - ceil(fresh)
        of_book = self._by_book.get(rule.id.book, 0.0) + size
        if spent + ceil(fresh + size) < self._settings.budget and (not own or ceil(of_book) <= own):
            return True
        self._overflowed = True
        if not self._recorded:
            self._out.add(rule.rank)
        detail = f"{ceil(size)} tokens, {max(0, left)} left"
        self._hold(rule, Reason.BUDGET, self._judge.key(rule), detail)
        return False

    def _fire(self, rule: ReadyEntry, text: str, size: float) -> None:
        cause, key = self._judge.cause(rule)
        self._fired[rule.id] = Fired(
            id=rule.id,
            title=rule.entry.comment or rule.entry.name,
            text=text,
            place=place_of(rule, self._count),
            order=rule.entry.order,
            cause=cause,
            key=key,
            step=len(self._passes),
            tokens=size,
        )
        self._rules[rule.id] = rule
        self._held.pop(rule.rank, None)

    # --- between passes -------------------------------------------------------------------------

    @property
    def _halted(self) -> bool:
        return self._overflowed and self._recorded

    def _next(self, state: str, levels: list[int], admitted: Sequence[tuple[ReadyEntry, str]]) -> str:
        settings = self._settings
        next_state = _NONE
        if not self._halted and any(self._leads_on(rule) for rule, _ in admitted):
            next_state = _RECURSION
        if settings.recursive and not self._halted and state == _WIDENING and self._text.grown:
            next_state = _RECURSION
        if next_state == _NONE and not self._halted and self._too_few():
            self._depth += 1
            self._read(self._depth)
            next_state = _WIDENING
        if next_state == _NONE and levels:
            self._judge.level = levels.pop(0)
            next_state = _RECURSION
        return next_state

    def _leads_on(self, rule: ReadyEntry) -> bool:
        of_book = rule.recursive
        recursive = self._settings.recursive if of_book is None else of_book
        return recursive and not rule.entry.prevent_recursion

    def _too_few(self) -> bool:
        settings = self._settings
        furthest = settings.min_activations_depth
        return (
            len(self._fired) < settings.min_activations
            and self._depth <= len(self._situation.messages)
            and not 0 < furthest < self._depth
        )

    def _bring(self, admitted: Sequence[tuple[ReadyEntry, str]]) -> None:
        """Makes the texts that fired readable for the next pass."""
        texts = [text for rule, text in admitted if not rule.entry.prevent_recursion]
        if texts:
            self._meet(self._text.add("\n".join(texts)))

    def _meet(self, terms: set[int] | frozenset[int]) -> None:
        by_term = self._library.by_term
        for term in terms:
            self._candidates.update(by_term.get(term, ()))

    def _read(self, depth: int) -> None:
        self._meet(self._text.read(min(depth, limits.LORE_SCAN_DEPTH)))

    # --- texts and words ------------------------------------------------------------------------

    def _messages(self) -> list[str]:
        names = self._settings.include_names
        newest = self._situation.messages[: -limits.LORE_SCAN_DEPTH - 1 : -1]
        return [(f"{m.speaker}: {m.text}" if names else m.text).strip() for m in newest]

    def _expanded(self, text: str) -> str:
        if "{{" not in text and "<" not in text:
            return text
        text, self._variables = self._tools.expand(text, self._variables)
        return text

    def _hold(self, rule: ReadyEntry, reason: Reason, key: str, detail: str = "") -> None:
        title = rule.entry.comment or rule.entry.name
        self._held[rule.rank] = Held(rule.id, title, reason, key, detail)

    def _outcome(self) -> Outcome:
        situation = self._situation
        silenced = {name for rule in self._rules.values() for name in rule.decorators.disable_ui_prompt}
        timed = situation.timed
        if not situation.dry:
            timed = after(timed, self._running, self._rules.values(), self._count)
        return Outcome(
            fired=tuple(self._fired.values()),
            held=tuple(self._held[rank] for rank in sorted(self._held)),
            timed=timed,
            variables=self._variables,
            overflowed=self._overflowed,
            tokens=self._spent,
            silenced=frozenset(silenced),
            passes=tuple(self._passes),
        )
