"""A screen as SVG, for documents. ``python -m tests.svg docs/screenshot.svg`` draws a story at 100x30."""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from flower.protocol import messages
from flower.tui.render.frame import Frame, Row
from flower.tui.render.style import Style
from tests.screen import PALETTE, Screen
from tests.tui_world import COMMANDS, Face, chunk, reply_begins, user_line

CELL = (8.4, 18.0)  # pixels of one cell at 14 px in the usual monospace fonts
LEVELS = (0, 95, 135, 175, 215, 255)  # of xterm's 6x6x6 cube
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
            parts += run(text, 12 + x * wide, 12 + y * tall, count, style)
            x += count
    if frame.cursor is not None:
        x, y = frame.cursor
        parts.append(
            f'<rect x="{12 + x * wide:.1f}" y="{12 + y * tall:.1f}" width="{wide}" height="{tall}" fill="#ff87af"/>'
        )
    return "\n".join([*parts, "</svg>\n"])


def svg_of_screen(screen: Screen) -> str:
    """Returns what a terminal shows as an SVG document."""
    return svg(Frame(rows_of(screen), (screen.x, screen.y) if screen.visible else None))


def rows_of(screen: Screen) -> tuple[Row, ...]:
    """Returns what a terminal shows as rows of cells, with colours instead of entries of its palette."""
    return tuple(
        Row(
            [glyph for glyph, _ in line],
            [(style._replace(fg=_rgb(style.fg), bg=_rgb(style.bg)), 1) for _, style in line],
        )
        for line in screen.grid
    )


def _rgb(color: int | None) -> int | None:
    """Returns the colour that an entry of the palette stands for."""
    if color is None or color < PALETTE:
        return color
    index = color - PALETTE
    if index >= 232:
        return (8 + 10 * (index - 232)) * 0x010101
    red, rest = divmod(index - 16, 36)
    green, blue = divmod(rest, 6)
    return LEVELS[red] << 16 | LEVELS[green] << 8 | LEVELS[blue]


def run(text: str, x: float, y: float, count: int, style: Style) -> list[str]:
    """Returns cells of one style that begin at ``x`` and ``y``, in pixels."""
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
    """Returns a face in the middle of a story in a world that comes with Flower."""
    face = Face(100, 30)
    face.online(
        session="s1",
        chosen=True,
        world_id="kessel",
        character_id="button",
        available_worlds=(messages.Named("kessel", "Kessel Cross"),),
        available_characters=(messages.Named("button", "Button Reed"),),
        model="offline/narrator",
        offline=True,
        commands=(
            *COMMANDS,
            messages.CommandOption("/retry", "/retry [MESSAGE]", "write another variant", "message"),
        ),
    )
    lines = (
        (
            "assistant",
            "Inside the stones it is all smoke, bells and shouting. A boy of twelve or so detaches himself from the "
            "nearest stone, where he had been leaning with one arm through the hole, and gives you the look of "
            "someone reading a label.\n\n“You're the new reeve's clerk,” he says. “Or you're not, but you've got the "
            "hat. *The old one's dead.* The Reeve, not the clerk; the clerk's only damp.”",
        ),
        ("user", "I ask Button who weighs at night, and keep an eye on the crowd."),
        ("system", "Roll 1d20+2 (to notice): [17] + 2 = 19 vs 12: success"),
    )
    items = tuple(
        messages.HistoryItem(role, text, message=number) for number, (role, text) in enumerate(lines, 1)
    )
    sheet = (
        messages.SheetRow("place", "the Nine Stones"),
        messages.SheetRow("weather", "snow, or thinking about it"),
        messages.SheetRow("purse", "2 coppers"),
        messages.SheetRow("the guards close in", "2 of 6"),
    )
    face.says(messages.ChatHistory("", messages.HistoryMeta(items, session="s1", sheet=sheet)))
    recalled = (
        messages.RecallItem("memory", "", "You promised Tam a penny and have not paid it."),
        messages.RecallItem(
            "lore",
            "Powers > The Weighers",
            "Forty men and women in grey aprons who settle every bargain.",
        ),
    )
    face.type("I step closer to the door and take my hat off too.<enter>")
    face.says(
        user_line("I step closer to the door and take my hat off too.", "n-1", 4),
        reply_begins(5),
        messages.Recall("", messages.RecallMeta("t1", recalled)),
    )
    face.tick(60)
    reply = (
        "Somebody makes room without looking. The door of the Weighhouse stands a hand's breadth open, and in the "
        "gap, by one lantern, grey aprons move.\n\n“They're weighing *again*,” says Tam at your elbow. “They don't "
        "**ever** weigh at night.” On the pan, where the grain should"
    )
    face.says(chunk(reply, 0, rate=40.0))
    face.tick(2)
    return face.type("What is on the pan?")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(playing().frame), encoding="utf-8")
