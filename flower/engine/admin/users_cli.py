"""``flower user``: who else has stories in this home, and the tokens they come in with.

Writes into the database of the home, whether an engine runs or not: what it needs to know it reads there. A new token
is printed once.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import trio

from flower.engine.store import allowances, audit, users
from flower.engine.store.connection import Connection
from flower.engine.store.sqlite.database import Database
from flower.errors import CommandError, StoreError, printable_line
from flower.home import Home, load_config
from flower.installation import as_typed
from flower.text import counted

T = TypeVar("T")

UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
AGES_S = 10 * 366 * 86_400.0
MEANINGS = {
    "stories": "stories, those in the trash too",
    "prompts": "prompts a minute",
    "tokens": "tokens a day, read and written by models",
    "cost": "USD a day",
    "disk": "MiB of stories, library and exports",
    "library": "characters, worlds, rules and lorebooks of their own",
}
LOG_ROWS = 50
FIRST_LABEL = "first"


def add(home: Home, name: str, lasting: str) -> int:
    """Makes a user and their first token."""
    secret, now = users.new_token(), time.time()
    ends = _ends(lasting, now)

    def write(db: Connection) -> None:
        number = users.add(db, name, now)
        users.add_token(db, number, secret, FIRST_LABEL, now, ends)
        audit.note(db, users.HOME, "user added", users.checked_name(name), now)

    change(home, write)
    _show(users.checked_name(name), secret)
    return 0


def show(home: Home) -> int:
    """Lists users with their stories and tokens."""

    def read(db: Connection) -> list[tuple[users.User, list[users.Token]]]:
        return [(user, users.tokens(db, user.id)) for user in users.listed(db)]

    rows = change(home, read)
    if not rows:
        print(
            as_typed("There are no users: the home is one person's. `flower user add NAME` makes one.")
        )
    for user, tokens in rows:
        print(
            f"{printable_line(user.name)}  user {int(user.id)}, {counted(user.stories, 'story', 'stories')}"
        )
        for token in tokens:
            print(f"  {printable_line(token.label)}  made {_day(token.created)}{_until(token.ends)}")
    return 0


def remove(home: Home, name: str) -> int:
    """Deletes a user; their stories go into the trash."""
    now = time.time()

    def write(db: Connection) -> int:
        user = users.named(db, name)
        audit.note(db, users.HOME, "user removed", user.name, now)
        return users.remove(db, user.id, now)

    trashed = change(home, write)
    print(f"Removed; {counted(trashed, 'story', 'stories')} of theirs are gone in a month.")
    return 0


def token(home: Home, name: str, label: str, lasting: str, *, revoked: bool) -> int:
    """Makes another token of a user, or revokes one; without a label lists them."""
    now = time.time()
    if not label:
        if revoked:
            raise CommandError("Which token is revoked? Give its label.")
        rows = change(home, lambda db: users.tokens(db, users.named(db, name).id))
        for one in rows:
            print(f"{printable_line(one.label)}  made {_day(one.created)}{_until(one.ends)}")
        return 0
    if revoked:

        def take(db: Connection) -> bool:
            user = users.named(db, name)
            audit.note(db, user.id, "token revoked", f"{user.name} {label}", now)
            return users.revoke(db, user.id, label)

        if not change(home, take):
            raise CommandError(f"{name} has no token {label!r}.")
        print("Revoked; who is in with it leaves within seconds.")
        return 0
    secret = users.new_token()
    ends = _ends(lasting, now)

    def write(db: Connection) -> None:
        user = users.named(db, name)
        users.add_token(db, user.id, secret, label, now, ends)
        audit.note(db, user.id, "token made", f"{user.name} {label}", now)

    change(home, write)
    _show(name, secret)
    return 0


def limit(home: Home, name: str, what: str, number: str) -> int:
    """Shows or changes what a user may use."""

    def work(db: Connection) -> allowances.UserLimits:
        user = users.named(db, name)
        if what and number:
            audit.note(db, user.id, "limit", f"{user.name} {what} {number}", time.time())
            return allowances.set_limit(db, user.id, what, number)
        return allowances.limits_of(db, user.id)

    if bool(what) != bool(number):
        raise CommandError(f"Which limit, and how much? One of {', '.join(allowances.NAMES)}, or off.")
    allowed = change(home, work)
    for one in allowances.NAMES:
        value = getattr(allowed, one)
        print(
            printable_line(f"{one:<8} {'no limit' if value is None else f'{value:g}'}  {MEANINGS[one]}")
        )
    return 0


def log(home: Home) -> int:
    """Prints the last logins, invites and refusals, the newest first."""
    for entry in change(home, lambda db: audit.newest(db, LOG_ROWS)):
        stamp = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.at))
        print(printable_line(f"{stamp}  {entry.event}  {entry.about}".rstrip()))
    return 0


def _show(name: str, secret: users.NewToken) -> None:
    print(f"The token of {printable_line(name.strip().lower())}; it is shown this once:")
    print(printable_line(secret.text))
    print(as_typed("They play with FLOWER_TOKEN=TOKEN `flower tui --url ADDRESS`."))


def _ends(lasting: str, now: float) -> float | None:
    """Returns when a token ends that is to last ``30d``, ``12h`` or ``90m``; None for "", for ever."""
    return now + seconds(lasting) if lasting else None


def seconds(text: str) -> float:
    """Returns the seconds in ``30d``, ``12h`` or ``90m``. Raises ``CommandError`` for anything else."""
    number, unit = text[:-1], text[-1:].lower() or " "
    if not (number.isascii() and number.isdecimal()) or len(number) > 6 or unit not in UNITS:
        raise CommandError(f"How long? {text[:20]!r} is no time; write 30d, 12h or 90m.")
    span = int(number) * UNITS[unit]
    if not 0 < span <= AGES_S:
        raise CommandError("How long? Between one minute and ten years.")
    return span


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(at))


def _until(ends: float | None) -> str:
    if ends is None:
        return ""
    return f", {'ended' if ends <= time.time() else 'ends'} {time.strftime('%Y-%m-%d %H:%M', time.localtime(ends))}"


# --- the database, beside an engine that may be running -------------------------------------------------


def change(home: Home, work: Callable[[Connection], T]) -> T:
    """Returns ``work(connection)`` done in one transaction. Raises ``StoreError``, and what ``work`` raises."""
    url = load_config(home, os.environ).store
    if url:
        return _at_server(url, work)
    return trio.run(_in_file, home.database, work)


async def _in_file(path: Path, work: Callable[[Connection], T]) -> T:
    database = await Database.open(path)
    try:
        return await database.write(work)
    finally:
        await database.aclose()


def _at_server(url: str, work: Callable[[Connection], T]) -> T:
    """Needs no lease: it changes no story that an engine may have open."""
    try:
        import psycopg

        from flower.engine.store.postgres import definitions, upgrade
        from flower.engine.store.postgres.connection import PostgresConnection, connect
    except ImportError as error:
        raise StoreError("the driver of PostgreSQL is missing: ./start.sh --setup postgres") from error
    try:
        with contextlib.closing(connect(url, {"search_path": definitions.SCHEMA})) as raw:
            upgrade.bring_up_to_date(raw)
        with contextlib.closing(connect(url, definitions.SETTINGS)) as raw, raw.transaction():
            return work(PostgresConnection(raw))
    except psycopg.Error as error:
        raise StoreError(f"PostgreSQL refused: {str(error).splitlines()[0]}") from error
