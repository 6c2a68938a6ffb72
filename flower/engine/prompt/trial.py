"""What a line would fire in a story, tried without any effect on it."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.timed import NOTHING
from flower.engine.prompt import bookshelf
from flower.engine.prompt.context import (
    Services,
    lore_tokens,
    moment_of,
    most_messages,
    ready_books,
)
from flower.engine.prompt.direction import StoryRef, direct
from flower.engine.store import states, stories, tree
from flower.engine.store.extra import MessageExtra


async def what_fires(
    services: Services,
    session_id: str,
    world_id: str,
    character_id: str,
    chosen: stories.Selection,
    line: str,
    now: float,
) -> Outcome | None:
    """Returns what ``line`` would fire as the next line of a story, None when no book holds there.

    Lasting effects count, none are set. Raises ``StoreError``.
    """
    database = services.database
    leaf = await database.read(tree.active_leaf, session_id)
    path = (
        await database.read(stories.path, leaf, most=most_messages(services.context_tokens))
        if leaf is not None
        else []
    )
    current = await database.read(states.current_at, session_id, leaf, now)
    number = (leaf or 0) + 1
    said = stories.Message(
        number, session_id, leaf, "user", line, "complete", "", None, now, MessageExtra()
    )
    path = [*path, said]
    place = StoryRef(session_id, world_id, character_id, chosen.model)
    direction = direct(services.assets, chosen, place, current, path, line, variables=current.variables)
    ready = await ready_books(services, place, direction, current)
    if ready is None:
        return None
    room = await lore_tokens(services, session_id, chosen.model)
    visible = await database.read(stories.path_ids, leaf)
    moment = replace(
        moment_of(direction, current, path, len(visible) + 1, room),
        seed=f"{session_id}:{said.id}",
        timed=bookshelf.timed_before(path) or NOTHING,
    )
    return await services.bookshelf.scan(ready, moment)
