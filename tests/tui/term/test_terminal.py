"""The terminal on real ptys: modes given back, writes that never wait, capabilities from many sources."""

from __future__ import annotations

import base64
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping

import pytest

from flower.errors import TerminalError
from flower.tui.render.style import TRUE_COLOR
from flower.tui.term import capabilities
from flower.tui.term.blessed_terminal import BlessedTerminal
from flower.tui.term.inputs import Key, Reply
from flower.tui.term.keys import Decoder
from flower.tui.term.terminal import CLIPBOARD_BYTES, Terminal
from tests.paths import ROOT

XTERM: dict[str, str] = {"TERM": "xterm-256color", "LANG": "C.UTF-8"}


class Pty:
    """A terminal's other end: what the program wrote can be read here."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)

    def output(self) -> bytes:
        data = b""
        while True:
            try:
                piece = os.read(self.master, 65536)
            except (BlockingIOError, OSError):
                return data
            if not piece:
                return data
            data += piece

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def close(self) -> None:
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def tty() -> Iterator[Pty]:
    opened = Pty()
    yield opened
    opened.close()


def enter(tty: Pty, environ: Mapping[str, str] = XTERM, *, mouse: bool = False) -> Terminal:
    terminal = Terminal(tty.slave, environ=environ, mouse=mouse)
    terminal.enter()
    terminal.adopt(BlessedTerminal(environ["TERM"]))
    return terminal


# --- modes ------------------------------------------------------------------------------------------


def test_leaving_gives_everything_back(tty: Pty) -> None:
    before = termios.tcgetattr(tty.slave)
    terminal = enter(tty, mouse=True)
    entered = tty.output()
    assert termios.tcgetattr(tty.slave) != before
    for reply in (Reply("kitty", "0"), Reply("mode:2026", "2"), Reply("mode:69", "2")):
        terminal.answered(reply)
    tty.output()
    terminal.leave()
    left = tty.output()
    assert termios.tcgetattr(tty.slave) == before
    assert os.get_blocking(tty.slave)
    for on in (b"?1049", b"?2004", b"?1004", b"?1006;1000"):
        assert b"\x1b[" + on + b"h" in entered
        assert b"\x1b[" + on + b"l" in left
    assert b"\x1b[?7l" in entered
    for end in (
        b"\x1b[?7h",
        b"\x1b[=0;1u",
        b"\x1b[?2026l",
        b"\x1b[?69l",
        b"\x1b[r",
        b"\x1b[m",
        b"\x1b[?25h",
    ):
        assert end in left
    assert left.endswith(b"\x1b[?1049l")


def test_leaving_twice_writes_once(tty: Pty) -> None:
    terminal = enter(tty)
    terminal.leave()
    tty.output()
    terminal.leave()
    assert tty.output() == b""
    assert not terminal.entered


def test_entering_twice_writes_once(tty: Pty) -> None:
    terminal = enter(tty)
    tty.output()
    terminal.enter()
    assert tty.output() == b""
    terminal.leave()


def test_an_exception_leaves(tty: Pty) -> None:
    before = termios.tcgetattr(tty.slave)

    def crash() -> None:
        with Terminal(tty.slave, environ=XTERM):
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError):
        crash()
    assert termios.tcgetattr(tty.slave) == before
    assert tty.output().endswith(b"\x1b[?1049l")


def test_a_vanished_terminal_is_no_second_error(tty: Pty) -> None:
    terminal = enter(tty)
    os.close(tty.master)
    tty.master = -1
    with pytest.raises(EOFError):
        terminal.read()
    with pytest.raises(EOFError):
        terminal.write(b"x")
    terminal.leave()


def test_no_terminal_is_one_clear_sentence() -> None:
    reader, writer = os.pipe()
    with pytest.raises(TerminalError, match="cannot be used"):
        Terminal(reader, environ=XTERM).enter()
    os.close(reader)
    os.close(writer)


def test_keys_typed_before_entering_are_kept(tty: Pty) -> None:
    terminal = Terminal(tty.slave, environ=XTERM)
    tty.type(b"early\n")
    terminal.enter()
    tty.type(b"\x03\x1a\r")
    typed = b""
    while len(typed) < len("early\n") + 3 and select.select([tty.slave], [], [], 5)[0]:
        typed += terminal.read()
    keys = Decoder().feed(typed)
    assert [key.name for key in keys if isinstance(key, Key)][:5] == [*"early"]
    assert keys[-3:] == [Key("ctrl+c"), Key("ctrl+z"), Key("enter")]
    assert terminal.read() == b""
    terminal.leave()


def test_terminals_without_an_alternate_screen_are_cleared(tty: Pty) -> None:
    terminal = enter(tty, {"TERM": "linux", "LANG": "C.UTF-8"})
    terminal._alternate = False  # terminfo is read once per process; here it is xterm's
    tty.output()
    terminal.leave()
    assert tty.output().endswith(b"\x1b[H\x1b[2J")


def test_old_consoles_are_asked_nothing(tty: Pty) -> None:
    terminal = enter(tty, {"TERM": "linux"})
    assert b"$p" not in tty.output()
    terminal.leave()
    terminal = enter(tty, XTERM)
    asked = tty.output()
    assert asked.index(b"\x1b[?2026$p") < asked.index(b"\x1b[c"), (
        "what every terminal answers comes last"
    )
    terminal.leave()


def test_resuming_sets_the_modes_again(tty: Pty) -> None:
    before = termios.tcgetattr(tty.slave)
    terminal = enter(tty)
    raw = termios.tcgetattr(tty.slave)
    termios.tcsetattr(tty.slave, termios.TCSANOW, before)  # a shell took over meanwhile
    tty.output()
    terminal.resume()
    assert termios.tcgetattr(tty.slave) == raw
    assert b"\x1b[?1049h" in tty.output()
    terminal.leave()
    assert termios.tcgetattr(tty.slave) == before


def test_the_mouse_can_be_switched_while_entered(tty: Pty) -> None:
    terminal = enter(tty)
    assert b"1000h" not in tty.output()
    terminal.use_mouse(True)
    terminal.use_mouse(True)
    assert tty.output() == b"\x1b[?1006;1000h"
    terminal.use_mouse(False)
    assert tty.output() == b"\x1b[?1006;1000l"
    terminal.use_mouse(True)
    tty.output()
    terminal.leave()
    assert b"1000l" in tty.output()


# --- writing ----------------------------------------------------------------------------------------


def test_a_blocked_tty_never_blocks_us_and_loses_nothing(tty: Pty) -> None:
    terminal = enter(tty)
    tty.output()
    data = bytes(range(65, 91)) * 20_000
    assert terminal.write(data) is False
    assert terminal.busy
    received = b""
    while not terminal.flush():
        received += tty.output()
    received += tty.output()
    assert received == data
    assert not terminal.busy
    terminal.leave()


def test_leaving_a_blocked_tty_takes_no_longer_than_its_bound(
    tty: Pty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.tui.term.terminal.RESTORE_S", 0.05)
    before = termios.tcgetattr(tty.slave)
    terminal = enter(tty)
    terminal.write(b"x" * 1_000_000)
    terminal.leave()
    assert termios.tcgetattr(tty.slave) == before


def test_a_cut_off_sequence_is_cancelled_before_the_modes_are_restored(tty: Pty) -> None:
    terminal = enter(tty)
    tty.output()
    terminal._rest = b"5;10H"  # the tty took the first half of a move only
    terminal.leave()
    assert tty.output().startswith(b"\x18")


# --- what the terminal says -------------------------------------------------------------------------


def test_answers_refine_the_capabilities(tty: Pty) -> None:
    terminal = enter(tty, {**XTERM, "TERM": "xterm-brandnew"})
    assert terminal.answered(Reply("mode:2026", "2"))
    assert terminal.capabilities.sync
    assert not terminal.answered(Reply("mode:2026", "2"))
    assert not terminal.answered(Reply("mode:69", "0"))
    assert not terminal.capabilities.margins
    assert terminal.answered(Reply("mode:69", "1"))
    assert terminal.capabilities.margins
    assert not terminal.answered(Reply("cursor", "2;2"))
    assert terminal.answered(Reply("cursor", "2;3"))
    assert terminal.capabilities.ambiguous_wide
    assert terminal.answered(Reply("cursor", "2;4"))
    assert not terminal.capabilities.utf8
    assert not terminal.answered(Reply("cursor", "7;1"))
    assert not terminal.answered(Reply("other", "noise"))
    terminal.leave()


def test_kitty_keys_are_asked_for_once_and_only_when_answered(tty: Pty) -> None:
    terminal = enter(tty)
    assert b"\x1b[=" not in tty.output()
    terminal.answered(Reply("kitty", "0"))
    terminal.answered(Reply("kitty", "1"))
    assert tty.output() == b"\x1b[=5;1u", "told apart, and with what they are on a Latin layout"
    terminal.leave()
    assert b"\x1b[=0;1u" in tty.output()
    terminal.enter()
    tty.output()
    terminal.leave()
    assert b"\x1b[=" not in tty.output()


def test_what_the_kitty_keys_were_comes_back(tty: Pty) -> None:
    terminal = enter(tty)
    terminal.answered(Reply("kitty", "3"))
    terminal.leave()
    assert b"\x1b[=3;1u" in tty.output()


def test_leaving_before_blessed_is_there_gives_everything_back(tty: Pty) -> None:
    before = termios.tcgetattr(tty.slave)
    terminal = Terminal(tty.slave, environ=XTERM, mouse=True)
    terminal.enter()
    assert b"2004h" not in tty.output()
    terminal.leave()
    assert termios.tcgetattr(tty.slave) == before
    assert tty.output().endswith(b"\x1b[?1049l")


def test_no_color_forbids_colours_only(tty: Pty, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = enter(tty, {**XTERM, "NO_COLOR": "1"}, mouse=True)
    assert terminal.capabilities.colors == 0
    assert b"\x1b[?2004h" in (written := tty.output())
    assert b"1000h" in written
    terminal.leave()


def test_the_size_is_the_ttys(tty: Pty) -> None:
    terminal = Terminal(tty.slave, environ=XTERM)
    assert terminal.size() == (80, 24), "a tty that does not know"
    termios.tcsetwinsize(tty.slave, (12, 40))
    assert terminal.size() == (40, 12)


# --- capabilities -----------------------------------------------------------------------------------

_ANSI = {"cup": b"\x1b[%i%p1%d;%p2%dH", "csr": b"x"}
_SCREEN = {
    **_ANSI,
    **dict.fromkeys(["hpa", "vpa", "indn", "rin", "il", "dl", "ich", "dch", "dim", "smcup"], b"x"),
}
ENTRIES: dict[str, dict[str, bytes | int | bool]] = {
    "xterm-256color": {**_SCREEN, "colors": 256, "bce": True, "ech": b"x", "rep": b"x", "sitm": b"x"},
    "tmux-256color": {**_SCREEN, "colors": 256, "sitm": b"x"},
    "screen": {**_SCREEN, "colors": 8},
    "linux": {
        **{key: value for key, value in _SCREEN.items() if key not in ("indn", "rin", "smcup")},
        "colors": 8, "bce": True, "ech": b"x",
    },
    "vt100": {**_ANSI, "colors": -1},
    "vt52": {"cup": b"\x1bY%p1%'\\s'%+%c%p2%'\\s'%+%c"},
    "dumb": {},
}  # fmt: skip


def entry(term: str) -> capabilities.Terminfo:
    values = ENTRIES[term]
    return lambda name: values.get(name)


@pytest.mark.parametrize(
    ("term", "environ", "colors"),
    [
        ("xterm-256color", {}, 256),
        ("xterm-256color", {"COLORTERM": "truecolor"}, TRUE_COLOR),
        ("xterm-256color", {"COLORTERM": "24bit", "NO_COLOR": "1"}, 0),
        ("xterm-256color", {"NO_COLOR": ""}, 256),
        ("tmux-256color", {"COLORTERM": "truecolor", "TMUX": "x"}, TRUE_COLOR),
        ("screen", {"COLORTERM": "truecolor"}, 16),
        ("linux", {}, 16),
        ("vt100", {}, 0),
    ],
)
def test_colours(term: str, environ: Mapping[str, str], colors: int) -> None:
    assert capabilities.colors(term, environ, entry(term)) == colors


def test_an_unknown_name_is_taken_for_a_modern_terminal() -> None:
    assert capabilities.usable("xterm-brandnew", None)
    caps = capabilities.detect("xterm-brandnew", {"LANG": "en_US.UTF-8"}, None)
    assert caps.colors == 256
    assert not caps.repeat, "nothing that older terminals print as a letter"


@pytest.mark.parametrize("term", ["dumb", "vt52", "", "unknown"])
def test_terminals_that_cannot_be_addressed(term: str) -> None:
    assert not capabilities.usable(term, entry(term) if term in ENTRIES else None)


def test_capabilities_follow_terminfo() -> None:
    vt100 = capabilities.detect("vt100", {"LANG": "C"}, entry("vt100"))
    assert not any((vt100.insert_delete_line, vt100.columns_absolute, vt100.bce, vt100.dim, vt100.utf8))
    assert vt100.scroll_region
    linux = capabilities.detect("linux", {"LANG": "C.UTF-8"}, entry("linux"))
    assert (linux.bce, linux.erase_chars, linux.scroll_count, linux.repeat) == (
        True,
        True,
        False,
        False,
    )
    tmux = capabilities.detect("tmux-256color", {}, entry("tmux-256color"))
    assert (tmux.bce, tmux.erase_chars, tmux.scroll_count, tmux.italic) == (False, False, True, True)


@pytest.mark.parametrize(
    ("environ", "utf8"),
    [
        ({}, False),
        ({"LANG": "C"}, False),
        ({"LANG": "en_GB.UTF-8"}, True),
        ({"LANG": "en_GB.utf8"}, True),
        ({"LANG": "C.UTF-8", "LC_ALL": "C"}, False),
        ({"LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, False),
    ],
)
def test_the_locale_decides_about_utf8(environ: Mapping[str, str], utf8: bool) -> None:
    assert capabilities.is_utf8(environ) is utf8


@pytest.mark.parametrize(
    ("environ", "before", "after"),
    [
        (XTERM, b"\x1b]52;c;", b"\x07"),
        ({**XTERM, "TMUX": "/tmp/x"}, b"\x1bPtmux;\x1b\x1b]52;c;", b"\x07\x1b\\"),
        ({"TERM": "screen"}, b"\x1bP\x1b]52;c;", b"\x07\x1b\\"),
    ],
)
def test_copying_passes_through_multiplexers(
    environ: Mapping[str, str], before: bytes, after: bytes
) -> None:
    data = Terminal(0, environ=environ).copy("höllo\x1b")
    assert data.startswith(before)
    assert data.endswith(after)
    assert base64.b64decode(data[len(before) : -len(after)]).decode() == "höllo\x1b"


def test_copying_is_bounded() -> None:
    assert len(Terminal(0, environ=XTERM).copy("x" * 1_000_000)) < 2 * CLIPBOARD_BYTES


def test_a_title_cannot_end_itself_early() -> None:
    assert Terminal(0, environ=XTERM).title("a\x07\x1b]52;c;x\x07b").endswith(b"\x1b]2;a]52;c;xb\x07")


def test_the_title_of_before_comes_back(tty: Pty) -> None:
    terminal = enter(tty)
    terminal.write(terminal.title("one") + terminal.title("two"))
    terminal.leave()
    written = tty.output()
    assert written.count(b"\x1b[22;2t") == written.count(b"\x1b[23;2t") == 1
    assert written.index(b"\x1b[22;2t") < written.index(b"\x1b]2;one") < written.index(b"\x1b[23;2t")


@pytest.mark.parametrize("kind", ["xterm-256color", "linux", "vt100", "no-such-terminal", ""])
def test_blessed_asks_the_terminal_nothing(kind: str) -> None:
    blessed = BlessedTerminal(kind)
    assert blessed.written() == b""
    with blessed.bracketed_paste(), blessed.mouse_enabled():
        assert blessed.written() == b"\x1b[?2004h\x1b[?1006;1000h"
    assert blessed.written() == b"\x1b[?1006;1000l\x1b[?2004l"
    with blessed.enable_kitty_keyboard(force=True):
        pass
    assert b"?u" not in blessed.written()


# --- whole processes --------------------------------------------------------------------------------


def run_in_pty(program: str) -> tuple[bytes, int]:
    """Returns what a Python program wrote to a terminal of its own, and its exit code."""
    child, master = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        os.environ.update(XTERM, PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [sys.executable, "-c", program])
    output = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        output += piece
    _, status = os.waitpid(child, 0)
    os.close(master)
    return output, os.waitstatus_to_exitcode(status)


START = (
    "from flower.tui.term.terminal import Terminal\nt = Terminal.open(); t.enter(); t.write(b'<in>')\n"
)


@pytest.mark.parametrize(
    "ending",
    ["raise RuntimeError('bug')", "raise SystemExit(3)", "import sys; sys.exit(0)", "pass"],
)
def test_every_ordinary_end_of_the_process_restores_the_terminal(ending: str) -> None:
    """Even when nobody calls leave."""
    output, _ = run_in_pty(START + ending)
    assert output.index(b"<in>") < output.rindex(b"\x1b[?1049l")


def test_stopping_gives_the_terminal_to_the_shell_and_back() -> None:
    """A small shell with job control starts us, sees us stop, and continues us."""
    program = """
import os, signal, sys, termios
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
before = termios.tcgetattr(0)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpgrp())
    from flower.tui.term.terminal import Terminal
    t = Terminal.open(); t.enter(); t.suspend(); t.write(b"<again>"); t.leave()
    os._exit(0)
_, status = os.waitpid(child, os.WUNTRACED)
os.tcsetpgrp(0, os.getpgrp())
assert os.WIFSTOPPED(status)
assert termios.tcgetattr(0) == before
os.write(1, b"<stopped>")
os.tcsetpgrp(0, child)
os.kill(child, signal.SIGCONT)
_, status = os.waitpid(child, 0)
os.tcsetpgrp(0, os.getpgrp())
assert termios.tcgetattr(0) == before
os.write(1, b"<done>")
"""
    output, code = run_in_pty(program)
    assert code == 0, output
    order = [output.index(mark) for mark in (b"<stopped>", b"<again>", b"<done>")]
    assert order == sorted(order)
    assert output[: order[0]].endswith(b"\x1b[?1049l")
    assert b"\x1b[?1049h" in output[order[0] : order[1]]


def test_the_modules_of_the_first_frame_import_nothing_slow() -> None:
    program = (
        "import sys; import flower.tui.term.diff, flower.tui.render.theme, flower.tui.term.inputs, "
        "flower.tui.state.editor, flower.tui.term.terminal; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    slow = {
        "trio",
        "blessed",
        "wcwidth",
        "msgspec",
        "yaml",
        "dataclasses",
        "asyncio",
        "ctypes",
        "markdown_it",
    }
    assert not slow & set(loaded.stdout.split())
