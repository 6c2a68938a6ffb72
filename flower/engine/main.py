"""The engine process: the only place where its resources are born and die.

Order of birth: home claimed, database, library, models, socket; of death the reverse. The socket
listens before the embedding model is loaded: only recall needs it, and loads it on first use.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import trio

import flower
from flower import launch, limits, machine, privacy, systemd
from flower.engine.admin import backup, maintenance
from flower.engine.admin.maintenance import keep_running
from flower.engine.assets import SHIPPED, Assets, load_assets
from flower.engine.commands import catalogue
from flower.engine.importing import watch
from flower.engine.logs import configure_logging
from flower.engine.prompt.context import Services
from flower.engine.provider.registry import Roster
from flower.engine.recall.base import Library
from flower.engine.recall.embedder import MiniLM
from flower.engine.recall.library import PassageLibrary
from flower.engine.server import app, listener
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.listener import Listener, inherited_place, open_place
from flower.engine.sessions.engine import Engine
from flower.engine.store.database import Database
from flower.engine.tasks import guarded
from flower.errors import FlowerError
from flower.home import Home, load_config, user_home
from flower.protocol.messages import Progress, State
from flower.settings.config import Config

log = logging.getLogger(__name__)

SHUTDOWN_S = 4.0  # SIGTERM to closed; a stalled client must not delay it

SMALL_MIB = 1000  # a board sold with 1 GB reports less, one with 2 GB much more
SMALL_UNLOAD_S = 300.0

SHIPPED_MODELS = Path(flower.__file__).parent / "models"  # in a checkout a link to the folder beside it


def run(home: Home, config: Config, *, host: str | None, port: int | None, managed: bool) -> int:
    """Runs an engine until it is told to stop or nobody needs it; returns the exit code.

    Raises ``FlowerError`` with a sentence if it cannot start.
    """
    # Read when numpy is first imported: its threads spin beside the narrator and gain nothing here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    supervisor = systemd.take(os.environ, os.getpid())
    configure_logging(config, home)
    if privacy.remove_leftovers(os.environ):
        log.info("removed what onnxruntime had kept in your cache folder to report")
    with launch.claim(home) as held:
        try:
            trio.run(partial(_main, home, config, host, port, managed, held, supervisor))
        except BaseExceptionGroup as group:
            raise _only(group) from group
    return 0


async def _main(
    home: Home,
    config: Config,
    host: str | None,
    port: int | None,
    managed: bool,
    held: launch.Claim,
    supervisor: systemd.Supervisor,
) -> None:
    lifetime = Lifetime(managed=managed, linger_s=config.engine.linger_s)
    stop = trio.Event()
    if supervisor.sockets:
        place = inherited_place(home, config, supervisor.sockets)
    else:
        place = open_place(home, config, host=host, port=port, managed=managed)
    async with _engine(home, config) as (engine, refresh), trio.open_nursery() as nursery:
        application = app.create_app(engine, lifetime, access=place.access, home=home)
        serve = partial(listener.serve, certificate=place.certificate)
        await nursery.start(serve, application, place.bound, stop)
        launch.announce(held, place.url)
        log.info("ready url=%s version=%s pid=%d", place.url, flower.BUILD, os.getpid())
        supervisor.notify(READY="1", STATUS=_status(engine, lifetime))
        async with trio.open_nursery() as beside:
            beside.start_soon(_reconfigure_on_hangup, home, place, engine, refresh)
            beside.start_soon(
                maintenance.keep_running, "the upkeep", partial(maintenance.run, engine, home)
            )
            beside.start_soon(keep_running, "the import folder", partial(_follow_imports, home, engine))
            beside.start_soon(
                supervisor.report, partial(_status, engine, lifetime), lifetime.wait_changed
            )
            await _wait_told_to_stop(lifetime, engine)
            beside.cancel_scope.cancel()
        log.info("stopping")
        supervisor.notify(STOPPING="1", STATUS="saving")
        with _hard_exit():
            with trio.move_on_after(SHUTDOWN_S):
                await engine.stop()
            stop.set()
            place.close()


async def _follow_imports(home: Home, engine: Engine) -> None:
    await watch.follow(
        engine.imports.importer, home.imports, lambda text: engine.broadcast(text, State())
    )


@asynccontextmanager
async def _engine(home: Home, config: Config) -> AsyncIterator[tuple[Engine, RosterRefresh]]:
    """An engine with everything it works with, closed again at the end."""

    def keep_backup(version: int) -> None:
        backup.make_kept(home, f"before-schema-{version + 1}", time.time())

    database = await Database.open(home.database, before_migration=keep_backup)
    embedder = MiniLM(
        (home.models, SHIPPED_MODELS),
        threads=config.embedding.threads,
        unload_after_s=unload_after_s(config, machine.total_mib()),
        state_dir=home.index,
    )
    engine: Engine | None = None

    def notify(text: str, progress: Progress | None) -> None:
        if engine is not None:
            engine.broadcast(text, State(progress=progress))

    library = PassageLibrary(database, embedder, home.index, notify=notify)
    services = make_services(config, read_assets(home), database, library)
    roster = Roster(config, home)
    try:
        async with trio.open_nursery() as nursery:
            refresh = RosterRefresh(nursery, roster)
            nursery.start_soon(maintenance.keep_running, "the library", library.run)
            engine = Engine(services, roster, nursery, commands=catalogue.OPTIONS)
            await engine.start()
            yield engine, refresh
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            await (engine.roster if engine is not None else roster).aclose()
            await trio.to_thread.run_sync(embedder.close)
            await database.aclose()


def _status(engine: Engine, lifetime: Lifetime) -> str:
    """Returns the engine's state in a few words, for whoever supervises it."""
    stories, clients = len(engine.sessions), lifetime.clients
    return (
        f"{stories} {'story' if stories == 1 else 'stories'} open,"
        f" {clients} {'client' if clients == 1 else 'clients'}"
    )


def unload_after_s(config: Config, total_mib: int | None) -> float | None:
    """Returns after how many idle seconds the embedding model leaves memory; None for never.

    What the settings say, else by the memory of the machine: the model takes 60 MB and is back in half a
    second to three, which is worth it below 1 GB.
    """
    if config.embedding.unload_after_s is not None:
        return config.embedding.unload_after_s or None
    return SMALL_UNLOAD_S if total_mib is not None and total_mib < SMALL_MIB else None


async def _wait_told_to_stop(lifetime: Lifetime, engine: Engine) -> None:
    """Waits for SIGTERM, SIGINT, or the moment when nobody needs this engine any more."""
    async with trio.open_nursery() as nursery:

        async def nobody_left() -> None:
            await lifetime.wait_over(engine.turns.wait_idle)
            nursery.cancel_scope.cancel()

        nursery.start_soon(nobody_left)
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def _reconfigure_on_hangup(
    home: Home, place: Listener, engine: Engine, refresh: RosterRefresh
) -> NoReturn:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            await reconfigure(home, place, engine, refresh)
    raise AssertionError("signals never end")


@contextmanager
def _hard_exit() -> Iterator[None]:
    """Ends the process if an orderly end takes too long; everything is on disk by then.

    The last resort against a peer or a library that will not let go. A daemon thread, because the
    event loop may be what hangs.
    """
    deadline = threading.Timer(limits.HARD_EXIT_S, os._exit, args=(0,))
    deadline.daemon = True
    deadline.start()
    yield


def _only(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Returns the one exception in a group of one, however deep; else the group."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


# --- What an engine is told by ``config.yaml`` and the assets, at the start and again on SIGHUP.
#
# Owns the making of services and models from settings, and the change to others while stories run:
# a reply that is being written ends as it began, the next one has the new settings. Where the engine
# listens, and the embedding model, stay as they were until a restart.


def make_services(config: Config, assets: Assets, database: Database, library: Library) -> Services:
    return Services(
        database=database,
        library=library,
        assets=assets,
        context_tokens=config.prompt.context_tokens,
        reply_tokens=config.prompt.reply_tokens,
        params=dict(config.prompt.params),
        seed=config.narrator.seed,
        rng=random.Random(),
        fallbacks=config.fallback_models,
        narrator_updates=config.game.narrator_updates,
        keep_people=config.game.keep_people,
        quick_replies=config.quick_replies,
        stop_at_player=config.prompt.stop_at_player,
        lore_roots=lore_roots(config, database.path.parent),
    )


def lore_roots(config: Config, home: Path) -> tuple[Path, ...]:
    """Returns the folders below which lore may be followed: those of the settings, else what is the user's.

    Whoever holds the token can name a folder, and reads what is in it: not the whole machine, then.
    """
    if config.lore.roots:
        return tuple(home / os.path.expanduser(root) for root in config.lore.roots)
    own = user_home()
    return (home, own) if own is not None else (home,)


def read_assets(home: Home) -> Assets:
    """Returns the shipped assets and the user's; what cannot be used is in the log."""
    assets = load_assets((SHIPPED, home.assets))
    for problem in assets.problems:
        log.warning("asset skipped: %s", problem)
    return assets


class RosterRefresh:
    """The roster in use and the task that keeps it fresh."""

    def __init__(self, nursery: trio.Nursery, roster: Roster) -> None:
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self.follow(roster)

    def follow(self, roster: Roster) -> None:
        """Starts keeping ``roster`` fresh, and stops with the one before."""
        self._scope.cancel()
        self._scope = trio.CancelScope()
        self.roster = roster
        self._nursery.start_soon(self._run, roster, self._scope)

    def retire(self, roster: Roster, wait_unused: Callable[[], Awaitable[None]]) -> None:
        """Closes a roster once nobody uses it any more; whoever asks for that does not wait."""
        self._nursery.start_soon(
            guarded, "closing the providers before", self._close, roster, wait_unused
        )

    async def _run(self, roster: Roster, scope: trio.CancelScope) -> None:
        with scope:
            await keep_running("the list of models", roster.run)

    async def _close(self, roster: Roster, wait_unused: Callable[[], Awaitable[None]]) -> None:
        await wait_unused()
        await roster.aclose()


async def reconfigure(home: Home, place: Listener, engine: Engine, refresh: RosterRefresh) -> None:
    """Reads settings and assets again and goes on with them; if they are wrong, with the old ones."""
    try:
        config = load_config(home, os.environ)
        place.retoken(home, config)
        roster = Roster(config, home)
    except FlowerError as error:
        log.error("settings not read again: %s", error)
        engine.broadcast(f"✗ {error}. The settings stay as they were.", State())
        return
    configure_logging(config, home)
    old = refresh.roster
    services = engine.services
    engine.use(make_services(config, read_assets(home), services.database, services.library), roster)
    refresh.follow(roster)
    log.info("settings read again")
    try:
        for session in tuple(engine.sessions):
            await engine.lore.sync(session.world_id)
        for client in tuple(engine.clients):
            await engine.sync(client)
    except FlowerError as error:  # this task must outlive it: without it the engine ends
        engine.broadcast(f"✗ {error}", State())
    engine.broadcast("✓ The settings were read again.", State())
    refresh.retire(old, engine.turns.wait_idle)
