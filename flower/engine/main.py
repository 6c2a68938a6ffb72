"""The engine process: the only place where its resources are born and die.

Order of birth: home claimed, database, library, narrators, socket; of death the reverse. The socket
listens before the embedding model is loaded: only recall needs it, and loads it on first use.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import trio

import flower
from flower import launch, limits
from flower.config import Config
from flower.engine import app, backup, server, upkeep
from flower.engine.embed import MiniLM
from flower.engine.engine import Engine
from flower.engine.lifetime import Lifetime
from flower.engine.logs import configure_logging
from flower.engine.place import Place, open_place
from flower.engine.provider.roster import Roster
from flower.engine.recall.library import Library
from flower.engine.reconfigure import Narrators, make_services, read_assets, reconfigure
from flower.engine.store.database import Database
from flower.home import Home
from flower.protocol import Progress, State

log = logging.getLogger(__name__)

REPOSITORY_MODELS = Path(flower.__file__).parents[1] / "models"


def run(home: Home, config: Config, *, host: str | None, port: int | None, managed: bool) -> int:
    """Runs an engine until it is told to stop or nobody needs it; returns the exit code.

    Raises ``FlowerError`` with a sentence if it cannot start.
    """
    # Read when numpy is first imported: its threads spin beside the narrator and gain nothing here.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    configure_logging(config, home)
    with launch.claim(home) as held:
        try:
            trio.run(partial(_main, home, config, host, port, managed, held))
        except BaseExceptionGroup as group:
            raise _only(group) from group
    return 0


async def _main(
    home: Home, config: Config, host: str | None, port: int | None, managed: bool, held: launch.Claim
) -> None:
    lifetime = Lifetime(managed=managed, linger_s=config.engine.linger_s)
    stop = trio.Event()
    place = open_place(home, config, host=host, port=port, managed=managed)
    async with _engine(home, config) as (engine, narrators), trio.open_nursery() as nursery:
        application = app.create_app(engine, lifetime, access=place.access, home=home)
        serve = partial(server.serve, certificate=place.certificate)
        await nursery.start(serve, application, place.bound, stop)
        launch.announce(held, place.url)
        log.info("ready url=%s version=%s pid=%d", place.url, flower.__version__, os.getpid())
        async with trio.open_nursery() as beside:
            beside.start_soon(_reconfigure_on_hangup, home, place, engine, narrators)
            beside.start_soon(upkeep.keep_running, "the upkeep", partial(upkeep.run, engine, home))
            await _wait_told_to_stop(lifetime, engine)
            beside.cancel_scope.cancel()
        log.info("stopping")
        with _hard_exit():
            with trio.move_on_after(limits.SHUTDOWN_S):
                await engine.stop()
            stop.set()
            place.close()


@asynccontextmanager
async def _engine(home: Home, config: Config) -> AsyncIterator[tuple[Engine, Narrators]]:
    """An engine with everything it works with, closed again at the end."""

    def keep_backup(version: int) -> None:
        backup.make_kept(home, f"before-schema-{version + 1}", time.time())

    database = await Database.open(home.database, before_migration=keep_backup)
    embedder = MiniLM(
        (home.models, REPOSITORY_MODELS),
        threads=config.embedding.threads,
        unload_after_s=config.embedding.unload_after_s or None,
        state_dir=home.index,
    )
    engine: Engine | None = None

    def notify(text: str, progress: Progress | None) -> None:
        if engine is not None:
            engine.broadcast(text, State(progress=progress))

    library = Library(database, embedder, home.index, notify=notify)
    services = make_services(config, read_assets(home), database, library)
    roster = Roster(config, home)
    try:
        async with trio.open_nursery() as nursery:
            narrators = Narrators(nursery, roster)
            nursery.start_soon(upkeep.keep_running, "the library", library.run)
            engine = Engine(services, roster, nursery)
            await engine.start()
            yield engine, narrators
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(limits.SAVE_SHIELD_S, shield=True):
            await (engine.roster if engine is not None else roster).aclose()
            await trio.to_thread.run_sync(embedder.close)
            await database.aclose()


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
    home: Home, place: Place, engine: Engine, narrators: Narrators
) -> NoReturn:
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            await reconfigure(home, place, engine, narrators)
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
