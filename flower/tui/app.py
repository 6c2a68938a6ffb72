"""The running client: tasks turn the outside world into inputs, effects go back out.

Owns the nursery: keys, signals, the link, frames, the draft. Decides nothing: ``update`` does. Sleeps
until something happens; at rest nothing is written and nobody wakes up but the link's ping.

Whoever brings news also draws it, in the same step: handing it to a drawing task would cost every
streamed word another round of the scheduler. Only what has to wait (for the frame rate, a slow
terminal, an animation) is drawn by a task.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import trio

from flower import limits
from flower.client.connection import Link
from flower.client.early import EarlyCall
from flower.client.events import Send
from flower.client.identity import Identity
from flower.errors import TerminalError
from flower.tui import user_files
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
    Tick,
)
from flower.tui.state.update import draft_of, next_wake, story_stands, update
from flower.tui.term.diff import Painter
from flower.tui.term.flow_control import FrameRate
from flower.tui.term.inputs import Key, Reply
from flower.tui.term.keys import PasteGuess
from flower.tui.term.modes import PASTE_MODE
from flower.tui.term.pictures import KittyPicture, SixelPicture, painted, still
from flower.tui.term.terminal import SUPPORTED, Terminal
from flower.tui.view import portrait
from flower.tui.view.screen import Screen

SIGNALS = (
    signal.SIGWINCH,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTSTP,
    signal.SIGCONT,
)
LEAVING = {
    signal.SIGTERM: True,
    signal.SIGINT: True,
    signal.SIGQUIT: True,
    signal.SIGHUP: False,
}  # whether to say that one leaves


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
        self._painter = painter
        self._screen = screen
        self._model = model
        self._identity = identity
        self._home_dir = home_dir
        self._advice = advice
        self._decoder: PasteGuess  # of a terminal whose keys are known, see ``_learn_keys``
        self._link = Link(engine_url, identity.client, self.post, token, early=called)
        self._engine_url, self._token = engine_url, token
        self._nursery: trio.Nursery | None = None
        self._story_stands = trio.Event()  # or there is none to wait for
        self._changed = True  # since the last frame
        self._caught_up = trio.Event()  # the terminal may have answered
        self._nap = trio.CancelScope()  # its deadline is when the drawing task has to wake
        self._typed = trio.Event()
        self._leaving = trio.Event()
        self._goodbye = True
        self._keys_scope = trio.CancelScope()
        self._editing: str | None = None
        self._frames = FrameRate(_tick_hz(0.0))
        self._speech = Speech(SpeechSettings(), self._tell)
        self._portraits = False  # the settings ask for them
        self._picture: KittyPicture | SixelPicture = KittyPicture()

    # --- inputs and effects ---------------------------------------------------------------------

    def post(self, happened: Input) -> None:
        """Applies one input, carries out its effects and shows what changed."""
        self._apply(happened)
        self._show()

    def _apply(self, happened: Input) -> None:
        model, effects = update(self._model, happened)
        if model is not self._model:
            if model.input is not self._model.input or model.unconfirmed is not self._model.unconfirmed:
                self._typed.set()
            self._speech.follow(self._model.story, model.story)
            self._model = model
            self._changed = True
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
                self._start(self._fetch, effect.name)
            case ListSettings():
                self._start(self._list_settings, "")
            case ChangeSetting():
                self._start(self._change_setting, f"{effect.name} {effect.value}")
            case ReadSettings():
                self._start(self._read_settings, "")
            case Suspend():
                self._terminal.suspend()
                self._redraw()
            case OpenEditor():
                self._editing = effect.text
                self._keys_scope.cancel()
            case Repaint():
                self._painter.forget()
                self._changed = True

    def _redraw(self) -> None:
        """Draws every cell again, for the size that the terminal has now."""
        self._painter.forget()
        self._picture.forget()
        self._apply(Resized(*self._terminal.size()))
        self._changed = True

    # --- tasks ----------------------------------------------------------------------------------

    def _start(self, work: Callable[[str], Awaitable[None]], argument: str) -> None:
        if self._nursery is not None:
            self._nursery.start_soon(work, argument)

    async def _list_paths(self, typed: str) -> None:
        found = await trio.to_thread.run_sync(user_files.paths_at, typed, abandon_on_cancel=True)
        self.post(PathsListed(typed, found))

    def _tell(self, text: str) -> None:
        self.post(Notified(Notice(text.lstrip("✗ "), "bad" if text.startswith("✗") else "info")))

    async def _list_settings(self, _: str) -> None:
        listed = await trio.to_thread.run_sync(user_files.own_settings, self._home_dir)
        self.post(SettingsListed(listed))

    async def _change_setting(self, name_and_value: str) -> None:
        name, _, value = name_and_value.partition(" ")
        change = partial(user_files.change_setting, self._home_dir, name, value)
        notice = await trio.to_thread.run_sync(change)
        await self._read_settings("")
        if self._model.own_settings:  # a list of them may be open
            await self._list_settings("")
        self.post(Notified(notice))

    async def _read_settings(self, _: str) -> None:
        """Reads the screen's settings and puts them into use."""
        settings = await trio.to_thread.run_sync(user_files.load_settings, self._home_dir)
        self._frames.use(_tick_hz(settings.tick_hz))
        self._terminal.use_mouse(settings.mouse)
        if settings.usable:
            self._speech.use(settings.speech)
        self.post(user_files.configured(settings, self._model, self._terminal))
        self._use_portraits(settings.portraits)

    def _use_portraits(self, wanted: bool) -> None:
        """Begins or ends to show pictures; a terminal that may have a way of its own is asked once."""
        if wanted and not self._portraits:
            self._terminal.ask_for_graphics()
        self._portraits = wanted
        how = self._terminal.picture_way() if wanted else ""
        self._use_pictures(how)
        if how != self._model.pictures:
            self.post(PicturesShown(how))

    def _use_pictures(self, how: str) -> None:
        """Lays pictures over cells in another way, or for cells of another size, from now on."""
        caps = self._terminal.capabilities
        self._painter.adapt(still(caps) if how == "sixel" else caps)
        picture = SixelPicture(caps.cell, caps.registers) if how == "sixel" else KittyPicture()
        if picture.screen != self._picture.screen:
            self._picture = picture
            self._painter.forget()  # what sixels drew goes with the cells
            self._changed = True

    async def _import(self, typed: str) -> None:
        def tell(text: str, kind: str) -> None:
            self.post(Notified(Notice(text.lstrip("✓✗ "), kind)))

        await user_files.bring(typed, self._engine_url, self._token, tell)

    async def _fetch(self, name: str) -> None:
        def tell(text: str, kind: str) -> None:
            self.post(Notified(Notice(text, kind)))

        await user_files.fetch(name, self._engine_url, self._token, tell)

    async def run(self) -> None:
        """Runs until the user leaves or the terminal goes away, wherever that is noticed."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(self._watch_signals)
                nursery.start_soon(self._link.run)
                nursery.start_soon(self._draw)
                nursery.start_soon(self._watch_keys)
                nursery.start_soon(self._keep_draft)
                nursery.start_soon(self._speech.run)
                nursery.start_soon(self._settle_in)
                await self._leaving.wait()
                if self._goodbye:
                    await self._link.disconnect()
                nursery.cancel_scope.cancel()
        except* (EOFError, TerminalError):
            pass  # nobody is left to disconnect for: the engine goes on and waits
        finally:
            self._identity.save_draft(draft_of(self._model))

    async def _settle_in(self) -> None:
        """Does what the first frame did not wait for: the draft and the configuration."""
        if draft := self._identity.load_draft():
            self.post(Restored(draft))
        await trio.lowlevel.checkpoint()
        settings = await trio.to_thread.run_sync(user_files.load_settings, self._home_dir, self._advice)
        self._frames.use(_tick_hz(settings.tick_hz))
        self._terminal.use_mouse(settings.mouse)
        self._speech.use(settings.speech)
        self.post(user_files.configured(settings, self._model, self._terminal))
        self._use_portraits(settings.portraits)

    def _learn_keys(self) -> None:
        """Loads what names the terminal's keys, about as much work as all that a story needs to be shown."""
        from flower.tui.term.blessed_terminal import BlessedTerminal, KeyNames
        from flower.tui.term.keys import Decoder

        blessed = BlessedTerminal(self._terminal.name)
        self._terminal.adopt(blessed)
        self._painter.adapt(self._terminal.capabilities)
        self._decoder = PasteGuess(Decoder(KeyNames(blessed)))

    async def _watch_keys(self) -> None:
        """Reads keys as soon as the story stands: what was typed before waits in the terminal."""
        with trio.move_on_after(limits.STORY_FIRST_S):
            await self._story_stands.wait()
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
                with trio.move_on_after(self._patience()) as waited:
                    await trio.lowlevel.wait_readable(self._terminal.fd)
                    self._take_keys()
                if waited.cancelled_caught:
                    self._post_keys(self._decoder.flush())

    def _patience(self) -> float:
        """Returns the seconds of silence that say that what came is complete."""
        if self._decoder.pasting:
            return limits.PASTE_IDLE_S
        if self._decoder.in_burst:
            return limits.BURST_WAIT_S
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
        self._caught_up.set()
        self._show(urgent=True)

    def _take_answer(self, reply: Reply) -> None:
        if reply.kind == PASTE_MODE and reply.value in SUPPORTED:
            self._decoder.marked = True
        if self._terminal.answered(reply):
            self._painter.adapt(self._terminal.capabilities)
            self._changed = True
            self._use_portraits(self._portraits)

    # --- frames ---------------------------------------------------------------------------------

    def _show(self, *, urgent: bool = False) -> None:
        """Draws what changed: now if the frame rate allows it or it is the answer to a key, else soon."""
        if self._changed and not self._terminal.busy:
            now = trio.current_time()
            if urgent or self._frames.allows(now):
                self._paint(now)
        wake = self._wake_at()
        if self._nap.deadline != wake:
            self._nap.deadline = wake

    def _wake_at(self) -> float:
        """Returns when the drawing task has something to do."""
        if self._terminal.busy:
            return -math.inf
        if self._changed:
            return self._frames.due
        wake = next_wake(self._model)
        return math.inf if wake is None else wake

    async def _draw(self) -> None:
        """Draws what could not be drawn at once, and what changes by time alone."""
        while True:
            with trio.CancelScope(deadline=self._wake_at()) as self._nap:
                await trio.sleep_forever()
            # A slow terminal gets fewer frames, never old ones.
            while not self._terminal.flush():
                await trio.lowlevel.wait_writable(self._terminal.fd)
            with trio.move_on_after(limits.PACE_PATIENCE_S) as waited:
                while self._terminal.pace.behind:
                    self._caught_up = trio.Event()
                    await self._caught_up.wait()
            if waited.cancelled_caught:
                self._terminal.pace.stop()
            self._paint(trio.current_time())

    def _paint(self, now: float) -> None:
        self._apply(Tick(now, time.time(), time.strftime("%H:%M")))
        self._changed = False  # the tick itself is in this frame
        self._frames.drawn(now)
        if self._terminal.entered:
            self._painter.rebase(self._model.theme.base)
            frame, picture = self._screen.draw(self._model), portrait.laid_over(self._model)
            self._terminal.write(painted(self._painter, self._picture, frame, *picture))
        if story_stands(self._model):
            self._story_stands.set()

    async def _keep_draft(self) -> None:
        """Saves what is being written at most once in ``DRAFT_IDLE_S``, and only after typing."""
        while True:
            await self._typed.wait()
            await trio.sleep(limits.DRAFT_IDLE_S)
            self._typed = trio.Event()
            self._identity.save_draft(draft_of(self._model))

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
                    self._show()
                elif number == signal.SIGCONT:
                    if self._editing is None and self._terminal.entered:
                        self._terminal.resume()
                        self._redraw()
                        self._show()
                else:
                    self._goodbye = LEAVING[signal.Signals(number)]
                    self._leaving.set()

    async def _edit(self, text: str) -> None:
        """Lends the terminal to the user's editor."""
        self._terminal.leave()
        try:
            edited = await user_files.edit(text, self._home_dir / "run", os.environ, self._apply)
        except user_files.EditorError as error:
            self.post(Notified(Notice(str(error), "bad")))
        else:
            self.post(edited)
        self._terminal.enter()
        self._redraw()
        self._show()


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
