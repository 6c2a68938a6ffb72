"""A GGUF file from an address or a place on the disk into the models folder, checked before it counts as there.

What has come of a download lies in ``NAME.gguf.part``; the next try goes on from there, if the server still has the
same file (``If-Range``, RFC 9110 section 13.1.5). The file gets its name when its length is right, it is a GGUF file
and, where one was given, its SHA-256 fits. Goes through the proxies of the environment; sends nothing but the request.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import trio
from msgspec import Struct

from flower import __version__, file_io, limits
from flower.engine.provider.http.proxies import certificates, proxy_for
from flower.engine.provider.llamacpp import gguf
from flower.errors import ProviderError

if TYPE_CHECKING:  # 2 MB and 30 ms, for what is done once in a while: imported where it is used
    import httpx

CONNECT_S = 20.0
SILENCE_S = 60.0  # without a byte
REDIRECTS = 5
KEPT_FREE_BYTES = 512 * limits.MIB  # of the disk: stories are saved there, too
NAME_CHARS = 120
OK, PARTIAL, NOT_SATISFIABLE = 200, 206, 416

Report = Callable[[int, int], None]  # bytes so far, bytes in all (0: unknown)


class Fetched(Struct, frozen=True):
    """The file that is there now."""

    path: Path
    size_bytes: int
    sha256: str


def file_name(source: str) -> str:
    """Returns the name a file from ``source`` gets. Raises ``ProviderError`` for what names no GGUF file."""
    path = unquote(urlsplit(source).path) if "://" in source else source
    name = "".join(char for char in path.rpartition("/")[2] if char.isalnum() or char in "-_. ")
    if not name.lower().endswith(".gguf") or name.startswith(".") or len(name) > NAME_CHARS:
        raise _wrong(
            "That names no GGUF file: its address or path ends with .gguf (on the page of a model it is the link "
            "behind Download, not the page itself)"
        )
    return f"{name[:-5]}.gguf"


async def fetch(
    url: str, folder: Path, report: Report, *, sha256: str = "", environ: Mapping[str, str] = os.environ
) -> Fetched:
    """Downloads ``url`` into ``folder``, going on where an earlier try ended. Raises ``ProviderError``."""
    import httpx

    target = folder / file_name(url)
    _check_new(target)
    part = target.with_name(f"{target.name}.part")
    mark = target.with_name(f"{target.name}.etag")
    try:
        total = await _download(url, part, mark, report, environ)
    except httpx.HTTPError as error:
        raise _wrong(
            f"The download broke off ({type(error).__name__}); the same command goes on with it"
        ) from error
    except OSError as error:
        raise _wrong(f"{part} cannot be written ({error.strerror or error})") from error
    size, _ = _so_far(part, mark)
    if total and size < total:
        raise _wrong(f"{size} of {total} bytes came; the same command goes on with them")
    return await trio.to_thread.run_sync(_finish, part, mark, target, sha256)


async def take(path: Path, folder: Path, *, sha256: str = "") -> Fetched:
    """Puts a file of this machine into ``folder``: as a link where that can be, else as a copy."""
    target = folder / file_name(path.name)
    _check_new(target)

    def work() -> Fetched:
        why = gguf.problem_of(path)
        if why:
            raise _wrong(f"{path.name}: {why}")
        digest = _digest(path)
        _check_digest(digest, sha256, path.name)
        try:
            os.link(path, target)
        except OSError:
            _check_room(target.parent, path.stat().st_size)
            shutil.copyfile(path, target)
        return Fetched(target, target.stat().st_size, digest)

    try:
        return await trio.to_thread.run_sync(work)
    except OSError as error:
        raise _wrong(f"{path} cannot be used ({error.strerror or error})") from error


async def _download(
    url: str, part: Path, mark: Path, report: Report, environ: Mapping[str, str]
) -> int:
    have, etag = _so_far(part, mark)
    headers = {"Range": f"bytes={have}-", "If-Range": etag} if have and etag else {}
    async with _opened(url, headers, environ) as response:
        if response.status_code == NOT_SATISFIABLE:
            return have  # all of it is here
        if response.status_code not in (OK, PARTIAL):
            raise _wrong(
                f"The server answers {response.status_code} {response.reason_phrase}; is the address right?"
            )
        if "html" in response.headers.get("Content-Type", ""):
            raise _wrong("That is a web page, not a file; take the link behind Download")
        begins = have if response.status_code == PARTIAL else 0
        length = int(response.headers.get("Content-Length") or 0)
        total = begins + length if length else 0
        _check_room(part.parent, length)
        _remember(mark, response.headers.get("ETag", ""))
        await _write(response, part, begins, total, report)
        return total


def _so_far(part: Path, mark: Path) -> tuple[int, str]:
    """Returns the bytes that are here already, and by what the server knows their file."""
    have = part.stat().st_size if part.exists() else 0
    return have, _etag(mark)


def _etag(mark: Path) -> str:
    """Returns what was remembered, "" for a mark that is none: then everything is fetched again."""
    try:
        return file_io.read_text(mark, limits.KEY_BYTES)
    except (OSError, ValueError):
        return ""


def _remember(mark: Path, etag: str) -> None:
    mark.write_text("" if etag.startswith("W/") else etag)  # a weak one promises nothing about bytes


async def _write(response: httpx.Response, part: Path, begins: int, total: int, report: Report) -> None:
    done = begins
    with part.open("r+b" if begins else "wb") as file:
        file.seek(begins)
        file.truncate()
        async for chunk in response.aiter_raw():
            await trio.to_thread.run_sync(file.write, chunk)
            done += len(chunk)
            report(done, total)


@asynccontextmanager
async def _opened(
    url: str, headers: Mapping[str, str], environ: Mapping[str, str]
) -> AsyncIterator[httpx.Response]:
    """The answer of ``url``, redirects followed; never from https to plain http."""
    import httpx

    for _ in range(REDIRECTS + 1):
        proxy = proxy_for(url, environ)
        secure = url.startswith("https:") or proxy.startswith("https:")
        verify = await trio.to_thread.run_sync(certificates, environ) if secure else False
        async with (
            httpx.AsyncClient(
                verify=verify,
                trust_env=False,
                proxy=proxy or None,
                timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
                headers={"User-Agent": f"flower/{__version__}", "Accept-Encoding": "identity"},
            ) as client,
            client.stream("GET", url, headers=dict(headers)) as response,
        ):
            if not response.is_redirect:
                yield response
                return
            following = urljoin(url, response.headers.get("Location", ""))
        if urlsplit(following).scheme not in ("https", urlsplit(url).scheme):
            raise _wrong("The server sends on to an unsafe address; nothing was fetched")
        url = following
    raise _wrong(f"The server sends on more than {REDIRECTS} times; is the address right?")


def _finish(part: Path, mark: Path, target: Path, sha256: str) -> Fetched:
    why = gguf.problem_of(part)
    if why:
        _forget(part, mark)
        raise _wrong(f"What came is no model: {why}. It was deleted")
    digest = _digest(part)
    if sha256 and digest != sha256.lower():
        _forget(part, mark)
    _check_digest(digest, sha256, target.name)
    os.replace(part, target)
    mark.unlink(missing_ok=True)
    return Fetched(target, target.stat().st_size, digest)


def _forget(part: Path, mark: Path) -> None:
    part.unlink(missing_ok=True)
    mark.unlink(missing_ok=True)


def _check_digest(digest: str, sha256: str, name: str) -> None:
    if sha256 and digest != sha256.lower():
        raise _wrong(f"{name} has the SHA-256 {digest}, not the one given; it is not taken")


def _digest(path: Path) -> str:
    with file_io.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_new(target: Path) -> None:
    if target.exists():
        raise _wrong(f"{target.name} is there already; delete it in {target.parent} to fetch it again")


def _check_room(folder: Path, size_bytes: int) -> None:
    free = shutil.disk_usage(folder).free - KEPT_FREE_BYTES
    if size_bytes > free:
        raise _wrong(
            f"{size_bytes / 1e9:.1f} GB come, and the disk has room for {max(0, free) / 1e9:.1f} GB"
        )


def _wrong(sentence: str) -> ProviderError:
    return ProviderError("bad_request", sentence if sentence.endswith("?") else f"{sentence}.")
