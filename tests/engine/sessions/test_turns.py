"""Turns: their names, what they are begun with, and what follows when the disk was late."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
import trio
import trio.testing
from msgspec import UNSET
from trio.testing import MockClock

from flower.engine.prompt.assemble import Assembled
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.request import SHRINK_SHARE, PreparedPrompt, shorter
from flower.engine.prompt.sections import NSFW_ON
from flower.engine.provider.base import Completion, Finish, Text
from flower.engine.provider.base import PromptMessage as Said
from flower.engine.recall.query import context_of
from flower.engine.recall.vector_indexes import VectorIndexes
from flower.engine.sessions import after_turn, departures, open_stories
from flower.engine.sessions.outbox import Outbox
from flower.engine.store import selections, stories
from flower.engine.store.exchanges import PromptRecord
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError, StoreError
from flower.protocol.messages import ChatChunk, ChatEnd, ChatHistory, ErrorEvent, SystemUpdate
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, WordLibrary, words


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def turns_of(face: Face) -> list[object]:
    return [end.metadata.turn for end in face.of(ChatEnd)]


class Disk:
    """Makes the writes of a world fail for as long as the disk is full."""

    def __init__(self, world: EngineWorld, full: Callable[[Any], bool]) -> None:
        self.full = full
        self._write = world.database.write
        world.database.write = self.write  # type: ignore[method-assign] # stands in for the disk

    async def write(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        if self.full(function):
            raise StoreError("not saved: the disk is full")
        return await self._write(function, *args, **kwargs)


# --- the names of turns -------------------------------------------------------------------------


async def test_two_continuations_without_new_text_are_two_turns(
    autojump_clock: MockClock, path: Path
) -> None:
    """A face that has seen the end of the first must not take the second one's text for its own."""
    silent = ScriptedProvider(words("The tide turns. "))
    async with engine_world(path, silent) as world:
        face = await world.playing()
        await face.say_and_wait("I look.")
        silent.pieces = []
        await face.say_and_wait("/continue")
        await face.say_and_wait("/continue")
        turns = turns_of(face)
        assert len(turns) == 3
        assert len(set(turns)) == 3


async def test_a_face_that_comes_during_a_continuation_is_told_its_turn(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = ScriptedProvider(words("The tide turns. "), gap_s=1.0)
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say_and_wait("I look.")
        await face.say("/continue")
        await trio.sleep(1.5)
        late = await world.face()
        await world.settled()
        (history,) = late.of(ChatHistory)
        turn = turns_of(late)[-1]
        assert history.metadata.turn == turn
        chunks = "".join(c.content for c in late.of(ChatChunk) if c.metadata.turn == turn)
        assert history.metadata.history[-1].content + chunks == (await replies(world, face))[-1]


async def test_memories_wait_until_a_prompt_leaves_some_of_the_story_out(
    autojump_clock: MockClock, path: Path
) -> None:
    """The first prompts of a story have all of it: nothing is embedded in haste for them."""
    provider = ScriptedProvider(words("The tide turns. "))
    async with engine_world(path, provider) as world:
        face = await world.playing()
        for line in ("I look.", "I wait."):
            await face.say_and_wait(line)
            assert not world.library.hurried
        for number in range(1, 40):
            told = " ".join(map(hex, Random(number).sample(range(10**6), 300)))  # no two alike
            provider.pieces = [Text(told), Finish("done")]
            await face.say_and_wait(f"I listen, time {number}.")
            if world.library.hurried:
                break
        assert 2 < number < 39


async def replies(world: EngineWorld, face: Face) -> list[str]:
    assert face.client.session is not None
    rows = await world.database.read(stories.active_path, face.client.session.id)
    return [row.content for row in rows if row.role == "assistant"]


# --- what was chosen ----------------------------------------------------------------------------


async def test_a_line_that_waited_is_answered_with_what_was_chosen_when_it_was_sent(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = ScriptedProvider(words("a b c "), gap_s=1.0)
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say("First.")
        await face.say("/nsfw on")
        await face.say("Second.")
        await face.say("/nsfw off")
        await world.engine.turns.wait_idle()
        await trio.sleep(30)
        told = [completion.messages[0].content for completion in provider.completions]
        assert [NSFW_ON in text for text in told] == [False, True]


async def test_clients_without_an_id_do_not_undo_each_others_choice(
    autojump_clock: MockClock, path: Path
) -> None:
    """Only what a command changes is written: the world of one and the character of the other stay."""
    async with engine_world(path) as world:
        one, other = await world.face(), await world.face()
        await one.say("/world select forest")
        await other.say("/character select mara")
        chosen = await world.database.read(selections.load, "")
        assert (chosen.world_id, chosen.character_id) == ("forest", "mara")


async def test_a_story_that_is_open_keeps_its_window_when_another_face_opens_it(
    autojump_clock: MockClock, path: Path
) -> None:
    """Two faces come at once; a turn of the first has moved the window before the second has read it."""
    async with engine_world(path) as world:
        face = await world.playing()
        session = face.client.session
        assert session is not None
        world.engine.disconnect(face.client)
        read = world.database.read

        async def slow_read(function: Any, *args: Any, **kwargs: Any) -> Any:
            found = await read(function, *args, **kwargs)
            if function is stories.session:  # another face is faster
                world.database.read = read  # type: ignore[method-assign]
                faster = await world.engine.connect(Outbox())
                assert faster.session is not None
                faster.session.move_window(77)
            return found

        world.database.read = slow_read  # type: ignore[method-assign] # the moment is made wide
        late = await world.engine.connect(Outbox())
        assert late.session is not None
        assert late.session.window_start == 77


# --- when the disk was full ---------------------------------------------------------------------


async def test_what_a_reply_proposes_is_settled_when_the_disk_has_taken_it(
    autojump_clock: MockClock, path: Path
) -> None:
    proposing = "You fall.\n\n```state\nplace: The cellar\n```"
    async with engine_world(path, ScriptedProvider(words(proposing))) as world:
        services = msgspec.structs.replace(world.engine.services, narrator_updates=True)
        world.engine.use(services, world.engine.registry)
        face = await world.playing()
        assert face.client.session is not None
        session = face.client.session
        disk = Disk(world, lambda _: session.reply is not None)
        await face.say("I step back.")
        await world.engine.turns.wait_idle()
        assert session.unsaved
        disk.full = lambda _: False
        await trio.sleep(60)
        assert not session.unsaved
        news = [update.content for update in face.of(SystemUpdate)]
        assert any("place: The cellar" in line for line in news)
        memories = [p.text for p in world.library.passages if p.kind == "memory"]
        assert memories == ["The player: I step back.\nThe narrator: You fall."]


# --- ready for the next line --------------------------------------------------------------------


async def test_what_the_next_line_follows_upon_is_known_before_it_comes(
    autojump_clock: MockClock, path: Path
) -> None:
    """What recall was told to expect is what it is asked, for the first line and for a later one."""
    library = WordLibrary()
    async with engine_world(path, library=library) as world:
        face = await world.playing()
        for line in ("I look around.", "I walk on.", "I sit down."):
            await face.say_and_wait(line)
            assert context_of(library.queries[-1]) in map(str.strip, library.expected)
        assert len(library.expected) == 4


# --- a prompt that was too long -----------------------------------------------------------------


def model_with(counter: TokenCounter) -> ChosenModel:
    return ChosenModel(id="scripted/m", provider=ScriptedProvider(), name="m", counter=counter)


def refused(counter: TokenCounter, tokens: int, context: int = 8192, most: int = 400) -> PreparedPrompt:
    completion = Completion("m", (Said("user", "x"),), most, context, {})
    assembled = Assembled((), (), tokens, 0, None, 0)
    record = PromptRecord(
        session_id="s", line_id=1, reply_id=2, line=None, manifest=(), window_start=None
    )
    return PreparedPrompt(completion, assembled, counter, record)


def test_exact_numbers_of_a_refusal_are_taken_as_they_are() -> None:
    """The server counted 1.5 times what we did: so does the second try, whatever was learned before."""
    counter = TokenCounter(1.2, checked=True)
    error = ProviderError("context_exceeded", "too long", limit_tokens=4096, used_tokens=6000)
    again = shorter(model_with(counter), refused(counter, 4000), error)
    assert again.context_limit == 4096
    assert again.counter == TokenCounter(1.2 * 6000 / 4000, checked=True)


def test_a_refusal_that_names_only_what_was_used_keeps_the_known_context() -> None:
    counter = TokenCounter()
    error = ProviderError("context_exceeded", "too long", used_tokens=5000)
    again = shorter(model_with(counter), refused(counter, 4000), error)
    assert (again.context_limit, again.counter.scale) == (8192, 1.25)


def test_a_refusal_without_numbers_takes_a_share_of_what_was_asked() -> None:
    counter = TokenCounter(0.9, checked=True)
    error = ProviderError("context_exceeded", "too long")
    again = shorter(model_with(counter), refused(counter, 1600), error)
    assert again.context_limit == int((1600 + 400) * SHRINK_SHARE)
    assert again.counter == counter


# --- many at once -------------------------------------------------------------------------------


async def test_many_stories_that_begin_at_once_cost_each_face_a_few_lists(
    autojump_clock: MockClock, path: Path
) -> None:
    """Not one for each story: the list goes to everybody, and it is as long as there are stories."""
    async with engine_world(path) as world:
        faces = [await world.face(f"face {number}") for number in range(20)]
        async with trio.open_nursery() as nursery:
            for face in faces:
                nursery.start_soon(begin_and_play, face)
        await trio.sleep(10)
        for face in faces:
            lists = [update.metadata.available_sessions for update in face.of(SystemUpdate)]
            told = [listed for listed in lists if listed is not UNSET]
            assert len(told) <= 4
            assert [option.name for option in told[-1]] == ["I look."] * 20


async def begin_and_play(face: Face) -> None:
    await face.say("/world select harbour")
    await face.say("/session new")
    await face.say("I look.")


async def test_free_memory_is_given_back_once_after_many_have_left(
    autojump_clock: MockClock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    happened = threading.Event()

    def give_back() -> None:
        given.append(1.0)
        happened.set()

    monkeypatch.setattr(departures, "give_back", give_back)
    async with engine_world(path) as world:
        faces = [await world.face(f"face {number}") for number in range(departures.TRIM_CLIENTS + 5)]
        world.engine.disconnect(faces.pop().client)
        await trio.sleep(2 * departures.TRIM_AFTER_S)
        assert not given, "one that leaves is no crowd"
        for face in faces:
            world.engine.disconnect(face.client)
        await trio.sleep(departures.TRIM_AFTER_S / 2)
        assert not given
        await trio.sleep(departures.TRIM_AFTER_S)
        assert await trio.to_thread.run_sync(happened.wait, 10)  # it runs in a real thread
        await trio.sleep(2 * departures.TRIM_AFTER_S)
        assert len(given) == 1


def test_giving_memory_back_says_whether_it_can() -> None:
    assert departures.give_back() is hasattr(ctypes.CDLL(None), "malloc_trim")


async def test_an_index_keeps_no_lock_of_a_story_nobody_plays(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        indexes = VectorIndexes(world.database, "hash", 8, tmp_path, lambda _: None)
        for number in range(20):
            await indexes.search(f"memory:{number}", np.ones(8, np.float32), 3)
        assert not indexes._locks


async def test_a_fallback_that_is_not_there_is_left_out(
    autojump_clock: MockClock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is missing for a model nobody asks keeps no story from going on."""
    async with engine_world(path) as world:
        face = await world.playing()
        services = msgspec.structs.replace(world.engine.services, fallbacks=("gone/model",))
        world.engine.use(services, world.engine.registry)
        for line in ("One.", "Two.", "/retry", "/continue"):
            await face.say_and_wait(line)
        assert face.reasons == ["done"] * 4
        assert "the fallback gone/model is left out" in caplog.text


class Crashing:
    """Stands in for a method: its first call meets a bug."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.crashed = False
        self._method = method

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.crashed:
            self.crashed = True
            await trio.lowlevel.checkpoint()
            raise ZeroDivisionError
        return await self._method(*args, **kwargs)


async def test_a_bug_in_a_line_that_waited_costs_that_line_only(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("One.")
        await trio.testing.wait_all_tasks_blocked()
        await face.say("Two.", "r2")
        await face.say("Three.", "r3")
        crashing = Crashing(world.engine.turns._begin)
        world.engine.turns._begin = crashing  # type: ignore[method-assign] # stands in for a bug
        await trio.sleep(60)
        assert crashing.crashed
        assert face.reasons == ["done", "done"]
        (error,) = face.of(ErrorEvent)
        assert error.metadata is not None
        assert error.metadata.request == "r2"
        assert "ZeroDivisionError" in error.content


async def test_a_bug_in_the_background_does_not_end_the_engine(
    autojump_clock: MockClock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        stories_told = Crashing(world.engine.story_list._publish_once)
        world.engine.story_list._publish_once = stories_told  # type: ignore[method-assign] # a bug
        await face.say_and_wait("One.")
        await trio.sleep(2 * open_stories.LIST_INTERVAL_S)
        assert stories_told.crashed
        assert "the list of stories crashed" in caplog.text
        await face.say_and_wait("Two.")
        assert face.reasons == ["done", "done"]


async def test_the_list_of_stories_goes_out_at_once_and_then_once_an_interval(
    autojump_clock: MockClock, path: Path
) -> None:
    """However many stories come and go: a crowd that begins at once would cost a list for each change."""
    async with engine_world(path) as world:
        face = await world.playing()
        await trio.sleep(2 * open_stories.LIST_INTERVAL_S)
        sent: list[float] = []
        send = face.client.send

        def note(event: object) -> None:
            if isinstance(event, SystemUpdate) and event.metadata.available_sessions is not UNSET:
                sent.append(trio.current_time())
            send(event)  # type: ignore[arg-type]

        face.client.send = note  # type: ignore[method-assign]
        begun = trio.current_time()
        for _ in range(50):
            world.engine.story_list.changed()
            await trio.sleep(open_stories.LIST_INTERVAL_S / 10)
        await trio.sleep(2 * open_stories.LIST_INTERVAL_S)
        assert sent[0] - begun < open_stories.LIST_INTERVAL_S / 2, "the first one does not wait"
        assert len(sent) in (6, 7), "five intervals of changes, and what came after the last list"
        gaps = [later - earlier for earlier, later in pairwise(sent)]
        assert min(gaps) >= open_stories.LIST_INTERVAL_S - 1e-6


async def test_a_bug_while_a_reply_is_saved_late_does_not_lose_it(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        disk = Disk(world, lambda function: "save" in getattr(function, "__name__", ""))
        saving = Crashing(world.engine.turns.after.save_unsaved)
        world.engine.turns.after.save_unsaved = saving  # type: ignore[method-assign] # a bug
        saving.crashed = True  # not for the line itself
        await face.say_and_wait("One.")
        session = face.client.session
        assert session is not None
        assert session.unsaved
        saving.crashed = False
        disk.full = lambda _: False
        await trio.sleep(3 * after_turn.SAVE_RETRY_S)
        assert saving.crashed
        assert not session.unsaved
