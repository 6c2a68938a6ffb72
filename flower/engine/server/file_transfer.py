"""``/import`` and ``/export``: files on their way into the home and out of it, over HTTP.

``POST /import``: the body is the file itself, streamed to the disk. ``X-Flower-Name`` is its name and ``X-Flower-Me``
the player's name in a chat that does not say it, both percent-encoded; ``X-Flower-Scripts: yes`` lets the scripts of
cards act, ``X-Flower-Library: yes`` announces an archive of a whole home, which may be larger. What a user sends comes
into the library of that user. The answer is JSON: ``kind``, ``state``, ``items`` and ``notices``, or with another
status than 200 ``error``, and ``speakers`` where the player has to be named.

``GET /export/NAME``: a file that ``/export`` wrote, for whoever it was written for. The token says in whose folder the
name is looked for, so that there is no way to another's; a name is one part of a path. Files are with the engine that
wrote them: where it is not this one, the others are asked, with the same token.
"""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

import msgspec
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Response
from quart.wrappers import Request
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import RequestEntityTooLarge

from flower import file_io, limits
from flower.client.address import EngineAddress
from flower.client.engine_http import Got, LostError, get
from flower.client.line import UntrustedError
from flower.engine.export import files
from flower.engine.importing.importer import Importer
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions.allowances import Allowances
from flower.engine.sessions.engine import Engine
from flower.engine.store.users import HOME, User
from flower.errors import CommandError, ImportFileError, StoreError, UnknownPlayerError
from flower.protocol import EXPORT_PATH

log = logging.getLogger(__name__)

UPLOADS_AT_ONCE = 4  # others wait for their turn
UPLOAD_S = 600.0  # 64 MiB over a poor line
NAME_BYTES = 1024  # of a header
EXPORT_PIECE_BYTES = 256 * limits.KIB
EXPORTS_AT_ONCE = 8  # others wait for their turn
DOWNLOAD_S = 600.0
PASSED = "X-Flower-Passed"  # another engine asks: nobody else is asked for it
_OPEN = "flower.open"  # in the scope of a request: what is to be closed with it


def most_of(request: Request) -> int:
    """Returns how many bytes a request may bring: more for an archive of a whole home."""
    library = request.headers.get("X-Flower-Library", "") == "yes"
    return limits.LIBRARY_BYTES if library else limits.IMPORT_BYTES


class Uploads:
    """Takes files in. ``folder`` is where they lie until they are imported; None: the system's."""

    def __init__(self, importer: Importer, folder: Path | None, allowances: Allowances) -> None:
        self._importer = importer
        self._allowances = allowances
        self._folder = folder
        self._at_once = trio.CapacityLimiter(UPLOADS_AT_ONCE)

    async def take(self, request: Request, user: User | None = None) -> Response:
        """Returns the answer to a request that may come in; ``user`` is who sends it, None the home's owner."""
        name, me = (
            unquote(request.headers.get(header, "")[:NAME_BYTES])
            for header in ("X-Flower-Name", "X-Flower-Me")
        )
        scripts = request.headers.get("X-Flower-Scripts", "") == "yes"
        try:
            if user is not None:
                await self._allowances.check_import(user.id, user.name)
            with trio.fail_after(UPLOAD_S):
                async with self._at_once, self._received(request) as path:
                    imported = await self._importer.take(
                        path,
                        name or "unnamed",
                        me,
                        scripts_allowed=scripts,
                        user=user.id if user is not None else HOME,
                    )
        except CommandError as error:
            return _json(403, {"error": str(error)})
        except UnknownPlayerError as error:
            return _json(422, {"error": str(error), "speakers": error.speakers})
        except ImportFileError as error:
            return _json(422, {"error": str(error)})
        except RequestEntityTooLarge:
            return _json(
                413, {"error": f"the file is larger than {most_of(request) // limits.MIB} MiB"}
            )
        except StoreError as error:
            return _json(507, {"error": str(error)})
        except trio.TooSlowError:
            return _json(408, {"error": f"the file did not come within {UPLOAD_S:.0f} seconds"})
        return _json(200, msgspec.to_builtins(imported))

    @contextlib.asynccontextmanager
    async def _received(self, request: Request) -> AsyncIterator[Path]:
        """The body as a file, gone at the end of the block.

        Written piece by piece without a thread: so a piece is on its way to the disk before the next one
        is read, and the file never gathers in memory.
        """
        if (request.content_length or 0) > most_of(request):
            raise RequestEntityTooLarge
        number, name = tempfile.mkstemp(prefix="upload-", dir=self._folder)
        path = Path(name)
        try:
            try:
                size = 0
                async for piece in request.body:
                    size += len(piece)
                    if size > most_of(request):  # a body that does not say its length
                        raise RequestEntityTooLarge
                    _write(number, piece)
            except OSError as error:
                raise StoreError(f"the file could not be kept: {error.strerror}") from error
            finally:
                os.close(number)
            yield path
        finally:
            with contextlib.suppress(OSError):  # swept up with the folder when an engine starts
                os.unlink(name)


def _write(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _json(status: int, value: object) -> Response:
    body = msgspec.json.encode(value) + b"\n"
    return Response(body, status, content_type="application/json")


# --- Out of the home.


class ClosingConnection(TrioASGIHTTPConnection):
    """A request; what was opened for its answer is closed when it ends, however far the answer has come.

    An answer cannot do that itself: of one whose client goes before its first byte nothing is ever run.
    """

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async with AsyncExitStack() as opened:
            cast("dict[str, Any]", self.scope)[_OPEN] = opened
            await super().__call__(receive, send)


class Exports:
    """Sends files of one home, or lets the other engines of its database send theirs."""

    def __init__(self, engine: Engine, lifetime: Lifetime) -> None:
        self._engine = engine
        self._lifetime = lifetime
        self._at_once = trio.CapacityLimiter(EXPORTS_AT_ONCE)

    async def send(self, name: str, request: Request, user: User | None, token: str | None) -> Response:
        """Returns the answer to a request that may come in. ``token`` is the home's own."""
        path = self._place(name, user)
        if path is not None:
            size = await trio.to_thread.run_sync(_size_of, path)
            if size is not None:
                return _file(self._pieces(path, size), size, name)
            if PASSED not in request.headers and self._engine.services.database.shared:
                authorization = request.headers.get("Authorization") or (
                    f"Bearer {token}" if token else ""
                )
                answer = await self._elsewhere(name, authorization, cast("Any", request.scope)[_OPEN])
                if answer is not None:
                    return answer
        text = "There is no such export; /export writes one.\n"
        return Response(text, 404, content_type="text/plain; charset=utf-8")

    def _place(self, name: str, user: User | None) -> Path | None:
        """Returns where a file of that name would be; None for what is no name of one."""
        strange = not name or name[0] in ".@" or "/" in name or "\0" in name
        if strange or len(name.encode("utf-8", "replace")) > files.NAME_BYTES:
            return None
        who = (user.name, user.id) if user is not None else ()
        return files.folder_of(self._engine.services.database.path, *who) / name

    async def _pieces(self, path: Path, left: int) -> AsyncIterator[bytes]:
        with self._lifetime.client():  # whoever fetches needs the engine
            async with self._at_once:
                with await trio.to_thread.run_sync(file_io.opened, path) as file:
                    while left > 0:
                        piece = await trio.to_thread.run_sync(file.read, min(EXPORT_PIECE_BYTES, left))
                        if not piece:
                            return
                        left -= len(piece)
                        yield piece

    async def _elsewhere(
        self, name: str, authorization: str, opened: AsyncExitStack
    ) -> Response | None:
        """Returns the answer of the engine that has the file, None when none has it.

        ``opened`` takes the line to that engine, and ends with the request.
        """
        try:
            others = await self._engine.services.database.others()
        except StoreError as error:
            log.warning("the other engines cannot be asked for an export: %s", error)
            return None
        headers = [(PASSED, "1"), *([("Authorization", authorization)] if authorization else [])]
        for address in others:
            target = f"{EXPORT_PATH}/{quote(name, safe='')}"
            async with AsyncExitStack() as line:
                try:
                    got = await line.enter_async_context(
                        get(EngineAddress.of(address), target, headers)
                    )
                except (ValueError, LostError, UntrustedError) as error:
                    log.info("%s cannot be asked for an export: %s", address, error)
                    continue
                if got.status == 200 and got.size >= 0:
                    opened.push_async_exit(line.pop_all())  # it ends with the request, not here
                    return _file(self._passed_on(got, address), got.size, name)
        return None

    async def _passed_on(self, got: Got, address: str) -> AsyncIterator[bytes]:
        try:
            with self._lifetime.client():
                async for piece in got.pieces():
                    yield piece
        except LostError as lost:
            log.info("an export of %s broke off: %s", address, lost)


def _size_of(path: Path) -> int | None:
    """Returns the bytes of a regular file, None where there is none."""
    try:
        with file_io.opened(path) as file:
            return os.fstat(file.fileno()).st_size
    except OSError:
        return None


def _file(pieces: AsyncIterator[bytes], size: int, name: str) -> Response:
    response = Response(pieces, 200, content_type="application/octet-stream")
    response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    response.timeout = DOWNLOAD_S
    return response
