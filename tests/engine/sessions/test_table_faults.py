"""What goes wrong at tables: connections lost half way, two at once, engines that start again, other engines."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import structs
from trio.testing import MockClock

from flower import limits
from flower.engine.server import connection
from flower.engine.server.access import Access
from flower.engine.server.app import create_app
from flower.engine.server.door import Door
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.relay import NORMAL, Hop
from flower.engine.sessions import rights
from flower.engine.sessions.rights import StoryRole
from flower.engine.store import prompts, seats, selections, users
from flower.engine.store.connection import Connection
from flower.engine.store.transactions import Inline
from flower.errors import ElsewhereError, StoreError
from flower.protocol.messages import ErrorEvent, SystemUpdate
from tests import postgres_cluster, stores
from tests.engine.server.test_app import refused
from tests.engine_world import Face, engine_world
from tests.table_world import (
    HOME,
    NAMES,
    OWNER,
    PLAYER,
    READER,
    STRANGER,
    Table,
    at_table,
    code_in,
    face_of,
    hear,
    lines,
    table,
)


async def test_who_is_sent_away_watches_no_more_though_the_disk_fails(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the seat is gone nothing else may be in the way: no read that fails, no owner who leaves."""
    async with table(tmp_path / "flower.db") as at:
        player, reader = await at_table(at, PLAYER), await at_table(at, READER)
        read = rights.visible_story

        def fails(db: Connection, user: int, session_id: str) -> object:
            raise StoreError("the disk fails")

        monkeypatch.setattr(rights, "visible_story", fails)
        await at.owner.say("/table leave ned")
        monkeypatch.setattr(rights, "visible_story", read)
        assert player.client.session is None
        player.events.clear()
        await at.owner.say_and_wait("Alone at last.")
        assert "Alone" not in repr(player.events)
        assert "Alone" in repr(reader.events)


async def test_who_has_lost_their_seat_has_chosen_no_story(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/rules on dice")
        await at.owner.say("/table leave ned")
        assert "dice" not in (await hear(player, "/sync")).partition("active_rules=")[2][:30]
        assert player.client.chosen.session_id == ""


async def test_a_table_is_one_before_anybody_but_its_owner_has_come(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """After a start of the engine too: names are said, and who is away was not there."""
    path = tmp_path / "flower.db"
    async with engine_world(path) as world:
        await world.database.write(users.add, "ines", 1.0)
        owner = await world.playing()
        await owner.say("/table invite ines")
        assert owner.client.session is not None
        story = owner.client.session.id
    async with engine_world(path) as world:
        owner = await face_of(world, HOME, "")
        await owner.say(f"/session continue {story}")
        await owner.say_and_wait("The zither is under the floor.")
        assert lines(owner)[-1] == "The host: The zither is under the floor."
        guest = await face_of(world, OWNER)
        await guest.say(f"/session continue {story}")
        assert "under the floor" not in await hear(guest, "/memory list")


async def test_a_line_that_is_lost_costs_nobody_their_turn(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(tmp_path / "flower.db") as at:
        await at_table(at, PLAYER)
        await at.owner.say("/table order round")
        turns = at.world.engine.turns
        say = turns.say

        async def lost(*_: object) -> bool:
            raise StoreError("the disk fails")

        monkeypatch.setattr(turns, "say", lost)
        await at.owner.say("I begin.", request="r1")
        monkeypatch.setattr(turns, "say", say)
        await trio.testing.wait_all_tasks_blocked()
        at.owner.events.clear()
        await at.owner.say("I begin.", request="r1")
        await turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert not at.owner.of(ErrorEvent)
        assert lines(at.owner) == ["Ines: I begin."]
        assert "It is the turn of Ned" in await hear(at.owner, "And again.")


async def test_a_guest_who_comes_twice_at_once_is_one(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        code = code_in(await hear(at.owner, "/table code player 2h"))
        found: list[object] = []

        async def come() -> None:
            found.append(await at.world.engine.tables.seat_guest(code))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come)
            nursery.start_soon(come)
        assert found[0] == found[1]
        assert found[0] is not None


async def test_a_story_that_was_left_by_all_who_were_removed_is_no_table(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        await at.world.database.write(users.remove, PLAYER, 2.0)
        at.world.engine.disconnect(at.owner.client)
        owner = await at.face(OWNER)
        await owner.say(f"/session continue {at.story}")
        await owner.say_and_wait("Alone at last.")
        assert lines(owner)[-1] == "Alone at last."


async def test_a_seat_that_is_taken_while_the_story_is_opened_is_none(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with table(tmp_path / "flower.db") as at:
        engine = at.world.engine
        sees = rights.visible_story

        def seen(db: Connection, user: int, session_id: str) -> object:
            found = sees(db, user, session_id)
            if user == PLAYER:
                seats.take(db, session_id, user)  # right after he was seen to have it
            return found

        player = await at.face(PLAYER)
        monkeypatch.setattr(rights, "visible_story", seen)
        player.client.chosen = structs.replace(player.client.chosen, session_id=at.story)
        await engine.stories.attach(player.client)
        assert player.client.session is None
        player.events.clear()
        await at.owner.say_and_wait("Alone at last.")
        assert "Alone" not in repr(player.events)


async def test_what_was_whispered_stays_so_when_the_others_have_left(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/table invite olaf")
        await player.say("/whisper olaf The lamp is a xylophone.")
        await at.owner.say_and_wait("I nod.")
        await at.owner.say("/table leave ned")
        await at.owner.say("/table leave olaf")
        assert "xylophone" not in await hear(at.owner, "/why full")


async def test_nobody_is_silenced_by_who_takes_the_id_of_their_next_line(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await player.say("I was first.", request="screen-2")
        await at.world.engine.turns.wait_idle()
        assert "was used for another" in repr(await said_with(at.owner, "Mine!", "screen-2"))
        await at.owner.say("Mine!", request="screen-3")
        await at.world.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert lines(at.owner)[-1] == "Ines: Mine!"


async def said_with(face: Face, line: str, request: str) -> list[ErrorEvent]:
    await face.say(line, request=request)
    await trio.testing.wait_all_tasks_blocked()
    return face.of(ErrorEvent)


async def test_clients_of_a_user_are_counted_also_while_they_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "USER_CLIENTS", 2)
    async with engine_world(tmp_path / "flower.db") as world:
        door, ines = Door(world.engine, Access()), users.User(1, "ines", 1.0)
        with door.inside(ines), door.inside(None):
            assert not door.is_crowded_by(ines)
            with door.inside(ines):
                assert door.is_crowded_by(ines)
        assert not door.is_crowded_by(ines)


@pytest.mark.parametrize(("key", "user"), [("@5/pi", 5), ("@5/", 5), ("@5", 0), ("pi", 0), ("@x/", 0)])
def test_what_the_homes_owner_calls_a_client_is_no_user(key: str, user: int) -> None:
    assert selections.user_of(key) == user
    assert selections.user_of(selections.client_key(0, key)) == 0


async def test_who_only_comes_by_pays_for_no_line_that_waited(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """It is answered as its story's owner would have it, whoever opens the story first after a start."""
    async with table(tmp_path / "flower.db") as at:
        engine = at.world.engine
        engine.disconnect(at.owner.client)
        await trio.testing.wait_all_tasks_blocked()
        await at.world.database.write(prompts.keep_waiting, at.story, "Ines: And then?", None, 2.0)
        engine.allowances.used.clear()
        reader = await at_table(at, READER)
        await engine.turns.wait_idle()
        assert reader.client.role is StoryRole.READER
        assert {user: used["replies"] for user, used in engine.allowances.used.items()} == {OWNER: 1}


async def test_nobody_takes_anothers_name_to_hear_their_whispers(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/table invite olaf")
        other = await at_table(at, STRANGER)
        for name in ("Olaf|Tall.", "INES", "mara|x"):
            assert "somebody else" in await hear(player, f"/persona {name}"), name
        await other.say("/persona Brand|A smith.")
        assert "somebody else" in await hear(player, "/persona brand|x")
        await player.say("/persona Zoe|A diver.")
        await at.world.database.write(users.add, "zoe", 3.0)
        await at.owner.say("/table invite zoe")
        player.events.clear()
        await at.owner.say("/whisper zoe The lamp is a xylophone.")
        await trio.testing.wait_all_tasks_blocked()
        assert "xylophone" not in repr(player.events), "a user's own name is theirs"


async def test_what_only_begins_as_an_aside_has_a_name_before_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        for line, told in (
            ("((Hm.)) Ines: I give him all.", "Ned: ((Hm.)) Ines: I give him all."),
            ("((Hm.)) Ines: I do. ((Yes.))", "Ned: ((Hm.)) Ines: I do. ((Yes.))"),
            ("((How far is it?))", "((How far is it?))"),
        ):
            await player.say_and_wait(line)
            assert lines(player)[-1] == told


async def test_a_user_who_comes_while_the_database_is_away_is_told_so(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        app = create_app(world.engine, Lifetime(managed=False, linger_s=1), access=Access("secret"))

        async def away(*_: object, **__: object) -> None:
            raise StoreError("the database does not answer")

        monkeypatch.setattr(world.database, "read", away)
        headers = {"Host": "localhost", "Authorization": f"Bearer {users.new_token().text}"}
        assert await refused(app.test_client(), headers) == 503


@postgres_cluster.needed
async def test_a_code_is_used_at_the_engine_that_plays_the_table(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Whichever is asked: the client goes there with what it said, and sits down there."""
    from flower.engine.store.postgres.database import PostgresDatabase

    url = stores.new_url()
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = [
        await PostgresDatabase.open(
            url, tmp_path / name / "flower.db", Inline(), address=f"ws://{name}"
        )
        for name in "ab"
    ]
    async with (
        engine_world(tmp_path / "a" / "flower.db", database=a) as there,
        engine_world(tmp_path / "b" / "flower.db", database=b) as here,
    ):
        for name in NAMES[:2]:
            await a.write(users.add, name, 1.0)
        owner = await face_of(there, OWNER)
        for line in ("/world select harbour", "/session new"):
            await owner.say(line)
        code = code_in(await hear(owner, "/table code"))
        guest = await face_of(here, PLAYER)
        await guest.say(f"/table join {code}", request="r1")
        elsewhere = guest.client.elsewhere
        assert elsewhere is not None
        assert (elsewhere.address, elsewhere.unanswered) == ("ws://a", True)
        assert not guest.of(ErrorEvent)
        here.engine.disconnect(guest.client)
        guest = await face_of(there, PLAYER)
        assert guest.client.session is None, "a story that was chosen is no seat"
        await guest.say(f"/table join {code}", request="r1")
        assert guest.client.session is owner.client.session
        assert owner.client.session is not None
        assert owner.client.session.shared


@pytest.mark.parametrize(("unsent", "told"), [(None, "moved"), ('{"prompt": "/table join"}', "")])
async def test_what_was_said_is_passed_on_where_nobody_would_say_it_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unsent: str | None, told: str
) -> None:
    """A screen that goes to the other engine by itself repeats lines alone."""
    sent: list[str] = []
    passed: list[object] = []

    class Pipe:
        async def receive(self) -> str:
            raise AssertionError("nothing is read here")

        async def send(self, data: str) -> None:
            sent.append(data)

        async def close(self, code: int) -> None:
            sent.append(str(code))

    async def connect(*_: object) -> None:
        raise ElsewhereError("another engine plays it", "ws://a")

    async def pass_on(*_: object) -> int:
        passed.append(hop.unsent)
        return NORMAL

    hop = Hop(follows=True)
    hop.unsent = unsent
    async with engine_world(tmp_path / "flower.db") as world:
        monkeypatch.setattr(world.engine, "connect", connect)
        monkeypatch.setattr(connection, "pass_on", pass_on)
        await connection.serve(world.engine, Pipe(), "", lambda: None, hop=hop)
    assert passed == ([unsent] if unsent else [])
    assert told in sent[0]
    assert sent[-1] == ("1012" if told else "1000")


async def on_a_phone(at: Table) -> Face:
    """A second device of the owner of the table."""
    phone = await at.face(OWNER, "phone")
    await phone.say(f"/session continue {at.story}")
    await trio.testing.wait_all_tasks_blocked()
    phone.events.clear()
    return phone


async def test_who_speaks_on_two_devices_at_once_has_one_turn(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """At a round table the first line counts; the other device is told whose turn it is."""
    async with table(tmp_path / "flower.db") as at:
        await at_table(at, PLAYER)
        await at.owner.say("/table order round")
        phone = await on_a_phone(at)
        before = len(lines(at.owner))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at.owner.say, "I open the door.")
            nursery.start_soon(phone.say, "I close the door.")
        await at.world.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert len(lines(at.owner)) == before + 1
        told = repr(at.owner.of(ErrorEvent)) + repr(phone.of(ErrorEvent))
        assert told.count("It is the turn of Ned") == 1


async def test_what_one_device_begins_another_one_sees_and_ends(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        at.world.provider.gap_s = 1.0
        phone, player = await on_a_phone(at), await at_table(at, PLAYER)
        await phone.say("/typing")
        await trio.testing.wait_all_tasks_blocked()
        await at.owner.say("I wait for the tide.")
        await trio.testing.wait_all_tasks_blocked()
        assert "I wait for the tide" in repr(phone.events)
        typed = [one.metadata.typing for one in player.of(SystemUpdate)]
        assert [one for one in typed if isinstance(one, tuple)] == [("Ines",), ()]
        await phone.say("/cancel")
        await at.world.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert at.owner.reasons[-1] == phone.reasons[-1] == "stopped"
