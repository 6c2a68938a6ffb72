"""The engine and its narrators: budgets, settings, going on, stepping in."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec import UNSET
from trio.testing import MockClock

from flower.engine.provider.base import Completion, Finish, Loading, Spent, Text
from flower.engine.store import stories
from flower.errors import ProviderError
from flower.protocol.messages import ChatChunk, ChatMessage, ErrorEvent, SystemUpdate
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words


class SmallContext(ScriptedProvider):
    """Refuses prompts over ``fits`` tokens, a token being four characters, and says so in numbers."""

    def __init__(self, fits: int, *, numbers: bool = True) -> None:
        super().__init__([Text("It fits."), Finish("done")])
        self.fits = fits
        self.numbers = numbers
        self.refused = 0

    def size(self, completion: Completion) -> int:
        return sum(len(message.content) for message in completion.messages) // 4

    def open(self, completion):  # type: ignore[no-untyped-def]
        used = self.size(completion)
        if used <= self.fits:
            return super().open(completion)
        self.refused += 1
        limits = {"limit_tokens": self.fits, "used_tokens": used} if self.numbers else {}
        raise ProviderError("context_exceeded", "The prompt is too long for this model.", **limits)


class Counting(ScriptedProvider):
    """Can count exactly: a token is two characters."""

    counted = 0

    async def count_tokens(self, text: str) -> int | None:
        self.counted += 1
        return len(text) // 2


@pytest.mark.parametrize("numbers", [True, False])
async def test_a_prompt_that_is_too_long_is_tried_once_more_shorter(
    autojump_clock: MockClock, path: Path, numbers: bool
) -> None:
    provider = SmallContext(10_000, numbers=numbers)
    async with engine_world(path, provider) as world:
        face = await world.playing()
        for _ in range(8):
            await face.say_and_wait("I tell a long tale. " * 60)
        provider.fits = 2000
        await face.say_and_wait("And the end of it?")
        assert face.reasons[-1] == "done"
        assert provider.refused == 1
        prompts = [
            c.messages for c in provider.completions if "The record" not in c.messages[-1].content
        ]
        assert "And the end of it?" in prompts[-1][-1].content
        await face.say_and_wait("And after?")
        assert provider.refused == 1, "the limit is remembered for the next prompt"


async def test_a_second_refusal_is_an_error_with_a_sentence(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, SmallContext(1)) as world:
        face = await world.playing()
        await face.say_and_wait("Hello?")
        assert face.reasons == ["error"]
        (error,) = face.of(ErrorEvent)
        assert error.content == "The prompt is too long for this model."


async def test_a_backend_that_can_count_corrects_the_estimate_once(
    autojump_clock: MockClock, path: Path
) -> None:
    provider = Counting(words("Yes. "))
    provider.pieces = [p for p in provider.pieces if not isinstance(p, Spent)]
    async with engine_world(path, provider) as world:
        face = await world.playing()
        await face.say_and_wait("First.")
        await face.say_and_wait("Second.")
        assert provider.counted == 1
        await face.say("/why")
        await trio.testing.wait_all_tasks_blocked()
        shown = int(face.notice.split("about ")[1].split(" ")[0])
        exact = sum(len(m.content) for m in provider.completions[-1].messages) // 2
        assert abs(shown - exact) / exact < 0.15


async def test_continue_lets_the_same_reply_grow(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(
        path, ScriptedProvider([Text("The door opens and"), Finish("length")])
    ) as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        world.provider.pieces = words("closes again. ")
        await face.say_and_wait("/continue")
        reply = (await world.database.read(stories.active_path, face.client.chosen.session_id))[-1]
        assert (reply.content, reply.status) == ("The door opens and closes again. ", "complete")
        opened = face.of(ChatMessage)[-1]
        assert (opened.content, opened.metadata.message) == ("The door opens and", reply.id)
        first = next(c for c in face.of(ChatChunk) if c.metadata.turn == opened.metadata.turn)
        assert first.metadata.offset == len("The door opens and")
        messages = world.provider.completions[-1].messages
        assert messages[-2].content == "The door opens and"
        assert messages[-1].role == "user"


async def test_there_must_be_a_reply_to_continue(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.face()
        await face.say("/continue")
        await trio.testing.wait_all_tasks_blocked()
        assert "no story here yet" in face.of(ErrorEvent)[-1].content


async def test_settings_of_the_story_win_over_the_models(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say("/set model temperature 0.3")
        await face.say("/set model top_k 40")
        await face.say("/set temperature 0.9")
        await face.say("/set stop The end|Fin")
        await face.say_and_wait("Go.")
        assert world.provider.completions[-1].params == {
            "temperature": 0.9, "top_k": 40, "stop": ["The end", "Fin"],
        }  # fmt: skip
        await face.say("/set temperature off")
        await face.say("/set model top_k off")
        await face.say_and_wait("Go.")
        assert world.provider.completions[-1].params == {"temperature": 0.3, "stop": ["The end", "Fin"]}


@pytest.mark.parametrize(
    ("typed", "part"),
    [
        ("/set temprature 1", "Did you mean temperature?"),
        ("/set temperature hot", "a number from 0 to 5"),
        ("/set temperature 9", "a number from 0 to 5"),
        ("/set top_k 1.5", "whole number from 0 to 1000"),
        ("/set reasoning_effort huge", "one of none"),
        ("/set model", "Which setting?"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_explained(
    autojump_clock: MockClock, path: Path, typed: str, part: str
) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say(typed)
        await trio.testing.wait_all_tasks_blocked()
        assert part in face.of(ErrorEvent)[-1].content


async def test_progress_is_shown_sparingly_and_taken_back(
    autojump_clock: MockClock, path: Path
) -> None:
    script = [Loading("reading the prompt", n, 100) for n in range(100)]
    async with engine_world(path, ScriptedProvider([*script, *words("Go on. ")], gap_s=0.03)) as world:
        face = await world.playing()
        await face.say_and_wait("Go.")
        shown = [u.metadata.progress for u in face.of(SystemUpdate) if u.metadata.progress is not UNSET]
        assert 3 <= sum(progress is not None for progress in shown) <= 8
        assert shown[-1] is None


async def test_why_can_be_asked_of_an_older_reply(autojump_clock: MockClock, path: Path) -> None:
    async with engine_world(path) as world:
        face = await world.playing()
        await face.say_and_wait("Tell me of the bell.")
        first = face.of(ChatMessage)[-1].metadata.message
        await face.say_and_wait("And now?")
        await face.say(f"/why {first}")
        await trio.testing.wait_all_tasks_blocked()
        assert "lore: Harbour" in face.notice
        await face.say("/why 999")
        await trio.testing.wait_all_tasks_blocked()
        assert "No prompt is known" in face.of(ErrorEvent)[-1].content


class Knowing(ScriptedProvider):
    """A provider that knows something of its model."""

    def remarks(self, model: str) -> tuple[str, ...]:
        return (f"{model} is a base model.",)


async def test_what_is_to_be_known_of_a_model_is_said_when_it_is_chosen(
    autojump_clock: MockClock, path: Path
) -> None:
    async with engine_world(path, Knowing(words("Yes. "))) as world:
        face = await world.playing()
        await face.say("/model scripted/narrator")
        await trio.testing.wait_all_tasks_blocked()
        assert "is a base model." in face.notice
