"""Waits until something changes in folders, without waking the machine in between.

Linux reports changes through a descriptor (inotify(7)), which trio waits for like for a socket: no thread, no
timer. Where there is no such thing, or no place for another watch, the wait is a short sleep: whoever waits
looks for themselves what has changed, so that nothing depends on it. Owns the descriptor; never reads a file.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

import trio

BLIND_POLL_S = 2.0  # between two looks where nothing tells of changes
CALM_S = 0.3  # after a change: whoever writes one file often writes another
READ_BYTES = 65_536

# linux/inotify.h. Not every write: a file counts when it is closed, or put there whole.
_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x8, 0x40, 0x80, 0x100, 0x200
_CHANGES = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_ONLY_FOLDERS = 0x0100_0000


class FolderEvents:
    """The changes in the folders it is to watch; a context manager."""

    def __init__(self) -> None:
        self._libc: ctypes.CDLL | None = None
        self._descriptor = -1
        self._held: set[int] = set()
        self._blind = True  # some folder changes unnoticed

    def __enter__(self) -> FolderEvents:
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "inotify_init1"):
            self._libc = libc
            self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def watch(self, folders: Iterable[Path]) -> bool:
        """Watches these folders from now on, and no others; returns whether one of them is new.

        A folder that is not there is left out: watch the one it would be in, too, and call this again.
        What came into a new folder before this call goes unnoticed.
        """
        if self._libc is None or self._descriptor < 0:
            return False
        now: set[int] = set()
        self._blind = False
        for folder in folders:
            number = self._libc.inotify_add_watch(
                self._descriptor, os.fsencode(folder), _CHANGES | _ONLY_FOLDERS
            )
            if number >= 0:
                now.add(number)
            elif ctypes.get_errno() not in (errno.ENOENT, errno.ENOTDIR):
                self._blind = True  # above all ENOSPC: other programs have taken all watches
        for number in self._held - now:
            self._libc.inotify_rm_watch(self._descriptor, number)
        new = bool(now - self._held)
        self._held = now
        return new

    async def wait(self, longest_s: float) -> None:
        """Returns a moment after something changed, or after ``longest_s``; sooner if nobody would tell."""
        if self._blind:
            await trio.sleep(min(BLIND_POLL_S, longest_s))
            return
        with trio.move_on_after(longest_s):
            await trio.lowlevel.wait_readable(self._descriptor)
            await trio.sleep(CALM_S)
        try:
            os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return
