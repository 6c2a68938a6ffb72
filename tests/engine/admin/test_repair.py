"""``flower check``: what is damaged is mended, what cannot be is said, what is left is saved."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flower import limits
from flower.engine.admin import backup, home_cli
from flower.engine.store import exchanges, passages, states, stories, streaming_text, tree
from flower.engine.store.passages import Passage
from flower.engine.store.sqlite import recovery
from flower.engine.store.sqlite.database import Database
from flower.errors import StoreError
from flower.home import Home, open_home
from tests.engine.admin.test_backup import fill

PAGE = limits.PAGE_BYTES


@pytest.fixture
async def filled(home: Home) -> Home:
    database = await Database.open(home.database)
    await database.write(fill)
    memory = Passage(0, "memory", "memory:s0", "message:3", "", "The lamp went out.", 3, 1.0)
    await database.write(passages.add_memories, [memory])
    await database.aclose()
    return home


def change(home: Home, *statements: str) -> None:
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            db.execute(statement)


def count(home: Home, table: str = "messages") -> int:
    with closing(sqlite3.connect(home.database)) as db:
        return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_a_sound_database_is_left_alone(filled: Home) -> None:
    before = filled.database.read_bytes()
    report = home_cli.repair(filled, 1.0)
    assert report.sound
    assert report.lines == ("3 stories, 123 messages.", "No damage found.")
    assert filled.database.read_bytes() == before
    assert backup.listed(filled) == []


@pytest.mark.parametrize(
    ("damage", "mended"),
    [
        (["DELETE FROM sessions WHERE id = 's1'"], "1 stories were made anew"),
        (["DELETE FROM messages WHERE id IN (20, 30)"], "2 messages whose place was lost"),
        (["UPDATE sessions SET active_leaf = 999999"], "indexes were made anew"),
        (["DELETE FROM messages_fts_docsize"], "indexes were made anew"),
    ],
)  # fmt: skip
async def test_links_and_indexes_are_mended_in_place(
    filled: Home, damage: list[str], mended: str
) -> None:
    change(filled, *damage)
    messages = count(filled)
    assert not recovery.look(filled.database).sound
    report = home_cli.repair(filled, 1.0)
    assert report.sound, report.lines
    assert mended in "\n".join(report.lines)
    assert count(filled) == messages
    assert list(backup.folder(filled).glob("*.damaged")), "what was there is kept"


async def test_a_broken_index_is_made_anew(filled: Home) -> None:
    """A page of an index in the file's middle, overwritten."""
    with closing(sqlite3.connect(filled.database)) as db:
        (page,) = db.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'messages_children'"
        ).fetchone()
    with filled.database.open("r+b") as file:
        file.seek((page - 1) * PAGE + 8)
        file.write(bytes(200))
    assert not recovery.look(filled.database).sound
    report = home_cli.repair(filled, 1.0)
    assert report.sound, report.lines
    assert count(filled) == 123


async def test_any_lost_page_costs_at_most_what_was_on_it(filled: Home, tmp_path: Path) -> None:
    """Each page but the first, filled with noise: mended, and few messages are gone."""
    rng = random.Random(3)
    pages = filled.database.stat().st_size // PAGE
    lost = []
    for page in range(1, pages):
        home = open_home(tmp_path / f"damaged-{page}", {})
        shutil.copy(filled.database, home.database)
        with home.database.open("r+b") as file:
            file.seek(page * PAGE)
            file.write(rng.randbytes(PAGE))
        report = home_cli.repair(home, 1.0)
        assert report.sound, (page, report.lines)
        lost.append(123 - count(home))
        shutil.rmtree(home.root)
    assert pages > 20
    few = 7  # two to four are on a page of messages, and rows behind it are skipped in doubling steps
    assert sorted(lost)[len(lost) // 2] <= few
    inner_pages = (
        3  # of the schema's and the messages' trees: without them whole branches are out of reach
    )
    assert sum(gone > few for gone in lost) <= inner_pages, lost


async def test_a_lost_head_is_told_with_the_way_back(filled: Home) -> None:
    saved = backup.make_kept(filled, backup.DAILY, 1.0)
    with filled.database.open("r+b") as file:
        file.write(bytes(PAGE))
    with pytest.raises(StoreError, match=f"flower restore {saved}"):
        home_cli.repair(filled, 2.0)
    assert list(backup.folder(filled).glob("*.damaged"))


async def test_a_cut_file_gives_what_is_left(filled: Home) -> None:
    size = filled.database.stat().st_size
    with filled.database.open("r+b") as file:
        file.truncate(size - 6 * PAGE)
    report = home_cli.repair(filled, 1.0)
    assert report.sound, report.lines
    assert count(filled) > 0, report.lines


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE messages SET parent_id = id WHERE id = 3",
        "UPDATE messages SET parent_id = 6 WHERE id = 1",
        "UPDATE messages SET parent_id = 2 WHERE session_id = 's2' AND id = (SELECT max(id) FROM messages)",
        "UPDATE sessions SET active_leaf = 2 WHERE id = 's2'",
        "UPDATE messages SET deleted = 1, deleted_with = 6 WHERE id = 6",
    ],
)
async def test_rows_that_are_whole_but_wrong_block_nobody(home: Home, damage: str) -> None:
    """A message above itself, a foreign parent, a story in the trash's hands: read in time, found, mended."""
    database = await Database.open(home.database)

    def two_stories(db: sqlite3.Connection) -> None:
        for name in ("s1", "s2"):
            db.execute(
                "INSERT INTO sessions (id, world_id, character_id, created, updated)"
                " VALUES (?, '', '', 1, 1)",
                (name,),
            )
            for line in ("One.", "Two.", "Three.") if name == "s1" else ("Else.",):
                made = exchanges.begin_exchange(db, name, line, "m", None, 1.0)
                streaming_text.end(db, made.reply_id, "Yes.", "complete", {}, "m")

    await database.write(two_stories)
    await database.write(lambda db: db.execute(damage))
    for name in ("s1", "s2"):
        found = await database.read(stories.session, name)
        assert found is not None
        await database.read(stories.active_path, name)
        await database.read(states.current_at, name, found.active_leaf, 2.0)
        await database.read(tree.page, name, None)
        await database.read(tree.leaf_below, found.active_leaf or 1)
    await database.aclose()
    report = recovery.look(home.database)
    assert not report.sound
    assert home_cli.repair(home, 2.0).sound
    assert recovery.look(home.database).sound
