"""What the engine says to systemd: to a socket of the test's own, with a real engine at the other end."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from flower import launch, machine
from flower.engine.logs import RedactingFormatter
from flower.engine.main import SMALL_UNLOAD_S, unload_after_s
from flower.errors import LaunchError
from flower.home import Home
from flower.service import systemd
from flower.service.systemd import Supervisor
from flower.settings.config import Config, EmbeddingConfig
from tests.engine_process import CONFIG, REPOSITORY


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """A supervisor's notify socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        yield listening


def supervisor(heard: socket.socket, **environ: str) -> Supervisor:
    return systemd.take({"NOTIFY_SOCKET": heard.getsockname(), **environ}, pid=7)


def waiting(heard: socket.socket) -> list[str]:
    """Returns what has been said and not been read."""
    said = []
    heard.setblocking(False)
    try:
        while True:
            said.append(heard.recv(4096).decode())
    except BlockingIOError:
        return said


def test_what_is_taken_is_not_inherited_by_children(heard: socket.socket) -> None:
    environ = {
        "NOTIFY_SOCKET": heard.getsockname(), "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7",
        "LISTEN_FDS": "0", "LISTEN_PID": "7", "LISTEN_FDNAMES": "", "PATH": "/bin",
    }  # fmt: skip
    taken = systemd.take(environ, pid=7)
    assert environ == {"PATH": "/bin"}
    assert taken.watchdog_s == 60.0
    assert taken.notify(READY="1", STATUS="two\nlines")
    assert waiting(heard) == ["READY=1\nSTATUS=two lines"]


def test_what_is_meant_for_another_process_is_left_alone() -> None:
    taken = systemd.take(
        {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "8", "LISTEN_FDS": "3", "LISTEN_PID": "8"}, 7
    )
    assert (taken.watchdog_s, taken.sockets) == (0.0, ())


@pytest.mark.parametrize("address", ["", "relative", "/no/such/socket", "@nobody-listens-here"])
def test_nobody_who_listens_disturbs_nothing(address: str) -> None:
    assert not systemd.take({"NOTIFY_SOCKET": address}, 7).notify(READY="1")


def test_what_does_not_listen_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LaunchError, match="17 sockets"):
        systemd.take({"LISTEN_FDS": "17"}, 7)
    with socket.socket() as idle:
        monkeypatch.setattr(systemd, "_FIRST_DESCRIPTOR", os.dup(idle.fileno()))
        with pytest.raises(LaunchError, match="ListenStream"):
            systemd.take({"LISTEN_FDS": "1"}, 7)


async def test_the_event_loop_feeds_the_watchdog(
    heard: socket.socket, autojump_clock: MockClock
) -> None:
    """A heartbeat every half of the time allowed, the status only when it is another."""
    told = supervisor(heard, WATCHDOG_USEC="60000000")
    status, changed = ["0 clients"], trio.Event()
    with trio.move_on_after(95):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(told.report, lambda: status[0], changed.wait)
            await trio.sleep(45)
            status[0] = "1 client"
            await trio.sleep(46)
            nursery.cancel_scope.cancel()
    assert waiting(heard) == [
        "WATCHDOG=1\nSTATUS=0 clients",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=1 client",
        "WATCHDOG=1",
    ]


async def test_a_status_is_told_when_somebody_comes(
    heard: socket.socket, autojump_clock: MockClock
) -> None:
    told = supervisor(heard)
    status, changed = ["0 clients"], trio.Event()

    async def wait_changed() -> None:
        nonlocal changed
        await changed.wait()
        changed = trio.Event()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.report, lambda: status[0], wait_changed)
        await trio.sleep(1)
        assert waiting(heard) == ["STATUS=0 clients"]
        status[0] = "1 client"
        changed.set()
        await trio.sleep(1)
        assert waiting(heard) == ["STATUS=1 client"]
        nursery.cancel_scope.cancel()


async def test_an_engine_of_a_socket_unit_starts_with_its_client_and_tells_how_it_is(
    home: Home, heard: socket.socket
) -> None:
    """The socket is there before the engine: whoever connects first waits in its queue and is served."""
    home.config.write_text(CONFIG + "engine: {linger_s: 1}\n")
    door = launch.service_socket(home)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        listening.listen()
        assert launch.Launcher(home, spawn=_must_not_start).url() == f"unix:{door}"
        command = [
            sys.executable,
            "-P",
            "-m",
            "flower",
            "--home",
            str(home.root),
            "engine",
            "--managed",
        ]
        environ = {
            **os.environ, "PYTHONPATH": str(REPOSITORY), "NOTIFY_SOCKET": heard.getsockname(),
            "LISTEN_FDS": "1", "WATCHDOG_USEC": "600000000",
        }  # fmt: skip
        async with trio.open_nursery() as nursery:
            ended = trio.Event()

            async def engine() -> None:
                await trio.run_process(
                    [sys.executable, "-c", _AS_SYSTEMD, str(listening.fileno()), *command], env=environ,
                    pass_fds=[listening.fileno()], capture_stderr=True,
                )  # fmt: skip
                ended.set()

            nursery.start_soon(engine)
            assert await _answer(door) == 200
            said = await trio.to_thread.run_sync(heard.recv, 4096)
            assert said.decode().startswith("READY=1\nSTATUS=0 stories open, 0 clients")
            await ended.wait()
    assert waiting(heard)[-1].startswith("STOPPING=1")
    assert door.is_socket(), "it is the supervisor's, for the next client"
    assert launch.offered(home) is None, "nobody listens there any more"


_AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def _must_not_start(home: Home) -> int:
    raise AssertionError("a service has the home")


async def _answer(path: Path) -> int:
    """Returns the status of ``/healthz``."""
    stream = await trio.open_unix_socket(path)
    async with stream:
        await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return int((await stream.receive_some(4096)).split()[1])


def test_wrong_settings_of_a_service_are_told_to_who_asks_again(home: Home) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(launch.service_socket(home)))
        listening.listen()
        launcher = launch.Launcher(home, spawn=_must_not_start)
        home.config.write_text("engine: {prt: 1}")
        assert launcher.url().startswith("unix:/")
        with pytest.raises(LaunchError, match="unknown key 'prt'"):
            launcher.url()


def test_the_journal_gets_priorities_and_no_second_time_stamp(tmp_path: Path) -> None:
    record = logging.LogRecord("flower.engine", logging.ERROR, "", 1, "first", None, None)
    record.exc_text = "second key=secret-key"
    lines = RedactingFormatter(["secret-key"], journal=True).format(record)
    assert lines == "<3>flower.engine first\n<3>second key=••••"
    record.levelno = logging.INFO
    assert RedactingFormatter([], journal=True).format(record).startswith("<6>")
    with (tmp_path / "stream").open("w") as stream:
        status = os.fstat(stream.fileno())
        known = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert systemd.is_journal(stream.fileno(), known)
        assert not systemd.is_journal(0, known)
        assert not systemd.is_journal(stream.fileno(), {})


@pytest.mark.parametrize(
    ("setting", "total_mib", "expected"),
    [
        (None, 430, SMALL_UNLOAD_S),
        (None, 920, SMALL_UNLOAD_S),
        (None, 1850, None),
        (None, None, None),
        (0.0, 430, None),
        (60.0, 8000, 60.0),
    ],
)
def test_the_embedding_model_leaves_small_machines(
    setting: float | None, total_mib: int | None, expected: float | None
) -> None:
    config = Config(embedding=EmbeddingConfig(unload_after_s=setting))
    assert unload_after_s(config, total_mib) == expected
    assert machine.total_mib() is not None
