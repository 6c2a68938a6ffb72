"""What clients were told of their last prompts, to be given again when a prompt is repeated. Pure.

In memory only: that a prompt was carried out is in the database, and after a restart a general sentence will do.
"""

from __future__ import annotations

from collections import OrderedDict

KEPT = 256  # prompts, over all clients: who repeats one does so right after a reconnect

Key = tuple[str, str]  # client and request


class Answers:
    """The newest answers by client and request."""

    def __init__(self) -> None:
        self._texts: OrderedDict[Key, tuple[str, ...]] = OrderedDict()

    def keep(self, key: Key, texts: tuple[str, ...]) -> None:
        """Remembers what was said; the oldest is forgotten."""
        self._texts[key] = texts
        while len(self._texts) > KEPT:
            self._texts.popitem(last=False)

    def of(self, key: Key) -> tuple[str, ...]:
        """Returns what was said, () when that is not known any more."""
        return self._texts.get(key, ())
