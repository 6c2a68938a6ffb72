"""What one turn is to do, what it works with, and what is gathered for it: the story and what is recalled.

Reads the story and the world. What of it becomes the prompt is decided in ``request``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.prompt.books_at_hand import fire, ready_books
from flower.engine.prompt.bookshelf import Ready
from flower.engine.prompt.direction import Direction, StoryRef, direct, expanded_lore
from flower.engine.prompt.lore_entries import NO_ENTRIES, LoreEntries
from flower.engine.prompt.macros import sets
from flower.engine.prompt.scripted import (
    NO_SCRIPTS,
    Acted,
    scripted_path,
)
from flower.engine.prompt.turn_input import Services, TurnInput
from flower.engine.recall.base import (
    Considered,
    Hit,
    Library,
    Query,
    book_scope,
    cast_scope,
    lore_scope,
    memory_scope,
)
from flower.engine.scripts.script import Script
from flower.engine.store import paths, scripts, stages, states, stories, whispers
from flower.engine.store.connection import Connection
from flower.engine.token_counter import MESSAGE_TOKENS

log = logging.getLogger(__name__)

RECALL_RECENT_MESSAGES = 4  # the last two exchanges are in front of the narrator anyway
RECALL_DEADLINE_S = 20.0  # then the turn goes on without recall and says so


class PromptContext(Struct, frozen=True):
    """The story up to the line, what lore and memory hold about it, and how the reply is to be written.

    ``recall_late``: recall took too long, so that nothing was found. ``unheard``: messages that were said while the
    character who speaks was not there.
    """

    path: tuple[stories.Message, ...]
    found: tuple[Hit, ...]
    nearly: tuple[tuple[Hit, str], ...]  # was not recalled, and why not
    direction: Direction
    current: states.CurrentState
    recall_late: bool = False
    entries: LoreEntries = NO_ENTRIES
    acted: Acted = NO_SCRIPTS
    unheard: frozenset[int] = frozenset()


def most_messages(context: int) -> int:
    """Returns more messages than any window of this context holds: one read from within would slide."""
    return max(limits.PROMPT_MESSAGES, context // (MESSAGE_TOKENS + 1))


async def gather(services: Services, turn: TurnInput) -> PromptContext:
    """Returns the story and what was recalled for its newest line. Raises ``StoreError``.

    Recall that takes too long costs the reply its memories, never the reply.
    """
    path, current, visible, scripts_on = await services.database.read(
        _story_so_far, turn, most_messages(services.context_tokens)
    )
    direction = await _direction(services, turn, path, current)
    acted = NO_SCRIPTS
    if scripts_on:
        path, acted = await trio.to_thread.run_sync(
            scripted_path, services.scripts, scripts_on, path, direction.values
        )
    ready = await ready_books(services, _place(turn), direction, current)
    unheard: frozenset[int] = frozenset()
    if len(direction.played) > 1 and direction.speaker in {one.id for one in direction.played}:
        heard = await services.database.read(
            stages.witnessed, turn.session_id, turn.leaf, direction.speaker
        )
        unheard = frozenset(one.id for one in path[:-1] if one.id in visible and one.id not in heard)
        visible = heard
    await _sync_characters(services.library, direction)
    considered, late = await _consider(
        services, turn, _query(services, turn, direction, path, visible, ready)
    )
    found = expanded_lore(considered.hits, direction)
    entries = NO_ENTRIES
    if ready is not None:
        entries, acted, found = await fire(
            services, turn, ready, direction, current, path, visible, found, acted
        )
    if entries.outlets or entries.silenced:
        direction = await _direction(services, turn, path, current, entries.outlets, entries.silenced)
    return PromptContext(
        path=tuple(path),
        found=found,
        nearly=considered.nearly,
        direction=direction,
        current=current,
        recall_late=late,
        entries=entries,
        acted=acted,
        unheard=unheard,
    )


def _story_so_far(
    db: Connection, turn: TurnInput, most: int
) -> tuple[list[stories.Message], states.CurrentState, paths.Ids, tuple[Script, ...]]:
    """Returns the end of the path to a turn's message, its state there, the whole path's ids, and
    the scripts that hold."""
    session_id, leaf = turn.session_id, turn.leaf
    whole = stories.path(db, leaf, most=most, story=session_id)
    path = [message for message in whole[:-1] if not message.extra.hidden] + whole[-1:]
    current = states.current_at(db, session_id, leaf, path[-1].created if path else 0.0)
    if current.steering.players and turn.reply_id and not turn.ask:
        path = _with_whispers(db, path)  # what a player asks for alone is made without
    held = scripts.holding(db, (turn.character_id, *current.steering.cast.members))
    return path, current, paths.way(db, leaf, session_id).remembered, held


def _with_whispers(db: Connection, path: list[stories.Message]) -> list[stories.Message]:
    """Returns the path with what was whispered after each message, for the model alone.

    Not after the last one: a reply that goes on has its own words at its end.
    """
    said = whispers.after(db, [message.id for message in path[:-1]])
    if not said:
        return path
    told = []
    for message in path:
        words = [f"[{whisper.text}]" for whisper in said.get(message.id, ())]
        if words:
            whole = "\n".join([message.extra.told or message.content, *words])
            message = replace(message, extra=replace(message.extra, told=whole))
        told.append(message)
    return told


async def _sync_characters(library: Library, direction: Direction) -> None:
    for character in direction.knowing:  # nothing to do, unless the file has changed
        if character.lore:
            await library.sync_source(
                cast_scope(character.id), "character", character.name, character.lore
            )


async def _consider(services: Services, turn: TurnInput, query: Query) -> tuple[Considered, bool]:
    """Returns what recall found for a turn, and whether it took too long for that."""
    considered = Considered()
    with trio.move_on_after(RECALL_DEADLINE_S) as scope:
        considered = await services.library.consider(query)
    log.debug(
        "turn=%s recalled=%s",
        turn.turn,
        [(f.passage.title, f.why, f.passage.text) for f in considered.hits],
    )
    return considered, scope.cancelled_caught


def _place(turn: TurnInput) -> StoryRef:
    return StoryRef(turn.session_id, turn.world_id, turn.character_id, turn.model_id)


async def _direction(
    services: Services,
    turn: TurnInput,
    path: Sequence[stories.Message],
    current: states.CurrentState,
    outlets: Mapping[str, str] = {},
    silenced: frozenset[str] = frozenset(),
) -> Direction:
    """Returns how the reply is to be written, in the state the story has at the line it answers."""
    before = current.variables
    note = current.steering.note
    if note is not None and sets(note.text) and len(path) > 1 and path[-1].role != "assistant":
        before = await services.database.read(states.variables_at, turn.session_id, path[-2].id)
    return direct(
        services.assets,
        turn.selection,
        _place(turn),
        current,
        path,
        turn.line,
        variables=before,
        continues=turn.continues,
        updates=services.narrator_updates,
        outlets=outlets,
        silenced=silenced,
    )


def _query(
    services: Services,
    turn: TurnInput,
    direction: Direction,
    path: Sequence[stories.Message],
    visible: paths.Ids,
    ready: Ready | None,
) -> Query:
    earlier = path[:-1]
    recent = earlier[-RECALL_RECENT_MESSAGES:]
    world = services.assets.worlds.get(turn.world_id)
    scene = world.scene if world is not None and len(earlier) <= 1 else ""
    return Query(
        text=turn.line,
        context=around([message.content for message in recent], scene),
        lore_scope=lore_scope(turn.world_id),
        cast_scopes=(
            *(cast_scope(c.id) for c in direction.knowing if c.lore),
            *(map(book_scope, ready.meanings) if ready is not None else ()),
        ),
        memory_scope=memory_scope(turn.session_id),
        budget_tokens=limits.RECALL_TOKENS,
        visible_messages=visible,
        recent_messages=frozenset(message.id for message in recent),
    )


def around(texts: Sequence[str], scene: str = "") -> str:
    """Returns what a line follows upon: the last two of the messages before it, the scene at first."""
    return "\n".join(part for part in (scene, *texts[-2:]) if part)
