"""The engine process: the only place where its resources are opened and closed.

Opened in the order home claimed, database, library, models, socket, and closed in the reverse one. The socket
listens before the embedding model is loaded: only recall needs it, and loads it on first use.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import trio

import flower
from flower import launch, limits, machine, privacy
from flower.engine.admin import backup, maintenance
from flower.engine.commands import catalogue
from flower.engine.importing import watch
from flower.engine.logs import configure_logging
from flower.engine.provider.registry import ModelRegistry
from flower.engine.recall import embedding_models
from flower.engine.recall.embedding_models import ChosenModels
from flower.engine.recall.library import PassageLibrary
from flower.engine.reconfigure import RegistryRefresh, Reloader, make_services, read_assets
from flower.engine.server import app, listener
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.listener import Listener, inherited_place, open_place
from flower.engine.sessions.engine import Engine
from flower.engine.store.connection import Store
from flower.engine.store.sqlite.database import Database
from flower.engine.tasks import keep_running
from flower.errors import StoreError, only
from flower.home import Home
from flower.protocol.messages import Progress, State
from flower.service import systemd
from flower.settings.config import Config
from flower.text import counted

log = logging.getLogger(__name__)

SHUTDOWN_S = 4.0  # SIGTERM to closed; a stalled client must not delay it

SMALL_MIB = 1000  # a board sold with 1 GB reports less, one with 2 GB much more
SMALL_UNLOAD_S = 300.0

SHIPPED_MODELS = Path(flower.__file__).parent / "models"  # in a checkout a link to the folder beside it


def run(home: Home, config: Config, *, host: str | None, port: int | None, managed: bool) -> int:
    """Runs an engine until it is to stop or nobody needs it; returns the exit code.

    Raises ``FlowerError`` with a sentence if it cannot start.
    """
    # Read when numpy is first imported: its threads spin beside the narrator and gain nothing here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    supervisor = systemd.take(os.environ, os.getpid())
    configure_logging(config, home)
    if privacy.remove_leftovers(os.environ):
        log.info("removed what onnxruntime had kept in your cache folder to report")
    # While it starts and while it saves nobody waits for these signals, whose default is death.
    signal.signal(signal.SIGHUP, _not_now)
    signal.signal(signal.SIGUSR1, _not_now)
    with launch.claim(home) as held:
        try:
            trio.run(partial(_main, home, config, host, port, managed, held, supervisor))
        except BaseExceptionGroup as group:
            raise only(group) from group
        finally:
            signal.signal(
                signal.SIGHUP, signal.SIG_IGN
            )  # Python takes handlers away before it has ended
    return 0


def _not_now(number: int, frame: FrameType | None) -> None:
    """Lets a signal pass; not ``SIG_IGN``, which child processes would inherit."""


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
    if supervisor.sockets:
        place = inherited_place(home, config, supervisor.sockets)
    else:
        place = open_place(home, config, host=host, port=port, managed=managed)
    async with _engine(home, config, config.engine.advertise or place.url) as (engine, refresh):
        reloader = Reloader(home, config, place, engine, refresh)
        engine.program = reloader
        async with _socket(home, place, engine, lifetime):
            # Signals first: whoever finds the address may send them at once.
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) as stops:
                async with _background(home, engine, lifetime, reloader, supervisor):
                    launch.announce(held, place.url)
                    log.info("ready url=%s version=%s pid=%d", place.url, flower.BUILD, os.getpid())
                    supervisor.notify(READY="1", STATUS=_status(engine, lifetime))
                    await _wait_for_stop(lifetime, engine, stops)
            log.info("stopping")
            supervisor.notify(STOPPING="1", STATUS="saving")
            with _hard_exit(), trio.move_on_after(SHUTDOWN_S):
                await engine.stop()


@asynccontextmanager
async def _socket(
    home: Home, place: Listener, engine: Engine, lifetime: Lifetime
) -> AsyncIterator[None]:
    """The socket with those who come in, closed when the block has ended well; nobody waits for them then."""
    application = app.create_app(engine, lifetime, access=place.access, home=home)
    serve = partial(
        listener.serve,
        certificate=place.certificate,
        connections=app.most_clients(engine) + limits.CONNECTIONS_SPARE,
    )
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, application, place.bound, stop)
        yield
        stop.set()
        place.close()


@asynccontextmanager
async def _background(
    home: Home, engine: Engine, lifetime: Lifetime, reloader: Reloader, supervisor: systemd.Supervisor
) -> AsyncIterator[None]:
    """What goes on beside the stories while the block runs; a SIGHUP is heeded once it begins."""
    async with trio.open_nursery() as nursery:
        await nursery.start(reloader.reload_on_hangup)
        for what, work in (
            ("looking for changed files", partial(reloader.watch, lifetime)),
            ("the upkeep", partial(maintenance.run, engine, home)),
            ("the import folder", partial(_follow_imports, home, engine)),
        ):
            nursery.start_soon(keep_running, what, work)
        nursery.start_soon(supervisor.report, partial(_status, engine, lifetime), lifetime.wait_changed)
        yield
        nursery.cancel_scope.cancel()


async def _follow_imports(home: Home, engine: Engine) -> None:
    await watch.follow(
        engine.imports.importer, home.imports, lambda text: engine.broadcast(text, State())
    )


@asynccontextmanager
async def _engine(
    home: Home, config: Config, address: str
) -> AsyncIterator[tuple[Engine, RegistryRefresh]]:
    """An engine with everything it works with, closed again at the end."""
    engine: Engine | None = None

    def notify(text: str, progress: Progress | None = None) -> None:
        if engine is not None:
            engine.broadcast(text, State(progress=progress))

    database, keep_alive = await open_store(home, config.store, partial(_back_up, home), address)
    models = _embedding_models(home, config)
    library = PassageLibrary(
        database, models.embedder, home.index, notify=notify, previous=models.previous,
        settled=partial(_note_model, models, home, config),
    )  # fmt: skip
    services = make_services(config, read_assets(home), database, library)
    registry = ModelRegistry(config, home)
    try:
        async with trio.open_nursery() as nursery:
            refresh = RegistryRefresh(nursery, registry)
            nursery.start_soon(keep_running, "the library", library.run)
            if keep_alive is not None:
                nursery.start_soon(_end_without, keep_alive)
            engine = Engine(services, registry, nursery, commands=catalogue.OPTIONS)
            await engine.start()
            if models.trouble:
                notify(f"✗ Recall stays with the embedding model of before: {models.trouble}")
            yield engine, refresh
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            await (engine.registry if engine is not None else registry).aclose()
            await trio.to_thread.run_sync(models.close)
            await database.aclose()


def _back_up(home: Home, version: int) -> None:
    """Keeps the stories as they are before they get into the form after ``version``."""
    backup.make_kept(home, f"before-schema-{version + 1}", time.time())


def _embedding_models(home: Home, config: Config) -> ChosenModels:
    return embedding_models.choose(
        (home.models, SHIPPED_MODELS),
        config.embedding.model,
        home.index,
        threads=config.embedding.threads,
        unload_after_s=unload_after_s(config, machine.total_mib()),
    )


def _note_model(models: ChosenModels, home: Home, config: Config) -> None:
    """Notes that all vectors are of the model that the settings name, unless it is not in use."""
    if not models.trouble:
        embedding_models.note(home.index, config.embedding.model)


async def _end_without(keep: Callable[[], Awaitable[None]]) -> None:
    """Ends the engine, as a signal does, when others play its stories."""
    await keep()
    os.kill(os.getpid(), signal.SIGTERM)


async def open_store(
    home: Home, url: str, keep_backup: Callable[[int], None], address: str = ""
) -> tuple[Store, Callable[[], Awaitable[None]] | None]:
    """Returns the stories: those of the home, or with a ``url`` those in PostgreSQL.

    There the second value shows that this engine lives, at ``address``, and returns when it counts as dead.
    Raises ``StoreError`` with a sentence if they cannot be opened.
    """
    if not url:
        return await Database.open(home.database, before_migration=keep_backup), None
    try:
        from flower.engine.store.postgres.database import PostgresDatabase
    except ImportError as error:
        raise StoreError(
            "`store` names a PostgreSQL database, and its driver is not installed:"
            " ./start.sh --setup postgres, or pip install 'flower-roleplay[postgres]'"
        ) from error
    _allow_files(2 * limits.CLIENTS_MAX_SHARED + limits.CONNECTIONS_PER_PROVIDER)
    database = await PostgresDatabase.open(url, home.database, address=address)
    database.show_life()  # at once: the rest of the start may take its time
    return database, database.keep_alive


def _allow_files(number: int) -> None:
    """Lets this process have as many files and connections open, as far as the machine lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _status(engine: Engine, lifetime: Lifetime) -> str:
    """Returns the engine's state in a few words, for whoever supervises it."""
    stories = counted(len(engine.stories.sessions), "story", "stories")
    return f"{stories} open, {counted(lifetime.clients, 'client')}"


def unload_after_s(config: Config, total_mib: int | None) -> float | None:
    """Returns after how many idle seconds the embedding model leaves memory; None for never.

    What the settings say, else by the memory of the machine: the model takes 60 MB and is back in half a
    second to three, which is worth it below 1 GB.
    """
    if config.embedding.unload_after_s is not None:
        return config.embedding.unload_after_s or None
    return SMALL_UNLOAD_S if total_mib is not None and total_mib < SMALL_MIB else None


async def _wait_for_stop(lifetime: Lifetime, engine: Engine, stops: AsyncIterator[int]) -> None:
    """Waits for one of the signals ``stops``, or the moment when nobody needs this engine any more.

    SIGUSR1 lets it finish what it does first.
    """
    async with trio.open_nursery() as nursery:

        async def nobody_left() -> None:
            await lifetime.wait_over(engine.turns.wait_idle)
            nursery.cancel_scope.cancel()

        async def drained() -> None:
            await engine.drain.run()
            nursery.cancel_scope.cancel()

        nursery.start_soon(nobody_left)
        async for number in stops:
            if number != signal.SIGUSR1:
                nursery.cancel_scope.cancel()
            elif not engine.drain.begun:
                log.info("draining")
                nursery.start_soon(drained)


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
