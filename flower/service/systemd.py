"""What systemd and a process say to each other: readiness, watchdog, status, sockets, the journal.

Speaks the protocols of sd_notify(3), sd_listen_fds(3) and sd-daemon(3) without a library: datagrams on a
Unix socket, descriptors from 3 on, ``<3>`` before a line. Knows nothing of engines. Without systemd, or
when it does not answer, nothing here does anything: a story never waits for its supervisor.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from typing import NoReturn

import trio

from flower.errors import LaunchError

_FIRST_DESCRIPTOR = 3  # SD_LISTEN_FDS_START
_SOCKETS_MAX = 16
_STATUS_S = 60.0  # between looks at the status when nobody came or went
_STATUS_CHARS = 200


class Supervisor:
    """The one who started this process, as far as it has said so. A value but for what ``notify`` sends."""

    def __init__(
        self, address: str = "", watchdog_s: float = 0.0, sockets: tuple[socket.socket, ...] = ()
    ) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        self.sockets = sockets

    def notify(self, **fields: str) -> bool:
        """Sends ``NAME=value`` lines; returns whether they were taken. Never waits, never raises."""
        if not self._address:
            return False
        text = "\n".join(
            f"{name}={value[:_STATUS_CHARS].replace(chr(10), ' ')}" for name, value in fields.items()
        )
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), address)
        except OSError:
            return False
        return True

    async def report(
        self, status: Callable[[], str], wait_changed: Callable[[], Awaitable[None]]
    ) -> NoReturn:
        """Feeds the watchdog from the event loop, twice as often as it asks, and says a changed status.

        Without anybody who listens it sleeps for ever.
        """
        if not self._address:
            await trio.sleep_forever()
        sent = ""
        watched = min(_STATUS_S, self.watchdog_s / 2) if self.watchdog_s else _STATUS_S
        due = trio.current_time()
        while True:
            fields = {}
            if self.watchdog_s and trio.current_time() >= due:
                fields["WATCHDOG"] = "1"
                due = trio.current_time() + watched
            if (now := status()) != sent:
                fields["STATUS"] = sent = now
            if fields:
                self.notify(**fields)
            with trio.move_on_at(due if self.watchdog_s else trio.current_time() + watched):
                await wait_changed()


def take(environ: MutableMapping[str, str], pid: int) -> Supervisor:
    """Returns what the supervisor of process ``pid`` offers, and takes it out of ``environ``.

    Children must not inherit it: they would speak in the engine's name. Raises ``LaunchError`` for
    sockets that cannot be served.
    """
    address = environ.pop("NOTIFY_SOCKET", "")
    watchdog = _own_number(environ, "WATCHDOG_USEC", "WATCHDOG_PID", pid)
    count = _own_number(environ, "LISTEN_FDS", "LISTEN_PID", pid)
    environ.pop("LISTEN_FDNAMES", None)
    return Supervisor(
        address if address.startswith(("/", "@")) else "", watchdog / 1e6, _inherited(count)
    )


def _own_number(environ: MutableMapping[str, str], name: str, owner: str, pid: int) -> int:
    """Returns the number in ``name`` if it is meant for ``pid``, else 0."""
    text, meant_for = environ.pop(name, ""), environ.pop(owner, str(pid))
    return int(text) if meant_for == str(pid) and text.isascii() and text.isdecimal() else 0


def _inherited(count: int) -> tuple[socket.socket, ...]:
    if count > _SOCKETS_MAX:
        raise LaunchError(f"systemd handed over {count} sockets; the unit may name {_SOCKETS_MAX}")
    with ExitStack() as stack:
        sockets = []
        for descriptor in range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + count):
            try:
                os.set_inheritable(descriptor, False)
                one = stack.enter_context(socket.socket(fileno=descriptor))
                listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            except OSError as error:
                raise LaunchError(
                    f"systemd handed over something that is no socket ({error.strerror})"
                ) from error
            if one.type != socket.SOCK_STREAM or not listens:
                raise LaunchError(
                    "systemd handed over a socket that does not listen; use ListenStream="
                )
            sockets.append(one)
        stack.pop_all()  # they live on
    return tuple(sockets)


# --- The journal.


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Whether what is written to ``descriptor`` goes straight into the journal.

    ``JOURNAL_STREAM`` has device and inode of the stream; a redirected one has others.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    if not (device and inode):
        return False
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def prioritized(text: str, priority: int) -> str:
    """Returns ``text`` with ``<priority>`` before every line: the journal takes each for an entry. Pure."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
