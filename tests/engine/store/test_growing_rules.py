"""Small rules of replies while they grow, one by one: each has its own text and nothing of its neighbours'."""

from __future__ import annotations

import pytest

from flower.engine.store import exchanges, stories, streaming_text
from flower.engine.store.connection import Connection
from tests.engine.store.test_tree import S

LAST = (1 << streaming_text.AT_BITS) - 1  # the last place of a text


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    return db


@pytest.fixture
def replies(db: Connection) -> list[int]:
    """Three messages with neighbouring numbers that all grow, each with a text at its first and its last place."""
    first = exchanges.begin_exchange(db, S, "I go.", "m", None, 2.0).user_id
    ids = [first, first + 1, exchanges.begin_exchange(db, S, "On.", "m", None, 2.0).user_id]
    assert ids == [first, first + 1, first + 2]
    for number in ids:
        streaming_text.reopen(db, number)
        db.execute("UPDATE messages SET content = '' WHERE id = ?", (number,))
        for at, text in ((0, "ab"), (1, "cd"), (LAST, "yz")):
            streaming_text.append(db, number, at, text, "m")
    return ids


def texts(db: Connection, ids: list[int]) -> list[str]:
    told = {message.id: message.content for message in stories.tree(db, S)}
    return [told[number] for number in ids]


def test_a_text_is_all_its_parts_from_the_first_to_the_last_place(
    db: Connection, replies: list[int]
) -> None:
    assert texts(db, replies) == ["abcdyz"] * 3
    streaming_text.append(db, replies[1], 1, "CD", "m")  # written again, in the place of the first try
    assert texts(db, replies) == ["abcdyz", "abCDyz", "abcdyz"]


def test_a_text_that_ends_takes_away_its_own_parts(db: Connection, replies: list[int]) -> None:
    streaming_text.end(db, replies[1], "All.", "complete")
    assert texts(db, replies) == ["abcdyz", "All.", "abcdyz"]
    (parts,) = db.execute("SELECT count(*) FROM growth").fetchone()
    assert parts == 6


@pytest.mark.parametrize(("at", "left"), [(0, ""), (1, "a"), (3, "abcd"), (LAST, "abcd")])
def test_what_is_taken_back_is_the_end_of_one_text_and_of_no_other(
    db: Connection, replies: list[int], at: int, left: str
) -> None:
    streaming_text.withdraw(db, replies[1], at)
    assert texts(db, replies) == ["abcdyz", left, "abcdyz"]


def test_what_a_dead_engine_left_growing_is_ended_with_all_that_it_had(
    db: Connection, replies: list[int]
) -> None:
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    other = exchanges.begin_exchange(db, "t", "I go.", "m", None, 2.0).reply_id
    assert set(streaming_text.recover_story(db, S)) >= set(replies)
    assert texts(db, replies) == ["abcdyz"] * 3
    status = {message.id: message.status for message in stories.tree(db, S)}
    assert [status[number] for number in replies] == ["interrupted"] * 3
    assert streaming_text.recover_story(db, S) == ()
    assert stories.tree(db, "t")[-1].status == "streaming"
    streaming_text.append(db, other, 0, "You", "m")
    assert streaming_text.recover(db) == 1
    assert (stories.tree(db, "t")[-1].content, stories.tree(db, "t")[-1].status) == (
        "You", "interrupted"
    )  # fmt: skip
    assert db.execute("SELECT count(*) FROM growth").fetchone() == (0,)


def test_the_model_that_answers_is_noted_and_use_is_kept_where_none_is_told(db: Connection) -> None:
    first, second = (
        exchanges.begin_exchange(db, S, "I go.", "m", None, 2.0).reply_id for _ in range(2)
    )
    streaming_text.append(db, first, 0, "", "other")
    assert [stories.message(db, number).model for number in (first, second)] == ["other", "m"]  # type: ignore[union-attr]
    streaming_text.end(db, first, "You.", "complete", {"tokens": 1}, "third")
    streaming_text.end(db, first, "You go.", "stopped")
    row = db.execute("SELECT content, status, usage, model FROM messages WHERE id = ?", (first,))
    assert row.fetchone() == ("You go.", "stopped", '{"tokens": 1}', "third")
