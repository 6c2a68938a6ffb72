"""What follows from a reply that has ended: proposed changes of the state sheet, clocks that ticked.

Runs before the next line of the story is taken, so that its prompt sees the new state. Never fails a
reply: what cannot be done is told to the watchers, and the story goes on.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from flower.engine import snapshot
from flower.engine.game import clocks, proposals
from flower.engine.game.clocks import Now
from flower.engine.game.story import StoryState, shown_rows
from flower.engine.preparation import Services
from flower.engine.session import Session
from flower.engine.store import states
from flower.errors import FlowerError
from flower.protocol import ErrorEvent, ErrorMeta, State, SystemUpdate


class Ended(Struct, frozen=True):
    """A reply that has ended.

    ``whole``: it was not cut off, so what it proposes is meant. ``first``: its line was answered for the
    first time, so the clocks that this line moved have not been told yet.
    """

    message_id: int
    text: str
    whole: bool
    first: bool


async def settle(services: Services, session: Session, ended: Ended, now: float) -> None:
    """Carries out what the reply proposes, if the narrator may, and tells which clocks have ticked."""
    database = services.database
    try:
        before = await database.read(states.standing, session.id, ended.message_id, now)
        state = before.state
        news = _ticks(state, before.now) if ended.first else []
        if services.narrator_updates and ended.whole:
            proposed = proposals.read(ended.text, state.sheet)
            if proposed.changes:

                def change(old: StoryState) -> StoryState:
                    return replace(old, sheet=proposals.read(ended.text, old.sheet).sheet)

                state = await database.write(states.change_state, session.id, change, ended.message_id)
                news.append(f"✓ {'; '.join(proposed.changes)}. /state undo takes it back.")
            if proposed.refused:
                news.append(f"✗ Not understood: {'; '.join(proposed.refused)}")
    except FlowerError as error:
        session.publish(
            ErrorEvent(f"The state could not be brought up to date: {error}", ErrorMeta("state"))
        )
        return
    if news:
        rows = snapshot.sheet_rows(shown_rows(state, before.now))
        session.publish(SystemUpdate("\n".join(news), State(sheet=rows)))


def _ticks(state: StoryState, now: Now) -> list[str]:
    """Returns a line for every clock that this line of the player has moved."""
    earlier = Now(now.lines - 1, now.time)
    return [
        f"Clock: {clock.name} {clocks.shown(clock, now)}"
        + (f" - {clock.then or 'it is full'}" if clock.at(now) == clock.size else "")
        for clock in state.clocks
        if clock.every and clock.at(now) != clock.at(earlier)
    ]
