"""The files of a folder of lore: which there are, their text, and the keys that some say they fire by.

Front matter is YAML between two lines of three dashes at the very beginning of a file. What is read of it is
``keys`` (a list, or words with commas), ``secondary_keys``, ``constant``, ``order`` and ``probability``; the
rest is left alone. Never writes to the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from flower import file_io, limits
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


# --- Which files a folder has, and their text


SUFFIXES = (".md", ".txt")


# File systems whose changes come from other machines, which inotify does not see.
_REMOTE = ("nfs", "cifs", "smb", "9p", "fuse", "vboxsf", "afs", "ceph", "glusterfs", "drvfs")


class Stamp(Struct, frozen=True):
    """What tells that a file has changed without reading it."""

    size: int
    changed_ns: int


def list_files(root: Path) -> dict[str, Stamp]:
    """Returns the lore files under a folder by relative path, in the order of their names.

    Hidden files, links to folders and links that lead out of the folder are left out. Raises
    ``FileNotFoundError`` or another ``OSError`` when the folder itself cannot be read.
    """
    files: dict[str, Stamp] = {}
    inside = os.path.realpath(root)
    for path in _walk(root):
        try:
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                continue
            status = path.stat()
        except OSError:
            continue  # it vanished while we looked
        files[path.relative_to(root).as_posix()] = Stamp(status.st_size, status.st_mtime_ns)
        if len(files) == limits.SOURCES_FOLDER:
            break
    return files


def _walk(root: Path) -> Iterator[Path]:
    with os.scandir(root) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            try:
                yield from _walk(Path(entry.path))
            except OSError:
                continue  # a folder that may not be read holds no lore
        elif entry.name.lower().endswith(SUFFIXES) and _is_file(entry):
            yield Path(entry.path)


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False  # a link that leads to itself


def is_text(name: str) -> bool:
    """Whether a file name can be written down: Linux takes any bytes for one."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable_name(name: str) -> str:
    """Returns a file name fit to be read: on one line, and with marks for what is no text."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def read_text(path: Path) -> tuple[str, str]:
    """Returns (text, "") or ("", what is wrong with the file)."""
    try:
        data = file_io.read(path, limits.SOURCE_BYTES + 1)
    except FileNotFoundError:
        return "", "it vanished while it was read"
    except OSError as error:
        return "", f"it cannot be read ({error.strerror})"
    if len(data) > limits.SOURCE_BYTES:
        return "", f"it is larger than {limits.SOURCE_BYTES // limits.MIB} MiB"
    if b"\0" in data:
        return "", "it is no text"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        return "", f"it is not UTF-8 (byte {error.start})"


def is_remote(path: Path, mounted: str) -> bool:
    """Returns whether a path lies on a network mount, given the text of ``/proc/mounts``."""
    kind, longest = "", -1
    for line in mounted.splitlines():
        _, place, filesystem, *_ = [*line.split(" "), "", "", ""]
        point = place.replace("\\040", " ")
        if path.is_relative_to(point) and len(point) > longest:
            kind, longest = filesystem, len(point)
    return kind.startswith(_REMOTE)


def mounts() -> str:
    """Returns the text of ``/proc/mounts``, "" on a system that has none."""
    try:
        return Path("/proc/mounts").read_text(errors="replace")
    except OSError:
        return ""  # another system: its own notifications are trusted
