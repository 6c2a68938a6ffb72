"""Macros: what they become, that they are expanded once, and that nothing in them acts."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flower import limits
from flower.engine.prompt import macro_values, macro_variables, macros
from flower.engine.prompt import macros as macros_module
from flower.engine.prompt.macros import Expanded, Values, expand, run, sets

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
        ("{{time}} {{isotime}} {{isodate}}", "3:06 PM 15:06 2026-03-04"),
        ("{{time::UTC+2}} {{time_UTC-3}}", "4:06 PM 11:06 AM"),
        ("{{date}}, {{weekday}}", "March 4, 2026, Wednesday"),
        ("{{random:only}} {{pick::one}}", "only one"),
        (r"{{random:a\,b}}", "a,b"),
        ("{{random::{{user}}::{{user}}}}", "Ines"),
        ("{{roll:1d1}} {{roll 3d1+2}} {{roll:1}} {{roll:nonsense}}", "1 5 1 "),
        ("a{{newline}}b{{newline::2}}c{{space::2}}d", "a\nb\n\nc  d"),
        ("a\n{{trim}}\nb", "ab"),
        ("{{reverse:abc}}", "cba"),
        ("a{{// a comment}}b{{comment: c}}c{{noop}}", "abc"),
        ("{{getvar::HP}}, {{getvar::alarm}}, {{getvar::none}}", "9, raised, "),
        ("{{setvar::hp::99}}{{getvar::hp}}", "99"),
        ("{{incvar::hp}} {{decvar::hp}} {{addvar::hp::5}}{{getvar::hp}}", "10 9 14"),
        ("{{addvar::alarm::!}}{{getvar::alarm}} {{hasvar::alarm}} {{hasvar::x}}", "raised! true false"),
        ("{{setglobalvar::a::1}}{{getglobalvar::a}}{{deletevar::a}}{{getvar::a}}", "1"),
        ("{{.hp}} {{$hp}} {{.x=1}}{{.x++}} {{.x--}} {{.x+=5}}{{.x}}{{.x-=2}} {{.x}}", "9 9 2 1 6 4"),
        ("{{.none ?? d}} {{.none || e}} {{.hp == 9}} {{.hp > 10}} {{.hp ?? d}}", "d e true false 9"),
        ("{{if .hp}}yes{{else}}no{{/if}} {{if .none}}yes{{else}}no{{/if}}", "yes no"),
        (
            "{{if !.none}}a{{/if}}{{if {{getvar::hp}} >= 9}}b{{/if}}{{if .alarm == raised}}c{{/if}}",
            "abc",
        ),
        ("{{if .hp > 10}}{{setvar::hp::0}}{{/if}}{{.hp}}", "9"),
        ("{{if .none}}{{if .hp}}a{{else}}b{{/if}}{{else}}c{{/if}}d", "cd"),
        ("{{if persona}}has one{{/if}}{{if personality}}never{{/if}}", "has one"),
        ("{{if user == Ines}}hello{{/if}}{{if: .hp}}!{{/if}}", "hello!"),
        ("{{if .hp}}to the end", "{{if .hp}}to the end"),
        ("{{else}}{{/if}}", "{{/if}}"),
        ("{{notChar}}; <GROUP>; <CHARIFNOTGROUP>", "Ned, Ines; Mara, Ned; Mara, Ned"),
        ("{{upper:abc}} {{lower::ABC}} {{capitalize:abc d}}", "ABC abc Abc d"),
        ("{{datetimeformat::YYYY-MM-DD dddd [at] HH:mm}}", "2026-03-04 Wednesday at 15:06"),
        ("{{timeDiff::2026-03-04::2026-03-01}} {{timeDiff::x::y}}", "in 3 days Invalid date"),
        ('{{original}}{{mesExamples}}{{banned "x"}}{{outlet::k}}{{summary}}.', "{{original}}."),
        ("{{lastMessage}}|{{idle_duration}}", "|just now"),
        ("{{unknown}} {{char::x}} {{foovar::x}}", "{{unknown}} {{char::x}} {{foovar::x}}"),
        ("{{setvar::a::1234567}}{{incvar::a}} {{incvar::a}}", "1234568 1234569"),
        ("{{.a=999999}}{{.a++}} {{if .a > 10}}rich{{else}}poor{{/if}}", "1000000 rich"),
        ("{{.a=0.1}}{{.a+=0.2}}{{.a}} {{.a-=0.3}}{{.a}}", "0.3 0"),
        ("{{.a=0.00001}}{{.a+=0.000001}}{{.a}}", "0.000011"),
        ("{{.a=999999999999999}}{{.a++}} {{.a++}}", "999999999999999 999999999999999"),
        ("{{if .none}}{{if .hp}}{{else}}a{{/if}}b{{else}}c{{/if}}d", "cd"),
        ("{{random::<USER>}} and <char>", "Ines and Mara"),
        ("{{char", "{{char"),
        ("char}} {", "char}} {"),
        ("{{}}", "{{}}"),
        ("{{{{char}}}}", "{{Mara}}"),
        ("{{{char}}} {{reverse:{{{char}}}}}", "{Mara} araM{}"),
        ("a{{hidden_key: door}}b", "ab"),
        ("plain", "plain"),
    ],
)
def test_macros(text: str, expanded: str) -> None:
    assert expand(text, VALUES) == expanded


def test_a_value_is_never_looked_at_again() -> None:
    assert expand("{{user}}", replace(VALUES, user="{{char}}")) == "{{char}}"
    assert expand("{{getvar::hp}}", replace(VALUES, variables={"hp": "{{char}}"})) == "{{char}}"


def test_words_of_the_story_keep_their_angle_brackets() -> None:
    said = replace(VALUES, last_message="I say <user> and <char>.")
    assert expand("<USER>: {{lastMessage}}", said) == "Ines: I say <user> and <char>."


@given(st.integers(-(10**14), 10**14), st.integers(-(10**6), 10**6))
def test_counters_count_exactly(start: int, step: int) -> None:
    assert expand(f"{{{{setvar::n::{start}}}}}{{{{addvar::n::{step}}}}}{{{{.n}}}}", VALUES) == str(
        start + step
    )


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
    assert len(expanded) < macros.MACRO_CHARS + 100 * len("{{persona}}") + 1
    assert expanded.endswith("{{persona}}")
    assert len(expand("{{newline::9999}}", VALUES)) == macros_module.MACRO_REPEATS


def test_the_last_messages_are_values_like_others() -> None:
    values = replace(
        VALUES,
        last_message="{{user}} {{setvar::hp::1}}",
        last_user_message="I wait.",
        last_char_message="The bell rings.",
        last_message_id="12",
        idle_s=7200.0,
    )
    text = "{{lastMessage}}|{{lastMessageId}}|{{lastUserMessage}}|{{lastCharMessage}}|{{idleDuration}}"
    told = run(text, values)
    assert told.text == "{{user}} {{setvar::hp::1}}|12|I wait.|The bell rings.|2 hours"
    assert told.variables == VALUES.variables, "what a model wrote sets nothing"


def test_variables_are_given_back_and_bounded() -> None:
    assert run("{{setvar::Mood::calm}}{{incvar::turns}}", VALUES) == Expanded(
        "1", {**VALUES.variables, "mood": "calm", "turns": "1"}
    )
    many = run("".join(f"{{{{setvar::v{n}::{'x' * 9000}}}}}" for n in range(100)), VALUES).variables
    assert len(many) == macro_variables.MACRO_VARIABLES
    assert max(map(len, many.values())) == macro_variables.MACRO_VARIABLE_CHARS


def test_what_stands_on_the_sheet_takes_no_room_from_variables() -> None:
    sheet = {f"flag {n}": "on" for n in range(macro_variables.MACRO_VARIABLES)}
    told = run("{{setvar::a::1}}{{.a}}", replace(VALUES, variables=sheet, sheet=frozenset(sheet)))
    assert told.text == "1"


def test_a_long_name_is_the_same_variable_wherever_it_stands() -> None:
    name = "Long " * limits.NAME_CHARS
    assert (
        expand(f"{{{{setvar::{name}::1}}}}{{{{getvar::{name}}}}}{{{{hasvar::{name}}}}}", VALUES)
        == "1true"
    )
    assert (
        expand(f"{{{{setvar::{name}::1}}}}{{{{deletevar::{name}}}}}{{{{getvar::{name}}}}}", VALUES)
        == ""
    )


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("{{setvar::a::1}}", True),
        ("{{ incglobalvar::a }}", True),
        ("{{.a++}}", True),
        ("{{$a = 1}}", True),
        ("{{.a == 1}}{{getvar::a}}{{hasvar::a}}", False),
        ("setvar", False),
    ],
)
def test_texts_that_set_variables_are_known(text: str, may: bool) -> None:
    assert sets(text) is may


PIECES = st.lists(
    st.sampled_from(
        "{{ }} if {{else}} {{/if}} {{if_.a}} {{.a++}} setvar::a:: getvar::a _ x {{setvar::a::1}} random:a,b"
        " == ! : :: reverse: <user> utc+ {{trim}}".replace("_", "\N{NO-BREAK SPACE}").split(" ")
    ).map(lambda piece: piece.replace("\N{NO-BREAK SPACE}", " ")),
    max_size=60,
)


@given(PIECES)
def test_any_mixture_of_macros_ends_and_stays_within_bounds(pieces: list[str]) -> None:
    text = "".join(pieces)
    told = run(text, VALUES)
    assert len(told.text) <= len(text) * 20 + macros.MACRO_CHARS
    assert len(told.variables) <= macro_variables.MACRO_VARIABLES
    assert run(text, VALUES) == told


@given(PIECES)
def test_what_sets_nothing_leaves_the_variables_alone(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert sets(text) or run(text, VALUES).variables == VALUES.variables


@pytest.mark.parametrize(
    "piece",
    [
        "{{",
        "}}",
        "{{if ",
        "{{if .a}}",
        "{{if .none}}",
        "{{/if}}",
        "{{else}}",
        "{{datetimeformat::[",
        "{{.",
        "{{char}}",
        "{{trim}}",
        "{{setvar::a::",
        "{{//",
        "<user",
    ],
)
def test_long_texts_of_macros_take_no_time(piece: str) -> None:
    began = time.process_time()
    expand(piece * (200_000 // len(piece)), VALUES)
    assert time.process_time() - began < 2


@pytest.mark.parametrize("inside", ["[", "]", "[a", "YYYY", "D["])
def test_a_date_in_a_long_form_takes_no_time(inside: str) -> None:
    began = time.process_time()
    expand("{{datetimeformat::" + inside * (90_000 // len(inside)) + "}}", VALUES)
    form = inside * (macro_values.MACRO_FORMAT_CHARS // len(inside))
    expand(f"{{{{datetimeformat::{form}}}}}" * 500, VALUES)
    assert time.process_time() - began < 2


@given(st.text(max_size=80) | st.text("{}char:user,/ \n", max_size=80))
def test_any_text_comes_out(text: str) -> None:
    expanded = expand(text, VALUES)
    if not any(mark in text for mark in ("{{", "<", "\\")):  # a backslash says that a brace is one
        assert expanded == text
