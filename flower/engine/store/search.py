"""Searching the words of all stories, and the summaries of their older parts. Functions over a connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct

from flower.engine.store import paths, seats, stories

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

SEARCH_RESULTS = 20
SEARCH_RANKED = 20_000  # messages with the words; of more the newest come first, unranked
SEARCH_EXCERPT_WORDS = 12  # around what was found: one row; 64 is the most the index can cut out
OWNERS_NAMED = 64  # in a query; who sits at the tables of more has everybody's messages passed over

_ALL_OF = "SELECT rowid FROM messages_fts WHERE messages_fts MATCH ?"
_MARK = "\u2026"


class MessageHit(Struct, frozen=True):
    """A message that holds the words; ``excerpt`` is the part of it around them, on one line."""

    session_id: str
    title: str
    message_id: int
    role: str
    excerpt: str


def search(
    db: Connection, words: str, most: int = SEARCH_RESULTS, *, user: int = 0
) -> list[MessageHit]:
    """Returns the messages ``user`` may see that hold all of ``words``, the best first; every branch, no trash.

    Words that very many messages hold make none of them better; without any other the newest come first.

    The words are looked for as they are: no operator of the index's own language is obeyed.
    """
    phrases = ['"' + word.replace('"', '""') + '"' for word in dict.fromkeys(words.split())]
    if not phrases:
        return []
    names_owners = getattr(db, "search_index", None) is not None  # that of a server's stories
    in_texts, owners, condition, values = _in_texts(phrases, names_owners), "", "", list[str]()
    if user or stories.has_others(db):
        seen = seats.seen(db, user)
        if names_owners:
            owners = _by_owners({user, *(owner for _, owner in seen)})
        # Whoever has somebody at one table has other stories too: rows decide what may be seen.
        condition = " AND s.id IN (SELECT value FROM json_each(?))"
        values.append(json.dumps([session_id for session_id, _ in seen]))
    telling_apart = [phrase for phrase in phrases if _is_telling(db, _in_texts([phrase], names_owners))]
    order = "rank, messages_fts.rowid DESC" if telling_apart else "rowid DESC"
    if telling_apart and telling_apart != phrases:
        # Ranking counts all messages with a word: of one that is everywhere that would take the longest.
        condition = f" AND +messages_fts.rowid IN ({_ALL_OF}){condition}"
        values.insert(0, in_texts + owners)
    # The page first: excerpts of everything that has the words would be cut only to be sorted away.
    page = db.execute(
        "SELECT messages_fts.rowid, s.id, s.title, m.role FROM messages_fts"  # noqa: S608 - our own words
        " CROSS JOIN messages m ON m.id = messages_fts.rowid CROSS JOIN sessions s ON s.id = m.session_id"
        f" WHERE messages_fts MATCH ? AND m.deleted IS NULL AND s.deleted IS NULL{condition}"
        f" ORDER BY messages_fts.{order} LIMIT ?",
        (_in_texts(telling_apart or phrases, names_owners) + owners, *values, most),
    ).fetchall()
    rows = [
        (session_id, title, message_id, role, _excerpt(db, in_texts, message_id))
        for message_id, session_id, title, role in page
    ]
    return [
        MessageHit(
            session_id=session_id,
            title=title,
            message_id=message_id,
            role=role,
            excerpt=" ".join(excerpt.split()),
        )
        for session_id, title, message_id, role, excerpt in rows
    ]


def _by_owners(owners: set[int]) -> str:
    """Returns what has a query pass by everybody else's messages, so that it costs what these have written."""
    if len(owners) > OWNERS_NAMED:
        return ""
    return f" AND owner : ({' OR '.join(map(owner_word, sorted(owners)))})"


def owner_word(user: int) -> str:
    """Returns the word that the index of a server's stories has, beside a text, for who made its story."""
    return f"u{user}"


def _in_texts(phrases: list[str], names_owners: bool) -> str:
    """Returns a query for messages with all phrases, not for what an index knows beside their texts."""
    query = " ".join(phrases)
    return f"content : ({query})" if names_owners else query


def _is_telling(db: Connection, query: str) -> bool:
    """Whether some messages hold a word, and not so many that no ranking tells them apart."""
    counted = "SELECT count(*) FROM (SELECT 1 FROM messages_fts WHERE messages_fts MATCH ? LIMIT ?)"
    (count,) = db.execute(counted, (query, SEARCH_RANKED + 1)).fetchone()
    return 0 < int(count) <= SEARCH_RANKED  # signs alone are in none, and no word to the index


def _excerpt(db: Connection, query: str, message_id: int) -> str:
    row = db.execute(
        "SELECT snippet(messages_fts, 0, '', '', ?, ?) FROM messages_fts"
        " WHERE messages_fts MATCH ? AND rowid = ?",
        (_MARK, SEARCH_EXCERPT_WORDS, query, message_id),
    ).fetchone()
    return str(row[0]) if row else ""


# --- Summaries of the older parts of stories, as functions over a connection.
#
# A summary belongs to the message it ends with. In a tree all that is above a message never changes, so
# a summary is right for every branch that its message is on, and for no other.


class Summary(Struct, frozen=True):
    """What happened from the beginning of a story to message ``last_id``."""

    last_id: int
    text: str


def add(db: Connection, last_id: int, text: str, now: float) -> None:
    """Stores the summary of a story up to a message, in the place of one that was there."""
    db.execute(
        "INSERT INTO summaries (last_id, text, created) VALUES (?, ?, ?)"
        " ON CONFLICT (last_id) DO UPDATE SET text = excluded.text, created = excluded.created",
        (last_id, text, now),
    )
    paths.changed(db, last_id)


def newest(db: Connection, leaf: int | None, *, before: int | None = None) -> Summary | None:
    """Returns the summary that reaches furthest on the way to ``leaf``, ending above ``before``."""
    last_id = paths.way(db, leaf).summarised(before)
    if last_id is None:
        return None
    row = db.execute("SELECT last_id, text FROM summaries WHERE last_id = ?", (last_id,)).fetchone()
    return Summary(*row) if row else None


def own_task(db: Connection, session_id: str) -> str:
    """Returns how the player wants this story's summary written, "" for the usual way."""
    stored = stories.session(db, session_id)
    return stored.extra.summary_task if stored is not None else ""


def set_own_task(db: Connection, session_id: str, task: str) -> None:
    """Stores how the player wants this story's summary written; an empty text for the usual way."""
    stories.set_session_extra(db, session_id, {"summary_task": task or None})
