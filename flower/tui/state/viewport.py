"""The viewport: where everything is on the screen, which rows of the story are in view, and how they move.

Pure arithmetic over message heights, which ``StoryPane`` remembers. The place is kept as (message, row in
it), so it survives new text, older pages and a change of width. Only messages near the view are ever
laid out.
"""

from __future__ import annotations

from flower.client.events import Send
from flower.tui.render import layout
from flower.tui.render.layout import Layout
from flower.tui.render.messages import Look, MessageView
from flower.tui.state import checklist, commands, status_line, transcript
from flower.tui.state.model import Model, Notice, Scroll, Search
from flower.tui.state.status_line import Result
from flower.tui.state.transcript import index_of

PROMPT_COLUMNS = 2  # the mark before the input line
ROWS = 5  # a stream at the bottom moves the text so many rows at once: see ``settled``
EVERYWHERE = "/session search"  # the engine's command


def layout_of(model: Model) -> Layout:
    """Returns where everything is on the screen of ``model``."""
    most = layout.input_rows_most(model.rows)
    typed, _ = model.input.layout(model.columns - PROMPT_COLUMNS, most)
    return layout.arrange(
        model.columns,
        model.rows,
        len(typed),
        len(commands.candidates(model)),
        sidebar=model.settings.sidebar,
        text_width=model.settings.text_width,
        status_rows=status_line.height(model),
        replies=bool(model.replica.quick_replies) and not checklist.visible(model),
    )


def look(model: Model, layout: Layout, key: int) -> Look:
    """Returns how the message ``key`` is shown now."""
    return Look(
        layout.pane_right,
        layout.text_columns,
        model.selected == key,
        model.unfolded,
        model.search.term,
        layout.text_left,
    )


def height(model: Model, layout: Layout, index: int) -> int:
    """Returns the rows that the message at ``index`` takes."""
    message = model.story.messages[index]
    return len(model.pane.rows(message, look(model, layout, message.key)))


def bottom(model: Model, layout: Layout, free: int = 0) -> Scroll:
    """Returns the place where the story's last row is ``free`` rows above the pane's bottom."""
    want = max(1, layout.pane_rows - free)
    messages = model.story.messages
    for index in range(len(messages) - 1, -1, -1):
        rows = height(model, layout, index)
        if rows >= want:
            return Scroll(messages[index].key, rows - want, follow=True)
        want -= rows
    return Scroll(messages[0].key if messages else 0, 0, follow=True)


def rows_below(model: Model, layout: Layout, place: Scroll, most: int) -> int:
    """Returns the rows from ``place`` to the story's end, counted up to a little over ``most``."""
    messages = model.story.messages
    index = index_of(model.story, place.key)
    total = -place.row
    while index < len(messages) and total <= most:
        total += height(model, layout, index)
        index += 1
    return total


def rows_above(model: Model, layout: Layout, place: Scroll, most: int) -> int:
    """Returns the rows before ``place``, counted up to a little over ``most``."""
    index = index_of(model.story, place.key)
    total = place.row
    while index > 0 and total <= most:
        index -= 1
        total += height(model, layout, index)
    return total


def moved(model: Model, layout: Layout, rows: int) -> Scroll:
    """Returns the place ``rows`` further down (negative: up); at the end it follows the story."""
    messages = model.story.messages
    if not messages:
        return Scroll()
    index = min(index_of(model.story, model.scroll.key), len(messages) - 1)
    row = model.scroll.row + rows
    # ``row`` is counted from the top of message ``index``: walk until it is inside of one.
    while row < 0 and index > 0:
        index -= 1
        row += height(model, layout, index)
    while index < len(messages) - 1 and row >= (tall := height(model, layout, index)):
        row -= tall
        index += 1
    place = Scroll(messages[index].key, max(0, row), follow=False)
    if rows > 0 and rows_below(model, layout, place, layout.pane_rows) <= layout.pane_rows:
        return bottom(model, layout)
    if rows < 0 and place == model.scroll._replace(follow=False):
        return model.scroll  # already at the top
    return place


def top(model: Model) -> Scroll:
    """Returns the place of the oldest row that is here."""
    messages = model.story.messages
    return Scroll(messages[0].key if messages else 0, 0, follow=False)


def reveal(model: Model, layout: Layout, key: int, row: int = 0) -> Scroll:
    """Returns a place where row ``row`` of message ``key`` is in view; the present one if it is."""
    here = model.scroll
    messages = model.story.messages
    index = index_of(model.story, here.key)
    y = -here.row
    while index < len(messages) and y < layout.pane_rows and messages[index].key != key:
        y += height(model, layout, index)
        index += 1
    # Here ``y`` is the screen row at which the message begins, if the walk met it before the pane ended.
    visible = index < len(messages) and messages[index].key == key
    if visible and 0 <= y + row < layout.pane_rows - 1:
        return here
    at_top = Scroll(key, max(0, row - 1), follow=False)
    if rows_below(model, layout, at_top, layout.pane_rows) <= layout.pane_rows:
        return bottom(model, layout)
    return at_top


def settled(model: Model, layout: Layout) -> Scroll:
    """Returns the place for the next frame.

    Following a stream, the text does not creep up row by row: when it reaches the bottom it moves up
    ``ROWS`` at once. That is calmer to read, and on terminals that cannot scroll a column alone it saves
    redrawing the sidebar for every line.
    """
    here = model.scroll
    messages = model.story.messages
    if not messages:
        return Scroll()
    index = index_of(model.story, here.key)
    is_here = index < len(messages) and messages[index].key == here.key
    place = here
    if is_here and here.row:
        # Narrower or folded text may have fewer rows than the one we were at.
        place = here._replace(row=min(here.row, height(model, layout, index) - 1))
    if not here.follow:
        if not is_here:
            place = Scroll(messages[min(index, len(messages) - 1)].key, 0, follow=False)
        return place
    step = min(ROWS, layout.pane_rows // 3)
    # One row more than fits is counted: enough to know that the text has run over the pane's end.
    below = rows_below(model, layout, place, layout.pane_rows + 1) if is_here else 0
    if below > layout.pane_rows:
        growing = model.turn.state != "idle"
        return bottom(model, layout, step if growing else 0)  # room for the next rows of a reply
    first = place.key == messages[0].key and place.row == 0
    # The message is gone, or the story has become shorter by more than the step leaves empty.
    if not is_here or (below < layout.pane_rows - step - 1 and not first):
        return bottom(model, layout)
    return place


# --- Searching the story: which message comes next, and bringing it into view.


def find(model: Model, term: str) -> Result:
    """Searches the story for ``term``; asks for it when empty."""
    if not term:
        return model._replace(search=Search(typing=True), popup=None), ()
    return next_match(model._replace(search=Search(term)), -1, from_end=True)


def next_match(model: Model, step: int, *, from_end: bool = False) -> Result:
    """Returns the model with the next message that holds the search term chosen and in view.

    What is not in the part of the story that is here is looked for by the engine, in all stories.
    """
    term = model.search.term.casefold()
    messages = model.story.messages
    if not term or not messages:
        return model, ()
    start = (
        len(messages)
        if from_end or model.selected is None
        else transcript.index_of(model.story, model.selected)
    )
    for distance in range(1, len(messages) + 1):
        message = messages[(start + step * distance) % len(messages)]
        if term in message.text.casefold():
            return reveal_match(model, message), ()
    model = model._replace(selected=None)
    where = "the part of the story that is here" if model.story.more else "this story"
    missing = f"'{model.search.term}' is not in {where}"
    if model.link.state != "online" or not commands.offers(model.replica, EVERYWHERE):
        return model._replace(notice=Notice(f"{missing}.")), ()
    notice = Notice(f"{missing}; looking into all stories.")
    line = f"{EVERYWHERE} {model.search.term}"
    return model._replace(notice=notice, pending_command=line), (Send(line),)


def reveal_match(model: Model, message: MessageView) -> Model:
    """Returns the model with ``message`` chosen and the search term in it, if it is there, in view."""
    term = model.search.term.casefold()
    model = model._replace(selected=message.key)
    layout = layout_of(model)
    rows = model.pane.rows(message, look(model, layout, message.key))
    row = rows.row_of(term) if term else 0
    return model._replace(scroll=reveal(model, layout, message.key, row))
