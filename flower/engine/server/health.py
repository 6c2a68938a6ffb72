"""What an engine tells whoever watches it: whether it can do its work, and its numbers.

``look`` asks the store, recall and the replies that wait for the disk; ``render`` writes the numbers as
Prometheus reads them (text format, version 0.0.4). What can be read off at any time (memory, queues,
sizes) is taken when somebody asks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import trio
from msgspec import Struct

import flower
from flower import limits
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.metrics import Histogram
from flower.engine.store import stories
from flower.errors import FlowerError
from flower.home import Home

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthReport(Struct, frozen=True):
    """A line per part, ``OK`` or what is wrong. ``ready`` is False when nobody should come."""

    ready: bool
    lines: tuple[str, ...]
    draining: bool = False


async def look(engine: Engine) -> HealthReport:
    """Tries the store; of the embedding model says how its last use went. Raises nothing."""
    store = await _store(engine)
    recall = engine.services.library.trouble
    lines = [f"store: {store or 'OK'}", f"recall: {recall or 'OK'}"]
    unsaved = sum(len(session.unsaved) for session in engine.stories.sessions)
    if unsaved:
        lines.append(f"replies: {unsaved} wait for the disk")
    if engine.drain.begun:
        lines.append("engine: draining")
    ready = not store and not unsaved and not engine.drain.begun
    return HealthReport(ready, tuple(lines), engine.drain.begun)


async def _store(engine: Engine) -> str:
    database = engine.services.database
    try:
        await database.read(stories.count_sessions)
        await database.check_place()
        free = shutil.disk_usage(database.path.parent).free
    except (FlowerError, OSError) as error:
        return str(error)
    if free < limits.DISK_LOW_BYTES:
        return f"only {free // limits.MIB} MiB are free on the disk"
    return ""


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
    _of_users(lines, engine)
    for name, text, value in (*_of_engine(engine), *_of_process(), *(_of_files(home) if home else ())):
        _sample(lines, name, "gauge", text, value)
    _sample(lines, f'flower_build_info{{version="{flower.__version__}"}}', "gauge", "The version.", 1)
    return "\n".join(lines) + "\n"


def status(engine: Engine) -> bytes:
    """Returns what ``flower status`` shows, as JSON."""
    return msgspec.json.encode(
        {
            "version": flower.BUILD,
            "started": engine.started_at,
            "clients": len(engine.clients),
            "stories": len(engine.stories.sessions),
            "turns": engine.turns.running,
            "model": engine.registry.default(),
            "memory_bytes": next((int(value) for _, _, value in _of_process()), 0),
        }
    )


Gauge = tuple[str, str, float]


def _of_engine(engine: Engine) -> Iterable[Gauge]:
    waiting = [len(client.outbox) for client in engine.clients]
    yield "flower_clients", "Connected clients.", len(engine.clients)
    yield "flower_stories_open", "Stories somebody watches or that run.", len(engine.stories.sessions)
    yield "flower_turns_running", "Replies being generated.", engine.turns.running
    yield (
        "flower_lines_waiting",
        "Lines behind a reply.",
        sum(s.waiting for s in engine.stories.sessions),
    )
    yield (
        "flower_unsaved_replies",
        "Replies the disk has not taken.",
        sum(len(session.unsaved) for session in engine.stories.sessions),
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


def _of_users(lines: list[str], engine: Engine) -> None:
    """Numbers of users, never names: those are in ``flower user list``, as are the numbers."""
    used = engine.allowances.used
    if not used:
        return
    for key, name, text, unit in (
        ("replies", "flower_user_replies_total", "Replies by user.", 1),
        ("tokens", "flower_user_tokens_total", "Tokens by user, read and written.", 1),
        ("microdollars", "flower_user_cost_usd_total", "Cost by user.", 1e-6),
    ):
        _head(lines, name, "counter", text)
        lines += [f'{name}{{user="{user}"}} {used[user][key] * unit:g}' for user in sorted(used)]


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
