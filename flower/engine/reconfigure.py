"""What ``config.yaml`` and the assets set for an engine: at the start, and again when they change.

Owns the making of services and models from settings, and the change to others while stories run: a reply that is
being written ends as it began, the next one has the new settings. Where the engine listens, and the embedding
model, stay as they were until a restart. Files are looked at when the system tells of a change while a client is
connected, by size and time alone; nobody connected, nothing is looked at.
"""

from __future__ import annotations

import logging
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NoReturn

import trio
from msgspec.structs import replace

from flower.engine.assets.kinds import Assets
from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.assets.shelves import written_of
from flower.engine.folder_events import FolderEvents
from flower.engine.logs import configure_logging
from flower.engine.prompt.turn_input import Services
from flower.engine.provider.registry import ModelRegistry
from flower.engine.recall.base import Library
from flower.engine.server.lifetime import Lifetime
from flower.engine.server.listener import Listener
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.own_libraries import shared_of
from flower.engine.sessions.rights import one_problem
from flower.engine.store.connection import Store
from flower.engine.tasks import guarded, keep_running
from flower.errors import FlowerError
from flower.home import Home, load_config, user_home
from flower.protocol.messages import State
from flower.settings.config import Config

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 60.0  # changes that the system did not tell of, as on a network mount, are seen then
WRITTEN_S = 0.3  # a file that is still being written is not read
WATCHED_FILES = 5_000  # further ones wait for /reload
NAMES_TOLD = 3  # files named in one line

Stamp = tuple[int, int, int]  # time of change in ns, size, inode


def make_services(config: Config, assets: Assets, database: Store, library: Library) -> Services:
    """Returns what turns work with, as the settings have it."""
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
        prepare=config.prompt.prepare,
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
        log.warning("asset: %s", problem)
    return assets


class RegistryRefresh:
    """The registry in use and the task that keeps it fresh."""

    def __init__(self, nursery: trio.Nursery, registry: ModelRegistry) -> None:
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self.follow(registry)

    def follow(self, registry: ModelRegistry) -> None:
        """Starts keeping ``registry`` fresh, and stops with the one before."""
        self._scope.cancel()
        self._scope = trio.CancelScope()
        self.registry = registry
        self._nursery.start_soon(self._run, registry, self._scope)

    def retire(self, registry: ModelRegistry, wait_unused: Callable[[], Awaitable[None]]) -> None:
        """Closes a registry once nobody uses it any more; whoever asks for that does not wait."""
        self._nursery.start_soon(
            guarded, "closing the providers before", self._close, registry, wait_unused
        )

    async def _run(self, registry: ModelRegistry, scope: trio.CancelScope) -> None:
        with scope:
            await keep_running("the list of models", registry.run)

    async def _close(self, registry: ModelRegistry, wait_unused: Callable[[], Awaitable[None]]) -> None:
        await wait_unused()
        await registry.aclose()


class Reloader:
    """Settings and assets of a running engine; see ``Program`` for what commands want of it."""

    def __init__(
        self, home: Home, config: Config, place: Listener, engine: Engine, refresh: RegistryRefresh
    ) -> None:
        self.home = home
        self.config = config
        self.problems: tuple[str, ...] = ()
        self._place = place
        self._engine = engine
        self._refresh = refresh
        self._reading = trio.Lock()

    async def reload(self) -> None:
        """Reads everything again and tells every client."""
        await self.read(whole=True, sentence="The settings were read again.")

    async def read(self, *, whole: bool, sentence: str) -> None:
        """Reads settings and assets and goes on with them; settings that are wrong stay as they were.

        ``whole``: models are set up anew although their settings are the same, since keys may have come from files.
        """
        async with self._reading:
            bad = await self._read(whole=whole)
        engine = self._engine
        try:
            for session in tuple(engine.stories.sessions):
                await engine.lore.sync(session.world_id)
            for client in tuple(engine.clients):
                await engine.sync(client)
        except FlowerError as error:  # this task must outlive it: without it the engine ends
            engine.broadcast(f"✗ {error}", State())
        problems = engine.problems()
        text = f"✗ {bad} The settings stay as they were." if bad else f"✓ {sentence}"
        if problems and not bad:
            text = f"✗ {sentence} {one_problem(problems)}"
        engine.broadcast(text, State(problems=problems))

    async def _read(self, *, whole: bool) -> str:
        """Takes over what is in the files; returns what is wrong with the settings, ``""`` for nothing."""
        bad = ""
        config = self.config
        registry = None
        try:
            config = await trio.to_thread.run_sync(load_config, self.home, os.environ)
            self._place.retoken(self.home, config)
            if whole or _of_models(config) != _of_models(self.config):
                registry = ModelRegistry(config, self.home)
            self.problems = ()
        except FlowerError as error:
            log.error("settings not read again: %s", error)
            self.problems = tuple(str(error).splitlines())
            bad = one_problem(self.problems)
            config = self.config
        self._use(config, await trio.to_thread.run_sync(read_assets, self.home), registry)
        log.info("settings and assets read again")
        return bad

    def _use(self, config: Config, assets: Assets, registry: ModelRegistry | None) -> None:
        old, engine = self._refresh.registry, self._engine
        services = engine.services
        if config != self.config:
            configure_logging(config, self.home)
            self.config = config
        engine.use(
            make_services(config, assets, services.database, services.library),
            registry or engine.registry,
        )
        if registry is not None:
            self._refresh.follow(registry)
            self._refresh.retire(old, engine.turns.wait_idle)

    # --- when ---------------------------------------------------------------------------------

    async def reload_on_hangup(
        self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Reads everything again at every SIGHUP; ``started`` once none can be missed."""
        with trio.open_signal_receiver(signal.SIGHUP) as signals:
            task_status.started()
            async for _ in signals:
                await self.reload()
        raise AssertionError("signals never end")

    async def watch(self, lifetime: Lifetime) -> NoReturn:
        """Reads again what somebody has changed, for as long as somebody is there to see it."""
        before: Mapping[Path, Stamp] = await trio.to_thread.run_sync(stamps, self.home)
        with FolderEvents() as events:
            while True:
                while not lifetime.clients:
                    await lifetime.wait_changed()
                events.watch(folders(self.home))
                now: Mapping[Path, Stamp] = await trio.to_thread.run_sync(stamps, self.home)
                if now != before:
                    now = await self._settled(now)
                    await self._take(changed(before, now))
                    before = now
                await events.wait(LOOK_AGAIN_S)

    async def _settled(self, now: Mapping[Path, Stamp]) -> Mapping[Path, Stamp]:
        """Returns how the files are once nobody is writing them any more."""
        while True:
            await trio.sleep(WRITTEN_S)
            later = await trio.to_thread.run_sync(stamps, self.home)
            if later == now:
                return now
            now = later

    async def _take(self, paths: tuple[Path, ...]) -> None:
        """Reads what was changed; says nothing of what a command of ours has written and taken over itself."""
        if not await self._differs(paths):
            return
        names = [str(path.relative_to(self.home.root)) for path in paths[:NAMES_TOLD]]
        more = len(paths) - len(names)
        names += [f"{more} more"] if more else []
        phrases = any(self.home.assets / "phrases" in path.parents for path in paths)
        await self.read(whole=phrases, sentence=f"Read again: {', '.join(names)}.")

    async def _differs(self, paths: tuple[Path, ...]) -> bool:
        """Whether the files say anything that this engine does not know yet."""
        if self.home.root / "themes" in {path.parent for path in paths}:
            return True
        if any(self.home.assets / "phrases" in path.parents for path in paths):
            return True
        try:
            config = await trio.to_thread.run_sync(load_config, self.home, os.environ)
            if config != self.config or self.problems:
                return True
        except FlowerError as error:
            if tuple(str(error).splitlines()) != self.problems:
                return True
        assets = await trio.to_thread.run_sync(load_assets, (SHIPPED, self.home.assets))
        held = self._engine.services.assets
        return assets != shared_of(held)._replace(characters=written_of(held.characters))


def _of_models(config: Config) -> Config:
    """Returns the settings that models are set up from; the others as they come."""
    other = Config()
    return replace(
        config,
        engine=other.engine,
        tui=other.tui,
        embedding=other.embedding,
        prompt=other.prompt,
        game=other.game,
        lore=other.lore,
        quick_replies=(),
    )


def folders(home: Home) -> tuple[Path, ...]:
    """Returns the folders that people write files for Flower in: the home, the assets, those of their kinds."""
    assets = home.assets
    kinds = ("worlds", "characters", "rules", "phrases", "phrases/settings")
    return (home.root, assets, *(assets / name for name in kinds), home.root / "themes")


def stamps(home: Home) -> dict[Path, Stamp]:
    """Returns size and time of every file that people write for Flower, by path."""
    assets = home.assets
    stamped: dict[Path, Stamp] = {}
    for path in (home.config, assets / "system_rules.yaml"):
        try:
            status = path.stat()
        except OSError:
            continue
        stamped[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    for folder in folders(home)[2:]:
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.startswith(".") and entry.name.endswith((".yaml", ".yml")):
                        status = entry.stat()
                        stamped[folder / entry.name] = (
                            status.st_mtime_ns, status.st_size, status.st_ino,
                        )  # fmt: skip
                    if len(stamped) >= WATCHED_FILES:
                        return stamped
        except OSError:
            continue  # no such folder, or a file of it is gone at this very moment
    return stamped


def changed(before: Mapping[Path, Stamp], now: Mapping[Path, Stamp]) -> tuple[Path, ...]:
    """Returns the paths that came, went or were written."""
    return tuple(sorted(path for path in {*before, *now} if before.get(path) != now.get(path)))
