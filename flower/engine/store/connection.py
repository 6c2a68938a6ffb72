"""What functions over the database get, and what everybody else asks of it, whichever database it is.

Functions of this package say what to do over a ``Connection``; a ``Store`` runs them off the event loop.
``database`` is the one with SQLite, ``postgres`` the one with PostgreSQL. Statements are written once, in the SQL
of SQLite; ``postgres.dialect`` puts the few words that differ into those of PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Cursor(Protocol):
    """The answer to one statement."""

    @property
    def lastrowid(self) -> int | None:
        """The id of the row that an INSERT added."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection with a transaction open in it. Parameters are ``?`` or ``:name``."""

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...


class Store(Protocol):
    """A database of stories; every call raises ``StoreError`` with a sentence where it refuses."""

    @property
    def path(self) -> Path:
        """The file in the home that is the database, or that would be if it were not elsewhere."""

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)``."""

    async def read_slowly(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)`` without keeping a turn waiting."""

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Returns ``function(connection, ...)`` run in one transaction, on disk when this returns."""

    async def write_batched(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """As ``write``, perhaps in one transaction with what others write at this moment."""

    def until_flush(self, interval_s: float) -> float:
        """Returns after how many seconds, about ``interval_s``, a growing reply is to be written again."""

    @property
    def shared(self) -> bool:
        """Whether other engines may play stories of it at the same time."""

    async def lease(self, story: str, *, opens: bool = True) -> tuple[int, ...]:
        """Makes this engine the one that plays a story; returns the replies in it that a dead one left.

        Not ``opens``: it only changes something about the story, and leaves such replies to who plays it next.
        Raises ``ElsewhereError`` while another one plays it.
        """

    def leave(self, story: str) -> None:
        """Says that this engine plays a story no more; to be called once for each ``lease``."""

    def follow(self, notify: Callable[[str, str], None]) -> None:
        """Has ``notify`` called when other engines have changed rows that are everybody's.

        With "lore" and its scope, "stories", or "characters" and the number of whose library it is; with "" when
        something of that may have been missed.
        """

    async def drain(self) -> None:
        """Takes no more stories: this engine is about to end."""

    async def elsewhere(self) -> str:
        """Returns the address of another engine, "" when there is none."""

    async def others(self) -> tuple[str, ...]:
        """Returns the addresses of all other engines that are alive."""

    async def check_place(self) -> None:
        """Raises ``StoreError`` when what is written now would be lost, or cannot be written."""

    async def aclose(self) -> None:
        """Ends the connections."""
