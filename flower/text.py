"""Texts made ready: what terminals obey removed, sentences found, cut to one line, numbers with their word. Pure.

All in time proportional to the text. A sentence ends at ``.``, ``!``, ``?`` or ``…``, with whatever closes a quotation
or an emphasis behind it, where white space or the end of the text follows.
"""

from __future__ import annotations

import re

# A run of marks is looked at from its first one only, and never given back in parts: else a text of nothing
# but full stops would be tried from each of them.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»*_)\]]*+(?=\s|\Z)")


# Where one ends inside a text; a full stop of Chinese and Japanese needs no white space behind it.
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’»*_)\]]*+\s++|(?<=[。！？])")


def sentences_of(text: str) -> list[str]:
    """Returns the sentences of a text, each with the quotation mark that closes it."""
    sentences, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if sentence := (text[start : match.start()] + match.group().strip()).strip():
            sentences.append(sentence)
        start = match.end()
    if rest := text[start:].strip():
        sentences.append(rest)
    return sentences


def first_sentence(text: str, most: int) -> str:
    """Returns the first sentence of a text on one line, cut at a word to at most ``most`` characters.

    A cut one ends with ``…``. A text without an end of a sentence is taken whole.
    """
    line = " ".join(text[: most * 4].split())
    end = _END.search(line, 1)
    sentence = line[: end.end()] if end else line
    if len(sentence) <= most:
        return sentence
    return sentence[: most - 1].rpartition(" ")[0].rstrip(" ,;:-") + "…"


def one_line(text: str, most: int) -> str:
    """Returns a text on one line, cut to at most ``most`` characters; a cut one ends with ``…``."""
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def as_sentence(text: str) -> str:
    """Returns a text with a full stop at its end, unless it ends like a sentence already."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def counted(number: int, one: str, many: str = "") -> str:
    """Returns ``number`` with ``one`` or ``many``; without ``many`` an s makes the plural."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


# --- Text from models, cards and clients, made safe to store, send and show.
#
# Removed is what no story needs and terminals obey: C0 and C1 controls except newline and tab, DEL, and lone
# surrogates, which no database or socket can carry. The TUI has a stricter filter of its own for what it draws;
# this one keeps other clients and exported files safe.

_DROPPED: dict[int, str | None] = dict.fromkeys(
    [*(c for c in range(0x20) if chr(c) not in "\n\t"), 0x7F, *range(0x80, 0xA0)]
)
_DROPPED |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def sanitize(text: str) -> str:
    """Returns ``text`` without control characters and lone surrogates; CR LF becomes LF.

    Code point by code point, so cleaning chunks and cleaning the whole text give the same.
    """
    if text.isprintable():
        return text  # the common chunk: no copy
    return text.translate(_DROPPED)
