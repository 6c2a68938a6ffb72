"""Columns of code points, and where one user-perceived character ends and the next begins.

Owns the width rules; never cleans or wraps text. Built on the standard library's ``unicodedata``
(0.2 ms to import), as a width library costs 28 ms before the first frame.

Rules: East Asian Wide and Fullwidth are two columns, marks that do not advance are none, the rest is
one. Clusters follow the spirit of Unicode's UAX 29 (extenders, joined emoji, flags, Hangul syllables) and
are never wider than two columns. Terminals disagree about clusters; ``is_unsure`` names the glyphs
where they may, ``extent`` says how far the worst of them would run.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from flower import limits

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
_emoji_symbol = re.compile(f"[{_EMOJI_SYMBOLS}]").match
_OTHER_SYMBOLS = "".join(char for char in map(chr, range(0x2600, 0x27C0)) if not _emoji_symbol(char))
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


@lru_cache(maxsize=1)
def _sure() -> re.Pattern[str]:
    return re.compile(f"[{_NARROW}{_WIDE}]*")  # 1.3 ms to compile: not before the first frame


def is_sure(text: str) -> bool:
    """True when every code point is a character of its own whose columns nobody disputes."""
    return _sure().fullmatch(text) is not None


# Narrow symbols that become a two-column emoji when U+FE0F follows (emoji-variation-sequences.txt,
# as ranges: a few members that are not emoji do no harm, the cluster is unsure anyway).
_TEXT_EMOJI = re.compile(
    f"[{_EMOJI_SYMBOLS}#*0-9\u00a9\u00ae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u23fa\u24c2\u25aa-\u25fe"
    "\u2934-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
).match

_REGIONAL = ("\U0001f1e6", "\U0001f1ff")
_SKIN = ("\U0001f3fb", "\U0001f3ff")


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """Returns the columns of one code point on its own: 0, 1 or 2."""
    if " " <= char <= "~":
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    if "\u1160" <= char <= "\u11ff":  # Hangul vowels and finals join the syllable before them
        return 0
    if unicodedata.east_asian_width(char) in ("W", "F"):
        return 2
    if "\U0001f300" <= char <= "\U0001faff" and unicodedata.category(char) == "Cn":
        return 2  # an emoji newer than this Python's tables
    return 1


@lru_cache(maxsize=4096)
def _extends(char: str) -> bool:
    """True for what always belongs to the character before it."""
    return (
        char in (ZWJ, ZWNJ)
        or _SKIN[0] <= char <= _SKIN[1]
        or "\u1160" <= char <= "\u11ff"
        or unicodedata.category(char) in ("Mn", "Me", "Mc")
    )


def is_emoji(char: str) -> bool:
    """True for code points that can be joined into one emoji."""
    return _TEXT_EMOJI(char) is not None and char > "\u00ff"


def is_text_emoji(char: str) -> bool:
    """True when U+FE0F after ``char`` means something: it asks for the two-column emoji form."""
    return _TEXT_EMOJI(char) is not None


def is_mark(char: str) -> bool:
    """True for marks that sit on the character before them."""
    return unicodedata.category(char) in ("Mn", "Me", "Mc")


def split(text: str) -> list[str]:
    """Returns the user-perceived characters of ``text``; joined they are ``text`` again."""
    if SIMPLE(text) or is_sure(text):
        return list(text)
    clusters: list[str] = []
    start = 0
    flag_open = False  # the cluster so far is one regional indicator, waiting for its pair
    for index in range(1, len(text)):
        char, last = text[index], text[index - 1]
        regional = _REGIONAL[0] <= char <= _REGIONAL[1]
        if index == start + 1:
            flag_open = _REGIONAL[0] <= last <= _REGIONAL[1]
        joined = (
            _extends(char)
            or (last == ZWJ and is_emoji(char) and is_emoji(text[start]))
            or (regional and flag_open)
        )
        if char == "\n" or last == "\n" or index - start >= limits.CLUSTER_CODE_POINTS:
            joined = False
        if joined:
            flag_open = flag_open and not regional
        else:
            clusters.append(text[start:index])
            start = index
    if text:
        clusters.append(text[start:])
    return clusters


@lru_cache(maxsize=8192)
def cluster_width(cluster: str) -> int:
    """Returns the columns of one user-perceived character: 1 or 2."""
    if len(cluster) == 1:
        return max(1, char_width(cluster))
    if EMOJI_PRESENTATION in cluster and _TEXT_EMOJI(cluster):
        return 2
    if _REGIONAL[0] <= cluster[0] <= _REGIONAL[1]:
        return 2
    return max(1, min(2, sum(map(char_width, cluster))))


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
