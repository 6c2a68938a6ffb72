"""The quart-trio application: routes and who may enter; no logic."""

from __future__ import annotations

from typing import Any

import trio
from quart import Quart, Response, request, websocket
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest

import flower
from flower import limits
from flower.engine.server import connection, file_transfer, health
from flower.engine.server.access import Access, Peer, Refusal
from flower.engine.server.door import Door, TokenHolders
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.relay import POLICY, Hop
from flower.engine.sessions.engine import Engine
from flower.engine.store.users import User
from flower.errors import ElsewhereError, StoreError
from flower.home import Home
from flower.protocol import EXPORT_PATH, IMPORT_PATH, PATH, STATUS_PATH


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


def most_clients(engine: Engine) -> int:
    """Returns how many clients an engine takes at once."""
    return limits.CLIENTS_MAX_SHARED if engine.services.database.shared else limits.CLIENTS_MAX


def create_app(
    engine: Engine, lifetime: Lifetime, *, access: Access | None = None, home: Home | None = None
) -> Quart:
    """Returns the application for one engine; ``access`` says who may enter (default: this machine)."""
    app = QuartTrio("flower")
    app.request_class = _Request
    app.asgi_http_class = file_transfer.ClosingConnection
    pages = Pages(engine, lifetime, access if access is not None else Access(), home)
    app.add_url_rule(f"{EXPORT_PATH}/<name>", view_func=pages.export_file, endpoint="export")
    app.add_url_rule(IMPORT_PATH, view_func=pages.import_file, endpoint="import", methods=["POST"])
    app.add_url_rule("/", view_func=pages.alive, endpoint="root")
    app.add_url_rule("/healthz", view_func=pages.alive, endpoint="healthz")
    app.add_url_rule("/readyz", view_func=pages.ready, endpoint="readyz")
    app.add_url_rule(STATUS_PATH, view_func=pages.status, endpoint="status")
    app.add_url_rule("/metrics", view_func=pages.numbers, endpoint="metrics")
    app.add_websocket(PATH, endpoint="rpc", view_func=pages.rpc)
    return app


class Pages:
    """What an engine answers to whom: pages about itself, uploads, and the socket on which stories are played."""

    def __init__(self, engine: Engine, lifetime: Lifetime, rules: Access, home: Home | None) -> None:
        self._engine = engine
        self._lifetime = lifetime
        self._rules = rules
        self._home = home
        self._door = Door(engine, rules)
        self._token_holders = TokenHolders()
        rules.on_new_token = self._token_holders.revoke_others
        self._exports = file_transfer.Exports(engine, lifetime)
        self._uploads = file_transfer.Uploads(
            engine.imports.importer, home.run if home is not None else None, engine.allowances
        )

    async def alive(self) -> Response:
        return _text(f"Flower {flower.__version__} is running.", 200)

    async def ready(self) -> Response:
        refused = await self._door.private_refusal(request)
        if refused is not None:
            return self._refused(refused)
        report = await health.look(self._engine)
        # A proxy may want to tell an engine that ends what it does from one that fails.
        gentle = report.draining and request.args.get("draining") == "404"
        return _text("\n".join(report.lines), 200 if report.ready else 404 if gentle else 503)

    async def numbers(self) -> Response:
        refused = await self._door.private_refusal(request)
        if refused is not None:
            return self._refused(refused)
        return Response(health.render(self._engine, self._home), content_type=health.CONTENT_TYPE)

    async def status(self) -> Response:
        refused = await self._door.private_refusal(request)
        if refused is not None:
            return self._refused(refused)
        return Response(health.status(self._engine), content_type="application/json")

    async def import_file(self) -> Response:
        peer, user = await self._door.asks(request)
        refused = self._rules.refusal(request.headers.get, peer, trio.current_time(), user)
        if refused is not None:
            return self._refused(refused)
        with self._lifetime.client():  # whoever sends files needs the engine
            return await self._uploads.take(request, user)

    async def export_file(self, name: str) -> Response:
        peer, user = await self._door.asks(request)
        refused = self._rules.refusal(request.headers.get, peer, trio.current_time(), user)
        if refused is not None:
            return self._refused(refused)
        return await self._exports.send(name, request, user, self._rules.token)

    async def rpc(self) -> Response | None:
        try:
            peer, user = await self._door.asks(websocket)
        except ElsewhereError as elsewhere:
            return await self._first_visit(elsewhere.address)
        except StoreError as error:  # the database is away: nobody knows whose token it is
            return self._refused(Refusal(503, f"{error}."))
        refused = self._rules.refusal(websocket.headers.get, peer, trio.current_time(), user)
        if refused is None:
            refused = self._no_room()
        if refused is None and user is not None and self._door.is_crowded_by(user):
            refused = Refusal(503, f"{limits.USER_CLIENTS} clients of yours are connected, the most.")
        if refused is not None:
            return self._refused(refused)
        try:
            await websocket.accept()
        except trio.BrokenResourceError:
            return None  # gone before the greeting
        await self._serve(peer, user)
        return None

    async def _serve(self, peer: Peer, user: User | None) -> None:
        """Plays with a client that has come in, until it leaves or its token is revoked."""
        rules, door = self._rules, self._door
        token = rules.token if user is None and rules.needs_token(peer) else None
        with (
            self._lifetime.client() as presence,
            self._token_holders.admitted(token) as scope,
            door.inside(user),
        ):
            # Other engines ask for the same token: the client's own, or ours for those who need none here.
            own = f"Bearer {rules.token}" if rules.token else ""
            hop = Hop(websocket.headers.get("Authorization") or own, follows="moved" in websocket.args)
            await connection.serve(
                self._engine,
                _WebSocket(),
                websocket.args.get("client", ""),
                presence.leave,
                rules.rights(peer, user),
                await door.visitor(websocket.headers.get, peer, user, scope.cancel),
                hop,
            )
        if scope.cancelled_caught:
            await websocket.close(POLICY)  # its token was revoked

    async def _first_visit(self, address: str) -> Response | None:
        """Passes on a guest who has a code and no seat yet, at a table of another engine."""
        refused = self._no_room()
        if refused is not None:
            return self._refused(refused)
        try:
            await websocket.accept()
        except trio.BrokenResourceError:
            return None  # gone before the greeting
        hop = Hop(websocket.headers.get("Authorization") or "")
        with self._lifetime.client():
            code = await connection.pass_on(
                self._engine, _WebSocket(), address, websocket.args.get("client", ""), hop
            )
        await websocket.close(code)  # the code is their token now: next time any engine knows them
        return None

    def _no_room(self) -> Refusal | None:
        engine = self._engine
        if engine.drain.begun:
            return Refusal(503, "This engine is about to stop; connect again in a moment.")
        most = most_clients(engine)
        # The second number has those that are passed on, too.
        if max(len(engine.clients), self._lifetime.clients) >= most:
            return Refusal(503, f"{most} clients are connected, the most there can be.")
        return None

    def _refused(self, refusal: Refusal) -> Response:
        self._engine.metrics.refusal(refusal.status)
        response = _text(refusal.reason, refusal.status)
        if refusal.retry_after_s:
            response.headers["Retry-After"] = str(refusal.retry_after_s)
        return response


def _text(text: str, status: int) -> Response:
    return Response(text + "\n", status, content_type="text/plain; charset=utf-8")
