"""Who asks to come in, and who is inside: the address, the user whose token was shown, how many clients each has.

Wrong tokens are in the log of logins. Whose program is at the other end of a loopback connection is looked up, because
loopback belongs to everybody who has an account here: Linux names the owner of every TCP socket in
``/proc/self/net/tcp`` and ``tcp6`` (proc_pid_net(5)), and the client's socket is the one whose local end is our remote
end. Elsewhere users cannot be distinguished, and a token has to do. The rules are ``access``'s; what those who are in
do is ``connection``'s.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import trio
from quart.wrappers import Request, Websocket

from flower import limits
from flower.engine.server.access import Access, Header, Peer, Refusal, is_local
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Visitor
from flower.engine.sessions.session import HOME_OWNER
from flower.engine.store import audit, users
from flower.engine.store.users import User
from flower.errors import CommandError, ElsewhereError, StoreError

log = logging.getLogger(__name__)

End = tuple[str, int]  # address and port
TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
ROWS_MOST = 65_536  # a machine with more sockets than ports on loopback is not one to search
REFUSALS_NOTED_S = 1.0  # between two refusals in the audit log: who guesses is not to fill it


class Door:
    """Who asks: the address, and the user whose token was shown. Wrong ones are in the log of logins."""

    def __init__(self, engine: Engine, rules: Access) -> None:
        self._engine = engine
        self._rules = rules
        self._noted = -REFUSALS_NOTED_S
        self._inside: Counter[int] = Counter()  # by user

    @contextmanager
    def inside(self, user: User | None) -> Iterator[None]:
        """Counts a client of a user while the block runs, also while its frames are passed on."""
        number = user.id if user is not None else users.HOME
        self._inside[number] += 1
        try:
            yield
        finally:
            self._inside[number] -= 1
            if not self._inside[number]:
                del self._inside[number]

    def is_crowded_by(self, user: User) -> bool:
        """Whether a user has so many clients here that there is no room for another."""
        return self._inside[user.id] >= limits.USER_CLIENTS

    async def asks(self, request: Request | Websocket) -> tuple[Peer, User | None]:
        """Returns the peer and its user; without a user's token the database is not asked.

        Raises ``ElsewhereError`` for a guest who connects while another engine plays their table.
        """
        peer = await self._peer(request)
        text = self._rules.user_token(request.headers.get, peer, trio.current_time())
        if not text:
            return peer, None
        database, now = self._engine.services.database, self._engine.now()
        user = await database.read(users.by_token, text, now)
        if user is None:
            try:
                user = await self._guest(text)
            except ElsewhereError:
                if isinstance(request, Websocket):
                    raise
                return peer, None  # for a page nobody is sent elsewhere
        strange = user is None and not self._rules.is_home_token(request.headers.get)
        if strange and trio.current_time() - self._noted >= REFUSALS_NOTED_S:
            self._noted = trio.current_time()
            await self._note(users.HOME, "refused", f"a token from {peer.address or 'this machine'}")
        return peer, user

    async def _peer(self, request: Request | Websocket) -> Peer:
        """Returns who asks; whoever comes through a proxy is no program of ours, wherever that runs."""
        client = request.scope.get("client")
        near = str(client[0]) if client and client[0] else ""
        behind = self._rules.proxies.client_behind(near, request.headers.getlist)
        return Peer(behind) if behind is not None else await _peer(request.scope)

    async def _guest(self, text: str) -> User | None:
        """Returns who comes in with the code of a table instead of a token."""
        try:
            return await self._engine.tables.seat_guest(text)
        except CommandError as full:
            log.info("a guest found no seat: %s", full)
            return None

    async def _note(self, user: int, event: str, about: str) -> None:
        try:
            await self._engine.services.database.write(
                audit.note, user, event, about, self._engine.now()
            )
        except StoreError as error:  # a full disk keeps nobody out
            log.warning("not in the audit log: %s", error)

    async def private_refusal(self, request: Request) -> Refusal | None:
        """Returns why a page about the engine is not shown, None if it is."""
        peer, user = await self.asks(request)
        return self._rules.private_refusal(request.headers.get, peer, trio.current_time(), user)

    async def visitor(
        self, header: Header, peer: Peer, user: User | None, expel: Callable[[], None]
    ) -> Visitor:
        """Returns who a client is that has come in; a user's login is noted."""
        if user is None:
            return HOME_OWNER
        await self._note(user.id, "login", f"{user.name} from {peer.address or 'this machine'}")
        return Visitor(user.id, user.name, self._rules.mark(header), expel)


async def _peer(scope: Mapping[str, Any]) -> Peer:
    """Returns who asks; on a Unix socket the address is "", and the file system has let in its own user only."""
    client, server = scope.get("client"), scope.get("server")
    if not client or not client[0]:
        return Peer("", own=True)
    address = str(client[0])
    if not is_local(address) or not server:
        return Peer(address)
    return Peer(address, await trio.to_thread.run_sync(is_own, tuple(client[:2]), tuple(server[:2])))


class TokenHolders:
    """The clients that came in with a token, each in a cancel scope: they leave when it is revoked."""

    def __init__(self) -> None:
        self._inside: dict[trio.CancelScope, str] = {}

    @contextmanager
    def admitted(self, token: str | None) -> Iterator[trio.CancelScope]:
        """Runs a block until ``token`` is revoked; None: came in without one, and stays."""
        with trio.CancelScope() as scope:
            if token is not None:
                self._inside[scope] = token
            try:
                yield scope
            finally:
                self._inside.pop(scope, None)

    def revoke_others(self, token: str | None) -> None:
        """Ends every block that was admitted by another token than this one."""
        for scope, own in tuple(self._inside.items()):
            if own != token:
                scope.cancel()


# --- Which user of this machine is at the other end.


def is_own(client: End, server: End) -> bool:
    """Whether the socket ``client``, connected to ``server``, belongs to this process's user or to root.

    Root reads every file of the home anyway. Returns False when nobody can say.
    """
    return owner(client, server) in (os.getuid(), 0)


def owner(client: End, server: End, tables: Iterable[Path] = TABLES) -> int | None:
    """Returns the user id of the program that holds the socket ``client``; None when nobody can say."""
    try:
        near, far = _encoded(client), _encoded(server)
    except ValueError:
        return None
    for table in tables:
        try:
            with table.open() as file:
                uid = find(islice(file, 1, ROWS_MOST), near, far)
        except OSError:
            continue
        if uid is not None:
            return uid
    return None


def find(rows: Iterable[str], near: Iterable[str], far: Iterable[str]) -> int | None:
    """Returns the user id in the row of a table that has these ends, in one of their spellings.

    None for a socket that its program has closed: no file holds it any more, its inode is 0, and the kernel prints
    0 for its user, whoever that was. Somebody else's program that sends and closes at once would else pass for root.
    """
    ends, others = frozenset(near), frozenset(far)
    for row in rows:
        fields = row.split(None, 10)
        if len(fields) > 9 and fields[1] in ends and fields[2] in others:
            uid, inode = fields[7], fields[9]
            return int(uid) if uid.isdecimal() and inode != "0" else None
    return None


def _encoded(end: End) -> tuple[str, ...]:
    """Returns an end as the kernel prints it: words of the address in the machine's byte order, the port.

    An IPv4 address is also given as IPv6 prints it, for a socket that takes both.
    """
    address = ipaddress.ip_address(end[0])
    port = f"{end[1]:04X}"
    if address.version == 4:
        mapped = ipaddress.ip_address(f"::ffff:{address}")
        return f"{_words(address.packed)}:{port}", f"{_words(mapped.packed)}:{port}"
    spellings = [f"{_words(address.packed)}:{port}"]
    if address.ipv4_mapped is not None:
        spellings.append(f"{_words(address.ipv4_mapped.packed)}:{port}")
    return tuple(spellings)


def _words(packed: bytes) -> str:
    return "".join(
        f"{int.from_bytes(packed[at : at + 4], sys.byteorder):08X}" for at in range(0, len(packed), 4)
    )
