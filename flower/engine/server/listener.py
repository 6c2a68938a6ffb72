"""Binding the socket and serving the application on hypercorn's trio worker."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import trio

import flower.engine.server.without_http2  # isort: skip  # noqa: F401 - before hypercorn, whose imports it changes
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config as HypercornConfig
from hypercorn.config import Sockets
from hypercorn.trio.run import worker_serve
from msgspec import Struct
from quart import Quart

from flower import limits
from flower.engine.server import hypercorn_patches
from flower.engine.server.access import Access
from flower.errors import LaunchError, PlaceError
from flower.home import Home, make_token, read_token
from flower.installation import as_typed
from flower.protocol import PATH
from flower.settings.config import Config

log = logging.getLogger(__name__)

FRAME_IN_BYTES = 256 * limits.KIB  # a prompt with a pasted chapter fits; a flood does not
HEADERS_S = 5.0  # from connecting to a whole request: slow-loris ends here
TLS_HANDSHAKE_S = 10.0
GRACEFUL_S = 1.0  # hypercorn waits so long for connections that it has asked to close
PORT_TRIES = 10  # 8000 is a popular port; an engine started for a client may take the next free one

BACKLOG = 64


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
        _tune(bound)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _tune(bound: socket.socket) -> None:
    """Sets what accepted TCP sockets inherit."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Data a peer does not acknowledge for so long closes the link. Without it one stalled client
        # keeps hypercorn from stopping.
        timeout_ms = int(limits.PONG_DEADLINE_S * 1000)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def url_of(bound: socket.socket, *, secure: bool = False) -> str:
    """Returns the address clients use: ``ws://``, ``wss://`` or ``unix:`` and a path."""
    if bound.family == socket.AF_UNIX:
        return f"unix:{bound.getsockname()}"
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - what the settings name, not what we choose
        host = "127.0.0.1"
    scheme = "wss" if secure else "ws"
    named = f"[{host}]" if ":" in host else host
    return f"{scheme}://{named}:{port}{PATH}"


def check(certificate: Certificate) -> None:
    """Raises ``LaunchError`` if the files are no certificate and key that belong together."""
    try:
        _configuration(certificate).create_ssl_context()
    except (OSError, ssl.SSLError) as error:
        what = error.strerror or str(error)
        raise PlaceError(
            f"cannot use engine.tls_certificate {certificate.certificate} with engine.tls_key"
            f" {certificate.key} ({what})"
        ) from error


def _configuration(certificate: Certificate | None = None) -> HypercornConfig:
    config = HypercornConfig()
    config.websocket_max_message_size = FRAME_IN_BYTES
    config.websocket_ping_interval = limits.PING_INTERVAL_S
    config.read_timeout = int(limits.PONG_DEADLINE_S)
    config.keep_alive_timeout = HEADERS_S
    config.ssl_handshake_timeout = TLS_HANDSHAKE_S
    config.alpn_protocols = ["http/1.1"]
    if certificate is not None:
        config.certfile, config.keyfile = str(certificate.certificate), str(certificate.key)
    config.graceful_timeout = GRACEFUL_S
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
    connections: int = hypercorn_patches.CONNECTIONS_MAX,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves until ``stop`` is set and closes the socket; ``task_status`` tells when it serves.

    With a ``certificate`` it speaks TLS only. ``connections``: the most there may be at once, also of those who
    are no clients yet.
    """
    hypercorn_patches.install(connections)
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


# --- Where an engine listens and who may come in there, from the settings.
#
# The default is a port that only this machine reaches, where programs of the engine's own user come in as
# they are, and other users of the machine need the home's token. Whatever other machines can reach asks
# everybody for it. A Unix socket is guarded by the file system.


class Listener:
    """A bound socket, its certificate if it speaks TLS, and the rules at its door."""

    def __init__(
        self,
        bound: socket.socket,
        certificate: Certificate | None,
        access: Access,
        *,
        exposed: bool = False,
        unix_path: Path | None = None,
    ) -> None:
        self.bound = bound
        self._unix_path = unix_path
        self.certificate = certificate
        self.access = access
        self._exposed = exposed

    @property
    def url(self) -> str:
        """The address clients use."""
        return url_of(self.bound, secure=self.certificate is not None)

    def retoken(self, home: Home, config: Config) -> None:
        """Takes over a token that has changed; clients that came in with the old one leave.

        Raises ``ConfigError``.
        """
        self.access.trusts_own = _trusts_own(config, exposed=self._exposed)
        self.access.token = _token(home, config, exposed=self._exposed)

    def close(self) -> None:
        """Takes the file of a Unix socket away; the server has closed the socket itself."""
        if self._unix_path is not None:
            self._unix_path.unlink(missing_ok=True)


def open_place(
    home: Home, config: Config, *, host: str | None, port: int | None, managed: bool
) -> Listener:
    """Returns a listening place; ``host`` and ``port`` win over the settings.

    Raises ``LaunchError`` or ``ConfigError`` with a sentence.
    """
    if config.engine.socket and host is None and port is None:
        return _unix_place(home, config)
    certificate = _certificate(home, config)
    listen_on = host or config.engine.host
    exposed = not _is_loopback(listen_on)
    token = _token(home, config, exposed=exposed)
    names = None if exposed else frozenset(name.lower() for name in config.engine.names)
    bound = bind(
        listen_on,
        port if port is not None else config.engine.port,
        tries=PORT_TRIES if managed else 1,
    )
    if exposed:
        log.info(as_typed("others can reach this engine; `flower token` shows the token they need"))
        if certificate is None:
            log.warning(
                "without TLS everybody on the way can read stories and token;"
                " set engine.tls_certificate, or listen on 127.0.0.1 and use ssh -L"
            )
    access = Access(
        token,
        names,
        trusts_own=_trusts_own(config, exposed=exposed),
        proxies=config.engine.trusted_proxies,
    )
    return Listener(bound, certificate, access, exposed=exposed)


def inherited_place(home: Home, config: Config, sockets: Sequence[socket.socket]) -> Listener:
    """Returns the place that a supervisor listens at for this engine: its file stays when the engine goes.

    Where it is was decided by whoever wrote the socket unit, so ``engine.host``, ``port`` and ``socket`` do
    not count; who may come in follows the same rules as always. Raises ``LaunchError`` or ``ConfigError``.
    """
    if len(sockets) != 1:
        raise LaunchError(f"an engine listens on one socket; the unit hands over {len(sockets)}")
    (bound,) = sockets
    bound.setblocking(False)
    if bound.family == socket.AF_UNIX:
        return Listener(
            bound,
            None,
            Access(config.engine.token or None, None, proxies=config.engine.trusted_proxies),
        )
    _tune(bound)
    exposed = not _is_loopback(bound.getsockname()[0])
    names = None if exposed else frozenset(name.lower() for name in config.engine.names)
    token = _token(home, config, exposed=exposed)
    access = Access(
        token,
        names,
        trusts_own=_trusts_own(config, exposed=exposed),
        proxies=config.engine.trusted_proxies,
    )
    return Listener(bound, _certificate(home, config), access, exposed=exposed)


def _unix_place(home: Home, config: Config) -> Listener:
    path = Path(os.path.expanduser(config.engine.socket))
    path = path if path.is_absolute() else home.root / path
    token = config.engine.token or None  # the file system lets nobody else in
    return Listener(
        bind_unix(path),
        None,
        Access(token, None, proxies=config.engine.trusted_proxies),
        unix_path=path,
    )


def _token(home: Home, config: Config, *, exposed: bool) -> str | None:
    if config.engine.token:
        return config.engine.token
    if config.engine.trust_local_users and not exposed:
        return None
    return read_token(home) or make_token(home)


def _trusts_own(config: Config, *, exposed: bool) -> bool:
    """Whether programs of the engine's own user come in as they are.

    Not where others can reach the engine: a reverse proxy of the same user would let everybody in.
    """
    return not exposed and not config.engine.token


def _certificate(home: Home, config: Config) -> Certificate | None:
    files = config.engine.tls_certificate, config.engine.tls_key
    if not any(files):
        return None
    if not all(files):
        raise PlaceError("TLS needs both engine.tls_certificate and engine.tls_key; set the other one")
    certificate, key = (home.root / os.path.expanduser(name) for name in files)
    pair = Certificate(certificate, key)
    check(pair)
    return pair


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
