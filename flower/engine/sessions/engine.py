"""The engine: what clients say becomes changes of stories and started turns.

Owns the connected clients, what they have chosen, and one of everything that works for them: the running turns, the
open stories (``open_stories``), tables, imports. Knows no socket: a client is an outbox and a selection. Knows no
command either: ``flower.engine.commands`` takes prompts and calls the engine. The events that describe the current
state are made in ``snapshot``.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
from msgspec import UNSET, structs

from flower import limits
from flower.engine.assets.kinds import Assets
from flower.engine.export import files
from flower.engine.game.steering import rules_on
from flower.engine.prompt.turn_input import Services
from flower.engine.provider.base import Registry
from flower.engine.recall.folders import Folders
from flower.engine.sessions import create, snapshot
from flower.engine.sessions.allowances import Allowances
from flower.engine.sessions.asset_edits import AssetEdits
from flower.engine.sessions.create import WorldLore
from flower.engine.sessions.departures import Drain, HeapTrimmer, UserWatch
from flower.engine.sessions.drafts import CharacterDrafts, Drafts
from flower.engine.sessions.edits import Edits
from flower.engine.sessions.fetches import Fetches
from flower.engine.sessions.imports import Imports
from flower.engine.sessions.metrics import Metrics
from flower.engine.sessions.open_stories import OpenStories, StoryList
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.sessions.recap import Recaps
from flower.engine.sessions.rights import STRANGER, Program, Visitor, one_problem
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import HOME_OWNER, Answers, Client, Session
from flower.engine.sessions.side_work import SideTasks
from flower.engine.sessions.tables import Tables
from flower.engine.sessions.turn_outcome import TurnOutcome
from flower.engine.sessions.turns import Turns
from flower.engine.store import selections, states, stories, streaming_text
from flower.engine.store.library import personas, quick_replies
from flower.engine.store.transactions import apart
from flower.errors import ElsewhereError
from flower.protocol.messages import CommandOption, State
from flower.text import sanitize

log = logging.getLogger(__name__)

PROBLEMS_TOLD = 100  # of all files, to a client

QUICK_REPLIES_READ = 100  # of imported ones; most sets have commands of other programs among them


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
        self._commands = commands
        self.libraries = OwnLibraries(services.database, now, self._users_here)
        self.started_at = now()
        self.metrics = Metrics()
        self.answers = Answers()
        self.program: Program | None = None  # who reads the settings; None in an engine without any
        self._play(nursery)
        self._work_beside(nursery)
        self._watch_users(nursery)

    def _play(self, nursery: trio.Nursery) -> None:
        """Sets up what stories are made of: turns, tables, the open ones, the assets and lore they are played with."""
        database, library = self.services.database, self.services.library
        self.turns = Turns(
            self.runtime,
            nursery,
            now=self.now,
            forget=lambda session: self.stories.forget(session),
            observe=self._observe,
        )
        self.edits = Edits(self.runtime, self.turns, self.now)
        self.lore = WorldLore(self.runtime)
        self.tables = Tables(
            database, self.clients, self.now, lambda client: self.stories.leave(client), nursery
        )
        self.turns.witnesses = self.tables.present
        self.stories = OpenStories(
            self.runtime, self.clients, self.turns, self.tables, self.lore, self.libraries, self.now
        )
        self.recaps = Recaps(database)
        self.story_list = StoryList(database, self.clients, nursery)
        self.imports = Imports(
            self.runtime, self.clients, nursery, self.now, self.new_id, self.libraries
        )
        self.imports.stories_changed = self.story_list.changed
        self.asset_edits = AssetEdits(self.runtime, self.imports, self.lore, self.libraries)
        self.folders = Folders(
            database,
            library,
            nursery,
            lambda text: self.broadcast(text, State()),
            roots=lambda: self.services.lore_roots,
        )

    def _work_beside(self, nursery: trio.Nursery) -> None:
        """Sets up what asks a model, or other machines, beside the turns."""
        self.drafts = Drafts(self.runtime, self.turns.models, nursery, now=self.now)
        self.side_tasks = SideTasks(nursery)
        self.character_drafts = CharacterDrafts(self.runtime, self.turns.models, nursery)
        self.fetches = Fetches(nursery)
        kinds = (self.drafts.tasks, self.side_tasks, self.character_drafts.tasks)
        self.turns.alone = lambda: not any(tasks.running for tasks in kinds)

    def _watch_users(self, nursery: trio.Nursery) -> None:
        """Sets up what keeps users within what they may use, and lets clients go."""
        database = self.services.database
        self.allowances = Allowances(
            database, nursery, self.now, lambda name, user: files.folder_of(database.path, name, user)
        )
        self.runtime.spent = self.allowances.side_ended
        self.runtime.may_work_ahead = self.allowances.may_work_ahead
        self.users = UserWatch(database, self.clients, nursery, self.now)
        self.heap = HeapTrimmer(nursery)
        self.drain = Drain(database, self.turns, self.clients)

    @property
    def services(self) -> Services:
        """What the next reply works with."""
        return self.runtime.services

    def assets_for(self, client: Client) -> Assets:
        """Returns what a client chooses from: what is its user's own, and what the home has for everybody."""
        return self.libraries.seen_by(client.visitor.id, self.services.assets)

    def _users_here(self) -> set[int]:
        here = {client.visitor.id for client in self.clients}
        return here | {session.owner for session in self.stories.sessions}

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
        if user := selections.user_of(outcome.client):  # the home owner's are nobody's
            self.allowances.turn_ended(user, outcome)

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
            self.imports.look_again(scope)

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

        Clients that give no id share one selection. ``rights``: see ``program``; ``visitor``: whose client it is.
        """
        key = selections.client_key(visitor.id, sanitize(client_id))
        chosen = await self.services.database.read(selections.load, key, visitor.id)
        await self.libraries.read(visitor.id)
        client = Client(outbox, chosen, on_leave, rights, visitor)
        self.clients.add(client)
        self.users.client_joined(client)
        try:
            client.notify("✓ Engine ready.", State(status="ok"))
            self._tell_problems(client)
            await self.stories.attach(client)
            await self.sync(client)
            self.stories.tell_ended(client)
            await self.recaps.tell_once(client, self.now())
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
        """Returns the problems that a client is sent: the files are the home owner's business."""
        return () if client.visitor.id else self.problems()

    def problems(self) -> tuple[str, ...]:
        """Returns a sentence for everything of the user's that cannot be used: settings, files, models."""
        settings = self.program.problems if self.program is not None else ()
        every = (*settings, *self.services.assets.problems, *self.registry.problems.values())
        every += self.registry.file_problems
        return every[:PROBLEMS_TOLD]

    def disconnect(self, client: Client) -> None:
        """Forgets a client; its turn goes on."""
        self.clients.discard(client)
        self.heap.client_left()
        self.drafts.tasks.cancel(client)
        self.side_tasks.cancel(client)
        self.character_drafts.tasks.cancel(client)
        self.stories.leave(client)

    async def identify(self, client: Client, client_id: str) -> None:
        """Gives a client what another one of its id had chosen, and its story."""
        key = selections.client_key(client.visitor.id, sanitize(client_id))
        client.chosen = await self.services.database.read(selections.load, key, client.visitor.id)
        try:
            await self.stories.attach(client)
        except ElsewhereError as elsewhere:
            elsewhere.unanswered = True  # the prompt that brought the id
            raise

    async def choose(self, client: Client, **changes: object) -> None:
        """Changes what a client has chosen and stores that: others with its id may choose the rest."""
        client.chosen = structs.replace(client.chosen, **changes)
        await self.services.database.write(selections.change, client.chosen, tuple(changes), self.now())

    async def sync(self, client: Client) -> None:
        """Sends a client everything it shows: the state, then its story."""
        user = client.visitor.id
        listed = await self.services.database.read(stories.sessions, user=user)
        active = await self.active_rules(client)
        selection = structs.replace(client.chosen, rules=active, client=client.name)
        services = self.services
        more = await services.database.read(quick_replies.listed, QUICK_REPLIES_READ)
        ready = (*services.quick_replies, *snapshot.quick_replies_of(more))
        client.send(
            snapshot.sync_state(
                self.assets_for(client),
                self.registry,
                listed,
                selection,
                quick_replies=ready[: max(limits.QUICK_REPLIES, len(services.quick_replies))],
                commands=self._commands,
                problems=self.problems_for(client),
                persona=await services.database.read(personas.default_name, user),
            )
        )
        if client.session is not None:
            await self.stories.send_history(client, client.session)

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
        mine = structs.replace(self.services, assets=self.assets_for(client))
        await create.begin(mine, client.chosen, session_id, self.now(), client.visitor.id)
        await self.choose(client, session_id=session_id)
        await self.stories.attach(client)
        session = client.session
        assert session is not None
        return session

    async def open_session(self, client: Client, stored: stories.StoredSession) -> None:
        """Makes a client watch a story, with the world and character it is played with."""
        await self.choose(
            client, session_id=stored.id, world_id=stored.world_id, character_id=stored.character_id
        )
        await self.stories.attach(client)

    @asynccontextmanager
    async def playing(self, client: Client, story: str) -> AsyncIterator[None]:
        """Plays a story here while the block runs, for a prompt of a client who does not watch it yet.

        Raises ``ElsewhereError`` when another engine plays it; the client goes there, and its prompt with it.
        """
        database = self.services.database
        try:
            await database.lease(story, opens=False)
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
        self.stories.leave(client)
        client.send(snapshot.no_history())

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
        if not session.shared:
            if await self.turns.say(session, client.chosen, line, request):
                self.story_list.changed()
            return
        async with session.one_speaks:  # who speaks in turn does so once, on however many devices
            if not named:
                line, ends_turn = await self.tables.voiced(client, line, request)
            if await self.turns.say(session, client.chosen, line, request):
                self.story_list.changed()
            if ends_turn:
                await self.tables.end_turn(session, client.visitor.id)

    async def stop(self) -> None:
        """Ends every turn, saved and announced as interrupted, and tells the clients."""
        await self.turns.stop(self.stories.sessions)
        for client in self.clients:
            client.notify("✗ The engine is stopping.", State(status="stopping"))
