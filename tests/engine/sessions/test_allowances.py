"""What users may use: each limit stops them with a sentence, the home's owner has none, and all is counted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.server import health
from flower.engine.store import allowances, stories, users
from flower.engine.store.connection import Connection
from flower.errors import CommandError
from tests.engine.sessions.test_preparing import LocalProvider, set_up
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider
from tests.table_world import OWNER, face_of, hear


@asynccontextmanager
async def limited(
    path: Path, provider: ScriptedProvider | None = None, **most: str
) -> AsyncIterator[tuple[EngineWorld, Face]]:
    async with engine_world(path, provider) as world:
        user = await world.database.write(users.add, "ines", 1.0)
        assert user == OWNER
        for name, number in most.items():
            await world.database.write(allowances.set_limit, user, name, number)
        face = await face_of(world, user)
        await face.say("/world select harbour")
        yield world, face


def test_a_day_is_counted_by_itself(db: Connection) -> None:
    user = users.add(db, "ines", 1.0)
    allowances.set_limit(db, user, "tokens", "100")
    for _ in range(3):
        allowances.spend(db, user, 20, 0.25, 10.0)
    allowances.spend(db, user, 7, 0.0, 10.0 + allowances.DAY_S)
    today = allowances.allowance(db, user, 10.0)
    assert (today.tokens, today.cost) == (60, 0.75)
    assert allowances.allowance(db, user, 10.0 + allowances.DAY_S).tokens == 7


def test_the_disk_that_texts_take_is_that_of_ones_own_stories(db: Connection) -> None:
    for number, owner in enumerate((1, 1, 2)):
        stories.create_session(db, f"s{number}", "", "", "x" * 100, 1.0, owner)
    assert allowances.written_bytes(db, 1) == 200


@pytest.mark.parametrize(
    ("name", "text"),
    [("tea", "1"), ("stories", "-1"), ("stories", "1.5"), ("cost", "1.2.3"), ("cost", "x")],
)
def test_what_is_no_limit_is_refused(db: Connection, name: str, text: str) -> None:
    user = users.add(db, "ines", 1.0)
    with pytest.raises(CommandError):
        allowances.set_limit(db, user, name, text)


def test_limits_are_taken_back(db: Connection) -> None:
    user = users.add(db, "ines", 1.0)
    allowances.set_limit(db, user, "cost", "1.5")
    assert allowances.limits_of(db, user).cost == 1.5
    assert allowances.set_limit(db, user, "cost", "off") == allowances.UserLimits()


async def test_no_more_stories_than_allowed(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with limited(tmp_path / "flower.db", stories="1") as (_, face):
        assert "A new story begins" in await hear(face, "/session new")
        assert "may have 1" in await hear(face, "/session new")
        await face.say_and_wait("I go on in the one I have.")
        assert face.reasons == ["done"]


async def test_no_more_prompts_a_minute_than_allowed_on_all_devices_together(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with limited(tmp_path / "flower.db", prompts="4") as (world, face):
        phone = await face_of(world, OWNER, "phone")
        await face.say("/session list")
        await phone.say("/session list")
        await phone.say("/session list")
        assert "4 prompts a minute" in await hear(phone, "/session list")
        assert "4 prompts a minute" in await hear(face, "I wait.")
        await trio.sleep(61)
        assert "4 prompts a minute" not in await hear(face, "/session list")


@pytest.mark.parametrize("name", ["tokens", "cost"])
async def test_who_has_used_a_day_asks_no_model_and_reads_on(
    autojump_clock: MockClock, tmp_path: Path, name: str
) -> None:
    async with limited(tmp_path / "flower.db", **{name: "0.00001" if name == "cost" else "5"}) as (
        world,
        face,
    ):
        await face.say_and_wait("I ring the bell.")
        asked = len(world.provider.completions)
        for line in ("Again.", "/retry", "/continue", "/suggest", "/impersonate"):
            assert "of a day" in await hear(face, line), line
        assert len(world.provider.completions) == asked == 1
        assert "of a day" not in await hear(face, "/tree")
        home = await world.playing()
        await home.say_and_wait("I have no limits.")
        assert home.reasons == ["done"]


async def test_who_has_filled_their_disk_writes_no_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with limited(tmp_path / "flower.db", disk="0") as (_, face):
        await face.say("/session new")
        await trio.sleep(601)
        assert "may have 0" in await hear(face, "I ring the bell.")


async def test_numbers_of_users_are_told_without_their_names(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with limited(tmp_path / "flower.db") as (world, face):
        assert "flower_user" not in health.render(world.engine)
        await face.say_and_wait("I ring the bell.")
        told = health.render(world.engine)
        assert 'flower_user_replies_total{user="1"} 1' in told
        assert '"ines"' not in told


@pytest.mark.parametrize("line", ["/me waves", "/ooc Hello?", "/as Mara I never saw it", "I wave."])
async def test_no_line_begins_one_story_more_than_allowed(
    autojump_clock: MockClock, tmp_path: Path, line: str
) -> None:
    async with limited(tmp_path / "flower.db", stories="0") as (world, face):
        assert "may have 0" in await hear(face, line)
        assert await world.database.read(stories.count_sessions) == 0


async def test_who_has_filled_their_disk_writes_no_more_files_at_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with limited(tmp_path / "flower.db", disk="1") as (_, face):
        await face.say("/session new")
        assert "Written" in await hear(face, "/export md")
        folder = tmp_path / "exports" / "@ines~1"
        (folder / "long.txt").write_bytes(b"x" * 1_200_000)
        for line in ("/export md", "/export jsonl", "/export character mara"):
            assert "may have 1" in await hear(face, line), line
        assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("name", ["~", "~root", "../x", "/tmp/x", "a/b"])
async def test_a_users_files_stay_in_their_folder(
    autojump_clock: MockClock, tmp_path: Path, name: str
) -> None:
    async with limited(tmp_path / "flower.db") as (_, face):
        await face.say("/session new")
        for end in ("", " overwrite"):
            assert "without folders" in await hear(face, f"/export md {name}{end}")


@pytest.mark.parametrize(
    "asked", ["/impersonate", "/suggest", "/character draft a cook", "/summary remake"]
)
async def test_what_is_asked_beside_the_story_counts(
    autojump_clock: MockClock, tmp_path: Path, asked: str
) -> None:
    async with limited(tmp_path / "flower.db", tokens="100000") as (world, face):
        await face.say_and_wait("I ring the bell.")
        before = world.engine.allowances.used[OWNER]["tokens"]
        replies = world.engine.allowances.used[OWNER]["replies"]
        await face.say(asked)
        await trio.testing.wait_all_tasks_blocked()
        used = world.engine.allowances.used[OWNER]
        assert used["tokens"] > before
        assert used["replies"] == replies
        today = await world.database.read(allowances.allowance, OWNER, world.engine.now())
        assert today.tokens == used["tokens"]


async def test_what_is_prepared_counts_once(autojump_clock: MockClock, tmp_path: Path) -> None:
    provider = LocalProvider()
    async with limited(tmp_path / "flower.db", provider, tokens="100000") as (world, face):
        set_up(world, "always")
        await face.say_and_wait("I ring the bell.")
        await trio.testing.wait_all_tasks_blocked()
        assert len(provider.completions) == 3, "the reply, a variant and suggestions"
        before = world.engine.allowances.used[OWNER]["tokens"]
        for line in ("/suggest", "/retry"):
            await face.say(line)
            await world.engine.turns.wait_idle()
            assert world.engine.allowances.used[OWNER]["tokens"] == before, line


@pytest.mark.parametrize("most", [{"tokens": "1"}, {"cost": "0"}, {"prompts": "3"}, {}])
async def test_nothing_is_prepared_for_who_has_used_their_share(
    autojump_clock: MockClock, tmp_path: Path, most: dict[str, str]
) -> None:
    """And nobody is told: they have not asked."""
    provider = LocalProvider()
    async with limited(tmp_path / "flower.db", provider) as (world, face):
        set_up(world, "always")
        await face.say("/session new")
        for name, number in most.items():
            await world.database.write(allowances.set_limit, OWNER, name, number)
        if "cost" in most:
            await world.engine.turns.say(face.client.session, face.client.chosen, "I wait.", None)  # type: ignore[arg-type]
        else:
            await face.say("I ring the bell.")
        await world.settled()
        assert len(provider.completions) == (1 if most else 3)
        assert "ErrorEvent" not in repr(face.events)
