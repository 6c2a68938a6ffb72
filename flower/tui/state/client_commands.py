"""The slash commands that the client carries out itself: colours, settings, files, copying and choosing a message.

Pure: every function takes a model and returns the next one with the effects to carry out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flower.client.events import Send
from flower.errors import ConfigError
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import ASCII, CONSOLE, load_theme
from flower.tui.state import popup_items, popups, status_line, tree_state, viewport
from flower.tui.state.effects import ChangeSetting, Copy, FetchExport, ImportFiles, ListSettings, Quit
from flower.tui.state.model import Model, Popup
from flower.tui.state.status_line import Result, notify
from flower.tui.state.viewport import layout_of

if TYPE_CHECKING:
    from flower.protocol import messages

OWN = "tui."  # what the names of the screen's own settings begin with
SETTINGS = "/settings"
THEME = "tui.theme"


def choose_messages(model: Model) -> Result:
    """Begins or ends choosing messages with the keyboard."""
    if model.selected is not None:
        return model._replace(selected=None), ()
    if not model.story.messages:
        return notify(model, "There is no message to choose yet."), ()
    key = model.story.messages[-1].key
    model = model._replace(selected=key)
    return model._replace(scroll=viewport.reveal(model, layout_of(model), key)), ()


def copy_last(model: Model, _argument: str = "") -> Result:
    """Copies the newest reply."""
    for message in reversed(model.story.messages):
        if message.role == "assistant" and message.text:
            return notify(model, "Copied the last reply.", "good"), (Copy(message.text),)
    return notify(model, "There is no reply to copy yet."), ()


def use_theme(model: Model, name: str) -> Result:
    """Changes the colours, from now on: ``config.yaml`` gets the name."""
    try:
        model = _in_theme(model, name)
    except ConfigError as error:
        words = str(error).removeprefix("tui.theme: ")
        return notify(model, words[:1].upper() + words[1:], "bad"), ()
    model = model._replace(settings=model.settings._replace(theme=name))
    return model, (ChangeSetting(THEME, name),)


def _in_theme(model: Model, name: str) -> Model:
    """Returns the model drawn in the theme ``name``. Raises ``ConfigError`` when there is none."""
    if name == model.theme.name:
        return model
    glyphs, settings = model.theme.glyphs, model.settings
    theme = load_theme(
        name, settings.styles, utf8=glyphs != ASCII, console=glyphs == CONSOLE, own=settings.own_themes
    )
    return model._replace(theme=theme, pane=StoryPane(theme))


def previewed(model: Model) -> Model:
    """Returns the model in the theme that is chosen in the list of themes, while that is open."""
    item = popups.chosen(model) if model.popup is not None and model.popup.kind == "themes" else None
    if item is None:
        return model
    try:
        return _in_theme(model, item.value)
    except ConfigError:  # one of the player's own, broken: taking it says why
        return model


def theme_back(model: Model) -> Model:
    """Returns the model in the theme that is in use, after others were looked at."""
    if model.popup is None or model.popup.kind != "themes":
        return model
    return _in_theme(model, model.settings.theme)


def import_files(model: Model, typed: str) -> Result:
    """Sends files from the disk to the engine."""
    if model.link.state != "online":
        return notify(model, "Not connected yet; import when the engine is there.", "bad"), ()
    return notify(model, f"Importing {typed} …"), (ImportFiles(typed),)


def fetch_export(model: Model, name: str) -> Result:
    """Brings an export from the engine's machine."""
    if model.link.state != "online":
        return notify(model, "Not connected yet; fetch when the engine is there.", "bad"), ()
    return notify(model, f"Fetching {name} …"), (FetchExport(name),)


# --- /settings, /problems -----------------------------------------------------------------------
#
# The screen's own settings (``tui.``) are those of the home it was started with; all others are the engine's, which may
# be on another machine: they are asked of it and changed by it.


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
    line = f"{SETTINGS} {argument}"
    return model._replace(pending_command=line), (Send(line),)


def _ask_engine(model: Model) -> tuple[Send, ...]:
    return (Send(SETTINGS),) if model.link.state == "online" else ()


def accepted(model: Model, name: str) -> Result:
    """Enter on a setting: takes the next of few values, or puts the command that changes it into the line."""
    option = next((one for one in popup_items.settings_of(model) if one.name == name), None)
    if option is None:
        return model, ()
    if name == THEME:
        return popups.opened(model, "themes"), ()
    if option.locked:
        line = f"{SETTINGS} {name}"
        effects = (Send(line),) if _ask_engine(model) else ()
        return model._replace(popup=None, pending_command=line), effects
    if not option.choices:
        typed = model.input.with_text(f"{SETTINGS} {name} {option.value}")
        return model._replace(popup=None, input=typed, menu=-1, menu_closed=True), ()
    value = _next(option)
    if name.startswith(OWN):
        return model, (ChangeSetting(name, value),)
    return model, (Send(f"{SETTINGS} {name} {value}"), *_ask_engine(model))


def _next(option: messages.SettingOption) -> str:
    place = option.choices.index(option.value) if option.value in option.choices else -1
    return option.choices[(place + 1) % len(option.choices)]


def problems_shown(model: Model, _argument: str = "") -> Result:
    """Opens the list of problems; they count as read from now on."""
    problems = status_line.problems_of(model)
    if not problems:
        return notify(model, "Nothing is wrong with your files.", "good"), ()
    things = "1 thing" if len(problems) == 1 else f"{len(problems)} things"
    head = f"{things} to mend; a file is read again when you save it:"
    popup = Popup("text", subject="\n".join([head, *(f"  {one}" for one in problems)]))
    return model._replace(popup=popup, read_problems=problems, waiting=None, menu=-1), ()


COMMANDS: dict[str, Callable[[Model, str], Result]] = {
    "/find": viewport.find,
    "/theme": use_theme,
    "/copy": copy_last,
    "/import": import_files,
    "/fetch": fetch_export,
    "/tree": tree_state.opened,
    "/settings": settings_command,
    "/problems": problems_shown,
    "/keys": lambda model, _argument: (model._replace(popup=Popup("keys")), ()),
    "/quit": lambda model, _argument: (model, (Quit(),)),
}
