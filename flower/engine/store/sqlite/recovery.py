"""What can be done for a damaged database: looked through, mended in place, or saved row by row.

First the cheap repairs, which lose nothing: indexes and the word index are made anew from the rows, links
that lead nowhere are cut or given an end. If the file itself is damaged, every row that can still be read is
carried over into a new database. Never touches the damaged file then.
"""

from __future__ import annotations

# ruff: noqa: S608 - only our own words are put into statements, values never
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from flower import limits
from flower.engine.store import streaming_text
from flower.engine.store.sqlite.connection import migrate
from flower.engine.store.sqlite.file import UnreadableError, read_only, reading
from flower.text import counted

SALVAGE_ROWS = 10_000_000  # row ids looked for in a table whose end cannot be found

# Of each index of words: how many rows it must have. It has none of replies that still grow.
WORD_INDEXES = {
    "passages_fts": "SELECT count(*) FROM passages",
    "messages_fts": "SELECT count(*) FROM messages WHERE status != 'streaming'",
}
FIRST_JUMP = 1  # rows skipped behind a damaged one, doubled until one can be read again
Row = tuple[Any, ...]


class RepairReport(Struct, frozen=True):
    """What was found and done, a line each. ``sound``: nothing is wrong any more."""

    sound: bool
    lines: tuple[str, ...]


def look(path: Path) -> RepairReport:
    """Looks a database through without changing it, also while an engine uses it."""
    try:
        with reading(path) as db:
            problems = _problems(db)
            counts = _counts(db)
    except UnreadableError as error:
        return RepairReport(False, (f"{path}: {error}",))
    return RepairReport(not problems, (counts, *problems) if problems else (counts, "No damage found."))


def _counts(db: sqlite3.Connection) -> str:
    stories, messages = (
        db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("sessions", "messages")
    )
    return f"{counted(stories, 'story', 'stories')}, {counted(messages, 'message')}."


def _problems(db: sqlite3.Connection) -> list[str]:
    problems = [text for (text,) in db.execute("PRAGMA integrity_check(20)") if text != "ok"]
    orphans = db.execute("PRAGMA foreign_key_check").fetchall()
    if orphans:
        problems.append(f"{len(orphans)} rows belong to nothing")
    problems += _wrong_rows(db)
    for index in _word_indexes(db):
        # Only numbers are compared: SQLite's own check of such an index needs to write.
        (rows,) = db.execute(WORD_INDEXES[index]).fetchone()
        (indexed,) = db.execute(f"SELECT count(*) FROM {index}_docsize").fetchone()
        if rows != indexed:
            problems.append(f"{index} knows {indexed} of {rows} rows")
    return problems


def _word_indexes(db: sqlite3.Connection) -> list[str]:
    """Returns those that this database has; one of an older schema may lack some."""
    return [index for index in WORD_INDEXES if _has(db, index)]


def _has(db: sqlite3.Connection, table: str) -> bool:
    row = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return row.fetchone() is not None


# --- in place -----------------------------------------------------------------------------------


def mend(path: Path) -> list[str]:
    """Mends in place what can be; returns what was done. Raises ``UnreadableError``; then nothing was."""
    try:
        return _mend(path)
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error


def _mend(path: Path) -> list[str]:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        db.execute("BEGIN IMMEDIATE")
        db.execute("REINDEX")
        for broken in _word_indexes(db):
            db.execute(f"INSERT INTO {broken} ({broken}) VALUES ('delete-all')")
        # Only now, as changes of messages change their index; and no engine is writing them.
        _end_replies(db)
        for index in _word_indexes(db):
            db.execute(f"INSERT INTO {index} ({index}) VALUES ('rebuild')")
        mended = _mend_links(db)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ["The indexes were made anew.", *mended]


def _end_replies(db: sqlite3.Connection) -> None:
    if _has(db, "growth"):
        streaming_text.recover(db)
    else:  # older schemas kept the text so far in the message
        db.execute("UPDATE messages SET status = 'interrupted' WHERE status = 'streaming'")


def _mend_links(db: sqlite3.Connection) -> list[str]:
    """Gives messages without a story one, and cuts links to messages that are gone."""
    lines = []
    lost = db.execute(
        "SELECT session_id, min(created), max(created) FROM messages"
        " WHERE session_id NOT IN (SELECT id FROM sessions) GROUP BY session_id"
    ).fetchall()
    for session_id, first, last in lost:
        db.execute(
            "INSERT INTO sessions (id, world_id, character_id, title, created, updated)"
            " VALUES (?, '', '', 'A recovered story', ?, ?)",
            (session_id, first, last),
        )
    if lost:
        lines.append(f"{len(lost)} stories were made anew around their messages.")
    cut = db.execute(
        "UPDATE messages SET parent_id = (SELECT max(o.id) FROM messages o"
        " WHERE o.session_id = messages.session_id AND o.id < messages.id)"
        f" WHERE parent_id NOT IN (SELECT id FROM messages) OR {_WRONG_PARENT}"
    ).rowcount
    if cut:
        lines.append(f"{cut} messages whose place was lost follow the one before them.")
    db.execute(
        "UPDATE sessions SET active_leaf = (SELECT max(id) FROM messages m WHERE m.session_id = sessions.id)"
        " WHERE active_leaf IS NULL OR active_leaf NOT IN (SELECT id FROM messages)"
    )
    if _has_column(db, "messages", "deleted"):
        moved = db.execute(
            "UPDATE sessions SET active_leaf = (SELECT max(id) FROM messages m"
            f" WHERE m.session_id = sessions.id AND m.deleted IS NULL) WHERE {_WRONG_LEAF}"
        ).rowcount
        if moved:
            lines.append(f"{moved} stories stand at the newest of their own messages again.")
    return lines


# Rows that are whole but wrong. Ids grow from a message to what follows it, so whoever is its own parent, at
# whatever distance, has somewhere a parent that is not older.
_WRONG_PARENT = (
    "parent_id >= id OR session_id !="
    " (SELECT p.session_id FROM messages p WHERE p.id = messages.parent_id)"
)
_WRONG_LEAF = (
    "active_leaf IS NOT NULL AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = sessions.active_leaf"
    " AND m.session_id = sessions.id AND m.deleted IS NULL)"
)


def _wrong_rows(db: sqlite3.Connection) -> Iterator[str]:
    """Yields what is wrong with rows that SQLite finds nothing wrong with."""
    (parents,) = db.execute(f"SELECT count(*) FROM messages WHERE {_WRONG_PARENT}").fetchone()
    if parents:
        yield f"{parents} messages follow themselves, a later one, or one of another story"
    if _has_column(db, "messages", "deleted"):
        (leaves,) = db.execute(f"SELECT count(*) FROM sessions WHERE {_WRONG_LEAF}").fetchone()
        if leaves:
            yield f"{leaves} stories stand at a message that is in the trash or not theirs"


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    row = db.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column))
    return row.fetchone() is not None


# --- into a new file ----------------------------------------------------------------------------


def salvage(damaged: Path, draft: Path) -> list[str]:
    """Carries every row that can be read into a new database; returns how much that was, by table.

    Raises ``UnreadableError`` or ``OSError``.
    """
    draft.unlink(missing_ok=True)
    try:
        with (
            closing(read_only(damaged)) as old,
            closing(sqlite3.connect(draft, isolation_level=None)) as new,
        ):
            # Go on with as much of the schema as can be read; without this a lost part is the end.
            old.execute("PRAGMA writable_schema = ON")
            new.execute(f"PRAGMA page_size = {limits.PAGE_BYTES}")
            # A draft that a power cut spoils is thrown away; whoever puts it in its place brings it to the disk.
            new.execute("PRAGMA synchronous = OFF")
            migrate(new)
            new.execute("BEGIN")
            lines = [line for table in _tables(new) if (line := _carry_over(old, new, table))]
            new.execute("COMMIT")
        return [*lines, *_mend(draft)]
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error


def _tables(db: sqlite3.Connection) -> list[str]:
    """Returns the tables that hold what is not made from others."""
    rows = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    return [name for (name,) in rows if "_fts" not in name and not name.startswith("sqlite_")]


def _carry_over(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> str:
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    present = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    shared = ", ".join(column for column in columns if column in present)
    if not shared:
        return ""  # the old schema did not have it
    marks = ", ".join("?" for column in columns if column in present)
    insert = f"INSERT OR IGNORE INTO {table} ({shared}) VALUES ({marks})"
    rows = [0, 0]  # read, gaps
    for row in _readable(old, table, shared):
        if row is None:
            rows[1] += 1
        else:
            new.execute(insert, row)
            rows[0] += 1
    gaps = f", {rows[1]} damaged places skipped" if rows[1] else ""
    return f"{table}: {rows[0]} rows saved{gaps}."


def _readable(db: sqlite3.Connection, table: str, columns: str) -> Iterator[Row | None]:
    """Yields every row that can be read, in order, and None for each damaged place."""
    if not _has_rowid(db, table):
        yield from _until_damage(db, f"SELECT {columns} FROM {table}", ())
        return
    # ``hole``: the last row before a damaged place; ``after`` runs ahead of it in growing steps.
    after, hole, jump, last = 0, 0, FIRST_JUMP, _last_rowid(db, table)
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? ORDER BY rowid"
    damaged = True
    while damaged and after <= last:
        damaged = False
        for row in _until_damage(db, query, (after,)):
            if row is None:
                damaged = True
                continue
            if after > hole:
                yield from _back_to(hole, row[0], db, table, columns)
            after, hole, jump = row[0], row[0], FIRST_JUMP
            yield row[1:]
        if damaged and jump == FIRST_JUMP:
            # Python has looked for one row more before it gives one away.
            for row in _until_damage(db, f"{query} LIMIT 1", (after,)):
                if row is not None:
                    after = hole = row[0]
                    yield row[1:]
            yield None
        if damaged:
            after, jump = after + jump, jump * 2
    if after > hole:
        yield from _back_to(hole, after + 1, db, table, columns)


def _back_to(
    hole: int, reached: int, db: sqlite3.Connection, table: str, columns: str
) -> Iterator[Row]:
    """Yields what the steps ahead have stepped over: the rows before ``reached``, back to the damage."""
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid > ? AND rowid < ? ORDER BY rowid DESC LIMIT 1"
    row: Row | None = (reached,)
    while row is not None:
        row = next(_until_damage(db, query, (hole, row[0])), None)
        if row is not None:
            yield row[1:]


def _until_damage(
    db: sqlite3.Connection, query: str, parameters: Iterable[Any]
) -> Iterator[Row | None]:
    try:
        yield from db.execute(query, tuple(parameters))
    except sqlite3.DatabaseError:
        yield None


def _has_rowid(db: sqlite3.Connection, table: str) -> bool:
    try:
        db.execute(f"SELECT rowid FROM {table} LIMIT 0")
    except sqlite3.OperationalError:
        return False
    return True


def _last_rowid(db: sqlite3.Connection, table: str) -> int:
    try:
        return db.execute(f"SELECT max(rowid) FROM {table}").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        return SALVAGE_ROWS
