"""Commands that list, make, change, copy and delete characters; in effect at once."""

from __future__ import annotations

from pathlib import Path

import trio
from msgspec.structs import replace

from flower import limits
from flower.engine import asset_files
from flower.engine.assets import READERS, Character
from flower.engine.character_list import Brief, briefs
from flower.engine.commands.catalogue import closest
from flower.engine.sentences import one_line
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import characters
from flower.errors import CommandError
from flower.settings import validators

PAGE = 40  # characters of one list
LISTS = ("alternate_greetings", "group_greetings", "tags")  # parts of the text are between bars
TEXTS = (
    "name", "persona", "nickname", "greeting", "scenario", "example_dialogue", "system_prompt",
    "post_history_instructions", "lore", "model", "creator", "version", "notes",
)  # fmt: skip


def filtered(known: list[Brief], words: str) -> list[Brief]:
    """Returns those whose name, id or tags have all of ``words`` in them."""
    wanted = words.casefold().split()
    if not wanted:
        return known
    found = []
    for brief in known:
        text = f"{brief.name}\n{brief.id}\n{' '.join(brief.tags)}".casefold()
        if all(word in text for word in wanted):
            found.append(brief)
    return found


async def list_all(engine: Engine, client: Client, argument: str) -> None:
    """A page of the characters that have the words in their name or tags."""
    number, words = 1, argument
    first, _, rest = argument.partition(" ")
    if first.isdecimal():
        number, words = max(int(first[:6]), 1), rest
    found = filtered(list(briefs(engine.services.assets.characters)), words)
    if not found:
        raise CommandError("There is no such character; /import brings some, /character new makes one.")
    pages = -(-len(found) // PAGE)
    number = min(number, pages)
    rows = []
    for brief in found[(number - 1) * PAGE : number * PAGE]:
        tags = f" [{', '.join(brief.tags[:5])}]" if brief.tags else ""
        rows.append(f"{brief.id}  {brief.name}{tags}  {one_line(brief.summary, 60)}")
    more = f", page {number} of {pages}: /character list {number + 1} shows more" if pages > 1 else ""
    client.notify("\n".join([f"{len(found)} characters{more}:", *rows]))


async def new(engine: Engine, client: Client, argument: str) -> None:
    name, _, persona = (part.strip() for part in argument.partition("|"))
    if not name or not persona:
        raise CommandError("Who? /character new Old Ned|Keeps the ferry, says little, forgets nothing.")
    known = engine.services.assets.characters
    identity, number = characters.id_of(name), 1
    while identity in known:
        number += 1
        identity = f"{characters.id_of(name)}-{number}"
    await _write(engine, Character(identity, name[: limits.NAME_CHARS], persona))
    client.notify(
        f"✓ {name} is here: /character select {identity}, /character edit {identity} greeting …"
    )


async def edit(engine: Engine, client: Client, argument: str) -> None:
    """One field of a character; of an imported one a file is made, which takes its place."""
    wanted, _, rest = argument.partition(" ")
    field, _, text = rest.strip().partition(" ")
    character, field = _find(engine, wanted), field.lower()
    if field not in (*TEXTS, *LISTS):
        raise CommandError(f"Which field? {', '.join((*TEXTS, *LISTS))}.")
    if not text.strip():
        value = getattr(character, field)
        now = " | ".join(value) if isinstance(value, tuple) else value
        client.notify(f"{character.name}, {field}: {now or 'nothing'}")
        return
    if text.strip().lower() in ("off", "none") and field not in ("name", "persona"):
        text = ""
    parts = tuple(part.strip() for part in text.split("|") if part.strip())
    changed = replace(character, **{field: parts if field in LISTS else text.strip()})
    await _write(engine, changed)
    client.notify(f"✓ {changed.name}, {field}: changed.")


async def copy(engine: Engine, client: Client, argument: str) -> None:
    wanted, _, identity = argument.partition(" ")
    character, identity = _find(engine, wanted), identity.strip().lower()
    try:
        validators.identifier(identity, ("ID",))
    except validators.WrongValueError as wrong:
        raise CommandError(f"The copy needs an id of its own: {wrong}.") from None
    if identity in engine.services.assets.characters:
        raise CommandError(f"There is a character {identity!r} already.")
    await _write(engine, replace(character, id=identity))
    client.notify(f"✓ {identity} is a copy of {character.id}.")


async def delete(engine: Engine, client: Client, argument: str) -> None:
    """The file is put aside, an imported card leaves the library; stories stay."""
    character = _find(engine, argument.strip())
    aside = await trio.to_thread.run_sync(asset_files.put_aside, _folder(engine), character.id)
    if aside is not None:
        engine.imports.unwrite(character.id)
        client.notify(f"✓ {character.name} is deleted; the text is in {aside}.")
        return
    if not await engine.services.database.write(characters.remove, character.id):
        raise CommandError(f"{character.name} comes with Flower and stays.")
    engine.imports.drop(character.id)
    client.notify(f"✓ {character.name} is no longer in the library; importing the card brings it back.")


def _find(engine: Engine, wanted: str) -> Character:
    known = engine.services.assets.characters
    found = known.get(wanted.lower())
    if found is None:
        raise CommandError(f"Which character? There is no {wanted!r}.{closest(wanted, list(known))}")
    return found


def _folder(engine: Engine) -> Path:
    return engine.services.database.path.parent / "assets"


async def _write(engine: Engine, character: Character) -> None:
    """Writes a character's file and lets everybody have it."""
    text = asset_files.yaml_of(character)
    read: Character = READERS[asset_files.FOLDER](asset_files.value_of(text), ())
    await trio.to_thread.run_sync(asset_files.write, _folder(engine), character)
    engine.imports.write(read)
