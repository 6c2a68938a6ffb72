"""``POST /import``: a file from a client's disk on its way into the home, streamed to the disk.

The body is the file itself. ``X-Flower-Name`` is its name and ``X-Flower-Me`` the player's name in a chat that
does not tell, both percent-encoded; ``X-Flower-Scripts: yes`` lets the scripts of cards act,
``X-Flower-Library: yes`` announces an archive of a whole home, which may be larger. What a user sends comes into the
library of that user. The answer is JSON:
``kind``, ``state``, ``items`` and ``notices``, or with another status than 200 ``error``, and ``speakers`` where
the player has to be named.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import trio
from quart import Response
from quart.wrappers import Request
from werkzeug.exceptions import RequestEntityTooLarge

from flower import limits
from flower.engine.importing.importer import Importer
from flower.engine.sessions.allowances import Allowances
from flower.engine.store.users import HOME, User
from flower.errors import CommandError, ImportFileError, StoreError, UnknownPlayerError

UPLOADS_AT_ONCE = 4  # others wait for their turn
UPLOAD_S = 600.0  # 64 MiB over a poor line
NAME_BYTES = 1024  # of a header


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
                    taken = await self._importer.take(
                        path,
                        name or "unnamed",
                        me,
                        scripts_allowed=scripts,
                        user=user.id if user is not None else HOME,
                    )
        except CommandError as error:
            return _answer(403, {"error": str(error)})
        except UnknownPlayerError as error:
            return _answer(422, {"error": str(error), "speakers": error.speakers})
        except ImportFileError as error:
            return _answer(422, {"error": str(error)})
        except RequestEntityTooLarge:
            return _answer(
                413, {"error": f"the file is larger than {most_of(request) // limits.MIB} MiB"}
            )
        except StoreError as error:
            return _answer(507, {"error": str(error)})
        except trio.TooSlowError:
            return _answer(408, {"error": f"the file did not come within {UPLOAD_S:.0f} seconds"})
        return _answer(200, msgspec.to_builtins(taken))

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


def _answer(status: int, value: object) -> Response:
    body = msgspec.json.encode(value) + b"\n"
    return Response(body, status, content_type="application/json")
