"""The lorebooks that hold for a reply, and which of their entries fire for it.

Reads the books and scans them; where entries go in the prompt is decided in ``lore_entries``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio
from msgspec.structs import replace

from flower.engine.game.steering import Steering
from flower.engine.lorebook.book import TextSource
from flower.engine.lorebook.situation import NOTHING
from flower.engine.prompt import bookshelf
from flower.engine.prompt.bookshelf import Moment, Ready
from flower.engine.prompt.direction import Direction, StoryRef, changed
from flower.engine.prompt.lore_entries import LoreEntries, sorted_out
from flower.engine.prompt.macros import Expanded
from flower.engine.prompt.model import StorySettings
from flower.engine.prompt.scripted import Acted, scripted_lore
from flower.engine.prompt.turn_input import Services, TurnInput
from flower.engine.recall.base import Hit, book_scope, lore_scope
from flower.engine.scripts.script import ScriptPlace
from flower.engine.store import paths, states, stories, tree
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, personas


async def ready_books(
    services: Services,
    here: StoryRef,
    direction: Direction,
    current: states.CurrentState,
    settings: StorySettings,
) -> Ready | None:
    """Returns the lorebooks that hold for a reply; a fault of one of them costs the reply no more than that."""
    held = await services.database.read(
        partial(
            books_here,
            story=here.session,
            world=here.world_id,
            characters=[character.id for character in direction.knowing],
            steered=current.steering,
        )
    )
    return await services.bookshelf.ready(
        services.database, services.library, held, settings.lore_rules
    )


def books_here(
    db: Connection,
    *,
    story: str,
    world: str,
    characters: Sequence[str],
    steered: Steering,
    user: int = 0,
) -> list[books.OwnedBook]:
    """Returns the books that hold in a story and are not switched off in it; ``user``: whose a new one would be.

    Those of the persona are of the stored one that has the name the player has here: of several, the one
    that is bound to this story or character, or the default one.
    """
    name = steered.persona.name
    bound = personas.for_story(db, story, characters[0] if characters else "") if name else None
    mine = bound is not None and bound.name == name
    persona = bound if mine else personas.find_in_story(db, name, story) if name else None
    number = persona.id if persona is not None and persona.name == name else None
    held = books.holding(db, story=story, world=world, characters=characters, persona=number, user=user)
    return [one for one in held if one.stored.id not in steered.books]


def _line_moment(
    turn: TurnInput,
    direction: Direction,
    current: states.CurrentState,
    path: Sequence[stories.Message],
    count: int,
    room: int,
) -> Moment:
    """Returns what a scan works with. Its dice are those of the line, so that another try fires the same."""
    answered = path[:-1] if turn.continues and len(path) > 1 else path
    line = answered[-1].id if answered else turn.leaf
    return replace(
        moment_of(direction, current, path, count, room),
        seed=f"{turn.session_id}:{line}",
        timed=bookshelf.timed_before(answered) or NOTHING,
        trigger="continue" if turn.continues else "swipe" if turn.variant else "normal",
    )


def moment_of(
    direction: Direction,
    current: states.CurrentState,
    path: Sequence[stories.Message],
    count: int,
    room: int,
) -> Moment:
    """Returns what a scan of a story works with, in the state the story has at the end of ``path``."""
    world, character = direction.world, direction.character
    depth = character.depth_prompt if character is not None else None
    live = direction.live if direction.live is not None else direction.values
    return Moment(
        path=path,
        count=count,
        values=replace(direction.values, variables=live.variables, sheet=live.sheet),
        names={one.id: one.name for one in direction.played},
        sources={
            TextSource.PERSONA: current.steering.persona.text,
            TextSource.DESCRIPTION: character.persona if character is not None else "",
            TextSource.SCENARIO: direction.values.scenario
            or (world.scene if world is not None else ""),
            TextSource.DEPTH_PROMPT: depth.text if depth is not None else "",
            TextSource.CREATOR_NOTES: character.notes if character is not None else "",
        },
        tags=frozenset(tag for one in direction.knowing for tag in one.tags),
        characters=frozenset(one.name for one in direction.knowing),
        tokens=room,
    )


async def fire(
    services: Services,
    turn: TurnInput,
    settings: StorySettings,
    ready: Ready,
    direction: Direction,
    current: states.CurrentState,
    path: Sequence[stories.Message],
    visible: paths.Ids,
    hits: Sequence[Hit],
    acted: Acted,
) -> tuple[LoreEntries, Acted, tuple[Hit, ...]]:
    """Returns the entries that fire for a line, the scripts that acted by then, and what of recall is left beside."""
    greeting = await services.database.read(tree.greeting, turn.session_id, visible)
    room = settings.lore_tokens
    moment = _line_moment(turn, direction, current, path, len(visible), room)
    moment = replace(moment, requested=bookshelf.requested(hits, ready), greeting=greeting)
    entries, acted = await _scanned(services, ready, moment, turn, acted)
    return entries, acted, _beside(hits, ready, entries, turn.world_id, room)


async def _scanned(
    services: Services, ready: Ready, moment: Moment, turn: TurnInput, acted: Acted
) -> tuple[LoreEntries, Acted]:
    outcome = await services.bookshelf.scan(ready, moment)
    if any(ScriptPlace.LORE in script.places for script in acted.scripts):
        fired, acted = await trio.to_thread.run_sync(
            scripted_lore, services.scripts, acted, outcome.fired, moment.values
        )
        outcome = replace(outcome, fired=fired)
    private = ready.owners if len(moment.names) > 1 else {}
    entries = sorted_out(outcome, ready.library, private)
    before = moment.path[-1].extra.lore_timed if moment.path else None
    lasting = outcome.timed != NOTHING or moment.timed != NOTHING or before is not None
    entries = replace(
        entries,
        timed=outcome.timed if lasting and not turn.continues else None,
        variables=changed(Expanded("", outcome.variables), moment.values),
        trouble=ready.trouble,
    )
    return entries, acted


def _beside(
    hits: Sequence[Hit], ready: Ready, entries: LoreEntries, world_id: str, room: int
) -> tuple[Hit, ...]:
    """Returns what was recalled beside the entries that fired: nothing twice, and what is left of the room."""
    own = {book_scope(number) for number in ready.ids.values()}
    files = {bookshelf.file_of(entry.id) for entry in entries.fired} - {""}
    left = room - entries.tokens
    others = []
    for item in hits:
        passage = item.passage
        if passage.scope in own or (passage.scope == lore_scope(world_id) and passage.source in files):
            continue
        if passage.kind == "lore":
            left -= item.tokens
            if left < 0:
                continue
        others.append(item)
    return tuple(others)
