"""What the environment says about the way to a server: proxies and certificates.

Pure but for looking whether a certificate file can be read. httpx would read the same variables itself, but
fails on values that other programs bear, and then no model can be reached, whichever it is. Rules as curl has
them (its manual, "Environment"); beyond those, ranges of addresses in ``NO_PROXY``, as Go has them. Never
quotes a proxy's address, which may hold a password.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from flower.engine.provider.endpoint import is_loopback
from flower.errors import ProviderError

SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_for(url: str, environ: Mapping[str, str]) -> str:
    """Returns the address of the proxy for ``url``, "" for none.

    This machine is never reached through one. Raises ``ProviderError`` of kind ``network``, whose sentence
    names the variable, when the one in force cannot be used.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _excepted(
        host, parts.port or _port(parts.scheme), _value(environ, "no_proxy")[1]
    ):
        return ""
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        variable, value = _value(environ, name)
        if value:
            return _checked(variable, value)
    return ""


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Returns the variable in force, small letters first, and its value."""
    for variable in (name, name.upper()):
        if value := environ.get(variable, "").strip():
            return variable, value
    return name, ""


def _checked(variable: str, value: str) -> str:
    address = value if "://" in value else f"http://{value}"
    try:
        parts = urlsplit(address)
        usable = (
            bool(parts.hostname) and parts.port != 0 and address.isprintable() and " " not in address
        )
    except ValueError:
        usable = False
    if not usable:
        raise _unusable(
            variable, "is no address of a proxy; write for example http://proxy.example:3128"
        )
    scheme = parts.scheme.lower()
    if scheme not in SCHEMES:
        kinds = ", ".join(f"{scheme_name}://" for scheme_name in SCHEMES)
        raise _unusable(
            variable, f"begins with {scheme}://, which is no kind of proxy known here ({kinds})"
        )
    if scheme.startswith("socks") and find_spec("socksio") is None:
        raise _unusable(
            variable,
            "is a SOCKS proxy, for which a small package is missing; `./start.sh --setup socks` brings it",
        )
    return address


def _unusable(variable: str, reason: str) -> ProviderError:
    return ProviderError(
        "network",
        f"The environment variable {variable} {reason}. Change or unset it and start Flower again.",
    )


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _excepted(host: str, port: int, exceptions: str) -> bool:
    """Returns whether ``NO_PROXY`` names the host; what cannot be understood in it names nobody."""
    return any(_names(item, host.lower(), port) for item in exceptions.replace(",", " ").split())


def _names(item: str, host: str, port: int) -> bool:
    item = item.lower()
    if item == "*":
        return True
    address = _address(host)
    if "/" in item or _address(item.strip("[]")) is not None:
        try:
            network = ipaddress.ip_network(item.replace("[", "").replace("]", ""), strict=False)
        except ValueError:
            return False
        return address is not None and address.version == network.version and address in network
    name, colon, digits = item.rpartition(":")
    if colon and digits.isdecimal() and name:
        return int(digits) == port and _names(name, host, port)
    domain = item.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def certificates(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Returns the certificates that servers are checked against: those the environment names, else ours.

    Raises ``ProviderError`` of kind ``network``, whose sentence names the variable.
    """
    import certifi

    for variable, of_folder in (("SSL_CERT_FILE", False), ("SSL_CERT_DIR", True)):
        place = environ.get(variable, "").strip()
        if not place:
            continue
        try:
            if of_folder:
                os.listdir(place)
                return ssl.create_default_context(capath=place)
            return ssl.create_default_context(cafile=place)
        except (OSError, ValueError) as error:
            what = "folder" if of_folder else "file"
            reason = "holds no certificates" if isinstance(error, ssl.SSLError) else "cannot be read"
            raise _unusable(variable, f"names a {what} that {reason}") from error
    return ssl.create_default_context(cafile=certifi.where())
