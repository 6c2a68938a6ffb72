"""Numbers and readiness: counted rightly, in Prometheus' form, and not for strangers."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.base import Text
from flower.engine.server import health
from flower.engine.server.access import Access
from flower.engine.server.app import create_app
from flower.engine.server.health import render
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions.metrics import Histogram
from flower.errors import ProviderError
from flower.home import Home
from tests.engine_world import EngineWorld, engine_world
from tests.fakes import ScriptedProvider, words

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+')


def value(text: str, name: str) -> float:
    """Returns the sample with that name and label."""
    (found,) = re.findall(rf"(?m)^{re.escape(name)} (\S+)$", text)
    return float(found)


async def test_what_happens_is_counted(autojump_clock: MockClock, path: Path, home: Home) -> None:
    provider = ScriptedProvider(words("one two three "), gap_s=0.5)
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say_and_wait("A line.")
        provider.pieces = [Text("half"), ProviderError("overloaded", "Too busy.")]
        await face.say_and_wait("Another.")
        await face.say("/model nowhere/x")
        await face.say("Third.")
        await trio.sleep(0.7)
        await face.say("Waits.")
        text = render(world.engine, home)
        assert value(text, 'flower_turns_total{reason="done"}') == 1
        assert value(text, 'flower_turns_total{reason="error"}') == 1
        assert value(text, 'flower_errors_total{kind="overloaded"}') == 1
        assert value(text, 'flower_errors_total{kind="ProviderError"}') == 1
        assert value(text, "flower_tokens_total") >= 4
        assert value(text, 'flower_first_text_seconds_bucket{le="0.5"}') >= 1
        assert value(text, "flower_first_text_seconds_count") == 2
        assert value(text, "flower_clients") == 1
        assert value(text, "flower_turns_running") == 1
        assert value(text, "flower_lines_waiting") == 1
        assert value(text, "flower_resident_bytes") > 10_000_000
        assert value(text, "flower_open_files") > 3


async def test_the_form_is_prometheus_and_says_nothing_of_stories(
    autojump_clock: MockClock, path: Path, home: Home
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("My secret is under the mole.")
        text = render(world.engine, home)
    for line in text.splitlines():
        assert line.startswith(("# HELP flower_", "# TYPE flower_")) or LINE.fullmatch(line), line
    families = re.findall(r"(?m)^# TYPE (\S+) ", text)
    assert len(families) == len(set(families))
    for word in ("secret", "harbour", "mole", "tide", "scripted"):
        assert word not in text


def test_a_histogram_counts_cumulatively() -> None:
    histogram = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 99.0):
        histogram.add(number)
    assert list(histogram.lines("t")) == [
        't_bucket{le="1.0"} 2',
        't_bucket{le="2.0"} 3',
        't_bucket{le="+Inf"} 4',
        "t_sum 102.000000",
        "t_count 4",
    ]


async def test_readiness_says_what_is_wrong(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_world(path) as world:
        assert await health.look(world.engine) == health.HealthReport(True, ("store: OK", "recall: OK"))
        world.library.trouble = "the model is missing"
        report = await health.look(world.engine)
        assert report == health.HealthReport(True, ("store: OK", "recall: the model is missing"))
        monkeypatch.setattr(limits, "DISK_LOW_BYTES", 1 << 60)
        assert not (await health.look(world.engine)).ready
        monkeypatch.undo()
        await world.database.write(drop_everything)
        report = await health.look(world.engine)
        assert not report.ready
        assert "no such table" in report.lines[0]


def drop_everything(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("ALTER TABLE sessions RENAME TO gone")


async def pages(world: EngineWorld, access: Access, **headers: str) -> dict[str, int]:
    """Returns the status of every page."""
    client = create_app(world.engine, Lifetime(managed=False, linger_s=1), access=access).test_client()
    return {
        page: (await client.get(page, headers=headers)).status_code
        for page in ("/", "/healthz", "/readyz", "/metrics", "/nothing", "/ws/rpc")
    }


async def test_the_pages_and_who_may_see_them(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        for headers, inside in (
            ({}, 200),
            ({"Origin": "http://evil.example"}, 403),
            ({"Host": "evil.example"}, 421),
        ):
            assert await pages(world, Access(), **headers) == {
                "/": 200, "/healthz": 200, "/readyz": inside, "/metrics": inside, "/nothing": 404, "/ws/rpc": 400,
            }  # fmt: skip
        for headers, inside in (({}, 401), ({"Authorization": "Bearer secret"}, 200)):
            found = await pages(world, Access("secret", None), **headers)
            assert (found["/readyz"], found["/metrics"], found["/healthz"]) == (inside, inside, 200)
        assert value(render(world.engine), 'flower_refused_total{status="421"}') == 2
