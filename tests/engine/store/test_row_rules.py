"""Small rules of single rows, one by one: what is there once, what may be said of it twice, how many there may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flower import limits
from flower.engine.store import (
    allowances,
    exchanges,
    passages,
    prompts,
    seats,
    selections,
    stories,
    streaming_text,
    trash,
    users,
    whispers,
)
from flower.engine.store.allowances import UserLimits
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, characters, favourites, personas, presets
from flower.errors import CommandError
from tests.engine.store.test_tree import S


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    users.add(db, "ned", 1.0)
    return db


# --- what is there once -------------------------------------------------------------------------

GONE: list[Callable[[Connection], Any]] = [
    lambda db: presets.remove(db, presets.INSTRUCT, "mine"),
    lambda db: presets.remove(db, presets.SAMPLERS, "mine", 1),
    lambda db: seats.take(db, S, 1),
    lambda db: seats.end_codes(db, S),
    lambda db: seats.play(db, "other", 1, "Brand", ""),
    lambda db: users.revoke(db, 1, "laptop"),
    lambda db: personas.unbind(db, "story", S),
    lambda db: personas.remove(db, 1),
    lambda db: passages.set_pinned(db, 99, True),
    lambda db: trash.restore(db, S),
    lambda db: trash.purge(db, S),
    lambda db: trash.delete(db, "other", 1.0),
]


@pytest.mark.parametrize("change", GONE, ids=range(len(GONE)))
def test_what_is_not_there_is_said_to_be_none(
    db: Connection, change: Callable[[Connection], Any]
) -> None:
    assert not change(db)


def test_what_is_there_is_taken_away_once(db: Connection) -> None:
    presets.put(db, presets.INSTRUCT, "mine", {"a": 1}, 1.0)
    assert presets.find(db, presets.INSTRUCT, "mine") == ("mine", {"a": 1})
    assert presets.find(db, presets.CONTEXT, "mine") is None
    assert [presets.remove(db, presets.INSTRUCT, "mine") for _ in range(2)] == [True, False]
    presets.put(db, presets.SAMPLERS, "mine", {}, 1.0, 1)
    assert presets.names(db, presets.SAMPLERS) == ()
    assert not presets.remove(db, presets.SAMPLERS, "mine")
    assert [presets.remove(db, presets.SAMPLERS, "mine", 1) for _ in range(2)] == [True, False]
    seats.give(db, S, 1, seats.PLAYER, 1.0)
    assert seats.play(db, S, 1, "Brand", "A smith.")
    assert seats.find(db, S, 1) == seats.Seat(1, "ned", "player", "Brand", "A smith.")
    assert [seats.take(db, S, 1) for _ in range(2)] == [True, False]
    assert [trash.delete(db, S, 2.0), trash.delete(db, S, 3.0)] == [True, False]
    assert [trash.restore(db, S, 1), trash.restore(db, S), trash.restore(db, S)] == [False, True, False]


def test_a_persona_is_bound_and_removed_once(db: Connection) -> None:
    for name in ("Ines", "Brand"):
        personas.put(db, name, "", "", 1.0)
    first = personas.find(db, "Ines")
    assert first is not None
    assert personas.find(db, str(first.id)) == first
    personas.bind(db, first.id, "story", S)
    assert personas.for_story(db, S, "mara") == first
    assert [personas.unbind(db, "story", S) for _ in range(2)] == [True, False]
    assert [personas.remove(db, first.id) for _ in range(2)] == [True, False]
    assert [one.name for one in personas.listed(db)] == ["Brand"]


# --- how many there may be ----------------------------------------------------------------------


def test_a_table_has_so_many_seats(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.seats.SEATS", 2)
    for name in ("olaf", "brand"):
        users.add(db, name, 1.0)
    for user in (1, 2):
        seats.give(db, S, user, seats.PLAYER, float(user))
    with pytest.raises(CommandError, match="2 sit at this table"):
        seats.give(db, S, 3, seats.PLAYER, 3.0)
    seats.give(db, S, 2, seats.READER, 4.0)  # who sits there already
    assert [(seat.user, seat.role) for seat in seats.at(db, S)] == [(1, "player"), (2, "reader")]


def test_a_table_has_so_many_codes_that_hold(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.seats.TABLE_CODES", 2)
    codes = [users.new_token() for _ in range(4)]
    for code, ends in zip(codes, (5.0, 9.0), strict=False):
        seats.add_code(db, S, code, seats.PLAYER, ends, 1.0)
    with pytest.raises(CommandError, match="2 codes of this table hold"):
        seats.add_code(db, S, codes[2], seats.PLAYER, 9.0, 4.9)
    assert seats.by_code(db, codes[0].text, 4.9) == (S, "player")
    assert seats.by_code(db, codes[0].text, 5.0) is None
    assert seats.by_code(db, codes[1].text[:-1] + "!", 1.0) is None
    assert seats.by_code(db, "nothing", 1.0) is None
    seats.add_code(db, S, codes[2], seats.PLAYER, 9.0, 5.0)  # the first has ended
    assert [seats.end_codes(db, S) for _ in range(2)] == [2, 0]


def test_a_story_has_so_many_whispers(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.whispers.WHISPERS", 2)
    for number in range(2):
        whispers.add(db, S, 1, 1, 2, f"psst {number}", 1.0)
    with pytest.raises(CommandError, match="2 whispers"):
        whispers.add(db, S, 1, 1, 2, "psst", 1.0)
    assert [one.text for one in whispers.between(db, S, 2, 1)] == ["psst 1"]
    assert whispers.between(db, S, 3, 9) == []
    assert [whispers.has_others(db, S, user) for user in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("user", [0, 1])
def test_a_user_has_so_many_favourites(
    db: Connection, monkeypatch: pytest.MonkeyPatch, user: int
) -> None:
    monkeypatch.setattr(favourites, "MOST", 2)
    assert [favourites.switch(db, "worlds", name, user) for name in "abcb"] == [True, True, None, False]
    assert favourites.switch(db, "books", "a", user) is True
    assert favourites.of(db, "worlds", user) == {"a"}
    assert favourites.of(db, "worlds", 1 - user) == frozenset()


def test_a_user_has_so_many_tokens_with_labels(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.users.USER_TOKENS", 2)
    tokens = [users.new_token() for _ in range(3)]
    users.add_token(db, 1, tokens[0], "x" * users.LABEL_CHARS, 1.0)
    for label in ("", "x" * (users.LABEL_CHARS + 1)):
        with pytest.raises(CommandError, match="A label has 1 to"):
            users.add_token(db, 1, tokens[1], label, 1.0)
    with pytest.raises(CommandError, match="already"):
        users.add_token(db, 1, tokens[1], "x" * users.LABEL_CHARS, 1.0)
    users.add_token(db, 1, tokens[1], "laptop", 1.0, ends=5.0)
    with pytest.raises(CommandError, match="There are 2 tokens"):
        users.add_token(db, 1, tokens[2], "phone", 1.0)
    marks = {token.mark for token in tokens}
    assert users.in_force(db, marks, 4.9) == {tokens[0].mark, tokens[1].mark}
    assert users.in_force(db, marks, 5.0) == {tokens[0].mark}
    holds = [[users.by_token(db, one.text, now) is not None for one in tokens] for now in (4.9, 5.0)]
    assert holds == [[True, True, False], [True, False, False]]
    assert [users.revoke(db, 1, "laptop") for _ in range(2)] == [True, False]


# --- what is said twice -------------------------------------------------------------------------


def test_a_prompt_is_carried_out_once_until_it_is_forgotten(db: Connection) -> None:
    prompts.note_request(db, "c", "1", "/undo", 10.0)
    prompts.note_request(db, "other", "1", "/undo", 10.0)
    with pytest.raises(prompts.AlreadyDoneError):
        prompts.note_request(db, "c", "1", "/undo", 11.0)
    with pytest.raises(CommandError, match="used for another prompt"):
        prompts.note_request(db, "c", "1", "/redo", 11.0)
    prompts.note_request(db, "c", "2", "/undo", 10.0 + prompts.REMEMBERED_S)
    with pytest.raises(prompts.AlreadyDoneError):
        prompts.note_request(db, "c", "1", "/undo", 11.0)
    prompts.note_request(db, "c", "3", "/undo", 10.1 + prompts.REMEMBERED_S)
    prompts.note_request(db, "c", "1", "/undo", 11.0)


def test_a_line_of_one_request_is_one_exchange(db: Connection) -> None:
    waits = prompts.keep_waiting(db, S, "I go.", "r", 2.0)
    assert [one.line for one in prompts.waiting(db, S)] == ["I go."]
    first = exchanges.begin_exchange(db, S, "I go.", "m", "r", 2.0, waited=waits)
    again = exchanges.begin_exchange(db, S, "I go.", "m", "r", 3.0)
    assert (first.titled, again.already_there, again.user_id) == (True, True, first.user_id)
    assert again.reply_id == first.reply_id
    assert prompts.waiting(db, S) == []
    assert seats.said_before(db, S, "r") == "I go."
    assert seats.said_before(db, S, "q") is None
    assert seats.said_before(db, S, None) is None
    later = exchanges.begin_exchange(db, S, "I stay.", "m", None, 4.0)
    assert not later.titled


# --- days and limits ----------------------------------------------------------------------------


def test_what_is_used_counts_for_a_day_and_is_kept_for_some(db: Connection) -> None:
    day = allowances.DAY_S
    allowances.limit(db, 1, UserLimits(tokens=50))
    for now in (0.0, day - 1):
        allowances.spend(db, 1, 10, 0.25, now)
    today = allowances.allowance(db, 1, day - 1)
    assert (today.tokens, today.cost, today.stories) == (20, 0.5, 0)
    assert allowances.allowance(db, 1, day).tokens == 0
    allowances.spend(db, 1, 1, 0.0, day * allowances.DAYS_KEPT)
    assert allowances.allowance(db, 1, 0.0).tokens == 20
    allowances.spend(db, 1, 1, 0.0, day * (allowances.DAYS_KEPT + 1))
    assert allowances.allowance(db, 1, 0.0).tokens == 0


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("stories", "50", 50),
        ("cost", "0.5", 0.5),
        ("cost", "2", 2.0),
        ("tokens", "OFF", None),
        ("tokens", "0", 0),
    ],
)
def test_a_limit_is_a_number_or_off(db: Connection, name: str, text: str, value: float | None) -> None:
    assert getattr(allowances.set_limit(db, 1, name, text), name) == value
    assert getattr(allowances.limits_of(db, 1), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("stories", "0.5"), ("stories", ""), ("cost", "."), ("tokens", "-1"), ("tokens", "9" * 13), ("sun", "1"),
     ("tokens", "٣"), ("tokens", "1e3")],
)  # fmt: skip
def test_nothing_else_is_a_limit(db: Connection, name: str, text: str) -> None:
    with pytest.raises(CommandError, match="no limit"):
        allowances.set_limit(db, 1, name, text)


def test_a_book_belongs_to_somebody_once(db: Connection) -> None:
    number = books.add(db, books.Book(name="Bells"), 1.0)
    for _ in range(2):
        books.give(db, number, books.Owner.STORY, S)
    assert books.owners(db, number) == [(books.Owner.STORY, S)]
    assert [books.take(db, number, books.Owner.STORY, S) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0123456789ab.secret", True),
        (" 0123456789ab.secret\n", True),
        ("0123456789a.secret", False),
        ("0123456789abc.secret", False),
        ("0123456789ax.secret", False),
        ("0123456789absecret", False),
    ],
)
def test_a_token_has_a_mark_of_so_many_digits_and_a_secret(text: str, found: bool) -> None:
    assert (users.parts(text) is not None) == found


def test_an_id_made_of_a_name_leaves_room_for_a_number() -> None:
    assert characters.id_of("Wren  Halloway!") == "wren-halloway"
    assert len(characters.id_of("x" * 500)) == limits.ID_CHARS - characters._UNIQUE_CHARS
    assert characters.id_of("x" * (limits.ID_CHARS - characters._UNIQUE_CHARS - 1) + " y z") == "x" * (
        limits.ID_CHARS - characters._UNIQUE_CHARS - 1
    )


def test_what_is_taken_back_of_a_message_takes_nothing_of_the_next_one(db: Connection) -> None:
    first = exchanges.begin_exchange(db, S, "I go.", "m", None, 2.0).user_id
    for number in (first, first + 1):
        streaming_text.append(db, number, 0, "She ", "m")
        streaming_text.append(db, number, 4, "nods", "m")
    streaming_text.withdraw(db, first, 2)
    texts = db.execute("SELECT text FROM growth ORDER BY place").fetchall()
    assert [text for (text,) in texts] == ["Sh", "She ", "nods"]


@pytest.mark.parametrize("damaged", ["[1]", "1", "{"])
def test_settings_of_a_model_are_as_they_were_set_and_none_where_they_are_damaged(
    db: Connection, damaged: str
) -> None:
    selections.set_of_model(db, "m", "temperature", 0.5)
    assert selections.of_model(db, "m") == {"temperature": 0.5}
    db.execute("UPDATE model_params SET params = ?", (damaged,))
    assert selections.of_model(db, "m") == {}


# --- clients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "client", "key"),
    [
        (0, "phone", "phone"),
        (0, "@7/phone", "7/phone"),
        (0, "@phone", "@phone"),
        (7, "phone", "@7/phone"),
        (7, "@8/phone", "@7/@8/phone"),
        (312, "", "@312/"),
    ],
)
def test_a_client_is_named_below_its_user_and_cannot_name_anothers(
    user: int, client: str, key: str
) -> None:
    assert selections.client_key(user, client) == key
    assert selections.user_of(key) == user


@pytest.mark.parametrize("key", ["@7", "@/phone", "@x/phone", "7/phone", "", "@", "@-7/phone"])
def test_other_keys_are_the_homes(key: str) -> None:
    assert selections.user_of(key) == 0


def test_where_there_is_more_than_the_most_nothing_is_added(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bound may be lower than what an older version or an import has left."""
    for name in ("olaf", "brand", "tove"):
        users.add(db, name, 1.0)
    for user in (1, 2, 3):
        seats.give(db, S, user, seats.PLAYER, 1.0)
        users.add_token(db, 1, users.new_token(), f"phone {user}", 1.0)
        seats.add_code(db, S, users.new_token(), seats.PLAYER, 9.0, 1.0)
        whispers.add(db, S, 1, 1, 2, "psst", 1.0)
        favourites.switch(db, "worlds", str(user), 0)
    for bound in ("users.USERS", "users.USER_TOKENS", "seats.SEATS", "seats.TABLE_CODES",
                  "whispers.WHISPERS", "library.favourites.MOST"):  # fmt: skip
        monkeypatch.setattr(f"flower.engine.store.{bound}", 2)
    for call in (
        lambda: users.add(db, "ulf", 1.0),
        lambda: users.add_token(db, 1, users.new_token(), "laptop", 1.0),
        lambda: seats.give(db, S, 9, seats.PLAYER, 1.0),
        lambda: seats.add_code(db, S, users.new_token(), seats.PLAYER, 9.0, 1.0),
        lambda: whispers.add(db, S, 1, 1, 2, "psst", 1.0),
    ):
        with pytest.raises(CommandError):
            call()
    assert favourites.switch(db, "worlds", "9", 0) is None


def test_a_storys_own_settings_win_and_can_all_be_changed_at_once(db: Connection) -> None:
    selections.set_of_model(db, "m", "temperature", 0.5)
    selections.set_of_model(db, "m", "top_k", 40)
    assert selections.of_story(db, S, "m") == {"temperature": 0.5, "top_k": 40}
    selections.set_of_story(db, S, "temperature", 0.9)
    selections.set_of_story(db, S, "min_p", 0.1)
    assert selections.of_story(db, S, "m") == {"temperature": 0.9, "top_k": 40, "min_p": 0.1}
    assert selections.of_story(db, S, "other") == {"temperature": 0.9, "min_p": 0.1}
    selections.set_of_story(db, S, "temperature", None)
    assert selections.of_story(db, S, "other") == {"min_p": 0.1}
    selections.set_all_of_story(db, S, {"seed": 7})
    assert selections.of_story(db, S, "other") == {"seed": 7}
    selections.set_all_of_story(db, S, {})
    assert selections.of_story(db, S, "other") == {}
    assert selections.of_story(db, "none", "m") == {"temperature": 0.5, "top_k": 40}
    selections.set_of_model(db, "m", "temperature", None)
    assert selections.of_model(db, "m") == {"top_k": 40}
    assert selections.of_model(db, "other") == {}
