"""Pastes on terminals that do not mark them."""

from __future__ import annotations

import pytest

from flower import limits
from flower.tui.term.inputs import Input, Key, Paste
from flower.tui.term.keys import Decoder, PasteGuess


def guess(*reads: bytes) -> list[Input]:
    decoder = PasteGuess(Decoder())
    return [item for data in reads for item in decoder.feed(data)] + decoder.flush()


def test_lines_in_one_read_are_a_paste() -> None:
    assert guess(b"one\rtwo\rthree\r") == [Paste("one\ntwo\nthree\n")]
    assert guess("eins\r\nzwölf".encode()) == [Paste("eins\nzwölf")]


def test_what_follows_before_silence_belongs_to_it() -> None:
    """A paste longer than one read: its last piece may be a line with its end, as a typed one."""
    assert guess(b"one\rtwo", b" and a half\r", b"three\r") == [Paste("one\ntwo and a half\nthree\n")]


@pytest.mark.parametrize("typed", [b"look\r", b"\r", b"\r\r\r", b"\rx", b"look", b"a\x1b[A\rb"])
def test_what_people_type_is_keys(typed: bytes) -> None:
    assert not [item for item in guess(typed) if isinstance(item, Paste)]


def test_nothing_is_guessed_where_the_terminal_marks_pastes() -> None:
    decoder = PasteGuess(Decoder())
    decoder.marked = True
    assert Key("enter") in decoder.feed(b"one\rtwo")
    decoder = PasteGuess(Decoder())
    decoder.feed(b"\x1b[200~x\x1b[201~")
    assert Key("enter") in decoder.feed(b"one\rtwo")


def test_a_key_after_it_is_a_key() -> None:
    assert guess(b"one\rtwo", b"\x1b[A") == [Paste("one\ntwo"), Key("up")]


def test_it_waits_for_silence_and_is_bounded() -> None:
    decoder = PasteGuess(Decoder())
    assert decoder.feed(b"one\rtwo") == []
    assert decoder.pending
    decoder.feed(b"x" * (limits.PASTE_BYTES + 100))
    (paste,) = decoder.flush()
    assert isinstance(paste, Paste)
    assert len(paste.text) == limits.PASTE_BYTES
    assert paste.lost == 107
    assert not decoder.pending


def test_a_marked_paste_over_the_bound_says_what_it_lost() -> None:
    decoder = Decoder()
    decoder.feed(b"\x1b[200~" + b"x" * limits.PASTE_BYTES)
    (paste,) = decoder.feed(b"yyy\x1b[201~")
    assert isinstance(paste, Paste)
    assert (len(paste.text), paste.lost) == (limits.PASTE_BYTES, 3)
