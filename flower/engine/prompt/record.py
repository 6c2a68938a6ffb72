"""What a prompt gives with its newest line, and what of that is stored and shown. Pure.

Passages, lore entries and texts about the state stay in the prompt with the line they were given with, as
long as that is in the window. So what is there already is not given twice, and what left is given anew (``Fresh``).
What was given is stored for the prompts that follow and for ``/why`` (``record_of``), what was recalled is shown to
those who watch (``recall_event``), but for secrets.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import accumulate

from msgspec import Struct

from flower.engine.lorebook.outcome import Cause, Fired, Held
from flower.engine.lorebook.rules import EntryId
from flower.engine.prompt.assemble import Assembled, Section
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.lore_entries import NO_ENTRIES, LoreEntries, entry_key, note_of_entry
from flower.engine.prompt.model import ChosenModel
from flower.engine.prompt.scripted import rows_of_scripts
from flower.engine.prompt.sections import due, note_of, section_key, with_notes
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.recall.base import CAST_PREFIX, Hit, cast_scope
from flower.engine.recall.secrets import is_secret
from flower.engine.store.exchanges import LineNotes, PromptRecord
from flower.engine.store.extra import ManifestEntry
from flower.engine.token_counter import TokenCounter
from flower.protocol.messages import Recall, RecallItem, RecallMeta

IN_VIEW = "already in view"
WHY_KEPT = "a secret"
FIRED = "entry"  # how lists of a prompt's parts call an entry that fired, wherever it goes

_CAUSES = {
    Cause.KEY: "fired",
    Cause.CONSTANT: "always",
    Cause.DECORATOR: "by its decorator",
    Cause.REQUEST: "recalled by meaning",
    Cause.STICKY: "stays",
}

# --- what goes with the newest line -----------------------------------------------------------------


def _not_in_view(context: PromptContext, window_start: int | None) -> list[Hit]:
    """Returns what the model does not have in view: neither given with a line of the window nor said in it."""
    window = [m for m in context.path if window_start is None or m.id >= window_start]
    earlier = {passage for m in window[:-1] for passage in m.extra.recalled_ids}
    messages = {m.id for m in window}
    return [
        f for f in context.hits if f.passage.id not in earlier and f.passage.message_id not in messages
    ]


def _entries_not_in_view(context: PromptContext, window_start: int | None) -> tuple[Fired, ...]:
    """Returns the entries due with the line that were given with none that is in the window."""
    if not context.entries.with_line:
        return ()
    earlier = {
        key
        for m in context.path[:-1]
        if window_start is None or m.id >= window_start
        for key in m.extra.entries
    }
    return tuple(entry for entry in context.entries.with_line if entry_key(entry) not in earlier)


class Fresh(Struct, frozen=True):
    """What the model does not have in view. ``in_view``: what it has of the current state."""

    hits: list[Hit]
    recalled: str  # for everybody
    private: list[tuple[str, str]]  # notes of what one character alone knows, with the character's id
    tail: tuple[Section, ...]
    in_view: tuple[Section, ...]
    entries: tuple[Fired, ...] = ()  # of lorebooks

    @property
    def size(self) -> int:
        return len(self.hits) + len(self.tail) + len(self.entries)


NOTHING = Fresh(hits=[], recalled="", private=[], tail=(), in_view=())


def _with_room(
    entries: Sequence[Fired], hits: list[Hit], counter: TokenCounter, room: int
) -> tuple[tuple[Fired, ...], list[Hit]]:
    """Returns the entries, and the passages beside them, that a line has room for, each as a whole.

    What has none is left out, so it comes with the next line that fires it.
    """
    fitting = []
    for entry in entries:
        size = counter.count(note_of_entry(entry))
        if size <= room:
            room -= size
            fitting.append(entry)
    if entries:
        sizes = accumulate(counter.count(note_of(item)) for item in hits)
        hits = [item for item, size in zip(hits, sizes, strict=True) if size <= room]
    return tuple(fitting), hits


def fresh_of(
    context: PromptContext, counter: TokenCounter, window_start: int | None, room: int
) -> Fresh:
    """Returns what goes with the newest line; ``room``: the tokens there are for passages and entries."""
    entries, hits = _with_room(
        _entries_not_in_view(context, window_start),
        _not_in_view(context, window_start),
        counter,
        room,
    )
    earlier = [
        dict(m.extra.stands)
        for m in context.path[:-1]
        if m.role != "assistant" and (window_start is None or m.id >= window_start)
    ]
    direction = context.direction
    tail, in_view = due(direction.tail, earlier, direction.note_every)
    owners = {cast_scope(character.id): character.id for character in direction.knowing}
    alone = context.entries.private
    private = [
        *((alone[one.id.book], note_of_entry(one)) for one in entries if one.id.book in alone),
        *(
            (owners[item.passage.scope], note_of(item, private=True))
            for item in hits
            if item.passage.scope in owners
        ),
    ]
    shared = [
        *(note_of_entry(one) for one in entries if one.id.book not in alone),
        *(note_of(item) for item in hits if item.passage.scope not in owners),
    ]
    return Fresh(
        hits=hits,
        recalled=with_notes("", shared),
        private=private,
        tail=tail,
        in_view=in_view,
        entries=entries,
    )


# --- what is stored ---------------------------------------------------------------------------------


def record_of(
    turn: TurnInput,
    model: ChosenModel,
    context: PromptContext,
    fresh: Fresh,
    assembled: Assembled,
    *,
    prefill: bool,
) -> PromptRecord:
    """Returns what is stored of a prompt: for the next prompt and for /why."""
    path = context.path
    line_of_player = bool(path) and path[-1].role != "assistant"
    notes = LineNotes(
        recalled=fresh.recalled,
        private=fresh.private,
        recalled_ids=[item.passage.id for item in fresh.hits],
        entries=[entry_key(entry) for entry in fresh.entries],
        stands=[(section_key(section), section.text) for section in assembled.tail],
    )
    entries = context.entries
    variables = context.direction.variables if entries.variables is None else entries.variables
    return PromptRecord(
        session_id=turn.session_id,
        line_id=turn.leaf,
        reply_id=turn.reply_id,
        line=notes if line_of_player else None,
        manifest=_manifest(model, context, fresh, assembled, prefill=prefill),
        window_start=assembled.window_start,
        speaker=context.direction.speaker,
        on_stage=[one.id for one in context.direction.played],
        variables=variables if line_of_player else None,
        lore_timed=entries.timed,
        nearly=rows_of_held(entries.held),
    )


def _manifest(
    model: ChosenModel, context: PromptContext, fresh: Fresh, assembled: Assembled, *, prefill: bool
) -> list[ManifestEntry]:
    """Returns the parts of a prompt as /why lists them."""
    ids = {item.passage.id for item in fresh.hits}
    entries = context.entries
    again = {entry.id for entry in entries.with_line if entry not in fresh.entries}
    own = " (the speaker's own)" if context.direction.model == model.id else ""
    return [
        ManifestEntry("model", f"{model.id}{own}", 0),
        *assembled.manifest,
        *(ManifestEntry(section.name, section.source, 0, IN_VIEW) for section in fresh.in_view),
        *(rows_of_scripts(context.acted) if context.acted.scripts else ()),
        *rows_of(entries.fired, again),
        *(
            ManifestEntry(
                item.passage.kind,
                (item.passage.title if item.passage.kind == "lore" else "") or item.passage.source,
                item.tokens,
                reason(item) if item.passage.id in ids else f"{reason(item)}; {IN_VIEW}",
            )
            for item in context.hits
            if not prefill
        ),
        *(
            ManifestEntry(
                "nearly",
                " ".join(f"{item.passage.kind} {item.passage.id} {item.passage.title}".split()),
                0,
                f"left out, {why}: {reason(item)}",
            )
            for item, why in context.nearly
        ),
    ]


# --- what is shown ----------------------------------------------------------------------------------


def rows_of(entries: Sequence[Fired], in_view: Collection[EntryId] = ()) -> list[ManifestEntry]:
    """Returns entries that fired as parts of a prompt: which, why and by which key."""
    return [
        ManifestEntry(
            FIRED,
            named(entry.id, entry.title),
            round(entry.tokens),
            why(entry) + ("; already in view" if entry.id in in_view else ""),
        )
        for entry in entries
    ]


def rows_of_held(held: Sequence[Held]) -> list[ManifestEntry]:
    """Returns entries that nearly fired, with what kept them."""
    return [ManifestEntry(FIRED, named(one.id, one.title), 0, kept_by(one)) for one in held]


def why(entry: Fired) -> str:
    """Returns why an entry fired, in a few words."""
    cause = _CAUSES[entry.cause]
    by = f" by {entry.key!r}" if entry.key and entry.cause is Cause.KEY else ""
    through = ", through another entry" if entry.step and entry.cause is Cause.KEY else ""
    return f"{cause}{by}{through}"


def kept_by(held: Held) -> str:
    """Returns what kept an entry, in a few words."""
    key = f"{held.key!r} was found; " if held.key else ""
    detail = f" ({held.detail})" if held.detail else ""
    return f"{key}kept by: {held.reason.value}{detail}"


def named(entry: EntryId, title: str) -> str:
    """Returns an entry as people know it."""
    return f"{entry.book} / {title or entry.uid}"


def is_kept(item: Hit) -> bool:
    """Whether what was recalled is a secret, which the player is not to be shown: of the world, or of a character."""
    passage = item.passage
    if passage.kind != "lore":
        return False
    return passage.scope.startswith(CAST_PREFIX) or is_secret(passage.title, passage.text)


def reason(item: Hit) -> str:
    """Returns why something was recalled, as the player may read it: a secret's words say what it is."""
    return WHY_KEPT if is_kept(item) else item.why


def recall_event(
    turn: str, hits: Sequence[Hit], entries: LoreEntries = NO_ENTRIES, *, shared: bool = False
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
            text="" if secret or (shared and item.passage.kind == "memory") else item.passage.text,
            why=WHY_KEPT if secret else item.why,
            similarity=round(item.similarity or 0.0, 3),
        )
        for item, secret in zip(hits, map(is_kept, hits), strict=True)
    ]
    items = (*fired, *recalled)
    lore = sum(item.kind == "lore" for item in items)
    return Recall(
        f"recalled {lore} of lore, {len(items) - lore} of this story", RecallMeta(turn, items)
    )
