"""What goes with the newest line because the model does not have it in view. Pure.

Passages, lore entries and texts about the state stay in the prompt with the line they were given with, as
long as that is in the window. So what is there already is not given twice, and what left is given anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

from flower.engine.lorebook.outcome import Fired
from flower.engine.prompt import state_sections
from flower.engine.prompt.assemble import Section
from flower.engine.prompt.context import PromptContext
from flower.engine.prompt.lore_entries import not_in_view, note_of_entry
from flower.engine.prompt.sections import note_of, with_notes
from flower.engine.recall.base import Hit, cast_scope
from flower.engine.token_counter import TokenCounter


def _not_in_view(context: PromptContext, window_start: int | None) -> list[Hit]:
    """Returns what the model does not have in view: neither given with a line of the window nor said in it."""
    window = [m for m in context.path if window_start is None or m.id >= window_start]
    given = {passage for m in window[:-1] for passage in m.extra.recalled_ids}
    said = {m.id for m in window}
    return [f for f in context.found if f.passage.id not in given and f.passage.message_id not in said]


def _entries_not_in_view(context: PromptContext, window_start: int | None) -> tuple[Fired, ...]:
    """Returns the entries due with the line that were given with none that is in the window."""
    given = {
        key
        for m in context.path[:-1]
        if window_start is None or m.id >= window_start
        for key in m.extra.entries
    }
    return not_in_view(context.entries.with_line, given)


class Fresh(Struct, frozen=True):
    """What the model does not have in view. ``known``: what it has of the current state."""

    found: list[Hit]
    recalled: str  # for everybody
    private: list[tuple[str, str]]  # notes of what one character alone knows, with the character's id
    tail: tuple[Section, ...]
    known: tuple[Section, ...]
    entries: tuple[Fired, ...] = ()  # of lorebooks

    @property
    def size(self) -> int:
        return len(self.found) + len(self.tail) + len(self.entries)


NOTHING = Fresh(found=[], recalled="", private=[], tail=(), known=())


def _with_room(
    entries: Sequence[Fired], found: list[Hit], counter: TokenCounter, room: int
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
        sizes = accumulate(counter.count(note_of(item)) for item in found)
        found = [item for item, size in zip(found, sizes, strict=True) if size <= room]
    return tuple(fitting), found


def fresh_of(
    context: PromptContext, counter: TokenCounter, window_start: int | None, room: int
) -> Fresh:
    """Returns what goes with the newest line; ``room``: the tokens there are for passages and entries."""
    entries, found = _with_room(
        _entries_not_in_view(context, window_start),
        _not_in_view(context, window_start),
        counter,
        room,
    )
    given = [
        dict(m.extra.stands)
        for m in context.path[:-1]
        if m.role != "assistant" and (window_start is None or m.id >= window_start)
    ]
    direction = context.direction
    tail, known = state_sections.due(direction.tail, given, direction.note_every)
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
    return Fresh(
        found=found,
        recalled=with_notes("", shared),
        private=private,
        tail=tail,
        known=known,
        entries=entries,
    )
