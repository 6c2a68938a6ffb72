"""Small rules of mending, one by one, in memory: what is found, what is put right, what is carried over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flower import limits
from flower.engine.store import stories
from flower.engine.store.sqlite import recovery
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.sqlite.file import UnreadableError
from tests.engine.store.test_tree import S


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    """Two stories: messages 1 to 4 of one, 5 and 6 of the other."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        migrate(made)
        for number, (story, parent) in enumerate([(S, 1), (S, 2), (S, 3), ("t", 5)], 1):
            if stories.session(made, story) is None:
                stories.create_session(made, story, "harbour", "mara", "Hello.", float(number))
            stories.append(made, story, parent, "user", "text", "complete", now=10.0 + number)
        yield made


def links(db: sqlite3.Connection) -> dict[int, int | None]:
    return dict(db.execute("SELECT id, parent_id FROM messages ORDER BY id").fetchall())


def leaves(db: sqlite3.Connection) -> dict[str, int | None]:
    return dict(db.execute("SELECT id, active_leaf FROM sessions ORDER BY id").fetchall())


def test_a_whole_database_has_no_problem_and_needs_no_mending(db: sqlite3.Connection) -> None:
    assert links(db) == {1: None, 2: 1, 3: 2, 4: 3, 5: None, 6: 5}
    assert recovery._problems(db) == []
    assert recovery._mend_links(db) == []
    assert recovery._counts(db) == "2 stories, 6 messages."


@pytest.mark.parametrize(("message", "parent"), [(2, 2), (2, 4), (6, 1), (3, 6)])
def test_a_message_follows_an_older_one_of_its_own_story(
    db: sqlite3.Connection, message: int, parent: int
) -> None:
    db.execute("UPDATE messages SET parent_id = ? WHERE id = ?", (parent, message))
    assert recovery._problems(db) == [
        "1 messages follow themselves, a later one, or one of another story"
    ]
    assert recovery._mend_links(db) == ["1 messages whose place was lost follow the one before them."]
    assert links(db) == {1: None, 2: 1, 3: 2, 4: 3, 5: None, 6: 5}
    assert recovery._problems(db) == []


def test_what_follows_a_message_that_is_gone_follows_the_one_before(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("UPDATE messages SET parent_id = 99 WHERE id IN (3, 5)")
    assert "2 rows belong to nothing" in recovery._problems(db)
    assert recovery._mend_links(db) == ["2 messages whose place was lost follow the one before them."]
    assert links(db) == {1: None, 2: 1, 3: 2, 4: 3, 5: None, 6: 5}


@pytest.mark.parametrize("leaf", [5, 4])
def test_a_story_stands_at_the_newest_of_its_own_that_is_not_in_the_trash(
    db: sqlite3.Connection, leaf: int
) -> None:
    db.execute("UPDATE messages SET deleted = 1.0 WHERE id = 4")
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (leaf, S))
    assert recovery._problems(db) == ["1 stories stand at a message that is in the trash or not theirs"]
    assert recovery._mend_links(db) == ["1 stories stand at the newest of their own messages again."]
    assert leaves(db) == {S: 3, "t": 6}


def test_a_story_that_stands_nowhere_stands_at_its_last_message(db: sqlite3.Connection) -> None:
    db.execute("UPDATE sessions SET active_leaf = NULL WHERE id = ?", (S,))
    assert recovery._mend_links(db) == []
    assert leaves(db) == {S: 4, "t": 6}


def test_messages_without_a_story_get_one_from_their_first_day_to_their_last(
    db: sqlite3.Connection,
) -> None:
    db.execute("PRAGMA foreign_keys = OFF")
    db.execute("UPDATE messages SET created = id")
    db.execute("DELETE FROM sessions WHERE id = ?", (S,))
    assert recovery._mend_links(db) == ["1 stories were made anew around their messages."]
    row = db.execute("SELECT title, created, updated, active_leaf FROM sessions WHERE id = ?", (S,))
    assert row.fetchone() == ("A recovered story", 1.0, 4.0, 4)


def test_an_index_of_words_knows_as_many_rows_as_there_are(db: sqlite3.Connection) -> None:
    (index,) = [name for name in recovery._word_indexes(db) if name.startswith("messages")]
    db.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")
    (problem,) = recovery._problems(db)
    assert problem == f"{index} knows 0 of 6 rows"
    db.execute("DROP TABLE messages_fts")
    assert index not in recovery._word_indexes(db)
    assert recovery._problems(db) == []


def test_a_reply_that_grew_is_ended_in_every_schema(db: sqlite3.Connection) -> None:
    db.execute("UPDATE messages SET status = 'streaming' WHERE id IN (4, 6)")
    db.execute("INSERT INTO growth VALUES (?, ' more')", (4 << 20,))
    recovery._end_replies(db)
    query = "SELECT content, status FROM messages WHERE id IN (3, 4, 6) ORDER BY id"
    assert db.execute(query).fetchall() == [
        ("text", "complete"), ("text more", "interrupted"), ("text", "interrupted")
    ]  # fmt: skip
    db.execute("DROP TABLE growth")
    db.execute("UPDATE messages SET status = 'streaming' WHERE id = 4")
    recovery._end_replies(db)
    assert db.execute(query).fetchall()[1] == ("text more", "interrupted")


# --- what can be read of a damaged table --------------------------------------------------------


@pytest.fixture
def damaged() -> Iterator[sqlite3.Connection]:
    """Rows 1 to 400 of which ``whole`` cannot read those in the table of holes."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        made.execute("CREATE TABLE t (name TEXT)")
        made.executemany(
            "INSERT INTO t (rowid, name) VALUES (?, ?)", [(n, f"{n}") for n in range(1, 401)]
        )
        yield made


def read(db: sqlite3.Connection, holes: set[int]) -> tuple[list[int], int]:
    """Returns the rows that can be read, in their order, and how many damaged places there are."""

    def whole(number: int) -> int:
        if number in holes:
            raise ValueError("a damaged page")
        return number

    db.create_function("whole", 1, whole)
    rows = list(recovery._readable(db, "t", "whole(rowid)"))
    return [row[0] for row in rows if row is not None], rows.count(None)


@pytest.mark.parametrize(
    ("holes", "places"),
    [
        (set(), 0),
        ({1}, 1),
        ({400}, 1),
        ({200}, 1),
        ({200, 201}, 1),
        ({10, 300}, 2),
        (set(range(50, 90)), 1),
        (set(range(50, 350)), 1),
        (set(range(1, 120)), 1),
        (set(range(390, 401)), 1),
        (set(range(1, 401)), 1),
    ],
)
def test_every_row_outside_the_damage_is_read_once(
    damaged: sqlite3.Connection, holes: set[int], places: int
) -> None:
    numbers, gaps = read(damaged, holes)
    assert sorted(numbers) == [number for number in range(1, 401) if number not in holes]
    assert gaps == places


def test_a_table_without_numbers_of_rows_is_read_to_its_first_damage() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (name INTEGER PRIMARY KEY, other) WITHOUT ROWID")
        db.executemany("INSERT INTO t VALUES (?, '')", [(1,), (2,), (3,)])
        assert not recovery._has_rowid(db, "t")
        db.create_function("whole", 1, lambda number: number if number < 3 else 1 // 0)
        rows = list(recovery._readable(db, "t", "whole(name)"))
        assert (rows[0], rows[-1], rows.count(None)) == ((1,), None, 1)


def test_rows_are_carried_over_in_the_columns_that_both_have() -> None:
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as old,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as new,
    ):
        old.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, gone, name)")
        new.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name UNIQUE, later DEFAULT 7)")
        new.execute("CREATE TABLE other (id)")
        old.executemany("INSERT INTO t VALUES (?, 0, ?)", [(1, "a"), (2, "b"), (3, "a")])
        assert recovery._carry_over(old, new, "t") == "t: 3 rows saved."
        assert new.execute("SELECT * FROM t").fetchall() == [(1, "a", 7), (2, "b", 7)]
        assert recovery._carry_over(old, new, "other") == ""
        assert recovery._tables(new) == ["t", "other"]
        assert recovery._last_rowid(old, "t") == 3
        assert recovery._last_rowid(new, "other") == 0
        assert recovery._last_rowid(new, "none") == recovery.SALVAGE_ROWS


# --- a database as a file -----------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path, db: sqlite3.Connection) -> Path:
    made = tmp_path / "flower.db"
    with closing(sqlite3.connect(made)) as copy:
        db.backup(copy)
    return made


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    made = tmp_path / "noise.db"
    made.write_bytes(b"noise" * 1000)
    return made


def test_a_look_says_what_is_there_and_what_is_wrong_and_changes_nothing(
    path: Path, noise: Path
) -> None:
    assert recovery.look(path) == recovery.RepairReport(
        True, ("2 stories, 6 messages.", "No damage found.")
    )
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE messages SET parent_id = 4 WHERE id = 2")
        db.commit()
    before = path.read_bytes()
    assert recovery.look(path) == recovery.RepairReport(
        False,
        (
            "2 stories, 6 messages.",
            "1 messages follow themselves, a later one, or one of another story",
        ),
    )
    assert path.read_bytes() == before
    report = recovery.look(noise)
    assert (report.sound, len(report.lines)) == (False, 1)
    assert report.lines[0].startswith(f"{noise}: file is not a database")


def test_what_is_mended_in_place_is_whole_afterwards(path: Path, noise: Path) -> None:
    assert recovery.mend(path) == ["The indexes were made anew."]
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("UPDATE messages SET parent_id = 4, status = 'streaming' WHERE id = 2")
        for index in recovery._word_indexes(db):
            db.execute(f"INSERT INTO {index} ({index}) VALUES ('delete-all')")
        db.commit()
        assert recovery.mend(path) == [
            "The indexes were made anew.",
            "1 messages whose place was lost follow the one before them.",
        ]
        assert path.with_name("flower.db-wal").stat().st_size == 0
        assert db.execute("SELECT status FROM messages WHERE id = 2").fetchone() == ("interrupted",)
        words = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'text' ORDER BY rowid"
        assert [row for (row,) in db.execute(words)] == [2, 3, 4, 6]
    assert recovery.look(path).sound
    with pytest.raises(UnreadableError, match="not a database"):
        recovery.mend(noise)


def test_what_is_saved_row_by_row_is_a_sound_database_of_its_own(path: Path, noise: Path) -> None:
    draft = path.with_name("draft.db")
    draft.write_bytes(b"an older draft")
    before = path.read_bytes()
    lines = recovery.salvage(path, draft)
    assert path.read_bytes() == before
    assert recovery.look(draft) == recovery.look(path)
    assert "sessions: 2 rows saved." in lines
    assert "messages: 6 rows saved." in lines
    assert lines[-1] == "The indexes were made anew."
    with closing(sqlite3.connect(draft)) as db:
        assert links(db) == {1: None, 2: 1, 3: 2, 4: 3, 5: None, 6: 5}
        assert leaves(db) == {S: 4, "t": 6}
        assert db.execute("PRAGMA page_size").fetchone() == (limits.PAGE_BYTES,)
    with pytest.raises(UnreadableError, match="not a database"):
        recovery.salvage(noise, draft)


def test_damaged_places_are_counted_and_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as old,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as new,
    ):
        for db in (old, new):
            db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name)")
        rows = [(1, "a"), None, (3, "c"), None, (5, "e")]
        monkeypatch.setattr(recovery, "_readable", lambda *_: iter(rows))
        assert recovery._carry_over(old, new, "t") == "t: 3 rows saved, 2 damaged places skipped."
        assert new.execute("SELECT id FROM t").fetchall() == [(1,), (3,), (5,)]
