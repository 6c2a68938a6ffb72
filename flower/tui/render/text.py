"""Text as columns: cleaning, measuring, cutting and wrapping.

Owns the rule of what may be shown at all (``clean``) and how wide it is; never knows styles or cells.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from flower import limits
from flower.tui.render import cell_width

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
# East Asian marks that must not begin a line.
_CLOSING = frozenset("、。，．・：；？！）］｝」』】〉》〕…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ")


def clean(text: str) -> str:
    """Returns ``text`` with nothing left in it but printable characters and newlines.

    Tabs become spaces, other controls (C0, C1, DEL: so every escape sequence loses its introducer) and
    everything invisible go: bidi controls, zero-width spaces, tags, fillers, soft hyphens. Joiners
    and emoji selectors stay where they join something. Surrogates, private use and unassigned code
    points become U+FFFD. At most ``limits.COMBINING_MARKS`` marks stay on one character.
    ``clean(clean(t)) == clean(t)``.
    """
    if _NOT_PLAIN.search(text) is None:
        return text
    return "\n".join(map(_clean_line, text.split("\n")))


def _clean_line(line: str) -> str:
    if cell_width.SIMPLE(line) or cell_width.is_sure(line.replace("\u3000", "")):
        return line.replace("\u3000", "  ")
    kept: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", line):
        char = _shown(char, kept)
        if not char:
            continue
        if unicodedata.category(char[0]) in ("Mn", "Me"):
            marks += 1
            if marks > limits.COMBINING_MARKS:
                continue
        elif char != cell_width.ZWJ:
            marks = 0
        kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def _shown(char: str, before: list[str]) -> str:
    """Returns what stands for ``char`` on a screen: itself, spaces, U+FFFD or nothing."""
    if " " <= char <= "~":
        return char
    if char == "\t":
        return " " * limits.TAB_COLUMNS
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
        start = before.text.rfind("\n") + 1
        if lines and lines[-1][0] >= start:  # the last line is not the first of its paragraph
            start = before.offsets[-1][0]
    for paragraph in text[start:].split("\n"):
        lines += _wrap_paragraph(paragraph, start, max(1, columns))
        start += len(paragraph) + 1
    return Wrapped(text, columns, lines)


def _wrap_paragraph(text: str, offset: int, columns: int) -> list[tuple[int, int]]:
    if len(text) <= columns and width(text) <= columns:
        return [(offset, offset + len(text.rstrip(" ")))]
    lines: list[tuple[int, int]] = []
    begin = end = 0  # the line so far is text[begin:end]
    used = gap = 0  # its columns, and the columns of the spaces after it
    for atom, size, at in _atoms(text):
        if atom.isspace():
            if at == 0:  # an indent belongs to the line
                end, used = at + len(atom), min(size, columns - 1)
                begin = end - used
            else:
                gap = size
            continue
        if used + gap + size > columns and end > begin:
            lines.append((offset + begin, offset + end))
            end = begin
        if end <= begin:  # the line is empty
            begin, used, gap = at, 0, 0
        while size > columns:
            head = cut(atom, columns) or graphemes(atom)[0][0]
            lines.append((offset + at, offset + at + len(head)))
            atom, at = atom[len(head) :], at + len(head)
            size = width(atom)
            begin = at
        used += gap + size
        gap = 0
        end = at + len(atom)
    if end > begin or not lines:
        lines.append((offset + begin, offset + end))
    return lines


def _atoms(text: str) -> list[tuple[str, int, int]]:
    """Returns what must stay on one line, with columns and offset; spaces are atoms of their own."""
    atoms: list[tuple[str, int, int]] = []
    for match in _ATOM.finditer(text):
        word, at = match.group(), match.start()
        if word.isascii() or cell_width.SIMPLE(word):
            atoms.append((word, len(word), at))
            continue
        for piece, size in _breakable(word):
            atoms.append((piece, size, at))
            at += len(piece)
    return atoms


def _breakable(word: str) -> list[tuple[str, int]]:
    """Returns the parts of a word that may be put on lines of their own: wide characters may."""
    parts: list[tuple[str, int]] = []
    open_narrow = False
    for cluster, size in graphemes(word):
        wide = size == 2
        glued = parts and (cluster in _CLOSING or (open_narrow and not wide))
        if glued:
            before, columns = parts[-1]
            parts[-1] = (before + cluster, columns + size)
        else:
            parts.append((cluster, size))
        open_narrow = not wide
    return parts


def attaches(char: str) -> bool:
    """True for a code point that belongs to the character before it."""
    return not char.isascii() and cell_width.is_mark(char)
