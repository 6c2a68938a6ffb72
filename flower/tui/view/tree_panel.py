"""The tree of a story as rows of cells: the tree, the chosen message's text, what the keys do."""

from __future__ import annotations

from flower.protocol.messages import TreeNode
from flower.protocol.tree_text import TreeLine
from flower.text import counted
from flower.tui.render.frame import Row
from flower.tui.render.layout import Layout
from flower.tui.render.messages import ENDINGS
from flower.tui.render.style import Span, Style
from flower.tui.render.text import clean, fit, width
from flower.tui.render.theme import Theme
from flower.tui.state import tree_state
from flower.tui.state.model import Model, Tree
from flower.tui.state.tree_state import Room
from flower.tui.view.popups import Box, edge, sides

WHO = {"user": "you", "assistant": "the narrator", "system": "a note"}


def box(model: Model, tree: Tree, place: Layout) -> Box:
    """Returns the view, drawn to lie over everything between the header and the status line."""
    room, listed, theme = tree_state.room(model), tree_state.lines(model), model.theme
    at = tree_state.place_of(listed, tree.at)
    top = max(0, min(tree.top, len(listed) - room.rows))
    body = [_line(model, line, room.columns, here=n == at) for n, line in _from(listed, top, room.rows)]
    if not listed:
        words = "nothing here fits" if tree.filter else f"fetching the tree{theme.glyphs.ellipsis}"
        body.append(
            Row.of([(fit(words, room.columns), theme["popup_dim"])], room.columns, theme["popup"])
        )
    body += [Row.blank(room.columns, theme["popup"])] * (room.rows - len(body))
    text = _text_rows(model, room, tree.skip)
    if room.beside:
        gap = Row.of([(f" {theme.glyphs.v} ", theme["popup_border"])], 3)
        body = [Row.beside(left, gap, right) for left, right in zip(body, text, strict=True)]
    else:
        body = [*body, _rule(theme, room.columns), *text]
    ask = _ask(model, tree)
    head = edge(theme, model.columns, " The story's tree ", _counted(tree), top=True)
    foot = edge(theme, model.columns, ask or _hints(model), "", top=False)
    cursor = (2, place.pane_top + 1 + min(at - top, room.rows - 1))
    if ask:
        cursor = (min(model.columns - 2, width(ask)), place.status - 1)
    return Box([head, *(sides(theme, row) for row in body), foot], 0, place.pane_top, cursor)


def key(model: Model) -> tuple[object, ...]:
    """Returns everything the view shows."""
    node = tree_state.chosen(model)
    text = tree_state.text_of(model, node.message) if node is not None else None
    growing = [tree_state.words(model, n) for n in _nodes(model) if n.status == "streaming"]
    return (model.theme, model.columns, model.rows, model.tree, text, growing)


def _nodes(model: Model) -> tuple[TreeNode, ...]:
    outline = model.tree.outline if model.tree is not None else None
    return outline.nodes if outline is not None else ()


def _from(listed: tuple[TreeLine, ...], top: int, rows: int) -> enumerate[TreeLine]:
    return enumerate(listed[top : top + rows], top)


def _counted(tree: Tree) -> str:
    if tree.outline is None:
        return ""
    return f" {counted(tree.outline.messages, 'message')} "


# --- the tree -----------------------------------------------------------------------------------


def _line(model: Model, line: TreeLine, columns: int, *, here: bool) -> Row:
    """One node: its branches, its mark, its words, and at the right what else is known of it."""
    theme, node = model.theme, line.node
    plain, soft, accent = theme["popup"], theme["popup_dim"], theme["popup_title"]
    strokes = _cut(model, line.strokes, columns)
    tail = _tail(model, node)
    words = clean(tree_state.words(model, node)).replace("\n", " ")
    if node.role == "user":
        words = f"{theme.glyphs.prompt} {words}"
    room = columns - width(strokes) - 2 - (width(tail) + 1 if tail else 0)
    words = fit(words, max(0, room))
    gap = " " * max(0, columns - width(strokes) - 2 - width(words) - width(tail))
    if here:
        whole = f"{strokes}{_mark(model, node)} {words}{gap}{tail}"
        return Row.of([(whole, theme["popup_selected"])], columns, theme["popup_selected"])
    style = plain if node.active else soft
    marked = accent if node.active else soft
    spans: list[Span] = [(strokes, theme["popup_border"]), (f"{_mark(model, node)} ", marked)]
    return Row.of(
        [*spans, (words + gap, style), (tail, accent if node.branches else soft)], columns, plain
    )


def _cut(model: Model, strokes: str, columns: int) -> str:
    """Returns the strokes moved to the left as far as the chosen line needs room for its words."""
    chosen = tree_state.lines(model)
    assert model.tree is not None
    deep = len(chosen[tree_state.place_of(chosen, model.tree.at)].strokes)
    return strokes[max(0, (deep - columns // 3 + 1) // 2 * 2) :][: columns // 2]


def _mark(model: Model, node: TreeNode) -> str:
    glyphs = model.theme.glyphs
    if node.folded:
        return glyphs.ellipsis
    if node.thrown:
        return glyphs.cross
    if node.message == tree_state.active_message(model):
        return glyphs.flower
    return glyphs.bullet if node.active else glyphs.todo


def _tail(model: Model, node: TreeNode) -> str:
    parts = [f"[{fit(clean(name), 20)}]" for name in node.branches[:2]]
    if node.variants > 1:
        parts.append(f"{node.variant}/{node.variants}")
    if node.message == tree_state.active_message(model):
        parts.append("here")
    return " ".join(parts)


# --- the text -----------------------------------------------------------------------------------


def _text_rows(model: Model, room: Room, skip: int) -> list[Row]:
    theme = model.theme
    node = tree_state.chosen(model)
    rows: list[tuple[str, Style]] = []
    if node is not None:
        rows = [(fit(_about(node), room.text_columns), theme["popup_title"])]
        lines = tree_state.text_lines(model, room.text_columns)
        more = lines[skip + room.text_rows - 1 :]
        lines = lines[skip : skip + room.text_rows - 1]
        if more and lines:
            lines[-1] = fit(f"{lines[-1]} {more[0]}", room.text_columns)
        rows += [(line, theme["popup"]) for line in lines]
    rows += [("", theme["popup"])] * (room.text_rows - len(rows))
    return [Row.of([row], room.text_columns, theme["popup"]) for row in rows[: room.text_rows]]


def _about(node: TreeNode) -> str:
    """Returns what is known of a node in a line."""
    if node.folded:
        return f"From message {node.message}"
    parts = [f"Message {node.message}", WHO.get(node.role, "")]
    if node.variants > 1:
        parts.append(f"variant {node.variant} of {node.variants}")
    if node.thrown:
        parts.append("in the trash")
    elif node.status in ENDINGS:
        parts.append(ENDINGS[node.status])
    parts += [clean(name) for name in node.branches]
    if node.below:
        parts.append(f"{node.below} below it")
    return ", ".join(part for part in parts if part)


# --- the frame ----------------------------------------------------------------------------------


def _ask(model: Model, tree: Tree) -> str:
    """Returns the question that is open, with what has been typed."""
    match tree.asking:
        case "filter":
            return f" filter: {tree.typed} "
        case "name":
            return f" name of the branch: {tree.typed} "
        case "delete":
            node = tree_state.chosen(model)
            which = f"message {node.message} " if node is not None else ""
            return f" {which}into the trash, with all below it? y or n "
        case _:
            return ""


def _hints(model: Model) -> str:
    """Returns the longest line about the keys that fits."""
    node = tree_state.chosen(model)
    go, more = "Enter go there", ", r retry, n name, d delete"
    if node is not None and node.folded:
        go, more = "Enter open", ""
    elif node is not None and node.thrown:
        go, more = "u take it back", ""
    glyphs = model.theme.glyphs
    walk = f"{glyphs.up}{glyphs.down}{glyphs.left}{glyphs.right} walk, "
    offers = (f"{walk}{go}{more}, / filter, Esc close", f"{go}{more}, Esc", f"{go}, r n d /, Esc")
    fitting = [offer for offer in offers if width(offer) <= model.columns - 6]
    return f" {fitting[0]} " if fitting else ""


def _rule(theme: Theme, columns: int) -> Row:
    return Row.of([(theme.glyphs.h * columns, theme["popup_border"])], columns)
