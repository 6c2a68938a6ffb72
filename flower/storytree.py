"""A story's tree as the engine tells it and faces draw it: the structs of ``State.tree`` and ``State.shown``.

Part of the wire, like ``flower/protocol.py``; how the tree is folded is ``flower/engine/outline.py``'s.
"""

from __future__ import annotations

from msgspec import Struct


class TreeNode(Struct, frozen=True, omit_defaults=True):
    """A message in the outline of a story, or several messages folded into one node.

    ``message`` of a fold is the first of them: ``/tree MESSAGE`` opens it. ``parent`` is the ``message``
    of the node above, 0 at the beginning. A fold has no role and no text.
    """

    message: int
    parent: int = 0
    role: str = ""
    text: str = ""  # its first words
    status: str = ""
    variant: int = 1  # which of its siblings it is, and how many there are
    variants: int = 1
    branches: tuple[str, ...] = ()  # names of the branches that end here
    active: bool = False  # the story goes through it
    chosen: bool = False  # the story goes on here when it comes through ``parent``
    leaf: bool = False  # nothing follows it
    below: int = 0  # messages under it
    thrown: bool = False  # in the trash, with all below it
    folded: int = 0  # how many messages a fold stands for; 0: it is one message
    ends: int = 0  # how many ways through the tree end in a fold


class StoryTree(Struct, frozen=True):
    """The outline of a story's tree around ``focus``; every node comes before those below it."""

    session: str
    focus: int
    stands: int  # the message at which the story stands; 0: before the first
    messages: int  # of the whole tree, without the trash
    nodes: tuple[TreeNode, ...]


class ShownMessage(Struct, frozen=True, omit_defaults=True):
    """Which message the text in ``content`` is; ``cut``: it is longer than what is shown."""

    session: str
    message: int
    role: str
    status: str = ""
    model: str = ""
    thrown: bool = False
    cut: bool = False
