"""``GET /export/NAME``: a file that ``/export`` wrote, for whoever it was written for.

The token says in whose folder the name is looked for, so that there is no way to another's; a name is one part of a
path. Files lie with the engine that wrote them: where it is not this one, the others are asked, with the same token.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import trio
from quart import Response
from quart.wrappers import Request

from flower import file_io, limits
from flower.client.address import EngineAddress
from flower.client.engine_http import Got, LostError, get
from flower.client.line import UntrustedError
from flower.engine.export import files
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions.engine import Engine
from flower.engine.store.users import User
from flower.errors import StoreError
from flower.protocol import EXPORT_PATH

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * limits.KIB
AT_ONCE = 8  # others wait for their turn
DOWNLOAD_S = 600.0
PASSED = "X-Flower-Passed"  # another engine asks: nobody else is asked for it


class Exports:
    """Sends files of one home, or lets the other engines of its database send theirs."""

    def __init__(self, engine: Engine, lifetime: Lifetime) -> None:
        self._engine = engine
        self._lifetime = lifetime
        self._at_once = trio.CapacityLimiter(AT_ONCE)

    async def send(self, name: str, request: Request, user: User | None, token: str | None) -> Response:
        """Returns the answer to a request that may come in. ``token`` is the home's own."""
        path = self._place(name, user)
        if path is not None:
            size = await trio.to_thread.run_sync(_size_of, path)
            if size is not None:
                return _answer(self._pieces(path, size), size, name)
            if PASSED not in request.headers and self._engine.services.database.shared:
                shown = request.headers.get("Authorization") or (f"Bearer {token}" if token else "")
                found = await self._elsewhere(name, shown)
                if found is not None:
                    return found
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
                        piece = await trio.to_thread.run_sync(file.read, min(PIECE_BYTES, left))
                        if not piece:
                            return
                        left -= len(piece)
                        yield piece

    async def _elsewhere(self, name: str, authorization: str) -> Response | None:
        """Returns the answer of the engine that has the file, None when none has it."""
        try:
            others = await self._engine.services.database.others()
        except StoreError as error:
            log.warning("the other engines cannot be asked for an export: %s", error)
            return None
        headers = [(PASSED, "1"), *([("Authorization", authorization)] if authorization else [])]
        for address in others:
            found = await self._of(address, f"{EXPORT_PATH}/{quote(name, safe='')}", headers, name)
            if found is not None:
                return found
        return None

    async def _of(
        self, address: str, target: str, headers: list[tuple[str, str]], name: str
    ) -> Response | None:
        try:
            asked = get(EngineAddress.of(address), target, headers)
            got = await asked.__aenter__()
        except (ValueError, LostError, UntrustedError) as error:
            log.info("%s cannot be asked for an export: %s", address, error)
            return None
        if got.status != 200 or got.size < 0:
            await asked.__aexit__(None, None, None)
            return None

        async def passed_on(got: Got = got) -> AsyncIterator[bytes]:
            try:
                with self._lifetime.client():
                    async for piece in got.pieces():
                        yield piece
            except LostError as lost:
                log.info("an export of %s broke off: %s", address, lost)
            finally:
                await asked.__aexit__(None, None, None)

        return _answer(passed_on(), got.size, name)


def _size_of(path: Path) -> int | None:
    """Returns the bytes of a regular file, None where there is none."""
    try:
        with file_io.opened(path) as file:
            return os.fstat(file.fileno()).st_size
    except OSError:
        return None


def _answer(pieces: AsyncIterator[bytes], size: int, name: str) -> Response:
    response = Response(pieces, 200, content_type="application/octet-stream")
    response.headers["Content-Length"] = str(size)
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
    response.timeout = DOWNLOAD_S
    return response
