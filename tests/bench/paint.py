"""What frames cost: ``python -m tests.bench.paint`` from the repository's root.

First the time of one diff at 200x60. Then 1,000 streamed words on a 100x30 screen with a sidebar, as
bytes and CPU time per word on terminals of several kinds, beside two baselines in the same run: every
changed row written whole, and every frame written whole. The pane goes up row by row, which is the
worst case; the program itself scrolls by several rows at once.
"""

from __future__ import annotations

import itertools
import random
import statistics
import time

from flower.tui.render.frame import Frame, Pane, Row
from flower.tui.render.markdown import Palette, Streaming
from flower.tui.render.style import PLAIN, TRUE_COLOR, Style, sgr
from flower.tui.term.diff import Capabilities, Painter

PINK = Style(fg=0xFF87AF)
XTERM = Capabilities(
    colors=TRUE_COLOR,
    bce=True,
    erase_chars=True,
    repeat=True,
    scroll_count=True,
    insert_delete_char=True,
)
TERMINALS = {
    "xterm with margins": XTERM._replace(margins=True, sync=True),
    "xterm, silent": XTERM,
    "tmux": Capabilities(scroll_count=True, insert_delete_char=True),
    "Linux console": Capabilities(colors=16, bce=True, erase_chars=True),
    "vt100": Capabilities(
        colors=0, columns_absolute=False, rows_absolute=False, insert_delete_line=False
    ),
}
TEXT = (
    "the a lantern swings above gate while *rain* runs down stones and “who goes there?” she asks him "
    "softly in cold light of morning before they leave again for mountains"
)
WORDS = TEXT.split()


def tall(shift: int = 0) -> Frame:
    """A frame of 200x60 full of text."""
    rows = [
        Row.of(
            [(f"line {y + shift} ".ljust(150, "x") + f" {y * 7919 % 1000}", PINK if y % 3 else PLAIN)],
            200,
        )
        for y in range(60)
    ]
    return Frame(tuple(rows), (0, 0), Pane(0, 60, 0, 200))


def with_row(frame: Frame, row: Row) -> Frame:
    return frame._replace(rows=(*frame.rows[:30], row, *frame.rows[31:]))


def diffs() -> None:
    frame = tall()
    copies = frame._replace(rows=tuple(Row(row.glyphs, row.runs) for row in frame.rows))
    word = Row.beside(frame.rows[30].slice(0, 160), Row.of([("token", PLAIN)], 40))
    noise = [
        Row.of([("".join(chr(97 + x * y % 26) for x in range(190)), PLAIN)], 200) for y in range(60)
    ]
    cases = {
        "nothing changed": frame._replace(cursor=(0, 0)),
        "equal rows, other objects": copies,
        "one word": with_row(frame, word),
        "one whole row": with_row(frame, Row.of([("changed " * 25, PLAIN)], 200)),
        "scrolled by one": tall(1),
        "everything": frame._replace(rows=tuple(noise)),
    }
    print(f"{'diff at 200x60':28} {'ms':>8} {'bytes':>7}")
    for name, other in cases.items():
        painter = Painter(XTERM)
        painter.paint(frame)
        seconds, sizes = [], []
        for turn in range(200):
            begun = time.perf_counter()
            data = painter.paint(frame if turn % 2 else other)
            seconds.append(time.perf_counter() - begun)
            sizes.append(len(data))
        print(f"{name:28} {statistics.median(seconds) * 1000:8.3f} {statistics.median(sizes):7.0f}")


def stream(count: int = 1000) -> tuple[list[Frame], int]:
    """Returns the frames of a streamed reply, and the bytes of its words alone."""
    choose = random.Random(5)
    story = Streaming(70, Palette(dialogue=PINK))
    side = [Row.of([("│ ", PINK), (f"Note {y}" if y % 3 == 0 else "", PLAIN)], 28) for y in range(26)]
    known: dict[tuple[object, ...], Row] = {}
    frames, size = [], 0
    for number in range(count):
        word = choose.choice(WORDS) + ("\n\n" if number % 90 == 89 else " ")
        size += len(word.encode())
        story.append(word)
        rows = [known.setdefault(tuple(line), Row.of(line, 72)) for line in story.lines()[-26:]]
        rows += [Row.blank(72)] * (26 - len(rows))
        pane = [Row.beside(left, right) for left, right in zip(rows, side, strict=True)]
        frames.append(
            Frame((Row.blank(100), *pane, *[Row.blank(100)] * 3), (2, 29), Pane(1, 27, 0, 72))
        )
    return frames, size


def whole_row(row: Row, y: int) -> bytes:
    """A row written the plain way: move, style, text."""
    out, at, style = f"\x1b[{y + 1}H", 0, None
    for own, columns in row.runs:
        out += sgr(style, own, TRUE_COLOR) + "".join(row.glyphs[at : at + columns])
        style, at = own, at + columns
    return out.encode()


def streaming() -> None:
    frames, size = stream()
    pairs = list(itertools.pairwise(frames))
    rows = sum(
        len(whole_row(new, y))
        for before, after in pairs
        for y, (old, new) in enumerate(zip(before.rows, after.rows, strict=True))
        if old != new
    )
    whole = sum(len(whole_row(row, y)) for _, after in pairs for y, row in enumerate(after.rows))
    print(f"\n{'streaming, per word':28} {'bytes':>8} {'ratio':>7} {'CPU ms':>7}")
    words = size / len(frames)
    print(f"{'the words themselves':28} {words:8.1f} {1:7.1f}")
    for name, caps in TERMINALS.items():
        painter = Painter(caps)
        painter.paint(frames[0])
        begun = time.process_time()
        cost = sum(len(painter.paint(frame)) for frame in frames[1:]) / len(pairs)
        cpu = (time.process_time() - begun) / len(pairs)
        print(f"{name:28} {cost:8.1f} {cost / words:7.1f} {cpu * 1000:7.3f}")
    for name, total in (("changed rows whole", rows), ("every frame whole", whole)):
        print(f"{name:28} {total / len(pairs):8.1f} {total / size:7.1f}")


if __name__ == "__main__":
    diffs()
    streaming()
