"""The engine on virtual time: stories, turns, watchers, commands, restarts."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower import limits
from flower.engine.admin import maintenance
from flower.engine.commands import dispatch
from flower.engine.provider.base import Finish, Reasoning, Spent, Text
from flower.engine.sessions import outbox as outbox_module
from flower.engine.sessions.outbox import Outbox
from flower.engine.store import exchanges, stories
from flower.errors import ProviderError
from flower.protocol.messages import (
    ChatChunk,
    ChatEnd,
    ChatHistory,
    ChatMessage,
    ChatReasoning,
    ErrorEvent,
    Prompt,
    Recall,
    SyncState,
    SystemUpdate,
)
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import ComposingProvider, ScriptedProvider, words


async def messages(world: EngineWorld, face: Face) -> list[stories.Message]:
    """The active path of the story a face watches, from the database."""
    stored = await world.database.read(stories.session, face.client.chosen.session_id)
    assert stored is not None
    return await world.database.read(stories.path, stored.active_leaf)


async def test_a_new_client_is_greeted_then_told_everything(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        ready, state = face.events[:2]
        assert isinstance(ready, SystemUpdate)
        assert ready.content == "✓ Engine ready."
        assert ready.metadata.status == "ok"
        assert isinstance(state, SyncState)
        assert [w.id for w in state.metadata.available_worlds] == ["harbour", "forest"]  # type: ignore[union-attr]
        assert (state.metadata.model, state.metadata.model_confirmed) == ("scripted/one", True)
        assert (state.metadata.world_id, state.metadata.session_id) == ("", "")


async def test_a_line_streams_and_is_saved(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("I light the lamp.")
        assert face.text == "The tide turns and the lamps come on. "
        assert face.reasons == ["done"]
        saved = await messages(world, face)
        assert [(m.role, m.content, m.status) for m in saved] == [
            ("assistant", "The tide is out.", "complete"),
            ("user", "I light the lamp.", "complete"),
            ("assistant", face.text, "complete"),
        ]


async def test_chunks_carry_offsets_and_v1_metadata(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say_and_wait("On.")
        offset = 0
        for chunk in face.of(ChatChunk):
            assert chunk.metadata.offset == offset
            assert chunk.metadata.model == "scripted/one"
            assert chunk.metadata.world_id == "harbour"
            offset += len(chunk.content)
        assert face.of(ChatChunk)[-1].metadata.tokens_per_second > 0
        (end,) = face.of(ChatEnd)
        assert end.metadata.total_tokens == 108
        assert end.metadata.cost == pytest.approx((100 * 1.0 + 8 * 2.0) / 1e6)


async def test_the_players_words_are_on_disk_before_the_model_is_asked(
    autojump_clock: MockClock, path: Path
) -> None:
    seen: list[str] = []

    class Watching(ScriptedProvider):
        def open(self, completion):  # type: ignore[no-untyped-def]
            import sqlite3

            with sqlite3.connect(path) as other:
                seen.extend(
                    row[0] for row in other.execute("SELECT content FROM messages WHERE role = 'user'")
                )
            other.close()
            return super().open(completion)

    async with engine_world(path, Watching()) as world:
        face = await world.playing()
        await face.say_and_wait("Remember this.")
    assert seen == ["Remember this."]


async def test_the_growing_reply_reaches_the_disk_twice_a_second(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(
        path, ScriptedProvider(words("one two three four five six"), gap_s=1.0)
    ) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(3.5)
        reply = (await messages(world, face))[-1]
        assert reply.status == "streaming"
        assert reply.content == "one two three "


async def test_a_turn_survives_its_client_and_a_new_one_gets_all_of_it(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(3.5)
        world.engine.disconnect(face.client)
        await trio.sleep(2)
        again = await world.face()
        await world.settled()
        (history,) = again.of(ChatHistory)
        so_far = history.metadata.history[-1].content
        assert history.metadata.turn == again.of(ChatChunk)[0].metadata.turn
        assert so_far + again.text == "The tide turns and the lamps come on. "
        assert again.reasons == ["done"]


async def test_two_clients_on_one_story_see_the_same(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=0.1)) as world:
        one = await world.playing()
        two = await world.face()
        await one.say_and_wait("We both watch.")
        assert one.text == two.text
        assert [m.content for m in two.of(ChatMessage)] == ["We both watch.", ""]
        assert one.reasons == two.reasons == ["done"]


async def test_cancel_keeps_the_partial_and_closes_the_provider(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(3.5)
        before = trio.current_time()
        await face.say("/cancel")
        await world.engine.turns.wait_idle()
        assert trio.current_time() - before < 0.01
        await trio.testing.wait_all_tasks_blocked()
        assert world.provider.closed == world.provider.opened == 1
        assert face.reasons == ["stopped"]
        reply = (await messages(world, face))[-1]
        assert (reply.content, reply.status) == ("The tide turns ", "stopped")


async def test_commands_are_answered_while_a_reply_streams(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(2.5)
        await face.say("/rules add slow")
        await trio.testing.wait_all_tasks_blocked()
        assert face.notice == "✓ Rule on: Slow burn."
        assert face.reasons == []


async def test_lines_wait_their_turn_and_the_fifth_is_refused(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=0.1)) as world:
        face = await world.playing()
        for number in range(limits.PROMPT_QUEUE + 2):
            await face.say(f"Line {number}")
        await trio.sleep(60)
        assert face.reasons == ["done"] * (limits.PROMPT_QUEUE + 1)
        said = [m.content for m in await messages(world, face) if m.role == "user"]
        assert said == [f"Line {number}" for number in range(limits.PROMPT_QUEUE + 1)]
        assert len(face.of(ErrorEvent)) == 1


async def test_sending_a_request_twice_is_safe(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=0.1)) as world:
        face = await world.playing()
        await face.say("Once.", "r1")
        await face.say("Once.", "r1")
        await world.engine.turns.wait_idle()
        await face.say("Once.", "r1")
        await world.engine.turns.wait_idle()
        assert [m.content for m in await messages(world, face) if m.role == "user"] == ["Once."]
        assert world.provider.opened == 1


@pytest.mark.parametrize(
    ("script", "reason", "text"),
    [
        (
            [Text("Half a "), ProviderError("interrupted", "The stream broke off.")],
            "interrupted",
            "Half a ",
        ),
        ([ProviderError("auth", "The key is wrong.")], "error", ""),
        ([Text("Long"), Finish("length")], "length", "Long"),
        ([Finish("blocked", "SAFETY")], "blocked", ""),
        ([Text("x" * (limits.REPLY_CHARS + 5)), Finish("done")], "length", "x" * limits.REPLY_CHARS),
    ],
)
async def test_every_ending_is_told_once_and_saved(
    autojump_clock: MockClock, path: Path, script: list, reason: str, text: str
) -> None:  # type: ignore[type-arg]
    async with engine_world(path, ScriptedProvider(script)) as world:
        face = await world.playing()
        await face.say_and_wait("Go.")
        assert face.reasons == [reason]
        assert bool(face.of(ErrorEvent)) == (reason != "length")
        reply = (await messages(world, face))[-1]
        assert (reply.content, reply.status) == (text, reason)


async def test_a_bug_in_one_turn_leaves_the_engine_alive(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(
        path, ScriptedProvider([Text("Well, "), ZeroDivisionError("bug")])
    ) as world:
        face = await world.playing()
        await face.say_and_wait("Go.")
        assert face.reasons == ["error"]
        world.provider.pieces = words("Better. ")
        await face.say_and_wait("Again.")
        assert face.reasons == ["error", "done"]


async def test_thinking_is_shown_apart_and_never_stored(autojump_clock: MockClock, path: Path) -> None:
    script = [Reasoning("Hmm. "), Text("Yes."), Spent(1, 1), Finish("done")]
    async with engine_world(path, ScriptedProvider(script)) as world:
        face = await world.playing()
        await face.say_and_wait("Go.")
        assert [r.content for r in face.of(ChatReasoning)] == ["Hmm. "]
        assert (await messages(world, face))[-1].content == "Yes."


async def test_escape_sequences_from_a_model_are_not_stored_or_sent(
    autojump_clock: MockClock, path: Path
) -> None:
    script = [Text("\x1b]0;owned\x07Hi\x1b"), Text("[31m there\x9b\r\n"), Finish("done")]
    async with engine_world(path, ScriptedProvider(script)) as world:
        face = await world.playing()
        await face.say_and_wait("Go.")
        assert face.text == "]0;ownedHi[31m there\n"


async def test_lore_and_memories_are_really_in_the_prompt(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ComposingProvider()) as world:
        face = await world.playing()
        await face.say_and_wait("My sister Ilse drowned in the winter.")
        for _ in range(3):
            await face.say_and_wait("I wait.")
        await face.say_and_wait("Who rings the bell, my sister Ilse?")
        recalled = face.of(Recall)[-1].metadata.items
        assert {item.kind for item in recalled} == {"lore", "memory"}
        prompt = world.provider.completions[-1]
        assert "The bell under the sea" in prompt.messages[-1].content
        assert any("Ilse drowned" in text for text in prompt.cue.memories)
        system = prompt.messages[0].content
        for part in ("You are the narrator.", "Salt and fog.", "Dusk on the mole."):
            assert part in system


async def test_recalled_lore_stays_word_for_word_so_that_caches_hold(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("Tell me of the bell.")
        await face.say_and_wait("And who keeps the lamp, and the bell?")
        first, second = (c.messages for c in world.provider.completions)
        assert second[: len(first)] == first
        assert second[-1].content.count("The bell under the sea") == 0, "told already"
        assert "Mara keeps the lamp" in second[-1].content


async def test_rules_character_and_mature_themes_reach_the_prompt(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        for command in ("/rules add slow", "/rules add dice", "/character select mara", "/nsfw"):
            await face.say(command)
        await face.say_and_wait("Go.")
        system = world.provider.completions[0].messages[0].content
        for part in (
            "Take your time.",
            "Dice decide.",
            "keeps her own counsel",
            "Mature themes are allowed",
        ):
            assert part in system


async def test_why_tells_what_was_in_the_prompt(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("Tell me of the bell.")
        await face.say("/why")
        await trio.testing.wait_all_tasks_blocked()
        answer = face.notice
        for part in (
            "base rules: system_rules.yaml",
            "history: 2 messages",
            "lore: Harbour",
            "words: bell",
        ):
            assert part in answer


async def test_selections_and_the_story_come_back_after_a_restart(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.face("tui-1")
        for command in (
            "/world select harbour",
            "/character select mara",
            "/rules add dice",
            "/session new",
        ):
            await face.say(command)
        await face.say_and_wait("Before.")
        session = face.client.chosen.session_id
    async with engine_world(path) as world:
        face = await world.face("tui-1")
        await trio.testing.wait_all_tasks_blocked()
        (state,) = face.of(SyncState)
        assert (state.metadata.session_id, state.metadata.character_id) == (session, "mara")
        assert state.metadata.active_rules == ("dice",)
        (history,) = face.of(ChatHistory)
        assert [item.content for item in history.metadata.history][1] == "Before."


async def test_a_killed_engine_finds_its_reply_marked_interrupted(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        session = face.client.chosen.session_id
        await world.database.write(
            exchanges.begin_exchange, session, "Then it died.", "scripted/one", None, 1.0
        )
    async with engine_world(path) as world:
        face = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        (history,) = face.of(ChatHistory)
        assert [(i.role, i.status) for i in history.metadata.history[-2:]] == [
            ("user", "complete"),
            ("assistant", "interrupted"),
        ]


async def test_a_deleted_story_can_be_taken_back_until_the_trash_is_emptied(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        session = face.client.chosen.session_id
        await face.say_and_wait("Gone soon.")
        await face.say("One more.")
        await trio.sleep(2.5)
        await face.say(f"/session delete {session}")
        await trio.testing.wait_all_tasks_blocked()
        assert face.client.chosen.session_id == ""
        assert await messages_of(world, session), "it is only in the trash"
        await face.say("/session restore")
        await trio.testing.wait_all_tasks_blocked()
        assert "Gone soon." in face.notice
        await face.say(f"/session restore {session}")
        await face.say(f"/session continue {session}")
        assert face.client.chosen.session_id == session
        await face.say_and_wait("Back again.")
        kept = await messages_of(world, session)
        assert (kept[1], kept[-2]) == ("Gone soon.", "Back again.")
        await face.say(f"/session delete {session}")
        assert await maintenance.empty(world.engine.services, world.engine.now()) == 0
        world.engine.now = lambda: 2.0 + limits.TRASH_KEPT_S
        assert await maintenance.empty(world.engine.services, world.engine.now()) == 1
        assert await messages_of(world, session) == []
        assert [p for p in world.library.passages if p.scope == f"memory:{session}"] == []
        await face.say(f"/session restore {session}")
        await trio.testing.wait_all_tasks_blocked()
        assert "The trash is empty" in face.of(ErrorEvent)[-1].content


async def messages_of(world: EngineWorld, session: str) -> list[str]:
    return await world.database.read(
        lambda db: [
            text
            for (text,) in db.execute(
                "SELECT content FROM messages WHERE session_id = ? ORDER BY id", (session,)
            )
        ]
    )


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("/wrld select harbour", "Did you mean /world"),
        ("/world", "/world select ID"),
        ("/world select harbor", "Did you mean harbour?"),
        ("/character select", "mara"),
        ("/rules add slwo", "Did you mean slow?"),
        ("/model nowhere/x", "Did you mean scripted/one?"),
        ("/session continue zzz", "There is no story yet"),
        ("/session new", "Choose a world first"),
        ("/history x", "There is no story here yet"),
        ("hello", "Choose a world first"),
    ],
)
async def test_what_cannot_be_done_gets_one_helpful_sentence(
    autojump_clock: MockClock, path: Path, typed: str, part: str
) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        await face.say(typed)
        await trio.testing.wait_all_tasks_blocked()
        (error,) = face.of(ErrorEvent)
        assert part in error.content


async def test_a_long_story_comes_in_pages(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(words("Yes. "))) as world:
        face = await world.playing()
        for number in range(70):
            await face.say_and_wait(f"Line {number}")
        fresh = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        pages = []
        page = fresh.of(ChatHistory)[-1].metadata
        pages.append(page.history)
        while isinstance(page.more, int):
            await fresh.say(f"/history {page.more}")
            await trio.testing.wait_all_tasks_blocked()
            page = fresh.of(ChatHistory)[-1].metadata
            pages.append(page.history)
        whole = [item.content for part in reversed(pages) for item in part]
        assert len(pages) == 2
        assert [text for text in whole if text.startswith("Line")] == [f"Line {n}" for n in range(70)]
        assert whole[0] == "The tide is out."


async def test_stopping_the_engine_saves_and_tells(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(2.5)
        await world.engine.stop()
        await trio.testing.wait_all_tasks_blocked()
        assert face.reasons == ["interrupted"]
        assert face.of(SystemUpdate)[-1].metadata.status == "stopping"
        assert (await messages(world, face))[-1].content == "The tide "


async def test_a_client_that_does_not_read_gets_the_truth_when_it_does(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, ScriptedProvider(words("word " * 400))) as world:
        face = await world.playing()
        lazy = await world.engine.connect(Outbox())
        for number in range(6):
            await face.say_and_wait(f"Line {number}")
        assert len(lazy.outbox) <= outbox_module.OUTBOX_EVENTS


@pytest.mark.parametrize("checkpoint", range(0, 60, 3))
async def test_wherever_a_turn_is_cancelled_it_ends_once_and_keeps_its_text(
    autojump_clock: MockClock, path: Path, checkpoint: int
) -> None:
    """Cancel after so many milliseconds of virtual time: chunks sent == text saved, one chat_end."""
    async with engine_world(path, ScriptedProvider(gap_s=0.005)) as world:
        face = await world.playing()
        await face.say("Go.")
        await trio.sleep(checkpoint / 1000)
        await dispatch.handle(world.engine, face.client, Prompt("/cancel"))
        await world.settled()
        assert len(face.reasons) == 1
        saved = (await messages(world, face))[-1]
        sent = "".join(c.content for c in face.of(ChatChunk))
        assert saved.content == sent
        assert saved.status in ("stopped", "complete")


async def test_after_a_cancel_the_waiting_line_is_next(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path, ScriptedProvider(gap_s=1.0)) as world:
        face = await world.playing()
        await face.say("First.")
        await face.say("Second.")
        await trio.sleep(2.5)
        await face.say("/cancel")
        await trio.sleep(60)
        assert face.reasons == ["stopped", "done"]


async def test_a_story_is_found_by_any_beginning_that_is_its_own(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """In /session continue and /session restore; a beginning of several names them."""
    async with engine_world(tmp_path / "db") as world:
        ids = iter(["3f2a91", "3fbb00", "77cc12"])
        world.engine.new_id = lambda: next(ids)
        face = await world.playing()
        for _ in range(2):
            await face.say("/session new")
        await face.say("/session continue 3f2a")
        assert face.client.chosen.session_id == "3f2a91"
        await face.say("/session continue 7")
        assert face.client.chosen.session_id == "77cc12"
        await face.say("/session continue 3f")
        await trio.testing.wait_all_tasks_blocked()
        assert face.client.chosen.session_id == "77cc12"
        told = face.of(ErrorEvent)[-1].content
        assert "3f2a91" in told
        assert "3fbb00" in told
        await face.say("/session delete 77")
        await face.say("/session restore 7")
        await face.say("/session continue 77cc")
        assert face.client.chosen.session_id == "77cc12"
