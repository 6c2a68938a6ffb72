"""Working ahead while the player reads: what is prepared, when it ends, and that a retry is the same with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.commands import dispatch
from flower.engine.provider.base import Completion, Piece
from flower.engine.store import stories
from flower.machine import on_battery
from flower.protocol.messages import ChatChunk, ChatEnd, Prompt, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words

ASKED = "step out of the narrator's part"


class LocalProvider(ScriptedProvider):
    """A model on this machine: says the number of the variant it was asked for, ``gap_s`` a word."""

    local = True

    def refuse(self, model: str, field: str) -> bool:
        return False

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        return ()

    def script(self, completion: Completion) -> Sequence[Piece | Exception]:
        if ASKED in completion.messages[-1].content:
            return words("1. I wait.\n2. I run.\n3. I sing.")
        return words(f"Variant {completion.cue.seed} of the tide comes in, slow and grey. ")

    def open(self, completion: Completion):  # type: ignore[no-untyped-def] # as the base has it
        self.pieces = self.script(completion)
        return super().open(completion)

    @property
    def variants(self) -> int:
        """How many replies it was asked for."""
        return sum(ASKED not in one.messages[-1].content for one in self.completions)


def set_up(world: EngineWorld, prepare: str) -> None:
    services = msgspec.structs.replace(world.engine.services, prepare=prepare, params={})
    world.engine.use(services, world.engine.registry)


def told(face: Face) -> list[object]:
    return [
        e.metadata.preparing for e in face.of(SystemUpdate) if isinstance(e.metadata.preparing, bool)
    ]


async def transcript(world: EngineWorld, face: Face) -> list[tuple[str, str, str]]:
    assert face.client.session is not None
    path = await world.database.read(stories.active_path, face.client.session.id, most=50)
    return [(m.role, m.content, m.status) for m in path]


async def played(path: Path, prepare: str) -> tuple[list[tuple[str, str, str]], int, Face]:
    """Plays a line, three retries and another line; returns the story, the requests for replies and the client."""
    provider = LocalProvider(gap_s=0.1)
    async with engine_world(path, provider) as world:
        set_up(world, prepare)
        face = await world.playing()
        await face.say("I ring the bell.")
        await trio.sleep(60)
        for _ in range(3):
            await face.say("/retry")
            await trio.sleep(60)
        await face.say("I wait.")
        await trio.sleep(60)
        return await transcript(world, face), provider.variants, face


async def test_a_story_is_the_same_with_and_without_preparing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Every reply and status is equal, and every turn has the same events but for their number."""
    plain, asked, other = await played(tmp_path / "a", "never")
    ahead, asked_ahead, face = await played(tmp_path / "b", "always")
    assert ahead == plain
    assert asked == 5
    assert asked_ahead == 7  # each retry was there already; the last two variants nobody wanted
    for one, two in zip(face.of(ChatEnd), other.of(ChatEnd), strict=True):
        assert (one.metadata.reason, one.metadata.total_tokens) == ("done", two.metadata.total_tokens)
        assert one.metadata.usage == two.metadata.usage
    for one, two in zip(face.of(ChatEnd), other.of(ChatEnd), strict=True):
        assert said_in(face, one) == said_in(other, two)


def said_in(face: Face, end: ChatEnd) -> str:
    turn = end.metadata.turn
    return "".join(c.content for c in face.of(ChatChunk) if c.metadata.turn == turn)


async def test_a_retry_that_is_prepared_comes_at_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A reply of more than a second is there without waiting for the model."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.1)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say("I ring the bell.")
        await trio.sleep(60)
        asked = len(world.provider.completions)
        before = trio.current_time()
        await face.say_and_wait("/retry")
        assert trio.current_time() - before < 0.05
        assert face.reasons == ["done", "done"]
        assert face.text.startswith("Variant")
        assert len(world.provider.completions) <= asked + 1  # the next variant


async def test_suggestions_are_there_already(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.1)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say("I ring the bell.")
        await trio.sleep(60)
        asked = len(world.provider.completions)
        await face.say("/suggest")
        await trio.sleep(0.05)
        offered = [e.metadata.suggestions for e in face.of(SystemUpdate) if e.metadata.suggestions]
        assert ("I wait.", "I run.", "I sing.") in offered
        assert len(world.provider.completions) == asked


@pytest.mark.parametrize("what", ["/typing", "I wait.", "/note be brief"])
async def test_a_key_a_line_or_a_command_ends_it_within_50_ms(
    autojump_clock: MockClock, tmp_path: Path, what: str
) -> None:
    """The stream of the variant is closed, and the clients are told."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.5)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await trio.sleep(1.0)
        assert told(face) == [True]
        assert (world.provider.opened, world.provider.closed) == (2, 1)
        with trio.fail_after(0.05):
            await face.say(what)
            while world.provider.closed < 2:
                await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        assert told(face)[:2] == [True, False]
        session = face.client.session
        assert session is not None
        assert not session.prepared


async def test_the_story_is_read_again_while_the_line_is_typed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A server with one place has lost the reply for half a variant; one token asks for it, and ends with the line."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.5)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await trio.sleep(1.0)
        await face.say("/typing")
        await trio.sleep(0.1)
        again = world.provider.completions[-1]
        assert again.max_tokens == 1
        assert [m.content for m in again.messages if m.role == "assistant"][-1].startswith("Variant")
        with trio.fail_after(0.05):
            await face.say("I wait.")
            while world.provider.closed < 3:
                await trio.lowlevel.checkpoint()


async def test_looking_does_not_end_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A tree view, a reconnected screen and an older page ask for nothing of a model."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.5)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await trio.sleep(1.0)
        for what in ("/tree", "/sync", "/history 2", "/show 2"):
            await face.say(what)
        await trio.sleep(60)
        assert told(face) == [True, False]
        session = face.client.session
        assert session is not None
        assert len(session.prepared) == 2


@pytest.mark.parametrize("change", ["/note It rains.", "/persona Ann", "/set temperature 0.3"])
async def test_what_has_changed_is_asked_anew(
    autojump_clock: MockClock, tmp_path: Path, change: str
) -> None:
    """A variant for another prompt is not told."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.1)) as world:
        set_up(world, "always")
        face = await world.playing()
        await face.say("I ring the bell.")
        await trio.sleep(60)
        await face.say(change)
        session = face.client.session
        assert session is not None
        asked, kept = len(world.provider.completions), session.prepared[0].completion
        await face.say_and_wait("/retry")
        anew = world.provider.completions[asked]
        assert anew.cue.seed == kept.cue.seed
        assert anew != kept


async def test_not_while_another_story_is_told(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The one place of a local server is not taken from a story that uses it, and is given back at once."""
    async with engine_world(tmp_path / "db", LocalProvider(gap_s=0.2)) as world:
        set_up(world, "always")
        one, two = await world.playing(), await world.face("two")
        await two.say("/world select forest")
        await two.say("/session new")
        await one.say("I ring the bell.")
        await trio.sleep(1.0)
        await two.say("I climb.")
        await trio.sleep(1.5)  # the first has ended, the second is being told
        assert one.reasons == ["done"]
        assert told(one) == []
        await trio.sleep(60)
        assert told(two) == [True, False]


@pytest.mark.parametrize("prepare", ["never", "local"])
async def test_it_is_off_where_it_costs(
    autojump_clock: MockClock, tmp_path: Path, prepare: str
) -> None:
    """A model with a price is never asked ahead by ``local``, nor any by ``never``."""
    async with engine_world(tmp_path / "db", LocalProvider()) as world:
        set_up(world, prepare)
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await trio.sleep(60)
        assert world.provider.opened == 1  # scripted/one has a price
        assert told(face) == []


async def test_a_failure_is_nobodys_news(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A model that fails while it works ahead costs nothing: no error, and the retry is asked for as ever."""
    provider = ScriptedProvider()
    async with engine_world(tmp_path / "db", provider) as world:
        set_up(world, "always")
        face = await world.playing()
        provider.pieces = words("The lamp.")
        await face.say_and_wait("I ring the bell.")
        provider.pieces = [*words("Half ")[:1]]
        await dispatch.handle(world.engine, face.client, Prompt("I wait."))
        await trio.sleep(60)
        session = face.client.session
        assert session is not None
        assert not session.prepared


@pytest.mark.parametrize(
    ("files", "battery"),
    [
        ({}, False),
        ({"AC/type": "Mains", "BAT0/status": "Charging"}, False),
        ({"AC/type": "Mains", "BAT0/status": "Discharging"}, True),
        ({"mouse/status": "Discharging", "mouse/scope": "Device"}, False),
    ],
)
def test_whether_the_machine_runs_from_its_battery(
    tmp_path: Path, files: dict[str, str], battery: bool
) -> None:
    for name, text in files.items():
        file = tmp_path / "sys/class/power_supply" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    assert on_battery(tmp_path) is battery
