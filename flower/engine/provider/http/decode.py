"""From the bytes of a response to pieces of a reply.

Pure. Joins a decoder (how events are framed) with a dialect (what an API family's events mean), and cleans
what they say (``story_text``). Bodies are read by what they hold, not by what their head calls them.
An error inside a stream is a value here, not an exception: the text before it must not be lost. Nothing
after a finish reason can make a complete reply an error.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from flower import limits
from flower.engine.provider.base import Finish, Loading, Piece, Reasoning, Text
from flower.engine.provider.error_body import excerpt
from flower.engine.provider.errors import Origin, from_payload, malformed
from flower.engine.provider.http.framing import (
    Comment,
    Mender,
    NdjsonDecoder,
    ServerEvent,
    SseDecoder,
    mapping,
    read_document,
    rows,
    string,
)
from flower.engine.provider.story_text import LineStop, StoryReader
from flower.errors import ProviderError

Item = Piece | ProviderError

_ALIVE = Loading("waiting for the model")
_IDLE_EVENTS = frozenset({"ping", "heartbeat", "keepalive", "keep-alive", "keep_alive"})
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")
_SAYINGS = ("message", "detail", "msg", "error_message")


class Dialect(Protocol):
    """What the events of one API family mean.

    ``event`` takes one JSON object and returns items, whatever its fields hold. ``finish`` returns
    ``Finish`` if the provider said that the reply is complete.
    """

    @property
    def finished(self) -> bool:
        """The finish reason was seen; only numbers may follow."""

    @property
    def ended(self) -> bool:
        """The end mark was seen; nothing follows."""

    def event(self, document: dict[str, Any]) -> list[Item]: ...

    def whole(self, document: dict[str, Any]) -> list[Item]:
        """Takes a reply that came as one JSON document although a stream was asked for."""

    def done(self) -> None:
        """Takes the end mark that is no JSON, ``[DONE]``."""

    def finish(self) -> list[Item]: ...


class Cleaner:
    """Makes story and thinking of what the dialect found: whole characters, no marks, nobody else's lines.

    ``expects``: replies begin inside thinking. ``names`` are the player's, at whose line a reply ends;
    ``marks`` are the beginnings of lines of our own prompts.
    """

    def __init__(self, *, expects: bool, names: Collection[str], marks: Collection[str]) -> None:
        self._names = names
        self._marks = marks
        self._text = Mender()
        self._thought = Mender()
        self._reader = StoryReader(expects=expects)
        self._player = LineStop(names, marks)
        self.begun = False

    @property
    def cut(self) -> str:
        """Returns what ended the reply, "" while nothing has."""
        return self._reader.cut or self._player.cut

    @property
    def unopened(self) -> bool:
        """Thinking ended that had not begun: the model's template opens it."""
        return self._reader.unopened

    def take(self, items: list[Item]) -> list[Item]:
        """Returns the items with their text cleaned."""
        cleaned: list[Item] = []
        for item in items:
            if type(item) is Text:
                cleaned += self._pieces_of(self._reader.feed(self._text.feed(item.text)))
            elif type(item) is Reasoning:
                if not self.begun:
                    self._reader.thinks_apart()
                text = self._thought.feed(item.text)
                cleaned += [Reasoning(text)] if text else []
            else:
                cleaned.append(item)
        return cleaned

    def end(self, *, complete: bool) -> list[Item]:
        """Returns what was held back."""
        items = self._pieces_of(self._reader.feed(self._text.end()))
        items += self._pieces_of(self._reader.end(complete=complete))
        rest = self._player.end()
        return [*items, Text(rest)] if rest else items

    def _pieces_of(self, pieces: Sequence[Piece]) -> list[Item]:
        items: list[Item] = []
        for piece in pieces:
            if isinstance(piece, Text):
                text = self._player.feed(piece.text)
                items += [Text(text)] if text else []
            else:
                if not isinstance(piece, Reasoning):
                    self._player = LineStop(self._names, self._marks)  # what it has seen was no story
                items.append(piece)
        self.begun = self.begun or bool(items)
        return items


class Interpreter:
    """Feeds bytes through a decoder into a dialect, and cleans what it says.

    ``decoder`` is the family's usual one; a body that begins otherwise gets the one it needs.
    """

    def __init__(
        self,
        origin: Origin,
        decoder: SseDecoder | NdjsonDecoder,
        dialect: Dialect,
        *,
        expects: bool = False,
        names: Collection[str] = (),
        marks: Collection[str] = (),
    ) -> None:
        self._origin = origin
        self._decoder = decoder
        self._dialect = dialect
        self._cleaner = Cleaner(expects=expects, names=names, marks=marks)
        self._over = False
        self._head: bytearray | None = bytearray()  # until the first byte tells what the body is
        self._document: bytearray | None = None  # a body that is one document
        self._unread = bytearray()  # the body's beginning, while nothing in it was understood
        self._understood = False
        self._suspect = b""  # an event that was no JSON, while nothing after it was

    @property
    def finished(self) -> bool:
        """True once only numbers may follow."""
        return self._dialect.finished

    @property
    def ended(self) -> bool:
        """True once nothing may follow."""
        return self._over or self._dialect.ended or bool(self._cleaner.cut)

    @property
    def unopened(self) -> bool:
        """True when the model thinks without a start mark, which its template has written."""
        return self._cleaner.unopened

    def feed(self, data: bytes) -> list[Item]:
        """Returns the items in ``data``; an error is the last item."""
        if self._over:
            return []
        if self._head is not None:
            self._head += data
            data = self._recognise(bytes(self._head))
        if not self._understood and len(self._unread) < limits.ERROR_BODY_BYTES:
            self._unread += data
        if self._document is not None:
            return self._collect(data)
        items = self._items(self._decoder.feed(data), torn=False)
        if self._decoder.overflowed and not self.ended:
            self._over = True
            if not self.finished:
                items.append(malformed(self._origin, "a line without an end"))
        return items

    def end(self) -> list[Item]:
        """Returns what the end of the stream completes, ``Finish`` last if the reply is complete."""
        if self._over:
            return []
        items: list[Item] = self._rest() if not self.ended else []
        if any(isinstance(item, ProviderError) for item in items):
            return items
        self._over = True
        finish = self._finish()
        complete = bool(finish) and isinstance(finish[-1], Finish) and finish[-1].reason == "done"
        return items + self._cleaner.end(complete=complete) + finish

    def _finish(self) -> list[Item]:
        if cut := self._cleaner.cut:
            return [Finish("done", cut=cut)]
        return self._dialect.finish()

    # --- what kind of body it is ----------------------------------------------------------------

    def _recognise(self, head: bytes) -> bytes:
        """Chooses how to read the body, by its first byte; returns what there is of it."""
        begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not begins or (len(head) < 3 and head == b"\xef\xbb\xbf"[: len(head)]):
            return b""
        self._head = None
        by_line = isinstance(self._decoder, NdjsonDecoder)
        if begins[:1] in (b"[", b"<") or (begins[:1] == b"{" and not by_line):
            self._document = bytearray()
        elif begins[:1] != b"{" and by_line:
            self._decoder = SseDecoder()
        return begins

    def _collect(self, data: bytes) -> list[Item]:
        assert self._document is not None
        self._document += data
        if len(self._document) <= limits.WHOLE_REPLY_BYTES:
            return []
        self._over = True
        return [malformed(self._origin, "far too much data")]

    def _rest(self) -> list[Item]:
        """Returns what is in the end of the body."""
        if self._document is not None:
            return self._whole(bytes(self._document))
        items = self._items(self._decoder.end(), torn=True)
        if self._over or self._dialect.finished or self.ended:
            return items
        if not self._understood and self._unread.strip():
            return items + self._never_understood(bytes(self._unread))
        if self._suspect:
            self._over = True
            items += self._cleaner.end(complete=False)
            items.append(malformed(self._origin, excerpt(self._suspect)))
        return items

    def _never_understood(self, data: bytes) -> list[Item]:
        """A body without one event: a document over several lines, or a sentence about a failure."""
        if data.lstrip().startswith(b"{"):
            try:
                read_document(data)
            except ValueError:
                return []  # it was cut off
            return self._whole(data)
        if any(data.startswith(field) or field.startswith(data) for field in _FIELDS):
            return [malformed(self._origin, excerpt(self._suspect))] if self._suspect else []
        return [from_payload(excerpt(data), self._origin)]

    def _whole(self, data: bytes) -> list[Item]:
        """Returns the items of a body that is one document, or one in each line."""
        try:
            documents = _documents(read_document(data))
            items = [item for document in documents for item in self._of_whole(document)]
        except ValueError:
            items = self._by_lines(data)
        if not items and not self._dialect.finished:
            items = [malformed(self._origin, excerpt(data))]
        if any(isinstance(item, ProviderError) for item in items):
            self._over = True
        return items

    def _of_whole(self, document: dict[str, Any]) -> list[Item]:
        error = error_in(document, "")
        if error is None:
            items = self._cleaner.take(self._dialect.whole(document))
            if items or self._dialect.finished:
                return items
            error = _saying(document)
        return [from_payload(error, self._origin)] if error is not None else []

    def _by_lines(self, data: bytes) -> list[Item]:
        lines = NdjsonDecoder()
        items = self._items(lines.feed(data), torn=False) + self._items(lines.end(), torn=True)
        return items if self._understood else []

    # --- events ---------------------------------------------------------------------------------

    def _items(self, events: Sequence[ServerEvent | Comment], *, torn: bool) -> list[Item]:
        items: list[Item] = []
        for event in events:
            if self.ended:
                break
            if isinstance(event, Comment):
                items.append(_ALIVE)
            else:
                items += self._of_event(event, torn=torn)
        return items

    def _of_event(self, event: ServerEvent, *, torn: bool) -> list[Item]:
        data = event.data.strip()
        if not data or event.name.lower() in _IDLE_EVENTS:
            return [_ALIVE]
        if _is_done(data):
            self._understood = True
            self._dialect.done()
            return []
        try:
            documents = _documents(read_document(data))
        except ValueError:
            if b"\n" in data:  # lines of several events that no blank line parts
                lines = [ServerEvent(line, event.name) for line in data.split(b"\n")]
                return self._items(lines, torn=torn)
            return self._no_json(event, torn=torn)
        self._suspect = b""
        items: list[Item] = []
        for document in documents:
            items += self._of_document(document, event.name)
        if not items and not self._cleaner.begun:
            items = [_ALIVE]
        return items

    def _no_json(self, event: ServerEvent, *, torn: bool) -> list[Item]:
        if event.name.lower() == "error":
            return self._failure(excerpt(event.data))
        if not torn:  # else it was cut in the middle: the missing end mark tells that better
            self._suspect = event.data[: limits.ERROR_BODY_BYTES]
        return [_ALIVE]

    def _of_document(self, document: dict[str, Any], name: str) -> list[Item]:
        if self.ended:
            return []
        self._understood = True
        self._unread.clear()
        error = error_in(document, name)
        if error is not None:
            return self._failed(from_payload(error, self._origin))
        items = self._cleaner.take(self._dialect.event(document))
        for number, item in enumerate(items):
            if isinstance(item, ProviderError):
                return items[:number] + self._failed(item)
        return items

    def _failure(self, text: str) -> list[Item]:
        self._understood = True
        return self._failed(from_payload(text, self._origin))

    def _failed(self, error: ProviderError) -> list[Item]:
        if self._dialect.finished:
            return []
        self._over = True
        return [*self._cleaner.end(complete=False), error]


def _is_done(data: bytes) -> bool:
    return len(data) < 16 and data.strip(b"\"' ").lower() in (b"[done]", b"done")


def _documents(read: object) -> list[dict[str, Any]]:
    """Returns the objects in a document: itself, or those of an array. Anything else says nothing."""
    if isinstance(read, dict):
        return [read]
    return [mapping(row) for row in rows(read) if isinstance(row, dict)]


def error_in(document: dict[str, Any], name: str) -> object:
    """Returns the error that an event of any family holds, None if it holds none."""
    error = document.get("error")
    if error:
        return {**document, "error": error}
    if name.lower() == "error" or document.get("object") == "error" or document.get("type") == "error":
        return document
    if not _ANSWERS.intersection(document):
        return _saying(document)
    return None


_ANSWERS = frozenset(
    {"choices", "usage", "timings", "prompt_progress", "x_groq", "candidates", "promptFeedback"}
    | {"usageMetadata", "type", "done", "content", "response", "token", "object", "id", "model"}
)


def _saying(document: dict[str, Any]) -> object:
    """Returns a document that has no reply but a sentence."""
    return document if any(string(document.get(name)) for name in _SAYINGS) else None
