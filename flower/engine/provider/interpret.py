"""From the bytes of a response to pieces of a reply.

Pure. Joins a decoder (how events are framed) with a dialect (what an API family's events mean).
An error inside a stream is a value here, not an exception: the text before it must not be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from flower.engine.provider.base import Loading, Piece
from flower.engine.provider.errors import Origin, malformed
from flower.engine.provider.ndjson import NdjsonDecoder
from flower.engine.provider.quote import excerpt
from flower.engine.provider.sse import Comment, ServerEvent, SseDecoder
from flower.errors import ProviderError

Item = Piece | ProviderError

_QUEUED = Loading("waiting for the model")


class Dialect(Protocol):
    """What the events of one API family mean.

    ``event`` takes one JSON document and returns items; it raises ``msgspec.MsgspecError`` or
    ``ValueError`` when the document is broken. ``finish`` returns what was held back and, if the
    provider said that the reply is complete, ``Finish`` as the last item.
    """

    @property
    def finished(self) -> bool:
        """The finish reason was seen; only numbers may follow."""

    @property
    def ended(self) -> bool:
        """The end mark was seen; nothing follows."""

    def event(self, data: bytes, name: str) -> list[Item]: ...

    def whole(self, data: bytes) -> list[Item]:
        """Takes a reply that came as one JSON document although a stream was asked for."""

    def finish(self) -> list[Item]: ...


class Interpreter:
    """Feeds bytes through a decoder into a dialect."""

    def __init__(self, origin: Origin, decoder: SseDecoder | NdjsonDecoder, dialect: Dialect) -> None:
        self._origin = origin
        self._decoder = decoder
        self._dialect = dialect
        self._over = False

    @property
    def finished(self) -> bool:
        """True once only numbers may follow."""
        return self._dialect.finished

    @property
    def ended(self) -> bool:
        """True once nothing may follow."""
        return self._over or self._dialect.ended

    def feed(self, data: bytes) -> list[Item]:
        """Returns the items in ``data``; an error is the last item."""
        items = self._items(self._decoder.feed(data), torn=False)
        if self._decoder.overflowed and not self._over:
            self._over = True
            items.append(malformed(self._origin, "a line without an end"))
        return items

    def end(self) -> list[Item]:
        """Returns what the end of the stream completes, ``Finish`` last if the reply is complete."""
        if self._over:
            return []
        items: list[Item] = []
        if not self._dialect.ended:
            items = self._items(self._decoder.end(), torn=True)
        if not self._over:
            items += self._dialect.finish()
        self._over = True
        return items

    def whole(self, data: bytes) -> list[Item]:
        """Returns the items of a reply that came as one document."""
        self._over = True
        try:
            items = self._dialect.whole(data)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            return [malformed(self._origin, excerpt(data))]
        if any(isinstance(item, ProviderError) for item in items):
            return items
        return items + self._dialect.finish()

    def _items(self, events: Sequence[ServerEvent | Comment], *, torn: bool) -> list[Item]:
        items: list[Item] = []
        for event in events:
            if self._over or self._dialect.ended:
                break
            if isinstance(event, Comment):
                items.append(_QUEUED)
            else:
                items += self._of_event(event, torn=torn)
        return items

    def _of_event(self, event: ServerEvent, *, torn: bool) -> list[Item]:
        try:
            items = self._dialect.event(event.data, event.name)
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            if torn:
                return []  # cut in the middle: the missing end mark tells that, with a better sentence
            items = [malformed(self._origin, excerpt(event.data))]
        if items and isinstance(items[-1], ProviderError):
            self._over = True
        return items
