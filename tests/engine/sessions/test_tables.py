"""Stories that several play: seats and codes, whose line it is, whose turn it is, whispers that stay whispers."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.client.events import Send
from flower.engine.commands import lookup
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.rights import Visitor
from flower.engine.sessions.tables import next_speaker
from flower.engine.store import audit, seats, stories, users
from flower.engine.store.seats import SEATS, TABLE_CODES
from flower.protocol.messages import UNSET, ErrorEvent, Recall, State, SystemUpdate
from flower.tui.state import status_line
from tests import tui_world
from tests.engine_world import Face
from tests.table_world import (
    HOME,
    OWNER,
    PLAYER,
    READER,
    STRANGER,
    at_table,
    code_in,
    face_of,
    hear,
    lines,
    table,
)


async def test_who_is_invited_has_the_story_in_their_list_and_plays_under_their_name(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        guest = await at.face(STRANGER)
        assert at.story not in await hear(guest, "/session list")
        assert "invited" not in repr(guest.events)
        assert "sits at this table" in await hear(at.owner, "/table invite olaf")
        await trio.testing.wait_all_tasks_blocked()
        assert at.story in await hear(guest, "/session list")
        await guest.say(f"/session continue {at.story}")
        await guest.say_and_wait("I open the door.")
        assert lines(at.owner)[-1] == "Olaf: I open the door."
        await guest.say("/persona Brand|A smith, slow to speak.")
        await guest.say_and_wait("I shut it.")
        assert lines(at.owner)[-1] == "Brand: I shut it."
        prompt = repr(at.world.provider.completions[-1])
        assert "Brand: A smith, slow to speak." in prompt
        await at.owner.say_and_wait("I sit down.")
        assert lines(at.owner)[-1] == "Ines: I sit down."


async def test_who_leaves_or_is_sent_away_watches_no_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player, reader = await at_table(at, PLAYER), await at_table(at, READER)
        assert "Only whoever made" in await hear(player, "/table leave mara")
        await player.say("/table leave")
        await at.owner.say("/table leave mara")
        await trio.testing.wait_all_tasks_blocked()
        for gone in (player, reader):
            assert gone.client.session is None
            assert "There is no story" in await hear(gone, f"/session continue {at.story}")
        player.events.clear()
        await at.owner.say_and_wait("Alone at last.")
        assert "Alone" not in repr(player.events)
        assert lines(at.owner)[-1] == "Alone at last.", "who plays alone needs no name"


async def test_a_code_seats_whoever_has_it_until_it_ends(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        told = await hear(at.owner, "/table code reader 2h")
        code = code_in(told)
        guest = await at.face(STRANGER)
        for wrong in (code[:-1], code + "x", "", code.partition(".")[0], at.story):
            assert "does not hold" in await hear(guest, f"/table join {wrong}")
        await guest.say(f"/table join {code}")
        assert guest.client.session is not None
        assert "You read at this table" in await hear(guest, "I step in.")
        await at.owner.say("/table code off")
        other = await at.face(HOME)
        assert "does not hold" in await hear(other, f"/table join {code}")
        entries = await at.world.database.read(audit.newest, 20)
        assert code.partition(".")[2] not in repr(entries)
        assert {"code made", "joined", "refused"} <= {entry.event for entry in entries}


async def test_the_homes_owner_plays_at_a_table_like_anybody(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        told = await hear(at.owner, "/table code")
        guest = await at.face(HOME)
        await guest.say(f"/table join {code_in(told)}")
        await guest.say_and_wait("I knock.")
        assert lines(at.owner)[-1] == "Home: I knock."
        assert "Only whoever made" in await hear(guest, "/undo")
        await at.owner.say("/table leave home")
        assert guest.client.session is None


async def test_a_code_that_has_ended_seats_nobody(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with table(tmp_path / "flower.db") as at:
        token = users.new_token()
        await at.world.database.write(seats.add_code, at.story, token, "player", 10.0, 1.0)
        assert await at.world.database.read(seats.by_code, token.text, 9.9) == (at.story, "player")
        assert await at.world.database.read(seats.by_code, token.text, 10.0) is None


async def test_who_has_nothing_but_a_code_is_a_guest_until_it_ends(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        told = await hear(at.owner, "/table code player 2h")
        code = code_in(told)
        tables, database = at.world.engine.tables, at.world.database
        assert await tables.seat_guest(code[:-1]) is None
        guest = await tables.seat_guest(code)
        assert guest is not None
        again = await database.read(users.by_token, code, 2.0)
        assert again is not None
        assert again.id == guest.id, "the same one, not another"
        visitor = Visitor(guest.id, guest.name, code.partition(".")[0])
        face = Face(at.world.engine, await at.world.engine.connect(Outbox(), "", visitor=visitor))
        at.world.nursery.start_soon(face.listen)
        assert face.client.session is not None
        assert face.client.session.id == at.story, "at the table at once"
        await face.say_and_wait("I knock.")
        assert lines(at.owner)[-1].endswith(": I knock.")
        assert "may have 0" in await hear(face, "/session new")
        await at.owner.say("/table code off")
        assert await database.read(users.by_token, code, 2.0) is None
        assert await tables.seat_guest(code) is None
        await database.write(users.remove_ended_guests, 3.0)
        assert all(one.user != guest.id for one in await tables.here(face.client.session))


async def test_a_whisper_is_heard_by_two_and_the_narrator_alone(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player, reader = await at_table(at, PLAYER), await at_table(at, READER)
        for face in (at.owner, player):
            face.events.clear()
        await player.say("/whisper Ines The lamp is a xylophone.")
        await trio.testing.wait_all_tasks_blocked()
        assert "xylophone" in repr(player.events)
        assert "xylophone" in repr(at.owner.events)
        assert "xylophone" not in repr(reader.events)
        await at.owner.say_and_wait("I nod.")
        assert "xylophone" in repr(at.world.provider.completions[-1])
        await at.owner.say("/table invite olaf")
        other = await at_table(at, STRANGER)
        for face in (reader, other):
            for line in ("/whisper", "/session search xylophone", "/tree", "/show 3", "/history 99", "/export md",
                         "/why", "/memory list", "/memory search xylophone", "/recall xylophone", "/summary",
                         "/why full", "/sync", f"/session continue {at.story}", "/state"):  # fmt: skip
                told = await hear(face, line)
                assert "xylophone" not in told.replace(repr(line), "").replace("'xylophone'", ""), line
        exports = (tmp_path / "exports").rglob("*")
        assert all(b"xylophone" not in one.read_bytes() for one in exports if one.is_file())
        assert "xylophone" in await hear(player, "/whisper")


async def test_what_a_player_asks_for_alone_is_made_without_whispers(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/whisper ned Trust the xylophone.")
        await at.owner.say_and_wait("I nod.")
        for line in ("/suggest", "/impersonate"):
            at.world.provider.completions.clear()
            await player.say(line)
            await trio.sleep(1)
            assert at.world.provider.completions
            assert "xylophone" not in repr(at.world.provider.completions), line


async def test_the_last_prompt_is_not_shown_to_who_did_not_hear_what_is_in_it(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/table invite olaf")
        await player.say("/whisper olaf The lamp is a xylophone.")
        await at.owner.say_and_wait("I nod.")
        told = await hear(at.owner, "/why full")
        assert "xylophone" not in told
        assert at.owner.of(ErrorEvent)


async def test_at_a_round_table_each_speaks_in_turn_and_who_is_away_is_passed_over(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        await at.owner.say("/table order round")
        await at.owner.say_and_wait("I begin.")
        assert "It is the turn of Ned" in await hear(at.owner, "And again.")
        await player.say_and_wait("I follow.")
        await at.owner.say_and_wait("My turn.")
        at.world.engine.disconnect(player.client)
        await at.owner.say_and_wait("He is away.")
        assert [line.partition(":")[0] for line in lines(at.owner)][-3:] == [
            "Ned",
            "Ines",
            "Ines",
        ]
        await at.owner.say("/table order free")
        stored = await at.world.database.read(stories.session, at.story)
        assert stored is not None
        assert stored.extra.table_order == ""


@pytest.mark.parametrize(
    ("players", "last", "present", "expected"),
    [
        ([0, 1, 2], 0, {0, 1, 2}, 1),
        ([0, 1, 2], 2, {0, 1, 2}, 0),
        ([0, 1, 2], 0, {0, 2}, 2),
        ([0, 1, 2], -1, {0, 1, 2}, 0),
        ([0, 1, 2], 1, {1}, 1),
        ([0, 1, 2], 1, set(), None),
        ([], 1, {1}, None),
    ],
)
def test_the_turn_goes_round(
    players: list[int], last: int, present: set[int], expected: int | None
) -> None:
    assert next_speaker(players, last, present) == expected


async def test_a_line_sent_twice_at_a_round_table_is_said_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        await at_table(at, PLAYER)
        await at.owner.say("/table order round")
        for _ in range(2):
            await at.owner.say("I begin.", request="r1")
            await at.world.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
        assert [one for one in lines(at.owner) if "I begin." in one] == ["Ines: I begin."]
        assert not at.owner.of(ErrorEvent), "though it is another's turn by now"
        guest = await at.face(STRANGER)
        for _ in range(2):
            guest.events.clear()
            await guest.say("/table join 000000000000.x", request="r2")
            await trio.testing.wait_all_tasks_blocked()
            assert guest.of(ErrorEvent), "refused again, not taken for done"


async def test_who_types_is_shown_to_the_others_and_is_no_event_of_its_own(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at_table(at, PLAYER)
        at.owner.events.clear()
        for _ in range(3):
            assert await hear(player, "/typing") == "[]"
        (event,) = at.owner.of(SystemUpdate)
        assert (event.content, event.metadata) == ("", State(typing=("Ned",)))
        await trio.sleep(10)
        assert at.owner.of(SystemUpdate)[-1].metadata == State(typing=()), "it fades"
        await player.say("/typing")
        await player.say_and_wait("I light the lamp.")
        told = [
            one.metadata.typing for one in at.owner.of(SystemUpdate) if one.metadata.typing is not UNSET
        ]
        assert told[-2:] == [("Ned",), ()], "said"


async def test_who_comes_is_told_who_sits_there(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with table(tmp_path / "flower.db") as at:
        player = await at.face(PLAYER)
        told = await hear(player, f"/session continue {at.story}")
        assert "table=('Ines', 'Ned', 'mara')" in told
        await at.owner.say("/table leave mara")
        await trio.testing.wait_all_tasks_blocked()
        assert player.of(SystemUpdate)[-1].metadata == State(table=("Ines", "Ned"))


async def test_who_was_away_recalls_nothing_of_what_was_said_meanwhile(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        await at.owner.say_and_wait("The zither is under the floor.")
        player = await at_table(at, PLAYER)
        await player.say_and_wait("I look for the accordion.")
        memories = await at.world.engine.services.library.list(f"memory:{at.story}")
        (secret,) = (one.id for one in memories if "zither" in one.text)
        for line in (
            "/memory list",
            "/memory search zither floor",
            f"/memory show {secret}",
            "/recall zither",
        ):
            heard = (await hear(player, line)).replace("'zither floor'", "").replace("'zither'", "")
            assert "zither" not in heard, line
        player.events.clear()
        await player.say_and_wait("I look under the floor.")
        assert player.of(Recall), "the narrator knows of it"
        assert "zither" not in repr(player.of(Recall))
        assert "accordion" in await hear(player, "/memory list")
        assert "zither" in await hear(at.owner, "/memory list")


async def test_a_table_has_so_many_seats_and_codes(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with table(tmp_path / "flower.db") as at:
        for number in range(SEATS - 2):
            await at.world.database.write(users.add, f"u{number}", 1.0)
            assert "sits at" in await hear(at.owner, f"/table invite u{number}")
        assert "the most there can be" in await hear(at.owner, "/table invite olaf")
        for _ in range(TABLE_CODES):
            assert "/table join" in await hear(at.owner, "/table code")
        assert "the most" in await hear(at.owner, "/table code")


async def test_every_example_of_a_table_is_understood(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with table(tmp_path / "flower.db") as at:
        for name, example in lookup.EXAMPLES.items():
            if name.startswith("/table") and name != "/table join":
                await hear(at.owner, example)
                assert not at.owner.of(ErrorEvent), example
        again = await face_of(at.world, OWNER)
        assert again.client.session is not None


def test_a_screen_tells_a_table_that_a_line_is_typed_and_no_command() -> None:
    screen = tui_world.Face().online(session="s", chosen=True, table=("Ines", "Ned"))
    assert _typed(screen, "Hi") == 1
    screen.tick(2.0)
    assert _typed(screen, "!") == 0, "at most every three seconds"
    screen.tick(2.0)
    assert _typed(screen, "!") == 1
    alone = tui_world.Face().online(session="s", chosen=True)
    assert _typed(alone, "Hello") == 0
    commanding = tui_world.Face().online(session="s", chosen=True, table=("Ines", "Ned"))
    assert _typed(commanding, "/table list") == 0


def _typed(screen: tui_world.Face, keys: str) -> int:
    """Types keys; returns how often the engine was told."""
    screen.effects.clear()
    screen.type(keys)
    return sum(isinstance(one, Send) and one.prompt == "/typing" for one in screen.effects)


def test_a_screen_shows_who_types_until_they_stop() -> None:
    screen = tui_world.Face().online(session="s", chosen=True, table=("Ines", "Ned", "Mara"))
    screen.says(SystemUpdate("", State(typing=("Ned", "Mara"))))
    assert "Ned and Mara typing" in status_line.of(screen.model).text
    screen.says(SystemUpdate("", State(typing=())))
    assert "typing" not in status_line.of(screen.model).text
    screen.says(SystemUpdate("", State(typing=("Ned",))))
    screen.says(SystemUpdate("", State(session_id="another")))
    assert screen.model.replica.table == screen.model.replica.typing == ()
