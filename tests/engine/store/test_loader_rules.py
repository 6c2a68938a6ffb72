"""Small rules of taking a library over, one by one: which number a row gets, what is here already, what is damaged."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from flower.engine.store import imported_chats, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, originals, personas
from flower.engine.store.transfer import library_rows
from flower.engine.store.transfer.library_loader import Loader, _clean, _read
from flower.errors import ImportFileError
from tests.stores import connected

Row = dict[str, Any]


@pytest.fixture
def db() -> Iterator[Connection]:
    with connected("sqlite") as connection:
        yield connection


class ArchiveLoader(Loader):
    """Takes rows as they come from a file: no text of one is a text of the program."""

    def take(self, table: str, row: Row) -> None:
        super().take(table, msgspec.json.decode(msgspec.json.encode(row)))


def loader(db: Connection, *, scripts_allowed: bool = False) -> Loader:
    return ArchiveLoader(db, lambda _: None, scripts_allowed=scripts_allowed)


def library() -> dict[str, list[Row]]:
    """The rows of a home with a story of three lines."""
    with connected("sqlite") as db:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
        for number, (parent, role) in enumerate([(1, "user"), (2, "assistant")], 2):
            db.execute(
                "INSERT INTO messages (id, session_id, parent_id, role, content, status, created)"
                " VALUES (?, 's', ?, ?, 'text', 'complete', 1.0)",
                (number, parent, role),
            )
        db.execute("UPDATE sessions SET active_leaf = 3 WHERE id = 's'")
        return {table: list(library_rows.rows(db, table)) for table in library_rows.TABLES}


def taken(db: Connection, **instead: list[Row]) -> Loader:
    """Takes a library, some of its tables changed, into a home."""
    found = loader(db)
    for table, rows in {**library(), **instead}.items():
        for row in rows:
            found.take(table, dict(row))
    found.finish()
    return found


def messages(db: Connection, session: str) -> list[tuple[int, int | None]]:
    query = "SELECT id, parent_id FROM messages WHERE session_id = ? ORDER BY id"
    return [(number, parent) for number, parent in db.execute(query, (session,)).fetchall()]


def test_messages_come_behind_those_that_are_here_and_stand_as_they_stood(db: Connection) -> None:
    stories.create_session(db, "here", "harbour", "mara", "Hello.", 1.0)
    found = taken(db)
    assert messages(db, "s") == [(2, None), (3, 2), (4, 3)]
    standing = db.execute("SELECT active_leaf FROM sessions WHERE id = 's'").fetchone()
    assert standing[0] == 4
    assert (found.stories, found.counts["sessions"], found.counts["messages"]) == ({"s"}, 1, 3)


def test_a_story_that_is_here_stays_as_it_is(db: Connection) -> None:
    taken(db)
    again = taken(db)
    assert (again.stories, again.counts) == (set(), {})
    assert len(messages(db, "s")) == 3


@pytest.mark.parametrize("above", [2, 3, 9])
def test_a_message_follows_one_that_came_before_it(db: Connection, above: int) -> None:
    """Neither itself nor a later one, and none that is not there."""
    rows = library()["messages"]
    rows[1] = {**rows[1], "parent_id": above}
    with pytest.raises(ImportFileError, match="a row of messages is none"):
        taken(db, messages=rows)


def test_a_chosen_answer_that_is_not_there_is_none(db: Connection) -> None:
    rows = library()["messages"]
    rows[0], rows[1] = {**rows[0], "chosen": 2}, {**rows[1], "chosen": 77}
    taken(db, messages=rows)
    query = "SELECT chosen FROM messages WHERE session_id = 's' ORDER BY id"
    assert [chosen for (chosen,) in db.execute(query).fetchall()] == [2, None, None]


def persona(number: int, name: str, **more: object) -> Row:
    row: Row = {"id": number, "name": name, "title": "", "description": "", "is_default": 1}
    return {**row, "created": 1.0, "updated": 1.0, **more}


def test_only_the_first_persona_is_everybodys_and_the_same_one_comes_once(db: Connection) -> None:
    found = loader(db)
    for row in (persona(3, "Ines"), persona(5, "Brand"), persona(8, "Ines")):
        found.take("personas", row)
    rows = db.execute("SELECT id, name, is_default FROM personas ORDER BY id").fetchall()
    assert [tuple(row) for row in rows] == [(3, "Ines", 1), (5, "Brand", 0)]
    assert found.counts == {"personas": 2}
    assert [found._here("personas", old) for old in (3, 5, 8, 9)] == [3, 5, 3, None]


def test_a_summary_comes_with_the_message_it_ends_at_and_not_without(db: Connection) -> None:
    stories.create_session(db, "here", "harbour", "mara", "Hello.", 1.0)
    ends = [{"last_id": number, "text": f"Up to {number}.", "created": 1.0} for number in (2, 9)]
    found = taken(db, summaries=ends)
    rows = db.execute("SELECT last_id, text FROM summaries").fetchall()
    assert [tuple(row) for row in rows] == [(messages(db, "s")[1][0], "Up to 2.")]
    assert found.counts["summaries"] == 1


def attached(number: int, world: str, text: str) -> Row:
    return {"id": number, "world_id": world, "text": text, "created": 1.0}


def test_lore_that_is_here_comes_once_but_a_library_may_have_it_twice(db: Connection) -> None:
    rows = [
        attached(1, "harbour", "Fog."),
        attached(2, "harbour", "Fog."),
        attached(3, "forest", "Fog."),
    ]
    for expected in ({"attached_lore": 3}, {}):
        found = loader(db)
        for row in rows:
            found.take("attached_lore", dict(row))
        assert found.counts == expected


@pytest.mark.parametrize(
    ("allowed", "is_on", "stays", "resting"),
    [(True, 1, 1, 0), (False, 1, 0, 1), (False, 0, 0, 0), (True, 0, 0, 0)],
)
def test_scripts_rest_where_they_are_not_allowed(
    db: Connection, allowed: bool, is_on: int, stays: int, resting: int
) -> None:
    found = loader(db, scripts_allowed=allowed)
    row = {"id": 1, "character_id": "", "name": "polite", "is_on": is_on, "position": 0, "packed": b"x"}
    assert found._take_script({**row, "original": None, "place": 0, "created": 1.0})
    assert db.execute("SELECT is_on FROM scripts").fetchone()[0] == stays
    assert found.resting == resting


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_a_number_that_no_database_keeps_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="too large"):
        _read(value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        ({"base64": "AAE="}, b"\0\1"),
        ("a\x1bb", "ab"),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_values_are_read_as_they_were_written(value: object, read: object) -> None:
    assert _read(value) == read


def test_extra_data_is_cleaned_but_for_what_it_was_read_from() -> None:
    dirty = '{"a":["\\u001bx",{"b\\u001b":"\\u001by"}],"source":"\\u001bz","n":1}'
    assert _clean(dirty) == '{"a":["x",{"b":"y"}],"source":"\\u001bz","n":1}'
    assert _clean("{}") == "{}"


def test_the_books_of_a_story_have_the_numbers_they_have_here(db: Connection) -> None:
    found = loader(db)
    found._ids["books", 4] = 9
    assert found._steered({"steering": {"books": [4, 5, "4"]}}) == {"steering": {"books": [9]}}
    assert found._steered({"steering": {"other": 1}}) == {"steering": {"other": 1}}
    assert found._steered({}) == {}


def test_rows_of_a_library_are_counted_and_come_without_what_follows_from_others(
    db: Connection,
) -> None:
    stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
    stories.set_session_extra(db, "s", {"window_start": 1, "table_order": "round"})
    stories.set_message_extra(db, 1, {"recalled_ids": [7], "told": "x"})
    (story,), (message,) = (list(library_rows.rows(db, table)) for table in ("sessions", "messages"))
    assert (story["extra"], message["extra"]) == ('{"table_order":"round"}', '{"told":"x"}')
    for damaged in ("{", "[1]"):
        assert library_rows._without(damaged, "told") == damaged
    assert [library_rows.count(db, table) for table in ("sessions", "messages", "books")] == [1, 1, 0]
    for data in (b"1", b"2", b"3"):
        originals.keep(db, data, originals.digest(data), data.decode(), "chat", 1.0)
        imported_chats.mark(
            db, "s", [], originals.keep(db, data, originals.digest(data), "x", "chat", 1.0), "Ada", ""
        )
    hashes = [hash_ for hash_, _ in library_rows.files(db)]
    assert hashes == sorted(map(originals.digest, (b"1", b"2", b"3")))
    assert dict(library_rows.files(db))[originals.digest(b"2")] == b"2"


def test_the_books_of_a_persona_have_its_number_here(db: Connection) -> None:
    for name in ("Ada", "Ines"):  # so that numbers differ
        personas.put(db, name, "", "", 1.0)
    with connected("sqlite") as other:
        number = books.add(other, books.Book(name="Bells"), 1.0)
        wren = personas.put(other, "Wren", "", "", 1.0)
        for kind, owner in (
            (books.Owner.PERSONA, str(wren)),
            (books.Owner.WORLD, "7"),
            (books.Owner.ALL, ""),
        ):
            books.give(other, number, kind, owner)
        rows = {table: list(library_rows.rows(other, table)) for table in library_rows.TABLES}
    found = loader(db)
    for table, some in rows.items():
        for row in some:
            found.take(table, dict(row))
    found.finish()
    here = personas.find(db, "Wren")
    (book,) = books.listed(db)
    assert here is not None
    assert here.id != wren
    assert set(books.owners(db, book.id)) == {
        (books.Owner.PERSONA, str(here.id)), (books.Owner.WORLD, "7"), (books.Owner.ALL, "")
    }  # fmt: skip


def book_row(number: int, name: str) -> Row:
    return {"id": number, "name": name, "file": f"{name}.json", "value": {"name": name}, "updated": 1.0}


def test_a_book_that_is_here_comes_once_but_a_library_may_have_two_alike(db: Connection) -> None:
    first = loader(db)
    for number in (301, 302):
        first.take("books", book_row(number, "Fog"))
    assert first.counts == {"books": 2}
    second = loader(db)
    for number, name in ((5, "Fog"), (6, "Fog"), (7, "Fog"), (8, "Rain")):
        second.take("books", book_row(number, name))
    assert second.counts == {"books": 2}
    assert [second._here("books", number) for number in (5, 6, 7, 8, 9)] == [301, 302, 309, 310, None]


@pytest.mark.parametrize(("book", "kind", "owner", "count"), [
    (301, "persona", "4", 1),
    (301, "persona", "5", 0),
    (302, "persona", "4", 0),
    (302, "character", "mara", 0),
    (301, "character", "mara", 1),
])  # fmt: skip
def test_a_book_belongs_to_who_is_here(
    db: Connection, book: int, kind: str, owner: str, count: int
) -> None:
    found = loader(db)
    found.take("books", book_row(301, "Fog"))
    found.take("personas", persona(4, "Ines"))
    found.take("book_owners", {"book_id": book, "kind": kind, "owner": owner})
    assert found.counts.get("book_owners", 0) == count


@pytest.mark.parametrize(
    ("kind", "item", "count"), [("books", "301", 1), ("books", "302", 0), ("worlds", "7", 1)]
)
def test_a_favourite_is_one_of_what_is_here(db: Connection, kind: str, item: str, count: int) -> None:
    found = loader(db)
    found.take("books", book_row(301, "Fog"))
    found.take("favourites", {"kind": kind, "id": item})
    assert found.counts.get("favourites", 0) == count


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("favourites", {"kind": "worlds", "id": "harbour"}),
        ("presets", {"kind": "samplers", "name": "mild", "data": "{}", "updated": 1.0}),
        ("model_params", {"model": "m", "params": "{}"}),
        ("quick_replies", {"name": "All", "place": 1, "label": "Go", "text": "I go."}),
        ("persona_owners", {"persona_id": 4, "kind": "character", "owner": "mara"}),
        ("book_owners", {"book_id": 301, "kind": "character", "owner": "mara"}),
        ("branches", {"session_id": "s", "name": "east", "leaf": 2, "created": 1.0}),
        ("chat_marks", {"session_id": "s", "mark": {"base64": "AAAA"}}),
    ],
)
def test_what_is_here_already_comes_once_and_harms_nothing(
    db: Connection, table: str, row: Row
) -> None:
    found = taken(db)
    found.take("personas", persona(4, "Ines"))
    found.take("books", book_row(301, "Fog"))
    found.counts.clear()
    for _ in range(2):
        found.take(table, with_columns(table, row))
    assert found.counts == {table: 1}


def with_columns(table: str, row: Row) -> Row:
    """Returns a row, and something for the columns of its table that it does not name."""
    with connected("sqlite") as empty:
        columns = empty.execute(f"PRAGMA table_info({table})").fetchall()
    needed = {
        name: ("{}" if kind == "TEXT" else 1)
        for _, name, kind, need, default, _ in columns
        if need and default is None and name != "packed"
    }
    return {**needed, **row}


def test_a_row_of_a_story_that_does_not_come_is_left_out(db: Connection) -> None:
    found = taken(db)
    found.counts.clear()
    for table, row in (
        ("branches", {"name": "east", "leaf": 2, "created": 1.0}),
        ("chat_marks", {"mark": {"base64": "AAAA"}}),
        ("messages", {"id": 9, "parent_id": None, "role": "user", "content": "", "created": 1.0}),
    ):
        found.take(table, with_columns(table, {**row, "session_id": "other"}))
    assert found.counts == {}


@pytest.mark.parametrize("parents", [{1: None, 3: 1, 2: 3}, {1: None, 3: 2}])
def test_a_message_follows_an_older_one_that_is_here(
    db: Connection, parents: dict[int, int | None]
) -> None:
    rows = {row["id"]: row for row in library()["messages"]}
    with pytest.raises(ImportFileError, match="a row of messages is none"):
        taken(db, messages=[{**rows[number], "parent_id": above} for number, above in parents.items()])


@pytest.mark.parametrize(
    ("scope", "kind", "message", "count"),
    [
        ("memory:s", "memory", 2, 1),
        ("memory:s", "memory", None, 1),
        ("memory:s", "memory", 9, 0),
        ("memory:s", "lore", 2, 0),
        ("memory:other", "memory", None, 0),
        ("lore:harbour", "lore", None, 0),
    ],
)
def test_a_memory_comes_with_its_story_and_its_message(
    db: Connection, scope: str, kind: str, message: int | None, count: int
) -> None:
    found = taken(db)
    row = {
        "id": 5,
        "scope": scope,
        "kind": kind,
        "message_id": message,
        "title": "",
        "text": "Fog.",
        "source": "x",
    }
    found.take("passages", with_columns("passages", row))
    assert found.counts.get("passages", 0) == count
    sources = [source for (source,) in db.execute("SELECT source FROM passages").fetchall()]
    assert sources == ([f"message:{message}" if message else "x"] if count else [])


def character_row(row_id: str, own_id: str | None = None) -> Row:
    value = {"id": own_id or row_id, "name": "Mara", "persona": ""}
    return with_columns("characters", {"id": row_id, "value": value, "original": 5, "owner": 3})


@pytest.mark.parametrize(
    ("row_id", "own_id"), [("mara", "mare"), ("mara", "mar"), ("a/b", "a/b"), ("a b", "a b")]
)
def test_a_character_has_one_id_that_can_be_one(db: Connection, row_id: str, own_id: str) -> None:
    with pytest.raises(ImportFileError, match="a row of characters is none"):
        loader(db).take("characters", character_row(row_id, own_id))


def test_a_character_that_is_here_stays_and_a_new_one_belongs_to_the_home(db: Connection) -> None:
    found = loader(db)
    found._ids["originals", 5] = originals.keep(
        db, b"card", originals.digest(b"card"), "m", "card", 1.0
    )
    for name in ("mara", "mara", "x" * 100):
        found.take("characters", character_row(name))
    assert [name for name, _ in found.characters] == ["mara", "x" * 100]
    assert found.characters[0][1].name == "Mara"
    assert found.counts == {"characters": 2}
    rows = db.execute("SELECT owner, original FROM characters").fetchall()
    assert [tuple(row) for row in rows] == [(0, found._ids["originals", 5])] * 2
    with pytest.raises(ImportFileError):
        found.take("characters", character_row("x" * 101))


def test_an_original_comes_with_its_file_and_once(db: Connection) -> None:
    first = originals.keep(db, b"one", originals.digest(b"one"), "one.png", "card", 1.0)
    hashes = {
        number: originals.digest(data) for number, data in ((301, b"one"), (302, b"two"), (303, b"no"))
    }
    files = {hashes[301]: b"one", hashes[302]: b"two"}
    found = Loader(db, files.get, scripts_allowed=False)
    rows = {}
    for number, digest in hashes.items():
        written = {"base64": base64.b64encode(digest).decode()}
        row = {"id": number, "hash": written, "name": "n", "kind": "card", "created": 1.0}
        rows[number] = with_columns("originals", row)
    for number in (301, 302):
        rows[number].pop("data", None)
        found.take("originals", rows[number])
    second = first + 302
    assert [found._here("originals", number) for number in (301, 302)] == [first, second]
    assert found.counts == {"originals": 1}
    row = db.execute("SELECT id, data FROM originals WHERE hash = ?", (hashes[302],)).fetchone()
    assert tuple(row) == (second, b"two")
    with pytest.raises(ImportFileError, match="a row of originals is none"):
        found.take("originals", rows[303])


def test_a_story_comes_out_of_the_trash_without_users_and_never_over_the_most(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (row,) = library()["sessions"]
    story = {**row, "deleted": 5.0, "owner": 4, "extra": '{"steering":{"books":[7]},"x":"\x1by"}'}
    monkeypatch.setattr(stories, "SESSIONS_MAX", 2)
    found = loader(db)
    for name in ("story-1", "story-2", "story-2"):
        found.take("sessions", {**story, "id": name})
    assert (found.stories, found.counts) == ({"story-1", "story-2"}, {"sessions": 2})
    rows = db.execute("SELECT deleted, owner, extra FROM sessions").fetchall()
    assert [tuple(row) for row in rows] == [(None, 0, '{"steering":{"books":[]},"x":"y"}')] * 2
    with pytest.raises(ImportFileError, match="there are 2 stories, the most one home holds"):
        found.take("sessions", {**story, "id": "story-3"})
    for name in ("", "a/b", "x" * 101):
        with pytest.raises(ImportFileError, match="a row of sessions is none"):
            found.take("sessions", {**story, "id": name})


def test_a_story_stands_and_chooses_among_its_own_messages(db: Connection) -> None:
    rows = library()
    (story,) = rows["sessions"]
    found = loader(db)
    for name, leaf in (("story-1", 403), ("story-2", 301), ("story-0", 999)):
        found.take("sessions", {**story, "id": name, "active_leaf": leaf, "root": 301})
    for base, name in ((300, "story-1"), (400, "story-2")):
        for row in rows["messages"]:
            above = row["parent_id"] and row["parent_id"] + base
            moved = {"id": row["id"] + base, "parent_id": above, "session_id": name, "chosen": 302}
            found.take("messages", {**row, **moved})
    found.finish()
    standing = db.execute("SELECT id, active_leaf, root FROM sessions ORDER BY id").fetchall()
    assert [tuple(row) for row in standing] == [
        ("story-0", None, None), ("story-1", None, 301), ("story-2", None, None)
    ]  # fmt: skip
    chosen = db.execute("SELECT session_id, chosen FROM messages ORDER BY id").fetchall()
    assert [tuple(row) for row in chosen] == [("story-1", 302)] * 3 + [("story-2", None)] * 3
    with pytest.raises(ImportFileError, match="a row of messages is none"):  # another story's
        found.take(
            "messages", {**rows["messages"][1], "id": 500, "parent_id": 301, "session_id": "story-2"}
        )


def test_a_branch_ends_in_its_own_story(db: Connection) -> None:
    found = taken(db)
    stories.create_session(db, "story-2", "harbour", "mara", "Hello.", 1.0)
    found.stories.add("story-2")
    for name in ("s", "story-2"):
        row = {"session_id": name, "name": "east", "leaf": 2, "created": 1.0}
        found.take("branches", with_columns("branches", row))
    leaves = db.execute("SELECT session_id, leaf FROM branches ORDER BY session_id").fetchall()
    assert [tuple(row) for row in leaves] == [("s", 2), ("story-2", None)]


def test_rows_that_do_not_fit_are_told_from_rows_that_are_none(db: Connection) -> None:
    found = taken(db)
    row = library()["messages"][1]
    with pytest.raises(ImportFileError, match="a row of messages does not fit the others"):
        found.take("messages", {**row, "id": 70, "role": "wizard"})
    for broken in (
        {**row, "id": True},
        {**row, "id": "71"},
        {**row, "id": 0},
        {**row, "extra": "[1]"},
        {},
    ):
        with pytest.raises(ImportFileError, match="a row of messages is none"):
            found.take("messages", broken)


def test_a_script_that_is_here_comes_once_but_a_library_may_have_it_twice(db: Connection) -> None:
    value = {"name": "polite", "pattern": "x"}
    for expected in ({"scripts": 2}, {}):
        found = loader(db)
        for number in (301, 302):
            row = {"id": number, "character_id": "mara", "name": "polite", "is_on": 0, "value": value}
            found.take("scripts", with_columns("scripts", row))
        assert found.counts == expected


def test_a_file_of_a_chat_comes_with_its_story_and_its_original(db: Connection) -> None:
    found = taken(db)
    found._ids["originals", 5] = originals.keep(
        db, b"chat", originals.digest(b"chat"), "c", "chat", 1.0
    )
    for story, original, count in (("s", 6, 0), ("other", 5, 0), ("s", 5, 1)):
        found.counts.clear()
        row = {"session_id": story, "original": original, "created": 1.0}
        found.take("chat_files", with_columns("chat_files", row))
        assert found.counts.get("chat_files", 0) == count


def test_what_a_message_points_to_is_moved_as_far_as_all_messages(db: Connection) -> None:
    stories.create_session(db, "here", "harbour", "mara", "Hello.", 1.0)
    for number in (1, 2):
        stories.append(db, "here", number, "user", "I look.", "complete", now=1.0)
    rows = library()["messages"]
    rows[0] |= {"chosen": 2, "deleted_with": 3}
    rows[1] |= {"chosen": 3, "deleted_with": "3"}
    rows[2] |= {"chosen": "2", "deleted_with": 1}
    taken(db, messages=rows)
    query = (
        "SELECT id, parent_id, chosen, deleted_with FROM messages WHERE session_id = 's' ORDER BY id"
    )
    assert [tuple(row) for row in db.execute(query).fetchall()] == [
        (4, None, 5, 6), (5, 4, 6, None), (6, 5, None, 4)
    ]  # fmt: skip
    following = stories.append(db, "s", 6, "user", "On.", "complete", now=1.0)
    assert following == 7  # the count goes on


@pytest.mark.parametrize(("present", "comes"), [(298, True), (299, True), (300, False), (301, False)])
def test_a_home_that_holds_the_most_stories_or_more_takes_none(
    db: Connection, monkeypatch: pytest.MonkeyPatch, present: int, comes: bool
) -> None:
    monkeypatch.setattr(stories, "SESSIONS_MAX", 300)
    monkeypatch.setattr(stories, "count_sessions", lambda _db, owner: present + owner)
    found = loader(db)
    (row,) = library()["sessions"]
    if comes:
        found.take("sessions", row)
        assert found.stories == {"s"}
    else:
        with pytest.raises(ImportFileError, match="there are 300 stories"):
            found.take("sessions", row)
        assert (found.stories, found.counts) == (set(), {})
