"""The engine's library in a list that is open: asked for page by page, as the player types and moves.

Pure. An engine without ``/library`` has sent all that it lists; then nothing is asked. Until a page for what was typed
has come the list shows what is known of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower import limits
from flower.client.events import Send
from flower.tui.state import commands
from flower.tui.state.model import ListedLibrary, Model
from flower.tui.state.status_line import Result

if TYPE_CHECKING:
    from flower.protocol import messages

KINDS = frozenset({"characters", "worlds", "books"})
COMMAND = "/library"
REST_S = 0.12  # typing rests so long before a page is asked for: not every letter is worth one
AHEAD = 20  # entries before the last one known, from which on the next page is asked for


def current_listing(model: Model) -> ListedLibrary | None:
    """Returns the list of the open popup as the engine sent it for what is typed; None until it did."""
    popup, shelf = model.popup, model.shelf
    if popup is None or shelf is None or shelf.total < 0:
        return None
    return shelf if (shelf.kind, shelf.words) == (popup.kind, _words(popup.filter)) else None


def _words(typed: str) -> str:
    return " ".join(typed.split())[: limits.FILTER_CHARS]


def ticked(model: Model) -> Result:
    """Returns the model at its new time, with the page that is asked for now."""
    popup = model.popup
    if popup is None or popup.kind not in KINDS:
        return (model if model.shelf is None else model._replace(shelf=None)), ()
    if model.link.state != "online" or not commands.offers(model.replica, COMMAND):
        return model, ()
    shelf = model.shelf
    if shelf is None or shelf.kind != popup.kind:
        return _asked(model, ListedLibrary(popup.kind, _words(popup.filter)), 0)
    waits = shelf.asked_at >= 0 and model.now < shelf.asked_at + limits.SEND_TIMEOUT_S
    if waits:
        return model, ()
    if shelf.words != _words(popup.filter):
        if model.now < model.filtered_at + REST_S:
            return model, ()
        return _asked(model, ListedLibrary(popup.kind, _words(popup.filter)), 0)
    if shelf.stale:
        return _asked(model, shelf._replace(stale=False), 0)
    more = len(shelf.items) < min(shelf.total, limits.POPUP_ITEMS)
    if more and popup.place >= len(shelf.items) - AHEAD:
        return _asked(model, shelf, len(shelf.items))
    return model, ()


def _asked(model: Model, shelf: ListedLibrary, offset: int) -> Result:
    line = f"{COMMAND} {shelf.kind} {offset} {shelf.words}".rstrip()
    return model._replace(shelf=shelf._replace(asked_at=model.now)), (Send(line),)


def wakes(model: Model) -> list[float]:
    """Returns when ``ticked`` will have something to do, in monotonic seconds."""
    popup, shelf = model.popup, model.shelf
    if popup is None or shelf is None or popup.kind not in KINDS or shelf.words == _words(popup.filter):
        return []
    return [model.filtered_at + REST_S] if shelf.asked_at < 0 else []


def came(model: Model, page: messages.Listing) -> Model:
    """Returns the model with a page of the list that is open; one that nobody waits for is left out."""
    shelf = model.shelf
    if shelf is None or (page.kind, page.words) != (shelf.kind, shelf.words):
        return model
    if page.offset not in (0, len(shelf.items)):
        return model._replace(shelf=shelf._replace(asked_at=-1.0))
    items = shelf.items[: page.offset] + page.items
    total = page.total if page.items or page.total <= len(items) else len(items)
    if not page.offset:
        model = _where_it_was(model, items)
    return model._replace(shelf=shelf._replace(items=items, total=total, asked_at=-1.0))


def _where_it_was(model: Model, items: tuple[messages.LibraryItem, ...]) -> Model:
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


def changed(model: Model) -> Model:
    """Returns the model after the library has changed: its list is asked for again."""
    return model if model.shelf is None else model._replace(shelf=model.shelf._replace(stale=True))
