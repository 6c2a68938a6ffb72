"""Numbers about a running engine, as Prometheus reads them.

``Metrics`` counts what happens; ``render`` writes the text format, version 0.0.4. What can be read off
at any time (memory, queues, sizes) is taken when somebody asks. Never a label with text from a story,
a client or a provider: only our own words for kinds and reasons.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import trio

import flower
from flower.home import Home

if TYPE_CHECKING:
    from flower.engine.ending import Outcome
    from flower.engine.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FIRST_TEXT_BOUNDS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RELAY_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Histogram:
    """How many values were at most each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.total += value
        for index, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[index] += 1
                return
        self.counts[-1] += 1

    def lines(self, name: str) -> Iterable[str]:
        """Yields the samples: cumulative buckets, sum, count."""
        seen = 0
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{le="{bound}"}} {seen}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {seen}"


class Metrics:
    """What has happened since the engine started."""

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tokens = 0
        self.first_text = Histogram(FIRST_TEXT_BOUNDS_S)
        self.relay = Histogram(RELAY_BOUNDS_S)

    def turn_ended(self, outcome: Outcome) -> None:
        self.turns[outcome.reason] += 1
        self.tokens += outcome.tokens
        if outcome.first_text_s is not None:
            self.first_text.add(outcome.first_text_s)
        if outcome.trouble:
            self.errors[outcome.trouble] += 1

    def error(self, kind: str) -> None:
        self.errors[kind] += 1

    def refusal(self, status: int) -> None:
        """Counts an upgrade that was refused."""
        self.refused[str(status)] += 1


def render(engine: Engine, home: Home | None = None) -> str:
    """Returns everything as text; ``home`` adds the sizes of its files."""
    lines: list[str] = []
    metrics = engine.metrics
    _counts(lines, "flower_turns_total", "Replies by how they ended.", "reason", metrics.turns)
    _counts(lines, "flower_errors_total", "Errors by class.", "kind", metrics.errors)
    _counts(lines, "flower_refused_total", "Refused clients by status.", "status", metrics.refused)
    _sample(lines, "flower_tokens_total", "counter", "Tokens of all replies.", metrics.tokens)
    _histogram(lines, "flower_first_text_seconds", "From line to first text.", metrics.first_text)
    _histogram(
        lines, "flower_relay_seconds", "From a piece of text to the client's socket.", metrics.relay
    )
    for name, text, value in (*_of_engine(engine), *_of_process(), *(_of_files(home) if home else ())):
        _sample(lines, name, "gauge", text, value)
    _sample(lines, f'flower_build_info{{version="{flower.__version__}"}}', "gauge", "The version.", 1)
    return "\n".join(lines) + "\n"


Gauge = tuple[str, str, float]


def _of_engine(engine: Engine) -> Iterable[Gauge]:
    waiting = [len(client.outbox) for client in engine.clients]
    yield "flower_clients", "Connected clients.", len(engine.clients)
    yield "flower_stories_open", "Stories somebody watches or that run.", len(engine.sessions)
    yield "flower_turns_running", "Replies being generated.", engine.turns.running
    yield "flower_lines_waiting", "Lines behind a reply.", sum(s.waiting for s in engine.sessions)
    yield (
        "flower_unsaved_replies",
        "Replies the disk has not taken.",
        sum(len(session.unsaved) for session in engine.sessions),
    )
    yield "flower_outbox_events", "Events on their way to clients.", sum(waiting)
    yield "flower_outbox_events_max", "Events waiting for the slowest client.", max(waiting, default=0)
    yield "flower_tasks", "Tasks of the event loop.", trio.lowlevel.current_statistics().tasks_living


def _of_process() -> Iterable[Gauge]:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(os.listdir("/proc/self/fd"))
    except (OSError, ValueError, IndexError):  # no /proc here
        return
    yield "flower_resident_bytes", "Memory in use.", pages * os.sysconf("SC_PAGE_SIZE")
    yield "flower_open_files", "Open file descriptors.", files


def _of_files(home: Home) -> Iterable[Gauge]:
    database = (home.database, home.database.with_name(home.database.name + "-wal"))
    yield "flower_database_bytes", "Database with its log.", sum(map(_size, database))
    yield "flower_index_bytes", "Index files.", sum(map(_size, home.index.iterdir()))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _head(lines: list[str], name: str, kind: str, text: str) -> None:
    family = name.partition("{")[0]
    lines += [f"# HELP {family} {text}", f"# TYPE {family} {kind}"]


def _sample(lines: list[str], name: str, kind: str, text: str, value: float) -> None:
    _head(lines, name, kind, text)
    lines.append(f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}")


def _counts(lines: list[str], name: str, text: str, label: str, counts: Mapping[str, int]) -> None:
    _head(lines, name, "counter", text)
    lines += [f'{name}{{{label}="{key}"}} {count}' for key, count in sorted(counts.items())]


def _histogram(lines: list[str], name: str, text: str, histogram: Histogram) -> None:
    _head(lines, name, "histogram", text)
    lines += histogram.lines(name)
