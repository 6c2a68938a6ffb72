"""What one turn is to do, what it works with, and what is gathered for it: the story and what is recalled.

Reads the story and the world. What of it becomes the prompt is decided in ``request``.
"""

from __future__ import annotations

import logging
import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence

import trio
from msgspec import Struct

from flower import limits
from flower.engine.assets import Assets
from flower.engine.prompt.assemble import Assembled
from flower.engine.prompt.direction import Direction, Place, cast_scope, direct, told_lore
from flower.engine.prompt.macros import sets
from flower.engine.prompt.tokens import MESSAGE_TOKENS, TokenCounter
from flower.engine.provider.base import Completion, ModelInfo, Provider
from flower.engine.recall.base import Found, Query
from flower.engine.recall.library import Library
from flower.engine.sessions.session import Reply, Session
from flower.engine.store import states, stories
from flower.engine.store.database import Database
from flower.protocol.messages import QuickReply, Recall, RecallItem, RecallMeta, SystemUpdate

log = logging.getLogger(__name__)


class Services(Struct, frozen=True):
    """What turns work with; the same for all of them."""

    database: Database
    library: Library
    assets: Assets
    context_tokens: int
    reply_tokens: int
    params: Mapping[str, object]  # sampler settings for every model
    seed: int | None  # of the offline narrator; None: each story has its own
    rng: random.Random  # jitter between retries
    fallbacks: tuple[str, ...] = ()  # models that step in when the chosen one fails at once
    narrator_updates: bool = False  # the narrator may propose changes of the state sheet
    keep_people: bool = False  # a new story takes over the people of the last one in its world
    quick_replies: tuple[QuickReply, ...] = ()  # lines the player has ready


class Order(Struct, frozen=True):
    """What one turn is to do. ``leaf``: the message the reply answers, or itself to be continued."""

    session: Session
    reply: Reply
    leaf: int
    chosen: stories.Selection
    provider: Provider
    model: str  # the provider's own id
    info: ModelInfo | None
    counter: TokenCounter
    context_limit: int | None = None  # what the server said fits, when it refused a prompt
    continues: bool = False
    variant: int = 0  # how many replies to the same line there were before
    fallbacks: tuple[tuple[Provider, str], ...] = ()  # asked in order when the provider fails at once


class Gathered(Struct, frozen=True):
    """The story up to the line, and what lore and memory hold about it."""

    path: tuple[stories.Message, ...]
    found: tuple[Found, ...]
    direction: Direction


class Prepared(Struct, frozen=True):
    """A request, what is in it, and the counter as corrected by an exact count.

    ``record`` stores what the prompt was made of; it can wait for the first flush of the reply, so
    that asking the narrator does not wait for the disk once more. It returns a sentence for the player
    if something could not be kept, else "".
    """

    completion: Completion
    assembled: Assembled
    counter: TokenCounter
    record: Callable[[sqlite3.Connection], str]


def lore_scope(world_id: str) -> str:
    """Returns the recall scope of a world's lore, "" for no world."""
    return f"lore:{world_id}" if world_id else ""


def memory_scope(session_id: str) -> str:
    """Returns the recall scope of a story's memories."""
    return f"memory:{session_id}"


# --- sizes --------------------------------------------------------------------------------------


def most_messages(context: int) -> int:
    """Returns more messages than any window of this context holds: one read from within would slide."""
    return max(limits.PROMPT_MESSAGES, context // (MESSAGE_TOKENS + 1))


def context_tokens(services: Services, order: Order) -> int:
    """Returns what the model reads at most: the smallest of what is set, known and refused above."""
    known = (order.info.context_tokens if order.info is not None else 0, order.context_limit or 0)
    return min([services.context_tokens, *(tokens for tokens in known if tokens)])


def reply_tokens(services: Services, order: Order) -> int:
    """Returns how long the reply may be."""
    return min(services.reply_tokens, context_tokens(services, order) // 3)


# --- recall -------------------------------------------------------------------------------------


async def gather(services: Services, order: Order) -> Gathered:
    """Returns the story and what was recalled for its newest line; tells the watchers.

    Raises ``StoreError`` if the story cannot be read. Recall that takes too long costs the reply its
    memories, never the reply.
    """
    session = order.session
    path, standing, visible = await services.database.read(
        _as_it_stands, session.id, order.leaf, most_messages(context_tokens(services, order))
    )
    direction = await _direction(services, order, path, standing)
    for character in direction.knowing:  # nothing to do, unless the file has changed
        if character.lore:
            await services.library.sync_source(
                cast_scope(character.id), "character", character.name, character.lore
            )
    query = _query(services, order, direction, path, visible)
    found: tuple[Found, ...] = ()
    with trio.move_on_after(limits.RECALL_DEADLINE_S) as scope:
        found = told_lore(await services.library.recall(query), direction)
    if scope.cancelled_caught:
        session.publish(SystemUpdate("✗ Recall took too long; this reply does without it."))
    if found:
        session.publish(_recall_event(order.reply.turn, found))
        told = [(f.passage.title, f.why, f.passage.text) for f in found]
        log.debug("turn=%s recalled=%s", order.reply.turn, told)
    return Gathered(tuple(path), found, direction)


def _as_it_stands(
    db: sqlite3.Connection, session_id: str, leaf: int, most: int
) -> tuple[list[stories.Message], states.Standing, frozenset[int]]:
    """Returns the end of the path to a message, how the story stands there, and the whole path's ids."""
    path = stories.path(db, leaf, most=most)
    standing = states.standing(db, session_id, leaf, path[-1].created if path else 0.0)
    return path, standing, stories.path_ids(db, leaf)


async def _direction(
    services: Services, order: Order, path: Sequence[stories.Message], standing: states.Standing
) -> Direction:
    """Returns how the reply is to be told, as the story stands at the line it answers."""
    session = order.session
    before = standing.variables
    note = standing.steering.note
    if note is not None and sets(note.text) and len(path) > 1 and path[-1].role != "assistant":
        before = await services.database.read(states.variables_at, session.id, path[-2].id)
    return direct(
        services.assets,
        order.chosen,
        Place(session.id, session.world_id, session.character_id, order.reply.model),
        standing,
        path,
        order.reply.line,
        variables=before,
        continues=order.continues,
        updates=services.narrator_updates,
    )


def _query(
    services: Services,
    order: Order,
    direction: Direction,
    path: Sequence[stories.Message],
    visible: frozenset[int],
) -> Query:
    earlier = path[:-1]
    recent = earlier[-limits.RECALL_RECENT_MESSAGES :]
    world = services.assets.worlds.get(order.session.world_id)
    scene = world.scene if world is not None and len(earlier) <= 1 else ""
    return Query(
        text=order.reply.line,
        context=around([message.content for message in recent], scene),
        lore_scope=lore_scope(order.session.world_id),
        cast_scopes=tuple(cast_scope(c.id) for c in direction.knowing if c.lore),
        memory_scope=memory_scope(order.session.id),
        budget_tokens=limits.RECALL_TOKENS,
        visible_messages=visible,
        recent_messages=frozenset(message.id for message in recent),
    )


def around(told: Sequence[str], scene: str = "") -> str:
    """Returns what a line follows upon: the last two of the messages before it, the scene at first."""
    return "\n".join(part for part in (scene, *told[-2:]) if part)


def _recall_event(turn: str, found: Sequence[Found]) -> Recall:
    items = tuple(
        RecallItem(
            kind=item.passage.kind,
            title=item.passage.title,
            text=item.passage.text,
            why=item.why,
            similarity=round(item.similarity or 0.0, 3),
        )
        for item in found
    )
    lore = sum(item.kind == "lore" for item in items)
    return Recall(
        f"recalled {lore} of lore, {len(items) - lore} of this story", RecallMeta(turn, items)
    )
