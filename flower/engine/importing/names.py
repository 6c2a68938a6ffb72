"""The names by which files of other programs point to each other. Pure."""

from __future__ import annotations

import unicodedata

from flower import limits
from flower.text import sanitize

# Of files that are imported. "Dr. Vole" has none of them, and a book may be called so.
ENDINGS = frozenset({
    "png", "apng", "webp", "jpg", "jpeg", "json", "jsonl", "charx", "byaf", "yaml", "yml", "lorebook",
    "scenario", "story", "zip", "txt",
})  # fmt: skip


def stem_of(name: str) -> str:
    """Returns a file's name without folders and ending, as other files point to it."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    ending = last.rpartition(".")[2].lower()
    stem = last[: -len(ending) - 1] if ending in ENDINGS and len(last) > len(ending) + 1 else last
    return unicodedata.normalize("NFC", sanitize(stem).replace("\n", " "))[: limits.NAME_CHARS]
