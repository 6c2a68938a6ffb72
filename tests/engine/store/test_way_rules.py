"""Small rules of branches, ways and the words for PostgreSQL, one by one: names, neighbours, what is asked again."""

from __future__ import annotations

from array import array
from types import SimpleNamespace
from typing import Any

import pytest

from flower import limits
from flower.engine.store import branches, stories, streaming_text, users
from flower.engine.store.connection import Connection
from flower.engine.store.paths import Ids, Paths, _SavedWay, way
from flower.engine.store.postgres import dialect
from flower.errors import CommandError, ElsewhereError, StoreError
from tests.engine.store.test_tree import S, say
from tests.stores import connected


@pytest.fixture
def db(db: Connection) -> Connection:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    users.add(db, "ned", 1.0)
    return db


# --- branches -----------------------------------------------------------------------------------


def test_branches_without_a_name_are_numbered(db: Connection) -> None:
    say(db, "I look.", "You see.")
    assert branches.begin(db, S, None, "", 2.0) == "branch-2"  # the first is what was there
    assert branches.begin(db, S, None, "branch-4", 3.0) == "branch-4"
    assert branches.begin(db, S, None, "", 4.0) == "branch-5"
    assert [tip.name for tip in branches.named(db, S)] == ["main", "branch-2", "branch-4", "branch-5"]
    assert [tip.active for tip in branches.named(db, S)] == [False, False, False, True]


def test_a_branch_has_a_name_of_its_own(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    say(db, "I look.", "You see.")
    longest = "x" * limits.BRANCH_NAME_CHARS
    branches.begin(db, S, None, longest, 2.0)
    for name in ("7", longest + "x"):
        with pytest.raises(CommandError, match="A branch's name is a word"):
            branches.begin(db, S, None, name, 3.0)
    with pytest.raises(CommandError, match="already"):
        branches.begin(db, S, None, longest.upper(), 3.0)
    monkeypatch.setattr(branches, "BRANCHES_MAX", 3)
    branches.begin(db, S, None, "third", 3.0)
    with pytest.raises(CommandError, match="This story has 3 named branches"):
        branches.begin(db, S, None, "fourth", 4.0)


@pytest.mark.parametrize(
    ("number", "step", "at"), [(1, True, 1), (-1, True, 2), (2, True, 2), (1, False, 1), (3, False, 3)]
)
def test_variants_are_chosen_by_number_or_round_the_end(
    db: Connection, number: int, step: bool, at: int
) -> None:
    say(db, "I look.", "You see.")
    reply = stories.active_leaf(db, S)
    for _ in range(2):
        branches.open_variant(db, S, None, "m", 3.0)
    assert stories.active_leaf(db, S) != reply
    assert branches.choose_variant(db, S, None, number, step=step) == (at, 3)
    for wrong in (0, 4):
        with pytest.raises(CommandError, match="has the variants 1 to 3"):
            branches.choose_variant(db, S, None, wrong)


def test_a_branch_whose_end_is_in_the_trash_ends_above_it(db: Connection) -> None:
    say(db, "I look.", "You see.")
    end = stories.active_leaf(db, S)
    branches.begin(db, S, None, "other", 2.0)
    say(db, "I go.", "You went.")
    db.execute("UPDATE messages SET deleted = 1.0 WHERE id IN (?, ?)", (end, (end or 0) - 1))
    assert {tip.name: tip.leaf for tip in branches.named(db, S)}["main"] == (end or 0) - 2


# --- ways ---------------------------------------------------------------------------------------


def test_ways_of_few_messages_are_kept_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    with connected("sqlite") as db:
        for story in "abc":
            stories.create_session(db, story, "harbour", "mara", "Hello.", 1.0)
        leaves = [number for (number,) in db.execute("SELECT id FROM messages ORDER BY id").fetchall()]
        paths = Paths()
        monkeypatch.setattr("flower.engine.store.paths.PATH_IDS_KEPT", 2)
        for story, leaf in zip("ab", leaves, strict=False):
            paths.to(db, story, leaf)
        assert list(paths._saved) == ["a", "b"]
        paths.to(db, "a", leaves[0])
        paths.to(db, "c", leaves[2])
        assert list(paths._saved) == ["a", "c"]
        monkeypatch.setattr("flower.engine.store.paths.PATH_IDS_KEPT", 0)
        paths.to(db, "a", leaves[0])
        assert list(paths._saved) == ["a"]  # the one that is asked for is kept, however long


def test_a_way_knows_the_nearest_of_each_kind(db: Connection) -> None:
    greeting = stories.active_leaf(db, S)
    assert greeting is not None
    say(db, "I look.", "You see.")
    say(db, "((aside))", "Yes.")
    ids = [number for (number,) in db.execute("SELECT id FROM messages ORDER BY id").fetchall()]
    stories.set_message_extra(db, ids[1], {"hidden": True})
    found = way(db, ids[-1])
    assert (found.lines, found.state, found.reply, found.variables) == (1, None, ids[4], None)
    assert list(found.ids) == ids
    assert list(found.remembered) == [ids[0], ids[3], ids[4]]
    assert (len(found.remembered), ids[2] in found.remembered, ids[3] in found.remembered) == (
        3,
        False,
        True,
    )
    assert way(db, ids[1]).reply == ids[0]
    assert list(way(db, ids[1]).remembered) == [ids[0]]
    assert list(way(db, None).ids) == []


# --- statements for PostgreSQL ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "wanted", "gives_id"),
    [
        ("DELETE FROM books WHERE id = ?", "DELETE FROM books WHERE id = $1", False),
        ("INSERT INTO books (a) VALUES (1)", "INSERT INTO books (a) VALUES (1) RETURNING id", True),
        ("INSERT INTO", "INSERT INTO", False),
        ("SELECT x FROM books", "SELECT x FROM books", False),
        ("SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1", False),
        ("SELECT 'open ?", "SELECT 'open ?", False),
        ("FROM m INDEXED BY by_id WHERE a IS NOT ?", "FROM m   WHERE a IS DISTINCT FROM $1", False),
        ("a IS NULL OR b IS ?", "a IS NULL OR b IS NOT DISTINCT FROM $1", False),
        ("group_concat(a, ?)", "string_agg(a, $1)", False),
    ],
)
def test_a_statement_asks_for_an_id_only_where_a_row_is_added(
    sql: str, wanted: str, gives_id: bool
) -> None:
    found = dialect.translated(sql)
    assert (found.sql, found.gives_id) == (wanted, gives_id)


# --- a connection to PostgreSQL -----------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long a link has slept; time goes by in nothing else."""
    pytest.importorskip("psycopg")
    from flower.engine.store.postgres import link

    slept: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(link, "time", clock)
    return slept


def test_a_commit_nobody_can_tell_of_is_asked_after_for_two_seconds(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flower.engine.store.postgres import link

    def away(_: object) -> object:
        raise StoreError("away")

    monkeypatch.setattr(link.ServerLink, "held", away)
    with pytest.raises(link._UnsureError):
        link.ServerLink("postgresql://nowhere", 1)._was_committed("7")
    assert waits == pytest.approx([link.AGAIN_S * 5] * len(waits))
    assert link.UNSURE_S <= sum(waits) < link.UNSURE_S + 2 * link.AGAIN_S * 5


@pytest.mark.parametrize("status", ["committed", "aborted"])
def test_what_became_of_a_commit_is_looked_up(
    waits: list[float], monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    from flower.engine.store.postgres import link

    answers = iter(["in progress", status])
    found = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchone=lambda: (next(answers),)))
    monkeypatch.setattr(link.ServerLink, "held", lambda _: found)
    asked = link.ServerLink("postgresql://nowhere", 1)._was_committed("7")
    assert (asked, len(waits)) == (status == "committed", 1)


def test_what_others_are_in_the_way_of_is_tried_so_often(
    waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flower.engine.store.postgres import link

    tries: list[int] = []

    def blocked(_: object, function: object) -> object:
        tries.append(1)
        raise link.psycopg.errors.SerializationFailure("another was first")

    monkeypatch.setattr(link.ServerLink, "held", lambda _: None)
    with pytest.raises(StoreError):
        link.ServerLink("postgresql://nowhere", 1)._trying(lambda _: None, blocked)
    assert len(tries) == link.TRIES
    assert waits == pytest.approx([link.AGAIN_S, link.AGAIN_S * 2, link.AGAIN_S * 4])


def test_what_other_engines_say_is_told_once_and_its_own_words_never() -> None:
    pytest.importorskip("psycopg")
    from flower.engine.store.postgres.pulse import Pulse

    pulse = Pulse.__new__(Pulse)
    pulse._number, pulse._news = 7, {"7 story s1", "8 story s2", "77 story a b", "8 story", ""}
    assert sorted(pulse.news()) == [("", ""), ("", ""), ("story", "a b"), ("story", "s2")]
    assert pulse.news() == []


def test_flushes_do_not_put_off_the_first_sign_of_life() -> None:
    """Replies that grow from the start on are no signs of life yet: nobody would see any, and call the engine dead."""
    pytest.importorskip("psycopg")
    from flower.engine.store.postgres import engines
    from flower.engine.store.postgres.pulse import Pulse

    pulse = Pulse.__new__(Pulse)
    pulse._number, pulse.signs, pulse.draining = 7, 0, False
    pulse._beat_at = pulse._awake_at = pulse.steady_since = pulse._looked_at = pulse._tried_at = 1000.0
    assert pulse.beginning() == engines.beginning(7)
    pulse.showed(1000.9)
    assert pulse._sign_due_at() == 1000.0 + engines.BEAT_S
    shows: list[float] = []

    def read(_: object) -> int:
        shows.append(1001.0)
        return 0

    pulse._link = SimpleNamespace(read=read)  # type: ignore[assignment]
    pulse.turn(1001.0)
    assert (pulse.signs, len(shows)) == (1, 1)
    assert pulse.beginning() == engines.beginning_alive(7, draining=False)
    late = pulse._beat_at + 0.9
    pulse.showed(late)
    assert pulse._sign_due_at() == late + engines.BEAT_S


# --- whose a story is ---------------------------------------------------------------------------


@pytest.mark.parametrize("opens", [True, False])
@pytest.mark.parametrize(
    ("holder", "opened", "draining", "steady", "told"),
    [
        (None, False, False, True, (5, 6)),
        (None, True, False, True, (5, 6)),  # it was given back meanwhile
        (None, False, True, True, "about to stop"),
        ((7, False), True, False, True, ()),  # nothing can have become of it
        ((7, False), True, True, True, ()),
        ((7, False), False, False, True, (5, 6)),  # a change took it, and nobody looked
        ((7, False), False, True, True, (5, 6)),
        ((8, False), False, False, True, "the engine eight plays this story"),
        ((8, False), True, False, True, "the engine eight plays this story"),
        ((8, True), False, False, True, (5, 6)),  # of the dead
        ((8, True), False, False, False, "the engine eight plays this story"),  # who can tell
    ],
)
def test_an_engine_plays_what_is_its_own_or_nobodys(
    monkeypatch: pytest.MonkeyPatch,
    holder: tuple[int, bool] | None,
    opened: bool,
    draining: bool,
    steady: bool,
    told: tuple[int, ...] | str,
    opens: bool,
) -> None:
    """What a dead engine left growing is ended when the story is opened, not by a change before that."""
    pytest.importorskip("psycopg")
    from flower.engine.store.postgres import database
    from flower.engine.store.postgres.engines import Holder

    rows = [] if holder is None else [Holder(holder[0], "eight", "http://eight", holder[1])]
    calls = SimpleNamespace(
        holder=lambda _db, _story: rows[0] if rows else None,
        take=lambda _db, _number, _story: not rows,
        bury=lambda _db: [rows.pop().name],
        elsewhere=lambda _db, _number: "http://other",
    )
    monkeypatch.setattr(database, "engines", calls)
    monkeypatch.setattr(streaming_text, "recover_story", lambda _db, _story: (5, 6))
    engine = database.PostgresDatabase.__new__(database.PostgresDatabase)
    engine._number, engine._opened = 7, {"s"} if opened else set()
    engine._pulse = SimpleNamespace(is_steady=steady, draining=draining)  # type: ignore[assignment]
    connection: Any = None
    if isinstance(told, str):
        with pytest.raises(ElsewhereError, match=told) as refused:
            engine._take(connection, "s", opens)
        assert refused.value.address == ("http://eight" if rows else "http://other")
    else:
        assert engine._take(connection, "s", opens) == (told if opens else ())


# --- ids of a way -------------------------------------------------------------------------------


def test_ids_of_a_way_are_asked_for_by_their_numbers() -> None:
    numbers = array("q", [300, 302, 305, 309])
    some = Ids(numbers, 3, frozenset({302}))
    assert (list(some), len(some)) == ([300, 305], 2)
    held = {number for number in (299, 300, 301, 302, 305, 306, 309, 400) if int(str(number)) in some}
    assert held == {300, 305}
    text: Any = "300"
    assert text not in some
    assert [some.last(most) for most in (None, 0, 1, 2, 9)] == [
        [300, 305],
        [],
        [305],
        [300, 305],
        [300, 305],
    ]
    assert list(some.but([305])) == [300]
    assert some.but([]) is some


def test_what_is_kept_of_a_way_is_cut_above_a_message() -> None:
    saved = _SavedWay().of([(number, number == 305, True, False, False, False, False, False)
                            for number in (309, 305, 300)])  # fmt: skip
    assert [number for number in (299, 300, 301, 305, 309, 310) if int(str(number)) in saved] == [
        300,
        305,
        309,
    ]
    assert (list(saved.lines), list(saved.states), list(saved.replies)) == ([305], [300, 305, 309], [])
    cut = saved.above(305)
    assert (list(cut.ids), list(cut.lines), list(cut.states)) == ([300], [], [300])
    assert list(saved.ids) == [300, 305, 309]


def test_behind_the_end_of_a_long_way_is_nothing() -> None:
    """However long it is, also where what it was cut from goes on."""
    saved = _SavedWay().of([(2 * n, *[n % 2 == 0] * 7) for n in reversed(range(1, 601))])
    assert [number in saved for number in (0, 1, 2, 1199, 1200, 1201, 2000)] == [
        False, False, True, False, True, False, False
    ]  # fmt: skip
    ids = Ids(saved.ids, 400)
    assert [number in ids for number in (800, 801, 802, 1200, 5000)] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert (len(ids), ids.last(2), ids.last(0), len(ids.last(None))) == (400, [798, 800], [], 400)
    less = ids.but({800})
    assert (len(less), less.last(1), 800 in less, ids.but(()) is ids) == (399, [798], False, True)
    above = saved.above(801)
    assert (len(above.ids), above.ids[-1], len(above.lines), above.lines[-1]) == (400, 800, 200, 800)
    assert len(saved.above(800).ids) == 399
