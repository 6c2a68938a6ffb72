"""Searching the story: which message comes next, and bringing it into view."""

from __future__ import annotations

from flower.tui import commands, scroll, transcript
from flower.tui.geometry import layout_of
from flower.tui.model import Effect, Model, Notice, Search, Send

Result = tuple[Model, tuple[Effect, ...]]
EVERYWHERE = "/session search"  # the engine's command


def find(model: Model, term: str) -> Result:
    """Searches the story for ``term``; asks for it when empty."""
    if not term:
        return model._replace(search=Search(typing=True), popup=None), ()
    return next_match(model._replace(search=Search(term)), -1, from_end=True)


def next_match(model: Model, step: int, *, from_end: bool = False) -> Result:
    """Returns the model with the next message that holds the search term chosen and in view.

    What is not in the part of the story that is here is looked for by the engine, in all stories.
    """
    wanted = model.search.term.casefold()
    messages = model.story.messages
    if not wanted or not messages:
        return model, ()
    start = (
        len(messages)
        if from_end or model.selected is None
        else transcript.index_of(model.story, model.selected)
    )
    for distance in range(1, len(messages) + 1):
        message = messages[(start + step * distance) % len(messages)]
        if wanted in message.text.casefold():
            return reveal(model, message), ()
    model = model._replace(selected=None)
    where = "the part of the story that is here" if model.story.more else "this story"
    missing = f"'{model.search.term}' is not in {where}"
    if model.link.state != "online" or not commands.offers(model.replica, EVERYWHERE):
        return model._replace(notice=Notice(f"{missing}.")), ()
    notice = Notice(f"{missing}; looking into all stories.")
    line = f"{EVERYWHERE} {model.search.term}"
    return model._replace(notice=notice, asked=line), (Send(line),)


def reveal(model: Model, message: transcript.Message) -> Model:
    """Returns the model with ``message`` chosen and the search term in it, if it is there, in view."""
    wanted = model.search.term.casefold()
    model = model._replace(selected=message.key)
    layout = layout_of(model)
    rows = model.pane.rows(message, scroll.look(model, layout, message.key))
    row = next((place for place, one in enumerate(rows) if wanted and wanted in one.text.casefold()), 0)
    return model._replace(scroll=scroll.reveal(model, layout, message.key, row))
