"""Columns of code points, and where one user-perceived character ends and the next begins.

Owns the shortcut for text about which nobody disagrees, and the rule which glyphs terminals may draw wider than
they should; never cleans or wraps text. Widths and clusters (Unicode's UAX 11 and 29) are wcwidth's, which comes
with blessed; it is imported at the first glyph beyond the shortcut, as it would cost the first frame 8 ms.

A cluster is never wider than two columns. Terminals disagree about clusters; ``is_unsure`` names the
glyphs where they may, ``extent`` says how far the worst of them would run.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

CLUSTER_CODE_POINTS = 16  # code points of one on-screen character: the longest emoji has 10

ZWJ = "\u200d"
ZWNJ = "\u200c"
EMOJI_PRESENTATION = "\ufe0f"

# Symbols of U+2600-27BF that have an emoji form, as ranges (emoji-variation-sequences.txt, emoji-data.txt).
_EMOJI_SYMBOLS = (
    "\u2600-\u2604\u260e\u2611\u2614-\u2615\u2618\u261d\u2620\u2622-\u2623\u2626\u262a\u262e-\u262f"
    "\u2638-\u263a\u2640\u2642\u2648-\u2653\u265f-\u2660\u2663\u2665-\u2666\u2668\u267b\u267e-\u267f"
    "\u2692-\u2697\u2699\u269b-\u269c\u26a0-\u26a1\u26a7\u26aa-\u26ab\u26b0-\u26b1\u26bd-\u26be"
    "\u26c4-\u26c5\u26c8\u26ce-\u26cf\u26d1\u26d3-\u26d4\u26e9-\u26ea\u26f0-\u26f5\u26f7-\u26fa\u26fd"
    "\u2702\u2705\u2708-\u270d\u270f\u2712\u2714\u2716\u271d\u2721\u2728\u2733-\u2734\u2744\u2747\u274c"
    "\u274e\u2753-\u2755\u2757\u2763-\u2764\u2795-\u2797\u27a1\u27b0\u27bf"
)
# Wide since Unicode 16 only: terminals do not agree yet.
_WIDENED = "\u2630-\u2637\u268a-\u268f"
_disputed = re.compile(f"[{_EMOJI_SYMBOLS}{_WIDENED}]").match
_OTHER_SYMBOLS = "".join(char for char in map(chr, range(0x2600, 0x27C0)) if not _disputed(char))
# One column each, no cluster can form inside, every terminal agrees: one regular expression match
# replaces the scan for nearly all Western text, box drawing and typographic marks included.
_NARROW = _OTHER_SYMBOLS + (
    " -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0377\u037a-\u037f\u0384-\u038a\u038e-\u03a1\u03a3-\u0482"
    "\u048a-\u052f\u1e00-\u1eff\u2010-\u2027\u2030-\u203b\u203d-\u2048\u204a-\u205e\u2070\u2071"
    "\u2074-\u208e\u20a0-\u20bf\u2190-\u2193\u2200-\u22ff\u2500-\u25a9\u25b2-\u25b5\u25b7-\u25bf"
    "\u25c1-\u25fa\u2800-\u28ff\ufffd"
)
# Two columns each, and just as sure: kana, ideographs, Hangul syllables, fullwidth forms.
_WIDE = "\u3000-\u3029\u3041-\u3096\u309b-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60"
SIMPLE = re.compile(f"[{_NARROW}]*").fullmatch
# East Asian marks that must not begin a line.
CLOSING = "、。，．・：；？！）］｝」』】〉》〕…ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ"


@lru_cache(maxsize=1)
def _sure() -> re.Pattern[str]:
    return re.compile(f"[{_NARROW}{_WIDE}]*")  # 1.3 ms to compile: not before the first frame


@lru_cache(maxsize=1)
def _runs() -> re.Pattern[str]:
    return re.compile(f"[{_WIDE}]+|(?P<narrow>[{_NARROW}]+)[{CLOSING}]*")


def runs_of_width(text: str) -> Iterator[re.Match[str]]:
    """Yields the runs of a sure text: wide characters, or narrow ones (group ``narrow``) with marks behind."""
    return _runs().finditer(text)


def is_sure(text: str) -> bool:
    """True when every code point is a character of its own whose columns nobody disputes."""
    return _sure().fullmatch(text) is not None


class _Widths(NamedTuple):
    """wcwidth's functions: columns of a code point (-1: a control), columns of a text, its clusters."""

    of_char: Callable[[str], int]
    of_text: Callable[[str], int]
    clusters: Callable[[str], Iterator[str]]


@lru_cache(maxsize=1)
def _widths() -> _Widths:
    import wcwidth

    return _Widths(wcwidth.wcwidth, wcwidth.wcswidth, wcwidth.iter_graphemes)


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """Returns the columns of one code point on its own: 0, 1 or 2."""
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) == "Cf":
        return 0
    return max(0, _widths().of_char(char))


@lru_cache(maxsize=4096)
def is_text_emoji(char: str) -> bool:
    """True when U+FE0F after ``char`` means something: it asks for the two-column emoji form."""
    columns = char_width(char)
    if columns == 1:
        return _widths().of_text(char + EMOJI_PRESENTATION) == 2
    return columns == 2 and _is_pictograph(char)


def is_emoji(char: str) -> bool:
    """True for code points that can be joined into one emoji."""
    return char > "\u00ff" and is_text_emoji(char)


def _is_pictograph(char: str) -> bool:
    """True for a wide code point that is a picture, not part of a script."""
    return not "\u2e80" <= char <= "\u9fff" and unicodedata.category(char) in ("So", "Sk", "Cn")


def is_mark(char: str) -> bool:
    """True for marks that sit on the character before them."""
    return unicodedata.category(char) in ("Mn", "Me", "Mc")


def split(text: str) -> list[str]:
    """Returns the user-perceived characters of ``text``; joined they are ``text`` again.

    None has more than ``CLUSTER_CODE_POINTS`` code points.
    """
    if SIMPLE(text) or is_sure(text):
        return list(text)
    most = CLUSTER_CODE_POINTS
    clusters: list[str] = []
    for cluster in _widths().clusters(text):
        if len(cluster) <= most:
            clusters.append(cluster)
        else:
            clusters += [cluster[at : at + most] for at in range(0, len(cluster), most)]
    return clusters


@lru_cache(maxsize=8192)
def cluster_width(cluster: str) -> int:
    """Returns the columns of one user-perceived character: 1 or 2."""
    if len(cluster) == 1:
        return max(1, char_width(cluster))
    return max(1, min(2, _widths().of_text(cluster)))


@lru_cache(maxsize=8192)
def is_unsure(cluster: str) -> bool:
    """True when terminals disagree about the columns of ``cluster``.

    These are clusters of several code points, emoji, and symbols that some fonts widen. Ideographs, kana
    and Hangul syllables are sure. Ambiguous-width marks (quotes, boxes) are counted as narrow, as
    terminals outside of an East Asian locale do.
    """
    if SIMPLE(cluster) or is_sure(cluster):
        return False
    if len(cluster) > 1:
        return True
    return (
        is_emoji(cluster)
        or unicodedata.category(cluster) in ("Cn", "Co", "Mc", "Mn", "Me", "Cf", "Cc", "Cs")
        or "\u1100" <= cluster <= "\u11ff"
    )


def extent(cluster: str) -> int:
    """Returns the most columns that a terminal may use for ``cluster``."""
    return max(2, sum(2 if char_width(char) == 2 or is_emoji(char) else 1 for char in cluster))


@lru_cache(maxsize=1024)
def is_ambiguous(cluster: str) -> bool:
    """True for what an East Asian terminal may draw two columns wide (UAX 11, class A)."""
    return cluster > "~" and unicodedata.east_asian_width(cluster[0]) == "A"
