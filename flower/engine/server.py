"""Binding the socket and serving the application on hypercorn's trio worker."""

from __future__ import annotations

import logging
import os
import socket
import ssl
from pathlib import Path

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.config import Sockets
from hypercorn.trio.run import worker_serve
from msgspec import Struct
from quart import Quart

from flower import limits
from flower.engine import guard
from flower.errors import LaunchError

BACKLOG = 64
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Certificate(Struct, frozen=True):
    """The files of a TLS certificate and its key, in PEM."""

    certificate: Path
    key: Path


def bind_unix(path: Path) -> socket.socket:
    """Returns a listening Unix socket that only this user can reach; raises ``LaunchError``.

    A socket file that an engine left behind is replaced: the claim on the home says nobody uses it.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()
        before = os.umask(0o177)
        try:
            bound.bind(str(path))
        finally:
            os.umask(before)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise LaunchError(
            f"cannot listen on the socket {path} ({error.strerror or error}); set engine.socket to a short path"
            " in a folder of yours"
        ) from error
    return bound


def bind(host: str, port: int, *, tries: int = 1) -> socket.socket:
    """Returns a listening socket on ``port`` or one of the ``tries - 1`` ports above it.

    Raises ``LaunchError`` saying what is in the way.
    """
    for number in range(port, port + tries):
        try:
            return _bind_one(host, number)
        except OSError as error:
            last = error
    span = f"port {port} of {host}" if tries == 1 else f"ports {port} to {port + tries - 1} of {host}"
    raise LaunchError(
        f"cannot listen on {span} ({last.strerror}); stop what uses it or set engine.port in config.yaml"
    ) from last


def _bind_one(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Data a peer does not acknowledge for so long closes the link. Accepted sockets inherit
            # it. Without it one stalled client keeps hypercorn from stopping.
            timeout_ms = int(limits.PONG_DEADLINE_S * 1000)
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def url_of(bound: socket.socket, *, secure: bool = False) -> str:
    """Returns the address clients use: ``ws://``, ``wss://`` or ``unix:`` and a path."""
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what we were told to bind, not what we choose
        host = "127.0.0.1"
    scheme = "wss" if secure else "ws"
    return f"{scheme}://[{host}]:{port}/ws/rpc" if ":" in host else f"{scheme}://{host}:{port}/ws/rpc"


def check(certificate: Certificate) -> None:
    """Raises ``LaunchError`` if the files are no certificate and key that belong together."""
    try:
        _configuration(certificate).create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        what = error.strerror or str(error)
        raise LaunchError(
            f"cannot use engine.tls_certificate {certificate.certificate} with engine.tls_key"
            f" {certificate.key} ({what})"
        ) from error


def _configuration(certificate: Certificate | None = None) -> HypercornConfig:
    config = HypercornConfig()
    config.websocket_max_message_size = limits.FRAME_IN_BYTES
    config.websocket_ping_interval = limits.PING_INTERVAL_S
    config.read_timeout = int(limits.PONG_DEADLINE_S)
    config.keep_alive_timeout = limits.HEADERS_S
    config.ssl_handshake_timeout = limits.TLS_HANDSHAKE_S
    config.alpn_protocols = ["http/1.1"]
    if certificate is not None:
        config.certfile, config.keyfile = str(certificate.certificate), str(certificate.key)
    config.graceful_timeout = limits.GRACEFUL_S
    config.h11_max_incomplete_size = limits.HEADERS_BYTES
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("flower.engine.hypercorn")
    return config


async def serve(
    app: Quart,
    listening: socket.socket,
    stop: trio.Event,
    *,
    certificate: Certificate | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until ``stop`` is set and closes the socket; ``task_status`` tells when it serves.

    With a ``certificate`` it speaks TLS only.
    """
    guard.install()
    with listening:  # hypercorn leaves the sockets it makes itself to the garbage collector
        await worker_serve(
            ASGIWrapper(app),
            _configuration(certificate),
            sockets=Sockets(
                secure_sockets=[listening] if certificate is not None else [],
                insecure_sockets=[] if certificate is not None else [listening],
                quic_sockets=[],
            ),
            shutdown_trigger=stop.wait,
            task_status=task_status,
        )
