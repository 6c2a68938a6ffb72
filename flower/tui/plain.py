"""The line mode: the same engine and commands without drawing, for screen readers, pipes and scripts.

Lines in, lines out: what you type goes to the engine as in the full screen, replies come sentence by
sentence after "Narrator:", news after "*", errors after "!". No cursor movement, no colours, no boxes. What is
read out is ``reading``'s. The replica is the one of the full screen, so lines that the engine has not
confirmed are sent again.
"""

from __future__ import annotations

import codecs
import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import trio
from msgspec import UNSET
from msgspec.structs import replace

from flower import limits
from flower.client import identity
from flower.client.connection import Link
from flower.client.events import LinkChanged, Received, Send
from flower.installation import as_typed
from flower.protocol import messages as protocol
from flower.tui import user_files
from flower.tui.reading import DETAIL, USAGE, Reader, Walk, wrapped_onto
from flower.tui.render.messages import MessageView, StoryPane
from flower.tui.render.text import clean
from flower.tui.render.theme import load_theme
from flower.tui.state import bindings, checklist, commands, sending
from flower.tui.state.effects import Effect, FetchExport, ImportFiles
from flower.tui.state.model import Input, Model, Notice, Notified
from flower.tui.state.update import update
from flower.tui.term.pen import to_ascii

LIKE = "flower.like"  # what codecs know ``_like`` by
DOTS = {"…": "..."}  # a line need not be as long as on a screen
NO_STORY = "* No story is open: choose /world select, /character select, /session new."
LISTS = ("worlds", "characters", "models", "rules", "sessions")
HELP = (
    "Type what you do, or a command such as /help. /list worlds shows what can be chosen (also "
    f"characters, models, rules, sessions); {USAGE} /quit leaves."
)
# For screens: no words come back.
SILENT = frozenset({"/history", "/portrait", "/sync", "/tree", "/typing"})
ANSWER_S = 120.0
ANSWERS = (protocol.SystemUpdate, protocol.ErrorEvent, protocol.ChatMessage)


class Plain:
    """One client without a screen."""

    def __init__(
        self,
        me: identity.Identity,
        engine_url: Callable[[], str],
        token: str | None,
        out: TextIO | None,
    ) -> None:
        theme = load_theme("mono", utf8=False)
        nonce = os.urandom(6).hex()
        self.model = Model(
            80, 24, theme, StoryPane(theme), bindings.default(), client=me.client, nonce=nonce
        )
        self.link = Link(engine_url, me.client, self.post, token)
        self.walk = Walk()
        self._columns = shutil.get_terminal_size().columns if out is not None and out.isatty() else 0
        self._column = 0  # of the line that is being written
        self.piped = not sys.stdin.isatty()
        self.reader = Reader()
        self.engine_url, self.token = engine_url, token
        self.nursery: trio.Nursery | None = None  # of what a command starts
        self.importing = trio.Event()  # set when no file is on its way
        self.importing.set()
        self.moved = trio.Event()  # replaced after every input
        self.leaving = False
        self.answers = 0  # how often the engine answered a command
        self.failed = False  # one of the answers was bad news
        self.syncs = 0  # how often it sent the whole state
        self.out = out

    def post(self, happened: Input) -> None:
        """Applies one input and writes what is new."""
        before = self.model
        self._apply(update(before, _without_queue_news(happened) if self.piped else happened))
        if isinstance(happened, Received) and isinstance(happened.event, protocol.SyncState):
            self.syncs += 1
        if isinstance(happened, Received) and isinstance(happened.event, ANSWERS):
            self.answers += bool(happened.event.content)  # a change of the state alone says nothing
            self.failed = self.failed or self.model.notice.kind == "bad"
            self.write(self.reader.outline(happened.event))
        if not (self.leaving and isinstance(happened, LinkChanged)):
            self.write(self.reader.news(before, self.model))
        if self.model.popup is not None or self.model.form is not None:
            self.model = self.model._replace(popup=None, form=None)
        self.moved.set()
        self.moved = trio.Event()

    async def wait_for(self, condition: Callable[[Model], bool]) -> None:
        """Returns when ``condition`` holds for the model."""
        while not condition(self.model):
            await self.moved.wait()

    async def wait_for_answer(self, before: int) -> None:
        """Returns when the engine has answered more than ``before`` times."""
        while self.answers <= before:
            await self.moved.wait()

    async def catch_up(self) -> None:
        """Returns when everything has come that the engine had to say so far."""
        before = self.syncs
        self.link.send_nowait(Send("/sync"))
        with trio.move_on_after(limits.SEND_TIMEOUT_S):
            while self.syncs <= before:
                await self.moved.wait()

    async def leave(self) -> None:
        """Disconnects and reads the answers to everything said before it."""
        self.leaving = True
        await self.link.disconnect()
        with trio.move_on_after(limits.SEND_TIMEOUT_S):
            await self.wait_for(lambda model: model.link.state != "online")

    def take(self, line: str) -> bool:
        """Does what a typed line says. Returns False when it means leaving."""
        self._column = 0  # the terminal has written the line and its end
        self.model = self.model._replace(notice=Notice())  # the same answer again is news again
        before = self.model
        if line.startswith(":") and (answer := self._walked(line.split())):
            self.write(answer)
        elif line.startswith("/list"):
            self.write(self._listed(line.removeprefix("/list").strip()))
        elif commands.is_line(line):
            command = commands.split(line, commands.offered(before.replica))
            if command and command[0].name == "/quit":
                return False
            self.model = self.model._replace(input=self.model.input.with_text(line))
            self._apply(sending.send_command(self.model, line))
        elif line.strip():
            self.model = self.model._replace(input=self.model.input.with_text(line))
            self._apply(sending.submit(self.model))
        elif not self.piped and not checklist.visible(before):  # time passes
            self._apply(sending.submit(self.model._replace(input=self.model.input.clear())))
        self.write(self.reader.news(before, self.model))
        return True

    def _apply(self, result: tuple[Model, tuple[Effect, ...]]) -> None:
        self.model, effects = result
        for effect in effects:
            if isinstance(effect, Send):
                self.link.send_nowait(effect)
            elif isinstance(effect, ImportFiles | FetchExport) and self.nursery is not None:
                self.importing = trio.Event()
                self.nursery.start_soon(self._carry, effect, self.importing)

    async def _carry(self, effect: ImportFiles | FetchExport, done: trio.Event) -> None:
        def notify(text: str, kind: str) -> None:
            self.post(Notified(Notice(text, kind)))

        try:
            if isinstance(effect, FetchExport):
                await user_files.fetch(effect.name, self.engine_url, self.token, notify)
            else:
                await user_files.bring(effect.typed, self.engine_url, self.token, notify)
        finally:
            done.set()

    def _walked(self, words: list[str]) -> str:
        """Carries out what begins with a colon; returns what is read, nothing for a line of the story."""
        match words[0]:
            case ":prev" | ":next":
                self.walk, text = self.walk.step(self.model, words)
                return text
            case ":who":
                return self.walk.who(self.model)
            case ":detail":
                level = next((n for n in DETAIL if words[1:] == [str(n)]), 0)
                if not level:
                    return f"* {USAGE}\n"
                self.reader.detail = level
                return f"* From now on {DETAIL[level]}.\n"
        # A slip of the keys, which is no part of a story.
        if len(words) == 1 and words[0][1:].isalpha():
            word = clean(words[0])
            return f"* There is no {word}; there are :prev, :next, :who and :detail, and /help.\n"
        return ""

    def _listed(self, what: str) -> str:
        if what not in LISTS:
            return f"* /list takes one of {', '.join(LISTS)}.\n"
        options = getattr(self.model.replica, f"available_{what}")
        lines = (
            f"  {clean(option.id)}: {clean(option.name)}"
            + (f" - {clean(about)}" if (about := getattr(option, "about", "")) else "")
            for option in options
        )
        return "".join(f"{line}\n" for line in lines) or "  nothing\n"

    def write(self, text: str) -> None:
        if not text or self.out is None:
            return
        if self._columns:  # a terminal would cut words in two
            text, self._column = wrapped_onto(text, self._column, self._columns - 1)
        try:
            self.out.write(text)
            self.out.flush()
        except BrokenPipeError:  # whoever reads has seen enough, as `head` does
            self.out = None


def _without_queue_news(happened: Input) -> Input:
    """Returns the news without the words that a line waits, which a program does not want to hear."""
    match happened:
        case Received(event=protocol.SystemUpdate(metadata=news) as event) if news.queued is not UNSET:
            return Received(replace(event, content=""))
    return happened


def ready(model: Model) -> bool:
    """Whether the engine sent everything and is not writing."""
    return model.link.state == "online" and model.turn.state == "idle" and not model.unconfirmed


def ready_or_lost(model: Model) -> bool:
    """Whether there is nothing left to wait for: all has come, or the engine is gone."""
    return ready(model) or model.link.state == "lost"


def main(
    *,
    home_dir: Path,
    engine_url: Callable[[], str],
    token: str | None = None,
    advice: Callable[[], str] = str,
) -> int:
    """Runs the line mode on standard input and output. Returns the exit code.

    A sentence that ``advice`` gives is given first.
    """
    _never_fail_to_print()
    try:
        trio.run(_converse, home_dir, engine_url, token, advice)
    except KeyboardInterrupt:
        return 130
    return 0


async def _converse(
    home_dir: Path, engine_url: Callable[[], str], token: str | None, advice: Callable[[], str]
) -> None:
    with identity.claim(home_dir) as me:
        client = Plain(me, engine_url, token, sys.stdout)
        async with trio.open_nursery() as nursery:
            client.nursery = nursery
            nursery.start_soon(client.link.run)
            await client.wait_for(lambda model: model.link.state == "online")
            client.write(f"{HELP}\n")
            if warning := advice():
                client.write(f"! {clean(warning)}\n")
            if not client.model.replica.session_id:
                client.write(f"{NO_STORY}\n")
            await _take_lines(client)
            await client.leave()
            nursery.cancel_scope.cancel()


async def _take_lines(client: Plain) -> None:
    """Does what the lines of standard input say, up to one that leaves or the last one."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        line = line.rstrip("\n")
        if client.piped:
            await client.wait_for(ready)
        answers = client.answers
        if not client.take(line) or client.out is None:
            return
        if client.piped and commands.is_line(line):
            # The next line of a script may need what this command does.
            await client.importing.wait()
            if not line.startswith(("/import", "/fetch")):
                with trio.move_on_after(limits.SEND_TIMEOUT_S):
                    await client.wait_for_answer(answers)
    await client.wait_for(ready)


def say(
    text: str,
    *,
    home_dir: Path,
    engine_url: Callable[[], str],
    token: str | None = None,
    advice: Callable[[], str] = str,
) -> int:
    """Sends one prompt and prints the reply alone, for scripts; of a command what the engine says to it.

    A sentence that ``advice`` gives goes to standard error. Returns 0, or 1 when nothing came.
    """

    text = text.strip().removeprefix("\ufeff").strip()
    _never_fail_to_print()

    async def ask() -> int:
        with identity.shared(home_dir) as me:
            client = Plain(me, engine_url, token, None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.link.run)
                await client.wait_for(ready_or_lost)
                if warning := advice():
                    print(clean(warning), file=sys.stderr)
                code = await _ask(client, text)
                nursery.cancel_scope.cancel()
        return code

    try:
        return trio.run(ask)
    except KeyboardInterrupt:
        return 130


def _never_fail_to_print() -> None:
    """Lets a locale without curly quotes print straight ones instead of ending the program."""
    codecs.register_error(LIKE, _like)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=LIKE)


def _like(error: UnicodeError) -> tuple[str, int]:
    """Returns what is printed for characters that the output has not, and where it goes on: an error handler."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(DOTS.get(char) or to_ascii(char) for char in lost), error.end


async def _ask(client: Plain, text: str) -> int:
    if client.model.link.state == "lost":
        print(clean(client.model.link.note), file=sys.stderr)
        return 1
    if commands.is_line(text):
        return await _order(client, text)
    if not client.model.replica.session_id:
        print(as_typed("No story is open; begin one with `flower`."), file=sys.stderr)
        return 1
    client.take(text)
    await client.wait_for(ready_or_lost)
    if client.model.link.state == "lost":
        print(f"The reply was cut off: {clean(client.model.link.note)}", file=sys.stderr)
        return 1
    messages = client.model.story.messages
    reply = messages[-1] if messages else MessageView(0, "", "")
    if reply.role != "assistant" or reply.status == "error":
        print(clean(client.model.notice.text) or "There was no reply.", file=sys.stderr)
        return 1
    print(clean(reply.text).strip())
    return 0


async def _order(client: Plain, line: str) -> int:
    """Runs a command of the engine and prints its answer, and nothing of what came before it."""
    await client.catch_up()
    client.out = sys.stdout
    answers, client.failed = client.answers, False
    client.take(line)
    for _ in range(3):  # what a command changes may bring the whole state too, before its answer
        await client.catch_up()
    if client.answers == answers and line.split(maxsplit=1)[0] not in SILENT:
        # It is carried out beside the connection's lines, maybe by a model.
        with trio.move_on_after(ANSWER_S):
            await client.wait_for_answer(answers)
    await client.wait_for(ready_or_lost)
    gone = client.model.link.state == "lost"
    return 1 if gone or client.answers == answers or client.failed else 0
