"""Commands that steer: the author's note, pinned facts, rules, and lines that are not simply the player's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from flower import limits
from flower.engine.assets.shelves import briefs
from flower.engine.commands.game import add_message
from flower.engine.commands.lookup import closest, current_of, named, story_of
from flower.engine.game import steering
from flower.engine.game.state import StoryState
from flower.engine.game.steering import Steering
from flower.engine.provider.capabilities import Suggesting
from flower.engine.sessions import suggestions
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import exchanges, states
from flower.engine.store.extra import MessageExtra
from flower.errors import CommandError
from flower.protocol.messages import State

NOTE_CHARS = steering.NOTE_CHARS
PINS = 32
PIN_CHARS = 500

OFF = ("off", "none", "clear", "-")


async def steer(engine: Engine, client: Client, change: Callable[[Steering], Steering]) -> Steering:
    """Changes the steering of a client's story; returns it as it is now. Raises ``CommandError``."""
    session = story_of(client)
    return await engine.services.database.write(states.change_steering, session.id, change)


# --- note and pins -----------------------------------------------------------------------------


async def note(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        current = (await current_of(engine, story_of(client))).steering.note
        if current is None:
            client.notify("There is no note. /note More fog, less talk. /note depth 4, every 2, TEXT")
        else:
            client.notify(f"Note at depth {current.depth}, every {current.every}: {current.text}")
        return
    new = None if argument.lower() in OFF else steering.parse_note(argument)
    await steer(engine, client, lambda steered: replace(steered, note=new))
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


# --- rules --------------------------------------------------------------------------------------


async def add_rule(engine: Engine, client: Client, argument: str) -> None:
    rule = named("rule", argument, engine.assets_for(client).rules)
    rules = (*(other for other in client.chosen.rules if other != rule.id), rule.id)
    await engine.choose(client, rules=rules)
    await _unswitch(engine, client, rule.id)
    active = await engine.active_rules(client)
    client.notify(f"✓ Rule on: {rule.name}.", State(active_rules=active))


async def clear_rules(engine: Engine, client: Client, argument: str) -> None:
    await engine.choose(client, rules=())
    await _unswitch(engine, client)
    client.notify("✓ All rules are off.", State(active_rules=()))


async def _unswitch(engine: Engine, client: Client, *only: str) -> None:
    """Takes back what the story says of rules, of all or of these; the other watchers see it."""
    session = client.session
    if session is None:
        return

    def unswitch(steered: Steering) -> Steering:
        rest = {rule: on for rule, on in steered.rules.items() if only and rule not in only}
        return replace(steered, rules=rest)

    await engine.services.database.write(states.change_steering, session.id, unswitch)
    for watcher in tuple(engine.clients - {client}):
        if watcher.session is session:
            watcher.notify("", State(active_rules=await engine.active_rules(watcher)))


async def toggle_nsfw(engine: Engine, client: Client, argument: str) -> None:
    allowed = not client.chosen.nsfw
    await engine.choose(client, nsfw=allowed)
    client.notify(f"✓ Mature themes: {'allowed' if allowed else 'forbidden'}.", State(nsfw=allowed))


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
    await steer(engine, client, lambda s: replace(s, rules={**s.rules, rule.id: on}))
    text = f"✓ Rule {'on' if on else 'off'} in this story: {rule.name}."
    for watcher in tuple(engine.clients):  # each has rules of its own beside the story's
        if watcher.session is session:
            watcher.notify(text, State(active_rules=await engine.active_rules(watcher)))


# --- other voices -------------------------------------------------------------------------------


async def speak_as(engine: Engine, client: Client, argument: str) -> None:
    """The line of somebody else, said by the player; the narrator answers it."""
    names: list[str] = []
    if client.session is not None:
        state = (await current_of(engine, client.session)).state
        names = [person.name for person in state.people]
    names += [brief.name for brief in briefs(engine.assets_for(client).characters)]
    name, text = _voice(argument, names)
    if not name or not text:
        raise CommandError(
            'Who says what? For example /as Mara I never saw it, or /as "Old Ned" Evening.'
        )
    await engine.say(client, f"{name}: {text}", client.request, named=True)


def _voice(argument: str, names: list[str]) -> tuple[str, str]:
    """Returns name and words: a quoted name, a known one, else the first word."""
    if argument.startswith('"'):
        name, _, text = argument[1:].partition('"')
        return name.strip(), text.strip(" :")
    for name in sorted(names, key=len, reverse=True):
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
