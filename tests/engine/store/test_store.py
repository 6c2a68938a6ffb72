"""The database: transactions, migrations, the message tree."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from flower.engine.store import exchanges, schema, selections, stories, streaming_text, trash
from flower.engine.store.connection import Connection
from flower.engine.store.extra import MessageExtra, SessionExtra
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.sqlite.database import Database
from flower.errors import StoreError
from tests.stores import changes


def add_session(db: Connection, session_id: str = "s", greeting: str = "Hello.") -> None:
    stories.create_session(db, session_id, "harbour", "mara", greeting, 1.0)


def exchange(db: Connection, line: str, reply: str, session_id: str = "s") -> exchanges.Exchange:
    made = exchanges.begin_exchange(db, session_id, line, "m", None, 2.0)
    streaming_text.end(db, made.reply_id, reply, "complete", {"prompt_tokens": 1})
    return made


def test_a_story_is_a_path_from_its_greeting_to_the_active_leaf(db: Connection) -> None:
    add_session(db)
    exchange(db, "I look.", "You see.")
    stored = stories.session(db, "s")
    assert stored is not None
    assert [(m.role, m.content) for m in stories.path(db, stored.active_leaf)] == [
        ("assistant", "Hello."),
        ("user", "I look."),
        ("assistant", "You see."),
    ]
    assert (stored.title, stored.messages) == ("I look.", 3)


def test_other_branches_are_not_on_the_path(db: Connection) -> None:
    add_session(db)
    exchange(db, "Left.", "Door.")
    left = stories.session(db, "s")
    assert left is not None
    db.execute("UPDATE sessions SET active_leaf = 1 WHERE id = 's'")
    right = exchange(db, "Right.", "Stairs.")
    assert [m.content for m in stories.path(db, right.reply_id)] == ["Hello.", "Right.", "Stairs."]
    assert left.active_leaf not in stories.path_ids(db, right.reply_id)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 30), st.integers(1, 12))
def test_pages_put_together_are_the_story(count: int, size: int) -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    add_session(connection)
    for number in range(count):
        exchange(connection, f"line {number}", f"reply {number}")
    stored = stories.session(connection, "s")
    assert stored is not None
    whole = stories.path(connection, stored.active_leaf)
    page = stories.path(connection, stored.active_leaf, most=size)
    collected = page
    while page:
        page = stories.path(connection, stored.active_leaf, before=page[0].id, most=size)
        assert len(page) <= size
        collected = page + collected
    assert collected == whole
    connection.close()


def test_a_request_is_stored_once(db: Connection) -> None:
    add_session(db)
    first = exchanges.begin_exchange(db, "s", "Once.", "m", "r1", 1.0)
    second = exchanges.begin_exchange(db, "s", "Once.", "m", "r1", 1.0)
    assert second.already_there
    assert (second.user_id, second.reply_id) == (first.user_id, first.reply_id)
    assert db.execute("SELECT count(*) FROM messages").fetchone() == (3,)


def test_the_title_is_the_first_line_shortened(db: Connection) -> None:
    add_session(db)
    assert exchanges.begin_exchange(db, "s", "word " * 40, "m", None, 1.0).titled
    assert not exchanges.begin_exchange(db, "s", "other", "m", None, 1.0).titled
    stored = stories.session(db, "s")
    assert stored is not None
    assert stored.title.startswith("word word")
    assert len(stored.title) <= 60
    assert stored.title.endswith("…")


def test_deleting_a_story_leaves_others_alone(db: Connection) -> None:
    for session_id in ("s", "t"):
        add_session(db, session_id)
        exchange(db, "a", "b", session_id)
        chosen = selections.Selection(f"client-{session_id}", session_id=session_id)
        selections.change(db, chosen, ("session_id",), 1.0)
    assert trash.delete(db, "s", 9.0)
    assert not trash.delete(db, "s", 9.0)
    assert [s.id for s in stories.sessions(db)] == ["t"]
    assert stories.session(db, "s") is None
    assert not trash.purge(db, "t"), "only what is in the trash can be purged"
    assert trash.purge(db, "s")
    assert stories.count_sessions(db) == 1
    assert db.execute("SELECT count(*) FROM messages").fetchone() == (3,)
    assert selections.load(db, "client-s").session_id == ""
    assert selections.load(db, "client-t").session_id == "t"


def test_a_story_comes_back_from_the_trash_whole(db: Connection) -> None:
    add_session(db, "s")
    exchange(db, "a", "b", "s")
    before = stories.session(db, "s")
    trash.delete(db, "s", 100.0)
    assert [s.id for s in trash.listed(db)] == ["s"]
    assert trash.expired(db, 100.0) == []
    assert trash.expired(db, 100.1) == ["s"]
    assert trash.restore(db, "s")
    assert not trash.restore(db, "s")
    assert stories.session(db, "s") == before
    assert trash.listed(db) == []


def test_selections_round_trip_and_new_clients_start_where_the_last_left_off(
    db: Connection,
) -> None:
    assert selections.load(db, "new") == selections.Selection("new")
    chosen = selections.Selection("one", "m", "w", "c", "", ("a", "b"), nsfw=True)
    selections.change(db, chosen, ("model",), 5.0)
    assert selections.load(db, "one") == chosen
    assert selections.load(db, "two").rules == ("a", "b")


def test_only_what_was_changed_of_a_selection_is_stored(db: Connection) -> None:
    """Two faces without an id share a row; neither takes back what the other chose there."""
    before = selections.Selection("", "m", "w", "c", "s", ("a",))
    selections.change(db, before, ("world_id",), 1.0)
    one, other = structs.replace(before, model="n"), structs.replace(before, rules=("b",))
    selections.change(db, one, ("model",), 2.0)
    selections.change(db, other, ("rules",), 3.0)
    assert selections.load(db, "") == structs.replace(before, model="n", rules=("b",))


def test_extra_data_is_merged_and_unknown_keys_survive(db: Connection) -> None:
    add_session(db)
    stories.set_message_extra(db, 1, {"card": {"x": 1}})
    stories.set_message_extra(db, 1, {"recalled": "notes"})
    found = stories.message(db, 1)
    assert found is not None
    assert found.extra == MessageExtra(recalled="notes", others={"card": {"x": 1}})


def test_extra_data_that_is_the_same_is_not_written(db: Connection) -> None:
    """The window of most prompts begins where the one before began."""
    add_session(db)
    stories.set_session_extra(db, "s", {"window_start": 3, "card": {"x": 1}})
    before = changes(db)
    stories.set_session_extra(db, "s", {"window_start": 3})
    assert changes(db) == before
    stories.set_session_extra(db, "s", {"window_start": None})
    found = stories.session(db, "s")
    assert found is not None
    assert found.extra == SessionExtra(others={"card": {"x": 1}})


def test_unfinished_replies_are_marked(db: Connection) -> None:
    add_session(db)
    made = exchanges.begin_exchange(db, "s", "Go.", "m", None, 1.0)
    streaming_text.append(db, made.reply_id, 0, "Half", "m")
    assert streaming_text.recover(db) == 1
    reply = stories.message(db, made.reply_id)
    assert reply is not None
    assert (reply.content, reply.status) == ("Half", "interrupted")


async def test_a_failing_transaction_changes_nothing(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "flower.db")

    def half(db: Connection) -> None:
        add_session(db)
        raise KeyError("stop here")

    with pytest.raises(KeyError):
        await database.write(half)
    assert await database.read(stories.sessions) == []
    await database.aclose()


async def test_what_was_written_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "flower.db"
    database = await Database.open(path)
    await database.write(add_session)
    await database.aclose()
    database = await Database.open(path)
    assert [s.id for s in await database.read(stories.sessions)] == ["s"]
    mode = await database.read(lambda db: db.execute("PRAGMA synchronous").fetchone())
    assert mode == (2,), "2 is FULL: a commit survives a power cut"
    await database.aclose()


async def test_a_cancelled_write_is_whole_or_absent(tmp_path: Path) -> None:
    database = await Database.open(tmp_path / "flower.db")
    with trio.CancelScope() as scope:
        scope.cancel()
        await database.write(add_session)
    assert await database.read(stories.sessions) == []
    await database.aclose()


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"this is no database, but it is long enough to be read as one" * 20, "is damaged"),
        (None, "cannot be opened"),
    ],
)
async def test_an_unusable_database_is_one_sentence(
    tmp_path: Path, content: bytes | None, part: str
) -> None:
    path = tmp_path / "flower.db"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=part):
        await Database.open(path)


async def test_a_database_of_a_newer_flower_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "flower.db"
    await (await Database.open(path)).aclose()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreError, match="newer Flower"):
        await Database.open(path)


def test_every_migration_splits_into_whole_statements() -> None:
    for script in schema.MIGRATIONS:
        assert all(sqlite3.complete_statement(statement) for statement in schema.statements(script))
    with pytest.raises(ValueError, match="ends inside"):
        list(schema.statements("CREATE TABLE a (b"))
