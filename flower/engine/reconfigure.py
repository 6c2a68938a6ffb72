"""What an engine is told by ``config.yaml`` and the assets, at the start and again on SIGHUP.

Owns the making of services and narrators from settings, and the change to others while stories run:
a reply that is being written ends as it began, the next one has the new settings. Where the engine
listens, and the embedding model, stay as they were until a restart.
"""

from __future__ import annotations

import logging
import os
import random

import trio

from flower.config import Config
from flower.engine.assets import SHIPPED, Assets, load_assets
from flower.engine.engine import Engine
from flower.engine.logs import configure_logging
from flower.engine.place import Place
from flower.engine.preparation import Services
from flower.engine.provider.roster import Roster
from flower.engine.recall.library import Library
from flower.engine.store.database import Database
from flower.engine.upkeep import keep_running
from flower.errors import FlowerError
from flower.home import Home, load_config
from flower.protocol import State

log = logging.getLogger(__name__)


def make_services(config: Config, assets: Assets, database: Database, library: Library) -> Services:
    return Services(
        database,
        library,
        assets,
        config.prompt.context_tokens,
        config.prompt.reply_tokens,
        dict(config.prompt.params),
        config.narrator.seed,
        random.Random(),
        config.fallback_models,
        config.game.narrator_updates,
        config.game.keep_people,
        config.quick_replies,
    )


def read_assets(home: Home) -> Assets:
    """Returns the shipped assets and the user's; what cannot be used is in the log."""
    assets = load_assets((SHIPPED, home.assets))
    for problem in assets.problems:
        log.warning("asset skipped: %s", problem)
    return assets


class Narrators:
    """The roster in use and the task that keeps it fresh."""

    def __init__(self, nursery: trio.Nursery, roster: Roster) -> None:
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self.roster = roster
        nursery.start_soon(self._run, roster, self._scope)

    def use(self, roster: Roster) -> None:
        """Starts keeping ``roster`` fresh, and stops with the one before."""
        self._scope.cancel()
        self._scope = trio.CancelScope()
        self.roster = roster
        self._nursery.start_soon(self._run, roster, self._scope)

    async def _run(self, roster: Roster, scope: trio.CancelScope) -> None:
        with scope:
            await keep_running("the list of models", roster.run)


async def reconfigure(home: Home, place: Place, engine: Engine, narrators: Narrators) -> None:
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
    old = narrators.roster
    services = engine.services
    engine.use(make_services(config, read_assets(home), services.database, services.library), roster)
    narrators.use(roster)
    log.info("settings read again")
    try:
        for session in tuple(engine.sessions):
            await engine.lore.sync(session.world_id)
        for client in tuple(engine.clients):
            await engine.sync(client)
    except FlowerError as error:  # this task must outlive it: without it the engine ends
        engine.broadcast(f"✗ {error}", State())
    engine.broadcast("✓ The settings were read again.", State())
    await engine.turns.wait_idle()
    await old.aclose()
