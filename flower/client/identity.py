"""Who this client is: a stable id per home and per terminal open at the same time, and its draft.

Owns ``run/tui-id`` (random, made once), ``run/tui-N.lock`` (held while the client lives) and
``run/draft-N``. The first client of a home is always slot 1, so its selections and its half-typed line
come back after a restart. A home that cannot be written to costs the memory, not the session.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from flower import file_io, limits
from flower.file_io import write_whole

DRAFT_BYTES = 256 * limits.KIB
TUI_SLOTS = 64  # clients of one home at the same time


class Identity:
    """``client`` goes with every prompt; ``slot`` is 0 when the home cannot be written to."""

    def __init__(self, client: str, slot: int, draft_path: Path | None, lock: int | None) -> None:
        self.client = client
        self.slot = slot
        self._draft_path = draft_path
        self._lock = lock
        self._saved = ""

    def load_draft(self) -> str:
        """Returns what was typed and not sent when this slot was last in use."""
        if self._draft_path is None:
            return ""
        try:
            data = file_io.read(self._draft_path, DRAFT_BYTES)
            self._saved = data.decode(errors="ignore")
        except OSError:
            return ""
        return self._saved

    def save_draft(self, text: str) -> None:
        """Keeps ``text`` for the next run; an empty text removes the file. A full disk is ignored."""
        if self._draft_path is None or text == self._saved:
            return
        # A failing disk must not disturb writing; the text is still on the screen.
        with contextlib.suppress(OSError):
            if text:
                write_whole(
                    self._draft_path,
                    [text.encode(errors="replace")[:DRAFT_BYTES]],
                    durable=False,
                )
            else:
                self._draft_path.unlink(missing_ok=True)
            self._saved = text

    def __enter__(self) -> Identity:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Frees the slot for another terminal."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def claim(home_dir: Path) -> Identity:
    """Returns the identity of the first free slot of ``home_dir``."""
    run = home_dir / "run"
    try:
        run.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = _own_id(run / "tui-id")
        for slot in range(1, TUI_SLOTS + 1):
            lock = _try_lock(run / f"tui-{slot}.lock")
            if lock is not None:
                return Identity(f"{own}-{slot}", slot, run / f"draft-{slot}", lock)
    except OSError:
        return _stranger()
    return _stranger()


def shared(home_dir: Path) -> Identity:
    """Returns the identity of the first slot without claiming it: a script speaks for the main client."""
    try:
        (home_dir / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
        return Identity(f"{_own_id(home_dir / 'run' / 'tui-id')}-1", 0, None, None)
    except OSError:
        return _stranger()


def _stranger() -> Identity:
    return Identity(os.urandom(8).hex(), 0, None, None)


def _own_id(path: Path) -> str:
    with contextlib.suppress(OSError):
        stored = file_io.read(path, limits.CLIENT_ID_CHARS).decode("ascii", errors="ignore").strip()
        if stored.isalnum() and len(stored) <= limits.CLIENT_ID_CHARS // 2:
            return stored
    fresh = os.urandom(8).hex()
    write_whole(path, [fresh.encode()], durable=False)
    return fresh


def _try_lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
