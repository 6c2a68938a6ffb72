"""Small rules of a database as a file, one by one: what SQLite's errors say, how it is opened, what is a copy of it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from flower import limits
from flower.engine.store import schema, stories
from flower.engine.store.connection import Connection
from flower.engine.store.paths import Paths
from flower.engine.store.sqlite import connection, database, file
from flower.engine.store.transactions import Inline, OneThread
from flower.errors import StoreError
from tests import stores


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "flower.db"
    made.write_bytes(stores.empty_file())
    return made


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        connection.migrate(made)
        yield made


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SQLITE_FULL", "not saved: the disk with /d is full; free some space and try again"),
        ("SQLITE_READONLY_DIRECTORY", "not saved: /d is read-only; check its permissions and the disk"),
        ("SQLITE_PERM", "not saved: /d is read-only; check its permissions and the disk"),
        (
            "SQLITE_IOERR_WRITE",
            "not saved: the disk with /d reports an error (no); copy the story elsewhere soon",
        ),
        ("SQLITE_CORRUPT_INDEX", "/d is damaged (no); stop the engine, then"),
        ("SQLITE_NOTADB", "/d is damaged (no); stop the engine, then"),
        ("SQLITE_BUSY_SNAPSHOT", "/d is locked by another program; close it and try again"),
        ("SQLITE_LOCKED", "/d is locked by another program; close it and try again"),
        ("SQLITE_CANTOPEN", "/d cannot be opened (no); check that its folder exists and is yours"),
        ("SQLITE_CONSTRAINT", "the database /d refused: no"),
        (None, "the database /d refused: no"),
    ],
)
def test_an_error_of_sqlite_is_a_sentence_that_says_what_to_do(name: str | None, sentence: str) -> None:
    error = sqlite3.OperationalError("no")
    if name is not None:
        error.sqlite_errorname = name
    with pytest.raises(StoreError) as refused, connection.translated(Path("/d")):
        raise error
    assert str(refused.value).startswith(sentence)
    with pytest.raises(KeyError), connection.translated(Path("/d")):
        raise KeyError


def test_an_engines_connection_is_durable_and_knows_its_ways(path: Path) -> None:
    with closing(connection.connect(path, lambda _: pytest.fail("nothing is migrated"))) as db:
        values = {
            name: db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys", "cache_size", "temp_store")
        }
        assert values == {
            "synchronous": 2, "journal_mode": "wal", "foreign_keys": 1, "cache_size": -2000, "temp_store": 2
        }  # fmt: skip
        assert isinstance(getattr(db, "paths", None), Paths)
        assert not db.in_transaction
        with closing(connection.open_reader(path)) as reader:
            assert reader.in_transaction
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("DELETE FROM sessions")


@pytest.mark.parametrize(("bound", "size"), [(0, 1024), (10**9, limits.PAGE_BYTES)])
def test_pages_of_another_size_are_rewritten_in_small_databases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: int, size: int
) -> None:
    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old, isolation_level=None)) as made:
        made.execute("PRAGMA page_size = 1024")
        connection.migrate(made)
    monkeypatch.setattr(connection, "CONVERTED_BYTES", bound)
    with closing(connection.connect(old, lambda _: None)) as db:
        assert db.execute("PRAGMA page_size").fetchone() == (size,)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_each_step_to_the_newest_schema_is_a_transaction_after_the_stories_are_safe() -> None:
    newest = len(schema.MIGRATIONS)
    notices: list[int] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        connection.migrate(db, notices.append)
        assert (notices, file.schema_version(db)) == ([], newest)  # a new one has nothing to lose
        connection.migrate(db, notices.append)
        assert notices == []
        db.execute(f"PRAGMA user_version = {newest + 1}")
        with pytest.raises(StoreError, match=f"schema {newest + 1}, this one knows {newest}"):
            connection.migrate(db)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for number in (1, 2):
            connection.in_transaction(db, connection._run_script, schema.MIGRATIONS[number - 1], number)

        def full(_: int) -> None:
            raise OSError("no room for a backup")

        with pytest.raises(OSError, match="no room"):
            connection.migrate(db, full)
        assert file.schema_version(db) == 2
        connection.migrate(db, notices.append)
        assert (notices, file.schema_version(db)) == ([2], newest)


def test_what_fails_is_rolled_back(db: sqlite3.Connection) -> None:
    def fail(_: sqlite3.Connection) -> None:
        db.execute("UPDATE sessions SET title = 'x'")
        raise ValueError("a bug")

    db.execute("INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
               " VALUES ('s', '', '', 'Fog', 1, 1)")  # fmt: skip
    with pytest.raises(ValueError, match="a bug"):
        connection.in_transaction(db, fail)
    assert not db.in_transaction
    assert db.execute("SELECT title FROM sessions").fetchone() == ("Fog",)

    def undone(_: sqlite3.Connection) -> None:
        db.execute("ROLLBACK")  # as SQLite does on some errors
        raise ValueError("a full disk")

    with pytest.raises(ValueError, match="a full disk"):
        connection.in_transaction(db, undone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP INDEX {index}", "the index {index} is missing"),
        ("CREATE VIEW mine AS SELECT 1", "the view mine is none of Flower's"),
        (
            "CREATE TRIGGER mine AFTER DELETE ON sessions BEGIN SELECT 1; END",
            "the trigger mine is none",
        ),
        ("ALTER TABLE sessions ADD COLUMN mine", "the table sessions is not as Flower makes it"),
        ("CREATE TABLE mine (id)", "the table mine is none of Flower's"),
    ],
)
def test_a_schema_of_somebodys_own_is_refused(
    db: sqlite3.Connection, change: str, message: str
) -> None:
    newest = len(schema.MIGRATIONS)
    file.check_schema(db, newest)
    (index,) = db.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql > ''").fetchone()
    db.execute(change.format(index=index))
    with pytest.raises(StoreError, match=message.format(index=index)):
        file.check_schema(db, newest)


def test_a_schema_has_a_number_that_was_given(db: sqlite3.Connection) -> None:
    for number in (-1, 0, len(schema.MIGRATIONS) + 1):
        with pytest.raises(StoreError, match=f"has the number {number}, which Flower never gave"):
            file.check_schema(db, number)


def test_a_copy_is_one_whole_file_of_stories(path: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy.db"
    assert not file.is_copy(path)  # it has a log
    file.copy(path, copied)
    assert file.is_copy(copied)
    assert not file.is_copy(tmp_path / "none.db")
    for place, byte in ((0, b"X"), (18, b"\2"), (19, b"\2")):
        broken = tmp_path / "broken.db"
        data = copied.read_bytes()
        broken.write_bytes(data[:place] + byte + data[place + 1 :])
        assert not file.is_copy(broken)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE other (id)")
        other.commit()
    with pytest.raises(StoreError, match="holds no stories of Flower"):
        file.check_usable(tmp_path / "other.db")
    with closing(sqlite3.connect(copied)) as newer:
        newer.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="was made by a newer Flower"):
        file.check_usable(copied)
    with pytest.raises(StoreError, match="cannot be used as a backup"):
        file.check_usable(tmp_path / "none.db")


def test_a_file_is_named_with_its_logs_and_told_from_others(path: Path, tmp_path: Path) -> None:
    assert [one.name for one in file.with_log(path)] == [
        "flower.db", "flower.db-wal", "flower.db-journal"
    ]  # fmt: skip
    path.chmod(0o644)
    assert not file.is_private(path)
    file.make_private(path)
    assert file.is_private(path)
    assert path.stat().st_mode & 0o777 == 0o600
    file.make_private(tmp_path / "none")
    draft = tmp_path / "draft"
    draft.write_bytes(b"new")
    before = database._identity(path)
    file.replace_durably(draft, path)
    assert (path.read_bytes(), draft.exists()) == (b"new", False)
    assert before != database._identity(path) is not None
    assert database._identity(draft) is None


def test_a_database_whose_file_is_gone_is_kept_beside(path: Path, db: sqlite3.Connection) -> None:
    kept = database._rescue(db, path)
    assert kept is not None
    assert kept.parent == path.parent / "backups"
    assert kept.name.startswith("flower-")
    assert kept.name.endswith("-rescued.db")
    file.check_usable(kept)
    assert kept.parent.stat().st_mode & 0o077 == 0
    (path.parent / "file").write_bytes(b"")
    assert database._rescue(db, path.parent / "file" / "flower.db") is None


@pytest.mark.parametrize("version", [1, 2, len(schema.MIGRATIONS)])
def test_every_version_of_the_schema_is_known_and_a_backup_may_have_it(
    tmp_path: Path, version: int
) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as old:
        old.execute("PRAGMA synchronous = OFF")
        for number in range(1, version + 1):
            connection.in_transaction(
                old, connection._run_script, schema.MIGRATIONS[number - 1], number
            )
        file.check_schema(old, version)
        assert file.schema_version(old) == version
    file.check_usable(tmp_path / "old.db")


def test_a_connection_that_keeps_no_ways_reads_the_same_path(db: sqlite3.Connection) -> None:
    stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
    for number in range(1, 8):
        stories.append(db, "s", number, "user", f"{number}", "complete", now=1.0)
    assert getattr(db, "paths", None) is None
    numbers = {
        arguments: [one.id for one in stories.path(db, 7, before=arguments[0], most=arguments[1])]
        for arguments in ((None, None), (None, 3), (4, None), (4, 2), (1, None))
    }
    assert numbers == {
        (None, None): [1, 2, 3, 4, 5, 6, 7], (None, 3): [5, 6, 7], (4, None): [1, 2, 3], (4, 2): [2, 3], (1, None): []
    }  # fmt: skip
    assert stories.path(db, None) == []
    assert [one.id for one in stories.active_path(db, "s", most=2)] == [7, 8]


def opened(path: Path) -> database.Database:
    return database.Database(connection.connect(path, lambda _: None), path, Inline())


async def test_a_file_has_one_engine_which_waits_for_nobody(path: Path) -> None:
    one = opened(path)
    assert (one.shared, one.path, one.until_flush(2.5)) == (False, path, 2.5)
    assert (await one.lease("s"), await one.lease("s", opens=False)) == ((), ())
    assert (await one.others(), await one.elsewhere()) == ((), "")
    one.leave("s")
    one.follow(lambda *_: pytest.fail("nobody changes anything"))
    await one.drain()
    await one.check_place()
    await one.aclose()


async def test_what_is_asked_is_asked_with_all_that_was_said(path: Path) -> None:
    one = opened(path)

    def ask(db: Connection, /, *values: int, **names: int) -> tuple[object, ...]:
        return (db.execute("SELECT count(*) FROM sessions").fetchone()[0], *values, names)

    for way in (one.read, one.read_slowly, one.write, one.write_batched):
        assert await way(ask, 3, 4, more=5) == (0, 3, 4, {"more": 5})
    await one.aclose()


async def test_what_reads_long_has_a_connection_that_writes_nothing(path: Path) -> None:
    one = opened(path)
    other = await one.read_slowly(lambda db: db)
    assert other is not await one.read(lambda db: db)
    with pytest.raises(sqlite3.ProgrammingError):
        other.execute("SELECT 1")  # closed after use
    with pytest.raises(StoreError):
        await one.read_slowly(lambda db: db.execute("DELETE FROM sessions"))
    with pytest.raises(StoreError, match="refused"):
        await one.read(lambda db: db.execute("SELECT nonsense"))
    await one.aclose()


async def test_a_write_is_whole_or_nothing_and_needs_its_file_in_its_place(path: Path) -> None:
    one = opened(path)

    def broken(db: Connection) -> None:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        await one.write(broken)
    assert await one.read(stories.count_sessions) == 0
    await one.write(lambda db: stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0))
    assert await one.read(stories.count_sessions) == 1
    path.rename(path.with_name("elsewhere.db"))
    for way in (one.write, one.write_batched):
        with pytest.raises(StoreError, match="was moved or deleted while the engine runs"):
            await way(stories.count_sessions)
    assert await one.read(stories.count_sessions) == 1  # the story is still to be seen
    await one.aclose()


async def test_a_file_that_is_gone_and_cannot_be_copied_is_told_without_a_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened(path)
    tries: list[Path] = []
    monkeypatch.setattr(database, "_rescue", lambda _db, gone: tries.append(gone))
    path.unlink()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"no copy could be made\. Stop"):
            await one.check_place()
    assert tries == [path, path]  # a disk may have room by then
    await one.aclose()


async def test_another_file_in_its_place_is_not_the_one_that_was_opened(path: Path) -> None:
    one = opened(path)
    other = path.with_name("other.db")
    other.write_bytes(stores.empty_file())
    other.replace(path)
    with pytest.raises(StoreError, match="was moved or deleted"):
        await one.check_place()
    await one.aclose()


async def test_a_closed_database_has_its_log_folded_in_and_is_closed_on_a_full_disk_too(
    path: Path,
) -> None:
    one = opened(path)
    await one.write(lambda db: stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0))
    log = path.with_name("flower.db-wal")
    assert log.stat().st_size > 0
    await one.aclose()
    assert not log.exists() or log.stat().st_size == 0

    asked: list[str] = []

    class Full(SimpleNamespace):
        def execute(self, sql: str) -> None:
            asked.append(sql)
            raise sqlite3.OperationalError("database or disk is full")

    full = Full(close=lambda: asked.append("closed"))
    with trio.CancelScope() as scope:
        scope.cancel()  # the end of the engine, which is not to leave it open
        await database.Database(full, path, OneThread()).aclose()  # type: ignore[arg-type]
    assert (asked[0], asked[-1]) == ("PRAGMA optimize", "closed")


async def test_long_reads_have_a_thread_of_their_own_where_there_are_threads(path: Path) -> None:
    before: list[int] = []
    one = await database.Database.open(path, before_migration=before.append)
    assert isinstance(one._run, OneThread)
    assert isinstance(one._run_slow, OneThread)
    assert one._run_slow is not one._run
    await one.aclose()
    still = opened(path)
    assert isinstance(still._run_slow, Inline)
    assert before == []  # nothing is migrated in a new one
    await still.aclose()


def test_a_copy_of_what_is_gone_is_private_and_never_fails_loudly(
    path: Path, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.strftime", lambda form, at: form)
    kept = database._rescue(db, path)
    assert kept == path.parent / "backups" / "flower-%Y%m%d-%H%M%S-rescued.db"
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(one.name for one in kept.parent.iterdir()) == [kept.name]  # no log beside it
    assert database._rescue(db, path) == kept  # the folder may be there
    closed = sqlite3.connect(":memory:")
    closed.close()
    assert database._rescue(closed, path) is None


def with_story(path: Path) -> None:
    with closing(connection.connect(path, lambda _: None)) as db:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)


def test_on_a_disk_that_cannot_be_written_stories_are_read_from_memory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_story(path)
    refusals: list[Path] = []

    def refuse(refused: Path) -> sqlite3.Connection:
        refusals.append(refused)
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(file, "_tried", refuse)
    monkeypatch.setattr("os.access", lambda folder, mode: folder != path.parent or mode != os.W_OK)
    with file.reading(path) as db:
        assert stories.count_sessions(db) == 1
        assert db.execute("PRAGMA database_list").fetchone()[2] == ""  # in memory
    with pytest.raises(file.UnreadableError, match="readonly"), file.reading(path.with_name("none.db")):
        pass
    monkeypatch.setattr("os.access", lambda *_: True)
    with pytest.raises(file.UnreadableError, match="readonly"), file.reading(path):
        pass
    assert refusals == [path, path.with_name("none.db"), path]

    def fail(*_: object) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr("shutil.copyfile", fail)
    with pytest.raises(file.UnreadableError, match="readonly"), file.reading(path):
        pass


def test_what_is_read_beside_an_engine_is_closed_and_its_errors_are_told(
    path: Path, tmp_path: Path
) -> None:
    with file.reading(path) as db:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT 1")
    with pytest.raises(file.UnreadableError, match="no such table: nonsense"), file.reading(path) as db:
        db.execute("SELECT * FROM nonsense")
    with pytest.raises(file.UnreadableError, match="readonly"), file.reading(path) as db:
        db.execute("DELETE FROM sessions")
    with pytest.raises(file.UnreadableError), file.reading(tmp_path):
        pass
    with (
        pytest.raises(file.UnreadableError, match="unable to open"),
        file.reading(tmp_path / "none.db"),
    ):
        pass
    (tmp_path / "noise.db").write_bytes(b"noise" * 1000)
    with (
        pytest.raises(file.UnreadableError, match="not a database"),
        file.reading(tmp_path / "noise.db"),
    ):
        pass
    odd = tmp_path / "50% ?#.db"
    odd.write_bytes(path.read_bytes())
    with file.reading(odd) as db:
        assert stories.count_sessions(db) == 0
    with closing(connection.open_reader(odd)) as db:
        assert stories.count_sessions(db) == 0
    assert not (tmp_path / "50% ").exists()


def test_a_log_is_folded_in_and_one_of_a_damaged_database_left(path: Path, tmp_path: Path) -> None:
    log = path.with_name("flower.db-wal")
    with closing(connection.connect(path, lambda _: None)) as db:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
        assert log.stat().st_size > 0
        file.fold_log(path)
        assert log.stat().st_size == 0
    noise = tmp_path / "noise.db"
    noise.write_bytes(b"noise" * 1000)
    file.fold_log(noise)
    assert noise.read_bytes() == b"noise" * 1000


@pytest.mark.parametrize(("mode", "private"), [
    (0o600, True), (0o700, True), (0o400, True), (0o640, False), (0o604, False), (0o610, False), (0o601, False),
])  # fmt: skip
def test_a_file_is_private_when_nobody_else_has_any_right_to_it(
    path: Path, mode: int, private: bool
) -> None:
    path.chmod(mode)
    assert file.is_private(path) is private
    path.chmod(0o600)


def test_a_file_is_brought_to_the_disk_before_and_its_folder_after_it_is_put_in_place(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = tmp_path / "draft"
    draft.write_bytes(b"new")
    synced: list[tuple[bool, bytes]] = []
    closed: list[int] = []
    close = os.close

    def sync(descriptor: int) -> None:
        synced.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.read_bytes()[:3]))
        if synced[-1][0]:
            raise OSError("no such thing for folders")  # on some file systems

    def noted(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr("os.fsync", sync)
    monkeypatch.setattr("os.close", noted)
    file.replace_durably(draft, path)
    assert synced == [(False, b"SQL"), (True, b"new")]
    assert len(closed) == 2

    def fail(_: int) -> None:
        raise OSError("input/output error")

    monkeypatch.setattr("os.fsync", fail)
    draft.write_bytes(b"newer")
    with pytest.raises(OSError, match="input/output error"):
        file.replace_durably(draft, path)
    assert path.read_bytes() == b"new"  # what cannot be brought to the disk takes no place
    assert len(closed) == 3


def test_a_damaged_database_makes_no_copy_and_no_backup(path: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
                   " VALUES ('s', '', '', 'Fog', 1, 1)")  # fmt: skip
        db.commit()
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_master SET rootpage = 2 WHERE name = 'messages'")
        db.commit()
    with pytest.raises(StoreError, match=r"damaged|malformed"):
        file.copy(path, tmp_path / "copy.db")
    with pytest.raises(StoreError):
        file.check_usable(path)
    assert not file.is_copy(path)


def test_what_flower_made_is_spelled_in_any_way_and_sqlites_own_is_not_looked_at(
    db: sqlite3.Connection,
) -> None:
    names = file.objects(db)
    assert not [name for _, name in names if name.startswith(("sqlite_", "messages_fts_"))]
    assert ("table", "messages_fts") in names
    assert names["table", "messages_fts"].startswith("CREATE VIRTUAL")
    assert "('id', 'TEXT', 1)" in names["table", "sessions"]
    assert all("  " not in text and "\n" not in text for text in names.values())
    assert names == file._reference(len(schema.MIGRATIONS))
    assert file._reference(1) != names
