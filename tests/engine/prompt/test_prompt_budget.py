"""Prompts within their budget: stable windows, summaries without gaps, second tries and fallbacks."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from itertools import takewhile
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.prompt.assemble import Inset, PromptLine, Section, assemble
from flower.engine.provider.base import (
    Completion,
    Finish,
    ModelInfo,
    Piece,
    PromptMessage,
    Provider,
    Spent,
    Text,
)
from flower.engine.store import exchanges, stories
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError
from flower.protocol.messages import ChatEnd, ErrorEvent
from tests.engine.prompt.test_summaries import Narrating
from tests.engine_world import EngineWorld, Face, engine_world
from tests.fakes import OneModelRegistry, ScriptedProvider, words
from tests.fakes import passage as sentences

COUNTER = TokenCounter()
BASE = Section("base", "x", "Base rules.", 90)
Stream = AbstractAsyncContextManager[AsyncIterator[Piece]]


def asks_for_record(completion: Completion) -> bool:
    return completion.messages[0].content.startswith("You keep the record")


def size(completion: Completion) -> int:
    """Returns the characters of a prompt."""
    return sum(len(message.content) for message in completion.messages)


def line(number: int, role: str, count: int) -> PromptLine:
    return PromptLine(number, role, f"{number} " + "word " * count)


async def add_steps(world: EngineWorld, face: Face, steps: int, times: int = 1) -> None:
    """Makes the story longer by ``steps`` exchanges without asking the narrator."""
    session_id = face.client.chosen.session_id

    def write(db: sqlite3.Connection) -> None:
        stored = stories.session(db, session_id)
        assert stored is not None
        leaf = stored.active_leaf
        for step in range(steps):
            for role, text in (("user", f"I take step {step}. "), ("assistant", f"Step {step}. ")):
                leaf = stories.append(db, session_id, leaf, role, text * times, "complete", now=1.0)

    await world.database.write(write)


class LongWinded(ScriptedProvider):
    """Tells long passages and keeps a long record."""

    def __init__(self, passage: int, record: int = 1) -> None:
        super().__init__()
        self.passage = passage
        self.record = record

    def open(self, completion: Completion) -> Stream:
        record = asks_for_record(completion)
        text = f"RECORD: {sentences(self.record)}" if record else sentences(self.passage)
        self.pieces = [Text(text), Finish("done")]
        return super().open(completion)


class RoomyRegistry(OneModelRegistry):
    """Its one model takes 131072 tokens."""

    def info(self, model_id: str) -> ModelInfo | None:
        return ModelInfo("one", "Scripted model", 131072, 1.0, 2.0)


class FallbackProvider(ScriptedProvider):
    @property
    def name(self) -> str:
        return "other"


class FallbackRegistry(OneModelRegistry):
    """A registry with ``scripted/one``, which costs, and ``other/small``, which is small and free."""

    def __init__(self, chosen: Provider, fallback: Provider) -> None:
        super().__init__(chosen)
        self.fallback = fallback

    def resolve(self, model_id: str) -> tuple[Provider, str]:
        return (self.fallback, "small") if model_id == "other/small" else super().resolve(model_id)

    def info(self, model_id: str) -> ModelInfo | None:
        if model_id == "other/small":
            return ModelInfo("small", "Small model", 2048, 0.0, 0.0)
        return super().info(model_id)


def use_fallback(world: EngineWorld, fallback: Provider) -> None:
    services = msgspec.structs.replace(world.engine.services, fallbacks=("other/small",))
    world.engine.use(services, FallbackRegistry(world.provider, fallback))


# --- windows ------------------------------------------------------------------------------------


async def test_a_window_of_many_short_messages_does_not_slide(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """In a large context the next prompt starts with the same messages as the one before."""
    async with engine_world(tmp_path / "db") as world:
        services = msgspec.structs.replace(world.engine.services, context_tokens=131072)
        world.engine.use(services, RoomyRegistry(world.provider))
        face = await world.playing()
        await add_steps(world, face, 210)
        for number in range(3):
            await face.say_and_wait(f"Go {number}.")
        before, after = (completion.messages for completion in world.provider.completions[-2:])
        pairs: Sequence[tuple[PromptMessage, PromptMessage]] = list(zip(before, after, strict=False))
        same = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
        assert same >= len(before) - 1


async def test_lore_is_in_the_prompt_of_the_turn_that_moves_the_window(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = LongWinded(passage=60)
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        for _ in range(30):
            await face.say_and_wait("What of the bell that rings before a drowning?")
    prompts = [completion for completion in provider.completions if not asks_for_record(completion)]
    assert len(prompts) == 30
    missing = [
        number
        for number, prompt in enumerate(prompts)
        if not any("The bell under the sea" in message.content for message in prompt.messages)
    ]
    assert missing == []


def test_a_long_line_is_cut_the_same_way_when_the_tail_grows() -> None:
    story = [line(1, "user", 3000), line(2, "assistant", 50), line(3, "user", 10)]
    longer = [*story, line(4, "assistant", 50), line(5, "user", 10)]
    first, second = (
        assemble(
            [BASE],
            lines,
            budget=4000,
            counter=COUNTER,
            window_start=1,
            tail=[Section("state", "x", "hp 3 " * repeats, 50)],
        )
        for lines, repeats in ((story, 5), (longer, 9))
    )
    assert first.messages[1] == second.messages[1]


def test_the_system_message_is_the_same_with_and_without_a_note() -> None:
    sections = [BASE, Section("lore", "y", "word " * 1500, 50)]
    story = [line(1, "user", 20)]
    without = assemble(sections, story, budget=4000, counter=COUNTER)
    with_note = assemble(sections, story, budget=4000, counter=COUNTER, insets=[Inset("Be grim.", 4)])
    assert without.messages[0] == with_note.messages[0]


# --- summaries ----------------------------------------------------------------------------------


async def test_a_summary_is_asked_for_with_the_storys_context(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Another context size would make a local server load its model again."""
    provider = Narrating()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        while not provider.records:
            await face.say_and_wait("I go on.")
            await trio.sleep(5)
    assert len({completion.context_tokens for completion in provider.completions}) == 1


async def test_what_left_the_window_before_it_was_summarised_is_summarised_later(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """A slow model and a quick player: the record that is made in the end skips no line."""
    provider = Narrating()
    provider.record_gap_s = 60.0
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        for number in range(16):
            await face.say_and_wait(f"Line {number}: I go on.")
        provider.record_gap_s = 0.0
        for number in range(16, 26):
            await face.say_and_wait(f"Line {number}: I go on.")
            await trio.sleep(5)
    asked = [c.messages[1].content for c in provider.completions if asks_for_record(c)]
    # The last request without a record is the first that was answered: later ones carry its record.
    first_answered = [text for text in asked if "The record so far" not in text][-1]
    told = [first_answered, *(text for text in asked if "The record so far" in text)]
    covered = [number for number in range(26) if any(f"Line {number}: " in text for text in told)]
    assert covered == list(range(covered[-1] + 1))


@pytest.mark.parametrize("context_tokens", [2048, 3072, 4096, 6144])
async def test_summary_and_history_meet_without_a_gap(
    autojump_clock: MockClock, tmp_path: Path, context_tokens: int
) -> None:
    summarised = 0
    async with engine_world(tmp_path / "db", LongWinded(passage=30, record=70)) as world:
        services = msgspec.structs.replace(world.engine.services, context_tokens=context_tokens)
        world.engine.use(services, world.engine.registry)
        face = await world.playing()
        session_id = face.client.chosen.session_id
        for number in range(60):
            await face.say_and_wait(f"Line {number}: I go on.")
            await trio.sleep(5)
            path = await world.database.read(stories.active_path, session_id)
            manifest = await world.database.read(exchanges.manifest, session_id)
            assert manifest is not None
            entries = {entry.section: entry for entry in manifest}
            if "summary" not in entries or not entries["history"].note:
                continue
            summarised += 1
            first_shown = path[int(entries["history"].note.split()[0])].id
            last_told = int(entries["summary"].source.split()[-1])
            assert [message.id for message in path if last_told < message.id < first_shown] == []
    assert summarised


# --- second tries and fallbacks -----------------------------------------------------------------


async def test_a_second_try_is_shorter_though_the_refusal_names_the_known_limit(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    refusal = ProviderError("context_exceeded", "too long", limit_tokens=4096)
    async with engine_world(tmp_path / "db", ScriptedProvider([refusal])) as world:
        face = await world.playing()
        await add_steps(world, face, 40, times=10)
        await face.say_and_wait("One.")
        first, second = world.provider.completions
        assert size(second) < size(first)


class Recounting(ScriptedProvider):
    """Counts tokens as expected; once ``strict``, more than twice as many, and refuses with both numbers."""

    room = 4096
    strict = False

    def open(self, completion: Completion) -> Stream:
        tokens = int(size(completion) / 3.35)
        counted = int(size(completion) / 3.35 * 2.2)
        if self.strict and counted > self.room:
            self.pieces = [
                ProviderError(
                    "context_exceeded", "too long", limit_tokens=self.room, used_tokens=counted
                )
            ]
        else:
            self.pieces = [Text("Yes."), Spent(tokens, 1), Finish("done")]
        return super().open(completion)


async def test_a_second_try_fits_a_server_that_counts_twice_as_many_tokens(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Recounting()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await add_steps(world, face, 40, times=10)
        await face.say_and_wait("One.")
        await face.say_and_wait("Two.")
        provider.strict = True
        await face.say_and_wait("Three.")
        assert face.reasons[-1] == "done", face.of(ErrorEvent)


async def test_a_fallbacks_limit_is_not_taken_for_the_chosen_models(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    refusal = ProviderError("context_exceeded", "too long", limit_tokens=1000)
    chosen = ScriptedProvider([ProviderError("auth", "no key")])
    async with engine_world(tmp_path / "db", chosen) as world:
        use_fallback(world, FallbackProvider([refusal]))
        face = await world.playing()
        await face.say_and_wait("One.")
        chosen.pieces = words("Fine now.")
        await face.say_and_wait("Two.")
        assert chosen.completions[-1].context_tokens == 4096


async def test_a_reply_of_a_free_fallback_costs_nothing(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    chosen = ScriptedProvider([ProviderError("auth", "no key")])
    async with engine_world(tmp_path / "db", chosen) as world:
        use_fallback(world, FallbackProvider(words("Free words.")))
        face = await world.playing()
        await face.say_and_wait("One.")
        assert face.reasons == ["done"]
        assert face.of(ChatEnd)[-1].metadata.cost in (0.0, msgspec.UNSET)
