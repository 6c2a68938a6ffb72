"""Books made ready for scanning: each entry as a rule, the rules in the order they are served. Pure.

Made once for a set of books and settings, and used for every line until one of them changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import IntEnum, StrEnum
from functools import cached_property

import msgspec
from msgspec import Struct

from flower.engine.lorebook import decorators
from flower.engine.lorebook.book import Book, Entry, Scope
from flower.engine.lorebook.decorators import Decorators
from flower.engine.lorebook.index import KeyIndex, Term
from flower.engine.lorebook.matching import Pattern, bare, slashed

__all__ = [
    "EntryId",
    "EntryKey",
    "KeyedBooks",
    "LoreRules",
    "Matching",
    "ReadyEntry",
    "Shelved",
    "Strategy",
    "key_for",
]


class EntryId(Struct, frozen=True, order=True):
    """Which entry of which book."""

    book: str
    uid: str

    def __str__(self) -> str:
        return f"{self.book}.{self.uid}"


class Shelved(Struct, frozen=True):
    """A book and all that it belongs to."""

    book: Book
    scopes: frozenset[Scope]


class Strategy(IntEnum):
    """Whose entries are served first, once those of the chat and the persona are."""

    EVENLY = 0
    CHARACTER_FIRST = 1
    GLOBAL_FIRST = 2


class LoreRules(StrEnum):
    """Whose rules hold where two readings of a book differ; ``docs/lorebooks.md`` names the differences."""

    FLOWER = "flower"
    SILLYTAVERN = "sillytavern"  # as recorded from its version 1.18, with what look like its mistakes


class Matching(Struct, frozen=True):
    """How keys are compared where an entry does not say, and whose rules hold."""

    case_sensitive: bool = False
    whole_words: bool = True
    strategy: Strategy = Strategy.CHARACTER_FIRST
    dialect: LoreRules = LoreRules.FLOWER

    @property
    def as_recorded(self) -> bool:
        return self.dialect is LoreRules.SILLYTAVERN


class EntryKey(Struct, frozen=True):
    """One key: a term of the index, a pattern, or a text with macros. With none of them it never matches.

    A pattern is tried only where one of the terms is that it needs. ``everywhere``: it is found in any
    text. ``counted`` is how it is looked for where keys are counted for a group, if otherwise.
    """

    text: str
    term: Term
    number: int = -1  # of the term in the index
    needs: tuple[int, ...] = ()  # numbers of terms
    pattern: Pattern | None = None
    macros: bool = False
    everywhere: bool = False
    counted: Term | None = None


class ReadyEntry(Struct, frozen=True, dict=True, eq=False):
    """One entry made ready. ``text`` is its content below the decorators."""

    id: EntryId
    entry: Entry
    text: str
    decorators: Decorators
    keys: tuple[EntryKey, ...]
    secondary: tuple[EntryKey, ...]
    additional: tuple[tuple[EntryKey, ...], ...]
    excluded: tuple[EntryKey, ...]
    scan_depth: int | None
    recursive: bool | None  # as its book says
    book_budget: int | None
    rank: int  # lower is served first

    @cached_property
    def fingerprint(self) -> str:
        """What tells this entry from one that was changed."""
        plain = msgspec.to_builtins(msgspec.structs.replace(self.entry, source={}))
        return hashlib.blake2b(json.dumps(plain).encode(), digest_size=8).hexdigest()

    @property
    def constant(self) -> bool:
        """Whether it fires without a key. One whose keys are patterns does not (V3)."""
        return self.entry.constant and not self.entry.use_regex


class KeyedBooks:
    """All rules of some books, and the index of their keys."""

    def __init__(self, books: Iterable[Shelved], matching: Matching) -> None:
        self.matching = matching
        self._terms: dict[Term, int] = {}
        entries = _ranked(books, matching.strategy)
        self.rules = tuple(self._rule(book, entry, rank) for rank, (book, entry) in enumerate(entries))
        self.by_id = {rule.id: rule for rule in self.rules}
        self.index = KeyIndex(tuple(self._terms))
        self.by_term: dict[int, list[int]] = {}
        self.unindexed: list[int] = []  # rules that fire without a term being found
        for rule in self.rules:
            self._enter(rule)
        self.deepest = max((rule.scan_depth or 0 for rule in self.rules), default=0)
        self.levels = sorted({rule.entry.delay_until_recursion for rule in self.rules} - {0})

    def _rule(self, book: Book, entry: Entry, rank: int) -> ReadyEntry:
        recorded = self.matching.as_recorded
        own, text = (decorators.parse_recorded if recorded else decorators.parse)(entry.content)
        depth = entry.scan_depth if own.scan_depth is None else own.scan_depth
        return ReadyEntry(
            id=EntryId(book.name, entry.uid),
            entry=entry,
            text=text,
            decorators=own,
            keys=self._keys(entry.keys, entry),
            secondary=() if entry.use_regex else self._keys(entry.secondary_keys, entry),
            additional=tuple(self._keys(keys, entry) for keys in own.additional_keys),
            excluded=self._keys(own.exclude_keys, entry),
            scan_depth=book.scan_depth if depth is None and not recorded else depth,
            recursive=None if recorded else book.recursive,
            book_budget=None if recorded else book.token_budget,
            rank=rank,
        )

    def _keys(self, written: Sequence[str], entry: Entry) -> tuple[EntryKey, ...]:
        return tuple(self._key(text, entry) for text in written)

    def _key(self, written: str, entry: Entry) -> EntryKey:
        if "{{" in written or "<" in written:
            counted = Term(written.lower()) if self.matching.as_recorded else None
            return EntryKey(written, Term(""), macros=True, counted=counted)
        key = key_for(written, entry, self.matching)
        if key.pattern is not None:
            needed = [Term(need, key.pattern.folded, False) for need in sorted(key.pattern.needs)]
            return msgspec.structs.replace(key, needs=tuple(map(self._number, needed)))
        return msgspec.structs.replace(key, number=self._number(key.term)) if key.term.text else key

    def _number(self, term: Term) -> int:
        return self._terms.setdefault(term, len(self._terms))

    def _enter(self, rule: ReadyEntry) -> None:
        numbers = [number for key in rule.keys for number in (key.number, *key.needs)]
        for number in dict.fromkeys(number for number in numbers if number >= 0):
            self.by_term.setdefault(number, []).append(rule.rank)
        if (
            rule.entry.constant
            or rule.decorators.activate
            or any(key.macros or key.everywhere or (key.pattern and not key.needs) for key in rule.keys)
        ):
            self.unindexed.append(rule.rank)


def key_for(written: str, entry: Entry, matching: Matching) -> EntryKey:
    """Returns the key of a text without macros, as the entry wants it compared."""
    text = written.strip()
    exact = entry.case_sensitive if entry.case_sensitive is not None else matching.case_sensitive
    if entry.use_regex:
        pattern = slashed(text) or (bare(text, exact) if text else None)
        return EntryKey(text, Term(""), pattern=pattern)
    pattern = slashed(text)
    if pattern is not None:
        return EntryKey(text, Term(""), pattern=pattern)
    whole = entry.whole_words if entry.whole_words is not None else matching.whole_words

    def term(text: str) -> Term:
        alone = whole and not any(map(str.isspace, text))
        return Term(text if exact else text.lower(), not exact, alone, alone and matching.as_recorded)

    if not matching.as_recorded:
        return EntryKey(text, term(text))
    counted = term(written) if written != text else None
    return EntryKey(text, term(text), everywhere=bool(written) and not text, counted=counted)


def _ranked(books: Iterable[Shelved], strategy: Strategy) -> list[tuple[Book, Entry]]:
    """Returns all entries in the order they are served: books of the chat, of the persona, the others;
    inside by falling order. A book that belongs to several is read once."""
    shelves: dict[Scope, list[tuple[Book, Entry]]] = {scope: [] for scope in Scope}
    for shelved in books:
        for scope in (Scope.GLOBAL, Scope.CHAT, Scope.PERSONA, Scope.CHARACTER):
            if scope in shelved.scopes:
                shelves[scope] += [(shelved.book, entry) for entry in shelved.book.entries]
                break
    of_all, of_character = shelves[Scope.GLOBAL], shelves[Scope.CHARACTER]
    match strategy:
        case Strategy.CHARACTER_FIRST:
            others = [of_character, of_all]
        case Strategy.GLOBAL_FIRST:
            others = [of_all, of_character]
        case Strategy.EVENLY:
            others = [of_all + of_character]
    ranked: list[tuple[Book, Entry]] = []
    for shelf in (shelves[Scope.CHAT], shelves[Scope.PERSONA], *others):
        ranked += sorted(shelf, key=lambda pair: -pair[1].order)
    return ranked
