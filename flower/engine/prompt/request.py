"""The request for one reply: the prompt within its budget, and what it was made of.

Reads summaries and sampler settings, asks the model's server to count where that is worth a round trip.
What can go into the prompt was gathered before (``context``); here it is decided how much of it fits.
Stores nothing: a turn stores the ``PromptRecord`` when the reply is first flushed.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import partial
from itertools import accumulate

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.lorebook.outcome import Fired
from flower.engine.prompt import state_sections
from flower.engine.prompt.assemble import (
    LINE_SHARE,
    Assembled,
    PromptLine,
    Section,
    assemble,
    standing_text,
)
from flower.engine.prompt.context import PromptContext, Services, TurnInput, reason
from flower.engine.prompt.cue import cue_of
from flower.engine.prompt.lore_entries import (
    not_told,
    note_of_entry,
    rows_of,
    rows_of_held,
    telling_of,
    with_entries,
)
from flower.engine.prompt.macros import NOBODY
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.scripted import rows_of_scripts
from flower.engine.prompt.sections import CONTINUE, SCAFFOLD, note_of, summary_section, with_notes
from flower.engine.prompt.story_settings import settings_of
from flower.engine.provider.base import Completion, Template
from flower.engine.provider.capabilities import Composing, Prefilling
from flower.engine.recall.base import Found
from flower.engine.recall.scopes import cast_scope
from flower.engine.store import exchanges, search
from flower.engine.store.branches import GO_ON
from flower.engine.store.exchanges import LineNotes, PromptRecord
from flower.engine.store.extra import ManifestEntry
from flower.engine.store.search import Summary
from flower.engine.store.stories import Message
from flower.engine.tokens import TokenCounter
from flower.errors import ProviderError

IN_VIEW = "already in view"
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
    model: ChosenModel
    context: PromptContext
    prefill: bool = False  # the last message is the reply so far, and goes on

    @property
    def context_tokens(self) -> int:
        return self.model.context_tokens(self.services.context_tokens)

    @property
    def reply_tokens(self) -> int:
        return self.model.reply_tokens(self.services.context_tokens, self.services.reply_tokens)

    @property
    def budget(self) -> int:
        """Tokens there are for the prompt."""
        return int((self.context_tokens - self.reply_tokens) * limits.CONTEXT_USED_SHARE)


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
    settings = await settings_of(services, turn.session_id, model.id, turn.variant)
    goes_on = turn.continues and bool(context.path) and context.path[-1].role == "assistant"
    prefill = goes_on and goes_on_exactly(model, settings.template)
    inputs = _Inputs(services, turn, model, context, prefill)
    counter = model.counter
    fresh, assembled = await _settle(inputs, counter, window_start)
    if not counter.checked or assembled.tokens > NEAR_BUDGET * inputs.budget:
        counter = await _counted_exactly(model, assembled)
        if counter is not model.counter:
            fresh, assembled = await _settle(inputs, counter, window_start)
    completion = Completion(
        model=model.name,
        messages=assembled.messages,
        max_tokens=inputs.reply_tokens,
        context_tokens=inputs.context_tokens,
        params=settings.params,
        session=turn.session_id,
        cue=cue_of(services, turn, context, await _said_elsewhere(services, turn, model)),
        player_names=_player_names(services, context),
        scaffold=SCAFFOLD,
        banned=settings.banned,
        template=settings.template,
    )
    return PreparedPrompt(completion, assembled, counter, _record(inputs, fresh, assembled))


def goes_on_exactly(model: ChosenModel, template: Template | str | None) -> bool:
    """Returns whether a reply of the model that is to be continued goes on in its own words."""
    provider = model.provider
    return isinstance(provider, Prefilling) and provider.prefills(model.name, template)


async def _said_elsewhere(services: Services, turn: TurnInput, model: ChosenModel) -> tuple[str, ...]:
    """Returns the last replies in other stories, for a model that makes its own from phrases."""
    if not isinstance(model.provider, Composing):
        return ()
    return await services.database.read(
        exchanges.replies_elsewhere, turn.session_id, turn.model_id, limits.CUE_EARLIER
    )


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


def _not_in_view(context: PromptContext, window_start: int | None) -> list[Found]:
    """Returns what the model does not have in view: neither told before nor said in the window."""
    window = [m for m in context.path if window_start is None or m.id >= window_start]
    told = {passage for m in window[:-1] for passage in m.extra.recalled_ids}
    said = {m.id for m in window}
    return [f for f in context.found if f.passage.id not in told and f.passage.message_id not in said]


def _entries_not_in_view(context: PromptContext, window_start: int | None) -> tuple[Fired, ...]:
    """Returns the entries told with the line that were not told with one that is in the window."""
    told = {
        telling
        for m in context.path[:-1]
        if window_start is None or m.id >= window_start
        for telling in m.extra.entries
    }
    return not_told(context.entries.with_line, told)


class _Fresh(Struct, frozen=True):
    """What the model does not have in view. ``known``: what it has of the current state."""

    found: list[Found]
    recalled: str  # for everybody
    private: list[tuple[str, str]]  # notes of what one character alone knows, with the character's id
    standing: tuple[Section, ...]
    known: tuple[Section, ...]
    entries: tuple[Fired, ...] = ()  # of lorebooks

    @property
    def size(self) -> int:
        return len(self.found) + len(self.standing) + len(self.entries)


def _with_room(
    entries: Sequence[Fired], found: list[Found], counter: TokenCounter, room: int
) -> tuple[tuple[Fired, ...], list[Found]]:
    """Returns the entries, and the passages beside them, that a line has room for, each as a whole.

    What has none is not told, so it is told with the next line that fires it.
    """
    told = []
    for entry in entries:
        size = counter.count(note_of_entry(entry))
        if size <= room:
            room -= size
            told.append(entry)
    if entries:
        sizes = accumulate(counter.count(note_of(item)) for item in found)
        found = [item for item, size in zip(found, sizes, strict=True) if size <= room]
    return tuple(told), found


def _fresh(inputs: _Inputs, counter: TokenCounter, window_start: int | None) -> _Fresh:
    context = inputs.context
    if inputs.prefill:  # there is no line that anything could be told with
        return _Fresh(found=[], recalled="", private=[], standing=(), known=())
    entries, found = _with_room(
        _entries_not_in_view(context, window_start),
        _not_in_view(context, window_start),
        counter,
        int(inputs.budget * RECALLED_SHARE),
    )
    told = [
        dict(m.extra.stands)
        for m in context.path[:-1]
        if m.role != "assistant" and (window_start is None or m.id >= window_start)
    ]
    direction = context.direction
    standing, known = state_sections.due(direction.tail, told, direction.note_every)
    owners = {cast_scope(character.id): character.id for character in direction.knowing}
    alone = context.entries.private
    private = [
        *((alone[one.id.book], note_of_entry(one)) for one in entries if one.id.book in alone),
        *(
            (owners[item.passage.scope], note_of(item, private=True))
            for item in found
            if item.passage.scope in owners
        ),
    ]
    shared = [
        *(note_of_entry(one) for one in entries if one.id.book not in alone),
        *(note_of(item) for item in found if item.passage.scope not in owners),
    ]
    return _Fresh(
        found=found,
        recalled=with_notes("", shared),
        private=private,
        standing=standing,
        known=known,
        entries=entries,
    )


async def _settle(
    inputs: _Inputs, counter: TokenCounter, start: int | None
) -> tuple[_Fresh, Assembled]:
    """Returns what is newly told, and the prompt; ``start`` is where its window began last time.

    When the window moves, what was told or said in the part that went is no longer in view.
    """
    while True:
        fresh = _fresh(inputs, counter, start)
        assembled = await _settle_window(inputs, fresh, counter, start)
        moved = assembled.window_start
        if moved == start or _fresh(inputs, counter, moved).size <= fresh.size:
            return fresh, assembled
        start = moved


async def _settle_window(
    inputs: _Inputs, fresh: _Fresh, counter: TokenCounter, start: int | None
) -> Assembled:
    """Returns the prompt; when the history's window moves, with the summary of what went above it.

    A summary that reaches into the window is not told: it waits for the next move, so that in between
    the prompt only grows.
    """
    newest = partial(inputs.services.database.read, search.newest, inputs.turn.leaf)
    ready = await newest()

    async def above(place: int | None) -> Summary | None:
        if ready is None or place is None or ready.last_id < place:
            return ready  # what reaches furthest of all ends above it: no need to ask again
        return await newest(before=place)

    told = await above(start) if start is not None else None
    behind = ready.last_id if ready is not None else None
    assembled = _assemble(inputs, fresh, counter, start, told, behind)
    if ready is None or assembled.window_start == start:
        return assembled
    told = await above(assembled.window_start)
    return _assemble(inputs, fresh, counter, assembled.window_start, told, behind)


def _assemble(
    inputs: _Inputs,
    fresh: _Fresh,
    counter: TokenCounter,
    start: int | None,
    told: Summary | None,
    summarised: int | None,
) -> Assembled:
    turn, direction = inputs.turn, inputs.context.direction
    entries = inputs.context.entries
    sections = with_entries(direction.sections, entries.steady)
    if told is not None:
        sections = (*sections, summary_section(told.text, told.last_id))
    knowing = frozenset(character.id for character in direction.knowing)
    lines = [line_of(message, knowing) for message in inputs.context.path]
    recalled = with_notes(fresh.recalled, [note for _, note in fresh.private])
    insets = direction.insets
    if inputs.prefill:  # nothing may stand below the reply that goes on
        insets = tuple(replace(inset, depth=max(inset.depth, 0)) for inset in insets)
    elif lines and lines[-1].role == "assistant":  # the narrator's words, or the player's in its place
        ask = turn.ask or (CONTINUE if turn.continues else GO_ON)
        lines.append(PromptLine(turn.leaf + 1, "user", ask, recalled))
    elif lines:
        lines[-1] = replace(lines[-1], recalled=recalled, stands="")
    return assemble(
        sections,
        lines,
        budget=inputs.budget,
        counter=counter,
        window_start=start,
        summarised=summarised,
        tail=fresh.standing,
        insets=insets,
        entries=entries.insets,
    )


def line_of(message: Message, knowing: Container[str] = ()) -> PromptLine:
    """Returns a message as prompts have it, with what was told for it.

    ``knowing`` are the ids of the characters who speak now: what others alone know is left out.
    """
    extra = message.extra
    private = [note for owner, note in extra.private if owner in knowing]
    stands = standing_text(text for _, text in extra.stands)
    content = extra.told or message.content
    recalled = with_notes(extra.recalled, private)
    return PromptLine(
        id=message.id, role=message.role, content=content, recalled=recalled, stands=stands
    )


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


def _record(inputs: _Inputs, fresh: _Fresh, assembled: Assembled) -> PromptRecord:
    """Returns what is stored of a prompt: for the next prompt and for /why."""
    turn, path = inputs.turn, inputs.context.path
    line_of_player = bool(path) and path[-1].role != "assistant"
    notes = LineNotes(
        recalled=fresh.recalled,
        private=fresh.private,
        recalled_ids=[item.passage.id for item in fresh.found],
        entries=[telling_of(entry) for entry in fresh.entries],
        stands=[(state_sections.key_of(section), section.text) for section in assembled.told],
    )
    entries = inputs.context.entries
    variables = inputs.context.direction.variables if entries.variables is None else entries.variables
    return PromptRecord(
        session_id=turn.session_id,
        line_id=turn.leaf,
        reply_id=turn.reply_id,
        line=notes if line_of_player else None,
        manifest=_manifest(inputs, fresh, assembled),
        window_start=assembled.window_start,
        speaker=inputs.context.direction.speaker,
        variables=variables if line_of_player else None,
        lore_timed=entries.timed,
        nearly=rows_of_held(entries.held),
    )


def _manifest(inputs: _Inputs, fresh: _Fresh, assembled: Assembled) -> list[ManifestEntry]:
    """Returns the parts of a prompt as /why lists them."""
    ids = {item.passage.id for item in fresh.found}
    entries = inputs.context.entries
    again = {entry.id for entry in entries.with_line if entry not in fresh.entries}
    own = " (the speaker's own)" if inputs.context.direction.model == inputs.model.id else ""
    return [
        ManifestEntry("model", f"{inputs.model.id}{own}", 0),
        *assembled.manifest,
        *(ManifestEntry(section.name, section.source, 0, IN_VIEW) for section in fresh.known),
        *rows_of_scripts(inputs.context.acted),
        *rows_of(entries.fired, again),
        *(
            ManifestEntry(
                item.passage.kind,
                (item.passage.title if item.passage.kind == "lore" else "") or item.passage.source,
                item.tokens,
                reason(item) if item.passage.id in ids else f"{reason(item)}; {IN_VIEW}",
            )
            for item in inputs.context.found
            if not inputs.prefill
        ),
        *(
            ManifestEntry(
                "nearly",
                f"{item.passage.kind} {item.passage.id} {item.passage.title}".rstrip(),
                0,
                f"not told, {why}: {reason(item)}",
            )
            for item, why in inputs.context.nearly
        ),
    ]


def shorter(model: ChosenModel, refused: PreparedPrompt, error: ProviderError) -> ChosenModel:
    """Returns the model for a second try after ``refused`` was too long, with what the refusal taught."""
    context, counter = refused.completion.context_tokens, refused.counter
    limit = error.limit_tokens or context
    if error.used_tokens:
        counter = counter.calibrated(refused.assembled.tokens, error.used_tokens, exact=True)
    else:  # of what was asked for, which may have been far below the limit
        asked = refused.assembled.tokens + refused.completion.max_tokens
        limit = int(min(limit, asked) * SHRINK_SHARE)
    return replace(model, context_limit=limit, counter=counter)
