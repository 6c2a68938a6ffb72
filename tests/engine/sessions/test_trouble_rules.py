"""Small rules of what fails beside a story, one by one: it is said where that helps, and costs nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower.engine.assets.kinds import Rule, World
from flower.engine.assets.shelves import owned
from flower.engine.prompt.scripted import scripted_page
from flower.engine.sessions import snapshot
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.departures import UserWatch
from flower.engine.sessions.edits import Edits
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.fetches import Fetches
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import FinishedReply, GrowingReply, Session, WaitingLine
from flower.engine.sessions.summaries import Failures, Summariser
from flower.engine.store import branches, stories
from flower.engine.store.tree import Page
from flower.errors import CommandError, StoreError
from flower.protocol.messages import ErrorEvent, ErrorMeta, SystemUpdate
from tests.engine.sessions.test_session_rules import message
from tests.engine.sessions.test_side_rules import CHOSEN
from tests.engine.sessions.test_user_rules import Rows, client_of, kept_by, said
from tests.engine_world import engine_world


class Away:
    """A database that cannot be reached."""

    async def read(self, *_: object, **__: object) -> Any:
        raise StoreError("the database is away.")

    write = read


def after_of(database: object) -> AfterTurn:
    services: Any = SimpleNamespace(database=database, assets=None, scripts=None)
    return AfterTurn(Runtime(services, None), lambda: 1.0)  # type: ignore[arg-type]


FINISHED = FinishedReply(1, "line", "text", "complete", "m", True)

# --- what a disk does not take ------------------------------------------------------------------


async def test_a_database_that_is_away_ends_nobodys_visit_and_no_reply() -> None:
    gone: list[int] = []
    client = client_of(1, expel=lambda: gone.append(1))
    watch = UserWatch(Away(), {client}, None, lambda: 1.0)  # type: ignore[arg-type]
    await watch._look({client.visitor.mark})
    assert gone == []
    await kept_by(Away())._spend(1, 7, 0.5)  # type: ignore[arg-type]
    story = Session("s", "w", "c")
    story.unsaved[1] = FINISHED
    await after_of(Away()).save_at_last(story)
    assert story.unsaved == {1: FINISHED}


async def test_a_line_that_cannot_be_given_back_stays(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        turns: Any = world.engine.turns
        runtime = turns._runtime
        turns._runtime = SimpleNamespace(services=SimpleNamespace(database=Away()))
        await turns._give_back(WaitingLine("line", client_of().chosen, None, 1))
        turns._runtime = runtime


@pytest.mark.parametrize(
    ("page", "shown", "writes", "sent"),
    [
        (True, True, False, 1),
        (True, True, True, 0),  # the next reply is on its way already
        (True, False, False, 0),
        (False, True, False, 0),
    ],
)
async def test_the_end_of_a_story_is_sent_again_where_scripts_show_it_otherwise(
    page: bool, shown: bool, writes: bool, sent: int
) -> None:
    story, outbox = Session("s", "w", "c"), Outbox()
    story.subscribe(outbox)
    story.reply = GrowingReply("t", 2, "line", "m", "w") if writes else None
    read = Page([message(1, "Fog.")], shown={1: "FOG."} if shown else {})
    rows = Rows({scripted_page: read if page else None})
    await after_of(rows)._show_scripted(story)
    events = [await outbox.get() for _ in range(len(outbox))]
    assert events == [snapshot.chat_history(story, read, None)] * sent
    await after_of(Away())._show_scripted(story)
    assert len(outbox) == 0


async def test_a_fetch_that_fails_says_why_and_another_may_begin(nursery: trio.Nursery) -> None:
    fetches, told = Fetches(nursery), list[str]()

    async def fetch(_: object) -> Any:
        raise CommandError("no room for it.")

    async def done() -> None:
        told.append("done")

    for _ in range(2):
        fetches.start("a.gguf", fetch, told.append, done)
        await trio.testing.wait_all_tasks_blocked()
    assert [line for line in told if line.startswith("✗")] == ["✗ no room for it."] * 2
    assert "done" not in told


async def test_a_story_is_opened_also_when_its_lore_cannot_be_brought_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sync(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        monkeypatch.setattr(world.engine.lore, "sync", sync)
        await world.engine.stories.attach(face.client)
        await trio.testing.wait_all_tasks_blocked()
        assert face.client.session is not None
        errors = face.of(ErrorEvent)
    text = "the disk is full. The world's lore stays as it was."
    assert errors == [ErrorEvent(text, ErrorMeta("store"))]


@pytest.mark.parametrize("fails", [True, False])
async def test_a_summary_that_fails_is_counted_until_one_succeeds(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    async def refresh(*_: object) -> None:
        if fails:
            raise CommandError("no.")

    runtime = Runtime(None, None)  # type: ignore[arg-type]
    models: Any = SimpleNamespace(select=lambda _: (CHOSEN, ""))
    summariser = Summariser(runtime, models)
    monkeypatch.setattr(summariser, "_refresh", refresh)
    monkeypatch.setattr("flower.engine.sessions.summaries.is_filling", lambda *_: True)
    prompt: Any = SimpleNamespace(
        assembled=SimpleNamespace(history=9, room=9), counter=CHOSEN.counter
    )  # fmt: skip
    summariser._failures["s"] = Failures(times=3)
    await summariser.refresh(Session("s", "w", "c"), "m", prompt, "text")
    assert (summariser.running, summariser._failures.get("s") is None) == (0, not fails)
    assert not fails or summariser._failures["s"].times == 4


# --- what is done once --------------------------------------------------------------------------


async def test_a_line_that_is_sent_once_more_begins_no_second_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        story = face.client.session
        assert story is not None
        for _ in range(2):
            await world.engine.turns.say(story, face.client.chosen, "I wait.", "r1")
            await face.settled()
        path = await world.database.read(stories.active_path, story.id)
        assert [one.content for one in path if one.role == "user"] == ["I wait."]
        assert (face.reasons, story.busy, story.reply) == (["done"], False, None)


@pytest.mark.parametrize(("asset", "syncs"), [(World("mine", "Mine"), 1), (Rule("r", "R", "Dry."), 0)])
async def test_lore_is_brought_in_again_with_a_world_that_its_user_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: World | Rule, syncs: int
) -> None:
    calls: list[tuple[str, bool]] = []

    async def sync(world_id: str, *, again: bool = False) -> None:
        calls.append((world_id, again))

    async with engine_world(tmp_path / "flower.db") as world:
        monkeypatch.setattr(world.engine.lore, "sync", sync)
        mine = replace(asset, id=owned(asset.id, 1))
        edits: Any = world.engine.asset_edits
        writes: list[int] = []

        async def write(user: int, _: object) -> None:
            writes.append(user)

        monkeypatch.setattr(edits._libraries, "write", write)
        assert await edits.write(mine) is None
        assert writes == [1]
    assert calls == [(mine.id, True)] * syncs


async def test_a_reply_that_was_edited_is_a_memory_with_the_line_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    remembered: list[tuple[Any, ...]] = []

    async def remember(*args: Any) -> None:
        remembered.append(args[1:])

    path = [
        message(1, "Welcome."),
        message(2, "I wait."),
        replace(message(3, "Fog."), role="assistant"),
        replace(message(4, "Rain."), role="assistant"),
    ]

    async def read(_: object, leaf: int, *, most: int) -> Any:
        return path[:leaf][-most:]

    after = after_of(SimpleNamespace(read=read))
    monkeypatch.setattr(after, "_remember_or_tell", remember)
    for reply in (path[0], path[2], path[3]):
        await after.remember_edit(Session("s", "w", "c"), reply)
    assert remembered == [(3, "I wait.", "Fog."), (4, branches.GO_ON, "Rain.")]


# --- how things begin ---------------------------------------------------------------------------


async def test_who_counts_nothing_may_always_work_ahead() -> None:
    runtime = Runtime(None, None)  # type: ignore[arg-type]
    assert await runtime.may_work_ahead("laptop")


def test_a_reply_proposes_nothing_unless_it_says_so() -> None:
    assert (FINISHED.proposed, FINISHED.scripted) == ("", False)


def test_a_reply_that_goes_on_from_nothing_has_nothing_to_join() -> None:
    reply = GrowingReply("t", 1, "line", "m", "w")
    reply.join_with(["lamp"])
    reply.goes_on_exactly("lamp")
    assert (reply.length, reply.reasoning_length, reply.proposed, reply.scripted) == (0, 0, "", False)
    assert reply.append("  Fog.", 1.0) is not None
    assert (reply.text, reply.rest(1.0)) == ("Fog.", None)


def test_continuations_are_counted_from_the_milliseconds_of_the_start() -> None:
    edits = Edits(None, None, lambda: 7.5)  # type: ignore[arg-type]
    assert [next(edits._continued) for _ in range(2)] == [7500, 7501]


def test_a_story_has_an_id_of_eight_hex_digits() -> None:
    new_id = (Engine.__init__.__kwdefaults__ or {})["new_id"]
    ids = {new_id() for _ in range(4)}
    assert len(ids) == 4
    assert {len(one) for one in ids} == {8}
    assert all(int(one, 16) >= 0 for one in ids)


@pytest.mark.parametrize(("title", "name"), [("Fog", "Fog"), ("", "Untitled"), (None, "Untitled")])
def test_a_story_is_listed_by_its_title_if_it_has_one(title: str | None, name: str) -> None:
    stored: Any = SimpleNamespace(
        id="s", title=title, world_id="w", updated=3.0, messages=5, pinned=1, role="", owner_name="",
        character_id="c", owner=0,
    )  # fmt: skip
    (option,) = snapshot.session_options([stored])
    listed = (option.id, option.name, option.world_id, option.updated, option.messages, option.pinned)
    assert listed == ("s", name, "w", 3.0, 5, True)


async def test_a_model_is_confirmed_when_it_is_among_those_there_are(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        models = world.engine.registry
        for name, confirmed in (("one", True), ("gone", False)):
            chosen = replace(client_of().chosen, model="/".join(("scripted", name)))
            state = snapshot.selection_state(chosen, models)
            assert (state.model, state.model_confirmed) == (f"scripted/{name}", confirmed)
        state = snapshot.selection_state(replace(chosen, model=""), models)
        assert (state.model, state.model_confirmed) == (models.default(), True)


async def test_everybody_is_sent_the_models_there_are_and_the_home_owner_the_problems(
    tmp_path: Path,
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        owner, user = client_of(0), client_of(1)
        world.engine.clients |= {owner, user}
        registry: Any = world.engine.registry
        registry.problems = {"a": "No key."}
        world.engine._announce_models()
        for client, problems in ((owner, ("No key.",)), (user, ())):
            (event,) = await said(client)
            assert isinstance(event, SystemUpdate)
            assert event.metadata.available_models == registry.options()
            assert event.metadata.problems == problems
        world.engine.clients -= {owner, user}
