"""An engine in memory: real engine, real SQLite, scripted narrator, virtual time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio

from flower.engine.assets.kinds import Assets, Character, Rule, World
from flower.engine.commands import catalogue, dispatch
from flower.engine.prompt.turn_input import Services
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.outbox import Outbox, Resync
from flower.engine.sessions.session import Client
from flower.engine.store.connection import Store
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.protocol.messages import ChatChunk, ChatEnd, Event, Prompt, SystemUpdate
from tests.fakes import OneModelRegistry, ScriptedProvider, WordLibrary
from tests.stores import empty_file

E = TypeVar("E")

HARBOUR = World(
    "harbour",
    "Harbour",
    lore="The bell under the sea rings before a drowning.\n\nMara keeps the lamp.",
    start_message="The tide is out.",
    scene="Dusk on the mole.",
    system_prompt="Salt and fog.",
)
FOREST = World("forest", "Forest", lore="The oak remembers names.", start_message="Leaves.")
ASSETS = Assets(
    {"harbour": HARBOUR, "forest": FOREST},
    {"mara": Character("mara", "Mara", "Dry, patient, keeps her own counsel.")},
    {
        "slow": Rule("slow", "Slow burn", "Take your time."),
        "dice": Rule("dice", "Dice", "Dice decide."),
    },
    "You are the narrator.",
    (),
)


class Face:
    """A client of the engine as a test sees it: says things, collects events."""

    def __init__(self, engine: Engine, client: Client) -> None:
        self.engine = engine
        self.client = client
        self.events: list[Event | Resync] = []

    async def listen(self) -> None:
        while True:
            event = await self.client.outbox.get()
            if event is None:
                return
            self.events.append(event)

    async def say(self, text: str, request: str | None = None) -> None:
        await dispatch.handle(self.engine, self.client, Prompt(text, request))

    async def say_and_wait(self, text: str) -> None:
        """Says something and waits until its reply has ended and been delivered."""
        await self.say(text)
        await self.settled()

    async def settled(self) -> None:
        """Waits until no reply is running and everything was delivered."""
        await self.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def notice(self) -> str:
        """The newest thing that the engine itself has said.

        An update without words says nothing: it has a part of the state, and may come at any time, such as the list of
        stories, for which virtual time passes while a thread writes a file.
        """
        return [event.content for event in self.of(SystemUpdate) if event.content][-1]

    @property
    def text(self) -> str:
        """All chunks of the newest turn, joined."""
        chunks = self.of(ChatChunk)
        return "".join(c.content for c in chunks if c.metadata.turn == chunks[-1].metadata.turn)

    @property
    def reasons(self) -> list[Any]:
        return [end.metadata.reason for end in self.of(ChatEnd)]


class EngineWorld:
    """One engine and what a test may look at or change."""

    def __init__(
        self, engine: Engine, provider: ScriptedProvider, library: WordLibrary, nursery: trio.Nursery
    ) -> None:
        self.engine = engine
        self.provider = provider
        self.library = library
        self.nursery = nursery

    @property
    def database(self) -> Store:
        return self.engine.services.database

    async def settled(self) -> None:
        """Waits until no reply is running and everything was delivered."""
        await self.engine.turns.wait_idle()
        await trio.testing.wait_all_tasks_blocked()

    async def face(self, client_id: str = "") -> Face:
        face = Face(self.engine, await self.engine.connect(Outbox(), client_id))
        self.nursery.start_soon(face.listen)
        return face

    async def playing(self) -> Face:
        """A face with a story in the harbour."""
        face = await self.face()
        await face.say("/world select harbour")
        await face.say("/session new")
        await trio.testing.wait_all_tasks_blocked()
        return face


@asynccontextmanager
async def engine_world(
    path: Path,
    provider: ScriptedProvider | None = None,
    library: WordLibrary | None = None,
    database: Store | None = None,
) -> AsyncIterator[EngineWorld]:
    provider = provider if provider is not None else ScriptedProvider()
    library = library if library is not None else WordLibrary()
    if database is None:
        if not path.exists():
            path.write_bytes(empty_file())
        database = await Database.open(path, Inline())
    numbers = iter(range(1, 1000))
    new_id: Callable[[], str] = lambda: f"s{next(numbers)}-{path.parent.stat().st_ino % 97}"  # noqa: E731
    services = Services(
        database=database,
        library=library,
        assets=ASSETS,
        context_tokens=4096,
        reply_tokens=400,
        params={},
        seed=7,
        rng=random.Random(1),
        lore_roots=(path.parent,),
    )
    try:
        async with trio.open_nursery() as nursery:
            engine = Engine(
                services,
                OneModelRegistry(provider),
                nursery,
                now=lambda: 1.0,
                new_id=new_id,
                commands=catalogue.OPTIONS,
            )
            await engine.start()
            yield EngineWorld(engine, provider, library, nursery)
            nursery.cancel_scope.cancel()
    finally:
        await database.aclose()
