"""``flower migrate``: the stories of a home into a PostgreSQL database, or back into a file of the home.

Claims the home, and is alone on the database: no engine can be running on either. What is copied stays where it was;
the settings decide which of the two is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import trio

from flower import launch
from flower.engine.store.connection import Store
from flower.engine.store.sqlite.database import Database
from flower.engine.store.sqlite.file import fold_log, make_private, replace_durably
from flower.engine.store.transfer import copying
from flower.engine.store.transfer.copying import Copied
from flower.errors import StoreError, printable_line
from flower.home import Home, load_config

HOME = "home"  # the target that is the file of the home


def run(home: Home, target: str) -> int:
    """Copies the stories to ``target``, a URL or ``HOME``; returns the exit code.

    Raises ``StoreError`` with a sentence; what was copied until then stays, and the same command goes on with it.
    """
    if target != HOME and not target.startswith(("postgresql://", "postgres://")):
        raise StoreError(f"--to takes a URL like postgresql://flower@localhost/flower, or {HOME!r}")
    url = load_config(home, os.environ).store
    with launch.claim(home):
        if target == HOME:
            if not url:
                raise StoreError("the stories are in the home already; `store` names no database")
            copied = trio.run(partial(_bring_home, home, url))
            print(
                f"Copied into {printable_line(home.database)}. Take `store` out of the settings to play there."
            )
        else:
            if not home.database.exists():
                raise StoreError(f"there are no stories in {home.root} yet")
            copied = trio.run(partial(_take_out, home, target))
            print("Copied. With this URL as `store` in config.yaml the stories are played there.")
    counted = ", ".join(f"{copied.rows[name]} {what}" for name, what in _TOLD)
    print(f"{counted}; every row was compared.")
    return 0


_TOLD = (("sessions", "stories"), ("messages", "messages"), ("passages", "passages of lore and memory"))


async def _take_out(home: Home, url: str) -> Copied:
    source = await Database.open(home.database)
    try:
        return await _with_server(url, home, partial(_copy_to_server, source, home))
    finally:
        await source.aclose()


async def _with_server(url: str, home: Home, work: Callable[[Store], Awaitable[Copied]]) -> Copied:
    try:
        from flower.engine.store.postgres.database import PostgresDatabase
    except ImportError as error:
        raise StoreError("the driver of PostgreSQL is missing: ./start.sh --setup postgres") from error
    server = await PostgresDatabase.open(url, home.database, alone=True)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.keep_alive)
            copied: Copied = await work(server)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from group
    finally:
        await server.aclose()
    return copied


async def _copy_to_server(source: Store, home: Home, server: Store) -> Copied:
    mark = f"{home.database.resolve()}"
    await server.write(copying.begin, mark)
    copied = await copying.copy(source, server, _say)
    await server.write(copying.end)
    return copied


async def _bring_home(home: Home, url: str) -> Copied:
    if home.database.exists():
        raise StoreError(f"{home.database} is there already; it is not overwritten. Move it away first")
    return await _with_server(url, home, partial(_copy_home, home))


async def _copy_home(home: Home, server: Store) -> Copied:
    draft = home.database.with_name(f"{home.database.name}.migrating")
    target = await Database.open(draft)
    try:
        copied = await copying.copy(server, target, _say)
    finally:
        await target.aclose()
    await trio.to_thread.run_sync(_put_in_place, draft, home.database)
    return copied


def _put_in_place(draft: Path, target: Path) -> None:
    fold_log(draft)
    make_private(draft)
    replace_durably(draft, target)


def _say(line: str) -> None:
    print(printable_line(line), file=sys.stderr)
