"""Small rules of how a reply is to be written, one by one: whose words, at which depth, from which moment."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from flower.engine.assets.kinds import Assets, Character, DepthPrompt, World
from flower.engine.game.clocks import Now
from flower.engine.game.sheet import Counter, Sheet
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Cast, Note, Persona, Steering
from flower.engine.prompt import direction
from flower.engine.prompt.assemble import (
    MIN_SECTION_TOKENS,
    OPENING,
    PLAYERS_WORDS,
    WINDOW_LOW_SHARE,
    Inset,
    PromptLine,
    Section,
    _alternating,
    _fit_line,
    _fit_sections,
    _line_tokens,
    _window,
)
from flower.engine.prompt.direction import (
    AFTER_HISTORY,
    SCENE_CHARS,
    SCENE_MESSAGES,
    SYSTEM_PROMPT,
    Direction,
    StoryRef,
    ambience_of,
    changed,
    direct,
    expanded_lore,
    expanded_world,
    greetings,
    greetings_of_cast,
    insets_of,
    live,
    model_of,
    played_by,
    values_of,
)
from flower.engine.prompt.macro_values import NOBODY
from flower.engine.prompt.macros import Expanded, expand
from flower.engine.prompt.model import ChosenModel, StorySettings
from flower.engine.prompt.request import _moved, _player_names
from flower.engine.recall.base import Hit, cast_scope
from flower.engine.store.extra import MessageExtra
from flower.engine.store.passages import Passage
from flower.engine.store.selections import Selection
from flower.engine.store.states import CurrentState
from flower.engine.store.stories import Message
from flower.engine.token_counter import TokenCounter
from tests.fakes import ScriptedProvider

PLACE = StoryRef("s", "harbour", "mara")
MARA = Character(
    "mara",
    "Mara",
    "Dry.",
    greeting="Evening, {{user}}.",
    alternate_greetings=("", "Morning."),
    group_greetings=("All here?",),
    post_history_instructions="Stay dry.",
    model="scripted/own",
)
OLAF = Character("olaf", "Olaf", "Loud.", group_greetings=(" ", "At last!"))
WORLD = World("harbour", "Harbour", start_message="The tide is out.", scene="Dusk.")
ASSETS = Assets({"harbour": WORLD}, {"mara": MARA, "olaf": OLAF}, {}, "Tell the story.", ())


def line(number: int, role: str, content: str, created: float = 0.0) -> Message:
    return Message(number, "s", None, role, content, "complete", "", None, created, MessageExtra())


def current(lines: int = 0, **steered: object) -> CurrentState:
    return CurrentState(StoryState(), Steering(**steered), Now(lines, 9.0), 1.0)  # type: ignore[arg-type]


def directed(now: CurrentState, path: Sequence[Message] = (), **more: object) -> Direction:
    return direct(ASSETS, Selection("c"), PLACE, now, path, "I wait.", variables={}, **more)  # type: ignore[arg-type]


def text_of(found: Direction) -> str:
    return "\n".join(section.text for section in found.sections)


def test_a_story_begins_with_the_characters_words_else_the_worlds() -> None:
    def begun(place: StoryRef) -> list[str]:
        return [one.text for one in greetings(ASSETS, place, Persona("Ines"), 1.0)]

    assert begun(PLACE) == ["Evening, Ines.", "Morning."]
    assert begun(StoryRef("s", "harbour", "olaf")) == ["The tide is out."]
    assert begun(StoryRef("s", "", "olaf")) == []
    assert begun(StoryRef("s", "", "nobody")) == []


def test_what_a_card_says_to_several_is_for_several() -> None:
    def begun(*members: str) -> list[str]:
        steered = Steering(cast=Cast(members=members))
        return [one.text for one in greetings_of_cast(ASSETS, PLACE, steered, 1.0)]

    assert begun() == []
    assert begun("mara") == []
    assert begun("olaf") == ["All here?", "At last!"]


@pytest.mark.parametrize(
    ("depth", "role", "stands", "told_by"),
    [
        (0, "system", -1, "user"),
        (0, "assistant", -1, "user"),
        (1, "assistant", 0, "assistant"),
        (4, "system", 3, "user"),
    ],
)
def test_a_note_of_a_card_stands_where_it_says(
    depth: int, role: str, stands: int, told_by: str
) -> None:
    card = Character("m", "M", "", depth_prompt=DepthPrompt("Tired.", depth, role))  # type: ignore[arg-type]
    values = values_of(ASSETS, PLACE, current())
    assert insets_of(card, values) == (Inset("Tired.", stands, told_by),)  # type: ignore[arg-type]
    empty = Character("m", "M", "", depth_prompt=DepthPrompt(" ", depth, role))  # type: ignore[arg-type]
    assert insets_of(empty, values) == ()


def test_what_entries_silence_is_left_out() -> None:
    values = values_of(ASSETS, PLACE, current())
    assert insets_of(MARA, values) == (Inset("Stay dry.", 0),)
    assert insets_of(MARA, values, frozenset({AFTER_HISTORY})) == ()
    assert "Tell the story." in text_of(directed(current()))
    assert "Tell the story." not in text_of(directed(current(), silenced=frozenset({SYSTEM_PROMPT})))


@pytest.mark.parametrize(
    ("depth", "every", "lines", "due"),
    [(2, 1, 3, True), (2, 2, 3, False), (2, 2, 4, True), (0, 1, 3, False)],
)
def test_a_note_at_a_depth_comes_when_it_is_due(depth: int, every: int, lines: int, due: bool) -> None:
    found = directed(current(lines, note=Note("Be grim.", depth, every)))
    assert (Inset("[Be grim.]", depth) in found.insets) == due
    assert found.note_every == every
    assert any("Be grim." in section.text for section in found.tail) == (not depth)


def test_the_narrator_is_asked_for_updates_only_where_they_are_wanted() -> None:
    names = [
        {section.name for section in directed(current(), updates=on).sections} for on in (True, False)
    ]
    assert names[0] - names[1] == {"state updates"}


def test_now_is_the_newest_of_each_kind() -> None:
    path = [
        line(1, "assistant", "a", 10.0),
        line(2, "user", "b", 20.0),
        line(3, "assistant", "c", 50.0),
    ]
    sheet = Sheet(flags={"Lamp lit": "yes"}, counters={"Coins": Counter(3)})
    now = CurrentState(StoryState(sheet=sheet), Steering(), Now(2, 9.0), 1.0)
    values = live(values_of(ASSETS, PLACE, now), PLACE, now, {"coins": "7"}, path)
    assert (values.last_message, values.last_message_id) == ("c", "3")
    assert (values.last_user_message, values.last_char_message) == ("b", "c")
    assert (values.idle_s, values.seed) == (30.0, "s:2")
    assert "7" in values.variables.values()
    assert "3" not in values.variables.values()
    early = live(values, PLACE, now, {}, path[:1])
    assert (early.last_user_message, early.idle_s) == ("", 0.0)
    none = live(values, PLACE, now, {}, [])
    assert (none.last_message, none.last_message_id, none.last_char_message) == ("", "", "")
    backwards = live(values, PLACE, now, {}, [line(1, "user", "a", 9.0), line(2, "user", "b", 3.0)])
    assert backwards.idle_s == 0.0


def test_variables_that_are_as_before_are_none() -> None:
    now = current()
    values = live(values_of(ASSETS, PLACE, now), PLACE, now, {"a": "1"}, [])
    assert changed(Expanded("", {"a": "1"}), values) is None
    assert changed(Expanded("", {"a": "2"}), values) == {"a": "2"}
    sheet = Sheet(flags={"lamp": "lit"})
    lit = CurrentState(StoryState(sheet=sheet), Steering(), Now(0, 9.0), 1.0)
    values = live(values_of(ASSETS, PLACE, lit), PLACE, lit, {}, [])
    (name,) = values.sheet
    assert changed(Expanded("", {name: "lit", "b": "1"}), values) == {"b": "1"}
    assert changed(Expanded("", {name: "out", "b": "1"}), values) == {name: "out", "b": "1"}


def test_a_speaker_has_the_model_of_the_story_or_the_card() -> None:
    assert model_of("mara", [MARA, OLAF], Cast()) == "scripted/own"
    assert model_of("olaf", [MARA, OLAF], Cast()) == ""
    assert model_of("mara", [MARA], Cast(models={"mara": "scripted/two"})) == "scripted/two"


@pytest.mark.parametrize(
    ("stops", "user", "names"),
    [(False, "Ines", ()), (True, "Ines", ("You", "Ines")), (True, NOBODY, ("You", "User", "Player"))],
)
def test_no_line_of_a_reply_begins_with_the_players_name(
    stops: bool, user: str, names: tuple[str, ...]
) -> None:
    user = "".join(list(user))  # as it is read, not the constant itself
    context = SimpleNamespace(direction=SimpleNamespace(values=SimpleNamespace(user=user)))
    services = SimpleNamespace(stop_at_player=stops)
    assert _player_names(services, context) == names  # type: ignore[arg-type] # asked for nothing else


def test_a_prompt_has_what_the_reply_leaves_of_the_context() -> None:
    model = ChosenModel(id="m", provider=ScriptedProvider(), name="m")
    room = model.room(StorySettings({}, 4_000, 1_000))
    assert (room.context, room.reply) == (4_000, 1_000)
    assert 0.85 * 3_000 < room.prompt <= 3_000
    small = replace(model, context_limit=2_100).room(StorySettings({}, 4_000, 1_000))
    assert (small.context, small.reply) == (
        2_100,
        700,
    )  # never more than a third of what the model reads


def test_insets_are_moved_by_depth_alone() -> None:
    insets = [Inset("a", -1), Inset("b", 2, "assistant")]
    assert _moved(insets, lambda depth: depth + 1) == (Inset("b", 3, "assistant"), Inset("a", 0))


# --- what a prompt has room for -----------------------------------------------------------------

COUNTER = TokenCounter()


def told(number: int, role: str = "user", content: str = "word " * 20, **more: str) -> PromptLine:
    return PromptLine(number, role, content, **more)


SIZE = _line_tokens(told(1), COUNTER)


def test_a_window_stays_where_it_was_while_it_fits() -> None:
    lines = [told(number) for number in range(1, 11)]
    assert _window(lines, 10 * SIZE, None, None, COUNTER) == 0
    assert _window(lines, 8 * SIZE, 3, None, COUNTER) == 2
    assert _window(lines, 8 * SIZE - 1, 3, None, COUNTER) > 2


def test_a_window_moves_to_the_end_of_the_summary_if_that_frees_enough() -> None:
    lines = [told(number) for number in range(1, 11)]
    room = 8 * SIZE
    assert _window(lines, room, None, 6, COUNTER) == 6
    far_below = _window(lines, room, None, None, COUNTER)
    assert far_below == 10 - int(int(room * WINDOW_LOW_SHARE) // SIZE)
    assert _window(lines, room, None, 1, COUNTER) == far_below  # too little would be free
    assert _window(lines, room, None, 10, COUNTER) == far_below  # nothing would be left


def test_the_newest_line_is_in_every_window() -> None:
    lines = [told(number, "assistant") for number in range(1, 4)]
    assert _window(lines, 1, None, None, COUNTER) == 2


def messages(lines: Sequence[PromptLine], *insets: Inset) -> list[tuple[str, str]]:
    return [(one.role, one.content) for one in _alternating(lines, insets)]


def test_messages_alternate_and_begin_with_the_player() -> None:
    lines = [
        told(1, "assistant", "a"),
        told(2, "user", "b"),
        told(3, "system", "c"),
        told(4, "assistant", "d"),
    ]
    assert messages(lines) == [
        ("user", OPENING),
        ("assistant", "a"),
        ("user", "b\n\nc"),
        ("assistant", "d"),
    ]
    assert messages([]) == []


@pytest.mark.parametrize(
    ("depth", "contents"),
    [
        (-1, ["a", "b", "c\n\nnote"]),
        (0, ["a", "b", "note\n\nc"]),
        (1, ["a\n\nnote", "b", "c"]),
        (2, ["note\n\na", "b", "c"]),
        (9, ["note\n\na", "b", "c"]),
    ],
)
def test_a_note_stands_at_its_depth_or_at_the_beginning(depth: int, contents: list[str]) -> None:
    lines = [told(1, "user", "a"), told(2, "assistant", "b"), told(3, "user", "c")]
    assert [text for _, text in messages(lines, Inset("note", depth))] == contents


def test_what_goes_with_a_line_stands_before_it() -> None:
    def content(role: str, **more: str) -> str:
        return messages([told(1, "user", "go"), told(2, role, "line", **more)])[-1][1].removeprefix(
            "go\n\n"
        )

    assert content("user", state="S") == f"S\n\n{PLAYERS_WORDS}\n\nline"
    assert content("user", state="S", recalled="R") == "S\n\nR\n\nline"
    assert content("user", recalled="R") == "R\n\nline"
    assert content("assistant", state="S") == "S\n\nline"


def test_sections_give_way_by_priority_and_keep_their_order() -> None:
    texts = {"a": 30, "b": 10, "c": 20}
    sections = [Section(name, "x", f"{name} " + "word " * 60, rank) for name, rank in texts.items()]
    size = COUNTER.count(sections[0].text)

    def kept(budget: int) -> list[tuple[str, bool]]:
        return [(section.name, cut) for section, cut in _fit_sections(sections, budget, COUNTER)]

    assert kept(3 * size) == [("a", False), ("b", False), ("c", False)]
    assert kept(3 * size - 1) == [("a", False), ("b", True), ("c", False)]
    assert kept(2 * size) == [("a", False), ("c", False)]
    assert kept(2 * size + MIN_SECTION_TOKENS) == [("a", False), ("b", True), ("c", False)]
    assert kept(2 * size + MIN_SECTION_TOKENS - 1) == [("a", False), ("c", False)]
    assert kept(size + MIN_SECTION_TOKENS) == [("a", False), ("c", True)]
    assert kept(0) == []


def test_a_line_is_cut_only_where_it_is_too_long() -> None:
    line = told(1, recalled="word " * 9)
    assert _fit_line(line, 4 * SIZE, COUNTER) is line
    cut = _fit_line(told(1, content="word " * 99, recalled="word " * 99), 40, COUNTER)
    assert 10 <= COUNTER.count(cut.recalled) <= 20
    assert 12 <= COUNTER.count(cut.content) <= 40 - COUNTER.count(cut.recalled)


def test_the_scene_is_the_last_messages_before_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def latest(*_: object, scene: list[str], **__: object) -> tuple[Section, ...]:
        seen.append(scene)
        return ()

    monkeypatch.setattr(direction, "state_sections", latest)
    path = [line(number, "user", f"{number} {'x' * SCENE_CHARS}{number}") for number in range(1, 10)]
    directed(current(), path)
    directed(current(), path[:1])
    assert [text[-1] for text in seen[0]] == [str(n) for n in range(9 - SCENE_MESSAGES, 9)]
    assert {len(text) for text in seen[0]} == {SCENE_CHARS}
    assert seen[1] == []


# --- whose words, further -----------------------------------------------------------------------


def test_who_speaks_is_written_for_and_knows_their_own_lore() -> None:
    both = Cast(members=("olaf",), mode="named")

    def found(line: str, **now: str) -> tuple[str, str, tuple[str, ...]]:
        state = replace(current(cast=both), **now)
        one = direct(ASSETS, Selection("c"), PLACE, state, (), line, variables={}, continues=bool(now))
        assert one.character is not None
        return one.speaker, one.character.id, tuple(card.id for card in one.knowing)

    assert found("I turn to Mara.") == ("mara", "mara", ("mara",))
    assert found("I turn to Olaf.") == ("olaf", "olaf", ("olaf",))
    assert found("I turn to Mara.", speaker="olaf") == (
        "olaf",
        "olaf",
        ("olaf",),
    )  # a reply that goes on
    alone = direct(
        ASSETS, Selection("c"), StoryRef("s", "harbour", ""), current(), (), "I wait.", variables={}
    )
    assert (alone.character, alone.played, alone.knowing, alone.insets) == (None, (), (), ())
    open_ended = directed(current(cast=both), continues=True)
    assert (open_ended.speaker, [card.id for card in open_ended.knowing]) == ("", ["mara", "olaf"])
    assert open_ended.character is not None
    assert open_ended.character.id == "mara"


def test_the_storys_own_character_is_the_first_of_the_cast() -> None:
    found = directed(current(cast=Cast(members=("olaf", "nobody", "mara"))))
    assert [card.id for card in found.played] == ["mara", "olaf"]
    names = [section.source for section in found.sections if section.name == "character"]
    assert names == ["mara", "olaf"]
    assert found.insets == (Inset("Stay dry.", 0),)  # of the story's own alone
    other = direct(ASSETS, Selection("c"), StoryRef("s", "harbour", "olaf"),
                   current(cast=Cast(members=("mara",))), (), "I wait.", variables={})  # fmt: skip
    assert other.insets == ()
    assert other.values.char == "Olaf"


def test_a_note_is_told_every_line_unless_it_says_otherwise() -> None:
    assert directed(current()).note_every == 1
    assert directed(current(note=Note("Be grim.", 0, 4))).note_every == 4
    assert directed(current()).variables is None
    setting = directed(current(note=Note("{{setvar::n::1}}Be grim.", 0, 1)))
    assert setting.variables == {"n": "1"}
    assert setting.live is not None
    assert setting.live.variables == {"n": "1"}


def test_updates_are_asked_for_after_all_that_is_stable() -> None:
    last = directed(current(), updates=True).sections[-1]
    assert (last.name, last.source, last.priority) == ("state updates", "config.yaml", 65)


def test_greetings_are_written_before_the_first_line() -> None:
    """At the moment of the story's beginning."""
    card = replace(MARA, greeting="{{date}} {{pick::a::b::c}}", group_greetings=("{{date}}",))
    assets = Assets({"harbour": WORLD}, {"mara": card, "olaf": OLAF}, {}, "", ())
    for begun in (1.0, 86_400.0 * 40):
        told = [one.text for one in greetings(assets, PLACE, Persona("Ines"), begun)]
        steered = Steering(cast=Cast(members=("olaf",)))
        several = [one.text for one in greetings_of_cast(assets, PLACE, steered, begun)]
        day = expand("{{date}}", values_of(ASSETS, PLACE, replace(current(), begun=begun)))
        assert told[0].startswith(f"{day} ")
        assert several == [day, "At last!"]


def test_macros_stand_for_the_card_and_the_world() -> None:
    card = replace(
        MARA, scenario="", depth_prompt=DepthPrompt("Tired.", 1, "system"), notes="N.", version="2", system_prompt="P.",
        example_dialogue="E.",
    )  # fmt: skip
    values = values_of(
        ASSETS, replace(PLACE, model="m"), current(persona=Persona("Ines", "Tall.")), card
    )
    assert (values.char, values.user, values.persona, values.model) == ("Mara", "Ines", "Tall.", "m")
    assert (values.scenario, values.world, values.group) == ("Dusk.", "Harbour", "")
    assert (values.description, values.char_prompt, values.depth_prompt) == ("Dry.", "P.", "Tired.")
    assert (values.char_instruction, values.creator_notes, values.char_version) == (
        "Stay dry.",
        "N.",
        "2",
    )
    assert (values.examples, values.greetings) == ("E.", ("Evening, {{user}}.", "", "Morning."))
    assert (values.seed, values.story_seed, values.original) == ("s", "s", "")
    own = values_of(
        ASSETS, PLACE, current(cast=Cast(members=("olaf", "mara"))), replace(card, scenario="Fog.")
    )
    assert (own.scenario, own.group, own.user) == ("Fog.", "Olaf, Mara", NOBODY)
    none = values_of(ASSETS, StoryRef("s", "", ""), current())
    assert (none.scenario, none.world, none.char, none.depth_prompt) == ("", "", "the narrator", "")


def test_a_card_may_replace_the_rules_or_put_its_own_around_them() -> None:
    values = values_of(ASSETS, PLACE, current())

    def prompt(text: str) -> str:
        return played_by(replace(OLAF, system_prompt=text), values, "Rules.").system_prompt

    assert prompt("") == prompt("  ") == "Rules."
    assert prompt("{{char}} rules.") == "Olaf rules."
    assert prompt("A {{original}} {{ORIGINAL}} {{user}}") == f"A Rules. Rules. {NOBODY}"
    card = replace(OLAF, persona="{{char}}", scenario="{{user}}", example_dialogue="{{char}}:")
    played = played_by(card, values, "")
    assert (played.persona, played.scenario, played.example_dialogue) == ("Olaf", NOBODY, "Olaf:")


def test_lore_is_expanded_for_who_knows_it_and_memories_stay_as_they_were_said() -> None:
    one = directed(current(cast=Cast(members=("olaf",))))
    found = [
        Hit(Passage(n, kind, scope, "", "", "{{char}}"), 1.0, None, (), 1)  # type: ignore[arg-type]
        for n, (kind, scope) in enumerate(
            (
                ("lore", cast_scope("olaf")),
                ("lore", "lore:w"),
                ("memory", cast_scope("olaf")),
                ("memory", "memory:s"),
            )
        )
    ]
    texts = [item.passage.text for item in expanded_lore(found, replace(one, knowing=(OLAF,)))]
    assert texts == ["Olaf", "Mara", "{{char}}", "{{char}}"]


def test_a_world_has_its_short_texts_expanded() -> None:
    values = values_of(ASSETS, PLACE, current())
    world = expanded_world(
        replace(WORLD, scene="{{char}}", system_prompt="{{user}}", lore="{{char}}"), values
    )
    assert world is not None
    assert (world.scene, world.system_prompt, world.lore) == ("the narrator", NOBODY, "{{char}}")
    assert expanded_world(None, values) is None
    assert ambience_of(WORLD, "s", current()) == {}
    assert ambience_of(None, "s", current()) == {}
