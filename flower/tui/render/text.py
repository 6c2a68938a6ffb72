"""Text as columns: cleaning, measuring, cutting and wrapping.

Owns the rule of what may be shown at all (``clean``) and how wide it is; never knows styles or cells.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from flower.tui.render import cell_width

COMBINING_MARKS = 4  # marks on one character: real scripts use up to 4, stacked-mark tricks hundreds
TAB_COLUMNS = 4

__all__ = ["Wrapped", "attaches", "clean", "cut", "fit", "graphemes", "width", "wrap", "wrapped"]

REPLACEMENT = "\ufffd"

# Letters and marks by category that show nothing, or are used to hide or fake text: fillers,
# variation selectors, invisible vowels, the grapheme joiner.
_HIDDEN = frozenset(
    ["\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u3164", "\uffa0"]
    + [chr(code) for code in (*range(0x180B, 0x1810), *range(0xFE00, 0xFE0F), *range(0xE0100, 0xE01F0))]
)
_NOT_PLAIN = re.compile("[^ -~\n]")
# Words with the dashes around them; a dash inside a word is a place to break the line.
_ATOM = re.compile("\\s+|[-\u2010-\u2015]*[^\\s\\-\u2010-\u2015]+[-\u2010-\u2015]*|[-\u2010-\u2015]+")
_DASHES = frozenset("-\u2010\u2011\u2012\u2013\u2014\u2015")
_DASH_LINES = 64  # of dashes alone that are laid out again while a text grows: more is no text
# East Asian marks that must not begin a line.
_CLOSING = frozenset(cell_width.CLOSING)


def clean(text: str) -> str:
    """Returns ``text`` with nothing left in it but printable characters and newlines.

    Tabs become spaces, other controls (C0, C1, DEL: so every escape sequence loses its introducer) and
    everything invisible go: bidi controls, zero-width spaces, tags, fillers, soft hyphens. Joiners
    and emoji selectors stay where they join something. Surrogates, private use and unassigned code
    points become U+FFFD. At most ``COMBINING_MARKS`` marks stay on one character.
    ``clean(clean(t)) == clean(t)``.
    """
    if _NOT_PLAIN.search(text) is None:
        return text
    return "\n".join(map(_clean_line, text.split("\n")))


def _clean_line(line: str) -> str:
    if cell_width.SIMPLE(line) or cell_width.is_sure(line.replace("\u3000", "")):
        return line.replace("\u3000", "  ")
    if _is_clean(line):
        return line
    chars: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", line):
        char = _drawable(char, chars)
        if not char:
            continue
        if unicodedata.category(char[0]) in ("Mn", "Me"):
            marks += 1
            if marks > COMBINING_MARKS:
                continue
        elif char != cell_width.ZWJ:
            marks = 0
        chars.append(char)
    return unicodedata.normalize("NFC", "".join(chars))


def _is_clean(line: str) -> bool:
    """True when nothing has to change, found by looking at each different character only once."""
    if not unicodedata.is_normalized("NFC", line):
        return False
    marks: list[int] = []
    for char in set(line):
        if not _is_ordinary(char):
            return False
        if unicodedata.category(char) in ("Mn", "Me"):
            marks.append(ord(char))
    stack = "\0" * (COMBINING_MARKS + 1)  # NUL is not ordinary, so here it is any mark
    return not marks or stack not in line.translate(dict.fromkeys(marks, "\0"))


@lru_cache(maxsize=4096)
def _is_ordinary(char: str) -> bool:
    """True for a character that is shown as it is, whatever is before it."""
    return _drawable(char, []) == char


def _drawable(char: str, before: list[str]) -> str:
    """Returns what a screen gets for ``char``: itself, spaces, U+FFFD or nothing."""
    if " " <= char <= "~":
        return char
    if char == "\t":
        return " " * TAB_COLUMNS
    if char in _HIDDEN:
        return ""
    if char in (cell_width.ZWJ, cell_width.ZWNJ):
        return char if before and _joins(before[-1]) else ""
    if char == cell_width.EMOJI_PRESENTATION:
        return char if before and before[-1] != char and cell_width.is_text_emoji(before[-1]) else ""
    category = unicodedata.category(char)
    if category in ("Cc", "Cf", "Zl", "Zp"):
        return "\n" if category in ("Zl", "Zp") else ""
    if category == "Zs":
        return " " * cell_width.char_width(char)
    if category == "Cn" and "\U0001f300" <= char <= "\U0001faff":
        return char  # an emoji newer than this Python's tables
    if category in ("Cs", "Co", "Cn"):
        return REPLACEMENT
    return char


def _joins(char: str) -> bool:
    """True when a joiner after ``char`` can mean something: emoji, or letters of joining scripts."""
    if char in (cell_width.ZWJ, cell_width.ZWNJ):
        return False
    return char == cell_width.EMOJI_PRESENTATION or char >= "\u0600"


def graphemes(text: str) -> list[tuple[str, int]]:
    """Returns the user-perceived characters of ``text`` with their columns, 1 or 2.

    Joined they are ``text`` again. ``text`` should be clean.
    """
    if cell_width.SIMPLE(text):
        return [(char, 1) for char in text]
    return [(cluster, cell_width.cluster_width(cluster)) for cluster in cell_width.split(text)]


def width(text: str) -> int:
    """Returns the columns that ``text`` takes."""
    if text.isascii() or cell_width.SIMPLE(text):
        return len(text)
    return sum(map(cell_width.cluster_width, cell_width.split(text)))


def cut(text: str, columns: int) -> str:
    """Returns the longest beginning of ``text`` that fits into ``columns``."""
    if columns <= 0:
        return ""
    if text.isascii() or cell_width.SIMPLE(text):
        return text[:columns]
    used = end = 0
    for cluster, size in graphemes(text):
        used += size
        if used > columns:
            break
        end += len(cluster)
    return text[:end]


def fit(text: str, columns: int, ellipsis: str = "…") -> str:
    """Returns ``text``, or its beginning with ``ellipsis`` when it is wider than ``columns``."""
    if width(text) <= columns:
        return text
    room = columns - width(ellipsis)
    return cut(text, room) + ellipsis if room >= 0 else cut(text, columns)


def wrap(text: str, columns: int) -> list[str]:
    """Returns the lines of ``text`` broken to ``columns``: at newlines, between words, else anywhere.

    Spaces at a break are dropped, spaces that begin a line of the source are kept. Never empty.
    """
    return [text[start:end] for start, end in wrapped(text, columns).offsets]


class Wrapped(NamedTuple):
    """A text and where its lines begin and end in it, as broken to ``columns``."""

    text: str
    columns: int
    offsets: list[tuple[int, int]]


def wrapped(text: str, columns: int, before: Wrapped | None = None) -> Wrapped:
    """Returns where the lines of ``wrap`` begin and end in ``text``, so that styles can follow.

    ``before``: the same text while it was shorter. Its lines but the last one are taken over, because
    what comes behind a line never changes where it was broken.
    """
    lines: list[tuple[int, int]] = []
    start = 0
    if before is not None and before.columns == columns and text.startswith(before.text):
        lines = before.offsets[:-1]
        first = start = before.text.rfind("\n") + 1
        if lines and lines[-1][0] >= first:  # the last line is not the first of its paragraph
            start = before.offsets[-1][0]
            # Does a dash end the word before it or begin the next one? Only the line before it says that.
            least = max(0, len(lines) - _DASH_LINES)
            while text[start : start + 1] in _DASHES and len(lines) > least and lines[-1][0] >= first:
                start = lines.pop()[0]
    for paragraph in text[start:].split("\n"):
        lines += _wrap_paragraph(paragraph, start, max(1, columns))
        start += len(paragraph) + 1
    return Wrapped(text, columns, lines)


class _Atom(NamedTuple):
    """What stays on one line: ``text[start:end]`` of ``size`` columns. Spaces are atoms of their own.

    ``kind``: space; word, of one column per code point; wide, of two columns each, which may be broken
    between any two of them; mixed, of clusters.
    """

    kind: str
    start: int
    end: int
    size: int


class _Lines:
    """The lines of a paragraph while it is being broken: all but the last are complete."""

    def __init__(self, text: str, columns: int) -> None:
        self.text = text
        self.columns = columns
        self.lines: list[tuple[int, int]] = []
        self.begin = self.end = 0  # the line so far is text[begin:end]
        self.used = self.gap = 0  # its columns, and the columns of the spaces after it

    def add(self, atom: _Atom) -> None:
        """Puts an atom on the line, or on the next one."""
        if atom.kind == "space":
            self._space(atom)
        elif atom.kind == "wide":
            self._wide(atom)
        else:
            self._word(atom)

    def _space(self, atom: _Atom) -> None:
        if atom.start == 0:  # an indent belongs to the line
            self.end, self.used = atom.end, min(atom.size, self.columns - 1)
            self.begin = atom.end - self.used
        else:
            self.gap = atom.size

    def _next(self, start: int) -> None:
        """Ends the line if there is one; the next begins at ``start``."""
        if self.end > self.begin:
            self.lines.append((self.begin, self.end))
        self.begin = self.end = start
        self.used = self.gap = 0

    def _word(self, atom: _Atom) -> None:
        start, size = atom.start, atom.size
        if self.end <= self.begin or self.used + self.gap + size > self.columns:
            self._next(start)
        if size > self.columns:
            start, size = self._chopped(atom)
        self.used += self.gap + size
        self.gap = 0
        self.end = atom.end

    def _chopped(self, atom: _Atom) -> tuple[int, int]:
        """Breaks an atom that is wider than a line; returns where its last line begins, and its columns."""
        start, size = atom.start, atom.size
        if atom.kind == "word":
            while size > self.columns:
                self.lines.append((start, start + self.columns))
                start, size = start + self.columns, size - self.columns
        else:
            at, used = start, 0
            for cluster, columns in graphemes(self.text[start : atom.end]):
                if used + columns > self.columns and used:
                    self.lines.append((start, at))
                    start, used = at, 0
                at += len(cluster)
                used += columns
            size = used
        self.begin = start
        return start, size

    def _wide(self, atom: _Atom) -> None:
        at, end = atom.start, atom.end
        if self.end <= self.begin:
            self._next(at)
        while self.used + self.gap + 2 * (end - at) > self.columns:
            half = max(0, (self.columns - self.used - self.gap) // 2)
            cut = at + half
            while cut > at and self.text[cut] in _CLOSING:
                cut -= 1
            if cut == at and self.end <= self.begin:  # nothing else is on the line: it must go on
                cut = at + max(1, half)
            if cut > at:
                self.end = cut
            self._next(cut)
            at = cut
        if at < end:
            self.used += self.gap + 2 * (end - at)
            self.end = end
            self.gap = 0


def _wrap_paragraph(text: str, offset: int, columns: int) -> list[tuple[int, int]]:
    if len(text) <= columns and width(text) <= columns:
        return [(offset, offset + len(text.rstrip(" ")))]
    state = _Lines(text, columns)
    for atom in _atoms(text):
        state.add(atom)
    if state.end > state.begin or not state.lines:
        state.lines.append((state.begin, state.end))
    if not offset:
        return state.lines
    return [(offset + begin, offset + end) for begin, end in state.lines]


def _atoms(text: str) -> Iterator[_Atom]:
    for match in _ATOM.finditer(text):
        word, (start, end) = match.group(), match.span()
        if word.isascii() or cell_width.SIMPLE(word):
            yield _Atom("space" if word.isspace() else "word", start, end, end - start)
        elif word.isspace():
            yield _Atom("space", start, end, width(word))
        elif cell_width.is_sure(word):
            yield from _sure_atoms(word, start)
        else:
            yield from _mixed_atoms(word, start)


def _sure_atoms(word: str, start: int) -> Iterator[_Atom]:
    """Runs of wide and of narrow characters; what must not begin a line stays with a narrow run."""
    for match in cell_width.runs_of_width(word):
        at, end = match.span()
        if match["narrow"] is None:
            yield _Atom("wide", start + at, start + end, 2 * (end - at))
            continue
        narrow = len(match["narrow"])
        size = narrow + 2 * (end - at - narrow)
        yield _Atom("word" if size == narrow else "mixed", start + at, start + end, size)


def _mixed_atoms(word: str, at: int) -> Iterator[_Atom]:
    """Clusters: wide ones apart, narrow ones and what must not begin a line with those before them."""
    start, size = at, 0
    open_narrow = False
    for cluster, columns in graphemes(word):
        glued = size and (cluster in _CLOSING or (open_narrow and columns == 1))
        if size and not glued:
            yield _Atom("mixed", start, at, size)
            start, size = at, 0
        at += len(cluster)
        size += columns
        open_narrow = columns == 1
    yield _Atom("mixed", start, at, size)


def attaches(char: str) -> bool:
    """True for a code point that belongs to the character before it."""
    return not char.isascii() and cell_width.is_mark(char)
