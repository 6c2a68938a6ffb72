"""Small rules of what a prompt is made with, one by one: settings of a story, scripts, other forms of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from flower import limits
from flower.engine.game.steering import Cast, Steering
from flower.engine.lorebook.book import Position
from flower.engine.lorebook.outcome import Cause, Fired, Place
from flower.engine.lorebook.rules import EntryId, LoreRules
from flower.engine.prompt import model, scripted
from flower.engine.prompt.direction import StoryRef
from flower.engine.prompt.model import LORE_SHARE, THINKING_TOKENS
from flower.engine.prompt.plain_text import as_story
from flower.engine.prompt.scripted import (
    Acted,
    ScriptRunner,
    rows_of_scripts,
    scripted_lore,
    scripted_path,
    shown_texts,
)
from flower.engine.prompt.sent import SentPrompt, text_of
from flower.engine.provider.base import ModelInfo, PromptMessage, Template
from flower.engine.scripts.apply import ScriptResult
from flower.engine.scripts.script import Script, ScriptPlace
from flower.engine.store import stories
from flower.engine.store.extra import ManifestEntry
from flower.settings import samplers
from tests.engine.prompt.test_macros import VALUES
from tests.engine.prompt.test_shelf_rules import line
from tests.fakes import ScriptedProvider

# --- settings -----------------------------------------------------------------------------------


class Services:
    """Settings for everybody, and what a story has of its own."""

    def __init__(self, params: dict[str, object], own: dict[str, object]) -> None:
        self.params, self.own, self.database = params, own, self
        self.context_tokens, self.reply_tokens = 4_000, 400

    async def read(self, *_: object) -> dict[str, object]:
        return self.own


@pytest.mark.parametrize(
    ("seed", "variant", "sent"),
    [(0, 1, 1), (3, 1, 4), (7, 0, 7), (-1, 2, -1), (None, 2, None), ("x", 1, "x")],
)
async def test_a_seed_is_another_one_for_each_variant(seed: object, variant: int, sent: object) -> None:
    services: Any = Services({"temperature": 1.0, "seed": 9}, {"seed": seed})
    settings = await model.settings_of(services, "s", "m")
    assert settings.params(variant) == {"temperature": 1.0, "seed": sent}
    assert (settings.banned, await model.template_of(services, settings)) == ((), None)


@pytest.mark.parametrize(
    ("own", "lengths"),
    [
        ({}, (4_000, 400)), ({"context_tokens": 8_000}, (8_000, 400)), ({"max_tokens": 200}, (4_000, 200)),
        ({"context_tokens": 8_000, "max_tokens": 200}, (8_000, 200)), ({"max_tokens": "x"}, (4_000, 400)),
    ],
)  # fmt: skip
async def test_a_story_may_have_lengths_of_its_own(
    own: dict[str, object], lengths: tuple[int, int]
) -> None:
    services: Any = Services({}, own)
    settings = await model.settings_of(services, "s", "m")
    assert (settings.context_tokens, settings.reply_tokens) == lengths


@pytest.mark.parametrize(
    ("own", "room"), [({"lore_tokens": 77}, 77), ({}, 55), ({"lore_tokens": "no"}, None)]
)
def test_lore_has_the_room_of_the_story_else_of_everybody(
    own: dict[str, object], room: int | None
) -> None:
    services: Any = Services({"lore_tokens": 55}, {})
    settings = model.settings_with(services, own)
    assert settings.lore_tokens == (room or model.budget(LORE_SHARE, 4_000))


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
    found = model.read_template(values, around)
    assert isinstance(found, Template)
    assert found.system == system
    assert model.read_template({"user": 1}, around) is None


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
    deep = (script(most_depth=0, in_prompt=True), script(name="y", most_depth=0, on_screen=True))
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
    said = [
        PromptMessage("user", "Go."),
        PromptMessage("assistant", "You"),
        PromptMessage("user", "On."),
    ]
    assert as_story("", said) == "> Go.\n\nYou\n\n> On.\n\n"
    assert as_story("A quay.", said[:2]) == "A quay.\n\n* * *\n\n> Go.\n\nYou"
    assert as_story("", []) == "\n\n"


def test_what_was_sent_is_shown_with_its_settings_before_its_words() -> None:
    body = {"model": "m", "top_k": 5, "messages": [{"role": "user", "content": [{"text": "Go"}, {"text": "."}]}],
            "system": [{"text": "Tell."}]}  # fmt: skip
    assert text_of(SentPrompt(7, "m", (), body)).split("\n\n") == [
        "To m, for message 7:", '{"model": "m", "top_k": 5}', "--- system ---\nTell.", "--- user ---\nGo."
    ]  # fmt: skip
    assert text_of(SentPrompt(7, "m", (PromptMessage("user", "Go."),))).split("\n\n") == [
        "Nothing was sent anywhere; m had this, for message 7:", "--- user ---\nGo."
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("context", "room"),
    [(4 * THINKING_TOKENS, THINKING_TOKENS), (4 * THINKING_TOKENS - 4, THINKING_TOKENS - 1),
     (10**9, THINKING_TOKENS), (400, 100), (403, 100), (0, 0)],
)  # fmt: skip
def test_a_model_that_thinks_has_a_quarter_of_a_small_context_for_it(context: int, room: int) -> None:
    assert model.thinking_room(context) == room


@pytest.mark.parametrize(
    ("known", "refused", "tokens"),
    [(0, None, 8_000), (4_000, None, 4_000), (0, 3_000, 3_000), (4_000, 3_000, 3_000), (2_000, 3_000, 2_000),
     (99_000, 99_000, 8_000)],
)  # fmt: skip
def test_a_model_reads_the_smallest_of_what_is_known(
    known: int, refused: int | None, tokens: int
) -> None:
    info = ModelInfo("m", "m", context_tokens=known) if known else None
    one = model.ChosenModel(
        id="m", provider=ScriptedProvider(), name="m", info=info, context_limit=refused
    )
    assert one.context_tokens(8_000) == tokens
    room = one.room(model.StorySettings({}, 8_000, 10_000))
    assert (room.context, room.reply) == (tokens, tokens // model.REPLY_SHARE)
    assert room.prompt == int((tokens - room.reply) * limits.CONTEXT_USED_SHARE)
    assert one.room(model.StorySettings({}, 8_000, 5)).reply == 5


def test_settings_that_make_no_sense_are_as_if_not_there() -> None:
    def settings(**values: object) -> model.StorySettings:
        return model.StorySettings(values, 8_000, 100)

    assert settings(**{samplers.BANNED: ["a", "b"]}).banned == ("a", "b")
    assert settings(**{samplers.BANNED: 7}).banned == ()
    silly, own = LoreRules.SILLYTAVERN, LoreRules.FLOWER
    assert settings(**{samplers.LORE_RULES: "".join(["silly", "tavern"])}).lore_rules is silly
    for value in ("", "a", "zzz", None, own):
        assert settings(**{samplers.LORE_RULES: value}).lore_rules is own
    assert set(settings(**dict.fromkeys(samplers.OURS, 1), top_k=5).params()) == {"top_k"}


@pytest.mark.parametrize("name", ["aaa", "zzz", 7, None])
async def test_a_template_of_no_known_name_is_looked_for_among_those_stored(name: object) -> None:
    asked: list[object] = []

    async def read(*args: object) -> None:
        asked.append(args[1:])

    services: Any = SimpleNamespace(database=SimpleNamespace(read=read))
    settings = model.StorySettings({samplers.TEMPLATE: name}, 8_000, 100)
    assert await model.template_of(services, settings) is None
    kinds = (
        []
        if not isinstance(name, str)
        else [(model.presets.INSTRUCT, name), (model.presets.CONTEXT, name)]
    )
    assert asked == kinds
    known = next(iter(model.TEMPLATES))
    settings = model.StorySettings({samplers.TEMPLATE: known}, 8_000, 100)
    assert await model.template_of(services, settings) is model.TEMPLATES[known]


# --- scripts, further ---------------------------------------------------------------------------


def fired(text: str, position: Position = Position.BEFORE_CHARACTER, depth: int = 0) -> Fired:
    return Fired(EntryId("B", text), "", text, Place(position, depth), 1.0, Cause.KEY)


def test_scripts_change_lore_by_its_depth_if_it_has_one() -> None:
    """Elsewhere no depth keeps a script from an entry. What it does not change stays the same."""
    lore = (ScriptPlace.LORE,)
    entries = [
        fired("A bell."),
        fired("Deep bell.", Position.AT_DEPTH, 4),
        fired("Quiet."),
        fired("Zz bell."),
    ]
    acted = Acted((script(places=lore, in_prompt=True, most_depth=2),))
    found, after = scripted_lore(ScriptRunner(), acted, entries, VALUES)
    assert [one.text for one in found] == ["A BELL.", "Deep bell.", "Quiet.", "Zz BELL."]
    assert found[2] is entries[2]
    assert (after.counts, after.scripts) == ({"x": 2}, acted.scripts)
    assert scripted_lore(ScriptRunner(), acted, (), VALUES) == ((), acted)


@pytest.mark.parametrize(
    ("most", "prompt", "screen"), [(0, [4], [3]), (1, [3, 4], [3]), (2, [2, 3, 4], [2, 3]),
    (9, [1, 2, 3, 4], [1, 2, 3])]
)  # fmt: skip
def test_depths_count_from_the_newest_message(most: int, prompt: list[int], screen: list[int]) -> None:
    path = path_of("user", "assistant", "user", "assistant")
    one = (script(most_depth=most, in_prompt=True),)
    found, _ = scripted_path(ScriptRunner(), one, path, VALUES)
    assert [message.id for message in found if "BELL" in message.content] == prompt
    two = (script(most_depth=most, on_screen=True),)
    assert list(shown_texts(ScriptRunner(), two, path[:3], VALUES, below=1 if most else 0)) == screen


def test_words_that_were_edited_or_came_from_elsewhere_are_not_as_they_came() -> None:
    for extra, changed in (({}, True), ({"edited": True}, False), ({"imported": True}, False)):
        found, _ = scripted_path(ScriptRunner(), (script(),), path_of("user", **extra), VALUES)
        assert ("BELL" in found[0].content) is changed


def test_scripts_are_told_the_names_of_now() -> None:
    one = (script(replacement="{{user}}"),)
    runner = ScriptRunner()
    for user in ("Ines", "Ned"):
        found, _ = scripted_path(runner, one, path_of("user"), replace(VALUES, user=user))
        assert found[0].content == f"A {user}."


def test_trouble_with_scripts_is_listed_once() -> None:
    acted = Acted(trouble=("y",)).and_also(ScriptResult((), {}, ("y", "z")))
    assert acted.trouble == ("y", "z")
    assert [(part.section, part.source, part.tokens) for part in rows_of_scripts(acted)] == [
        ("script", "y", 0), ("script", "z", 0)
    ]  # fmt: skip
    counted = rows_of_scripts(Acted(counts={"x": 3}))
    assert counted == [ManifestEntry("script", "x", 0, "changed 3 texts")]


@pytest.mark.parametrize("before", [None, 9])
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("count", [0, 3])
def test_a_page_is_shown_as_scripts_make_it(
    monkeypatch: pytest.MonkeyPatch, before: int | None, held: bool, count: int
) -> None:
    """The depth of an older page counts what follows it on the way to the newest message."""
    asked: dict[str, object] = {}
    page: Any = Page(count)
    monkeypatch.setattr(scripted.tree, "page", lambda *_: page)
    monkeypatch.setattr(scripted.stories, "active_leaf", lambda *_: 12)
    monkeypatch.setattr(scripted.states, "steering", lambda *_: Steering(cast=Cast(members=("olaf",))))
    monkeypatch.setattr(
        scripted.states, "current_at", lambda *args: asked.update(leaf=args[2], created=args[3])
    )
    monkeypatch.setattr(scripted.stories, "path_ids", lambda *_: [1, 2, 3, 10, 12])
    monkeypatch.setattr(
        scripted.scripts, "holding", lambda _, ids: asked.update(ids=ids) or (() if not held else (1,))
    )
    monkeypatch.setattr(scripted, "values_of", lambda *_: VALUES)
    monkeypatch.setattr(scripted, "shown_texts", lambda *args: asked.update(below=args[4]) or {1: "x"})
    monkeypatch.setattr(scripted, "replace", lambda page, **fields: fields)
    nothing: Any = None
    assets: Any = SimpleNamespace(characters={})
    found: Any = scripted.scripted_page(nothing, assets, nothing, StoryRef("s", "w", "mara"), before)
    if not (count and held):
        assert found is page
        assert "below" not in asked
    else:
        assert found == {"shown": {1: "x"}}
        assert asked["below"] == (0 if before is None else 2)
        assert (asked["leaf"], asked["created"]) == (12, 30.0)
    assert asked.get("ids") == (("mara", "olaf") if count else None)


class Page:
    def __init__(self, count: int) -> None:
        self.messages = [replace(line(n), created=10.0 * n) for n in range(1, count + 1)]
