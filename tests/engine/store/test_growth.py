"""Growing replies: what was flushed is there whatever happens, once, for whoever reads it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower import limits
from flower.engine.admin import backup, home_cli
from flower.engine.store import exchanges, schema, search, stories, streaming_text, trash, tree
from flower.engine.store.connection import Connection
from flower.engine.store.sqlite import recovery
from flower.engine.store.sqlite.database import Database
from flower.home import Home
from tests import postgres_cluster
from tests.stores import KINDS, changes, connected

S = "s"


@contextmanager
def connect(kind: str = "sqlite") -> Iterator[Connection]:
    with connected(kind) as connection:
        stories.create_session(connection, S, "harbour", "", "The tide is out.", 1.0)
        yield connection


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with connect(request.param) as connection:
        yield connection


def begin(db: Connection) -> int:
    return exchanges.begin_exchange(db, S, "I look.", "m", None, 2.0).reply_id


def half_grown(db: Connection) -> int:
    """A reply of which two flushes are there; returns its id."""
    reply = begin(db)
    streaming_text.append(db, reply, 0, "A heron ", "m")
    streaming_text.append(db, reply, 8, "watches", "m")
    return reply


HALF = "A heron watches"


def text_in(db: Connection, reply: int) -> str:
    found = stories.message(db, reply)
    assert found is not None
    return found.content


def rows(db: Connection) -> int:
    return int(db.execute("SELECT count(*) FROM growth").fetchone()[0])


def indexed(db: Connection) -> None:
    """The index of words fits the messages; SQLite raises if not."""
    db.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 0)")


# --- reading --------------------------------------------------------------------------------------


def test_every_way_of_reading_has_the_text_so_far(db: Connection) -> None:
    reply = half_grown(db)
    page = tree.page(db, S)
    assert page is not None
    for way in (
        [stories.visible(db, S, reply)],
        stories.path(db, reply),
        stories.active_path(db, S),
        stories.tree(db, S),
        stories.children(db, S, reply - 1),
        page.messages,
        [tree.find(db, S, None)],
    ):
        last = way[-1]
        assert last is not None
        assert (last.id, last.content, last.status) == (reply, HALF, "streaming")


def test_a_part_of_no_other_reply_is_read(db: Connection) -> None:
    """Replies of several stories grow at the same time, with ids side by side."""
    made = []
    for number in range(3):
        stories.create_session(db, f"s{number}", "harbour", "", "", 1.0)
        made.append(exchanges.begin_exchange(db, f"s{number}", "I look.", "m", None, 2.0).reply_id)
    for at in range(0, 40, 8):
        for reply in made:
            streaming_text.append(db, reply, at, f"{reply:08}", "m")
    assert [text_in(db, reply) for reply in made] == [f"{reply:08}" * 5 for reply in made]
    streaming_text.end(db, made[1], "Done.", "complete")
    assert [text_in(db, reply) for reply in made] == [
        f"{made[0]:08}" * 5,
        "Done.",
        f"{made[2]:08}" * 5,
    ]


def test_a_growing_reply_in_the_trash_is_listed_with_its_text(db: Connection) -> None:
    reply = half_grown(db)
    trash.discard(db, S, reply, 5.0)
    assert [thrown.content for thrown in trash.list_messages(db, S)] == [HALF]


def test_a_deleted_reply_takes_its_parts_along(db: Connection) -> None:
    reply = half_grown(db)
    trash.discard(db, S, reply, 5.0)
    trash.purge_messages(db, [reply])
    assert rows(db) == 0


def test_a_growing_reply_is_searched_for_when_it_has_ended(db: Connection) -> None:
    half_grown(db)
    assert search.search(db, "heron") == []
    streaming_text.recover(db)
    assert [hit.excerpt for hit in search.search(db, "heron")] == [HALF]
    indexed(db)


def test_a_place_has_room_for_every_reply() -> None:
    assert limits.REPLY_CHARS < 1 << streaming_text.AT_BITS
    assert f"<< {streaming_text.AT_BITS}) + {(1 << streaming_text.AT_BITS) - 1}" in schema.GROWTH_SCHEMA


# --- growing --------------------------------------------------------------------------------------

TEXT = st.text("ab \n'é火🙂", min_size=0, max_size=9)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), TEXT),
        st.tuples(st.sampled_from(["flush", "fail", "end", "crash", "reopen"]), st.just("")),
    ),
    max_size=40,
)


class _Reply:
    """What a turn knows of its reply, and what must be on disk by now."""

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.id = begin(db)
        self.open = True
        self.text = ""  # as its watchers see it
        self.flushed = 0
        self.saved = ""

    def take(self, step: str, text: str) -> None:
        if not self.open:
            if step == "reopen":
                streaming_text.reopen(self.db, self.id)
                self.open, self.text, self.flushed = True, self.saved, len(self.saved)
            return
        match step:
            case "grow":
                self.text += text
            case "flush" | "fail":
                streaming_text.append(self.db, self.id, self.flushed, self.text[self.flushed :], "m")
                self.saved = self.text
                if step == "flush":  # else the disk told of an error after it had written
                    self.flushed = len(self.text)
            case "end":
                streaming_text.end(self.db, self.id, self.text, "complete")
                self.open, self.saved = False, self.text
            case "crash":
                assert streaming_text.recover(self.db) == 1
                self.open = False


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_no_text_is_lost_or_doubled_whatever_happens(steps: list[tuple[str, str]]) -> None:
    """After any steps the text that is read is what was flushed last, and ended replies have no parts."""
    grow("sqlite", steps)


@postgres_cluster.needed
@settings(max_examples=75, deadline=None)  # each takes ten times as long
@given(steps=STEPS)
def test_nor_is_it_in_postgresql(steps: list[tuple[str, str]]) -> None:
    grow("postgres", steps)


def grow(kind: str, steps: list[tuple[str, str]]) -> None:
    with connect(kind) as db:
        reply = _Reply(db)
        for step, text in steps:
            reply.take(step, text)
            assert text_in(db, reply.id) == reply.saved
            assert reply.open or rows(db) == 0
        streaming_text.recover(db)
        assert text_in(db, reply.id) == reply.saved
        assert rows(db) == 0
        indexed(db)


def test_another_model_that_answers_is_noted_at_once(db: Connection) -> None:
    reply = begin(db)
    streaming_text.append(db, reply, 0, "A heron.", "other/model")
    streaming_text.recover(db)
    found = stories.message(db, reply)
    assert found is not None
    assert found.model == "other/model"


def test_recovering_is_no_write_when_nothing_grew(db: Connection) -> None:
    streaming_text.end(db, begin(db), "A heron.", "complete")
    before = changes(db)
    assert streaming_text.recover(db) == 0
    assert changes(db) == before


# --- files ----------------------------------------------------------------------------------------


async def test_a_restored_backup_and_a_checked_database_have_the_text(home: Home) -> None:
    """A backup is made while the engine streams."""
    database = await Database.open(home.database)
    await database.write(partial(stories.create_session, now=1.0), S, "harbour", "", "")
    reply = await database.write(half_grown)
    kept = backup.make_kept(home, backup.BY_HAND, 5.0)
    assert recovery.look(home.database).sound
    await database.aclose()
    backup.restore(home, kept, 6.0)
    database = await Database.open(home.database)
    assert await database.read(text_in, reply) == HALF
    assert await database.write(streaming_text.recover) == 1
    assert await database.read(text_in, reply) == HALF
    await database.aclose()


async def test_a_repaired_database_has_the_text(home: Home) -> None:
    """What mends a database ends its replies, as no engine will."""
    database = await Database.open(home.database)
    await database.write(partial(stories.create_session, now=1.0), S, "harbour", "", "")
    reply = await database.write(half_grown)
    await database.write(lambda db: db.execute("DELETE FROM messages_fts_docsize"))
    await database.aclose()
    assert home_cli.repair(home, 5.0).sound
    with closing(sqlite3.connect(home.database)) as db:
        assert text_in(db, reply) == HALF
        assert rows(db) == 0


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
async def test_a_reply_that_grew_in_an_older_schema_is_kept(home: Home, version: int) -> None:
    """Older engines wrote the whole text at every flush."""
    with closing(sqlite3.connect(home.database, isolation_level=None)) as db:
        for script in schema.MIGRATIONS[:version]:
            for statement in schema.statements(script):
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, created, updated) VALUES ('s', 'w', '', 1, 1)"
        )
        db.execute(
            "INSERT INTO messages (session_id, role, content, status, created)"
            " VALUES ('s', 'assistant', ?, 'streaming', 1)",
            (HALF,),
        )
    database = await Database.open(home.database)
    assert await database.write(streaming_text.recover) == 1
    (found,) = await database.read(stories.tree, S)
    assert (found.content, found.status) == (HALF, "interrupted")
    assert [hit.message_id for hit in await database.read(search.search, "heron")] == [found.id]
    await database.aclose()
