"""What a user may use and has used: limits, and a row for each day, as functions over a connection.

A day is one of UTC, counted since 1970. Functions that write expect to run inside ``Database.write``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from flower.engine.store.extra import json_object
from flower.engine.store.library import own_assets
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

DAY_S = 86_400
MOST = 10**12  # of any limit
DAYS_KEPT = 400


class UserLimits(Struct, frozen=True, omit_defaults=True):
    """What a user may use at most; None: as much as they like.

    ``stories`` counts the trash too, ``prompts`` are a minute's, ``tokens`` (read and written by models) and
    ``cost`` (USD) a day's, ``disk`` is MiB of their stories, library and exports, ``library`` how many characters,
    worlds, rules and lorebooks they have of their own.
    """

    stories: int | None = None
    prompts: int | None = None
    tokens: int | None = None
    cost: float | None = None
    disk: int | None = None
    library: int | None = None

    @property
    def most_own(self) -> int:
        """How many things a user may have in their library."""
        return own_assets.MOST if self.library is None else min(self.library, own_assets.MOST)


NAMES = UserLimits.__struct_fields__


class Allowance(Struct, frozen=True):
    """What a user may use, and what they have used today."""

    limits: UserLimits
    stories: int = 0
    tokens: int = 0
    cost: float = 0.0


def day_of(now: float) -> int:
    """Returns the day of a time in Unix seconds."""
    return int(now // DAY_S)


def limits_of(db: Connection, user: int) -> UserLimits:
    """Returns a user's limits; none where they cannot be read."""
    row = db.execute("SELECT extra FROM users WHERE id = ?", (user,)).fetchone()
    try:
        return msgspec.convert(json_object(row[0] if row else "").get("limits", {}), UserLimits)
    except msgspec.ValidationError:
        return UserLimits()


def set_limit(db: Connection, user: int, name: str, text: str) -> UserLimits:
    """Changes one limit, ``off`` takes it back; returns all. Raises ``CommandError`` for what is none."""
    if name not in NAMES:
        raise CommandError(f"There is no limit {name[:20]!r}; there are {', '.join(NAMES)}.")
    present = limits_of(db, user)
    new = msgspec.structs.replace(present, **{name: _number(name, text)})
    limit(db, user, new)
    return new


def limit(db: Connection, user: int, limits: UserLimits) -> None:
    """Gives a user these limits and no others."""
    row = db.execute("SELECT extra FROM users WHERE id = ?", (user,)).fetchone()
    extra = {**json_object(row[0] if row else ""), "limits": msgspec.to_builtins(limits)}
    db.execute("UPDATE users SET extra = ? WHERE id = ?", (json.dumps(extra), user))


def _number(name: str, text: str) -> float | int | None:
    if text.lower() == "off":
        return None
    whole, dot, rest = text.partition(".")
    digits = whole + rest
    is_number = (
        digits.isascii() and digits.isdecimal() and len(digits) <= 12 and (not dot or name == "cost")
    )
    if not is_number or float(text) > MOST:
        raise CommandError(f"{text[:20]!r} is no limit; a number like 50, or off.")
    return float(text) if name == "cost" else int(whole)


def allowance(db: Connection, user: int, now: float) -> Allowance:
    """Returns what a user may use, and what they have used today."""
    limits = limits_of(db, user)
    if limits == UserLimits():
        return Allowance(limits)
    row = db.execute(
        "SELECT tokens, cost FROM user_days WHERE user_id = ? AND day = ?", (user, day_of(now))
    ).fetchone()
    tokens, cost = row or (0, 0.0)
    stories = 0
    if limits.stories is not None:
        (stories,) = db.execute("SELECT count(*) FROM sessions WHERE owner = ?", (user,)).fetchone()
    return Allowance(limits, stories, int(tokens), float(cost))


def spend(db: Connection, user: int, tokens: int, cost: float, now: float) -> None:
    """Counts a reply that a user asked for."""
    day = day_of(now)
    db.execute(
        "INSERT INTO user_days (user_id, day, prompts, tokens, cost) VALUES (:user, :day, 1, :tokens, :cost)"
        " ON CONFLICT (user_id, day) DO UPDATE SET prompts = user_days.prompts + 1,"
        " tokens = user_days.tokens + excluded.tokens, cost = user_days.cost + excluded.cost",
        {"user": user, "day": day, "tokens": tokens, "cost": cost},
    )
    db.execute("DELETE FROM user_days WHERE user_id = ? AND day < ?", (user, day - DAYS_KEPT))


def written_bytes(db: Connection, user: int) -> int:
    """Returns how long all texts of a user's stories and library are, about in bytes; reads all of them."""
    (size,) = db.execute(
        "SELECT coalesce(sum(length(m.content)), 0) FROM sessions s"
        " CROSS JOIN messages m ON m.session_id = s.id WHERE s.owner = ?",
        (user,),
    ).fetchone()
    return int(size) + own_assets.size(db, user)
