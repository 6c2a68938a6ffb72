"""Turns text into vectors: a model on onnxruntime, in threads of its own. The shipped one is all-MiniLM-L6-v2.

``OnnxEmbedder`` owns them. Nothing is loaded, not even the modules, before the first text comes.
Requests are worked off in small batches; between two batches urgent requests (turns are waiting) go
first, all that wait together, so the background never delays a reply by more than one batch. On a busy
core the background goes after everything else, too.

Never downloads anything, never touches the database.
"""

from __future__ import annotations

import gc
import logging
import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import trio
from msgspec import Struct

from flower import machine
from flower.engine.recall.base import Encoded
from flower.engine.recall.native_check import load_numpy
from flower.errors import EmbedError

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors

log = logging.getLogger(__name__)

EMBED_BATCH_TOKENS = 256  # per run: one long text or several short ones; more is slower and larger

TIDY_AFTER_S = 5.0  # without work, once the model was loaded, and again after so many batches
TIDY_BATCHES = 200


class ModelSession(Protocol):
    """A loaded model; the embedder's threads use it in turn."""

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        """Returns the ids of the tokens of each text."""

    def run(self, batch: Sequence[Sequence[int]]) -> tuple[Vectors, list[TokenVectors]]:
        """Returns the vectors of texts of one length in tokens, and of their tokens; raises ``EmbedError``."""

    def rest(self) -> None:
        """Lets go of what can be read again at once; nobody waits."""


class OnnxEmbedder:
    """A model in its thread. ``state_dir`` remembers that the native modules run here.

    After ``unload_after_s`` seconds without work the model leaves memory; ``None`` keeps it.
    """

    def __init__(
        self,
        open_session: Callable[[], ModelSession],
        model_id: str,
        dimension: int,
        *,
        state_dir: Path | None = None,
        unload_after_s: float | None = None,
    ) -> None:
        self._open = open_session
        self._model_id = model_id
        self._dimension = dimension
        self._state_dir = state_dir
        self._unload_after_s = unload_after_s
        self._queue: queue.SimpleQueue[_EmbedRequest | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def model_id(self) -> str:
        return self._model_id

    @property
    def dimension(self) -> int:
        return self._dimension

    async def _encoded(self, texts: Sequence[str], *, urgent: bool) -> Encoded:
        """Returns the vectors of the texts and of their tokens; raises ``EmbedError``."""
        await load_numpy(self._state_dir)
        if not texts:
            return _EmbedRequest((), urgent, self._dimension, lambda: None).encoded
        if self._thread is None:
            worker = _Worker(self._queue, self._open, self._unload_after_s)
            self._thread = threading.Thread(target=worker.run, name="embedder", daemon=True)
            self._thread.start()
        finished = trio.Event()
        token = trio.lowlevel.current_trio_token()
        request = _EmbedRequest(
            texts, urgent, self._dimension, lambda: token.run_sync_soon(finished.set)
        )
        self._queue.put(request)
        try:
            await finished.wait()
        finally:
            request.dropped = True
        if request.error is not None:
            raise request.error
        return request.encoded

    def close(self) -> None:
        """Ends the thread after its current batch; waiting requests are never answered."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None


class _EmbedRequest:
    """Texts on their way to vectors."""

    def __init__(
        self, texts: Sequence[str], urgent: bool, dimension: int, wake: Callable[[], None]
    ) -> None:
        import numpy as np

        self.texts = texts
        self.urgent = urgent
        nothing = np.empty((0, 0), np.float32)
        self.encoded = Encoded(np.empty((len(texts), dimension), np.float32), [nothing for _ in texts])
        self.error: EmbedError | None = None
        self.dropped = False
        self._wake = wake

    def done(self, error: EmbedError | None = None) -> None:
        self.error = error
        try:
            self._wake()
        except trio.RunFinishedError:
            self.dropped = True  # the engine has ended; nobody waits any more


class _Worker:
    """The embedder's thread: takes requests in, runs one batch, looks for more requests."""

    def __init__(
        self,
        requests: queue.SimpleQueue[_EmbedRequest | None],
        open_session: Callable[[], ModelSession],
        unload_after_s: float | None,
    ) -> None:
        self._requests = requests
        self._open = open_session
        self._unload_after_s = unload_after_s
        self._session: ModelSession | None = None
        self._urgent = Pool()
        self._later = Pool()
        self._unread: deque[_EmbedRequest] = deque()  # not urgent: tokenised when it is their turn
        self._owners: dict[Job, _EmbedRequest] = {}  # who wants the vectors of a job
        self._untidy = 0  # batches since memory was given back
        self._background = NiceThread()

    def run(self) -> None:
        """Works until the queue holds None."""
        try:
            self._work()
        finally:
            self._background.end()

    def _work(self) -> None:
        while self._take_in():
            if not self._urgent and not self._later and self._unread:
                self._read(self._unread.popleft(), self._later)
            pool = self._urgent or self._later
            if pool:
                self._run(pool)

    def _take_in(self) -> bool:
        """Takes in what has come, waiting only when there is nothing to do; returns False at the end."""
        wait = not (self._urgent or self._later or self._unread)
        if wait and self._session is not None and self._requests.empty():
            self._session.rest()
        while True:
            try:
                request = self._requests.get(block=wait, timeout=self._patience())
            except queue.Empty:
                if not wait:
                    return True
                self._rest()
                continue
            if request is None:
                return False
            wait = False
            if request.urgent:
                self._read(request, self._urgent)
            else:
                self._unread.append(request)

    def _patience(self) -> float | None:
        """Returns how long to wait for work. With nothing loaded there is nothing to unload: until it comes."""
        if self._untidy >= TIDY_BATCHES:
            return TIDY_AFTER_S
        return None if self._session is None else self._unload_after_s

    def _rest(self) -> None:
        """Gives memory back when no work has come for a while, and after longer the model."""
        if self._untidy < TIDY_BATCHES:
            self._session = None
            gc.collect()
        self._untidy = 0
        _give_back()

    def _read(self, request: _EmbedRequest, pool: Pool) -> None:
        """Tokenises a request and lets it wait for its batches."""
        if request.dropped:
            return
        try:
            if self._session is None:
                self._session = self._open()
                _give_back()  # what only loading needed
                self._untidy = TIDY_BATCHES
            job = Job(self._session.tokenise(request.texts))
        except EmbedError as error:
            request.done(error)
            return
        except Exception as error:  # the thread's edge: without it nobody would be answered again
            log.exception("texts could not be read for the embedding model")
            request.done(_unforeseen(error))
            return
        self._owners[job] = request
        pool.add(job)

    def _run(self, pool: Pool) -> None:
        """Runs the next batch of a pool and answers the requests that are complete with it."""
        assert self._session is not None  # it has made the tokens
        self._untidy += 1
        batch = pool.take()
        error: EmbedError | None = None
        if any(not self._owners[job].dropped for job, _, _ in batch.owners):
            try:
                run = partial(self._session.run, batch.texts)
                vectors, tokens = run() if pool is self._urgent else self._background.run(run)
                for job, index, row in batch.owners:
                    self._owners[job].encoded.put(index, vectors[row], tokens[row])
            except EmbedError as failed:
                error = failed
            except Exception as failed:  # the thread's edge, as above
                log.exception("a batch of the embedding model crashed")
                error = _unforeseen(failed)
        for job in dict.fromkeys(job for job, _, _ in batch.owners):
            if error is not None or not job.left or self._owners[job].dropped:
                pool.drop(job)
                self._owners.pop(job).done(error)


def _give_back() -> None:
    """Gives back what is free, and what of libraries was needed once."""
    machine.let_go()
    machine.give_back()


def _unforeseen(error: Exception) -> EmbedError:
    """Returns what whoever waits gets to know: there was no memory left, say, or it is a bug."""
    return EmbedError(f"the embedding model failed ({type(error).__name__}); see the engine's log")


# --- Texts that wait for the embedding model, put together into batches. Pure.
#
# The model has no attention mask, so a batch must not be padded: it holds texts of one token length, from
# whoever waits. What the model makes of a text does not depend on its company.


class Job:
    """Texts of one request, as tokens; ``left``: rows that have no vector yet, by token length."""

    def __init__(self, tokens: Sequence[Sequence[int]]) -> None:
        self.tokens = tokens
        self.left: dict[int, list[int]] = {}
        for row, ids in enumerate(tokens):
            self.left.setdefault(len(ids), []).append(row)


class Batch(Struct, frozen=True):
    """Different texts of one token length, and whose they are: (job, its row, row in the batch)."""

    texts: tuple[Sequence[int], ...]
    owners: tuple[tuple[Job, int, int], ...]


class Pool:
    """Jobs that wait, oldest first."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def add(self, job: Job) -> None:
        """Takes a job in, behind all others."""
        if job.left:
            self._jobs.append(job)

    def drop(self, job: Job) -> None:
        """Forgets a job; nothing happens if it is not waiting."""
        if job in self._jobs:
            self._jobs.remove(job)

    def take(self) -> Batch:
        """Returns the next batch and forgets its texts; the pool must not be empty.

        The oldest job's shortest text decides the length; texts of that length of all jobs come along,
        oldest first, up to ``EMBED_BATCH_TOKENS``. The same text is run once for everybody.
        """
        # The oldest decides, so that none starves; its shortest texts first, as they are done soonest.
        length = min(self._jobs[0].left)
        rows: dict[tuple[int, ...], int] = {}
        owners: list[tuple[Job, int, int]] = []
        for job in self._jobs:
            waiting = job.left.pop(length, [])
            for position, index in enumerate(waiting):
                key = tuple(job.tokens[index])
                if key not in rows and rows and (len(rows) + 1) * length > EMBED_BATCH_TOKENS:
                    job.left[length] = waiting[position:]  # full: the rest is for the next batch
                    break
                owners.append((job, index, rows.setdefault(key, len(rows))))
        self._jobs = [job for job in self._jobs if job.left]
        return Batch(tuple(rows), tuple(owners))


# --- A thread of low priority that does one piece of work at a time for another one


# Added to the thread's nice value: on a busy core words of a reply go before what nobody waits for.
POLITENESS = 10

T = TypeVar("T")


class NiceThread:
    """A thread for what nobody waits for: on a busy core the rest of the engine goes before it.

    A thread that has once stepped back cannot step forward again, so what a line waits for runs elsewhere.
    """

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """Returns what ``work`` returns in that thread, and raises what it raises; waits for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="embedder-later", daemon=True)
            self._thread.start()
        self._work.put(work)
        result, error = self._done.get()
        if error is not None:
            raise error
        return cast("T", result)

    def end(self) -> None:
        """Ends the thread, if there is one."""
        if self._thread is not None:
            self._work.put(None)
            self._thread.join()

    def _serve(self) -> None:
        _step_back()
        while (work := self._work.get()) is not None:
            try:
                done = (work(), None)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                self._done.put((None, error))
            else:
                self._done.put(done)


def _step_back() -> None:
    """Lets the rest of the machine go before this thread; where that is forbidden it works as any other.

    Linux alone has a nice value for each thread; elsewhere the whole engine would become slow.
    """
    if sys.platform == "linux":
        me = threading.get_native_id()
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, me, os.getpriority(os.PRIO_PROCESS, me) + POLITENESS)
