"""How a key is found in a text: as a whole word of any script, or as a regular expression in limited time. Pure.

A word letter is a letter, digit or accent of a script that puts spaces between words: Latin, Greek,
Cyrillic, Armenian, Georgian. A key must not have one beside it. Scripts that write words without spaces
(Chinese, Japanese, Thai) or glue particles to them (Korean, Arabic, Hebrew) have no word letters: there
a key counts wherever it is. Russian and its kin bend words at their end, so a key that ends in
Cyrillic may have an ending behind it.

The standard library's ``re`` cannot be stopped, and one careless key can run for hours on a page of text. The
``regex`` package can: each search has a time limit, and all searches of one scan together have one. The clock is an
argument.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flower.engine.lorebook.javascript import FLAGS, PatternError, translate

if TYPE_CHECKING:
    import regex

LORE_PATTERN_S = 0.02  # for one pattern on the text of one scan
LORE_PATTERNS_S = 0.25  # for all of them: a line must not wait longer

__all__ = [
    "LETTERS", "RUN", "Pattern", "Stopwatch", "bare", "cyrillic_end", "has_word", "is_run", "slashed", "stems",
]  # fmt: skip

_CYRILLIC = "\u0400-\u052f\u2de0-\u2dff\ua640-\ua69f"
LETTERS = (
    "0-9A-Z_a-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af"
    "\u0300-\u036f\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u03ff"
    "\u0531-\u0556\u0560-\u0588\u10a0-\u10fa\u10fc-\u10ff\u1c90-\u1cbf"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u1e00-\u1fbc\u1fc2-\u1fcc\u1fd0-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ffc"
    "\u2c60-\u2c7f\ua722-\ua788\ua78b-\ua7ff\uab30-\uab6f" + _CYRILLIC
)
_ENDING_LETTERS = 3  # of the endings of Russian nouns and adjectives

RUN = re.compile(f"[{LETTERS}]+")  # a word as it is in a text
_LETTER = re.compile(f"[{LETTERS}]")
_BORDER = re.compile(f"(?![{LETTERS}])")
_ASCII_LETTER = re.compile(r"[0-9A-Za-z_]")
_ASCII_BORDER = re.compile(r"(?![0-9A-Za-z_])")
_ENDING = re.compile(f"[{_CYRILLIC}]{{0,{_ENDING_LETTERS}}}+(?![{LETTERS}])")
_CYRILLIC_LETTER = re.compile(f"[{_CYRILLIC}]")


def is_run(key: str) -> bool:
    """Returns whether a key consists of word letters alone."""
    return RUN.fullmatch(key) is not None


def cyrillic_end(word: str) -> bool:
    """Returns whether the last letter is Cyrillic."""
    return _CYRILLIC_LETTER.match(word, len(word) - 1) is not None


def stems(word: str) -> list[str]:
    """Returns what a Cyrillic word may be of, if it has an ending: itself without its last letters."""
    cut: list[str] = []
    for size in range(1, _ENDING_LETTERS + 1):
        if len(word) <= size or not cyrillic_end(word[: len(word) - size + 1]):
            break
        cut.append(word[:-size])
    return [stem for stem in cut if cyrillic_end(stem)]


def has_word(text: str, key: str, ascii_only: bool = False) -> bool:
    """Returns whether ``key`` is in ``text`` as a whole word. Both are compared as they are.

    ``ascii_only``: only the letters, digits and the underscore of ASCII are word letters.
    """
    letter, after = _LETTER, _ENDING if cyrillic_end(key) else _BORDER
    if ascii_only:
        letter, after = _ASCII_LETTER, _ASCII_BORDER
    at = text.find(key)
    while at >= 0:
        free = at == 0 or letter.match(text, at - 1) is None
        if free and after.match(text, at + len(key)):
            return True
        at = text.find(key, at + 1)
    return False


# --- Keys that are regular expressions, and the time they may take


class Stopwatch:
    """The time that patterns have left in one scan. ``clock`` gives seconds; without one only the single
    search is limited."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._end = clock() + LORE_PATTERNS_S if clock is not None else 0.0

    def seconds_left(self) -> float:
        """Returns the seconds that the next search may take; 0 when all is used up."""
        if self._clock is None:
            return LORE_PATTERN_S
        return max(0.0, min(LORE_PATTERN_S, self._end - self._clock()))


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
