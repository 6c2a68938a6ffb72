"""Small rules of the wire, one by one: which part of an outline is shown, what a long frame loses."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from flower import limits
from flower.errors import ProtocolError
from flower.protocol import tree_text
from flower.protocol.codec import FORM_FIELDS, REQUEST_ID_CHARS, decode_prompt, encode, shortened
from flower.protocol.messages import ShownMessage, SystemUpdate, TreeNode

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
