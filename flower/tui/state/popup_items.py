"""The entries of popups: made from the model, or the engine's library, page by page as the player types and moves.

Pure. An engine without ``/library`` has sent all that it lists; then nothing is asked. Until a page for what was typed
has come the list shows what is here of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from flower import limits
from flower.client.events import Send
from flower.text import counted
from flower.tui.render.text import clean, width, wrap
from flower.tui.render.theme import THEMES
from flower.tui.state import bindings, checklist, commands
from flower.tui.state.model import ListedLibrary, Model
from flower.tui.state.status_line import Result

if TYPE_CHECKING:
    from flower.protocol import messages

POPUP_ITEMS = 1_000

QUICK = "quick reply "  # how the palette names one; its place follows
ACTIONS_IN_PALETTE = ("search", "messages", "sidebar", "thinking", "editor", "top", "bottom", "redraw")
KEYS_SHOWN = 4  # of one action, in the list of keys
GOTO = "/goto"  # the engine's command
_GAP = re.compile(r"(?<=\S) {2,}(?=\S)")  # between two columns of a list
_MESSAGE = re.compile(rf"\bends at message (\d{{1,{limits.NUMBER_DIGITS}}}):")
BOX_COLUMNS = 76
BOX_EDGES = 4  # columns of the frame and the space inside it
LIBRARY_KINDS = frozenset({"characters", "worlds", "books"})
LIBRARY = "/library"
FILTER_REST_S = 0.12  # typing rests so long before a page is asked for: not every letter is worth one
PAGE_AHEAD = 20  # entries before the last one here, from which on the next page is asked for


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
    if (shelf := current_listing(model)) is not None:
        return tuple(_of_library(model, one) for one in shelf.items)
    make = _ENTRIES.get(popup.kind)
    every = make(model) if make is not None else ()
    if not popup.filter:
        return every[:POPUP_ITEMS]
    recent = model.recent if popup.kind == "palette" else ()
    ranked = commands.rank(popup.filter, every, lambda item: item.label, recent)
    words = popup.filter.casefold().split()
    listed = set(ranked)
    ranked += [
        item
        for item in every
        if item not in listed
        and all(word in f"{item.label} {item.detail} {item.group}".casefold() for word in words)
    ]
    return tuple(ranked[:POPUP_ITEMS])


def total(model: Model) -> int:
    """Returns how many entries fit, those that have not come yet included."""
    shelf = current_listing(model)
    return shelf.total if shelf is not None else len(items(model))


# --- entries by kind ----------------------------------------------------------------------------


def _models(model: Model) -> tuple[Item, ...]:
    return tuple(
        Item(
            option.name or option.id, _about_model(option), option.id, option.id == model.replica.model
        )
        for option in model.replica.available_models
    )


def _rules(model: Model) -> tuple[Item, ...]:
    listed = _named(model.replica.available_rules, model.replica.active_rules)
    return (*listed, Item("Drop all rules", "", "")) if model.replica.active_rules else listed


def _sessions(model: Model) -> tuple[Item, ...]:
    open_one = model.replica.session_id
    saved = (
        Item(option.name or option.id, _about_session(model, option), option.id, option.id == open_one)
        for option in model.replica.available_sessions
    )
    return (Item("Begin a new story", "", ""), *saved)


def _themes(model: Model) -> tuple[Item, ...]:
    names = (*THEMES, *model.settings.own_themes)
    return tuple(Item(name, "", name, name == model.settings.theme) for name in names)


def _bound_keys(model: Model) -> tuple[Item, ...]:
    return tuple(
        Item(_keys(model.bindings.keys_of(action.name)), action.summary, action.name)
        for action in bindings.ACTIONS
    )


def _suggestions(model: Model) -> tuple[Item, ...]:
    lines = enumerate(model.suggestions, start=1)
    return tuple(Item(f"{number}  {line}", "", line) for number, line in lines)


def _of_library(model: Model, one: messages.LibraryItem) -> Item:
    """Returns the entry of something of the library: favourites have a mark, and what is new goes first."""
    replica, glyphs = model.replica, model.theme.glyphs
    chosen = one.id in (replica.character_id, replica.world_id)
    parts = [", ".join(one.tags)] if one.tags else []
    if one.played and model.wall:
        parts.append(f"played {age(model.wall - one.played)}")
    detail = f" {glyphs.dot} ".join([*parts, *([one.about] if one.about else [])])
    name = one.name or one.id
    return Item(f"{glyphs.flower} {name}" if one.favourite else name, detail, one.id, chosen)


def _text_rows(model: Model) -> tuple[Item, ...]:
    """Returns the rows of a text; in a list of places, rows that go there when taken."""
    popup, columns = model.popup, box_columns(model) - BOX_EDGES
    assert popup is not None
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


# What a list has when it opens; lorebooks are all asked for.
_ENTRIES: Mapping[str, Callable[[Model], tuple[Item, ...]]] = {
    "worlds": lambda model: _named(model.replica.available_worlds, (model.replica.world_id,)),
    "characters": lambda model: _named(
        model.replica.available_characters, (model.replica.character_id,)
    ),
    "models": _models,
    "rules": _rules,
    "sessions": _sessions,
    "themes": _themes,
    "settings": lambda model: tuple(_setting(one) for one in settings_of(model)),
    "palette": _palette,
    "keys": _bound_keys,
    "text": _text_rows,
    "found": lambda model: tuple(
        Item(hit.text, hit.name, f"{hit.session} {hit.message}") for hit in model.hits
    ),
    "suggestions": _suggestions,
    "delete": lambda _: (Item("Keep it", "", ""), Item("Into the trash", "", "yes")),
}


# --- the engine's library -----------------------------------------------------------------------


def current_listing(model: Model) -> ListedLibrary | None:
    """Returns the list of the open popup as the engine sent it for what is typed; None until it did."""
    popup, shelf = model.popup, model.shelf
    if popup is None or shelf is None or shelf.total < 0:
        return None
    return shelf if (shelf.kind, shelf.words) == (popup.kind, _words(popup.filter)) else None


def _words(typed: str) -> str:
    return " ".join(typed.split())[: limits.FILTER_CHARS]


def next_page(model: Model) -> Result:
    """Returns the model at its new time, with the page that is asked for now."""
    popup = model.popup
    if popup is None or popup.kind not in LIBRARY_KINDS:
        return (model if model.shelf is None else model._replace(shelf=None)), ()
    if model.link.state != "online" or not commands.offers(model.replica, LIBRARY):
        return model, ()
    shelf = model.shelf
    if shelf is None or shelf.kind != popup.kind:
        return _ask_page(model, ListedLibrary(popup.kind, _words(popup.filter)), 0)
    waits = shelf.asked_at >= 0 and model.now < shelf.asked_at + limits.SEND_TIMEOUT_S
    if waits:
        return model, ()
    if shelf.words != _words(popup.filter):
        if model.now < model.filtered_at + FILTER_REST_S:
            return model, ()
        return _ask_page(model, ListedLibrary(popup.kind, _words(popup.filter)), 0)
    if shelf.stale:
        return _ask_page(model, shelf._replace(stale=False), 0)
    more = len(shelf.items) < min(shelf.total, POPUP_ITEMS)
    if more and popup.place >= len(shelf.items) - PAGE_AHEAD:
        return _ask_page(model, shelf, len(shelf.items))
    return model, ()


def _ask_page(model: Model, shelf: ListedLibrary, offset: int) -> Result:
    line = f"{LIBRARY} {shelf.kind} {offset} {shelf.words}".rstrip()
    return model._replace(shelf=shelf._replace(asked_at=model.now)), (Send(line),)


def page_times(model: Model) -> list[float]:
    """Returns when ``next_page`` will have something to do, in monotonic seconds."""
    popup, shelf = model.popup, model.shelf
    if (
        popup is None
        or shelf is None
        or popup.kind not in LIBRARY_KINDS
        or shelf.words == _words(popup.filter)
    ):
        return []
    return [model.filtered_at + FILTER_REST_S] if shelf.asked_at < 0 else []


def page_arrived(model: Model, page: messages.Listing) -> Model:
    """Returns the model with a page of the list that is open; one that nobody waits for is left out."""
    shelf = model.shelf
    if shelf is None or (page.kind, page.words) != (shelf.kind, shelf.words):
        return model
    if page.offset not in (0, len(shelf.items)):
        return model._replace(shelf=shelf._replace(asked_at=-1.0))
    items = shelf.items[: page.offset] + page.items
    total = page.total if page.items or page.total <= len(items) else len(items)
    if not page.offset:
        model = _same_chosen(model, items)
    return model._replace(shelf=shelf._replace(items=items, total=total, asked_at=-1.0))


def _same_chosen(model: Model, items: tuple[messages.LibraryItem, ...]) -> Model:
    """Returns the model with the same entry chosen among ``items``, whose order may be another one.

    The first entry is followed only if it is the one in use: nobody has chosen it else.
    """
    popup, shelf, replica = model.popup, current_listing(model), model.replica
    if popup is None or popup.filter:
        return model
    listed = shelf.items if shelf is not None else getattr(replica, f"available_{popup.kind}", ())
    if popup.place >= len(listed):
        return model
    chosen = listed[popup.place].id
    if not popup.place and chosen not in (replica.world_id, replica.character_id):
        return model
    place = next((n for n, item in enumerate(items) if item.id == chosen), popup.place)
    return model._replace(popup=popup._replace(place=place))


def library_changed(model: Model) -> Model:
    """Returns the model after the library has changed: its list is asked for again."""
    return model if model.shelf is None else model._replace(shelf=model.shelf._replace(stale=True))
