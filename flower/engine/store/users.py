"""The people of one home beside its owner, and the tokens they come in with, as functions over a connection.

The home's owner is user 0 and has no row; who has the home's own token or its files is that. A token is
``MARK.SECRET``: by its mark its row is found, of its secret only a hash is kept, so that whoever reads the database
can come in as nobody. Hashes are compared in constant time. Every function that writes expects to run inside
``Database.write``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Struct

from flower import limits
from flower.engine.store.extra import json_object
from flower.engine.store.library import own_assets
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

USERS = 10_000  # of one home
USER_NAME_CHARS = 32
USER_TOKENS = 20  # of one user: a laptop, a phone

GUEST = "guest"  # in a row's extra data: came in with a code and has nothing but a seat
HOME = 0  # the number of the home's owner
HOME_NAME = "home"  # what they are called at tables; nobody else can be
MARK_BYTES = 6
LABEL_CHARS = 40
_NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")
_HEX = frozenset("0123456789abcdef")
_NONE = b"\0" * hashlib.sha256().digest_size  # compared with when there is no such token


class User(Struct, frozen=True):
    """Somebody with a name. ``stories`` counts those they made, trash included."""

    id: int
    name: str
    created: float
    stories: int = 0


class Token(Struct, frozen=True):
    """What is kept of a token. ``ends``: when it stops to hold (Unix seconds), None for never."""

    mark: str
    label: str
    created: float
    ends: float | None


class NewToken(Struct, frozen=True):
    """A new token or invite code: ``text`` is shown once, ``mark`` and ``hash`` are kept."""

    text: str
    mark: str
    hash: bytes


def checked_name(name: str) -> str:
    """Returns a name as it is kept. Raises ``CommandError`` for one that cannot be somebody's."""
    name = name.strip().lower()
    if name == HOME_NAME:
        raise CommandError(f"{HOME_NAME!r} is what the home's owner is called; choose another name.")
    if not name or len(name) > USER_NAME_CHARS or not _NAME_SIGNS.issuperset(name):
        raise CommandError(
            f"A name has up to {USER_NAME_CHARS} small letters, digits, - and _, for example ines."
        )
    return name


# --- users ------------------------------------------------------------------------------------------


def add(db: Connection, name: str, now: float) -> int:
    """Returns the number of a new user. Raises ``CommandError`` when the name is taken or there are too many."""
    name = checked_name(name)
    if find(db, name) is not None:
        raise CommandError(f"There is a user {name!r} already.")
    if db.execute("SELECT count(*) FROM users").fetchone()[0] >= USERS:
        raise CommandError(f"There are {USERS} users, the most one home has.")
    number = db.execute("INSERT INTO users (name, created) VALUES (?, ?)", (name, now)).lastrowid
    assert number is not None
    return number


def add_guest(db: Connection, token: NewToken, now: float, ends: float) -> User:
    """Returns a new user with this token alone, who is gone when it ends. Raises ``CommandError``."""
    remove_ended_guests(db, now)
    name = f"guest-{token.mark}"
    number = add(db, name, now)
    db.execute("UPDATE users SET extra = ? WHERE id = ?", (json.dumps({GUEST: True}), number))
    add_token(db, number, token, GUEST, now, ends)
    return User(number, name, now)


def remove_ended_guests(db: Connection, now: float) -> None:
    """Deletes the guests whose token has ended or was taken back."""
    rows = db.execute(
        "SELECT u.id, u.extra FROM users u WHERE instr(u.extra, ?) AND NOT EXISTS"
        " (SELECT 1 FROM user_tokens t WHERE t.user_id = u.id AND (t.ends IS NULL OR t.ends > ?))",
        (f'"{GUEST}"', now),
    ).fetchall()
    for number, extra in rows:
        if json_object(extra).get(GUEST) is True:
            remove(db, number, now)


def remove(db: Connection, user_id: int, now: float) -> int:
    """Deletes a user with tokens, seats and what was theirs; returns how many stories went into the trash.

    The number is never given again: who is called the same later finds nothing of theirs.
    """
    mine = "SELECT id FROM sessions WHERE owner = ?"
    db.execute(f"DELETE FROM table_codes WHERE session_id IN ({mine})", (user_id,))  # noqa: S608
    db.execute(f"DELETE FROM seats WHERE session_id IN ({mine})", (user_id,))  # noqa: S608
    db.execute("DELETE FROM seats WHERE user_id = ?", (user_id,))
    trashed = db.execute(
        "UPDATE sessions SET deleted = ? WHERE owner = ? AND deleted IS NULL", (now, user_id)
    ).rowcount
    db.execute("DELETE FROM personas WHERE owner = ?", (user_id,))
    own_assets.remove_all(db, user_id)
    db.execute(
        "DELETE FROM selections WHERE client >= ? AND client < ?", (f"@{user_id}/", f"@{user_id}0")
    )
    db.execute("DELETE FROM user_days WHERE user_id = ?", (user_id,))
    db.execute("DELETE FROM users WHERE id = ?", (user_id,))
    return trashed


def find(db: Connection, name: str) -> User | None:
    """Returns the user of that name."""
    row = db.execute("SELECT id, name, created FROM users WHERE name = ?", (name,)).fetchone()
    return User(*row) if row else None


def named(db: Connection, name: str) -> User:
    """Returns the user of that name. Raises ``CommandError`` when nobody is called that."""
    user = find(db, name.strip().lower())
    if user is None:
        raise CommandError(f"There is no user {name.strip()[:USER_NAME_CHARS]!r}.")
    return user


def listed(db: Connection) -> list[User]:
    """Returns everybody by name, with how many stories they made."""
    rows = db.execute(
        "SELECT id, name, created, (SELECT count(*) FROM sessions s WHERE s.owner = users.id)"
        " FROM users ORDER BY name LIMIT ?",
        (USERS,),
    )
    return [User(*row) for row in rows]


# --- tokens -----------------------------------------------------------------------------------------


def new_token() -> NewToken:
    """Returns a token or code that nobody has yet."""
    mark = secrets.token_hex(MARK_BYTES)
    secret = secrets.token_urlsafe(limits.TOKEN_BYTES)
    return NewToken(f"{mark}.{secret}", mark, hash_of(secret))


def hash_of(secret: str) -> bytes:
    """Returns the SHA-256 of a secret: it has 192 random bits, so that nothing slower is needed."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def parts(text: str) -> tuple[str, str] | None:
    """Returns mark and secret of a text that has the form of a token, None for one that has not."""
    mark, dot, secret = text.strip().partition(".")
    if not dot or len(mark) != 2 * MARK_BYTES or not _HEX.issuperset(mark):
        return None
    return mark, secret


def add_token(
    db: Connection, user_id: int, secret: NewToken, label: str, now: float, ends: float | None = None
) -> None:
    """Stores a token of somebody. Raises ``CommandError`` when they have too many, or one called the same."""
    label = label.strip()
    present = tokens(db, user_id)
    if not label or len(label) > LABEL_CHARS:
        raise CommandError(f"A label has 1 to {LABEL_CHARS} characters, for example laptop.")
    if any(token.label == label for token in present):
        raise CommandError(f"There is a token {label!r} already; revoke it or choose another label.")
    if len(present) >= USER_TOKENS:
        raise CommandError(f"There are {USER_TOKENS} tokens of this user, the most; revoke one.")
    db.execute(
        "INSERT INTO user_tokens (mark, hash, user_id, label, created, ends) VALUES (?, ?, ?, ?, ?, ?)",
        (secret.mark, secret.hash, user_id, label, now, ends),
    )


def tokens(db: Connection, user_id: int) -> list[Token]:
    """Returns somebody's tokens, the oldest first; those that have ended too."""
    rows = db.execute(
        "SELECT mark, label, created, ends FROM user_tokens WHERE user_id = ? ORDER BY created, mark",
        (user_id,),
    )
    return [Token(*row) for row in rows]


def revoke(db: Connection, user_id: int, label: str) -> bool:
    """Makes a token hold no longer; returns whether there was one of that label."""
    done = db.execute("DELETE FROM user_tokens WHERE user_id = ? AND label = ?", (user_id, label))
    return done.rowcount > 0


def by_token(db: Connection, text: str, now: float) -> User | None:
    """Returns whose token this is; None when it is nobody's or has ended."""
    halves = parts(text)
    if halves is None:
        return None
    row = db.execute(
        "SELECT t.hash, t.ends, u.id, u.name, u.created FROM user_tokens t"
        " JOIN users u ON u.id = t.user_id WHERE t.mark = ?",
        (halves[0],),
    ).fetchone()
    same = hmac.compare_digest(hash_of(halves[1]), bytes(row[0]) if row else _NONE)
    if row is None or not same or (row[1] is not None and row[1] <= now):
        return None
    return User(*row[2:])


def in_force(db: Connection, marks: Collection[str], now: float) -> frozenset[str]:
    """Returns those of the marks whose tokens hold."""
    valid = set()
    for mark in marks:
        row = db.execute("SELECT ends FROM user_tokens WHERE mark = ?", (mark,)).fetchone()
        if row is not None and (row[0] is None or row[0] > now):
            valid.add(mark)
    return frozenset(valid)
