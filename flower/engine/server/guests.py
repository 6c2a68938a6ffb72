"""The clients that came in with a token: they leave when it is revoked.

Owns a cancel scope for each of them; knows nothing of sockets or stories.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Guests:
    """Who is in, and by which token."""

    def __init__(self) -> None:
        self._inside: dict[trio.CancelScope, str] = {}

    @contextmanager
    def admitted(self, token: str | None) -> Iterator[trio.CancelScope]:
        """Runs a block until ``token`` is revoked; None: came in without one, and stays."""
        with trio.CancelScope() as scope:
            if token is not None:
                self._inside[scope] = token
            try:
                yield scope
            finally:
                self._inside.pop(scope, None)

    def revoke_others(self, token: str | None) -> None:
        """Ends every block that was admitted by another token than this one."""
        for scope, own in tuple(self._inside.items()):
            if own != token:
                scope.cancel()
