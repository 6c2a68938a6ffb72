"""Popups: lists to choose from, filtered by typing; how they open, and what is chosen in them.

``popup_items`` has the entries of each kind, ``popup_keys`` what keys do and what taking an entry does. Kinds: worlds,
characters, models, rules, sessions, books, themes, settings, palette, keys, text (news of several lines), found,
suggestions, delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower import limits
from flower.tui.render.text import clean, fit
from flower.tui.state import checklist, status_line
from flower.tui.state.model import Model, Popup
from flower.tui.state.popup_items import Item, items
from flower.tui.state.status_line import notify

if TYPE_CHECKING:
    from flower.protocol import messages

TITLES = {
    "worlds": "Worlds",
    "characters": "Characters",
    "models": "Models",
    "rules": "Rules",
    "sessions": "Stories",
    "books": "Lorebooks",
    "themes": "Themes",
    "settings": "Settings",
    "palette": "Commands",
    "keys": "Keys",
    "text": "From the engine",
    "found": "Found",
}
# Lists that a command asks with, its ``subject``.
FOR_COMMANDS = ("worlds", "characters", "rules", "books")
FAVOURITES = {
    "characters": "/character favourite", "worlds": "/world favourite", "books": "/lorebook favourite",
}  # fmt: skip
CHOOSABLE = ("worlds", "characters", "models", "rules", "sessions")
EMPTY = {
    "worlds": "no worlds yet: put YAML files into assets/worlds",
    "characters": "no characters yet: /import brings cards, /character new makes one",
    "books": "no lorebooks yet: /import brings some, /lorebook new makes one",
    "models": "the engine offers no models",
    "rules": "no rules yet: put YAML files into assets/rules",
}
PLACES = "/branches"  # the engine's command that answers with places of the story
TITLE_COLUMNS = 40  # of a name in a title


def title(model: Model, popup: Popup) -> str:
    """Returns what is over a popup."""
    if popup.kind == "delete":
        name = fit(clean(checklist.name_of(model, "sessions", popup.subject)), TITLE_COLUMNS)
        return f"Put '{name}' into the trash?"
    if popup.kind == "suggestions":
        return f"A digit says it, {model.theme.glyphs.right} lets you change it"
    named = TITLES.get(popup.kind, "")
    return f"{named}: {popup.subject}" if popup.kind in FOR_COMMANDS and popup.subject else named


def opened(model: Model, kind: str, subject: str = "") -> Model:
    """Returns the model with a popup of ``kind`` open, at the entry in use."""
    model = model._replace(popup=Popup(kind, subject=subject), menu=-1)
    for place, item in enumerate(items(model)):
        if item.chosen:
            return model._replace(popup=Popup(kind, place=place, subject=subject))
    return model


def arrived(model: Model, popup: Popup, words: str, command: str) -> Model:
    """Returns the model with what the engine said open, or waiting where it would be in the way.

    ``command``: the one that it answers. What nobody asked for takes no key from somebody who writes,
    searches, walks or chooses; ``words`` about it are in the status line then.
    """
    busy = model.input.text or model.search.typing or model.popup or model.tree
    if not command and (busy or model.selected is not None):
        hint = f"{status_line.key_of(model, 'news')} shows all of this: "
        return notify(model._replace(waiting=popup), hint + " ".join(words.split()))
    if popup.kind == "text":
        leads = command.split()[:1] == [PLACES] and "\n" in popup.subject
        popup = popup._replace(leads=leads)
    return model._replace(popup=popup, waiting=None, menu=-1)


def open_waiting(model: Model) -> Model:
    """Returns the model with what waited open."""
    if model.waiting is None:
        return notify(model, "There are no news that were not shown whole.")
    return model._replace(popup=model.waiting, waiting=None, menu=-1)


def recalled_title(item: messages.RecallItem) -> str:
    """Returns what a recalled passage is, without what it says."""
    place = item.title.rpartition(">")[2].strip()  # the path to it is long and says less
    return f"{item.kind}: {place}" if place else item.kind


def recalled(model: Model) -> Model:
    """Returns the model with what was recalled for the last reply open, word for word."""
    if not model.recalled:
        return notify(model, "Nothing was recalled for the last reply.")
    texts = [f"{recalled_title(item)}\n{item.text.strip()}" for item in model.recalled]
    return opened(model, "text", "\n\n".join(texts))


def moved(model: Model, steps: int, *, around: bool = True) -> Model:
    """Returns the model with another entry chosen."""
    popup, count = model.popup, len(items(model))
    if popup is None or not count:
        return model
    index = popup.place + steps
    index = index % count if around else max(0, min(index, count - 1))
    return model._replace(popup=popup._replace(place=index))


def read_on(model: Model, rows: int, visible: int) -> Model:
    """Returns the model with its open text ``rows`` further on; ``visible``: rows of it on the screen."""
    popup = model.popup
    if popup is None:
        return model
    last = max(0, len(items(model)) - visible)
    return model._replace(popup=popup._replace(place=max(0, min(popup.place + rows, last))))


def is_read(popup: Popup) -> bool:
    """Returns whether nothing in a popup can be chosen: its rows move under the eye, not a mark over them."""
    return popup.kind == "text" and not popup.leads


def filtered(model: Model, text: str) -> Model:
    """Returns the model with another filter in its popup."""
    if model.popup is None:
        return model
    popup = model.popup._replace(filter=text[: limits.FILTER_CHARS], place=0)
    return model._replace(popup=popup, filtered_at=model.now)


def chosen(model: Model) -> Item | None:
    """Returns the chosen entry of the open popup."""
    listed = items(model)
    if model.popup is None or not listed:
        return None
    return listed[min(model.popup.place, len(listed) - 1)]
