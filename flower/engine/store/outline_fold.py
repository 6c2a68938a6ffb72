"""A story's tree, folded to what one look can hold. Pure.

A long story has thousands of messages; an outline shows the forks, the ends and what is near its focus,
and folds everything else. Hidden messages that hang together become one node, so the outline is a tree
as well and every message is in exactly one of its nodes: the way from the root to any message stays
whole, and whatever is hidden can be reached by an outline with the fold as its focus.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

OUTLINE_MESSAGES = 120  # shown one by one: the nodes of an outline stay below 125 KB
OUTLINE_NEAR = 8  # messages above and below an outline's focus that are never folded
OUTLINE_NAMED = 40  # ends of named branches that are always in an outline
OUTLINE_DELETED = 20  # of the trash; /restore lists more

# A message as far as the tree's shape goes: its id and the one above it, 0 for none.
Twig = tuple[int, int]


class Node(NamedTuple):
    """A message of an outline, or several folded into one. ``parent``: the ``message`` of the node above.

    ``message`` of a fold is the first message in it. ``ends``: ways through the tree that end in a fold.
    ``below``: messages under this node, those in the trash only under a node that is in the trash.
    """

    message: int
    parent: int
    folded: int = 0  # how many messages it is in place of; 0: it is one message
    ends: int = 0
    below: int = 0
    active: bool = False  # the way to where the story is goes through it
    chosen: bool = False  # the story goes on here when it comes through ``parent``
    leaf: bool = False
    deleted: bool = False
    variant: int = 1  # which of its siblings it is, and how many there are
    variants: int = 1


class Shape:
    """The tree of a story.

    ``twigs``: all messages in the order of their ids, above before below. ``deleted``: those in the trash.
    ``chosen`` tells with which message the story went on after one; it is asked about few of them.
    """

    def __init__(
        self,
        twigs: Sequence[Twig],
        leaf: int | None,
        deleted: Collection[int] = (),
        chosen: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        self.parent = dict(twigs)
        self.order = [message for message in self.parent if message not in deleted]
        self.visible = set(self.order)
        self.children: dict[int, list[int]] = {0: []}
        self.tops: dict[int, list[int]] = {}  # by the message they hang below: what the trash holds
        self.size = dict.fromkeys(self.parent, 1)  # messages from here on down
        for message in self.order:
            self.children.setdefault(self.parent[message], []).append(message)
        for message in reversed(self.parent):
            above = self.parent[message]
            if message not in deleted or above in deleted:
                if above:
                    self.size[above] += self.size[message]
            else:
                self.tops.setdefault(above, []).append(message)
        self.leaf = leaf
        self.path = set(self.above(leaf)) if leaf else set()
        self._chosen = chosen
        self._went_on = {self.parent[message]: message for message in self.path}

    def above(self, message: int) -> Iterator[int]:
        """Yields a message and all above it."""
        while message:
            yield message
            message = self.parent[message]

    def below(self, message: int) -> Iterator[int]:
        """Yields what the story goes on with after a message, down to the end."""
        while kids := self.children.get(message):
            message = self.entry(message, kids)
            yield message

    def entry(self, message: int, kids: Sequence[int]) -> int:
        """Returns the one of ``kids`` that the story goes on with after ``message``."""
        if len(kids) == 1:
            return kids[0]
        if message not in self._went_on:
            chosen = self._chosen(message)
            there = chosen in self.visible and self.parent[chosen] == message
            self._went_on[message] = chosen if chosen is not None and there else kids[-1]
        return self._went_on[message]

    def is_chosen(self, message: int) -> bool:
        """Whether the story goes on with a message when it comes by."""
        return self.entry(self.parent[message], self.siblings(message)) == message

    def siblings(self, message: int) -> list[int]:
        return self.children[self.parent[message]]


def fold(
    shape: Shape,
    focus: int | None,
    named: Collection[int] = (),
    most: int = OUTLINE_MESSAGES,
) -> list[Node]:
    """Returns the outline around message ``focus`` (None: its beginning), each node before those below it.

    ``named``: ends of named branches, the important ones first. At most ``most`` messages are chosen to
    be shown and some of the trash, so there are at most ``4 * most + 1 + OUTLINE_DELETED`` nodes.
    Siblings are in the order in which they were written.
    """
    above = shape.above(focus) if focus is not None else iter(())
    focus = next((message for message in above if message in shape.visible), shape.leaf)
    if focus is None and shape.order:
        focus = shape.order[0]
    singles = _singles(shape, focus, named, most) if focus is not None else set()
    return _contracted(shape, singles)


# --- what is shown ------------------------------------------------------------------------------


def _singles(shape: Shape, focus: int, named: Collection[int], most: int) -> set[int]:
    """Returns the messages worth a node of their own, at most ``most``."""
    singles: set[int] = set()
    first = [focus, *([shape.leaf] if shape.leaf else []), *_near(shape, focus)]
    if shape.leaf:
        first += [*_first(shape.above(shape.leaf), 2), min(shape.path)]
    first += _first(iter(named), OUTLINE_NAMED)
    for message in first[:most]:
        singles.add(message)
    turns = _Turns(shape)
    waiting = deque(first[:2])
    seen = set(waiting)
    while waiting and len(singles) < most:
        message = waiting.popleft()
        if turns.is_one(message):
            singles.add(message)
        for neighbour in turns.next_to(message):
            if neighbour not in seen:
                seen.add(neighbour)
                waiting.append(neighbour)
    return singles


def _near(shape: Shape, focus: int) -> list[int]:
    """Returns the messages right above and below the focus, which are shown even where nothing forks."""
    above = _first(shape.above(focus), OUTLINE_NEAR + 1)
    below = _first(shape.below(focus), OUTLINE_NEAR)
    return [*above, *below]


def _first(messages: Iterator[int], most: int) -> list[int]:
    return [message for message, _ in zip(messages, range(most), strict=False)]


class _Turns:
    """Where a story turns: messages that have siblings, that fork, that end a way or begin one.

    Siblings are next to each other, so a fan of a thousand variants is entered from one side and does
    not push everything else out.
    """

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        kids = shape.children
        self._up: dict[int, int] = {}  # the nearest turn above, 0 for none
        self._down: dict[int, int] = {}  # a message itself if it is a turn, else the nearest one below
        turns = {m for several in kids.values() if len(several) != 1 for m in several}
        turns.update(m for m in shape.order if len(kids.get(m, ())) != 1)
        turns.update(kids[0])
        self._turns = turns
        for message in shape.order:
            above = shape.parent[message]
            self._up[message] = above if above in turns else self._up.get(above, 0)
        for message in reversed(shape.order):
            self._down[message] = message if message in turns else self._down[kids[message][0]]

    def is_one(self, message: int) -> bool:
        return message in self._turns

    def next_to(self, message: int) -> list[int]:
        """Returns the turns around a message: above, beside, below."""
        shape = self._shape
        beside = shape.siblings(message)
        neighbours = [self._up[message]] if self._up[message] else []
        if len(beside) > 1:
            at = bisect_left(beside, message)
            neighbours += beside[max(0, at - 1) : at] + beside[at + 1 : at + 2]
        kids = shape.children.get(message)
        if kids:
            neighbours.append(self._down[shape.entry(message, kids)])
        return neighbours


# --- what is folded -----------------------------------------------------------------------------


class _Fold:
    """Hidden messages that hang together below a shown one."""

    __slots__ = ("active", "chosen", "ends", "messages", "open", "size", "top")

    def __init__(self, top: int, size: int, *, chosen: bool) -> None:
        self.top = top
        self.messages = self.ends = 0
        self.size = size
        self.chosen = chosen
        self.active = self.open = False  # open: something shown hangs below it


def _contracted(shape: Shape, singles: set[int]) -> list[Node]:
    """Returns the tree with everything folded but ``singles``."""
    folds: dict[int, _Fold] = {}  # by hidden message
    kids: dict[int, list[int | _Fold]] = {}  # by node: what hangs below it, in order
    for message in shape.order:
        above = shape.parent[message]
        within = folds.get(above)
        if message in singles:
            if within is not None:
                within.open = True
            kids.setdefault(within.top if within else above, []).append(message)
            continue
        if within is None:
            within = _Fold(message, shape.size[message], chosen=shape.is_chosen(message))
            kids.setdefault(above, []).append(within)
        folds[message] = within
        within.messages += 1
        within.ends += message not in shape.children
        within.active = within.active or message in shape.path
    nodes: list[Node] = []
    trash = _throw(shape, nodes, 0, OUTLINE_DELETED)
    waiting: list[tuple[int, int | _Fold]] = [(0, kid) for kid in reversed(_merged(kids.get(0, [])))]
    while waiting:
        parent, kid = waiting.pop()
        node = _message(shape, kid, parent) if isinstance(kid, int) else _folded(shape, kid, parent)
        nodes.append(node)
        if not node.folded:
            trash = _throw(shape, nodes, node.message, trash)
        below = _merged(kids.get(node.message, []))
        waiting += [(node.message, each) for each in reversed(below)]
    return nodes


def _merged(kids: list[int | _Fold]) -> list[int | _Fold]:
    """Returns what hangs below a node, hidden siblings with nothing shown below them put together."""
    merged: list[int | _Fold] = []
    for kid in kids:
        last = merged[-1] if merged else None
        if isinstance(kid, _Fold) and isinstance(last, _Fold) and not kid.open and not last.open:
            last.messages += kid.messages
            last.ends += kid.ends
            last.size += kid.size
            last.active = last.active or kid.active
            last.chosen = last.chosen or kid.chosen
        else:
            merged.append(kid)
    return merged


def _throw(shape: Shape, nodes: list[Node], parent: int, room: int) -> int:
    """Adds what the trash holds of a node's messages, the newest first; returns the room left."""
    deleted = shape.tops.get(parent, ())[:room]
    nodes += [Node(top, parent, below=shape.size[top] - 1, deleted=True) for top in deleted]
    return room - len(deleted)


def _folded(shape: Shape, fold: _Fold, parent: int) -> Node:
    if fold.messages == 1:  # as short to show as to fold
        return _message(shape, fold.top, parent)
    below = fold.size - fold.messages
    return Node(fold.top, parent, fold.messages, fold.ends, below, fold.active, fold.chosen)


def _message(shape: Shape, message: int, parent: int) -> Node:
    beside = shape.siblings(message)
    return Node(
        message,
        parent,
        below=shape.size[message] - 1,
        active=message in shape.path,
        chosen=shape.is_chosen(message),
        leaf=message not in shape.children,
        variant=bisect_left(beside, message) + 1,
        variants=len(beside),
    )
