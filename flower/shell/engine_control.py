"""``flower status`` and ``flower stop``: the engine of a home, seen and ended from outside.

Owns what is said of an engine and the exit codes: 0 it runs (or was stopped), 3 none runs, as service managers
have it (LSB "program is not running"), 1 it does not answer or does not stop. Asks the engine's own page
``/status``; never touches a story.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flower import limits, machine
from flower.errors import ConfigError, FlowerError, LaunchError, printable_line
from flower.home import Home, load_config, own_token
from flower.installation import as_typed
from flower.launch import find, is_held, running_process
from flower.protocol import STATUS_PATH
from flower.text import counted

NOT_RUNNING = 3
ANSWER_S = 5.0  # an engine that is asked about itself answers at once
DRAIN_S = 615.0  # replies may take ten minutes, see ``Drain``
STOP_S = limits.HARD_EXIT_S + 5.0  # after the last resort of an engine that hangs
ANSWER_BYTES = 64 * limits.KIB


def status(home: Home, environ: Mapping[str, str]) -> int:
    """Prints what there is to know of the home's engine; returns the exit code."""
    print(f"Home:    {printable_line(home.root)}")
    pid, url = running_process(home), find(home)
    if pid is None or url is None:
        print(
            as_typed(
                "Engine:  starting" if is_held(home) else "Engine:  not running; `flower` starts it"
            )
        )
        return NOT_RUNNING
    print(f"Engine:  runs, process {pid}")
    print(f"Address: {printable_line(url)}")
    try:
        answer = ask(home, url, environ)
    except FlowerError as error:
        print(f"         {printable_line(error)}")
        return 1
    for row in rows(answer, time.time()):
        print(printable_line(row))
    return 0


def rows(answer: Mapping[str, Any], now: float) -> list[str]:
    """Returns what an engine says of itself, as lines; ``now`` is Unix time in seconds."""
    minutes = max(0, int((now - float(answer.get("started", now))) // 60))
    since = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    running = int(answer.get("turns", 0))
    writing = f", {counted(running, 'reply', 'replies')} being written" if running else ""
    used = f"{int(answer.get('memory_bytes', 0)) // limits.MIB} MiB"
    total = machine.total_mib()
    return [
        f"Version: {answer.get('version', 'unknown')}, up for {since}",
        f"Clients: {answer.get('clients', 0)}",
        f"Stories: {counted(int(answer.get('stories', 0)), 'story', 'stories')} open{writing}",
        f"Model:   {answer.get('model', 'unknown')}",
        f"Memory:  {used}" + (f" of {total} MiB" if total else ""),
    ]


def ask(home: Home, url: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Returns what the engine at ``url`` says of itself. Raises ``LaunchError``."""
    token = own_token(home, environ)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection = _connection(home, url, environ)
    try:
        connection.request("GET", STATUS_PATH, headers=headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise LaunchError(f"it does not answer ({error or type(error).__name__})") from error
    finally:
        connection.close()
    if answer.status == http.client.NOT_FOUND:
        raise LaunchError("it is an older Flower that tells nothing of itself")
    if answer.status != http.client.OK:
        raise LaunchError(f"it answers only: {body.decode(errors='replace').strip()[:200]}")
    try:
        answer = json.loads(body)
    except ValueError as error:
        raise LaunchError("it is an older Flower that tells nothing of itself") from error
    return answer if isinstance(answer, dict) else {}


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(self._path)


def _connection(home: Home, url: str, environ: Mapping[str, str]) -> http.client.HTTPConnection:
    if url.startswith("unix:"):
        return _UnixConnection(url.removeprefix("unix:"))
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port
    if parts.scheme != "wss":
        return http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        certificate = load_config(home, environ).engine.tls_certificate
        context = ssl.create_default_context(
            cafile=str(home.root / os.path.expanduser(certificate)) if certificate else None
        )
    except (ConfigError, OSError) as error:
        raise LaunchError(f"its certificate cannot be read ({error})") from error
    context.check_hostname = False  # its own certificate, asked at an address of this machine
    return http.client.HTTPSConnection(host, port, timeout=ANSWER_S, context=context)


def stop(home: Home, *, drain: bool = False) -> int:
    """Ends the home's engine in good order; returns the exit code. Raises ``LaunchError`` if it goes on.

    ``drain``: its replies end first, however long they take, and other engines get its stories and clients.
    """
    pid = running_process(home)
    if pid is None:
        print(f"No engine runs on {printable_line(home.root)}.")
        return NOT_RUNNING if not is_held(home) else 1
    try:
        os.kill(pid, signal.SIGUSR1 if drain else signal.SIGTERM)
    except ProcessLookupError:
        pass  # it went by itself at this moment
    except PermissionError as error:
        raise LaunchError(f"the engine (process {pid}) belongs to another user") from error
    wait_s = STOP_S + (DRAIN_S if drain else 0.0)
    deadline = time.monotonic() + wait_s
    while is_held(home):
        if time.monotonic() > deadline:
            raise LaunchError(f"the engine (process {pid}) has not stopped after {wait_s:.0f} s")
        time.sleep(limits.LAUNCH_POLL_S)
    print(
        f"The engine of {printable_line(home.root)} (process {pid}) has stopped; every story is saved."
    )
    return 0
