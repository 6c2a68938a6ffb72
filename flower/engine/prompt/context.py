"""The first step of a turn: what is gathered for it, the story and what is recalled.

Reads the story, its settings and the world. What of it becomes the prompt is decided in ``request``.
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
from flower.engine.prompt.model import StorySettings, settings_with
from flower.engine.prompt.scripted import NO_SCRIPTS, Acted, scripted_path
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
from flower.engine.store import paths, search, selections, stages, states, stories, whispers
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, scripts
from flower.engine.token_counter import MESSAGE_TOKENS

log = logging.getLogger(__name__)

RECALL_RECENT_MESSAGES = 4  # the last two exchanges are in front of the narrator anyway
RECALL_DEADLINE_S = 20.0  # then the turn goes on without recall and says so


class PromptContext(Struct, frozen=True):
    """The story up to the line, what lore and memory hold about it, and how the reply is to be written.

    ``settings`` are those for the story's model; ``summary`` is the one that reaches furthest. ``recall_late``:
    recall took too long, so that there is none of it. ``absent``: messages that were said while the character who
    speaks was not there.
    """

    path: tuple[stories.Message, ...]
    hits: tuple[Hit, ...]
    nearly: tuple[tuple[Hit, str], ...]  # was not recalled, and why not
    direction: Direction
    current: states.CurrentState
    settings: StorySettings
    summary: search.Summary | None = None
    recall_late: bool = False
    entries: LoreEntries = NO_ENTRIES
    acted: Acted = NO_SCRIPTS
    absent: frozenset[int] = frozenset()

    def leaves_out(self, start: int | None) -> bool:
        """Whether a history that begins with message ``start`` has not all of the story."""
        if start is None or not self.path:
            return False
        return self.path[0].id != start or self.path[0].parent_id is not None


class _StorySoFar(Struct, frozen=True):
    """What the database has for a turn.

    ``path`` is the end of the way to its message, ``visible`` are the ids of the whole of it; ``scripts`` hold there.
    """

    settings: StorySettings
    path: list[stories.Message]
    current: states.CurrentState
    visible: paths.Ids
    scripts: tuple[Script, ...]
    summary: search.Summary | None
    has_books: bool  # somebody has a lorebook, so that some may hold here


def most_messages(context: int) -> int:
    """Returns more messages than any window of this context holds: one read from within would slide."""
    return max(limits.PROMPT_MESSAGES, context // (MESSAGE_TOKENS + 1))


async def gather(services: Services, turn: TurnInput) -> PromptContext:
    """Returns the story and what was recalled for its newest line. Raises ``StoreError``.

    Recall that takes too long costs the reply its memories, never the reply.
    """
    story = await services.database.read(_story_so_far, services, turn)
    path, current, visible = story.path, story.current, story.visible
    direction = await _direction(services, turn, path, current)
    acted = NO_SCRIPTS
    if story.scripts:
        path, acted = await trio.to_thread.run_sync(
            scripted_path, services.scripts, story.scripts, path, direction.values
        )
    ready = None
    if story.has_books:
        ready = await ready_books(services, _place(turn), direction, current, story.settings)
    witnessed = await _witnessed(services, turn, direction, visible)
    await _sync_characters(services.library, direction)
    considered, late = await _consider(
        services, turn, _query(services, turn, direction, path, witnessed, ready)
    )
    hits = expanded_lore(considered.hits, direction)
    entries = NO_ENTRIES
    if ready is not None:
        entries, acted, hits = await fire(
            services, turn, story.settings, ready, direction, current, path, witnessed, hits, acted
        )
    if entries.outlets or entries.silenced:
        direction = await _direction(services, turn, path, current, entries.outlets, entries.silenced)
    return PromptContext(
        path=tuple(path),
        hits=hits,
        nearly=considered.nearly,
        direction=direction,
        current=current,
        settings=story.settings,
        summary=story.summary,
        recall_late=late,
        entries=entries,
        acted=acted,
        absent=_missed(path, visible, witnessed),
    )


async def _witnessed(
    services: Services, turn: TurnInput, direction: Direction, visible: paths.Ids
) -> paths.Ids:
    """Returns the messages that the character who speaks was there for: all, where nobody else is played."""
    if len(direction.played) < 2 or direction.speaker not in {one.id for one in direction.played}:
        return visible
    return await services.database.read(stages.witnessed, turn.session_id, turn.leaf, direction.speaker)


def _missed(
    path: Sequence[stories.Message], visible: paths.Ids, witnessed: paths.Ids
) -> frozenset[int]:
    """Returns the messages before the newest that were said while the character who speaks was not there."""
    if witnessed is visible:
        return frozenset()
    return frozenset(one.id for one in path[:-1] if one.id in visible and one.id not in witnessed)


def _story_so_far(db: Connection, services: Services, turn: TurnInput) -> _StorySoFar:
    """Returns all that a plain prompt needs of the database, in one visit to its thread."""
    session_id, leaf = turn.session_id, turn.leaf
    settings = settings_with(services, selections.of_story(db, session_id, turn.model_id))
    whole = stories.path(db, leaf, most=most_messages(settings.context_tokens), story=session_id)
    path = [message for message in whole[:-1] if not message.extra.hidden] + whole[-1:]
    current = states.current_at(db, session_id, leaf, path[-1].created if path else 0.0)
    if current.steering.players and turn.reply_id and not turn.ask:
        path = _with_whispers(db, path)  # what a player asks for alone is made without
    return _StorySoFar(
        settings,
        path,
        current,
        paths.way(db, leaf, session_id).remembered,
        scripts.holding(db, (turn.character_id, *current.steering.cast.members)),
        search.newest(db, leaf),
        books.are_owned(db),
    )


def _with_whispers(db: Connection, path: list[stories.Message]) -> list[stories.Message]:
    """Returns the path with what was whispered after each message, for the model alone.

    Not after the last one: a reply that goes on has its own words at its end.
    """
    whispered = whispers.after(db, [message.id for message in path[:-1]])
    if not whispered:
        return path
    messages = []
    for message in path:
        words = [f"[{whisper.text}]" for whisper in whispered.get(message.id, ())]
        if words:
            whole = "\n".join([message.extra.told or message.content, *words])
            message = replace(message, extra=replace(message.extra, told=whole))
        messages.append(message)
    return messages


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
