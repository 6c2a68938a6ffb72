"""Popups: lists to choose from, filtered by typing.

Each kind has its entries, made from the model; ``accept`` says what taking one does. Kinds: worlds,
characters, models, rules, sessions, palette, keys, text (news of several lines), found, suggestions, delete.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flower import limits
from flower.text import counted
from flower.tui.render.text import clean, fit, width, wrap
from flower.tui.render.theme import THEMES
from flower.tui.state import bindings, checklist, commands, library_list, status_line
from flower.tui.state.model import Model, Popup
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
FOR_COMMANDS = (
    "worlds",
    "characters",
    "rules",
    "books",
)  # lists that a command asks with, its ``subject``
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
QUICK = "quick reply "  # how the palette names one; its place follows
ACTIONS_IN_PALETTE = ("search", "messages", "sidebar", "thinking", "editor", "top", "bottom", "redraw")


KEYS_SHOWN = 4  # of one action, in the list of keys
GOTO = "/goto"  # the engine's command
PLACES = "/branches"  # the engine's command that answers with places of the story
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")  # between two columns of a list
_MESSAGE = re.compile(rf"\bends at message (\d{{1,{limits.NUMBER_DIGITS}}}):")
BOX_COLUMNS = 76
TITLE_COLUMNS = 40  # of a name in a title
BOX_EDGES = 4  # columns of the frame and the space inside it


def title(model: Model, popup: Popup) -> str:
    """Returns what is over a popup."""
    if popup.kind == "delete":
        name = fit(clean(checklist.name_of(model, "sessions", popup.subject)), TITLE_COLUMNS)
        return f"Put '{name}' into the trash?"
    if popup.kind == "suggestions":
        return f"A digit says it, {model.theme.glyphs.right} lets you change it"
    named = TITLES.get(popup.kind, "")
    return f"{named}: {popup.subject}" if popup.kind in FOR_COMMANDS and popup.subject else named


class Item(NamedTuple):
    """One entry; ``value`` is an id, a command line or an action name; ``chosen``: it is in use."""

    label: str
    detail: str
    value: str
    chosen: bool = False
    group: str = ""  # not shown, but found by typing


def items(model: Model) -> tuple[Item, ...]:
    """Returns the entries of the open popup that fit its filter, best first."""
    popup = model.popup
    if popup is None:
        return ()
    if (shelf := library_list.current_listing(model)) is not None:
        return tuple(_on_shelf(model, one) for one in shelf.items)
    every = _entries(model, popup)
    if not popup.filter:
        return every[: limits.POPUP_ITEMS]
    recent = model.recent if popup.kind == "palette" else ()
    ranked = commands.rank(popup.filter, every, lambda item: item.label, recent)
    words = popup.filter.casefold().split()
    known = set(ranked)
    ranked += [
        item
        for item in every
        if item not in known
        and all(word in f"{item.label} {item.detail} {item.group}".casefold() for word in words)
    ]
    return tuple(ranked[: limits.POPUP_ITEMS])


def _entries(model: Model, popup: Popup) -> tuple[Item, ...]:
    replica = model.replica
    match popup.kind:
        case "worlds":
            return _named(replica.available_worlds, (replica.world_id,))
        case "characters":
            return _named(replica.available_characters, (replica.character_id,))
        case "books":
            return ()  # all of them are asked for
        case "models":
            return tuple(
                Item(
                    option.name or option.id,
                    _about_model(option),
                    option.id,
                    option.id == replica.model,
                )
                for option in replica.available_models
            )
        case "rules":
            listed = _named(replica.available_rules, replica.active_rules)
            return (*listed, Item("Drop all rules", "", "")) if replica.active_rules else listed
        case "sessions":
            saved = tuple(
                Item(
                    option.name or option.id,
                    _about_session(model, option),
                    option.id,
                    option.id == replica.session_id,
                )
                for option in replica.available_sessions
            )
            return (Item("Begin a new story", "", ""), *saved)
        case "themes":
            names = (*THEMES, *model.settings.own_themes)
            return tuple(Item(name, "", name, name == model.settings.theme) for name in names)
        case "settings":
            return tuple(_setting(one) for one in settings_of(model))
        case "palette":
            return _palette(model)
        case "keys":
            return tuple(
                Item(
                    _keys(model.bindings.keys_of(action.name)),
                    action.summary,
                    action.name,
                )
                for action in bindings.ACTIONS
            )
        case "text":
            return _text_rows(popup, box_columns(model) - BOX_EDGES)
        case "found":
            return tuple(
                Item(hit.text, hit.name, f"{hit.session} {hit.message}") for hit in model.found
            )
        case "suggestions":
            return tuple(
                Item(f"{number}  {line}", "", line)
                for number, line in enumerate(model.suggestions, start=1)
            )
        case _:
            return (Item("Keep it", "", ""), Item("Into the trash", "", "yes"))


def total(model: Model) -> int:
    """Returns how many entries fit, those that have not come yet included."""
    shelf = library_list.current_listing(model)
    return shelf.total if shelf is not None else len(items(model))


def _on_shelf(model: Model, one: messages.LibraryItem) -> Item:
    """Returns the entry of something of the library: favourites have a mark, and what is known goes first."""
    replica, glyphs = model.replica, model.theme.glyphs
    chosen = one.id in (replica.character_id, replica.world_id)
    parts = [", ".join(one.tags)] if one.tags else []
    if one.played and model.wall:
        parts.append(f"played {age(model.wall - one.played)}")
    detail = f" {glyphs.dot} ".join([*parts, *([one.about] if one.about else [])])
    name = one.name or one.id
    return Item(f"{glyphs.flower} {name}" if one.favourite else name, detail, one.id, chosen)


def _text_rows(popup: Popup, columns: int) -> tuple[Item, ...]:
    """Returns the rows of a text; in a list of places, rows that go there when taken."""
    rows: list[Item] = []
    for line in clean(popup.subject).splitlines():
        number = _MESSAGE.search(line) if popup.leads else None
        value = f"{GOTO} {number.group(1)}" if number else ""
        rows += [Item(row, "", value) for row in _hanging(line, columns)]
    return tuple(rows)


def _hanging(line: str, columns: int) -> list[str]:
    """Returns the rows of a line; those after the first begin where its last column of words does."""
    gaps = [gap.end() for gap in _GAP.finditer(line)]
    own = len(line) - len(line.lstrip())
    indent = next((place for place in reversed(gaps) if place <= columns * 3 // 5), own)
    head = line[:indent]
    first, *more = wrap(line[indent:], columns - width(head)) or [""]
    return [head + first, *(" " * width(head) + row for row in more)]


def box_columns(model: Model) -> int:
    """Returns how wide a popup is, its frame included."""
    return min(BOX_COLUMNS, model.columns - 2)


def settings_of(model: Model) -> tuple[messages.SettingOption, ...]:
    """Returns all settings: those of the screen as its own home has them, then the engine's."""
    engine = (one for one in model.replica.settings if not one.name.startswith("tui."))
    return (*model.own_settings, *engine)


def _setting(option: messages.SettingOption) -> Item:
    about = [f"{option.about[:1].upper()}{option.about[1:]}."]
    if option.allowed:
        about.append(f"It can be {option.allowed}.")
    if option.default and option.changed:
        about.append(f"It comes as {option.default}.")
    if option.locked:
        about.append("Enter says where it is changed.")
    return Item(option.name, option.value or "-", option.name, option.changed, " ".join(about))


def _named(options: tuple[messages.Named, ...], chosen: tuple[str, ...]) -> tuple[Item, ...]:
    return tuple(
        Item(option.name or option.id, option.about, option.id, option.id in chosen)
        for option in options
    )


def _palette(model: Model) -> tuple[Item, ...]:
    offered = [
        Item(command.name, command.summary, command.name, group=command.group)
        for command in commands.offered(model.replica)
    ]
    if not model.popup or not model.popup.filter:
        recency = {name: place for place, name in enumerate(model.recent)}
        offered.sort(key=lambda item: recency.get(item.value, len(recency)))
    actions = [
        Item(action.summary.capitalize(), ", ".join(model.bindings.keys_of(action.name)), action.name)
        for action in bindings.ACTIONS
        if action.name in ACTIONS_IN_PALETTE
    ]
    keys = model.bindings.keys_of("quick_reply")
    ready = [
        Item(f"Quick reply: {reply.name}", " ".join(keys[place : place + 1]), f"{QUICK}{place}")
        for place, reply in enumerate(model.replica.quick_replies)
    ]
    return (*ready, *offered, *actions)


def _keys(keys: tuple[str, ...]) -> str:
    """Returns the keys in few words; of a long row of them the first and the last."""
    if len(keys) > KEYS_SHOWN:
        return f"{keys[0]} ... {keys[-1]}"
    return ", ".join(keys) or "(no key)"


def _about_model(option: messages.ModelOption) -> str:
    parts: list[str] = []
    if option.price_varies:
        parts.append("price varies")
    elif option.prompt_price or option.completion_price:
        parts.append(
            f"${option.prompt_price:g} in, ${option.completion_price:g} out per million tokens"
        )
    if option.context:
        parts.append(
            f"{option.context // 1000}k context"
            if option.context >= 1000
            else f"{option.context} context"
        )
    if option.note:
        parts.append(option.note)
    return ", ".join(parts)


def _about_session(model: Model, option: messages.SessionOption) -> str:
    parts = ["pinned"] if option.pinned else []
    if option.world_id:
        parts.append(checklist.name_of(model, "worlds", option.world_id))
    if option.messages:
        parts.append(counted(option.messages, "message"))
    if option.updated and model.wall:
        parts.append(age(model.wall - option.updated))
    return ", ".join(parts)


def age(seconds: float) -> str:
    """Returns how long ago something was, in words."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    if minutes < 48 * 60:
        return f"{minutes // 60} h ago"
    return f"{minutes // (24 * 60)} days ago"


def opened(model: Model, kind: str, subject: str = "") -> Model:
    """Returns the model with a popup of ``kind`` open, at the entry in use."""
    model = model._replace(popup=Popup(kind, subject=subject), menu=-1)
    for place, item in enumerate(items(model)):
        if item.chosen:
            return model._replace(popup=Popup(kind, place=place, subject=subject))
    return model


def came(model: Model, popup: Popup, words: str, asked: str) -> Model:
    """Returns the model with what the engine said open, or waiting where it would be in the way.

    ``asked``: the command that it answers. What nobody asked for takes no key from somebody who writes,
    searches, walks or chooses; ``words`` about it are in the status line then.
    """
    busy = model.input.text or model.search.typing or model.popup or model.tree
    if not asked and (busy or model.selected is not None):
        hint = f"{status_line.key_of(model, 'news')} shows all of this: "
        return notify(model._replace(waiting=popup), hint + " ".join(words.split()))
    if popup.kind == "text":
        leads = asked.split()[:1] == [PLACES] and "\n" in popup.subject
        popup = popup._replace(leads=leads)
    return model._replace(popup=popup, waiting=None, menu=-1)


def shown(model: Model) -> Model:
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


def read_on(model: Model, rows: int, shown: int) -> Model:
    """Returns the model with its open text ``rows`` further on; ``shown``: rows of it on the screen."""
    popup = model.popup
    if popup is None:
        return model
    last = max(0, len(items(model)) - shown)
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
