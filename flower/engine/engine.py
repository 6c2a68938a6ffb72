"""The engine: what clients say becomes changes of stories and started turns.

Owns the open sessions, the connected clients and the running turns. Knows no socket: a client is an
outbox and a selection. Commands live in ``flower.engine.commands``; the events that describe the
state are made in ``flower.engine.snapshot``.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import time
from collections.abc import Callable, Collection

import trio
from msgspec import UNSET, structs

from flower import limits
from flower.engine import recap, snapshot
from flower.engine.commands import table
from flower.engine.direction import Place, greeting
from flower.engine.drafting import Drafts
from flower.engine.folders import Folders
from flower.engine.game.steering import rules_on
from flower.engine.metrics import Metrics
from flower.engine.outbox import Outbox
from flower.engine.preparation import Services, lore_scope, memory_scope
from flower.engine.provider.roster import Roster
from flower.engine.sanitize import sanitize
from flower.engine.session import Session
from flower.engine.store import discarded, passages, states, stories, tree
from flower.engine.turns import Turns
from flower.errors import CommandError, FlowerError, StoreError
from flower.protocol import (
    ErrorEvent,
    ErrorMeta,
    Event,
    Prompt,
    State,
    SystemUpdate,
)

log = logging.getLogger(__name__)


class Client:
    """One connected face: its mailbox, what it has chosen and the story it watches."""

    def __init__(self, outbox: Outbox, chosen: stories.Selection, goodbye: Callable[[], None]) -> None:
        self.outbox = outbox
        self.chosen = chosen
        self.session: Session | None = None
        self.goodbye = goodbye  # to be called when it says that it leaves for good
        self.request: str | None = None  # of the prompt that is being carried out

    def __repr__(self) -> str:
        return f"<Client {self.chosen.client!r} on {self.session!r}>"

    def send(self, event: Event) -> None:
        self.outbox.put_nowait(event)

    def tell(self, text: str, state: State | None = None) -> None:
        self.send(SystemUpdate(text, state if state is not None else State()))


class Engine:
    """All stories of one home."""

    def __init__(
        self,
        services: Services,
        roster: Roster,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
    ) -> None:
        self.services = services
        self.roster = roster
        self.clients: set[Client] = set()
        self.now = now
        self.new_id = new_id
        self.metrics = Metrics()
        self.turns = Turns(
            services,
            roster,
            nursery,
            now=now,
            forget=self._forget,
            observe=self.metrics.turn_ended,
        )
        self.folders = Folders(
            services.database, services.library, nursery, lambda text: self.broadcast(text, State())
        )
        self.drafts = Drafts(self, nursery)
        self._sessions: dict[str, Session] = {}
        self._lore_synced: set[str] = set()
        self._recapped: dict[str, float] = {}  # by story: when it had been played last, then

    def use(self, services: Services, roster: Roster) -> None:
        """Goes on with other settings, assets and narrators; replies under way end as they began."""
        self.services, self.roster = services, roster
        roster.on_change = self._announce_models
        self.turns.use(services, roster)
        self._lore_synced.clear()  # a world's lore may be another now

    async def start(self) -> None:
        """Marks the replies that a dead engine left unfinished, makes memories of them, follows folders."""
        self.roster.on_change = self._announce_models
        count = await self.services.database.write(stories.mark_interrupted)
        if count:
            log.info("found %d interrupted replies", count)
        await self.turns.remember_unfinished()
        await self.folders.start()

    # --- clients --------------------------------------------------------------------------------

    async def connect(
        self, outbox: Outbox, client_id: str = "", goodbye: Callable[[], None] = lambda: None
    ) -> Client:
        """Returns a new client with what it had chosen, and sends it everything it shows.

        Faces that give no id share one selection.
        """
        chosen = await self.services.database.read(stories.load_selection, sanitize(client_id))
        client = Client(outbox, chosen, goodbye)
        self.clients.add(client)
        try:
            client.tell("✓ Engine ready.", State(status="ok"))
            await self._attach(client)
            await self.sync(client)
            await self._recap(client)
        except BaseException:  # it left already, or the disk fails: nobody else would forget it
            self.disconnect(client)
            raise
        for problem in (*self.services.assets.problems, *self.roster.problems):
            client.tell(f"✗ {problem}")
        return client

    async def _recap(self, client: Client) -> None:
        """Tells what happened last in a story that has rested long, once until it is played again."""
        if client.session is None:
            return
        stored = await self.services.database.read(stories.session, client.session.id)
        if stored is not None and self._recapped.get(stored.id) != stored.updated:
            self._recapped[stored.id] = stored.updated
            await recap.tell(self, client, stored)

    def disconnect(self, client: Client) -> None:
        """Forgets a client; its turn goes on."""
        self.clients.discard(client)
        self.drafts.cancel(client)
        self._leave(client)

    async def handle(self, client: Client, prompt: Prompt) -> None:
        """Carries out one prompt; whatever is wrong with it becomes one ``error`` event."""
        try:
            if prompt.client is not None and prompt.client != client.chosen.client:
                await self._identify(client, sanitize(prompt.client))
            client.request = prompt.request
            text = sanitize(prompt.prompt).strip()
            if text.startswith("/"):
                await table.run(self, client, text)
            elif text:
                await self.say(client, text, prompt.request)
        except FlowerError as error:
            self.metrics.error(type(error).__name__)
            client.send(ErrorEvent(str(error), ErrorMeta(request=prompt.request or UNSET)))

    @property
    def sessions(self) -> Collection[Session]:
        """The stories that are open."""
        return self._sessions.values()

    async def _identify(self, client: Client, client_id: str) -> None:
        client.chosen = await self.services.database.read(stories.load_selection, client_id)
        await self._attach(client)

    async def choose(self, client: Client, **changes: object) -> None:
        """Changes what a client has chosen and stores it."""
        client.chosen = structs.replace(client.chosen, **changes)
        await self.services.database.write(stories.save_selection, client.chosen, self.now())

    async def sync(self, client: Client) -> None:
        """Sends a client everything it shows: the state, then its story."""
        listed = await self.services.database.read(stories.sessions)
        steered = await self.services.database.read(states.steering, client.chosen.session_id)
        shown = structs.replace(client.chosen, rules=rules_on(client.chosen.rules, steered.rules))
        client.send(snapshot.sync_state(self.services.assets, self.roster, listed, shown))
        if client.session is not None:
            await self.send_history(client, client.session)

    def broadcast(self, text: str, state: State) -> None:
        for client in self.clients:
            client.tell(text, state)

    async def announce_sessions(self, text: str) -> None:
        """Tells every client which stories there are now."""
        listed = await self.services.database.read(stories.sessions)
        self.broadcast(text, State(available_sessions=snapshot.session_options(listed)))

    def _announce_models(self) -> None:
        available = self.roster.options()
        for client in self.clients:
            state = snapshot.selection_state(client.chosen, self.roster)
            client.tell(
                "The list of models is fresh.", structs.replace(state, available_models=available)
            )

    # --- stories --------------------------------------------------------------------------------

    async def new_session(self, client: Client) -> Session:
        """Starts a story in the client's world; raises ``CommandError`` without a world."""
        chosen, assets = client.chosen, self.services.assets
        world = assets.worlds.get(chosen.world_id)
        if world is None:
            raise CommandError(
                "Choose a world first: /world select ID (" + ", ".join(assets.worlds) + ")."
            )
        if await self.services.database.read(stories.count_sessions) >= limits.SESSIONS_MAX:
            raise CommandError(
                f"There are {limits.SESSIONS_MAX} stories, the most one home holds; use another --home."
            )
        session_id = self.new_id()
        persona = (await self.services.database.read(states.steering, chosen.session_id)).persona
        place = Place(session_id, world.id, chosen.character_id)
        await self.services.database.write(
            states.begin_story,
            session_id,
            world.id,
            chosen.character_id,
            greeting(assets, place, persona, self.now()),
            persona,
            self.now(),
        )
        await self.choose(client, session_id=session_id)
        await self._attach(client)
        session = client.session
        assert session is not None
        return session

    async def open_session(self, client: Client, stored: stories.StoredSession) -> None:
        """Makes a client watch a story, with the world and character it is played with."""
        await self.choose(
            client, session_id=stored.id, world_id=stored.world_id, character_id=stored.character_id
        )
        await self._attach(client)

    async def leave_session(self, client: Client) -> None:
        """Makes a client watch no story; the story stays saved."""
        await self.choose(client, session_id="")
        self._leave(client)
        client.send(snapshot.no_history())

    async def delete_session(self, session_id: str) -> None:
        """Stops what runs in a story and puts it into the trash; its memories stay with it."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.drop_waiting()
        await self.turns.end(session_id)
        await self.services.database.write(stories.delete_session, session_id, self.now())
        await self.turns.end(session_id)  # of a line that was being committed; none can begin now
        self._sessions.pop(session_id, None)
        for client in self.clients:
            if client.chosen.session_id == session_id:
                client.chosen = structs.replace(client.chosen, session_id="")
                self._leave(client)
                client.tell("This story was deleted.", State(session_id=""))
                client.send(snapshot.no_history())

    async def empty_trash(self) -> int:
        """Deletes for good what has been in the trash for long enough, stories and messages.

        Returns how many stories those were.
        """
        database, library = self.services.database, self.services.library
        expired = await database.read(stories.expired, self.now() - limits.TRASH_KEPT_S)
        for session_id in expired:
            # Rows and memories at once: it may be taken back from the trash until then.
            if await database.write(_purge, session_id):
                await library.drop_scope(memory_scope(session_id))
        messages = await database.read(discarded.expired, self.now() - limits.TRASH_KEPT_S)
        if messages:
            await library.forget_messages(messages)
            await database.write(discarded.purge, messages)
        return len(expired)

    async def send_history(self, client: Client, session: Session, before: int | None = None) -> None:
        """Sends a page of a story: its end, or what is above message ``before``."""
        while True:
            reply = session.reply
            page = await self.services.database.read(tree.page, session.id, before)
            if page is None:
                return
            if session.reply is reply:  # else a reply began or ended meanwhile, and the page is old
                break
        # No checkpoint between taking the reply's text and sending it: no chunk is lost or doubled.
        client.send(snapshot.chat_history(session, page, before))

    async def _attach(self, client: Client) -> None:
        """Makes the client watch the story it has selected, if that still exists."""
        self._leave(client)
        session_id = client.chosen.session_id
        if not session_id:
            return
        session = self._sessions.get(session_id)
        if session is None:
            stored = await self.services.database.read(stories.session, session_id)
            if stored is None:
                client.chosen = structs.replace(client.chosen, session_id="")
                return
            session = self._sessions.setdefault(
                session_id, Session(stored.id, stored.world_id, stored.character_id)
            )
            session.window_start = stored.extra.get("window_start")
        session.subscribe(client.outbox)
        client.session = session
        try:
            await self.sync_lore(session.world_id)
        except StoreError as error:  # a full disk keeps nobody from reading
            client.send(ErrorEvent(f"{error}. The world's lore stays as it was.", ErrorMeta("store")))

    def _leave(self, client: Client) -> None:
        session, client.session = client.session, None
        if session is not None:
            session.unsubscribe(client.outbox)
            self._forget(session)

    def _forget(self, session: Session) -> None:
        """Drops a story that nobody watches and that nothing runs in; the database has it."""
        if not session.in_use:
            self._sessions.pop(session.id, None)

    async def sync_lore(self, world_id: str, *, again: bool = False) -> None:
        """Brings a world's lore into the library, once per run of the engine.

        Cheap when nothing changed: the library compares texts and embeds only what is new.
        """
        world = self.services.assets.worlds.get(world_id)
        if world is None or (world_id in self._lore_synced and not again):
            return
        self._lore_synced.add(world_id)
        scope = lore_scope(world_id)
        try:
            await self.services.library.sync_source(scope, "world", world.name, world.lore)
            attached = await self.services.database.read(stories.attached_lore, world_id)
            for number, text in attached:
                await self.services.library.sync_source(scope, f"attached:{number}", world.name, text)
        except BaseException:
            self._lore_synced.discard(world_id)  # not all of it: the next one tries again
            raise

    # --- lines ----------------------------------------------------------------------------------

    async def say(self, client: Client, line: str, request: str | None) -> None:
        """Takes the player's line: starts its turn, or lets it wait for the running one."""
        if client.session is None:
            await self.new_session(client)
            await self.sync(client)
        assert client.session is not None
        if await self.turns.say(client.session, client.chosen, line, request):
            await self.announce_sessions("The story has a name now.")

    async def stop(self) -> None:
        """Ends every turn, saved and told as interrupted, and tells the clients."""
        await self.turns.stop(self._sessions.values())
        self.broadcast("✗ The engine is stopping.", State(status="stopping"))


def _purge(db: sqlite3.Connection, session_id: str) -> bool:
    purged = stories.purge_session(db, session_id)
    if purged:
        passages.drop_scope(db, memory_scope(session_id))
    return purged
