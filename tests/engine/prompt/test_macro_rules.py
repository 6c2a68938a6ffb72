"""Small rules of macros, one by one: what is a number, what is false, how much may be kept, how times are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from flower import limits
from flower.engine.prompt import macro_variables, macros
from flower.engine.prompt.macro_parts import MACRO_BLOCKS, MACRO_DEPTH, blocks, call_of, parse
from flower.engine.prompt.macro_values import Values, formatted, span
from flower.engine.prompt.macros import expand, key_of, run, sets
from tests.engine.prompt.test_macros import VALUES

UTC_VALUES = replace(VALUES, moment=datetime(2026, 3, 1, 0, 5, 9, 45_000, tzinfo=UTC))


def kept(text: str, **variables: str) -> dict[str, str]:
    return dict(run(text, replace(VALUES, variables=variables)).variables)


# --- variables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "step", "new"),
    [
        ("", "2", "2"), ("1", "2", "3"), ("1.5", "1.5", "3"), ("0.1", "0.2", "0.3"), ("a", "2", "a2"),
        ("2", "a", "2a"),
        ("1", "--2", "3"), ("1", "+-2", "-1"), (" 1 ", "1", "2"), ("[1", "2", "[12"), ('["a"]', "b", '["a","b"]'),
        ("[]", "é", '["é"]'), ("999999999999999", "1", "999999999999999"),
        ("-999999999999999", "-5", "-999999999999999"),
        ("1.25", "0", "1.25"), ("9999999999999999", "1", "99999999999999991"), ("1.1234567", "1", "1.12345671"),
    ],
)  # fmt: skip
def test_adding_counts_numbers_and_appends_to_anything_else(old: str, step: str, new: str) -> None:
    assert kept(f"{{{{addvar::n::{step}}}}}", n=old)["n"] == new


@pytest.mark.parametrize(
    ("text", "told", "n"),
    [
        ("{{.n += 2}}", "", "7"), ("{{.n -= 2}}", "", "3"), ("{{.n -= a}}", "", "5"), ("{{.n -= }}", "", "5"),
        ("{{.n++}}", "6", "6"), ("{{.n--}}", "4", "4"), ("{{.n = 9}}", "", "9"), ("{{.n == 5}}", "true", "5"),
        ("{{.n != 5}}", "false", "5"), ("{{.n > 4}}", "true", "5"), ("{{.n >= 6}}", "false", "5"),
        ("{{.n < 5}}", "false", "5"), ("{{.n <= 5}}", "true", "5"), ("{{.n ?? 7}}", "5", "5"),
        ("{{.m ?? 7}}", "7", "5"),
        ("{{.m ??= 7}}{{.m}}", "77", "5"), ("{{.n ??= 7}}", "5", "5"), ("{{.n || 7}}", "5", "5"),
        ("{{.m || 7}}", "7", "5"),
        ("{{.m ||= 7}}{{.m}}", "77", "5"), ("{{.m > -1}}", "true", "5"), ("{{.m < }}", "false", "5"),
        ("{{.n x}}", "{{.n x}}", "5"), ("{{.n ++ x}}", "{{.n ++ x}}", "5"), ("{{.n{{user}}}}", "{{.nInes}}", "5"),
        ("{{incvar::n}}", "6", "6"), ("{{decvar::n}}", "4", "4"), ("{{hasvar::n}}{{hasvar::m}}", "truefalse", "5"),
        ("{{setvar::n}}", "{{setvar::n}}", "5"), ("{{getvar::n::x}}", "{{getvar::n::x}}", "5"),
    ],
)  # fmt: skip
def test_a_variable_in_its_short_form_and_its_long_one(text: str, told: str, n: str) -> None:
    done = run(text, replace(VALUES, variables={"n": "5"}))
    assert (done.text, done.variables["n"]) == (told, n)


@pytest.mark.parametrize(
    ("word", "told"), [("", "7"), ("0", "7"), ("False", "7"), ("OFF", "7"), ("no", "no")]
)
def test_what_counts_as_nothing(word: str, told: str) -> None:
    values = replace(VALUES, variables={"n": word})
    assert expand("{{.n || 7}}", values) == told
    assert expand("{{if .n}}yes{{else}}no{{/if}}", values) == ("no" if told == "7" else "yes")
    assert expand("{{if !.n}}yes{{else}}no{{/if}}", values) == ("yes" if told == "7" else "no")


def test_what_is_kept_for_all_stories_is_apart_and_stands_in_for_nothing_of_the_storys() -> None:
    variables = kept("{{setglobalvar::a::1}}{{setvar::b::2}}{{.c = 3}}{{$d = 4}}")
    assert variables == {"$a": "1", "b": "2", "c": "3", "$d": "4"}
    values = replace(VALUES, variables={"$a": "1", "a": "2", "b": "3"})
    asked = "{{getvar::a}}{{getglobalvar::a}}{{getglobalvar::b}}{{$b}}{{.a}}{{$a}}"
    assert expand(asked, values) == "213321"
    assert (
        expand("{{hasglobalvar::b}}{{globalvarexists::a}}{{varexists::$a}}", values) == "falsetruetrue"
    )
    assert dict(run("{{deleteglobalvar::a}}{{flushvar::b}}", values).variables) == {"a": "2"}


def test_so_many_variables_of_such_a_length_are_kept_beside_those_of_the_sheet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(macro_variables, "MACRO_VARIABLES", 2)
    monkeypatch.setattr(macro_variables, "MACRO_VARIABLE_CHARS", 3)
    values = replace(VALUES, variables={"hp": "9"}, sheet=frozenset({"hp"}))
    text = "{{setvar::a::1234}}{{setvar::b::2}}{{setvar::c::3}}{{setvar::A::5}}{{setvar::hp::8}}{{setvar::::x}}"
    assert dict(run(text, values).variables) == {"hp": "8", "a": "5", "b": "2"}
    assert kept("{{setvar::a::1234}}") == {"a": "123"}
    assert key_of(" A" + "b" * limits.NAME_CHARS) == "a" + "b" * (limits.NAME_CHARS - 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [("{{setvar::a::1}}", True), ("{{ addglobalvar::a::1}}", True), ("{{.a = 1}}", True), ("{{$a++}}", True),
     ("{{.a-=1}}", True), ("{{.a == 1}}", False), ("{{getvar::a}}", False), ("{{.a}}", False), ("{{user}}", False)],
)  # fmt: skip
def test_a_text_may_set_variables_if_it_has_a_macro_that_does(text: str, found: bool) -> None:
    assert sets(text) is found


# --- room ---------------------------------------------------------------------------------------


def test_macros_add_so_much_to_a_text_and_what_would_be_more_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(macros, "MACRO_CHARS", 8)
    assert expand("{{user}}{{user}}{{user}}<user>", VALUES) == "InesInes{{user}}<user>"
    assert expand("{{upper}}12345678{{/upper}}{{user}}", VALUES) == "12345678{{user}}"
    assert expand("{{upper}}a23456789{{/upper}}", VALUES) == "{{upper}}a23456789{{/upper}}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{newline}}", "\n"), ("{{newline::2}}", "\n\n"), ("{{space::3}}", "   "), ("{{space::x}}", "{{space::x}}"),
        ("{{space::0}}", ""), ("{{space::99999}}", " " * macros.MACRO_REPEATS), ("{{reverse::abc}}", "cba"),
        ("{{upper::ab}}{{lower::AB}}{{capitalize::ab CD}}", "ABabAb CD"), ("{{random}}{{pick}}", ""),
        ("a\r\n{{trim}}\n\nb", "ab"), ("a {{trim}} b", "a  b"), ("{{trim}}\n a \n{{/trim}}", "a"),
        (r"\{\{user\}\}", "{{user}}"),
        ("{{pick::only}}", "only"), (r"{{random:a\,b}}", "a,b"), ("{{roll:1d1+4}}", "5"), ("{{roll:1}}", "1"),
        ("{{roll:x}}", ""), ("{{greeting::1}}", "Evening."), ("{{greeting}}", "Day."),
        ("{{charFirstMessage}}", "Day."), ("{{greeting::2}}", ""),
        ("{{greeting::x}}", "{{greeting::x}}"), ("{{outlet::a}}{{outlet::b}}", "bells"),
        ("{{original}}{{original}}", "old"),
        ("{{//}}x{{user}}{{///}}", ""), ("{{nothing}}", "{{nothing}}"), ("{{user::x}}", "{{user::x}}"),
        ("{{mesExamples}}", "***\na\n***\nb\n"), ("{{notChar}}", "Ned, Ines"), ("{{else}}", ""),
    ],
)  # fmt: skip
def test_what_single_macros_give(text: str, told: str) -> None:
    values = replace(
        VALUES, greetings=("Day.", "Evening."), outlets={"a": "bells"}, original="old", examples="<START>a<start>\nb\n"
    )  # fmt: skip
    assert expand(text, values) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{if user}}a{{else}}b{{/if}}", "a"), ("{{if nobody}}a{{/if}}", "a"), ("{{if !user}}a{{else}}b{{/if}}", "b"),
        ("{{if char == 'mara'}}a{{/if}}", "a"), ("{{if char != mara}}a{{/if}}", ""),
        ("{{if ! char == ned}}a{{/if}}", "a"),
        ("{{if ::1::a}}", "a"), ("{{if 2 != 3}}a{{/if}}{{if 3 != 2}}b{{/if}}{{if 2 == 3}}c{{/if}}", "ab"),
        ("{{if::1::a{{else}}b}}", "a"), ("{{if::0::a{{else}}b}}", "b"),
        ("{{if 1}}a", "{{if 1}}a"),
        ("{{if 1}}\n  a\n  b\n{{/if}}", "a\nb"), ("{{#if 1}}\n  a\n{{/if}}", "\n  a\n"),
        ("{{if 1}}{{if 0}}a{{else}}b{{/if}}{{else}}c{{/if}}", "b"), ("{{if {{user}}}}a{{/if}}", "a"),
        ("{{if 0}}a{{else}}\n  b\n{{/if}}", "b"),
    ],
)  # fmt: skip
def test_of_a_condition_the_branch_that_holds_is_told(text: str, told: str) -> None:
    assert expand(text, VALUES) == told


def test_macros_are_nested_and_blocks_are_open_so_deep() -> None:
    for depth in (MACRO_DEPTH, MACRO_DEPTH + 1):
        text = "{{upper::" * depth + "a" + "}}" * depth
        assert (expand(text, VALUES) == "A") is (depth == MACRO_DEPTH)
    for depth in (MACRO_BLOCKS, MACRO_BLOCKS + 1):
        parts = parse("{{if 1}}" * depth + "{{/if}}" * depth)
        assert len(blocks(parts)) == MACRO_BLOCKS  # the outermost is none
    assert blocks(parse("{{if 1}}{{upper}}{{/if}}{{/upper}}{{/if}}{{user}}{{/user}}")) != {}
    assert blocks(parse("{{/if}}{{if 1}}")) == {}


@pytest.mark.parametrize(
    ("inside", "name", "arguments"),
    [
        ("setvar::a:: b ", "setvar", (("a",), ("b",))), ("random:a,b", "random", (("a,b",),)),
        ("roll 2d6", "roll", (("2d6",),)),
        (" # UPPER", "upper", ()), ("//x", "//", (("x",),)), ("user!", None, None), ("1a", None, None),
        ("", None, None),
        ("a::", "a", (("",),)), ("time_UTC+2", None, None),
    ],
)  # fmt: skip
def test_a_macro_has_a_name_and_arguments(
    inside: str, name: str | None, arguments: tuple[tuple[str, ...], ...] | None
) -> None:
    call = call_of((inside,))
    if inside == "time_UTC+2":
        assert call is not None
        assert call.name == "time_utc+2"
        return
    assert (call.name if call else None, call.arguments if call else None) == (name, arguments)
    assert call is None or call.keeps is ("#" in inside)


# --- times --------------------------------------------------------------------------------------

MINUTE, HOUR, DAY = 60, 3_600, 86_400


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "a few seconds"), (44.4, "a few seconds"), (44.5, "a minute"), (89, "a minute"), (90, "2 minutes"),
        (44.4 * MINUTE, "44 minutes"), (44.5 * MINUTE, "an hour"), (90 * MINUTE, "2 hours"), (21.4 * HOUR, "21 hours"),
        (21.5 * HOUR, "a day"), (25.4 * DAY, "25 days"), (25.5 * DAY, "a month"), (46 * DAY, "2 months"),
        (319 * DAY, "10 months"), (320 * DAY, "a year"), (548 * DAY, "2 years"), (36_525 * DAY, "100 years"),
    ],
)  # fmt: skip
def test_lengths_of_time_are_told_in_rounded_words(seconds: float, told: str) -> None:
    assert span(seconds) == told


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("YYYY-MM-DD HH:mm:ss.SSS", "2026-03-01 00:05:09.045"), ("YY M D H m s", "26 3 1 0 5 9"),
        ("hh h kk k A a", "12 12 24 24 AM am"),
        ("Do MMMM MMM dddd ddd", "1st March Mar Sunday Sun"), ("[YYYY] Z ZZ", "YYYY +00:00 +0000"), ("LT", "12:05 AM"),
        ("LTS", "12:05:09 AM"), ("L", "03/01/2026"), ("LLLL", "Sunday, March 1, 2026 12:05 AM"),
    ],
)  # fmt: skip
def test_a_moment_is_told_in_the_form_that_is_asked_for(form: str, told: str) -> None:
    assert formatted(form, UTC_VALUES.moment) == told
    assert expand(f"{{{{datetimeformat::{form}}}}}", UTC_VALUES) == told


DAYS = (1, 2, 3, 4, 10, 11, 12, 13, 14, 21, 22, 23, 30)


def test_days_have_their_endings() -> None:
    told = [
        formatted("Do", datetime(2026, 1, day, tzinfo=UTC))
        for day in (1, 2, 3, 4, 10, 11, 12, 13, 14, 21, 22, 23, 30)
    ]
    assert " ".join(told) == "1st 2nd 3rd 4th 10th 11th 12th 13th 14th 21st 22nd 23rd 30th"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{time}}", "12:05 AM"), ("{{time_UTC+2}}", "2:05 AM"), ("{{time::UTC-1}}", "11:05 PM"),
        ("{{time_UTC+15}}", "3:05 PM"),
        ("{{time_UTC+16}}", "12:21 AM"), ("{{time_UTC+90}}", "1:35 AM"), ("{{time::nowhere}}", "12:05 AM"),
        ("{{date}}", "March 1, 2026"),
        ("{{timeDiff::2026-03-01::2026-02-28}}", "in a day"), ("{{timeDiff::2026-02-27::2026-03-01}}", "2 days ago"),
        ("{{timeDiff::March 1, 2026 10:00::2026-03-01 09:00}}", "in an hour"),
        ("{{timeDiff::x::2026-03-01}}", "Invalid date"),
        ("{{timeDiff::2026-03-01::2026-03-01}}", "a few seconds ago"),
        ("{{weekday}} {{isodate}} {{isotime}}", "Sunday 2026-03-01 00:05"),
        ("{{datetimeformat::" + "D" * 101 + "}}", "{{datetimeformat::" + "D" * 101 + "}}"),
        ("{{idleDuration}}", "just now"),
        ("{{datetimeformat::}}", "{{datetimeformat::}}"), ("{{allChatRange}}", ""),
    ],
)  # fmt: skip
def test_what_macros_say_of_time(text: str, told: str) -> None:
    assert expand(text, UTC_VALUES) == told


def test_a_time_without_a_zone_is_in_the_zone_of_the_story() -> None:
    values = replace(VALUES, moment=datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5))))
    assert expand("{{timeDiff::2026-03-01T00:00+00:00::2026-03-01 00:00}}", values) == "in 5 hours"
    asked = replace(values, last_message_id="7", idle_s=7_200.0)
    assert expand("{{idle_duration}} {{allChatRange}}", asked) == "2 hours 0-7"
    assert isinstance(asked, Values)


# --- what the rules above leave open ------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{if 1}}\n    {{user}}\n    b{{/if}}", "Ines\nb"),  # the indentation before a macro is one too
        ("{{if 1}}\n\n  {{user}}\n  b{{/if}}", "Ines\nb"),
        ("{{if 1}}  {{user}}\n  b{{/if}}", "Ines\n  b"),
        ("{{if 1}}\n\t{{user}}\n\tb{{/if}}", "Ines\nb"),
        ("{{if 1}}a\n    b\n  c{{/if}}", "a\nb\n  c"),
        ("{{upper::{{user}}}}", "INES"), ("{{upper {{user}}}}", "INES"), ("{{upper{{user}}}}", "INES"),
        ("{{upper:::a}}", ":A"), ("{{upper: a }}", "A"), ("{{upper:: {{user}} }}", "INES"),
        ("{{setvar::x:: {{user}} }}{{.x}}", "Ines"), ("{{setvar::x::a b}}[{{.x}}]", "[a b]"),
        ("{{.n = {{user}}x}}{{.n}}", "Inesx"), ("{{.n ?? {{user}}}}", "5"), ("{{.m ?? {{user}}!}}", "Ines!"),
        ("{{#upper}}\n  a\n{{/upper}}", "\n  A\n"), ("{{upper}}\n  a\n{{/upper}}", "A"),
        ("{{/upper}}a{{upper}}", "{{/upper}}a{{upper}}"),
        ("{{if 1}}a{{upper}}b{{/if}}c{{/upper}}", "a{{upper}}bc{{/upper}}"),
        ("{{upper}}a{{if 1}}b{{/upper}}c{{/if}}", "A{{IF 1}}Bc{{/if}}"),
        ("{{user}}a{{/user}}", "Inesa{{/user}}"), ("{{upper::a}}b{{/upper}}", "Ab{{/upper}}"),
        ("{{setvar::x}}a{{/setvar}}{{.x}}", "a"), ("{{if 1}}a{{ELSE}}b{{/if}}", "a"),
        ("{{if 0}}a{{ else }}b{{/if}}", "b"), ("{{if 0}}a{{else x}}b{{/if}}", ""),
        ("{{if 0}}a{{zelse}}b{{/if}}", ""), ("{{if 0}}a{{elsa}}b{{/if}}", ""),
        ("{{ / if }}", "{{ / if }}"), ("{{if 1}}a{{ / IF }}", "a"),
        ("{{if 1}}a{{/if{{user}}}}", "{{if 1}}a{{/ifInes}}"),
        ("{{if $n}}a{{else}}b{{/if}}", "a"), ("{{if .n == 5}}a{{/if}}", "a"), ("{{if -1 < 0}}a{{/if}}", "a"),
        ("{{if !0 == 1}}a{{else}}b{{/if}}", "a"), ("{{if 5 == 4}}a{{else}}b{{/if}}", "b"),
        ("{{if 4 == 5}}a{{else}}b{{/if}}", "b"), ("{{if 4 != 4}}a{{else}}b{{/if}}", "b"),
        ("{{if 5 > 4}}a{{/if}}{{if 4 > 5}}b{{/if}}{{if 4 > 4}}c{{/if}}", "a"),
        ("{{if 5 < 4}}a{{/if}}{{if 4 < 5}}b{{/if}}{{if 4 < 4}}c{{/if}}", "b"),
        ("{{if 5 >= 4}}a{{/if}}{{if 4 >= 5}}b{{/if}}{{if 4 >= 4}}c{{/if}}", "ac"),
        ("{{if 5 <= 4}}a{{/if}}{{if 4 <= 5}}b{{/if}}{{if 4 <= 4}}c{{/if}}", "bc"),
        ("{{if b == a}}a{{/if}}{{if a == b}}b{{/if}}{{if b != a}}c{{/if}}{{if a != b}}d{{/if}}", "cd"),
        ("{{if b > a}}a{{/if}}{{if a < b}}b{{/if}}{{if a <= a}}c{{/if}}{{if a >= a}}d{{/if}}", ""),
        ("{{.n == 6}}{{.n == 4}}{{.n != 6}}{{.n != 4}}", "falsefalsetruetrue"),
        ("{{getvar}}{{getvar::n::x}}{{incvar}}{{hasvar}}", "{{getvar}}{{getvar::n::x}}{{incvar}}{{hasvar}}"),
        ("{{addvar::n}}{{setvar::n::1::2}}", "{{addvar::n}}{{setvar::n::1::2}}"),
        ("{{deletevar::n}}{{hasvar::n}}{{getvar::n}}", "false"), ("{{flushvar::n}}{{.n}}", ""),
        ("{{setvar::{{user}}::{{char}}}}{{.ines}}", "Mara"),
        ("{{notChar}}", "Ada, Zoe, Ines"), ("{{group}}", "Ada, Mara, Zoe"), ("{{charIfNotGroup}}", "Ada, Mara, Zoe"),
        ("{{newline::007}}{{space::1}}", "\n" * 7 + " "), ("{{space::}}", "{{space::}}"),
        ("{{greeting::0}}{{greeting::1}}{{greeting::9}}", "Day.Evening."),
        ("{{original}}{{original}}{{original}}", "old"),
        ("a{{trim}}b", "ab"),
        ("a\n\n{{trim}}\nb\n{{trim}}\nc", "abc"), (r"a\{b\}", "a{b}"), (r"a\\b", r"a\\b"),
        ("<USER> <Bot> <other>", "Ines Mara <other>"),
    ],
)  # fmt: skip
def test_more_of_what_macros_give(text: str, told: str) -> None:
    values = replace(
        VALUES, variables={"n": "5"}, group="Ada, Mara, Zoe", greetings=("Day.", "Evening."), original="old"
    )  # fmt: skip
    assert expand(text, values) == told


def test_chance_is_fixed_by_the_seed_the_place_and_the_words() -> None:
    """A story that was played keeps its chances: a newer version must not throw other dice."""
    text = "{{random::a::b::c::d::e}}{{pick::a::b::c::d::e}}{{roll:d100}} {{random:a,b,c,d,e}}"
    assert expand(text, VALUES) == "ab50 a"


def test_macros_have_their_bounds() -> None:
    for count, known in ((2, True), (3, False)):
        text = f"{{{{timeDiff{'::2026-03-01' * count}}}}}"
        assert (expand(text, VALUES) != text) is known
    exactly = "x" * macros.MACRO_CHARS
    assert expand("{{persona}}", replace(VALUES, persona=exactly)) == exactly
    assert expand("{{persona}}", replace(VALUES, persona=f"{exactly}x")) == "{{persona}}"
    deep = "{{reverse::" * MACRO_DEPTH + "ab" + "}}" * MACRO_DEPTH
    assert expand(deep, VALUES) == ("ab" if MACRO_DEPTH % 2 == 0 else "ba")
    assert "{{" in expand("{{reverse::" + deep + "}}", VALUES)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5", 5.0), ("+5", 5.0), ("-5", -5.0), ("--5", 5.0), ("-+5", -5.0), ("---5", None), ("5.", None), (".5", None),
        ("1.123456", 1.123456), ("1.1234567", None), ("9" * 15, float("9" * 15)), ("9" * 16, None), (" 5 ", 5.0),
        ("5 5", None), ("", None), ("a", None),
    ],
)  # fmt: skip
def test_what_is_a_number(text: str, number: float | None) -> None:
    assert macro_variables.number_of(text) == number
    if number is not None:
        assert macro_variables.number_of(macro_variables.written(number)) == number


@pytest.mark.parametrize(
    ("number", "told"),
    [(1.0, "1"), (-1.0, "-1"), (0.1, "0.1"), (1.0000004, "1"), (1.0000006, "1.000001"), (1e20, "9" * 15),
     (-1e20, "-" + "9" * 15), (2.5, "2.5"), (100.0, "100")],
)  # fmt: skip
def test_a_number_is_written_as_it_is_read(number: float, told: str) -> None:
    assert macro_variables.written(number) == told


def test_more_variables_than_there_is_room_for_are_kept_and_none_is_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a version with more room may have stored them."""
    monkeypatch.setattr(macro_variables, "MACRO_VARIABLES", 1)
    assert kept("{{setvar::c::3}}{{setvar::a::9}}", a="1", b="2") == {"a": "9", "b": "2"}
