"""``flower export``: stories, characters, lorebooks, or all of a home, with or without a running engine.

Only reads the database, so nothing can happen to it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.assets.shelves import briefs
from flower.engine.commands.lookup import closest
from flower.engine.export import library_archive, library_files
from flower.engine.export.files import names_of, read_story, write, write_bytes, write_named
from flower.engine.export.library_files import STORY_FORMATS, NamedFile
from flower.engine.export.render import FORMATS, Story, render
from flower.engine.store import schema, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, characters, presets
from flower.engine.store.sqlite.file import UnreadableError, reading, schema_version
from flower.engine.store.transfer import library_rows
from flower.errors import CommandError, StoreError, printable_line
from flower.home import Home, load_config
from flower.installation import as_typed
from flower.text import counted, sanitize

STANDARD_OUTPUT = "-"


def run(home: Home, session: str | None, *, form: str, output: str, whole: bool) -> int:
    """Writes a story, or lists the stories without one; returns the exit code.

    ``form`` may be "" (by the ending of ``output``), ``output`` is a path or ``STANDARD_OUTPUT``.
    Raises ``CommandError`` or ``StoreError`` with a sentence.
    """
    form = form or _form_of(output)
    if form in STORY_FORMATS and session is not None:
        return _story_files(home, session, form, output, whole=whole)
    if form not in (*FORMATS, *STORY_FORMATS):
        there = ", ".join((*FORMATS, *STORY_FORMATS))
        raise CommandError(f"there is no format {form!r}; --format takes one of: {there}")
    story = _read(home, session, whole=whole)
    if story is None:
        return 0
    if output == STANDARD_OUTPUT:
        return _print(story, form)
    path = _new_path(output)
    write(story, form, path, overwrite=False)
    print(f"Written: {printable_line(path)}", file=sys.stderr)
    return 0


def _new_path(output: str) -> Path:
    path = Path(output).expanduser().absolute()
    if path.exists():
        raise CommandError(f"{path} exists; choose another name or move it away")
    return path


# --- characters, lorebooks, stories for other programs ---------------------------------------------


def character(home: Home, character_id: str, *, form: str, output: str) -> int:
    """Writes a character as a card; returns the exit code. Raises like ``run``."""
    assets = load_assets((SHIPPED, home.assets))
    with _database(home) as db:
        there = {brief.id: brief.name for brief in briefs(assets.characters)}
        there |= {stored.brief.id: stored.brief.name for stored in characters.everybody(db)}
        match = assets.characters.get(character_id) or characters.one(db, character_id)
        if match is None:
            raise CommandError(
                f"there is no character {character_id!r}.{closest(character_id, list(there))}"
            )
        source = library_files.read_character(db, match)
    chosen = form or _ending_of(output, {"png": "png", "charx": "charx", "json": "v3"}) or "png"
    return _put([library_files.card_file(source, chosen)], output)


def lorebook(home: Home, name: str, *, form: str, output: str) -> int:
    """Writes a lorebook; returns the exit code. Raises like ``run``."""
    with _database(home) as db:
        listed = books.listed(db)
        fits = [one for one in listed if name.casefold() in (one.name.casefold(), str(one.id))]
        if not fits:
            names = [one.name for one in listed]
            raise CommandError(f"there is no lorebook {name!r}.{closest(name, names)}")
        book = books.read(db, fits[0].id)
    return _put([library_files.book_file(book, form or library_files.BOOK_FORMATS[0])], output)


def preset(home: Home, name: str, *, output: str) -> int:
    """Writes sampler settings; returns the exit code. Raises like ``run``."""
    with _database(home) as db:
        file = library_files.preset_file(db, name)
        if file is None:
            there = list(presets.names(db, presets.SAMPLERS))
            raise CommandError(f"there is no preset {name!r}.{closest(name, there)}")
    return _put([file], output)


def replies(home: Home, name: str, *, output: str) -> int:
    """Writes a set of quick replies; returns the exit code. Raises like ``run``."""
    own = [(reply.name, reply.text) for reply in load_config(home, os.environ).quick_replies]
    with _database(home) as db:
        file = library_files.replies_file(db, name, own)
    return _put([file], output)


def library(home: Home, file: Path) -> int:
    """Writes everything of a home as one archive; returns the exit code. Raises like ``run``."""
    with _database(home) as db:
        library_rows.one_state(db)
        written = library_archive.write(db, home.assets, file.expanduser().absolute())
    print(
        f"Written: {printable_line(file)}: {counted(written.characters, 'character')},"
        f" {counted(written.books, 'lorebook')}, {counted(written.stories, 'story', 'stories')}."
        + as_typed(f" `flower import {printable_line(file.name)}` takes it over elsewhere."),
        file=sys.stderr,
    )
    return 0


def _story_files(home: Home, session: str, form: str, output: str, *, whole: bool) -> int:
    """Writes a story for other programs: up to its current message, or with ``whole`` a file for each of its ends."""
    names = library_files.character_names(load_assets((SHIPPED, home.assets)))
    with _database(home) as db:
        names |= {one.brief.id: one.brief.name for one in characters.everybody(db)}
        _check_story(db, session)
        source = library_files.read_story(db, session)
    files = list(library_files.story_files(source, names, form))
    return _put(files if whole else files[:1], output)


def _put(files: list[NamedFile], output: str) -> int:
    """Writes one file to where it is wanted; several, or one into a folder, under names of their own."""
    if output == STANDARD_OUTPUT:
        if len(files) > 1:
            raise CommandError(f"these are {len(files)} files; name a folder for them with --output")
        if sys.stdout.isatty() and not files[0].name.endswith((".json", ".jsonl")):
            raise CommandError("a terminal shows no pictures; name a file with --output")
        return _pipe(file.data for file in files)
    folder = Path(output).expanduser().absolute()
    if len(files) == 1 and not folder.is_dir() and not output.endswith(os.sep):
        paths = [_new_path(output)]
        write_bytes([files[0].data], paths[0], overwrite=False)
    else:
        paths = [write_named(file.data, folder, file.name) for file in files]
    for path in paths:
        print(f"Written: {printable_line(path)}", file=sys.stderr)
    return 0


def _ending_of(output: str, forms: Mapping[str, str]) -> str:
    return forms.get(Path(output).suffix.removeprefix(".").lower(), "")


@contextmanager
def _database(home: Home) -> Iterator[Connection]:
    if url := load_config(home, os.environ).store:
        from flower.engine.store.postgres import reading as postgres

        with postgres.reading(url) as server:
            yield server
        return
    if not home.database.exists():
        raise StoreError(f"there are no stories in {home.root} yet")
    try:
        with reading(home.database) as db:
            _check_version(db)
            yield db
    except UnreadableError as error:
        raise StoreError(f"{home.database} cannot be read ({error}); see `flower check`") from error


def _check_story(db: Connection, session_id: str) -> None:
    if stories.session(db, session_id) is None:
        there = [stored.id for stored in stories.sessions(db, archived=True)]
        raise CommandError(f"there is no story {session_id!r}.{closest(session_id, there)}")


# --- stories for people ----------------------------------------------------------------------------


def _form_of(output: str) -> str:
    ending = Path(output).suffix.removeprefix(".").lower()
    return ending if ending in FORMATS else FORMATS[0]


def _read(home: Home, session_id: str | None, *, whole: bool) -> Story | None:
    with _database(home) as db:
        if session_id is None:
            _list(stories.sessions(db, archived=True))
            return None
        _check_story(db, session_id)
        names = names_of(load_assets((SHIPPED, home.assets)))
        return read_story(db, session_id, names, time.time(), whole=whole)


def _check_version(db: Connection) -> None:
    version = schema_version(db)
    newest = len(schema.MIGRATIONS)
    if version > newest:
        raise StoreError("the stories were made by a newer Flower; update Flower")
    if version < newest:
        raise StoreError(
            "the stories were made by an older Flower; start `flower` once, it takes them over"
        )


def _list(listed: list[stories.StoredSession]) -> None:
    print(
        as_typed(
            "Your stories; `flower export ID` writes one:" if listed else "There are no stories yet."
        )
    )
    for stored in listed:
        title = " ".join(sanitize(stored.title).split()) or "Untitled"
        about = f"{stored.world_id}, {counted(stored.messages, 'message')}"
        print(f"  {printable_line(stored.id)}  {printable_line(title)} ({printable_line(about)})")


def _print(story: Story, form: str) -> int:
    return _pipe(piece.encode() for piece in render(story, form))


def _pipe(pieces: Iterable[bytes]) -> int:
    try:
        sys.stdout.flush()
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; without this Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
