"""Text for terminals and pipes whose encoding has no curly quotes: written plainly instead of failing."""

from __future__ import annotations

import codecs
import unicodedata
from io import TextIOWrapper
from typing import TextIO

NAME = "flower.plain"  # of the error handler
_PLAIN = {
    **dict.fromkeys("‘’‚‛′", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−", "-"),
    **dict.fromkeys("•·‣◦", "*"),
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", " "),
    **dict.fromkeys("\u200b\u200c\u200d\ufeff", ""),
    "…": "...",
    "✓": "+",
    "✗": "x",
    "→": "->",
    "←": "<-",
    "€": "EUR",
    "œ": "oe",
    "Œ": "OE",
    "ß": "ss",
}


def plain(character: str) -> str:
    """Returns what a character is in ASCII, "?" where nothing can."""
    if character in _PLAIN:
        return _PLAIN[character]
    letters = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return letters or "?"


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(plain, error.object[error.start : error.end])), error.end


def use_for(*streams: TextIO) -> None:
    """Lets the streams write any text, whatever their encoding is."""
    codecs.register_error(NAME, _replace)
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=NAME)


def write_ascii(*streams: TextIO) -> None:
    """Lets the streams write nothing but ASCII, other letters plainly."""
    codecs.register_error(NAME, _replace)
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="ascii", errors=NAME)
