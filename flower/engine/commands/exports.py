"""Commands that write files: stories, characters, lorebooks and settings, for people and for other programs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.engine.commands.lookup import closest, find_book, named, story_of
from flower.engine.export import files as export_files
from flower.engine.export import library_archive, library_files
from flower.engine.export.library_files import BOOK_FORMATS, CARD_FORMATS, STORY_FORMATS, NamedFile
from flower.engine.export.render import FORMATS, Story
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import stories
from flower.engine.store.library import books, presets
from flower.errors import CommandError
from flower.text import counted

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

NAMES_SHOWN = 5  # of files that were written


async def export_character(engine: Engine, client: Client, argument: str) -> None:
    """A card, the imported picture with it."""
    character_id, _, form = argument.partition(" ")
    character_id = character_id or client.chosen.character_id
    character = named("character", character_id, engine.assets_for(client).characters)
    source = await engine.services.database.read(library_files.read_character, character)
    form = form.strip().lower() or CARD_FORMATS[0]
    file = await trio.to_thread.run_sync(library_files.card_file, source, form)
    await write(engine, client, [file])


async def export_lorebook(engine: Engine, client: Client, argument: str) -> None:
    name, _, form = argument.rpartition(" ")
    if form.lower() not in BOOK_FORMATS:
        name, form = argument, BOOK_FORMATS[0]
    listed = await engine.services.database.read(books.listed, client.visitor.id)
    stored = find_book(listed, name.strip())
    book = await engine.services.database.read(books.read, stored.id)
    file = await trio.to_thread.run_sync(library_files.book_file, book, form.lower())
    await write(engine, client, [file])


async def export_preset(engine: Engine, client: Client, argument: str) -> None:
    """Sampler settings as a preset of SillyTavern."""
    database, user = engine.services.database, client.visitor.id
    file = await database.read(library_files.preset_file, argument, user)
    if file is None:
        names = await database.read(presets.names, presets.SAMPLERS, user)
        raise CommandError(f"Which preset? There is no {argument!r}.{closest(argument, list(names))}")
    await write(engine, client, [file])


async def export_replies(engine: Engine, client: Client, argument: str) -> None:
    """A set of quick replies, or those of ``config.yaml``."""
    own = [(reply.name, reply.text) for reply in engine.services.quick_replies]
    file = await engine.services.database.read(library_files.replies_file, argument, own)
    await write(engine, client, [file])


# /export writes the story a client watches to a file in the home, or where the player says.
USAGE = (
    "/export md, or /export html all my-story.html; the formats are "
    + ", ".join((*FORMATS, *STORY_FORMATS))
    + "."
)
OVERWRITE = "!"


async def export(engine: Engine, client: Client, argument: str) -> None:
    first, _, rest = argument.strip().lower().partition(" ")
    if first in STORY_FORMATS:
        if rest.strip() not in ("", "all"):
            raise CommandError(
                f"/export {first} takes no name: it writes all branches as they are called."
            )
        await export_story(engine, client, first)
        return
    session = story_of(client)
    words = argument.split()
    overwrite = words[-1:] == [OVERWRITE]
    words = words[: -1 if overwrite else None]
    form = words[0].lower() if words else ""
    if form not in FORMATS:
        raise CommandError(f"Which format? {USAGE}")
    whole = len(words) > 1 and words[1].lower() == "all"
    name = argument.split(None, 2 if whole else 1)[-1] if len(words) > 1 + whole else ""
    if overwrite:
        name = name.removesuffix(OVERWRITE).rstrip()
    names = export_files.names_of(engine.libraries.seen_by(session.owner, engine.services.assets))
    story = await engine.services.database.read_slowly(
        export_files.read_story, session.id, names, engine.now(), whole=whole
    )
    folder = await folder_for(engine, client)
    if client.visitor.id and (Path(name).name != name or name.startswith("~")):  # "~ann" is a folder
        raise CommandError("A name without folders, please: your exports have a folder of their own.")
    path = await trio.to_thread.run_sync(_write, story, form, folder, name, overwrite)
    client.notify(written(client, [path]))


def _write(story: Story, form: str, folder: Path, name: str, overwrite: bool) -> Path:
    if not name:
        return export_files.write_new(story, form, folder)
    path = export_files.place(name, form, folder)
    if path.exists() and not overwrite:
        raise CommandError(f"{path} exists; another name, or an ! at the end to overwrite it.")
    export_files.write(story, form, path, overwrite=overwrite)
    return path


async def export_story(engine: Engine, client: Client, form: str) -> None:
    """The whole tree, as another program's files or as Flower's own."""
    session = story_of(client)
    source = await engine.services.database.read(library_files.read_story, session.id)
    names = library_files.character_names(
        engine.libraries.seen_by(session.owner, engine.services.assets)
    )
    make = partial(library_files.story_files, source, names, form)
    files = await trio.to_thread.run_sync(lambda: list(make()))
    await write(engine, client, files)


async def write(engine: Engine, client: Client, files: list[NamedFile]) -> None:
    """Writes files into the home's folder of exports and says where; none takes another's place."""
    folder = await folder_for(engine, client)
    paths = [
        await trio.to_thread.run_sync(export_files.write_named, file.data, folder, file.name)
        for file in files
    ]
    client.notify(written(client, paths))


async def folder_for(engine: Engine, client: Client) -> Path:
    """Returns where a client's files are written: each user has a folder of their own.

    Raises ``CommandError`` when its user has filled what they may.
    """
    if client.visitor.id:
        await engine.allowances.check_disk(client.visitor.id, client.visitor.name)
    visitor = client.visitor
    return export_files.folder_of(engine.services.database.path, visitor.name, visitor.id)


def written(client: Client, paths: Sequence[Path]) -> str:
    """Returns what to say of files that were written: where they are, or how a user gets them."""
    if not paths:
        return "There is nothing to write."
    if not client.visitor.id:
        others = f" and {counted(len(paths) - 1, 'more file')} beside it" if len(paths) > 1 else ""
        return f"✓ Written: {paths[0]}{others}"
    names = ", ".join(path.name for path in paths[:NAMES_SHOWN])
    more = f" and {len(paths) - NAMES_SHOWN} more" if len(paths) > NAMES_SHOWN else ""
    days = limits.EXPORT_KEPT_S // 86_400
    return (
        f"✓ Written, and kept for {days} days: {names}{more}. `/fetch {paths[0].name}` or"
        f' `flower export --fetch "{paths[0].name}"` brings it to your machine.'
    )


async def export_library(engine: Engine, client: Client, argument: str) -> None:
    """Everything of the home as one archive; read beside the engine's own connection, so that nobody waits."""
    if await engine.services.database.read(stories.has_others_things):
        raise CommandError(
            "Others have stories or a library in this home, which are theirs; on its machine `flower backup`"
            " keeps everything."
        )
    home = engine.services.database.path.parent
    made = await engine.services.database.read_slowly(
        library_archive.write_new, home / library_archive.ASSETS, home / export_files.FOLDER
    )
    client.notify(
        f"✓ Written: {made.path}. On another machine `flower import {made.path.name}` takes it over."
    )
