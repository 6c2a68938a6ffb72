"""What versions before this one wrote and ask: their stories go on here, and their engines beside ours.

``tests/previous`` holds what they left (``record`` tells how): a home's database of the version with eleven migrations
with what that version said of it, and the statements of an engine of the version with twelve.
"""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from flower.engine.store import branches, exchanges, search, states, stories, streaming_text
from flower.engine.store.connection import Connection, Store
from flower.engine.store.sqlite.database import Database
from flower.engine.store.transactions import Inline
from flower.engine.store.transfer import copying
from flower.errors import ElsewhereError
from tests import postgres_cluster, stores
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words
from tests.paths import TESTS
from tests.previous.record import ENGINE

PREVIOUS = TESTS / "previous"
PLAYED = "997b964d"  # the story that the script plays through every command


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A database as the version with eleven migrations left it."""
    path = tmp_path / "flower.db"
    path.write_bytes(gzip.decompress((PREVIOUS / "stories-11.db.gz").read_bytes()))
    return path


def said_then() -> dict[str, Any]:
    """What that version said of its stories."""
    told: dict[str, Any] = json.loads(gzip.decompress((PREVIOUS / "stories-11.json.gz").read_bytes()))
    return told


def say_now(db: Connection) -> dict[str, Any]:
    """The same, asked of this version."""
    told: dict[str, Any] = {}
    ids = db.execute("SELECT id FROM sessions WHERE deleted IS NULL ORDER BY id").fetchall()
    for (story,) in ids:
        stored = stories.session(db, story)
        assert stored is not None
        leaf = stored.active_leaf
        memories = "SELECT message_id, text FROM passages WHERE scope = ? ORDER BY id"
        told[story] = {
            "title": stored.title,
            "messages": stored.messages,
            "branch": stored.branch,
            "owner": stored.owner,
            "path": [[m.id, m.role, m.content, m.status] for m in stories.path(db, leaf)],
            "tree": [[m.id, m.parent_id, m.content[:40]] for m in stories.tree(db, story)],
            "state": [list(row) for row in states.rows(db, story, leaf)],
            "persona": states.steering(db, story).persona.name,
            "manifest": [
                [entry.section, entry.source, entry.tokens]
                for entry in exchanges.manifest(db, story) or ()
            ],
            "branches": sorted(end.name for end in branches.ends(db, story)),
            "memories": [list(row) for row in db.execute(memories, (f"memory:{story}",)).fetchall()],
        }
    return told


async def found_now(store: Store) -> list[list[object]]:
    hits = await store.read_slowly(search.search, "lamp")
    return [[hit.session_id, hit.message_id, hit.excerpt] for hit in hits]


@pytest.mark.parametrize("kind", stores.KINDS)
async def test_stories_of_a_version_before_are_the_same_and_go_on(
    left: Path, kind: str, autojump_clock: MockClock
) -> None:
    """In the home's file, and copied from there to PostgreSQL."""
    then = said_then()
    found = then.pop("found")
    store: Store = await Database.open(left, Inline())
    if kind == "postgres":
        server = await stores.opened(kind, left.with_name("server.db"), Inline())
        await copying.copy(store, server, lambda _: None)
        await store.aclose()
        store = server
    assert await store.read(say_now) == then
    assert await found_now(store) == found
    provider = ScriptedProvider(words("It is quiet now."))
    async with engine_world(left, provider, database=store) as world:
        face = await world.face()
        await face.say(f"/session continue {PLAYED}")
        await face.say("/model scripted/one")
        await face.say_and_wait("I listen to the sea.")
        now = await store.read(say_now)
    before = then[PLAYED]["path"]
    assert now[PLAYED]["path"][: len(before)] == before
    assert [one[2] for one in now[PLAYED]["path"][len(before) :]] == [
        "I listen to the sea.",
        "It is quiet now.",
    ]
    assert now[PLAYED]["state"] == then[PLAYED]["state"]


async def test_what_a_version_before_could_not_finish_is_kept(left: Path) -> None:
    """A reply that grew when its engine died has its text, the line that waited is there, the trash too."""
    store = await Database.open(left, Inline())
    assert await store.write(streaming_text.recover) == 1
    (*_, reply) = (await store.read(say_now))["growing"]["path"]
    assert reply[2:] == ["The lamp goes out", "interrupted"]
    waiting = "SELECT line, request FROM waiting_lines WHERE session_id = 'growing'"
    assert await store.read(lambda db: db.execute(waiting).fetchall()) == [("I light it again.", "r-2")]
    gone = "SELECT id FROM sessions WHERE deleted IS NOT NULL"
    assert ("gone",) in await store.read(lambda db: db.execute(gone).fetchall())
    await store.aclose()


@postgres_cluster.needed
async def test_an_engine_of_the_version_before_goes_on_beside_ours(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """All that it asks is still answered, what it wrote is read here, and neither writes the other's story."""
    from flower.engine.store.postgres import definitions, engines
    from flower.engine.store.postgres.connection import PostgresConnection, connect

    recorded = json.loads(gzip.decompress((PREVIOUS / "statements-12.json.gz").read_bytes()))
    steps = recorded["steps"]
    url = stores.new_url()
    ours: Any = await stores.opened("postgres", tmp_path / "flower.db", Inline(), url)
    with closing(connect(url, definitions.SETTINGS)) as raw, raw.transaction():
        number = engines.register(PostgresConnection(raw), "the one before", "", alone=False)
    settings = {**definitions.SETTINGS, "flower.engine": str(number)}
    provider = ScriptedProvider(words("The tide comes and goes."))
    with closing(connect(url, settings)) as raw:
        theirs = _Replayed(PostgresConnection(raw), number)
        async with engine_world(tmp_path / "flower.db", provider, database=ours) as world:
            face = await world.playing()
            await face.say_and_wait("I light the lamp of ours.")
            for part in (steps[: len(steps) // 2], steps[len(steps) // 2 :]):
                for step in part:
                    theirs.take(step)
                if theirs.open:  # never stop in the middle of a transaction
                    continue
                await face.say_and_wait("I look at the lamp of theirs.")
            assert face.client.session is not None
            mine = face.client.session.id
            path = await ours.read(stories.active_path, theirs.story)
            assert [message.content for message in path] == recorded["path"]
            with pytest.raises(ElsewhereError):
                await ours.write(stories.rename, theirs.story, "Ours now")
            own = [message.content for message in await ours.read(stories.active_path, mine)]
            assert own[:3] == [
                "The tide is out.",
                "I light the lamp of ours.",
                "The tide comes and goes.",
            ]


class _Replayed:
    """An engine of which only the statements are left. ``story``: the one it made, ``open``: a transaction is."""

    def __init__(self, db: Any, number: int) -> None:
        self._db = db
        self._ids = {ENGINE: number}  # of rows and of the engine, then and now
        self.open = False
        self.story = ""

    def take(self, step: Any) -> None:
        """Asks what it asked. Raises ``psycopg.Error`` when that is not answered any more."""
        import psycopg

        if isinstance(step, str):
            self.open = step == "BEGIN"
            self._db.raw.execute(step.encode())
            return
        sql, values, added = step
        cursor = psycopg.RawCursor(self._db.raw)
        cursor.execute(sql, [self._now(value) for value in values], binary=True)
        rows = cursor.fetchall() if cursor.description is not None else []
        if added is not None:
            self._ids[added] = rows[-1][0]
        if sql.startswith("INSERT INTO sessions"):
            self.story = values[0]

    def _now(self, value: Any) -> Any:
        """Returns a value with the ids that rows have here."""
        if isinstance(value, dict):
            return bytes.fromhex(value["bytes"])
        if isinstance(value, int) and value >= ENGINE:
            return self._ids.get(value, value)
        if isinstance(value, str) and str(ENGINE)[:4] in value:
            for then, now in self._ids.items():
                value = value.replace(str(then), str(now))
        return value
