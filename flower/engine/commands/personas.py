"""Commands about the player's personas: kept in the library, one the default, some bound to characters."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.commands import table
from flower.engine.commands.lookup import closest
from flower.engine.game.steering import NOTE_CHARS, Persona
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import personas, states
from flower.engine.store.connection import Connection
from flower.engine.store.personas import StoredPersona
from flower.errors import CommandError
from flower.protocol.messages import State

SHOWN_CHARS = 70
OFF = ("off", "none")
MOST = 1000  # personas of one home


async def list_all(engine: Engine, client: Client, argument: str) -> None:
    listed = await engine.services.database.read(personas.listed, client.visitor.id)
    if not listed:
        raise CommandError("There is no persona in the library; /persona save keeps the present one.")
    rows = [
        f"{'* ' if one.is_default else '  '}{display_name(one)}: {' '.join(one.description.split())[:SHOWN_CHARS]}"
        for one in listed
    ]
    client.notify("\n".join(["Your personas, * is the default; /persona use NAME plays one:", *rows]))


def display_name(persona: StoredPersona) -> str:
    """Returns the name by which commands find a persona."""
    return f"{persona.name} ({persona.title})" if persona.title else persona.name


async def _find(engine: Engine, client: Client, wanted: str) -> StoredPersona:
    persona = await engine.services.database.read(personas.find, wanted, client.visitor.id)
    if persona is None:
        names = [
            display_name(one)
            for one in await engine.services.database.read(personas.listed, client.visitor.id)
        ]
        raise CommandError(f"Which persona? There is no {wanted!r}.{closest(wanted, names)}")
    return persona


async def use(engine: Engine, client: Client, argument: str) -> None:
    persona = await _find(engine, client, argument)
    if client.session is None:
        raise CommandError("There is no story here yet; /persona default NAME is for all new ones.")
    new = Persona(persona.name, persona.description[:NOTE_CHARS])
    if client.plays_elsewhere:
        await table.play(engine, client, new)
        client.notify(f"✓ At this table you are {persona.name}.")
        return
    await engine.services.database.write(
        states.change_steering, client.session.id, lambda steered: replace(steered, persona=new)
    )
    client.notify(f"✓ You are {persona.name} in this story.")


async def save(engine: Engine, client: Client, argument: str) -> None:
    """Keeps who the player is in this story; ``argument`` is a title that tells equal names apart."""
    if client.session is None:
        raise CommandError("There is no story here yet, so you are nobody to be kept.")
    now = (await engine.services.database.read(states.steering, client.session.id)).persona
    if not now.name:
        raise CommandError("A persona needs a name first: /persona Ines|A surveyor, dry and exact.")
    if len(await engine.services.database.read(personas.listed, client.visitor.id)) >= MOST:
        raise CommandError(f"There are {MOST} personas, the most one home holds; delete some.")
    await engine.services.database.write(
        personas.put,
        now.name,
        argument[:SHOWN_CHARS],
        now.text,
        engine.now(),
        owner=client.visitor.id,
    )
    client.notify(f"✓ {now.name} is in the library; /persona use {now.name} plays it in other stories.")


async def default(engine: Engine, client: Client, argument: str) -> None:
    if argument.lower() in OFF:
        await engine.services.database.write(personas.make_default, None, client.visitor.id)
        client.notify("✓ No persona is the default.", State(persona=""))
        return
    persona = await _find(engine, client, argument)
    await engine.services.database.write(personas.make_default, persona.id, client.visitor.id)
    client.notify(f"✓ New stories begin with you as {persona.name}.", State(persona=persona.name))


async def begin_as(engine: Engine, client: Client, new: Persona) -> None:
    """Before there is a story: the library keeps who the player is, for all new ones."""
    if not new.prompt_text:
        await default(engine, client, OFF[0])
        return
    if not new.name:
        raise CommandError("A persona needs a name first: /persona Ines|A surveyor, dry and exact.")
    owner, now = client.visitor.id, engine.now()
    if not new.text and await engine.services.database.read(personas.find, new.name, owner) is not None:
        await default(engine, client, new.name)
        return
    if len(await engine.services.database.read(personas.listed, owner)) >= MOST:
        raise CommandError(f"There are {MOST} personas, the most one home holds; delete some.")

    def keep(db: Connection) -> None:
        personas.make_default(db, personas.put(db, new.name, "", new.text, now, owner=owner), owner)

    await engine.services.database.write(keep)
    client.notify(f"✓ New stories begin with you as {new.name}.", State(persona=new.name))


async def bind(engine: Engine, client: Client, argument: str) -> None:
    """To the chosen character: its new stories begin with this persona."""
    character_id = client.chosen.character_id
    if not character_id:
        raise CommandError("Choose a character first: /character select ID.")
    bound_to = personas.of_user(client.visitor.id, character_id)
    if argument.lower() in OFF:
        await engine.services.database.write(personas.unbind, "character", bound_to)
        client.notify("✓ This character has no persona of its own.")
        return
    persona = await _find(engine, client, argument)
    await engine.services.database.write(personas.bind, persona.id, "character", bound_to)
    client.notify(f"✓ New stories with {character_id} begin with you as {persona.name}.")


async def delete(engine: Engine, client: Client, argument: str) -> None:
    """Out of the library; stories that are played with it keep it."""
    persona = await _find(engine, client, argument)
    await engine.services.database.write(personas.remove, persona.id)
    left = await engine.services.database.read(personas.default_name, client.visitor.id)
    client.notify(f"✓ {display_name(persona)} is no longer in the library.", State(persona=left))
