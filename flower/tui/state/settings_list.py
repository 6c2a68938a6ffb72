"""The list of all settings, and the list of what is wrong with the user's files.

Pure. The screen's own settings (``tui.``) are those of the home it was started with; all others are the engine's,
which may be on another machine: they are asked of it and changed by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower.client.events import Send
from flower.tui.state import popups, status_line
from flower.tui.state.effects import ChangeSetting, ListSettings
from flower.tui.state.model import Model, Popup
from flower.tui.state.status_line import Result, notify

if TYPE_CHECKING:
    from flower.protocol import messages

OWN = "tui."
COMMAND = "/settings"
THEME = "tui.theme"


def settings_command(model: Model, argument: str) -> Result:
    """``/settings``: opens the list, tells about one setting, or changes it."""
    name, _, value = argument.partition(" ")
    if not name:
        listing = popups.opened(model, "settings")
        return listing, (ListSettings(), *_ask_engine(model))
    if name.startswith(OWN) and value.strip():
        return model, (ChangeSetting(name, value.strip()),)
    if model.link.state != "online":
        return notify(
            model, "Not connected yet; only settings of the screen (tui.) can change.", "bad"
        ), ()
    line = f"{COMMAND} {argument}"
    return model._replace(asked=line), (Send(line),)


def _ask_engine(model: Model) -> tuple[Send, ...]:
    return (Send(COMMAND),) if model.link.state == "online" else ()


def accepted(model: Model, name: str) -> Result:
    """Enter on a setting: takes the next of few values, or puts the command that changes it into the line."""
    option = next((one for one in popups.settings_of(model) if one.name == name), None)
    if option is None:
        return model, ()
    if name == THEME:
        return popups.opened(model, "themes"), ()
    if option.locked:
        line = f"{COMMAND} {name}"
        return model._replace(popup=None, asked=line), (Send(line),) if _ask_engine(model) else ()
    if not option.choices:
        typed = model.input.with_text(f"{COMMAND} {name} {option.value}")
        return model._replace(popup=None, input=typed, menu=-1, menu_closed=True), ()
    value = _next(option)
    if name.startswith(OWN):
        return model, (ChangeSetting(name, value),)
    return model, (Send(f"{COMMAND} {name} {value}"), *_ask_engine(model))


def _next(option: messages.SettingOption) -> str:
    place = option.choices.index(option.value) if option.value in option.choices else -1
    return option.choices[(place + 1) % len(option.choices)]


# --- problems -----------------------------------------------------------------------------------


def problems_shown(model: Model, _argument: str = "") -> Result:
    """Opens the list of problems; they count as read from now on."""
    found = status_line.problems_of(model)
    if not found:
        return notify(model, "Nothing is wrong with your files.", "good"), ()
    things = "1 thing" if len(found) == 1 else f"{len(found)} things"
    rows = [f"{things} to mend; a file is read again when you save it:", *(f"  {one}" for one in found)]
    popup = Popup("text", subject="\n".join(rows))
    return model._replace(popup=popup, read_problems=found, waiting=None, menu=-1), ()
