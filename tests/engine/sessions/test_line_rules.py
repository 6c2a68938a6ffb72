"""Small rules of a line and what it needs, one by one: when it is taken, who answers it, what is at hand before it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.assets.kinds import World
from flower.engine.assets.shelves import ImportedCharacter
from flower.engine.game.state import dump_variables
from flower.engine.game.steering import NOTE_CHARS, Persona
from flower.engine.prompt.macros import Expanded
from flower.engine.provider.base import Finish, Text
from flower.engine.recall.base import lore_scope
from flower.engine.sessions import create, edits
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.create import WorldLore
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import FinishedReply, Session
from flower.engine.store import stories, tree, world_lore
from flower.engine.store.library import own_assets, personas
from flower.engine.store.tree import Page
from flower.errors import CommandError, ProviderError, StoreError
from flower.protocol.messages import State, SystemUpdate
from tests.engine.sessions.test_preparing import set_up
from tests.engine.sessions.test_user_rules import Rows, client_of
from tests.engine_world import ASSETS, engine_world
from tests.fakes import HeldProvider, OneModelRegistry, ScriptedProvider, words

# --- when a line is taken -----------------------------------------------------------------------


async def test_lines_wait_for_the_running_reply_until_there_is_no_room(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = HeldProvider(words("The tide turns. "), after=1)
    async with engine_world(tmp_path / "flower.db", provider) as world:
        face = await world.playing()
        await face.say("I wait.")
        await provider.held.wait()
        for number in range(limits.PROMPT_QUEUE + 1):
            await face.say(f"Line {number}.")
        await trio.testing.wait_all_tasks_blocked()
        queued = [one.metadata.queued for one in face.of(SystemUpdate) if "waits for" in one.content]
        assert queued == list(range(1, limits.PROMPT_QUEUE + 1))
        assert f"{limits.PROMPT_QUEUE} lines are waiting already" in repr(face.events[-1])
        provider.goes_on.set()
        await face.settled()
        assert face.reasons == ["done"] * (limits.PROMPT_QUEUE + 1)


async def test_an_engine_that_stops_takes_no_line_and_one_that_drains_only_those_that_can_wait(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = HeldProvider(words("The tide turns. "), after=1)
    async with engine_world(tmp_path / "flower.db", provider) as world:
        face = await world.playing()
        turns, story = world.engine.turns, face.client.session
        assert story is not None
        await face.say("I wait.")
        await provider.held.wait()
        turns.begin_no_more()
        assert not await turns.say(story, face.client.chosen, "It may wait.", None)
        provider.goes_on.set()
        await face.settled()
        assert (story.waiting, face.reasons) == (1, ["done"])  # kept for another engine
        with pytest.raises(CommandError, match="The engine is stopping"):
            await turns.say(story, face.client.chosen, "Too late.", None)
        turns._draining = False
        await turns.stop([story])
        assert story.waiting == 0
        await trio.testing.wait_all_tasks_blocked()
        assert face.notice.startswith("The engine stops before it came to your line")
        with pytest.raises(CommandError, match="The engine is stopping"):
            await turns.say(story, face.client.chosen, "Too late.", None)


@pytest.mark.parametrize(
    ("pieces", "prepare", "follows"),
    [
        ([Text("Fog."), Finish("done")], "never", ["summary"]),
        ([Text("Fog."), Finish("done")], "always", ["summary", "ahead"]),
        ([Text("Fog."), Finish("length")], "always", ["summary", "ahead"]),
        ([Text("Fog."), Finish("blocked")], "always", []),
        ([Text("Fog."), ProviderError("network", "no")], "always", []),
        ([ProviderError("auth", "no")], "always", []),
    ],
)
async def test_what_is_done_between_lines_is_done_after_a_reply_that_ended_well(
    autojump_clock: MockClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pieces: list[Any],
    prepare: str,
    follows: list[str],
) -> None:
    done: list[str] = []

    async def refresh(*_: Any) -> None:
        done.append("summary")

    async def ahead(*_: Any) -> None:
        done.append("ahead")

    async with engine_world(tmp_path / "flower.db", ScriptedProvider(pieces)) as world:
        set_up(world, prepare)
        monkeypatch.setattr(world.engine.turns.summariser, "refresh", refresh)
        monkeypatch.setattr(world.engine.turns.preparer, "prepare", ahead)
        face = await world.playing()
        await face.say_and_wait("I wait.")
    assert done == follows


async def test_a_reply_that_was_saved_late_is_told_and_followed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    followed: list[int] = []

    async def follow(_: Session, finished: FinishedReply) -> None:
        followed.append(finished.message_id)

    story = Session("s", "w", "c")

    class Faster(Rows):
        async def write(self, function: Any, *args: Any) -> None:
            if args[0] == 2:  # somebody else has saved that one
                story.unsaved.pop(2)

    runtime: Any = SimpleNamespace(services=SimpleNamespace(database=Faster({})))
    after = AfterTurn(runtime, lambda: 1.0)
    monkeypatch.setattr(after, "follow", follow)
    for number in (1, 2, 3):
        story.unsaved[number] = FinishedReply(number, "line", "text", "complete", "m", True)
    await after.save_unsaved(story)
    assert (followed, story.unsaved) == ([1, 3], {})


# --- who answers it -----------------------------------------------------------------------------


def test_those_who_step_in_are_others_and_there() -> None:
    services: Any = SimpleNamespace(fallbacks=("scripted/one", "nobody/x", "scripted/two"))
    models = ModelSelector(Runtime(services, OneModelRegistry(ScriptedProvider())))
    one, note = models.select("scripted/one")
    assert ([name for _, name in one.fallbacks], note) == (["two"], "")
    own, note = models.select("scripted/three", "scripted/two")
    assert ([name for _, name in own.fallbacks], note) == (["three", "one"], "")
    same, _ = models.select("scripted/one", "scripted/one")
    assert [name for _, name in same.fallbacks] == ["two"]


# --- how a story begins -------------------------------------------------------------------------


async def began(count: int, world: str, character: str) -> tuple[Any, ...]:
    """Begins a story where there are so many; returns what was stored."""
    rows = Rows({
        stories.count_sessions: count,
        personas.for_story: None,
        create._played_before: Persona(),
    })  # fmt: skip
    library = SimpleNamespace(expect=lambda _: None)
    services: Any = SimpleNamespace(database=rows, library=library, assets=ASSETS, keep_people=False)
    chosen = replace(client_of().chosen, world_id=world, character_id=character)
    await create.begin(services, chosen, "s", 1.0)
    return rows.written[0][1:]


async def test_a_story_begins_with_a_world_or_a_character_and_where_there_is_room() -> None:
    assert (await began(0, "harbour", ""))[:4] == ("s", "harbour", "", "The tide is out.")
    assert (await began(stories.SESSIONS_MAX - 1, "gone", "mara"))[:3] == ("s", "", "mara")
    with pytest.raises(
        CommandError, match=r"Choose a world first: /world select ID \(harbour, forest\)"
    ):
        await began(0, "gone", "gone")
    with pytest.raises(CommandError, match="the most one home holds"):
        await began(stories.SESSIONS_MAX, "harbour", "")


async def test_each_greeting_is_stored_with_the_variables_it_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = (
        Expanded("Fog.", {"mood": "grey"}),
        Expanded("Sun.", {}),
        Expanded("Rain.", {"mood": "wet"}),
    )
    monkeypatch.setattr(create, "greetings", lambda *_: words)
    stored = await began(0, "harbour", "")
    assert (stored[3], stored[7]) == ("Fog.", dump_variables({"mood": "grey"}))
    assert stored[8] == [("Sun.", None), ("Rain.", dump_variables({"mood": "wet"}))]
    monkeypatch.setattr(create, "greetings", lambda *_: ())
    assert (await began(0, "harbour", ""))[3:10:4] == ("", None)


@pytest.mark.parametrize(
    ("bound", "default", "before", "name"),
    [
        ("", False, "Ines", "Ines"),
        ("Ned", False, "Ines", "Ned"),
        ("Ned", True, "Ines", "Ines"),  # who one was goes before who one is elsewhere
        ("Ned", True, "", "Ned"),
        ("", False, "", ""),
    ],
)
async def test_the_player_is_who_is_bound_or_was_before(
    bound: str, default: bool, before: str, name: str
) -> None:
    row = SimpleNamespace(name=bound, description="x" * (NOTE_CHARS + 1), is_default=default)
    rows = Rows({personas.for_story: row if bound else None, create._played_before: Persona(before)})
    services: Any = SimpleNamespace(database=rows)
    persona = await create._persona(services, client_of().chosen, 0)
    assert persona.name == name
    assert len(persona.text) == (NOTE_CHARS if name == "Ned" else 0)


# --- what is at hand ----------------------------------------------------------------------------


class Synced:
    """A library that notes which sources it is given, and fails when it is to."""

    def __init__(self) -> None:
        self.sources: list[tuple[str, str, str]] = []
        self.fails = False

    async def sync_source(self, scope: str, source: str, title: str, text: str) -> None:
        if self.fails:
            raise StoreError("full.")
        self.sources.append((scope, source, text))


async def test_the_lore_of_a_world_is_brought_in_once_until_it_may_be_another() -> None:
    library = Synced()
    assets = ASSETS._replace(worlds={"atoll": World("atoll", "Atoll", lore="Sand.")})
    services: Any = SimpleNamespace(
        library=library, assets=assets, database=Rows({world_lore.listed: [(3, "Salt.")]})
    )
    runtime: Any = SimpleNamespace(services=services)
    lore, scope = WorldLore(runtime), lore_scope("atoll")
    both = [(scope, "world", "Sand."), (scope, "attached:3", "Salt.")]
    library.fails = True
    with pytest.raises(StoreError):
        await lore.sync("atoll")
    library.fails = False
    for again, sources in ((False, both), (False, []), (True, both)):
        library.sources.clear()
        await lore.sync("atoll", again=again)
        assert library.sources == sources
    library.sources.clear()
    await lore.sync("gone")
    assert library.sources == []
    services.assets = assets._replace(worlds=dict(assets.worlds))  # read anew
    await lore.sync("atoll")
    assert library.sources == both


async def test_what_a_user_imports_is_at_hand_where_their_library_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def put(_: object, brief: object, packed: object) -> None:
        puts.append(brief)

    puts: list[object] = []
    monkeypatch.setattr(ImportedCharacter, "put", put)
    before: Any = SimpleNamespace(brief="before", packed=b"")
    rows = Rows({
        own_assets.of_user: SimpleNamespace(worlds={}, characters={}, rules={}, imported=(before,))
    })  # fmt: skip
    libraries = OwnLibraries(rows, lambda: 1.0, set)  # type: ignore[arg-type]
    await libraries.read(2)
    new: Any = SimpleNamespace(brief="new", packed=b"")
    libraries.put_imported(1, [new])  # not read: it will be when it is
    libraries.put_imported(2, [new])
    assert puts == ["before", "new"]
    await libraries.read(0)
    assert list(libraries._read) == [2]


@pytest.mark.parametrize(
    ("start", "on_path", "same", "forgotten"),
    [(None, True, False, 0), (4, True, True, 0), (4, False, False, 1)],
)
def test_a_window_is_kept_where_the_story_still_goes_through_it(
    monkeypatch: pytest.MonkeyPatch, start: int | None, on_path: bool, same: bool, forgotten: int
) -> None:
    page, forgets = [Page([])], list[str]()
    monkeypatch.setattr(edits, "scripted_page", lambda *_: page[0])
    monkeypatch.setattr(stories, "active_leaf", lambda *_: 9)
    monkeypatch.setattr(tree, "on_path", lambda *_: on_path)
    monkeypatch.setattr(tree, "forget_window", lambda _, key: forgets.append(key))
    services: Any = SimpleNamespace(assets=None, scripts=None)
    story = Session("s", "w", "c", start)
    end = edits._seen(None, services, story)  # type: ignore[arg-type]
    assert (end.same_window, len(forgets)) == (same, forgotten)
    edits._show(story, end)
    assert story.window_start == (start if same else None)
    monkeypatch.setattr(edits, "scripted_page", lambda *_: None)
    with pytest.raises(CommandError, match="in the trash"):
        edits._seen(None, services, story)  # type: ignore[arg-type]


async def test_what_was_imported_is_told_and_so_are_stories_that_came(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face, changed = await world.face(), list[int]()
        engine: Any = world.engine
        engine.imports.stories_changed = lambda: changed.append(1)
        outcome: Any = SimpleNamespace(characters=(), stories=("s",))
        for _ in range(2):
            engine.imports._on_change(outcome, 0)
        await trio.sleep(5)
        engine.imports._on_change(SimpleNamespace(characters=(), stories=()), 0)
        await trio.sleep(5)
        assert changed == [1]
        listed = [
            one for one in face.of(SystemUpdate) if "available_characters=(" in repr(one.metadata)
        ]
        assert len(listed) == 2
        assert listed[0].metadata == State(available_characters=listed[0].metadata.available_characters)
