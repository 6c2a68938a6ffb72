"""A database as a file, without an engine: read beside a running one, checked, copied, replaced.

A backup comes from anywhere. One with a trigger or a view of somebody's own would run their SQL at the next line
of a story; one without a table would keep the engine from ever starting again. So before a file takes the place
of the stories, its schema is compared with the one that our own migrations make (``check_schema``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from flower import file_io
from flower.engine.store import schema
from flower.engine.store.connection import Connection
from flower.errors import StoreError

SQLITE_VERSION = sqlite3.sqlite_version
BUSY_TIMEOUT_S = 5.0  # another process may be writing for a moment


class UnreadableError(StoreError):
    """SQLite refused the file; the text is what it says."""


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that reads a database which another process may be writing to.

    Raises ``UnreadableError`` for whatever SQLite refuses, in the block as well.
    """
    if path.exists() and not path.is_file():
        raise UnreadableError(file_io.IRREGULAR)  # SQLite would wait for a pipe's other end
    try:
        with closing(_opened(path)) as db:
            yield db
    except sqlite3.Error as error:
        raise UnreadableError(str(error)) from error


def _opened(path: Path) -> sqlite3.Connection:
    """Returns a connection that reads; on a read-only disk one to a copy in memory.

    SQLite needs to write beside a database with a log, if only to read it: on a card that has failed, just when
    people want their stories, it would refuse.
    """
    try:
        return _tried(path)
    except sqlite3.OperationalError as refused:
        if os.access(path.parent, os.W_OK) or not path.exists():
            raise
        return _copied(path, refused)


def _tried(path: Path) -> sqlite3.Connection:
    db = read_only(path)
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def _copied(path: Path, refused: sqlite3.Error) -> sqlite3.Connection:
    with tempfile.TemporaryDirectory(prefix="flower-") as folder:
        copied = Path(folder, path.name)
        try:
            for source in with_log(path):
                if source.exists():
                    shutil.copyfile(source, copied.with_name(source.name))
        except OSError as error:
            raise refused from error
        with closing(sqlite3.connect(copied)) as db:
            memory = sqlite3.connect(":memory:")
            try:
                db.backup(memory)
            except BaseException:
                memory.close()
                raise
    return memory


def read_only(path: Path) -> sqlite3.Connection:
    """Returns a connection that cannot write; raises ``sqlite3.Error``."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S)


def schema_version(db: Connection) -> int:
    """Returns the schema's number; the newest there is are as many as ``schema.MIGRATIONS``."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def copy(path: Path, target: Path) -> None:
    """Makes a whole copy, of a database in use as well. Raises ``UnreadableError``, also for damage."""
    with reading(path) as source, closing(sqlite3.connect(target)) as made:
        source.backup(made)
        made.execute("PRAGMA journal_mode = DELETE")  # one file, that may be copied anywhere
        answer = made.execute("PRAGMA quick_check(1)").fetchone()
        if answer != ("ok",):
            raise UnreadableError(f"the copy is damaged ({answer[0]}), so the database is too")


def check_usable(path: Path) -> None:
    """Raises ``StoreError`` unless ``path`` is a whole database of this or an older Flower."""
    try:
        with reading(path) as db:
            version = schema_version(db)
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
                raise StoreError(f"{path} holds no stories of Flower")
            if version > len(schema.MIGRATIONS):
                raise StoreError(f"{path} was made by a newer Flower; update Flower first")
            (answer,) = db.execute("PRAGMA integrity_check(1)").fetchone()
            if answer != "ok":
                raise StoreError(f"{path} is damaged: {answer}")
            try:
                check_schema(db, version)
            except StoreError as error:
                raise StoreError(f"{path} is no backup of Flower's: {error}") from error
    except UnreadableError as error:
        raise StoreError(f"{path} cannot be used as a backup: {error}") from error


def is_copy(path: Path) -> bool:
    """Whether a file is a copy of stories that no engine works on: one whole file, made by ``copy``.

    An engine's own database keeps a write-ahead log, which the header tells (bytes 18 and 19 are 2).
    """
    try:
        with file_io.opened(path) as opened:
            header = opened.read(20)
        if header[:16] != b"SQLite format 3\0" or header[18:20] != b"\x01\x01":
            return False
        check_usable(path)
    except (OSError, StoreError):
        return False
    return True


def fold_log(path: Path) -> None:
    """Folds what is left of a write-ahead log into its database, which no engine may have open.

    A damaged database is left as it is: what replaces it does not need its log.
    """
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def with_log(path: Path) -> tuple[Path, ...]:
    """Returns the database's file and the logs that may belong to it."""
    return tuple(path.with_name(path.name + log) for log in ("", "-wal", "-journal"))


def replace_durably(draft: Path, target: Path) -> None:
    """Puts ``draft`` in the place of ``target`` so that a power cut leaves one of them whole."""
    _sync(draft)
    draft.replace(target)
    _sync(target.parent)


def make_private(path: Path) -> None:
    """Takes other people's access away, where the file system can: FAT and network shares cannot."""
    with contextlib.suppress(OSError):
        path.chmod(0o600)


def is_private(path: Path) -> bool:
    """Returns whether nobody but the owner may read the file, as far as the system tells."""
    return not path.stat().st_mode & 0o077


def _sync(path: Path) -> None:
    """Brings a file or a folder to the disk; some file systems cannot do that for folders."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


# What SQLite makes by itself: counters, statistics, and the tables behind an index of words.
_SQLITES = ("sqlite_", "messages_fts_", "passages_fts_")

Objects = dict[tuple[str, str], str]  # (type, name) -> what it is made of


def check_schema(db: sqlite3.Connection, version: int) -> None:
    """Raises ``StoreError`` unless the schema is exactly that of ``version``."""
    if not 0 < version <= len(schema.MIGRATIONS):
        raise StoreError(f"its schema has the number {version}, which Flower never gave")
    expected, present = _reference(version), objects(db)
    for (kind, name), text in expected.items():
        if (kind, name) not in present:
            raise StoreError(f"the {kind} {name} is missing")
        if present[kind, name] != text:
            raise StoreError(f"the {kind} {name} is not as Flower makes it")
    for kind, name in present:
        if (kind, name) not in expected:
            raise StoreError(f"the {kind} {name} is none of Flower's")


def objects(db: sqlite3.Connection) -> Objects:
    """Returns what the schema consists of, apart from what SQLite makes by itself.

    Tables count by their columns, since later versions of SQLite may spell a changed table differently.
    """
    statements: Objects = {}
    for kind, name, sql in db.execute("SELECT type, name, sql FROM sqlite_master").fetchall():
        if name.startswith(_SQLITES):
            continue
        text = " ".join((sql or "").split())
        if kind == "table" and not text.upper().startswith("CREATE VIRTUAL"):
            columns = db.execute("SELECT name, type, pk FROM pragma_table_info(?)", (name,))
            text = repr(columns.fetchall())
        statements[kind, name] = text
    return statements


def _reference(version: int) -> Objects:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for script in schema.MIGRATIONS[:version]:
            for statement in schema.statements(script):
                db.execute(statement)
        return objects(db)
