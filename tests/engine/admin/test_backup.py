"""Backups: whole, bounded in number, made before every change of form; and the way back."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio

from flower import cli, limits
from flower.engine.admin import backup
from flower.engine.admin import home_cli as care
from flower.engine.store import exchanges as replies
from flower.engine.store import schema, stories, streaming_text
from flower.engine.store.sqlite.database import Database
from flower.errors import FlowerError, StoreError
from flower.home import Home
from flower.installation import as_typed

DAY = 24 * 3600.0


def fill(db: sqlite3.Connection, stories_count: int = 3, exchanges: int = 20) -> None:
    for number in range(stories_count):
        session = f"s{number}"
        stories.create_session(db, session, "w", "c", "The tide is out.", 1.0)
        for line in range(exchanges):
            made = replies.begin_exchange(
                db, session, f"{session} line {line} " + "x" * 200, "m", None, 2.0
            )
            streaming_text.end(db, made.reply_id, f"{session} reply {line} " + "y" * 400, "complete")


async def make_stories(home: Home, exchanges: int = 20) -> None:
    database = await Database.open(home.database)
    await database.write(fill, exchanges=exchanges)
    await database.aclose()


def contents(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT role, content FROM messages ORDER BY id").fetchall()


async def test_a_backup_of_a_database_in_use_is_whole(home: Home, tmp_path: Path) -> None:
    """Ten copies while lines are being written: each holds some whole number of exchanges."""
    database = await Database.open(home.database)
    await database.write(fill, 1, 0)
    counts = []

    async def write_for_ever() -> None:
        for number in range(10_000):
            await database.write(replies.begin_exchange, "s0", f"Line {number}", "m", None, 1.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_for_ever)
        for number in range(10):
            await trio.to_thread.run_sync(backup.make, home.database, tmp_path / f"{number}.db")
            counts.append(len(contents(tmp_path / f"{number}.db")))
        nursery.cancel_scope.cancel()
    await database.aclose()
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert all(count % 2 == 1 for count in counts), "the greeting, and then lines with their replies"


async def test_a_backup_is_one_private_file(home: Home, tmp_path: Path) -> None:
    await make_stories(home)
    target = tmp_path / "new" / "copy.db"
    backup.make(home.database, target)
    assert [path.name for path in target.parent.iterdir()] == ["copy.db"]
    assert target.stat().st_mode & 0o777 == 0o600
    assert contents(target) == contents(home.database)


async def test_what_cannot_be_copied_leaves_the_old_backup_alone(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_stories(home)
    target = tmp_path / "copy.db"
    backup.make(home.database, target)
    before = target.read_bytes()
    monkeypatch.setattr(limits, "DISK_LOW_BYTES", 1 << 60)
    with pytest.raises(StoreError, match=r"no backup .* needed, .* free"):
        backup.make(home.database, target)
    monkeypatch.undo()
    home.database.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    with pytest.raises(StoreError, match="no backup"):
        backup.make(home.database, target)
    assert target.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "home"]


async def test_old_backups_go_each_kind_by_itself(home: Home) -> None:
    await make_stories(home, 1)
    for day in range(backup.BACKUPS_DAILY + 3):
        backup.make_kept(home, backup.DAILY, day * DAY)
    for day in range(backup.BACKUPS_OTHER + 2):
        backup.make_kept(home, backup.BY_HAND, day * DAY)
    assert len(backup.listed(home, f"-{backup.DAILY}")) == backup.BACKUPS_DAILY
    assert len(backup.listed(home, f"-{backup.BY_HAND}")) == backup.BACKUPS_OTHER
    newest = backup.listed(home, f"-{backup.DAILY}")[0]
    assert newest.name == f"flower-197001{backup.BACKUPS_DAILY + 3:02}-000000-daily.db"


async def test_a_daily_backup_is_due_when_something_changed(home: Home) -> None:
    now = 1_800_000_000.0
    assert not backup.is_due(home, now), "there is no database yet"
    await make_stories(home, 1)
    os.utime(home.database, (now, now))
    assert backup.is_due(home, now)
    path = backup.make_kept(home, backup.DAILY, now)
    os.utime(path, (now + 1, now + 1))
    assert not backup.is_due(home, now + 2 * DAY), "nothing has changed since"
    os.utime(home.database, (now + 60, now + 60))
    assert not backup.is_due(home, now + 60), "there is one of today"
    assert backup.is_due(home, now + DAY + 2)
    assert backup.is_due(home, now - DAY), "a clock that went back stops no backups"


async def test_restoring_brings_the_old_stories_back_and_keeps_the_new(home: Home) -> None:
    await make_stories(home)
    old = contents(home.database)
    saved = backup.make_kept(home, backup.BY_HAND, 1.0)
    database = await Database.open(home.database)
    await database.write(replies.begin_exchange, "s0", "Something else.", "m", None, 9.0)
    await database.aclose()
    new = contents(home.database)
    (home.index / "ab.hnsw").write_bytes(b"rows that are gone")
    (home.index / "native.ok").write_text("kept")
    before = backup.restore(home, saved, 2.0)
    assert contents(home.database) == old
    assert before is not None
    assert contents(before) == new
    assert [path.name for path in home.index.iterdir()] == ["native.ok"]
    database = await Database.open(home.database)
    assert len(await database.read(stories.sessions)) == 3
    await database.aclose()


async def test_restoring_over_a_damaged_database_keeps_it_as_it_is(home: Home) -> None:
    await make_stories(home)
    saved = backup.make_kept(home, backup.BY_HAND, 1.0)
    home.database.write_bytes(b"\0" * 4096)
    before = backup.restore(home, saved, 2.0)
    assert before is not None
    assert before.suffix == ".damaged"
    assert before.read_bytes() == b"\0" * 4096
    assert len(contents(home.database)) == 3 * 41


@pytest.mark.parametrize("kind", ["text", "empty", "foreign", "newer", "cut"])
async def test_what_is_no_backup_changes_nothing(home: Home, tmp_path: Path, kind: str) -> None:
    await make_stories(home)
    wrong = tmp_path / "wrong.db"
    backup.make(home.database, wrong)
    if kind == "text":
        wrong.write_text("Dear diary, " * 500)
    elif kind == "empty":
        wrong.write_bytes(b"")
    elif kind == "cut":
        wrong.write_bytes(wrong.read_bytes()[:9000])
    else:
        with closing(sqlite3.connect(wrong, isolation_level=None)) as db:
            db.execute("DROP TABLE messages" if kind == "foreign" else "PRAGMA user_version = 999")
    before = home.database.read_bytes()
    with pytest.raises(StoreError):
        backup.restore(home, wrong, 1.0)
    assert home.database.read_bytes() == before


# --- migrations -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
async def test_every_older_database_is_kept_and_then_migrated(home: Home, version: int) -> None:
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        for script in schema.MIGRATIONS[:version]:
            for statement in schema.statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
            " VALUES ('old', 'w', 'c', 'Old', 1, 1)"
        )
        db.execute(
            "INSERT INTO messages (session_id, role, content, status, created)"
            " VALUES ('old', 'user', 'Words.', 'complete', 1)"
        )
    kept: list[Path] = []

    def keep(at: int) -> None:
        kept.append(backup.make_kept(home, f"before-schema-{at + 1}", 5.0))

    database = await Database.open(home.database, before_migration=keep)
    (story,) = await database.read(stories.sessions)
    assert (story.id, story.title, story.messages) == ("old", "Old", 1)
    await database.aclose()
    with closing(sqlite3.connect(kept[0])) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (version,)
    assert contents(kept[0]) == contents(home.database) == [("user", "Words.")]


async def test_no_backup_no_migration(home: Home) -> None:
    """A database that could not be kept first stays what it is."""
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        for statement in schema.statements(schema.MIGRATIONS[0]):
            db.execute(statement)
        db.execute("PRAGMA user_version = 1")

    def refuse(_: int) -> None:
        raise StoreError("no room")

    with pytest.raises(StoreError, match="no room"):
        await Database.open(home.database, before_migration=refuse)
    with closing(sqlite3.connect(home.database)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


async def test_a_new_database_needs_no_backup(home: Home) -> None:
    asked: list[int] = []
    database = await Database.open(home.database, before_migration=asked.append)
    await database.aclose()
    assert asked == []


# --- the commands ---------------------------------------------------------------------------------


async def test_backup_and_restore_as_typed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    await make_stories(home)
    root = ["--home", str(home.root)]
    assert cli.main([*root, "restore"]) == 0
    assert "no backups here yet" in capsys.readouterr().out
    assert cli.main([*root, "backup"]) == 0
    (path,) = backup.listed(home)
    assert str(path) in capsys.readouterr().out
    home.database.write_bytes(b"\0" * 4096)
    assert cli.main([*root, "check"]) == 1
    assert as_typed(f"`flower restore {path}`") in capsys.readouterr().err
    assert cli.main([*root, "restore", path.name]) == 0
    assert cli.main([*root, "check"]) == 0
    assert "3 stories, 123 messages." in capsys.readouterr().out
    assert cli.main([*root, "restore", "nothing.db"]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_a_backup_of_nothing_is_refused(home: Home) -> None:
    with pytest.raises(FlowerError, match="no stories"):
        care.back_up(home, None)


async def test_what_a_stopped_engine_left_of_a_backup_is_swept_up(home: Home) -> None:
    """The draft and the journals that SQLite keeps beside it go with the next backup."""
    backup.folder(home).mkdir()
    left = [
        backup.folder(home) / f"flower-20260101-000000-daily.db.new{end}"
        for end in ("", "-journal", "-wal")
    ]
    for path in left:
        path.write_bytes(b"half")
    await make_stories(home)
    made = backup.make_kept(home, backup.DAILY, 1_700_000_000.0)
    assert list(backup.folder(home).iterdir()) == [made]


@pytest.mark.parametrize(
    ("size", "free", "kept"),
    [(limits.MIB, 1024 * limits.MIB, 7), (100 * limits.MIB, 1600 * limits.MIB, 4), (2**31, 2**32, 2)],
)
def test_as_many_backups_are_kept_as_the_disk_can_bear(size: int, free: int, kept: int) -> None:
    """They take a quarter of what is free at most, but two are always kept."""
    assert backup.kept_daily(size, free) == kept


def test_a_large_home_is_copied_less_often() -> None:
    """No more than a GiB is written a day for backups."""
    assert backup.interval_s(50 * limits.MIB) == backup.BACKUP_INTERVAL_S
    assert backup.interval_s(3 * 1024 * limits.MIB) == 3 * backup.BACKUP_INTERVAL_S
