"""What follows from a reply that has ended: proposed changes of the state sheet, clocks that ticked.

Runs before the next line of the story is taken, so that its prompt sees the new state. Never fails a
reply: what cannot be done is told to the watchers, and the story goes on.
"""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from flower import limits
from flower.engine import snapshot
from flower.engine.game import clocks, proposals
from flower.engine.game.clocks import Now
from flower.engine.game.proposals import Proposed
from flower.engine.game.story import StoryState, shown_rows
from flower.engine.preparation import Services
from flower.engine.session import Finished, Session
from flower.engine.store import states, stories
from flower.errors import FlowerError
from flower.protocol import ErrorEvent, ErrorMeta, State, SystemUpdate


async def settle(services: Services, session: Session, finished: Finished, now: float) -> None:
    """Carries out what the reply proposes, and tells which clocks have ticked.

    Only a whole reply's changes are meant; a reply that was cut off changes nothing.
    """
    database, message_id = services.database, finished.message_id
    try:
        before = await database.read(states.standing, session.id, message_id, now)
        state = before.state
        news = _ticks(state, before.now) if finished.first else []
        if finished.proposed and finished.status == "complete":

            def change(db: sqlite3.Connection) -> tuple[StoryState, Proposed]:
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


def _propose(
    db: sqlite3.Connection, session_id: str, finished: Finished
) -> tuple[StoryState, Proposed]:
    """Brings what a reply proposes into the state at this reply; the block stays with it as it came."""
    stories.set_message_extra(db, finished.message_id, {"proposed": finished.proposed})
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
        named = "; ".join(proposed.refused[: limits.PROPOSALS_REFUSED])
        others = len(proposed.refused) - limits.PROPOSALS_REFUSED
        more = f", and {others} more" if others > 0 else ""
        news.append(
            f"✗ Of what the narrator proposed, this fits nothing and is left out: {named}{more}."
        )
    return news


def _ticks(state: StoryState, now: Now) -> list[str]:
    """Returns a line for every clock that this line of the player has moved."""
    earlier = Now(now.lines - 1, now.time)
    return [
        f"Clock: {clock.name} {clocks.shown(clock, now)}"
        + (f" - {clock.then or 'it is full'}" if clock.at(now) == clock.size else "")
        for clock in state.clocks
        if clock.every and clock.at(now) != clock.at(earlier)
    ]
