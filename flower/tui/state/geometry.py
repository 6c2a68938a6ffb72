"""The layout that a model asks for: what is typed decides how tall the input line and the menu are."""

from __future__ import annotations

from flower.tui.render import layout
from flower.tui.render.layout import Layout
from flower.tui.state import checklist, commands, status_line
from flower.tui.state.model import Model

PROMPT_COLUMNS = 2  # the mark before the input line


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
