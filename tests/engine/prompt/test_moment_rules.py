"""Small rules of one prompt, one by one: what stands at its end, what is kept of it, what scripts make of it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.game.clocks import Clock, Now
from flower.engine.game.people import Person
from flower.engine.game.sheet import Sheet
from flower.engine.game.state import StoryState
from flower.engine.game.steering import NARRATOR, Persona, Steering
from flower.engine.lorebook.book import Position
from flower.engine.lorebook.outcome import Cause, Fired, Place
from flower.engine.lorebook.rules import EntryId
from flower.engine.prompt import cue, record, request
from flower.engine.prompt.assemble import CUT_MARK, LINE_SHARE, Section
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.cue import CUE_LORE_CHARS
from flower.engine.prompt.direction import Direction
from flower.engine.prompt.lore_entries import LoreEntries, with_entries
from flower.engine.prompt.model import ChosenModel, StorySettings, TokenRoom
from flower.engine.prompt.record import NOTHING as NOTHING_FRESH
from flower.engine.prompt.record import fresh_of
from flower.engine.prompt.sections import (
    CONTINUE,
    REPEATED_AFTER_LINES,
    TAKEN_BACK,
    due,
    fact_sections,
    section_key,
    state_sections,
    system_sections,
)
from flower.engine.prompt.summary import summary_section
from flower.engine.provider.base import Cue
from flower.engine.recall.base import Hit
from flower.engine.store import stories
from flower.engine.store.branches import GO_ON
from flower.engine.store.extra import RollRecord
from flower.engine.store.passages import Passage
from flower.engine.store.states import CurrentState
from flower.engine.token_counter import TokenCounter
from tests.engine.prompt.test_macros import VALUES
from tests.engine.prompt.test_prompt_rules import turn_input
from tests.engine.prompt.test_shelf_rules import line
from tests.engine.prompt.test_window_rules import COUNTER
from tests.fakes import ComposingProvider, ScriptedProvider

# --- the last line ------------------------------------------------------------------------------


def context_of(*path: stories.Message, found: Sequence[Hit] = (), **direction: object) -> PromptContext:
    whole = Direction(sections=(Section("rules", "", "Tell.", 90),), values=VALUES, **direction)  # type: ignore[arg-type]
    current = CurrentState(StoryState(), Steering(), Now(1, 0.0), 0.0)
    return PromptContext(
        path=path,
        hits=tuple(found),
        nearly=(),
        direction=whole,
        current=current,
        settings=StorySettings({}, 9_000, 100),
    )


def told(
    *path: stories.Message, prefill: bool = False, ask: str = "", continues: bool = False
) -> list[str]:
    services: Any = None
    turn = replace(turn_input(continues=continues), ask=ask)
    inputs = request._Inputs(services, turn, context_of(*path), TokenRoom(9_000, 100, 4_000), prefill)
    fresh = replace(NOTHING_FRESH, recalled="Known.")
    made = request._assemble(inputs, fresh, COUNTER, None, None, None)
    return [message.content for message in made.messages]


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


def moment(*path: stories.Message, **direction: object) -> Cue:
    found = [
        Hit(Passage(n, kind, "s", "world", title, f"text {n}"), 1.0, None, (), 3)  # type: ignore[arg-type]
        for n, (kind, title) in enumerate((("lore", "Bell"), ("memory", "Ines"), ("lore", "")))
    ]
    return cue.cue_of(turn_input(), context_of(*path, found=found, **direction), seed=7)


async def _no_replies(*_: object) -> tuple[str, ...]:
    return ("Elsewhere.",)


async def chosen(
    *fallbacks: ScriptedProvider,
    provider: type[ScriptedProvider] = ComposingProvider,
    seed: int | None = 7,
    variant: int = 0,
) -> Cue:
    services: Any = SimpleNamespace(seed=seed, database=SimpleNamespace(read=_no_replies))
    model = ChosenModel(
        id="m", provider=provider(), name="m", fallbacks=tuple((one, "m") for one in fallbacks)
    )
    return await request._cue(services, turn_input(variant=variant), model, context_of(line(1)))


async def test_a_reply_has_a_chance_of_its_own_for_each_variant() -> None:
    assert [(await chosen(variant=n)).seed for n in range(3)] == [7, 8, 9]
    assert (await chosen(seed=0)).seed == 0
    assert (await chosen(seed=None)).seed == (await chosen(seed=None)).seed > 9


async def test_a_moment_is_made_for_those_alone_who_play_from_it() -> None:
    assert await chosen(provider=ScriptedProvider) == Cue(seed=7)
    whole = await chosen()
    assert whole != Cue(seed=7)
    assert whole.earlier == ("Elsewhere.",)
    assert await chosen(ScriptedProvider(), ComposingProvider(), provider=ScriptedProvider) == whole


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
    back = {section.source: section for section in due([], [{section_key(scene): scene.text}])[0]}
    assert [section.text for section in back.values()] == [
        "Place, time, weather and mood are open again."
    ]
    for text in ("A", "z"):  # whatever was told
        assert len(due([], [{section_key(scene): text}])[0]) == 1
    taken = TAKEN_BACK[0][2]
    assert due([], [{section_key(scene): scene.text}, {section_key(scene): taken}]) == ((), ())
    assert due([scene], [{section_key(scene): scene.text}]) == ((), (scene,))
    assert due([], []) == ((), ())


def test_what_was_given_with_the_newest_line_or_a_reply_is_not_in_view() -> None:
    scene = Section("scene", "/state", "Place: the quay.", 40)
    stands = ((section_key(scene), scene.text),)

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
    known = replace(NOTHING_FRESH, in_view=(Section("scene", "/state", "Rain.", 40),))
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


# --- the state ----------------------------------------------------------------------------------


def latest_of(sheet: Sheet = Sheet(), text: str = "Go.", **fields: str) -> dict[str, str]:  # noqa: B008
    given: Any = {"note": "", "speaking": "", **fields}
    found = state_sections(
        StoryState(sheet=sheet),
        Now(1, 0.0),
        ambience={"light": "Dim", "mood": "Glad"},
        scene=(),
        line=text,
        **given,
    )
    return {section.name: section.text for section in found}


def test_how_things_stand_is_told_in_sentences() -> None:
    sheet = Sheet(
        inventory={"rope": 1, "torches": 3},
        conditions=("tired", "wet"),
        flags={"Alarm": "raised"},
        mood="Sad",
    )
    told = latest_of(sheet)
    assert told["sheet"] == (
        "How things stand: The player is tired, wet. The player carries rope, 3 torches. Alarm: raised."
    )
    assert told["scene"] == "Light: Dim. Mood: Sad."  # by hand before the ambience
    assert set(told) == {"sheet", "scene"}


def test_what_is_about_one_line_is_told_where_it_is_so() -> None:
    assert set(latest_of(text="((Why?))")) == {"scene", "aside"}
    for text in ("((Why?", "Why?))", "(Why?)"):
        assert set(latest_of(text=text)) == {"scene"}
    told = latest_of(note="Be grim.", speaking="Mara speaks.")
    assert (told["note"], told["speaker"]) == ("The author's note: Be grim.", "Mara speaks.")
    assert latest_of(speaking="Mara speaks.").get("note") is None


# --- a prompt that was too long -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [(1_000, 0, 1_000), (None, 0, 1_100), (None, 500, 5_000), (2_000, 500, 2_000)],
)
def test_a_refusal_teaches_how_much_there_is_room_for(limit: int | None, used: int, left: int) -> None:
    completion: Any = SimpleNamespace(context_tokens=5_000, max_tokens=100)
    refused: Any = SimpleNamespace(
        completion=completion, counter=TokenCounter(), assembled=SimpleNamespace(tokens=1_000)
    )
    error: Any = SimpleNamespace(limit_tokens=limit, used_tokens=used)
    model: Any = ChosenModel(id="m", provider=None, name="m")  # type: ignore[arg-type]
    found = request.shorter(model, refused, error)
    assert found.context_limit == (left if used else int(left * request.SHRINK_SHARE))
    assert (found.counter.scale == 1.0) is not bool(used)


# --- the moment of the narrator without a model, part by part ---------------------------------------


def test_a_moment_is_read_from_all_that_the_prompt_has() -> None:
    """What was set by hand wins over the world's ambience; long lore is cut."""
    world = World(id="w", name="Harbour", scene="Dusk.", lore="x" * (CUE_LORE_CHARS + 5), ambience=None)
    mara, ada = Character("mara", "Mara", "Keeps.", pronouns="she"), Character("ada", "Ada", "Walks.")
    sheet = Sheet(
        place="The quay", time="Noon", weather="Fog", mood="Grim", inventory={"rope": 2}, conditions=("wet",)
    )  # fmt: skip
    whole = context_of(
        line(1, "assistant", "Evening."), line(2, content="I wait."), world=world, character=mara, speaker="mara",
        played=(mara, ada),
    )  # fmt: skip
    current = CurrentState(
        StoryState(sheet=sheet, people=(Person("Ned"),)), Steering(persona=Persona("Ines")), Now(1, 0.0), 0.0
    )  # fmt: skip
    whole = replace(whole, current=current, absent=frozenset({1}))
    found = cue.cue_of(turn_input(), whole, seed=7, earlier=("Before.",))
    assert (found.line, found.world, found.scene) == ("Go.", "Harbour", "Dusk.")
    assert len(found.world_lore) == CUE_LORE_CHARS
    assert (found.character, found.persona, found.user) == ("Mara", "Keeps.", "Ines")
    assert (found.stage, found.pronouns) == ((("Ada", "Walks."),), ("she", ""))
    assert (found.place, found.time, found.weather, found.mood) == ("The quay", "Noon", "Fog", "Grim")
    assert (found.inventory, found.conditions, found.people) == (("rope",), ("wet",), ("Ned",))
    assert (found.unheard, found.begun, found.earlier, found.seed) == ({0}, "", ("Before.",), 7)
    assert [(one.role, one.content) for one in found.story] == [
        ("assistant", "Evening."),
        ("user", "I wait."),
    ]
    assert found.turn_number == 0


@pytest.mark.parametrize(
    ("continues", "roles", "begun", "count"),
    [
        (True, ("user", "assistant"), "2", 1), (False, ("user", "assistant"), "", 2),
        (True, ("assistant", "user"), "", 2),
        (True, ("user", "assistant", "system"), "2", 1), (True, (), "", 0),
        (True, ("assistant", "user", "assistant"), "3", 2),
    ],
)  # fmt: skip
def test_a_reply_that_goes_on_is_apart_from_the_story(
    continues: bool, roles: tuple[str, ...], begun: str, count: int
) -> None:
    path = [line(number, role, str(number)) for number, role in enumerate(roles, 1)]
    messages, found = cue._last_messages(turn_input(continues=continues), path)
    assert (found, len(messages)) == (begun, count)


def test_a_moment_has_so_many_messages_of_a_long_story() -> None:
    path = [line(number, content=str(number)) for number in range(cue.CUE_MESSAGES + 3)]
    messages, _ = cue._last_messages(turn_input(), path)
    assert [one.id for one in messages] == list(range(3, cue.CUE_MESSAGES + 3))
    assert len(cue._decided(path, 999)) == cue.CUE_MESSAGES
    dice = line(1, "system", roll=RollRecord("jump", 12, "failure"))
    late = [line(0), line(0, "assistant"), dice, *path[: cue.CUE_MESSAGES]]
    assert cue._decided(late, 999)[:2] == ["miss", ""]  # of dice that are out of sight too


def test_a_full_clock_is_no_news() -> None:
    def happening(**fields: int) -> list[str]:
        clock = Clock("Flood", 4, **fields)
        current = CurrentState(StoryState(clocks=(clock,)), Steering(), Now(9, 0.0), 0.0)
        return cue._happening(current)

    assert happening(filled=4, line=9) == ["Flood"]
    assert happening(filled=4, line=8) == []
    assert happening(filled=3, line=9) == []
    assert happening(filled=4, line=10) == []


def test_what_is_recalled_comes_after_the_entries_that_fired() -> None:
    found = [
        Hit(Passage(1, "lore", "s", "world", "", "Recalled."), 1.0, None, (), 3),
        Hit(Passage(2, "memory", "s", "world", "", "Said."), 1.0, None, (), 3),
    ]
    place = Place(Position.BEFORE_CHARACTER)
    fired = Fired(EntryId("B", "a"), "", "Fired.", place, 1.0, Cause.KEY)
    whole = replace(context_of(line(1), found=found), entries=LoreEntries(fired=(fired,)))
    assert cue._lore(whole) == ("Fired.", "Recalled.")
    assert cue.cue_of(turn_input(), whole, seed=1).memories == ("Said.",)


# --- how long what was given holds --------------------------------------------------------------


@pytest.mark.parametrize("name", ["people", "sheet", "scene", "clocks", "note", "speaker", "aside"])
def test_what_was_given_holds_for_so_many_lines(name: str) -> None:
    section = Section(name, "x", "As it is.", 50)
    lines = {"note": 3, "speaker": 1, "aside": 1}.get(name, REPEATED_AFTER_LINES)
    for ago in range(1, 12):
        earlier = [{section_key(section): section.text}, *[{}] * (ago - 1)]
        new, held = due([section], earlier, note_every=3)
        assert (new, held) == (((), (section,)) if ago < lines else ((section,), ()))
    given: list[dict[str, str]] = [{section_key(section): "As it was."}]
    assert due([section], given)[0] == (section,)
    assert due([section], [{section_key(section): "As it was."}, {section_key(section): section.text}])[
        1
    ] == ((section,) if lines == REPEATED_AFTER_LINES else ())


def test_what_is_given_anew_comes_with_the_least_important_first() -> None:
    now = [Section(name, "x", name, rank) for name, rank in (("a", 30), ("b", 10), ("c", 20))]
    new, _ = due(now, [])
    assert [section.name for section in new] == ["b", "c", "a"]
    for name, source, text, _rank in TAKEN_BACK:
        key = f"{name} {source}"
        assert [one.text for one in due([], [{key: "x"}])[0]] == [text]
        assert due([], [{key: text}])[0] == ()
        assert due([Section(name, source, "x", 1)], [{key: text}])[0][0].text == "x"


def test_a_text_that_was_cut_is_known_by_both_ends() -> None:
    whole = Section("sheet", "/state", "Start and middle and end.", 30)

    def known(text: str) -> bool:
        return due([whole], [{section_key(whole): text}])[1] == (whole,)

    assert known(f"Start{CUT_MARK}end.")
    assert not known(f"Stop{CUT_MARK}end.")
    assert not known(f"Start{CUT_MARK}stop.")
    assert not known("Start")
    assert not known("")


PRIORITIES = {
    "examples": 10, "people": 20, "sheet": 30, "scene": 40, "summary": 40, "clocks": 50, "scenario": 55, "lorebook": 55,
    "character": 60, "state updates": 65, "note": 70, "world": 70, "persona": 75, "speaker": 80, "rule": 80.5,
    "pinned": 85, "base rules": 90, "aside": 90, "content": 95,
}  # fmt: skip


def test_what_gives_way_first_where_a_prompt_is_full() -> None:
    """Examples before anything else, what is played before how it is to be told, and that before the rules."""
    mara = Character("mara", "Mara", "Keeps.", scenario="A flood.", example_dialogue="<START>\nHi.")
    state = StoryState(
        sheet=Sheet(place="The quay", conditions=("wet",)), people=(Person("Ned"),),
        clocks=(Clock("Flood", 4, filled=3),),
        pins=("It rains.",),
    )  # fmt: skip
    steady = Fired(EntryId("B", "a"), "", "x", Place(Position.BEFORE_CHARACTER), 1.0, Cause.CONSTANT)
    found = [
        *system_sections("Tell.", [Rule("r", "R", "Rain.", priority=50)], World("w", "W"), mara, nsfw=False),
        *fact_sections(state, "Ines."), summary_section("Before.", 3), *with_entries((), [steady]),
        *state_sections(
            state, Now(1, 0.0), ambience={}, note="n", speaking="s", scene=("Ned waits.",), line="((Why?))"
        ),
    ]  # fmt: skip
    assert {section.name: section.priority for section in found} == {
        name: rank for name, rank in PRIORITIES.items() if name != "state updates"
    }
    scene = system_sections("", [], World("w", "W", scene="Dusk."), None, nsfw=True)[-1]
    assert (scene.name, scene.priority) == ("scene", 50)
    assert scene.text == "The story opened like this: Dusk."
