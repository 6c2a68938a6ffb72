"""Commands about who is played: the player's persona, kept in the library, and the characters of the narrator."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.assets.kinds import Character
from flower.engine.assets.shelves import plain
from flower.engine.commands import table
from flower.engine.commands.edited_rows import personas_with_room
from flower.engine.commands.lookup import closest, current_of, named, story_of
from flower.engine.commands.steering import steer
from flower.engine.game import steering
from flower.engine.game.steering import NOTE_CHARS, Persona, Steering
from flower.engine.prompt.direction import StoryRef, greetings_of_cast, model_of
from flower.engine.sessions.create import rows_of
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import stages, states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import personas
from flower.engine.store.library.personas import StoredPersona
from flower.errors import CommandError
from flower.protocol.messages import State

SHOWN_CHARS = 70
OFF = ("off", "none")
CAST = 12  # characters on one stage: each persona is in every prompt


async def persona(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        current = (await current_of(engine, story_of(client))).steering.persona
        client.notify(
            current.prompt_text
            or "You are nobody in particular. /persona NAME|WHO YOU ARE changes that."
        )
        return
    new = steering.Persona() if argument.lower() in OFF else steering.parse_persona(argument)
    if client.session is None:
        await begin_as(engine, client, new)
        return
    if client.plays_elsewhere:
        await table.play(engine, client, new)
        client.notify(f"✓ At this table you are {new.name or 'as you are called'}.")
        return
    await steer(engine, client, lambda steered: replace(steered, persona=new))
    client.notify(
        f"✓ You are {new.name or 'as described'}." if new.prompt_text else "✓ You are nobody again."
    )


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


async def _find(engine: Engine, client: Client, name: str) -> StoredPersona:
    persona = await engine.services.database.read(personas.find, name, client.visitor.id)
    if persona is None:
        names = [
            display_name(one)
            for one in await engine.services.database.read(personas.listed, client.visitor.id)
        ]
        raise CommandError(f"Which persona? There is no {name!r}.{closest(name, names)}")
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
    await personas_with_room(engine, client.visitor.id)
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
    await personas_with_room(engine, owner)

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


# --- the characters -------------------------------------------------------------------------------


async def select_character(engine: Engine, client: Client, argument: str) -> None:
    character = named("character", argument, engine.assets_for(client).characters)
    await engine.choose(client, character_id=character.id)
    session = client.session
    if session is not None:
        session.character_id = character.id
        await engine.services.database.write(stories.set_character, session.id, character.id)
    client.notify(f"✓ Character: {character.name}.", State(character_id=character.id))


async def show_cast(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError(
            "/cast add ID, /cast remove ID, /cast next ID, /cast mode together|named|round,"
            " /cast model ID MODEL."
        )
    session = story_of(client)
    steered = await current_of(engine, session)
    chosen, characters = steered.steering.cast, engine.services.assets.characters
    ids = dict.fromkeys((session.character_id, *chosen.members))
    members = [characters[i] for i in ids if i in characters]
    if not members:
        client.notify("Nobody is on stage but the narrator. /cast add ID brings a character.")
        return
    hand = f"; next, until /cast next off: {chosen.next}" if chosen.next else ""
    rows = [_member(character, model_of(character.id, members, chosen)) for character in members]
    client.notify("\n".join(["On stage:", *rows, f"Speaks: {chosen.mode}{hand}."]))


def _member(character: Character, model: str) -> str:
    lore = ", with lore of their own" if character.lore else ""
    spoken = f", spoken by {model}" if model else ""
    return f"  {character.id}  {character.name}{lore}{spoken}"


async def add_to_cast(engine: Engine, client: Client, argument: str) -> None:
    character = named("character", argument, engine.assets_for(client).characters)

    def add(steered: Steering) -> Steering:
        members = (*(m for m in steered.cast.members if m != character.id), character.id)
        if len(members) > CAST:
            raise CommandError(f"{CAST} characters are the most on one stage.")
        return replace(steered, cast=replace(steered.cast, members=members))

    session, database = story_of(client), engine.services.database
    before = await database.read(states.steering, session.id)
    if not before.cast.members and character.id != session.character_id:
        await database.write(stages.begin, session.id, session.character_id)
    steered = await steer(engine, client, add)
    anew = await _greet_anew(engine, story_of(client), steered)
    other = " The story begins with a greeting for several; ← → shows the others." if anew else ""
    client.notify(f"✓ {character.name} joins the scene.{other}")


async def _greet_anew(engine: Engine, session: Session, steered: Steering) -> bool:
    """Begins a story in which nothing was said yet with what the cards of its cast have for several."""
    place = StoryRef(session.id, session.world_id, session.character_id)
    now = engine.now()
    words = greetings_of_cast(engine.services.assets, place, steered, now)
    if not words:
        return False
    path = await engine.services.database.read(stories.active_path, session.id, most=2)
    if len(path) != 1:  # more than a greeting: nobody waits for a reply for nothing
        return False
    return await engine.edits.change(session, states.greet_anew, rows_of(words), now)


async def remove_from_cast(engine: Engine, client: Client, argument: str) -> None:
    def remove(steered: Steering) -> Steering:
        present = steered.cast.members
        gone = next((m for m in present if argument.lower() in (m, plain(m))), None)
        if gone is None:
            raise CommandError(f"{argument!r} is not in the cast.{closest(argument, list(present))}")
        members = tuple(m for m in present if m != gone)
        following = "" if steered.cast.next == gone else steered.cast.next
        return replace(steered, cast=replace(steered.cast, members=members, next=following))

    await steer(engine, client, remove)
    client.notify(f"✓ {argument} leaves the scene.")


async def next_in_cast(engine: Engine, client: Client, argument: str) -> None:
    speaker, name = ("" if argument.lower() in OFF else argument.lower()), ""
    if speaker == steering.NARRATOR:
        name = "the narrator alone"
    elif speaker:
        character = named("character", speaker, engine.assets_for(client).characters)
        speaker, name = character.id, character.name

    def choose(steered: Steering) -> Steering:
        stage = (*steered.cast.members, story_of(client).character_id, steering.NARRATOR, "")
        if speaker not in stage:
            raise CommandError(f"{name} is not on stage; /cast add {speaker} brings them.")
        return replace(steered, cast=replace(steered.cast, next=speaker))

    await steer(engine, client, choose)
    client.notify(f"✓ Next speaks {name}." if name else "✓ Who speaks is open again.")


async def cast_mode(engine: Engine, client: Client, argument: str) -> None:
    mode = next((mode for mode in steering.MODES if mode == argument.lower()), None)
    if mode is None:
        raise CommandError(f"Who speaks is decided {', '.join(steering.MODES)}: /cast mode round.")
    await steer(engine, client, lambda s: replace(s, cast=replace(s.cast, mode=mode)))
    client.notify(f"✓ Who speaks: {mode}.")


async def cast_model(engine: Engine, client: Client, argument: str) -> None:
    """Chooses the model that speaks for a character in this story, whatever their file says."""
    character_id, _, model = argument.partition(" ")
    model = model.strip()
    if not character_id or not model:
        raise CommandError("Whose, and which? For example /cast model ID MODEL, or /cast model ID off.")
    character = named("character", character_id, engine.assets_for(client).characters)
    chosen = "" if model.lower() in OFF else model
    if chosen:
        engine.registry.resolve(chosen)

    def choose(steered: Steering) -> Steering:
        models = {**steered.cast.models, character.id: chosen}
        return replace(steered, cast=replace(steered.cast, models=models))

    await steer(engine, client, choose)
    client.notify(f"✓ {chosen or 'The model of the story'} speaks for {character.name}.")
