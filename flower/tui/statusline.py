"""The status line as rows of cells: the words of ``news``, the last reply's numbers at its right."""

from __future__ import annotations

from flower import limits
from flower.tui import news
from flower.tui.frame import Row
from flower.tui.model import Model
from flower.tui.panels import ends
from flower.tui.style import Span
from flower.tui.text import width

STYLES = {"info": "status", "good": "status_ok", "bad": "status_bad", "hint": "status"}


def status(model: Model) -> list[Row]:
    """News or state at the left; the numbers of the last reply at the right, where there is room."""
    style = model.theme["status"]
    lines = news.rows(model)
    words = model.theme[STYLES[news.of(model).kind]]
    turning = spinner(model)
    first: list[Span] = [(f"{turning} ", model.theme["spinner"])] if turning else []
    right = news.numbers(model)
    if len(lines) > 1 or width(f" {turning} {lines[0]}{right}") > model.columns:
        right = ""
    shown = [ends([(" ", style), *first, (lines[0], words)], [(right, style)], model.columns, style)]
    return shown + [ends([(" ", style), (line, words)], [], model.columns, style) for line in lines[1:]]


def status_key(model: Model) -> tuple[object, ...]:
    """Returns everything the status line shows."""
    said = (
        model.columns,
        model.rows,
        model.theme,
        *news.of(model),
        news.numbers(model),
        spinner(model),
    )
    return (*said, news.height(model))


def spinner(model: Model) -> str:
    """Returns the frame of the spinner at the model's time; ``""`` when nothing is waited for."""
    bad = model.notice.kind == "bad" and model.notice.text
    if model.turn.state != "waiting" or model.link.state != "online" or bad:
        return ""
    frames = model.theme.glyphs.spinner
    if model.settings.reduced_motion:
        return str(frames[0])
    return str(frames[int(model.now / limits.SPINNER_S) % len(frames)])
