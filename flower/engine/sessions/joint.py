"""How a continuation joins the text it goes on from. Pure.

A reply that was cut ends anywhere: after a word, in it, after a space. Models go on with what is missing of
the word, with the next word with or without a space before it, or say the end again that they were asked to
go on from. What is repeated is left out, and a space comes where one is due.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REPEATED_CHARS = 400  # of the old text that a model may say again
_REPEATED_LEAST = 4  # characters: a shorter word can be meant twice
_ENDS = '.!?…。！？"”’»*)'  # after these a text may have come to its end
_HELD_AFTER_END = 60  # characters of the continuation that wait, when the old text had come to its end
_HELD_CHARS = 1_000  # of the continuation, while it may still be a repetition
_OPENS = "([{“‘«¿¡\"'-–—/\n"  # after these no space is due
_FOLLOWS = ".,;:!?…)]}”’»'-–—/"  # and before these
_FRAGMENT = 4  # letters of an unknown end that is taken for part of a word
_ENDING = 3  # letters of an unknown beginning that is taken for the end of one

_WORDS = re.compile(r"[^\W\d_]+")
_LAST_WORD = re.compile(r"[^\W\d_]{1,40}$")
_FIRST_WORD = re.compile(r"[^\W\d_]+")
# Scripts that write no spaces between words: Thai, Lao, Khmer, Myanmar, Chinese and Japanese.
_NO_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]"
)
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a about after again all an and are as at away back be before behind but by came can could did do down"
        " for from gone had has have he her here him his how i if in into is it its like long me more my no not"
        " now of off on once one only open or other our out over said see she slowly so some still than that"
        " the their them then there they this through to too toward towards two under until up very was we"
        " were what when where which while who with without would you your",
    )
)


class Joint:
    """Joins the first words of a continuation to ``before``; everything after them passes through."""

    def __init__(self, before: str) -> None:
        self._before = before
        self._exact = False
        self._echo = ""
        self._tail = before[-REPEATED_CHARS:]
        self._known: frozenset[str] = frozenset()
        self._held = ""
        self._joined = False
        self._ended = before.rstrip()[-1:] in tuple(_ENDS)

    def know(self, texts: Iterable[str]) -> None:
        """Takes texts whose words are known to be words."""
        self._known = frozenset(word.lower() for text in texts for word in _WORDS.findall(text))

    def goes_on_exactly(self, sent: str) -> None:
        """Says that what comes is the very next of the text, but for blanks at its end.

        ``sent`` is the end of the text as the server had it: some servers say that again before they go on.
        """
        self._exact, self._echo = True, sent.rstrip()

    def feed(self, text: str) -> str:
        """Returns what is certain; words wait while they may be those the old text ends with."""
        if self._joined:
            return text
        self._held += text
        waits = self._echo.startswith(self._held) if self._exact else self._open(self._held)
        if waits:
            return ""
        return self.end()

    def end(self) -> str:
        """Returns what waited, joined."""
        held, self._held = self._held, ""
        if self._joined or not held:
            return held
        self._joined = True
        if self._exact:
            held = held.removeprefix(self._echo)
            return held.lstrip() if self._before[-1].isspace() else held
        return self._join(held)

    def _open(self, held: str) -> bool:
        """Returns whether what came may go on as the end of the old text, or its first word is not over."""
        words = held.lstrip()
        if len(held) < (_HELD_AFTER_END if self._ended else _HELD_CHARS) and (
            not words or words.rstrip() in self._tail
        ):
            return True
        first = _FIRST_WORD.match(words)
        return first is not None and first.end() == len(words) and len(words) < REPEATED_CHARS

    def _join(self, text: str) -> str:
        words = text.lstrip()
        repeated = _repeated(self._tail, words)
        if repeated and (words[repeated:].strip() or not self._ended):
            return words[repeated:]
        if words != text:  # it brought its own white space
            return words if self._before[-1].isspace() else text
        return f" {text}" if self._space_due(text) else text

    def _space_due(self, text: str) -> bool:
        last, first = self._before[-1], text[0]
        if last.isspace() or last in _OPENS or first in _FOLLOWS or _NO_SPACES.match(last + first):
            return False
        if _NO_SPACES.match(first):
            return False
        end, start = _LAST_WORD.search(self._before), _FIRST_WORD.match(text)
        if last.isdigit() and first.isdigit():
            return False
        if end is None or start is None:
            return True
        return not self._in_a_word(end[0], start[0])

    def _in_a_word(self, end: str, start: str) -> bool:
        """Returns whether a text that ends with ``end`` was cut in the word that ``start`` completes."""
        if start[0].isupper() and not end.isupper():
            return False

        def is_word(word: str) -> bool:
            return word.lower() in self._known or word.lower() in _COMMON

        whole_before = len(_WORDS.findall(self._before)) > 1 and is_word(end)
        if is_word(end + start):
            return not (is_word(start) and whole_before)
        if whole_before or is_word(start):
            return False
        return len(end) <= _FRAGMENT or len(start) <= _ENDING


def _repeated(before: str, text: str) -> int:
    """Returns how many characters at the start of ``text`` are the end of ``before`` once more.

    Whole words of it, or the beginning of the word that was cut, which is said again as a whole.
    """
    for size in range(min(len(before), len(text)), 0, -1):
        if text[size - 1] != before[-1] or not before.endswith(text[:size]):
            continue
        start = len(before) - size
        at_word = start == 0 or not (before[start - 1].isalnum() and text[0].isalnum())
        if not at_word:
            continue
        goes_on = size < len(text) and text[size].isalpha() and text[size - 1].isalpha()
        if size >= (2 if goes_on else _REPEATED_LEAST) or size == len(before):
            return size
    return 0
