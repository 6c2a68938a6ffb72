"""The stories of an engine: which are open and who watches which, and the list of all that every client has.

Owns the open sessions: a story is opened when its first client comes, and dropped when nobody watches it and nothing
runs in it any more. Several engines may share the database: only one of them plays a story, and who comes to another
is sent there.

Keeps the list fresh, however many stories begin or end at once. It grows with the stories and goes to every client:
sent for each change, a hundred clients that begin a story at the same moment would cost ten thousand lists, in the way
of their first words. Each gets the stories that its user may see; those of one user are read once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

import trio
from msgspec import structs

from flower.engine.prompt.scripted import scripted_page
from flower.engine.recall.base import lore_scope, memory_scope
from flower.engine.sessions import rights, snapshot
from flower.engine.sessions.create import WorldLore
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.sessions.rights import StoryRole
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import Client, Session
from flower.engine.sessions.tables import Tables
from flower.engine.sessions.turn_outcome import interrupted
from flower.engine.sessions.turns import Turns
from flower.engine.store import prompts, selections, stories, trash, tree
from flower.engine.store.connection import Store
from flower.engine.tasks import guarded
from flower.errors import ElsewhereError, StoreError
from flower.protocol.messages import ErrorEvent, ErrorMeta, SessionOption, State, SystemUpdate

log = logging.getLogger(__name__)

LIST_INTERVAL_S = 1.0  # the list of stories goes to every client, at most so often
COME_BACK_S = 20.0  # after an engine has died, its clients are with another one


class OpenStories:
    """Opens stories for ``clients`` and drops them."""

    def __init__(
        self,
        runtime: Runtime,
        clients: Collection[Client],
        turns: Turns,
        tables: Tables,
        lore: WorldLore,
        libraries: OwnLibraries,
        now: Callable[[], float],
    ) -> None:
        self._runtime = runtime
        self._database = runtime.services.database
        self._clients = clients
        self._turns = turns
        self._tables = tables
        self._lore = lore
        self._libraries = libraries
        self._now = now
        self._sessions: dict[str, Session] = {}

    @property
    def sessions(self) -> Collection[Session]:
        """All that are open."""
        return self._sessions.values()

    async def attach(self, client: Client) -> None:
        """Makes the client watch the story it has selected, if that still exists.

        Raises ``ElsewhereError`` when another engine plays it; the client is to go there.
        """
        self.leave(client)
        session_id = client.chosen.session_id
        if not session_id:
            return
        session, opened, role = self._sessions.get(session_id), None, StoryRole.OWNER
        if session is None or session.owner != client.visitor.id:
            visible = await self._database.read(rights.visible_story, client.visitor.id, session_id)
            if visible is None:
                client.chosen = structs.replace(client.chosen, session_id="")
                return
            _, role = visible
            session = self._sessions.get(session_id)
        if session is None:
            try:
                opened = await self._open(session_id)
            except ElsewhereError as elsewhere:
                client.leave_for(elsewhere)
                raise
            if opened is None:
                client.chosen = structs.replace(client.chosen, session_id="")
                return
            # Another client may have opened it meanwhile, and a turn of it laid out its window.
            session = self._sessions.setdefault(session_id, opened)
            if session is not opened:
                self._database.leave(session_id)
        # Without a pause since it was looked up: a story that nobody watches may be dropped and opened again.
        session.subscribe(client.outbox)
        client.session, client.role = session, role
        if session is opened:
            await self._resume(client, session)
        if role is not StoryRole.OWNER:
            await self._look_again(client, session)
        self._runtime.services.library.warm([lore_scope(session.world_id), memory_scope(session.id)])
        try:
            await self._lore.sync(session.world_id)
        except StoreError as error:  # a full disk keeps nobody from reading
            client.send(ErrorEvent(f"{error}. The world's lore stays as it was.", ErrorMeta("store")))

    def tell_ended(self, client: Client) -> None:
        """Tells those who come back that the reply they were reading has ended with its engine."""
        session = client.session
        if session is None or trio.current_time() - session.opened_at > COME_BACK_S:
            return
        if client.chosen.client not in session.knows_ended:
            session.knows_ended.add(client.chosen.client)
            for event in session.ended_elsewhere:
                client.send(event)

    async def _resume(self, client: Client, session: Session) -> None:
        """Goes on with the lines that waited in a story that was just opened for a client."""
        # Whole, also when the client leaves meanwhile: nobody else asks for these lines.
        with trio.CancelScope(shield=True):
            waiting = await self._database.read(prompts.waiting, session.id)
            by = client.chosen
            if (
                waiting and client.visitor.id != session.owner
            ):  # who only comes by pays for nobody's line
                key = selections.client_key(session.owner, "")
                by = await self._database.read(selections.load, key, session.owner)
        self._turns.resume(session, waiting, by)

    async def _look_again(self, client: Client, session: Session) -> None:
        """Lets a client go whose seat was taken while the story was opened for it."""
        visible = await self._database.read(rights.visible_story, client.visitor.id, session.id)
        if client.session is not session:
            return
        if visible is not None:
            client.role = visible[1]
            return
        client.chosen = structs.replace(client.chosen, session_id="")
        self.leave(client)

    async def _open(self, session_id: str) -> Session | None:
        """Returns a story for this engine to play, None if it is gone.

        Raises ``ElsewhereError`` while another engine plays it.
        """
        services = self._runtime.services
        ended = await services.database.lease(session_id)
        try:
            stored = await services.database.read(stories.session, session_id)
            if stored is None:
                services.database.leave(session_id)
                return None
            await self._libraries.read(stored.owner)
            start = await services.database.read(tree.window_start, stored.id)
            shared = await self._tables.is_shared_now(session_id)
            if services.database.shared:  # another engine may have added to it, or died before it could
                services.library.doubt(memory_scope(session_id))
                await self._turns.after.remember_unfinished(session_id)
        except BaseException:
            services.database.leave(session_id)
            raise
        session = Session(stored.id, stored.world_id, stored.character_id, start, stored.owner)
        session.ended_elsewhere = tuple(interrupted(session_id, reply) for reply in ended)
        session.opened_at, session.shared = trio.current_time(), shared
        session.one_speaks = trio.Lock()
        return session

    def leave(self, client: Client) -> None:
        """Makes a client watch no story."""
        session, client.session = client.session, None
        if session is not None:
            session.unsubscribe(client.outbox)
            self.forget(session)

    def forget(self, session: Session) -> None:
        """Drops a story that nobody watches and that nothing runs in; the database has it."""
        if not session.in_use and self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            self._database.leave(session.id)

    async def delete(self, session_id: str) -> None:
        """Stops what runs in a story and puts it into the trash; its memories stay with it."""
        session = self._sessions.get(session_id)
        if session is not None:
            session.drop_waiting()
        await self._turns.end(session_id)
        await self._database.write(prompts.drop_all_waiting, session_id)
        await self._database.write(trash.delete, session_id, self._now())
        await self._turns.end(session_id)  # of a line that was being committed; none can begin now
        if self._sessions.pop(session_id, None) is not None:
            self._database.leave(session_id)
        for client in self._clients:
            if client.chosen.session_id == session_id:
                client.chosen = structs.replace(client.chosen, session_id="")
                self.leave(client)
                client.notify(
                    "This story was deleted.", State(session_id="", active_rules=client.chosen.rules)
                )
                client.send(snapshot.no_history())

    async def send_history(self, client: Client, session: Session, before: int | None = None) -> None:
        """Sends a page of a story: its end, or what is above message ``before``."""
        while True:
            reply = session.reply
            assets, runner = self._runtime.services.assets, self._runtime.services.scripts
            page = await self._database.read(scripted_page, assets, runner, session.story, before)
            if page is None:
                return
            if session.reply is reply:  # else a reply began or ended meanwhile, and the page is old
                break
        # No checkpoint between taking the reply's text and sending it: no chunk is lost or doubled.
        client.send(snapshot.chat_history(session, page, before))
        if session.shared and before is None:
            await self._tables.tell(client)


# --- the list of stories ------------------------------------------------------------------------------


async def lists_for(database: Store, clients: Iterable[Client]) -> dict[int, tuple[SessionOption, ...]]:
    """Returns the stories that each of the clients' users may see, by user. Raises ``StoreError``."""
    return {
        user: snapshot.session_options(await database.read(stories.sessions, user=user))
        for user in {client.visitor.id for client in clients}
    }


class StoryList:
    """Tells ``clients`` which stories there are, at most once in ``LIST_INTERVAL_S``."""

    def __init__(self, database: Store, clients: Collection[Client], nursery: trio.Nursery) -> None:
        self._database = database
        self._clients = clients
        self._nursery = nursery
        self._changed = False
        self._publishing = False

    def changed(self) -> None:
        """Notes that stories came, went or changed their names; clients get them soon."""
        self._changed = True
        if not self._publishing:
            self._publishing = True
            self._nursery.start_soon(guarded, "the list of stories", self._publish)

    async def _publish(self) -> None:
        try:
            while self._changed:
                self._changed = False
                await self._publish_once()
                await trio.sleep(LIST_INTERVAL_S)
        finally:
            self._publishing = False

    async def _publish_once(self) -> None:
        try:
            listed = await lists_for(self._database, self._clients)
        except StoreError as error:  # whoever meets it next reads of it
            log.warning("the list of stories could not be read: %s", error)
            return
        events = {
            user: SystemUpdate("", State(available_sessions=options))
            for user, options in listed.items()
        }
        for client in self._clients:
            if client.visitor.id in events:  # else it came meanwhile, and has its list
                client.send(events[client.visitor.id])
