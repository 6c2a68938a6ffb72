"""Small rules of who is there, one by one: what a role may do, what a user may use, whose turn it is, who has to go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.sessions import departures, rights, snapshot, tables
from flower.engine.sessions.allowances import DISK_LOOK_S, Allowances
from flower.engine.sessions.departures import TRIM_AFTER_S, TRIM_CLIENTS, Drain, HeapTrimmer, UserWatch
from flower.engine.sessions.open_stories import OpenStories
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.rights import Need, StoryRole, Visitor
from flower.engine.sessions.runtime import SideUse
from flower.engine.sessions.session import Client, Session
from flower.engine.sessions.tables import Sitting, Tables
from flower.engine.store import allowances, prompts, seats, selections, stories, users
from flower.engine.store.allowances import Allowance, UserLimits
from flower.engine.store.library import own_assets
from flower.engine.store.selections import Selection, client_key
from flower.errors import CommandError, StoreError
from flower.protocol.messages import State, SystemUpdate
from tests.engine.sessions.test_side_rules import OUTCOME


class Rows:
    """A database that knows the answer of each function; one that is called gets its arguments."""

    def __init__(self, answers: dict[Callable[..., Any], Any]) -> None:
        self.answers = answers
        self.written: list[tuple[Any, ...]] = []

    async def read(self, function: Callable[..., Any], *args: Any, **_: Any) -> Any:
        answer = self.answers[function]
        return answer(*args) if callable(answer) else answer

    read_slowly = read

    async def write(self, function: Callable[..., Any], *args: Any) -> None:
        self.written.append((function, *args))


def client_of(user: int = 0, session: Session | None = None, **rest: Any) -> Client:
    key = client_key(user, "here")
    client = Client(
        Outbox(), Selection(key), lambda: None, visitor=Visitor(user, "ned", f"mark{user}", **rest)
    )
    client.session = session
    return client


async def said(client: Client) -> list[Any]:
    return [await client.outbox.get() for _ in range(len(client.outbox))]


# --- roles --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (StoryRole.NOBODY, {"anyone"}),
        (StoryRole.READER, {"anyone", "reader"}),
        (StoryRole.PLAYER, {"anyone", "reader", "player"}),
        (StoryRole.OWNER, {"anyone", "reader", "player", "owner"}),
        (
            None,
            {"anyone", "reader", "player", "owner"},
        ),  # no story is open: there is nothing to protect
    ],
)
def test_each_role_may_do_what_those_below_it_may(role: StoryRole | None, may: set[str]) -> None:
    user = Visitor(7)
    assert {need.value for need in Need if not rights.refusal(user, role, need)} == may
    assert not rights.refusal(Visitor(), role, Need.HOME)
    assert len(set(StoryRole)) == 4


@pytest.mark.parametrize(
    ("user", "seat", "role"),
    [
        (1000, None, StoryRole.OWNER),  # known without a look
        (7, None, StoryRole.NOBODY),
        (7, "player", StoryRole.PLAYER),
        (7, "reader", StoryRole.READER),
    ],
)
def test_a_seat_is_a_role_and_the_maker_has_one_without_it(
    monkeypatch: pytest.MonkeyPatch, user: int, seat: str | None, role: StoryRole
) -> None:
    row = SimpleNamespace(role=seat) if seat else None
    monkeypatch.setattr(seats, "find", lambda *_: row)
    stored: Any = SimpleNamespace(id="s", owner=int("1000"))  # another object of the same number
    assert rights.role_in(None, user, stored) is role  # type: ignore[arg-type]
    monkeypatch.setattr(stories, "session", lambda *_: stored)
    visible = rights.visible_story(None, user, "s")  # type: ignore[arg-type]
    assert visible == ((stored, role) if role else None)
    client_of(int("1000")).check_own(int("1000"), "/copy")


def test_the_first_problem_is_a_sentence_and_others_are_counted() -> None:
    assert rights.one_problem(["No key"]) == "No key."
    assert rights.one_problem(["No key?", "b"]) == "No key? And 1 more: /problems."
    assert rights.one_problem(["No key!", "b", "c"]) == "No key! And 2 more: /problems."


# --- what a user may use ------------------------------------------------------------------------


def kept_by(rows: Rows, nursery: Any = None, folder: Path = Path("/nowhere")) -> Allowances:
    return Allowances(rows, nursery, lambda: 1.0, lambda name, user: folder)  # type: ignore[arg-type]


async def refused(work: Any) -> str:
    try:
        await work
    except CommandError as error:
        return str(error)
    return ""


async def test_a_story_too_many_is_refused_where_one_begins_and_nowhere_else() -> None:
    def rows(count: int) -> Allowances:
        return kept_by(Rows({allowances.allowance: Allowance(UserLimits(stories=3), stories=count)}))

    assert await refused(rows(2).check(1, "ned", model=True, story=True)) == ""
    for has in (3, 4):  # more than may be had now
        refusal = await refused(rows(has).check(1, "ned", model=False, story=True))
        assert f"You have {has} stories" in refusal
    assert await refused(rows(3).check(1, "ned", model=True)) == ""


async def test_a_day_that_is_used_up_ends_what_asks_a_model_or_begins_a_story() -> None:
    used = kept_by(Rows({allowances.allowance: Allowance(UserLimits(tokens=5), tokens=5)}))
    assert await refused(used.check(1, "ned", model=False)) == ""
    for asks in ({"model": True}, {"model": False, "story": True}):
        assert "5 tokens of a day" in await refused(used.check(1, "ned", **asks))
    assert await used.may_work_ahead(client_key(1, "here")) is False


@pytest.mark.parametrize(("has", "full"), [(1, False), (2, True), (3, True)])
async def test_a_library_holds_so_many_things(has: int, full: bool) -> None:
    rows = Rows({allowances.limits_of: UserLimits(library=2), own_assets.count: has})
    assert bool(await refused(kept_by(rows).check_library(1, "ned"))) == full


@pytest.mark.parametrize(
    ("library", "most_stories", "may"), [(0, 0, False), (0, 1, True), (1, 0, True), (None, 0, True)]
)
async def test_who_may_keep_nothing_brings_no_files(
    library: int | None, most_stories: int, may: bool
) -> None:
    most = UserLimits(library=library, stories=most_stories)
    rows = Rows({allowances.limits_of: most, allowances.allowance: Allowance(most)})
    assert ("brings no files" not in await refused(kept_by(rows).check_import(1, "ned"))) == may


async def test_a_disk_is_full_above_its_limit_and_looked_at_every_ten_minutes(
    mock_clock: MockClock, tmp_path: Path
) -> None:
    size = [limits.MIB - 3]
    rows = Rows({allowances.limits_of: UserLimits(disk=1), allowances.written_bytes: lambda _: size[0]})
    found = kept_by(rows, folder=tmp_path)
    (tmp_path / "a").write_bytes(b"xxx")
    assert await refused(found.check_disk(1, "ned")) == ""
    (tmp_path / "a").write_bytes(b"xxxx")  # files are looked at each time
    assert "have 1 MiB and may have 1" in await refused(found.check_disk(1, "ned"))
    size[0] = 0
    mock_clock.jump(DISK_LOOK_S - 1)
    assert await refused(found.check_disk(1, "ned")) != ""
    mock_clock.jump(1)
    assert await refused(found.check_disk(1, "ned")) == ""
    size[0] = 3 * limits.MIB
    assert "have 3 MiB" in await refused(found.check_disk(2, "mara"))


async def test_what_replies_and_work_beside_them_used_is_counted_and_stored() -> None:
    rows = Rows({})
    async with trio.open_nursery() as nursery:
        found = kept_by(rows, nursery)
        outcome = OUTCOME
        found.turn_ended(1, type(outcome)(**{**_fields(outcome), "prompt_tokens": 100, "cost": 0.25}))
        found.turn_ended(1, type(outcome)(**{**_fields(outcome), "prepaid": True}))
        found.side_ended(SideUse(client_key(1, "here"), 40, 0.5))
        found.side_ended(SideUse("laptop", 40, 0.5))  # the home's owner
    assert found.used == {1: {"replies": 1, "tokens": 147, "microdollars": 750_000}}
    stored = sorted(row[1:] for row in rows.written)
    assert stored == [(1, 40, 0.5, 1.0), (1, 107, 0.25, 1.0)]


def _fields(outcome: Any) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in outcome.__struct_fields__}


async def test_half_of_a_minutes_prompts_may_go_to_work_ahead(mock_clock: MockClock) -> None:
    found = kept_by(Rows({allowances.allowance: Allowance(UserLimits(prompts=5))}))
    key = client_key(1, "here")
    assert [await found.may_work_ahead(key) for _ in range(3)] == [True, True, False]
    assert [await found.may_work_ahead("laptop") for _ in range(3)] == [True] * 3
    none = kept_by(Rows({allowances.allowance: Allowance(UserLimits())}))
    assert [await none.may_work_ahead(key) for _ in range(9)] == [True] * 9


# --- tables -------------------------------------------------------------------------------------


def number(user: int) -> int:
    """The same number as another object: users are the same by their number alone."""
    return int(str(user))


NED = 1001
HERE = [
    Sitting(0, "owner", StoryRole.OWNER, "Ines"),
    Sitting(1, "ned", StoryRole.PLAYER, "Ned"),
    Sitting(2, "mara", StoryRole.READER, ""),
]


@pytest.mark.parametrize(
    ("line", "aside"),
    [
        ("((Tea?))", True),
        ("((Tea?)) I go.", False),
        ("((a)) b ((c))", False),
        ("(Tea?))", False),
        ("((", False),
    ],
)
def test_an_aside_is_one_from_its_beginning_to_its_end(line: str, aside: bool) -> None:
    assert tables._is_outside(line) == aside


def table_of(rows: Rows, *clients: Client, nursery: Any = None) -> Tables:
    return Tables(rows, list(clients), lambda: 1.0, lambda _: None, nursery)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "last", "user", "voiced"),
    [
        ("free", -1, 0, ("Ines: I go.", False)),
        ("free", 1, 1, ("Ned: I go.", False)),
        ("round", 0, 1, ("Ned: I go.", True)),
        ("round", 1, 0, ("Ines: I go.", True)),
        ("round", 1, 1, "It is the turn of Ines; at this table you speak in turn."),
        ("free", -1, 2, "You have no seat here any more."),
        ("free", -1, 9, "You have no seat here any more."),
    ],
)
async def test_a_line_has_a_voice_and_ends_a_turn_where_there_are_turns(
    order: str, last: int, user: int, voiced: object
) -> None:
    story = Session("s", "harbour", "mara")
    rows = Rows({seats.said_before: None, tables._standing: (HERE, order, last)})
    found = table_of(rows, client_of(0, story), client_of(1, story), client_of(2, story))
    try:
        result: object = await found.voiced(client_of(user, story), "I go.", None)
    except CommandError as error:
        result = str(error)
    assert result == voiced
    aside = table_of(Rows({**rows.answers, tables._standing: (HERE, "round", 0)}))
    assert await aside.voiced(client_of(1, story), "((Tea?))", None) == ("((Tea?))", False)


async def test_a_line_has_the_voice_of_who_says_it_whatever_their_number() -> None:
    story = Session("s", "harbour", "mara")
    here = [
        replace(HERE[0], user=5005),
        replace(HERE[1], user=1001),
        replace(HERE[2], user=3003, role=StoryRole.PLAYER, voice="Mara"),
    ]
    rows = Rows({seats.said_before: None, tables._standing: (here, "free", -1)})
    found = table_of(rows)
    for user, voice in ((5005, "Ines"), (1001, "Ned"), (3003, "Mara")):
        client = client_of(number(user), story)
        assert await found.voiced(client, "I go.", None) == (f"{voice}: I go.", False)
    assert [one.voice for one in here if found._turn_of(story, here, one.user) is not None] == []
    there = [client_of(number(user), story) for user in (1001, 3003, 5005)]
    present = table_of(rows, *there)
    follows = [present._turn_of(story, here, number(user)) for user in (5005, 1001, 3003)]
    assert [one.voice for one in follows if one is not None] == ["Ned", "Mara", "Ines"]
    assert present.of_user(number(3003)) == [there[1]]
    rows.answers[tables._standing] = (here, "round", number(5005))
    ned = client_of(number(1001), story)
    assert await present.voiced(ned, "I go.", None) == ("Ned: I go.", True)


async def test_who_types_is_sent_it_by_nobody_whatever_their_number(nursery: trio.Nursery) -> None:
    story = Session("s", "harbour", "mara")
    story.shared = True
    here = [replace(HERE[0], user=5005), replace(HERE[1], user=1001)]
    owner, ned = client_of(number(5005), story), client_of(number(1001), story)
    found = table_of(Rows({tables.sitting: here}), owner, ned, nursery=nursery)
    await found.types(client_of(number(1001), story))
    assert [one.metadata.typing for one in await said(owner)] == [("Ned",)]
    assert await said(ned) == []
    await found.types(owner)
    assert [one.metadata.typing for one in await said(ned)] == [("Ines",)]
    found._types_no_more(story, number(1001))
    assert [one.metadata.typing for one in await said(owner)] == [()]
    assert await said(ned) == []


@pytest.mark.parametrize(
    ("was", "still", "shared"), [(False, True, False), (True, False, False), (True, True, True)]
)
async def test_whether_others_play_is_looked_up_again_where_they_did(
    was: bool, still: bool, shared: bool
) -> None:
    class Seats(Rows):
        async def write(self, function: Callable[..., Any], *args: Any) -> Any:
            await super().write(function, *args)
            return still

    rows = Seats({tables.is_shared: was})
    assert await table_of(rows).is_shared_now("s") == shared
    assert rows.written == [(tables.tell_narrator, "s")] * was


async def test_who_plays_alone_has_heard_everything() -> None:
    story = Session("s", "harbour", "mara")
    rows = Rows({seats.unwitnessed: lambda story, user: frozenset({3, user})})
    client = client_of(NED, story)
    found = table_of(rows, client)
    assert await found.unwitnessed(client_of(NED)) == frozenset()
    assert await found.unwitnessed(client) == frozenset()
    story.shared = True
    assert await found.unwitnessed(client) == {3, NED}


async def test_a_guest_is_seated_by_the_engine_that_plays_the_story_without_opening_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[object] = []

    class Leases(Rows):
        async def lease(self, story: str, *, opens: bool = True) -> None:
            calls.append((story, opens))

        def leave(self, story: str) -> None:
            calls.append(story)

    found = table_of(Leases({seats.by_code: lambda code, _: ("s", "player") if code == "x" else None}))
    guest: Any = SimpleNamespace(id=NED)

    async def change(story: str, work: Any, event: str, about: str, by: int) -> None:
        calls.append((story, event, about, by))
        work(None)

    monkeypatch.setattr(found, "change", change)
    monkeypatch.setattr(seats, "seat_guest", lambda *_: guest)
    assert await found.seat_guest("y") is None
    assert calls == []
    assert await found.seat_guest("x") is guest
    assert calls == [("s", False), ("s", "guest", "as player", 0), "s"]


async def test_who_sits_there_is_told_where_others_play() -> None:
    story = Session("s", "harbour", "mara")
    found, client = table_of(Rows({tables.sitting: HERE})), client_of(NED, story)
    await found.tell(client_of(NED))
    await found.tell(client)
    story.shared = True
    await found.tell(client)
    assert await said(client) == [
        SystemUpdate("", State(table=())),
        SystemUpdate("", State(table=("Ines", "Ned", "mara"))),  # readers by their own name
    ]


async def test_seats_that_changed_are_told_in_their_story_and_who_has_none_leaves() -> None:
    story, other = Session("".join(("story", "1")), "w", "c"), Session("story2", "w", "c")
    there = [client_of(number(user), story) for user in (5005, 1001, 3003)]
    owner, ned, gone = there
    before = client_of(1001, Session("story0", "w", "c"))
    elsewhere, none = client_of(1001, other), client_of(1001)
    left: list[Client] = []
    found = Tables(
        Rows({}),  # type: ignore[arg-type]
        [before, *there, elsewhere, none],
        lambda: 1.0,
        left.append,
        None,  # type: ignore[arg-type]
    )
    here = [replace(HERE[0], user=5005), replace(HERE[1], user=1001)]
    found._seat_anew("".join(("story", "1")), here)
    assert story.shared
    assert (owner.role, ned.role, left) == (StoryRole.OWNER, StoryRole.PLAYER, [gone])
    seats_now = SystemUpdate("", State(table=("Ines", "Ned")))
    assert (await said(owner), await said(ned)) == ([seats_now], [seats_now])
    away, history = await said(gone)
    assert away == SystemUpdate("You have no seat at this table any more.", State(session_id=""))
    assert (history, gone.chosen.session_id) == (snapshot.no_history(), "")
    assert (other.shared, await said(elsewhere), await said(none)) == (False, [], [])
    assert await said(before) == []
    found._seat_anew(story.id, here[:1])
    assert not story.shared
    assert await said(owner) == [SystemUpdate("", State(table=()))]


async def test_who_is_next_is_told_if_anybody_is() -> None:
    for there, told in (((0, 1), ["Next: Ned."]), ((2,), [])):
        story, outbox = Session("s", "harbour", "mara"), Outbox()
        story.subscribe(outbox)
        rows = Rows({tables.sitting: HERE})
        await table_of(rows, *(client_of(user, story) for user in there)).end_turn(story, 0)
        assert [(await outbox.get()).content for _ in range(len(outbox))] == told  # type: ignore[union-attr]
        assert rows.written == [(stories.set_session_extra, "s", {"table_last": 0})]


async def test_who_plays_alone_is_seen_typing_by_nobody() -> None:
    alone, none = client_of(1, Session("s", "harbour", "mara")), client_of(2)
    found = table_of(Rows({}), alone, none)  # which asks nothing of the database
    await found.types(alone)
    await found.types(none)
    assert found._typing == {}


async def test_who_types_is_shown_to_others_until_five_seconds_after_the_last_sign(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    story = Session("s", "harbour", "mara")
    story.shared = True
    owner, ned, reader, away = (
        client_of(0, story),
        client_of(1, story),
        client_of(2, story),
        client_of(3),
    )
    found = table_of(Rows({tables.sitting: HERE}), owner, ned, reader, away, nursery=nursery)
    await found.types(reader)  # readers have no voice
    assert await said(owner) == []
    await found.types(ned)
    await trio.sleep(6.5)  # one sign is enough, and it passes by itself
    assert [one.metadata.typing for one in await said(owner)] == [("Ned",), ()]
    assert len(await said(reader)) == 2
    for pause in (2.5, 3.0):  # the second sign is nothing new, and it lasts from there
        await found.types(ned)
        await trio.sleep(pause)
    assert await said(owner) == [SystemUpdate("", State(typing=("Ned",)))]
    await trio.sleep(3.0)
    assert await said(owner) == [SystemUpdate("", State(typing=()))]
    assert (await said(ned), await said(away), len(await said(reader))) == ([], [], 2)
    await found.types(ned)
    await found.types(owner)
    assert [one.metadata.typing for one in await said(reader)] == [("Ned",), ("Ned", "Ines")]
    assert [one.metadata.typing for one in await said(ned)] == [("Ines",)]
    found._types_no_more(story, 1)
    found._types_no_more(story, 1)
    assert [one.metadata.typing for one in await said(reader)] == [("Ines",)]


@pytest.mark.parametrize(
    ("visitor", "waiting", "pays"),
    [(1003, True, "own"), (1001, True, "owner's"), (1005, True, "owner's"), (1001, False, "own")],
)
async def test_lines_that_waited_are_paid_for_by_whose_story_it_is(
    visitor: int, waiting: bool, pays: str
) -> None:
    lines = ["a line"] if waiting else []
    owners = Selection(client_key(1003, ""))
    resumed: list[Any] = []
    stories_open: Any = OpenStories.__new__(OpenStories)
    stories_open._database = Rows({
        prompts.waiting: lines,
        selections.load: lambda key, user: owners if (key, user) == (owners.client, 1003) else None,
    })  # fmt: skip
    stories_open._turns = SimpleNamespace(resume=lambda *args: resumed.append(args))
    story, client = Session("s", "w", "c", None, 1003), client_of(number(visitor))
    await stories_open._resume(client, story)
    by = client.chosen if pays == "own" else owners
    assert resumed == [(story, lines, by)]


# --- who has to go ------------------------------------------------------------------------------


async def test_users_go_whose_tokens_hold_no_longer_and_nobody_else(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    gone: list[int] = []
    clients = {client_of(user, expel=lambda user=user: gone.append(user)) for user in (0, 1, 2)}
    looks: list[frozenset[str]] = []

    def in_force(marks: set[str], _: float) -> set[str]:
        looks.append(frozenset(marks))
        return {"mark1"}

    watch = UserWatch(Rows({users.in_force: in_force}), clients, nursery, lambda: 1.0)  # type: ignore[arg-type]
    home, one = (next(c for c in clients if c.visitor.id == user) for user in (0, 1))
    watch.client_joined(home)
    await trio.sleep(departures.USERS_LOOK_S + 1)
    assert looks == []  # without users it never wakes
    watch.client_joined(one)
    watch.client_joined(one)
    await trio.sleep(departures.USERS_LOOK_S + 1)
    assert (gone, looks) == ([2], [frozenset({"mark1", "mark2"})])
    clients.clear()
    await trio.sleep(2 * departures.USERS_LOOK_S)
    count = len(looks)
    clients.add(one)
    watch.client_joined(one)  # it has ended, and begins anew
    await trio.sleep(departures.USERS_LOOK_S + 1)
    assert len(looks) == count + 1
    clients.clear()


async def test_memory_is_given_back_once_for_a_crowd_that_left(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []

    async def at_once(work: Callable[[], None], **_: object) -> None:
        work()

    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    monkeypatch.setattr(departures, "give_back", lambda: times.append(0.0))
    heap = HeapTrimmer(nursery)
    for crowd in (TRIM_CLIENTS - 1, 1, TRIM_CLIENTS - 1, 1, TRIM_CLIENTS):
        for _ in range(crowd):
            heap.client_left()
        await trio.sleep(TRIM_AFTER_S - 1)
        before = len(times)
        await trio.sleep(2)
        times.append(-1.0 if len(times) == before else 1.0)
    assert [one for one in times if one] == [-1.0, 1.0, -1.0, 1.0, 1.0]


def test_a_client_goes_when_its_story_rests_and_it_waits_for_no_answer() -> None:
    busy, resting = Session("b", "w", "c"), Session("r", "w", "c")
    busy.busy = True
    watching, asking, idle, there = (
        client_of(1, busy),
        client_of(2),
        client_of(3),
        client_of(4, resting),
    )
    asking.answering = True
    drain = Drain(None, None, [watching, asking, idle, there])  # type: ignore[arg-type]
    assert drain._send_away("b.example") == 2
    assert [bool(one.elsewhere) for one in (watching, asking, idle, there)] == [
        False,
        False,
        True,
        True,
    ]
    first = idle.elsewhere
    assert drain._send_away("other") == 2
    assert idle.elsewhere is first


async def test_an_engine_drains_also_when_the_others_cannot_be_told() -> None:
    async def away() -> str:
        raise StoreError("the database is away.")

    left = client_of(1)
    turns, clients = SimpleNamespace(begin_no_more=lambda: None, running=0), [left]
    drain = Drain(SimpleNamespace(drain=away, elsewhere=away), turns, clients)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain.run)
        await trio.testing.wait_all_tasks_blocked()
        assert left.elsewhere is not None
        clients.clear()


async def test_an_engine_that_drains_waits_for_replies_ten_minutes_and_for_clients_some_seconds(
    autojump_clock: MockClock,
) -> None:
    async def nothing() -> str:
        return ""

    database = SimpleNamespace(drain=nothing, elsewhere=nothing)
    turns = SimpleNamespace(begin_no_more=lambda: None, running=1)
    began, client = trio.current_time(), client_of(1)
    drain = Drain(database, turns, [client])  # type: ignore[arg-type]
    before = drain.begun
    await drain.run()
    assert (before, drain.begun) == (False, True)
    spent = trio.current_time() - began
    assert departures.DRAIN_S < spent <= departures.DRAIN_S + departures.LEAVE_S + 1
    turns.running, began = 0, trio.current_time()
    await Drain(database, turns, []).run()  # type: ignore[arg-type]
    assert trio.current_time() == began
