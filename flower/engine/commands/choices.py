"""Commands that choose: world, character, model, rules, mature themes, attached lore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from flower import limits
from flower.engine import snapshot
from flower.engine.assets import Character, Rule, World
from flower.engine.commands.catalogue import closest
from flower.engine.game.steering import Steering
from flower.engine.store import attached, states, stories
from flower.errors import CommandError
from flower.protocol import State

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine

Asset = TypeVar("Asset", World, Character, Rule)


def _find(kind: str, wanted: str, available: Mapping[str, Asset]) -> Asset:
    if not wanted:
        raise CommandError(f"Which {kind}?{closest('', list(available))}")
    found = available.get(wanted.lower())
    if found is None:
        raise CommandError(f"There is no {kind} {wanted!r}.{closest(wanted, list(available))}")
    return found


async def select_world(engine: Engine, client: Client, argument: str) -> None:
    """A story belongs to its world: choosing another one leaves the story, which stays saved."""
    world = _find("world", argument, engine.services.assets.worlds)
    leaves = client.session is not None and client.session.world_id != world.id
    await engine.choose(client, world_id=world.id)
    if leaves:
        await engine.leave_session(client)
    await engine.lore.sync(world.id)
    hint = " /session new starts a story there." if client.session is None else ""
    active = await engine.active_rules(client)
    state = State(world_id=world.id, session_id=client.chosen.session_id, active_rules=active)
    client.tell(f"✓ World: {world.name}.{hint}", state)


async def attach_lore(engine: Engine, client: Client, argument: str) -> None:
    world = _find("world", client.chosen.world_id, engine.services.assets.worlds)
    await _attach(engine, client, world, argument, "/world attach_lore The bell rings by itself.")


async def add_lore(engine: Engine, client: Client, argument: str) -> None:
    """The same for a world that is named: for programs, which choose none."""
    wanted, _, text = argument.partition(" ")
    world = _find("world", wanted, engine.services.assets.worlds)
    await _attach(
        engine, client, world, text.strip(), f"/lore add {world.id} The bell rings by itself."
    )


async def _attach(engine: Engine, client: Client, world: World, text: str, example: str) -> None:
    if not text:
        raise CommandError(f"Write the lore behind the command: {example}")
    if len(text) > limits.ATTACHED_LORE_CHARS:
        raise CommandError(
            f"This lore has {len(text)} characters; {limits.ATTACHED_LORE_CHARS} is the most. Split it."
        )
    await engine.services.database.write(attached.attach, world.id, text, engine.now())
    await engine.lore.sync(world.id, again=True)
    client.tell(f"✓ {world.name} knows this now.")


async def select_character(engine: Engine, client: Client, argument: str) -> None:
    character = _find("character", argument, engine.services.assets.characters)
    await engine.choose(client, character_id=character.id)
    session = client.session
    if session is not None:
        session.character_id = character.id
        await engine.services.database.write(stories.set_character, session.id, character.id)
    client.tell(f"✓ Character: {character.name}.", State(character_id=character.id))


async def select_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which model? /model ID, for example " + engine.roster.default() + ".")
    engine.roster.resolve(argument)
    await engine.choose(client, model=argument)
    client.tell(f"✓ Model: {argument}.", snapshot.selection_state(client.chosen, engine.roster))


async def refresh_models(engine: Engine, client: Client, argument: str) -> None:
    client.tell("Asking the providers …")
    problems = await engine.roster.refresh()
    count = len(engine.roster.options())
    known = "1 model is" if count == 1 else f"{count} models are"
    # In one piece: a face shows the newest news only, and the count would hide the trouble.
    client.tell(
        f"✗ {' '.join(problems)} {known} in the list." if problems else f"✓ {known} in the list."
    )


async def add_rule(engine: Engine, client: Client, argument: str) -> None:
    rule = _find("rule", argument, engine.services.assets.rules)
    rules = (*(other for other in client.chosen.rules if other != rule.id), rule.id)
    await engine.choose(client, rules=rules)
    await _unswitch(engine, client, rule.id)
    active = await engine.active_rules(client)
    client.tell(f"✓ Rule on: {rule.name}.", State(active_rules=active))


async def clear_rules(engine: Engine, client: Client, argument: str) -> None:
    await engine.choose(client, rules=())
    await _unswitch(engine, client)
    client.tell("✓ All rules are off.", State(active_rules=()))


async def _unswitch(engine: Engine, client: Client, *only: str) -> None:
    """Takes back what the story says of rules, of all or of these; the other watchers see it."""
    session = client.session
    if session is None:
        return

    def unswitch(steered: Steering) -> Steering:
        kept = {rule: on for rule, on in steered.rules.items() if only and rule not in only}
        return replace(steered, rules=kept)

    await engine.services.database.write(states.change_steering, session.id, unswitch)
    for watcher in tuple(engine.clients - {client}):
        if watcher.session is session:
            watcher.tell("", State(active_rules=await engine.active_rules(watcher)))


async def toggle_nsfw(engine: Engine, client: Client, argument: str) -> None:
    allowed = not client.chosen.nsfw
    await engine.choose(client, nsfw=allowed)
    client.tell(f"✓ Mature themes: {'allowed' if allowed else 'forbidden'}.", State(nsfw=allowed))
