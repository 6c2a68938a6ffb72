"""A banned phrase is found however it comes, taken back, and tried once more."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.provider.base import Completion, Finish, Text
from flower.engine.sessions.reply_watch import BannedPhrases
from flower.protocol.messages import SystemUpdate
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words


def found(phrases: list[str], parts: list[str]) -> str:
    reader = BannedPhrases(phrases)
    return next((hit for part in parts if (hit := reader.feed(part))), "") or reader.end()


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("She says nothing.", ""),
        ("A SHIVER ran down.", "a shiver"),
        ("a shiver", "a shiver"),
        ("Pasta shivers.", ""),
        ("a shivering man", ""),
        ("“a shiver,” he says", "a shiver"),
        ("... ever", "..."),
        ("mastra shiver a shiver.", "a shiver"),
    ],
)
def test_a_phrase_counts_whatever_its_case_but_not_inside_words(text: str, hit: str) -> None:
    assert found(["a shiver", "..."], [text]) == hit


@given(st.text("a shiver.", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_how_the_text_is_cut(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    parts = [text[a:b] for a, b in pairwise(places)]
    assert found(["a shiver", "r."], parts) in {found(["a shiver", "r."], [text]), "a shiver", "r."}
    assert bool(found(["a shiver"], parts)) == bool(found(["a shiver"], [text]))


class Stubborn(ScriptedProvider):
    """Writes the phrase the first ``times``."""

    times = 1

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]  # as its parent
        bad = len(self.completions) < self.times
        shiver = [Text("Then a shiver "), Text("runs down. "), Text("And on. "), Finish("done")]
        self.pieces = shiver if bad else words("The lamp burns. ")
        return super().open(completion)


async def test_a_banned_phrase_is_taken_back_and_the_reply_told_once_more(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Stubborn()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say("/set banned_phrases a shiver")
        await face.say("/set seed 5")
        await face.say_and_wait("I knock.")
        assert face.reasons == ["done"]
        assert len(provider.completions) == 2
        assert "Do not write any of these: a shiver." in provider.completions[1].messages[-1].content
        assert provider.completions[0].params["seed"] != provider.completions[1].params["seed"]
        (reply,) = await world.database.read(
            lambda db: db.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone()
        )
        assert reply.strip() == "The lamp burns."
        assert any("which is banned here" in event.content for event in face.of(SystemUpdate))


async def test_there_is_one_more_try_and_no_third(autojump_clock: MockClock, tmp_path: Path) -> None:
    provider = Stubborn()
    provider.times = 9
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say("/set banned_phrases a shiver")
        await face.say_and_wait("I knock.")
        await trio.testing.wait_all_tasks_blocked()
        assert len(provider.completions) == 2
        assert face.reasons == ["done"]
        assert any("again; /retry" in event.content for event in face.of(SystemUpdate))
        (reply,) = await world.database.read(
            lambda db: db.execute("SELECT content FROM messages ORDER BY id DESC LIMIT 1").fetchone()
        )
        assert "And on." in reply  # the second one is told to its end
