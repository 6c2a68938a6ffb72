"""Presets: settings under a name, SillyTavern's read as ours, and prompts written as an imported one says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower.engine.importing.take import File, take
from flower.engine.interchange import presets, sillytavern_settings
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Kind, Preset
from flower.engine.prompt.model import read_template
from flower.engine.provider.base import PromptMessage, Template
from flower.engine.provider.text_prompts import render
from flower.errors import ImportFileError
from flower.protocol.messages import ErrorEvent
from flower.settings import samplers
from tests.engine_world import engine_world

# The shape of SillyTavern's own presets for text completion: most of it says nothing.
TEXTGEN = {
    "temp": 1.5, "temperature_last": True, "top_p": 1, "top_k": 0, "top_a": 0, "tfs": 1, "typical_p": 1,
    "min_p": 0.1, "rep_pen": 1, "rep_pen_range": 0, "freq_pen": 0, "presence_pen": 0, "dynatemp": False,
    "min_temp": 0, "max_temp": 2, "dynatemp_exponent": 1, "smoothing_factor": 0, "dry_allowed_length": 2,
    "dry_multiplier": 0, "dry_base": 1.75, "mirostat_mode": 0, "mirostat_tau": 5, "mirostat_eta": 0.1,
    "guidance_scale": 1, "negative_prompt": "", "banned_tokens": "", "logit_bias": [], "xtc_threshold": 0.1,
    "xtc_probability": 0, "nsigma": 0, "do_sample": True,
}  # fmt: skip
MESSAGES = (
    PromptMessage("system", "You narrate."),
    PromptMessage("user", "I knock."),
    PromptMessage("assistant", "Nobody."),
    PromptMessage("user", "Again."),
)


def of(value: dict[str, Any], name: str = "Mine") -> Preset:
    kind = presets.kind_of(value)
    assert kind is not None
    return presets.read(value, kind, name).presets[0]


def test_what_says_nothing_is_left_out_but_for_what_servers_set_themselves() -> None:
    assert of(TEXTGEN).values == {
        "temperature": 1.5,
        "top_p": 1,
        "top_k": 0,
        "min_p": 0.1,
        "repetition_penalty": 1,
    }
    assert presets.read(TEXTGEN, Kind.SAMPLER_PRESET).notices == ()


def test_everything_known_is_taken_over_by_our_names() -> None:
    value = TEXTGEN | {
        "rep_pen_range": 1024, "dry_multiplier": 0.8, "xtc_probability": 0.5, "mirostat_mode": 2, "nsigma": 1.5,
        "genamt": 350, "max_length": 8192, "typical_p": 0.9, "smoothing_factor": 0.2,
    }  # fmt: skip
    values = of(value).values
    expected = {
        "repeat_last_n": 1024, "dry_multiplier": 0.8, "dry_base": 1.75, "dry_allowed_length": 2,
        "xtc_probability": 0.5, "xtc_threshold": 0.1, "mirostat": 2, "mirostat_tau": 5, "top_n_sigma": 1.5,
        "max_tokens": 350, "context_tokens": 8192, "typical_p": 0.9, "smoothing_factor": 0.2,
    }  # fmt: skip
    assert expected.items() <= values.items()


def test_a_range_of_temperatures_becomes_one_around_the_middle() -> None:
    value = of(TEXTGEN | {"dynatemp": True, "min_temp": 0.5, "max_temp": 1.5})
    assert value.values["temperature"] == 1.0
    assert value.values["dynatemp_range"] == 0.5


def test_what_has_no_place_is_named() -> None:
    value = TEXTGEN | {"tfs": 0.9, "guidance_scale": 1.5, "sampler_order": [6, 0], "temp": 99}
    (notice,) = presets.read(value, Kind.SAMPLER_PRESET).notices
    for name in ("tfs", "guidance_scale", "the order of its samplers", "temp 99"):
        assert name in notice


def test_banned_tokens_become_phrases() -> None:
    value = TEXTGEN | {
        "banned_tokens": '"barely above a whisper"\nshivers\n[1, 2]',
        "logit_bias": [{"text": "ministrations", "value": -100}, {"text": "good", "value": 5}],
    }
    found = presets.read(value, Kind.SAMPLER_PRESET)
    assert found.presets[0].values["banned_phrases"] == [
        "barely above a whisper",
        "shivers",
        "ministrations",
    ]
    assert "by their numbers" in found.notices[0]
    assert "logit_bias" in found.notices[0]


def test_presets_of_kobold_and_of_chat_completion_are_read() -> None:
    kobold = {
        "temp": 1.01, "rep_pen": 1.21, "rep_pen_range": 2048, "top_p": 0.21, "top_a": 0.75, "top_k": 91,
        "typical": 1, "tfs": 1, "sampler_order": [6, 0], "mirostat": 0,
    }  # fmt: skip
    assert of(kobold).values["top_a"] == 0.75
    assert of(kobold).values["repeat_last_n"] == 2048
    chat = {
        "chat_completion_source": "openai", "temperature": 1, "top_p": 0.98, "frequency_penalty": 0.2, "seed": -1,
        "openai_max_context": 4095, "openai_max_tokens": 300, "reasoning_effort": "high", "proxy_password": "secret",
        "prompts": [{"identifier": "main", "content": "Write a reply."}], "prompt_order": [], "n": 1,
    }  # fmt: skip
    found = presets.read(chat, Kind.SAMPLER_PRESET)
    assert found.presets[0].values == {
        "temperature": 1,
        "top_p": 0.98,
        "frequency_penalty": 0.2,
        "max_tokens": 300,
        "context_tokens": 4095,
        "reasoning_effort": "high",
    }
    assert "its prompts" in found.notices[0]
    assert "secret" not in found.notices[0]


@pytest.mark.parametrize("value", [[], {}, {"entries": {}}, {"temp": 1}, {"temperature": 1}, "x", None])
def test_anything_else_is_no_preset(value: object) -> None:
    assert presets.kind_of(value) is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    [*TEXTGEN, "input_sequence", "output_sequence", "story_string", "wrap", "prompts", "genamt", "chat_start",
     "system_sequence", "stop_sequence", "openai_max_tokens", "temperature", "instruct", "preset"]
)  # fmt: skip


@given(st.dictionaries(KEYS, VALUES, max_size=12))
def test_whatever_stands_in_a_file_gives_settings_that_hold_or_one_sentence(
    value: dict[str, Any],
) -> None:
    try:
        found = read(json.dumps(value).encode(), "file")
    except ImportFileError:
        return
    for preset in found.presets:
        if preset.kind is Kind.SAMPLER_PRESET:
            assert samplers.checked(preset.values) == preset.values
        elif preset.kind is Kind.INSTRUCT_PRESET:
            assert isinstance(read_template(preset.values, {}), Template)


# --- prompts as text ------------------------------------------------------------------------------------

INSTRUCT = {
    "name": "Tide", "input_sequence": "<|u|>", "output_sequence": "<|a|>", "system_sequence": "<|s|>",
    "input_suffix": "<|/u|>", "output_suffix": "<|/a|>", "system_suffix": "<|/s|>", "stop_sequence": "<|/a|>",
    "wrap": False, "last_output_sequence": "",
}  # fmt: skip


def written(value: dict[str, Any], around: dict[str, Any] | None = None) -> str:
    beside = of(around).values if around is not None else {}
    template = read_template(of(value).values, beside)
    assert template is not None
    return render(MESSAGES, template)


def test_a_prompt_is_written_with_the_sequences_of_an_instruct_preset() -> None:
    assert written(INSTRUCT) == (
        "<|s|>You narrate.<|/s|><|u|>I knock.<|/u|><|a|>Nobody.<|/a|><|u|>Again.<|/u|><|a|>"
    )
    assert written(INSTRUCT | {"last_output_sequence": "<|a|><think></think>"}).endswith(
        "<|a|><think></think>"
    )


def test_wrapped_sequences_stand_on_lines_of_their_own() -> None:
    alpaca = {
        "input_sequence": "### Instruction:", "output_sequence": "### Response:", "wrap": True,
        "input_suffix": "\n\n", "output_suffix": "\n\n", "system_same_as_user": True,
    }  # fmt: skip
    assert written(alpaca).startswith(
        "### Instruction:\nYou narrate.\n\n### Instruction:\nI knock.\n\n"
    )
    template = read_template(of(alpaca).values, {})
    assert template is not None
    assert template.stop == ("### Instruction:", "### Response:")


def test_a_context_preset_says_what_stands_around_the_system_text() -> None:
    around = {
        "name": "Tide",
        "story_string": "[S]{{#if system}}{{system}}{{/if}}[/S]",
        "chat_start": "***",
    }
    assert written(INSTRUCT, around).startswith("[S]You narrate.[/S]***\n<|u|>I knock.")


def test_macros_in_sequences_are_named() -> None:
    (notice,) = presets.read(
        INSTRUCT | {"input_sequence": "<|{{user}}|>"}, Kind.INSTRUCT_PRESET
    ).notices
    assert "the macros in input_sequence" in notice


# --- in the engine --------------------------------------------------------------------------------------


async def test_settings_are_kept_under_a_name_and_given_to_another_story(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say("/set temperature 0.7")
        await face.say("/set banned_phrases a shiver | barely above a whisper")
        await face.say("/preset save calm")
        await face.say("/session new")
        await face.say("/set top_k 5")
        await face.say("/preset load CALM")
        await face.say_and_wait("I wait.")
        asked = world.provider.completions[-1]
        assert asked.params == {"temperature": 0.7}  # and not top_k: a preset is all of the settings
        assert asked.banned == ("a shiver", "barely above a whisper")
        await face.say("/preset list")
        await trio.testing.wait_all_tasks_blocked()
        assert "calm: " in face.notice
        await face.say("/preset delete calm")
        await face.say("/preset load calm")
        await trio.testing.wait_all_tasks_blocked()
        assert "There is no 'calm'" in face.of(ErrorEvent)[-1].content


async def test_an_imported_preset_and_template_are_used_by_name(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        for name, value in (("Spicy", TEXTGEN), ("Tide", INSTRUCT)):
            data = json.dumps(value).encode()
            file = File(name, data, name.encode(), read(data, name))
            outcome = await world.database.write(take, file, 1.0, "new")
            assert name in outcome.report.items[0]
        face = await world.playing()
        await face.say("/preset load spicy")
        await face.say("/set template tide")
        await face.say_and_wait("I wait.")
        asked = world.provider.completions[-1]
        assert asked.params["temperature"] == 1.5
        assert isinstance(asked.template, Template)
        assert asked.template.user == ("<|u|>", "<|/u|>")
        await face.say("/set template nothing-like-it")
        await trio.testing.wait_all_tasks_blocked()
        assert "There is no template" in face.of(ErrorEvent)[-1].content


async def test_a_story_has_its_own_length_of_context_and_reply(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say("/set max_tokens 123")
        await face.say("/set context_tokens 2048")
        await face.say_and_wait("I wait.")
        asked = world.provider.completions[-1]
        assert (asked.max_tokens, asked.context_tokens) == (123, 2048)
        assert not samplers.OURS & asked.params.keys()
        await face.say("/set max_tokens 3")
        await trio.testing.wait_all_tasks_blocked()
        assert "whole number from 16" in face.of(ErrorEvent)[-1].content


# --- out again ----------------------------------------------------------------------------------------


OURS = st.dictionaries(
    st.sampled_from(sorted(samplers.RANGES)), st.sampled_from([0, 1, 2, 0.5, 0.8, 512]), max_size=8
).map(samplers.checked)


@given(OURS, st.lists(st.sampled_from(["a shiver", "barely"]), max_size=2, unique=True), st.booleans())
def test_settings_are_a_preset_that_is_read_as_the_same(
    values: dict[str, object], banned: list[str], before: bool
) -> None:
    """With a preset they came from, and without one."""
    values = {**values, **({samplers.BANNED: banned} if banned else {}), "lore_rules": "sillytavern"}
    original = (
        of({**TEXTGEN, "banned_tokens": '"a shiver"', "sampler_priority": ["x"]}) if before else None
    )
    data = sillytavern_settings.preset_file("Mine", values, original)
    again = of(json.loads(data), "other")
    assert (again.name, again.values) == ("Mine", values)
    assert not before or json.loads(data)["sampler_priority"] == ["x"]


def test_a_preset_that_has_not_changed_is_written_as_it_came() -> None:
    preset = of({**TEXTGEN, "other_program": 1})
    assert json.loads(sillytavern_settings.preset_file("Mine", preset.values, preset)) == preset.source


async def test_settings_go_out_and_come_in(tmp_path: Path) -> None:
    """A preset that was saved here is one again after a way over a file."""
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        for line in ("/set temperature 0.8", "/set lore_tokens 300", "/preset save calm"):
            await face.say(line)
        await face.say("/export preset calm")
        await trio.testing.wait_all_tasks_blocked()
        assert "Written" in face.notice
        path = tmp_path / "exports" / "calm.json"
        await face.say("/preset delete calm")
        await world.engine.imports.importer.take(path, path.name)
        await face.say("/preset list")
        await trio.testing.wait_all_tasks_blocked()
        assert "calm: temperature 0.8, lore_tokens 300" in face.notice
        await face.say("/export preset cal")
        await trio.testing.wait_all_tasks_blocked()
        assert "There is no 'cal'." in face.of(ErrorEvent)[-1].content
