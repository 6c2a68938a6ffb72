"""Commands about what is in the library: characters, lorebooks and stories as files of other programs."""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.engine.assets import Character
from flower.engine.commands.lookup import closest
from flower.engine.export import files as export_files
from flower.engine.export import library_archive, library_files, settings_files
from flower.engine.export.library_files import BOOK_FORMATS, CARD_FORMATS, NamedFile
from flower.engine.recall.native_check import NoNumpyError, load_numpy
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import books, presets, states, stories
from flower.engine.store.books import StoredBook
from flower.errors import CommandError
from flower.protocol.messages import Portrait, State
from flower.text import counted

if TYPE_CHECKING:
    from flower.engine.interchange.thumbnail import Thumbnail

log = logging.getLogger(__name__)

NAMES_SHOWN = 5  # of files that were written


async def export_character(engine: Engine, client: Client, argument: str) -> None:
    """A card, the imported picture with it."""
    wanted, _, form = argument.partition(" ")
    known = engine.assets_for(client).characters
    wanted = wanted.lower() or client.chosen.character_id
    character = known.get(wanted)
    if character is None:
        raise CommandError(f"Which character? There is no {wanted!r}.{closest(wanted, list(known))}")
    source = await engine.services.database.read(library_files.read_character, character)
    form = form.strip().lower() or CARD_FORMATS[0]
    file = await trio.to_thread.run_sync(library_files.card_file, source, form)
    await write(engine, client, [file])


async def send_portrait(engine: Engine, client: Client, argument: str) -> None:
    """Sends a character's picture, as small as screens show it; nothing is said where there is none."""
    wanted = argument.lower() or client.chosen.character_id
    character = await _pictured(engine, client, wanted)
    small = None
    if character is not None:
        source = await engine.services.database.read(library_files.read_character, character)
        try:
            await load_numpy(None)  # the first picture may be asked for before anything was recalled
            small = await trio.to_thread.run_sync(_thumbnail, source)
        except NoNumpyError as error:
            log.warning("no portraits: %s", error)
    portrait = Portrait(wanted)
    if small is not None:
        packed = base64.b64encode(small.pixels).decode()
        portrait = Portrait(wanted, small.width, small.height, packed)
    client.notify("", State(portrait=portrait))


async def _pictured(engine: Engine, client: Client, wanted: str) -> Character | None:
    """Returns a character that a client may see the picture of: one it can choose, or one in its story."""
    found = engine.assets_for(client).characters.get(wanted)
    session = client.session
    if found is not None or session is None:
        return found
    steered = await engine.services.database.read(states.steering, session.id)
    here = (session.character_id, *steered.cast.members)
    return engine.services.assets.characters.get(wanted) if wanted in here else None


def _thumbnail(source: library_files.CardSource) -> Thumbnail | None:
    from flower.engine.interchange import thumbnail  # numpy is loaded when it is known to run here

    picture = library_files.picture_of(source)
    return thumbnail.of_png(picture) if picture is not None else None


async def export_lorebook(engine: Engine, client: Client, argument: str) -> None:
    name, _, form = argument.rpartition(" ")
    if form.lower() not in BOOK_FORMATS:
        name, form = argument, BOOK_FORMATS[0]
    listed = await engine.services.database.read(books.listed, client.visitor.id)
    found = find_book(listed, name.strip())
    book = await engine.services.database.read(books.read, found.id)
    file = await trio.to_thread.run_sync(library_files.book_file, book, form.lower())
    await write(engine, client, [file])


def find_book(listed: list[StoredBook], wanted: str) -> StoredBook:
    """Returns the lorebook of that name or number. Raises ``CommandError`` with those there are."""
    if not listed:
        raise CommandError("There is no lorebook here; /import brings some.")
    fits = [one for one in listed if wanted.casefold() in (str(one.id), (one.name or "").casefold())]
    if not fits:
        near = closest(wanted, [one.name for one in listed])
        raise CommandError(f"There is no lorebook {wanted!r}.{near}")
    if len(fits) > 1:
        numbers = ", ".join(str(one.id) for one in fits)
        raise CommandError(f"Several lorebooks are called that; say which by its number: {numbers}.")
    return fits[0]


async def export_preset(engine: Engine, client: Client, argument: str) -> None:
    """Sampler settings as a preset of SillyTavern."""
    database, user = engine.services.database, client.visitor.id
    file = await database.read(settings_files.preset_file, argument, user)
    if file is None:
        known = await database.read(presets.names, presets.SAMPLERS, user)
        raise CommandError(f"Which preset? There is no {argument!r}.{closest(argument, list(known))}")
    await write(engine, client, [file])


async def export_replies(engine: Engine, client: Client, argument: str) -> None:
    """A set of quick replies, or those of ``config.yaml``."""
    own = [(reply.name, reply.text) for reply in engine.services.quick_replies]
    file = await engine.services.database.read(settings_files.replies_file, argument, own)
    await write(engine, client, [file])


async def export_story(engine: Engine, client: Client, form: str) -> None:
    """The whole tree, as another program's files or as Flower's own."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    source = await engine.services.database.read(library_files.read_story, client.session.id)
    names = library_files.character_names(
        engine.libraries.seen_by(client.session.owner, engine.services.assets)
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
