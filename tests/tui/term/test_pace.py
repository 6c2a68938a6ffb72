"""Pacing by the terminal's answers: nothing queues on a slow line, nothing stops for ever."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from flower.tui.term.inputs import Reply
from flower.tui.term.keys import Decoder
from flower.tui.term.tty import ANSWER, PACE_BYTES, PACE_WINDOW_BYTES, QUESTION, Pace
from tests.tui.term.test_terminal import XTERM, Pty, enter, tty

__all__ = ["tty"]  # a fixture

SSH = {**XTERM, "SSH_CONNECTION": "1 2 3 4"}


def started() -> Pace:
    pace = Pace()
    pace.on = True
    return pace


def test_without_ssh_nothing_is_asked_or_counted(tty: Pty) -> None:
    terminal = enter(tty)
    terminal.answered(Reply("attributes", "1"))
    tty.output()
    terminal.write(b"x" * 5000)
    assert QUESTION not in tty.output()
    assert not terminal.busy
    terminal.leave()


def test_over_ssh_frames_wait_for_the_terminal_to_answer(tty: Pty) -> None:
    terminal = enter(tty, SSH)
    terminal.answered(Reply("attributes", "1"))
    tty.output()
    terminal.write(b"x" * (PACE_WINDOW_BYTES + 1))
    assert tty.output().endswith(QUESTION)
    assert terminal.busy
    terminal.answered(Reply("status", "0"))
    assert not terminal.busy
    terminal.leave()


def test_a_terminal_that_never_said_anything_is_not_waited_for(tty: Pty) -> None:
    terminal = enter(tty, SSH)
    terminal.write(b"x" * 5000)
    assert not terminal.busy
    terminal.leave()


def test_answers_on_their_way_do_not_reach_the_shell(tty: Pty) -> None:
    terminal = enter(tty, SSH)
    terminal.answered(Reply("attributes", "1"))
    terminal.write(b"x" * 600)
    tty.type(ANSWER)
    terminal.leave()
    os.set_blocking(tty.slave, False)
    try:
        left = os.read(tty.slave, 100)
    except BlockingIOError:
        left = b""
    assert left == b""


def test_the_answer_is_understood_whole_and_split() -> None:
    assert Decoder().feed(ANSWER) == [Reply("status", "0")]
    decoder = Decoder()
    assert [reply for byte in ANSWER for reply in decoder.feed(bytes([byte]))] == [Reply("status", "0")]


@given(st.lists(st.one_of(st.integers(0, 3000), st.none()), max_size=60))
def test_answers_always_end_the_waiting(steps: list[int | None]) -> None:
    """However frames and answers mix: with every answer in, drawing goes on; few questions are asked."""
    pace = started()
    written = asked = 0
    for step in steps:
        if step is None:
            pace.answered()
            continue
        written += step
        asked += QUESTION in pace.marked(b"x" * step)
    assert asked <= written // PACE_BYTES
    while pace.owed:
        pace.answered()
    assert not pace.behind
