"""Small rules of the wire, one by one: which part of an outline is shown, what a long frame loses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from flower import limits
from flower.errors import ProtocolError
from flower.protocol import messages, tree_text
from flower.protocol.codec import (
    FORM_FIELDS,
    REQUEST_ID_CHARS,
    SHORT_BYTES,
    Encoder,
    decode_prompt,
    encode,
    shortened,
)
from flower.protocol.messages import ErrorEvent, ShownMessage, SystemUpdate, TreeNode

NODES = [TreeNode(message=n, parent=n - 1, role="user", text=f"Line {n}.") for n in range(1, 21)]


@pytest.mark.parametrize(
    ("focus", "first", "last"),
    [(1, 1, 6), (3, 1, 6), (4, 1, 6), (5, 2, 7), (10, 7, 12), (18, 15, 20), (20, 15, 20), (99, 1, 6)],
)
def test_an_outline_as_text_is_what_lies_around_the_focus(focus: int, first: int, last: int) -> None:
    rows = tree_text.as_text(NODES, 20, focus, 6).splitlines()
    assert (rows[0] == "...") is (first > 1)
    assert (rows[-1] == "...") is (last < 20)
    shown = [row for row in rows if row != "..."]
    assert len(shown) == 6
    assert f"Line {first}." in shown[0]
    assert f"Line {last}." in shown[-1]


def test_a_short_outline_has_no_marks_of_more() -> None:
    rows = tree_text.as_text(NODES[:3], 3, 2, 3).splitlines()
    assert len(rows) == 3
    assert "..." not in rows


def frame(**metadata: Any) -> dict[str, Any]:
    return {"event": "x", "payload": {"content": "", "metadata": metadata}}


def size(one: dict[str, Any]) -> int:
    return len(json.dumps(one, separators=(",", ":"), ensure_ascii=False).encode())


def test_a_frame_that_just_fits_stays_as_it_is() -> None:
    whole = frame(text="a" * 5000)
    assert shortened(frame(text="a" * 5000), size(whole)) == whole
    assert shortened(frame(text="a" * 5000), size(whole) - 1) != whole


def test_a_long_list_loses_its_end_and_little_more_than_it_must() -> None:
    rows = [{"name": f"row {n}", "value": n} for n in range(1000)]
    cut = shortened(frame(rows=rows, note="short"), 10_000)
    kept = cut["payload"]["metadata"]["rows"]
    assert kept == rows[: len(kept)]
    assert 7_000 < size(cut) <= 10_000
    assert cut["payload"]["metadata"]["note"] == "short"


def test_a_long_text_in_a_list_is_shortened_before_the_list() -> None:
    cut = shortened(frame(rows=["a" * 50_000, "b", "c"]), 10_000)
    first, *others = cut["payload"]["metadata"]["rows"]
    assert others == ["b", "c"]
    assert first.endswith("a…")
    assert 5_500 < size(cut) <= 10_000


def test_a_list_of_many_small_entries_goes_before_a_text_of_half_its_size() -> None:
    rows = [{"a_rather_long_name_of_a_field": 1} for _ in range(300)]
    cut = shortened(frame(rows=rows, text="t" * 3000), 11_000)
    assert 150 < len(cut["payload"]["metadata"]["rows"]) < 300
    assert cut["payload"]["metadata"]["text"] == "t" * 3000


def test_messages_of_a_page_are_the_last_to_go() -> None:
    history = [{"content": "word " * 20} for _ in range(100)]
    cut = shortened(frame(history=history, rows=["x" * 90] * 100), 13_000)
    assert cut["payload"]["metadata"]["history"] == history
    alone = shortened(frame(history=history), 5_000)
    assert len(alone["payload"]["metadata"]["history"]) == 100
    assert size(alone) <= 5_000


def test_an_event_of_a_mebibyte_is_a_frame_that_clients_take() -> None:
    data = encode(SystemUpdate("é" * 2**20)).encode()
    assert 800_000 < len(data) <= 2**20 - 4 * 1024


def test_an_outline_of_one_row_is_its_focus_or_its_beginning() -> None:
    assert "Line 7." in tree_text.as_text(NODES, 20, 7, 1)
    assert "Line 1." in tree_text.as_text(NODES, 20, 99, 1)


def test_a_message_is_in_no_trash_unless_it_says_so() -> None:
    node, shown = (
        json.loads('{"message": 1, "parent": 0}'),
        json.loads('{"session": "s", "message": 1, "role": "user"}'),
    )
    assert not msgspec.convert(node, TreeNode).thrown
    assert not msgspec.convert(shown, ShownMessage).thrown


def test_a_frame_that_is_too_long_leaves_room_for_what_is_around_it() -> None:
    """Clients close on more than 1 MiB."""
    for size in range(limits.MIB - 5 * limits.KIB, limits.MIB, 300):
        assert len(encode(SystemUpdate("a" * size))) <= limits.MIB - 4 * limits.KIB


def test_half_a_letter_of_a_plain_line_is_replaced() -> None:
    assert decode_prompt("I say \ud800.").prompt == "I say \ufffd."
    assert decode_prompt("I say \u00e9.").prompt == "I say \u00e9."
    with pytest.raises(ProtocolError, match="broken JSON"):
        decode_prompt('{"prompt": "I say \\ud800."}')


def form(count: int, longest: int = 1) -> str:
    fields = {f"f{n}": "x" for n in range(count - 1)} | {"last": "x" * longest}
    return json.dumps({"prompt": "/form save", "fields": fields})


def test_a_form_has_as_much_as_its_bounds_say_and_no_more() -> None:
    whole = decode_prompt(form(FORM_FIELDS, limits.PROMPT_CHARS)).fields
    assert whole is not None
    assert len(whole) == FORM_FIELDS
    for count, longest in ((FORM_FIELDS + 1, 1), (1, limits.PROMPT_CHARS + 1)):
        with pytest.raises(ProtocolError, match="a form has at most"):
            decode_prompt(form(count, longest))


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("prompt", limits.PROMPT_CHARS),
        ("client", limits.CLIENT_ID_CHARS),
        ("request", REQUEST_ID_CHARS),
    ],
)
def test_each_part_of_a_prompt_may_be_as_long_as_its_bound(field: str, most: int) -> None:
    prompt = {"prompt": "I look.", field: "x" * most}
    assert getattr(decode_prompt(json.dumps(prompt)), field) == "x" * most
    with pytest.raises(ProtocolError):
        decode_prompt(json.dumps(prompt | {field: "x" * (most + 1)}))


# --- what is left out -----------------------------------------------------------------------------

STRUCTS = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]
BEGIN_OTHERWISE = {"FormField.kind": "line", "TreeNode.variant": 1, "TreeNode.variants": 1}


def optional(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        one.name: one.default
        for one in msgspec.structs.fields(kind)
        if one.default is not msgspec.NODEFAULT
    }


def test_an_optional_key_that_is_not_there_says_nothing() -> None:
    """No flag is up, no number counts, no text is there: an older engine or client does not know the key."""
    for kind in STRUCTS:
        for name, default in optional(kind).items():
            if default != messages.UNSET and not isinstance(default, msgspec.Struct):
                assert default == BEGIN_OTHERWISE.get(f"{kind.__name__}.{name}", type(default)()), (
                    kind,
                    name,
                )


def test_what_says_nothing_is_not_sent() -> None:
    for kind in STRUCTS:
        needed = [one.name for one in msgspec.structs.fields(kind) if one.required]
        if kind not in (SystemUpdate, ErrorEvent):  # frames, whose every part is V1's
            assert set(msgspec.to_builtins(kind(*["x"] * len(needed)))) == set(needed), kind


# --- outlines ---------------------------------------------------------------------------------------


def test_an_outline_says_of_each_message_what_a_player_needs() -> None:
    nodes = [
        TreeNode(1, 0, "assistant", "The tide is out.", active=True),
        TreeNode(2, 1, "user", "I wait.", variant=1, variants=2, branches=("dry",)),
        TreeNode(3, 1, "user", "I walk.", variant=2, variants=2, active=True),
        TreeNode(4, 2, "assistant", "Nobody comes.", below=2, thrown=True),
        TreeNode(5, 3, "assistant", "", active=True, branches=("main", "wet")),
        TreeNode(6, 3, "system", "A bell.", thrown=True),
        TreeNode(7, 6, folded=40, ends=1),
        TreeNode(8, 5, folded=9, ends=2),
    ]
    assert tree_text.as_text(nodes, 5, 5, 10).splitlines() == [
        "* 1 The tide is out.",
        "|-o 2 You: I wait. 1/2 [dry]",
        "| x 4 Nobody comes. (in the trash, with 2 below it)",
        "* 3 You: I walk. 2/2",
        "|-x 6 * A bell. (in the trash)",
        "| : 40 messages from message 7",
        "@ 5 (nothing yet) [main] [wet]",
        ": 9 messages, 2 ways end here from message 8",
    ]


def test_a_story_of_many_messages_has_its_focus_and_its_current_one() -> None:
    nodes = [TreeNode(message=1000 + n, parent=999 + n, text=f"Line {n}.") for n in range(1, 21)]
    rows = tree_text.as_text(nodes, int("1010"), int("1011"), 3).splitlines()
    assert rows == ["...", "@ 1010 Line 10.", "o 1011 Line 11.", "o 1012 Line 12.", "..."]


def test_ways_turn_off_one_beside_the_other() -> None:
    nodes = [TreeNode(1, 99, active=True)]  # what is above the outline is not in it
    nodes += [
        TreeNode(number, parent) for number, parent in ((2, 1), (3, 1), (4, 2), (5, 2), (6, 5), (7, 1))
    ]
    nodes += [TreeNode(8), TreeNode(9, 8), TreeNode(10, 8)]
    strokes = tree_text.Strokes("T", "B", "S")
    lines = [(line.strokes, line.node.message) for line in tree_text.tree_lines(nodes, strokes)]
    assert lines == [
        ("B", 8), ("ST", 9), ("S", 10), ("", 1), ("T", 2), ("ST", 4), ("S", 5), ("S", 6), ("T", 3), ("", 7)
    ]  # fmt: skip
    assert tree_text.tree_lines([]) == []


@pytest.mark.parametrize(
    ("marks", "number"),
    [
        ([{}, {}, {}], 3),
        ([{}, {"active": True}, {"chosen": True}], 2),
        ([{"chosen": True}, {"chosen": True}, {}], 2),
        ([{}, {}, {"thrown": True}], 2),
        ([{"thrown": True}, {"thrown": True}], 2),
    ],
)
def test_the_story_goes_on_where_it_is_or_was_or_came_last(
    marks: list[dict[str, bool]], number: int
) -> None:
    siblings = [msgspec.structs.replace(TreeNode(n), **mark) for n, mark in enumerate(marks, 1)]
    assert tree_text.trunk(siblings).message == number


# --- long frames --------------------------------------------------------------------------------


def test_a_frame_is_as_long_as_clients_take_without_their_own_part() -> None:
    data = encode(SystemUpdate("a" * limits.MIB))
    assert limits.MIB - 5 * limits.KIB < len(data) <= limits.MIB - 4 * limits.KIB


def test_of_several_lists_and_texts_the_longest_is_cut() -> None:
    lists = {"short": list(range(50)), "long": list(range(900)), "middle": list(range(200))}
    cut = shortened(frame(**lists), 2_500)["payload"]["metadata"]
    assert (cut["short"], cut["middle"]) == (lists["short"], lists["middle"])
    assert 0 < len(cut["long"]) < 900
    texts = {"short": "a" * 100, "long": "b" * 900, "middle": "c" * 500}
    cut = shortened(frame(**texts), 1_400)["payload"]["metadata"]
    assert (cut["short"], cut["middle"]) == (texts["short"], texts["middle"])
    assert cut["long"].endswith("b…")


def test_a_list_goes_before_a_text_from_twice_its_size() -> None:
    rows = ["r" * 20] * 100  # 24 bytes each with what is around them
    for length, loser in ((1199, "rows"), (1200, "text")):
        whole = frame(rows=rows, text="t" * length)
        cut = shortened(frame(rows=list(rows), text="t" * length), size(whole) - 30)
        left = cut["payload"]["metadata"]
        assert (len(left["rows"]) < 100) is (loser == "rows")
        assert (left["text"] != "t" * length) is (loser == "text")


def test_a_list_keeps_an_entry_and_a_short_text_stays_whole() -> None:
    rows = [{"a": [1] * 50}, {"a": [2] * 50}]
    cut = shortened(frame(rows=rows, note="n" * SHORT_BYTES), 210)["payload"]["metadata"]
    assert cut["note"] == "n" * SHORT_BYTES
    assert len(cut["rows"]) == 1


def test_events_are_encoded_once_one_after_the_other() -> None:
    encoder, first, second = Encoder(), SystemUpdate("a"), SystemUpdate("b")
    frames = [encoder.encode(one) for one in (first, first, second, first)]
    assert frames[0] is frames[1]
    assert frames == [encode(first), encode(first), encode(second), encode(first)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff", "not UTF-8"),
        ('{"prompt": 5}', "expected an object"),
        ('["I look."]', "expected an object"),
        ('{"prompt": "x"', "broken JSON"),
        ('{"prompt": "x", "fields": {"a": 5}}', "expected an object"),
    ],
)
def test_what_is_wrong_with_a_frame_is_said(data: str | bytes, says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        decode_prompt(data)


@pytest.mark.parametrize(
    "text",
    ["[I wait.]", "[1, 2", " plain {", "[]x", "\u00c9 vrai.", "~ wave", "}", "null", "-5", '"Halt!"'],
)
def test_plain_text_may_begin_like_json(text: str) -> None:
    assert decode_prompt(text).prompt == text
    assert decode_prompt(text.encode()).prompt == text
