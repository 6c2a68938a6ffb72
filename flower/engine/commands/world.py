"""Commands that choose: world, character, model, rules, mature themes, attached lore."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeVar

from msgspec.structs import replace

from flower import limits
from flower.engine.assets import Character, Rule, World
from flower.engine.commands.lookup import closest
from flower.engine.game.steering import Steering
from flower.engine.own_assets import owner_of
from flower.engine.prompt.lore_entries import is_kept, reason
from flower.engine.provider.capabilities import Remarking
from flower.engine.recall.base import Ranked, lore_scope, memory_scope
from flower.engine.sessions import snapshot
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import exchanges, states, stories, tree, world_lore
from flower.engine.store.passages import Passage
from flower.errors import CommandError
from flower.protocol.messages import State
from flower.text import counted, one_line

NONE = "none"
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
    if argument.lower() == NONE and NONE not in engine.assets_for(client).worlds:
        await _without_world(engine, client)
        return
    world = _find("world", argument, engine.assets_for(client).worlds)
    leaves = client.session is not None and client.session.world_id != world.id
    await engine.choose(client, world_id=world.id)
    if leaves:
        await engine.leave_session(client)
    await engine.lore.sync(world.id)
    hint = " /session new starts a story there." if client.session is None else ""
    active = await engine.active_rules(client)
    state = State(world_id=world.id, session_id=client.chosen.session_id, active_rules=active)
    client.notify(f"✓ World: {world.name}.{hint}", state)


async def _without_world(engine: Engine, client: Client) -> None:
    """A character alone is enough for a story."""
    leaves = client.session is not None and bool(client.session.world_id)
    await engine.choose(client, world_id="")
    if leaves:
        await engine.leave_session(client)
    active = await engine.active_rules(client)
    state = State(world_id="", session_id=client.chosen.session_id, active_rules=active)
    client.notify("✓ No world: the next story is with a character alone.", state)


async def attach_lore(engine: Engine, client: Client, argument: str) -> None:
    world = _find("world", client.chosen.world_id, engine.assets_for(client).worlds)
    await _attach(engine, client, world, argument, "/world attach_lore The bell rings by itself.")


async def add_lore(engine: Engine, client: Client, argument: str) -> None:
    """The same for a world that is named: for programs, which choose none."""
    wanted, _, text = argument.partition(" ")
    world = _find("world", wanted, engine.assets_for(client).worlds)
    await _attach(
        engine, client, world, text.strip(), f"/lore add {world.id} The bell rings by itself."
    )


async def _attach(engine: Engine, client: Client, world: World, text: str, example: str) -> None:
    client.check_own(owner_of(world.id), f"/world copy {world.id} ID")
    if not text:
        raise CommandError(f"Write the lore behind the command: {example}")
    if len(text) > limits.ATTACHED_LORE_CHARS:
        raise CommandError(
            f"This lore has {len(text)} characters; {limits.ATTACHED_LORE_CHARS} is the most. Split it."
        )
    await engine.services.database.write(world_lore.attach, world.id, text, engine.now())
    await engine.lore.sync(world.id, again=True)
    client.notify(f"✓ {world.name} knows this now.")


async def select_character(engine: Engine, client: Client, argument: str) -> None:
    character = _find("character", argument, engine.assets_for(client).characters)
    await engine.choose(client, character_id=character.id)
    session = client.session
    if session is not None:
        session.character_id = character.id
        await engine.services.database.write(stories.set_character, session.id, character.id)
    client.notify(f"✓ Character: {character.name}.", State(character_id=character.id))


async def select_model(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which model? /model ID, for example " + engine.registry.default() + ".")
    provider, model = engine.registry.resolve(argument)
    await engine.choose(client, model=argument)
    remarks = provider.remarks(model) if isinstance(provider, Remarking) else ()
    text = " ".join((f"✓ Model: {argument}.", *remarks))
    client.notify(text, snapshot.selection_state(client.chosen, engine.registry))


async def refresh_models(engine: Engine, client: Client, argument: str) -> None:
    client.notify("Asking the providers …")
    problems = await engine.registry.refresh()
    count = len(engine.registry.options())
    known = "1 model is" if count == 1 else f"{count} models are"
    # In one piece: a client shows the newest news only, and the count would hide the trouble.
    client.notify(
        f"✗ {' '.join(problems)} {known} in the list." if problems else f"✓ {known} in the list."
    )


async def add_rule(engine: Engine, client: Client, argument: str) -> None:
    rule = _find("rule", argument, engine.assets_for(client).rules)
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
        kept = {rule: on for rule, on in steered.rules.items() if only and rule not in only}
        return replace(steered, rules=kept)

    await engine.services.database.write(states.change_steering, session.id, unswitch)
    for watcher in tuple(engine.clients - {client}):
        if watcher.session is session:
            watcher.notify("", State(active_rules=await engine.active_rules(watcher)))


async def toggle_nsfw(engine: Engine, client: Client, argument: str) -> None:
    allowed = not client.chosen.nsfw
    await engine.choose(client, nsfw=allowed)
    client.notify(f"✓ Mature themes: {'allowed' if allowed else 'forbidden'}.", State(nsfw=allowed))


# --- Commands about what the narrator can recall: the world's lore and the story's memories.

SHOWN_CHARS = 90
ATTACHED = "attached:"


async def sync_folder(engine: Engine, client: Client, argument: str) -> None:
    _lore_scope(client)
    if not argument:
        raise CommandError("Which folder? Give its whole path: /world sync_folder /home/me/lore.")
    path = await engine.folders.sync(client.chosen.world_id, argument)
    client.notify(f"✓ The texts in {path} are lore of this world now, and stay equal to it.")


async def unsync(engine: Engine, client: Client, argument: str) -> None:
    _lore_scope(client)
    if not await engine.folders.unsync(client.chosen.world_id):
        raise CommandError("This world follows no folder; /world sync_folder PATH makes it.")
    client.notify("✓ The folder is no longer followed; its texts are no longer lore of this world.")


# --- lore ---------------------------------------------------------------------------------------


async def list_lore(engine: Engine, client: Client, argument: str) -> None:
    found = await engine.services.library.list(_lore_scope(client))
    client.notify(_listing("Lore of this world", found))


async def search_lore(engine: Engine, client: Client, argument: str) -> None:
    await _search(engine, client, _lore_scope(client), argument, "/lore search the bell")


async def show_lore(engine: Engine, client: Client, argument: str) -> None:
    passage = await passage_in(engine, _lore_scope(client), argument, "/lore show 12")
    client.notify(f"{passage.id}  {passage.title}\n({passage.source})\n\n{passage.text}")


async def delete_lore(engine: Engine, client: Client, argument: str) -> None:
    """Only what was attached can be deleted: the rest would come back from its file."""
    scope = _lore_scope(client)
    world_id = client.chosen.world_id
    client.check_own(owner_of(world_id), f"/world copy {world_id} ID")
    passage = await passage_in(engine, scope, argument, "/lore delete 12")
    if not passage.source.startswith(ATTACHED):
        raise CommandError(
            f"Passage {passage.id} comes from {passage.source}; change it there and it changes here."
        )
    number = int(passage.source.removeprefix(ATTACHED))
    await engine.services.database.write(world_lore.detach, number)
    count = await engine.services.library.drop_source(scope, passage.source)
    client.notify(f"✓ Deleted, {counted(count, 'passage')}.")


# --- memories -----------------------------------------------------------------------------------


async def list_memories(engine: Engine, client: Client, argument: str) -> None:
    """Lists what can be recalled here: not what belongs to other variants and branches only."""
    scope = story_scope(client)
    assert client.session is not None  # or there is no scope
    away = await engine.tables.unwitnessed(client)
    found = [p for p in await engine.services.library.list(scope) if p.message_id not in away]
    database = engine.services.database
    leaf = await database.read(tree.active_leaf, client.session.id)
    visible = await database.read(stories.path_ids, leaf)
    here = tuple(p for p in found if p.message_id is None or p.message_id in visible)
    text = _listing("Memories of this story", here)
    others = len(found) - len(here)
    client.notify(f"{text}\n{others} more on other variants and branches." if others else text)


async def search_memories(engine: Engine, client: Client, argument: str) -> None:
    away = await engine.tables.unwitnessed(client)
    await _search(engine, client, story_scope(client), argument, "/memory search my brother", away)


async def forget_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await memory_in(engine, client, argument, "/memory forget 12")
    if passage.message_id is not None:  # else the next start would make it again
        await engine.services.database.write(exchanges.forget, passage.message_id)
    await engine.services.library.forget(passage.id)
    client.notify(f"✓ Forgotten: {one_line(passage.text, SHOWN_CHARS)}")


async def pin_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await memory_in(engine, client, argument, "/memory pin 12")
    await engine.services.library.pin(passage.id, not passage.pinned)
    client.notify(
        f"✓ {'No longer pinned' if passage.pinned else 'Pinned'}: {one_line(passage.text, SHOWN_CHARS)}"
    )


# --- shared -------------------------------------------------------------------------------------


def _lore_scope(client: Client) -> str:
    if not client.chosen.world_id:
        raise CommandError("Choose a world first: /world select ID.")
    if not _reads_lore(client):
        raise CommandError("This world is in somebody's own library; only they look through its lore.")
    return lore_scope(client.chosen.world_id)


def _reads_lore(client: Client) -> bool:
    """Whether a client may look through the lore of the world it is in: those at a table hear what is told."""
    return owner_of(client.chosen.world_id) in (0, client.visitor.id)


def story_scope(client: Client) -> str:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    return memory_scope(client.session.id)


async def memory_in(engine: Engine, client: Client, argument: str, example: str) -> Passage:
    """Returns a memory of the story that a client watches; one of what its user did not hear is none."""
    passage = await passage_in(engine, story_scope(client), argument, example)
    if passage.message_id in await engine.tables.unwitnessed(client):
        raise CommandError(f"There is no passage {argument} here; list them to see the numbers.")
    return passage


async def passage_in(engine: Engine, scope: str, argument: str, example: str) -> Passage:
    if not argument.isdecimal():
        raise CommandError(f"Which passage? Give its number, for example {example}.")
    passage = await engine.services.library.get(int(argument[:18]))
    if passage is None or passage.scope != scope:
        raise CommandError(f"There is no passage {argument} here; list them to see the numbers.")
    return passage


async def _search(
    engine: Engine,
    client: Client,
    scope: str,
    words: str,
    example: str,
    away: frozenset[int] = frozenset(),
) -> None:
    if not words:
        raise CommandError(f"Search for what? For example {example}.")
    found = await engine.services.library.search(scope, words)
    found = tuple(one for one in found if one.passage.message_id not in away)
    rows = [f"{f.passage.id:>6}  {one_line(f.passage.text, SHOWN_CHARS)}  ({f.why})" for f in found]
    client.notify("\n".join([f"{len(rows)} found for {words!r}:", *rows]))


async def recall(engine: Engine, client: Client, argument: str) -> None:
    """Ranks lore and memories as for a line of the story, but for the scene and what was said last."""
    if not argument:
        raise CommandError("Recall what? For example /recall who rang the bell?")
    database, session = engine.services.database, client.session
    visible: Container[int] = ()
    if session is not None:
        way = await database.read(stories.path_ids, await database.read(tree.active_leaf, session.id))
        away = await engine.tables.unwitnessed(client)
        visible = frozenset(way) - away if away else way
    known = client.chosen.world_id and _reads_lore(client)
    scopes = {"Lore": lore_scope(client.chosen.world_id)} if known else {}
    if session is not None:
        scopes["Memories"] = memory_scope(session.id)
    if not scopes:
        raise CommandError("Choose a world first: /world select ID.")
    text = [f"What {argument!r} brings to mind; * would be told to the narrator, if there is room."]
    for title, scope in scopes.items():
        rows = await engine.services.library.explain(scope, argument, visible=visible)
        none = ", none likely enough" if rows and not any(_would_be_told(row) for row in rows) else ""
        text += ["", f"{title}: {len(rows)}{none}", *(_ranked(row) for row in rows)]
    client.notify("\n".join(text))


def _would_be_told(row: Ranked) -> bool:
    return row.worth or row.hit.passage.pinned


def _ranked(row: Ranked) -> str:
    """Returns a place in the ranking: parts of the score by signal, how far it is ahead, and what was found."""
    found, score = row.hit, row.score
    parts = {
        "words": score.words,
        "meaning": score.similarity,
        "beside": score.neighbours,
        "tokens": score.late,
    }
    shown = " ".join(f"{name} {part:+.2f}" for name, part in parts.items() if abs(part) >= 0.005)
    text = found.passage.title if is_kept(found) else one_line(found.passage.text, SHOWN_CHARS)
    if row.lead is not None:
        shown = f"{shown} ahead {row.lead:+.2f}".lstrip()
    mark = "*" if _would_be_told(row) else " "
    return (
        f"{mark}{found.passage.id:>6}  {row.chance:4.0%}  {text}\n"
        f"               {shown or 'no part'}  ({reason(found)})"
    )


def _headed(passage: Passage) -> str:
    head = ", ".join(part for part in passage.title.split("\n") if part)
    return f"{head}: " if head else ""


def _listing(title: str, passages: tuple[Passage, ...]) -> str:
    rows = [
        f"{p.id:>6}  {'* ' if p.pinned else ''}{_headed(p)}{one_line(p.text, SHOWN_CHARS)}"
        for p in passages
    ]
    return "\n".join([f"{title}: {len(rows)} passage{'' if len(rows) == 1 else 's'}", *rows])
