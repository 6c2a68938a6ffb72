"""A bounded queue between a story and one client. Pure.

``put_nowait`` never waits, so the task that generates a reply never waits for a slow client. What a
client has not read yet is merged: chunks of the same turn become one longer chunk. What still does
not fit is dropped whole and turned into one resync, after which the client holds the truth again.
"""

from __future__ import annotations

from collections import deque

import trio
from msgspec import UNSET, structs

from flower import limits
from flower.protocol.messages import (
    ChatChunk,
    ChatHistory,
    ChatReasoning,
    ChunkMeta,
    Event,
    Recall,
    SyncState,
    SystemUpdate,
)

OUTBOX_EVENTS = 256  # above it the client gets a resync instead of a backlog
ENTRY_CHARS = 120  # of a world, a model or a story in a list
OUTBOX_BYTES = 1 * limits.MIB
CHUNK_MERGE_CHARS = 16_000  # one merged chunk stays far below what a client takes, in any script


class Resync:
    """Takes the place of everything that was dropped: the client must get its state anew."""

    def __repr__(self) -> str:
        return "RESYNC"


RESYNC = Resync()


class _Run:
    """Chunks of one turn that wait to be sent as one; joined only when they are taken."""

    __slots__ = ("first", "kind", "meta", "parts", "size")

    def __init__(self, chunk: ChatChunk | ChatReasoning) -> None:
        self.first = chunk
        self.kind = type(chunk)
        self.meta = chunk.metadata
        self.parts = [chunk.content]
        self.size = len(chunk.content)

    def take(self, chunk: ChatChunk | ChatReasoning) -> bool:
        """Appends ``chunk`` if it continues this run; returns whether it did."""
        mine, other = self.meta, chunk.metadata
        if (
            type(chunk) is not self.kind
            or mine.turn != other.turn
            or other.replace
            or self.size + len(chunk.content) > CHUNK_MERGE_CHARS
            or (isinstance(mine.offset, int) and other.offset != mine.offset + self.size)
        ):
            return False
        self.parts.append(chunk.content)
        self.size += len(chunk.content)
        # The first chunk's offset and what it takes back, the last one's speed.
        self.meta = ChunkMeta(
            model=other.model,
            tokens_per_second=other.tokens_per_second,
            world_id=other.world_id,
            turn=mine.turn,
            offset=mine.offset,
            replace=mine.replace,
        )
        return True

    def event(self) -> ChatChunk | ChatReasoning:
        if len(self.parts) == 1:
            return self.first  # the same for all who watch, so that it is encoded once
        return self.kind("".join(self.parts), self.meta)


class Outbox:
    """Events on their way to one client, in order, bounded in number and size.

    One task calls ``get``; any number of places call ``put_nowait``.
    """

    def __init__(self, events: int = OUTBOX_EVENTS, size: int = OUTBOX_BYTES) -> None:
        self._most_events = events
        self._most_size = size
        self._queue: deque[Event | Resync | _Run] = deque()
        self._size = 0
        self._filled = trio.Event()
        self._closed = False
        self._waiting_since = 0.0  # trio time since when the next event waits
        self.taken_since = 0.0  # the same of the event that was taken last

    def __repr__(self) -> str:
        return f"<Outbox {len(self._queue)} events, {self._size} characters>"

    def __len__(self) -> int:
        return len(self._queue)

    def put_nowait(self, event: Event) -> None:
        """Adds an event; on overflow drops everything waiting in favour of one ``RESYNC``."""
        if self._closed or (self._queue and self._queue[-1] is RESYNC):
            return  # the resync will tell the client about this event as well
        if not self._queue:
            self._waiting_since = trio.current_time()
        self._size += _size(event)
        if isinstance(event, ChatChunk | ChatReasoning):
            last = self._queue[-1] if self._queue else None
            if not (isinstance(last, _Run) and last.take(event)):
                self._queue.append(_Run(event))
        else:
            self._queue.append(event)
        if len(self._queue) > self._most_events or self._size > self._most_size:
            self.resync_nowait()
        self._filled.set()

    def resync_nowait(self) -> None:
        """Drops everything waiting and asks for a resync."""
        self._queue.clear()
        self._queue.append(RESYNC)
        self._size = 0
        self._filled.set()

    def close(self) -> None:
        """No more events; ``get`` hands out what is left, then None."""
        self._closed = True
        self._filled.set()

    async def get(self) -> Event | Resync | None:
        """Waits for and returns the next event; None when the outbox is closed and empty."""
        while not self._queue:
            if self._closed:
                return None
            self._filled = trio.Event()
            await self._filled.wait()
        item = self._queue.popleft()
        self.taken_since, self._waiting_since = self._waiting_since, trio.current_time()
        if isinstance(item, _Run):
            item = item.event()
        if not isinstance(item, Resync):
            self._size -= _size(item)
        return item


def _size(event: Event) -> int:
    """Returns about how many characters an event takes: its text, those of a page or a tree, its lists."""
    if isinstance(event, ChatHistory):
        return sum(len(item.content) for item in event.metadata.history)
    if isinstance(event, Recall):
        return sum(len(item.text) for item in event.metadata.items)
    if not isinstance(event, SystemUpdate | SyncState):
        return len(event.content)
    state = event.metadata
    nodes = sum(len(node.text) for node in state.tree.nodes) if state.tree is not UNSET else 0
    entries = sum(len(value) for value in structs.astuple(state) if isinstance(value, tuple))
    return len(event.content) + nodes + entries * ENTRY_CHARS
