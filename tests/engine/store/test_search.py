"""A search finds the stories that somebody may see, and no others, on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flower.engine.store import search, seats, stories, trash, users
from flower.engine.store.connection import Connection
from tests import stores

HOME, INES, NED = 0, 1, 2


@pytest.fixture(params=stores.KINDS)
def db(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """Two stories of each of three people, every one with two messages that have the word "bell"."""
    with stores.connected(request.param) as made:
        assert [users.add(made, name, 1.0) for name in ("ines", "ned")] == [INES, NED]
        for number in range(2):
            for owner in (HOME, INES, NED):
                name = f"{owner}{number}"
                stories.create_session(made, name, "harbour", "mara", "A bell.", 1.0, owner)
                told = f"The bell in u{owner} of {name}."
                stories.append(made, name, None, "user", told, "complete", now=2.0)
        yield made


def found(db: Connection, user: int, words: str = "bell") -> list[str]:
    return sorted({hit.session_id for hit in search.search(db, words, user=user)})


def test_everybody_finds_their_own_stories(db: Connection) -> None:
    assert [found(db, user) for user in (HOME, INES, NED)] == [["00", "01"], ["10", "11"], ["20", "21"]]
    assert found(db, 3) == []


def test_words_of_another_are_not_found_by_any_query(db: Connection) -> None:
    """Neither by the word that an index has for a person, nor by what its language would obey."""
    for words in (
        "u2",
        "owner : u2",
        'bell" OR owner : u2',
        "bell) OR (u2",
        "{owner} : u2",
        "* u2",
        "-u2",
    ):
        assert found(db, INES, words) == [], words
    assert found(db, NED, "u2") == ["20", "21"], "it is in the text of a message"
    assert len(search.search(db, "u2", user=NED)) == 2, "and of no other"


@pytest.mark.parametrize("most_named", [64, 1])
def test_a_seat_opens_one_story_and_no_other_of_its_owner(
    db: Connection, monkeypatch: pytest.MonkeyPatch, most_named: int
) -> None:
    monkeypatch.setattr(search, "OWNERS_NAMED", most_named)
    seats.give(db, "20", INES, "reader", 1.0)
    seats.give(db, "00", INES, "player", 1.0)
    seats.give(db, "11", HOME, "player", 1.0)
    assert found(db, INES) == ["00", "10", "11", "20"]
    assert found(db, HOME) == ["00", "01", "11"]
    assert found(db, NED) == ["20", "21"]
    assert seats.take(db, "20", INES)
    assert found(db, INES) == ["00", "10", "11"]


@pytest.mark.parametrize("ranked", [20_000, 0])
def test_what_is_in_the_trash_is_not_found(
    db: Connection, monkeypatch: pytest.MonkeyPatch, ranked: int
) -> None:
    monkeypatch.setattr(search, "SEARCH_RANKED", ranked)
    seats.give(db, "20", INES, "reader", 1.0)
    for name in ("10", "20"):
        trash.delete(db, name, 5.0)
    assert found(db, INES) == ["11"]
    for name in ("10", "20"):
        assert trash.restore(db, name, int(name[0]))
    assert found(db, INES) == ["10", "11", "20"]


def test_of_words_that_everybody_uses_ones_own_newest_come_first(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCH_RANKED", 0)
    for number in range(30):
        stories.append(db, "20", None, "user", f"Bell {number}.", "complete", now=3.0)
        stories.append(db, "10", None, "user", f"Bell {number}.", "complete", now=3.0)
    hits = search.search(db, "bell", 3, user=INES)
    assert [(hit.session_id, hit.excerpt) for hit in hits] == [
        ("10", f"Bell {n}.") for n in (29, 28, 27)
    ]


def test_a_word_that_is_everywhere_changes_no_rank_and_is_still_asked_for(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCH_RANKED", 6)
    for text in ("A heron by the bell.", "A heron alone.", "Heron, heron, heron: a bell."):
        stories.append(db, "10", None, "user", text, "complete", now=3.0)
    best, other = search.search(db, "bell heron", user=INES)
    assert (best.excerpt, other.excerpt) == ("Heron, heron, heron: a bell.", "A heron by the bell.")
    assert len(search.search(db, "heron", user=INES)) == 3
    assert found(db, NED, "bell heron") == []


def test_signs_that_are_no_word_are_passed_by(db: Connection) -> None:
    assert found(db, INES, "\u2014 bell ...") == ["10", "11"]
    assert found(db, INES, "\u2014") == found(db, INES, "... !") == []
    assert found(db, INES, "bell heron") == []
