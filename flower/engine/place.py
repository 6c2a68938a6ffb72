"""Where an engine listens and who may come in there, from the settings.

The default is a port that only this machine reaches, without a token. Whatever others can reach asks
for one, which is made when it is first needed. A Unix socket is guarded by the file system.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from pathlib import Path

from flower import limits, tokens
from flower.config import Config
from flower.engine import server
from flower.engine.access import Access
from flower.engine.server import Certificate
from flower.errors import LaunchError
from flower.home import Home

log = logging.getLogger(__name__)


class Place:
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
        return server.url_of(self.bound, secure=self.certificate is not None)

    def retoken(self, home: Home, config: Config) -> None:
        """Takes over a token that has changed; clients that are in stay in. Raises ``ConfigError``."""
        self.access.token = _token(home, config, exposed=self._exposed)

    def close(self) -> None:
        """Takes the file of a Unix socket away; the server has closed the socket itself."""
        if self._unix_path is not None:
            self._unix_path.unlink(missing_ok=True)


def open_place(
    home: Home, config: Config, *, host: str | None, port: int | None, managed: bool
) -> Place:
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
    bound = server.bind(
        listen_on,
        port if port is not None else config.engine.port,
        tries=limits.PORT_TRIES if managed else 1,
    )
    if exposed:
        log.info("others can reach this engine; `flower token` shows the token they need")
        if certificate is None:
            log.warning(
                "without TLS everybody on the way can read stories and token;"
                " set engine.tls_certificate, or listen on 127.0.0.1 and use ssh -L"
            )
    return Place(bound, certificate, Access(token, names), exposed=exposed)


def _unix_place(home: Home, config: Config) -> Place:
    path = Path(os.path.expanduser(config.engine.socket))
    path = path if path.is_absolute() else home.root / path
    token = _token(home, config, exposed=False)
    return Place(server.bind_unix(path), None, Access(token, None), unix_path=path)


def _token(home: Home, config: Config, *, exposed: bool) -> str | None:
    if config.engine.token:
        return config.engine.token
    return (tokens.read(home) or tokens.make(home)) if exposed else None


def _certificate(home: Home, config: Config) -> Certificate | None:
    files = config.engine.tls_certificate, config.engine.tls_key
    if not any(files):
        return None
    if not all(files):
        raise LaunchError("TLS needs both engine.tls_certificate and engine.tls_key; set the other one")
    certificate, key = (home.root / os.path.expanduser(name) for name in files)
    found = Certificate(certificate, key)
    server.check(found)
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
