"""Searching the story: which message comes next, and bringing it into view."""

from __future__ import annotations

from flower.tui import scroll, transcript
from flower.tui.geometry import layout_of
from flower.tui.model import Model, Notice, Search


def find(model: Model, term: str) -> Model:
    """Searches the story for ``term``; asks for it when empty."""
    if not term:
        return model._replace(search=Search(typing=True), popup=None)
    return next_match(model._replace(search=Search(term)), -1, from_end=True)


def next_match(model: Model, step: int, *, from_end: bool = False) -> Model:
    """Returns the model with the next message that holds the search term chosen and in view."""
    wanted = model.search.term.casefold()
    messages = model.story.messages
    if not wanted or not messages:
        return model
    start = (
        len(messages)
        if from_end or model.selected is None
        else transcript.index_of(model.story, model.selected)
    )
    for distance in range(1, len(messages) + 1):
        message = messages[(start + step * distance) % len(messages)]
        if wanted in message.text.casefold():
            return _show_match(model, message, wanted)
    missing = f"'{model.search.term}' is not in the part of the story that is here."
    return model._replace(selected=None, notice=Notice(missing))


def _show_match(model: Model, message: transcript.Message, wanted: str) -> Model:
    model = model._replace(selected=message.key)
    layout = layout_of(model)
    rows = model.pane.rows(message, scroll.look(model, layout, message.key))
    row = next((place for place, one in enumerate(rows) if wanted in one.text.casefold()), 0)
    return model._replace(scroll=scroll.reveal(model, layout, message.key, row))
