"""``flower export``: a story as a file or on standard output, with or without a running engine.

Only reads the database, so nothing can happen to it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from flower.engine.assets import SHIPPED, load_assets
from flower.engine.commands.catalogue import closest
from flower.engine.export.files import names_of, read_story, write
from flower.engine.export.render import FORMATS, Story, render
from flower.engine.sanitize import sanitize
from flower.engine.store import schema, stories
from flower.engine.store.database import Connection
from flower.engine.store.file import UnreadableError, reading, schema_version
from flower.errors import CommandError, StoreError
from flower.home import Home

STANDARD_OUTPUT = "-"


def run(home: Home, session: str | None, *, form: str, output: str, whole: bool) -> int:
    """Writes a story, or lists the stories without one; returns the exit code.

    ``form`` may be "" (by the ending of ``output``), ``output`` is a path or ``STANDARD_OUTPUT``.
    Raises ``CommandError`` or ``StoreError`` with a sentence.
    """
    form = form or _form_of(output)
    if form not in FORMATS:
        raise CommandError(f"there is no format {form!r}; --format takes one of: {', '.join(FORMATS)}")
    story = _read(home, session, whole=whole)
    if story is None:
        return 0
    if output == STANDARD_OUTPUT:
        return _print(story, form)
    path = Path(output).expanduser().absolute()
    if path.exists():
        raise CommandError(f"{path} exists; choose another name or move it away")
    write(story, form, path, overwrite=False)
    print(f"Written: {path}", file=sys.stderr)
    return 0


def _form_of(output: str) -> str:
    ending = Path(output).suffix.removeprefix(".").lower()
    return ending if ending in FORMATS else FORMATS[0]


def _read(home: Home, wanted: str | None, *, whole: bool) -> Story | None:
    if not home.database.exists():
        raise StoreError(f"there are no stories in {home.root} yet")
    try:
        with reading(home.database) as db:
            _check_version(db)
            if wanted is None:
                _list(stories.sessions(db, archived=True))
                return None
            known = [stored.id for stored in stories.sessions(db, archived=True)]
            if stories.session(db, wanted) is None:
                raise CommandError(f"there is no story {wanted!r}.{closest(wanted, known)}")
            names = names_of(load_assets((SHIPPED, home.assets)))
            return read_story(db, wanted, names, time.time(), whole=whole)
    except UnreadableError as error:
        raise StoreError(f"{home.database} cannot be read ({error}); see `flower check`") from error


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
    print("Your stories; `flower export ID` writes one:" if listed else "There are no stories yet.")
    for stored in listed:
        title = " ".join(sanitize(stored.title).split()) or "Untitled"
        print(f"  {stored.id}  {title} ({stored.world_id}, {stored.messages} messages)")


def _print(story: Story, form: str) -> int:
    try:
        for piece in render(story, form):
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough; without this Python would complain again while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
