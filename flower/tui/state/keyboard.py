"""Keys, by what is open: a popup, a form, the tree, the search line, chosen messages or the input line.

Those of the first three are in modules of their own: ``popup_keys``, ``form_dialog``, ``tree_keys``.
"""

from __future__ import annotations

from flower import limits
from flower.client.events import Send
from flower.tui.render.messages import MessageView
from flower.tui.state import (
    actions,
    checklist,
    client_commands,
    commands,
    form_dialog,
    popup_keys,
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
        if popup_keys.is_for_what_is_below(model, key):
            return press(model._replace(popup=None), key)
        return popup_keys.press(model, key, action)
    if model.form is not None:
        return form_dialog.press(model, key, action)
    if model.tree is not None:
        return tree_keys.press(model, key, action)
    if action == "quick_reply":
        return sending.quick_reply(model, model.bindings.keys_of(action).index(name))
    if action in actions.EVERYWHERE:
        return actions.run(model, action)
    if model.search.typing:
        return _in_search(model, key, action)
    if model.selected is not None:
        return _in_messages(model, key, action)
    return _in_input(model, key, action)


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
        return model._replace(pending_command=line), (Send(line),)
    return model._replace(input=model.input.with_text(f"{line} {message.written or message.text}")), ()


def _in_input(model: Model, key: Key, action: str | None) -> Result:
    empty = not model.input.text
    candidates = commands.candidates(model)
    match key.name:
        case "up" | "down" if candidates:
            step = -1 if key.name == "up" else 1
            return model._replace(menu=max(-1, min(model.menu + step, len(candidates) - 1))), ()
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
    return model._replace(input=edited, menu=-1, menu_closed=False, pending_command=""), ()


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
