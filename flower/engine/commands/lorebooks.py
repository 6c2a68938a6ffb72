"""Commands about lorebooks: which there are, which hold here, and what a text would fire."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.assets.shelves import owner_of
from flower.engine.commands.lookup import find_book, story_of
from flower.engine.game.steering import Steering
from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.situation import NOTHING
from flower.engine.prompt import bookshelf
from flower.engine.prompt.books_at_hand import books_here, moment_of, ready_books
from flower.engine.prompt.context import most_messages
from flower.engine.prompt.direction import StoryRef, direct
from flower.engine.prompt.model import settings_of
from flower.engine.prompt.record import kept_by, named, why
from flower.engine.prompt.turn_input import Services
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import seats, selections, states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.extra import MessageExtra
from flower.engine.store.library import books
from flower.engine.store.library.books import OwnedBook, Owner, StoredBook
from flower.errors import CommandError

TEST_ROWS = 40  # of entries that fire, and of those that nearly do
BOOK_ROWS = 200  # in a list

_FOR = " for "


async def list_books(engine: Engine, client: Client, argument: str) -> None:
    """Lists all books with their number, to whom they belong, and whether they hold in this story."""
    here = {one.stored.id for one in await _holding(engine, client)}
    rows = await engine.services.database.read(_rows, client.visitor.id)
    if not rows:
        client.notify("There are no lorebooks yet; import one.")
        return
    lines = [
        f"{'*' if stored.id in here else ' '} {stored.id:>4}  {stored.name}  ({whose or 'of nobody'})"
        for stored, whose in rows[:BOOK_ROWS]
    ]
    more = [f"and {len(rows) - BOOK_ROWS} more"] if len(rows) > BOOK_ROWS else []
    client.notify("\n".join(["Lorebooks; * holds here:", *lines, *more]))


def _rows(db: Connection, user: int) -> list[tuple[StoredBook, str]]:
    rows = []
    mine = set(seats.seen_ids(db, user))
    for stored in books.listed(db, user):
        whose = [
            "everything" if owner is Owner.ALL else f"{owner.value} {owner_id}"
            for owner, owner_id in books.owners(db, stored.id)
            if owner_of(owner_id) in (0, user) and (owner is not Owner.STORY or owner_id in mine)
        ]
        rows.append((stored, ", ".join(whose)))
    return rows


async def book_on(engine: Engine, client: Client, argument: str) -> None:
    """Lets a book hold in this story, or through its world, its character, or everywhere."""
    stored, owner = await _meant(engine, client, argument, "/lorebook on The harbour")
    if owner is None:
        session = story_of(client)
        await _switch(engine, session, stored, on=True)
        if stored.id not in {one.stored.id for one in await _holding(engine, client)}:
            await engine.services.database.write(books.give, stored.id, Owner.STORY, session.id)
        client.notify(f"✓ {stored.name} holds in this story.")
        return
    client.check_own(stored.library, f"/lorebook copy {stored.id}|NAME")  # others play there as well
    await engine.services.database.write(books.give, stored.id, owner, _owner_id(client, owner))
    client.notify(f"✓ {stored.name} belongs to {_owner_name(client, owner)} now.")


async def book_off(engine: Engine, client: Client, argument: str) -> None:
    """Lets a book hold in this story no longer, or takes it from its world, character or everything."""
    stored, owner = await _meant(engine, client, argument, "/lorebook off The harbour")
    if owner is None:
        session = story_of(client)
        await _switch(engine, session, stored, on=False)
        await engine.services.database.write(books.take, stored.id, Owner.STORY, session.id)
        client.notify(f"✓ {stored.name} is off in this story.")
        return
    client.check_own(stored.library, f"/lorebook copy {stored.id}|NAME")
    gone = await engine.services.database.write(books.take, stored.id, owner, _owner_id(client, owner))
    whose = _owner_name(client, owner)
    if not gone:
        raise CommandError(
            f"{stored.name} does not belong to {whose}; /lorebook list shows whose it is."
        )
    client.notify(f"✓ {stored.name} belongs to {whose} no longer.")


async def test_entries(engine: Engine, client: Client, argument: str) -> None:
    """Tells what a line would fire here; nothing is thrown that counts, nothing lasts."""
    if not argument:
        raise CommandError("What would be said? For example /lore test I ring the bell.")
    session = story_of(client)
    outcome = await what_fires(
        engine.services,
        session.id,
        session.world_id,
        session.character_id,
        client.chosen,
        argument,
        engine.now(),
    )
    if outcome is None:
        client.notify("No lorebook holds here; /lorebook list shows which there are.")
        return
    fired = [f"  {named(one.id, one.title)}: {why(one)}" for one in outcome.fired[:TEST_ROWS]]
    held = [f"  {named(one.id, one.title)}: {kept_by(one)}" for one in outcome.held[:TEST_ROWS]]
    parts = [f"Would fire, {outcome.tokens:.0f} tokens:", *(fired or ["  nothing"])]
    parts += ["Nearly:", *held] if held else []
    client.notify("\n".join(parts))


# --- shared -----------------------------------------------------------------------------------------


async def _holding(engine: Engine, client: Client) -> list[OwnedBook]:
    session = client.session
    world = session.world_id if session is not None else client.chosen.world_id
    character = session.character_id if session is not None else client.chosen.character_id
    story = session.id if session is not None else ""

    def read(db: Connection) -> list[OwnedBook]:
        steered = states.steering(db, story) if story else Steering()
        characters = (character, *steered.cast.members)
        return books_here(
            db,
            story=story,
            world=world,
            characters=characters,
            steered=steered,
            user=client.visitor.id,
        )

    return await engine.services.database.read(read)


async def _meant(
    engine: Engine, client: Client, argument: str, example: str
) -> tuple[StoredBook, Owner | None]:
    """Returns the book and the owner in ``NAME [for world|character|all]``. Raises ``CommandError``."""
    name, mark, whose = argument.rpartition(_FOR)
    owner = {"world": Owner.WORLD, "character": Owner.CHARACTER, "all": Owner.ALL}.get(whose.strip())
    if not mark or (owner is None and whose.strip() != "story"):
        name = argument
    if not name.strip():
        raise CommandError(f"Which lorebook? For example {example}, or {example} for world.")
    listed = await engine.services.database.read(books.listed, client.visitor.id)
    return find_book(listed, name.strip()), owner


async def _switch(engine: Engine, session: Session, stored: StoredBook, *, on: bool) -> None:
    def switch(steered: Steering) -> Steering:
        off = tuple(number for number in steered.books if number != stored.id)
        return replace(steered, books=off if on else (*off, stored.id))

    await engine.services.database.write(states.change_steering, session.id, switch)


def _owner_id(client: Client, owner: Owner) -> str:
    session, chosen = client.session, client.chosen
    owner_id = {
        Owner.WORLD: session.world_id if session is not None else chosen.world_id,
        Owner.CHARACTER: session.character_id if session is not None else chosen.character_id,
    }.get(owner, "")
    if owner_of(owner_id) not in (0, client.visitor.id):  # seen at somebody's table
        owner_id = ""
    if owner is not Owner.ALL and not owner_id:
        raise CommandError(f"Choose a {owner.value} first: /{owner.value} select ID.")
    return owner_id


def _owner_name(client: Client, owner: Owner) -> str:
    return "everything" if owner is Owner.ALL else f"the {owner.value} {_owner_id(client, owner)}"


async def what_fires(
    services: Services,
    session_id: str,
    world_id: str,
    character_id: str,
    chosen: selections.Selection,
    line: str,
    now: float,
) -> Outcome | None:
    """Returns what ``line`` would fire, without any effect, as the next line of a story, None when no book holds there.

    Lasting effects count, none are set. Raises ``StoreError``.
    """
    database = services.database
    settings = await settings_of(services, session_id, chosen.model)
    leaf = await database.read(stories.active_leaf, session_id)
    path = (
        await database.read(stories.path, leaf, most=most_messages(settings.context_tokens))
        if leaf is not None
        else []
    )
    current = await database.read(states.current_at, session_id, leaf, now)
    number = (leaf or 0) + 1
    new_line = stories.Message(
        number, session_id, leaf, "user", line, "complete", "", None, now, MessageExtra()
    )
    path = [*path, new_line]
    place = StoryRef(session_id, world_id, character_id, chosen.model)
    direction = direct(services.assets, chosen, place, current, path, line, variables=current.variables)
    ready = await ready_books(services, place, direction, current, settings)
    if ready is None:
        return None
    visible = await database.read(stories.path_ids, leaf)
    moment = replace(
        moment_of(direction, current, path, len(visible) + 1, settings.lore_tokens),
        seed=f"{session_id}:{new_line.id}",
        timed=bookshelf.timed_before(path) or NOTHING,
    )
    return await services.bookshelf.scan(ready, moment)
