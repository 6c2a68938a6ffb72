"""Small rules of libraries, one by one: by which name a thing is found, whose it is, what goes with it."""

from __future__ import annotations

import pytest

from flower.engine.assets.kinds import Character
from flower.engine.lorebook.book import Book
from flower.engine.scripts.script import Script
from flower.engine.store import stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, characters, originals, scripts
from flower.engine.store.library.books import Owner
from tests.engine.store.test_tree import S

OURS, THEIRS = 0, 1


pytestmark = pytest.mark.usefixtures("household")


# --- characters ---------------------------------------------------------------------------------


def file_kept(db: Connection, name: str, data: bytes = b"") -> int:
    return originals.keep(db, data, originals.digest(data), name, "character", 1.0)


def put(db: Connection, number: str, name: str, file: str, owner: int = OURS, now: float = 1.0) -> None:
    source = characters.Source(file, file_kept(db, "all"), linked_book="bells")
    characters.put(db, Character(number, name, "Walks.", notes="Mind the dog."), source, now, owner)


def test_an_id_is_free_when_no_row_and_nothing_else_has_it(db: Connection) -> None:
    for number in ("mara", "mara-2", "mara-4", "mara~1", "maran"):
        put(db, number, "Mara", "m.png", THEIRS if "~" in number else OURS)
    assert characters.free_id(db, "Mara", ()) == "mara-3"
    assert characters.free_id(db, "Mara", {"mara-3"}) == "mara-5"
    assert characters.free_id(db, "Mara", (), THEIRS) == "mara-2~1"
    assert characters.free_id(db, "Mar", ()) == "mar"
    assert characters.free_id(db, "Ada", {"ada"}) == "ada-2"


def test_a_character_is_called_by_name_or_file_ones_own_before_the_homes(db: Connection) -> None:
    put(db, "ada", "Ada", "Mara", now=5.0)
    put(db, "mara", "Mara", "m.png", now=3.0)
    put(db, "mara-2", "Mara", "n.png", now=4.0)
    assert characters.named(db, "m.png") == "mara"
    assert characters.named(db, "Mara") == "ada"  # of that file, not of that name
    characters.remove(db, "ada")
    assert characters.named(db, "Mara") == "mara-2"  # the newest
    put(db, "mara~1", "Mara", "m.png", THEIRS, now=1.0)
    assert [characters.named(db, "Mara", owner) for owner in (OURS, THEIRS, 2)] == [
        "mara-2", "mara~1", "mara-2"
    ]  # fmt: skip
    assert characters.named(db, "Nobody", THEIRS) == ""


def test_everybody_lists_their_own_characters_by_name(db: Connection) -> None:
    for number, name in (("b", "Ned"), ("a", "Ned"), ("c", "Ada")):
        put(db, number, name, "x.png")
    put(db, "mara~1", "Mara", "x.png", THEIRS)
    listed = [[one.brief.id for one in characters.everybody(db, owner)] for owner in (OURS, THEIRS)]
    assert listed == [["c", "a", "b"], ["mara~1"]]
    assert [characters.one(db, number) is not None for number in ("a", "mara~1", "z")] == [
        True, False, False
    ]  # fmt: skip
    assert sorted(characters.with_book(db, "bells")) == ["a", "b", "c"]
    assert characters.with_book(db, "bells", THEIRS) == ["mara~1"]
    assert characters.with_book(db, "") == []
    assert characters.earlier(db, Character("z", "Mara", "Walks."), "", THEIRS) is not None
    assert characters.earlier(db, Character("z", "Mara", "Walks."), "") is None


def test_an_authors_notes_are_shown_once(db: Connection) -> None:
    for number in ("mara", "ada"):
        put(db, number, number, "x.png")
    assert [characters.notes_to_show(db, "mara") for _ in range(2)] == ["Mind the dog.", ""]
    assert characters.notes_to_show(db, "ada") == "Mind the dog."
    assert characters.notes_to_show(db, "nobody") == ""


def test_a_character_goes_with_what_hangs_on_it_and_nothing_else(db: Connection) -> None:
    for number in ("mara", "ada"):
        put(db, number, number, f"{number}.png")
        scripts.put_of_character(
            db, number, [Script(name="x", pattern="a")], file_kept(db, "all"), allowed=True
        )
    book = books.add(db, Book(name="Bells"), 1.0)
    for owner, owner_id in ((Owner.CHARACTER, "mara"), (Owner.CHARACTER, "ada"), (Owner.WORLD, "mara")):
        books.give(db, book, owner, owner_id)
    assert characters.file_of(db, "mara") == "mara.png"
    assert characters.source(db, "mara") == ("mara.png", b"", 0)
    assert [characters.remove(db, "mara") for _ in range(2)] == [True, False]
    assert characters.file_of(db, "mara") == ""
    assert characters.source(db, "mara") is None
    assert set(books.owners(db, book)) == {(Owner.CHARACTER, "ada"), (Owner.WORLD, "mara")}
    assert [one.character_id for one in scripts.listed(db, ["mara", "ada"])] == ["ada"]


# --- books --------------------------------------------------------------------------------------


def test_a_book_is_seen_by_everybody_or_by_whose_it_is(db: Connection) -> None:
    ids = [
        books.add(db, Book(name=name), 1.0, library=owner)
        for name, owner in (("Wells", OURS), ("Bells", THEIRS), ("Ales", 2), ("Bells", OURS))
    ]
    assert [[one.name for one in books.listed(db, user)] for user in (OURS, THEIRS)] == [
        ["Bells", "Wells"], ["Bells", "Bells", "Wells"]
    ]  # fmt: skip
    assert [one.id for one in books.listed(db, THEIRS)] == [ids[1], ids[3], ids[0]]
    seen = [[books.find(db, number, user) is not None for number in ids] for user in (OURS, THEIRS)]
    assert seen == [[True, False, False, True], [True, True, False, True]]


def test_a_book_is_found_by_its_file_then_by_its_name_unless_a_card_brought_it(db: Connection) -> None:
    named = books.add(db, Book(name="bells"), 1.0, file="other")
    of_file = books.add(db, Book(name="Towers"), 1.0, file="bells")
    books.add(db, Book(name="bells"), 1.0, file="card:mara")
    theirs = books.add(db, Book(name="bells"), 1.0, library=THEIRS)
    assert books.of_file(db, "bells") == [of_file, named]
    assert books.of_file(db, "bells", THEIRS) == [theirs]
    assert books.of_file(db, "card:mara") != []


def test_a_changed_book_is_another_one_to_a_cache_and_keeps_its_file(db: Connection) -> None:
    file = file_kept(db, "bells.json", b"{}")
    number = books.add(db, Book(name="Bells"), 5.0, original=file)
    times = [5.0]
    for now in (5.0, 4.0, 9.0):  # clocks may go back
        books.replace(db, number, Book(name="Towers"), now)
        times.append(books.listed(db)[0].updated)
    assert times == sorted(set(times))
    assert times[-1] == 9.0
    assert (books.read(db, number).name, books.original(db, number)) == ("Towers", b"{}")
    books.replace(db, number, Book(name="Towers"), 9.5, original=file_kept(db, "new.json", b"[]"))
    assert books.original(db, number) == b"[]"


def test_the_nearest_owner_of_a_book_counts_and_books_of_others_hold_in_no_story(
    db: Connection,
) -> None:
    def new(name: str, *owners: tuple[Owner, str], library: int = OURS) -> None:
        number = books.add(db, Book(name=name), 1.0, library=library)
        for owner, owner_id in owners:
            books.give(db, number, owner, owner_id)

    new("world z", (Owner.WORLD, "harbour"), (Owner.STORY, S))
    new("all", (Owner.ALL, ""), (Owner.WORLD, "elsewhere"))
    new("persona", (Owner.PERSONA, "7"))
    new("cast b", (Owner.CHARACTER, "ada"), (Owner.CHARACTER, "mara"))
    new("cast a", (Owner.CHARACTER, "mara"))
    new("world b", (Owner.WORLD, "harbour"))
    new("world a", (Owner.WORLD, "harbour"), (Owner.ALL, ""))
    new("theirs", (Owner.ALL, ""), library=THEIRS)
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0, THEIRS)

    def held(story: str, user: int = OURS) -> list[str]:
        found = books.holding(
            db, story=story, world="harbour", characters=("mara", "", "ada"), persona=7, user=user
        )
        return [one.stored.name for one in found]

    always = ["persona", "cast a", "cast b", "world a", "world b"]
    assert held(S) == ["world z", *always, "all"]
    assert held("t") == [*always, "world z", "all", "theirs"]
    assert held("", THEIRS) == held("new", THEIRS) == held("t")
    assert held("t", 2) == held("t")  # whose story it is counts, not who asks
    assert [one.stored.name for one in books.holding(db)] == ["all", "world a"]


def test_a_book_is_taken_from_one_of_its_owners_alone(db: Connection) -> None:
    bells, towers = (books.add(db, Book(name=name), 1.0) for name in ("Bells", "Towers"))
    given = [
        (number, owner, owner_id)
        for number in (bells, towers)
        for owner in (Owner.CHARACTER, Owner.WORLD)
        for owner_id in ("mara", "ada")
    ]
    for one in given:
        books.give(db, *one)
    assert books.take(db, *given[0])
    assert {(number, *one) for number in (bells, towers) for one in books.owners(db, number)} == set(
        given[1:]
    )
    books.remove(db, towers)
    assert books.owners(db, towers) == []
    assert [one.id for one in books.listed(db)] == [bells]
