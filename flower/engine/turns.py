"""The turns under way: one at a time in each story, side by side in different ones.

Owns when a line becomes a turn, when it waits, and what happens after: calibration, memory, the next
line. What happens inside a turn is in ``turn``.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec, TypeVar

import trio
from msgspec import UNSET, Struct

from flower import limits
from flower.engine import snapshot
from flower.engine.aftermath import Ended, settle
from flower.engine.game.proposals import without
from flower.engine.preparation import Order, Services, memory_scope
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Provider
from flower.engine.provider.roster import Roster
from flower.engine.session import Reply, Session, Unsaved, Waiting
from flower.engine.store import stories, tree
from flower.engine.summaries import Summariser
from flower.engine.turn import STATUS_OF, Outcome, Turn
from flower.errors import CommandError, FlowerError, StoreError
from flower.protocol import ChatMessage, ErrorEvent, ErrorMeta, MessageMeta, State, SystemUpdate

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class Running(Struct, frozen=True):
    """A turn under way; ``ended`` is set when its session may begin another."""

    turn: Turn
    ended: trio.Event


class Seen(Struct, frozen=True):
    """How a story ends after a change. ``same_window``: its last prompt began on this path as well."""

    page: tree.Page
    same_window: bool


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
        self._services = services
        self._roster = roster
        self._nursery = nursery
        self._now = now
        self._forget = forget
        self._observe = observe
        self._summariser = Summariser(services.database, services.rng, now)
        self._running: dict[str, Running] = {}
        self._counters: dict[str, TokenCounter] = {}  # by model, like the next
        self._context_limits: dict[str, int] = {}
        self._idle = trio.Event()
        self._idle.set()
        self._stopping = False

    def use(self, services: Services, roster: Roster) -> None:
        """Begins the next turns with other services and narrators."""
        self._services, self._roster = services, roster

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
                    self._release(session)
        if request is not None and request == session.request:
            return False  # sent again after a reconnect; it is being answered
        if not session.enqueue(Waiting(line, chosen.client, request)):
            raise CommandError(
                f"{limits.PROMPT_QUEUE} lines are waiting already; wait for the reply or /cancel."
            )
        session.publish(
            SystemUpdate("Your line waits for the running reply.", State(queued=session.waiting))
        )
        return False

    async def go_on(self, session: Session, chosen: stories.Selection) -> None:
        """Lets the last reply of a story grow. Raises ``CommandError`` if there is none to continue."""
        await self._claim(session)
        try:
            path = await self._services.database.read(stories.active_path, session.id, most=2)
            if not path or path[-1].role != "assistant":
                raise CommandError("There is no reply to continue; write a line first.")
            model_id = chosen.model or self._roster.default()
            provider = self._roster.resolve(model_id)
            variant = await self._services.database.read(tree.earlier_replies, path[-1])
            await self._services.database.write(stories.reopen_reply, path[-1].id)
        except BaseException:
            self._release(session)
            raise
        last = path[-1]
        line = path[0].content if path[0].role == "user" else ""
        turn_id = f"{session.id}-{last.id}-{len(last.content)}"
        reply = Reply(turn_id, last.id, line, model_id, session.world_id, last.content)
        self._start(session, reply, last.id, chosen, provider, continues=True, variant=variant)

    async def change(
        self,
        session: Session,
        function: Callable[Concatenate[sqlite3.Connection, str, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Returns ``function(connection, session id, ...)``, run while no reply can begin.

        Every watcher gets the story as it is then. Raises ``CommandError`` while a reply streams, and
        what ``function`` raises; then nothing was changed.
        """
        await self._claim(session)
        try:

            def changed(db: sqlite3.Connection) -> tuple[T, Seen]:
                return function(db, session.id, *args, **kwargs), _seen(db, session)

            result, seen = await self._services.database.write(changed)
            self._show(session, seen)
        finally:
            self._release(session)
        return result

    async def rewrite(
        self,
        session: Session,
        chosen: stories.Selection,
        open_reply: Callable[[sqlite3.Connection, str, str, float], tree.Opened],
    ) -> None:
        """Opens a reply in another place of the tree and begins it.

        ``open_reply`` gets the connection, the story, the model and the time. Every watcher gets the
        story as it is then. Raises like ``change``, and ``ProviderError`` for an unknown model.
        """
        await self._claim(session)
        try:
            model_id = chosen.model or self._roster.default()
            provider = self._roster.resolve(model_id)

            def changed(db: sqlite3.Connection) -> tuple[tree.Opened, Seen]:
                return open_reply(db, session.id, model_id, self._now()), _seen(db, session)

            opened, seen = await self._services.database.write(changed)
        except BaseException:
            self._release(session)
            raise
        session.request = None
        turn_id = f"{session.id}-{opened.reply_id}"
        reply = Reply(turn_id, opened.reply_id, opened.line, model_id, session.world_id)
        self._start(session, reply, opened.line_id, chosen, provider, variant=opened.variant, seen=seen)

    async def _claim(self, session: Session) -> None:
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
            await self._save_unsaved(session)
        except BaseException:
            self._release(session)
            raise

    def _release(self, session: Session) -> None:
        session.busy = False
        if session.waiting:
            self._nursery.start_soon(self._begin_waiting, session)

    def _show(self, session: Session, seen: Seen) -> None:
        """Shows every watcher the end of a story that has changed."""
        if not seen.same_window:
            session.window_start = None  # another way through the tree: the window is laid out anew
        session.publish(snapshot.chat_history(session, seen.page, None))

    async def _begin(
        self, session: Session, chosen: stories.Selection, line: str, request: str | None
    ) -> bool:
        """Commits the line, tells the watchers, starts the turn; returns whether it named the story."""
        session.busy = True  # before the first await: one reply at a time
        session.request = request
        try:
            model_id = chosen.model or self._roster.default()
            provider = self._roster.resolve(model_id)
            await self._save_unsaved(session)  # the prompt is made of rows
            exchange = await self._services.database.write(
                stories.begin_exchange, session.id, line, model_id, request, self._now()
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
        self._start(session, reply, exchange.user_id, chosen, provider)
        return exchange.titled

    def _start(
        self,
        session: Session,
        reply: Reply,
        leaf: int,
        chosen: stories.Selection,
        provider: tuple[Provider, str],
        *,
        continues: bool = False,
        variant: int = 0,
        seen: Seen | None = None,
    ) -> None:
        """Tells the watchers that the reply begins, and lets it begin.

        ``seen``: the story's end, told instead of the reply alone when more than that has changed.
        """
        self._summariser.interrupt(session.id)
        session.reply = reply
        opened = MessageMeta(
            "assistant",
            reply.message_id,
            session.id,
            reply.turn,
            status="streaming",
            model=reply.model,
        )
        if seen is not None:
            self._show(session, seen)
        else:
            session.publish(ChatMessage(reply.text, opened))
        order = Order(
            session,
            reply,
            leaf,
            chosen,
            *provider,
            info=self._roster.info(reply.model),
            counter=self._counters.get(reply.model, TokenCounter()),
            context_limit=self._context_limits.get(reply.model),
            continues=continues,
            variant=variant,
            fallbacks=self._fallbacks(reply.model),
        )
        running = Running(Turn(self._services, order), trio.Event())
        self._running[session.id] = running
        if self._stopping:  # its line was being committed when the engine was told to stop
            running.turn.cancel("interrupted")
        if self._idle.is_set():
            self._idle = trio.Event()
        self._nursery.start_soon(self._run_turn, running, order)

    def _fallbacks(self, model_id: str) -> tuple[tuple[Provider, str], ...]:
        return tuple(
            self._roster.resolve(other) for other in self._services.fallbacks if other != model_id
        )

    async def _run_turn(self, running: Running, order: Order) -> None:
        """Runs one turn and what follows it; a bug there costs this turn, not the engine."""
        try:
            await self._run_and_follow(running, order)
        except Exception:  # the other edge of a turn: what comes after its reply
            log.exception("turn=%s: what follows the reply crashed", order.reply.turn)
            await self._begin_waiting(order.session)

    async def _run_and_follow(self, running: Running, order: Order) -> None:
        session, reply = order.session, order.reply
        asked = reply.model
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
            if not outcome.elsewhere:
                self._counters[asked] = outcome.counter
                if outcome.context_limit is not None:
                    self._context_limits[asked] = outcome.context_limit
            if not outcome.saved:
                status = STATUS_OF.get(outcome.reason, outcome.reason)
                unsaved = Unsaved(reply.line, reply.text, status, reply.model)
                session.unsaved[reply.message_id] = unsaved
                self._nursery.start_soon(self._save_later, session)
            else:
                await self._settle(order, outcome)
                await self._remember(session, reply, outcome)
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

    async def _settle(self, order: Order, outcome: Outcome) -> None:
        """Lets a reply have its effect on the state of its story."""
        reply = order.reply
        ended = Ended(
            reply.message_id,
            reply.text,
            whole=outcome.reason == "done",
            first=not order.continues and not order.variant,
        )
        await settle(self._services, order.session, ended, self._now())

    async def _remember(self, session: Session, reply: Reply, outcome: Outcome) -> None:
        """Makes a finished exchange a memory before the next one begins."""
        if reply.length and outcome.reason != "error":
            await self._keep(session, reply.message_id, reply.line, without(reply.text))

    async def remember_edit(self, session: Session, reply: stories.Message) -> None:
        """Makes a reply that was edited by hand a memory; the one of the old text stays on its branch."""
        above = await self._services.database.read(stories.path, reply.id, most=2)
        if len(above) > 1:  # else it is a greeting, which is no exchange
            line = above[0].content if above[0].role == "user" else tree.GO_ON
            await self._keep(session, reply.id, line, reply.content)

    async def _keep(self, session: Session, message_id: int, line: str, text: str) -> None:
        memory = _memory(line, text)
        try:
            await self._services.library.remember(memory_scope(session.id), message_id, "", memory)
        except StoreError as error:
            session.publish(
                ErrorEvent(f"{error}. This exchange is not remembered.", ErrorMeta("store"))
            )

    async def _begin_waiting(self, session: Session) -> None:
        while not session.busy and not self._stopping:
            waiting = session.next_waiting()
            if waiting is None:
                self._forget(session)
                return
            session.busy = True  # before the first await: a line that comes now waits as well
            try:
                chosen = await self._services.database.read(stories.load_selection, waiting.client)
                await self._begin(session, chosen, waiting.line, waiting.request)
            except FlowerError as error:
                session.busy = False
                session.publish(ErrorEvent(str(error), ErrorMeta(request=waiting.request or UNSET)))

    async def _save_later(self, session: Session) -> None:
        """Tries again until a reply is on disk: it was full or failing when the reply ended."""
        while session.unsaved:
            await trio.sleep(limits.SAVE_RETRY_S)
            try:
                await self._save_unsaved(session)
            except StoreError:
                continue
        self._forget(session)

    async def _save_unsaved(self, session: Session) -> None:
        """Saves what the disk did not take before; raises ``StoreError`` if it still does not."""
        for message_id, unsaved in tuple(session.unsaved.items()):
            await self._services.database.write(
                stories.save_reply, message_id, unsaved.text, unsaved.status, None, unsaved.model
            )
            if session.unsaved.pop(message_id, None) is not None:
                session.publish(SystemUpdate("✓ The reply is saved now."))
                if unsaved.text and unsaved.status != "error":
                    await self._keep(session, message_id, unsaved.line, unsaved.text)

    async def remember_unfinished(self) -> int:
        """Makes memories of the exchanges whose engine died before it could; returns how many."""
        exchanges = await self._services.database.read(stories.unremembered)
        for session_id, reply_id, line, text in exchanges:
            await self._services.library.remember(
                memory_scope(session_id), reply_id, "", _memory(line, text)
            )
        return len(exchanges)

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
            try:
                await self._save_unsaved(session)
            except StoreError as error:
                log.error("session=%s a reply is lost: %s", session.id, error)


def _seen(db: sqlite3.Connection, session: Session) -> Seen:
    page = tree.page(db, session.id)
    if page is None:
        raise CommandError("This story is in the trash; /session restore takes it back.")
    start = session.window_start
    same = start is not None and tree.on_path(db, tree.active_leaf(db, session.id), start)
    return Seen(page, same)


def _memory(line: str, text: str) -> str:
    """Returns the passage that an exchange is remembered as."""
    return f"The player: {line}\nThe narrator: {text}"
