"""Small rules of one prompt, one by one: what stands at its end, what is kept of it, what scripts make of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.assets import Character
from flower.engine.game.cast import NARRATOR
from flower.engine.game.clocks import Now
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Steering
from flower.engine.prompt import cue, record, request, story_settings
from flower.engine.prompt.assemble import LINE_SHARE, Section
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.direction import Direction
from flower.engine.prompt.fresh import NOTHING as NOTHING_FRESH
from flower.engine.prompt.fresh import fresh_of
from flower.engine.prompt.plain_text import as_story
from flower.engine.prompt.scripted import (
    Acted,
    ScriptRunner,
    rows_of_scripts,
    scripted_path,
    shown_texts,
)
from flower.engine.prompt.sections import CONTINUE
from flower.engine.prompt.sent import SentPrompt, text_of
from flower.engine.prompt.state_sections import TAKEN_BACK, due, key_of
from flower.engine.provider.base import ChatMessage, Cue, Template
from flower.engine.recall.base import Found
from flower.engine.scripts.script import Script, ScriptPlace
from flower.engine.store import stories
from flower.engine.store.branches import GO_ON
from flower.engine.store.passages import Passage
from flower.engine.store.states import CurrentState
from tests.test_macros import VALUES
from tests.test_prompt_rules import turn_input
from tests.test_shelf_rules import line
from tests.test_window_rules import COUNTER

# --- the last line ------------------------------------------------------------------------------


def context_of(
    *path: stories.Message, found: Sequence[Found] = (), **direction: object
) -> PromptContext:
    whole = Direction(sections=(Section("rules", "", "Tell.", 90),), values=VALUES, **direction)  # type: ignore[arg-type]
    current = CurrentState(StoryState(), Steering(), Now(1, 0.0), 0.0)
    return PromptContext(path=path, found=tuple(found), nearly=(), direction=whole, current=current)


def told(
    *path: stories.Message, prefill: bool = False, ask: str = "", continues: bool = False
) -> list[str]:
    services: Any = None
    model: Any = SimpleNamespace(context_tokens=lambda _: 9_000, reply_tokens=lambda _: 100)
    turn = replace(turn_input(continues=continues), ask=ask)
    inputs = _Budget(services, turn, model, context_of(*path), prefill)
    fresh = replace(NOTHING_FRESH, recalled="Known.")
    made = request._assemble(inputs, fresh, COUNTER, None, None, None)
    return [message.content for message in made.messages]


class _Budget(request._Inputs, frozen=True):
    @property
    def budget(self) -> int:
        return 4_000


def test_what_is_recalled_goes_with_the_line_or_with_what_is_asked_in_its_place() -> None:
    said = line(1, "user", "Go.", recalled="Old.", stands=(("s", "Rain."),))
    assert told(said) == ["Tell.", "Known.\n\nGo."]
    reply = line(2, "assistant", "You go.")
    assert told(said, reply, line(3, "user", "On.")) == [
        "Tell.", "Rain.\n\nOld.\n\nGo.", "You go.", "Known.\n\nOn."
    ]  # fmt: skip
    assert told(said, reply)[-1] == f"Known.\n\n{GO_ON}"
    assert told(said, reply, continues=True)[-1] == f"Known.\n\n{CONTINUE}"
    assert told(said, reply, ask="What next?")[-1] == "Known.\n\nWhat next?"
    assert told(said, reply, prefill=True)[-1] == "You go."
    assert 0 < request.RECALLED_SHARE < LINE_SHARE / 2


# --- the moment of the narrator without a model -------------------------------------------------


def moment(*path: stories.Message, variant: int = 0, seed: int | None = 7, **direction: object) -> Cue:
    services: Any = SimpleNamespace(seed=seed)
    found = [
        Found(Passage(n, kind, "s", "world", title, f"text {n}"), 1.0, None, (), 3)  # type: ignore[arg-type]
        for n, (kind, title) in enumerate((("lore", "Bell"), ("memory", "Ines"), ("lore", "")))
    ]
    return cue.cue_of(
        services, turn_input(variant=variant), context_of(*path, found=found, **direction)
    )


def test_a_moment_has_a_chance_of_its_own_for_each_variant() -> None:
    assert [moment(line(1), variant=n).seed for n in range(3)] == [7, 8, 9]
    assert moment(line(1), seed=0).seed == 0
    assert moment(line(1), seed=None).seed == moment(line(2), seed=None).seed > 9


def test_a_moment_tells_lore_and_memories_apart_and_leaves_notes_out() -> None:
    found = moment(line(1), line(2, "system", "12"), line(3, "assistant", "Yes."), line(4))
    assert (found.lore, found.memories) == (("## Bell\ntext 0", "text 2"), ("text 1",))
    assert [message.role for message in found.story] == ["user", "assistant", "user"]
    assert found.turn_number == 1


@pytest.mark.parametrize(
    ("speaker", "name", "speaks"), [(NARRATOR, "", False), ("mara", "Mara", True), ("", "Mara", False)]
)
def test_somebody_speaks_unless_the_narrator_was_asked(speaker: str, name: str, speaks: bool) -> None:
    mara, ada = Character("mara", "Mara", "Keeps."), Character("ada", "Ada", "Walks.")
    found = moment(line(1), speaker="".join(speaker), character=mara, played=(mara, ada))
    assert (found.character, found.speaks) == (name, speaks)
    assert found.stage == ((("Ada", "Walks."),) if name else ())


# --- what has to be given again -----------------------------------------------------------------


def test_what_no_longer_holds_is_taken_back_once() -> None:
    scene = Section("scene", "/state", "Place: the quay.", 40)
    back = {section.source: section for section in due([], [{key_of(scene): scene.text}])[0]}
    assert [section.text for section in back.values()] == [
        "Place, time, weather and mood are open again."
    ]
    for text in ("A", "z"):  # whatever was told
        assert len(due([], [{key_of(scene): text}])[0]) == 1
    taken = TAKEN_BACK[0][2]
    assert due([], [{key_of(scene): scene.text}, {key_of(scene): taken}]) == ((), ())
    assert due([scene], [{key_of(scene): scene.text}]) == ((), (scene,))
    assert due([], []) == ((), ())


def test_what_was_given_with_the_newest_line_or_a_reply_is_not_in_view() -> None:
    scene = Section("scene", "/state", "Place: the quay.", 40)
    stands = ((key_of(scene), scene.text),)

    def tail(*path: stories.Message, start: int | None = None) -> tuple[Section, ...]:
        return fresh_of(context_of(*path, tail=(scene,)), COUNTER, start, 100).tail

    given = line(1, stands=stands)
    assert tail(given, line(2)) == ()
    assert tail(given, line(2), start=2) == (scene,)  # it is above the window
    assert tail(line(1), line(2, stands=stands)) == (scene,)
    assert tail(line(1, "assistant", stands=stands), line(2)) == (scene,)
    assert tail(line(1, "system", stands=stands), line(2)) == ()
    found = fresh_of(
        context_of(line(1), tail=(scene, Section("sheet", "/state", "Dry.", 30))), COUNTER, None, 100
    )
    assert replace(found, entries=(None, None, None)).size == 5


# --- what is kept -------------------------------------------------------------------------------


def kept(*path: stories.Message, model: str = "m") -> Any:
    one: Any = SimpleNamespace(id="m")
    whole = context_of(*path, model=model, variables={"n": "1"})
    known = replace(NOTHING_FRESH, known=(Section("scene", "/state", "Rain.", 40),))
    assembled: Any = SimpleNamespace(manifest=(), tail=(), window_start=1)
    return record.record_of(turn_input(), one, whole, known, assembled, prefill=False)


def test_what_answers_no_line_of_the_player_keeps_nothing_with_one() -> None:
    for role, is_line in (("user", True), ("system", True), ("assistant", False)):
        found = kept(line(1), line(2, role))
        assert (found.line is not None, found.variables is not None) == (is_line, is_line)
    assert kept().line is None


def test_the_parts_of_a_prompt_say_whose_model_it_is_and_what_was_in_view() -> None:
    told = [(part.section, part.source, part.tokens, part.note) for part in kept(line(1)).manifest]
    assert told == [("model", "m (the speaker's own)", 0, ""), ("scene", "/state", 0, record.IN_VIEW)]
    for other in ("", "a", "z"):
        assert kept(line(1), model=other).manifest[0].source == "m"


# --- settings -----------------------------------------------------------------------------------


class Services:
    """Settings for everybody, and what a story has of its own."""

    def __init__(self, params: dict[str, object], own: dict[str, object]) -> None:
        self.params, self.own, self.database = params, own, self

    async def read(self, *_: object) -> dict[str, object]:
        return self.own


@pytest.mark.parametrize(
    ("seed", "variant", "sent"),
    [(0, 1, 1), (3, 1, 4), (7, 0, 7), (-1, 2, -1), (None, 2, None), ("x", 1, "x")],
)
async def test_a_seed_is_another_one_for_each_variant(seed: object, variant: int, sent: object) -> None:
    services: Any = Services({"temperature": 1.0, "seed": 9}, {"seed": seed})
    found = await story_settings.settings_of(services, "s", "m", variant)
    assert found.params == {"temperature": 1.0, "seed": sent}
    assert (found.banned, found.template) == ((), None)


@pytest.mark.parametrize(
    ("around", "system"),
    [
        ({}, ("<s>", "</s>")), ({"before": "a"}, ("a", "")), ({"after": "b"}, ("", "b")),
        ({"before": " "}, ("<s>", "</s>")), ({"chat_start": "***"}, ("<s>", "</s>***\n")),
        ({"before": "a", "after": "b", "chat_start": "*"}, ("a", "b*\n")),
    ],
)  # fmt: skip
def test_a_context_preset_stands_around_the_system_text(
    around: dict[str, object], system: tuple[str, str]
) -> None:
    values = {"user": ["<u>", "</u>"], "assistant": ["<a>", "</a>"], "system": ["<s>", "</s>"]}
    found = story_settings.read_template(values, around)
    assert isinstance(found, Template)
    assert found.system == system
    assert story_settings.read_template({"user": 1}, around) is None


# --- scripts ------------------------------------------------------------------------------------


def script(**fields: Any) -> Script:
    return Script(
        **{
            "name": "x",
            "pattern": "/bell/g",
            "replacement": "BELL",
            "places": tuple(ScriptPlace),
            **fields,
        }
    )


def path_of(*roles: str, **extra: object) -> list[stories.Message]:
    return [line(number, role, "A bell.", **extra) for number, role in enumerate(roles, 1)]


@pytest.mark.parametrize(
    ("place", "changed"),
    [(ScriptPlace.PLAYER, [1]), (ScriptPlace.NARRATOR, [2]), (ScriptPlace.COMMAND, [3, 4])],
)
def test_a_script_changes_the_words_of_whom_it_is_for(place: ScriptPlace, changed: list[int]) -> None:
    path = [*path_of("user", "assistant", "system"), line(4, "assistant", "A bell.", by="player")]
    found, acted = scripted_path(ScriptRunner(), (script(places=(place,)),), path, VALUES)
    assert [message.id for message in found if "BELL" in message.content] == changed
    assert acted.counts == {"x": len(changed)}
    shown = shown_texts(ScriptRunner(), (script(places=(place,)),), path, VALUES)
    assert shown == dict.fromkeys(changed, "A BELL.")


def test_the_newest_message_has_depth_nought_and_those_below_a_page_count() -> None:
    deep = (script(most_depth=0, told=True), script(name="y", most_depth=0, shown=True))
    path = path_of("user", "assistant", "user")
    found, _ = scripted_path(ScriptRunner(), deep, path, VALUES)
    assert [message.id for message in found if "BELL" in message.content] == [3]
    assert list(shown_texts(ScriptRunner(), deep, path, VALUES)) == [3]
    assert list(shown_texts(ScriptRunner(), deep, path, VALUES, below=1)) == []
    growing = [*path[:2], replace(path[2], status="streaming")]
    assert list(shown_texts(ScriptRunner(), deep, growing, VALUES)) == []


def test_words_for_the_model_are_changed_where_there_are_any() -> None:
    path = [line(1, content="A bell.", told="The bell."), line(2, content="Quiet.")]
    found, _ = scripted_path(ScriptRunner(), (script(),), path, VALUES)
    assert (found[0].content, found[0].extra.told) == ("A bell.", "The BELL.")
    assert found[1] is path[1]


def test_what_scripts_did_is_counted_once_and_told_in_words() -> None:
    class Result:
        acted, trouble = {"x": 1, "y": 2}, ("z",)

    changed: Any = Result
    acted = Acted().and_also(changed)
    assert [part.note for part in rows_of_scripts(acted)] == [
        "changed 1 text",
        "changed 2 texts",
        "took too long",
    ]
    again = acted.and_also(changed)
    assert (again.counts, again.trouble) == ({"x": 2, "y": 4}, ("z",))


# --- other forms of a prompt --------------------------------------------------------------------


def test_a_prompt_as_a_story_stays_open_where_a_reply_goes_on() -> None:
    said = [ChatMessage("user", "Go."), ChatMessage("assistant", "You"), ChatMessage("user", "On.")]
    assert as_story("", said) == "> Go.\n\nYou\n\n> On.\n\n"
    assert as_story("A quay.", said[:2]) == "A quay.\n\n* * *\n\n> Go.\n\nYou"
    assert as_story("", []) == "\n\n"


def test_what_was_sent_is_shown_with_its_settings_before_its_words() -> None:
    body = {"model": "m", "top_k": 5, "messages": [{"role": "user", "content": [{"text": "Go"}, {"text": "."}]}],
            "system": [{"text": "Tell."}]}  # fmt: skip
    assert text_of(SentPrompt(7, "m", (), body)).split("\n\n") == [
        "To m, for message 7:", '{"model": "m", "top_k": 5}', "--- system ---\nTell.", "--- user ---\nGo."
    ]  # fmt: skip
    assert text_of(SentPrompt(7, "m", (ChatMessage("user", "Go."),))).split("\n\n") == [
        "Nothing was sent anywhere; m had this, for message 7:", "--- user ---\nGo."
    ]  # fmt: skip
