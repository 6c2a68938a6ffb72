"""The turns under way: one at a time in each story, side by side in different ones.

Owns when a line becomes a turn, when it waits, and who may change a story in between. Who narrates is in
``narrators``, what happens inside a turn in ``turn``, what follows it in ``following``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import trio
from msgspec import UNSET, Struct

from flower import limits
from flower.engine.prompt.context import Order, Services
from flower.engine.provider.base import Provider
from flower.engine.provider.registry import Roster
from flower.engine.sessions.after_turn import Following
from flower.engine.sessions.model_choice import Narrators
from flower.engine.sessions.session import Finished, Reply, Session, Waiting
from flower.engine.sessions.summaries import Summariser
from flower.engine.sessions.turn import Turn
from flower.engine.sessions.turn_outcome import STATUS_OF, Outcome
from flower.engine.store import exchanges, stories
from flower.engine.tasks import guarded
from flower.errors import CommandError, FlowerError
from flower.protocol.messages import (
    ChatMessage,
    ErrorEvent,
    ErrorMeta,
    MessageMeta,
    State,
    SystemUpdate,
)

log = logging.getLogger(__name__)


class Running(Struct, frozen=True):
    """A turn under way; ``ended`` is set when its session may begin another."""

    turn: Turn
    ended: trio.Event


class Turns:
    """Starts, counts and ends turns. ``forget`` is told when a story has nothing more to do."""

    def __init__(
        self,
        services: Services,
        roster: Roster,
        nursery: trio.Nursery,
        *,
        now: Callable[[], float],
        forget: Callable[[Session], None],
        observe: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self.services = services
        self.narrators = Narrators(roster, services.fallbacks)
        self._nursery = nursery
        self._now = now
        self._forget = forget
        self._observe = observe
        self.following = Following(services, now)
        self._summariser = Summariser(services.database, services.rng, now)
        self._running: dict[str, Running] = {}
        self._idle = trio.Event()
        self._idle.set()
        self._stopping = False

    def use(self, services: Services, roster: Roster) -> None:
        """Begins the next turns with other services and narrators."""
        self.services = services
        self.narrators.use(roster, services.fallbacks)
        self.following.use(services)

    async def say(
        self, session: Session, chosen: stories.Selection, line: str, request: str | None
    ) -> bool:
        """Starts a turn or lets the line wait for the running one; returns whether it named the story.

        Raises ``CommandError`` when too many lines wait, ``ProviderError`` for an unknown model,
        ``StoreError`` when the line could not be saved.
        """
        if self._stopping:
            raise CommandError("The engine is stopping; send this again when it is back.")
        if not session.busy:
            try:
                return await self._begin(session, chosen, line, request)
            finally:
                if not session.busy:  # no reply began; lines that came meanwhile must not wait for one
                    self.release(session)
        if request is not None and request == session.request:
            return False  # sent again after a reconnect; it is being answered
        if not session.enqueue(Waiting(line, chosen, request)):
            raise CommandError(
                f"{limits.PROMPT_QUEUE} lines are waiting already; wait for the reply or /cancel."
            )
        session.publish(
            SystemUpdate("Your line waits for the running reply.", State(queued=session.waiting))
        )
        return False

    async def claim(self, session: Session) -> None:
        """Keeps replies from beginning in a story; raises ``CommandError`` while one streams.

        A reply that has ended but is not a memory yet is waited for: whoever saw it end may go on.
        """
        while session.busy and session.reply is None and session.id in self._running:
            await self._running[session.id].ended.wait()
        if self._stopping:
            raise CommandError("The engine is stopping; do this again when it is back.")
        if session.busy and session.reply is None:
            raise CommandError("This story is being changed at this very moment; do this again.")
        if session.busy:
            raise CommandError("A reply is being written; wait for its end or stop it with /cancel.")
        session.busy = True
        try:
            await self.following.save_unsaved(session)
        except BaseException:
            self.release(session)
            raise

    def release(self, session: Session) -> None:
        """Ends a claim; a line that came meanwhile begins its reply."""
        session.busy = False
        if session.waiting:
            self._nursery.start_soon(guarded, "a line that waited", self._begin_waiting, session)

    async def _begin(
        self, session: Session, chosen: stories.Selection, line: str, request: str | None
    ) -> bool:
        """Commits the line, tells the watchers, starts the turn; returns whether it named the story."""
        session.busy = True  # before the first await: one reply at a time
        session.request = request
        try:
            model_id, provider = self.narrators.chosen(chosen)
            await self.following.save_unsaved(session)  # the prompt is made of rows
            exchange = await self.services.database.write(
                exchanges.begin_exchange, session.id, line, model_id, request, self._now()
            )
        except BaseException:
            session.busy, session.request = False, None
            raise
        if exchange.already_there:
            session.busy = False
            return False
        turn_id = f"{session.id}-{exchange.reply_id}"
        said = MessageMeta("user", exchange.user_id, session.id, turn_id, request or UNSET, "complete")
        session.publish(ChatMessage(line, said))
        reply = Reply(turn_id, exchange.reply_id, line, model_id, session.world_id)
        self.start(session, reply, exchange.user_id, chosen, provider)
        session.publish(opened(session, reply))
        return exchange.titled

    def start(
        self,
        session: Session,
        reply: Reply,
        leaf: int,
        chosen: stories.Selection,
        provider: tuple[Provider, str],
        *,
        continues: bool = False,
        variant: int = 0,
    ) -> None:
        """Lets a reply begin in a story that was claimed; what tells the watchers is up to the caller."""
        self._summariser.interrupt(session.id)
        session.reply = reply
        order = Order(
            session,
            reply,
            leaf,
            chosen,
            *provider,
            **self.narrators.known_of(reply.model),
            continues=continues,
            variant=variant,
        )
        running = Running(Turn(self.services, order, self.narrators.voiced), trio.Event())
        self._running[session.id] = running
        if self._stopping:  # its line was being committed when the engine was told to stop
            running.turn.cancel("interrupted")
        if self._idle.is_set():
            self._idle = trio.Event()
        self._nursery.start_soon(guarded, "a turn", self._run_turn, running, order)

    async def _run_turn(self, running: Running, order: Order) -> None:
        """Runs one turn and what follows it; a bug there costs this turn, not the engine."""
        try:
            await self._run_and_follow(running, order)
        except Exception:  # the other edge of a turn: what comes after its reply
            log.exception("turn=%s: what follows the reply crashed", order.reply.turn)
            await self._begin_waiting(order.session)

    async def _run_and_follow(self, running: Running, order: Order) -> None:
        session, reply = order.session, order.reply
        try:
            outcome = await running.turn.run()
            self._observe(outcome)
            session.reply = None
            log.info(
                "turn=%s session=%s reason=%s chars=%d",
                reply.turn,
                session.id,
                outcome.reason,
                reply.length,
            )
            self.narrators.learn(running.turn.asked, outcome)
            first = not order.continues and not order.variant
            status = STATUS_OF.get(outcome.reason, outcome.reason)
            finished = Finished(
                reply.message_id,
                reply.line,
                reply.text,
                status,
                reply.model,
                first=first,
                proposed=reply.proposed,
            )
            if outcome.saved:
                await self.following.follow(session, finished)
            else:
                session.unsaved[reply.message_id] = finished
                self._nursery.start_soon(guarded, "a late save", self._save_later, session)
        finally:
            session.reply = None
            session.busy = False
            del self._running[session.id]
            running.ended.set()
            if not self._running:
                self._idle.set()
        await self._begin_waiting(session)
        if not session.busy and outcome.prepared is not None and outcome.reason == "done":
            await self._summariser.refresh(order, outcome.prepared)

    async def _begin_waiting(self, session: Session) -> None:
        while not session.busy and not self._stopping:
            waiting = session.next_waiting()
            if waiting is None:
                self._forget(session)
                return
            session.busy = True  # before the first await: a line that comes now waits as well
            try:
                await self._begin(session, waiting.chosen, waiting.line, waiting.request)
            except Exception as error:  # an edge too: a bug in one line must not hold up the next
                text = str(error)
                if not isinstance(error, FlowerError):
                    log.exception("session=%s: a line that waited crashed", session.id)
                    text = f"The engine failed on this line ({type(error).__name__}); see its log."
                session.busy = session.reply is not None
                session.publish(ErrorEvent(text, ErrorMeta(request=waiting.request or UNSET)))

    async def _save_later(self, session: Session) -> None:
        await self.following.save_later(session)
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

    async def stop(self, sessions: Iterable[Session]) -> None:
        """Ends every turn as interrupted and starts no more; says which waiting lines it leaves."""
        self._stopping = True
        stories_open = tuple(sessions)
        for session in stories_open:
            while (waiting := session.next_waiting()) is not None:
                text = f"The engine stops before it came to this line; send it again: {waiting.line}"
                session.publish(ErrorEvent(text, ErrorMeta(request=waiting.request or UNSET)))
        for running in self._running.values():
            running.turn.cancel("interrupted")
        await self.wait_idle()
        for session in stories_open:
            await self.following.save_at_last(session)


def opened(session: Session, reply: Reply) -> ChatMessage:
    """Returns what tells the watchers that a reply begins, with the text it begins with."""
    meta = MessageMeta(
        "assistant", reply.message_id, session.id, reply.turn, status="streaming", model=reply.model
    )
    return ChatMessage(reply.text, meta)
