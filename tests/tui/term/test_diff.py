"""The law of the painter: screen(prev + diff(prev, next)) == next, on terminals of every kind."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flower.tui.render import cell_width
from flower.tui.render.frame import Frame, Pane, Row
from flower.tui.render.style import PLAIN, TRUE_COLOR, Style
from flower.tui.term.diff import Capabilities, Painter, diff
from tests.screen import Screen, expected
from tests.tui.render.test_text import HOSTILE

PINK, ROSE, NIGHT = 0xFF87AF, 0xAB1257, 0x121212
STYLES = (
    PLAIN,
    Style(fg=PINK),
    Style(fg=ROSE, bold=True),
    Style(bg=NIGHT),
    Style(fg=PINK, bg=NIGHT, italic=True),
    Style(underline=True),
    Style(reverse=True),
    Style(dim=True),
)
GLYPHS = (
    *"aaaabcdefgh xyz.,  ",
    " " * 12,
    "─" * 12,
    "é",
    "“",
    "…",
    "漢",
    "字",
    "한",
    "ｗ",
    "e\u0323\u0302",
    "❤\ufe0f",
    "👨\u200d👩\u200d👧",
    "🇩🇪",
    "🙂",
    "👍🏽",
    "नि",
    "ก็",
    "☺",
    "✿",
)
SURE_GLYPHS = tuple(glyph for glyph in GLYPHS if cell_width.SIMPLE(glyph))
XTERM = Capabilities(
    colors=TRUE_COLOR,
    bce=True,
    erase_chars=True,
    repeat=True,
    scroll_count=True,
    insert_delete_char=True,
)
booleans = st.booleans()
capabilities = st.builds(
    Capabilities,
    colors=st.sampled_from([0, 8, 16, 256, TRUE_COLOR]),
    utf8=st.sampled_from([True, True, True, False]),
    italic=booleans, dim=booleans, bce=booleans, columns_absolute=booleans, rows_absolute=booleans,
    erase_chars=booleans, repeat=booleans, scroll_region=booleans, scroll_count=booleans,
    insert_delete_line=booleans, insert_delete_char=booleans, margins=booleans, sync=booleans,
    ambiguous_wide=st.sampled_from([False, False, True]),
)  # fmt: skip


class Director:
    """Makes frames from a seed: drawing every cell from hypothesis itself would take minutes."""

    def __init__(self, seed: int, width: int, height: int) -> None:
        self.random = Random(seed)
        self.glyphs = self.random.choice([GLYPHS, SURE_GLYPHS])
        self.width, self.height = width, height

    def text(self) -> str:
        return "".join(self.random.choices(self.glyphs, k=self.random.randrange(14)))

    def row(self) -> Row:
        pick = self.random.choice
        spans = [(self.text(), pick(STYLES)) for _ in range(self.random.randrange(5))]
        return Row.of(spans, self.width, pick(STYLES[:5]))

    def pane(self) -> Pane | None:
        if self.random.random() < 0.2:
            return None
        between = self.random.randint
        top, left = between(0, self.height - 1), between(0, self.width - 1)
        left = self.random.choice([0, left])
        return Pane(top, between(top, self.height), left, between(left + 1, self.width))

    def follower(self, rows: list[Row], pane: Pane | None) -> list[Row]:
        """What comes after: other rows, the same, scrolled in the pane, or with a few changes."""
        kind = self.random.choice(["other", "same", "scroll", "scroll", "scroll", "touch", "touch"])
        if kind == "other":
            return [self.row() for _ in rows]
        after = list(rows)
        if kind == "scroll" and pane is not None:
            by = self.random.randint(-3, 3)
            for y in range(pane.top, pane.bottom):
                source = rows[y + by] if pane.top <= y + by < pane.bottom else self.row()
                after[y] = Row.beside(
                    rows[y].slice(0, pane.left),
                    source.slice(pane.left, pane.right),
                    rows[y].slice(pane.right, self.width),
                )
        if kind == "touch" and self.random.random() < 0.5:  # something typed or deleted inside a line
            y, x = self.random.randrange(self.height), self.random.randrange(self.width)
            row, piece = after[y], self.row().slice(0, self.random.randrange(min(5, self.width)))
            longer = Row.beside(row.slice(0, x), piece, row.slice(x, self.width))
            shorter = Row.beside(row.slice(0, x), row.slice(x + piece.width, self.width), self.row())
            after[y] = self.random.choice([longer, shorter]).slice(0, self.width)
        if kind in ("scroll", "touch"):
            for _ in range(self.random.randrange(3)):
                y, x = self.random.randrange(self.height), self.random.randrange(self.width)
                after[y] = Row.beside(after[y].slice(0, x), self.row().slice(x, self.width))
        return after

    def cursor(self) -> tuple[int, int] | None:
        if self.random.random() < 0.2:
            return None
        return self.random.randrange(self.width), self.random.randrange(self.height)

    def film(self, count: int) -> list[Frame]:
        """A few frames of one size, each made from the one before."""
        rows, pane, cursor = [self.row() for _ in range(self.height)], self.pane(), self.cursor()
        frames = []
        for _ in range(count):
            frames.append(Frame(tuple(rows), cursor, pane))
            rows = self.follower(rows, pane)
            cursor = self.random.choice([cursor, self.cursor()])
        return frames


films = st.builds(
    lambda seed, width, height, count: Director(seed, width, height).film(count),
    st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 10), st.integers(1, 5),
)  # fmt: skip


def play(frames: list[Frame], caps: Capabilities, base: Style, screen: Screen) -> None:
    painter = Painter(caps, base)
    for frame in frames:
        screen.feed(painter.paint(frame))
        assert screen.looks() == expected(frame, caps, base)
        assert screen.visible == (frame.cursor is not None)
        if frame.cursor is not None:
            assert (screen.x, screen.y) == frame.cursor
        assert screen.region == (0, screen.lines)
        assert screen.sides == (0, screen.columns)
        assert painter.paint(frame) == b"", "nothing changed, nothing written"


@settings(max_examples=400, deadline=None)
@given(films, capabilities, st.sampled_from([PLAIN, Style(fg=PINK, bg=NIGHT)]))
def test_the_screen_shows_the_next_frame(frames: list[Frame], caps: Capabilities, base: Style) -> None:
    columns, lines = frames[0].size
    play(frames, caps, base, Screen(columns, lines, bce=caps.bce))


@settings(max_examples=200, deadline=None)
@given(films, capabilities)
def test_terminals_that_disagree_about_clusters_show_everything_else(
    frames: list[Frame], caps: Capabilities
) -> None:
    """Whatever width a terminal gives an unsure glyph, the cells of all other glyphs are right."""
    caps = caps._replace(utf8=True)
    columns, lines = frames[0].size
    screen = Screen(columns, lines, bce=caps.bce, clusters=False)
    painter = Painter(caps)
    for frame in frames:
        screen.feed(painter.paint(frame))
        for row, seen, wanted in zip(frame.rows, screen.looks(), expected(frame, caps), strict=True):
            for x in range(columns):
                lead = x - 1 if row.glyphs[x] == "" else x
                if not cell_width.is_unsure(row.glyphs[lead]):
                    assert seen[x] == wanted[x]


@settings(max_examples=100, deadline=None)
@given(films, capabilities)
def test_the_stateless_form_obeys_the_law_too(frames: list[Frame], caps: Capabilities) -> None:
    columns, lines = frames[0].size
    screen = Screen(columns, lines, bce=caps.bce)
    prev = None
    for frame in frames:
        screen.feed(diff(prev, frame, caps))
        assert screen.looks() == expected(frame, caps)
        assert screen.pen == PLAIN
        prev = frame


@settings(max_examples=50, deadline=None)
@given(films, capabilities)
def test_forgetting_repairs_a_screen_full_of_foreign_output(
    frames: list[Frame], caps: Capabilities
) -> None:
    columns, lines = frames[0].size
    screen = Screen(columns, lines, bce=caps.bce)
    painter = Painter(caps)
    for frame in frames:
        screen.feed(painter.paint(frame))
    screen.feed(b"\x1b[1;31;44mfinger\x1b[H\x1b[?25l")
    painter.forget()
    screen.feed(painter.paint(frames[-1]))
    assert screen.looks() == expected(frames[-1], caps)
    assert screen.visible == (frames[-1].cursor is not None)


# The whole vocabulary of the painter; anything else on the wire would be someone else's sequence.
OURS = re.compile(
    r"(?:[^\x00-\x1f\x7f-\x9f]|[\r\n\b]|\x1b[78M]|\x1b\[[\d;]*[ABCDGHJKLMPSTXbdmrs@]|\x1b\[\?(?:25|69|2026)[hl])*"
).fullmatch


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_comes_out_as_nothing_but_cells(name: str) -> None:
    row = Row.of([(HOSTILE[name], PLAIN), ("tail", PLAIN)], 60)
    data = Painter(XTERM).paint(Frame((row, row), (0, 0)))
    assert OURS(data.decode())
    Screen(60, 2, bce=True).feed(data)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")), max_size=4), capabilities
)
def test_any_text_comes_out_as_nothing_but_cells(lines: list[str], caps: Capabilities) -> None:
    painter = Painter(caps)
    for line in lines:
        assert OURS(painter.paint(Frame((Row.of([(line, PLAIN)], 30),), (0, 0))).decode())


# --- what it costs: each of these once was, or could become, a whole repaint --------------------------

SIDE = Style(fg=PINK)


def story(lines: list[str], typed: str = "", *, cursor: int | None = None) -> Frame:
    """A screen of 100x30: header, story beside a sidebar, status, input."""
    pane = [Row.of([(line, PLAIN)], 72) for line in lines[-26:]]
    pane += [Row.blank(72)] * (26 - len(pane))
    side = [Row.of([("│ ", SIDE), (f"Note {y}" if y % 3 == 0 else "", PLAIN)], 28) for y in range(26)]
    rows = [
        Row.of([("✿ Flower", SIDE)], 100),
        *(Row.beside(left, right) for left, right in zip(pane, side, strict=True)),
        Row.of([("─" * 100, SIDE)], 100),
        Row.of([("narrating", SIDE)], 100),
        Row.of([("❯ ", SIDE), (typed, PLAIN)], 100),
    ]
    place = len(typed) if cursor is None else cursor
    return Frame(tuple(rows), (2 + place, 29), Pane(1, 27, 0, 72))


def cost(frames: list[Frame], caps: Capabilities) -> list[int]:
    """Returns the bytes of every frame after the first, and checks the screen on the way."""
    painter, screen = Painter(caps), Screen(100, 30, bce=caps.bce)
    costs = []
    for frame in frames:
        data = painter.paint(frame)
        screen.feed(data)
        costs.append(len(data))
    assert screen.looks() == expected(frames[-1], caps)
    return costs[1:]


LINES = [f"This is line {n} of a story that goes on and on" for n in range(40)]


def test_a_typed_letter_costs_one_byte() -> None:
    words = "hello there"
    frames = [story(LINES, words[:n]) for n in range(len(words))]
    first, *others = cost(frames, XTERM)
    assert first <= 4, "the pen was pink"
    assert set(others) == {1}


def test_a_letter_typed_inside_a_line_does_not_redraw_the_line() -> None:
    text = "a rather long line that is being written here, with a mistake"
    frames = [story(LINES, text, cursor=9), story(LINES, text[:9] + "x" + text[9:], cursor=10)]
    frames.append(story(LINES, text, cursor=9))
    assert max(cost(frames, XTERM)) <= 8


def test_a_streamed_word_costs_little_more_than_itself() -> None:
    words = ["the", "lantern", "swings", "above", "the", "gate", "again"]
    frames = [story([*LINES, " ".join(words[:n])], "typed") for n in range(1, len(words))]
    costs = cost(frames, XTERM)
    assert sum(costs) / len(costs) <= len("lantern ") + 12


def test_a_new_line_scrolls_the_pane_alone_where_margins_are() -> None:
    frames = [story(LINES[:-1], "typed"), story(LINES, "typed")]
    assert cost(frames, XTERM._replace(margins=True))[0] <= 110


def test_without_margins_scrolling_redraws_the_sidebars_text_only() -> None:
    frames = [story(LINES[:-1], "typed"), story(LINES, "typed")]
    pane = sum(len(line) for line in LINES[-26:])
    assert cost(frames, XTERM)[0] < pane / 2


def test_moving_the_cursor_costs_a_move() -> None:
    assert cost([story(LINES, "typed"), story(LINES, "typed", cursor=2)], XTERM)[0] <= 4


def test_an_empty_screen_is_erased_not_written() -> None:
    blank = Frame(tuple(Row.blank(100) for _ in range(30)), (0, 0))
    assert len(Painter(XTERM).paint(blank)) < 30
    assert cost([story(LINES), blank], XTERM)[0] < 30 * 12
