"""What comes from a terminal: keys, pastes, mouse and focus events, and its answers. Pure values."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """A key press. ``name`` is like ``a``, ``enter``, ``ctrl+a``, ``shift+tab``; ``text`` what it types.

    Modifiers stand in this order before the key: ``ctrl+``, ``alt+``, ``shift+``.
    """

    name: str
    text: str = ""


class Paste(NamedTuple):
    """Pasted text, lines ended by ``\\n``, at most ``limits.PASTE_BYTES``; not cleaned."""

    text: str
    lost: int = 0  # bytes over that bound


class Mouse(NamedTuple):
    """``kind`` is press, release, move or drag, wheel_up or wheel_down; ``x`` and ``y`` count from 0."""

    kind: str
    x: int
    y: int
    button: int = 0  # 1 left, 2 middle, 3 right
    mods: str = ""  # "ctrl+shift+" as in key names


class Focus(NamedTuple):
    """The terminal's window got or lost the keyboard."""

    gained: bool


class Reply(NamedTuple):
    """An answer of the terminal.

    ``kind`` and ``value``: ``attributes`` (DA1 parameters), ``mode:N`` (DECRQM state 0-4), ``kitty`` (flags),
    ``cursor`` (line, column from 1), ``cell`` (height, width in pixels), ``status`` (0: all is well),
    ``version`` (XTVERSION text), ``other`` (unknown text).
    """

    kind: str
    value: str


Input = Key | Paste | Mouse | Focus | Reply
