"""Sends files to the engine, which imports them: one HTTP request each, on the line that leads to it.

The files are read here, by the person's own hand, wherever the engine is; it never opens a path that a client names.
"""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

import h11
import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import file_io, limits
from flower.client.address import EngineAddress
from flower.client.engine_http import PIECE_BYTES, LostError, answer_on, one_line
from flower.client.line import UntrustedError, open_line
from flower.errors import EngineStarting, FlowerError, LaunchError, printable_line
from flower.protocol import IMPORT_PATH

ANSWER_S = 300.0  # a large book on a small board, behind others
LIBRARY_S = 1800.0  # gigabytes over a poor line
ANSWER_BYTES = limits.MIB
_LIBRARY, _LIBRARY_AT = b"flower-library.json", 30  # name of the first file in such an archive
FILES_MOST = 20_000  # of one command
# In a folder: what programs keep beside what people wrote. Whoever names such a file is believed.
SKIPPED_FOLDERS = frozenset({
    "User Avatars", "TextGen Settings", "OpenAI Settings", "KoboldAI Settings", "NovelAI Settings", "_cache",
    "assets", "backgrounds", "backups", "context", "extensions", "instruct", "movingUI", "node_modules",
    "reasoning", "sprites", "sysprompt", "themes", "thumbnails", "user_images", "vectors",
})  # fmt: skip
SKIPPED_NAMES = frozenset({
    "content.json", "image-metadata.json", "package.json", "secrets.json", "stats.json",
})  # fmt: skip
SKIPPED_ENDINGS = frozenset({
    ".bak", ".bin", ".bmp", ".css", ".db", ".exe", ".gguf", ".gif", ".gz", ".html", ".htm", ".js", ".log",
    ".md", ".mp3", ".mp4", ".ogg", ".onnx", ".pdf", ".py", ".safetensors", ".sh", ".sqlite", ".svg", ".tar",
    ".tmp", ".ts", ".tsv", ".wav", ".webm",
})  # fmt: skip


class Answer(Struct, frozen=True):
    """What became of one file. ``error`` is "" for one that was imported."""

    kind: str = ""
    state: Literal["", "new", "updated", "already here"] = ""
    items: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    error: str = ""
    speakers: tuple[str, ...] = ()


class Wishes(Struct, frozen=True):
    """What a person says beside the files: who they are, and whether scripts of cards may act."""

    me: str = ""
    scripts: bool = False
    library: bool = False  # the file is an archive of a whole home


class Sent(Struct, frozen=True):
    """A file and what became of it; ``done`` of ``total`` files are through."""

    path: Path
    answer: Answer
    done: int
    total: int


def files_in(paths: Sequence[Path]) -> list[Path]:
    """Returns the files at ``paths``, those in folders below them too, without what is none of a library.

    Raises ``FlowerError`` naming a path where nothing is, or when there are too many.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise FlowerError(f"There is no file or folder {path}.")
        for one in _walk(path) if path.is_dir() else (path,):
            files[one] = None
            if len(files) > FILES_MOST:
                raise FlowerError(f"{path} holds more than {FILES_MOST:,} files; import it in parts")
    return list(files)


def _walk(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in SKIPPED_FOLDERS and one[:1] != ".")
        for name in sorted(names):
            path = Path(root, name)
            skipped = name in SKIPPED_NAMES or path.suffix.lower() in SKIPPED_ENDINGS
            if name[:1] != "." and not skipped and path.is_file():
                yield path


async def send(
    files: Sequence[Path],
    engine_url: Callable[[], str],
    token: str | None,
    wishes: Wishes | None = None,
) -> AsyncIterator[Sent]:
    """Yields what became of each file. Raises ``LaunchError`` when the engine cannot be reached."""
    for done, path in enumerate(files, start=1):
        yield Sent(path, await send_one(path, engine_url, token, wishes), done, len(files))


async def send_one(
    path: Path, engine_url: Callable[[], str], token: str | None, wishes: Wishes | None = None
) -> Answer:
    """Returns what became of a file. Raises ``LaunchError`` when the engine cannot be reached."""
    try:
        file = await trio.open_file(path, "rb", opener=file_io.opener)
    except OSError as error:
        return Answer(error=f"the file cannot be read ({error.strerror})")
    async with file:
        status = os.fstat(file.fileno())
        most = limits.LIBRARY_BYTES if await _is_library(file) else limits.IMPORT_BYTES
        if status.st_size > most:
            return Answer(error=f"the file is larger than {most // limits.MIB} MiB")
        wishes = replace(wishes or Wishes(), library=most == limits.LIBRARY_BYTES)
        return await _post(file, status.st_size, path.name, engine_url, token, wishes)


async def _is_library(file: trio._file_io.AsyncIOWrapper[BufferedReader]) -> bool:
    """Whether a file begins as an archive of a whole home does; what it says is looked at by the engine."""
    head = await file.read(_LIBRARY_AT + len(_LIBRARY))
    await file.seek(0)
    return head[_LIBRARY_AT:] == _LIBRARY


async def _post(
    file: trio._file_io.AsyncIOWrapper[BufferedReader],
    size: int,
    name: str,
    engine_url: Callable[[], str],
    token: str | None,
    wishes: Wishes,
) -> Answer:
    url = await _started(engine_url)
    try:
        place = EngineAddress.of(_import_url(url))
        with trio.fail_after(limits.LINK_CONNECT_S):
            line = await open_line(place)
    except ValueError as error:
        raise LaunchError(f"'{url}' is no address of an engine") from error
    except UntrustedError as error:
        raise LaunchError(f"{url}: {error}") from error
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        raise LaunchError(f"no engine answers at {url}") from error
    headers = [
        ("Host", place.authority),
        ("Content-Length", str(size)),
        ("Content-Type", "application/octet-stream"),
        ("X-Flower-Name", quote(name)),
        *([("X-Flower-Me", quote(wishes.me))] if wishes.me else []),
        *([("X-Flower-Scripts", "yes")] if wishes.scripts else []),
        *([("X-Flower-Library", "yes")] if wishes.library else []),
        *([("Authorization", f"Bearer {token}")] if token else []),
    ]
    request = h11.Request(method="POST", target=IMPORT_PATH, headers=headers)
    try:
        with trio.fail_after(LIBRARY_S if wishes.library else ANSWER_S):
            return await _converse(line, request, file)
    except trio.TooSlowError as error:
        raise LaunchError("the engine did not answer in time") from error
    except (
        OSError,
        LostError,
        trio.BrokenResourceError,
        trio.ClosedResourceError,
        h11.ProtocolError,
    ) as error:
        raise LaunchError("the connection to the engine was lost") from error
    finally:
        await trio.aclose_forcefully(line)


async def _started(engine_url: Callable[[], str]) -> str:
    """Returns the engine's address, once it has one. Raises ``LaunchError``."""
    with trio.move_on_after(limits.ENGINE_START_S):
        while True:
            try:
                return engine_url()
            except EngineStarting:
                await trio.sleep(limits.LAUNCH_POLL_S)
    raise LaunchError(f"the engine has not started within {limits.ENGINE_START_S:.0f} seconds")


def _import_url(url: str) -> str:
    parts = urlsplit(url)
    return url if parts.scheme == "unix" else urlunsplit(parts._replace(path=IMPORT_PATH, query=""))


async def _converse(
    line: trio.abc.Stream, request: h11.Request, file: trio._file_io.AsyncIOWrapper[BufferedReader]
) -> Answer:
    """Sends a request with a file as its body, and returns the answer.

    Who refuses answers before the body has come, and takes no more of it: that answer is still read.
    """
    http = h11.Connection(h11.CLIENT)
    await line.send_all(http.send(request) or b"")
    try:
        while piece := await file.read(PIECE_BYTES):
            await line.send_all(http.send(h11.Data(data=piece)) or b"")
        await line.send_all(http.send(h11.EndOfMessage()) or b"")
    except trio.BrokenResourceError:
        pass  # reading tells why
    got = await answer_on(
        line, http, math.inf
    )  # to import a library takes long; the caller has the time
    return _answer(got.status, await got.start(ANSWER_BYTES))


def _answer(status: int, body: bytes) -> Answer:
    """Returns the answer in a response; a refusal at the door is plain text and ends everything."""
    try:
        return msgspec.json.decode(body, type=Answer)
    except msgspec.MsgspecError:
        text = one_line(body)
        hint = " Start with --token, or set FLOWER_TOKEN." if status == 401 else ""
        raise LaunchError(f"{text}{hint}" if text else f"the engine refuses (HTTP {status})") from None


# --- What is said of an import, for a terminal and for the screen.

NOTICES_SHOWN = 50


class UploadSummary:
    """Counts what became of files. ``rows`` are of a table of kinds: kind, new, updated, there, failed."""

    def __init__(self) -> None:
        self._counts: dict[str, dict[str, int]] = {}
        self.problems: list[str] = []
        self.notices: list[str] = []
        self.items: list[str] = []  # what came of the files

    def add(self, sent: Sent) -> None:
        """Counts one file in."""
        answer = sent.answer
        kind = answer.kind or "not imported"
        counts = self._counts.setdefault(kind, {})
        state = answer.state or "failed"
        counts[state] = counts.get(state, 0) + 1
        name = printable_line(sent.path.name)
        if answer.error:
            self.problems.append(f"{name}: {answer.error}")
        self.items += answer.items if answer.state != "already here" else ()
        self.notices += [f"{name}: {notice}" for notice in answer.notices]

    def count(self, state: str) -> int:
        """Returns how many files are in a state."""
        return sum(counts.get(state, 0) for counts in self._counts.values())

    @property
    def rows(self) -> list[tuple[str, int, int, int, int]]:
        return [
            (kind, *(counts.get(state, 0) for state in ("new", "updated", "already here", "failed")))  # type: ignore[misc]
            for kind, counts in sorted(self._counts.items())
        ]

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        parts = [
            f"{self.count(state)} {words}"
            for state, words in (
                ("new", "new"),
                ("updated", "updated"),
                ("already here", "already here"),
                ("failed", "not imported"),
            )
            if self.count(state)
        ]
        return ("Imported: " + ", ".join(parts) if parts else "There is nothing to import") + "."
