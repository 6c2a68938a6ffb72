"""Brings one growing reply to the disk: what is new of it twice a second, the whole text at its end.

What the reply's prompt was made of is written along with the first flush.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec
import trio

from flower import limits
from flower.engine.sessions.session import GrowingReply
from flower.engine.store import exchanges, streaming_text
from flower.engine.store.connection import Connection, Store
from flower.engine.store.exchanges import PromptRecord
from flower.engine.store.extra import ManifestEntry
from flower.errors import StoreError
from flower.protocol.messages import Usage

log = logging.getLogger(__name__)

FLUSH_INTERVAL_S = 0.45  # the growing reply reaches the disk at least twice a second


class ReplyStorage:
    """Saves one reply. ``notify`` gets a sentence when something could not be kept.

    ``record`` is what is still to be stored of the reply's prompt.
    """

    def __init__(self, database: Store, reply: GrowingReply, notify: Callable[[str], None]) -> None:
        self._database = database
        self._reply = reply
        self._notify = notify
        self._flushed = reply.length
        self._taken_back = 0  # how often text that may be on disk was withdrawn
        self.record: PromptRecord | None = None
        self.ending: ManifestEntry | None = None  # for /why: what ended the reply before its model did

    async def flush_regularly(self) -> None:
        """Brings the growing reply to the disk, so that a power cut costs half a second of it."""
        while True:
            await trio.sleep(self._database.until_flush(FLUSH_INTERVAL_S))
            if self._reply.length == self._flushed and self.record is None:
                continue
            try:
                await self._flush()
            except StoreError as error:
                log.warning("turn=%s not flushed: %s", self._reply.turn, error)

    async def _flush(self) -> None:
        """Appends what has come since the last flush."""
        reply, at, taken_back = self._reply, self._flushed, self._taken_back
        new, model = reply.text[at:], reply.model  # taken here: the reply grows while the thread writes

        def write(db: Connection) -> None:
            if taken_back:
                streaming_text.withdraw(db, reply.message_id, at)
            streaming_text.append(db, reply.message_id, at, new, model)

        await self._write(write, self._database.write_batched)
        if taken_back == self._taken_back:
            self._flushed = at + len(new)

    def take_back(self) -> None:
        """Notes that the reply has become shorter, which may be on the disk already."""
        self._flushed = min(self._flushed, self._reply.length)
        self._taken_back += 1

    async def _write(
        self,
        write: Callable[[Connection], None],
        transaction: Callable[[Callable[[Connection], str]], Awaitable[str]] | None = None,
    ) -> None:
        """Writes in one transaction with what the prompt was made of, if that is not on disk yet."""
        transaction = transaction if transaction is not None else self._database.write
        record = self.record

        def save(db: Connection) -> str:
            note = exchanges.store_prompt(db, record) if record is not None else ""
            write(db)
            return note

        try:
            note = await transaction(save)
        except StoreError:
            raise
        except Exception:  # a bug in what goes along must not cost the words
            if record is None:
                raise
            log.exception("turn=%s what its prompt was made of is not kept", self._reply.turn)
            await self._database.write(write)
            note = ""
        if note:
            self._notify(note)
        if self.record is record:
            self.record = None

    async def save_end(self, status: str, usage: Usage) -> str:
        """Saves the whole reply, also when the turn was cancelled; returns what kept it from that."""
        reply = self._reply
        text, model, spent = reply.text, reply.model, msgspec.to_builtins(usage)
        ending = self.ending

        def end(db: Connection) -> None:
            streaming_text.end(db, reply.message_id, text, status, spent, model)
            if ending is not None:
                exchanges.add_to_manifest(db, reply.message_id, ending)

        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            try:
                await self._write(end)
            except StoreError as failed:
                return str(failed)
            except Exception as bug:  # the end of a turn: its watchers wait for word of it
                log.exception("turn=%s could not be saved", reply.turn)
                return f"not saved: the engine failed ({type(bug).__name__}); see its log"
            return ""
        return "not saved: the disk does not answer"
