"""Small rules of what users have of their own, one by one: how much it is, its files, what scripts may do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from flower.engine.assets.kinds import Rule, World
from flower.engine.lorebook.book import Book
from flower.engine.scripts.script import Script
from flower.engine.store import imported_chats, passages, trash, users, world_lore
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, originals, own_assets, scripts
from tests.engine.store.test_library_rules import file_kept, put

OURS, THEIRS = 0, 1


pytestmark = pytest.mark.usefixtures("household")


# --- a library ----------------------------------------------------------------------------------


def test_a_library_counts_and_weighs_what_is_its_users(db: Connection) -> None:
    users.add(db, "ada", 1.0)
    assert (own_assets.count(db, THEIRS), own_assets.size(db, THEIRS)) == (0, 0)
    own_assets.put(db, THEIRS, "worlds", World("keep~1", "Keep"), 1.0)
    put(db, "mara~1", "Mara", "m.png", THEIRS)
    kept = file_kept(db, "bells.json", b"x" * 5000)
    for _ in range(2):  # a file that two things came from is there once
        books.add(db, Book(name="Bells"), 1.0, original=kept, library=THEIRS)
    own_assets.put(db, 2, "worlds", World("keep~2", "Keep"), 1.0)
    assert [own_assets.count(db, user) for user in (OURS, THEIRS, 2)] == [0, 4, 1]
    assert 5000 < own_assets.size(db, THEIRS) < 6000
    assert 0 < own_assets.size(db, 2) < 500
    assert [own_assets.remove(db, user, "worlds", "keep~2") for user in (THEIRS, 2, 2)] == [
        False, True, False
    ]  # fmt: skip
    own_assets.remove_all(db, THEIRS)
    assert (own_assets.count(db, THEIRS), own_assets.size(db, THEIRS)) == (0, 0)


def test_a_file_is_dropped_when_nothing_came_from_it(db: Connection) -> None:
    put(db, "mara", "Mara", "m.png")
    used = file_kept(db, "all")
    book, unused, kept = (file_kept(db, name, name.encode()) for name in ("book", "unused", "kept"))
    books.add(db, Book(name="Bells"), 1.0, original=book)
    always = originals.keep(db, b"r", originals.digest(b"r"), "r", "SillyTavern quick replies", 1.0)
    originals.drop_unused(db, kept)
    assert [originals.data(db, one) is not None for one in (used, book, unused, kept, always)] == [
        True, True, False, True, True
    ]  # fmt: skip


def test_a_file_is_in_use_by_whoever_has_something_of_it(db: Connection) -> None:
    put(db, "mara~1", "Mara", "m.png", THEIRS)
    found = originals.find(db, originals.digest(b""))
    assert found is not None
    assert [originals.in_use(db, found, user) for user in (OURS, THEIRS, 2)] == [False, True, False]
    again = originals.keep(db, b"", originals.digest(b""), "new name", "character", 9.0, THEIRS)
    assert (again, originals.find(db, originals.digest(b""))) == (found.id, found)
    originals.keep(db, b"", originals.digest(b""), "new name", "character", 9.0)
    named = originals.find(db, originals.digest(b""))
    assert named is not None
    assert (named.id, named.name, named.imported) == (found.id, "new name", 9.0)
    latest = file_kept(db, "later", b"2")
    assert originals.of_kind(db, "character", 1) == [("later", b"2")]
    assert latest != found.id


def test_a_file_is_in_use_by_a_story_outside_the_trash_and_by_scripts_of_the_home(
    db: Connection,
) -> None:
    chat, script, theirs = (file_kept(db, name, name.encode()) for name in ("chat", "script", "theirs"))
    for story, owner in (("c", THEIRS), ("d", OURS)):
        imported_chats.begin(db, imported_chats.Begun(story, "T", "", 1.0, 1.0), owner)
    imported_chats.mark(db, "c", [], chat, "Ada", "")
    put(db, "mara", "Mara", "m.png")
    put(db, "mara~1", "Mara", "m.png", THEIRS)
    scripts.put_of_character(db, "mara", [SCRIPT], script, allowed=False)
    scripts.put_of_character(db, "mara~1", [SCRIPT], theirs, allowed=False)

    def used(name: str) -> list[bool]:
        found = originals.find(db, originals.digest(name.encode()))
        assert found is not None
        return [originals.in_use(db, found, user) for user in (OURS, THEIRS)]

    assert [used(name) for name in ("chat", "script", "theirs")] == [
        [False, True], [True, False], [False, False]
    ]  # fmt: skip
    assert originals.data(db, chat) == ("chat", b"chat")
    trash.delete(db, "c", 2.0)
    assert used("chat") == [False, False]
    always = originals.keep(db, b"g", originals.digest(b"g"), "g", "SillyTavern group", 1.0)
    assert originals.data(db, always) is not None
    assert used("g") == [True, False]


def test_a_users_library_is_read_and_goes_with_its_lore(db: Connection) -> None:
    for kind, asset in (
        ("worlds", World("b~1", "B")),
        ("worlds", World("a~1", "A")),
        ("rules", Rule("r~1", "R", "x")),
    ):
        own_assets.put(db, THEIRS, kind, asset, 1.0)
    own_assets.put(db, THEIRS, "worlds", World("b~1", "New"), 2.0)
    put(db, "mara~1", "Mara", "m.png", THEIRS)
    found = own_assets.of_user(db, THEIRS)
    assert [(one.id, one.name) for one in found.worlds.values()] == [("a~1", "A"), ("b~1", "New")]
    assert (list(found.rules), found.characters, len(found.imported)) == (["r~1"], {}, 1)
    book = books.add(db, Book(name="Bells"), 1.0, library=THEIRS)
    scopes = ["lore:a~1", "lore:cast/mara~1", f"lore:book/{book}"]
    for scope in (*scopes, "lore:harbour"):
        chunks = [passages.Chunk("", "Bells.")]
        passages.replace_source(db, "lore", scope, "world", chunks, digest=b"d", created=1.0)
    for world in ("a~1", "harbour"):
        world_lore.attach(db, world, "More.", 1.0)
    own_assets.remove_all(db, THEIRS)
    assert [len(passages.list_passages(db, scope)) for scope in (*scopes, "lore:harbour")] == [
        0,
        0,
        0,
        1,
    ]
    assert [passages.source_digest(db, scope, "world") for scope in scopes] == [b""] * 3
    assert [len(world_lore.listed(db, world)) for world in ("a~1", "harbour")] == [0, 1]
    assert own_assets.of_user(db, THEIRS) == own_assets.OwnRows({}, {}, {})


# --- scripts ------------------------------------------------------------------------------------


SCRIPT = Script(name="x", pattern="a")


def test_a_yes_to_a_cards_script_holds_while_the_script_is_the_same(db: Connection) -> None:
    other, off = replace(SCRIPT, name="y"), replace(SCRIPT, name="z", off=True)
    file = file_kept(db, "all")
    scripts.put_of_character(db, "mara", [SCRIPT, other], file, allowed=False)
    assert scripts.holding(db, ["mara"]) == ()
    scripts.switch(db, scripts.listed(db, ["mara"])[0].id, on=True)
    scripts.put_of_character(db, "mara", [other, SCRIPT], file, allowed=False)
    assert [(one.script.name, one.is_on) for one in scripts.listed(db, ["mara"])] == [
        ("y", False),
        ("x", True),
    ]
    scripts.put_of_character(db, "mara", [replace(SCRIPT, pattern="b"), off], file, allowed=False)
    assert scripts.holding(db, ["mara"]) == ()
    scripts.put_of_character(db, "mara", [SCRIPT, off], file, allowed=True)
    assert [one.name for one in scripts.holding(db, ["mara"])] == ["x"]


def test_a_script_for_everything_is_one_by_its_name_and_comes_first(db: Connection) -> None:
    file = file_kept(db, "all")
    scripts.put_of_character(db, "mara", [replace(SCRIPT, name="cards")], file, allowed=True)
    names = ("b", "a", "off")
    assert [
        scripts.put_for_all(db, replace(SCRIPT, name=name, off=name == "off"), file) for name in names
    ] == [False] * 3
    (first, *_) = scripts.listed(db, [])
    scripts.switch(db, first.id, on=False)
    assert scripts.put_for_all(db, replace(SCRIPT, name="b", pattern="new"), file)
    listed = scripts.listed(db, ["mara", "mara"])
    assert [(one.script.name, one.is_on, one.script.pattern) for one in listed] == [
        ("b", False, "new"), ("a", True, "a"), ("off", False, "a"), ("cards", True, "a")
    ]  # fmt: skip
    scripts.remove_of_character(db, "")
    assert len(scripts.listed(db, [])) == 3
