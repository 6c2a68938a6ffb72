"""What follows a reply that has ended: its effect on the state of its story, and its memory.

A reply that the disk did not take is tried again here, and what follows it waits until it is saved: a
memory of a text that may be lost would be about nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from msgspec.structs import replace

from flower.engine.game import clocks, proposals
from flower.engine.game.clocks import Now
from flower.engine.game.proposals import Proposed
from flower.engine.game.state import StoryState, shown_rows
from flower.engine.prompt.context import around
from flower.engine.prompt.scripted import scripted_page
from flower.engine.prompt.turn_input import Services
from flower.engine.recall.base import memory_scope
from flower.engine.sessions import snapshot
from flower.engine.sessions.runtime import Runtime
from flower.engine.sessions.session import FinishedReply, Session
from flower.engine.store import branches, states, stories, streaming_text
from flower.engine.store import exchanges as replies
from flower.engine.store.connection import Connection
from flower.engine.store.transactions import apart
from flower.errors import FlowerError, StoreError
from flower.protocol.messages import ErrorEvent, ErrorMeta, State, SystemUpdate

log = logging.getLogger(__name__)

SAVE_RETRY_S = 5.0  # a full disk: how often an unsaved reply is tried again
PROPOSALS_REFUSED = 3  # of them named when they fit nothing: a sentence, not a page


class AfterTurn:
    """Carries out what follows from replies, in the stories of one engine."""

    def __init__(self, runtime: Runtime, now: Callable[[], float]) -> None:
        self._runtime = runtime
        self._now = now

    async def follow(self, session: Session, finished: FinishedReply) -> None:
        """Lets a saved reply have its effect on the state, and makes its exchange a memory.

        The line to come will follow upon this exchange: recall gets ready for it.
        """
        await settle(self._runtime.services, session, finished, self._now())
        if finished.scripted:
            await self._show_scripted(session)
        if finished.text and finished.status != "error":
            self._runtime.services.library.expect(around([finished.line, finished.text]))
            await self._remember_or_tell(session, finished.message_id, finished.line, finished.text)

    async def _show_scripted(self, session: Session) -> None:
        """Shows the end of a story again if scripts show it otherwise than it streamed."""
        services = self._runtime.services
        try:
            page = await services.database.read(
                scripted_page, services.assets, services.scripts, session.story
            )
        except StoreError as error:  # the words as they came are on the screen
            log.warning("session=%s: its scripts could not be read: %s", session.id, error)
            return
        if page is not None and page.shown and session.reply is None:
            session.publish(snapshot.chat_history(session, page, None))

    # --- memories -------------------------------------------------------------------------------

    async def remember_edit(self, session: Session, reply: stories.Message) -> None:
        """Makes a reply that was edited by hand a memory; the one of the old text stays on its branch."""
        above = await self._runtime.services.database.read(stories.path, reply.id, most=2)
        if len(above) > 1:  # else it is a greeting, which is no exchange
            line = above[0].content if above[0].role == "user" else branches.GO_ON
            await self._remember_or_tell(session, reply.id, line, reply.content)

    async def remember_unfinished(self, story: str = "") -> int:
        """Makes memories of the exchanges whose engine died before it could; returns how many.

        ``story``: of this one alone.
        """
        exchanges = await self._runtime.services.database.read(replies.unremembered, story)
        for session_id, reply_id, line, text in exchanges:
            await self._remember(session_id, reply_id, line, text)
        return len(exchanges)

    async def _remember_or_tell(self, session: Session, message_id: int, line: str, text: str) -> None:
        try:
            title = await self._remember(session.id, message_id, line, text)
            if title and session.titled_to is not None:
                library, scope = self._runtime.services.library, memory_scope(session.id)
                last = await library.title_memories(scope, title, after=session.titled_to)
                session.titled_to = last or None
        except StoreError as error:
            session.publish(
                ErrorEvent(f"{error}. This exchange is not remembered.", ErrorMeta("store"))
            )

    async def _remember(self, session_id: str, message_id: int, line: str, text: str) -> str:
        """Makes an exchange a memory; returns who spoke, "" if nobody is named."""
        services = self._runtime.services
        player, speaker, scene = await services.database.read(
            replies.circumstances, session_id, message_id
        )
        character = services.assets.characters.get(speaker)
        called = character.called if character is not None else ""
        title = replies.memory_title(player, called, scene)
        memory = replies.memory_of(line, text)
        await services.library.remember(memory_scope(session_id), message_id, title, memory)
        return replies.memory_title(player, called)

    # --- replies that are not on disk -----------------------------------------------------------

    async def save_later(self, session: Session) -> None:
        """Tries until every reply of a story is on disk: it was full or failing when one ended."""
        while session.unsaved:
            await trio.sleep(SAVE_RETRY_S)
            try:
                await self.save_unsaved(session)
            except StoreError:
                continue
            except Exception:  # an edge like a turn's: a bug keeps no reply from being tried again
                log.exception("session=%s: saving its replies crashed", session.id)

    async def save_unsaved(self, session: Session) -> None:
        """Saves what the disk did not take before; raises ``StoreError`` if it still does not."""
        for message_id, finished in tuple(session.unsaved.items()):
            with apart():  # of an earlier turn: no part of what a client's prompt asked for
                await self._runtime.services.database.write(
                    streaming_text.end, message_id, finished.text, finished.status, None, finished.model
                )
            if session.unsaved.pop(message_id, None) is not None:  # else somebody else was faster
                session.publish(SystemUpdate("✓ The reply is saved now."))
                await self.follow(session, finished)

    async def save_at_last(self, session: Session) -> None:
        """Saves what is not on disk when the engine stops; what cannot be is logged as lost."""
        try:
            await self.save_unsaved(session)
        except StoreError as error:
            log.error("session=%s a reply is lost: %s", session.id, error)


# --- What follows from a reply that has ended: proposed changes of the state sheet, clocks that ticked.
#
# Runs before the next line of the story is taken, so that its prompt sees the new state. Never fails a
# reply: the watchers are notified of what cannot be done, and the story goes on.


async def settle(services: Services, session: Session, finished: FinishedReply, now: float) -> None:
    """Carries out what the reply proposes, and tells which clocks have ticked.

    Only a whole reply's changes are meant; a reply that was cut off changes nothing.
    """
    database, message_id = services.database, finished.message_id
    try:
        before = await database.read(states.current_at, session.id, message_id, now)
        state = before.state
        news = _ticks(state, before.now) if finished.first else []
        if finished.proposed and finished.status == "complete":

            def change(db: Connection) -> tuple[StoryState, Proposed]:
                return _propose(db, session.id, finished)

            state, proposed = await database.write(change)
            news += _shown(proposed)
    except FlowerError as error:
        session.publish(
            ErrorEvent(f"The state could not be brought up to date: {error}", ErrorMeta("state"))
        )
        return
    if news:
        rows = snapshot.sheet_rows(shown_rows(state, before.now))
        session.publish(SystemUpdate("\n".join(news), State(sheet=rows)))


def _propose(db: Connection, session_id: str, finished: FinishedReply) -> tuple[StoryState, Proposed]:
    """Brings what a reply proposes into the state at this reply; the block stays with it as it came."""
    replies.keep_proposal(db, finished.message_id, finished.proposed)
    state = states.state_at(db, session_id, finished.message_id)
    proposed = proposals.read(finished.proposed, state.sheet)
    if proposed.changes:
        state = states.change_state(
            db, session_id, lambda old: replace(old, sheet=proposed.sheet), finished.message_id
        )
    return state, proposed


def _shown(proposed: Proposed) -> list[str]:
    news = []
    if proposed.changes:
        news.append(f"✓ {'; '.join(proposed.changes)}. /state undo takes it back.")
    if proposed.refused:
        named = "; ".join(proposed.refused[:PROPOSALS_REFUSED])
        others = len(proposed.refused) - PROPOSALS_REFUSED
        more = f", and {others} more" if others > 0 else ""
        news.append(
            f"✗ Of what the narrator proposed, this fits nothing and is left out: {named}{more}."
        )
    return news


def _ticks(state: StoryState, now: Now) -> list[str]:
    """Returns a line for every clock that this line of the player has moved."""
    earlier = Now(now.lines - 1, now.time)
    return [
        f"Clock: {clock.name} {clocks.display_text(clock, now)}"
        + (f" - {clock.then or 'it is full'}" if clock.at(now) == clock.size else "")
        for clock in state.clocks
        if clock.every and clock.at(now) != clock.at(earlier)
    ]
