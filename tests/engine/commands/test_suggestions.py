"""Three things to do next: offered to the one who asked, picked with a digit, kept nowhere."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.offline.context import Context
from flower.engine.offline.provider import OfflineNarrator
from flower.engine.offline.tables import shipped
from flower.engine.provider.base import Completion, Cue, Finish, PromptMessage, Text
from flower.engine.sessions.suggestions import parsed
from flower.protocol.messages import ErrorEvent, State, SystemUpdate
from tests.engine_world import Face, engine_world
from tests.fakes import ScriptedProvider
from tests.tui_world import Face as Screen

THREE = ("I open the door.", "I call for Mara.", "I wait.")


@pytest.mark.parametrize(
    "text",
    [
        "1. I open the door.\n2. I call for Mara.\n3. I wait.",
        "Here are three:\n\n1) I open the door.\n2) I call for Mara.\n3) I wait.\n\nEnjoy!",
        "- I open the door.\n- I call for Mara.\n- I wait.\n- I leave.",
        "**1.** I open the door.\n**2.** I call for Mara.\n**3.** I wait.",
        '1. "I open the door."\n2. “I call for Mara.”\n3. I wait.',
        "A. I open the door.\nB. I call for Mara.\nC. I wait.",
        "1. I open the door. 2. I call for Mara. 3. I wait.",
        "I open the door.\nI call for Mara.\nI wait.",
    ],
)
def test_lines_are_read_however_a_model_numbers_them(text: str) -> None:
    assert parsed(text) == THREE


def test_nothing_is_offered_twice_and_nothing_is_endless() -> None:
    assert parsed("1. I wait.\n2. I wait.\n3. Go") == ("I wait.", "Go")
    assert len(parsed("1. " + "x" * 9000)[0]) <= 200
    assert parsed("") == ()


def last(face: Face) -> SystemUpdate:
    return face.of(SystemUpdate)[-1]


class Suggesting(ScriptedProvider):
    """Tells a story; asked quietly it offers three lines."""

    offer_gap_s = 0.0

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]  # as its parent
        told = "\n".join(f"{n}. {line}" for n, line in enumerate(THREE, 1))
        self.gap_s = self.offer_gap_s if completion.quiet else 0.0
        self.pieces = [Text(told if completion.quiet else "The lamp burns."), Finish("done")]
        return super().open(completion)


async def test_they_go_to_the_one_who_asked_and_are_no_part_of_the_story(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Suggesting()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I knock.")
        other = await world.face("other")

        def rows(db: object) -> object:
            return list(db.iterdump())  # type: ignore[attr-defined]

        before = await world.database.read(rows)
        await face.say("/suggest the lamp")
        await trio.testing.wait_all_tasks_blocked()
        assert last(face).metadata.suggestions == THREE
        assert last(face).content == "You could:\n1. I open the door.\n2. I call for Mara.\n3. I wait."
        assert not any(e.metadata.suggestions for e in other.of(SystemUpdate))
        assert await world.database.read(rows) == before
        asked, story = provider.completions[-1], provider.completions[-2]
        assert "about: the lamp" in asked.messages[-1].content
        assert asked.messages[0] == story.messages[0]  # what a server has in its cache


async def test_they_can_be_cancelled_and_need_a_story(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Suggesting()
    provider.offer_gap_s = 60.0
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.face()
        await face.say("/suggest")
        await trio.testing.wait_all_tasks_blocked()
        assert "no story here yet" in face.of(ErrorEvent)[-1].content
        face = await world.playing()
        await face.say_and_wait("I knock.")
        await face.say("/suggest")
        await trio.testing.wait_all_tasks_blocked()
        await face.say("/cancel")
        await trio.sleep(200)
        await trio.testing.wait_all_tasks_blocked()
        assert "✓ Stopped." in [event.content for event in face.of(SystemUpdate)]
        assert not any(event.metadata.suggestions for event in face.of(SystemUpdate))
        assert provider.closed == provider.opened


async def test_a_model_that_offers_nothing_is_one_sentence(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = ScriptedProvider([Text("   "), Finish("done")])
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say("/suggest")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(ErrorEvent)[-1].content.startswith("No suggestions: ")


def test_the_offline_narrator_offers_three_different_lines() -> None:
    cue = Cue(line="I knock.", world="Orrinsay", scene="The quay.", character="Mara", stage=())
    told = (PromptMessage("user", "I knock."), PromptMessage("assistant", "Nobody answers."))
    for seed in range(60):
        offered = Context(cue, told, random.Random(seed), shipped()).suggestions()
        assert len(set(offered)) == 3
        assert all(line.startswith("I ") and line.endswith(".") and "{" not in line for line in offered)


async def test_the_offline_narrator_is_asked_for_its_own(autojump_clock: MockClock) -> None:
    narrator = OfflineNarrator(words_per_s=0)
    asked = Completion("narrator", (), 100, 4096, cue=Cue(line="I wait."))
    assert len(await narrator.suggestions(asked)) == 3


# --- on the screen --------------------------------------------------------------------------------------


OFFER = SystemUpdate(
    "You could:\n1. I open the door.\n2. I call for Mara.\n3. I wait.", State(suggestions=THREE)
)


def playing() -> Screen:
    screen = Screen().story(("assistant", "A door."))
    screen.sent()
    return screen


def said(screen: Screen) -> list[str]:
    return [send.prompt for send in screen.sent()]


def test_a_digit_says_the_line_of_its_number() -> None:
    screen = playing().says(OFFER)
    assert "2  I call for Mara." in screen.text()
    screen.type("2")
    assert said(screen) == ["I call for Mara."]
    screen.type("2<enter>")  # they are gone: this is a line of the story
    assert said(screen) == ["2"]


def test_enter_says_the_chosen_one_and_right_lets_one_change_it() -> None:
    screen = playing().says(OFFER).type("<down><enter>")
    assert said(screen) == ["I call for Mara."]
    screen = playing().says(OFFER).type("<down><down><right>")
    assert screen.model.input.text == "I wait."
    assert screen.model.popup is None
    assert not said(screen)


def test_another_key_begins_a_line_of_ones_own_and_a_digit_alone_still_counts() -> None:
    screen = playing().says(OFFER).type("Hm")
    assert screen.model.input.text == "Hm"
    assert screen.model.popup is None
    screen.type("<backspace><backspace>3<enter>")
    assert said(screen) == ["I wait."]


def test_they_take_no_key_from_somebody_who_is_writing() -> None:
    screen = playing().type("I run, 1").says(OFFER)
    assert screen.model.popup is None
    screen.type("2<enter>")
    assert said(screen) == ["I run, 12"]


def test_another_story_has_none_of_them() -> None:
    screen = playing().says(OFFER).type("<escape>")
    screen.story(("assistant", "Rain."), session="s2")
    screen.sent()
    screen.type("1<enter>")
    assert said(screen) == ["1"]
