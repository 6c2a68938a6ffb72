"""Every command as everybody: none reads or changes another's story, and the table of rights is the one in the docs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.commands import lookup, registry
from flower.engine.sessions.rights import Need, StoryRole, Visitor, refusal
from flower.engine.store import seats
from flower.protocol.messages import ErrorEvent
from tests import postgres_cluster
from tests.engine_world import engine_world
from tests.paths import DOCS
from tests.table_world import (
    HOME,
    PLAYER,
    READER,
    SECRET,
    STRANGER,
    hear,
    table,
)


def attempts(story: str, *, few: bool = False) -> list[str]:
    """Every command, with everything that could name the story or what is in it; goodbye last."""
    ends = ("", f" {story}", f" {story} 2", " orange", " md all", " full", " off")
    if few:
        return [
            f"{name}{end}" for name in lookup.BY_NAME if name.startswith("/session") for end in ends
        ]
    lines = [name + end for name in lookup.BY_NAME if name != "/quit" for end in ends]
    lines += [lookup.EXAMPLES[name] for name in lookup.BY_NAME if name != "/quit"]
    lines += [f"{name} Ines" for name in lookup.BY_NAME if name.startswith("/persona")]
    lines += ["/persona edit 1", "/form save 0 persona 1", "/persona delete 1", "I step in.", "/quit"]
    return lines


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        (STRANGER, "sqlite"),
        (HOME, "sqlite"),
        pytest.param(STRANGER, "postgres", marks=postgres_cluster.needed),
    ],
)
async def test_whoever_has_no_seat_reads_and_changes_nothing(
    autojump_clock: MockClock, tmp_path: Path, user: int, kind: str
) -> None:
    async with table(tmp_path / "flower.db", kind) as at:
        before = await at.rows()
        face = await at.face(user)
        for line in attempts(at.story, few=kind != "sqlite"):
            assert SECRET not in await hear(face, line), line
        await at.world.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert await at.rows() == before
        assert (
            not list((tmp_path / "exports").rglob("*arm*")) if (tmp_path / "exports").exists() else True
        )


async def test_a_reader_changes_nothing(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with table(tmp_path / "flower.db") as at:
        before = await at.rows()
        face = await at.face(READER)
        assert SECRET in await hear(face, f"/session continue {at.story}")
        for line in attempts(at.story):
            if line.startswith("/table leave"):
                continue  # their own seat is theirs
            if face.client.session is None or face.client.session.id != at.story:
                await face.say(f"/session continue {at.story}")
            await face.say(line)
            assert await at.rows() == before, line


async def test_a_player_does_what_the_table_says_and_no_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        face = await at.face(PLAYER)
        await face.say(f"/session continue {at.story}")
        before = await at.rows()
        for name in lookup.BY_NAME:
            if registry.need_of(name) in (Need.OWNER, Need.HOME):
                assert "Only whoever" in await hear(face, lookup.EXAMPLES[name]), name
        for line in (
            f"/session delete {at.story}",
            f"/session pin {at.story}",
            f"/session archive {at.story}",
        ):
            await face.say(line)
        assert await at.rows() == before
        await face.say_and_wait("I light the lamp.")
        assert "I light the lamp." in await at.rows()


async def test_errors_say_the_same_of_anothers_story_and_of_none(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        face = await at.face(STRANGER)
        for command in ("/session continue", "/session delete", "/session pin", "/session restore"):
            texts = []
            for story in (at.story, "nothere"):
                texts.append((await hear(face, f"{command} {story}")).replace(story, "ID"))
                assert face.of(ErrorEvent) or command == "/session restore"
            assert texts[0] == texts[1], command


async def test_no_client_id_leads_to_another_users_choice(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        for user in (STRANGER, HOME):
            for client_id in ("here", "@1/here", "1/here", "@1", ""):
                face = await at.face(user, client_id)
                await trio.testing.wait_all_tasks_blocked()
                assert face.client.session is None, (user, client_id)
                assert SECRET not in repr(face.events)


async def test_a_seat_that_is_taken_away_ends_the_watching_at_the_next_visit(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        face = await at.face(PLAYER)
        await face.say(f"/session continue {at.story}")
        assert face.client.session is not None
        await at.world.database.write(seats.take, at.story, PLAYER)
        again = await at.face(PLAYER)
        assert again.client.session is None


async def test_users_have_libraries_of_their_own(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with table(tmp_path / "flower.db") as at:
        face = await at.face(STRANGER)
        for line in (
            "/world select harbour",
            "/session new",
            "/persona Ines|Another one.",
            "/persona save",
        ):
            await face.say(line)
        mine, hers = await hear(face, "/persona list"), await hear(at.owner, "/persona list")
        for line in ("/set temperature 0.9", "/preset save mine", "/character favourite mara"):
            await face.say(line)
        assert "mine" in await hear(face, "/preset list")
        assert "favourite=True" in await hear(face, "/library characters")
        others = await hear(at.owner, "/preset list") + await hear(at.owner, "/library characters")
        assert "mine" not in others
        assert "favourite=True" not in others
        assert "Another one." in mine
        assert SECRET not in mine
        assert SECRET in hers
        assert "Another one." not in hers


async def test_without_users_nobody_is_asked_for_rights(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """One person: neither seats nor users are read on the way of a line."""
    statements: list[str] = []
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await world.database.read(lambda db: db.set_trace_callback(statements.append))  # type: ignore[attr-defined]
        await face.say_and_wait("I wait.")
        words_of_users = ("seats", "users", "user_days", "user_tokens")
        asked = [one for one in statements if any(word in one for word in words_of_users)]
        assert len(statements) > 5
        assert asked == []


def test_every_command_has_a_row_in_the_registry_in_the_order_of_the_catalogue() -> None:
    assert not set(lookup.BY_NAME) - set(registry.HANDLERS), "give it a row in commands/registry.py"
    assert list(registry.HANDLERS) == list(lookup.BY_NAME)


@pytest.mark.parametrize("need", list(Need))
def test_each_role_may_what_those_below_it_may(need: Need) -> None:
    may = [not refusal(Visitor(7, "x", "m"), role, need) for role in StoryRole]
    assert may == sorted(may)
    assert (need is Need.HOME) == bool(refusal(Visitor(7, "x", "m"), StoryRole.OWNER, need))
    assert not refusal(Visitor(), StoryRole.OWNER, need)


def test_the_table_in_the_documentation_is_the_one_in_the_code() -> None:
    text = (DOCS / "remote.md").read_text()
    for need in Need:
        (row,) = (line for line in text.splitlines() if line.startswith(f"| {need.value} |"))
        told = {name.strip(" `") for name in row.split("|")[3].split(",")}
        rows = {name for name, handler in registry.HANDLERS.items() if handler.need is need}
        assert told - {"lines of the story"} == rows, f"the row {need.value!r} of docs/remote.md"
