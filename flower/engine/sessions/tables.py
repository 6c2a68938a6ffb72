"""Stories that several play: who sits there, whose turn it is, and in whose name a line is said.

A table is a story with seats. Who sits there is in the database; an open story knows only whether others play in it, so
that a line of one who plays alone costs nothing more. Who may do what is decided in ``rights``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower.engine.game.steering import Persona
from flower.engine.sessions import snapshot
from flower.engine.sessions.rights import StoryRole
from flower.engine.sessions.session import Client, Session
from flower.engine.store import audit, seats, states, stories
from flower.engine.store.connection import Connection, Store
from flower.engine.store.seats import Seat
from flower.engine.store.transactions import apart
from flower.engine.store.users import HOME, HOME_NAME, User
from flower.engine.tasks import guarded
from flower.errors import CommandError
from flower.protocol.messages import State, SystemUpdate

ROUND, FREE = "round", "free"
TYPING_S = 5.0  # after the last sign of it
HOST = "The host"  # who plays without any name


class Sitting(Struct, frozen=True):
    """Somebody at a table. ``voice``: the name of who they play; "" for readers."""

    user: int
    user_name: str
    role: StoryRole
    voice: str


def sitting(db: Connection, session_id: str) -> list[Sitting]:
    """Returns everybody at a table, whoever made the story first."""
    row = seats.owner_of(db, session_id)
    if row is None:
        return []
    owner, name = row
    voice = states.steering(db, session_id).persona.name or name.capitalize() or HOST
    host = Sitting(owner, name or HOME_NAME, StoryRole.OWNER, voice)
    return [host, *(_of_seat(seat) for seat in seats.at(db, session_id))]


def _of_seat(seat: Seat) -> Sitting:
    plays = seat.role == seats.PLAYER
    name = seat.user_name or HOME_NAME
    voice = (seat.name or name.capitalize()) if plays else ""
    return Sitting(seat.user, name, StoryRole.PLAYER if plays else StoryRole.READER, voice)


def tell_narrator(db: Connection, session_id: str) -> bool:
    """Lets the narrator know who else plays; returns whether anybody does. To be called whenever seats have changed."""
    others = tuple(
        Persona(one.voice, seat.about)
        for seat in seats.at(db, session_id)
        if (one := _of_seat(seat)).role is StoryRole.PLAYER
    )
    if others != states.steering(db, session_id).players:
        states.change_steering(db, session_id, lambda steered: replace(steered, players=others))
    return bool(others)


def is_shared(db: Connection, session_id: str) -> bool:
    """Whether others play in a story."""
    return bool(states.steering(db, session_id).players)


def next_speaker(players: Iterable[int], last: int, present: Collection[int]) -> int | None:
    """Returns whose turn it is at a table that speaks in turn: the next one who is there; None for anybody's."""
    order = list(players)
    start = order.index(last) + 1 if last in order else 0
    for user in order[start:] + order[:start]:
        if user in present:
            return user
    return None


class Tables:
    """What the engine does for tables. ``clients`` are those that are connected."""

    def __init__(
        self,
        database: Store,
        clients: Collection[Client],
        now: Callable[[], float],
        leave: Callable[[Client], None],
        nursery: trio.Nursery,
    ) -> None:
        self._nursery = nursery
        self._typing: dict[Session, dict[int, tuple[str, float]]] = {}  # user: voice, until when
        self._database = database
        self._clients = clients
        self._now = now
        self._leave = leave

    # --- lines ----------------------------------------------------------------------------------

    async def voiced(self, client: Client, line: str, request: str | None) -> tuple[str, bool]:
        """Returns a line with the name of who says it, and whether it ends a turn.

        Raises ``CommandError`` when it is the turn of another.
        """
        session = client.session
        assert session is not None
        before = await self._database.read(seats.said_before, session.id, request)
        if before is not None:  # sent once more; it is not said again, whoever's turn it is now
            if not before.endswith(line):  # else somebody who took another's id would silence them
                raise CommandError("The id of this line was used for another one; send it again.")
            return line, False
        here, order, last = await self._database.read(_standing, session.id)
        mine = next((one for one in here if one.user == client.visitor.id), None)
        if mine is None or mine.role < StoryRole.PLAYER:
            raise CommandError("You have no seat here any more.")
        self._types_no_more(session, mine.user)
        if order == ROUND:
            turn = self._turn_of(session, here, last)
            if turn is not None and turn.user != mine.user:
                raise CommandError(f"It is the turn of {turn.voice}; at this table you speak in turn.")
        if _is_outside(line):
            return line, False
        return f"{mine.voice}: {line}", order == ROUND

    async def end_turn(self, session: Session, user: int) -> None:
        """Lets the next one speak, now that the line of this one is said: if it was lost, it may be said again."""
        await self._database.write(stories.set_session_extra, session.id, {"table_last": user})
        follows = self._turn_of(session, await self.here(session), user)
        if follows is not None:
            session.publish(SystemUpdate(f"Next: {follows.voice}."))

    def _turn_of(self, session: Session, here: list[Sitting], last: int) -> Sitting | None:
        players = [one.user for one in here if one.role >= StoryRole.PLAYER]
        turn = next_speaker(players, last, self.present(session))
        return next((one for one in here if one.user == turn), None)

    def present(self, session: Session) -> frozenset[int]:
        """Returns the users who watch a story now."""
        return frozenset(one.visitor.id for one in self._clients if one.session is session)

    # --- who is typing --------------------------------------------------------------------------

    async def types(self, client: Client) -> None:
        """Tells the others at a table that somebody types a line, until they say it or stop."""
        session = client.session
        if session is None or not session.shared:
            return
        user = client.visitor.id
        here = await self.here(session)
        voice = next((one.voice for one in here if one.user == user), "")
        if client.session is not session or not voice:
            return
        if not self._typing:
            self._nursery.start_soon(guarded, "who is typing", self._fade)
        typing = self._typing.setdefault(session, {})
        is_new = user not in typing
        typing[user] = (voice, trio.current_time() + TYPING_S)
        if is_new:
            self._tell_typing(session, {user})

    def _types_no_more(self, session: Session, user: int) -> None:
        if self._typing.get(session, {}).pop(user, None) is not None:
            self._tell_typing(session, {user})

    async def _fade(self) -> None:
        while self._typing:
            await trio.sleep(1.0)
            now = trio.current_time()
            for session, typing in tuple(self._typing.items()):
                lasting = {user: one for user, one in typing.items() if one[1] > now}
                if lasting:
                    self._typing[session] = lasting
                else:
                    del self._typing[session]
                if len(lasting) < len(typing):
                    self._tell_typing(session, typing.keys() - lasting.keys())

    def _tell_typing(self, session: Session, changed: Collection[int]) -> None:
        """Tells everybody who types but those who are the only ones that began or stopped."""
        typing = self._typing.get(session, {})
        for client in self._clients:
            if client.session is session and set(changed) != {client.visitor.id}:
                names = tuple(voice for user, (voice, _) in typing.items() if user != client.visitor.id)
                client.send(SystemUpdate("", State(typing=names)))

    # --- seats ----------------------------------------------------------------------------------

    async def change(
        self, session_id: str, work: Callable[[Connection], None], event: str, about: str, by: int
    ) -> None:
        """Changes who sits at a table, tells the narrator, and lets those watch no more who sit no more.

        ``event`` and ``about`` go into the audit log, "" into none.
        """

        def write(db: Connection) -> list[Sitting]:
            work(db)
            tell_narrator(db, session_id)
            if event:
                audit.note(db, by, event, about, self._now())
            return sitting(db, session_id)

        # Whoever asked for it may be gone by now: from here on nothing waits and nothing fails.
        self._seat_anew(session_id, await self._database.write(write))

    def _seat_anew(self, session_id: str, here: list[Sitting]) -> None:
        roles = {one.user: one.role for one in here}
        for client in tuple(self._clients):
            session = client.session
            if session is None or session.id != session_id:
                continue
            session.shared = StoryRole.PLAYER in roles.values()
            if client.visitor.id in roles:
                client.role = roles[client.visitor.id]
                _tell(client, session, here)
                continue
            self._leave(client)
            client.chosen = replace(client.chosen, session_id="")
            client.notify("You have no seat at this table any more.", State(session_id=""))
            client.send(snapshot.no_history())

    async def is_shared_now(self, session_id: str) -> bool:
        """Returns whether others play in a story that is opened; the narrator hears no more of who was removed."""
        if not await self._database.read(is_shared, session_id):
            return False
        with apart():  # it answers no prompt
            return await self._database.write(tell_narrator, session_id)

    async def seat_guest(self, code: str) -> User | None:
        """Returns who comes in with nothing but a code, with their seat; None when it holds for no table.

        Raises ``ElsewhereError`` when another engine plays the story.
        """
        table = await self._database.read(seats.by_code, code, self._now())
        if table is None:
            return None
        made: list[User | None] = []

        def seat(db: Connection) -> None:
            made.append(seats.seat_guest(db, code, self._now()))

        # The prompt has who plays, and it is the engine that plays the story which makes it.
        await self._database.lease(table[0], opens=False)
        try:
            await self.change(table[0], seat, "guest", f"as {table[1]}", HOME)
        finally:
            self._database.leave(table[0])
        return made[-1]

    async def unwitnessed(self, client: Client) -> frozenset[int]:
        """Returns the messages of the story a client watches that its user was not there to hear."""
        session = client.session
        if session is None or not session.shared:
            return frozenset()
        return await self._database.read(seats.unwitnessed, session.id, client.visitor.id)

    async def tell(self, client: Client) -> None:
        """Tells a client who sits at the story it watches."""
        session = client.session
        if session is not None:
            _tell(client, session, await self.here(session))

    async def here(self, session: Session) -> list[Sitting]:
        """Returns everybody at a story's table."""
        return await self._database.read(sitting, session.id)

    def of_user(self, user: int) -> list[Client]:
        """Returns the clients of a user that are connected."""
        return [client for client in self._clients if client.visitor.id == user]


def _is_outside(line: str) -> bool:
    """Whether a line is one aside from its beginning to its end: those are nobody's in the story."""
    return line.startswith("((") and line.find("))") == len(line) - 2


def _tell(client: Client, session: Session, here: Iterable[Sitting]) -> None:
    names = tuple(one.voice or one.user_name for one in here)
    client.send(SystemUpdate("", State(table=names if session.shared else ())))


def _standing(db: Connection, session_id: str) -> tuple[list[Sitting], str, int]:
    stored = stories.session(db, session_id)
    if stored is None:
        return [], FREE, -1
    return sitting(db, session_id), stored.extra.table_order, stored.extra.table_last
