"""Small rules of requests beside the replies, one by one: how much is asked and read, and what it is counted as."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import Assets, Rule, World
from flower.engine.game.clocks import Clock, Now
from flower.engine.prompt.assemble import PromptLine
from flower.engine.prompt.context import gather
from flower.engine.prompt.model import thinking_room
from flower.engine.prompt.summary import LINE_CHARS, MIN_NEW_LINES
from flower.engine.provider.base import Completion, ModelInfo, PromptMessage, Reasoning, Spent, Text
from flower.engine.sessions import (
    create,
    drafts,
    own_libraries,
    recap,
    snapshot,
    suggestions,
    summaries,
)
from flower.engine.sessions.own_libraries import KEPT, OwnLibraries
from flower.engine.sessions.recap import RECAP_AFTER_S, since_last_played
from flower.engine.sessions.session import Session
from flower.engine.sessions.side_work import SideStream
from flower.engine.sessions.summaries import SUMMARY_TOKENS, Reading, Summariser
from flower.engine.store import search, states, stories
from flower.engine.store.library import own_assets
from flower.engine.store.search import Summary
from flower.engine.store.stories import Message
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter
from flower.errors import CommandError, ProviderError
from flower.protocol.messages import Named, QuickReply, State, SystemUpdate
from tests.engine.sessions.test_side_rules import CHOSEN, line
from tests.engine.sessions.test_user_rules import Rows
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ComposingProvider, ScriptedProvider

TOKENS_67 = "x" * 224  # as we count


async def played(world: EngineWorld, *lines: str) -> tuple[Face, Session]:
    face = await world.playing()
    for one in lines:
        await face.say_and_wait(one)
    assert face.client.session is not None
    return face, face.client.session


# --- how much is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize("window", [1024, 32_768])
async def test_a_drafted_line_leaves_room_for_itself_and_for_thoughts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    seen: dict[str, Any] = {}

    def assemble(sections: object, lines: Sequence[PromptLine], **rest: Any) -> Any:
        seen.update(rest, lines=lines)
        return SimpleNamespace(messages=(PromptMessage("user", "?"),))

    monkeypatch.setattr(drafts, "assemble", assemble)
    async with engine_world(tmp_path / "flower.db") as world:
        world.engine.runtime.services = replace(world.engine.services, context_tokens=window)
        face, story = await played(world, "I wait.")
        story.move_window(2)
        await face.say("/impersonate the lamp")
        await trio.testing.wait_all_tasks_blocked()
        asked = world.provider.completions[-1]
    context = asked.context_tokens
    spare = drafts.DRAFT_TOKENS + thinking_room(context)
    assert (asked.max_tokens, seen["window_start"]) == (spare, 2)
    assert seen["budget"] == int((context - spare) * limits.CONTEXT_USED_SHARE)
    ids = [one.id for one in seen["lines"]]
    assert ids == [*ids[:-1], ids[-2] + 1]
    assert seen["lines"][-1].content.endswith("Write only the line. It should be about: the lamp")


@pytest.mark.parametrize("begun", [True, False])
async def test_a_line_is_drafted_with_the_state_at_the_end_of_the_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        _, story = await played(world, "I wait.")
        path = await world.database.read(stories.active_path, story.id)
        read, leaves = world.database.read, list[object]()

        async def noted(function: Any, *args: Any, **rest: Any) -> Any:
            if function is stories.active_path and not begun:
                return []
            if function is states.current_at:
                leaves.append(args[1])
            return await read(function, *args, **rest)

        model, _ = world.engine.turns.models.select("scripted/one")
        client = world.engine.clients.copy().pop()
        lines, assemble = list[PromptLine](), drafts.assemble

        def assembling(sections: Any, path: Sequence[PromptLine], **rest: Any) -> Any:
            lines.extend(path)
            return assemble(sections, path, **rest)

        monkeypatch.setattr(drafts, "assemble", assembling)
        monkeypatch.setattr(world.database, "read", noted)
        services = world.engine.services
        asked = await world.engine.drafts._completion(services, client, story, "", model)
        monkeypatch.undo()
    assert leaves == [path[-1].id if begun else None]
    assert lines[-1].id == (path[-1].id + 1 if begun else 1)
    assert asked.messages[-1].content.startswith("Now step out")
    assert "It should be about" not in asked.messages[-1].content
    assert (asked.session, asked.quiet, asked.model) == (story.id, True, "one")


@pytest.mark.parametrize("window", [4096, 8192])
async def test_suggestions_answer_the_players_last_line_and_have_room_for_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    tasks: list[Any] = []

    async def noted(services: Any, task: Any) -> Any:
        tasks.append(task)
        return await gather(services, task)

    monkeypatch.setattr(suggestions, "gather", noted)
    async with engine_world(tmp_path / "flower.db") as world:
        world.engine.runtime.services = replace(world.engine.services, context_tokens=window)
        face, story = await played(world, "I wait.", "I look.")
        models, runtime = world.engine.turns.models, world.engine.runtime
        request = await suggestions.request_of(runtime, models, face.client.chosen, story, "rope")
        path = await world.database.read(stories.active_path, story.id)
    (task,) = tasks
    assert (task.line, task.leaf, task.turn) == ("I look.", path[-1].id, f"{story.id}-suggest")
    assert "Offer the player's character three" in task.ask
    assert task.ask.count("They should be about: rope.") == 1
    context = request.completion.context_tokens
    assert request.completion.max_tokens == suggestions.SUGGESTION_TOKENS + thinking_room(context)
    assert request.completion.quiet


class Phrases(ComposingProvider):
    """One that has suggestions of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds: list[int] = []

    async def suggestions(self, completion: Completion) -> tuple[str, ...]:
        self.seeds.append(completion.cue.seed)
        return ("Go.", "Stay.") if len(self.seeds) < 3 else ()


async def test_phrases_of_a_provider_are_offered_with_another_seed_each_time(tmp_path: Path) -> None:
    provider = Phrases()
    async with engine_world(tmp_path / "flower.db", provider) as world:
        face, story = await played(world, "I wait.")
        runtime, models = world.engine.runtime, world.engine.turns.models
        numbers: Any = SimpleNamespace(randrange=lambda most: most - 1)
        seed = (
            await suggestions.request_of(runtime, models, face.client.chosen, story)
        ).completion.cue.seed
        runtime.services = replace(runtime.services, rng=numbers)
        for _ in range(2):
            await suggestions.suggest(runtime, models, face.client, story, "")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(SystemUpdate)[-1].metadata == State(suggestions=("Go.", "Stay."))
        assert face.notice == "You could:\n1. Go.\n2. Stay."
        with pytest.raises(ProviderError, match="wrote none"):
            await suggestions.suggest(runtime, models, face.client, story, "")
    assert provider.seeds == [seed + 999] * 3


def test_three_suggestions_are_read_however_they_come() -> None:
    assert suggestions.parsed("1. A.\n2. B.\n3. C.\n4. D.") == ("A.", "B.", "C.")
    assert suggestions.parsed("1. A. 2. B. 3) C.") == ("A.", "B.", "C.")
    assert suggestions.parsed("Sure:\n1. A.\n2. A.\n") == ("A.",)
    assert suggestions.parsed("Go.\n\nStay.") == ("Go.", "Stay.")
    assert suggestions.parsed("1. " + "a" * 300)[0][:199] == "a" * 199
    assert suggestions.parsed(" \n") == ()


# --- what it is counted as ----------------------------------------------------------------------


class Pieces:
    """A stream of these pieces."""

    provider, body = CHOSEN.provider, None

    def __init__(self, *pieces: Any) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Any:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


@pytest.mark.parametrize(
    ("pieces", "used"),
    [
        ((), None),
        ((Text(TOKENS_67), Reasoning(TOKENS_67)), (2 * (67 + MESSAGE_TOKENS) + 2 * 67, 0.000_410)),
        ((Text(TOKENS_67), Spent(500, 30)), (530, 0.000_560)),
        ((Spent(500, 30, cost=0.25),), (530, 0.25)),
    ],
)
async def test_work_beside_is_what_was_read_and_written_or_what_the_provider_says(
    pieces: tuple[Any, ...], used: tuple[int, float] | None
) -> None:
    priced = replace(CHOSEN, info=ModelInfo("m", "m", prompt_price=1.0, completion_price=2.0))
    messages = (PromptMessage("user", TOKENS_67),) * 2
    completion = Completion(model="m", messages=messages, max_tokens=9, context_tokens=99)
    side = SideStream(Pieces(*pieces), priced, completion)  # type: ignore[arg-type]
    async for _ in side:
        pass
    found = side.used("laptop")
    assert (found is None) == (used is None)
    if found is not None and used is not None:
        assert (found.client, found.tokens) == ("laptop", used[0])
        assert found.cost == pytest.approx(used[1])
    free = SideStream(Pieces(Text("a")), CHOSEN, completion)  # type: ignore[arg-type]
    await anext(free)
    unpriced = free.used("laptop")
    assert unpriced is not None
    assert unpriced.cost == 0.0


# --- summaries ----------------------------------------------------------------------------------


def reading(room: int, context: int = 4096) -> Reading:
    return Reading(context, room, TokenCounter())


def lines_of(count: int, content: str = TOKENS_67) -> list[PromptLine]:
    return [PromptLine(number, "user", content) for number in range(1, count + 1)]


def test_as_many_lines_are_summarised_at_once_as_there_is_room_for() -> None:
    for room, count in ((3 * 67, 3), (3 * 67 - 1, 2), (66, 0), (9 * 67, 5)):
        assert len(summaries._fitting(lines_of(5), reading(SUMMARY_TOKENS + room))) == count
    long = lines_of(2, "x" * (LINE_CHARS * 3))  # of a long line its beginning is read
    beginning = TokenCounter().count("x" * LINE_CHARS)
    assert len(summaries._fitting(long, reading(SUMMARY_TOKENS + 2 * beginning))) == 2


async def test_a_summary_is_thought_of_when_the_history_with_the_new_reply_fills_its_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[int, int]] = []

    def is_filling(grown: int, room: int) -> bool:
        seen.append((grown, room))
        return False

    monkeypatch.setattr(summaries, "is_filling", is_filling)
    prompt: Any = SimpleNamespace(
        assembled=SimpleNamespace(history=100, room=900), counter=TokenCounter()
    )
    await Summariser(None, None).refresh(Session("s", "w", "c"), "m", prompt, TOKENS_67)  # type: ignore[arg-type]
    assert seen == [(100 + 67 + MESSAGE_TOKENS, 900)]


def path_of(count: int, hidden: int = 0) -> list[Message]:
    path = [line(number, "user", f"line {number}") for number in range(1, count + 1)]
    return [
        replace(one, extra=replace(one.extra, hidden=True)) if one.id == hidden else one for one in path
    ]


@pytest.mark.parametrize(
    ("start", "newest", "cover", "summarised"),
    [
        (None, None, 5, [1, 2, 4, 5, 6]),  # 3 is hidden
        (5, None, 2, [1, 2, 4, 5, 6]),  # also what left the history before
        (5, 2, 2, []),  # three lines are not worth it
        (5, 1, 2, [2, 4, 5, 6]),
        (None, None, 0, []),
    ],
)
async def test_a_summary_covers_what_is_about_to_leave_and_is_not_in_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
    start: int | None,
    newest: int | None,
    cover: int,
    summarised: list[int],
) -> None:
    assert MIN_NEW_LINES == 4
    last = Summary(newest, "before") if newest is not None else None
    rows = Rows({
        stories.active_path: path_of(9, 3),
        search.newest: lambda leaf: last if leaf == 9 else None,
        search.own_task: "mine",
    })  # fmt: skip
    records: list[tuple[Any, ...]] = []

    async def record(*args: Any) -> str:
        records.append(args)
        return "record"

    monkeypatch.setattr(summaries, "lines_to_cover", lambda *_: cover)
    runtime: Any = SimpleNamespace(services=SimpleNamespace(database=rows))
    found = Summariser(runtime, None, lambda: 7.0)  # type: ignore[arg-type]
    monkeypatch.setattr(found, "_record", record)
    story = Session("s", "w", "c", start)
    prompt: Any = SimpleNamespace(
        assembled=SimpleNamespace(room=2_000),
        counter=TokenCounter(),
        completion=SimpleNamespace(context_tokens=4096),
    )
    await found._refresh(story, CHOSEN, prompt, "laptop")
    assert [one.id for args in records for one in args[3]] == summarised
    assert rows.written == ([(search.add, 6, "record", 7.0)] if summarised else [])
    for args in records:
        assert args[1:3] == (Reading(4096, 2_000, prompt.counter), "before" if newest else "")
        assert args[4:] == ("mine", "laptop")


@pytest.mark.parametrize(
    ("newest", "covered", "last_id"), [(4, [1, 2, 4], 4), (None, [1, 2, 4, 5, 6], 6)]
)
async def test_a_record_is_made_anew_to_where_it_ended(
    monkeypatch: pytest.MonkeyPatch, newest: int | None, covered: list[int], last_id: int
) -> None:
    last = Summary(newest, "before") if newest is not None else None
    rows = Rows({
        stories.active_path: path_of(6, 3),
        search.newest: lambda leaf: last if leaf == 6 else None,
        search.own_task: "mine",
    })  # fmt: skip
    read: list[int] = []

    async def settings_of(*_: object) -> Any:
        return SimpleNamespace(context_tokens=4096)

    async def record(*args: Any) -> str:
        read.extend(one.id for one in args[3])
        return "record"

    monkeypatch.setattr(summaries, "settings_of", settings_of)
    runtime: Any = SimpleNamespace(services=SimpleNamespace(database=rows))
    summariser = Summariser(runtime, None, lambda: 7.0)  # type: ignore[arg-type]
    monkeypatch.setattr(summariser, "_record", record)
    made = await summariser.remake(Session("s", "w", "c"), CHOSEN, lambda _: None)
    assert made == Summary(last_id, "record")
    assert (read, rows.written) == (covered, [(search.add, last_id, "record", 7.0)])


@pytest.mark.parametrize("window", [4096, 8192])
async def test_a_record_is_asked_for_with_room_for_itself_and_for_thoughts(
    tmp_path: Path, window: int
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        world.engine.runtime.services = replace(world.engine.services, context_tokens=window)
        _, story = await played(world, "I wait.", "I look.")
        model, _ = world.engine.turns.models.select("scripted/one")
        seen: list[Reading] = []
        summariser, record = world.engine.turns.summariser, world.engine.turns.summariser._record

        async def noted(model: Any, reading: Reading, *rest: Any) -> str:
            seen.append(reading)
            return await record(model, reading, *rest)

        summariser._record = noted  # type: ignore[method-assign, assignment]
        told = list[str]()
        made = await summariser.remake(story, model, told.append)
        assert told == []  # all of it is read at once
        asked = world.provider.completions[-1]
        path = await world.database.read(stories.active_path, story.id)

        async def nothing(*_: object) -> str:
            return ""

        summariser._record = nothing  # type: ignore[method-assign, assignment]
        with pytest.raises(ProviderError, match="wrote nothing"):
            await summariser.remake(story, model, lambda _: None)
    assert made is not None
    assert made.last_id == path[-1].id
    context = asked.context_tokens
    spare = SUMMARY_TOKENS + thinking_room(context)
    assert (asked.max_tokens, asked.params) == (spare, {"temperature": 0.3})
    assert seen[0].room == int((context - spare) * limits.CONTEXT_USED_SHARE)


# --- after a rest -------------------------------------------------------------------------------


@pytest.mark.parametrize(("rested", "told"), [(RECAP_AFTER_S - 1, False), (RECAP_AFTER_S, True)])
async def test_after_a_day_a_story_begins_with_what_happened(rested: float, told: bool) -> None:
    path = [line(1, "assistant", "Fog."), line(2, "user", "I wait."), line(3, "assistant", "It rains.")]
    clock = Clock("Flood", 4, every=2)
    current = SimpleNamespace(state=SimpleNamespace(clocks=(clock,)), now=Now(3, 5.0 + rested))
    rows: Any = Rows({stories.path: path, states.current_at: current})
    stored: Any = SimpleNamespace(id="s", title="", updated=5.0, active_leaf=3)
    text = await since_last_played(rows, stored, 5.0 + rested)
    assert text.startswith("Previously in Untitled, 1 day ago:") == told
    assert bool(text) == told  # the clock counts lines, of which there was none


def test_without_people_or_places_the_players_last_line_is_what_was_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flower.engine.offline.summary.recap", lambda _: "")
    path = [
        line(1, "user", "I wait."),
        line(2, "assistant", "Fog."),
        line(3, "user", "I go. Now."),
        line(4, "assistant", "It rains. Hard."),
    ]
    told = recap.recap("Harbour", 120, path)
    assert told == "Previously in Harbour, 2 minutes ago:\n\nYou: I go.\n\nIn the end: It rains."


async def test_a_rest_is_told_once_until_the_story_is_played_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times: list[float] = []

    async def tell(_: object, stored: Any, now: float) -> None:
        times.append(stored.updated)

    updated = [5.0]
    rows: Any = Rows({stories.session: lambda _: SimpleNamespace(id="s", updated=updated[0])})
    recaps = recap.Recaps(rows)
    monkeypatch.setattr(recaps, "tell", tell)
    client: Any = SimpleNamespace(session=Session("s", "w", "c"))
    for moment in (5.0, 5.0, 6.0):
        updated[0] = moment
        await recaps.tell_once(client, 9.0)
    await recaps.tell_once(SimpleNamespace(session=None), 9.0)  # type: ignore[arg-type]
    assert times == [5.0, 6.0]


# --- libraries in memory ------------------------------------------------------------------------


async def test_the_libraries_of_those_who_left_first_are_let_go() -> None:
    reads: list[int] = []

    def of_user(user: int) -> Any:
        reads.append(user)
        return SimpleNamespace(worlds={}, characters={}, rules={}, imported=())

    here = {2}
    found = OwnLibraries(Rows({own_assets.of_user: of_user}), lambda: 1.0, lambda: here)  # type: ignore[arg-type]
    for user in [0, *range(1, KEPT + 1), 1]:  # the last one is at hand, and newest now
        await found.read(user)
    assert reads == list(range(1, KEPT + 1))
    await found.read(KEPT + 1)
    assert 3 not in found._read  # 2 is here
    assert {1, 2, 4, KEPT + 1} <= found._read.keys()
    assert len(found._read) == KEPT
    assert found.of(3) is own_libraries.EMPTY
    reads.clear()
    assert await found.read_again("4") == [4]
    assert reads == [4]
    assert list(await found.read_again("3")) == []
    assert set(await found.read_again("")) == found._read.keys()


async def test_people_are_those_of_ones_own_story_in_that_world_that_was_played_last() -> None:
    rows = [
        SimpleNamespace(id=key, world_id=world, owner=owner, updated=updated, active_leaf=9)
        for key, world, owner, updated in (
            ("old", "harbour", 1, 1.0),
            ("last", "harbour", 1, 5.0),
            ("other", "forest", 1, 7.0),
            ("earlier", "atoll", 1, 7.5),
            ("anothers", "harbour", 2, 9.0),
            ("homes", "harbour", 0, 9.5),
        )
    ]
    at: Any = Rows(
        {stories.sessions: rows, states.state_at: lambda key, leaf: SimpleNamespace(people=(key, leaf))}
    )
    services: Any = SimpleNamespace(database=at)
    people = [await create._known_people(services, world, 1) for world in ("harbour", "desert")]
    assert repr(people) == "[('last', 9), ()]"


# --- lists --------------------------------------------------------------------------------------


def test_imported_quick_replies_are_lines_of_the_story_with_a_name() -> None:
    longest = "b" * limits.QUICK_REPLY_CHARS
    rows = [
        ("x", "/go"),
        (" ", "a"),
        ("y", " "),
        ("z", longest),
        ("z", longest + "b"),
        ("w", " a\n b "),
    ]
    assert snapshot.quick_replies_of(rows) == (QuickReply("z", longest), QuickReply("w", "a b"))
    many = [(f"n{number}", "a") for number in range(limits.QUICK_REPLIES + 1)]
    assert len(snapshot.quick_replies_of(many)) == limits.QUICK_REPLIES


def test_the_examples_of_a_new_home_are_listed_last() -> None:
    worlds = {
        key: World(key, name, lore="", start_message="")
        for key, name in (("a", "A (edit me) "), ("b", "B"), ("c", "C"))
    }
    rules = {"r": Rule("r", "R", "Roll. Dice."), "s": Rule("s", "S (edit me)", "x")}
    assets = Assets(worlds, {}, rules, "", ())
    assert [one.id for one in snapshot.world_options(assets)] == ["b", "c", "a"]
    assert snapshot.rule_options(assets)[0] == Named("r", "R", "Roll.")
    assert snapshot.rule_options(assets)[1].about == snapshot.STARTER


@pytest.mark.parametrize(
    ("texts", "about"),
    [
        (("# Head\n- item\n\nProse here. More.",), "Prose here."),
        (("# Head", "Second."), "Second."),
        (("* a\n[b]\n| c\n<d>",), ""),
        (("# Head\nstill prose\nand on. End.",), "still prose and on."),
        ((" " * 4_000 + "Too far.",), ""),
    ],
)
def test_a_list_says_the_first_sentence_of_prose(texts: tuple[str, ...], about: str) -> None:
    assert snapshot.of("Harbour", *texts) == about


async def test_a_story_without_a_beginning_has_no_suggestions(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db", ScriptedProvider()) as world:
        face = await world.playing()
        runtime, models = world.engine.runtime, world.engine.turns.models
        with pytest.raises(CommandError, match="nothing has happened"):
            await suggestions.request_of(runtime, models, face.client.chosen, Session("x", "w", "c"))
