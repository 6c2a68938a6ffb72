"""What clients are sent, event by event: all of it and nothing else, from the first connection to the engine's end."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec import UNSET, structs
from trio.testing import MockClock

from flower.engine.recall.base import memory_scope
from flower.engine.sessions import snapshot
from flower.engine.sessions.open_stories import LIST_INTERVAL_S, StoryList
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.store import prompts, stories
from flower.engine.store.tree import Page
from flower.errors import ElsewhereError, StoreError
from flower.protocol.messages import ChatChunk, ChatEnd, ChatHistory, ChatMessage, State, SystemUpdate
from tests.engine.sessions.test_session_rules import message
from tests.engine.sessions.test_user_rules import Rows, client_of, said
from tests.engine_world import EngineWorld, Face, engine_world

LISTED = "notice:  [available_sessions]"
SAID = "The tide turns and the lamps come on. "


def keys(state: State) -> str:
    return " ".join(sorted(key for key, value in structs.asdict(state).items() if value is not UNSET))


def row(event: Any) -> str:
    """Returns what matters of an event."""
    match event:
        case ChatChunk():
            return "text"
        case ChatHistory(_, meta):
            items = [f"{one.role} {one.content.strip()}" for one in meta.history]
            return "page: " + " | ".join(items)
        case ChatMessage(text, meta):
            return f"{meta.role} {meta.status}: {text.strip()}"
        case ChatEnd(_, meta):
            return f"end: {meta.reason} {meta.total_tokens} {meta.cost}"
        case SystemUpdate(text, state):
            return f"notice: {text} [{keys(state)}]"
        case _:
            return f"{type(event).__name__}: {getattr(event, 'content', '')}"


async def heard(world: EngineWorld, face: Face, line: str = "") -> list[str]:
    """Says a line; returns what came of it, chunks as one, without the list of stories, which has its own time."""
    if line:
        await face.say(line)
    await world.settled()
    rows = [row(event) for event in face.events]
    face.events.clear()
    return [one for one, _ in groupby(one for one in rows if one != LISTED)]


async def test_a_plain_story_is_these_events_and_no_others(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face("laptop")
        assert await heard(world, face) == ["notice: ✓ Engine ready. [status]", "SyncState: "]
        assert await heard(world, face, "/world select harbour") == [
            "notice: ✓ World: Harbour. /session new starts a story there. [active_rules session_id world_id]"
        ]
        assert await heard(world, face, "/session new") == [
            "notice: ✓ A new story begins. [active_rules session_id]",
            "page: assistant The tide is out.",
        ]
        story = face.client.session
        assert story is not None
        assert await heard(world, face, "I wait.") == [
            "user complete: I wait.",
            "assistant streaming: ",
            "text",
            "end: done 108 0.000116",
        ]
        assert face.client.session is story
        assert (story.busy, story.reply, story.expected, story.prepared) == (False, None, 0, ())
        assert [one.scope for one in world.library.passages if one.kind == "memory"] == [
            memory_scope(story.id)
        ]
        assert await heard(world, face, "/retry") == [
            "page: assistant The tide is out. | user I wait. | assistant ",
            "text",
            "end: done 108 0.000116",
        ]
        continued = await heard(world, face, "/continue")
        assert story.sent is not None
        assert story.sent.message_id == 4
        assert continued[0] == f"assistant streaming: {SAID.strip()}"
        assert continued[-2:] == ["text", "end: done 108 0.000116"]
        assert len(continued) == 4  # and what was recalled
        deleted = await heard(world, face, f"/session delete {story.id}")
        assert deleted[:2] == [
            "notice: This story was deleted. [active_rules session_id]",
            "page: ",
        ]
        assert len(deleted) == 3
        assert deleted[2].startswith("notice: ✓ Deleted: I wait. /session restore")
        assert not world.engine.stories.sessions
        await world.engine.stop()
        assert await heard(world, face) == ["notice: ✗ The engine is stopping. [status]"]


async def test_who_comes_to_a_story_is_sent_it_once_and_the_others_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await heard(world, face)
        other = await world.face()
        assert await heard(world, other) == [
            "notice: ✓ Engine ready. [status]",
            "SyncState: ",
            "page: assistant The tide is out.",
        ]
        assert await heard(world, face) == []
        world.engine.disconnect(other.client)
        assert other.client not in world.engine.clients
        story = face.client.session
        assert story is not None
        assert len(story._subscribers) == 1
        world.engine.disconnect(face.client)
        assert not world.engine.stories.sessions


async def test_a_story_that_is_deleted_is_left_by_those_who_watch_it_alone(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        one = await world.playing()
        first = one.client.session
        two = await world.face("phone")
        await heard(world, two, "/session new")
        assert first is not None
        await heard(world, one)
        assert two.client.session is not first
        assert (await heard(world, one, f"/session delete {first.id}"))[0].startswith(
            "notice: This story"
        )
        assert all("deleted" not in one for one in await heard(world, two))
        second = two.client.session
        assert second is not None
        assert "This story was deleted" not in "".join(
            await heard(world, one, f"/session delete {second.id}")
        )
        assert two.client.session is None
        assert two.client.chosen.session_id == ""


# --- lists and pages ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("stories", "stories"),
        ("lore", "lore"),
        ("characters", "characters"),
        ("", "all"),
        ("other", "none"),
    ],
)
async def test_what_another_engine_changed_is_brought_up_to_date_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, told: str
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        seen: list[str] = []
        monkeypatch.setattr(world.library, "doubt", lambda _: seen.append("lore"))
        monkeypatch.setattr(world.engine.story_list, "changed", lambda: seen.append("stories"))
        monkeypatch.setattr(world.engine.imports, "look_again", lambda _: seen.append("characters"))
        world.engine._on_change_elsewhere(what, "s")
        every = ["lore", "stories", "characters"]
        assert seen == (every if told == "all" else [one for one in every if one == told])


async def test_the_list_of_stories_is_of_each_user_and_those_who_came_meanwhile_have_it(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    clients = [client_of(1), client_of(2)]

    def sessions(*_: Any) -> list[Any]:
        clients[2:] = [client_of(3)]  # while it is read
        return []

    listed = StoryList(Rows({stories.sessions: sessions}), clients, nursery)  # type: ignore[arg-type]
    for _ in range(3):
        listed.changed()
    await trio.sleep(LIST_INTERVAL_S / 2)
    one = [SystemUpdate("", State(available_sessions=()))]
    assert [await said(client) for client in clients] == [one, one, []]
    await trio.sleep(LIST_INTERVAL_S)
    assert [await said(client) for client in clients] == [[], [], []]

    def failing(*_: Any) -> list[Any]:
        raise StoreError("full.")

    broken = StoryList(Rows({stories.sessions: failing}), clients, nursery)  # type: ignore[arg-type]
    broken.changed()
    await trio.sleep(2 * LIST_INTERVAL_S)
    assert not broken._publishing


def test_the_newest_page_has_the_text_of_the_reply_as_it_is_now() -> None:
    story = Session("s", "harbour", "mara")
    page = Page([message(1, "I wait."), message(2, "old")], {2: (1, 3)})
    idle = snapshot.chat_history(story, page, None).metadata
    assert (idle.turn, [one.content for one in idle.history]) == (UNSET, ["I wait.", "old"])
    assert [(one.variant, one.variants) for one in idle.history] == [(UNSET, UNSET), (1, 3)]
    story.reply = GrowingReply("t", 2, "line", "m", "w", "newer")
    assert [one.content for one in snapshot.chat_history(story, page, None).metadata.history] == [
        "I wait.",
        "newer",
    ]
    assert snapshot.chat_history(story, page, None).metadata.turn == "t"
    assert snapshot.chat_history(story, page, 9).metadata.turn is UNSET  # an older page


async def test_lines_that_wait_are_taken_up_also_when_their_client_leaves_at_once(
    tmp_path: Path,
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        story = face.client.session
        assert story is not None
        await world.database.write(prompts.keep_waiting, story.id, "I wait.", None, 1.0)
        story.busy = True
        with trio.CancelScope() as scope:
            scope.cancel()
            await world.engine.stories._resume(face.client, story)
        assert story.waiting == 1


async def test_a_continuation_is_a_turn_that_no_other_start_of_an_engine_has(tmp_path: Path) -> None:
    """Its number counts from the time in milliseconds."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await face.say_and_wait("I wait.")
        for _ in range(2):
            await face.say("/continue")
            await face.settled()
        story = face.client.session
        assert story is not None
        turns = [end.metadata.turn for end in face.of(ChatEnd)]
        assert turns == [f"{story.id}-3", f"{story.id}-3-1000", f"{story.id}-3-1001"]


async def test_libraries_stay_of_those_who_are_here_and_of_those_whose_story_is_open(
    tmp_path: Path,
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        assert world.engine._users_here() == set()
        world.engine.clients.add(client_of(2))
        world.engine.stories._sessions["s"] = Session("s", "w", "c", owner=3)
        assert world.engine._users_here() == {2, 3}
        world.engine.clients.clear()
        world.engine.stories._sessions.clear()


async def test_a_story_is_played_here_while_a_prompt_for_it_is_carried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        story = face.client.session
        assert story is not None
        opens: list[bool] = []

        async def lease(_: str, *, opens: bool = True, leases: list[bool] = opens) -> None:
            leases.append(opens)

        monkeypatch.setattr(world.database, "lease", lease)
        async with world.engine.playing(face.client, story.id):
            assert face.client.session is story
        assert opens == [False]
        assert face.client.elsewhere is None


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_story_that_is_deleted_is_left_to_other_engines_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face, left = await world.playing(), list[str]()
        story = face.client.chosen.session_id
        if not is_open:
            await world.engine.leave_session(face.client)
        monkeypatch.setattr(world.database, "leave", left.append)
        await world.engine.stories.delete(story)
        assert left == [story] * is_open
        assert not world.engine.stories.sessions


async def test_a_prompt_whose_story_another_engine_plays_is_unanswered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        engine = world.engine
        face = await world.playing()
        story = face.client.chosen.session_id
        await engine.choose(face.client, session_id="")
        engine.stories.leave(face.client)

        async def lease(*_: object, **__: object) -> None:
            raise ElsewhereError("another engine plays it", "ws://a")

        monkeypatch.setattr(world.database, "lease", lease)
        with pytest.raises(ElsewhereError) as here:
            async with engine.playing(face.client, story):
                raise AssertionError("it is played elsewhere")
        assert here.value.unanswered
        assert (face.client.chosen.session_id, face.client.elsewhere) == (story, here.value)
        client = client_of()
        await engine.choose(client, session_id=story)
        client.chosen = structs.replace(client.chosen, session_id="")
        with pytest.raises(ElsewhereError) as named:
            await engine.identify(client, "here")
        assert named.value.unanswered
        assert (client.chosen.session_id, client.elsewhere) == (story, named.value)
        with pytest.raises(ElsewhereError) as joined:  # whoever connects has asked for nothing yet
            await engine.connect(Outbox(), "here")
        assert not joined.value.unanswered


@pytest.mark.parametrize(
    ("named", "line", "ended"), [(True, "Mara: I go.", 0), (False, "I go.", 1), (None, "I go.", 1)]
)
async def test_a_line_that_says_whose_it_is_ends_no_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool | None, line: str, ended: int
) -> None:
    lines, ends = list[str](), list[int]()

    async def voiced(*_: object) -> tuple[str, bool]:
        return "Ines: I go.", True

    async def said_by(_: object, __: object, line: str, request: str | None) -> bool:
        lines.append(line)
        return False

    async def end_turn(_: object, user: int) -> None:
        ends.append(user)

    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        story = face.client.session
        assert story is not None
        story.shared = True
        says: dict[str, Any] = {} if named is None else {"named": named}
        monkeypatch.setattr(world.engine.tables, "voiced", voiced)
        monkeypatch.setattr(world.engine.tables, "end_turn", end_turn)
        monkeypatch.setattr(world.engine.turns, "say", said_by)
        await world.engine.say(face.client, line, None, **says)
    assert (lines, len(ends)) == ([line if named else "Ines: I go."], ended)
