"""``flower import PATH…`` and ``flower lore add WORLD FILE…``: files from the shell to an engine, with a bar.

The files are read here, by the person's own hand; the engine never opens a path that a client names. Lore goes as
prompts with their answers, one after the other, over the one connection: the engine repeats a prompt's ``request`` in
what it says to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path

import trio

from flower import file_io, limits
from flower.client.connection import Link
from flower.client.events import LinkChanged, Received, Send
from flower.client.import_upload import NOTICES_SHOWN, UploadSummary, Wishes, files_in
from flower.client.import_upload import send as send_files
from flower.errors import FlowerError, LaunchError, only, printable_line
from flower.protocol import messages

LORE_QUIET_S = 3.0  # an engine that reads lore says so twice a second

BAR_COLUMNS = 30
BAR_TEXT_CHARS = 40
CLIENT = "flower-lore"
_ANSWER_S = 60.0  # a busy engine on a small board, with a disk that is slow to write


def add_lore(world: str, files: Sequence[str], engine_url: Callable[[], str], token: str | None) -> int:
    """Makes files lore of a world; returns the exit code. Raises ``FlowerError`` with a sentence."""
    texts = [(Path(name).name, read_lore(Path(name))) for name in files]
    try:
        trio.run(_add_lore, world, texts, engine_url, token)
    except KeyboardInterrupt:
        return 130
    return 0


def read_lore(path: Path) -> str:
    """Returns a file of lore; raises ``FlowerError`` saying why it cannot be one."""
    try:
        if path.stat().st_size > limits.SOURCE_BYTES:
            most = limits.SOURCE_BYTES // limits.MIB
            raise FlowerError(f"{path} is larger than {most} MiB; split it")
        text = file_io.read(path, limits.SOURCE_BYTES).decode()
    except OSError as error:
        raise FlowerError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FlowerError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    if "\0" in text or not text.strip():
        raise FlowerError(f"{path} holds no text")
    return text


def parts(text: str, most: int = limits.ATTACHED_LORE_CHARS) -> Iterator[str]:
    """Yields ``text`` in pieces of at most ``most`` characters, cut between paragraphs if possible."""
    piece = ""
    for paragraph in text.split("\n\n"):
        for start in range(0, max(len(paragraph), 1), most):
            slice_ = paragraph[start : start + most]
            if piece and len(piece) + 2 + len(slice_) > most:
                yield piece
                piece = ""
            piece = f"{piece}\n\n{slice_}" if piece else slice_
    if piece.strip():
        yield piece


async def _add_lore(
    world: str, texts: Sequence[tuple[str, str]], engine_url: Callable[[], str], token: str | None
) -> None:
    async with connected(engine_url, CLIENT, token) as requests:
        await send_lore(requests, world, texts)
    files = "1 file is" if len(texts) == 1 else f"{len(texts)} files are"
    print(f"{_after_bar()}✓ {files} lore of {printable_line(world)} now.")


async def send_lore(requests: Requests, world: str, texts: Sequence[tuple[str, str]]) -> None:
    """Sends texts with their names as lore of ``world``, and waits until they are read."""
    pieces = [(name, piece) for name, text in texts for piece in parts(text)]
    for number, (name, piece) in enumerate(pieces, start=1):
        await requests.ask(f"/lore add {world} {piece}")
        if len(pieces) > limits.PROMPTS_BURST:  # else the engine refuses the ones after that
            await trio.sleep(1 / limits.PROMPTS_PER_S)
        _show(f"sent {name}", number, len(pieces))
    await _follow(requests)


async def _follow(requests: Requests) -> None:
    """Shows how far the engine has read, until it is through or has nothing more to say.

    It may have been through before we listened; it reads on without us in any case.
    """
    while True:
        event: object = None
        with trio.move_on_after(LORE_QUIET_S):
            event = await requests.event()
        if event is None:
            return
        if not isinstance(event, messages.SystemUpdate):
            continue
        progress = event.metadata.progress
        if progress is None:
            return
        if isinstance(progress, messages.Progress):
            _show("reading", progress.done, progress.total)


def _after_bar() -> str:
    return "\n" if sys.stderr.isatty() else ""


def _show(what: str, done: int, total: int) -> None:
    """Draws the bar anew; not where no terminal is."""
    if not sys.stderr.isatty():
        return
    filled = BAR_COLUMNS * done // total if total else 0
    bar = "#" * filled + "." * (BAR_COLUMNS - filled)
    print(
        f"\r\x1b[K[{bar}] {done}/{total} {printable_line(what)[:BAR_TEXT_CHARS]}",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip


# --- Prompts with their answers.


class Requests:
    """A connection on which every prompt is answered before the next one is sent."""

    def __init__(self, engine_url: Callable[[], str], client: str, token: str | None) -> None:
        """``client`` is this program's stable id; see ``Link`` for the others."""
        self.link = Link(engine_url, client, self._post, token, patient=False)
        # Bounded by the rate of the engine: what it says between two answers is a handful of events.
        self._posted, self._news = trio.open_memory_channel[LinkChanged | Received](inf)
        self._nonce = os.urandom(6).hex()
        self._count = 0

    def _post(self, happened: LinkChanged | Received) -> None:
        self._posted.send_nowait(happened)

    async def event(self) -> messages.Event:
        """Returns what the engine says next. Raises ``LaunchError`` when the connection is lost."""
        while True:
            happened = await self._news.receive()
            if isinstance(happened, Received):
                return happened.event
            if happened.state == "lost":
                raise LaunchError(happened.note or "The connection to the engine was lost.")

    async def greeted(self) -> None:
        """Waits for an engine, also for one that is starting. Raises ``LaunchError`` if none comes."""
        with trio.move_on_after(limits.ENGINE_START_S):
            await self.event()
            return
        raise LaunchError(f"The engine has not started within {limits.ENGINE_START_S:.0f} seconds.")

    async def ask(self, prompt: str) -> messages.SystemUpdate:
        """Returns what the engine answers to ``prompt``.

        Raises ``FlowerError`` with its sentence when it refuses, ``LaunchError`` when it does not answer.
        """
        self._count += 1
        request = f"{self._nonce}-{self._count}"
        if not self.link.send_nowait(Send(prompt, request)):
            raise LaunchError("The connection to the engine was lost.")
        with trio.move_on_after(_ANSWER_S):
            while True:
                event = await self.event()
                if isinstance(event, messages.ErrorEvent) and event.metadata.request == request:
                    raise FlowerError(event.content)
                if isinstance(event, messages.SystemUpdate) and event.metadata.request == request:
                    return event
        raise LaunchError(f"The engine has not answered within {_ANSWER_S:.0f} seconds.")


@asynccontextmanager
async def connected(
    engine_url: Callable[[], str], client: str, token: str | None
) -> AsyncIterator[Requests]:
    """A connection that an engine has greeted; closed at the end of the block."""
    requests = Requests(engine_url, client, token)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(requests.link.run)
            await requests.greeted()
            yield requests
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # the nursery wraps what was refused, and Ctrl-C
        raise only(group) from group


# --- Files into the library.


def import_files(
    paths: Sequence[Path], engine_url: Callable[[], str], token: str | None, wishes: Wishes
) -> int:
    """Imports everything at ``paths``; returns the exit code: 1 if a file could not be imported.

    Raises ``FlowerError`` with a sentence.
    """
    files = files_in(paths)
    try:
        summary = trio.run(_send_files, files, engine_url, token, wishes)
    except KeyboardInterrupt:
        print("Stopped; what was imported stays.", file=sys.stderr)
        return 130
    except BaseExceptionGroup as group:
        raise only(group) from group
    _print_summary(summary)
    return 1 if summary.problems else 0


async def _send_files(
    files: Sequence[Path], engine_url: Callable[[], str], token: str | None, wishes: Wishes
) -> UploadSummary:
    summary = UploadSummary()
    async for sent in send_files(files, engine_url, token, wishes):
        summary.add(sent)
        _show(sent.path.name, sent.done, sent.total)
    return summary


def _print_summary(summary: UploadSummary) -> None:
    rows = summary.rows
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if rows:
        width = max(len(row[0]) for row in rows)
        print(f"{'':{width}}   new  updated  already here  failed")
        for kind, new, updated, here, failed in rows:
            print(f"{printable_line(kind):{width}}  {new:>4}  {updated:>7}  {here:>12}  {failed:>6}")
    for notice in summary.notices[:NOTICES_SHOWN]:
        print(f"- {printable_line(notice)}")
    if len(summary.notices) > NOTICES_SHOWN:
        print(f"- and {len(summary.notices) - NOTICES_SHOWN} more remarks")
    for problem in summary.problems:
        print(f"✗ {printable_line(problem)}", file=sys.stderr)
    print(f"{'✗' if summary.problems else '✓'} {printable_line(summary.sentence)}")
