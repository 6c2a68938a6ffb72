"""``flower lore add WORLD FILE…``: sends files of lore to the engine, which keeps and reads them.

The files are read here, by the person's own hand; the engine never opens a path it is told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import trio

from flower import file_io, limits
from flower.client.requests import Requests, connected
from flower.errors import FlowerError, printable_line
from flower.protocol import messages

BAR_COLUMNS = 30
CLIENT = "flower-lore"


def add(world: str, files: Sequence[str], engine_url: Callable[[], str], token: str | None) -> int:
    """Makes files lore of a world; returns the exit code. Raises ``FlowerError`` with a sentence."""
    texts = [(Path(name).name, read(Path(name))) for name in files]
    try:
        trio.run(_add, world, texts, engine_url, token)
    except KeyboardInterrupt:
        return 130
    return 0


def read(path: Path) -> str:
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


async def _add(
    world: str, texts: Sequence[tuple[str, str]], engine_url: Callable[[], str], token: str | None
) -> None:
    async with connected(engine_url, CLIENT, token) as requests:
        await send(requests, world, texts)
    files = "1 file is" if len(texts) == 1 else f"{len(texts)} files are"
    print(f"{_after_bar()}✓ {files} lore of {printable_line(world)} now.")


async def send(requests: Requests, world: str, texts: Sequence[tuple[str, str]]) -> None:
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
        with trio.move_on_after(limits.LORE_QUIET_S):
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
    if not sys.stderr.isatty():
        return
    filled = BAR_COLUMNS * done // total if total else 0
    bar = "#" * filled + "." * (BAR_COLUMNS - filled)
    print(f"\r\x1b[K[{bar}] {done}/{total} {printable_line(what)}", end="", file=sys.stderr, flush=True)
