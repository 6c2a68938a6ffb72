"""Small rules of what a prompt is made with, one by one: settings of a story, scripts, other forms of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from flower.engine.prompt import model
from flower.engine.prompt.model import LORE_SHARE
from flower.engine.prompt.plain_text import as_story
from flower.engine.prompt.scripted import (
    Acted,
    ScriptRunner,
    rows_of_scripts,
    scripted_path,
    shown_texts,
)
from flower.engine.prompt.sent import SentPrompt, text_of
from flower.engine.provider.base import PromptMessage, Template
from flower.engine.scripts.script import Script, ScriptPlace
from flower.engine.store import stories
from tests.engine.prompt.test_macros import VALUES
from tests.engine.prompt.test_shelf_rules import line

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
