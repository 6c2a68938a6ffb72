"""How a story's tree is drawn as lines: which node comes where, and the branches before it. Pure.

The way that the story takes goes straight down; other ways stand to its right, above the point where
it goes on. So a tree is as wide as its ways turn off one after the other, however long it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from flower.protocol.messages import TreeNode


class Strokes(NamedTuple):
    """What the branches are drawn with, two columns each."""

    turn: str = "|-"  # another way turns off
    begin: str = ",-"  # another beginning of the story
    stem: str = "| "  # the way that goes on further down


ASCII = Strokes()


class TreeLine(NamedTuple):
    """A node and the strokes before it."""

    strokes: str
    node: TreeNode


def tree_lines(nodes: Sequence[TreeNode], strokes: Strokes = ASCII) -> list[TreeLine]:
    """Returns the lines of an outline from top to bottom."""
    numbers = {node.message for node in nodes}
    kids: dict[int, list[TreeNode]] = {}
    for node in nodes:
        kids.setdefault(node.parent if node.parent in numbers else 0, []).append(node)
    lines: list[TreeLine] = []
    # The next one is at the end: its strokes, then those of what hangs below it.
    waiting = _below(kids.get(0, []), "", strokes.begin, strokes.stem)
    while waiting:
        before, stem, node = waiting.pop()
        lines.append(TreeLine(before, node))
        waiting += _below(kids.get(node.message, []), stem, strokes.turn, strokes.stem)
    return lines


def _below(
    kids: Sequence[TreeNode], before: str, turn: str, stem: str
) -> list[tuple[str, str, TreeNode]]:
    """Returns what hangs below a node, the first to draw at the end."""
    if not kids:
        return []
    on = trunk(kids)
    others = [(before + turn, before + stem, kid) for kid in reversed(kids) if kid is not on]
    return [(before, before, on), *others]


def trunk(kids: Sequence[TreeNode]) -> TreeNode:
    """Returns the one of some siblings with which the story goes on."""
    for kid in kids:
        if kid.active:
            return kid
    chosen = [kid for kid in kids if kid.chosen]
    visible = [kid for kid in kids if not kid.thrown]
    return (chosen or visible or list(kids))[-1]


def label(node: TreeNode) -> str:
    """Returns what a node says: the first words of a message, or what is folded."""
    if node.folded:
        ends = f", {node.ends} ways end here" if node.ends > 1 else ""
        return f"{node.folded} messages{ends}"
    words = node.text or "(nothing yet)"
    return f"{words} (in the trash{_more(node.below)})" if node.thrown else words


def _more(below: int) -> str:
    return f", with {below} below it" if below else ""


def as_text(nodes: Sequence[TreeNode], current: int, focus: int, most: int) -> str:
    """Returns the lines of an outline as plain text, at most ``most`` of them around the focus."""
    lines = tree_lines(nodes)
    at = next((place for place, line in enumerate(lines) if line.node.message == focus), 0)
    start = max(0, min(at - most // 2, len(lines) - most))
    rows = [_row(line, current) for line in lines[start : start + most]]
    if start:
        rows.insert(0, "...")
    if start + most < len(lines):
        rows.append("...")
    return "\n".join(rows)


def _row(line: TreeLine, current: int) -> str:
    node = line.node
    who = {"user": "You: ", "assistant": "", "system": "* "}.get(node.role, "")
    mark = "@" if node.message == current else "x" if node.thrown else "*" if node.active else "o"
    if node.folded:
        return f"{line.strokes}: {label(node)} from message {node.message}"
    parts = [f"{line.strokes}{mark} {node.message} {who}{label(node)}"]
    if node.variants > 1:
        parts.append(f"{node.variant}/{node.variants}")
    parts += [f"[{name}]" for name in node.branches]
    return " ".join(parts)
