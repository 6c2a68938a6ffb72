"""Decoders give the same events however the bytes are cut."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.provider.http.framing import (
    Comment,
    LineSplitter,
    NdjsonDecoder,
    ServerEvent,
    SseDecoder,
)

CASES: dict[str, tuple[bytes, list[ServerEvent | Comment]]] = {
    "one event": (b"data: a\n\n", [ServerEvent(b"a")]),
    "no space after the colon": (b"data:a\n\n", [ServerEvent(b"a")]),
    "only one space is dropped": (b"data:  a\n\n", [ServerEvent(b" a")]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [ServerEvent(b"a"), ServerEvent(b"b")]),
    "cr alone": (b"data: a\r\rdata: b\r\r", [ServerEvent(b"a"), ServerEvent(b"b")]),
    "several data lines": (b"data: a\ndata: b\n\n", [ServerEvent(b"a\nb")]),
    "named": (b"event: ping\ndata: {}\n\n", [ServerEvent(b"{}", "ping")]),
    "the name does not stick": (
        b"event: x\ndata: 1\n\ndata: 2\n\n",
        [ServerEvent(b"1", "x"), ServerEvent(b"2")],
    ),
    "a name without data is no event": (b"event: ping\n\ndata: 1\n\n", [ServerEvent(b"1")]),
    "comment": (b": OPENROUTER PROCESSING\n\n", [Comment("OPENROUTER PROCESSING")]),
    "comment inside an event": (b"data: a\n: b\ndata: c\n\n", [Comment("b"), ServerEvent(b"a\nc")]),
    "id and retry mean nothing": (b"id: 7\nretry: 10\ndata: a\n\n", [ServerEvent(b"a")]),
    "field without colon": (b"data\ndata: a\n\n", [ServerEvent(b"\na")]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [ServerEvent(b"a")]),
    "blank lines": (b"\n\n\ndata: a\n\n\n\n", [ServerEvent(b"a")]),
    "line separators inside JSON": (
        'data: {"t":"a\u2028b\u2029c\u0085d\x0be\x1cf"}\n\n'.encode(),
        [ServerEvent('{"t":"a\u2028b\u2029c\u0085d\x0be\x1cf"}'.encode())],
    ),
    "end without a blank line": (b"data: [DONE]", [ServerEvent(b"[DONE]")]),
    "nothing": (b"", []),
}


def decode(
    parts: list[bytes], decoder: SseDecoder | NdjsonDecoder | None = None
) -> list[ServerEvent | Comment]:
    decoder = decoder or SseDecoder()
    found: list[ServerEvent | Comment] = []
    for part in parts:
        found += decoder.feed(part)
    return found + list(decoder.end())


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("name", CASES)
def test_events_do_not_depend_on_the_cuts(name: str) -> None:
    data, expected = CASES[name]
    assert decode([data]) == expected
    assert decode([data[i : i + 1] for i in range(len(data))]) == expected
    rng = random.Random(name)
    for _ in range(20):
        places = [rng.randrange(len(data) + 1) for _ in range(4)]
        assert decode(cut(data, places)) == expected


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 10_000), max_size=8))
def test_any_bytes_decode_the_same_whole_and_in_parts(data: bytes, places: list[int]) -> None:
    assert decode(cut(data, places)) == decode([data])


@given(
    payloads=st.lists(
        st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=["Cs"])), max_size=5
    ),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_what_a_server_writes_is_what_is_read(payloads: list[str], end: str) -> None:
    """Round trip: any text without line ends survives as the data of one event."""
    data = "".join(f"data: {payload}{end}{end}" for payload in payloads).encode()
    assert decode([data]) == [ServerEvent(payload.encode()) for payload in payloads]


def test_a_line_without_end_is_dropped_at_the_limit() -> None:
    decoder = SseDecoder(max_line_bytes=100)
    assert decoder.feed(b"data: ok\n\n") == [ServerEvent(b"ok")]
    for _ in range(1000):
        assert decoder.feed(b"x" * 50) == []
    assert decoder.overflowed
    assert decoder.feed(b"\n\ndata: late\n\n") == []
    assert decoder.end() == []


def test_an_event_of_endless_lines_is_dropped_at_the_limit() -> None:
    decoder = SseDecoder(max_line_bytes=100)
    for _ in range(50):
        decoder.feed(b"data: 1234567890\n")
    assert decoder.overflowed
    assert decoder.feed(b"\n") == []


def test_events_before_an_overlong_line_are_kept() -> None:
    decoder = SseDecoder(max_line_bytes=20)
    assert decoder.feed(b"data: a\n\ndata: " + b"x" * 50 + b"\n\n") == [ServerEvent(b"a")]
    assert decoder.overflowed


def test_line_splitter_holds_no_more_than_one_line() -> None:
    lines = LineSplitter(10)
    assert lines.feed(b"one\ntwo") == [b"one"]
    assert lines.feed(b"\r") == [b"two"]
    assert lines.feed(b"\nthree") == []
    assert lines.end() == b"three"
    assert lines.end() == b""


@given(data=st.binary(max_size=200), places=st.lists(st.integers(0, 10_000), max_size=8))
def test_ndjson_does_not_depend_on_the_cuts(data: bytes, places: list[int]) -> None:
    assert decode(cut(data, places), NdjsonDecoder()) == decode([data], NdjsonDecoder())


def test_ndjson_lines() -> None:
    """Blank lines are keep-alives; U+2028 does not end a line; the last line needs no end."""
    data = '{"a":1}\n\n  \r\n{"b":"x\u2028y"}\n{"c":3}'.encode()
    expected = [
        ServerEvent(b'{"a":1}'),
        ServerEvent('{"b":"x\u2028y"}'.encode()),
        ServerEvent(b'{"c":3}'),
    ]
    assert decode([data], NdjsonDecoder()) == expected
    overlong = NdjsonDecoder(max_line_bytes=10)
    assert overlong.feed(b"x" * 11) == []
    assert overlong.overflowed
