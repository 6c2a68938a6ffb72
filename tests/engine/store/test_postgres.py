"""Stories in PostgreSQL: the same as in SQLite, and what a server does that a file does not."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.assets.kinds import Character, Rule
from flower.engine.store import paths, schema, search, selections, stories, streaming_text, trash, users
from flower.engine.store.connection import Connection
from flower.engine.store.library import characters, originals, own_assets
from flower.engine.store.library.characters import Source
from flower.engine.store.transactions import Inline, OneThread, alongside
from flower.errors import ElsewhereError, StoreError
from flower.settings.config import parse
from tests import postgres_cluster, stores
from tests.engine.recall.test_recall import LORE, STORY, VAEL, open_brain
from tests.engine_world import engine_world
from tests.fakes import HashEmbedder, HeldProvider, ScriptedProvider, words
from tests.postgres_cluster import Cluster

if not postgres_cluster.why_not():
    import psycopg

    from flower.engine.store.postgres import database as database_module
    from flower.engine.store.postgres import definitions, dialect, engines, errors, pulse, upgrade
    from flower.engine.store.postgres.connection import PostgresConnection, connect
    from flower.engine.store.postgres.database import PostgresDatabase
    from flower.engine.store.postgres.errors import Failure
    from flower.engine.store.postgres.reading import reading

pytestmark = postgres_cluster.needed

SAID = [
    "The heron watches the lock.",
    "Ein Reiher steht am Schleusentor.",
    "The otters dive; one otter dives.",
]


@pytest.fixture(scope="module")
def lonely() -> Iterator[Cluster]:
    """A server that a test may stop, and starts again; each test has a database of its own there."""
    made = Cluster((*postgres_cluster.FAST[1:], "fsync=on"))
    made.make()
    yield made
    made.remove()


async def open_postgres(path: Path, url: str = "", *, threads: bool = False) -> PostgresDatabase:
    return await PostgresDatabase.open(
        url or stores.new_url(), path, OneThread() if threads else Inline()
    )


def add(db: Connection, session_id: str) -> None:
    stories.create_session(db, session_id, "harbour", "mara", "Hello.", 1.0)


# --- the same -------------------------------------------------------------------------------------


def test_tables_and_columns_are_those_of_sqlite() -> None:
    """A migration that one of the two did not get would be found by a player."""
    with stores.connected("sqlite") as lite, stores.connected("postgres") as postgres:
        tables = [
            name
            for (name,) in lite.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            if "_fts" not in name and not name.startswith("sqlite_")
        ]
        found = postgres.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'flower'"
        ).fetchall()
        for table in tables:
            wanted = {row[1] for row in lite.execute(f"PRAGMA table_info({table})").fetchall()}
            own = {"rowid", "changed_in"}
            assert {column for name, column in found if name == table} - own == wanted, table
        assert {name for name, _ in found} - set(tables) == {"about", "engines", "leases"}


async def test_recall_finds_the_same_in_the_same_order(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    found = []
    for kind in ("sqlite", "postgres"):
        folder = tmp_path / kind
        folder.mkdir()
        async with open_brain(folder, HashEmbedder(), kind=kind) as brain:
            await brain.library.sync_source(VAEL, "world", "", LORE)
            for number, text in enumerate(SAID, start=1):
                await brain.library.remember(STORY, number, "", text)
            await brain.settle()
            asked = ["the bell", "Varga's ledger", "otters", "Reiher", "what burns"]
            found.append([await brain.texts(line) for line in asked])
    assert found[0] == found[1]
    assert any(found[0])


def test_a_search_finds_the_same_with_the_same_excerpts() -> None:
    found = []
    for kind in ("sqlite", "postgres"):
        with stores.connected(kind) as db:
            add(db, "s")
            for text in SAID:
                stories.append(db, "s", 1, "user", text, "complete", now=2.0)
            asked = ["otter", "heron", "REIHER", "hello", '"lock" OR', "watch lock"]
            found.append([search.search(db, line) for line in asked])
    assert found[0] == found[1]
    assert [len(hits) for hits in found[0]] == [1, 1, 1, 1, 0, 1]


async def test_the_index_of_words_follows_the_rows(tmp_path: Path) -> None:
    """Also rows of another engine, and when its file is damaged or of another database."""
    path, url = tmp_path / "flower.db", stores.new_url()
    database = await open_postgres(path, url)
    other = PostgresConnection(connect(url, definitions.SETTINGS))

    async def hits(word: str) -> list[int]:
        return [hit.message_id for hit in await database.read_slowly(search.search, word)]

    await database.write(add, "s")
    assert await hits("hello") == [1]
    stories.append(other, "s", 1, "user", "A heron.", "complete", now=2.0)
    assert await hits("heron") == [2]
    other.execute("UPDATE messages SET content = 'A crane.' WHERE id = 2")
    assert (await hits("heron"), await hits("crane")) == ([], [2])
    trash.delete(other, "s", 5.0)
    assert await hits("crane") == []
    trash.restore(other, "s")
    await database.aclose()
    (path.with_name("index") / "search.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    database = await open_postgres(path, url)
    assert await hits("crane") == [2]
    await database.aclose()
    database = await open_postgres(path)
    assert await hits("crane") == [], "another database has other words"
    await database.aclose()
    other.raw.close()


async def test_an_index_of_words_of_the_version_before_is_made_anew(tmp_path: Path) -> None:
    """One that knows no owners would find nothing for anybody."""
    path, url = tmp_path / "flower.db", stores.new_url()
    file = path.with_name("index") / "search.db"
    database = await open_postgres(path, url)
    await database.write(stories.create_session, "s", "harbour", "mara", "Hello.", 1.0, 5)
    assert len(await database.read_slowly(search.search, "hello", user=5)) == 1
    await database.aclose()
    with closing(sqlite3.connect(file, isolation_level=None)) as old:
        old.executescript(
            "DROP TABLE messages_fts; ALTER TABLE messages DROP COLUMN owner;"
            "CREATE VIRTUAL TABLE messages_fts USING fts5 (content, content = 'messages', content_rowid = 'id');"
            "INSERT INTO messages_fts (messages_fts) VALUES ('rebuild');"
            "UPDATE about SET value = '1' WHERE name = 'version'"
        )
    database = await open_postgres(path, url)
    assert len(await database.read_slowly(search.search, "hello", user=5)) == 1
    assert await database.read_slowly(search.search, "hello", user=0) == []
    await database.aclose()


async def test_searches_of_rows_that_stay_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "flower.db"
    file = path.with_name("index") / "search.db"
    database = await open_postgres(path)
    await database.write(add, "s")
    await database.read_slowly(search.search, "hello")
    before = file.stat().st_mtime_ns, file.read_bytes()
    assert len(await database.read_slowly(search.search, "hello")) == 1
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    await database.aclose()


async def test_a_story_is_played_told_and_saved(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "flower.db"
    path.touch()
    async with engine_world(path, database=await open_postgres(path)) as world:
        face = await world.playing()
        for line in (
            "I ring the bell.",
            "/roll 2d6",
            "/retry",
            "/branch two",
            "/undo",
            "/session search bell",
        ):
            await face.say_and_wait(line)
        assert set(face.reasons) == {"done"}
        assert not [event for event in face.events if type(event).__name__ == "ErrorEvent"]


# --- statements -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT ? || '?' -- ?2", "SELECT $1 || '?' -- $2"),
        ("SELECT ?2, ?1", "SELECT $2, $1"),
        ("a IS ? AND b IS NOT NULL", "a IS NOT DISTINCT FROM $1 AND b IS NOT NULL"),
        ("a IS NOT up.id", "a IS DISTINCT FROM up.id"),
        ("FROM up CROSS JOIN m ON m.id = up.id", "FROM up  JOIN m ON m.id = up.id"),
        ("AND pinned /*pg != 0*/ ORDER", "AND pinned  != 0 ORDER"),
        ("INSERT INTO books (a) VALUES (?)", "INSERT INTO books (a) VALUES ($1) RETURNING id"),
        ("INSERT INTO growth VALUES (?)", "INSERT INTO growth VALUES ($1)"),
        (
            "INSERT INTO messages (a) SELECT 1 RETURNING id",
            "INSERT INTO messages (a) SELECT 1 RETURNING id",
        ),
        ("CAST(? AS INTEGER)", "CAST($1 AS BIGINT)"),
        ("number::text", "number::text"),
    ],
)
def test_statements_are_translated(sql: str, wanted: str) -> None:
    assert dialect.translated(sql).sql == wanted


def test_parameters_with_names_are_put_in_order() -> None:
    statement = dialect.translated("SELECT :b, :a, :b")
    assert statement.sql == "SELECT $1, $2, $1"
    assert dialect.values(statement, {"a": 1, "b": 2}) == [2, 1]


PATCHES = [
    ("{}", '{"a": 1}'),
    ('{"a":1,"b":[1,2]}', '{"a": null, "c": {"d": null, "e": true}}'),
    ('{"b":{"x":1,"y":2},"a":"ü\\n"}', '{"b": {"x": null, "z": "\\u00e9"}}'),
    ('{"a":5}', '{"a": {"deep": {"er": 1.5}}}'),
]


@pytest.mark.parametrize(("data", "patch"), PATCHES)
def test_functions_over_json_give_the_same(data: str, patch: str) -> None:
    """Compared as values with their order, since the two write spaces in other places."""
    asked = (
        "SELECT json_patch(?, ?), json_set(?, '$.a', json('[1, {}]')), json_remove(?, '$.a'),"
        " json_extract(?, '$.a'), json_type(?, '$.a'), json_extract(?, '$.b')"
    )
    import json

    rows = []
    for kind in ("sqlite", "postgres"):
        with stores.connected(kind) as db:
            row = db.execute(asked, (data, patch, data, data, data, data, data)).fetchone()
            texts = [json.dumps(json.loads(text)) for text in row[:3]]
            rows.append([*texts, str(row[3]), row[4], row[5] and json.loads(row[5])])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("data", ["{}", '{"a":1}', "[]", "{", "", "nul", '{"a":"\\ud800"}'])
def test_damaged_json_is_found(data: str) -> None:
    with stores.connected("postgres") as db:
        (valid,) = db.execute("SELECT json_valid(?)", (data,)).fetchone()
    assert valid == (data in {"{}", '{"a":1}', "[]"})


# --- transactions ---------------------------------------------------------------------------------


async def test_what_fails_changes_nothing(tmp_path: Path) -> None:
    database = await open_postgres(tmp_path / "flower.db")

    def fail(db: Connection) -> None:
        add(db, "s")
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await database.write(fail)
    assert await database.read(stories.count_sessions) == 0
    with alongside(lambda db: add(db, "along")) as noted:
        await database.write(add, "s")
    assert noted.done
    assert await database.read(stories.count_sessions) == 2
    await database.aclose()


async def test_growing_replies_share_a_commit(tmp_path: Path) -> None:
    """A hundred at once are one transaction; a bug in one of them costs only that one."""
    database = await open_postgres(tmp_path / "flower.db", threads=True)
    before = database.commits
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(database.write_batched, add, f"s{number}")
    assert database.commits - before == 1
    assert await database.read(stories.count_sessions) == 100

    async def broken() -> None:
        def fail(db: Connection) -> None:
            add(db, "never")
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            await database.write_batched(fail)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(broken)
        nursery.start_soon(database.write_batched, add, "good")
    assert await database.read(stories.session, "good") is not None
    assert await database.read(stories.session, "never") is None
    await database.aclose()


async def test_streams_are_flushed_on_one_beat(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many replies stream, a minute of them costs at most 130 commits, signs of life included."""
    for module in (pulse, database_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=trio.current_time))
    path = tmp_path / "flower.db"
    path.touch()
    database = await open_postgres(path)
    chance = random.Random(4)  # what says the same again and again is cut off as a loop
    told = " ".join("".join(chance.choices("aeioulmnrst", k=6)) for _ in range(1000))
    provider = ScriptedProvider(words(told), gap_s=0.1)
    signs = database._pulse

    async def show_life() -> None:  # as the thread does, on the clock of the test
        while True:
            signs.awake()
            signs.turn(trio.current_time())
            await trio.sleep(max(signs._due_at() - trio.current_time(), 0.001))

    async with engine_world(path, provider, database=database) as world, trio.open_nursery() as nursery:
        nursery.start_soon(show_life)
        for number in range(8):
            face = await world.face(f"client-{number}")
            await face.say("/world select harbour")
            await face.say("/session new")
            await face.say("I wait.")
            await trio.sleep(0.037)
        before = database.commits + signs.signs
        await trio.sleep(60)
        assert 100 <= database.commits + signs.signs - before <= 130
        nursery.cancel_scope.cancel()


async def test_a_flush_is_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread gives none then; it gives the next one a second later, and looks at the others in time."""
    now = 1000.0
    for module in (pulse, database_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    database = await open_postgres(tmp_path / "flower.db")
    signs = database._pulse

    async def until() -> float:
        row = await database.read(lambda db: db.execute("SELECT until FROM engines").fetchone())
        return float(row[0].timestamp())

    begun = await until()
    await database.write_batched(add, "before")
    assert await until() == begun, "nobody could see yet by a connection whether it lasts"
    now += engines.BEAT_S
    signs.turn(now)
    assert (signs.signs, signs.leases) == (1, 1)
    first = await until()
    assert first > begun
    await database.write(add, "plain")
    assert await until() == first, "what may be long keeps the row for nobody else"
    now += engines.BEAT_S * 0.75
    await database.write_batched(add, "flushed")
    assert await until() > first
    now += engines.BEAT_S * 0.25
    signs.turn(now)
    assert (signs.signs, signs.leases) == (1, 3), "it looked, and gave no sign"
    now += engines.BEAT_S * 0.74
    signs.turn(now)
    assert signs.signs == 1
    now += engines.BEAT_S * 0.01
    assert signs._due_at() == pytest.approx(now)
    signs.turn(now + 0.001)
    assert signs.signs == 2
    now += engines.BEAT_S * 0.5
    await database.write_batched(add, "last")
    await database.write(lambda db: engines.leave(db, database._number))
    now += engines.BEAT_S
    signs.turn(now)
    assert signs.is_dead
    await database.aclose()


@pytest.mark.parametrize("kind", ["deadlock", "serialisation"])
async def test_what_others_are_in_the_way_of_is_done_again(tmp_path: Path, kind: str) -> None:
    database = await open_postgres(tmp_path / "flower.db")
    error = {
        "deadlock": psycopg.errors.DeadlockDetected,
        "serialisation": psycopg.errors.SerializationFailure,
    }[kind]
    tries = []

    def twice(db: Connection) -> None:
        tries.append(db.execute("SELECT count(*) FROM sessions").fetchone()[0])
        add(db, "s")
        if len(tries) < 3:
            raise error("in the way")

    await database.write(twice)
    assert tries == [0, 0, 0], "what was done before was rolled back"
    assert await database.read(stories.count_sessions) == 1
    await database.aclose()


def test_errors_have_a_kind_and_a_sentence() -> None:
    assert errors.kind_of(psycopg.errors.UniqueViolation("x")) is Failure.AGAIN
    assert errors.kind_of(psycopg.errors.ReadOnlySqlTransaction("x")) is Failure.LOST
    assert errors.kind_of(psycopg.OperationalError("connection refused")) is Failure.LOST
    assert errors.kind_of(psycopg.errors.UndefinedTable("x")) is Failure.REFUSED
    for error in (
        psycopg.errors.DiskFull("x"),
        psycopg.OperationalError("x"),
        psycopg.errors.UndefinedTable("x"),
    ):
        assert "\n" not in errors.sentence(error)


# --- a server that goes away ----------------------------------------------------------------------


async def test_a_lost_connection_is_made_anew(tmp_path: Path) -> None:
    url = stores.new_url()
    database = await open_postgres(tmp_path / "flower.db", url)
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'flower' AND datname = "
    name = url.split("/")[3].split("?")[0]
    stores.cluster().sql(f"{end}'{name}'")
    await database.write(add, "s")
    stores.cluster().sql(f"{end}'{name}'")
    assert await database.read(stories.count_sessions) == 1
    await database.aclose()


async def test_a_commit_whose_answer_was_lost_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is done twice, and what did not happen is done."""
    from flower.engine.store.postgres import link as module

    ask, times = module._ask, []

    def lossy(db: object, sql: str) -> str:
        if sql != "COMMIT" or len(times) >= 2:
            return ask(db, sql)  # type: ignore[arg-type]
        times.append(sql)
        if len(times) == 1:  # the server has done it
            ask(db, sql)  # type: ignore[arg-type]
        db.raw.close()  # type: ignore[attr-defined]
        raise psycopg.OperationalError("the connection is gone")

    database = await open_postgres(tmp_path / "flower.db")
    monkeypatch.setattr(module, "_ask", lossy)
    await database.write(add, "once")
    await database.write(add, "again")
    assert await database.read(stories.count_sessions) == 2
    await database.aclose()


def test_a_killed_engine_is_known_by_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the silence is enough, but not of one that is connected, nor of a version that does not show it."""
    gone = f"{engines.LEASE_S - engines.GONE_S} * interval"
    assert gone in engines._GONE
    monkeypatch.setattr(engines, "_GONE", engines._GONE.replace(gone, "7200 * interval"))
    monkeypatch.setattr(engines, "LEASE_S", 3600)  # however slow this machine is
    url = stores.new_url()
    killed, silent, judge = (PostgresConnection(connect(url, definitions.SETTINGS)) for _ in range(3))
    names = ("killed", "silent", "of the version before")
    with judge.raw.transaction():
        numbers = [engines.register(judge, name, "", alone=False) for name in names]
    for db, number in ((killed, numbers[0]), (silent, numbers[1])):
        engines.be_present(db, number)
        engines.beat(db, number, draining=False)
    assert engines.bury(judge, gone=True) == [], "both are connected"
    killed.raw.close()
    assert engines.bury(judge) == [], "nobody was silent for a whole lease"
    with closing(judge.raw), closing(silent.raw):
        end = time.monotonic() + 20
        while not (buried := engines.bury(judge, gone=True)) and time.monotonic() < end:
            pass  # the server ends a connection in its own time
    assert buried == ["killed"]


async def test_a_server_that_is_away_costs_no_word(tmp_path: Path, lonely: Cluster) -> None:
    """The reply streams on and is saved when the server is back; a new line gets a sentence meanwhile."""
    lonely.sql("CREATE DATABASE away")
    path = tmp_path / "flower.db"
    path.touch()
    database = await open_postgres(path, lonely.url("away"), threads=True)
    telling = words("The tide turns and the lamps come on, one after the other, along the mole. ")
    narrator = HeldProvider(telling, 5)
    async with engine_world(path, narrator, database=database) as world:
        face = await world.playing()
        await face.say("I wait.")
        await narrator.held.wait()
        await trio.to_thread.run_sync(lonely.stop)
        other = await _new_line(world, face)
        assert "does not answer" in other
        narrator.goes_on.set()
        await world.engine.turns.wait_idle()
        assert face.text.endswith("along the mole. "), "it streamed on"
        await trio.to_thread.run_sync(lonely.start)
        session = face.client.session
        assert session is not None
        with trio.fail_after(20):
            while session.unsaved:
                await trio.testing.wait_all_tasks_blocked(0.1)
        (kept,) = await database.read(
            lambda db: db.execute(
                "SELECT content, status FROM messages WHERE role = 'assistant' ORDER BY id DESC LIMIT 1"
            ).fetchall()
        )
        assert kept == (face.text, "complete")


async def _new_line(world: object, face: object) -> str:
    """Another story's line while the server is away; returns what its player is told."""
    before = len(face.events)  # type: ignore[attr-defined]
    await face.say("/session new")  # type: ignore[attr-defined]
    with trio.fail_after(5):
        while not (told := [str(event) for event in face.events[before:] if "answer" in str(event)]):  # type: ignore[attr-defined]
            await trio.testing.wait_all_tasks_blocked(0.02)
    return told[0]


async def test_a_server_killed_at_any_moment_loses_nothing_acknowledged(
    tmp_path: Path, lonely: Cluster
) -> None:
    """As a power cut of its machine: all that ``write`` returned for is there, nothing twice."""
    lonely.sql("CREATE DATABASE killed")
    database = await open_postgres(tmp_path / "flower.db", lonely.url("killed"), threads=True)
    acknowledged: list[str] = []
    for attempt in range(3):
        async with trio.open_nursery() as nursery:

            async def writing(attempt: int = attempt) -> None:
                for number in itertools.count():
                    try:
                        await database.write(add, f"{attempt}-{number}")
                    except StoreError:
                        await trio.sleep(0.02)  # the server has only just come back
                    else:
                        acknowledged.append(f"{attempt}-{number}")

            nursery.start_soon(writing)
            enough = len(acknowledged) + 10 * (attempt + 1)
            while len(acknowledged) < enough:
                await trio.lowlevel.checkpoint()
            await trio.to_thread.run_sync(lonely.stop)
            nursery.cancel_scope.cancel()
        await trio.to_thread.run_sync(lonely.start)
    there = None
    with trio.fail_after(30):
        while there is None:
            try:
                there = await database.read(
                    lambda db: [row[0] for row in db.execute("SELECT id FROM sessions").fetchall()]
                )
            except StoreError:
                await trio.sleep(0.02)  # it is asked again only after a moment
    assert len(acknowledged) > 20
    assert set(acknowledged) <= set(there)
    await database.aclose()


# --- settings -------------------------------------------------------------------------------------


async def test_the_url_is_shown_by_nobody(tmp_path: Path) -> None:
    config = parse({"store": "postgresql://a:secret@localhost/b"}, {}, {})
    assert "secret" not in repr(config)
    with pytest.raises(StoreError) as told:
        await open_postgres(tmp_path / "flower.db", "postgresql://a:secret@127.0.0.1:1/b")
    assert "secret" not in str(told.value)


def test_commands_read_without_an_engine() -> None:
    with pytest.raises(StoreError, match="no stories"), reading(stores.cluster().url("postgres")):
        pass
    with reading(stores.new_url()) as db:
        assert stories.count_sessions(db) == 0
        with pytest.raises(psycopg.Error):
            add(db, "s")


async def test_two_engines_may_come_first_at_once() -> None:
    """Whoever comes second finds the schema made."""
    stores.cluster().sql("CREATE DATABASE both_first")
    url = stores.cluster().url("both_first")

    def come() -> None:
        with closing(connect(url, {"search_path": definitions.SCHEMA})) as raw:
            upgrade.bring_up_to_date(raw)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.to_thread.run_sync, come)


# --- several engines ------------------------------------------------------------------------------


async def two(tmp_path: Path, url: str = "") -> tuple[PostgresDatabase, PostgresDatabase]:
    url = url or stores.new_url()
    return (
        await PostgresDatabase.open(url, tmp_path / "a" / "flower.db", Inline(), address="ws://a"),
        await PostgresDatabase.open(url, tmp_path / "b" / "flower.db", Inline(), address="ws://b"),
    )


def say(db: Connection, story: str, text: str) -> None:
    leaf = db.execute("SELECT active_leaf FROM sessions WHERE id = ?", (story,)).fetchone()[0]
    stories.append(db, story, leaf, "user", text, "complete", now=2.0)


def texts(db: Connection) -> list[str]:
    return [row[0] for row in db.execute("SELECT content FROM messages ORDER BY id").fetchall()]


async def test_a_story_is_written_by_one_engine(tmp_path: Path) -> None:
    """Whoever has the lease; what is of no story is everybody's."""
    first, second = await two(tmp_path)
    await first.lease("s")
    await first.write(add, "s")
    with pytest.raises(ElsewhereError) as told:
        await second.lease("s")
    assert told.value.address == "ws://a"
    for write in (second.write, second.write_batched):
        with pytest.raises(ElsewhereError, match="another engine plays"):
            await write(say, "s", "late")
    await second.write(add, "t")
    await second.write(selections.set_of_model, "m", "temperature", 1.0)
    await first.write(selections.set_of_model, "m", "temperature", 0.5)
    assert await first.read(texts) == ["Hello.", "Hello."]
    await first.aclose()  # in good order: its stories are free at once
    assert await second.lease("s") == ()
    await second.write(say, "s", "I go on.")
    await second.aclose()


async def test_a_story_is_brought_up_to_date_though_a_change_took_its_lease_first(
    tmp_path: Path,
) -> None:
    """What a dead engine left is ended, and what others changed meanwhile is read anew."""
    first, second = await two(tmp_path)
    await first.lease("s")
    await first.write(add, "s")
    assert 1 in await first.read(lambda db: paths.way(db, 1).remembered)  # kept from here on
    first.leave("s")
    await first._give_back()
    await second.lease("s")
    await second.write(stories.set_message_extra, 1, {"hidden": True})
    reply = await second.write(
        lambda db: stories.append(db, "s", 1, "assistant", "", "streaming", now=2.0)
    )
    await second.aclose()
    await first.write(lambda db: db.execute("UPDATE sessions SET title = 'x' WHERE id = 's'"))
    assert await first.lease("s", opens=False) == (), "who only changes something tells nobody"
    assert await first.lease("s") == (reply,)
    assert 1 not in await first.read(lambda db: paths.way(db, 1).remembered)
    assert await first.lease("s") == (), "played already"
    await first.aclose()


CHANGES = [
    "UPDATE sessions SET title = 'x' WHERE id = 's'",
    "DELETE FROM sessions WHERE id = 's'",
    "UPDATE messages SET content = 'x' WHERE session_id = 's'",
    "DELETE FROM messages WHERE session_id = 's'",
    "INSERT INTO branches VALUES ('s', 'b', 1, 1.0)",
    "INSERT INTO waiting_lines (session_id, line, created) VALUES ('s', 'x', 1.0)",
    "INSERT INTO growth VALUES (1 << 20, 'x')",
    "INSERT INTO summaries VALUES (1, 'x', 1.0)",
    "INSERT INTO passages (kind, scope, source, position, title, text, hash, created)"
    " VALUES ('memory', 'memory:s', '', 0, '', '', '', 1.0)",
]


@pytest.mark.parametrize("statement", CHANGES)
async def test_no_row_of_a_story_is_changed_by_another_engine(tmp_path: Path, statement: str) -> None:
    first, second = await two(tmp_path)
    await first.write(add, "s")
    with pytest.raises(ElsewhereError):
        await second.write(lambda db: db.execute(statement))
    if not statement.startswith("DELETE FROM messages"):  # a story points to them
        await first.write(lambda db: db.execute(statement))
    await first.aclose()
    await second.aclose()


async def test_every_table_with_rows_of_stories_is_fenced() -> None:
    """A migration that adds one has to say so here."""
    with stores.connected("postgres") as db:
        named = db.execute(
            "SELECT DISTINCT table_name FROM information_schema.columns WHERE table_schema = 'flower'"
            " AND column_name = 'session_id'"
        ).fetchall()
        fenced = db.execute(
            "SELECT DISTINCT event_object_table FROM information_schema.triggers"
            " WHERE trigger_name LIKE '%fence%'"
        ).fetchall()
    # Who watches it, whence it came, who may come: nothing that its engine keeps in memory.
    everybodys = {"selections", "chat_marks", "chat_files", "seats", "table_codes"}
    assert {name for (name,) in named} - everybodys <= {name for (name,) in fenced}


async def test_an_engine_that_was_paused_changes_nothing_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "LEASE_S", 0.3)
    monkeypatch.setattr(engines, "BEAT_S", 0.05)
    paused, other = await two(tmp_path)
    await paused.lease("s")
    await paused.write(add, "s")
    reply = await paused.write(
        lambda db: stories.append(db, "s", 1, "assistant", "", "streaming", now=2.0)
    )
    await paused.write(streaming_text.append, reply, 0, "So far", "m")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other.keep_alive)
        ended: tuple[int, ...] = ()
        with trio.fail_after(5):
            while not ended:
                try:
                    ended = await other.lease("s")
                except ElsewhereError:
                    await trio.testing.wait_all_tasks_blocked(0.02)
        assert ended == (reply,)
        for write in (paused.write, paused.write_batched):
            with pytest.raises(StoreError, match="others play its stories"):
                await write(selections.set_of_model, "m", "temperature", 1.0)
            with pytest.raises(StoreError, match="others play its stories"):
                await write(say, "s", "late")
        with pytest.raises(StoreError, match="others play its stories"):
            await paused.check_place()
        with trio.fail_after(5):
            await paused.keep_alive()  # returns: the engine ends
        await paused.aclose()
        await other.write(say, "s", "I go on.")
        nursery.cancel_scope.cancel()
    assert await other.read(texts) == ["Hello.", "So far", "I go on."]
    await other.aclose()


async def test_leases_are_given_back_when_a_story_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that a single change took; a story that was opened twice stays until it is left twice."""
    monkeypatch.setattr(engines, "BEAT_S", 0.02)
    first, second = await two(tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.keep_alive)
        await first.lease("kept")
        await first.lease("kept")
        first.leave("kept")
        await first.write(add, "s")
        with trio.fail_after(5):
            while True:
                try:
                    await second.lease("s")
                    break
                except ElsewhereError:
                    await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(ElsewhereError):
            await second.lease("kept")
        nursery.cancel_scope.cancel()
    await first.aclose()
    await second.aclose()


async def test_what_other_engines_change_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what this one changed itself, nor the same thing twice, nor what is of one story alone."""
    monkeypatch.setattr(engines, "BEAT_S", 0.02)
    first, second = await two(tmp_path)
    heard: list[tuple[str, str]] = []
    first.follow(lambda what, place: heard.append((what, place)))

    def lore(db: Connection, kind: str, scope: str) -> None:
        for text in ("a", "b"):
            db.execute(
                "INSERT INTO passages (kind, scope, source, position, title, text, hash, created)"
                " VALUES (?, ?, '', 0, '', ?, '', 1.0)",
                (kind, scope, text),
            )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.keep_alive)
        while not heard:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert heard == [("", "")], "nothing is known of the time before"
        await first.write(add, "own")
        await second.write(add, "s")
        await second.write(say, "s", "A line.")
        await second.write(lore, "memory", "memory:s")
        await second.write(lore, "lore", "lore:harbour")
        user = await second.write(users.add, "ines", 1.0)
        rule = Rule(f"brief~{user}", "Brief", "Briefly.")
        await second.write(own_assets.put, user, "rules", rule, 1.0)
        ada = Character("ada", "Ada", "Mends clocks.")
        file = await second.write(originals.keep, b"x", b"hash", "ada", "card", 1.0)
        await second.write(characters.put, ada, Source("ada", file), 1.0)
        with trio.fail_after(20):
            while len(heard) < 5:
                await trio.testing.wait_all_tasks_blocked(0.01)
        nursery.cancel_scope.cancel()
    told = [("characters", "0"), ("characters", str(user)), ("lore", "lore:harbour"), ("stories", "")]
    assert sorted(heard[1:]) == told
    await first.aclose()
    await second.aclose()


async def test_an_engine_that_drains_opens_nothing(tmp_path: Path) -> None:
    first, second = await two(tmp_path)
    await first.lease("mine")
    await first.drain()
    with pytest.raises(ElsewhereError) as told:
        await first.lease("s")
    assert told.value.address == "ws://b"
    assert await second.elsewhere() == ""
    await first.lease("mine")
    await first.aclose()
    await second.aclose()


async def test_a_server_that_was_away_makes_nobody_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes back first has not seen the others' signs of life either."""
    monkeypatch.setattr(engines, "LEASE_S", 0.2)
    first, second = await two(tmp_path)
    await first.lease("s")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.keep_alive)
        monkeypatch.setattr(engines, "LEASE_S", 30.0)
        second._pulse.steady_since = time.monotonic()
        await trio.testing.wait_all_tasks_blocked(0.4)
        with pytest.raises(ElsewhereError):
            await second.lease("s")
        nursery.cancel_scope.cancel()
    await first.aclose()
    await second.aclose()


async def test_who_copies_stories_is_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BEAT_S", -engines.LEASE_S)  # nobody is waited for
    url = stores.new_url()
    playing = await open_postgres(tmp_path / "a" / "flower.db", url)

    async def copier() -> PostgresDatabase:
        return await PostgresDatabase.open(url, tmp_path / "b" / "flower.db", Inline(), alone=True)

    with pytest.raises(StoreError, match="has these stories open"):
        await copier()
    await playing.aclose()
    copying = await copier()
    with pytest.raises(StoreError, match="has these stories open"):
        await open_postgres(tmp_path / "c" / "flower.db", url)
    await copying.aclose()


async def test_the_same_home_comes_back_at_once(tmp_path: Path) -> None:
    """Its lock says that the engine before has ended, however that was."""
    url = stores.new_url()
    dead = await open_postgres(tmp_path / "flower.db", url)
    await dead.lease("s")
    again = await open_postgres(tmp_path / "flower.db", url)
    await again.lease("s")
    with pytest.raises(StoreError, match="others play its stories"):
        await dead.write(add, "s")
    await dead.aclose()
    await again.write(add, "s")
    await again.aclose()


async def test_a_database_of_a_newer_flower_is_left_alone(tmp_path: Path) -> None:
    url = stores.new_url()
    newer = len(schema.MIGRATIONS) + 1
    stores.cluster().sql(
        f"UPDATE flower.about SET value = '{newer}' WHERE name = 'schema'",
        url.split("/")[3].split("?")[0],
    )
    with pytest.raises(StoreError, match="newer Flower"):
        await open_postgres(tmp_path / "flower.db", url)
