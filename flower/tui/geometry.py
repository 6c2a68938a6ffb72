"""The layout that a model asks for: what is typed decides how tall the input line and the menu are."""

from __future__ import annotations

from flower.tui import checklist, completion, layout, news
from flower.tui.layout import Layout
from flower.tui.model import Model

PROMPT_COLUMNS = 2  # the mark before the input line


def layout_of(model: Model) -> Layout:
    """Returns where everything is on the screen of ``model``."""
    most = layout.input_rows_most(model.rows)
    typed, _ = model.input.layout(model.columns - PROMPT_COLUMNS, most)
    return layout.arrange(
        model.columns,
        model.rows,
        len(typed),
        len(completion.candidates(model)),
        sidebar=model.settings.sidebar,
        status_rows=news.height(model),
        replies=bool(model.replica.quick_replies) and not checklist.shown(model),
    )
