"""Keys while a popup is open: moving in it, filtering it, and what taking an entry does."""

from __future__ import annotations

from collections.abc import Callable

from flower.tui.state import (
    actions,
    client_commands,
    commands,
    popup_items,
    popups,
    sending,
    status_line,
)
from flower.tui.state.model import Model, Popup
from flower.tui.state.popup_items import Item
from flower.tui.state.status_line import Result
from flower.tui.state.viewport import layout_of
from flower.tui.term.inputs import Key

_ALL_ROWS = 1_000_000
# How far a key goes in a text of the engine's, given the rows of a page.
READING: dict[str, Callable[[int], int]] = {
    "up": lambda _: -1,
    "down": lambda _: 1,
    "pageup": lambda page: 1 - page,
    "pagedown": lambda page: page - 1,
    "home": lambda _: -_ALL_ROWS,
    "end": lambda _: _ALL_ROWS,
}
# How far a key goes in a list: round it, or up to its end.
STEPS = {"up": -1, "shift+tab": -1, "ctrl+p": -1, "down": 1, "tab": 1, "ctrl+n": 1}
LEAPS = {"pageup": -8, "pagedown": 8, "home": -_ALL_ROWS, "end": _ALL_ROWS}
# What chooses an entry of these lists.
CHOOSES = {"worlds": "/world select", "characters": "/character select", "models": "/model"}


def press(model: Model, key: Key, action: str | None) -> Result:
    """One key; a theme that is chosen is looked at."""
    after, effects = _press(model, key, action)
    return client_commands.previewed(after), effects


def is_for_what_is_below(model: Model, key: Key) -> bool:
    """Whether a key ends the popup and begins the next line: a text has been read, no suggestion was meant."""
    popup = model.popup
    if popup is None or not _is_typed(key):
        return False
    return popup.kind == "text" or (
        popup.kind == "suggestions" and not sending.suggestion(model, key.text)
    )


def _is_typed(key: Key) -> bool:
    return bool(key.text) and key.text.isprintable()


def _press(model: Model, key: Key, action: str | None) -> Result:
    popup = model.popup
    assert popup is not None
    if popups.is_read(popup) and key.name in READING:
        return _read_on(model, key.name), ()
    if key.name in STEPS:
        return popups.moved(model, STEPS[key.name]), ()
    if key.name in LEAPS:
        return popups.moved(model, LEAPS[key.name], around=False), ()
    match key.name:
        case "right" if popup.kind == "suggestions":
            return _suggestion_to_change(model)
        case "ctrl+f" if popup.kind in popups.FAVOURITES:
            return _favourite(model)
        case "delete" if popup.kind == "sessions":
            return _ask_delete(model), ()
        case "backspace":
            return popups.filtered(model, popup.filter[:-1]), ()
        case "ctrl+u" | "ctrl+w":
            return popups.filtered(model, ""), ()
    if action == "submit":
        return _accept(model)
    if action in actions.EVERYWHERE or (action in popups.CHOOSABLE and action != popup.kind):
        return actions.run(model, action)
    if action in ("help", popup.kind):
        return model._replace(popup=None), ()
    return _typed(model, popup, key) if _is_typed(key) else (model, ())


def _typed(model: Model, popup: Popup, key: Key) -> Result:
    """What is typed filters a list; under suggestions the digit of a line says it."""
    if popup.kind == "suggestions":
        return sending.say(model._replace(popup=None), sending.suggestion(model, key.text))
    return popups.filtered(model, popup.filter + key.text), ()


def _read_on(model: Model, key: str) -> Model:
    layout = layout_of(model)
    page = max(1, layout.status - layout.pane_top - 2)  # without the frame
    return popups.read_on(model, READING[key](page), page)


def _suggestion_to_change(model: Model) -> Result:
    item = popups.chosen(model)
    closed = model._replace(popup=None)
    return (closed._replace(input=closed.input.with_text(item.value)) if item else closed), ()


def _favourite(model: Model) -> Result:
    """Keeps the chosen entry at the top of its list, or lets it go; the list stays open."""
    item, popup = popups.chosen(model), model.popup
    if item is None or popup is None:
        return model, ()
    command = popups.FAVOURITES[popup.kind]
    if not commands.offers(model.replica, command):
        return model, ()
    after, effects = sending.send_command(model, f"{command} {item.value}")
    return popup_items.library_changed(after), effects


def _ask_delete(model: Model) -> Model:
    item = popups.chosen(model)
    if item is None or not item.value:
        return model
    return popups.opened(model, "delete", subject=item.value)


# --- taking an entry ----------------------------------------------------------------------------


def _accept(model: Model) -> Result:
    popup, item = model.popup, popups.chosen(model)
    assert popup is not None
    if item is None:
        return model, ()
    if popup.kind == "settings":
        return client_commands.accepted(model, item.value)
    closed = client_commands.theme_back(model)._replace(popup=None, step=-1)
    if popup.kind in popups.FOR_COMMANDS and popup.subject and item.value:
        return sending.with_choice(closed, popup.subject, item.value)
    if popup.kind == "rules":
        return _accept_rule(model, item)
    if popup.kind in CHOOSES:
        return sending.send_command(closed, f"{CHOOSES[popup.kind]} {item.value}")
    return _accept_closed(closed, popup, item)


def _accept_rule(model: Model, item: Item) -> Result:
    """Several rules may be in use, so that their list stays open."""
    if item.chosen:
        return status_line.notify(model, f"{item.label} is in use already."), ()
    return sending.send_command(model, f"/rules add {item.value}" if item.value else "/rules clear")


def _accept_closed(closed: Model, popup: Popup, item: Item) -> Result:
    """Takes an entry of a popup that has been closed."""
    match popup.kind:
        case "sessions":
            line = f"/session continue {item.value}" if item.value else "/session new"
            return sending.send_command(closed, line)
        case "themes":
            return client_commands.use_theme(closed, item.value)
        case "palette" if item.value.startswith(popup_items.QUICK):
            return sending.quick_reply(closed, int(item.value.removeprefix(popup_items.QUICK)))
        case "palette" if item.value.startswith("/"):
            return sending.run_line(closed, item.value)
        case "palette":
            return actions.run(closed, item.value)
        case "suggestions":
            return sending.say(closed, item.value)
        case "text" if item.value:
            return sending.send_command(closed, item.value)
        case "found":
            number = int(item.value.rpartition(" ")[2])
            return sending.send_command(closed._replace(goal=number), f"/session continue {item.value}")
        case "delete" if item.value:
            return sending.send_command(closed, f"/session delete {popup.subject}")
        case _:
            return closed, ()
