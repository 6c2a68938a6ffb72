"""What one turn is to do, what it works with, and what is gathered for it: the story and what is recalled.

Reads the story and the world. What of it becomes the prompt is decided in ``request``.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import trio
from msgspec import Struct, field
from msgspec.structs import replace

from flower import limits
from flower.engine.assets import Assets
from flower.engine.game.steering import Steering
from flower.engine.lorebook.book import TextSource
from flower.engine.lorebook.rules import Dialect
from flower.engine.lorebook.situation import budget
from flower.engine.lorebook.timed import NOTHING
from flower.engine.prompt import bookshelf
from flower.engine.prompt.bookshelf import Bookshelf, Moment, Ready
from flower.engine.prompt.direction import Direction, StoryRef, changed, direct, expanded_lore
from flower.engine.prompt.lore_entries import NO_ENTRIES, LoreEntries, named, sorted_out, why
from flower.engine.prompt.macros import Expanded, sets
from flower.engine.prompt.scripted import (
    NO_SCRIPTS,
    Acted,
    ScriptRunner,
    scripted_lore,
    scripted_path,
)
from flower.engine.recall.base import Considered, Found, Library, Query
from flower.engine.recall.scopes import (
    CAST_PREFIX,
    book_scope,
    cast_scope,
    lore_scope,
    memory_scope,
)
from flower.engine.recall.secrets import is_secret
from flower.engine.scripts.script import Script, ScriptPlace
from flower.engine.store import books, paths, personas, scripts, states, stories, tree, whispers
from flower.engine.store.connection import Connection, Store
from flower.engine.tokens import MESSAGE_TOKENS
from flower.protocol.messages import QuickReply, Recall, RecallItem, RecallMeta
from flower.settings.samplers import LORE_RULES, LORE_TOKENS

log = logging.getLogger(__name__)

RECALL_RECENT_MESSAGES = 4  # the last two exchanges are in front of the narrator anyway
RECALL_DEADLINE_S = 20.0  # then the turn goes on without recall and says so
WHY_KEPT = "a secret"


class Services(Struct, frozen=True, kw_only=True):
    """What turns work with; the same for all of them."""

    database: Store
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
    prepare: str = (
        "never"  # for which models to work ahead while the player reads: local, always, never
    )
    stop_at_player: bool = True  # a reply ends where a line of it begins as the player's
    lore_roots: tuple[Path, ...] = ()  # folders below which lore may be followed
    bookshelf: Bookshelf = field(default_factory=Bookshelf)
    scripts: ScriptRunner = field(default_factory=ScriptRunner)


class TurnInput(Struct, frozen=True, kw_only=True):
    """What one turn is to do. ``leaf``: the message the reply answers, or itself to be continued."""

    turn: str  # its id
    session_id: str
    world_id: str
    character_id: str
    reply_id: int
    leaf: int
    line: str  # that is answered
    selection: stories.Selection
    model_id: str  # the story's; the speaker may have one of their own
    continues: bool = False
    variant: int = 0  # how many replies to the same line there were before
    ask: str = ""  # what is asked instead of going on, when no line of the player is answered


class PromptContext(Struct, frozen=True):
    """The story up to the line, what lore and memory hold about it, and how the reply is to be written.

    ``recall_late``: recall took too long, so that nothing was found.
    """

    path: tuple[stories.Message, ...]
    found: tuple[Found, ...]
    nearly: tuple[tuple[Found, str], ...]  # was not recalled, and why not
    direction: Direction
    current: states.CurrentState
    recall_late: bool = False
    entries: LoreEntries = NO_ENTRIES
    acted: Acted = NO_SCRIPTS


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
    for character in direction.knowing:  # nothing to do, unless the file has changed
        if character.lore:
            await services.library.sync_source(
                cast_scope(character.id), "character", character.name, character.lore
            )
    query = _query(services, turn, direction, path, visible, ready)
    found: tuple[Found, ...] = ()
    considered = Considered()
    with trio.move_on_after(RECALL_DEADLINE_S) as scope:
        considered = await services.library.consider(query)
        found = expanded_lore(considered.found, direction)
    log.debug(
        "turn=%s recalled=%s", turn.turn, [(f.passage.title, f.why, f.passage.text) for f in found]
    )
    entries = NO_ENTRIES
    if ready is not None:
        own, greeting = await services.database.read(
            _settings_and_greeting, turn.session_id, turn.model_id, visible
        )
        room = _lore_room(services, own)
        moment = _moment(turn, direction, current, path, len(visible), room)
        moment = replace(moment, requested=bookshelf.requested(found, ready), greeting=greeting)
        entries, acted = await _fired(services, ready, moment, turn, acted)
        found = _beside(found, ready, entries, turn.world_id, room)
    if entries.outlets or entries.silenced:
        direction = await _direction(services, turn, path, current, entries.outlets, entries.silenced)
    return PromptContext(
        path=tuple(path),
        found=found,
        nearly=considered.nearly,
        direction=direction,
        current=current,
        recall_late=scope.cancelled_caught,
        entries=entries,
        acted=acted,
    )


# --- lorebooks ------------------------------------------------------------------------------------


async def ready_books(
    services: Services,
    here: StoryRef,
    direction: Direction,
    current: states.CurrentState,
) -> Ready | None:
    """Returns the lorebooks that hold for a reply; a fault of one of them costs the reply no more than that."""
    held, own = await services.database.read(
        partial(
            _books_and_settings,
            model=here.model,
            story=here.session,
            world=here.world_id,
            characters=[character.id for character in direction.knowing],
            steered=current.steering,
        )
    )
    chosen = {**services.params, **own}.get(LORE_RULES)
    dialect = Dialect.SILLYTAVERN if chosen == Dialect.SILLYTAVERN else Dialect.FLOWER
    return await services.bookshelf.ready(services.database, services.library, held, dialect)


def _books_and_settings(
    db: Connection,
    *,
    story: str,
    world: str,
    characters: Sequence[str],
    steered: Steering,
    model: str,
) -> tuple[list[books.OwnedBook], dict[str, object]]:
    held = books_here(db, story=story, world=world, characters=characters, steered=steered)
    return held, stories.of_story(db, story, model) if held else {}


def books_here(
    db: Connection, *, story: str, world: str, characters: Sequence[str], steered: Steering
) -> list[books.OwnedBook]:
    """Returns the books that hold in a story and are not switched off in it.

    Those of the persona are of the stored one that has the name the player has here: of several, the one
    that is bound to this story or character, or the default one.
    """
    name = steered.persona.name
    bound = personas.for_story(db, story, characters[0] if characters else "") if name else None
    mine = bound is not None and bound.name == name
    persona = bound if mine else personas.find_in_story(db, name, story) if name else None
    number = persona.id if persona is not None and persona.name == name else None
    held = books.holding(db, story=story, world=world, characters=characters, persona=number)
    return [one for one in held if one.stored.id not in steered.books]


async def lore_tokens(services: Services, session_id: str, model_id: str) -> int:
    """Returns the tokens that entries and recalled lore may have together."""
    return _lore_room(services, await services.database.read(stories.of_story, session_id, model_id))


def _settings_and_greeting(
    db: Connection, session_id: str, model_id: str, visible: paths.Ids
) -> tuple[dict[str, object], int | None]:
    own = stories.of_story(db, session_id, model_id)
    return own, tree.greeting(db, session_id, visible)


def _lore_room(services: Services, own: Mapping[str, object]) -> int:
    chosen = {**services.params, **own}.get(LORE_TOKENS)
    return chosen if isinstance(chosen, int) else budget(limits.LORE_SHARE, services.context_tokens)


def _moment(
    turn: TurnInput,
    direction: Direction,
    current: states.CurrentState,
    path: Sequence[stories.Message],
    count: int,
    room: int,
) -> Moment:
    """Returns what a scan works with. Its dice are those of the line, so that another try fires the same."""
    said = path[:-1] if turn.continues and len(path) > 1 else path
    line = said[-1].id if said else turn.leaf
    return replace(
        moment_of(direction, current, path, count, room),
        seed=f"{turn.session_id}:{line}",
        timed=bookshelf.timed_before(said) or NOTHING,
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


async def _fired(
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
    kept = moment.path[-1].extra.lore_timed if moment.path else None
    lasting = outcome.timed != NOTHING or moment.timed != NOTHING or kept is not None
    entries = replace(
        entries,
        timed=outcome.timed if lasting and not turn.continues else None,
        variables=changed(Expanded("", outcome.variables), moment.values),
        trouble=ready.trouble,
    )
    return entries, acted


def _beside(
    found: Sequence[Found], ready: Ready, entries: LoreEntries, world_id: str, room: int
) -> tuple[Found, ...]:
    """Returns what was recalled beside the entries that fired: nothing twice, and what is left of the room."""
    own = {book_scope(number) for number in ready.ids.values()}
    files = {bookshelf.file_of(entry.id) for entry in entries.fired} - {""}
    left = room - entries.tokens
    kept = []
    for item in found:
        passage = item.passage
        if passage.scope in own or (passage.scope == lore_scope(world_id) and passage.source in files):
            continue
        if passage.kind == "lore":
            left -= item.tokens
            if left < 0:
                continue
        kept.append(item)
    return tuple(kept)


# --- the story, and recall ------------------------------------------------------------------------


def _story_so_far(
    db: Connection, turn: TurnInput, most: int
) -> tuple[list[stories.Message], states.CurrentState, paths.Ids, tuple[Script, ...]]:
    """Returns the end of the path to a turn's message, its state there, the whole path's ids, and
    the scripts that hold."""
    session_id, leaf = turn.session_id, turn.leaf
    whole = stories.path(db, leaf, most=most)
    path = [message for message in whole[:-1] if not message.extra.hidden] + whole[-1:]
    current = states.current_at(db, session_id, leaf, path[-1].created if path else 0.0)
    if current.steering.players and turn.reply_id and not turn.ask:
        path = _with_whispers(db, path)  # what a player asks for alone is made without
    held = scripts.holding(db, (turn.character_id, *current.steering.cast.members))
    return path, current, paths.way(db, leaf).remembered, held


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


def is_kept(item: Found) -> bool:
    """Whether what was recalled is a secret, which the player is not to be shown: of the world, or of a character."""
    passage = item.passage
    if passage.kind != "lore":
        return False
    return passage.scope.startswith(CAST_PREFIX) or is_secret(passage.title, passage.text)


def reason(item: Found) -> str:
    """Returns why something was recalled, as the player may read it: a secret's words say what it is."""
    return WHY_KEPT if is_kept(item) else item.why


def recall_event(
    turn: str, found: Sequence[Found], entries: LoreEntries = NO_ENTRIES, *, shared: bool = False
) -> Recall:
    """Returns what the watchers of a story are shown of what was recalled for a turn.

    A secret of the world is shown by its heading alone: who plays may be watching. So is a memory of a story that is
    ``shared``: not everybody at its table was there.
    """
    fired = [
        RecallItem(
            kind="lore",
            title=named(one.id, one.title),
            text="" if is_secret(one.title, one.text) else one.text,
            why=why(one),
        )
        for one in entries.fired
        if one not in entries.steady
    ]
    recalled = [
        RecallItem(
            kind=item.passage.kind,
            title=", ".join(item.passage.title.split("\n")).removeprefix(", "),
            text="" if kept or (shared and item.passage.kind == "memory") else item.passage.text,
            why=WHY_KEPT if kept else item.why,
            similarity=round(item.similarity or 0.0, 3),
        )
        for item, kept in zip(found, map(is_kept, found), strict=True)
    ]
    items = (*fired, *recalled)
    lore = sum(item.kind == "lore" for item in items)
    return Recall(
        f"recalled {lore} of lore, {len(items) - lore} of this story", RecallMeta(turn, items)
    )
