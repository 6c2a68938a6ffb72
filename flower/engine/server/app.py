"""The quart-trio application: routes and who may enter; no logic."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio
from quart import Quart, Response, request, websocket
from quart.wrappers import Request, Websocket
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest

import flower
from flower import limits
from flower.engine.server import connection, health, uploads
from flower.engine.server.access import Access, Header, Peer, Refusal, is_local
from flower.engine.server.guests import Guests
from flower.engine.server.hop import POLICY, Hop
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.local_user import is_own
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Visitor
from flower.engine.sessions.session import HOME_OWNER
from flower.engine.store import audit, users
from flower.engine.store.users import User
from flower.errors import CommandError, ElsewhereError, StoreError
from flower.home import Home
from flower.protocol import IMPORT_PATH, PATH

log = logging.getLogger(__name__)

REFUSALS_NOTED_S = 1.0  # between two refusals in the audit log: who guesses is not to fill it


class _WebSocket:
    """Quart's context-bound websocket behind the interface a connection needs."""

    async def receive(self) -> str | bytes:
        data: str | bytes | None = await websocket.receive()
        return b"" if data is None else data  # None is what an empty binary frame has become on its way

    async def send(self, data: str) -> None:
        await websocket.send(data)

    async def close(self, code: int) -> None:
        await websocket.close(code)


class _Request(TrioRequest):
    """A request whose body may be as long as its page allows: only a file to be imported is long."""

    def __init__(self, method: str, scheme: str, path: str, *others: Any, **options: Any) -> None:
        options["max_content_length"] = (
            limits.LIBRARY_BYTES if path == IMPORT_PATH else limits.HEADERS_BYTES
        )
        super().__init__(method, scheme, path, *others, **options)


def create_app(
    engine: Engine, lifetime: Lifetime, *, access: Access | None = None, home: Home | None = None
) -> Quart:
    """Returns the application for one engine; ``access`` says who may enter (default: this machine)."""
    app = QuartTrio("flower")
    app.request_class = _Request
    rules = access if access is not None else Access()
    guests = Guests()
    rules.on_new_token = guests.revoke_others

    door = Door(engine, rules)

    async def alive() -> Response:
        return _text(f"Flower {flower.__version__} is running.", 200)

    async def ready() -> Response:
        refused = await door.private_refusal(request)
        if refused is not None:
            return _refused(engine, refused)
        report = await health.look(engine)
        # A proxy may want to tell an engine that ends what it does from one that fails.
        gentle = report.draining and request.args.get("draining") == "404"
        return _text("\n".join(report.lines), 200 if report.ready else 404 if gentle else 503)

    async def numbers() -> Response:
        refused = await door.private_refusal(request)
        if refused is not None:
            return _refused(engine, refused)
        text = health.render(engine, home)
        return Response(text, content_type=health.CONTENT_TYPE)

    async def status() -> Response:
        refused = await door.private_refusal(request)
        if refused is not None:
            return _refused(engine, refused)
        return Response(health.status(engine), content_type="application/json")

    def no_room() -> Refusal | None:
        if engine.drain.begun:
            return Refusal(503, "This engine is about to stop; connect again in a moment.")
        shared = engine.services.database.shared
        most = limits.CLIENTS_MAX_SHARED if shared else limits.CLIENTS_MAX
        if (
            max(len(engine.clients), lifetime.clients) >= most
        ):  # the second has those that are passed on
            return Refusal(503, f"{most} clients are connected, the most there can be.")
        return None

    async def first_visit(address: str) -> Response | None:
        """Passes on a guest who has a code and no seat yet, at a table of another engine."""
        refused = no_room()
        if refused is not None:
            return _refused(engine, refused)
        try:
            await websocket.accept()
        except trio.BrokenResourceError:
            return None  # gone before the greeting
        hop = Hop(websocket.headers.get("Authorization") or "")
        with lifetime.client():
            code = await connection.pass_on(
                engine, _WebSocket(), address, websocket.args.get("client", ""), hop
            )
        await websocket.close(code)  # the code is their token now: next time any engine knows them
        return None

    async def rpc() -> Response | None:
        try:
            peer, user = await door.asks(websocket)
        except ElsewhereError as elsewhere:
            return await first_visit(elsewhere.address)
        except StoreError as error:  # the database is away: nobody knows whose token it is
            return _refused(engine, Refusal(503, f"{error}."))
        refused = rules.refusal(websocket.headers.get, peer, trio.current_time(), user)
        if refused is None:
            refused = no_room()
        if refused is None and user is not None and door.is_crowded_by(user):
            refused = Refusal(503, f"{limits.USER_CLIENTS} clients of yours are connected, the most.")
        if refused is not None:
            return _refused(engine, refused)
        try:
            await websocket.accept()
        except trio.BrokenResourceError:
            return None  # gone before the greeting
        token = rules.token if user is None and rules.needs_token(peer) else None
        with lifetime.client() as guest, guests.admitted(token) as scope, door.inside(user):
            client_id = websocket.args.get("client", "")
            # Other engines ask for the same token: the client's own, or ours for those who need none here.
            own = f"Bearer {rules.token}" if rules.token else ""
            hop = Hop(websocket.headers.get("Authorization") or own, follows="moved" in websocket.args)
            await connection.serve(
                engine,
                _WebSocket(),
                client_id,
                guest.say_goodbye,
                rules.rights(peer, user),
                await door.visitor(websocket.headers.get, user, scope.cancel),
                hop,
            )
        if scope.cancelled_caught:
            await websocket.close(POLICY)  # its token was revoked
        return None

    incoming = uploads.Uploads(
        engine.imports.importer, home.run if home is not None else None, engine.allowances
    )

    async def import_file() -> Response:
        peer, user = await door.asks(request)
        refused = rules.refusal(request.headers.get, peer, trio.current_time(), user)
        if refused is not None:
            return _refused(engine, refused)
        with lifetime.client():  # whoever sends files needs the engine
            return await incoming.take(request, user)

    app.add_url_rule(IMPORT_PATH, view_func=import_file, endpoint="import", methods=["POST"])
    app.add_url_rule("/", view_func=alive, endpoint="root")
    app.add_url_rule("/healthz", view_func=alive, endpoint="healthz")
    app.add_url_rule("/readyz", view_func=ready, endpoint="readyz")
    app.add_url_rule("/status", view_func=status, endpoint="status")
    app.add_url_rule("/metrics", view_func=numbers, endpoint="metrics")
    app.add_websocket(PATH, view_func=rpc)
    return app


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

    async def asks(self, asked: Request | Websocket) -> tuple[Peer, User | None]:
        """Returns the peer and its user; without a user's token the database is not asked.

        Raises ``ElsewhereError`` for a guest who connects while another engine plays their table.
        """
        peer = await _peer(asked.scope)
        text = self._rules.user_token(asked.headers.get, peer, trio.current_time())
        if not text:
            return peer, None
        database, now = self._engine.services.database, self._engine.now()
        user = await database.read(users.by_token, text, now)
        if user is None:
            try:
                user = await self._guest(text)
            except ElsewhereError:
                if isinstance(asked, Websocket):
                    raise
                return peer, None  # for a page nobody is sent elsewhere
        strange = user is None and not self._rules.is_home_token(asked.headers.get)
        if strange and trio.current_time() - self._noted >= REFUSALS_NOTED_S:
            self._noted = trio.current_time()
            await self._note(users.HOME, "refused", f"a token from {peer.address or 'this machine'}")
        return peer, user

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

    async def private_refusal(self, asked: Request) -> Refusal | None:
        """Returns why a page about the engine is not shown, None if it is."""
        peer, user = await self.asks(asked)
        return self._rules.private_refusal(asked.headers.get, peer, trio.current_time(), user)

    async def visitor(self, header: Header, user: User | None, expel: Callable[[], None]) -> Visitor:
        """Returns who a client is that has come in; a user's login is noted."""
        if user is None:
            return HOME_OWNER
        await self._note(user.id, "login", user.name)
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


def _refused(engine: Engine, refusal: Refusal) -> Response:
    engine.metrics.refusal(refusal.status)
    response = _text(refusal.reason, refusal.status)
    if refusal.retry_after_s:
        response.headers["Retry-After"] = str(refusal.retry_after_s)
    return response


def _text(text: str, status: int) -> Response:
    return Response(text + "\n", status, content_type="text/plain; charset=utf-8")
