"""The text that keys are looked for in: messages, further texts, what other entries brought. Pure.

An entry sees only as many of the newest messages as its scan depth says, so for every term the newest
message with it is noted. Patterns get one text, in which the parts are parted as other programs do it:
a line break and a sign that no key has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from flower.engine.lorebook.book import TextSource
from flower.engine.lorebook.index import KeyIndex

__all__ = ["ScanText", "View"]

_MARK = "\x01"


class View(Struct, frozen=True):
    """What one entry sees."""

    depth: int
    sources: tuple[TextSource, ...]
    recursion: bool  # texts of other entries too


class ScanText:
    """All texts of one scan. ``messages`` are newest first, as they are to be read."""

    def __init__(
        self,
        index: KeyIndex,
        messages: Sequence[str],
        sources: Mapping[TextSource, str],
        injected: Sequence[str],
    ) -> None:
        self._index = index
        self._messages = messages
        self._sources = sources
        self._injected = injected
        self._recursion: list[str] = []
        self._newest: dict[int, int] = {}  # term: first message that has it
        self._read = 0
        self._in_sources = {source: index.find(text) for source, text in sources.items()}
        self._in_injected = frozenset().union(*(index.find(text) for text in injected))
        self._in_recursion: set[int] = set()
        self._texts: dict[View, str] = {}

    def first_terms(self) -> set[int]:
        """Returns the terms of all texts that are there from the beginning but for the messages."""
        return set(self._in_injected).union(*self._in_sources.values())

    def read(self, depth: int) -> set[int]:
        """Reads messages down to ``depth``; returns the terms that come with them."""
        fresh: set[int] = set()
        for at in range(self._read, min(depth, len(self._messages))):
            for term in self._index.find(self._messages[at]):
                if term not in self._newest:
                    self._newest[term] = at
                    fresh.add(term)
        self._read = max(self._read, min(depth, len(self._messages)))
        return fresh

    def add(self, text: str) -> frozenset[int]:
        """Adds what entries brought; returns the terms in it."""
        self._recursion.append(text)
        self._texts.clear()
        terms = self._index.find(text)
        self._in_recursion |= terms
        return terms

    @property
    def grown(self) -> bool:
        """Whether an entry has brought anything."""
        return bool(self._recursion)

    def has(self, term: int, view: View) -> bool:
        """Returns whether the term is in what a view shows. The messages must have been read."""
        return (
            self._newest.get(term, view.depth) < view.depth
            or term in self._in_injected
            or (view.recursion and term in self._in_recursion)
            or any(term in self._in_sources.get(source, ()) for source in view.sources)
        )

    def parts(self, view: View) -> list[str]:
        """Returns the texts of a view, in order."""
        parts = list(self._messages[: view.depth])
        parts += [
            self._sources[source]
            for source in TextSource
            if source in view.sources and self._sources.get(source)
        ]
        parts += self._injected
        return parts + self._recursion if view.recursion else parts

    def text(self, view: View) -> str:
        """Returns a view as one text, for patterns."""
        text = self._texts.get(view)
        if text is None:
            text = self._texts[view] = _MARK + f"\n{_MARK}".join(self.parts(view))
        return text
