"""From a player's line to the request for one reply: recall, then compose.

Reads the story and the world; stores with the line what was recalled for it, so that the next
prompt repeats it word for word and a server's prompt cache keeps it.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec
import trio
from msgspec import Struct

from flower import limits
from flower.engine.assets import Assets
from flower.engine.direction import Direction, Place, direct, told_lore
from flower.engine.game.checks import WORKED
from flower.engine.prompt.assemble import Assembled, Entry, Line, assemble
from flower.engine.prompt.sections import CONTINUE, WAITING, recalled_text, summary_section
from flower.engine.prompt.tokens import MESSAGE_TOKENS, TokenCounter
from flower.engine.provider.base import ChatMessage, Completion, Cue, ModelInfo, Provider
from flower.engine.recall.base import Found, Passage, Query
from flower.engine.recall.library import Library
from flower.engine.session import Reply, Session
from flower.engine.store import states, stories, summaries
from flower.engine.store.database import Database
from flower.engine.store.summaries import Summary
from flower.engine.store.tree import GO_ON
from flower.protocol import Recall, RecallItem, RecallMeta, SystemUpdate

log = logging.getLogger(__name__)

NEAR_BUDGET = 0.8  # above this share of the budget an exact count is worth a round trip


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
    that asking the narrator does not wait for the disk once more.
    """

    completion: Completion
    assembled: Assembled
    counter: TokenCounter
    record: Callable[[sqlite3.Connection], None]


def lore_scope(world_id: str) -> str:
    """Returns the recall scope of a world's lore, "" for no world."""
    return f"lore:{world_id}" if world_id else ""


def memory_scope(session_id: str) -> str:
    """Returns the recall scope of a story's memories."""
    return f"memory:{session_id}"


# --- recall -------------------------------------------------------------------------------------


async def gather(services: Services, order: Order) -> Gathered:
    """Returns the story and what was recalled for its newest line; tells the watchers.

    Raises ``StoreError`` if the story cannot be read. Recall that takes too long costs the reply its
    memories, never the reply.
    """
    path = await services.database.read(
        stories.path, order.leaf, most=most_messages(_context_tokens(services, order))
    )
    session = order.session
    direction = await _direction(services, order, path)
    query = _query(services, order, path, await services.database.read(stories.path_ids, order.leaf))
    found: tuple[Found, ...] = ()
    with trio.move_on_after(limits.RECALL_DEADLINE_S) as scope:
        found = told_lore(await services.library.recall(query), direction.values)
    if scope.cancelled_caught:
        session.publish(SystemUpdate("✗ Recall took too long; this reply does without it."))
    if found:
        session.publish(_recall_event(order.reply.turn, found))
        log.debug("turn=%s recalled=%s", order.reply.turn, [(f.passage.title, f.why) for f in found])
    return Gathered(tuple(path), found, direction)


async def _direction(services: Services, order: Order, path: Sequence[stories.Message]) -> Direction:
    """Returns how the reply is to be told, as the story stands at the line it answers."""
    session = order.session
    standing = await services.database.read(
        states.standing, session.id, order.leaf, path[-1].created if path else 0.0
    )
    return direct(
        services.assets,
        order.chosen,
        Place(session.id, session.world_id, session.character_id, order.reply.model),
        standing,
        path,
        order.reply.line,
        continues=order.continues,
        updates=services.narrator_updates,
    )


def _query(
    services: Services, order: Order, path: Sequence[stories.Message], visible: frozenset[int]
) -> Query:
    earlier = path[:-1]
    recent = earlier[-limits.RECALL_RECENT_MESSAGES :]
    around = [message.content for message in recent[-2:]]
    world = services.assets.worlds.get(order.session.world_id)
    if world is not None and len(earlier) <= 1:
        around.insert(0, world.scene)
    return Query(
        text=order.reply.line,
        context="\n".join(around),
        lore_scope=lore_scope(order.session.world_id),
        memory_scope=memory_scope(order.session.id),
        budget_tokens=limits.RECALL_TOKENS,
        visible_messages=visible,
        recent_messages=frozenset(message.id for message in recent),
    )


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


# --- the prompt ---------------------------------------------------------------------------------


async def compose(services: Services, order: Order, gathered: Gathered) -> Prepared:
    """Returns the request for the reply. Raises ``StoreError`` if the story cannot be read."""
    counter = order.counter
    new, recalled, assembled = await _settle(services, order, gathered, counter)
    if not counter.checked or assembled.tokens > NEAR_BUDGET * _budget(services, order):
        counter = await _checked(order, assembled)
        if counter is not order.counter:
            new, recalled, assembled = await _settle(services, order, gathered, counter)
    record = _record(order, gathered, new, recalled, assembled)
    completion = Completion(
        model=order.model,
        messages=assembled.messages,
        max_tokens=_reply_tokens(services, order),
        context_tokens=_context_tokens(services, order),
        params=await _params(services, order),
        session=order.session.id,
        cue=_cue(services, order, gathered),
    )
    return Prepared(completion, assembled, counter, record)


async def _checked(order: Order, assembled: Assembled) -> TokenCounter:
    """Returns the counter corrected by the backend's own count, if it can count."""
    text = "\n".join(message.content for message in assembled.messages)
    exact = await order.provider.count_tokens(text)
    if exact is None:
        return order.counter
    estimated = sum(order.counter.count(message.content) for message in assembled.messages)
    return order.counter.calibrated(estimated, exact)


def _not_told_yet(gathered: Gathered, window_start: int | None) -> list[Found]:
    """Returns what the model does not have in view: neither told before nor said in the window."""
    window = [m for m in gathered.path if window_start is None or m.id >= window_start]
    told = {passage for m in window[:-1] for passage in m.extra.get("recalled_ids", ())}
    said = {m.id for m in window}
    return [f for f in gathered.found if f.passage.id not in told and f.passage.message_id not in said]


async def _settle(
    services: Services, order: Order, gathered: Gathered, counter: TokenCounter
) -> tuple[list[Found], str, Assembled]:
    """Returns what is newly recalled, as text too, and the prompt.

    When the window moves, what was told or said in the part that went is no longer in view.
    """
    start = order.session.window_start
    while True:
        new = _not_told_yet(gathered, start)
        recalled = recalled_text(new)
        assembled = await _settle_window(services, order, gathered, recalled, counter)
        if assembled.window_start == start or len(
            _not_told_yet(gathered, assembled.window_start)
        ) <= len(new):
            return new, recalled, assembled
        start = order.session.window_start = assembled.window_start


async def _settle_window(
    services: Services, order: Order, gathered: Gathered, recalled: str, counter: TokenCounter
) -> Assembled:
    """Returns the prompt; when the history's window moves, with the summary of what went above it.

    A summary that reaches into the window is not told: it waits for the next move, so that in between
    the prompt only grows.
    """
    newest = partial(services.database.read, summaries.newest, order.leaf)
    session = order.session
    ready = await newest()
    told = await newest(before=session.window_start) if session.window_start is not None else None
    behind = ready.last_id if ready is not None else None
    assembled = _assemble(services, order, gathered, recalled, counter, told, behind)
    if ready is None or assembled.window_start == session.window_start:
        return assembled
    told = await newest(before=assembled.window_start)
    session.window_start = assembled.window_start
    return _assemble(services, order, gathered, recalled, counter, told, behind)


def _assemble(
    services: Services,
    order: Order,
    gathered: Gathered,
    recalled: str,
    counter: TokenCounter,
    told: Summary | None,
    summarised: int | None,
) -> Assembled:
    session, direction = order.session, gathered.direction
    sections = direction.sections
    if told is not None:
        sections = (*sections, summary_section(told.text, told.last_id))
    lines = [
        Line(
            m.id,
            m.role,
            str(m.extra.get("told") or m.content),
            str(m.extra.get("recalled", "")) if m.id != order.leaf else recalled,
        )
        for m in gathered.path
    ]
    if (
        lines and lines[-1].role == "assistant"
    ):  # the narrator's own words, or the player's in its place
        ask = CONTINUE if order.continues else GO_ON
        lines.append(Line(order.leaf + 1, "user", ask, recalled))
        lines[-2] = msgspec.structs.replace(lines[-2], recalled="")
    return assemble(
        sections,
        lines,
        budget=_budget(services, order),
        counter=counter,
        window_start=session.window_start,
        summarised=summarised,
        tail=direction.tail,
        inset=direction.inset,
    )


def most_messages(context_tokens: int) -> int:
    """Returns more messages than any window of this context holds: one read from within would slide."""
    return max(limits.PROMPT_MESSAGES, context_tokens // (MESSAGE_TOKENS + 1))


def _budget(services: Services, order: Order) -> int:
    room = _context_tokens(services, order) - _reply_tokens(services, order)
    return int(room * limits.CONTEXT_USED_SHARE)


def _context_tokens(services: Services, order: Order) -> int:
    known = (order.info.context_tokens if order.info is not None else 0, order.context_limit or 0)
    return min([services.context_tokens, *(tokens for tokens in known if tokens)])


def _reply_tokens(services: Services, order: Order) -> int:
    return min(services.reply_tokens, _context_tokens(services, order) // 3)


async def _params(services: Services, order: Order) -> dict[str, object]:
    """Returns the sampler settings: the story's over the model's over everybody's.

    A seed that was set is another one for each variant, or all would be the same.
    """
    own = await services.database.read(stories.params, order.session.id, order.reply.model)
    params = {**services.params, **own}
    seed = params.get("seed")
    if isinstance(seed, int) and seed >= 0:
        params["seed"] = seed + order.variant
    return params


def _record(
    order: Order,
    gathered: Gathered,
    new: Sequence[Found],
    recalled: str,
    assembled: Assembled,
) -> Callable[[sqlite3.Connection], None]:
    """Returns what stores the parts of this prompt: for the next prompt and for /why."""
    line_extra: dict[str, object] = {}
    if new and gathered.path and gathered.path[-1].role != "assistant":
        line_extra = {"recalled": recalled, "recalled_ids": [item.passage.id for item in new]}
    fresh = {item.passage.id for item in new}
    manifest = [
        *assembled.manifest,
        *(
            Entry(
                item.passage.kind,
                item.passage.title or item.passage.source,
                item.tokens,
                item.why if item.passage.id in fresh else f"{item.why}; already in view",
            )
            for item in gathered.found
        ),
    ]
    order.session.window_start = assembled.window_start
    return partial(
        stories.record_prompt,
        session_id=order.session.id,
        user_id=order.leaf,
        reply_id=order.reply.message_id,
        line_extra=line_extra,
        manifest=[msgspec.to_builtins(entry) for entry in manifest],
        window_start=assembled.window_start,
        speaker=gathered.direction.speaker,
    )


def _cue(services: Services, order: Order, gathered: Gathered) -> Cue:
    world, character = gathered.direction.world, gathered.direction.character
    seed = services.seed if services.seed is not None else zlib.crc32(order.session.id.encode())
    return Cue(
        line=WAITING if order.continues else order.reply.line,
        world=world.name if world is not None else "",
        scene=world.scene if world is not None else "",
        character=character.name if character is not None else "",
        persona=character.persona if character is not None else "",
        lore=tuple(_headed(item.passage) for item in gathered.found if item.passage.kind == "lore"),
        memories=tuple(item.passage.text for item in gathered.found if item.passage.kind == "memory"),
        story=tuple(_spoken(m) for m in gathered.path[-limits.CUE_MESSAGES :] if m.role != "system"),
        turn_number=sum(message.role == "user" for message in gathered.path) - 1,
        seed=seed + order.variant,
        outcome=_outcome(gathered.path),
    )


def _outcome(path: Sequence[stories.Message]) -> Literal["", "strong", "miss"]:
    """Returns what dice right before the newest line, or in its place, have decided."""
    for message in path[:-3:-1]:
        if message.role == "assistant":
            break
        if message.role == "system":
            degree = message.extra.get("roll", {}).get("degree")
            return "" if degree is None else "strong" if degree in WORKED else "miss"
    return ""


def _spoken(message: stories.Message) -> ChatMessage:
    return ChatMessage("user" if message.role == "user" else "assistant", message.content)


def _headed(passage: Passage) -> str:
    """Returns a passage under its heading: where lore stands says whether it is a secret."""
    return f"## {passage.title}\n{passage.text}" if passage.title else passage.text
