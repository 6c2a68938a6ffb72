"""Commands that steer: the author's note, pinned facts, the player's persona, the cast, other voices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from flower import limits
from flower.engine.assets import Character
from flower.engine.character_list import briefs
from flower.engine.commands import personas, table
from flower.engine.commands.game import add_message, current_of, story_of
from flower.engine.commands.lookup import closest
from flower.engine.game import cast, steering
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Steering
from flower.engine.own_assets import plain
from flower.engine.prompt.direction import StoryRef, greetings_of_cast, model_of
from flower.engine.provider.capabilities import Suggesting
from flower.engine.sessions import suggestions
from flower.engine.sessions.create import rows_of
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import exchanges, stages, states, stories
from flower.engine.store.extra import MessageExtra
from flower.errors import CommandError
from flower.protocol.messages import State

NOTE_CHARS = steering.NOTE_CHARS
PINS = 32
PIN_CHARS = 500
CAST = 12  # characters on one stage: each persona is in every prompt

OFF = ("off", "none", "clear", "-")


async def _steer(engine: Engine, client: Client, change: Callable[[Steering], Steering]) -> Steering:
    session = story_of(client)
    return await engine.services.database.write(states.change_steering, session.id, change)


# --- note, pins, persona ------------------------------------------------------------------------


async def note(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        current = (await current_of(engine, story_of(client))).steering.note
        if current is None:
            client.notify("There is no note. /note More fog, less talk. /note depth 4, every 2, TEXT")
        else:
            client.notify(f"Note at depth {current.depth}, every {current.every}: {current.text}")
        return
    new = None if argument.lower() in OFF else steering.parse_note(argument)
    await _steer(engine, client, lambda steered: replace(steered, note=new))
    client.notify("✓ The note is gone." if new is None else "✓ Noted for the narrator.")


async def pin(engine: Engine, client: Client, argument: str) -> None:
    """Pins are facts of the story, so they go where its state goes."""
    session = story_of(client)
    if not argument:
        pins = (await current_of(engine, session)).state.pins
        rows = [f"{number:>3}  {text}" for number, text in enumerate(pins, start=1)]
        none = "Nothing is pinned; /pin TEXT keeps a fact in front of the narrator."
        client.notify("\n".join(["Pinned; /unpin N lets one go:", *rows]) if rows else none)
        return
    if len(argument) > PIN_CHARS:
        raise CommandError(f"A pinned fact has {PIN_CHARS} characters at most; lore can be longer.")

    def add(state: StoryState) -> StoryState:
        if len(state.pins) >= PINS:
            raise CommandError(f"{PINS} facts are pinned, the most; /unpin N lets one go.")
        return replace(state, pins=(*(p for p in state.pins if p != argument), argument))

    await engine.services.database.write(states.change_state, session.id, add)
    client.notify("✓ Pinned: the narrator always has it in view.")


async def unpin(engine: Engine, client: Client, argument: str) -> None:
    gone: list[str] = []

    def remove(state: StoryState) -> StoryState:
        number = int(argument[:9]) if argument.isdecimal() else 0
        if not 1 <= number <= len(state.pins):
            raise CommandError("Which one? /pin lists them with their numbers, /unpin 1 lets one go.")
        gone.append(state.pins[number - 1])
        return replace(state, pins=state.pins[: number - 1] + state.pins[number:])

    await engine.services.database.write(states.change_state, story_of(client).id, remove)
    client.notify(f"✓ No longer pinned: {gone[0]}")


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
        await personas.begin_as(engine, client, new)
        return
    if client.plays_elsewhere:
        await table.play(engine, client, new)
        client.notify(f"✓ At this table you are {new.name or 'as you are called'}.")
        return
    await _steer(engine, client, lambda steered: replace(steered, persona=new))
    client.notify(
        f"✓ You are {new.name or 'as described'}." if new.prompt_text else "✓ You are nobody again."
    )


# --- rules of this story ------------------------------------------------------------------------


async def rule_on(engine: Engine, client: Client, argument: str) -> None:
    await _switch_rule(engine, client, argument, on=True)


async def rule_off(engine: Engine, client: Client, argument: str) -> None:
    await _switch_rule(engine, client, argument, on=False)


async def _switch_rule(engine: Engine, client: Client, argument: str, *, on: bool) -> None:
    """Switches a rule for this story alone, whatever is chosen elsewhere."""
    rules = engine.assets_for(client).rules
    rule = rules.get(argument.lower())
    if rule is None:
        raise CommandError(f"There is no rule {argument!r}.{closest(argument, list(rules))}")
    session = story_of(client)
    await _steer(engine, client, lambda s: replace(s, rules={**s.rules, rule.id: on}))
    text = f"✓ Rule {'on' if on else 'off'} in this story: {rule.name}."
    for watcher in tuple(engine.clients):  # each has rules of its own beside the story's
        if watcher.session is session:
            watcher.notify(text, State(active_rules=await engine.active_rules(watcher)))


# --- the cast -----------------------------------------------------------------------------------


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
    found = _character(engine, client, argument)

    def add(steered: Steering) -> Steering:
        members = (*(m for m in steered.cast.members if m != found.id), found.id)
        if len(members) > CAST:
            raise CommandError(f"{CAST} characters are the most on one stage.")
        return replace(steered, cast=replace(steered.cast, members=members))

    session, database = story_of(client), engine.services.database
    before = await database.read(states.steering, session.id)
    if not before.cast.members and found.id != session.character_id:
        await database.write(stages.begin, session.id, session.character_id)
    steered = await _steer(engine, client, add)
    anew = await _greet_anew(engine, story_of(client), steered)
    other = " The story begins with a greeting for several; ← → shows the others." if anew else ""
    client.notify(f"✓ {found.name} joins the scene.{other}")


async def _greet_anew(engine: Engine, session: Session, steered: Steering) -> bool:
    """Begins a story in which nothing was said yet with what the cards of its cast have for several."""
    place = StoryRef(session.id, session.world_id, session.character_id)
    now = engine.now()
    words = greetings_of_cast(engine.services.assets, place, steered, now)
    if not words:
        return False
    path = await engine.services.database.read(stories.active_path, session.id, most=2)
    if len(path) != 1:  # nobody is told to wait for a reply for nothing
        return False
    return await engine.edits.change(session, states.greet_anew, rows_of(words), now)


async def remove_from_cast(engine: Engine, client: Client, argument: str) -> None:
    def remove(steered: Steering) -> Steering:
        known = steered.cast.members
        gone = next((m for m in known if argument.lower() in (m, plain(m))), None)
        if gone is None:
            raise CommandError(f"{argument!r} is not in the cast.{closest(argument, list(known))}")
        members = tuple(m for m in known if m != gone)
        following = "" if steered.cast.next == gone else steered.cast.next
        return replace(steered, cast=replace(steered.cast, members=members, next=following))

    await _steer(engine, client, remove)
    client.notify(f"✓ {argument} leaves the scene.")


async def next_in_cast(engine: Engine, client: Client, argument: str) -> None:
    wanted, name = ("" if argument.lower() in OFF else argument.lower()), ""
    if wanted == cast.NARRATOR:
        name = "the narrator alone"
    elif wanted:
        found = _character(engine, client, wanted)
        wanted, name = found.id, found.name

    def choose(steered: Steering) -> Steering:
        stage = (*steered.cast.members, story_of(client).character_id, cast.NARRATOR, "")
        if wanted not in stage:
            raise CommandError(f"{name} is not on stage; /cast add {wanted} brings them.")
        return replace(steered, cast=replace(steered.cast, next=wanted))

    await _steer(engine, client, choose)
    client.notify(f"✓ Next speaks {name}." if name else "✓ Who speaks is open again.")


async def cast_mode(engine: Engine, client: Client, argument: str) -> None:
    mode = next((mode for mode in cast.MODES if mode == argument.lower()), None)
    if mode is None:
        raise CommandError(f"Who speaks is decided {', '.join(cast.MODES)}: /cast mode round.")
    await _steer(engine, client, lambda s: replace(s, cast=replace(s.cast, mode=mode)))
    client.notify(f"✓ Who speaks: {mode}.")


async def cast_model(engine: Engine, client: Client, argument: str) -> None:
    """Chooses the model that speaks for a character in this story, whatever their file says."""
    wanted, _, model = argument.partition(" ")
    model = model.strip()
    if not wanted or not model:
        raise CommandError("Whose, and which? For example /cast model ID MODEL, or /cast model ID off.")
    found = _character(engine, client, wanted)
    chosen = "" if model.lower() in OFF else model
    if chosen:
        engine.registry.resolve(chosen)

    def choose(steered: Steering) -> Steering:
        models = {**steered.cast.models, found.id: chosen}
        return replace(steered, cast=replace(steered.cast, models=models))

    await _steer(engine, client, choose)
    client.notify(f"✓ {chosen or 'The model of the story'} speaks for {found.name}.")


def _character(engine: Engine, client: Client, wanted: str) -> Character:
    """Returns a character; raises ``CommandError`` if there is none with this id."""
    characters = engine.assets_for(client).characters
    found = characters.get(wanted.lower())
    if found is None:
        raise CommandError(f"There is no character {wanted!r}.{closest(wanted, list(characters))}")
    return found


# --- other voices -------------------------------------------------------------------------------


async def speak_as(engine: Engine, client: Client, argument: str) -> None:
    """The line of somebody else, said by the player; the narrator answers it."""
    known: list[str] = []
    if client.session is not None:
        state = (await current_of(engine, client.session)).state
        known = [person.name for person in state.people]
    known += [brief.name for brief in briefs(engine.assets_for(client).characters)]
    name, text = _voice(argument, known)
    if not name or not text:
        raise CommandError(
            'Who says what? For example /as Mara I never saw it, or /as "Old Ned" Evening.'
        )
    await engine.say(client, f"{name}: {text}", client.request, named=True)


def _voice(argument: str, known: list[str]) -> tuple[str, str]:
    """Returns name and words: a quoted name, a known one, else the first word."""
    if argument.startswith('"'):
        name, _, text = argument[1:].partition('"')
        return name.strip(), text.strip(" :")
    for name in sorted(known, key=len, reverse=True):
        rest = argument[len(name) :]
        if argument.casefold().startswith(name.casefold()) and rest[:1] in (" ", ":"):
            return name, rest.strip(" :")
    name, _, text = argument.partition(" ")
    return name.rstrip(":"), text.strip()


async def aside(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Ask what, outside the story? For example /ooc How far is the mill?")
    await engine.say(client, f"(({argument}))", client.request)


async def act(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("What do you do? For example /me bows.")
    await engine.say(client, f"*{argument}*", client.request)


async def narrate(engine: Engine, client: Client, argument: str) -> None:
    """The player tells a part of the story; without words the narrator answers what is there last."""
    if not argument:
        await engine.edits.rewrite(story_of(client), client.chosen, exchanges.open_answer)
        return
    if len(argument) > limits.REPLY_CHARS:
        raise CommandError(f"A part of the story has {limits.REPLY_CHARS} characters at most.")
    await add_message(engine, client, "assistant", lambda _: (argument, MessageExtra(by="player")))


async def suggest(engine: Engine, client: Client, argument: str) -> None:
    """Offers three things to do next; ``argument`` says what they should be about."""
    session = story_of(client)
    if session.busy:
        raise CommandError("A reply is being written; wait for its end or stop it with /cancel.")
    if len(argument) > NOTE_CHARS:
        raise CommandError(f"What they are about can be said in {NOTE_CHARS} characters at most.")
    models = engine.turns.models
    model, _ = models.select(models.story_model(client.chosen))
    if not isinstance(model.provider, Suggesting):
        client.notify("Thinking of things to do … /cancel stops it.")
    work = partial(suggestions.suggest, engine.runtime, models, client, session, argument)
    engine.side_tasks.begin(client, "suggestions", work)


async def impersonate(engine: Engine, client: Client, argument: str) -> None:
    story_of(client)
    engine.drafts.begin(client, argument)
