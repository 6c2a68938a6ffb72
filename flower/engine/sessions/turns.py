"""The turns under way: one at a time in each story, side by side in different ones.

Owns when a line becomes a turn, when it waits, and who may change a story in between. Which model writes is
in ``model_choice``, what happens inside a turn in ``turn``, what follows it in ``after_turn``.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio
from msgspec import UNSET, Struct

from flower import limits
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.sessions.after_turn import AfterTurn
from flower.engine.sessions.model_choice import ModelSelector
from flower.engine.sessions.preparing import Preparer
from flower.engine.sessions.recap import titled
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import FinishedReply, GrowingReply, Session, WaitingLine
from flower.engine.sessions.summaries import Summariser
from flower.engine.sessions.turn import Turn
from flower.engine.sessions.turn_outcome import STATUS_OF, TurnOutcome, line_said, reply_begun
from flower.engine.store import exchanges, prompts, selections
from flower.engine.store.transactions import apart
from flower.engine.tasks import guarded
from flower.errors import CommandError, FlowerError, StoreError
from flower.protocol.messages import ErrorEvent, ErrorMeta, State, SystemUpdate

log = logging.getLogger(__name__)


class RunningTurn(Struct, frozen=True):
    """A turn under way; ``ended`` is set when its session may begin another."""

    turn: Turn
    task: TurnInput
    ended: trio.Event


class Turns:
    """Starts, counts and ends turns.

    ``forget`` is called when a story has nothing more to do, ``observe`` with how each turn has ended.
    """

    def __init__(
        self,
        runtime: Runtime,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float],
        forget: Callable[[Session], None],
        observe: Callable[[TurnOutcome], None] = lambda _: None,
    ) -> None:
        self._runtime = runtime
        self.models = ModelSelector(runtime)
        self._nursery = nursery
        self._now = now
        self._forget = forget
        self._observe = observe
        self.after = AfterTurn(runtime, now)
        self.summariser = Summariser(runtime, self.models, now)
        self.preparer = Preparer(runtime, self.models, self._nothing_runs)
        self._running: dict[str, RunningTurn] = {}
        self.alone: Callable[[], bool] = lambda: True  # nothing beside the turns asks a model
        self.witnesses: Callable[[Session], Collection[int]] = lambda _: ()  # who is at a table
        self._idle = trio.Event()
        self._idle.set()
        self._stopping = False
        self._draining = False

    # --- who may change a story -----------------------------------------------------------------

    @contextmanager
    def _hold(self, session: Session) -> Iterator[None]:
        """Keeps others from a story while the block runs; a turn started in it holds on until its end."""
        session.busy = True
        try:
            yield
        finally:
            session.busy = session.reply is not None

    @contextmanager
    def _expecting(self, session: Session) -> Iterator[None]:
        """Keeps a story from being dropped while something is on its way to it.

        Whoever sent it may leave meanwhile; whoever came then would open the story a second time, and both would
        answer the same line.
        """
        session.expected += 1
        try:
            yield
        finally:
            session.expected -= 1
            self._forget(session)

    @asynccontextmanager
    async def claim(self, session: Session) -> AsyncIterator[None]:
        """Keeps replies from beginning in a story while the block runs, but one that it starts itself.

        Raises ``CommandError`` while one streams. A reply that has ended but is not a memory yet is waited
        for: whoever saw it end may go on. A line that comes meanwhile begins its reply afterwards.
        """
        with self._expecting(session):
            while session.busy and session.reply is None and session.id in self._running:
                await self._running[session.id].ended.wait()
            if self._stopping:
                raise CommandError("The engine is stopping; do this again when it is back.")
            if session.busy and session.reply is None:
                raise CommandError("This story is being changed at this very moment; do this again.")
            if session.busy:
                raise CommandError(
                    "A reply is being written; wait for its end or stop it with /cancel."
                )
            try:
                with self._hold(session):
                    await self.after.save_unsaved(session)  # what follows is made of rows
                    yield
            finally:
                self._begin_waiting_soon(session)

    def _begin_waiting_soon(self, session: Session) -> None:
        if session.waiting and not session.busy:
            # A task of its own, and no part of the prompt that happened to wake it.
            with apart():
                self._nursery.start_soon(guarded, "a line that waited", self._begin_waiting, session)

    # --- how a turn begins ----------------------------------------------------------------------

    async def say(
        self, session: Session, selection: selections.Selection, line: str, request: str | None
    ) -> bool:
        """Starts a turn or lets the line wait for the running one; returns whether it named the story.

        Raises ``CommandError`` when too many lines wait, ``ProviderError`` for an unknown model,
        ``StoreError`` when the line could not be saved.
        """
        if self._stopping or (self._draining and not session.busy):
            raise CommandError("The engine is stopping; send this again when it is back.")
        if not session.busy:
            try:
                with self._hold(session):
                    return await self._begin(session, selection, line, request)
            finally:
                self._begin_waiting_soon(session)  # no reply began; what came meanwhile must not wait
        if not session.has_room:
            raise CommandError(
                f"{limits.PROMPT_QUEUE} lines are waiting already; wait for the reply or /cancel."
            )
        with self._expecting(session):
            # On the disk before it is acknowledged: whoever quits now has said it all the same.
            line_id = await self._runtime.services.database.write(
                prompts.keep_waiting, session.id, line, request, self._now()
            )
            session.enqueue(WaitingLine(line, selection, request, line_id))
        session.publish(
            SystemUpdate("Your line waits for the running reply.", State(queued=session.waiting))
        )
        self._begin_waiting_soon(session)  # the reply may have ended meanwhile
        return False

    def resume(
        self, session: Session, lines: Iterable[prompts.UnansweredLine], by: selections.Selection
    ) -> None:
        """Goes on with lines that an engine before accepted and did not come to."""
        for one in lines:
            session.enqueue(WaitingLine(one.line, by, one.request, one.id))
        self._begin_waiting_soon(session)

    async def _begin(
        self,
        session: Session,
        selection: selections.Selection,
        line: str,
        request: str | None,
        waited: int | None = None,
    ) -> bool:
        """Commits the line, shows it to the watchers, starts the turn; returns whether it named the story.

        To be called while the story is held. ``waited``: the row of a line that waited until now.
        """
        session.request = request
        try:
            model_id = self.models.story_model(selection)
            await self.after.save_unsaved(session)  # the prompt is made of rows
            exchange = await self._runtime.services.database.write(
                exchanges.begin_exchange,
                session.id,
                line,
                model_id,
                request,
                self._now(),
                waited=waited,
                title=titled,
                there=self.witnesses(session) if session.shared else (),
            )
        except BaseException:
            session.request = None
            raise
        if exchange.already_there:
            return False
        turn_id = f"{session.id}-{exchange.reply_id}"
        session.publish(line_said(session, line, exchange.user_id, turn_id, request))
        reply = GrowingReply(
            turn=turn_id,
            message_id=exchange.reply_id,
            line=line,
            model=model_id,
            world_id=session.world_id,
        )
        self.start(session, reply, exchange.user_id, selection)
        session.publish(reply_begun(session, reply))
        return exchange.titled

    def start(
        self,
        session: Session,
        reply: GrowingReply,
        leaf: int,
        selection: selections.Selection,
        *,
        continues: bool = False,
        variant: int = 0,
    ) -> None:
        """Lets a reply begin in a story that is claimed; what tells the watchers is up to the caller."""
        self.summariser.interrupt(session.id)
        self.preparer.interrupt()
        session.reply = reply
        task = TurnInput(
            turn=reply.turn,
            session_id=session.id,
            world_id=session.world_id,
            character_id=session.character_id,
            reply_id=reply.message_id,
            leaf=leaf,
            line=reply.line,
            selection=selection,
            model_id=reply.model,
            continues=continues,
            variant=variant,
        )
        turn = Turn(session, reply, task, services=self._runtime.services, models=self.models)
        running = self._running[session.id] = RunningTurn(turn, task, trio.Event())
        if self._stopping:  # its line was being committed when the engine began to stop
            turn.cancel("interrupted")
        if self._idle.is_set():
            self._idle = trio.Event()
        with apart():
            self._nursery.start_soon(guarded, "a turn", self._run_turn, session, reply, running)

    # --- how a turn runs and ends ---------------------------------------------------------------

    async def _run_turn(self, session: Session, reply: GrowingReply, running: RunningTurn) -> None:
        """Runs one turn and what follows it; a bug there costs this turn, not the engine."""
        outcome: TurnOutcome | None = None
        try:
            outcome = await self._run_and_follow(session, reply, running)
        except Exception:  # the other edge of a turn: what comes after its reply
            log.exception("turn=%s: what follows the reply crashed", reply.turn)
        finally:
            await self._begin_waiting(session)
            if not self._running:  # nor is there a line that waits for a reply
                self._idle.set()
        if session.busy or outcome is None or outcome.prompt is None:
            return
        if outcome.reason not in ("done", "length"):
            return
        task = running.task
        await self.summariser.refresh(
            session, task.model_id, outcome.prompt, reply.text, task.selection.client
        )
        if self._runtime.services.prepare != "never" and not self._stopping:
            await self.preparer.prepare(session, running.task)

    def _nothing_runs(self) -> bool:
        return not self._running and not self.summariser.running and self.alone()

    async def _run_and_follow(
        self, session: Session, reply: GrowingReply, running: RunningTurn
    ) -> TurnOutcome:
        try:
            with self._hold(session):
                try:
                    outcome = await running.turn.run()
                    self._observe(outcome)
                finally:
                    session.reply, session.prepared = None, ()
                log.info(
                    "turn=%s session=%s reason=%s chars=%d",
                    reply.turn,
                    session.id,
                    outcome.reason,
                    reply.length,
                )
                self.models.learn(outcome)
                await self._follow(session, _finished(reply, running.task, outcome), outcome.saved)
        finally:
            del self._running[session.id]
            running.ended.set()
        return outcome

    async def _follow(self, session: Session, finished: FinishedReply, saved: bool) -> None:
        if saved:
            await self.after.follow(session, finished)
        else:
            session.unsaved[finished.message_id] = finished
            self._nursery.start_soon(guarded, "a late save", self._save_later, session)

    async def _begin_waiting(self, session: Session) -> None:
        while not session.busy and not self._stopping and not self._draining:
            waiting = session.next_waiting()
            if waiting is None:
                self._forget(session)
                return
            try:
                with self._hold(session):  # before the first await: a line that comes now waits as well
                    await self._begin(
                        session, waiting.selection, waiting.line, waiting.request, waiting.id
                    )
            except Exception as error:  # an edge too: a bug in one line must not hold up the next
                text = str(error)
                if not isinstance(error, FlowerError):
                    log.exception("session=%s: a line that waited crashed", session.id)
                    text = f"The engine failed on this line ({type(error).__name__}); see its log."
                await self._give_back(waiting)  # first: whoever hears of it may send it again at once
                session.publish(ErrorEvent(text, ErrorMeta(request=waiting.request or UNSET)))

    async def _give_back(self, waiting: WaitingLine) -> None:
        """Forgets a line that could not be answered: whoever sent it knows, and has its words."""
        try:
            await self._runtime.services.database.write(prompts.give_back, waiting.id, waiting.request)
        except StoreError as error:
            log.warning("a line that waited stays: %s", error)

    async def _save_later(self, session: Session) -> None:
        await self.after.save_later(session)
        self._forget(session)

    @property
    def running(self) -> int:
        """How many replies are being generated."""
        return len(self._running)

    def cancel(self, session: Session) -> bool:
        """Stops a story's running reply; returns whether there was one. A line that waits is next."""
        running = self._running.get(session.id)
        if running is not None:
            running.turn.cancel()
        return running is not None

    async def wait_idle(self) -> None:
        """Waits until no reply is being generated."""
        await self._idle.wait()

    async def end(self, session_id: str) -> None:
        """Stops a story's running turn and waits until it is over."""
        running = self._running.get(session_id)
        if running is not None:
            running.turn.cancel()
            await running.ended.wait()

    def begin_no_more(self) -> None:
        """Lets the running turns be the last; lines that wait are kept for whoever plays the story next."""
        self._draining = True

    async def stop(self, sessions: Iterable[Session]) -> None:
        """Ends every turn as interrupted and starts no more; lines that wait are kept for the next start."""
        self._stopping = True
        self.preparer.interrupt()
        stories_open = tuple(sessions)
        for session in stories_open:
            if session.waiting:
                text = "The engine stops before it came to your line; it is kept and answered at the next start."
                session.publish(SystemUpdate(text))
            session.drop_waiting()
        for running in self._running.values():
            running.turn.cancel("interrupted")
        await self.wait_idle()
        for session in stories_open:
            await self.after.save_at_last(session)


def _finished(reply: GrowingReply, task: TurnInput, outcome: TurnOutcome) -> FinishedReply:
    return FinishedReply(
        message_id=reply.message_id,
        line=reply.line,
        text=reply.text,
        status=STATUS_OF.get(outcome.reason, outcome.reason),
        model=reply.model,
        first=not task.continues and not task.variant,
        proposed=reply.proposed,
        scripted=reply.scripted,
    )
