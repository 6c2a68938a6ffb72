"""A turn's reply on its way to the disk: what is new, half a second at a time."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from flower.engine.sessions import turn_outcome
from flower.engine.store import stories
from flower.errors import StoreError
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words

TELLING = "The tide turns and one by one the lamps come on along the mole. " * 3
GOING_ON = "Far out a bell begins to ring, and a second one answers it from the land. " * 3


def parts(db: sqlite3.Connection) -> list[str]:
    return [text for (text,) in db.execute("SELECT text FROM growth ORDER BY place")]


def newest(db: sqlite3.Connection) -> stories.Message:
    row = db.execute("SELECT max(id) FROM messages").fetchone()
    found = stories.message(db, row[0])
    assert found is not None
    return found


async def test_a_flush_writes_only_what_is_new(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(words(TELLING), gap_s=0.1)) as world:
        face = await world.playing()
        await face.say("I wait.")
        await trio.sleep(2.03)
        flushed = await world.database.read(parts)
        assert len(flushed) == int(2 / turn_outcome.FLUSH_INTERVAL_S)
        assert max(map(len, flushed)) < 40, "half a second is a few words"
        assert face.text.startswith("".join(flushed))
        assert (await world.database.read(newest)).content == "".join(flushed)
        await world.engine.turns.wait_idle()
        assert await world.database.read(parts) == []
        assert (await world.database.read(newest)).content == face.text


async def test_a_continued_reply_grows_from_its_old_text(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(words(TELLING), gap_s=0.1)) as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        old = (await world.database.read(newest)).content
        world.provider.pieces = words(
            GOING_ON
        )  # a model that said the same again would have said nothing new
        await face.say("/continue")
        await trio.sleep(2.03)
        added = "".join(await world.database.read(parts))
        assert added
        assert not added.startswith(old)
        assert (await world.database.read(newest)).content == old + added
        await face.say("/cancel")
        await world.engine.turns.wait_idle()
        assert await world.database.read(parts) == []
        assert (await world.database.read(newest)).content.startswith(old + added)


async def test_what_a_failing_disk_refused_comes_with_the_next_flush(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_world(path, ScriptedProvider(words(TELLING), gap_s=0.1)) as world:
        face = await world.playing()
        await face.say("I wait.")
        await trio.sleep(0.6)
        (first,) = await world.database.read(parts)

        async def refuse(*_: object, **__: object) -> None:
            await trio.lowlevel.checkpoint()
            raise StoreError("not saved: the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(world.database, "write", refuse)
            await trio.sleep(1.0)
        assert await world.database.read(parts) == [first]
        await trio.sleep(0.5)
        flushed = await world.database.read(parts)
        assert flushed[0] == first
        assert len(flushed) == 2
        assert face.text.startswith("".join(flushed))
        assert len("".join(flushed)) > len(face.text) - 40
        await world.engine.turns.wait_idle()
        assert (await world.database.read(newest)).content == face.text


async def test_an_engine_that_was_killed_finds_what_was_flushed(
    autojump_clock: MockClock, path: Path, tmp_path: Path
) -> None:
    """The files as they are in the middle of a reply, opened by the next engine."""
    later = tmp_path / "later.db"
    async with engine_world(path, ScriptedProvider(words(TELLING), gap_s=0.1)) as world:
        face = await world.playing()
        await face.say("I wait.")
        await trio.sleep(2.03)
        flushed = "".join(await world.database.read(parts))
        for log in ("", "-wal"):
            shutil.copy(f"{path}{log}", f"{later}{log}")
    async with engine_world(later) as world:
        found = await world.database.read(newest)
        assert (found.content, found.status) == (flushed, "interrupted")
        assert await world.database.read(parts) == []
