"""Keys, by what is open: a popup, the search line, chosen messages or the input line."""

from __future__ import annotations

from collections.abc import Callable

from flower import limits
from flower.client.events import Send
from flower.tui.render.messages import MessageView
from flower.tui.state import (
    actions,
    checklist,
    client_commands,
    commands,
    library_list,
    open_form,
    popups,
    sending,
    status_line,
    transcript,
    tree_keys,
    viewport,
)
from flower.tui.state.effects import Copy
from flower.tui.state.model import Model, Notice, Search
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
# Actions that mean the same whatever is open.
EVERYWHERE = frozenset({"interrupt", "quit", "suspend", "redraw", "escape", "page_up", "page_down"})


def press(model: Model, key: Key) -> Result:
    """One key."""
    name = f"{model.chord} {key.name}" if model.chord else key.name
    if not model.chord and key.name in model.bindings.prefixes:
        return model._replace(chord=key.name), ()
    model = model._replace(chord="")
    action = model.bindings.by_key.get(name)
    if name == "ctrl+d" and model.input.text:
        action = None  # as in a shell: it deletes while there is something to delete
    if action != "interrupt" and actions.asks_to_leave(model):
        model = model._replace(notice=Notice())  # the next one is not "again"
    if model.popup is not None:
        after, effects = _in_popup(model, key, action)
        return client_commands.previewed(after), effects
    if model.form is not None:
        return open_form.press(model, key, action)
    if model.tree is not None:
        return tree_keys.press(model, key, action)
    if action == "quick_reply":
        return sending.quick_reply(model, model.bindings.keys_of(action).index(name))
    if action in EVERYWHERE:
        return actions.run(model, action)
    if model.search.typing:
        return _in_search(model, key, action)
    if model.selected is not None:
        return _in_messages(model, key, action)
    return _in_input(model, key, action)


def _in_popup(model: Model, key: Key, action: str | None) -> Result:
    popup = model.popup
    assert popup is not None
    typed = key.text and key.text.isprintable()
    if popup.kind == "text" and typed:  # it has been read: what is typed now is the next line
        return press(model._replace(popup=None), key)
    if popup.kind == "suggestions" and typed:
        return _suggested(model, key)
    if popups.is_read(popup) and key.name in READING:
        return _read_on(model, key.name), ()
    match key.name:
        case "right" if popup.kind == "suggestions":
            return _suggestion_to_change(model)
        case "up" | "shift+tab" | "ctrl+p":
            return popups.moved(model, -1), ()
        case "down" | "tab" | "ctrl+n":
            return popups.moved(model, 1), ()
        case "pageup":
            return popups.moved(model, -8, around=False), ()
        case "pagedown":
            return popups.moved(model, 8, around=False), ()
        case "home":
            return popups.moved(model, -popup.place, around=False), ()
        case "end":
            return popups.moved(model, len(popups.items(model)), around=False), ()
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
    if action in EVERYWHERE or (action in popups.CHOOSABLE and action != popup.kind):
        return actions.run(model, action)
    if action in ("help", popup.kind):
        return model._replace(popup=None), ()
    if typed:
        return popups.filtered(model, popup.filter + key.text), ()
    return model, ()


def _read_on(model: Model, key: str) -> Model:
    layout = layout_of(model)
    page = max(1, layout.status - layout.pane_top - 2)  # without the frame
    return popups.read_on(model, READING[key](page), page)


def _suggested(model: Model, key: Key) -> Result:
    """A digit says the line of its number; anything else begins a line of the player's own."""
    closed = model._replace(popup=None)
    line = sending.suggestion(model, key.text)
    return sending.say(closed, line) if line else press(closed, key)


def _suggestion_to_change(model: Model) -> Result:
    item = popups.chosen(model)
    closed = model._replace(popup=None)
    return (closed._replace(input=closed.input.with_text(item.value)) if item else closed), ()


def _favourite(model: Model) -> Result:
    """Keeps the chosen entry at the top of its list, or lets it go; the list stays open."""
    item, popup = popups.chosen(model), model.popup
    if (
        item is None
        or popup is None
        or not commands.offers(model.replica, popups.FAVOURITES[popup.kind])
    ):
        return model, ()
    line = f"{popups.FAVOURITES[popup.kind]} {item.value}"
    after, effects = sending.send_command(model, line)
    return library_list.changed(after), effects


def _ask_delete(model: Model) -> Model:
    item = popups.chosen(model)
    if item is None or not item.value:
        return model
    return popups.opened(model, "delete", subject=item.value)


def _accept(model: Model) -> Result:
    popup, item = model.popup, popups.chosen(model)
    assert popup is not None
    closed = client_commands.theme_back(model)._replace(popup=None, step=-1)
    if item is None:
        return model, ()
    match popup.kind:
        case "worlds" | "characters" | "rules" | "books" if popup.subject and item.value:
            return sending.with_choice(closed, popup.subject, item.value)
        case "worlds":
            return sending.send_command(closed, f"/world select {item.value}")
        case "characters":
            return sending.send_command(closed, f"/character select {item.value}")
        case "models":
            return sending.send_command(closed, f"/model {item.value}")
        case "rules":
            if item.chosen:
                return status_line.notify(model, f"{item.label} is in use already."), ()
            line = f"/rules add {item.value}" if item.value else "/rules clear"
            return sending.send_command(model, line)
        case "sessions":
            return sending.send_command(
                closed, f"/session continue {item.value}" if item.value else "/session new"
            )
        case "themes":
            return client_commands.use_theme(closed, item.value)
        case "settings":
            return client_commands.accepted(model, item.value)
        case "palette" if item.value.startswith(popups.QUICK):
            return sending.quick_reply(closed, int(item.value.removeprefix(popups.QUICK)))
        case "palette":
            return (
                sending.run_line(closed, item.value)
                if item.value.startswith("/")
                else actions.run(closed, item.value)
            )
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


def _in_search(model: Model, key: Key, action: str | None) -> Result:
    term = model.search.term
    if action == "submit":
        if not term:
            return model._replace(search=Search()), ()
        return viewport.find(model, term)
    if key.name == "backspace":
        return model._replace(search=Search(term[:-1], typing=bool(term))), ()
    if key.name in ("ctrl+u", "ctrl+w"):
        return model._replace(search=Search("", typing=True)), ()
    if key.text and key.text.isprintable():
        return model._replace(search=Search((term + key.text)[: limits.FILTER_CHARS], typing=True)), ()
    return model, ()


def _in_messages(model: Model, key: Key, action: str | None) -> Result:
    match key.name:
        case "up" | "k":
            return _choose_next(model, -1), ()
        case "down" | "j":
            return _choose_next(model, 1), ()
        case "left" | "right":
            return _other_variant(model, "previous" if key.name == "left" else "next")
        case "home":
            return _choose(model, 0), ()
        case "end":
            return _choose(model, len(model.story.messages) - 1), ()
        case "n":
            return viewport.next_match(model, 1)
        case "N":
            return viewport.next_match(model, -1)
        case "/":
            return viewport.find(model, "")
        case "c" | "y" | "enter":
            return _copy(model)
    for command in status_line.message_commands(model):
        if key.text and key.text == commands.message_key(command):
            return _on_message(model, command)
    if action == "messages":
        return client_commands.choose_messages(model)
    if action is not None and action != "submit":
        return actions.run(model, action)
    return model, ()


def _choose_next(model: Model, step: int) -> Model:
    assert model.selected is not None
    return _choose(model, transcript.index_of(model.story, model.selected) + step)


def _choose(model: Model, index: int) -> Model:
    messages = model.story.messages
    if not messages:
        return model._replace(selected=None)
    key = messages[max(0, min(index, len(messages) - 1))].key
    model = model._replace(selected=key)
    return model._replace(scroll=viewport.reveal(model, layout_of(model), key))


def _chosen(model: Model) -> MessageView | None:
    assert model.selected is not None
    index = transcript.index_of(model.story, model.selected)
    return model.story.messages[index] if index < len(model.story.messages) else None


def _other_variant(model: Model, which: str) -> Result:
    message = _chosen(model)
    if message is None or message.variants < 2 or model.link.state != "online":
        return model, ()
    return model, (Send(f"/variant {which} {message.message}"),)


def _copy(model: Model) -> Result:
    message = _chosen(model)
    if message is None:
        return model, ()
    return status_line.notify(model, "Copied.", "good"), (Copy(message.text),)


def _on_message(model: Model, command: commands.Command) -> Result:
    message = _chosen(model)
    if message is None or not message.message:
        return status_line.notify(model, "The engine does not know this message yet."), ()
    model = model._replace(selected=None)
    line = f"{command.name} {message.message}"
    if command.argument == "message":
        return model._replace(asked=line), (Send(line),)
    return model._replace(input=model.input.with_text(f"{line} {message.written or message.text}")), ()


def _in_input(model: Model, key: Key, action: str | None) -> Result:
    empty = not model.input.text
    found = commands.candidates(model)
    match key.name:
        case "up" | "down" if found:
            step = -1 if key.name == "up" else 1
            return model._replace(menu=max(-1, min(model.menu + step, len(found) - 1))), ()
        case "up" | "down" if empty and checklist.visible(model):
            return _choose_step(model, -1 if key.name == "up" else 1), ()
        case "home" if empty:
            return actions.run(model, "top")
        case "end" if empty:
            return actions.run(model, "bottom")
        case "?" if empty:
            return actions.run(model, "help")
        case "left" | "right" if empty and (first := _first_of_several(model)) is not None:
            which = "previous" if key.name == "left" else "next"
            return model, (Send(f"/variant {which} {first.message}"),)
        case "right" if commands.ghost_of_line(model):
            return actions.complete(model)
    if action is not None:
        return actions.run(model, action)
    edited = model.input.handle(key)
    if edited is None:
        return model, ()
    if edited.text == model.input.text:
        return model._replace(input=edited), ()
    return model._replace(input=edited, menu=-1, menu_closed=False, asked=""), ()


def _first_of_several(model: Model) -> MessageView | None:
    """Returns the greeting of a story that has not begun yet, if it has several to choose from."""
    messages = model.story.messages
    if len(messages) != 1 or model.story.more or model.link.state != "online":
        return None
    first = messages[0]
    return first if first.role == "assistant" and first.variants > 1 and first.message else None


def _choose_step(model: Model, step: int) -> Model:
    count = len(checklist.steps(model))
    return model._replace(step=(checklist.current(model) + step) % count)
