"""The tree through the engine: what each command does, and that every watcher sees the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import UNSET
from trio.testing import MockClock

from flower import limits
from flower.engine.admin import maintenance
from flower.engine.commands import catalogue
from flower.engine.offline.provider import reply as offline_reply
from flower.engine.provider.base import Completion, Spent
from flower.engine.sessions import open_stories
from flower.engine.store import stories
from flower.protocol.messages import (
    ChatHistory,
    ChatMessage,
    ErrorEvent,
    HistoryItem,
    SessionOption,
    SystemUpdate,
)
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, WordLibrary, words
from tests.paths import DOCS


class Numbered(ScriptedProvider):
    """Says which reply this is: `Reply 1.`, `Reply 2.` ..."""

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]
        said = words(f"Reply {self.opened + 1}.")
        self.pieces = [piece for piece in said if not isinstance(piece, Spent)]  # sizes are estimates
        return super().open(completion)


class NumberedComposing(Numbered):
    """The same, from the cue."""

    composes = True


async def told(world: EngineWorld, face: Face) -> list[str]:
    """The active path, as the database has it."""
    session = face.client.chosen.session_id
    return [m.content for m in await world.database.read(stories.active_path, session)]


async def ids(world: EngineWorld, face: Face) -> list[int]:
    session = face.client.chosen.session_id
    return [m.id for m in await world.database.read(stories.active_path, session)]


def shown(face: Face) -> list[str]:
    """The story as a face shows it: the newest page, what was said since, the chunks since."""
    texts: dict[int, str] = {}
    turns: dict[str, int] = {}
    for event in face.events:
        if isinstance(event, ChatHistory):
            texts = {int(item.message): item.content for item in event.metadata.history}  # type: ignore[arg-type]
            if isinstance(event.metadata.turn, str):
                turns[event.metadata.turn] = list(texts)[-1]
        elif isinstance(event, ChatMessage):
            texts[event.metadata.message] = event.content
            if isinstance(event.metadata.turn, str) and event.metadata.role == "assistant":
                turns[event.metadata.turn] = event.metadata.message
        elif type(event).__name__ == "ChatChunk":
            texts[turns[event.metadata.turn]] += event.content  # type: ignore[union-attr, index]
    return list(texts.values())


def last_page(face: Face) -> tuple[HistoryItem, ...]:
    return face.of(ChatHistory)[-1].metadata.history


async def test_every_watcher_sees_what_each_command_makes_of_the_story(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        one = await world.playing()
        two = await world.face()
        for line in ("One.", "Two.", "/retry", "/variant 1", "/variant next", "/undo", "/redo"):
            await one.say_and_wait(line)
            assert shown(one) == shown(two) == await told(world, one), line
        assert await told(world, one) == ["The tide is out.", "One.", "Reply 1.", "Two.", "Reply 3."]
        _, first, _, second, _ = await ids(world, one)
        for line in (
            f"/edit {first} Uno.",
            "/branch east",
            "Three.",
            f"/goto {second}",
            "/checkout east",
            f"/delete {second}",
            f"/restore {second}",
            f"/retry {first}",
            "/edit 1 The tide is in.",
            "/undo",
        ):
            await two.say_and_wait(line)
            await world.settled()
            assert shown(one) == shown(two) == await told(world, two), line
        refused = [error.content for error in [*one.of(ErrorEvent), *two.of(ErrorEvent)]]
        assert refused == ["There is nothing to undo; this is where the story begins."]


async def test_a_retry_repeats_the_prompt_and_streams_into_its_own_place(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, NumberedComposing(gap_s=0.1)) as world:
        face = await world.playing()
        await face.say_and_wait("I ring the bell under the sea.")
        await face.say_and_wait("/retry")
        asked = world.provider.completions
        assert asked[0].messages == asked[1].messages, "the same prompt, the same recall"
        assert asked[0].cue.lore == asked[1].cue.lore != ()
        assert asked[0].cue.seed != asked[1].cue.seed
        assert offline_reply(asked[0]) != offline_reply(asked[1])
        page = face.of(ChatHistory)[-1].metadata
        assert page.turn != ""
        assert (page.history[-1].content, page.history[-1].variant, page.history[-1].variants) == (
            "",
            2,
            2,
        )
        assert face.text == "Reply 2."
        assert face.reasons == ["done", "done"]


async def test_a_seed_that_was_set_still_gives_another_reply(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set seed 40")
        await face.say_and_wait("Hello?")
        await face.say_and_wait("/retry")
        await face.say_and_wait("/retry")
        assert [c.params["seed"] for c in world.provider.completions] == [40, 41, 42]


async def test_an_old_line_is_edited_in_its_place_and_the_old_one_can_be_shown_again(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        await face.say_and_wait("Left.")
        await face.say_and_wait("Further.")
        line = (await ids(world, face))[1]
        await face.say_and_wait(f"/edit {line} Right.")
        assert await told(world, face) == ["The tide is out.", "Right.", "Reply 3."]
        assert [(i.variant, i.variants) for i in last_page(face)[1:2]] == [(2, 2)]
        prompt = "\n".join(m.content for m in world.provider.completions[-1].messages)
        assert "Right." in prompt
        assert "Left." not in prompt
        assert "Further." not in prompt
        await face.say(f"/variant 1 {(await ids(world, face))[1]}")
        assert await told(world, face) == [
            "The tide is out.",
            "Left.",
            "Reply 1.",
            "Further.",
            "Reply 2.",
        ]


async def test_edit_without_a_number_is_about_the_last_line_even_if_it_begins_with_one(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        await face.say_and_wait("Two men walk in.")
        await face.say_and_wait("/edit 7 men walk in.")
        assert (await told(world, face))[1] == "7 men walk in."


async def test_an_edited_reply_is_what_is_remembered_and_prompted(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        await face.say_and_wait("Who keeps the lamp?")
        reply = (await ids(world, face))[-1]
        await face.say(f"/edit {reply} Nobody keeps it.")
        await face.say_and_wait("So it is dark.")
        prompt = "\n".join(m.content for m in world.provider.completions[-1].messages)
        assert "Nobody keeps it." in prompt
        assert "Reply 1." not in prompt
        kept = [p.text for p in world.library.passages if p.scope.startswith("memory:")]
        assert "The player: Who keeps the lamp?\nThe narrator: Nobody keeps it." in kept


async def test_recall_never_sees_another_branch_or_the_trash(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, NumberedComposing()) as world:
        face = await world.playing()
        await face.say_and_wait("My sister Ilse drowned.")
        gone = (await ids(world, face))[1]
        await face.say("/undo")
        for number in range(4):
            await face.say_and_wait(f"I walk, {number}.")
        await face.say_and_wait("What of my sister Ilse who drowned?")
        hidden = await world.database.read(stories.children, face.client.chosen.session_id, gone)
        visible = world.library.queries[-1].visible_messages
        assert visible is not None
        assert hidden[0].id not in visible
        assert "sister" not in "".join(world.provider.completions[-1].cue.memories)
        await face.say(f"/goto {gone}")
        for number in range(4):
            await face.say_and_wait(f"I walk on, {number}.")
        await face.say_and_wait("What of my sister Ilse who drowned?")
        assert "Ilse drowned" in "".join(world.provider.completions[-1].cue.memories)
        assert "I walk, " not in "\n".join(m.content for m in world.provider.completions[-1].messages)


@pytest.mark.parametrize(
    "line",
    ["/retry", "/edit Other.", "/undo", "/redo", "/delete 1", "/restore 1", "/branch x", "/checkout x",
     "/goto 1", "/variant 1"],
)  # fmt: skip
async def test_while_a_reply_streams_the_tree_stays_as_it_is(
    autojump_clock: MockClock, path: Path, line: str
) -> None:
    async with engine_world(path, Numbered(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(0.5)
        await face.say(line)
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert error.content == "A reply is being written; wait for its end or stop it with /cancel."
        await world.settled()
        assert await told(world, face) == ["The tide is out.", "Go.", "Reply 1."]


@pytest.mark.parametrize("line", ["/variants", "/branches", "/session list", "/export md"])
async def test_reading_is_allowed_while_a_reply_streams(
    autojump_clock: MockClock, path: Path, line: str
) -> None:
    async with engine_world(path, Numbered(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(0.5)
        await face.say(line)
        assert face.of(ErrorEvent) == []


async def test_a_reply_that_has_ended_but_is_still_being_remembered_can_be_written_anew(
    autojump_clock: MockClock, path: Path
) -> None:
    class Slow(WordLibrary):
        async def remember(self, scope: str, message_id: int, title: str, text: str) -> None:
            await trio.sleep(5)
            await super().remember(scope, message_id, title, text)

    async with engine_world(path, Numbered(), Slow()) as world:
        face = await world.playing()
        await face.say("One.")
        await trio.sleep(1)
        assert face.reasons == ["done"]
        await face.say("/retry")
        await world.settled()
        assert face.of(ErrorEvent) == []
        assert await told(world, face) == ["The tide is out.", "One.", "Reply 2."]


async def test_two_watchers_who_change_the_story_at_once_do_not_mix(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        one = await world.playing()
        two = await world.face()
        for number in range(4):
            await one.say_and_wait(f"{number}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.say, "/undo")
            nursery.start_soon(two.say, "/undo")
        await world.settled()
        refused = [*one.of(ErrorEvent), *two.of(ErrorEvent)]
        assert len(await told(world, one)) == 7 - 2 * (1 - len(refused)) == len(shown(one))
        assert shown(one) == shown(two) == await told(world, one)


@pytest.mark.parametrize("checkpoints", range(12))
async def test_a_client_that_goes_in_the_middle_of_a_change_leaves_a_story_that_works(
    autojump_clock: MockClock, path: Path, checkpoints: int
) -> None:
    """Cancelled at each await: the tree is as before or as after, and the next line is answered."""
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        for line in ("/retry", "/undo", "/edit Uno."):
            with trio.CancelScope() as scope:

                async def cancel_later(scope: trio.CancelScope = scope) -> None:
                    for _ in range(checkpoints):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                world.nursery.start_soon(cancel_later)
                await face.say(line)
            await world.settled()
        await face.say_and_wait("Two.")
        assert (await told(world, face))[-2] == "Two."
        assert (await told(world, face))[-1].startswith("Reply")
        streaming = await world.database.read(
            lambda db: db.execute("SELECT count(*) FROM messages WHERE status = 'streaming'").fetchone()
        )
        assert streaming == (0,)


async def test_a_line_said_while_a_reply_is_written_anew_comes_after_it(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        await face.say("/retry")
        await face.say("Two.")
        await trio.sleep(60)
        assert (await told(world, face))[1:] == ["One.", "Reply 2.", "Two.", "Reply 3."]


async def test_a_cancelled_variant_keeps_its_text_and_the_story_lives_on(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        await face.say("/retry")
        await trio.sleep(1.5)
        await face.say("/cancel")
        await world.settled()
        assert (await told(world, face))[-1] == "Reply "
        assert face.reasons == ["done", "stopped"]
        await face.say("/variant previous")
        assert (await told(world, face))[-1] == "Reply 1."


async def test_the_prompt_window_is_laid_out_anew_on_another_way_through_the_tree(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        for number in range(12):
            await face.say_and_wait(f"{number}: " + "a long tale " * 100)
        session = face.client.session
        assert session is not None
        assert session.window_start not in (None, 1), "the story must not fit for this test"
        await face.say_and_wait("/retry")
        assert session.window_start in await ids(world, face)
        await face.say(f"/goto {(await ids(world, face))[2]}")
        assert world.engine.stories.sessions
        assert next(iter(world.engine.stories.sessions)).window_start is None
        await face.say_and_wait("Again.")
        prompt = "\n".join(m.content for m in world.provider.completions[-1].messages)
        assert "0: a long tale" in prompt


async def test_a_window_of_another_way_through_the_tree_is_not_taken_up_again(
    autojump_clock: MockClock, path: Path
) -> None:
    """Lore that was told above it would not count as told."""
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("One.")
        await face.say_and_wait("Two.")
        story = face.client.chosen.session_id
        session = face.client.session
        assert session is not None
        leaf = (await ids(world, face))[-1]
        await world.database.write(stories.set_session_extra, story, {"window_start": leaf})
        session.move_window(leaf)
        await face.say("/undo")
        stored = await world.database.read(stories.session, story)
        assert stored is not None
        assert stored.extra.window_start is None
        for start, taken in ((leaf, None), (1, 1)):
            await world.database.write(stories.set_session_extra, story, {"window_start": start})
            world.engine.disconnect(face.client)
            assert not world.engine.stories.sessions
            face = await world.face()
            assert face.client.session is not None
            assert face.client.session.window_start == taken


# --- the trash, lists ---------------------------------------------------------------------------


async def test_what_left_the_trash_for_good_is_forgotten_too(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        await face.say_and_wait("Keep this.")
        await face.say_and_wait("Forget this.")
        line, reply = (await ids(world, face))[-2:]
        await face.say(f"/delete {line}")
        await face.say("/restore")
        await trio.testing.wait_all_tasks_blocked()
        assert f"{line}  you, 2 in all: Forget this." in face.notice
        await maintenance.empty(world.engine.services, world.engine.now())
        assert any(p.message_id == reply for p in world.library.passages), "not yet"
        world.engine.now = lambda: 2.0 + limits.TRASH_KEPT_S
        await maintenance.empty(world.engine.services, world.engine.now())
        assert not any(p.message_id == reply for p in world.library.passages)
        await face.say(f"/restore {line}")
        await trio.testing.wait_all_tasks_blocked()
        assert "is not in the trash" in face.of(ErrorEvent)[-1].content
        assert await told(world, face) == ["The tide is out.", "Keep this.", "Reply 1."]


async def newest_list(face: Face) -> Sequence[SessionOption]:
    """Returns the list of stories as the face has it when nothing changes any more."""
    await trio.sleep(2 * open_stories.LIST_INTERVAL_S)
    lists = [update.metadata.available_sessions for update in face.of(SystemUpdate)]
    return next(listed for listed in reversed(lists) if listed is not UNSET)


async def test_stories_are_named_listed_found_pinned_and_put_away(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        session = face.client.chosen.session_id
        await face.say_and_wait("I knock at the river door.")
        await face.say("/session rename   The river\tdoor ")
        await face.say("/session pin")
        (listed,) = await newest_list(face)
        assert (listed.name, listed.pinned) == ("The river door", True)
        await face.say("/session search RIVER knocks")
        await trio.testing.wait_all_tasks_blocked()
        update = face.of(SystemUpdate)[-1]
        assert update.content.splitlines()[1] == (
            f"{session} 2  The river door: I knock at the river door."
        )
        (found,) = update.metadata.found  # type: ignore[misc]
        assert (found.session, found.message, found.role) == (session, 2, "user")
        await face.say("/session archive")
        assert await newest_list(face) == ()
        await face.say("/session list")
        await trio.testing.wait_all_tasks_blocked()
        assert "The river door (harbour, 3 messages, just now, pinned, archived)" in (face.notice)
        await face.say(f"/session continue {session}")
        assert face.of(ErrorEvent) == []


async def test_what_a_search_found_is_opened_on_the_branch_where_it_is(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Numbered()) as world:
        face = await world.playing()
        session = face.client.chosen.session_id
        await face.say_and_wait("Left.")
        await face.say_and_wait("A heron.")
        await face.say("/undo")
        await face.say_and_wait("Right.")
        await face.say(f"/session continue {session} 4")
        assert (await told(world, face))[-2:] == ["A heron.", "Reply 2."]
        await face.say(f"/session continue {session} 2")
        assert (await told(world, face))[-2:] == ["A heron.", "Reply 2."], "it is on the way already"
        await face.say("/checkout main")
        assert (await told(world, face))[-2:] == ["Right.", "Reply 3."]
        await face.say(f"/session continue {session} x")
        await trio.testing.wait_all_tasks_blocked()
        assert "At which message?" in face.of(ErrorEvent)[-1].content


async def test_after_a_day_a_story_begins_with_what_happened(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words("The tide turns. And more."))) as world:
        face = await world.playing()
        await face.say_and_wait("I wait for the boat. It is late.")
        world.engine.now = lambda: 1.0 + 3 * 86_400
        later = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        recap = [u.content for u in later.of(SystemUpdate) if u.content.startswith("Previously")]
        assert recap == [
            "Previously in I wait for the boat. It is late., 3 days ago:\n\n"
            "You waited for the boat. It is late.\n\nIn the end: The tide turns."
        ]
        again = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        assert not [u for u in again.of(SystemUpdate) if u.content.startswith("Previously")]


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("/retry", "no reply to anything"),
        ("/retry x", "A number is needed here"),
        ("/edit", "Write the new text"),
        ("/edit Again.", "not written a line yet"),
        ("/variant", "A number is needed"),
        ("/variant 2", "no other variants"),
        ("/delete", "A number is needed"),
        ("/delete 77", "There is no message 77"),
        ("/restore", "No message of this story"),
        ("/checkout", "Which branch?"),
        ("/goto ٣", "A number is needed"),
        ("/session rename", "Write the new title"),
        ("/session search xyzzy", "No story has"),
        ("/export", "Which format?"),
        ("/export pdf", "Which format?"),
    ],
)
async def test_what_cannot_be_done_is_one_sentence(
    autojump_clock: MockClock, path: Path, typed: str, part: str
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say(typed)
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert part in error.content


@pytest.mark.parametrize("name", ["/retry", "/undo", "/branches", "/export md", "/delete 1"])
async def test_without_a_story_there_is_nothing_to_change(
    autojump_clock: MockClock, path: Path, name: str
) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        await face.say(name)
        await trio.testing.wait_all_tasks_blocked()
        assert "There is no story here yet" in face.of(ErrorEvent)[-1].content


def test_the_commands_about_stories_are_described() -> None:
    page = (DOCS / "stories.md").read_text()
    ours = re.compile(
        r"/(session|retry|variants?|edit|undo|redo|delete|restore|branch(es)?|checkout|goto|export)\b"
    )
    for option in catalogue.OPTIONS:
        if ours.match(option.name):
            assert option.usage.split(" [")[0].split("|")[0] in page, option.name
