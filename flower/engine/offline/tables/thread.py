"""The shape of a complication in two beats."""

from __future__ import annotations

from msgspec import Struct


class Thread(Struct, frozen=True):
    """``palette`` is "" for any world; ``words`` are what a player says when turning towards it."""

    mark: str
    words: str
    opening: str
    met: str
    ignored: str
    palette: str = ""
