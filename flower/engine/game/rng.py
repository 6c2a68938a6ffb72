"""Chance that can be played again: numbers that follow from a seed. Pure.

A hash in counter mode instead of the ``random`` module: what a seed gives is the same on every machine
and in every version of Python, so a roll can still be checked years later.
"""

from __future__ import annotations

import hashlib

_SPAN = 1 << 64


class Seeded:
    """A ``dice.Chance`` whose numbers follow from ``seed`` alone."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "surrogatepass")
        self._drawn = 0

    def randrange(self, stop: int, /) -> int:
        """Returns a number from 0 to ``stop - 1``, all equally likely."""
        whole = _SPAN - _SPAN % stop  # what lies above would make small numbers likelier
        while True:
            self._drawn += 1
            digest = hashlib.blake2b(
                self._seed + self._drawn.to_bytes(8, "big"), digest_size=8
            ).digest()
            number = int.from_bytes(digest, "big")
            if number < whole:
                return number % stop
