"""Who may come in: Host, Origin, user, token, and whom a proxy speaks for.

Pure: headers, the peer and time are arguments.

A local port is no wall: every web page the user visits can reach it, and every other user of the machine.
Only browsers send an Origin, and none has business here. A page that has pointed its own name at
127.0.0.1 (DNS rebinding) is known by the Host it asks for. Programs of the engine's own user come in as they
are, unless the settings name a token; whoever else asks needs the token, which is compared in constant time,
and wrong ones are slowed down, for each address by itself. A token of a user lets in as that user; whoever shows
one that is nobody's does not come in at all, wherever they ask from.

Anybody can send ``X-Forwarded-For`` or ``Forwarded`` (RFC 7239). They are believed of the proxies that the settings
name, and only as far as those wrote them: a proxy adds whom it saw at the end, so the last address that is no proxy of
ours is the client's.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from flower.engine.sessions.rights import GUEST, OWNER, STRANGER, TRUSTED
from flower.engine.store.users import User, parts

TOKEN_FREE_TRIES = 3  # wrong ones in a row before waiting begins: people mistype
TOKEN_WAIT_S = 0.5  # after that, doubled with every further one of that address
TOKEN_WAIT_MAX_S = 30.0
TOKEN_FORGET_S = 15 * 60.0  # after so long without a try an address starts afresh
TOKEN_ADDRESSES = 1024  # addresses remembered

UNIX = "unix"  # among the proxies: whoever comes through the engine's Unix socket
UNKNOWN = "unknown"  # somebody behind a proxy that does not say who
FORWARDED_CHARS = 4_096
FORWARDED_MOST = 32  # addresses looked at, from the end

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Headers = Callable[[str], Sequence[str]]
Header = Callable[[str], str | None]


class Refusal(Struct, frozen=True):
    """Why somebody may not come in: an HTTP status and a sentence."""

    status: int
    reason: str
    retry_after_s: int = 0


class Attempts:
    """Slows down whoever sends wrong tokens: the wait doubles with every one of them."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()  # address: tries, wait until

    def wait_s(self, address: str, now: float) -> float:
        """Returns how long ``address`` has to wait before its next try."""
        _, until = self._wrong.get(address, (0, 0.0))
        return max(0.0, until - now)

    def failed(self, address: str, now: float) -> None:
        tries, until = self._wrong.pop(address, (0, 0.0))
        if now - until > TOKEN_FORGET_S:
            tries = 0
        tries = min(tries + 1, 32)
        over = tries - TOKEN_FREE_TRIES
        wait = min(TOKEN_WAIT_S * 2 ** (over - 1), TOKEN_WAIT_MAX_S) if over > 0 else 0.0
        self._wrong[address] = (tries, now + wait)
        while len(self._wrong) > TOKEN_ADDRESSES:
            self._wrong.popitem(last=False)

    def passed(self, address: str) -> None:
        self._wrong.pop(address, None)


class Peer(Struct, frozen=True):
    """The other end of a connection: its address, and whether it is a program of the engine's own user."""

    address: str
    own: bool = False


class Access:
    """The rules of one engine. ``token`` may be changed while it runs; None: nobody is asked for one.

    ``names`` are the host names it answers to beside loopback ones; None: to any, because the socket
    cannot be reached through a browser or the token keeps strangers out. ``trusts_own``: programs of the
    engine's own user need no token. ``proxies`` are believed whom they speak for.
    """

    def __init__(
        self,
        token: str | None = None,
        names: frozenset[str] | None = frozenset(),
        *,
        trusts_own: bool = False,
        proxies: Sequence[str] = (),
    ) -> None:
        self._token = token
        self.on_new_token: Callable[[str | None], None] = lambda _: None
        self.trusts_own = trusts_own
        self.proxies = Proxies(proxies)
        self._names = names
        self._attempts = Attempts()

    @property
    def token(self) -> str | None:
        """The token in force. Setting another one revokes it, for those who are in as well."""
        return self._token

    @token.setter
    def token(self, token: str | None) -> None:
        self._token = token
        self.on_new_token(token)

    def needs_token(self, peer: Peer) -> bool:
        """Whether this peer comes in with a token only."""
        return self.token is not None and not (self.trusts_own and peer.own)

    def rights(self, peer: Peer, user: User | None = None) -> str:
        """Returns what somebody who has come in may change of the program itself."""
        if user is not None:
            return GUEST
        if peer.own:
            return OWNER
        return TRUSTED if self.needs_token(peer) else STRANGER

    def user_token(self, header: Header, peer: Peer, now: float) -> str:
        """Returns what may be a user's token, to be looked up; "" for none.

        Whoever is refused anyway, as a web page or while its address has to wait, costs no look at the database.
        """
        sent = _bearer(header("Authorization") or "")
        if parts(sent) is None or self._attempts.wait_s(peer.address, now):
            return ""
        if header("Origin") is not None or not self._is_our_name(header("Host") or ""):
            return ""
        return sent

    def mark(self, header: Header) -> str:
        """Returns the open part of the user's token that was shown."""
        token = parts(_bearer(header("Authorization") or ""))
        return token[0] if token is not None else ""

    def is_home_token(self, header: Header) -> bool:
        """Whether the home's own token was shown."""
        return self._is_token(header("Authorization") or "")

    def refusal(
        self, header: Header, peer: Peer, now: float, user: User | None = None
    ) -> Refusal | None:
        """Returns why an upgrade is refused, None if it may go on.

        ``header`` returns a header of the request by name; ``now`` is a monotonic time in seconds; ``user`` is
        whose token was shown.
        """
        address = peer.address
        if header("Origin") is not None:
            return Refusal(403, "Flower does not talk to web pages.")
        if not self._is_our_name(header("Host") or ""):
            return Refusal(
                421, "This engine does not go by that name; add it to engine.names in config.yaml."
            )
        sent = header("Authorization") or ""
        as_user = parts(_bearer(sent)) is not None and not self._is_token(sent)
        if not as_user and not self.needs_token(peer):
            return None
        wait = self._attempts.wait_s(address, now)
        if wait:
            whole = int(wait) + 1
            return Refusal(429, f"Too many wrong tokens; try again in {whole} s.", whole)
        if user is not None:  # no reason to forget what else was tried from there
            return None
        if not as_user and self._is_token(sent):
            self._attempts.passed(address)
            return None
        if sent:  # a client that knows of no token does not guess
            self._attempts.failed(address, now)
        return Refusal(401, "The token is missing or wrong; send it as Authorization: Bearer TOKEN.")

    def owner_refusal(
        self, header: Header, peer: Peer, now: float, user: User | None = None
    ) -> Refusal | None:
        """The same for what is the home owner's alone, whoever else may come in."""
        refused = self.refusal(header, peer, now, user)
        if refused is None and user is not None:
            return Refusal(403, "This is for whoever keeps this home.")
        return refused

    def private_refusal(
        self, header: Header, peer: Peer, now: float, user: User | None = None
    ) -> Refusal | None:
        """The same for pages about the engine itself: without a token they are for this machine alone."""
        refused = self.owner_refusal(header, peer, now, user)
        if refused is None and self.token is None and not is_local(peer.address):
            return Refusal(
                403, "This page is for the engine's own machine; set engine.token to see it."
            )
        return refused

    def _is_our_name(self, host: str) -> bool:
        if self._names is None:
            return True
        name = _without_port(host.strip().lower())
        return name == "localhost" or _is_loopback(name) or name in self._names

    def _is_token(self, authorization: str) -> bool:
        if self.token is None:
            return False
        sent = _bearer(authorization).encode("utf-8", "replace")
        return hmac.compare_digest(sent, self.token.encode())


def _bearer(authorization: str) -> str:
    """Returns the token of an Authorization header, "" for none."""
    scheme, _, sent = authorization.partition(" ")
    return sent.strip() if scheme.lower() == "bearer" else ""


def is_local(address: str) -> bool:
    """Whether a peer's address is on this machine; "" is a Unix socket's."""
    return not address or address == "<local>" or _is_loopback(address)


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    """Returns the name in ``name``, ``name:port``, ``[v6]`` or ``[v6]:port``."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


# --- Whom a reverse proxy speaks for.


class Proxies:
    """The proxies that are believed: addresses, networks such as ``10.0.0.0/8``, or ``unix``."""

    def __init__(self, trusted: Sequence[str] = ()) -> None:
        self._unix = UNIX in trusted
        self._networks = tuple(network_of(one) for one in trusted if one != UNIX)

    def __contains__(self, peer: str) -> bool:
        """Whether a peer's address, "" on a Unix socket, is a proxy's."""
        if not peer:
            return self._unix
        address = _address(peer)
        return address is not None and any(address in one for one in self._networks)

    def client_behind(self, peer: str, header: Headers) -> str | None:
        """Returns the address of who asks through a peer, ``UNKNOWN`` for one that is hidden.

        None when the peer is no proxy of ours or says nothing: then its own address counts. ``header`` returns all
        lines of a header of the request.
        """
        if peer not in self:
            return None
        listed, forwarded = header("X-Forwarded-For"), header("Forwarded")
        if not listed and not forwarded:
            return None
        if listed and forwarded:  # a proxy writes one of them, so the other is its client's invention
            return UNKNOWN
        client = UNKNOWN
        for name in _last_first(_named(listed) if listed else _for(forwarded)):
            address = _address(name)
            if address is None:
                return UNKNOWN
            client = str(address)
            if client not in self:
                break
        return client


def network_of(text: str) -> Network:
    """Returns an address or network as a network. Raises ``ValueError``."""
    return ipaddress.ip_network(text.strip(), strict=False)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Returns the address in ``1.2.3.4``, ``1.2.3.4:80``, ``::1`` or ``[::1]:80``, None if there is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _last_first(names: Iterator[str]) -> list[str]:
    return list(names)[::-1][:FORWARDED_MOST]


def _named(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield from (part.strip() for part in line[-FORWARDED_CHARS:].split(","))


def _for(lines: Sequence[str]) -> Iterator[str]:
    """Yields what ``for=`` says in each element, "" where it says nothing."""
    for line in lines:
        for element in line[-FORWARDED_CHARS:].split(","):
            pairs = (pair.partition("=") for pair in element.split(";"))
            values = [value.strip() for name, _, value in pairs if name.strip().lower() == "for"]
            yield values[0] if values else ""
