"""A page of a story as screens show it: with the scripts that hold there."""

from __future__ import annotations

from msgspec.structs import replace

from flower.engine.prompt.direction import StoryRef, values_of
from flower.engine.prompt.scripted import shown_texts
from flower.engine.prompt.turn_input import Services
from flower.engine.sessions.session import Session
from flower.engine.store import states, stories, tree
from flower.engine.store.connection import Connection
from flower.engine.store.library import scripts


def page(
    db: Connection, services: Services, session: Session, before: int | None = None
) -> tree.Page | None:
    """Returns what ``tree.page`` does, with what is shown in the place of other words."""
    found = tree.page(db, session.id, before)
    if found is None or not found.messages:
        return found
    steered = states.steering(db, session.id)
    held = scripts.holding(db, (session.character_id, *steered.cast.members))
    if not held:
        return found
    place = StoryRef(session.id, session.world_id, session.character_id)
    leaf = tree.active_leaf(db, session.id)
    current = states.current_at(db, session.id, leaf, found.messages[-1].created)
    character = services.assets.characters.get(session.character_id)
    below = 0
    if before is not None:
        last = found.messages[-1].id
        below = sum(number > last for number in stories.path_ids(db, leaf))
    values = values_of(services.assets, place, current, character)
    shown = shown_texts(services.scripts, held, found.messages, values, below)
    return replace(found, shown=shown)


def changed_page(db: Connection, services: Services, session: Session) -> tree.Page | None:
    """Returns the end of a story if scripts show it otherwise, else None."""
    steered = states.steering(db, session.id)
    if not scripts.holding(db, (session.character_id, *steered.cast.members)):
        return None
    found = page(db, services, session)
    return found if found is not None and found.shown else None
