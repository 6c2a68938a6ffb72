"""From exec to the first frame, before anything slow is imported.

The terminal is taken first, so that keys typed meanwhile are kept; then the first frame is drawn with
what the standard library offers; only then come trio, the socket and the configuration. Whatever
happens later, the terminal is given back and a crash leaves its traceback in ``logs/tui.log``.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from flower import limits
from flower.errors import TerminalError, printable, printable_line
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import load_theme
from flower.tui.state import bindings
from flower.tui.state.model import Model
from flower.tui.term.diff import Painter
from flower.tui.term.terminal import Terminal
from flower.tui.view.screen import Screen

_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main(
    *,
    home_dir: Path,
    engine_url: Callable[[], str],
    token: str | None = None,
    advice: Callable[[], str] = str,
) -> int:
    """Runs the client on this process's terminal. Returns the exit code.

    ``engine_url`` is asked before every connection attempt, ``advice`` once the screen stands: a sentence
    for the user, or nothing. Without a terminal that can be drawn on,
    the plain line mode takes over.
    """
    try:
        terminal = Terminal.open()
    except TerminalError:
        return _plain(home_dir, engine_url, token, advice)
    if not terminal.usable or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _plain(home_dir, engine_url, token, advice)
    # Before trio watches them, and after: the terminal is given back first.
    for number in _ENDS:
        signal.signal(number, _end)
    try:
        terminal.enter()
        _draw_and_run(terminal, home_dir, engine_url, token, advice)
    except KeyboardInterrupt:
        terminal.leave()
        return 130
    except EOFError:
        return 0  # the terminal is gone: nobody is left to tell
    except Exception as error:  # noqa: BLE001  # the last edge: a broken client must still give the shell back
        terminal.leave()
        _report_crash(error, home_dir)
        return 1
    finally:
        terminal.leave()
    return 0


def _draw_and_run(
    terminal: Terminal,
    home_dir: Path,
    engine_url: Callable[[], str],
    token: str | None,
    advice: Callable[[], str],
) -> None:
    caps = terminal.capabilities
    theme = load_theme(utf8=caps.utf8, console=terminal.console)
    columns, rows = terminal.size()
    model = Model(columns, rows, theme, StoryPane(theme), bindings.default(), nonce=os.urandom(6).hex())
    painter, screen = Painter(caps, theme.base), Screen()
    terminal.write(painter.paint(screen.draw(model)))

    from flower.client import early, identity

    with identity.claim(home_dir) as me:
        called = early.call(engine_url, me.client, token)  # it answers while the rest is loaded
        # An exception from nowhere is lost inside an import, and no orderly end among tasks: until trio watches
        # them they wait. Only from here on, as an engine that was started above would have them blocked, too.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        from flower.tui import app

        # Modules live for ever and a streamed word leaves next to no cycles: a collector that looks rarely,
        # and never at modules, saves a tenth of the CPU time of a word.
        gc.freeze()
        gc.set_threshold(limits.GC_OBJECTS)
        app.run(
            lambda: app.App(
                terminal,
                painter,
                screen,
                model._replace(client=me.client),
                identity=me,
                engine_url=engine_url,
                token=token,
                home_dir=home_dir,
                advice=advice,
                called=called,
            )
        )


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _plain(
    home_dir: Path, engine_url: Callable[[], str], token: str | None, advice: Callable[[], str]
) -> int:
    from flower.tui import plain

    return plain.main(home_dir=home_dir, engine_url=engine_url, token=token, advice=advice)


def _report_crash(error: Exception, home_dir: Path) -> None:
    """Writes the traceback to the log and one line to the normal screen."""
    import time
    import traceback

    log = home_dir / "logs" / "tui.log"
    told = "".join(traceback.format_exception(error))
    report = f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n{told}"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="replace") as file:
            file.write(printable(report))
    except OSError:
        sys.stderr.write(printable(report))
        return
    sys.stderr.write(
        f"Flower's screen stopped by a mistake of its own; what happened is in {printable_line(log)}.\n"
    )
