"""The running client: tasks turn the outside world into inputs, effects go back out.

Owns the nursery: keys, signals, the link, frames, the draft. Decides nothing: ``update`` does. Sleeps
until something happens; at rest nothing is written and nobody wakes up but the link's ping.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVarTuple

import trio

from flower import limits
from flower.client.connection import Link
from flower.client.early import EarlyCall
from flower.client.events import Send
from flower.client.identity import Identity
from flower.errors import TerminalError
from flower.tui import user_files
from flower.tui.drawing import Drawing
from flower.tui.speech import Speech, SpeechSettings
from flower.tui.state.effects import (
    Bell,
    ChangeSetting,
    Copy,
    Effect,
    FetchExport,
    ImportFiles,
    ListPaths,
    ListSettings,
    OpenEditor,
    Quit,
    ReadSettings,
    Repaint,
    SetTitle,
    Suspend,
)
from flower.tui.state.model import (
    Input,
    Model,
    Notice,
    Notified,
    PathsListed,
    PicturesShown,
    Resized,
    Restored,
    SettingsListed,
)
from flower.tui.state.update import draft_of, update
from flower.tui.term.capabilities import PASTE_MODE, SUPPORTED
from flower.tui.term.diff import Painter
from flower.tui.term.inputs import Key, Reply
from flower.tui.term.terminal import Terminal
from flower.tui.view.screen import Screen

if TYPE_CHECKING:
    from flower.tui.term.keys import PasteGuess

DRAFT_IDLE_S = 1.0  # a draft is written when typing rests this long
BURST_WAIT_S = 0.05  # between two reads of text that was pasted and not marked

Ts = TypeVarTuple("Ts")

# What ends the client, and whether it says so to the engine before.
LEAVING = {
    signal.SIGTERM: True, signal.SIGINT: True, signal.SIGQUIT: True, signal.SIGHUP: False,
}  # fmt: skip
SIGNALS = (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, *LEAVING)


class App:
    """One client, from its first live moment to its end."""

    def __init__(
        self,
        terminal: Terminal,
        painter: Painter,
        screen: Screen,
        model: Model,
        *,
        identity: Identity,
        engine_url: Callable[[], str],
        token: str | None,
        home_dir: Path,
        advice: Callable[[], str] = str,
        called: EarlyCall | None = None,
    ) -> None:
        self._terminal = terminal
        self._model = model
        self._identity = identity
        self._home_dir = home_dir
        self._advice = advice
        self._decoder: PasteGuess  # of a terminal whose keys are known, see ``_learn_keys``
        self._link = Link(engine_url, identity.client, self.post, token, early=called)
        self._engine_url, self._token = engine_url, token
        self._nursery: trio.Nursery | None = None
        self._typed = trio.Event()
        self._leaving = trio.Event()
        self._disconnects = True
        self._keys_scope = trio.CancelScope()
        self._editing: str | None = None
        self._drawing = Drawing(terminal, painter, screen, lambda: self._model, self._apply)
        self._drawing.rate.use(_tick_hz(0.0))
        self._speech = Speech(SpeechSettings(), lambda sentence: self._notify(sentence, "bad"))
        self._portraits = False  # the settings ask for them

    # --- inputs and effects ---------------------------------------------------------------------

    def post(self, happened: Input) -> None:
        """Applies one input, carries out its effects and shows what changed."""
        self._apply(happened)
        self._drawing.show()

    def _apply(self, happened: Input) -> None:
        model, effects = update(self._model, happened)
        if model is not self._model:
            if model.input is not self._model.input or model.unconfirmed is not self._model.unconfirmed:
                self._typed.set()
            self._speech.follow(self._model.story, model.story)
            self._model = model
            self._drawing.changed = True
        for effect in effects:
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                # A prompt that finds no connection is repeated by the model after the next sync.
                self._link.send_nowait(effect)
            case Quit():
                self._leaving.set()
            case Bell():
                self._terminal.write(self._terminal.bell())
            case SetTitle():
                self._terminal.write(self._terminal.title(effect.text))
            case Copy():
                self._terminal.write(self._terminal.copy(effect.text))
            case ListPaths():
                self._start(self._list_paths, effect.typed)
            case ImportFiles():
                self._start(self._import, effect.typed)
            case FetchExport():
                fetch = user_files.fetch
                self._start(fetch, effect.name, self._engine_url, self._token, self._notify)
            case ListSettings():
                self._start(self._list_settings)
            case ChangeSetting():
                self._start(self._change_setting, effect.name, effect.value)
            case ReadSettings():
                self._start(self._read_settings)
            case Suspend():
                self._terminal.suspend()
                self._redraw()
            case OpenEditor():
                self._editing = effect.text
                self._keys_scope.cancel()
            case Repaint():
                self._drawing.repaint()

    def _start(self, work: Callable[[*Ts], Awaitable[None]], *arguments: *Ts) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work, *arguments)

    def _redraw(self) -> None:
        """Draws every cell again, for the size that the terminal has now."""
        self._drawing.start_over()
        self._apply(Resized(*self._terminal.size()))

    def _notify(self, text: str, kind: str) -> None:
        self.post(Notified(Notice(text, kind)))

    # --- files ----------------------------------------------------------------------------------

    async def _list_paths(self, typed: str) -> None:
        paths = await trio.to_thread.run_sync(user_files.paths_at, typed, abandon_on_cancel=True)
        self.post(PathsListed(typed, paths))

    async def _import(self, typed: str) -> None:
        def notify(text: str, kind: str) -> None:
            self._notify(text.lstrip("✓✗ "), kind)

        await user_files.bring(typed, self._engine_url, self._token, notify)

    async def _edit(self, text: str) -> None:
        """Lends the terminal to the user's editor."""
        self._terminal.leave()
        try:
            edited = await user_files.edit(text, self._home_dir / "run", os.environ, self._apply)
        except user_files.EditorError as error:
            self._notify(str(error), "bad")
        else:
            self.post(edited)
        self._terminal.enter()
        self._redraw()
        self._drawing.show()

    async def _keep_draft(self) -> None:
        """Saves what is being written at most once in ``DRAFT_IDLE_S``, and only after typing."""
        while True:
            await self._typed.wait()
            await trio.sleep(DRAFT_IDLE_S)
            self._typed = trio.Event()
            self._identity.save_draft(draft_of(self._model))

    # --- settings -------------------------------------------------------------------------------

    async def _settle_in(self) -> None:
        """Does what the first frame did not wait for: the draft and the configuration."""
        if draft := self._identity.load_draft():
            self.post(Restored(draft))
        await trio.lowlevel.checkpoint()
        await self._read_settings(self._advice)

    async def _read_settings(self, advice: Callable[[], str] = str) -> None:
        """Reads the screen's settings and puts them into use."""
        settings = await trio.to_thread.run_sync(user_files.load_settings, self._home_dir, advice)
        self._drawing.rate.use(_tick_hz(settings.tick_hz))
        self._terminal.use_mouse(settings.mouse)
        if settings.usable:
            self._speech.use(settings.speech)
        self.post(user_files.configured(settings, self._model, self._terminal))
        self._use_portraits(settings.portraits)

    async def _list_settings(self) -> None:
        options = await trio.to_thread.run_sync(user_files.own_settings, self._home_dir)
        self.post(SettingsListed(options))

    async def _change_setting(self, name: str, value: str) -> None:
        change = user_files.change_setting
        notice = await trio.to_thread.run_sync(change, self._home_dir, name, value)
        await self._read_settings()
        if self._model.own_settings:  # a list of them may be open
            await self._list_settings()
        self.post(Notified(notice))

    def _use_portraits(self, on: bool) -> None:
        """Begins or ends to show pictures; a terminal that may have a way of its own is asked once."""
        if on and not self._portraits:
            self._terminal.ask_for_graphics()
        self._portraits = on
        how = self._terminal.picture_way() if on else ""
        self._drawing.use_pictures(how)
        if how != self._model.pictures:
            self.post(PicturesShown(how))

    # --- tasks ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Runs until the user leaves or the terminal goes away, wherever that is noticed."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self._watch_signals)
                nursery.start_soon(self._link.run)
                nursery.start_soon(self._drawing.run)
                nursery.start_soon(self._watch_keys)
                nursery.start_soon(self._keep_draft)
                nursery.start_soon(self._speech.run)
                nursery.start_soon(self._settle_in)
                await self._leaving.wait()
                if self._disconnects:
                    await self._link.disconnect()
                nursery.cancel_scope.cancel()
        except* (EOFError, TerminalError):
            pass  # nobody is left to disconnect for: the engine goes on and waits
        finally:
            self._identity.save_draft(draft_of(self._model))

    def _learn_keys(self) -> None:
        """Loads what names the terminal's keys, about as much work as all that a story needs to be shown."""
        from flower.tui.term.blessed_terminal import BlessedTerminal, KeyNames
        from flower.tui.term.keys import Decoder, PasteGuess

        blessed = BlessedTerminal(self._terminal.name)
        self._terminal.adopt(blessed)
        self._drawing.adapt()
        self._decoder = PasteGuess(Decoder(KeyNames(blessed)))

    async def _watch_keys(self) -> None:
        """Reads keys as soon as the story is there: what was typed before waits in the terminal."""
        with trio.move_on_after(limits.STORY_FIRST_S):
            await self._drawing.story_shown.wait()
        self._learn_keys()
        while True:
            with trio.CancelScope() as self._keys_scope:
                await self._read_keys()
            if self._editing is not None:
                text, self._editing = self._editing, None
                await self._edit(text)

    async def _read_keys(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._terminal.fd)
            self._take_keys()
            while self._decoder.pending or self._decoder.pasting:
                with trio.move_on_after(self._silence_s()) as silence:
                    await trio.lowlevel.wait_readable(self._terminal.fd)
                    self._take_keys()
                if silence.cancelled_caught:
                    self._post_keys(self._decoder.flush())

    def _silence_s(self) -> float:
        """Returns the seconds of silence that say that what came is complete."""
        if self._decoder.pasting:
            return limits.PASTE_IDLE_S
        if self._decoder.in_burst:
            return BURST_WAIT_S
        return limits.ESCAPE_WAIT_SSH_S if os.environ.get("SSH_CONNECTION") else limits.ESCAPE_WAIT_S

    def _take_keys(self) -> None:
        self._post_keys(self._decoder.feed(self._terminal.read()))

    def _post_keys(self, inputs: Sequence[Input]) -> None:
        for happened in inputs:
            if isinstance(happened, Reply):
                self._take_answer(happened)
            if isinstance(happened, Key) and happened.name == "escape" and self._speech.speaking:
                self._speech.stop()  # and nothing else: the reply goes on
                continue
            self._apply(happened)
        self._drawing.hurry()

    def _take_answer(self, reply: Reply) -> None:
        if reply.kind == PASTE_MODE and reply.value in SUPPORTED:
            self._decoder.marked = True
        if self._terminal.answered(reply):
            self._drawing.adapt()
            self._drawing.changed = True
            self._use_portraits(self._portraits)

    async def _watch_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with trio.open_signal_receiver(*SIGNALS) as arriving:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, LEAVING)  # blocked since trio was imported
            task_status.started()
            self.post(Resized(*self._terminal.size()))  # it may have another size since the first frame
            async for number in arriving:
                if number == signal.SIGWINCH:
                    self.post(Resized(*self._terminal.size()))
                    if self._portraits:  # cells may have another size now
                        self._terminal.ask_for_graphics()
                elif number == signal.SIGTSTP:
                    self._terminal.suspend()
                    self._redraw()
                    self._drawing.show()
                elif number == signal.SIGCONT:
                    if self._editing is None and self._terminal.entered:
                        self._terminal.resume()
                        self._redraw()
                        self._drawing.show()
                else:
                    self._disconnects = LEAVING[signal.Signals(number)]
                    self._leaving.set()


def _tick_hz(configured: float) -> float:
    if configured > 0:
        return configured
    return limits.TICK_HZ_SSH if os.environ.get("SSH_CONNECTION") else limits.TICK_HZ_LOCAL


def run(app_of: Callable[[], App]) -> None:
    """Runs the app that ``app_of`` makes, inside trio."""

    async def main() -> None:
        await app_of().run()

    trio.run(main)
    sys.stdout.flush()
