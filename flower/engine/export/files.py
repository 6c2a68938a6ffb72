"""Exports on the disk: what is read from the database, and the file that comes of it.

Files are the user's alone, appear whole or not at all, and take another's place only when asked to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from flower.engine.assets.kinds import Assets
from flower.engine.assets.shelves import briefs, owned, owner_of
from flower.engine.export.render import Story, file_name, other_branches, render
from flower.engine.store import stories, tree
from flower.engine.store.connection import Connection
from flower.errors import CommandError
from flower.file_io import write_whole

EXPORT_TRIES = 1000  # names tried before an export with a given date finds none free

FOLDER = "exports"  # in the home
NAME_BYTES = 255  # of a file
_PRIVATE_DIR = 0o700


def read_story(
    db: Connection,
    session_id: str,
    names: Mapping[str, str],
    now: float,
    *,
    whole: bool,
) -> Story:
    """Returns a story's active path, or with ``whole`` its tree. Raises ``CommandError`` without one.

    ``names`` has what ``world:ID`` and ``character:ID`` are called; an id without a name is its own.
    """
    stored = stories.session(db, session_id)
    if stored is None:
        raise CommandError(f"There is no story {session_id!r}.")
    path = stories.path(db, stored.active_leaf)
    messages = stories.tree(db, session_id) if whole else []
    return Story(
        stored=stored,
        world=names.get(f"world:{stored.world_id}", stored.world_id),
        character=names.get(f"character:{stored.character_id}", stored.character_id),
        path=path,
        branches=other_branches(messages, path) if whole else (),
        variants=tree.variants(db, [message.id for message in messages]),
        exported=now,
    )


def names_of(assets: Assets) -> dict[str, str]:
    """Returns what worlds and characters are called, as ``read_story`` wants it."""
    return {
        **{f"world:{world.id}": world.name for world in assets.worlds.values()},
        **{f"character:{one.id}": one.name for one in briefs(assets.characters)},
    }


def folder_of(database: Path, name: str = "", user: int = 0) -> Path:
    """Returns where the files of a user go; each has a folder of their own, 0 is the home's owner.

    The number is in its name: who is called like somebody who was removed finds nothing of theirs.
    """
    folder = database.parent / FOLDER
    return folder / f"@{owned(name, user)}" if user else folder


def drop_old(database: Path, users: Container[int], before: float) -> int:
    """Deletes the files of users who are none any more, and those written ``before`` (Unix time); returns how many."""
    count = 0
    for folder in sorted((database.parent / FOLDER).glob("@*~*")):
        gone = owner_of(folder.name) not in users
        for path in folder.iterdir() if folder.is_dir() and not folder.is_symlink() else ():
            with contextlib.suppress(OSError):
                if gone or path.stat().st_mtime < before:
                    path.unlink()
                    count += 1
        if gone:
            with contextlib.suppress(OSError):
                folder.rmdir()
    return count


def place(name: str, form: str, folder: Path) -> Path:
    """Returns where a file of that name goes: into ``folder`` unless the name says another place.

    The name gets the ending of its format, so that no other kind of file can be overwritten. Raises
    ``CommandError`` for a relative name that leads out of ``folder``.
    """
    try:
        chosen = Path(name).expanduser()
    except RuntimeError as error:
        raise CommandError(f"There is no such home folder: {name}") from error
    if chosen.suffix.lower() != f".{form}":
        chosen = chosen.with_name(f"{chosen.name}.{form}") if chosen.name else chosen / f"story.{form}"
    if chosen.is_absolute():
        return chosen
    if ".." in chosen.parts:
        raise CommandError(f"{name} leads out of {folder}; write the whole path, from / on.")
    return folder / chosen


def write_new(story: Story, form: str, folder: Path) -> Path:
    """Writes a file named after the story and the day, and returns its path."""
    for number in range(1, EXPORT_TRIES):
        path = folder / file_name(story, form, number)
        if not path.exists():
            write(story, form, path, overwrite=False)
            return path
    raise CommandError(f"{folder} is full of exports of this story; move some away.")


def write_named(data: bytes, folder: Path, name: str) -> Path:
    """Writes a file into ``folder`` under its name, with a number where that is taken; returns its path.

    Raises ``CommandError`` with a sentence when that cannot be.
    """
    path = folder / name
    for number in range(2, EXPORT_TRIES):
        if not path.exists():
            write_bytes([data], path, overwrite=False)
            return path
        path = path.with_name(f"{Path(name).stem} {number}{Path(name).suffix}")
    raise CommandError(f"{folder} is full of files called {name}; move some away.")


def write(story: Story, form: str, path: Path, *, overwrite: bool) -> None:
    """Writes a story to ``path``. Raises ``CommandError`` with a sentence when that cannot be."""
    write_bytes((piece.encode() for piece in render(story, form)), path, overwrite=overwrite)


def write_bytes(pieces: Iterable[bytes], path: Path, *, overwrite: bool) -> None:
    """Writes ``pieces`` to ``path``. Raises ``CommandError`` with a sentence when that cannot be."""
    try:
        path.parent.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
        write_whole(path, pieces, overwrite=overwrite)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror or error}.") from error
