"""What the line being typed could become: the completion menu and the ghost text after the cursor."""

from __future__ import annotations

from flower.tui import commands
from flower.tui.model import Model
from flower.tui.theme import THEMES


def candidates(model: Model) -> tuple[commands.Candidate, ...]:
    """Returns how the typed command can go on; nothing after Escape closed the menu."""
    if model.menu_closed or not commands.is_line(model.input.text):
        return ()
    return every(model)


def every(model: Model) -> tuple[commands.Candidate, ...]:
    """Returns how the typed command can go on, whether the menu shows it or not."""
    themes = (*THEMES, *model.settings.own_themes)
    return commands.complete(model.input.text, model.replica, model.recent, themes)


def ghost(model: Model) -> str:
    """Returns the text that Tab would add after the cursor, ``""`` when the cursor is not at the end."""
    line = model.input
    if not commands.is_line(line.text) or line.cursor != len(line.text):
        return ""
    found = candidates(model)
    if 0 <= model.menu < len(found):
        found = found[model.menu : model.menu + 1]
    return commands.ghost(line.text, found)
