"""Text from models, cards and clients, made safe to store, send and show. Pure.

Removes what no story needs and terminals obey: C0 and C1 controls except newline and tab, DEL, and
lone surrogates, which no database or socket can carry. Works code point by code point, so cleaning
chunks and cleaning the whole text give the same. The TUI has a stricter filter of its own for what
it draws; this one keeps other clients and exported files safe.
"""

from __future__ import annotations

_DROPPED: dict[int, str | None] = dict.fromkeys(
    [*(c for c in range(0x20) if chr(c) not in "\n\t"), 0x7F, *range(0x80, 0xA0)]
)
_DROPPED |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def sanitize(text: str) -> str:
    """Returns ``text`` without control characters and lone surrogates; CR LF becomes LF."""
    if text.isprintable():
        return text  # the common chunk: no copy
    return text.translate(_DROPPED)
