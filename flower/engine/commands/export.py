"""/export: writes the story a client watches to a file in the home, or where the player says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower.engine import export_file
from flower.engine.export import FORMATS, Story
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine

USAGE = "/export md, or /export html all my-story.html; the formats are " + ", ".join(FORMATS) + "."
OVERWRITE = "!"


async def export(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
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
    names = export_file.names_of(engine.services.assets)
    story = await engine.services.database.read(
        export_file.read_story, client.session.id, names, engine.now(), whole=whole
    )
    folder = engine.services.database.path.parent / export_file.FOLDER
    path = await trio.to_thread.run_sync(_write, story, form, folder, name, overwrite)
    client.tell(f"✓ Written: {path}")


def _write(story: Story, form: str, folder: Path, name: str, overwrite: bool) -> Path:
    if not name:
        return export_file.write_new(story, form, folder)
    path = export_file.place(name, form, folder)
    if path.exists() and not overwrite:
        raise CommandError(f"{path} exists; another name, or an ! at the end to overwrite it.")
    export_file.write(story, form, path, overwrite=overwrite)
    return path
