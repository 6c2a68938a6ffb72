"""Files of lore that say in front matter by which keys they fire, as entries of a lorebook. Pure.

Front matter is YAML between two lines of three dashes at the very beginning of a file. What is read of it is
``keys`` (a list, or words with commas), ``secondary_keys``, ``constant``, ``order`` and ``probability``; the
rest is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from flower import limits
from flower.engine.lorebook.book import Book, Entry
from flower.errors import YamlError
from flower.settings import safe_yaml

FILE_BOOK = "folder:"  # of the names of books that synced folders make
KEYS = 100  # of one file
MATTER_CHARS = 8_000

_FENCE = "---"


def entry_of(source: str, title: str, text: str) -> tuple[Entry | None, str]:
    """Returns the entry that a file makes, None for one without keys, and its text below the front matter.

    Front matter that is broken or names no keys is text like any other.
    """
    text = text.replace("\r\n", "\n") if text.startswith(f"{_FENCE}\r\n") else text
    if not text.startswith(f"{_FENCE}\n"):
        return None, text
    end = text.find(f"\n{_FENCE}\n", 0, MATTER_CHARS)
    if end < 0:
        return None, text
    try:
        matter = safe_yaml.load(text[len(_FENCE) + 1 : end].encode("utf-8", "replace")).value
    except YamlError:
        return None, text
    if not isinstance(matter, dict):
        return None, text
    keys = _words(matter.get("keys"))
    constant = matter.get("constant") is True
    if not keys and not constant:
        return None, text
    body = text[end + len(_FENCE) + 2 :].strip()
    entry = Entry(
        uid=source,
        comment=title,
        content=body,
        keys=keys,
        secondary_keys=_words(matter.get("secondary_keys")),
        constant=constant,
        order=_number(matter.get("order"), 100),
        probability=_number(matter.get("probability"), 100),
    )
    return entry, body


def book_of(world_id: str, entries: Mapping[str, Entry]) -> Book:
    """Returns the book of a world's synced folder."""
    ordered = [entries[name] for name in sorted(entries)][: limits.SOURCES_FOLDER]
    return Book(name=f"{FILE_BOOK}{world_id}", entries=tuple(ordered))


def _words(value: object) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    words = [str(item).strip()[: limits.LORE_KEY_CHARS] for item in items]
    return tuple(word for word in words if word)[:KEYS]


def _number(value: object, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
