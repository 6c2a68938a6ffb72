"""Commands about the world: choosing it, and its lore, attached by hand or kept equal to a folder."""

from __future__ import annotations

from flower import limits
from flower.engine.assets.kinds import World
from flower.engine.assets.shelves import owner_of
from flower.engine.commands.lookup import named
from flower.engine.recall.base import lore_scope
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import world_lore
from flower.engine.store.passages import Passage
from flower.errors import CommandError
from flower.protocol.messages import State
from flower.text import counted, one_line

NONE = "none"
PREVIEW_CHARS = 90  # of a passage in a list
ATTACHED = "attached:"


async def select_world(engine: Engine, client: Client, argument: str) -> None:
    """A story belongs to its world: choosing another one leaves the story, which stays saved."""
    if argument.lower() == NONE and NONE not in engine.assets_for(client).worlds:
        await _without_world(engine, client)
        return
    world = named("world", argument, engine.assets_for(client).worlds)
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
    world = named("world", client.chosen.world_id, engine.assets_for(client).worlds)
    await _attach(engine, client, world, argument, "/world attach_lore The bell rings by itself.")


async def add_lore(engine: Engine, client: Client, argument: str) -> None:
    """The same for a world that is named: for programs, which choose none."""
    world_id, _, text = argument.partition(" ")
    world = named("world", world_id, engine.assets_for(client).worlds)
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


# --- a folder of lore ---------------------------------------------------------------------------


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
    passages = await engine.services.library.list(_lore_scope(client))
    client.notify(listing("Lore of this world", passages))


async def search_lore(engine: Engine, client: Client, argument: str) -> None:
    await search_passages(engine, client, _lore_scope(client), argument, "/lore search the bell")


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


# --- shared -------------------------------------------------------------------------------------


def _lore_scope(client: Client) -> str:
    if not client.chosen.world_id:
        raise CommandError("Choose a world first: /world select ID.")
    if not reads_lore(client):
        raise CommandError("This world is in somebody's own library; only they look through its lore.")
    return lore_scope(client.chosen.world_id)


def reads_lore(client: Client) -> bool:
    """Whether a client may look through the lore of its world: those at a table have what the narrator says."""
    return owner_of(client.chosen.world_id) in (0, client.visitor.id)


async def passage_in(engine: Engine, scope: str, argument: str, example: str) -> Passage:
    if not argument.isdecimal():
        raise CommandError(f"Which passage? Give its number, for example {example}.")
    passage = await engine.services.library.get(int(argument[:18]))
    if passage is None or passage.scope != scope:
        raise CommandError(f"There is no passage {argument} here; list them to see the numbers.")
    return passage


async def search_passages(
    engine: Engine,
    client: Client,
    scope: str,
    words: str,
    example: str,
    away: frozenset[int] = frozenset(),
) -> None:
    """Shows the passages of a scope that fit ``words`` best, but those of the messages ``away``."""
    if not words:
        raise CommandError(f"Search for what? For example {example}.")
    hits = await engine.services.library.search(scope, words)
    hits = tuple(one for one in hits if one.passage.message_id not in away)
    rows = [f"{f.passage.id:>6}  {one_line(f.passage.text, PREVIEW_CHARS)}  ({f.why})" for f in hits]
    client.notify("\n".join([f"{len(rows)} found for {words!r}:", *rows]))


def _headed(passage: Passage) -> str:
    head = ", ".join(part for part in passage.title.split("\n") if part)
    return f"{head}: " if head else ""


def listing(title: str, passages: tuple[Passage, ...]) -> str:
    """Returns passages with their numbers, one a line, under a title; ``*`` marks pinned ones."""
    rows = [
        f"{p.id:>6}  {'* ' if p.pinned else ''}{_headed(p)}{one_line(p.text, PREVIEW_CHARS)}"
        for p in passages
    ]
    return "\n".join([f"{title}: {len(rows)} passage{'' if len(rows) == 1 else 's'}", *rows])
