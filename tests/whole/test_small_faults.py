"""Small faults that must not come back: lore from files, folders, memories, lifetimes and mailboxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.client import shell_upload
from flower.client.events import Received, Send
from flower.client.shell_upload import Requests
from flower.engine.recall import folders as folders_module
from flower.engine.recall.base import Hit, Query
from flower.engine.recall.folders import Folders
from flower.engine.recall.library import PassageLibrary
from flower.engine.server import connection
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions import outbox as outbox_module
from flower.engine.sessions.outbox import RESYNC, Outbox
from flower.engine.store import stories, streaming_text
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.errors import StoreError
from flower.protocol.codec import decode_event, encode
from flower.protocol.messages import (
    ChatHistory,
    ErrorEvent,
    HistoryItem,
    HistoryMeta,
    Prompt,
    UnknownEvent,
)
from tests.engine_world import EngineWorld, engine_world
from tests.fakes import HashEmbedder, ScriptedProvider, WordLibrary, words

T = TypeVar("T")


# --- flower lore add ----------------------------------------------------------------------------


class Pipe:
    """Both ends of a socket: the engine's, and the one of the command that adds lore."""

    def __init__(self) -> None:
        self._to_engine, self._at_engine = trio.open_memory_channel[str](10_000)
        self._to_command, self._at_command = trio.open_memory_channel[str](10_000)

    async def receive(self) -> str:
        return await self._at_engine.receive()

    async def send(self, data: str) -> None:
        await self._to_command.send(data)

    async def close(self, code: int) -> None:
        await trio.lowlevel.checkpoint()

    def send_message_nowait(self, data: str) -> None:
        self._to_engine.send_nowait(data)

    async def get_message(self) -> str:
        return await self._at_command.receive()


class PipeLink:
    """What ``Requests`` needs of a link, over a pipe."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def send_nowait(self, message: Send) -> bool:
        self._pipe.send_message_nowait(encode(Prompt(message.prompt, message.request)))
        return True


async def send_lore(world: EngineWorld, files: list[tuple[str, str]]) -> None:
    """Sends files to the world's engine as lore of the harbour."""
    pipe = Pipe()
    world.nursery.start_soon(connection.serve, world.engine, pipe, shell_upload.CLIENT, lambda: None)
    talk = Requests(str, shell_upload.CLIENT, None)
    talk.link = PipeLink(pipe)  # type: ignore[assignment] # it needs no more of it

    async def listen() -> None:
        while True:
            event = decode_event(await pipe.get_message())
            assert not isinstance(event, UnknownEvent)
            talk._post(Received(event))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await shell_upload.send_lore(talk, "harbour", files)
        nursery.cancel_scope.cancel()


async def test_more_files_than_a_burst_of_prompts_all_become_lore(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        await send_lore(world, [(f"{n}.md", f"Lore number {n}.") for n in range(100)])
        told = {passage.text for passage in world.library.passages}
        assert {f"Lore number {n}." for n in range(100)} <= told


async def test_lore_that_is_read_already_is_not_waited_for(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        before = trio.current_time()
        await send_lore(world, [("a.md", "The same again.")])
        assert trio.current_time() - before < 30


# --- lore, memories and what is recalled --------------------------------------------------------


async def test_lore_that_could_not_be_read_in_is_tried_again(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """On a full disk a face still gets its story, and the lore comes with the next face."""

    class FullDisk(WordLibrary):
        full = False

        async def sync_source(self, scope: str, source: str, title: str, text: str) -> int:
            if self.full:
                raise StoreError("not saved: the disk is full")
            return await super().sync_source(scope, source, title, text)

    library = FullDisk()
    async with engine_world(tmp_path / "db", library=library) as world:
        face = await world.playing()
        world.engine.disconnect(face.client)
        world.engine.lore._synced.clear()  # as after a restart
        library.passages.clear()
        library._sources.clear()
        library.full = True
        told = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        assert any("disk is full" in error.content for error in told.of(ErrorEvent))
        world.engine.disconnect(told.client)
        library.full = False
        await world.face()
        assert any(passage.kind == "lore" for passage in library.passages)


async def test_a_forgotten_memory_is_not_made_again_by_the_next_start(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        library = PassageLibrary(
            world.database, HashEmbedder(), tmp_path, notify=lambda text, progress: None
        )
        services = msgspec.structs.replace(world.engine.services, library=library)
        world.engine.use(services, world.engine.registry)
        face = await world.playing()
        await face.say_and_wait("My brother is called Tam.")
        scope = f"memory:{face.client.chosen.session_id}"
        (memory,) = await library.list(scope)
        await face.say(f"/memory forget {memory.id}")
        assert await library.list(scope) == ()
        await world.engine.turns.after.remember_unfinished()
        assert await library.list(scope) == ()


async def test_a_reply_that_went_on_is_one_memory(autojump_clock: MockClock, tmp_path: Path) -> None:
    """The memory of the shorter text goes, its pin stays; also when the engine died before it could."""
    async with engine_world(tmp_path / "db") as world:
        library = PassageLibrary(
            world.database, HashEmbedder(), tmp_path, notify=lambda text, progress: None
        )
        services = msgspec.structs.replace(world.engine.services, library=library)
        world.engine.use(services, world.engine.registry)
        face = await world.playing()
        await face.say_and_wait("My brother is called Tam.")
        scope = f"memory:{face.client.chosen.session_id}"
        (memory,) = await library.list(scope)
        await library.pin(memory.id)
        world.provider.pieces = words("Far out a bell begins to ring. ")
        await face.say_and_wait("/continue")
        (longer,) = await library.list(scope)
        assert longer.text.startswith(memory.text)
        assert len(longer.text) > len(memory.text)
        assert longer.pinned
        following = world.engine.turns.after
        assert await following.remember_unfinished() == 0
        assert longer.message_id is not None
        await world.database.write(streaming_text.reopen, longer.message_id)
        before = await world.database.read(stories.message, longer.message_id)
        assert before is not None
        await world.database.write(
            streaming_text.append, before.id, len(before.content), " Tam laughs.", before.model
        )
        await world.database.write(streaming_text.recover)
        assert await following.remember_unfinished() == 1
        (whole,) = await library.list(scope)
        assert whole.text.endswith("Tam laughs.")
        assert whole.pinned
        assert await following.remember_unfinished() == 0


class RecallsWhenGoingOn(WordLibrary):
    """Finds one passage of lore for a narrator who is only told to go on."""

    async def recall(self, query: Query) -> tuple[Hit, ...]:
        await trio.lowlevel.checkpoint()
        if query.text != "Go on.":
            return ()
        lore = next(p for p in self.passages if p.scope == query.lore_scope)
        return (Hit(lore, 1, None, ("bell",), 10),)


async def test_what_is_recalled_for_going_on_is_not_put_into_the_narrators_mouth(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", library=RecallsWhenGoingOn()) as world:
        face = await world.playing()
        for text in ("I sit down.", "/narrate The night is long.", "/narrate", "I run."):
            await face.say_and_wait(text)
        going_on, last = world.provider.completions[-2:]
        assert "Notes for the narrator" in going_on.messages[-1].content
        narrated = [message.content for message in last.messages if message.role == "assistant"]
        assert narrated
        assert not any("Notes for the narrator" in text for text in narrated)


async def test_a_reply_that_meets_a_bug_names_it(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with engine_world(tmp_path / "db", ScriptedProvider([KeyError("x")])) as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        told = [error.content for error in face.of(ErrorEvent)]
        assert told == ["The engine failed on this reply (KeyError); see its log."]


# --- folders, lifetimes, mailboxes --------------------------------------------------------------


class SlowDisk:
    """Runs each database call after a second."""

    async def __call__(self, call: Callable[[], T]) -> T:
        await trio.sleep(1)
        return call()


async def test_two_folders_for_a_world_at_once_leave_one_that_is_followed(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: set[Path] = set()

    class WatchedFolder:
        def __init__(
            self, library: PassageLibrary, scope: str, path: Path, notify: object, keep: object
        ) -> None:
            self.path = path

        async def follow(self) -> None:
            followed.add(self.path)
            try:
                await trio.sleep_forever()
            finally:
                followed.discard(self.path)

    monkeypatch.setattr(folders_module, "Folder", WatchedFolder)
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.mkdir()
    database = await Database.open(tmp_path / "db", Inline())
    library = PassageLibrary(
        database, HashEmbedder(), tmp_path / "index", notify=lambda text, progress: None
    )
    database._run = SlowDisk()  # type: ignore[assignment] # runs calls like the real ones
    async with trio.open_nursery() as nursery:
        folders = Folders(database, library, nursery, lambda _: None, roots=lambda: (tmp_path,))
        async with trio.open_nursery() as both:
            for path in paths:
                both.start_soon(folders.sync, "harbour", str(path))
        await trio.testing.wait_all_tasks_blocked()
        assert len(followed) == 1
        nursery.cancel_scope.cancel()
    await database.aclose()


async def test_an_engine_lingers_for_a_face_that_came_and_dropped_during_the_last_reply(
    autojump_clock: MockClock,
) -> None:
    lifetime = Lifetime(managed=True, linger_s=100)
    over_at: list[float] = []

    async def live() -> None:
        await lifetime.wait_over(lambda: trio.sleep_until(300))
        over_at.append(trio.current_time())

    with lifetime.client():
        await trio.sleep(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(live)
        await trio.sleep_until(200)
        with lifetime.client():
            await trio.sleep_until(290)
    assert over_at[0] >= 390


async def test_pages_of_history_that_nobody_takes_become_one_resync() -> None:
    outbox = Outbox()
    page = ChatHistory("", HistoryMeta((HistoryItem("assistant", "x" * 200_000, 1, "complete"),)))
    for _ in range(2 * outbox_module.OUTBOX_BYTES // 200_000):
        outbox.put_nowait(page)
    assert len(outbox) == 1
    assert await outbox.get() is RESYNC
