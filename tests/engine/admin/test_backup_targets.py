"""Where a backup may be written and what may be restored: nothing of anybody's is ever lost to either."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from flower.cli import main
from flower.engine.admin import backup
from flower.engine.store.sqlite import file
from flower.engine.store.sqlite.database import Database
from flower.errors import StoreError
from flower.home import Home
from tests.engine_process import REPOSITORY

NOW = 1_700_000_000.0


@pytest.fixture
async def stories(home: Home) -> Path:
    """A home's database with one story, closed cleanly."""
    database = await Database.open(home.database)

    def add(db: sqlite3.Connection) -> None:
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
            " VALUES ('s1', 'w', 'c', 'A tale', 1, 1)"
        )

    await database.write(add)
    await database.aclose()
    return home.database


def titles(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as db:
        return [title for (title,) in db.execute("SELECT title FROM sessions")]


async def test_a_backup_replaces_nothing_but_backups(
    home: Home, stories: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stories themselves, settings, texts, links to them, another home's database in use: all stay."""
    text = tmp_path / "letter.txt"
    text.write_text("Dear Mara")
    link = tmp_path / "link.db"
    link.symlink_to(stories)
    in_use = tmp_path / "other.db"
    with closing(sqlite3.connect(in_use)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE messages (id)")
        for target in (
            stories,
            home.config,
            text,
            link,
            in_use,
            home.root / "new.db",
            home.index / "x.db",
        ):
            before = target.read_bytes() if target.exists() else None
            assert main(["--home", str(home.root), "backup", str(target)]) == 1
            assert (target.read_bytes() if target.exists() else None) == before
            assert capsys.readouterr().err.count("\n") == 1
    fresh = tmp_path / "stick" / "flower.db"
    for _ in range(2):  # the second time it replaces its own
        assert main(["--home", str(home.root), "backup", str(fresh)]) == 0
    assert titles(fresh) == ["A tale"]
    assert main(["--home", str(home.root), "backup", str(backup.folder(home) / "by-name.db")]) == 0


async def test_a_stick_that_knows_no_modes_takes_a_backup(
    home: Home, stories: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On FAT or SMB files belong to whoever mounted it: chmod fails, the copy is as good."""

    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    backup.make(stories, tmp_path / "copy.db")
    assert titles(tmp_path / "copy.db") == ["A tale"]


CHANGES = {
    "a table is missing": "DROP TABLE selections",
    "a column is missing": "ALTER TABLE messages DROP COLUMN model",
    "a column is added": "ALTER TABLE messages ADD COLUMN evil",
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON messages BEGIN DELETE FROM sessions; END",
    "a trigger changed": "DROP TRIGGER messages_growth",
    "a view": "DROP TABLE model_params; CREATE VIEW model_params AS SELECT 1 AS model, 2 AS params",
    "the search tables are missing": "DROP TABLE messages_fts",
    "a number below zero": "PRAGMA user_version = -3",
    "no number": "PRAGMA user_version = 0",
    "a number to come": "PRAGMA user_version = 9999",
    "an index of another kind": "DROP INDEX messages_request; CREATE INDEX messages_request ON messages(role)",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_only_what_is_built_like_ours_is_restored(
    home: Home, stories: Path, tmp_path: Path, change: str
) -> None:
    other = tmp_path / "other.db"
    file.copy(stories, other)
    with closing(sqlite3.connect(other)) as db:
        db.executescript(f"UPDATE sessions SET title = 'Mine'; {change}")
    with pytest.raises(StoreError):
        backup.restore(home, other, NOW)
    assert titles(stories) == ["A tale"]


async def test_backups_of_every_schema_are_restored(home: Home, stories: Path, tmp_path: Path) -> None:
    """What older versions made is taken, and brought up to date at the next start."""
    from flower.engine.store import schema

    for version in range(1, len(schema.MIGRATIONS) + 1):
        old = tmp_path / f"schema-{version}.db"
        with closing(sqlite3.connect(old, isolation_level=None)) as db:
            for script in schema.MIGRATIONS[:version]:
                for statement in schema.statements(script):
                    db.execute(statement)
            db.execute(f"PRAGMA user_version = {version}")
            db.execute("ANALYZE")
        backup.restore(home, old, NOW + version)
        await (await Database.open(home.database)).aclose()


def can_mount() -> bool:
    tried = shutil.which("unshare") and subprocess.run(
        ["unshare", "-m", "true"], capture_output=True, check=False
    )
    return bool(tried) and tried.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="a read-only disk needs a mount namespace of its own")
async def test_a_failed_card_still_gives_the_stories_back(
    home: Home, stories: Path, tmp_path: Path
) -> None:
    """With the home read-only: export, backup to elsewhere, check and doctor work; lines in the log count."""
    connection = sqlite3.connect(stories)  # an engine that died: its last line is in the log only
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE sessions SET title = 'The last line'")
    connection.commit()
    run = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'

    def flower(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", run, str(home.root), sys.executable, "-P", "-m", "flower",
             "--home", str(home.root), *arguments],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    try:
        assert "The last line" in flower("export").stdout
        assert flower("backup", str(tmp_path / "saved.db")).returncode == 0
        assert titles(tmp_path / "saved.db") == ["The last line"]
        assert "No damage found" in flower("check").stdout
        assert "read-only" in flower("doctor").stdout.lower()
        assert "cannot use" in flower("engine").stderr
    finally:
        connection.close()


@pytest.mark.parametrize("loss", ["deleted", "moved", "exchanged"])
async def test_an_engine_notices_that_its_file_is_gone(home: Home, loss: str) -> None:
    """Words are not acknowledged that the next start would not find; everything so far is kept."""
    database = await Database.open(home.database)

    def add(db: sqlite3.Connection, name: str) -> None:
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
            " VALUES (?, 'w', 'c', ?, 1, 1)",
            (name, name),
        )

    await database.write(add, "before")
    await database.check_place()
    if loss == "moved":
        home.database.rename(home.root / "elsewhere.db")
    else:
        home.database.unlink()
    if loss == "exchanged":
        home.database.write_bytes(b"")
    for name in ("first", "second"):
        with pytest.raises(StoreError, match="was moved or deleted while the engine runs"):
            await database.write(add, name)
    with pytest.raises(StoreError):
        await database.check_place()
    await database.aclose()
    (rescued,) = backup.folder(home).glob("*rescued.db")
    assert titles(rescued)[:2] == ["before", "first"]
    file.check_usable(rescued)
