"""Small rules of what belongs to whom, one by one: two users have things of one name, and neither sees the other's."""

from __future__ import annotations

import pytest

from flower.engine.assets.kinds import Character, World
from flower.engine.store import allowances, seats, selections, stories, trash, users
from flower.engine.store.connection import Connection
from flower.engine.store.library import characters, originals, own_assets, personas
from flower.errors import CommandError
from tests.engine.store.test_tree import S

OURS, THEIRS = 0, 1


pytestmark = pytest.mark.usefixtures("household")


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


# --- stories ------------------------------------------------------------------------------------


def test_a_user_sees_the_stories_they_made_and_those_at_whose_table_they_sit(db: Connection) -> None:
    assert not stories.has_others(db)
    for story, owner in (("a", THEIRS), ("b", 2), ("c", 2)):
        stories.create_session(db, story, "harbour", "mara", "Hello.", 2.0, owner)
    seats.give(db, "b", THEIRS, seats.READER, 1.0)
    assert stories.has_others(db)
    assert sorted(seats.seen_ids(db, THEIRS)) == ["a", "b"]
    assert sorted(one.id for one in stories.sessions(db, user=THEIRS)) == ["a", "b"]
    assert [stories.is_owner(db, "a", user) for user in (OURS, THEIRS)] == [False, True]
    assert [stories.count_sessions(db, owner) for owner in (None, OURS, THEIRS, 2)] == [4, 1, 1, 2]
    trash.delete(db, "a", 3.0)
    assert seats.seen_ids(db, THEIRS) == ["b"]
    assert stories.is_owner(db, "a", THEIRS)
    assert stories.count_sessions(db, THEIRS) == 1


def test_stories_are_listed_pinned_ones_first_then_the_one_played_last(db: Connection) -> None:
    for story, updated in (("a", 5.0), ("b", 7.0), ("c", 7.0), ("d", 3.0)):
        stories.create_session(db, story, "harbour", "mara", "Hello.", updated)
    stories.set_pinned(db, "d", True)
    stories.set_archived(db, "a", True)
    assert [one.id for one in stories.sessions(db)] == ["d", "c", "b", S]
    assert [one.id for one in stories.sessions(db, archived=True)] == ["d", "c", "b", "a", S]
    assert [one.id for one in stories.sessions(db, 2)] == ["d", "c"]
    assert [(one.id, one.messages) for one in stories.sessions(db, 1)] == [("d", 1)]


def test_the_trash_lists_ones_own_stories_the_last_one_first(db: Connection) -> None:
    for story, owner, at in (("a", OURS, 2.0), ("b", OURS, 4.0), ("c", THEIRS, 3.0)):
        stories.create_session(db, story, "harbour", "mara", "Hello.", 1.0, owner)
        trash.delete(db, story, at)
    assert [one.id for one in trash.listed(db)] == ["b", "a"]
    assert [one.id for one in trash.listed(db, 1)] == ["b"]
    assert [one.id for one in trash.listed(db, owner=THEIRS)] == ["c"]
    assert sorted(trash.expired(db, 4.0)) == ["a", "c"]
    assert stories.session(db, "a") is None
    assert stories.leaf_and_title(db, "a") is None
    assert trash.purge(db, "a")
    assert not trash.purge(db, S)


# --- seats --------------------------------------------------------------------------------------


def test_a_story_tells_whose_it_is_and_who_sits_there(db: Connection) -> None:
    users.add(db, "ada", 1.0)
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0, THEIRS)
    assert [seats.owner_of(db, story) for story in (S, "t", "none")] == [(0, ""), (1, "ned"), None]
    for user, at in ((2, 1.0), (1, 2.0), (0, 1.0)):
        seats.give(db, "t", user, seats.READER, at)
    assert [(seat.user, seat.user_name) for seat in seats.at(db, "t")] == [
        (0, ""),
        (2, "ada"),
        (1, "ned"),
    ]
    assert seats.find(db, "t", 0) == seats.Seat(0, "", "reader", "", "")
    seats.give(db, S, 2, seats.PLAYER, 1.0)
    assert [(one.name, one.stories) for one in users.listed(db)] == [("ada", 0), ("ned", 1)]


def test_a_seat_is_one_users_at_one_story(db: Connection) -> None:
    users.add(db, "ada", 1.0)
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    for story in (S, "t"):
        for user in (1, 2):
            seats.give(db, story, user, seats.PLAYER, float(user))
    assert seats.play(db, S, 1, "Brand", "A smith.")
    assert seats.take(db, "t", 2)
    found = {(story, seat.user): seat.name for story in (S, "t") for seat in seats.at(db, story)}
    assert found == {(S, 1): "Brand", (S, 2): "", ("t", 1): ""}


def test_codes_of_a_table_end_with_the_guests_who_came_in_with_them(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories.create_session(db, "t", "harbour", "mara", "Hello.", 1.0)
    codes = {story: users.new_token() for story in (S, "t")}
    for story, code in codes.items():
        seats.add_code(db, story, code, seats.READER, 9.0, 1.0)
    guests = {story: seats.seat_guest(db, code.text, 2.0) for story, code in codes.items()}
    assert all(seats.seat_guest(db, code.text, 2.0) == guests[story] for story, code in codes.items())
    assert [len(seats.at(db, story)) for story in codes] == [1, 1]
    assert seats.end_codes(db, S) == 1
    assert [users.by_token(db, code.text, 3.0) is not None for code in codes.values()] == [False, True]
    assert seats.seat_guest(db, codes[S].text, 3.0) is None
    monkeypatch.setattr("flower.engine.store.seats.TABLE_CODES", 0)  # fewer than there are
    with pytest.raises(CommandError, match="codes of this table hold"):
        seats.add_code(db, "t", users.new_token(), seats.READER, 9.0, 3.0)
    trash.delete(db, "t", 4.0)
    assert seats.by_code(db, codes["t"].text, 4.0) is None


def test_guests_go_when_their_token_has_ended_and_nobody_else(db: Connection) -> None:
    tokens = [users.new_token() for _ in range(3)]
    users.add_token(db, 1, tokens[0], "laptop", 1.0, ends=2.0)  # whose token has ended is no guest
    guests = [
        users.add_guest(db, token, 1.0, ends).name
        for token, ends in zip(tokens[1:], (5.0, 6.0), strict=True)
    ]
    users.remove_ended_guests(db, 4.9)
    assert {one.name for one in users.listed(db)} == {"ned", *guests}
    users.remove_ended_guests(db, 5.0)
    assert {one.name for one in users.listed(db)} == {"ned", guests[1]}


def test_messages_are_unwitnessed_by_who_was_away_when_it_is_known_who_was_there(
    db: Connection,
) -> None:
    line, reply = (stories.append(db, S, None, "user", "x", "complete", now=1.0) for _ in range(2))
    stories.set_message_extra(db, line, {"there": [0, 1]})
    stories.set_message_extra(db, reply, {"there": [2]})
    found = [seats.unwitnessed(db, S, user) for user in (0, 1, 2)]
    assert found == [{reply}, {reply}, {line}]
    assert seats.unwitnessed(db, "t", 0) == frozenset()


def test_a_removed_user_leaves_nothing_and_takes_nothing_of_others(db: Connection) -> None:
    users.add(db, "ada", 1.0)
    for story, owner in (("a", 1), ("b", 2)):
        stories.create_session(db, story, "harbour", "mara", "Hello.", 1.0, owner)
        seats.add_code(db, story, users.new_token(), seats.READER, 9.0, 1.0)
        seats.give(db, story, 3 - owner, seats.READER, 1.0)
        own_assets.put(db, owner, "worlds", World(f"keep~{owner}", "Keep"), 1.0)
        personas.put(db, "Wren", "", "", 1.0, owner=owner)
        users.add_token(db, owner, users.new_token(), "laptop", 1.0)
        allowances.spend(db, owner, 1, 0.0, 1.0)
        chosen = selections.Selection(selections.client_key(owner, "tui"), model="m")
        selections.change(db, chosen, ("model",), 1.0)
    assert users.remove(db, 1, 5.0) == 1
    assert [one.id for one in trash.listed(db, owner=1)] == ["a"]
    assert [len(seats.at(db, story)) for story in "ab"] == [0, 0]
    left = [
        db.execute(f"SELECT count(*) FROM {table} WHERE {key}").fetchone()[0]
        for table, key in (
            ("table_codes", "session_id = 'a'"), ("table_codes", "session_id = 'b'"),
            ("own_assets", "owner = 1"), ("own_assets", "owner = 2"),
            ("personas", "owner = 1"), ("personas", "owner = 2"),
            ("user_tokens", "user_id = 1"), ("user_tokens", "user_id = 2"),
            ("user_days", "user_id = 1"), ("user_days", "user_id = 2"),
            ("selections", "client = '@1/tui'"), ("selections", "client = '@2/tui'"),
        )
    ]  # fmt: skip
    assert left == [0, 1] * 6
    assert [one.name for one in users.listed(db)] == ["ada"]
    assert users.remove(db, 1, 6.0) == 0


def test_a_home_has_so_many_users(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.users.USERS", 2)
    assert users.add(db, " Ada ", 1.0) == 2
    with pytest.raises(CommandError, match="There are 2 users"):
        users.add(db, "brand", 1.0)
    assert users.named(db, " ADA").id == 2


def test_a_guest_has_one_seat_and_nothing_else(db: Connection) -> None:
    code = users.new_token()
    seats.add_code(db, S, code, seats.READER, 9.0, 1.0)
    guest = seats.seat_guest(db, f" {code.text} ", 2.0)
    assert guest is not None
    assert allowances.limits_of(db, guest.id) == allowances.UserLimits(
        stories=0, library=0, disk=seats.GUEST_DISK_MIB
    )
    assert allowances.limits_of(db, guest.id).most_own == 0
    assert [(seat.user, seat.role) for seat in seats.at(db, S)] == [(guest.id, seats.READER)]
    assert selections.load(db, selections.client_key(guest.id, ""), guest.id).session_id == S
    (token,) = users.tokens(db, guest.id)
    assert (token.mark, token.label, token.ends) == (code.mark, users.GUEST, 9.0)
    for text in (code.text[:-1], f"{code.mark}.", code.mark, "", users.new_token().text):
        assert seats.seat_guest(db, text, 2.0) is None
    assert seats.seat_guest(db, code.text, 9.0) is None


def test_what_somebody_wrote_is_their_stories_and_their_library(db: Connection) -> None:
    stories.create_session(db, "theirs", "harbour", "mara", "Hello.", 1.0, THEIRS)
    stories.create_session(db, "another", "harbour", "mara", "Hello, there.", 1.0, 9)
    assert allowances.written_bytes(db, THEIRS) == len("Hello.")
    own_assets.put(db, THEIRS, "worlds", World("bay", "Bay", "Fog."), 1.0)
    library = own_assets.size(db, THEIRS)
    assert library > 10
    assert allowances.written_bytes(db, THEIRS) == len("Hello.") + library
    assert allowances.written_bytes(db, 8) == 0
    assert [allowances.day_of(now) for now in (0.0, 86_399.9, 86_400.0)] == [0, 0, 1]
    for library_most, most in ((None, own_assets.MOST), (5, 5), (own_assets.MOST + 1, own_assets.MOST)):
        assert allowances.UserLimits(library=library_most).most_own == most


def test_a_token_holds_until_the_moment_it_ends(db: Connection) -> None:
    ever, short = users.new_token(), users.new_token()
    users.add_token(db, 1, ever, "laptop", 1.0)
    users.add_token(db, 1, short, "phone", 1.0, ends=5.0)
    marks = [ever.mark, short.mark, "none"]
    for now, valid in ((4.9, {ever.mark, short.mark}), (5.0, {ever.mark}), (9.0, {ever.mark})):
        assert users.in_force(db, marks, now) == valid
        names = {
            one.mark
            for one in (ever, short)
            if (user := users.by_token(db, f" {one.text}\n", now)) is not None and user.name == "ned"
        }
        assert names == valid
    assert users.in_force(db, [], 1.0) == frozenset()
    assert users.by_token(db, f"{ever.mark}.{short.text.partition('.')[2]}", 1.0) is None
    assert users.revoke(db, 1, "laptop")
    assert not users.revoke(db, 1, "laptop")
    assert users.by_token(db, ever.text, 1.0) is None


@pytest.mark.parametrize(("text", "parts"), [
    ("0123456789ab.secret", ("0123456789ab", "secret")),
    (" 0123456789ab.se.cret ", ("0123456789ab", "se.cret")),
    ("0123456789ab.", ("0123456789ab", "")),
    ("0123456789ab", None),
    ("0123456789a.secret", None),
    ("0123456789abc.secret", None),
    ("0123456789aB.secret", None),
    ("0123456789ag.secret", None),
    ("", None),
])  # fmt: skip
def test_a_token_is_a_mark_and_a_secret(text: str, parts: tuple[str, str] | None) -> None:
    assert users.parts(text) == parts


@pytest.mark.parametrize(("name", "checked"), [
    (" Ines ", "ines"), ("a-b_9", "a-b_9"), ("x" * 32, "x" * 32), ("home-2", "home-2"), ("z", "z"),
    ("x" * 33, None), ("", None), ("Home", None), ("a b", None), ("\u00e9", None), ("a.b", None),
])  # fmt: skip
def test_a_users_name_has_few_signs_and_is_not_the_homes(name: str, checked: str | None) -> None:
    if checked is None:
        with pytest.raises(CommandError):
            users.checked_name(name)
    else:
        assert users.checked_name(name) == checked


@pytest.mark.parametrize(("name", "text", "limit"), [
    ("stories", "50", 50), ("stories", "0", 0), ("cost", "0.5", 0.5), ("cost", "7", 7.0), ("cost", ".5", 0.5),
    ("stories", "OFF", None), ("cost", "off", None),
])  # fmt: skip
def test_a_limit_is_a_number_or_off(db: Connection, name: str, text: str, limit: float | None) -> None:
    limits = allowances.set_limit(db, 1, name, text)
    assert getattr(limits, name) == limit
    assert type(getattr(limits, name)) is type(limit)
    assert allowances.limits_of(db, 1) == limits
    assert allowances.limits_of(db, 2) == allowances.UserLimits()


@pytest.mark.parametrize(("name", "text"), [
    ("stories", "0.5"), ("stories", "-1"), ("cost", "1.2.3"), ("cost", ""), ("stories", "1" * 13), ("cost", "."),
    ("stories", "\u0661"), ("stories", str(allowances.MOST)), ("nonsense", "1"),
])  # fmt: skip
def test_what_is_no_limit_changes_none(db: Connection, name: str, text: str) -> None:
    allowances.set_limit(db, 1, "stories", "9" * 12)
    with pytest.raises(CommandError, match=r"is no limit|There is no limit"):
        allowances.set_limit(db, 1, name, text)
    assert allowances.limits_of(db, 1) == allowances.UserLimits(stories=allowances.MOST - 1)
