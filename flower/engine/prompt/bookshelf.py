"""The lorebooks that hold in a story, made ready for scanning, and what of them fires for a line.

Reads books from the store and keeps them ready until one of them changes. Making a large book ready and
reading many messages take longer than the event loop may wait, so both happen in a thread, one at a
time. What fires is decided in ``flower.engine.lorebook``, where it goes in the prompt in ``lore_entries``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower.engine.lorebook import decorators
from flower.engine.lorebook.book import Book, Scope, TextSource
from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.rules import EntryId, KeyedBooks, LoreRules, Matching, Shelved
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import NOTHING, ScanSettings, Situation, SpokenLine, Timed, seeded
from flower.engine.prompt.macros import Values, run
from flower.engine.recall.base import Hit, Library, book_scope
from flower.engine.recall.lore_files import FILE_BOOK
from flower.engine.store.connection import Store
from flower.engine.store.library import books
from flower.engine.store.library.books import OwnedBook, Owner
from flower.engine.store.stories import Message
from flower.engine.token_counter import TokenCounter
from flower.errors import StoreError

log = logging.getLogger(__name__)

LORE_ENTRIES = 20_000  # of all books that hold in one story: 26 ms to scan, seconds to make ready
LORE_SETS_READY = 4  # sets of books kept ready for scanning

ENTRY = "entry:"  # of the sources of a book whose entries are recalled by meaning


class Ready(Struct, frozen=True):
    """Books ready for scanning. ``ids``: by the name that their entries have, which is theirs alone."""

    library: KeyedBooks
    ids: Mapping[str, int]
    owners: Mapping[str, str] = {}  # of books that are one character's: their ids
    meanings: tuple[int, ...] = ()  # books with entries that are recalled by meaning
    trouble: str = ""


class Moment(Struct, frozen=True, kw_only=True):
    """What a scan works with beside the books."""

    path: Sequence[Message]
    count: int  # messages on the whole path
    values: Values
    names: Mapping[str, str] = {}  # of characters, by their ids
    sources: Mapping[TextSource, str] = {}
    characters: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    trigger: str = "normal"
    greeting: int | None = None  # which one the story began with, 0 for the first
    requested: frozenset[EntryId] = frozenset()
    timed: Timed = NOTHING
    seed: str = ""
    tokens: int = 0  # that entries may have
    dry: bool = False


class Bookshelf:
    """The books of the stories that are played, each set made ready once."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._kept: dict[tuple[LoreRules, tuple[tuple[int, float, Scope], ...]], Ready] = {}
        self._meant: dict[int, float] = {}  # books whose entries recall knows, as they were then
        self._one = trio.CapacityLimiter(1)

    async def ready(
        self,
        database: Store,
        recall: Library,
        held: Sequence[OwnedBook],
        dialect: LoreRules = LoreRules.FLOWER,
    ) -> Ready | None:
        """Returns the books ready for scanning, None when there are none. Raises ``StoreError``."""
        if not held:
            return None
        key = dialect, tuple((one.stored.id, one.stored.updated, one.scope) for one in held)
        shelf = self._kept.pop(key, None)
        if shelf is None:
            shelf = await self._made(database, recall, held, dialect)
        self._kept[key] = shelf
        while len(self._kept) > LORE_SETS_READY:
            del self._kept[next(iter(self._kept))]
        return shelf

    async def _made(
        self, database: Store, recall: Library, held: Sequence[OwnedBook], dialect: LoreRules
    ) -> Ready:
        shelved: list[Shelved] = []
        ids: dict[str, int] = {}
        meanings: list[int] = []
        characters: dict[str, str] = {}
        faults: list[str] = []
        room = LORE_ENTRIES
        for one in held:
            try:
                book = await database.read(books.read, one.stored.id)
            except StoreError as error:
                faults.append(f"{one.stored.name!r} cannot be read: {error}".rstrip("."))
                continue
            if len(book.entries) > room:
                faults.append(
                    f"{one.stored.name!r} is left out: {LORE_ENTRIES} entries are the most in one story"
                )
                continue
            room -= len(book.entries)
            book = _named_alone(book, one.stored.id, ids)
            ids[book.name] = one.stored.id
            if one.owner is Owner.CHARACTER:
                characters[book.name] = one.owner_id
            shelved.append(Shelved(book, frozenset({one.scope})))
            if await self._mean(recall, one, book):
                meanings.append(one.stored.id)
        matching = Matching(dialect=dialect)
        library = await trio.to_thread.run_sync(KeyedBooks, shelved, matching, limiter=self._one)
        trouble = f"Lorebook {'; '.join(faults)}." if faults else ""
        return Ready(library, ids, characters, tuple(meanings), trouble)

    async def _mean(self, recall: Library, one: OwnedBook, book: Book) -> bool:
        """Lets recall know the entries that are recalled by meaning; returns whether there are any."""
        texts = {
            f"{ENTRY}{entry.uid}": (entry.comment or entry.name, decorators.parse(entry.content)[1])
            for entry in book.entries
            if entry.vectorized and entry.enabled and entry.content.strip()
        }
        if self._meant.get(one.stored.id) != one.stored.updated:
            await recall.sync_sources(book_scope(one.stored.id), texts)
            self._meant[one.stored.id] = one.stored.updated
        return bool(texts)

    async def scan(self, ready: Ready, moment: Moment) -> Outcome:
        """Returns what fires at a moment."""
        settings = ScanSettings(budget=moment.tokens)
        tools = Tools(
            tokens=TokenCounter().count,
            chance=seeded(moment.seed),
            expand=_expander(moment.values),
            clock=self._clock,
        )
        situation = _situation(moment)
        return await trio.to_thread.run_sync(
            scan, ready.library, situation, settings, tools, limiter=self._one
        )


def requested(hits: Sequence[Hit], ready: Ready) -> frozenset[EntryId]:
    """Returns the entries whose texts were recalled by meaning."""
    names = {book_scope(number): name for name, number in ready.ids.items()}
    return frozenset(
        EntryId(names[item.passage.scope], item.passage.source.removeprefix(ENTRY))
        for item in hits
        if item.passage.scope in names
    )


def file_of(entry: EntryId) -> str:
    """Returns the source in recall of an entry that was made from a file of a synced folder, else ""."""
    return entry.uid if entry.book.startswith(FILE_BOOK) else ""


def timed_before(path: Sequence[Message]) -> Timed | None:
    """Returns the lasting effects that hold for the last message of a path, None: none were ever kept."""
    for message in reversed(path[:-1]):
        if message.extra.lore_timed is not None:
            return message.extra.lore_timed
    return None


def _named_alone(book: Book, number: int, names: Mapping[str, int]) -> Book:
    """Returns a book under a name that no other has: entries are known by the name of their book."""
    name = book.name or "lorebook"
    return replace(book, name=f"{name} ({number})" if name in names else name)


def _situation(moment: Moment) -> Situation:
    visible = [m for m in moment.path if m.content and not m.extra.hidden]
    return Situation(
        messages=tuple(SpokenLine(_speaker(m, moment), m.content) for m in visible),
        count=max(moment.count, len(visible)),
        replies=sum(m.role == "assistant" for m in visible),
        characters=moment.characters,
        tags=moment.tags,
        trigger=moment.trigger,
        greeting=moment.greeting,
        sources=moment.sources,
        requested=moment.requested,
        timed=moment.timed,
        variables=moment.values.variables,
        dry=moment.dry,
    )


def _speaker(message: Message, moment: Moment) -> str:
    if message.role == "assistant":
        return message.extra.name or moment.names.get(message.extra.speaker, moment.values.char)
    return moment.values.user if message.role == "user" else "System"


def _expander(
    values: Values,
) -> Callable[[str, Mapping[str, str]], tuple[str, Mapping[str, str]]]:
    def expand(text: str, variables: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        expanded = run(text, replace(values, variables=variables))
        return expanded.text, expanded.variables

    return expand
