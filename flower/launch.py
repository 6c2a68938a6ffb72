"""One engine per home: claim it, find it, start it, start it again.

Owns ``run/engine.lock`` (held as long as an engine lives, so it is never stale) and
``run/engine.json`` (its address). The client calls ``Launcher.url`` before its first frame may be
complete, so nothing here waits, and nothing heavy is imported (subprocess costs 9 ms).
It never talks to the engine.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from flower import file_io, limits
from flower.errors import ConfigError, EngineStarting, LaunchError
from flower.file_io import write_whole
from flower.home import Home, load_config
from flower.installation import own_command

CLAIM_WAIT_S = 0.5  # a client that looks whether an engine runs holds the lock for an instant
QUICK_DEATH_S = 20.0  # an engine that lived shorter than this died of its start
QUICK_DEATHS = 3  # then something must be repaired: restart rarely and say what is wrong
RESTART_DELAY_S = 3.0  # between the starts of an engine that died
RESTART_DELAY_LONG_S = 30.0  # after QUICK_DEATHS: cheap, and a repair is still noticed
LOG_TAIL_BYTES = 16 * limits.KIB  # where the last error line is looked for
ERROR_LINE_CHARS = 240  # of a log line quoted on a screen

_PRIVATE_FILE = 0o600


class Claim:
    """The right to be this home's engine, held inside a ``with`` block or until the process ends."""

    __slots__ = ("_descriptor", "home")

    def __init__(self, home: Home, descriptor: int) -> None:
        self.home = home
        self._descriptor = descriptor

    def __enter__(self) -> Claim:
        return self

    def __exit__(self, *_: object) -> None:
        """Takes the announced address back and lets the home go."""
        _address_file(self.home).unlink(missing_ok=True)
        os.close(self._descriptor)


def claim(home: Home, *, wait_s: float = CLAIM_WAIT_S) -> Claim:
    """Returns the claim on ``home`` for one engine; use it as a context manager.

    Raises ``LaunchError`` naming the other engine's process and address if there is one.
    """
    descriptor = _open_lock(home)
    try:
        _lock_within(wait_s, descriptor, home)
        _address_file(home).unlink(missing_ok=True)  # of an engine that was killed
    except OSError as error:
        os.close(descriptor)
        raise _unusable(home, error) from error
    except BaseException:
        os.close(descriptor)
        raise
    return Claim(home, descriptor)


def announce(held: Claim, url: str) -> None:
    """Tells clients of this home where the engine listens; call it when the socket is bound.

    Raises ``LaunchError``: an engine that nobody finds is of no use.
    """
    target = _address_file(held.home)
    import json

    try:  # a reader sees the whole address or none; it need not survive a power cut
        write_whole(target, [json.dumps({"pid": os.getpid(), "url": url}).encode()], durable=False)
    except OSError as error:
        raise _unusable(held.home, error) from error


def find(home: Home) -> str | None:
    """Returns the address of the engine that runs on this home, None if none is ready."""
    return _address(home)[1] if _held(home) else None


def service_socket(home: Home) -> Path:
    """Returns where a service of this user's waits for clients of ``home``, if there is one."""
    return home.run / "service.socket"


def offered(home: Home) -> str | None:
    """Returns the address at which a supervisor starts this home's engine for whoever comes, else None.

    Asking is coming: the engine starts. A socket that nobody listens at any more is none.
    """
    path = service_socket(home)
    if not path.is_socket():
        return None
    import socket  # 4 ms that homes without a service do without

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knocking:
        knocking.setblocking(False)
        try:
            knocking.connect(str(path))
        except BlockingIOError:
            return f"unix:{path}"  # so many wait there already
        except OSError:
            return None
    return f"unix:{path}"


def is_held(home: Home) -> bool:
    """Whether an engine has this home, be it ready or on its way up or down."""
    return _held(home)


def running_process(home: Home) -> int | None:
    """Returns the process id of the engine that runs on this home, None if none is ready."""
    return _address(home)[0] if _held(home) else None


def start(home: Home) -> int:
    """Starts an engine that outlives this process and its terminal; returns its process id.

    What the engine prints goes to ``logs/engine.log``. Raises ``LaunchError``.
    """
    log = home.logs / "engine.log"
    command, environ = own_command("--home", str(home.root), "engine", "--managed")
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        _rotate(log)
        return os.posix_spawn(
            command[0],
            command,
            environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), append, _PRIVATE_FILE),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigmask=(),  # a client blocks signals for itself while it starts
            setsid=True,  # a terminal that goes away must not take the engine with it
        )
    except OSError as error:
        raise LaunchError(f"cannot start the engine ({error.strerror or error})") from error


class Launcher:
    """Gives a client the address of its home's engine, starting one when there is none.

    An engine that dies is started again, at most every ``RESTART_DELAY_S``; after ``QUICK_DEATHS``
    deaths shortly after the start only every ``RESTART_DELAY_LONG_S``, because then something must be
    repaired first.
    """

    def __init__(
        self,
        home: Home,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Home], int] = start,
    ) -> None:
        self._home = home
        self._clock = clock
        self._spawn = spawn
        self._pid: int | None = None  # of the engine we started, until it is reaped
        self._started_at = -RESTART_DELAY_LONG_S
        self._log_offset = 0
        self._quick_deaths = 0
        self._asked_service = False

    def prepare(self) -> None:
        """Starts a missing engine ahead of the first ``url``; troubles wait until that asks."""
        try:
            self.url()
        except LaunchError:
            return

    def url(self) -> str:
        """Returns the engine's address. Never waits.

        Raises ``EngineStarting`` while an engine is on its way, ``LaunchError`` with a sentence for the
        user if it keeps dying. Both times it is right to ask again later.
        """
        held = _held(self._home)
        url = _address(self._home)[1] if held else None
        running = self._reap(joined=url is not None)
        if url is not None:
            self._quick_deaths = 0
            self._asked_service = False
            return url
        if held or running:
            self._check_patience()
            raise EngineStarting("the engine is starting")
        return self._ask_service() or self._start_again()

    def _ask_service(self) -> str | None:
        """Returns the address of a service that starts the engine, None if there is none.

        Asked again, it had no engine to show for it: wrong settings are reported here, else only the journal
        would have them.
        """
        url = offered(self._home)
        if url is not None and self._asked_service:
            try:
                load_config(self._home, os.environ)
            except ConfigError as error:
                raise LaunchError(f"the engine stopped: {error}") from error
        self._asked_service = url is not None
        return url

    def _reap(self, *, joined: bool) -> bool:
        """Returns whether the engine we started lives; reaps it and notes the death if not."""
        if self._pid is None:
            return False
        try:
            pid, _ = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            pid = self._pid
        if pid == 0:
            return True
        self._pid = None
        quick = self._clock() - self._started_at < QUICK_DEATH_S
        if quick and not joined:  # joined: two clients started one each and the other's came first
            self._quick_deaths += 1
        return False

    def _check_patience(self) -> None:
        if self._pid is not None and self._clock() - self._started_at > limits.ENGINE_START_S:
            raise LaunchError(
                f"the engine is not ready after {limits.ENGINE_START_S:.0f} s; see {self._log}"
            )

    def _start_again(self) -> str:
        delay = RESTART_DELAY_S
        if self._quick_deaths >= QUICK_DEATHS:
            delay = RESTART_DELAY_LONG_S
        left = self._started_at + delay - self._clock()
        if left > 0:
            last = last_error(self._log, self._log_offset)
            cause = f": {last}" if last else f"; see {self._log}"
            raise LaunchError(f"the engine stopped{cause} (next try in {left:.0f} s)")
        _rotate(self._log)
        self._log_offset = _size(self._log)
        self._pid = self._spawn(self._home)
        self._started_at = self._clock()
        raise EngineStarting("the engine is starting")

    @property
    def _log(self) -> Path:
        return self._home.logs / "engine.log"


def last_error(log: Path, offset: int = 0) -> str:
    """Returns the last line of ``log`` after ``offset`` bytes that says what went wrong, or "".

    An error that Flower raised on purpose begins with ``flower:``; of a traceback the last line tells.
    """
    try:
        with file_io.opened(log) as file:
            file.seek(max(offset, _size(log) - LOG_TAIL_BYTES))
            tail = file.read(LOG_TAIL_BYTES).decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    ours = [line.removeprefix("flower: ") for line in lines if line.startswith("flower: ")]
    chosen = (ours or lines or [""])[-1]
    return "".join(char for char in chosen if char.isprintable())[:ERROR_LINE_CHARS]


def _address_file(home: Home) -> Path:
    return home.run / "engine.json"


def _unusable(home: Home, error: OSError) -> LaunchError:
    what = error.strerror or error
    return LaunchError(
        f"cannot use {_address_file(home)} ({what}); make room or delete what is in the way there"
    )


def _address(home: Home) -> tuple[int | None, str | None]:
    """Returns process id and address as announced; (None, None) if nothing usable is there."""
    import json  # 2 ms that a first frame without an engine can do without

    try:
        announced = json.loads(file_io.read(_address_file(home), LOG_TAIL_BYTES))
        return int(announced["pid"]), str(announced["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _taken(home: Home) -> str:
    pid, url = _address(home)
    where = f" (process {pid}, {url})" if url else ""
    return f"an engine already runs on {home.root}{where}; join it with `flower`, or stop it first"


def _open_lock(home: Home) -> int:
    try:
        return os.open(home.run / "engine.lock", os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
    except OSError as error:
        raise LaunchError(f"cannot use {home.run} ({error.strerror or error})") from error


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LaunchError(f"this file system cannot lock files ({error.strerror or error})") from error
    return True


def _lock_within(wait_s: float, descriptor: int, home: Home) -> None:
    """Waits a little, because a client that looks whether an engine runs holds the lock for an instant."""
    deadline = time.monotonic() + wait_s
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            raise LaunchError(_taken(home))
        time.sleep(limits.LAUNCH_POLL_S)


def _held(home: Home) -> bool:
    descriptor = _open_lock(home)
    try:
        return not _try_lock(descriptor, fcntl.LOCK_SH)  # shared: clients do not disturb each other
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _rotate(log: Path) -> None:
    if _size(log) > limits.ENGINE_LOG_BYTES:
        log.replace(log.with_name("engine.log.1"))
