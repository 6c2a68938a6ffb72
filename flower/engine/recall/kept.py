"""Vectors of texts that are likely to be asked for again, the least recently used ones forgotten. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower import limits

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors


class Kept:
    """At most ``most`` vectors by their text."""

    def __init__(self, most: int = limits.QUERY_VECTORS_KEPT) -> None:
        self._most = most
        self._vectors: dict[str, Vectors] = {}  # in order of use

    def __contains__(self, text: str) -> bool:
        return text in self._vectors

    def get(self, text: str) -> Vectors | None:
        """Returns the vector of ``text``, or None; it counts as used now."""
        vector = self._vectors.pop(text, None)
        if vector is not None:
            self._vectors[text] = vector
        return vector

    def put(self, text: str, vector: Vectors) -> None:
        """Keeps a vector; the one that was not used for longest goes."""
        self._vectors.pop(text, None)
        self._vectors[text] = vector
        if len(self._vectors) > self._most:
            del self._vectors[next(iter(self._vectors))]
