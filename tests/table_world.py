"""A story of Ines's at which Ned plays and Mara reads, for tests of tables and of rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.rights import GUEST, Visitor
from flower.engine.store import users
from flower.engine.store.connection import Connection
from flower.engine.store.transactions import Inline
from flower.protocol.messages import ChatMessage
from tests import stores
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words

SECRET = "marmalade"
NAMES = ("ines", "ned", "mara", "olaf")  # owner, player, reader, stranger
OWNER, PLAYER, READER, STRANGER = range(1, 5)
HOME = users.HOME


class Table:
    """A story of Ines's with a secret in it, at which Ned plays and Mara reads."""

    def __init__(self, world: EngineWorld, owner: Face) -> None:
        self.world = world
        self.owner = owner
        assert owner.client.session is not None
        self.story = owner.client.session.id

    async def face(self, user: int, client_id: str = "here") -> Face:
        return await face_of(self.world, user, client_id)

    async def rows(self) -> str:
        """Everything that is stored of the story, but for when it was looked at."""
        return await self.world.database.read(_rows, self.story)


def _rows(db: Connection, story: str) -> str:
    found = [
        db.execute(f"SELECT * FROM {table} WHERE {key} = ? ORDER BY 1, 2", (value,)).fetchall()
        for table, key, value in (
            ("sessions", "id", story),
            ("messages", "session_id", story),
            ("branches", "session_id", story),
            ("seats", "session_id", story),
            ("table_codes", "session_id", story),
            ("whispers", "session_id", story),
            ("waiting_lines", "session_id", story),
            ("passages", "scope", f"memory:{story}"),
            ("book_owners", "owner", story),
            ("persona_owners", "owner", story),
        )
    ]
    found.append(db.execute("SELECT * FROM personas WHERE owner = 1").fetchall())
    found.append(db.execute("SELECT * FROM own_presets WHERE owner = 1").fetchall())
    return repr(found)


async def face_of(world: EngineWorld, user: int, client_id: str = "here") -> Face:
    visitor = Visitor(user, NAMES[user - 1], f"mark{user}") if user else Visitor()
    client = await world.engine.connect(
        Outbox(), client_id, rights=GUEST if user else "", visitor=visitor
    )
    face = Face(world.engine, client)
    world.nursery.start_soon(face.listen)
    return face


@asynccontextmanager
async def table(path: Path, kind: str = "sqlite") -> AsyncIterator[Table]:
    provider = ScriptedProvider(words(f"She hides the {SECRET} behind the orange crate. "))
    path.touch()
    database = await stores.opened(kind, path, Inline())
    async with engine_world(path, provider, database=database) as world:
        for name in NAMES:
            await world.database.write(users.add, name, 1.0)
        owner = await face_of(world, OWNER)
        for line in ("/world select harbour", "/session new", "/persona Ines|She loves marmalade."):
            await owner.say(line)
        await owner.say_and_wait(f"I look for the {SECRET} by the orange lamp.")
        for line in (f"/session rename The {SECRET}", "/persona save", "/set temperature 0.5",
                     f"/preset save {SECRET}", f"/branch 1 {SECRET}", f"/pin {SECRET} it is"):  # fmt: skip
            await owner.say(line)
        assert owner.client.session is not None
        await owner.say("/table invite ned")
        await owner.say("/table invite mara reader")
        provider.pieces = words("The tide turns. ")
        yield Table(world, owner)


async def hear(face: Face, line: str) -> str:
    """Says a line; returns everything that came of it at once."""
    await trio.testing.wait_all_tasks_blocked()
    face.events.clear()
    await face.say(line)
    await trio.testing.wait_all_tasks_blocked()
    return repr(face.events)


async def at_table(table: Table, user: int) -> Face:
    face = await table.face(user)
    await face.say(f"/session continue {table.story}")
    await trio.testing.wait_all_tasks_blocked()
    face.events.clear()
    return face


def lines(face: Face) -> list[str]:
    """The lines of the story that a client was told of."""
    return [one.content for one in face.of(ChatMessage) if one.metadata.role == "user"]


def code_in(told: str) -> str:
    """The code of a table in what its owner was told of it."""
    return told.partition("/table join ")[2].partition("'")[0]
