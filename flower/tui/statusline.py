"""The status line: news, else the state, else the keys that help; the last reply's numbers at its right."""

from __future__ import annotations

from flower import limits
from flower.tui import checklist, keyhints
from flower.tui.frame import Row
from flower.tui.model import Model
from flower.tui.panels import LINK_WORDS, ends
from flower.tui.style import Span


def status(model: Model) -> Row:
    """News or state at the left, the numbers of the last reply at the right."""
    style = model.theme["status"]
    right = [(_numbers(model) if model.selected is None else "", style)]
    return ends([(" ", style), *_news(model)], right, model.columns, style)


def status_key(model: Model) -> tuple[object, ...]:
    """Returns everything the status line shows."""
    return (
        (
            model.columns,
            model.theme,
            model.link,
            model.turn,
            model.notice[:2],
            model.replica.progress,
            model.replica.queued,
        ),
        (
            model.meter.new_words,
            _numbers(model),
            model.scroll.follow,
        ),
        (model.selected is None, model.search, model.chord, model.popup is None, model.story.loading),
        (spinner(model), model.story.detached, len(model.unconfirmed), checklist.shown(model)),
    )


def spinner(model: Model) -> str:
    """Returns the frame of the spinner at the model's time; ``""`` when nothing is waited for."""
    if model.turn.state != "waiting":
        return ""
    frames = model.theme.glyphs.spinner
    if model.settings.reduced_motion:
        return str(frames[0])
    return str(frames[int(model.now / limits.SPINNER_S) % len(frames)])


def _news(model: Model) -> list[Span]:
    theme, notice = model.theme, model.notice
    style, bad = theme["status"], theme["status_bad"]
    if model.link.state == "lost":
        return [(model.link.note or LINK_WORDS["lost"], bad)]
    if model.link.state != "online":
        return [(model.link.note or LINK_WORDS[model.link.state] + theme.glyphs.ellipsis, style)]
    if notice.kind == "bad" and notice.text:
        return [(notice.text, bad)]
    if model.chord:
        return [(f"{model.chord} ...", style)]
    if model.turn.state == "waiting":
        queued = f", {model.replica.queued} more waiting" if model.replica.queued else ""
        return [(f"{spinner(model)} ", theme["spinner"]), (f"narrating{queued}; Esc stops", style)]
    if notice.text:
        return [(notice.text, theme["status_ok"] if notice.kind == "good" else style)]
    if model.selected is not None:
        return [(keyhints.messages(model), style)]
    if not model.scroll.follow and model.story.messages:
        new = f"{model.meter.new_words} new words" if model.meter.new_words else "more"
        older = ", fetching older" if model.story.loading else ""
        return [(f"{theme.glyphs.down} {new} below: End{older}", style)]
    if model.turn.state == "streaming":
        return [("narrating; Esc stops", style)]
    if model.turn.state == "stopping":
        return [("stopping the reply", style)]
    return [(keyhints.idle(model), style)]


def _numbers(model: Model) -> str:
    meter = model.meter
    parts: list[str] = []
    if meter.total_tokens:
        parts.append(f"{meter.total_tokens:,} tokens")
    if meter.cost:
        parts.append(f"${meter.cost:.4f}")
    if meter.seconds and model.columns >= 60:
        parts.append(f"{meter.seconds:.1f} s")
    if meter.ended_at:
        parts.append(meter.ended_at)
    return f"  {f' {model.theme.glyphs.dot} '.join(parts)} " if parts else ""
