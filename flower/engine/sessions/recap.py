"""Previously: a few sentences about a story that one comes back to after a day or more.

And what did not wait: clocks that went on while nobody played.
"""

from __future__ import annotations

from collections.abc import Sequence

from flower.engine.game import clocks
from flower.engine.game.clocks import Clock, Now
from flower.engine.provider.base import PromptMessage
from flower.engine.sessions.session import Client
from flower.engine.store import states, stories
from flower.engine.store.connection import Store
from flower.engine.store.stories import Message, StoredSession
from flower.text import first_sentence

RECAP_AFTER_S = 24 * 3600.0  # a story resumed later than this begins with what happened
RECAP_SENTENCE_CHARS = 220

_MESSAGES_READ = 40  # what is said again is the last of them that was more than a look


class Recaps:
    """Tells clients what has happened in a story since it was played last."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self._last_played: dict[str, float] = {}  # by story whose end was said again: when, then

    async def tell_once(self, client: Client, now: float) -> None:
        """Tells it of the story that a client watches, once until that is played again."""
        if client.session is None:
            return
        stored = await self._database.read(stories.session, client.session.id)
        if stored is not None and self._last_played.get(stored.id) != stored.updated:
            self._last_played[stored.id] = stored.updated
            await self.tell(client, stored, now)

    async def tell(self, client: Client, stored: StoredSession, now: float) -> None:
        """Sends what has happened in a story since it was played last."""
        text = await since_last_played(self._database, stored, now)
        if text:
            client.notify(text)


async def since_last_played(database: Store, stored: StoredSession, now: float) -> str:
    """Returns which clocks went on since the story was played last, and after a long rest also what
    happened last (``RECAP_AFTER_S``); "" for nothing. Raises ``StoreError``."""
    rested = now - stored.updated
    parts = []
    if rested >= RECAP_AFTER_S:
        path = await database.read(stories.path, stored.active_leaf, most=_MESSAGES_READ)
        parts.append(recap(stored.title or "Untitled", rested, path))
    current = await database.read(states.current_at, stored.id, stored.active_leaf, now)
    parts.append(ticked(current.state.clocks, Now(current.now.lines, stored.updated), current.now))
    return "\n\n".join(part for part in parts if part)


def ticked(ticking: Sequence[Clock], before: Now, now: Now) -> str:
    """Returns a line for every clock that has moved between two moments, "" for none."""
    rows = [
        f"  {clock.name} {clocks.display_text(clock, now)}"
        + (f" - {clock.then or 'it is full'}" if clock.at(now) == clock.size else "")
        for clock in ticking
        if clock.at(now) != clock.at(before)
    ]
    return "\n".join(["While you were away:", *rows]) if rows else ""


def recap(title: str, rested_s: float, path: Sequence[Message]) -> str:
    """Returns what the player did last and whom they met, and how the last reply began.

    Returns "" for a story in which nothing has happened yet.
    """
    from flower.engine.offline import summary  # who never rests a day never loads it

    replies = [m for m in path if m.role == "assistant" and m.content.strip()]
    lines = [m for m in path if m.role == "user"]
    if not replies or not lines:
        return ""
    recap = summary.recap(_spoken(path))
    done = recap or f"You: {first_sentence(lines[-1].content, RECAP_SENTENCE_CHARS)}"
    last = first_sentence(replies[-1].content, RECAP_SENTENCE_CHARS)
    return f"Previously in {title}, {ago(rested_s)}:\n\n{done}\n\nIn the end: {last}"


def titled(path: Sequence[Message]) -> str:
    """Returns a few words for what a story is about so far, "" when there is nothing to go by."""
    from flower.engine.offline import summary  # a story is named once: most engines never load it

    return summary.title(_spoken(path))


def _spoken(path: Sequence[Message]) -> list[PromptMessage]:
    return [
        PromptMessage("user" if m.role == "user" else "assistant", m.content)
        for m in path
        if m.role != "system"
    ]


def ago(seconds: float) -> str:
    """Returns a time span in words, like ``3 days ago``."""
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        count = int(seconds // size)
        if count >= 1:
            return f"{count} {word}{'s' if count > 1 else ''} ago"
    return "just now"
