"""``--reload``: runs a command and restarts it when a file it is made of changes.

For development. The other process needs no restart: a client reconnects, an engine does not notice.
Owns the child process; never imports what it restarts.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from types import FrameType

from flower import limits
from flower.errors import FlowerError
from flower.home import Home
from flower.installation import own_command

RELOAD_POLL_MS = 250  # --reload looks this often whether its child has ended

_PACKAGE = Path(__file__).parents[1]
_OTHER = {"engine": _PACKAGE / "tui", "tui": _PACKAGE / "engine"}


def run_reloading(part: str, arguments: Sequence[str], home: Home) -> int:
    """Runs ``flower`` with ``arguments`` until it ends well or Ctrl-C; returns the exit code.

    ``part`` is ``engine`` or ``tui``. Raises ``FlowerError`` if watchfiles is not installed.
    """
    try:
        import watchfiles
    except ImportError as error:
        raise FlowerError("--reload needs the package watchfiles; run ./start.sh --setup") from error
    signal.signal(signal.SIGTERM, _leave)  # else the child would outlive us
    command, environ = own_command(*arguments)
    return supervise(
        lambda: subprocess.Popen(command, env=environ),  # noqa: S603 - our own command line
        watchfiles.watch(
            _PACKAGE,
            home.root,
            watch_filter=lambda _, path: concerns(part, Path(path), home),
            rust_timeout=RELOAD_POLL_MS,
            yield_on_timeout=True,
        ),
    )


def concerns(part: str, path: Path, home: Home) -> bool:
    """Returns whether ``part`` must be restarted when ``path`` changes."""
    if path.is_relative_to(home.root):
        own = path == home.config or (part == "engine" and path.is_relative_to(home.assets))
        return own and path.suffix in (".yaml", ".yml")
    return path.suffix in (".py", ".yaml") and not path.is_relative_to(_OTHER[part])


def supervise(
    spawn: Callable[[], subprocess.Popen[bytes]], changes: Iterable[Collection[object]]
) -> int:
    """Spawns a child, and another after every non-empty item of ``changes`` (empty: nothing changed).

    A child that ends well ends the whole; one that fails waits for the next change, as a line may be
    half typed. Returns the exit code; no child is left behind.
    """
    child = spawn()
    notified = False
    try:
        for changed in changes:
            code = child.poll()
            if changed:
                _stop(child)
                child, notified = spawn(), False
            elif code == 0:
                return 0
            elif code is not None and not notified:
                print(f"flower: ended with {code}; waiting for a change", file=sys.stderr)
                notified = True
    except KeyboardInterrupt:
        return 130
    finally:
        _stop(child)
    return child.returncode


def _stop(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(limits.HARD_EXIT_S + 1)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _leave(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)
