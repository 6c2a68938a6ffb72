"""Header, sidebar, checklist and input line as rows of cells."""

from __future__ import annotations

from collections.abc import Iterable

from flower import limits
from flower.tui.render.frame import Row
from flower.tui.render.layout import Layout, input_rows_most
from flower.tui.render.style import PLAIN, Span, Style
from flower.tui.render.text import clean, fit, width, wrap
from flower.tui.state import checklist, commands, popups, status_line
from flower.tui.state.checklist import name_of
from flower.tui.state.model import Model
from flower.tui.state.status_line import LINK_WORDS
from flower.tui.state.viewport import PROMPT_COLUMNS
from flower.tui.view import portrait

SHEET_ROWS = 12  # of a long sheet; `/state` shows all


def ends(left: Iterable[Span], right: Iterable[Span], columns: int, fill: Style) -> Row:
    """Returns a row with ``left`` and ``right`` at its ends; ``right`` stays whole if it fits at all."""
    tail = [(clean(text), style) for text, style in right]
    room = columns - sum(width(text) for text, _ in tail)
    if room < 0:
        tail, room = [], columns
    return Row.beside(Row.of(_cut(left, room), room, fill), Row.of(tail, columns - room, fill))


def _cut(spans: Iterable[Span], columns: int) -> list[Span]:
    """Returns the spans that fit, the last one shortened with an ellipsis."""
    cut: list[Span] = []
    for raw, style in spans:
        text = fit(clean(raw).replace("\n", " "), columns)
        cut.append((text, style))
        columns -= width(text)
        if columns <= 0:
            break
    return cut


# --- header -------------------------------------------------------------------------------------


def header_key(model: Model) -> tuple[object, ...]:
    """Returns everything the header shows; equal keys make equal headers."""
    return (
        model.columns,
        model.theme,
        model.replica,
        model.meter.tokens_per_second,
        model.turn.state == "waiting",
    )


def header(model: Model) -> Row:
    """World and character, the model and how fast it writes."""
    theme, replica = model.theme, model.replica
    strong, soft = theme["header"], theme["header_dim"]
    left: list[Span] = [(f" {theme.glyphs.flower} ", strong)]
    names = [
        name_of(model, "worlds", replica.world_id),
        name_of(model, "characters", replica.character_id),
    ]
    named = [name for name in names if name]
    left.append((named[0] if named else "Flower", strong))
    if len(named) > 1:
        left.append((f" {theme.glyphs.dot} {named[1]}", soft))
    return ends(left, [(_narrator(model), soft)], model.columns, theme["header"])


def _narrator(model: Model) -> str:
    replica = model.replica
    room = model.columns // 2
    if replica.offline:
        words = "offline narrator - no AI model"
        return f"  {words} " if model.columns >= 60 else "  offline, no AI "
    if not replica.model:
        return ""
    rate = model.meter.tokens_per_second if model.turn.state != "waiting" else 0.0
    tail = f" {model.theme.glyphs.dot} {rate:.0f} tok/s " if rate else " "
    doubt = "" if replica.model_confirmed else " ?"
    name = fit(clean(name_of(model, "models", replica.model)), room - 2 - len(doubt + tail))
    return f"  {name}{doubt}{tail}"


# --- sidebar ------------------------------------------------------------------------------------


def sidebar_key(model: Model, layout: Layout) -> tuple[object, ...]:
    """Returns everything the sidebar shows."""
    return (
        layout,
        model.theme,
        model.replica,
        model.link,
        model.recalled,
        model.turn.state,
        model.bindings,
        portrait.visible_picture(model),
    )


def sidebar(model: Model, layout: Layout) -> list[Row]:
    """One row per row of the pane, its border at the left."""
    theme, columns = model.theme, layout.sidebar - 2
    border: Span = (f"{theme.glyphs.v} ", theme["sidebar_border"])
    lines = portrait.lines(model, columns, layout.pane_rows)
    lines += [line for section in _sections(model, columns) for line in section]
    lines = lines[: layout.pane_rows]
    lines += [[]] * (layout.pane_rows - len(lines))
    return [Row.of([border, *line], layout.sidebar) for line in lines]


def _sections(model: Model, columns: int) -> list[list[list[Span]]]:
    replica, theme = model.replica, model.theme
    title, text, dim = theme["sidebar_title"], theme["sidebar"], theme["dim"]

    def section(name: str, *values: str, style: Style = text) -> list[list[Span]]:
        lines = [line for value in values if value for line in wrap(clean(value), columns)[:2]]
        return (
            [[(name, title)], *[[(fit(line, columns), style)] for line in lines], []] if lines else []
        )

    rules = [name_of(model, "rules", rule) for rule in replica.active_rules]
    bullet = theme.glyphs.dot
    sections = [
        section(
            "Status",
            state_words(model),
            style=theme["status_bad"] if model.link.state == "lost" else text,
        ),
        section("World", name_of(model, "worlds", replica.world_id)),
        section("Character", name_of(model, "characters", replica.character_id)),
        section(
            "Rules",
            *[f"{bullet} {rule}" for rule in rules],
            *(["adult content"] if replica.nsfw else []),
        ),
    ]
    if replica.sheet:
        rows = [f"{row.name}: {row.value}" for row in replica.sheet[:SHEET_ROWS]]
        sections.append(section("State", *rows))
    if model.recalled:
        # Titles only: what was recalled may be what the story is about to reveal.
        titles = dict.fromkeys(popups.recalled_title(item) for item in model.recalled)
        heads = [fit(clean(title), columns) for title in titles]
        hint = f"{status_line.key_of(model, 'recalled')} reads them"
        sections.append([[("Recalled", title)], *[[(head, text)] for head in heads], [(hint, dim)]])
    return sections


def state_words(model: Model) -> str:
    """Returns in a few words what is going on."""
    if model.link.state != "online":
        return LINK_WORDS[model.link.state]
    if model.replica.status == "stopping":
        return "the engine is going down"
    if (progress := model.replica.progress) is not None:
        total = f" of {progress.total}" if progress.total else ""
        return f"{progress.what} {progress.done}{total}"
    return {"idle": "ready", "waiting": "narrating", "streaming": "narrating", "stopping": "stopping"}[
        model.turn.state
    ]


# --- checklist ----------------------------------------------------------------------------------


def checklist_rows(model: Model, layout: Layout) -> list[Row]:
    """The steps to a story, in the place of the story."""
    theme, glyphs = model.theme, model.theme.glyphs
    current = checklist.current(model)
    lines: list[list[Span]] = [
        [],
        [(f"{glyphs.flower} Flower", theme["title"])],
        [("Stories you play, told by a narrator.", theme["dim"])],
        [],
    ]
    for place, step in enumerate(checklist.steps(model)):
        here = place == current
        mark = glyphs.current if here else " "
        done = glyphs.done if step.value else glyphs.todo
        style = theme["accent" if here else "dim" if step.quiet else "text"]
        line: list[Span] = [(f"{mark} {done} {step.title}", style)]
        if step.value:
            line.append((f"  {clean(step.value)}", theme["dim" if step.quiet else "user"]))
        if step.quiet or (step.optional and not step.value):
            line.append(("  (optional)", theme["dim"]))
        lines.append(line)
    online = model.link.state == "online"
    hint = f"Enter opens {glyphs.current}; {glyphs.up} {glyphs.down} choose; F1 shows all keys."
    if layout.pane_right < width(hint) + 2:
        hint = f"Enter opens {glyphs.current}; {glyphs.up} {glyphs.down} choose."
    lines += [
        [],
        [(hint if online else f"{state_words(model).capitalize()}{glyphs.ellipsis}", theme["dim"])],
    ]
    left = max(2, min((layout.pane_right - 56) // 2, 12))
    if layout.pane_rows < len(lines) + 1:
        lines = lines[4:]
    above = max(0, (layout.pane_rows - len(lines)) // 3)
    rows = [
        Row.of([(" " * left, PLAIN), *_cut(line, layout.pane_right - left)], layout.pane_right)
        for line in lines
    ]
    blank = Row.blank(layout.pane_right)
    return ([blank] * above + rows + [blank] * layout.pane_rows)[: layout.pane_rows]


# --- quick replies ------------------------------------------------------------------------------


def quick_replies(model: Model) -> Row:
    """Returns the row of lines that the player has ready, each behind the digit of its key."""
    theme = model.theme
    keys = model.bindings.keys_of("quick_reply")
    spans: list[Span] = [(" ", theme["dim"])]
    for place, (key, ready) in enumerate(zip(keys, model.replica.quick_replies, strict=False)):
        digit = key.capitalize() if not place else key.rpartition("+")[2]  # Alt+1 ... 2 ... 3
        spans += [(f" {digit} ", theme["accent"]), (f"{clean(ready.name)} ", theme["text"])]
    return ends(spans, [], model.columns, theme["text"])


# --- input line ---------------------------------------------------------------------------------


def input_key(model: Model, layout: Layout) -> tuple[object, ...]:
    """Returns everything the input line shows."""
    return (
        layout,
        model.theme,
        model.input,
        model.menu,
        model.menu_closed,
        model.search,
        model.replica,
    )


def input_line(model: Model, layout: Layout) -> tuple[list[Row], tuple[int, int]]:
    """Returns the rows of the input line and the cursor in them (x, y from its first row)."""
    theme = model.theme
    style = theme["input"]
    if model.search.typing:
        term = clean(model.search.term).replace("\n", " ")
        row = Row.of([("search: ", theme["accent"]), (term, style)], model.columns)
        blank = [Row.blank(model.columns)] * (layout.input_rows - 1)
        return [row, *blank], (min(model.columns - 1, 8 + width(term)), 0)
    typed, (x, y) = model.input.layout(model.columns - PROMPT_COLUMNS, input_rows_most(model.rows))
    ghost = commands.ghost_of_line(model)
    rows: list[Row] = []
    for place, line in enumerate(typed):
        mark = f"{theme.glyphs.prompt} " if place == 0 else "  "
        spans: list[Span] = [(mark, theme["accent"]), (line, style)]
        if place == len(typed) - 1 and ghost:
            spans.append((ghost, theme["ghost"]))
        rows.append(Row.of(spans, model.columns))
    return rows, (min(model.columns - 1, x + PROMPT_COLUMNS), y)


# --- The status line as rows of cells: the words of ``news``, the last reply's numbers at its right.

STYLES = {"info": "status", "good": "status_ok", "bad": "status_bad", "hint": "status"}


def status(model: Model) -> list[Row]:
    """News or state at the left; the numbers of the last reply at the right, where there is room."""
    style = model.theme["status"]
    lines = status_line.rows(model)
    words = model.theme[STYLES[status_line.of(model).kind]]
    turning = spinner(model)
    first: list[Span] = [(f"{turning} ", model.theme["spinner"])] if turning else []
    right = status_line.numbers(model)
    if len(lines) > 1 or width(f" {turning} {lines[0]}{right}") > model.columns:
        mark = status_line.unread_mark(model)
        right = f"  {mark} " if mark else ""
    if right and width(f" {turning} {lines[0]}{right}") > model.columns:
        right = ""
    rows = [ends([(" ", style), *first, (lines[0], words)], [(right, style)], model.columns, style)]
    return rows + [ends([(" ", style), (line, words)], [], model.columns, style) for line in lines[1:]]


def status_key(model: Model) -> tuple[object, ...]:
    """Returns everything the status line shows."""
    words = (
        model.columns,
        model.rows,
        model.theme,
        *status_line.of(model),
        status_line.numbers(model),
        status_line.unread_mark(model),
        spinner(model),
    )
    return (*words, status_line.height(model))


def spinner(model: Model) -> str:
    """Returns the frame of the spinner at the model's time; ``""`` when nothing is waited for."""
    bad = model.notice.kind == "bad" and model.notice.text
    if model.turn.state != "waiting" or model.link.state != "online" or bad:
        return ""
    frames = model.theme.glyphs.spinner
    if model.settings.reduced_motion:
        return str(frames[0])
    return str(frames[int(model.now / limits.SPINNER_S) % len(frames)])
