"""Commands of tables: who sits at a story, codes to sit down with, whose turn it is, whispers, who is typing."""

from __future__ import annotations

from flower import limits
from flower.engine.commands.lookup import story_of
from flower.engine.game.steering import NOTE_CHARS, Persona
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.rights import Need, StoryRole
from flower.engine.sessions.session import Client, Session
from flower.engine.sessions.tables import FREE, ROUND, Sitting
from flower.engine.store import audit, seats, stories, users, whispers
from flower.engine.store.connection import Connection
from flower.engine.store.transactions import apart
from flower.errors import CommandError
from flower.protocol.messages import State, SystemUpdate
from flower.text import one_line

CODE_S = 24 * 3600.0  # how long an invite code holds, unless somebody says otherwise
CODE_MOST_S = 30 * 24 * 3600.0
WHISPER_CHARS = 2_000

OFF = "off"
UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0}
WHISPERS_SHOWN = 20


async def invite(engine: Engine, client: Client, argument: str) -> None:
    """``NAME [player|reader]``: somebody has a seat at once, and the story in their list."""
    session = story_of(client)
    name, _, role = argument.partition(" ")
    role = role.strip().lower() or seats.PLAYER
    if not name or role not in seats.ROLES:
        raise CommandError(
            "Who is invited, and as what? /table invite ines, or /table invite ned reader."
        )
    guest = await engine.services.database.read(users.named, name)
    if guest.id == session.owner:
        raise CommandError("This is their own story.")

    def give(db: Connection) -> None:
        seats.give(db, session.id, guest.id, role, engine.now())

    await engine.tables.change(
        session.id, give, "invited", f"{guest.name} as {role}", client.visitor.id
    )
    engine.story_list.changed()
    title = await _title(engine, session)
    for other in engine.tables.of_user(guest.id):
        other.notify(f"You are invited to “{title}” as {role}: /session continue {session.id}")
    client.notify(f"✓ {guest.name} sits at this table as {role}.")


async def leave(engine: Engine, client: Client, argument: str) -> None:
    """Gives one's seat up; whoever made the story may take a seat from somebody."""
    session = story_of(client)
    if argument:
        client.check(Need.OWNER)
        gone = await _named(engine, session, argument)
    else:
        if client.role is StoryRole.OWNER:
            raise CommandError(
                "This story is yours; /table leave NAME takes a seat from somebody else."
            )
        here = await engine.tables.here(session)
        gone = next(one for one in here if one.user == client.visitor.id)
    if gone.role is StoryRole.OWNER:
        raise CommandError("Whoever made the story stays.")

    def take(db: Connection) -> None:
        seats.take(db, session.id, gone.user)

    await engine.tables.change(session.id, take, "left", gone.user_name, client.visitor.id)
    engine.story_list.changed()
    client.notify(f"✓ {gone.user_name} has left the table.")


async def show(engine: Engine, client: Client, argument: str) -> None:
    """Lists who sits here, who is there now, and how they speak."""
    session = story_of(client)
    here, present = await engine.tables.here(session), engine.tables.present(session)
    rows = [_row(one, present) for one in here]
    order = await engine.services.database.read(_order, session.id)
    how = "in turn" if order == ROUND else "as they like"
    client.notify("\n".join([f"At this table; they speak {how}:", *rows]))


def _row(one: Sitting, present: frozenset[int]) -> str:
    plays = f" plays {one.voice}" if one.voice else ""
    there = "" if one.user in present else ", away"
    return f"  {one.user_name}, {one.role.name.lower()}{plays}{there}"


async def code(engine: Engine, client: Client, argument: str) -> None:
    """``[player|reader] [2h]`` makes a code that whoever has it can sit down with; ``off`` ends them all."""
    session = story_of(client)
    database, now = engine.services.database, engine.now()
    words = argument.lower().split()
    if words == [OFF]:
        count = await database.write(seats.end_codes, session.id)
        client.notify(f"✓ {count} ended." if count else "No code of this table holds.")
        return
    role = words.pop(0) if words and words[0] in seats.ROLES else seats.PLAYER
    span = _seconds(words.pop(0)) if words else CODE_S
    if words:
        raise CommandError("A code is made with /table code, or /table code reader 2h.")
    secret = users.new_token()

    def make(db: Connection) -> None:
        seats.add_code(db, session.id, secret, role, now + span, now)
        audit.note(db, client.visitor.id, "code made", f"as {role}", now)

    await database.write(make)
    client.notify(
        f"✓ For {_span_text(span)} whoever has this code may sit down as {role}: /table join {secret.text}"
    )


async def join(engine: Engine, client: Client, argument: str) -> None:
    """Takes a seat with a code, and opens the story."""
    database, visitor = engine.services.database, client.visitor
    table_code = await database.read(seats.by_code, argument, engine.now())
    if table_code is None:
        with apart():  # nothing is done that could be done twice
            await database.write(audit.note, visitor.id, "refused", "a code of a table", engine.now())
        raise CommandError("This code does not hold, or not any more; ask for another one.")
    story, role = table_code
    stored = await database.read(stories.session, story)
    if stored is None or stored.owner == visitor.id:
        raise CommandError("This is your own story; the code is for others.")

    def give(db: Connection) -> None:
        if seats.find(db, story, visitor.id) is None:
            seats.give(db, story, visitor.id, role, engine.now())

    about = f"{visitor.name or 'the home owner'} as {role}"
    async with engine.playing(client, story):
        await engine.tables.change(story, give, "joined", about, visitor.id)
        engine.story_list.changed()
        await engine.open_session(client, stored)
    client.notify(f"✓ You sit at “{stored.title or 'Untitled'}”.", State(session_id=story))
    if client.session is not None:
        await engine.stories.send_history(client, client.session)


async def order(engine: Engine, client: Client, argument: str) -> None:
    """``free`` or ``round``: whether those at the table speak as they like or in turn."""
    session, new_order = story_of(client), argument.strip().lower()
    if new_order not in (FREE, ROUND):
        raise CommandError("/table order free lets all speak as they like, /table order round in turn.")
    await engine.services.database.write(
        stories.set_session_extra,
        session.id,
        {"table_order": new_order if new_order == ROUND else None},
    )
    how = "in turn" if new_order == ROUND else "as they like"
    session.publish(SystemUpdate(f"At this table all speak {how} now."))


async def whisper(engine: Engine, client: Client, argument: str) -> None:
    """``NAME TEXT``: for one other and the narrator alone; without words one's own whispers here."""
    session, database = story_of(client), engine.services.database
    me = client.visitor.id
    if not argument:
        earlier = await database.read(whispers.between, session.id, me, WHISPERS_SHOWN)
        rows = [one.text for one in earlier]
        client.notify("\n".join(["Whispered here:", *rows]) if rows else "Nobody has whispered to you.")
        return
    client.check(Need.PLAYER)
    here = await engine.tables.here(session)
    mine = next((one for one in here if one.user == me), None)
    other, text = _heard_by(here, argument)
    if other is None or mine is None or other.user == me or not text:
        names = ", ".join(one.voice or one.user_name for one in here if one.user != me)
        raise CommandError(
            f"To whom, and what? /whisper NAME TEXT; here sits {names or 'nobody else'}."
        )
    if len(text) > WHISPER_CHARS:
        raise CommandError(f"A whisper has {WHISPER_CHARS} characters at most.")
    leaf = await database.read(stories.active_leaf, session.id)
    if leaf is None:
        raise CommandError("Nothing has happened in this story yet.")
    sentence = (
        f"{mine.voice} whispers to {other.voice or other.user_name}, and nobody else hears it: {text}"
    )
    await database.write(whispers.add, session.id, leaf, me, other.user, sentence, engine.now())
    for one in tuple(engine.clients):
        if one.session is session and one.visitor.id in (me, other.user):
            one.notify(sentence)


def _heard_by(here: list[Sitting], argument: str) -> tuple[Sitting | None, str]:
    """Returns who is meant by the words an argument begins with, the longest name that fits, and the rest."""
    folded, best, size = argument.casefold(), None, 0
    names = [(one.user_name, one) for one in here] + [(one.voice, one) for one in here]
    for name, one in names:  # somebody's own name before who they play: it cannot be taken
        if name and len(name) > size and folded.startswith(f"{name.casefold()} "):
            best, size = one, len(name)
    return best, argument[size:].strip(" :")


async def typing(engine: Engine, client: Client, argument: str) -> None:
    """Ends what the model works ahead, and tells the others at a table; screens send this, and nothing answers."""
    engine.turns.preparer.interrupt(typing=True)
    await engine.tables.types(client)


async def play(engine: Engine, client: Client, new: Persona) -> None:
    """Stores who a player is at another's table. Raises ``CommandError`` for the name of somebody else there."""
    session, me = story_of(client), client.visitor.id
    new_name = new.name.casefold()
    for one in await engine.tables.here(session):
        if new_name and one.user != me and new_name in (one.voice.casefold(), one.user_name.casefold()):
            raise CommandError(f"{new.name} is somebody else at this table; choose another name.")

    def write(db: Connection) -> None:
        seats.play(db, session.id, me, one_line(new.name, limits.NAME_CHARS), new.text[:NOTE_CHARS])

    await engine.tables.change(session.id, write, "", "", me)


async def _named(engine: Engine, session: Session, name: str) -> Sitting:
    for one in await engine.tables.here(session):
        if name.strip().casefold() in (one.user_name.casefold(), one.voice.casefold()):
            return one
    raise CommandError(f"Nobody called {name.strip()[: limits.NAME_CHARS]!r} sits here.")


async def _title(engine: Engine, session: Session) -> str:
    stored = await engine.services.database.read(stories.session, session.id)
    return stored.title if stored is not None and stored.title else "Untitled"


def _order(db: Connection, session_id: str) -> str:
    stored = stories.session(db, session_id)
    return stored.extra.table_order if stored is not None else FREE


def _seconds(text: str) -> float:
    number, unit = text[:-1], text[-1:] or " "
    valid = number.isascii() and number.isdecimal() and len(number) < 6 and unit in UNITS
    span = int(number) * UNITS[unit] if valid else 0.0
    if not 0 < span <= CODE_MOST_S:
        raise CommandError("How long does the code hold? 90m, 2h or 7d, a month at most.")
    return span


def _span_text(span: float) -> str:
    hours = span / 3600
    return f"{hours:g} hours" if hours >= 2 else f"{span / 60:g} minutes"
