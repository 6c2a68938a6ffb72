"""The engine: what clients say becomes changes of stories and started turns.

Owns the open sessions, the connected clients and the running turns. Knows no socket: a client is an
outbox and a selection. Knows no command either: ``flower.engine.commands`` takes prompts and calls the
engine. The events that describe the current state are made in ``snapshot``.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import trio
from msgspec import UNSET, structs

from flower import limits
from flower.engine.export import files
from flower.engine.game.steering import rules_on
from flower.engine.prompt.context import Services
from flower.engine.provider.base import Registry
from flower.engine.recall.folders import Folders
from flower.engine.recall.scopes import memory_scope
from flower.engine.sanitize import sanitize
from flower.engine.sessions import create, recap, rights, shown_page, snapshot
from flower.engine.sessions.allowances import Allowances
from flower.engine.sessions.answers import Answers
from flower.engine.sessions.asset_edits import AssetEdits
from flower.engine.sessions.character_drafts import CharacterDrafts
from flower.engine.sessions.create import WorldLore
from flower.engine.sessions.drafts import Drafts
from flower.engine.sessions.edits import Edits
from flower.engine.sessions.fetches import Fetches
from flower.engine.sessions.heap_trim import HeapTrimmer
from flower.engine.sessions.imports import Imports
from flower.engine.sessions.metrics import Metrics
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.program import STRANGER, Program, one_problem
from flower.engine.sessions.rights import StoryRole, Visitor
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import HOME_OWNER, Client, Session
from flower.engine.sessions.side_tasks import SideTasks
from flower.engine.sessions.story_list import StoryList
from flower.engine.sessions.tables import Tables
from flower.engine.sessions.turn_outcome import TurnOutcome, interrupted
from flower.engine.sessions.turns import Turns
from flower.engine.sessions.user_watch import UserWatch
from flower.engine.store import (
    personas,
    prompts,
    quick_replies,
    states,
    stories,
    streaming_text,
    trash,
    tree,
)
from flower.engine.store.database import apart
from flower.errors import ElsewhereError, StoreError
from flower.protocol.messages import CommandOption, ErrorEvent, ErrorMeta, State

log = logging.getLogger(__name__)

QUICK_REPLIES_READ = 100  # of imported ones; most sets have commands of other programs among them

COME_BACK_S = 20.0  # after an engine has died, its clients are with another one

DRAIN_S = 600.0  # for replies to end by themselves
LEAVE_S = 5.0  # for clients to be gone then
DRAIN_POLL_S = 0.1


class Engine:
    """All stories of one home. ``commands`` are what clients are offered; they are carried out elsewhere."""

    def __init__(
        self,
        services: Services,
        registry: Registry,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: secrets.token_hex(4),
        commands: tuple[CommandOption, ...] = (),
    ) -> None:
        self.runtime = Runtime(services, registry)
        self.clients: set[Client] = set()
        self.now = now
        self.new_id = new_id
        self.imports = Imports(self.runtime, self.clients, nursery, now, new_id)
        self.metrics = Metrics()
        self.started_at = now()
        self.turns = Turns(
            self.runtime,
            nursery,
            now=now,
            forget=self._forget,
            observe=self._observe,
        )
        self.edits = Edits(self.runtime, self.turns, now)
        self.lore = WorldLore(self.runtime)
        self.asset_edits = AssetEdits(self.runtime, self.imports, self.lore, self.clients)
        self.folders = Folders(
            services.database,
            services.library,
            nursery,
            lambda text: self.broadcast(text, State()),
            roots=lambda: self.services.lore_roots,
        )
        self.drafts = Drafts(self.runtime, self.turns.models, nursery, now=now)
        self.side_tasks = SideTasks(nursery)
        self.character_drafts = CharacterDrafts(self.runtime, self.turns.models, nursery)
        self.turns.alone = lambda: (
            not (
                self.drafts.tasks.running
                or self.side_tasks.running
                or self.character_drafts.tasks.running
            )
        )
        self.heap = HeapTrimmer(nursery)
        self.story_list = StoryList(services.database, self.clients, nursery)
        self.allowances = Allowances(
            services.database,
            nursery,
            now,
            lambda name: files.folder_of(services.database.path, name),
        )
        self.tables = Tables(services.database, self.clients, now, self._leave, nursery)
        self.turns.witnesses = self.tables.present
        self.users = UserWatch(services.database, self.clients, nursery, now)
        self.imports.stories_changed = self.story_list.changed
        self._commands = commands
        self.answers = Answers()
        self.fetches = Fetches(nursery)
        self.program: Program | None = None  # who reads the settings; None in an engine without any
        self.drain_begun = trio.Event()
        self._sessions: dict[str, Session] = {}
        self._recapped: dict[str, float] = {}  # by story: when it had been played last, then

    @property
    def services(self) -> Services:
        """What the next reply works with."""
        return self.runtime.services

    @property
    def registry(self) -> Registry:
        """The models the next reply can have."""
        return self.runtime.registry

    def use(self, services: Services, registry: Registry) -> None:
        """Goes on with other settings, assets and models; replies under way end as they began."""
        registry.on_change = self._announce_models
        self.runtime.swap(self.imports.added_to(services), registry)

    def _observe(self, outcome: TurnOutcome) -> None:
        self.metrics.turn_ended(outcome)
        self.allowances.turn_ended(outcome)

    async def start(self) -> None:
        """Marks the replies that a dead engine left unfinished, makes memories of them, follows folders."""
        self.registry.on_change = self._announce_models
        await self.imports.start()
        if not self.services.database.shared:  # else they may be those of an engine that lives
            count = await self.services.database.write(streaming_text.recover)
            if count:
                log.info("found %d interrupted replies", count)
            await self.turns.after.remember_unfinished()
        await self.folders.start()
        self.services.database.follow(self._on_change_elsewhere)

    def _on_change_elsewhere(self, what: str, scope: str) -> None:
        """Brings up to date what is kept in memory of rows that other engines have changed."""
        if what in ("lore", ""):
            self.services.library.doubt(scope)
        if what in ("stories", ""):
            self.story_list.changed()
        if what in ("characters", ""):
            self.imports.look_again()

    # --- clients --------------------------------------------------------------------------------

    async def connect(
        self,
        outbox: Outbox,
        client_id: str = "",
        on_leave: Callable[[], None] = lambda: None,
        rights: str = STRANGER,
        visitor: Visitor = HOME_OWNER,
    ) -> Client:
        """Returns a new client with what it had chosen, and sends it everything it shows.

        Faces that give no id share one selection. ``rights``: see ``program``; ``visitor``: whose client it is.
        """
        key = stories.client_key(visitor.id, sanitize(client_id))
        chosen = await self.services.database.read(stories.load, key, visitor.id)
        client = Client(outbox, chosen, on_leave, rights, visitor)
        self.clients.add(client)
        self.users.came(client)
        try:
            client.notify("✓ Engine ready.", State(status="ok"))
            self._tell_problems(client)
            await self._attach(client)
            await self.sync(client)
            self._tell_ended(client)
            await self._recap_once(client)
        except BaseException:  # it left already, or the disk fails: nobody else would forget it
            self.disconnect(client)
            raise
        return client

    def _tell_problems(self, client: Client) -> None:
        """Says that something of the user's cannot be used; the list of it stays in the state."""
        problems = self.problems_for(client)
        if problems:
            client.notify(f"✗ {one_problem(problems)}")

    def problems_for(self, client: Client) -> tuple[str, ...]:
        """Returns the problems that a client is told: the files are the home owner's business."""
        return () if client.visitor.id else self.problems()

    def problems(self) -> tuple[str, ...]:
        """Returns a sentence for everything of the user's that cannot be used: settings, files, models."""
        settings = self.program.problems if self.program is not None else ()
        every = (*settings, *self.services.assets.problems, *self.registry.problems.values())
        every += self.registry.file_problems
        return every[: limits.PROBLEMS_TOLD]

    def _tell_ended(self, client: Client) -> None:
        """Tells those who come back that the reply they were reading has ended with its engine."""
        session = client.session
        if session is None or trio.current_time() - session.opened_at > COME_BACK_S:
            return
        if client.chosen.client not in session.told_ended:
            session.told_ended.add(client.chosen.client)
            for event in session.ended_elsewhere:
                client.send(event)

    async def _recap_once(self, client: Client) -> None:
        """Tells what happened last in a story that has rested long, once until it is played again."""
        if client.session is None:
            return
        stored = await self.services.database.read(stories.session, client.session.id)
        if stored is not None and self._recapped.get(stored.id) != stored.updated:
            self._recapped[stored.id] = stored.updated
            await self.recap(client, stored)

    async def recap(self, client: Client, stored: stories.StoredSession) -> None:
        """Sends what has happened in a story since it was played last."""
        text = await recap.since_last_played(self.services.database, stored, self.now())
        if text:
            client.notify(text)

    def disconnect(self, client: Client) -> None:
        """Forgets a client; its turn goes on."""
        self.clients.discard(client)
        self.heap.client_left()
        self.drafts.tasks.cancel(client)
        self.side_tasks.cancel(client)
        self.character_drafts.tasks.cancel(client)
        self._leave(client)

    @property
    def sessions(self) -> Collection[Session]:
        """The stories that are open."""
        return self._sessions.values()

    async def identify(self, client: Client, client_id: str) -> None:
        """Gives a client what another one of its id had chosen, and its story."""
        key = stories.client_key(client.visitor.id, sanitize(client_id))
        client.chosen = await self.services.database.read(stories.load, key, client.visitor.id)
        try:
            await self._attach(client)
        except ElsewhereError as elsewhere:
            elsewhere.unanswered = True  # the prompt that brought the id
            raise

    async def choose(self, client: Client, **changes: object) -> None:
        """Changes what a client has chosen and stores that: others with its id may choose the rest."""
        client.chosen = structs.replace(client.chosen, **changes)
        await self.services.database.write(stories.change, client.chosen, tuple(changes), self.now())

    async def sync(self, client: Client) -> None:
        """Sends a client everything it shows: the state, then its story."""
        user = client.visitor.id
        listed = await self.services.database.read(stories.sessions, user=user)
        active = await self.active_rules(client)
        shown = structs.replace(client.chosen, rules=active, client=client.name)
        services = self.services
        more = await services.database.read(quick_replies.listed, QUICK_REPLIES_READ)
        ready = (*services.quick_replies, *snapshot.quick_replies_of(more))
        client.send(
            snapshot.sync_state(
                services.assets,
                self.registry,
                listed,
                shown,
                quick_replies=ready[: max(limits.QUICK_REPLIES, len(services.quick_replies))],
                commands=self._commands,
                problems=self.problems_for(client),
                persona=await services.database.read(personas.default_name, user),
            )
        )
        if client.session is not None:
            await self.send_history(client, client.session)

    async def active_rules(self, client: Client) -> tuple[str, ...]:
        """Returns the ids of the rules that hold for a client: its own, as its story switches them."""
        steered = await self.services.database.read(states.steering, client.chosen.session_id)
        return rules_on(client.chosen.rules, steered.rules)

    def broadcast(self, text: str, state: State) -> None:
        """Tells every client what has changed, and the home owner's what happened to the home."""
        for client in self.clients:
            if not client.visitor.id:
                client.notify(text, state)
            elif state != State():
                client.notify("", structs.replace(state, problems=UNSET))

    def _announce_models(self) -> None:
        available = self.registry.options()
        for client in self.clients:
            state = snapshot.selection_state(client.chosen, self.registry)
            state = structs.replace(state, problems=self.problems_for(client))
            client.notify("", structs.replace(state, available_models=available))

    # --- stories --------------------------------------------------------------------------------

    async def new_session(self, client: Client) -> Session:
        """Starts a story in the client's world; raises ``CommandError`` without a world."""
        session_id = self.new_id()
        await create.begin(self.services, client.chosen, session_id, self.now(), client.visitor.id)
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

    @asynccontextmanager
    async def playing(self, client: Client, story: str) -> AsyncIterator[None]:
        """Plays a story here while the block runs, for a prompt of a client who does not watch it yet.

        Raises ``ElsewhereError`` when another engine plays it; the client goes there, and its prompt with it.
        """
        database = self.services.database
        try:
            await database.lease(story)
        except ElsewhereError as elsewhere:
            with apart():  # nothing of the prompt is done yet
                await self.choose(client, session_id=story)
            elsewhere.unanswered = True
            client.leave_for(elsewhere)
            raise
        try:
            yield
        finally:
            database.leave(story)

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
        await self.services.database.write(prompts.drop_all_waiting, session_id)
        await self.services.database.write(trash.delete, session_id, self.now())
        await self.turns.end(session_id)  # of a line that was being committed; none can begin now
        if self._sessions.pop(session_id, None) is not None:
            self.services.database.leave(session_id)
        for client in self.clients:
            if client.chosen.session_id == session_id:
                client.chosen = structs.replace(client.chosen, session_id="")
                self._leave(client)
                client.notify(
                    "This story was deleted.", State(session_id="", active_rules=client.chosen.rules)
                )
                client.send(snapshot.no_history())

    async def send_history(self, client: Client, session: Session, before: int | None = None) -> None:
        """Sends a page of a story: its end, or what is above message ``before``."""
        while True:
            reply = session.reply
            page = await self.services.database.read(shown_page.page, self.services, session, before)
            if page is None:
                return
            if session.reply is reply:  # else a reply began or ended meanwhile, and the page is old
                break
        # No checkpoint between taking the reply's text and sending it: no chunk is lost or doubled.
        client.send(snapshot.chat_history(session, page, before))
        if session.shared and before is None:
            await self.tables.tell(client)

    async def _attach(self, client: Client) -> None:
        """Makes the client watch the story it has selected, if that still exists.

        Raises ``ElsewhereError`` when another engine plays it; the client is to go there.
        """
        self._leave(client)
        session_id = client.chosen.session_id
        if not session_id:
            return
        session, opened, role = self._sessions.get(session_id), None, StoryRole.OWNER
        if session is None or session.owner != client.visitor.id:
            found = await self.services.database.read(rights.seen, client.visitor.id, session_id)
            if found is None:
                client.chosen = structs.replace(client.chosen, session_id="")
                return
            _, role = found
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
                self.services.database.leave(session_id)
        # Without a pause since it was looked up: a story that nobody watches may be dropped and opened again.
        session.subscribe(client.outbox)
        client.session, client.role = session, role
        if session is opened:
            await self._resume(client, session)
        if role is not StoryRole.OWNER:
            await self._look_again(client, session)
        try:
            await self.lore.sync(session.world_id)
        except StoreError as error:  # a full disk keeps nobody from reading
            client.send(ErrorEvent(f"{error}. The world's lore stays as it was.", ErrorMeta("store")))

    async def _resume(self, client: Client, session: Session) -> None:
        """Goes on with the lines that waited in a story that was just opened for a client."""
        # Whole, also when the client leaves meanwhile: nobody else asks for these lines.
        with trio.CancelScope(shield=True):
            waiting = await self.services.database.read(prompts.waiting, session.id)
            by = client.chosen
            if (
                waiting and client.visitor.id != session.owner
            ):  # who only comes by pays for nobody's line
                key = stories.client_key(session.owner, "")
                by = await self.services.database.read(stories.load, key, session.owner)
        self.turns.resume(session, waiting, by)

    async def _look_again(self, client: Client, session: Session) -> None:
        """Lets a client go whose seat was taken while the story was opened for it."""
        found = await self.services.database.read(rights.seen, client.visitor.id, session.id)
        if client.session is not session:
            return
        if found is not None:
            client.role = found[1]
            return
        client.chosen = structs.replace(client.chosen, session_id="")
        self._leave(client)

    async def _open(self, session_id: str) -> Session | None:
        """Returns a story for this engine to play, None if it is gone.

        Raises ``ElsewhereError`` while another engine plays it.
        """
        services = self.services
        ended = await services.database.lease(session_id)
        try:
            stored = await services.database.read(stories.session, session_id)
            if stored is None:
                services.database.leave(session_id)
                return None
            start = await services.database.read(tree.window_start, stored.id)
            shared = await self.tables.opened(session_id)
            if services.database.shared:  # another engine may have added to it, or died before it could
                services.library.doubt(memory_scope(session_id))
                await self.turns.after.remember_unfinished(session_id)
        except BaseException:
            services.database.leave(session_id)
            raise
        session = Session(stored.id, stored.world_id, stored.character_id, start, stored.owner)
        session.ended_elsewhere = tuple(interrupted(session_id, reply) for reply in ended)
        session.opened_at, session.shared = trio.current_time(), shared
        return session

    def _leave(self, client: Client) -> None:
        session, client.session = client.session, None
        if session is not None:
            session.unsubscribe(client.outbox)
            self._forget(session)

    def _forget(self, session: Session) -> None:
        """Drops a story that nobody watches and that nothing runs in; the database has it."""
        if not session.in_use and self._sessions.get(session.id) is session:
            del self._sessions[session.id]
            self.services.database.leave(session.id)

    # --- lines ----------------------------------------------------------------------------------

    async def say(self, client: Client, line: str, request: str | None, *, named: bool = False) -> None:
        """Takes the player's line: starts its turn, or lets it wait for the running one.

        ``named``: the line says itself whose it is.
        """
        if client.session is None:
            await self.new_session(client)
            await self.sync(client)
        assert client.session is not None
        session, ends_turn = client.session, False
        if session.shared and not named:
            line, ends_turn = await self.tables.voiced(client, line, request)
        if await self.turns.say(session, client.chosen, line, request):
            self.story_list.changed()
        if ends_turn:
            await self.tables.spoken(session, client.visitor.id)

    @property
    def draining(self) -> bool:
        """Whether the engine takes nobody any more."""
        return self.drain_begun.is_set()

    async def drain(self) -> None:
        """Lets replies end, hands the stories over and sends clients to other engines; returns when all that is done.

        Lines that wait stay in the database: whoever plays the story next answers them.
        """
        self.drain_begun.set()
        self.turns.begin_no_more()
        other = ""
        try:
            await self.services.database.drain()
            other = await self.services.database.elsewhere()
        except StoreError as error:
            log.warning("the other engines are not told: %s", error)
        with trio.move_on_after(DRAIN_S):
            while self._send_away(other) or self.turns.running:  # noqa: ASYNC110 - many things end
                await trio.sleep(DRAIN_POLL_S)
        with trio.move_on_after(LEAVE_S):
            while self._send_away(other) or self.clients:  # noqa: ASYNC110
                await trio.sleep(DRAIN_POLL_S)

    def _send_away(self, address: str) -> int:
        """Lets clients go whose story rests; returns how many there are whose story does not."""
        left = 0
        for client in self.clients:
            if client.answering or (client.session is not None and client.session.is_working):
                left += 1
            elif client.elsewhere is None:
                client.leave_for(ElsewhereError("this engine is about to stop", address))
        return left

    async def stop(self) -> None:
        """Ends every turn, saved and told as interrupted, and tells the clients."""
        await self.turns.stop(self._sessions.values())
        for client in self.clients:
            client.notify("✗ The engine is stopping.", State(status="stopping"))
