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
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from flower import limits
from flower.errors import TerminalError, printable, printable_line
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import load_theme
from flower.tui.state import bindings
from flower.tui.state.model import Model
from flower.tui.term.diff import Painter
from flower.tui.term.terminal import Terminal
from flower.tui.view.screen import Screen

if TYPE_CHECKING:
    from flower.client.early import EarlyCall

GC_OBJECTS = 20_000  # new objects between two looks of the garbage collector: a few MB at most

_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def main(
    *,
    home_dir: Path,
    engine_url: Callable[[], str],
    token: str | None = None,
    advice: Callable[[], str] = str,
) -> int:
    """Runs the client on this process's terminal. Returns the exit code.

    ``engine_url`` is asked before every connection attempt, ``advice`` once the screen is there: a sentence
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
        return 0  # the terminal is gone: nobody is left to see it
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
    model, draw, painter, screen = _first_frame(terminal)
    # An import wraps an exception that a signal raises in it, or loses it, and among tasks it is no orderly end:
    # until trio watches them, signals wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, (*_ENDS, signal.SIGINT))
    from flower.client import early, identity

    with identity.claim(home_dir) as me:
        model = model._replace(client=me.client)
        called = early.call(engine_url, me.client, token)  # it answers while the rest is loaded
        model = _with_story(model, called, draw) if called is not None else model
        from flower.tui import app

        _spare_the_collector()
        for number in _ENDS:  # trio's own handlers are before these until the app is at its end
            signal.signal(number, _end_already)
        app.run(
            lambda: app.App(
                terminal,
                painter,
                screen,
                model,
                identity=me,
                engine_url=engine_url,
                token=token,
                home_dir=home_dir,
                advice=advice,
                called=called,
            )
        )


def _first_frame(terminal: Terminal) -> tuple[Model, Callable[[Model], None], Painter, Screen]:
    """Draws the first frame; returns its model, what draws another one, and what that is drawn with."""
    caps = terminal.capabilities
    theme = load_theme(utf8=caps.utf8, console=terminal.console)
    columns, rows = terminal.size()
    model = Model(columns, rows, theme, StoryPane(theme), bindings.default(), nonce=os.urandom(6).hex())
    painter, screen = Painter(caps, theme.base), Screen()

    def draw(model: Model) -> None:
        terminal.write(painter.paint(screen.draw(model)))

    draw(model)
    return model, draw, painter, screen


def _spare_the_collector() -> None:
    """Lets the garbage collector look rarely, and never at modules: that saves a tenth of the CPU time of a word.

    Modules live for ever and a streamed word leaves next to no cycles.
    """
    gc.freeze()
    gc.set_threshold(GC_OBJECTS)


def _with_story(model: Model, called: EarlyCall, draw: Callable[[Model], None]) -> Model:
    """Draws the story that the engine answers with, if it does at once; returns the model that knows it.

    It goes through the same ``update`` as all that comes later. What that wants done is left out: a greeting
    wants nothing but what is done at the start anyway.
    """
    from flower.client.events import Received
    from flower.errors import ProtocolError
    from flower.protocol import codec, messages
    from flower.tui.state.model import Tick
    from flower.tui.state.update import story_arrived, update

    for message in called.messages(limits.STORY_FIRST_S):
        try:
            event = codec.decode_event(message)
        except ProtocolError:
            continue  # as the link does
        if isinstance(event, messages.UnknownEvent):
            continue
        if isinstance(event, messages.SystemUpdate) and event.metadata.moved is not messages.UNSET:
            called.put_back(message)  # it says where the link has to go
            break
        model, _ = update(model, Received(event))
        if story_arrived(model):
            break
    if not story_arrived(model):
        return model
    ticked, _ = update(model, Tick(0.0, time.time(), time.strftime("%H:%M")))
    draw(ticked)
    # Times on the screen are counted anew by trio's clock, which is another one.
    return ticked._replace(notice=model.notice, progress_from=None)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _end_already(number: int, frame: FrameType | None) -> None:
    """For a signal that comes while the app ends: an exception among its tasks would be no orderly end."""


def _plain(
    home_dir: Path, engine_url: Callable[[], str], token: str | None, advice: Callable[[], str]
) -> int:
    from flower.tui import plain

    return plain.main(home_dir=home_dir, engine_url=engine_url, token=token, advice=advice)


def _report_crash(error: Exception, home_dir: Path) -> None:
    """Writes the traceback to the log and one line to the normal screen."""
    import traceback

    log = home_dir / "logs" / "tui.log"
    lines = "".join(traceback.format_exception(error))
    report = f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}"
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
