"""The player's personas, as functions over a connection: several, one of them the default, some bound.

A persona that is bound to a story or to a character is the player's there. Every function that writes
expects to run inside ``Database.write``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

Bound = Literal["character", "file", "story"]  # "file": of a character card that may come later


class StoredPersona(Struct, frozen=True):
    """A persona's row. ``title`` tells those of one name apart."""

    id: int
    name: str
    title: str
    description: str
    is_default: bool


_OWNER_OF_STORY = "coalesce((SELECT owner FROM sessions WHERE id = {}), 0)"
_COLUMNS = "p.id, p.name, p.title, p.description, p.is_default"


def _persona(row: tuple[int, str, str, str, int]) -> StoredPersona:
    return StoredPersona(row[0], row[1], row[2], row[3], bool(row[4]))


def put(
    db: Connection,
    name: str,
    title: str,
    description: str,
    now: float,
    *,
    file: str = "",
    linked_book: str = "",
    original: int | None = None,
    owner: int = 0,
) -> int:
    """Stores a user's persona, in the place of theirs with its name and title; returns its id."""
    row = db.execute(
        "SELECT id FROM personas WHERE name = ? AND title = ? AND owner = ?", (name, title, owner)
    ).fetchone()
    if row is not None:
        db.execute(
            "UPDATE personas SET description = ?, updated = ?, original = coalesce(?, original) WHERE id = ?",
            (description, now, original, row[0]),
        )
        return int(row[0])
    cursor = db.execute(
        "INSERT INTO personas (name, title, description, file, linked_book, original, updated, owner)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (name, title, description, file, linked_book, original, now, owner),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def change(
    db: Connection, persona_id: int, name: str, title: str, description: str, now: float
) -> bool:
    """Stores a persona under other words; returns whether no other one of its user has its name and title."""
    other = db.execute(
        "SELECT 1 FROM personas WHERE name = ? AND title = ? AND id != ?"
        " AND owner = (SELECT owner FROM personas WHERE id = ?)",
        (name, title, persona_id, persona_id),
    ).fetchone()
    if other is None:
        db.execute(
            "UPDATE personas SET name = ?, title = ?, description = ?, updated = ? WHERE id = ?",
            (name, title, description, now, persona_id),
        )
    return other is None


def listed(db: Connection, owner: int = 0) -> list[StoredPersona]:
    """Returns all personas of a user, the default one first, then by name."""
    return _listed(db, "?", owner)


def _listed(db: Connection, owner: str, value: int | str) -> list[StoredPersona]:
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM personas p WHERE p.owner = {owner}"  # noqa: S608 - our own words
        " ORDER BY p.is_default DESC, p.name, p.title",
        (value,),
    )
    return [_persona(row) for row in rows]


def find(db: Connection, name: str, owner: int = 0) -> StoredPersona | None:
    """Returns the persona of a user that has that name, number or ``name (title)``."""
    return _named(listed(db, owner), name)


def find_in_story(db: Connection, name: str, session_id: str) -> StoredPersona | None:
    """Returns the persona of that name of whoever made a story."""
    return _named(_listed(db, _OWNER_OF_STORY.format("?"), session_id), name)


def _named(personas: Sequence[StoredPersona], name: str) -> StoredPersona | None:
    for persona in personas:
        names = (persona.name, str(persona.id), f"{persona.name} ({persona.title})")
        if name.casefold() in [one.casefold() for one in names]:
            return persona
    return None


def make_default(db: Connection, persona_id: int | None, owner: int = 0) -> None:
    """Makes one persona of a user that of their new stories, or none."""
    db.execute(
        "UPDATE personas SET is_default = CASE WHEN id = ? THEN 1 ELSE 0 END WHERE owner = ?",
        (persona_id if persona_id is not None else -1, owner),
    )


def default_name(db: Connection, owner: int = 0) -> str:
    """Returns the name of a user's default persona, "" when they have none."""
    row = db.execute(
        "SELECT name FROM personas WHERE owner = ? AND is_default != 0", (owner,)
    ).fetchone()
    return str(row[0]) if row else ""


def of_user(owner: int, character_id: str) -> str:
    """Returns what a user's persona is bound to when it is bound to a character."""
    return f"@{owner}/{character_id}" if owner else character_id


def bind(db: Connection, persona_id: int, kind: Bound, owner: str) -> None:
    """Makes a persona that of a character or story."""
    db.execute(
        "INSERT INTO persona_owners VALUES (?, ?, ?)"
        " ON CONFLICT (kind, owner) DO UPDATE SET persona_id = excluded.persona_id",
        (kind, owner, persona_id),
    )


def unbind(db: Connection, kind: Bound, owner: str) -> bool:
    """Lets a character or story have no persona of its own; returns whether it had."""
    cursor = db.execute("DELETE FROM persona_owners WHERE kind = ? AND owner = ?", (kind, owner))
    return cursor.rowcount > 0


def bind_files(db: Connection, persona_id: int, files: Sequence[str], owner: int = 0) -> None:
    """Binds a user's persona to cards of theirs by the names of their files, whether they are here yet or not."""
    for file in files:
        row = db.execute(
            "SELECT id FROM characters WHERE file = ? AND owner = ?", (file, owner)
        ).fetchone()
        bind(db, persona_id, "character" if row else "file", of_user(owner, row[0] if row else file))


def claim(db: Connection, file: str, character_id: str, owner: int = 0) -> None:
    """Gives a user's character the persona of theirs that waited for its card's file."""
    waiting = of_user(owner, file)
    db.execute(
        "INSERT INTO persona_owners SELECT 'character', ?, persona_id FROM persona_owners"
        " WHERE kind = 'file' AND owner = ? ON CONFLICT DO NOTHING",
        (of_user(owner, character_id), waiting),
    )
    db.execute("DELETE FROM persona_owners WHERE kind = 'file' AND owner = ?", (waiting,))


def for_story(
    db: Connection, session_id: str, character_id: str, owner: int = 0
) -> StoredPersona | None:
    """Returns the persona bound to a story, else to its character, else the default one.

    ``owner``: whose story it is to be, while there is none yet.
    """
    row = db.execute(
        f"""
        SELECT {_COLUMNS} FROM personas p LEFT JOIN persona_owners o ON o.persona_id = p.id
        WHERE p.owner = coalesce((SELECT owner FROM sessions WHERE id = :story), :owner)
          AND ((o.kind = 'story' AND o.owner = :story) OR (o.kind = 'character' AND o.owner = :character)
           OR p.is_default != 0)
        ORDER BY coalesce(o.kind = 'story' AND o.owner = :story, false) DESC,
            coalesce(o.kind = 'character' AND o.owner = :character, false) DESC
        LIMIT 1
        """,  # noqa: S608 - only constants are put in
        {"story": session_id, "character": of_user(owner, character_id), "owner": owner},
    ).fetchone()
    return _persona(row) if row else None


def with_book(db: Connection, book_file: str, owner: int = 0) -> list[int]:
    """Returns a user's personas that point to a lorebook of this name."""
    rows = db.execute(
        "SELECT id FROM personas WHERE linked_book = ? AND linked_book != '' AND owner = ?",
        (book_file, owner),
    )
    return [row[0] for row in rows]


def remove(db: Connection, persona_id: int) -> bool:
    """Deletes a persona; returns whether there was one."""
    db.execute("DELETE FROM book_owners WHERE kind = 'persona' AND owner = ?", (str(persona_id),))
    return db.execute("DELETE FROM personas WHERE id = ?", (persona_id,)).rowcount > 0
