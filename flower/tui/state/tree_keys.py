"""Keys while the tree of the story is open: walking it, and what can be done with a message."""

from __future__ import annotations

from flower import limits
from flower.client.events import Send
from flower.protocol.messages import TreeNode
from flower.protocol.tree_text import trunk
from flower.tui.state import actions, tree_state
from flower.tui.state.model import Model, Tree
from flower.tui.state.status_line import Result, notify
from flower.tui.term.inputs import Key

# Actions that mean the same here as elsewhere.
ANYWHERE = frozenset({"quit", "suspend", "redraw", "help"})


def press(model: Model, key: Key, action: str | None) -> Result:
    """One key."""
    tree = model.tree
    assert tree is not None
    if action in ANYWHERE and not (tree.asking and action == "help"):
        return actions.run(model, action)
    if action in ("escape", "interrupt"):
        return _back(model, tree), ()
    if action == "tree":
        return model._replace(tree=None), ()
    if tree.asking:
        return _typed(model, tree, key, action)
    if action in ("line_up", "line_down"):
        return _scrolled(model, -1 if action == "line_up" else 1), ()
    node = tree_state.chosen(model)
    return (model, ()) if node is None else _on_node(model, tree, node, key, action)


def _back(model: Model, tree: Tree) -> Model:
    """Closes what was opened last: the question, the filter, the view."""
    if tree.asking:
        return model._replace(tree=tree._replace(asking="", typed=""))
    if tree.filter:
        return tree_state.choose(model._replace(tree=tree._replace(filter="")), tree.at)
    return model._replace(tree=None)


def moved(model: Model, steps: int) -> Model:
    """Returns the model with another line chosen, so many further down."""
    lines = tree_state.lines(model)
    if not lines or model.tree is None or model.tree.asking in ("name", "delete"):
        return model  # a question is about the message it was asked of
    place = max(0, min(tree_state.place_of(lines, model.tree.at) + steps, len(lines) - 1))
    return tree_state.choose(model, lines[place].node.message)


def _on_node(model: Model, tree: Tree, node: TreeNode, key: Key, action: str | None) -> Result:
    page = max(1, tree_state.room(model).rows - 1)
    match key.name:
        case "up" | "k":
            return moved(model, -1), ()
        case "down" | "j":
            return moved(model, 1), ()
        case "pageup":
            return moved(model, -page), ()
        case "pagedown":
            return moved(model, page), ()
        case "home":
            return moved(model, -len(tree_state.lines(model))), ()
        case "end":
            return moved(model, len(tree_state.lines(model))), ()
        case "left" | "h":
            return _across(model, node, -1)
        case "right" | "l":
            return _across(model, node, 1)
        case ".":
            model = tree_state.choose(model, tree_state.active_message(model))
            return _following(model), ()
        case "/":
            return model._replace(tree=tree._replace(asking="filter", typed=tree.filter)), ()
    if action == "submit":
        return _enter(model, node)
    return _order(model, tree, node, key.name)


# --- walking ------------------------------------------------------------------------------------


def _across(model: Model, node: TreeNode, step: int) -> Result:
    """To the variant beside; past the first one to what comes before, past the last one to what follows."""
    if node.folded and step > 0:
        return tree_state.unfold(model, node)
    every = [line.node for line in tree_state.lines(model)]
    beside = sorted((n for n in every if n.parent == node.parent), key=lambda n: n.message)
    at = next(place for place, other in enumerate(beside) if other.message == node.message) + step
    if 0 <= at < len(beside):
        return tree_state.choose(model, beside[at].message), ()
    if step < 0:
        return (tree_state.choose(model, node.parent) if node.parent else model), ()
    below = [other for other in every if other.parent == node.message]
    return (tree_state.choose(model, trunk(below).message) if below else model), ()


def _scrolled(model: Model, step: int) -> Model:
    assert model.tree is not None
    room = tree_state.room(model)
    most = max(0, len(tree_state.text_lines(model, room.text_columns)) - room.text_rows + 1)
    skip = max(0, min(model.tree.skip + step, most))
    return model._replace(tree=model.tree._replace(skip=skip))


# --- doing --------------------------------------------------------------------------------------


def _enter(model: Model, node: TreeNode) -> Result:
    if node.folded:
        return tree_state.unfold(model, node)
    if node.thrown:
        return notify(model, "It is in the trash; u takes it back."), ()
    if node.message == tree_state.active_message(model):
        return model._replace(tree=None), ()
    return _send(model, f"/goto {node.message}", close=True)


def _order(model: Model, tree: Tree, node: TreeNode, letter: str) -> Result:
    if letter not in ("r", "n", "d", "u"):
        return model, ()
    if node.folded:
        return notify(model, "These are several messages; Enter opens them."), ()
    if node.thrown != (letter == "u"):
        words = "It is in the trash; u takes it back." if node.thrown else "It is not in the trash."
        return notify(model, words), ()
    match letter:
        case "r":
            return _send(_following(model), f"/retry {node.message}")
        case "u":
            return _send(model, f"/restore {node.message}")
        case "n":
            return model._replace(tree=tree._replace(asking="name", typed="")), ()
        case _:
            return model._replace(tree=tree._replace(asking="delete", typed="")), ()


def _following(model: Model) -> Model:
    """Returns the model with the place where the story is chosen, wherever that goes."""
    assert model.tree is not None
    return model._replace(tree=model.tree._replace(follow=True))


def _send(model: Model, line: str, *, close: bool = False) -> Result:
    if model.link.state != "online":
        return notify(model, "No connection to the engine; try again when it is back.", "bad"), ()
    return model._replace(tree=None if close else model.tree, pending_command=line), (Send(line),)


# --- asking -------------------------------------------------------------------------------------


def _typed(model: Model, tree: Tree, key: Key, action: str | None) -> Result:
    if tree.asking == "delete":
        done = model._replace(tree=tree._replace(asking=""))
        node = tree_state.chosen(model)
        if node is None or key.text not in ("y", "Y"):
            return done, ()
        return _send(done, f"/delete {node.message}")
    typed = tree.typed
    if action == "submit":
        return _answer(model._replace(tree=tree._replace(asking="", typed="")), tree.asking, typed)
    if key.name == "backspace":
        typed = typed[:-1]
    elif key.name in ("ctrl+u", "ctrl+w"):
        typed = ""
    elif tree.asking == "filter" and key.name in ("up", "down"):
        return moved(model, -1 if key.name == "up" else 1), ()
    elif key.text and key.text.isprintable():
        typed += key.text
    return written(model, typed), ()


def written(model: Model, typed: str) -> Model:
    """Returns the model with another text behind the open question; a filter works at once."""
    tree = model.tree
    assert tree is not None
    typed = typed[: limits.BRANCH_NAME_CHARS]
    tree = tree._replace(typed=typed, filter=typed if tree.asking == "filter" else tree.filter)
    model = model._replace(tree=tree)
    node = tree_state.chosen(model)  # the filter may have taken the one before away
    return tree_state.choose(model, node.message) if node is not None else model


def _answer(model: Model, question: str, typed: str) -> Result:
    node = tree_state.chosen(model)
    if question == "name" and node is not None:
        return _send(model, f"/branch {node.message} {typed}".rstrip())
    return model, ()
