"""Lorebooks of every program as one kind of value, and back as files."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from flower.engine.interchange import book_reader, book_writer
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Kind
from flower.engine.lorebook.book import Book, CharacterFilter, Entry, Logic, Position, Role, TextSource
from tests.engine.interchange.test_interchange_table import bare_book
from tests.interchange_files import UNKNOWN, WORLD_INFO, as_json, files


def entry_of(kind: Kind) -> Entry:
    found = read(files()[kind], "file")
    return found.books[0].entries[0]


def world_info(**fields: Any) -> Entry:
    return book_reader.entry({"uid": 0, "key": ["k"], "content": "x", **fields})


def test_world_info_has_every_field() -> None:
    entry = structs.replace(entry_of(Kind.WORLD_INFO), source={})
    assert entry == Entry(
        uid="0", comment="c", content="Text.", keys=("k",), secondary_keys=("s",), selective=True,
        logic=Logic.AND_ALL, order=90, position=Position.AT_DEPTH, depth=2, role=Role.USER, probability=60,
        use_probability=True, sticky=2, groups=("g", "h"),
        character_filter=CharacterFilter(("Tam",), (), exclude=True))  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "attribute", "becomes"),
    [
        ({}, "position", Position.NOWHERE),
        ({"position": "1"}, "position", Position.NOWHERE),
        ({"position": 99}, "position", Position.NOWHERE),
        ({"role": None}, "role", Role.SYSTEM),
        ({"delayUntilRecursion": False}, "delay_until_recursion", 0),
        ({"delayUntilRecursion": True}, "delay_until_recursion", 1),
        ({"delayUntilRecursion": "2"}, "delay_until_recursion", 2),
        ({"characterFilter": None}, "character_filter", None),
        ({"selectiveLogic": None}, "logic", Logic.AND_ANY),
        ({"selectiveLogic": 9}, "logic", Logic.NEVER),
        ({"probability": 0, "useProbability": 1}, "probability", 0),
        ({"probability": 0, "useProbability": 1}, "use_probability", True),
        ({"probability": None}, "probability", 0),
        ({}, "use_probability", False),
        ({"key": ["", " ", "a"]}, "keys", ("a",)),
        ({"key": "a"}, "keys", ()),
        ({"key": [], "keys": ["b"]}, "keys", ("b",)),
        ({"scanDepth": "7"}, "scan_depth", 7),
        ({"groupWeight": "40"}, "group_weight", 40),
        ({"matchScenario": True}, "scanned", (TextSource.SCENARIO,)),
        ({"order": "many"}, "order", 100),
        ({"depth": "x"}, "depth", 4),
    ],
)  # fmt: skip
def test_fields_that_real_files_break(fields: dict[str, Any], attribute: str, becomes: object) -> None:
    assert getattr(world_info(**fields), attribute) == becomes


def test_entries_of_a_card_and_of_world_info_may_stand_in_either_file() -> None:
    entries = {
        "a": {"key": ["x"], "content": "1", "uid": 1},
        "b": {"keys": ["y"], "content": "2", "enabled": True},
    }
    book = read(as_json({"entries": entries})).books[0]
    assert [(entry.uid, entry.keys, entry.enabled) for entry in book.entries] == [
        ("1", ("x",), True), ("b", ("y",), True),
    ]  # fmt: skip


def test_two_entries_of_a_card_s_book_with_one_number_are_both_kept() -> None:
    same = {"id": 1, "keys": ["x"], "content": "1", "enabled": True}
    book = book_reader.character_book(
        {"entries": [same, {**same, "content": "2"}, {**same, "content": "3"}]}
    )
    assert book
    assert [entry.content for entry in book.entries] == ["1", "2", "3"]
    assert len({entry.uid for entry in book.entries}) == 3
    again = book_reader.read({"entries": book_writer.character_book(book)["entries"]})
    assert bare_book(again) == bare_book(structs.replace(book, name=""))


def test_keys_are_patterns_only_where_no_mark_of_sillytavern_says_otherwise() -> None:
    plain = {"keys": ["a+"], "content": "x", "enabled": True, "use_regex": True}
    assert book_reader.entry({**plain, "extensions": {}}).use_regex
    assert not book_reader.entry({**plain, "extensions": {"selectiveLogic": 0}}).use_regex


def test_agnai_s_stars_become_patterns() -> None:
    entry = entry_of(Kind.AGNAI_BOOK)
    assert entry.keys == ("ferry", r"/\bfer\w*\b/i")
    assert (entry.order, entry.priority, entry.content) == (7, 3, "At dusk.")


def test_risu_s_entries_have_chances() -> None:
    entry = entry_of(Kind.RISU_BOOK)
    assert (entry.keys, entry.secondary_keys, entry.probability, entry.use_probability, entry.order) == (
        ("a", "b"), ("c",), 40, True, 5,
    )  # fmt: skip


@pytest.mark.parametrize("kind", [Kind.NOVELAI_BOOK, Kind.NOVELAI_BOOK_PNG, Kind.NOVELAI_SCENARIO])
def test_novelai_s_and_becomes_second_keys_that_must_all_be_there(kind: Kind) -> None:
    entry = entry_of(kind)
    assert (entry.keys, entry.secondary_keys, entry.logic, entry.selective) == (
        ("sea",), ("salt",), Logic.AND_ALL, True,
    )  # fmt: skip
    assert entry.order == 400


def test_story_cards_have_keys_in_one_text() -> None:
    entry = entry_of(Kind.STORY_CARDS)
    assert (entry.keys, entry.comment, entry.content) == (("kraken", "leviathan"), "Kraken", "A beast.")


def test_facts_about_a_name_become_lines() -> None:
    found = read(
        as_json([{"nathan": {"name": "Nathan", "eyes": {"colour": "blue"}, "likes": ["tea", "rain"]}}])
    )
    assert found.books[0].entries[0].content == "name: Nathan\neyes colour: blue\nlikes: tea, rain"


def test_kobold_s_forbidden_keys_are_a_logic() -> None:
    save = {"gamestarted": True, "prompt": "x", "actions": [],
            "worldinfo": [{"key": "a", "keyanti": "b", "content": "c"}]}  # fmt: skip
    (entry,) = read(as_json(save), "file").books[0].entries
    assert (entry.secondary_keys, entry.logic, entry.selective) == (("b",), Logic.NOT_ANY, True)


ENTRIES = st.builds(
    Entry,
    uid=st.just("0"), name=st.text("ab", max_size=3), comment=st.text("ab", max_size=3),
    content=st.text("ab \n", max_size=9),
    keys=st.lists(st.text("kl", min_size=1, max_size=3), max_size=3).map(tuple),
    secondary_keys=st.lists(st.text("kl", min_size=1, max_size=3), max_size=3).map(tuple),
    use_regex=st.booleans(), selective=st.booleans(), logic=st.sampled_from(list(Logic)[:4]), enabled=st.booleans(),
    constant=st.booleans(), vectorized=st.booleans(), case_sensitive=st.none() | st.booleans(),
    whole_words=st.none() | st.booleans(), scan_depth=st.none() | st.integers(0, 50),
    scanned=st.sets(st.sampled_from(list(TextSource))).map(lambda found: tuple(s for s in TextSource if s in found)),
    order=st.integers(-5, 500), priority=st.none() | st.integers(0, 9), position=st.sampled_from(list(Position)[:8]),
    depth=st.integers(0, 99), role=st.sampled_from(list(Role)), outlet=st.text("o", max_size=2),
    ignore_budget=st.booleans(),
    exclude_recursion=st.booleans(), prevent_recursion=st.booleans(), delay_until_recursion=st.integers(0, 4),
    probability=st.integers(0, 100), use_probability=st.booleans(),
    groups=st.lists(st.text("g", min_size=1), max_size=2).map(tuple),
    group_override=st.booleans(), group_weight=st.integers(0, 200), group_scoring=st.none() | st.booleans(),
    sticky=st.integers(0, 9), cooldown=st.integers(0, 9), delay=st.integers(0, 9),
    triggers=st.lists(st.sampled_from(["normal", "swipe"]), max_size=2, unique=True).map(tuple),
    character_filter=st.none() | st.just(CharacterFilter(("Tam",), ("x",), exclude=True)),
    automation_id=st.text("z", max_size=2),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(entry=ENTRIES)
def test_any_entry_survives_both_kinds_of_file(entry: Entry) -> None:
    """Field by field; an entry made here has nothing to be copied from."""
    book = Book(
        name="b", entries=(entry,), description="d", scan_depth=3, token_budget=90, recursive=True
    )
    for data in (book_writer.world_info(book), book_writer.lorebook_v3(book)):
        assert bare_book(read(data, "b").books[0]) == book


@settings(max_examples=100, deadline=None)
@given(entry=ENTRIES)
def test_any_change_to_an_entry_that_was_read_reaches_the_file(entry: Entry) -> None:
    for source in (
        WORLD_INFO,
        {"entries": [{"keys": ["net"], "content": "x", "enabled": True, "extensions": {}}]},
    ):
        book = read(as_json(source), "b").books[0]
        changed = structs.replace(
            book, entries=(structs.replace(entry, source=book.entries[0].source),)
        )
        for data in (book_writer.world_info(changed), book_writer.lorebook_v3(changed)):
            again = read(data, "b").books[0]
            left_out = (
                {"use_regex": False, "priority": None, "name": ""}
                if "uid" in book.entries[0].source
                else {}
            )
            ours = structs.replace(entry, source={}, **left_out)
            theirs = structs.replace(again.entries[0], source={}, **left_out)
            assert theirs == ours


def test_unknown_fields_of_an_entry_survive_the_way_through_the_other_kind() -> None:
    book = read(files()[Kind.WORLD_INFO], "b").books[0]
    through = read(book_writer.lorebook_v3(book), "b").books[0]
    back = json.loads(book_writer.world_info(through))["entries"]["0"]
    assert UNKNOWN in json.dumps(back)
