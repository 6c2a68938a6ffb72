"""The real face in a pseudo-terminal: its first moments, every way it can end, and what it leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pty_world import ROOT, Pty
from tests.screen import Screen

FACE = (
    "import sys; from pathlib import Path; from flower.tui.boot import main; "
    "sys.exit(main(home_dir=Path(sys.argv[1]), engine_url=lambda: sys.argv[2]))"
)
# As a terminal's own program, which is sent SIGHUP when its terminal goes.
OWNER = f"import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {FACE}"
NOWHERE = "ws://127.0.0.1:9/ws/rpc"
# What may be imported before the first frame is drawn, measured at 5 ms together.
SLOW = (
    "trio",
    "trio_websocket",
    "blessed",
    "msgspec",
    "yaml",
    "markdown_it",
    "wcwidth",
    "flower.protocol.messages",
)


def face(home: Path, url: str = NOWHERE, environ: dict[str, str] | None = None) -> Pty:
    return Pty([sys.executable, "-c", FACE, str(home), url], environ)


@pytest.fixture(scope="module")
def engine_url() -> Iterator[str]:
    """A scripted engine with a short story, in a process of its own."""
    yield from _engine()


@pytest.fixture
def talking_engine_url() -> Iterator[str]:
    """The same for one test alone, which may leave it in the middle of a reply."""
    yield from _engine()


def _engine() -> Iterator[str]:
    code = (
        "import trio; from tests.scripted_engine import ScriptedEngine\n"
        "async def main():\n"
        "  async with trio.open_nursery() as nursery:\n"
        "    print(await nursery.start(ScriptedEngine(story=2, words=4000, rate=100).serve), flush=True)\n"
        "trio.run(main)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    yield child.stdout.readline().strip()
    child.kill()
    child.wait()
    child.stdout.close()


def is_clean(one: Pty) -> bool:
    """Whether the terminal is as it was: modes, screen, cursor, and every switch off again."""
    out = one.output
    # several modes at once: one by one
    out = re.sub(
        rb"\x1b\[\?(\d+);(\d+)([hl])", lambda m: b"\x1b[?%b%b\x1b[?%b%b" % m.group(1, 3, 2, 3), out
    )
    on = set(re.findall(rb"\x1b\[\?(\d+)h", out)) - {
        b"25",
        b"7",
    }  # the cursor and wrapping end switched on
    switched_off = all(out.rfind(b"\x1b[?%bl" % mode) > out.rfind(b"\x1b[?%bh" % mode) for mode in on)
    as_before = all(
        out.rfind(b"\x1b[?%bh" % mode) >= out.rfind(b"\x1b[?%bl" % mode) for mode in (b"25", b"7")
    )
    assert b"1049" in on
    return switched_off and as_before and termios.tcgetattr(one.slave) == one.before


def test_the_first_frame_needs_no_slow_module() -> None:
    code = (
        "import sys\nimport flower.tui.boot, flower.tui.view.screen, flower.tui.state.model\n"
        "import flower.tui.term.terminal\n"
        f"print([name for name in {SLOW!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_without_an_engine_the_screen_stands_and_says_so(tmp_path: Path) -> None:
    with face(tmp_path) as one:
        one.wait_for("connecting to the engine")
        one.wait_for("No engine answers", seconds=8)


def test_keys_typed_before_the_program_listens_are_kept(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Flower")
        one.type("early bird")
        one.wait_for("early bird")


@pytest.mark.parametrize("end", ["ctrl-d", "quit", "ctrl-c", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"])
def test_every_way_to_leave_gives_the_shell_back_clean(
    tmp_path: Path, engine_url: str, end: str
) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Line 2.")
        match end:
            case "ctrl-d":
                one.type("\x04")
            case "quit":
                one.type("/quit\r")
            case "ctrl-c":
                one.type("\x03")
                one.wait_for("again leaves")
                one.type("\x03")
            case _:
                one.child.send_signal(signal.Signals[end])
        assert one.wait_end() == 0
        assert is_clean(one)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGQUIT", "SIGHUP"])
@pytest.mark.parametrize("moment_s", [0.0, 0.03, 0.06, 0.12])
def test_a_signal_while_it_starts_gives_the_shell_back_clean(
    tmp_path: Path, engine_url: str, end: str, moment_s: float
) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Flower")
        one.pump(moment_s)
        one.child.send_signal(signal.Signals[end])
        assert one.wait_end() == 0
        assert is_clean(one)


def test_lines_that_arrive_together_are_a_paste_and_no_turns(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Line 2.")
        one.pump(0.3)
        one.type("I open the door.\rI look inside.\rI go in.\r")
        one.wait_for("I go in.")
        one.drain(0.3)
        assert "narrating" not in one.output.decode(errors="replace")
        one.type("\x15\x15\x15\x15\x15\x15\x04")
        one.wait_end()


def test_a_long_list_of_letters_at_a_popup_freezes_nothing(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Line 2.")
        one.type("\x1b[OQ\x1bOQ")
        one.type("\x1b[200~" + "ab" * 10_000 + "\x1b[201~")
        one.wait_for("abab", seconds=3)
        one.child.send_signal(signal.SIGTERM)
        assert one.wait_end() == 0


def test_leaving_in_mid_reply_is_clean_too(tmp_path: Path, talking_engine_url: str) -> None:
    with face(tmp_path, talking_engine_url) as one:
        one.wait_for("Line 2.")
        one.type("Go on.\r")
        one.wait_for("narrating")
        one.pump(0.2)
        one.child.send_signal(signal.SIGTERM)
        assert one.wait_end() == 0
        assert is_clean(one)


def test_a_crash_gives_the_shell_back_and_leaves_a_traceback_and_a_hint(tmp_path: Path) -> None:
    broken = (
        "import sys; from pathlib import Path; from flower.tui import boot, app\n"
        "def run(_): raise RuntimeError('a mistake of ours')\n"
        "app.run = run\n"
        "sys.exit(boot.main(home_dir=Path(sys.argv[1]), engine_url=lambda: ''))"
    )
    with Pty([sys.executable, "-c", broken, str(tmp_path)]) as one:
        assert one.wait_end() == 1
        assert is_clean(one)
        after = one.output[one.output.rfind(b"\x1b[?1049l") :].decode()
        assert "tui.log" in after
        assert "Traceback" not in after
        assert "a mistake of ours" in (tmp_path / "logs" / "tui.log").read_text()


# What a shell with job control does: the face in a group of its own, in the foreground, waited for.
SHELL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
status = os.waitpid(child, os.WUNTRACED)[1]
os.tcsetpgrp(0, os.getpgrp())
print("STOPPED" if os.WIFSTOPPED(status) else "ENDED", flush=True)
sys.stdin.readline()
os.tcsetpgrp(0, child)
os.kill(-child, signal.SIGCONT)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_ctrl_z_stops_and_fg_brings_the_screen_back(tmp_path: Path, engine_url: str) -> None:
    with Pty([sys.executable, "-c", SHELL, FACE, str(tmp_path), engine_url]) as one:
        one.wait_for("Line 2.")
        one.type("\x1a")
        one.wait_for("STOPPED")
        assert is_clean(one)
        one.type("fg\n")
        one.wait(lambda fresh: b"Line 2." in fresh and b"\x1b[?1049h" in fresh)
        one.type("\x04")
        assert one.wait_end() == 0
        assert is_clean(one)


@pytest.mark.parametrize("code", [FACE, OWNER], ids=["", "with a signal"])
@pytest.mark.parametrize("moment_s", [0.0, 0.05, 0.1, 0.15, 0.4])
def test_the_terminal_going_away_ends_the_face(
    tmp_path: Path, engine_url: str, moment_s: float, code: str
) -> None:
    """At any moment after the first frame, whatever is being read or written just then."""
    one = Pty([sys.executable, "-c", code, str(tmp_path), engine_url])
    one.wait_for("Flower")
    one.pump(moment_s)
    os.close(one.slave)
    os.close(one.master)
    assert one.child.wait(5) == 0
    assert not (tmp_path / "logs" / "tui.log").exists()


def test_a_half_typed_line_survives_a_kill(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Line 2.")
        one.type("half a thought")
        deadline = time.monotonic() + 5
        while not (tmp_path / "run" / "draft-1").exists():
            one.pump(0.05)
            assert time.monotonic() < deadline
        one.child.kill()
        one.child.wait()
    with face(tmp_path, engine_url) as again:
        again.wait_for("half a thought")


def test_two_faces_of_one_home_are_two_clients(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one, face(tmp_path, engine_url) as two:
        one.wait_for("Line 2.")
        two.wait_for("Line 2.")
        assert {path.name for path in (tmp_path / "run").glob("tui-*.lock")} == {
            "tui-1.lock",
            "tui-2.lock",
        }


def test_a_resize_storm_ends_in_the_frame_of_the_last_size(tmp_path: Path, engine_url: str) -> None:
    with face(tmp_path, engine_url) as one:
        one.wait_for("Line 2.")
        for number in range(60):
            one.resize(20 + number * 7 % 130, 5 + number * 5 % 40)
            one.child.send_signal(signal.SIGWINCH)
            one.pump(0.005)
        one.resize(90, 20)
        one.child.send_signal(signal.SIGWINCH)
        one.wait(lambda fresh: fresh.endswith(b"") and b"Line 2." in fresh)
        one.pump(0.3)
        screen = Screen(90, 20).feed(one.output[one.output.rfind(b"\x1b[2J") :])
        one.type("\x0c")  # Ctrl-L: the same frame, drawn whole
        one.wait(lambda fresh: b"Line 2." in fresh)
        one.pump(0.2)
        fresh = Screen(90, 20).feed(one.output[one.output.rfind(b"\x1b[2J") :])
        assert screen.text == fresh.text


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": ""}], ids=["dumb", "none"])
def test_a_terminal_that_cannot_draw_gets_the_line_mode(
    tmp_path: Path, engine_url: str, environ: dict[str, str]
) -> None:
    with face(tmp_path, engine_url, environ) as one:
        one.wait_for("Narrator: Line 2.")
        assert b"\x1b" not in one.output
        one.type("/quit\n")
        assert one.wait_end() == 0


def test_a_pipe_gets_the_line_mode(tmp_path: Path, engine_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FACE, str(tmp_path), engine_url],
        cwd=ROOT,
        input="/help\n",
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert "Narrator: Line 2." in done.stdout
    assert "/quit  leave" in done.stdout
    assert "\x1b" not in done.stdout


def test_over_a_slow_line_frames_wait_for_the_terminal(tmp_path: Path, engine_url: str) -> None:
    """Nothing piles up between here and there: what was typed meanwhile comes in one newest frame."""
    with face(tmp_path, engine_url, {"SSH_CONNECTION": "1 2 3 4"}) as one:
        one.wait_for("Line 2")
        one.type("plugh")
        one.wait_for("plugh")  # it reads keys
        one.type("\x1b[?62c")  # the terminal answers the first questions
        while True:
            one.type("\x0c")  # Ctrl+L draws everything again
            if not one.pump(0.3):
                break
            assert len(one.output) < 100_000, "frames must not go out for ever without an answer"
        one.type("xyzzy")
        assert b"xyzzy" not in one.pump(0.2)
        for _ in range(one.output.count(b"\x1b[5n")):
            one.type("\x1b[0n")
        one.wait_for("xyzzy")


def test_the_story_is_shown_before_trio_is_loaded(tmp_path: Path, engine_url: str) -> None:
    """What tasks and keys need takes longer to load than all that a story needs: the story comes first."""
    told = (
        "import sys; from flower import limits; from flower.tui.term.terminal import Terminal\n"
        "limits.STORY_FIRST_S = 20.0\n"  # of a machine that is very busy
        "write = Terminal.write\n"
        "def telling(self, data):\n"
        "    done = write(self, data)\n"
        "    if b'Line 2.' in data:\n"
        "        write(self, b'loaded' if {'trio', 'blessed'} & set(sys.modules) else b'nothing')\n"
        "    return done\n"
        "Terminal.write = telling\n"
    )
    with Pty([sys.executable, "-c", told + FACE, str(tmp_path), engine_url]) as one:
        one.wait_for("Line 2.")
        one.wait_for("nothing")
        one.type("early bird")
        one.wait_for("early bird")


@pytest.mark.parametrize("end", ["SIGTERM", "SIGQUIT", "SIGHUP"])
def test_a_signal_just_before_it_listens_to_signals_is_kept(tmp_path: Path, end: str) -> None:
    """It waits until the client can leave in order, and is no exception among tasks that begin."""
    late = (
        "import os, signal\nfrom flower.tui import app\nwatch = app.App._watch_signals\n"
        "async def late(self, **status):\n"
        f"    os.kill(os.getpid(), signal.{end})\n"
        "    await watch(self, **status)\n"
        "app.App._watch_signals = late\n"
    )
    with Pty([sys.executable, "-c", late + FACE, str(tmp_path), NOWHERE]) as one:
        assert one.wait_end() == 0
        assert is_clean(one)


def test_a_resize_while_it_starts_is_seen(tmp_path: Path, engine_url: str) -> None:
    """The kernel tells of it once, maybe before anybody listens."""
    resized = (
        "import fcntl, struct, termios\nfrom flower.tui import app\nwatch = app.App._watch_signals\n"
        "async def late(self, **status):\n"
        "    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 12, 30, 0, 0))\n"
        "    await watch(self, **status)\n"
        "app.App._watch_signals = late\n"
    )
    with Pty([sys.executable, "-c", resized + FACE, str(tmp_path), NOWHERE]) as one:
        one.wait_for("here are 30x12")
