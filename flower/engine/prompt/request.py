"""The request for one reply: the prompt within its budget, and what it was made of.

Reads summaries and sampler settings, asks the narrator's server to count where that is worth a round
trip. What goes into the prompt was gathered before (``preparation``); here it is decided how much of it
fits. Stores nothing itself: ``Prepared.record`` does, when the reply is first flushed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container
from functools import partial

import msgspec

from flower import limits
from flower.engine.cue import cue_of
from flower.engine.game import prompt_text
from flower.engine.game.state import dump_variables
from flower.engine.prompt.assemble import Assembled, Entry, Line, Section, assemble, standing_text
from flower.engine.prompt.context import (
    Gathered,
    Order,
    Prepared,
    Services,
    context_tokens,
    reply_tokens,
)
from flower.engine.prompt.direction import cast_scope
from flower.engine.prompt.sections import CONTINUE, note_of, recalled_text, summary_section, with_notes
from flower.engine.prompt.tokens import TokenCounter
from flower.engine.provider.base import Completion
from flower.engine.recall.base import Found
from flower.engine.store import exchanges, search, states, stories
from flower.engine.store.branches import GO_ON
from flower.engine.store.search import Summary
from flower.engine.store.stories import Message
from flower.errors import CommandError, ProviderError

IN_VIEW = "already in view"
SHRINK_SHARE = 0.7  # of the context that was refused, when the refusal has no numbers
NEAR_BUDGET = 0.8  # above this share of the budget an exact count is worth a round trip


async def compose(services: Services, order: Order, gathered: Gathered) -> Prepared:
    """Returns the request for the reply. Raises ``StoreError`` if the story cannot be read."""
    counter = order.counter
    new, assembled = await _settle(services, order, gathered, counter)
    if not counter.checked or assembled.tokens > NEAR_BUDGET * _budget(services, order):
        counter = await _checked(order, assembled)
        if counter is not order.counter:
            new, assembled = await _settle(services, order, gathered, counter)
    record = _record(order, gathered, new, assembled)
    completion = Completion(
        model=order.model,
        messages=assembled.messages,
        max_tokens=reply_tokens(services, order),
        context_tokens=context_tokens(services, order),
        params=await _params(services, order),
        session=order.session.id,
        cue=cue_of(services, order, gathered),
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


class _New(msgspec.Struct, frozen=True):
    """What the model does not have in view. ``known``: what it has of how things stand."""

    found: list[Found]
    recalled: str  # for everybody
    private: list[tuple[str, str]]  # notes of what one character alone knows, with the character's id
    standing: tuple[Section, ...]
    known: tuple[Section, ...]

    @property
    def size(self) -> int:
        return len(self.found) + len(self.standing)


def _new(gathered: Gathered, window_start: int | None) -> _New:
    found = _not_told_yet(gathered, window_start)
    told = [
        dict(m.extra.get("stands", ()))
        for m in gathered.path[:-1]
        if m.role != "assistant" and (window_start is None or m.id >= window_start)
    ]
    direction = gathered.direction
    standing, known = prompt_text.due(direction.tail, told, direction.note_every)
    owners = {cast_scope(character.id): character.id for character in direction.knowing}
    private = [
        (owners[item.passage.scope], note_of(item, private=True))
        for item in found
        if item.passage.scope in owners
    ]
    shared = [item for item in found if item.passage.scope not in owners]
    return _New(found, recalled_text(shared), private, standing, known)


async def _settle(
    services: Services, order: Order, gathered: Gathered, counter: TokenCounter
) -> tuple[_New, Assembled]:
    """Returns what is newly told, and the prompt.

    When the window moves, what was told or said in the part that went is no longer in view.
    """
    start = order.session.window_start
    while True:
        new = _new(gathered, start)
        assembled = await _settle_window(services, order, gathered, new, counter)
        moved = assembled.window_start
        if moved == start or _new(gathered, moved).size <= new.size:
            return new, assembled
        start = order.session.window_start = moved


async def _settle_window(
    services: Services, order: Order, gathered: Gathered, new: _New, counter: TokenCounter
) -> Assembled:
    """Returns the prompt; when the history's window moves, with the summary of what went above it.

    A summary that reaches into the window is not told: it waits for the next move, so that in between
    the prompt only grows.
    """
    newest = partial(services.database.read, search.newest, order.leaf)
    session = order.session
    ready = await newest()
    told = await newest(before=session.window_start) if session.window_start is not None else None
    behind = ready.last_id if ready is not None else None
    assembled = _assemble(services, order, gathered, new, counter, told, behind)
    if ready is None or assembled.window_start == session.window_start:
        return assembled
    told = await newest(before=assembled.window_start)
    session.window_start = assembled.window_start
    return _assemble(services, order, gathered, new, counter, told, behind)


def _assemble(
    services: Services,
    order: Order,
    gathered: Gathered,
    new: _New,
    counter: TokenCounter,
    told: Summary | None,
    summarised: int | None,
) -> Assembled:
    session, direction = order.session, gathered.direction
    sections = direction.sections
    if told is not None:
        sections = (*sections, summary_section(told.text, told.last_id))
    knowing = frozenset(character.id for character in direction.knowing)
    lines = [line_of(message, knowing) for message in gathered.path]
    recalled = with_notes(new.recalled, [note for _, note in new.private])
    if lines and lines[-1].role == "assistant":  # the narrator's words, or the player's in its place
        ask = CONTINUE if order.continues else GO_ON
        lines.append(Line(order.leaf + 1, "user", ask, recalled))
    elif lines:
        lines[-1] = msgspec.structs.replace(lines[-1], recalled=recalled, stands="")
    return assemble(
        sections,
        lines,
        budget=_budget(services, order),
        counter=counter,
        window_start=session.window_start,
        summarised=summarised,
        tail=new.standing,
        inset=direction.inset,
    )


def line_of(message: Message, knowing: Container[str] = ()) -> Line:
    """Returns a message as prompts have it, with what was told for it.

    ``knowing`` are the ids of the characters who speak now: what others alone know is left out.
    """
    extra = message.extra
    private = [note for owner, note in extra.get("private", ()) if owner in knowing]
    stands = standing_text(text for _, text in extra.get("stands", ()))
    content = str(extra.get("told") or message.content)
    recalled = with_notes(str(extra.get("recalled", "")), private)
    return Line(message.id, message.role, content, recalled, stands)


def _budget(services: Services, order: Order) -> int:
    room = context_tokens(services, order) - reply_tokens(services, order)
    return int(room * limits.CONTEXT_USED_SHARE)


async def _params(services: Services, order: Order) -> dict[str, object]:
    """Returns the sampler settings: the story's over the model's over everybody's.

    A seed that was set is another one for each variant, or all would be the same.
    """
    own = await services.database.read(stories.of_story, order.session.id, order.reply.model)
    settings = {**services.params, **own}
    seed = settings.get("seed")
    if isinstance(seed, int) and seed >= 0:
        settings["seed"] = seed + order.variant
    return settings


def _record(
    order: Order, gathered: Gathered, new: _New, assembled: Assembled
) -> Callable[[sqlite3.Connection], str]:
    """Returns what stores the parts of this prompt: for the next prompt and for /why."""
    line_extra: dict[str, object] = {}
    line_of_player = bool(gathered.path) and gathered.path[-1].role != "assistant"
    if line_of_player:
        told: dict[str, object] = {
            "recalled": new.recalled,
            "private": new.private,
            "recalled_ids": [item.passage.id for item in new.found],
            "stands": [(prompt_text.key_of(section), section.text) for section in assembled.told],
        }
        before = gathered.path[-1].extra  # of another variant's prompt
        line_extra = {key: value or None for key, value in told.items() if value or key in before}
    fresh = {item.passage.id for item in new.found}
    own = " (the speaker's own)" if gathered.direction.model == order.reply.model else ""
    manifest = [
        Entry("model", f"{order.reply.model}{own}", 0),
        *assembled.manifest,
        *(Entry(section.name, section.source, 0, IN_VIEW) for section in new.known),
        *(
            Entry(
                item.passage.kind,
                item.passage.title or item.passage.source,
                item.tokens,
                item.why if item.passage.id in fresh else f"{item.why}; {IN_VIEW}",
            )
            for item in gathered.found
        ),
    ]
    order.session.window_start = assembled.window_start
    store_parts = partial(
        exchanges.record_prompt,
        session_id=order.session.id,
        user_id=order.leaf,
        reply_id=order.reply.message_id,
        line_extra=line_extra,
        manifest=[msgspec.to_builtins(entry) for entry in manifest],
        window_start=assembled.window_start,
        speaker=gathered.direction.speaker,
    )
    variables = gathered.direction.variables if line_of_player else None

    def record(db: sqlite3.Connection) -> str:
        store_parts(db)
        if variables is None:
            return ""
        try:
            states.keep_variables(db, order.session.id, dump_variables(variables), order.leaf)
        except CommandError as refused:  # the story goes on without them
            return f"The variables of your notes are not kept: {refused}"
        return ""

    return record


def shorter(order: Order, refused: Prepared, error: ProviderError) -> Order:
    """Returns the order for a second try after ``refused`` was too long, with the numbers in the refusal."""
    context, counter = refused.completion.context_tokens, refused.counter
    limit = error.limit_tokens or context
    if error.used_tokens:  # exact: taken as it is, not averaged with what turned out wrong
        unchecked = msgspec.structs.replace(counter, checked=False)
        counter = unchecked.calibrated(refused.assembled.tokens, error.used_tokens)
    else:  # of what was asked for, which may have been far below the limit
        asked = refused.assembled.tokens + refused.completion.max_tokens
        limit = int(min(limit, asked) * SHRINK_SHARE)
    return msgspec.structs.replace(order, context_limit=limit, counter=counter)
