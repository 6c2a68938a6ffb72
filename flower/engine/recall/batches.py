"""Texts that wait for the embedding model, put together into batches. Pure.

The model has no attention mask, so a batch must not be padded: it holds texts of one token length, from
whoever waits. What the model makes of a text does not depend on its company.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from flower import limits


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
    wanted: tuple[tuple[Job, int, int], ...]


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
        oldest first, up to ``limits.EMBED_BATCH_TOKENS``. The same text is run once for everybody.
        """
        length = min(self._jobs[0].left)
        rows: dict[tuple[int, ...], int] = {}
        wanted: list[tuple[Job, int, int]] = []
        for job in self._jobs:
            waiting = job.left.pop(length, [])
            for position, index in enumerate(waiting):
                key = tuple(job.tokens[index])
                if key not in rows and rows and (len(rows) + 1) * length > limits.EMBED_BATCH_TOKENS:
                    job.left[length] = waiting[position:]  # full: the rest is for the next batch
                    break
                wanted.append((job, index, rows.setdefault(key, len(rows))))
        self._jobs = [job for job in self._jobs if job.left]
        return Batch(tuple(rows), tuple(wanted))
