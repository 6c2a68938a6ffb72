"""The rows of a library, as ``library_rows`` gives them, into another database.

Numbers of rows are moved so that they meet none of those that are there; what is there already (a story or a
character of that id, a book of that name and text) stays as it is. Runs inside ``Database.write``.
"""

from __future__ import annotations

import base64
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from flower.engine.assets.kinds import Character
from flower.engine.store import stories
from flower.engine.store.packing import pack, unpack
from flower.engine.store.passages import content_hash
from flower.engine.store.transfer.copying import columns, counted, go_on_counting
from flower.engine.store.transfer.library_rows import NUMBERED, PACKED, Row
from flower.engine.store.users import HOME
from flower.errors import ImportFileError, StoreError
from flower.text import sanitize

if TYPE_CHECKING:
    from flower.engine.store.connection import Connection

__all__ = ["Loader"]

_ID = re.compile(r"[\w.-]{1,100}")
_AS_IT_WAS = "source"  # what a value was read from, which is only ever written into files


class Loader:
    """Takes rows over into ``db``, table by table in the order of ``TABLES``. Raises ``ImportFileError``.

    ``characters`` are the ids of those that came, ``stories`` likewise; ``counts`` says what else is new.
    ``original`` gives the file with a hash, None if it is not there; ``scripts_allowed``: scripts that are on
    stay so.
    """

    def __init__(
        self,
        db: Connection,
        original: Callable[[bytes], bytes | None],
        *,
        scripts_allowed: bool,
    ) -> None:
        if isinstance(db, sqlite3.Connection):  # a server gets the rows in an order that fits
            db.execute("PRAGMA defer_foreign_keys = ON")
        self._db = db
        self._original = original
        self._scripts_allowed = scripts_allowed
        self._ids: dict[tuple[str, int], int] = {}  # by table and number there: the number here
        self._same_books: set[int] = set()  # numbers here of books that were here before
        self._session_of: dict[int, str] = {}  # by number here
        # The last numbers that were here before: only those rows can be here already.
        self._first = {
            table: int(db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0])  # noqa: S608
            for table in NUMBERED
        }
        self._leaves: list[tuple[str, object, object]] = []
        self.characters: list[tuple[str, Character]] = []
        self.stories: set[str] = set()
        self.counts: dict[str, int] = {}
        self.resting = 0  # scripts that are off although they were on

    def take(self, table: str, row: Row) -> None:
        """Takes one row over."""
        try:
            values = {name: _read(value) for name, value in row.items()}
            if table in PACKED:
                values["packed"] = pack(msgspec.convert(_sanitized(values.pop("value")), PACKED[table]))
            new = _TAKE[table](self, values)
            if new:
                self.counts[table] = self.counts.get(table, 0) + 1
        except (KeyError, TypeError, ValueError, msgspec.MsgspecError, StoreError) as error:
            raise ImportFileError(
                f"the library archive is damaged: a row of {table} is none"
            ) from error
        except sqlite3.IntegrityError as error:
            raise ImportFileError(
                f"the library archive is damaged: a row of {table} does not fit the others"
            ) from error

    def finish(self) -> None:
        """Lets stories stand where they stood, once all their messages are here."""
        go_on_counting(self._db, counted(self._db))
        for session_id, leaf, root in self._leaves:
            self._db.execute(
                "UPDATE sessions SET active_leaf = ?, root = ? WHERE id = ?",
                (self._message(leaf, session_id), self._message(root, session_id), session_id),
            )
            self._db.execute(
                "UPDATE messages SET chosen = NULL WHERE session_id = ? AND chosen NOT IN"
                " (SELECT id FROM messages WHERE session_id = ?)",
                (session_id, session_id),
            )

    # --- numbers --------------------------------------------------------------------------------

    def _number(self, table: str, old: object) -> int:
        """Returns the number a row gets here: as there, behind the last one that was here before."""
        if not isinstance(old, int) or isinstance(old, bool) or not 0 < old < 2**31:
            raise ValueError("no number of a row")
        number = self._ids[table, old] = self._first[table] + old
        return number

    def _here(self, table: str, old: object) -> int | None:
        """Returns the number here of a row of the archive, None for none."""
        return self._ids.get((table, old)) if isinstance(old, int) else None

    def _message(self, old: object, session_id: str) -> int | None:
        here = self._here("messages", old)
        return here if here is not None and self._session_of[here] == session_id else None

    def _insert(self, table: str, values: Row, *, or_ignore: bool = False) -> bool:
        present = {name: value for name, value in values.items() if name in columns(table)}
        names, marks = ", ".join(present), ", ".join("?" * len(present))
        ignore = " ON CONFLICT DO NOTHING" if or_ignore else ""
        cursor = self._db.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}){ignore}",  # noqa: S608 - names of our own
            tuple(present.values()),
        )
        return cursor.rowcount > 0

    # --- tables ---------------------------------------------------------------------------------

    def _take_original(self, row: Row) -> bool:
        data = self._original(row["hash"])
        if data is None:
            raise ValueError("without its file")
        present = self._db.execute("SELECT id FROM originals WHERE hash = ?", (row["hash"],)).fetchone()
        if present is not None:
            self._ids["originals", row["id"]] = present[0]
            return False
        return self._insert(
            "originals", {**row, "id": self._number("originals", row["id"]), "data": data}
        )

    def _take_character(self, row: Row) -> bool:
        character = unpack(row["packed"], Character)
        if character.id != row["id"] or not _ID.fullmatch(row["id"]):
            raise ValueError("another id")
        if self._known("SELECT 1 FROM characters WHERE id = ?", row["id"]):
            return False
        row["owner"] = 0
        row["original"] = self._here("originals", row.get("original"))
        self.characters.append((row["id"], character))
        return self._insert("characters", row)

    def _take_book(self, row: Row) -> bool:
        rows = self._db.execute(
            "SELECT id FROM books"
            " WHERE name = ? AND file = ? AND packed = ? AND id <= ? AND owner = 0 ORDER BY id",
            (row["name"], row["file"], row["packed"], self._first["books"]),
        )
        for (number,) in rows.fetchall():
            if number not in self._same_books:  # two may be alike, and be of two characters
                self._same_books.add(number)
                self._ids["books", row["id"]] = number
                return False
        row["owner"] = 0
        row["original"] = self._here("originals", row.get("original"))
        return self._insert("books", {**row, "id": self._number("books", row["id"])})

    def _take_persona(self, row: Row) -> bool:
        present = self._db.execute(
            "SELECT id FROM personas WHERE name = ? AND title = ?", (row["name"], row["title"])
        ).fetchone()
        if present is not None:
            self._ids["personas", row["id"]] = present[0]
            return False
        if self._known("SELECT 1 FROM personas WHERE is_default = 1"):
            row["is_default"] = 0
        row["owner"] = 0
        row["original"] = self._here("originals", row.get("original"))
        return self._insert("personas", {**row, "id": self._number("personas", row["id"])})

    def _take_script(self, row: Row) -> bool:
        if self._known(
            "SELECT 1 FROM scripts WHERE character_id = ? AND name = ? AND packed = ? AND id <= ?",
            row["character_id"], row["name"], row["packed"], self._first["scripts"],
        ):  # fmt: skip
            return False
        if row["is_on"] and not self._scripts_allowed:
            row["is_on"] = 0
            self.resting += 1
        row["original"] = self._here("originals", row.get("original"))
        return self._insert("scripts", {**row, "id": self._number("scripts", row["id"])})

    def _take_persona_owner(self, row: Row) -> bool:
        row["persona_id"] = self._here("personas", row["persona_id"])
        return row["persona_id"] is not None and self._insert("persona_owners", row, or_ignore=True)

    def _take_session(self, row: Row) -> bool:
        if not _ID.fullmatch(row["id"]):
            raise ValueError("no id")
        if self._known("SELECT 1 FROM sessions WHERE id = ?", row["id"]):
            return False
        if stories.count_sessions(self._db, HOME) >= stories.SESSIONS_MAX:
            raise ImportFileError(f"there are {stories.SESSIONS_MAX} stories, the most one home holds")
        self.stories.add(row["id"])
        self._leaves.append((row["id"], row.pop("active_leaf"), row.pop("root")))
        row["deleted"], row["extra"] = None, _clean(row["extra"], self._steered)
        row["owner"] = 0  # users are another home's
        return self._insert("sessions", row)

    def _steered(self, extra: Row) -> Row:
        """Returns the extra data of a story with the numbers that its books have here."""
        steering = extra.get("steering")
        if isinstance(steering, dict) and isinstance(steering.get("books"), list):
            here = [self._here("books", old) for old in steering["books"]]
            steering["books"] = [number for number in here if number is not None]
        return extra

    def _take_message(self, row: Row) -> bool:
        session_id, old = row["session_id"], row["id"]
        if session_id not in self.stories:
            return False
        above = row["parent_id"]
        row["parent_id"] = self._message(above, session_id)
        if above is not None and (row["parent_id"] is None or above >= old):
            raise ValueError("follows what is not there")
        row["id"] = self._number("messages", old)
        self._session_of[row["id"]] = session_id
        for name in ("chosen", "deleted_with"):  # may point to a message that is still to come
            row[name] = self._first["messages"] + row[name] if isinstance(row[name], int) else None
        row["extra"] = _clean(row["extra"])
        return self._insert("messages", row)

    def _take_branch(self, row: Row) -> bool:
        if row["session_id"] not in self.stories:
            return False
        row["leaf"] = self._message(row["leaf"], row["session_id"])
        return self._insert("branches", row, or_ignore=True)

    def _take_summary(self, row: Row) -> bool:
        row["last_id"] = self._here("messages", row["last_id"])
        return row["last_id"] is not None and self._insert("summaries", row)

    def _take_passage(self, row: Row) -> bool:
        session_id = row["scope"].removeprefix("memory:")
        if session_id not in self.stories or row["kind"] != "memory":
            return False
        if row["message_id"] is not None:
            row["message_id"] = self._message(row["message_id"], session_id)
            if row["message_id"] is None:
                return False
            row["source"] = f"message:{row['message_id']}"
        row["hash"] = content_hash(row["title"], row["text"])
        return self._insert("passages", {**row, "id": self._number("passages", row["id"])})

    def _take_book_owner(self, row: Row) -> bool:
        row["book_id"] = self._here("books", row["book_id"])
        if row["kind"] == "persona":
            persona = self._here("personas", int(row["owner"]))
            row["owner"] = str(persona) if persona is not None else None
        if row["book_id"] is None or row["owner"] is None:
            return False
        return self._insert("book_owners", row, or_ignore=True)

    def _take_chat_mark(self, row: Row) -> bool:
        return row["session_id"] in self.stories and self._insert("chat_marks", row, or_ignore=True)

    def _take_chat_file(self, row: Row) -> bool:
        row["original"] = self._here("originals", row["original"])
        if row["session_id"] not in self.stories or row["original"] is None:
            return False
        return self._insert("chat_files", row, or_ignore=True)

    def _take_attached(self, row: Row) -> bool:
        if self._known(
            "SELECT 1 FROM attached_lore WHERE world_id = ? AND text = ? AND id <= ?",
            row["world_id"],
            row["text"],
            self._first["attached_lore"],
        ):
            return False
        return self._insert("attached_lore", {**row, "id": self._number("attached_lore", row["id"])})

    def _take_favourite(self, row: Row) -> bool:
        if row["kind"] == "books":
            book = self._here("books", int(row["id"]))
            row["id"] = str(book) if book is not None else None
        return row["id"] is not None and self._insert("favourites", row, or_ignore=True)

    def _take_plain(self, table: str, row: Row) -> bool:
        return self._insert(table, row, or_ignore=True)

    def _known(self, query: str, *values: object) -> bool:
        return self._db.execute(f"{query} LIMIT 1", values).fetchone() is not None


def _read(value: object) -> Any:
    """Returns a value of a column. Raises ``ValueError``."""
    if isinstance(value, dict) and set(value) == {"base64"}:
        return base64.b64decode(value["base64"], validate=True)
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a number too large")
    return value


def _clean(extra: str, change: Callable[[Row], Row] = lambda extra: extra) -> str:
    """Returns a row's extra data without what a terminal would obey. Raises ``MsgspecError``."""
    if extra == "{}":
        return extra
    values = change(_sanitized(msgspec.json.decode(extra, type=dict[str, Any])))
    return msgspec.json.encode(values).decode()


def _sanitized(value: Any) -> Any:
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, dict):
        return {
            sanitize(name): part if name == _AS_IT_WAS else _sanitized(part)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [_sanitized(part) for part in value]
    return value


_TAKE: Mapping[str, Callable[[Loader, Row], bool]] = {
    "originals": Loader._take_original,
    "characters": Loader._take_character,
    "books": Loader._take_book,
    "personas": Loader._take_persona,
    "quick_replies": lambda loader, row: loader._take_plain("quick_replies", row),
    "scripts": Loader._take_script,
    "persona_owners": Loader._take_persona_owner,
    "sessions": Loader._take_session,
    "messages": Loader._take_message,
    "branches": Loader._take_branch,
    "summaries": Loader._take_summary,
    "passages": Loader._take_passage,
    "book_owners": Loader._take_book_owner,
    "chat_marks": Loader._take_chat_mark,
    "chat_files": Loader._take_chat_file,
    "attached_lore": Loader._take_attached,
    "model_params": lambda loader, row: loader._take_plain("model_params", row),
    "favourites": Loader._take_favourite,
    "presets": lambda loader, row: loader._take_plain("presets", row),
}
