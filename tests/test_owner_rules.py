"""Small rules of what belongs to whom, one by one: two users have things of one name, and neither sees the other's."""

from __future__ import annotations

import pytest

from flower.engine.assets import Character
from flower.engine.store import characters, originals, personas, stories, users
from flower.engine.store.connection import Connection
from tests.test_tree import S

OURS, THEIRS = 0, 1


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    users.add(db, "ned", 1.0)
    return db


# --- personas -----------------------------------------------------------------------------------


@pytest.fixture
def wrens(db: Connection) -> dict[tuple[int, str], int]:
    """Personas of one name: two of each user, told apart by their titles."""
    return {
        (owner, title): personas.put(db, "Wren", title, f"{title} of {owner}", 1.0, owner=owner)
        for owner in (OURS, THEIRS)
        for title in ("smith", "thief")
    }


def test_a_persona_takes_the_place_of_the_one_with_its_name_title_and_user(
    db: Connection, wrens: dict[tuple[int, str], int]
) -> None:
    assert len(set(wrens.values())) == 4
    assert personas.put(db, "Wren", "thief", "New.", 2.0, owner=THEIRS) == wrens[THEIRS, "thief"]
    told = [[one.description for one in personas.listed(db, owner)] for owner in (OURS, THEIRS)]
    assert told == [["smith of 0", "thief of 0"], ["smith of 1", "New."]]


def test_a_persona_is_renamed_to_what_no_other_of_its_user_has(
    db: Connection, wrens: dict[tuple[int, str], int]
) -> None:
    mine = wrens[OURS, "smith"]
    assert not personas.change(db, mine, "Wren", "thief", "New.", 2.0)
    assert personas.change(db, mine, "Wren", "smith", "Same words.", 2.0)
    assert personas.change(db, wrens[THEIRS, "smith"], "Wren", "king", "", 2.0)
    assert personas.change(db, mine, "Wren", "king", "Rules.", 2.0)  # theirs is in nobody's way
    assert personas.find(db, "wren (KING)") == personas.StoredPersona(
        mine, "Wren", "king", "Rules.", False
    )
    assert personas.find(db, str(wrens[OURS, "thief"]), THEIRS) is None


def test_one_persona_of_each_user_is_the_default_one_or_none(
    db: Connection, wrens: dict[tuple[int, str], int]
) -> None:
    assert personas.default_name(db) == ""
    personas.put(db, "Ada", "", "", 1.0)
    theirs = personas.put(db, "Zoe", "", "", 1.0, owner=THEIRS)
    personas.make_default(db, theirs, THEIRS)
    assert [personas.default_name(db, owner) for owner in (OURS, THEIRS)] == ["", "Zoe"]
    for title in ("smith", "thief"):
        personas.make_default(db, wrens[OURS, title])
    assert [(one.name, one.title, one.is_default) for one in personas.listed(db)] == [
        ("Wren", "thief", True), ("Ada", "", False), ("Wren", "smith", False)
    ]  # fmt: skip
    personas.make_default(db, None)
    assert [personas.default_name(db, owner) for owner in (OURS, THEIRS)] == ["", "Zoe"]


def test_a_story_has_the_persona_bound_to_it_else_to_its_character_else_the_default_one(
    db: Connection, wrens: dict[tuple[int, str], int]
) -> None:
    def found(owner: int = OURS, story: str = "new") -> int | None:
        persona = personas.for_story(db, story, "mara", owner)
        return persona.id if persona is not None else None

    assert found() is None
    personas.make_default(db, wrens[OURS, "smith"])
    assert [found(), found(story=S), found(THEIRS)] == [wrens[OURS, "smith"]] * 2 + [None]
    of_character = personas.put(db, "Ines", "", "", 1.0)
    for persona in (wrens[OURS, "thief"], of_character):  # the later one takes its place
        personas.bind(db, persona, "character", "mara")
    personas.bind(db, wrens[THEIRS, "thief"], "character", personas.of_user(THEIRS, "mara"))
    assert [found(), found(THEIRS)] == [of_character, wrens[THEIRS, "thief"]]
    personas.bind(db, wrens[OURS, "thief"], "story", S)
    assert [found(story=S), found()] == [wrens[OURS, "thief"], of_character]
    assert personas.unbind(db, "character", "mara")
    assert [found(story=S), found()] == [wrens[OURS, "thief"], wrens[OURS, "smith"]]


def test_a_persona_waits_for_the_card_it_is_bound_to_and_keeps_to_its_user(
    db: Connection, wrens: dict[tuple[int, str], int]
) -> None:
    kept = originals.keep(db, b"", originals.digest(b""), "ada.png", "character", 1.0)
    characters.put(db, Character("ada", "Ada", "Walks."), characters.Source("ada.png", kept), 1.0)
    for (owner, title), persona in wrens.items():
        files = ["ada.png", "later.png"] if title == "smith" else []
        personas.bind_files(db, persona, files, owner)

    def bound(character: str, owner: int) -> int | None:
        persona = personas.for_story(db, "new", character, owner)
        return persona.id if persona is not None else None

    assert [bound("ada", owner) for owner in (OURS, THEIRS)] == [wrens[OURS, "smith"], None]
    personas.claim(db, "later.png", "later", THEIRS)
    assert [bound("later", owner) for owner in (OURS, THEIRS)] == [None, wrens[THEIRS, "smith"]]
    personas.claim(db, "later.png", "again", THEIRS)  # it no longer waits
    assert bound("again", THEIRS) is None
    personas.bind(db, wrens[OURS, "thief"], "character", "later")
    personas.claim(db, "later.png", "later")  # what somebody has chosen stays
    assert bound("later", OURS) == wrens[OURS, "thief"]


def test_a_book_is_joined_to_the_personas_of_its_user_that_name_it(db: Connection) -> None:
    ids = [
        personas.put(db, name, "", "", 1.0, linked_book=book, owner=owner)
        for name, book, owner in (("A", "bells", OURS), ("B", "bells", OURS), ("C", "bells", THEIRS), ("D", "", OURS))
    ]  # fmt: skip
    assert sorted(personas.with_book(db, "bells")) == ids[:2]
    assert personas.with_book(db, "bells", THEIRS) == [ids[2]]
    assert personas.with_book(db, "") == []
