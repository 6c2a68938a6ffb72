"""From the bytes of a response to pieces of a reply.

Pure. Joins a decoder (how events are framed) with a dialect (what an API family's events mean).
An error inside a stream is a value here, not an exception: the text before it must not be lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from flower.engine.provider.base import Loading, Piece, Reasoning, Text
from flower.engine.provider.errors import Origin, malformed
from flower.engine.provider.framing import Comment, NdjsonDecoder, ServerEvent, SseDecoder
from flower.engine.provider.quote import excerpt
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


# --- Tells a model's thinking from the story when both come in one text.
#
# Owns the tail of the text that may yet turn out to be a tag. Many local servers pass on
# ``<think>...</think>`` as the model wrote it, split anywhere over the chunks.

_OPEN = ("<think>", "<thinking>")
_CLOSE = ("</think>", "</thinking>")
_LONGEST = max(map(len, _OPEN + _CLOSE))


class ThinkSplitter:
    """Cuts a stream of text into story and thinking, and drops the tags.

    ``inside``: the prompt template has opened the tag already, the reply starts with thinking.
    White space around a thinking block at the start of the reply is dropped. White space at the
    start of a reply without thinking is kept: a continued reply may begin with a space. A stray
    closing tag is dropped.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._held = ""  # may be the beginning of a tag
        self._lead = ""  # white space before the first word of the story
        self._begun = False  # a word of the story since the start or the last thinking block
        self._thought = inside

    def feed(self, text: str) -> list[Text | Reasoning]:
        """Returns what is certain so far; the shortest tail that could be a tag is held back."""
        if self._begun and not self._held and not self._inside and "<" not in text:
            return [Text(text)] if text else []
        return self._cut(self._held + text)

    def end(self) -> list[Text | Reasoning]:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return self._piece(held)

    def _cut(self, text: str) -> list[Text | Reasoning]:
        found: list[Text | Reasoning] = []
        self._held = ""
        while text:
            at, tag = _first_tag(text)
            if not tag:
                keep = len(text) - _possible_tag_length(text)
                found += self._piece(text[:keep])
                self._held = text[keep:]
                break
            found += self._piece(text[:at])
            self._pass(tag)
            text = text[at + len(tag) :]
        return found

    def _pass(self, tag: str) -> None:
        closed = self._inside and tag in _CLOSE
        self._inside = tag in _OPEN
        if closed or self._inside:
            self._lead = ""
        if closed:
            self._begun = False
            self._thought = True

    def _piece(self, text: str) -> list[Text | Reasoning]:
        if not text:
            return []
        if self._inside:
            return [Reasoning(text)]
        if self._begun:
            return [Text(text)]
        text = self._lead + text
        if text.isspace():
            self._lead = text
            return []
        self._begun = True
        self._lead = ""
        return [Text(text.lstrip() if self._thought else text)]


def _first_tag(text: str) -> tuple[int, str]:
    """Returns position and text of the first complete tag; an empty tag when there is none."""
    start = text.find("<")
    while start >= 0:
        for tag in _OPEN + _CLOSE:
            if text.startswith(tag, start):
                return start, tag
        start = text.find("<", start + 1)
    return -1, ""


def _possible_tag_length(text: str) -> int:
    """Returns how many characters at the end may be the beginning of a tag."""
    start = text.rfind("<", max(0, len(text) - _LONGEST + 1))
    if start < 0:
        return 0
    tail = text[start:]
    return len(tail) if any(tag.startswith(tail) for tag in _OPEN + _CLOSE) else 0
