"""A screen as SVG, for documents. ``python -m tests.svg docs/screenshot.svg`` draws a story at 100x30."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from flower import protocol
from flower.tui.frame import Frame
from flower.tui.style import Style
from tests.tui_world import Face, chunk, reply_begins, user_line

CELL = (8.4, 18.0)  # pixels of one cell at 14 px in the usual monospace fonts
INK, PAPER = 0xE6E1E4, 0x1B171A


def svg(frame: Frame) -> str:
    """Returns ``frame`` as an SVG document."""
    wide, tall = CELL
    columns, lines = frame.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {columns * wide + 24:.0f} {lines * tall + 24:.0f}" '
        'font-family="ui-monospace, Menlo, DejaVu Sans Mono, monospace" font-size="14">',
        f'<rect width="100%" height="100%" rx="10" fill="#{PAPER:06x}"/>',
    ]
    for y, row in enumerate(frame.rows):
        x = 0
        for style, count in row.runs:
            text = "".join(row.glyphs[x : x + count])
            parts += _run(text, 12 + x * wide, 12 + y * tall, count, style)
            x += count
    if frame.cursor is not None:
        x, y = frame.cursor
        parts.append(
            f'<rect x="{12 + x * wide:.1f}" y="{12 + y * tall:.1f}" width="{wide}" height="{tall}" fill="#ff87af"/>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _run(text: str, x: float, y: float, count: int, style: Style) -> list[str]:
    ink, paper = (INK if style.fg is None else style.fg), style.bg
    if style.reverse:
        ink, paper = (PAPER if paper is None else paper), ink
    width = count * CELL[0]
    parts = []
    if paper is not None:
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{CELL[1]}" fill="#{paper:06x}"/>'
        )
    if text.strip():
        looks = (
            (' font-weight="bold"' if style.bold else "")
            + (' font-style="italic"' if style.italic else "")
            + (' text-decoration="underline"' if style.underline else "")
            + (' opacity="0.6"' if style.dim else "")
        )
        parts.append(
            f'<text x="{x:.1f}" y="{y + 13.5:.1f}" textLength="{width:.1f}" xml:space="preserve" '
            f'fill="#{ink:06x}"{looks}>{escape(text)}</text>'
        )
    return parts


def playing() -> Face:
    """Returns a face in the middle of a reply."""
    face = Face(100, 30)
    face.story(
        (
            "assistant",
            "The tide has gone out further than you have *ever* seen it. Wet sand shines to the horizon, and the "
            "wreck of the **Marigold** stands upright in it like a tooth.\n\n“You came,” says the keeper. “I had begun "
            "to count the lamps twice.”",
        ),
        ("user", "I ask her what became of the crew."),
        (
            "assistant",
            "She holds the lantern lower; the flame leans away from the sea.\n\n“Three came ashore. They would not say "
            "how. One of them still rings the bell, if you ask him *kindly*.”\n\n"
            "> Low water is at 21:40. Be back before.",
        ),
    )
    recalled = (
        protocol.RecallItem(
            "memory", "", "You promised the keeper to mend the second lamp before winter."
        ),
        protocol.RecallItem(
            "lore", "The Marigold", "A grain ship that ran aground in the year of the red tide."
        ),
    )
    face.type("I take the lantern and walk out to the wreck.<enter>")
    face.says(
        user_line("I take the lantern and walk out to the wreck.", "n-1", 4),
        reply_begins(5),
        protocol.Recall("", protocol.RecallMeta("t1", recalled)),
    )
    face.tick(60)
    face.says(
        chunk(
            "The sand holds, then gives a little, then holds again. Behind you the light of the tower ",
            0,
            rate=42.0,
        )
    )
    face.tick(2)
    return face.type("Is someone there")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(playing().frame), encoding="utf-8")
