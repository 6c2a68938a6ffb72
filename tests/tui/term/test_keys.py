"""Keys: tables of what terminals send, and the law that splitting the bytes changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower import limits
from flower.tui.term.blessed_terminal import BlessedTerminal, KeyNames
from flower.tui.term.inputs import Focus, Input, Key, Mouse, Paste, Reply
from flower.tui.term.keys import SEQUENCE_BYTES, Decoder

KEYS = {
    b"a": "a",
    b"Z": "Z",
    b" ": "space",
    "é".encode(): "é",
    "漢".encode(): "漢",
    "🙂".encode(): "🙂",
    b"\r": "enter",
    b"\n": "ctrl+j",
    b"\t": "tab",
    b"\x7f": "backspace",
    b"\x08": "ctrl+h",
    b"\x01": "ctrl+a",
    b"\x1a": "ctrl+z",
    b"\x00": "ctrl+space",
    b"\x1f": "ctrl+_",
    b"\x1b": "escape",
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[1;2A": "shift+up",
    b"\x1b[1;5C": "ctrl+right",
    b"\x1b[1;6D": "ctrl+shift+left",
    b"\x1b[1;3B": "alt+down",
    b"\x1b[H": "home",
    b"\x1b[1~": "home",
    b"\x1b[7~": "home",
    b"\x1bOH": "home",
    b"\x1b[1;5H": "ctrl+home",
    b"\x1b[F": "end",
    b"\x1b[4~": "end",
    b"\x1b[2~": "insert",
    b"\x1b[3~": "delete",
    b"\x1b[3;5~": "ctrl+delete",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[5;2~": "shift+pageup",
    b"\x1b[Z": "shift+tab",
    b"\x1bOP": "f1",
    b"\x1b[11~": "f1",
    b"\x1b[[A": "f1",
    b"\x1b[[E": "f5",
    b"\x1b[15~": "f5",
    b"\x1b[24~": "f12",
    b"\x1b[1;2R": "shift+f3",
    b"\x1bOM": "enter",
    b"\x1bOa": "ctrl+up",
    b"\x1b[a": "shift+up",
    b"\x1b[3^": "ctrl+delete",
    b"\x1b[3$": "shift+delete",
    b"\x1bb": "alt+b",
    b"\x1bB": "alt+shift+b",
    b"\x1b\r": "alt+enter",
    b"\x1b\x7f": "alt+backspace",
    b"\x1b\x01": "ctrl+alt+a",
    b"\x1b[": "alt+[",
    b"\x1bO": "alt+shift+o",
    b"\x1b]": "alt+]",
    b"\x1b\x1b[A": "alt+up",
    b"\x1b[13;2u": "shift+enter",
    b"\x1b[13;3u": "alt+enter",
    b"\x1b[13;5u": "ctrl+enter",
    b"\x1b[27u": "escape",
    b"\x1b[97;5u": "ctrl+a",
    b"\x1b[97;7u": "ctrl+alt+a",
    b"\x1b[97;6u": "ctrl+shift+a",
    b"\x1b[9;2u": "shift+tab",
    b"\x1b[127;3u": "alt+backspace",
    b"\x1b[57414u": "enter",
    b"\x1b[57421;5u": "ctrl+pageup",
    b"\x1b[233u": "é",
    b"\x1b[97:65;2u": "A",
    b"\x1b[97;69u": "ctrl+a",  # num lock is on: it does not count
    b"\x1b[27;5;13~": "ctrl+enter",
    b"\x1b[27;2;13~": "shift+enter",
    b"\x1b[27;6;105~": "ctrl+shift+i",
}

OTHERS: dict[bytes, Input] = {
    b"\x1b[I": Focus(gained=True),
    b"\x1b[O": Focus(gained=False),
    b"\x1b[<0;10;5M": Mouse("press", 9, 4, 1),
    b"\x1b[<0;10;5m": Mouse("release", 9, 4, 1),
    b"\x1b[<2;1;1M": Mouse("press", 0, 0, 3),
    b"\x1b[<64;10;5M": Mouse("wheel_up", 9, 4),
    b"\x1b[<65;10;5M": Mouse("wheel_down", 9, 4),
    b"\x1b[<68;10;5M": Mouse("wheel_up", 9, 4, 0, "shift+"),
    b"\x1b[<32;3;4M": Mouse("drag", 2, 3, 1),
    b"\x1b[<35;3;4M": Mouse("move", 2, 3),
    b"\x1b[M !!": Mouse("press", 0, 0, 1),
    b"\x1b[Ma!!": Mouse("wheel_down", 0, 0),
    b"\x1b[?2026;2$y": Reply("mode:2026", "2"),
    b"\x1b[?69;0$y": Reply("mode:69", "0"),
    b"\x1b[?1u": Reply("kitty", "1"),
    b"\x1b[?62;22c": Reply("attributes", "62;22"),
    b"\x1b[2;3R": Reply("cursor", "2;3"),
    b"\x1bP>|foot(1.16)\x1b\\": Reply("version", "foot(1.16)"),
    b"\x1b]11;rgb:0000/0000/0000\x07": Reply("other", "11;rgb:0000/0000/0000"),
    b"\x1b[200~two\r\nlines\rand \x1b[31m\x1b[201~": Paste("two\nlines\nand \x1b[31m"),
    b"\x1b[200~\x1b[201~": Paste(""),
}

IGNORED = [
    b"\x1b[97;1:3u",
    b"\x1b[1;1:3A",
    b"\x1b[57441u",
    b"\x1b[<64;5M",
    b"\x1b[99~",
    b"\x80",
    b"\xc3(",
]


def decode(data: bytes) -> list[Input]:
    decoder = Decoder()
    return decoder.feed(data) + decoder.flush()


def decode_bytewise(data: bytes) -> list[Input]:
    decoder = Decoder()
    return [item for byte in data for item in decoder.feed(bytes([byte]))] + decoder.flush()


@pytest.mark.parametrize("data", KEYS)
def test_keys(data: bytes) -> None:
    for inputs in (decode(data), decode_bytewise(data)):
        assert [item.name for item in inputs if isinstance(item, Key)] == [KEYS[data]]
        assert len(inputs) == 1


@pytest.mark.parametrize("data", OTHERS)
def test_other_inputs(data: bytes) -> None:
    assert decode(data) == decode_bytewise(data) == [OTHERS[data]]


@pytest.mark.parametrize("data", IGNORED)
def test_ignored(data: bytes) -> None:
    assert [item for item in decode(data) if item != Key("(", "(")] == [], "what follows is not lost"


def test_only_printable_keys_carry_text() -> None:
    assert decode(b"a") == [Key("a", "a")]
    assert decode(b" ") == [Key("space", " ")]
    assert decode(b"\x1b[97:65;2u") == [Key("A", "A")]
    assert decode(b"\x1b[97;5u") == [Key("ctrl+a")]
    assert decode(b"\x1bb") == [Key("alt+b")]


pieces = st.lists(
    st.sampled_from([*KEYS, *OTHERS, *IGNORED, b"hello", b"\x1b[200~open"]) | st.binary(max_size=8),
    max_size=8,
)


@settings(max_examples=300)
@given(st.binary(max_size=60) | pieces.map(b"".join), st.data())
def test_splitting_the_bytes_changes_nothing(data: bytes, draw: st.DataObject) -> None:
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    decoder = Decoder()
    inputs: list[Input] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        inputs += decoder.feed(data[start:end])
    inputs += decoder.flush()
    assert inputs == decode(data)
    assert not decoder.pending
    assert not decoder.pasting


@given(st.binary(max_size=100))
def test_garbage_never_raises_and_never_sticks(data: bytes) -> None:
    decoder = Decoder()
    decoder.feed(data)
    decoder.flush()
    assert decoder.feed(b"x") == [Key("x", "x")]


def test_a_lone_escape_waits_for_the_flush() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b") == []
    assert decoder.pending
    assert decoder.flush() == [Key("escape")]
    assert not decoder.pending


def test_two_escapes_are_two_keys() -> None:
    assert decode(b"\x1b\x1b") == [Key("escape"), Key("escape")]


def test_a_paste_is_not_pending_but_can_be_ended() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x1b[200~half") == []
    assert decoder.pasting
    assert not decoder.pending
    assert decoder.flush() == [Paste("half")]
    assert decoder.feed(b"x") == [Key("x", "x")]


def test_an_endless_paste_is_bounded() -> None:
    decoder = Decoder()
    decoder.feed(b"\x1b[200~")
    for _ in range(limits.PASTE_BYTES // 50_000 + 5):
        decoder.feed(b"y" * 50_000)
    (paste,) = decoder.feed(b"\x1b[201~")
    assert isinstance(paste, Paste)
    assert len(paste.text) == limits.PASTE_BYTES


def test_an_endless_sequence_is_bounded() -> None:
    decoder = Decoder()
    for _ in range(200):
        decoder.feed(b"\x1b]" + b"0" * 100)
    decoder.flush()
    decoder.feed(b"\x1b[" + b"1;" * SEQUENCE_BYTES)
    assert len(decoder._data) <= SEQUENCE_BYTES


def test_the_terminals_own_sequences_are_keys_too() -> None:
    decoder = Decoder(KeyNames(BlessedTerminal("rxvt-unicode-256color")))
    assert decoder.feed(b"\x1b[d\x1b[8$") + decoder.flush() == [Key("shift+left"), Key("shift+end")]
    unknown = Decoder(KeyNames(BlessedTerminal("no-such-terminal")))
    assert unknown.feed(b"\x1b[A") == [Key("up")]


def test_keypad_keys_type_what_is_on_them() -> None:
    assert decode(b"\x1b[57407u\x1bOx\x1bOk") == [Key("8", "8"), Key("8", "8"), Key("+", "+")]


def test_control_keys_of_layouts_without_latin_letters_are_those_in_their_place() -> None:
    assert decode(b"\x1b[1089::99;5u") == [Key("ctrl+c")], "Cyrillic es, where Latin has C"
    assert decode(b"\x1b[963::115;5u") == [Key("ctrl+s")], "Greek sigma"
    assert decode(b"\x1b[1089:1057:99;2u") == [Key("С", "С")], "typed, it stays what it is"
    assert decode(b"\x1b[97::113;5u") == [Key("ctrl+a")], "AZERTY has a Latin letter of its own"
