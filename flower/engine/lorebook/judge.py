"""Whether one entry may fire in one pass, and by what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct, structs

from flower import limits
from flower.engine.lorebook import matching
from flower.engine.lorebook.book import Entry, Logic
from flower.engine.lorebook.index import ScanText, Term, View
from flower.engine.lorebook.matching import Stopwatch
from flower.engine.lorebook.outcome import Cause, Reason
from flower.engine.lorebook.rules import EntryId, EntryKey, KeyedBooks, ReadyEntry, key_for
from flower.engine.lorebook.situation import Running, Situation

__all__ = ["Judge", "Verdict"]


class Verdict(Struct, frozen=True):
    """An entry that is found: it fires, or ``reason`` keeps it out."""

    cause: Cause
    key: str = ""
    reason: Reason | None = None
    detail: str = ""


class Judge:
    """Looks at entries, pass by pass. ``level`` is how far delayed entries are let in."""

    def __init__(
        self,
        library: KeyedBooks,
        situation: Situation,
        text: ScanText,
        running: Running,
        stopwatch: Stopwatch,
        count: int,
    ) -> None:
        self.level = 0
        self._matching = library.matching
        self._situation = situation
        self._text = text
        self._running = running
        self._stopwatch = stopwatch
        self._count = count
        self._always = frozenset(situation.timed.always)
        self._done = frozenset(situation.timed.done)
        self._verdicts: dict[int, Verdict] = {}
        self._slow: set[EntryKey] = set()
        self.begin_pass(False, True, True, 0, {}, lambda text: text)

    @property
    def lasting(self) -> frozenset[EntryId]:
        """Entries that fire by what they did before."""
        return self._always | self._running.held_sticky

    def begin_pass(
        self,
        recursion: bool,
        brought: bool,
        recursive: bool,
        depth: int,
        variables: Mapping[str, str],
        expand: Callable[[str], str],
    ) -> None:
        """Says what the next verdicts are about: ``brought`` whether texts of other entries are read,
        ``recursive`` whether they bring others."""
        self._recursion = recursion
        self._excludes = recursive or not self._matching.as_recorded
        self._brought = brought
        self._depth = depth
        self._expand = expand
        self._resolved: dict[tuple[str, int], EntryKey] = {}

    def cause(self, rule: ReadyEntry) -> tuple[Cause, str]:
        """Returns why a rule was found, and its key."""
        verdict = self._verdicts[rule.rank]
        return verdict.cause, verdict.key

    def key(self, rule: ReadyEntry) -> str:
        """Returns the key a rule was found by."""
        return self._verdicts[rule.rank].key

    def verdict(self, rule: ReadyEntry) -> Verdict | None:
        """Returns None for a rule that is not found."""
        verdict = self._found(rule)
        if verdict is None or verdict.reason is not None:
            return verdict
        kept_out = self._kept_out(rule)
        if kept_out is not None:
            return structs.replace(verdict, reason=kept_out[0], detail=kept_out[1])
        self._verdicts[rule.rank] = verdict
        return verdict

    # --- found by what --------------------------------------------------------------------------

    def _found(self, rule: ReadyEntry) -> Verdict | None:
        if rule.decorators.activate or rule.id in self._always:
            return Verdict(Cause.DECORATOR)
        if rule.constant:
            return self._allowed(rule, Verdict(Cause.CONSTANT))
        if rule.id in self._situation.requested:
            return self._allowed(rule, Verdict(Cause.REQUEST))
        if rule.id in self._running.held_sticky:
            return self._allowed(rule, Verdict(Cause.STICKY))
        verdict = self._by_key(rule)
        return None if verdict is None else self._allowed(rule, verdict)

    def _allowed(self, rule: ReadyEntry, verdict: Verdict) -> Verdict:
        if rule.decorators.dont_activate and verdict.reason is None:
            return structs.replace(verdict, reason=Reason.DECORATOR, detail="@@dont_activate")
        return verdict

    def _by_key(self, rule: ReadyEntry) -> Verdict | None:
        view = self._view(rule)
        if view.depth <= 0:
            return None
        key = self._first(rule.keys, rule, view)
        if key is None:
            slow = next((key for key in rule.keys if key in self._slow), None)
            return None if slow is None else Verdict(Cause.KEY, slow.text, Reason.TIME)
        if not self._secondary(rule, view):
            return Verdict(Cause.KEY, key, Reason.SECONDARY)
        if any(self._first(keys, rule, view) is None for keys in rule.additional):
            return Verdict(Cause.KEY, key, Reason.SECONDARY, "@@additional_keys")
        excluded = self._first(rule.excluded, rule, view)
        if excluded is not None:
            return Verdict(Cause.KEY, key, Reason.EXCLUDED_KEY, excluded)
        return Verdict(Cause.KEY, key)

    def score(self, rule: ReadyEntry) -> int:
        """Returns how many of a rule's keys are found, for its groups."""
        view = self._view(rule)
        if view.depth <= 0:
            return 0
        primary = sum(self._counts(key, rule, view) for key in rule.keys)
        if not rule.keys or not rule.secondary:
            return primary
        secondary = sum(self._counts(key, rule, view) for key in rule.secondary)
        match rule.entry.logic:
            case Logic.AND_ANY:
                return primary + secondary
            case Logic.AND_ALL if secondary == len(rule.secondary):
                return primary + secondary
        return primary

    def _secondary(self, rule: ReadyEntry, view: View) -> bool:
        if not rule.entry.selective or not rule.secondary:
            return True
        hits = (self._has(key, rule, view) for key in rule.secondary)
        match rule.entry.logic:
            case Logic.AND_ANY:
                return any(hits)
            case Logic.NOT_ALL:
                return not all(hits)
            case Logic.NOT_ANY:
                return not any(hits)
            case Logic.AND_ALL:
                return all(hits)
        return False

    def _first(self, keys: tuple[EntryKey, ...], rule: ReadyEntry, view: View) -> str | None:
        return next((key.text for key in keys if self._has(key, rule, view)), None)

    def _counts(self, key: EntryKey, rule: ReadyEntry, view: View) -> bool:
        if key.counted is not None:
            return self._stands(key.counted, view)
        return self._has(key, rule, view)

    def _has(self, key: EntryKey, rule: ReadyEntry, view: View) -> bool:
        if key.number >= 0:
            return self._text.has(key.number, view)
        if key.macros:
            key = self._resolve(key, rule)
        if key.pattern is not None:
            return self._matches(key, view)
        return key.everywhere or (bool(key.term.text) and self._stands(key.term, view))

    def _matches(self, key: EntryKey, view: View) -> bool:
        assert key.pattern is not None
        if key in self._slow:
            return False
        if key.needs and not any(self._text.has(need, view) for need in key.needs):
            return False
        try:
            return key.pattern.matches(self._text.text(view), self._stopwatch)
        except TimeoutError:
            self._slow.add(key)
            return False

    def _stands(self, term: Term, view: View) -> bool:
        """Returns whether a term that is not in the index is in a view."""
        for part in self._text.parts(view):
            text = part.lower() if term.fold else part
            if matching.has_word(text, term.text, term.ascii_only) if term.whole else term.text in text:
                return True
        return False

    def _resolve(self, key: EntryKey, rule: ReadyEntry) -> EntryKey:
        """Returns a key with macros as it is in this pass."""
        entry_key = self._resolved.get((key.text, rule.rank))
        if entry_key is None:
            entry_key = key_for(self._expand(key.text), rule.entry, self._matching)
            self._resolved[(key.text, rule.rank)] = entry_key
        return entry_key

    def _view(self, rule: ReadyEntry) -> View:
        depth = self._depth if rule.scan_depth is None else rule.scan_depth
        depth = min(depth, limits.LORE_SCAN_DEPTH)
        brought = self._brought and rule.recursive is not False
        return View(depth, rule.entry.scanned, brought)

    # --- kept out by what -----------------------------------------------------------------------

    def _kept_out(self, rule: ReadyEntry) -> tuple[Reason, str] | None:
        entry, situation = rule.entry, self._situation
        sticky = rule.id in self._running.held_sticky
        if not entry.enabled:
            return Reason.DISABLED, ""
        if entry.triggers and situation.trigger not in entry.triggers:
            return Reason.TRIGGER, f"only for {', '.join(entry.triggers)}"
        if self._filtered(entry):
            return Reason.CHARACTER, ""
        if self._count < entry.delay:
            return Reason.DELAY, f"{entry.delay - self._count} messages to go"
        if rule.id in self._running.held_cooldown and not sticky:
            return Reason.COOLDOWN, self._rest(rule)
        reason = self._by_decorators(rule)
        if reason:
            return Reason.DECORATOR, reason
        if not sticky and self._barred(rule):
            return Reason.RECURSION, ""
        return None

    def _barred(self, rule: ReadyEntry) -> bool:
        level = rule.entry.delay_until_recursion
        if not self._recursion:
            return level > 0
        return level > self.level or (rule.entry.exclude_recursion and self._excludes)

    def _rest(self, rule: ReadyEntry) -> str:
        return f"{self._running.cooldown[rule.id].end - self._count} messages to go"

    def _filtered(self, entry: Entry) -> bool:
        """Returns whether the character or its tags are the wrong ones."""
        who = entry.character_filter
        if who is None:
            return False
        for here, names in (
            (self._situation.characters, who.names),
            (self._situation.tags, who.tags),
        ):
            if names and here.isdisjoint(names) != who.exclude:
                return True
        return False

    def _by_decorators(self, rule: ReadyEntry) -> str:
        """Returns the decorator that is not met, empty if all are."""
        decorators, situation = rule.decorators, self._situation
        if rule.id in self._done:
            return "@@dont_activate_after_match"
        if (
            decorators.activate_only_after is not None
            and situation.replies < decorators.activate_only_after
        ):
            return f"@@activate_only_after {decorators.activate_only_after}"
        if (
            decorators.activate_only_every is not None
            and situation.replies % decorators.activate_only_every
        ):
            return f"@@activate_only_every {decorators.activate_only_every}"
        if decorators.is_greeting is not None and situation.greeting != decorators.is_greeting:
            return f"@@is_greeting {decorators.is_greeting}"
        if decorators.is_user_icon is not None and situation.persona_icon != decorators.is_user_icon:
            return f"@@is_user_icon {decorators.is_user_icon}"
        return ""
