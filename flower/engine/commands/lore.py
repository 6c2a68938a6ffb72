"""Commands about what the narrator can recall: the world's lore and the story's memories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower.engine.preparation import lore_scope, memory_scope
from flower.engine.recall.base import Passage
from flower.engine.store import attached, stories, tree
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine

SHOWN_CHARS = 90
ATTACHED = "attached:"


async def sync_folder(engine: Engine, client: Client, argument: str) -> None:
    _lore_scope(client)
    if not argument:
        raise CommandError("Which folder? Give its whole path: /world sync_folder /home/me/lore.")
    path = await engine.folders.sync(client.chosen.world_id, argument)
    client.tell(f"✓ The texts in {path} are lore of this world now, and stay equal to it.")


async def unsync(engine: Engine, client: Client, argument: str) -> None:
    _lore_scope(client)
    if not await engine.folders.unsync(client.chosen.world_id):
        raise CommandError("This world follows no folder; /world sync_folder PATH makes it.")
    client.tell("✓ The folder is let go; its texts are no longer lore of this world.")


# --- lore ---------------------------------------------------------------------------------------


async def list_lore(engine: Engine, client: Client, argument: str) -> None:
    found = await engine.services.library.list(_lore_scope(client))
    client.tell(_listing("Lore of this world", found))


async def search_lore(engine: Engine, client: Client, argument: str) -> None:
    await _search(engine, client, _lore_scope(client), argument, "/lore search the bell")


async def show_lore(engine: Engine, client: Client, argument: str) -> None:
    passage = await _passage(engine, _lore_scope(client), argument, "/lore show 12")
    client.tell(f"{passage.id}  {passage.title}\n({passage.source})\n\n{passage.text}")


async def delete_lore(engine: Engine, client: Client, argument: str) -> None:
    """Only what was attached can be deleted: the rest would come back from its file."""
    scope = _lore_scope(client)
    passage = await _passage(engine, scope, argument, "/lore delete 12")
    if not passage.source.startswith(ATTACHED):
        raise CommandError(
            f"Passage {passage.id} comes from {passage.source}; change it there and it changes here."
        )
    number = int(passage.source.removeprefix(ATTACHED))
    await engine.services.database.write(attached.detach, number)
    count = await engine.services.library.drop_source(scope, passage.source)
    client.tell(f"✓ Deleted, {count} passages.")


# --- memories -----------------------------------------------------------------------------------


async def list_memories(engine: Engine, client: Client, argument: str) -> None:
    """Lists what can be recalled here: not what belongs to other variants and branches only."""
    scope = _memory_scope(client)
    assert client.session is not None  # or there is no scope
    found = await engine.services.library.list(scope)
    database = engine.services.database
    leaf = await database.read(tree.active_leaf, client.session.id)
    visible = await database.read(stories.path_ids, leaf)
    here = tuple(p for p in found if p.message_id is None or p.message_id in visible)
    told = _listing("Memories of this story", here)
    others = len(found) - len(here)
    client.tell(f"{told}\n{others} more on other variants and branches." if others else told)


async def search_memories(engine: Engine, client: Client, argument: str) -> None:
    await _search(engine, client, _memory_scope(client), argument, "/memory search my brother")


async def forget_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await _passage(engine, _memory_scope(client), argument, "/memory forget 12")
    if passage.message_id is not None:  # else the next start would make it again
        await engine.services.database.write(
            stories.set_message_extra, passage.message_id, {"forgotten": True}
        )
    await engine.services.library.forget(passage.id)
    client.tell(f"✓ Forgotten: {_short(passage.text)}")


async def pin_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await _passage(engine, _memory_scope(client), argument, "/memory pin 12")
    await engine.services.library.pin(passage.id, not passage.pinned)
    client.tell(f"✓ {'No longer pinned' if passage.pinned else 'Pinned'}: {_short(passage.text)}")


# --- shared -------------------------------------------------------------------------------------


def _lore_scope(client: Client) -> str:
    if not client.chosen.world_id:
        raise CommandError("Choose a world first: /world select ID.")
    return lore_scope(client.chosen.world_id)


def _memory_scope(client: Client) -> str:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    return memory_scope(client.session.id)


async def _passage(engine: Engine, scope: str, argument: str, example: str) -> Passage:
    if not argument.isdecimal():
        raise CommandError(f"Which passage? Give its number, for example {example}.")
    passage = await engine.services.library.get(int(argument[:18]))
    if passage is None or passage.scope != scope:
        raise CommandError(f"There is no passage {argument} here; list them to see the numbers.")
    return passage


async def _search(engine: Engine, client: Client, scope: str, words: str, example: str) -> None:
    if not words:
        raise CommandError(f"Search for what? For example {example}.")
    found = await engine.services.library.search(scope, words)
    rows = [f"{f.passage.id:>6}  {_short(f.passage.text)}  ({f.why})" for f in found]
    client.tell("\n".join([f"{len(rows)} found for {words!r}:", *rows]))


def _listing(title: str, passages: tuple[Passage, ...]) -> str:
    rows = [
        f"{p.id:>6}  {'* ' if p.pinned else ''}{f'{p.title}: ' if p.title else ''}{_short(p.text)}"
        for p in passages
    ]
    return "\n".join([f"{title}: {len(rows)} passage{'' if len(rows) == 1 else 's'}", *rows])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"
