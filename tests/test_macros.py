"""Macros: what they become, that they are expanded once, and that nothing in them acts."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flower import limits
from flower.engine.macros import Values, expand

VALUES = Values(
    moment=datetime(2026, 3, 4, 15, 6, tzinfo=timezone(timedelta(hours=1))),
    story_seed="s1",
    seed="s1",
    user="Ines",
    char="Mara",
    persona="A surveyor.",
    description="Keeps the lamp.",
    scenario="Dusk.",
    world="Harbour",
    group="Mara, Ned",
    model="one",
    variables={"hp": "9", "alarm": "raised"},
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("{{char}} and {{ USER }}", "Mara and Ines"),
        ("<BOT> sees <user> and <CHAR>", "Mara sees Ines and Mara"),
        ("{{group}}|{{world}}|{{persona}}", "Mara, Ned|Harbour|A surveyor."),
        ("{{description}} {{scenario}} {{model}}", "Keeps the lamp. Dusk. one"),
        ("{{time}} {{isotime}} {{isodate}}", "15:06 15:06 2026-03-04"),
        ("{{time::UTC+2}} {{time_UTC-3}}", "16:06 11:06"),
        ("{{date}}, {{weekday}}", "4 March 2026, Wednesday"),
        ("{{random:only}} {{pick::one}}", "only one"),
        (r"{{random:a\,b}}", "a,b"),
        ("{{random::{{user}}::{{user}}}}", "Ines"),
        ("{{roll:1d1}} {{roll 3d1+2}} {{roll:1}} {{roll:nonsense}}", "1 5 1 "),
        ("a{{newline}}b{{newline::2}}c{{space::2}}d", "a\nb\n\nc  d"),
        ("a\n{{trim}}\nb", "ab"),
        ("{{reverse:abc}}", "cba"),
        ("a{{// a comment}}b{{comment: c}}c{{noop}}", "abc"),
        ("{{getvar::HP}}, {{getvar::alarm}}, {{getvar::none}}", "9, raised, "),
        ("{{setvar::hp::99}}{{getvar::hp}}", "9"),
        ("{{unknown}} {{original}} {{char::x}}", "{{unknown}} {{original}} {{char::x}}"),
        ("{{char", "{{char"),
        ("char}} {", "char}} {"),
        ("{{}}", "{{}}"),
        ("{{{{char}}}}", "{{Mara}}"),
        ("plain", "plain"),
    ],
)
def test_macros(text: str, expanded: str) -> None:
    assert expand(text, VALUES) == expanded


def test_a_value_is_never_looked_at_again() -> None:
    assert expand("{{user}}", replace(VALUES, user="{{char}}")) == "{{char}}"
    assert expand("{{getvar::hp}}", replace(VALUES, variables={"hp": "{{char}}"})) == "{{char}}"


def test_chance_is_frozen_by_its_seed_and_pick_by_the_storys() -> None:
    text = "{{random:" + ",".join(map(str, range(1000))) + "}} {{pick::" + "::".join("abcdefgh") + "}}"
    first = expand(text, VALUES)
    assert expand(text, VALUES) == first
    later = expand(text, replace(VALUES, seed="s1:2"))
    assert later.split()[0] != first.split()[0]
    assert later.split()[1] == first.split()[1]


def test_two_equal_macros_in_a_text_have_chances_of_their_own() -> None:
    text = "{{roll:d1000}} " * 8
    assert len(set(expand(text, VALUES).split())) > 1


def test_a_text_cannot_grow_without_end() -> None:
    large = replace(VALUES, persona="x" * 10_000)
    expanded = expand("{{persona}}" * 100, large)
    assert len(expanded) < limits.MACRO_CHARS + 100 * len("{{persona}}") + 1
    assert expanded.endswith("{{persona}}")
    assert len(expand("{{newline::9999}}", VALUES)) == limits.MACRO_REPEATS


@given(st.text(max_size=80) | st.text("{}char:user,/ \n", max_size=80))
def test_any_text_comes_out(text: str) -> None:
    expanded = expand(text, VALUES)
    if "{{" not in text and "<" not in text:
        assert expanded == text
