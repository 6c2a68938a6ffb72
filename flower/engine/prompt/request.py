"""The request for one reply: the prompt within its budget, and what it was made of.

Reads what the context does not have of summaries, templates and a speaker's own model, and asks the model's server to
count where that is worth a round trip.
What can go into the prompt was gathered before (``context``); here it is decided how much of it fits.
Stores nothing: a turn stores the ``PromptRecord`` when the reply is first flushed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.prompt.assemble import (
    LINE_SHARE,
    Assembled,
    Inset,
    PromptLine,
    assemble,
    state_text,
)
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.cue import cue_of
from flower.engine.prompt.lore_entries import with_entries
from flower.engine.prompt.macros import NOBODY
from flower.engine.prompt.model import ChosenModel, StorySettings, TokenRoom, settings_of, template_of
from flower.engine.prompt.plain_text import StoryText
from flower.engine.prompt.record import NOTHING, Fresh, fresh_of, record_of
from flower.engine.prompt.sections import CONTINUE, SCAFFOLD, with_notes
from flower.engine.prompt.summary import summary_section
from flower.engine.prompt.turn_input import Services, TurnInput
from flower.engine.provider.base import Completion, Cue, Template
from flower.engine.provider.capabilities import Composing, Prefilling
from flower.engine.store import exchanges, search
from flower.engine.store.branches import GO_ON
from flower.engine.store.exchanges import PromptRecord
from flower.engine.store.search import Summary
from flower.engine.store.stories import Message
from flower.engine.token_counter import TokenCounter
from flower.errors import ProviderError

CUE_EARLIER = 80  # replies in other stories whose phrases are not used again

RECALLED_SHARE = LINE_SHARE / 2 * 0.95  # of the budget: half of a line's share, less what frames it
SHRINK_SHARE = 0.7  # of the context that was refused, when the refusal has no numbers
SECOND_TRY_SEED = 1_000_003  # more than a line has variants
NEAR_BUDGET = 0.8  # above this share of the budget an exact count is worth a round trip


class PreparedPrompt(Struct, frozen=True):
    """A request, what is in it, and the counter as corrected by an exact count.

    ``record`` is what to store of it; that can wait for the first flush of the reply, so that asking the
    model does not wait for the disk once more.
    """

    completion: Completion
    assembled: Assembled
    counter: TokenCounter
    record: PromptRecord


class _Inputs(Struct, frozen=True):
    """Everything a prompt is made from, but the counter and the window."""

    services: Services
    turn: TurnInput
    context: PromptContext
    room: TokenRoom
    prefill: bool = False  # the last message is the reply so far, and goes on

    def fresh(self, counter: TokenCounter, window_start: int | None) -> Fresh:
        if self.prefill:  # there is no line that anything could go with
            return NOTHING
        return fresh_of(self.context, counter, window_start, int(self.room.prompt * RECALLED_SHARE))


async def build_prompt(
    services: Services,
    turn: TurnInput,
    model: ChosenModel,
    context: PromptContext,
    window_start: int | None,
) -> PreparedPrompt:
    """Returns the request for the reply. Raises ``StoreError`` if the story cannot be read.

    ``window_start``: the first message of the history in this story's last prompt.
    """
    settings = await _settings_for(model, services, turn, context)
    template = await template_of(services, settings)
    goes_on = turn.continues and bool(context.path) and context.path[-1].role == "assistant"
    prefill = goes_on and goes_on_exactly(model, template)
    inputs = _Inputs(services, turn, context, model.room(context.settings), prefill)
    counter = model.counter
    fresh, assembled = await _settle(inputs, counter, window_start)
    if not counter.checked or assembled.tokens > NEAR_BUDGET * inputs.room.prompt:
        counter = await _counted_exactly(model, assembled)
        if counter is not model.counter:
            fresh, assembled = await _settle(inputs, counter, window_start)
    completion = Completion(
        model=model.name,
        messages=assembled.messages,
        max_tokens=inputs.room.reply,
        context_tokens=inputs.room.context,
        params=settings.params(turn.variant),
        session=turn.session_id,
        cue=await _cue(services, turn, model, context),
        player_names=_player_names(services, context),
        scaffold=SCAFFOLD,
        banned=settings.banned,
        template=template,
        story=StoryText(assembled.system, assembled.messages),
    )
    record = record_of(turn, model, context, fresh, assembled, prefill=prefill)
    return PreparedPrompt(completion, assembled, counter, record)


async def _settings_for(
    model: ChosenModel, services: Services, turn: TurnInput, context: PromptContext
) -> StorySettings:
    """Returns the settings that go to a model: a speaker's own has others than the story's."""
    if model.id == turn.model_id:
        return context.settings
    return await settings_of(services, turn.session_id, model.id)


def goes_on_exactly(model: ChosenModel, template: Template | str | None) -> bool:
    """Returns whether a reply of the model that is to be continued goes on in its own words."""
    provider = model.provider
    return isinstance(provider, Prefilling) and provider.prefills(model.name, template)


async def _cue(services: Services, turn: TurnInput, model: ChosenModel, context: PromptContext) -> Cue:
    """Returns what a provider that composes plays from; for others only the chance that this reply has."""
    seed = services.seed if services.seed is not None else zlib.crc32(turn.session_id.encode())
    seed += turn.variant
    providers = (model.provider, *(one for one, _ in model.fallbacks))
    if not any(isinstance(one, Composing) for one in providers):
        return Cue(seed=seed)
    earlier = await services.database.read(
        exchanges.replies_elsewhere, turn.session_id, turn.model_id, CUE_EARLIER
    )
    return cue_of(turn, context, seed=seed, earlier=earlier)


def _player_names(services: Services, context: PromptContext) -> tuple[str, ...]:
    """Returns the names under which no line of a reply may begin."""
    if not services.stop_at_player:
        return ()
    user = context.direction.values.user
    return ("You", "User", "Player") if user == NOBODY else ("You", user)


async def _counted_exactly(model: ChosenModel, assembled: Assembled) -> TokenCounter:
    """Returns the counter corrected by the backend's own count, if it can count."""
    text = "\n".join(message.content for message in assembled.messages)
    exact = await model.provider.count_tokens(text)
    if exact is None:
        return model.counter
    estimated = sum(model.counter.count(message.content) for message in assembled.messages)
    return model.counter.calibrated(estimated, exact, exact=True)


async def _settle(inputs: _Inputs, counter: TokenCounter, start: int | None) -> tuple[Fresh, Assembled]:
    """Returns what goes with the newest line, and the prompt; ``start`` is where its window began last time.

    When the window moves, what was given or said in the part that went is no longer in view.
    """
    while True:
        fresh = inputs.fresh(counter, start)
        assembled = await _settle_window(inputs, fresh, counter, start)
        moved = assembled.window_start
        if moved == start or inputs.fresh(counter, moved).size <= fresh.size:
            return fresh, assembled
        start = moved


async def _settle_window(
    inputs: _Inputs, fresh: Fresh, counter: TokenCounter, start: int | None
) -> Assembled:
    """Returns the prompt; when the history's window moves, with the summary of what went above it.

    A summary that reaches into the window is left out: it waits for the next move, so that in between
    the prompt only grows.
    """
    ready = inputs.context.summary

    async def above(place: int | None) -> Summary | None:
        if ready is None or place is None or ready.last_id < place:
            return ready  # what reaches furthest of all ends above it: no need to ask again
        return await inputs.services.database.read(search.newest, inputs.turn.leaf, before=place)

    summary = await above(start) if start is not None else None
    behind = ready.last_id if ready is not None else None
    assembled = _assemble(inputs, fresh, counter, start, summary, behind)
    if ready is None or assembled.window_start == start:
        return assembled
    summary = await above(assembled.window_start)
    return _assemble(inputs, fresh, counter, assembled.window_start, summary, behind)


def _assemble(
    inputs: _Inputs,
    fresh: Fresh,
    counter: TokenCounter,
    start: int | None,
    summary: Summary | None,
    summarised: int | None,
) -> Assembled:
    turn, direction = inputs.turn, inputs.context.direction
    entries = inputs.context.entries
    sections = direction.sections
    if entries.steady:
        sections = with_entries(sections, entries.steady)
    if summary is not None:
        sections = (*sections, summary_section(summary.text, summary.last_id))
    knowing = frozenset(character.id for character in direction.knowing)
    lines = [line_of(message, knowing) for message in inputs.context.path]
    recalled = with_notes(fresh.recalled, [note for _, note in fresh.private])
    insets, placed = direction.insets, entries.insets
    if turn.continues:  # nothing may be below the reply that goes on
        insets, placed = (_moved(texts, lambda depth: max(depth, 0)) for texts in (insets, placed))
    if (
        not inputs.prefill and lines and lines[-1].role == "assistant"
    ):  # the narrator's words, or the player's in its place
        ask = turn.ask or (CONTINUE if turn.continues else GO_ON)
        lines.append(PromptLine(turn.leaf + 1, "user", ask, recalled))
        # Depths are counted from the newest message of the story, which our own line is not.
        insets, placed = (_moved(texts, lambda depth: depth + 1) for texts in (insets, placed))
    elif lines and not inputs.prefill:
        lines[-1] = replace(lines[-1], recalled=recalled, state="")
    return assemble(
        sections,
        lines,
        budget=inputs.room.prompt,
        counter=counter,
        window_start=start,
        summarised=summarised,
        tail=fresh.tail,
        insets=insets,
        entries=placed,
    )


def _moved(insets: Sequence[Inset], move: Callable[[int], int]) -> tuple[Inset, ...]:
    """Returns texts at other depths; those that meet at one are in the order in which they were."""
    falling = sorted(insets, key=lambda inset: -inset.depth)
    return tuple(replace(inset, depth=move(inset.depth)) for inset in falling)


def line_of(message: Message, knowing: Container[str] = ()) -> PromptLine:
    """Returns a message as prompts have it, with what was given with it.

    ``knowing`` are the ids of the characters who speak now: what others alone know is left out.
    """
    extra = message.extra
    private = [note for owner, note in extra.private if owner in knowing]
    state = state_text(text for _, text in extra.stands)
    content = extra.told or message.content
    recalled = with_notes(extra.recalled, private)
    return PromptLine(id=message.id, role=message.role, content=content, recalled=recalled, state=state)


def once_more(prompt: PreparedPrompt, ask: str) -> PreparedPrompt:
    """Returns the prompt for a second try at a reply, with something to mind said at its end."""
    completion = prompt.completion
    last = completion.messages[-1:]
    messages = completion.messages
    if last and last[0].role != "assistant":  # else the reply goes on in it
        messages = (*messages[:-1], replace(last[0], content=f"{last[0].content}\n\n{ask}"))
    params = dict(completion.params)
    if isinstance(seed := params.get("seed"), int) and seed >= 0:
        params["seed"] = seed + SECOND_TRY_SEED
    cue = replace(completion.cue, seed=completion.cue.seed + SECOND_TRY_SEED)
    return replace(prompt, completion=replace(completion, messages=messages, params=params, cue=cue))


def shorter(model: ChosenModel, refused: PreparedPrompt, error: ProviderError) -> ChosenModel:
    """Returns the model for a second try after ``refused`` was too long, with what the refusal taught."""
    context, counter = refused.completion.context_tokens, refused.counter
    limit = error.limit_tokens or context
    if error.used_tokens:
        counter = counter.calibrated(refused.assembled.tokens, error.used_tokens, exact=True)
    else:  # of what was asked for, which may have been far below the limit
        tokens = refused.assembled.tokens + refused.completion.max_tokens
        limit = int(min(limit, tokens) * SHRINK_SHARE)
    return replace(model, context_limit=limit, counter=counter)
