"""What of a world's lore is a secret: by its heading, by a mark in front, or by its own words. Pure.

A secret may be recalled for a language model, which keeps it until it is earned. It is shown to
no player, and the offline narrator tells it only to whoever has found it.
"""

from __future__ import annotations

import re

_TITLE = re.compile(
    r"\b(?:secrets?|truth|not said|hidden|spoilers?|what nobody knows)\b", re.IGNORECASE
)
_MARK = re.compile(r"^\W*secret:\s*(?:true|yes)\b|^\W*\(?secret\)?:\s", re.IGNORECASE)
_WORDS = re.compile(
    r"\b(?:in secret|secretly|a secret|in truth|the truth is|the truth about|nobody knows|no one knows|"
    r"has never told|has told nobody|has told no one|has not told|and nobody else|and to nobody else|"
    r"unknown to|where no ?one could see|has said nothing|tells nobody|is hiding the|only lie)\b",
    re.IGNORECASE,
)
# One of these is in whatever the two patterns find; to look for them takes a hundredth of the time. Folded, and
# without the letters that a pattern takes for others than folding does (i and the dotless one).
_STEMS = (
    "secret",
    "truth",
    "nobody",
    "no one",
    "noone",
    "told",
    "unknown to",
    "has sa",
    "ding the",
    "only l",
)


def secret_title(title: str) -> bool:
    """Whether what is under this heading, or path of headings, is a secret."""
    return _TITLE.search(title) is not None


def secret_text(text: str) -> bool:
    """Whether a sentence or a paragraph says of itself that it is a secret: ``Nobody knows that ...``."""
    folded = text.casefold()
    if not any(stem in folded for stem in _STEMS):
        return False
    return _MARK.search(text) is not None or _WORDS.search(text) is not None


def is_secret(title: str, text: str) -> bool:
    """Whether a passage of lore is a secret."""
    return secret_title(title) or secret_text(text)
