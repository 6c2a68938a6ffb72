"""Commands about stories: start, go on, find, name, put away, delete, take back from the trash."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from msgspec.structs import replace

from flower import limits
from flower.engine.commands.lookup import closest, story_of
from flower.engine.sessions import recap, rights
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Need
from flower.engine.sessions.session import ASKING, Client, Session
from flower.engine.store import branches, selections, stories, trash, tree
from flower.engine.store.library import characters
from flower.engine.store.search import search as find_words
from flower.engine.store.transactions import apart
from flower.errors import CommandError, ElsewhereError
from flower.protocol.messages import ErrorEvent, FoundMessage, State
from flower.text import as_sentence, counted

STORIES_NAMED = 4  # of those whose ids begin alike


async def _find(engine: Engine, client: Client, session_id: str, need: Need) -> stories.StoredSession:
    database, visitor = engine.services.database, client.visitor
    if session_id:
        stored = await rights.story(database, visitor, session_id, need)
        if stored is not None:
            return stored
    listed = await database.read(stories.sessions, archived=True, user=visitor.id)
    ids = [stored.id for stored in listed]
    if not ids:
        raise CommandError("There is no story yet; /session new starts one.")
    if not session_id:
        raise CommandError(f"Which story?{closest('', ids)}")
    begun = [stored for stored in listed if stored.id.startswith(session_id)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        named = ", ".join(f"{one.id} ({one.title or 'Untitled'})" for one in begun[:STORIES_NAMED])
        raise CommandError(f"Several stories begin with {session_id!r}: {named}. Type more of it.")
    raise CommandError(f"There is no story {session_id!r}.{closest(session_id, ids)}")


async def new(engine: Engine, client: Client, argument: str) -> None:
    session = await engine.new_session(client)
    engine.story_list.changed()
    active = await engine.active_rules(client)
    client.notify("✓ A new story begins.", State(session_id=session.id, active_rules=active))
    await engine.stories.send_history(client, session)
    notes = await engine.services.database.write(characters.notes_to_show, session.character_id)
    if notes:
        client.notify(f"From the author of this character, shown once:\n\n{notes}")


async def resume(engine: Engine, client: Client, argument: str) -> None:
    target, _, message = argument.partition(" ")
    stored = await _find(engine, client, target, Need.READER)
    await engine.open_session(client, stored)
    state = State(
        session_id=stored.id,
        world_id=stored.world_id,
        character_id=stored.character_id,
        active_rules=await engine.active_rules(client),
    )
    client.notify(f"✓ Story: {as_sentence(stored.title or 'Untitled')}", state)
    if client.session is not None:
        await engine.stories.send_history(client, client.session)
        await engine.recaps.tell(client, stored, engine.now())
        if message:
            await _go_where_it_is(engine, client, client.session, message.strip())


async def _go_where_it_is(engine: Engine, client: Client, session: Session, message: str) -> None:
    """Makes a message part of the way through the tree; a message that is stays where it is."""
    if not (message.isascii() and message.isdecimal()):
        raise CommandError("At which message? /session continue ID 12 goes to message 12.")
    number = int(message[:18])
    leaf = await engine.services.database.read(stories.active_leaf, session.id)
    if not await engine.services.database.read(tree.on_path, leaf, number):
        client.check(Need.OWNER)
        await engine.edits.change(session, branches.show, number, engine.now())


async def list_all(engine: Engine, client: Client, argument: str) -> None:
    listed = await engine.services.database.read(
        stories.sessions, archived=True, user=client.visitor.id
    )
    if not listed:
        raise CommandError("There is no story yet; /session new starts one.")
    rows = [f"{stored.id}  {_described(stored, engine.now())}" for stored in listed]
    client.notify("\n".join(["Your stories; /session continue ID opens one:", *rows]))


def _described(stored: stories.StoredSession, now: float) -> str:
    marks = [word for word, on in (("pinned", stored.pinned), ("archived", stored.archived)) if on]
    facts = [
        stored.world_id,
        counted(stored.messages, "message"),
        recap.ago(now - stored.updated),
        *marks,
    ]
    return f"{stored.title or 'Untitled'} ({', '.join(facts)})"


async def rename(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    if not argument:
        raise CommandError("Write the new title behind it: /session rename The river door.")
    await engine.services.database.write(stories.rename, session.id, argument)
    engine.story_list.changed()
    client.notify("✓ The story has another title.")


@asynccontextmanager
async def _held(
    engine: Engine, client: Client, command: str, stored: stories.StoredSession
) -> AsyncIterator[bool]:
    """Keeps a story with this engine while the block runs; False: another one plays it, and has done it.

    Raises ``CommandError`` with the sentence of the other engine, or when it cannot be asked.
    """
    database = engine.services.database
    try:
        await database.lease(stored.id, opens=False)
    except ElsewhereError as elsewhere:
        asking = selections.client_key(client.visitor.id, ASKING)
        nothing = replace(client.chosen, client=asking, session_id="")
        with apart():  # of the prompt itself nothing is done here
            # Long ago: a new client begins where the last one of its user was.
            await database.write(selections.change, nothing, ("session_id",), 0.0)
        request = client.request or secrets.token_hex(8)
        answer = await client.ask_there(elsewhere.address, f"{command} {stored.id}", request)
        if isinstance(answer, ErrorEvent):
            raise CommandError(answer.content) from elsewhere
        engine.story_list.changed()
        client.notify(answer.content)
        yield False
        return
    try:
        yield True
    finally:
        database.leave(stored.id)


async def pin(engine: Engine, client: Client, argument: str) -> None:
    await _switch(engine, client, argument, "pin")


async def archive(engine: Engine, client: Client, argument: str) -> None:
    await _switch(engine, client, argument, "archive")


async def _switch(
    engine: Engine, client: Client, argument: str, word: Literal["pin", "archive"]
) -> None:
    """Does what the word says to a story, or takes it back where it is so already."""
    stored = await _find(engine, client, argument or client.chosen.session_id, Need.OWNER)
    pins = word == "pin"
    write, is_on = (
        (stories.set_pinned, stored.pinned) if pins else (stories.set_archived, stored.archived)
    )
    async with _held(engine, client, f"/session {word}", stored) as here:
        if not here:
            return
        await engine.services.database.write(write, stored.id, not is_on)
    on = "At the top from now on" if pins else "Put away; /session list still shows it"
    off = "No longer at the top" if pins else "Taken out of the archive"
    engine.story_list.changed()
    client.notify(f"✓ {off if is_on else on}: {as_sentence(stored.title or 'Untitled')}")


async def search(engine: Engine, client: Client, argument: str) -> None:
    if not argument:
        raise CommandError("Which words? /session search the river door.")
    hits = await engine.services.database.read_slowly(find_words, argument, user=client.visitor.id)
    if not hits:
        raise CommandError(f"No story has the words {argument!r}.")
    messages = tuple(
        FoundMessage(
            session=hit.session_id,
            name=hit.title or "Untitled",
            message=hit.message_id,
            role=hit.role,
            text=hit.excerpt,
        )
        for hit in hits
    )
    rows = [f"{hit.session} {hit.message}  {hit.name}: {hit.text}" for hit in messages]
    head = "Found; /session continue with the two numbers before it goes to a message:"
    client.notify("\n".join([head, *rows]), State(found=messages))


async def delete(engine: Engine, client: Client, argument: str) -> None:
    stored = await _find(engine, client, argument, Need.OWNER)
    async with _held(engine, client, "/session delete", stored) as here:
        if not here:
            return
        await engine.stories.delete(stored.id)
    engine.story_list.changed()
    days = round(limits.TRASH_KEPT_S / 86_400)
    client.notify(
        f"✓ Deleted: {as_sentence(stored.title or 'Untitled')}"
        f" /session restore {stored.id} brings it back within {days} days."
    )


async def restore(engine: Engine, client: Client, argument: str) -> None:
    database, user = engine.services.database, client.visitor.id
    listed = await database.read(trash.listed, owner=user)
    deleted = {s.id: s.title or "Untitled" for s in listed}
    if not deleted:
        raise CommandError("The trash is empty.")
    if not argument:
        rows = [f"{session_id}  {title}" for session_id, title in deleted.items()]
        client.notify("\n".join(["In the trash; /session restore ID takes a story back:", *rows]))
        return
    begun = [one for one in deleted if one.startswith(argument)]
    if argument not in deleted and len(begun) == 1:
        argument = begun[0]
    if not await database.write(trash.restore, argument, user):
        raise CommandError(f"The trash has no story {argument!r}.{closest(argument, list(deleted))}")
    engine.story_list.changed()
    client.notify(f"✓ Back: {deleted.get(argument, argument)}. /session continue {argument} opens it.")


async def history(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    if not argument.isdecimal():
        raise CommandError("Above which message? /history MESSAGE takes a message's number.")
    await engine.stories.send_history(client, session, before=int(argument[:18]))
