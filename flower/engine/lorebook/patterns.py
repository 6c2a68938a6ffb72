"""Keys that are regular expressions, and the time they may take. Pure: the clock is an argument.

The standard library's ``re`` cannot be stopped, and one careless key can run for hours on a page of text.
The ``regex`` package can: each search has a time limit, and all searches of one scan together have one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flower import limits
from flower.engine.lorebook.javascript import FLAGS, PatternError, translate

if TYPE_CHECKING:
    import regex

__all__ = ["Pattern", "Stopwatch", "bare", "slashed"]


class Stopwatch:
    """The time that patterns have left in one scan. ``clock`` gives seconds; without one only the single
    search is limited."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._end = clock() + limits.LORE_PATTERNS_S if clock is not None else 0.0

    def seconds_left(self) -> float:
        """Returns the seconds that the next search may take; 0 when all is used up."""
        if self._clock is None:
            return limits.LORE_PATTERN_S
        return max(0.0, min(limits.LORE_PATTERN_S, self._end - self._clock()))


class Pattern:
    """One compiled key. One of ``needs`` is in every text it matches, in any case where ``folded``; they
    are empty if nothing is known."""

    def __init__(self, source: str, flags: str) -> None:
        """Raises PatternError."""
        import regex  # here: 1.3 MB, and most lorebooks have no patterns

        try:
            translated = translate(source, flags)
            self._compiled: regex.Pattern[str] = regex.compile(translated.pattern, cache_pattern=False)
        except (regex.error, RecursionError, OverflowError, MemoryError, ValueError) as error:
            raise PatternError(str(error)) from error
        self._sticky = "y" in flags
        self.needs = translated.needs
        self.folded = translated.folded

    def matches(self, text: str, stopwatch: Stopwatch) -> bool:
        """Returns whether it matches. Raises TimeoutError when there is no time for it."""
        seconds = stopwatch.seconds_left()
        if seconds <= 0:
            raise TimeoutError
        search = self._compiled.match if self._sticky else self._compiled.search
        return search(text, timeout=seconds) is not None


def slashed(key: str) -> Pattern | None:
    """Returns the pattern of a key written ``/pattern/flags``, None for any other key.

    A slash inside must be escaped. What is no valid pattern is plain text, as it is elsewhere.
    """
    if not key.startswith("/"):
        return None
    source, _, flags = key[1:].rpartition("/")
    if not source or not set(flags) <= set(FLAGS) or _bare_slash(source):
        return None
    try:
        return Pattern(source, flags)
    except PatternError:
        return None


def bare(key: str, case_sensitive: bool) -> Pattern | None:
    """Returns the pattern of a key that is one without slashes; None, which never matches, if invalid."""
    try:
        return Pattern(key, "" if case_sensitive else "i")
    except PatternError:
        return None


def _bare_slash(source: str) -> bool:
    at = source.find("/")
    while at >= 0:
        if at == 0 or source[at - 1] != "\\":
            return True
        at = source.find("/", at + 1)
    return False
