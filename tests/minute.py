"""A minute of play as an animated SVG, from a real recording: ``python -m tests.minute docs/minute.svg``.

The real program runs in a pseudo-terminal with an empty home, somebody types, and what the terminal shows is kept with
its time. Every row of cells that was ever shown is in the picture once; when and where it is to be seen is said with
SMIL, so that the picture needs no script, no font and nothing from outside. What does not animate shows the end.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from flower.tui.render.frame import Row
from tests.engine_process import make_home
from tests.pty_world import Pty
from tests.screen import Screen
from tests.svg import CELL, PAPER, rows_of, run

SIZE = (104, 28)
STEP_S = 0.2  # between two looks
KEY_S = 0.07  # between two keys
PICTURE_BYTES = 300_000
CONFIG = "engine: {port: 0, linger_s: 5}\nnarrator: {seed: 5, words_per_s: 14}\n"
# What is typed, and the seconds that one looks at what comes of it.
SCENES = (
    ("", 1.0), ("\r", 1.5), ("orr", 1.0), ("\r", 2.0), ("\r", 1.5), ("ines", 0.8), ("\r", 2.0), ("\r", 5.0),
    ("I ask Ines who saw the light go out.\r", 7.0),
    ("/check perception vs 10\r", 2.5),
    ("I search the lamp room.\r", 7.0),
    ("/retry\r", 6.0),
    ("/tree\r", 3.0), ("\x1b", 1.0),
)  # fmt: skip


class Shown(NamedTuple):
    """The screen from ``at`` on, in seconds."""

    at: float
    rows: tuple[Row, ...]


class Terminal(Screen):
    """A terminal that answers no questions about itself."""

    def debug(self, *args: object, **kwargs: object) -> None:
        pass


def record(home: Path) -> tuple[Shown, ...]:
    """Plays the scenes in a new home and returns what was on the screen."""
    make_home(home, CONFIG)
    screen, recording, fed = Terminal(*SIZE), [], 0
    with Pty([sys.executable, "-m", "flower", "--home", str(home)], {"COLORTERM": "truecolor"}) as pty:
        pty.resize(*SIZE)
        pty.wait_for("Engine ready.", 30.0)
        begun = time.perf_counter()

        def look(seconds: float) -> None:
            nonlocal fed
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                pty.drain(min(STEP_S, max(0.01, until - time.perf_counter())))
                screen.feed(pty.output[fed:])
                fed = len(pty.output)
                rows = rows_of(screen)
                if not recording or recording[-1].rows != rows:
                    recording.append(Shown(time.perf_counter() - begun, rows))

        for keys, seconds in SCENES:
            for key in [keys] if keys.startswith("\x1b") else keys:
                pty.type(key)
                look(KEY_S)
            look(seconds)
        pty.type("/quit\r")
        pty.wait_end(15.0)
    return tuple(recording)


def animated(recording: Sequence[Shown], seconds: float) -> str:
    """Returns a recording as an SVG document that begins again after ``seconds``."""
    wide, tall = CELL
    lines, columns = len(recording[0].rows), recording[0].rows[0].width
    width, height = columns * wide + 24, lines * tall + 24
    known: dict[Row, int] = {}
    spans: list[str] = []
    for y in range(lines):
        for row, begin, end in _spans(recording, y, seconds):
            if not "".join(row.glyphs).strip() and all(style.bg is None for style, _ in row.runs):
                continue
            number = known.setdefault(row, len(known))
            spans.append(_span(number, y, begin, end, seconds))
    rows = [f'<g id="r{number}">{"".join(_drawn(row))}</g>' for row, number in known.items()]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'xml:space="preserve" font-family="ui-monospace, Menlo, DejaVu Sans Mono, monospace" font-size="14">',
        "<title>A minute of play with Flower</title>",
        f'<rect width="100%" height="100%" rx="10" fill="#{PAPER:06x}">'
        f'<animate id="t" attributeName="x" from="0" to="0" begin="0s;t.end" dur="{seconds:.1f}s"/></rect>',
        "<defs>", *rows, "</defs>", *spans, "</svg>\n",
    ])  # fmt: skip


def _spans(recording: Sequence[Shown], y: int, seconds: float) -> list[tuple[Row, float, float]]:
    """Returns what row ``y`` showed, each with its beginning and end."""
    found: list[tuple[Row, float, float]] = []
    ends = [*(one.at for one in recording[1:]), seconds]
    for shown, end in zip(recording, ends, strict=True):
        row = shown.rows[y]
        if found and found[-1][0] == row:
            found[-1] = (row, found[-1][1], end)
        else:
            found.append((row, shown.at, end))
    return found


def _span(number: int, y: int, begin: float, end: float, seconds: float) -> str:
    """Returns a row where and when it is seen; what is there at the end is what stands still."""
    at = f'<use href="#r{number}" y="{y * CELL[1]:.0f}"'
    if end >= seconds:
        hidden = f'<set attributeName="visibility" to="hidden" begin="t.begin" dur="{begin:.1f}s"/>'
        return f"{at}>{hidden if begin > 0.05 else ''}</use>"
    when = f'begin="t.begin+{begin:.1f}s" dur="{max(0.1, end - begin):.1f}s"'
    return f'{at} visibility="hidden"><set attributeName="visibility" to="visible" {when}/></use>'


def _drawn(row: Row) -> list[str]:
    parts, x = [], 0
    for style, count in row.runs:
        text = "".join(row.glyphs[x : x + count])
        drawn = run(text, 12 + x * CELL[0], 12, count, style)
        parts += [one.replace(' xml:space="preserve"', "") for one in drawn]  # said once, above
        x += count
    return parts


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = record(Path(folder) / "home")
    picture = animated(recording, recording[-1].at + 3.0)
    if len(picture.encode()) > PICTURE_BYTES:
        raise SystemExit(f"{len(picture.encode()):,} bytes are more than {PICTURE_BYTES:,}")
    Path(sys.argv[1]).write_text(picture, encoding="utf-8")
    print(f"{recording[-1].at:.0f} s, {len(recording)} screens, {len(picture.encode()):,} bytes")


if __name__ == "__main__":
    main()
