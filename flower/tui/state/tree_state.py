"""The tree of a story on the screen: which node is chosen, what is known of it, what has to be asked.

Pure. The engine sends an outline, this holds it and follows: whenever the story changes the outline is
asked for again, at most every ``TREE_REFRESH_S``, and the text of the chosen message when the
cursor has rested on it. Keys are in ``tree_keys``, rows of cells in ``view.tree_panel``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from flower import limits
from flower.client.events import Send
from flower.protocol import messages, tree_text
from flower.protocol.messages import UNSET, StoryTree, TreeNode
from flower.protocol.tree_text import Strokes, TreeLine
from flower.tui.render.text import clean, wrap
from flower.tui.render.theme import Glyphs
from flower.tui.state import commands, transcript
from flower.tui.state.effects import Effect
from flower.tui.state.model import Model, Notice, Tree
from flower.tui.state.viewport import layout_of

TREE_TEXTS = 64  # messages of other branches a client has read and keeps
TREE_TEXT_S = 0.15  # the tree's cursor rests so long before a text is fetched: walking asks nothing
TREE_REFRESH_S = 0.5  # between two looks at a tree that changes

Result = tuple[Model, tuple[Effect, ...]]
SIDE_BY_SIDE_COLUMNS = 110  # from here on the text is beside the tree
EDGES = 4  # columns of the frame and the space inside it
TEXT_ROWS = 9


class Room(NamedTuple):
    """Cells inside the frame for the tree and for the chosen message's text."""

    rows: int
    columns: int
    text_rows: int
    text_columns: int
    beside: bool  # the text is at the right, else below


def room(model: Model) -> Room:
    """Returns how the view is divided: all between the header and the status line is its."""
    place = layout_of(model)
    rows, columns = place.status - place.pane_top - 2, model.columns - EDGES
    if model.columns >= SIDE_BY_SIDE_COLUMNS:
        tree = columns * 3 // 5
        return Room(rows, tree, rows, columns - tree - 3, beside=True)
    text = max(2, min(TEXT_ROWS, rows * 2 // 5))
    return Room(max(1, rows - text - 1), columns, text, columns, beside=False)


# --- what is shown ------------------------------------------------------------------------------


def strokes(glyphs: Glyphs) -> Strokes:
    """Returns the branches as the screen can draw them."""
    return Strokes(glyphs.tee + glyphs.h, glyphs.tl + glyphs.h, glyphs.v + " ")


@lru_cache(maxsize=2)
def _drawn(nodes: Nodes, look: Strokes) -> tuple[TreeLine, ...]:
    return tuple(tree_text.tree_lines(nodes.nodes, look))


class Nodes:
    """An outline's nodes, compared as the one object they are: there are hundreds."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: tuple[TreeNode, ...]) -> None:
        self.nodes = nodes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Nodes) and self.nodes is other.nodes

    def __hash__(self) -> int:
        return id(self.nodes)


def lines(model: Model) -> tuple[TreeLine, ...]:
    """Returns the lines of the open tree; with a filter only those that have its words."""
    tree = model.tree
    if tree is None or tree.outline is None:
        return ()
    every = _drawn(Nodes(tree.outline.nodes), strokes(model.theme.glyphs))
    words = tree.filter.casefold().split()
    if not words:
        return every
    return tuple(line._replace(strokes="") for line in every if _has(line.node, words))


def _has(node: TreeNode, words: list[str]) -> bool:
    text = f"{node.message} {tree_text.label(node)} {' '.join(node.branches)}".casefold()
    return all(word in text for word in words)


def place_of(listed: tuple[TreeLine, ...], message: int) -> int:
    """Returns which line shows ``message``; 0 if none does."""
    return next((place for place, line in enumerate(listed) if line.node.message == message), 0)


def chosen(model: Model) -> TreeNode | None:
    """Returns the node that keys act on."""
    listed = lines(model)
    return listed[place_of(listed, model.tree.at)].node if listed and model.tree is not None else None


def words(model: Model, node: TreeNode) -> str:
    """Returns what a node's line says; of a reply that is being written, what has come of it."""
    text = text_of(model, node.message) if node.status == "streaming" else None
    return " ".join(text[: limits.PREVIEW_CHARS * 4].split()) if text else tree_text.label(node)


def active_message(model: Model) -> int:
    """Returns the message where the story is; 0 while that is not here."""
    tree = model.tree
    return tree.outline.stands if tree is not None and tree.outline is not None else 0


def text_of(model: Model, message: int) -> str | None:
    """Returns the text of a message, None while it is not known: of the story first, it is the newest."""
    index = transcript.find_message(model.story, message)
    if index is not None:
        return model.story.messages[index].text
    assert model.tree is not None
    return dict(model.tree.texts).get(message)


# --- opening, choosing --------------------------------------------------------------------------


def opened(model: Model, argument: str = "") -> Result:
    """Opens the view, at a message if its number is given; a second time closes it."""
    if model.tree is not None and not argument:
        return model._replace(tree=None), ()
    session = model.replica.session_id
    trouble = ""
    if argument and not (argument.isascii() and argument.isdecimal()):
        trouble = "/tree 12 opens the tree at message 12."
    elif len(argument) > limits.NUMBER_DIGITS:
        trouble = "No message has so long a number."
    elif not session:
        trouble = "There is no story yet whose tree could be shown."
    elif model.link.state != "online":
        trouble = "Not connected yet: the tree comes from the engine."
    elif not commands.offers(model.replica, "/tree"):
        trouble = "This engine is older than the tree view; /branches lists the ways of the story."
    if trouble:
        return model._replace(notice=Notice(trouble, "bad")), ()
    tree = Tree(session, at=int(argument or 0), follow=not argument, moved_at=model.now)
    return _ask(model._replace(tree=tree, menu=-1, selected=None), tree.at)


def _ask(model: Model, focus: int) -> Result:
    """Asks for the outline around a message; 0: around where the story is."""
    assert model.tree is not None
    tree = model.tree._replace(loading=True, stale=False, asked_at=model.now)
    return model._replace(tree=tree), (Send(f"/tree {focus or ''}".rstrip()),)


def unfold(model: Model, node: TreeNode) -> Result:
    """Asks for the outline in which the first message of a fold is the focus."""
    assert model.tree is not None
    model = choose(model, node.message)
    return _ask(model, node.message)


def choose(model: Model, message: int) -> Model:
    """Returns the model with the node of ``message`` chosen and in view.

    A filter that hides it ends. Where no node has it, what is highlighted is chosen.
    """
    assert model.tree is not None
    if not _shows(model, message):
        unfiltered = model._replace(tree=model.tree._replace(filter=""))
        if _shows(unfiltered, message):
            model = unfiltered
        elif (node := chosen(model)) is not None:
            message = node.message
        else:
            return model
    tree = model.tree
    assert tree is not None
    if message != tree.at:
        tree = tree._replace(at=message, moved_at=model.now, skip=0, follow=False)
    place, rows = place_of(lines(model), message), room(model).rows
    top = min(max(tree.top, place - rows + 1), place)
    return model._replace(tree=tree._replace(top=top))


def _shows(model: Model, message: int) -> bool:
    return any(line.node.message == message for line in lines(model))


# --- what the engine says -----------------------------------------------------------------------


def answered(model: Model, event: messages.Event) -> Model | None:
    """Returns the model after an answer that is for this view; None for every other event."""
    if not isinstance(event, messages.SystemUpdate):
        return None
    tree, outline, answer = model.tree, event.metadata.tree, event.metadata.shown
    if outline is not UNSET:
        return (
            _arrived(model, outline) if tree is not None and outline.session == tree.session else model
        )
    if answer is UNSET or tree is None or answer.message != tree.text_request:
        return None
    text = event.content + (model.theme.glyphs.ellipsis if answer.cut else "")
    texts = (*tree.texts, (answer.message, text))[-TREE_TEXTS:]
    return model._replace(tree=tree._replace(texts=texts, text_request=0))


def _arrived(model: Model, outline: StoryTree) -> Model:
    assert model.tree is not None
    tree, here = model.tree, outline.stands
    # What is at the end may have grown since its text was fetched.
    texts = tuple(pair for pair in tree.texts if pair[0] != here)
    follows = tree.follow
    model = model._replace(tree=tree._replace(outline=outline, loading=False, texts=texts))
    targets = [tree.at, outline.focus]
    if follows and not (tree.asking and _shows(model, tree.at)):  # a question is about its message
        targets.insert(0, here)
    visible = [message for message in targets if _shows(model, message)]
    if not visible:  # the filter hides them all
        node = chosen(model)
        visible = [node.message if node is not None else 0]
    if visible[0] != tree.at and tree.asking in ("name", "delete"):
        assert model.tree is not None
        model = model._replace(tree=model.tree._replace(asking="", typed=""))
    model = choose(model, visible[0])
    assert model.tree is not None
    return model._replace(tree=model.tree._replace(follow=follows))


def unanswered(model: Model) -> Model:
    """Returns the model after its connection was lost: what was asked for will not come."""
    if model.tree is None:
        return model
    return model._replace(tree=model.tree._replace(text_request=0, loading=False))


def followed(model: Model, event: messages.Event) -> Model:
    """Returns the model after any event: the tree of a story that changed is looked at again."""
    tree = model.tree
    if tree is None:
        return model
    if tree.session != model.replica.session_id:
        return model._replace(tree=None)
    if isinstance(event, messages.ChatHistory | messages.ChatMessage | messages.ChatEnd):
        return model._replace(tree=tree._replace(stale=True))
    return model


# --- time ---------------------------------------------------------------------------------------


def ticked(model: Model) -> Result:
    """Returns the model at its new time, with what is asked of the engine now."""
    tree = model.tree
    if tree is None or model.link.state != "online":
        return model, ()
    if tree.loading and model.now >= tree.asked_at + limits.SEND_TIMEOUT_S:  # refused, or lost
        tree = tree._replace(loading=False)
        model = model._replace(tree=tree)
    if tree.stale and not tree.loading and model.now >= tree.asked_at + TREE_REFRESH_S:
        return _ask(model, 0 if tree.follow else tree.at)
    unread = _unread(model)
    if unread and model.now >= tree.moved_at + TREE_TEXT_S:
        return model._replace(tree=tree._replace(text_request=unread)), (Send(f"/show {unread}"),)
    return model, ()


def _unread(model: Model) -> int:
    """Returns the chosen message if its text has still to be asked for, else 0."""
    node = chosen(model)
    assert model.tree is not None
    if node is None or node.folded or node.message == model.tree.text_request:
        return 0
    return node.message if text_of(model, node.message) is None else 0


def wakes(model: Model) -> list[float]:
    """Returns when ``ticked`` will have something to do, in monotonic seconds."""
    tree = model.tree
    if tree is None or model.link.state != "online":
        return []
    times = [tree.asked_at + TREE_REFRESH_S] if tree.stale and not tree.loading else []
    return [*times, tree.moved_at + TREE_TEXT_S] if _unread(model) else times


def text_lines(model: Model, columns: int) -> list[str]:
    """Returns the text of the chosen node, wrapped."""
    node = chosen(model)
    if node is None:
        return []
    if node.folded:
        return wrap(f"{tree_text.label(node)}. Enter shows them.", columns)
    text = text_of(model, node.message)
    return wrap(clean(text if text is not None else node.text), columns)
