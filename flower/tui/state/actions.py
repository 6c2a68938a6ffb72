"""What the named actions of ``bindings`` do.

Pure: every function takes a model and returns the next one with the effects to carry out.
"""

from __future__ import annotations

from collections.abc import Callable

from flower import limits
from flower.client.events import Send
from flower.tui.state import (
    client_commands,
    commands,
    popups,
    sending,
    status_line,
    tree_state,
    viewport,
)
from flower.tui.state.effects import OpenEditor, Quit, Repaint, Suspend
from flower.tui.state.model import Model, Search
from flower.tui.state.status_line import Result, notify
from flower.tui.state.viewport import layout_of

# Actions that mean the same whatever is open.
EVERYWHERE = frozenset({"interrupt", "quit", "suspend", "redraw", "escape", "page_up", "page_down"})


def run(model: Model, action: str) -> Result:
    """Carries out the action of that name."""
    if action in popups.CHOOSABLE:
        return popups.opened(model, action), ()
    return _ACTIONS[action](model)


def escape(model: Model) -> Result:
    """Closes what is open; else stops the reply; else clears the line. It never leaves."""
    if model.popup is not None:
        return client_commands.theme_back(model)._replace(popup=None), ()
    if model.search.typing or model.selected is not None:
        return model._replace(search=Search(), selected=None), ()
    if commands.candidates(model):
        return model._replace(menu_closed=True, menu=-1), ()
    if model.turn.state in ("waiting", "streaming") and model.link.state == "online":
        stopping = model._replace(turn=model.turn._replace(state="stopping"))
        return notify(stopping, "Stopping the reply."), (Send("/cancel"),)
    if model.search.term:
        return model._replace(search=Search()), ()
    if model.turn.state == "stopping":
        return model, ()
    if model.input.text:
        cleared = model.input.remembering(model.input.text).clear()
        model = model._replace(input=cleared, menu=-1, menu_closed=False)
        return notify(model, f"Cleared; {model.theme.glyphs.up} brings the line back."), ()
    return notify(model, f"Nothing is open. {status_line.key_of(model, 'quit')} leaves Flower."), ()


def interrupt(model: Model) -> Result:
    """Does what ``escape`` does; the second time in a row that nothing is left to do it leaves."""
    if asks_to_leave(model):
        return model, (Quit(),)
    after, effects = escape(model)
    if effects or after._replace(notice=model.notice) != model:
        return after, effects
    return notify(model, _leaving(model)), ()


def asks_to_leave(model: Model) -> bool:
    """Whether the last key was an ``interrupt`` with nothing to do."""
    return model.notice.text == _leaving(model)


def _leaving(model: Model) -> str:
    return f"{status_line.key_of(model, 'interrupt')} again leaves Flower; everything is saved."


def complete(model: Model) -> Result:
    """Completes the typed command with the chosen or best candidate."""
    candidates = commands.every(model)
    if not candidates:
        return model, ()
    line = candidates[max(0, min(model.menu, len(candidates) - 1))].line
    return model._replace(input=model.input.with_text(line), menu=-1, menu_closed=False), ()


def scroll_by(model: Model, rows: int) -> Result:
    """Returns the model with its story moved; reaching the end it follows the story again."""
    place = viewport.moved(model, layout_of(model), rows)
    return to_bottom(model) if place.follow and rows > 0 else (model._replace(scroll=place), ())


def _page(model: Model) -> int:
    return max(1, layout_of(model).pane_rows - 2)  # two rows stay, to find one's place


def to_bottom(model: Model) -> Result:
    """Goes to the newest text, fetching it again if it was let go."""
    meter = model.meter._replace(live_new_words=0, new_words=0)
    model = model._replace(scroll=viewport.bottom(model, layout_of(model)), meter=meter)
    return model, (Send("/sync"),) if model.story.detached else ()


def _toggle_thinking(model: Model) -> Result:
    return model._replace(unfolded=not model.unfolded), ()


def _toggle_sidebar(model: Model) -> Result:
    if model.columns < limits.SIDEBAR_FROM_COLUMNS:
        return notify(model, f"The sidebar needs {limits.SIDEBAR_FROM_COLUMNS} columns."), ()
    settings = model.settings._replace(sidebar=not model.settings.sidebar)
    return model._replace(settings=settings), ()


def _insert_newline(model: Model) -> Result:
    return model._replace(input=model.input.insert("\n")), ()


_ACTIONS: dict[str, Callable[[Model], Result]] = {
    "submit": sending.submit,
    "newline": _insert_newline,
    "complete": complete,
    "editor": lambda model: (model, (OpenEditor(model.input.text),)),
    "escape": escape,
    "palette": lambda model: (popups.opened(model, "palette"), ()),
    "help": lambda model: (popups.opened(model, "keys"), ()),
    "problems": client_commands.problems_shown,
    "news": lambda model: (popups.open_waiting(model), ()),
    "recalled": lambda model: (popups.recalled(model), ()),
    "sidebar": _toggle_sidebar,
    "thinking": _toggle_thinking,
    "tree": tree_state.opened,
    "page_up": lambda model: scroll_by(model, -_page(model)),
    "page_down": lambda model: scroll_by(model, _page(model)),
    "line_up": lambda model: scroll_by(model, -1),
    "line_down": lambda model: scroll_by(model, 1),
    "top": lambda model: (model._replace(scroll=viewport.top(model)), ()),
    "bottom": to_bottom,
    "search": lambda model: viewport.find(model, ""),
    "messages": client_commands.choose_messages,
    "redraw": lambda model: (model, (Repaint(),)),
    "suspend": lambda model: (model, (Suspend(),)),
    "interrupt": interrupt,
    "quit": lambda model: (model, (Quit(),)),
}
