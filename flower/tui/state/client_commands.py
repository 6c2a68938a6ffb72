"""The slash commands that the client carries out itself, and choosing a message.

Pure: every function takes a model and returns the next one with the effects to carry out.
"""

from __future__ import annotations

from collections.abc import Callable

from flower.errors import ConfigError
from flower.tui.render.messages import StoryPane
from flower.tui.render.theme import ASCII, CONSOLE, load_theme
from flower.tui.state import popups, scroll, settings_list, tree_state
from flower.tui.state.effects import ChangeSetting, Copy, FetchExport, ImportFiles, Quit
from flower.tui.state.geometry import layout_of
from flower.tui.state.model import Model, Popup
from flower.tui.state.status_line import Result, notify


def choose_messages(model: Model) -> Result:
    """Begins or ends choosing messages with the keyboard."""
    if model.selected is not None:
        return model._replace(selected=None), ()
    if not model.story.messages:
        return notify(model, "There is no message to choose yet."), ()
    key = model.story.messages[-1].key
    model = model._replace(selected=key)
    return model._replace(scroll=scroll.reveal(model, layout_of(model), key)), ()


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
    return model, (ChangeSetting(settings_list.THEME, name),)


def _in_theme(model: Model, name: str) -> Model:
    """Returns the model drawn in the theme ``name``. Raises ``ConfigError`` when there is none."""
    if name == model.theme.name:
        return model
    glyphs, settings = model.theme.glyphs, model.settings
    theme = load_theme(
        name,
        settings.styles,
        utf8=glyphs != ASCII,
        console=glyphs == CONSOLE,
        own=settings.own_themes,
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


COMMANDS: dict[str, Callable[[Model, str], Result]] = {
    "/find": scroll.find,
    "/theme": use_theme,
    "/copy": copy_last,
    "/import": import_files,
    "/fetch": fetch_export,
    "/tree": tree_state.opened,
    "/settings": settings_list.settings_command,
    "/problems": settings_list.problems_shown,
    "/keys": lambda model, _argument: (model._replace(popup=Popup("keys")), ()),
    "/quit": lambda model, _argument: (model, (Quit(),)),
}
