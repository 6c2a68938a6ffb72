"""Pictures as sixels: what a terminal that knows them shows, on a grid of cells that carry their pixels along."""

from __future__ import annotations

import base64
import os
import pty
import re
import select

import pytest

from flower.engine.interchange import thumbnail
from flower.protocol import messages
from flower.tui.render.style import PLAIN, TRUE_COLOR
from flower.tui.state.model import Picture, PicturesShown
from flower.tui.term import pictures
from flower.tui.term.diff import Painter
from flower.tui.term.inputs import Reply
from flower.tui.term.keys import Decoder
from flower.tui.term.pen import Capabilities
from flower.tui.term.pictures import SixelPicture, painted
from flower.tui.term.terminal import Terminal
from flower.tui.view import portrait
from tests.screen import Screen
from tests.tui.term.test_portraits import noise, playing
from tests.tui_world import chunk, end, reply_begins, user_line

WIDE, HIGH = 10, 20  # pixels of a cell
CAPS = Capabilities(
    colors=TRUE_COLOR,
    bce=True,
    erase_chars=True,
    repeat=True,
    scroll_count=True,
    insert_delete_char=True,
    margins=True,
)
Canvas = list[list[tuple[int, int, int]]]  # rows of colours in percent
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def decoded(data: bytes) -> Canvas:
    """The pixels of sixel data, as the VT340's manual reads them; every one has to be set, once."""
    head, body = re.fullmatch(rb'\x1bP0;1q"1;1;(\d+;\d+)([^\x1b]*)\x1b\\', data, re.DOTALL).groups()  # type: ignore[union-attr]
    width, height = map(int, head.split(b";"))
    canvas: list[list[tuple[int, int, int] | None]] = [[None] * width for _ in range(height)]
    registers: dict[int, tuple[int, int, int]] = {}
    colour, x, top = 0, 0, 0
    parts = re.compile(rb"#(\d+)(?:;2;(\d+);(\d+);(\d+))?|!(\d+)([?-~])|([?-~])|([$-])")
    assert parts.sub(b"", body) == b""
    for found in parts.finditer(body):
        if found[2] is not None:
            assert max(int(found[i]) for i in (2, 3, 4)) <= 100
            registers[int(found[1])] = (int(found[2]), int(found[3]), int(found[4]))
        elif found[1] is not None:
            colour = int(found[1])
        elif found[8] is not None:
            x, top = 0, top + 6 * (found[8] == b"-")
        else:
            mask = ord(found[6] or found[7]) - 63
            end = x + int(found[5] or 1)
            for row in [top + bit for bit in range(6) if mask >> bit & 1]:
                assert set(canvas[row][x:end]) == {None}
                canvas[row][x:end] = [registers[colour]] * (end - x)
            x = end
    assert len(registers) <= pictures.MOST_COLOURS
    return [[one for one in row if one is not None] for row in canvas if None not in row]


class SixelTerminal:
    """Answers the questions, and keeps a picture's pixels with the cells: they scroll and are erased together."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = Screen(columns, rows, bce=True)
        self.tiles: list[Canvas] = []
        self.received = 0  # bytes of sixels

    def answers(self, data: bytes) -> bytes:
        said = {
            b"\x1b[c": b"\x1b[?62;4;22c",
            b"\x1b[16t": f"\x1b[6;{HIGH};{WIDE}t".encode(),
            b"\x1b[?1;1;0S": b"\x1b[?1;0;256S",
        }
        return b"".join(answer for question, answer in said.items() if question in data)

    def feed(self, data: bytes) -> SixelTerminal:
        for piece in re.split(rb"(\x1bP[^\x1b]*\x1b\\)", data):
            if piece.startswith(b"\x1bP"):
                self.received += len(piece)
                self._draw(decoded(piece))
            else:
                self.screen.feed(piece)
        return self

    def _draw(self, canvas: Canvas) -> None:
        assert (len(canvas) % HIGH, len(canvas[0]) % WIDE) == (0, 0)
        for row in range(len(canvas) // HIGH):
            for column in range(len(canvas[0]) // WIDE):
                lines = canvas[row * HIGH : (row + 1) * HIGH]
                glyph = chr(0xF0000 + len(self.tiles))
                self.tiles.append([line[column * WIDE : (column + 1) * WIDE] for line in lines])
                self.screen.grid[self.screen.y + row][self.screen.x + column] = (glyph, PLAIN)

    def pixels(self) -> dict[tuple[int, int], Canvas]:
        """What is left of pictures, by cell."""
        cells = (
            (x, y, cell[0]) for y, row in enumerate(self.screen.grid) for x, cell in enumerate(row)
        )
        return {(x, y): self.tiles[ord(g) - 0xF0000] for x, y, g in cells if g and ord(g[0]) >= 0xF0000}


class Player:
    """A face whose frames go to such a terminal."""

    def __init__(self, columns: int = 110, rows: int = 30) -> None:
        self.face = playing("sixel")
        self.face.resize(columns, rows)
        self.terminal = SixelTerminal(columns, rows)
        self.painter = Painter(pictures.still(CAPS))
        self.overlay = SixelPicture((WIDE, HIGH))
        self.frame()

    def frame(self) -> bytes:
        self.painter.rebase(self.face.model.theme.base)
        picture = portrait.laid_over(self.face.model)
        data = painted(self.painter, self.overlay, self.face.frame, *picture)
        self.terminal.feed(data)
        self.check()
        return data

    def check(self) -> None:
        """Exactly the cells of the picture have pixels, all other cells are the frame's."""
        _, where = portrait.laid_over(self.face.model)
        cells = set(self.terminal.pixels())
        if where is None:
            assert cells == set()
        else:
            x, y, columns, rows = where
            assert cells == {(x + i, y + j) for i in range(columns) for j in range(rows)}
        for y, (row, drawn) in enumerate(
            zip(self.face.frame.rows, self.terminal.screen.grid, strict=True)
        ):
            shown = "".join(" " if (x, y) in cells else glyph for x, (glyph, _) in enumerate(drawn))
            assert shown == row.text

    def type(self, keys: str) -> bytes:
        data = b""
        for key in re.findall(r"<[^<>]+>|.", keys):
            self.face.type(key)
            data += self.frame()
        return data

    def says(self, *events: messages.Event) -> bytes:
        self.face.says(*events)
        return self.frame()


def portrait_of(
    name: str, top: tuple[int, int, int], bottom: tuple[int, int, int]
) -> messages.SystemUpdate:
    pixels = base64.b64encode(bytes(top) * 300 + bytes(bottom) * 300).decode()
    return messages.SystemUpdate("", messages.State(portrait=messages.Portrait(name, 20, 30, pixels)))


# --- encoding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(20, 30), (160, 240), (41, 63), (7, 5), (400, 480)])
def test_few_colours_come_back_exactly_in_every_size(size: tuple[int, int]) -> None:
    """Larger, smaller and in sizes that are no multiple of anything."""
    width, height = size
    canvas = decoded(pictures.encoded((20, 30, bytes(RED) * 300 + bytes(BLUE) * 300), width, height))
    assert (len(canvas[0]), len(canvas)) == size
    for y, row in enumerate(canvas):
        assert set(row) == {(100, 0, 0) if y * 30 // height < 15 else (0, 0, 100)}


def test_many_colours_come_back_nearly() -> None:
    """A shaded ball: of 64 colours, the mean error is under three hundredths a channel."""
    pixels = bytearray()
    for y in range(150):
        for x in range(100):
            near = max(0, 255 - ((x - 40) ** 2 + (y - 60) ** 2) // 24)
            pixels += bytes((near, near * 2 // 3, 40 + y))
    canvas = decoded(pictures.encoded((100, 150, bytes(pixels)), 200, 300))
    error = sum(
        abs(canvas[2 * y][2 * x][one] - pixels[3 * (100 * y + x) + one] / 2.55)
        for y in range(150)
        for x in range(100)
        for one in range(3)
    )
    assert error / (3 * thumbnail.THUMBNAIL_PIXELS) < 3


@pytest.mark.parametrize("size", [(40, 60), (200, 240), (400, 480), (1280, 1920)])
def test_the_worst_picture_is_at_most_64_kib(size: tuple[int, int]) -> None:
    drawn = pictures.encoded(noise(), *size)
    assert len(drawn) <= pictures.PICTURE_BYTES
    assert (len(decoded(drawn)[0]), len(decoded(drawn))) == size


def test_a_picture_is_encoded_once() -> None:
    """However often it is drawn: a cast that takes turns costs no more."""
    first = pictures.encoded(noise(), 210, 240)
    assert pictures.encoded(noise(), 210, 240) is first
    assert 0 < (pictures.encoded.cache_info().maxsize or 0) <= 16


def test_a_terminal_with_few_registers_is_given_few_colours() -> None:
    drawn = pictures.encoded(noise(), 100, 150, 16)
    assert len({colour for row in decoded(drawn) for colour in row}) == 16


# --- the terminal's answers ------------------------------------------------------------------------


def answered(answers: bytes) -> Capabilities:
    caps = CAPS
    for reply in Decoder().feed(answers):
        assert isinstance(reply, Reply)
        caps = pictures.refined(caps, reply)
    return caps


def test_a_terminal_that_says_so_is_given_sixels() -> None:
    terminal = SixelTerminal(80, 24)
    caps = answered(terminal.answers(b"\x1b[c" + pictures.SIXEL_QUESTIONS))
    assert pictures.sixels_usable(caps)
    assert (caps.cell, caps.registers) == ((WIDE, HIGH), 256)


@pytest.mark.parametrize(
    "answers",
    [
        b"\x1b[?62;22c\x1b[6;20;10t",  # no sixels
        b"\x1b[?4;22c\x1b[6;20;10t",  # of the class 4: no attribute
        b"\x1b[?62;4c",  # the size of cells is not known
        b"\x1b[?62;4c\x1b[6;0;0t",
        b"\x1b[?62;4c\x1b[6;2000;10t",
        b"\x1b[?62;4c\x1b[6;20;10t\x1b[?1;0;4S",  # four colours: half blocks have more
    ],
)
def test_others_are_not(answers: bytes) -> None:
    assert not pictures.sixels_usable(answered(answers))


class OpenTerminal:
    """A terminal of ours on a real pty, and what it has written."""

    def __init__(self, **environ: str) -> None:
        self.master, self.slave = pty.openpty()
        os.set_blocking(self.master, False)
        shown = {"TERM": "xterm-256color", "LANG": "C.UTF-8", **environ}
        self.terminal = Terminal(self.slave, environ=shown)

    def __enter__(self) -> OpenTerminal:
        self.terminal.enter()
        self.terminal.ask_for_graphics()
        self.asked = b""
        while select.select([self.master], [], [], 0.1)[0]:  # the system hands it over in pieces
            self.asked += os.read(self.master, 65536)
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.leave()
        os.close(self.master)
        os.close(self.slave)

    def hears(self, answers: bytes) -> str:
        for reply in Decoder().feed(answers):
            assert isinstance(reply, Reply)
            self.terminal.answered(reply)
        return self.terminal.picture_way()


def test_the_terminal_is_asked_and_its_own_way_is_taken() -> None:
    """Kitty's where there are both, half blocks until it has answered."""
    with OpenTerminal() as opened:
        assert pictures.SIXEL_QUESTIONS in opened.asked
        assert opened.terminal.picture_way() == "blocks"
        assert opened.hears(SixelTerminal(80, 24).answers(opened.asked)) == "sixel"
        assert opened.hears(b"\x1b_Gi=71;OK\x1b\\") == "kitty"


@pytest.mark.parametrize("environ", [{"SSH_CONNECTION": "10.0.0.1 22"}, {"NO_COLOR": "1"}])
def test_no_sixels_over_slow_lines_and_without_colours(environ: dict[str, str]) -> None:
    with OpenTerminal(**environ) as opened:
        assert (pictures.SIXEL_QUESTIONS in opened.asked) == ("NO_COLOR" in environ)
        assert opened.hears(SixelTerminal(80, 24).answers(b"\x1b[c" + pictures.SIXEL_QUESTIONS)) == ""


# --- on the screen --------------------------------------------------------------------------------


def test_the_picture_is_drawn_once_and_stays_while_the_story_goes_on() -> None:
    """Typing, streaming and scrolling leave it alone: nothing is sent again and nothing of it moves."""
    player = Player()
    assert b"\x1bP" in player.says(portrait_of("mira", RED, BLUE))
    _, where = portrait.laid_over(player.face.model)
    assert where is not None
    colours = {pixel for tile in player.terminal.pixels().values() for row in tile for pixel in row}
    assert colours == {(100, 0, 0), (0, 0, 100)}
    assert {p for row in player.terminal.pixels()[where.x, where.y] for p in row} == {(100, 0, 0)}
    later = player.type(
        "I wait\u2026 and I wait, a\u0301nd some more of this line.<left><left>x<backspace>"
    )
    later += player.type("<enter>")
    later += player.says(user_line("I wait.", "n-1", 2), reply_begins(3))
    told = ""
    for number in range(40):
        text = f"Line {number}: the lamp goes out and comes back.\n\n" * (1 + number % 2)
        later += player.says(chunk(text, len(told)))
        told += text
    later += player.says(end())
    for key in ("<pageup>", "<alt+up>", "<pageup>", "<pagedown>", "<pageup>", "<end>"):
        later += player.type(key)
    assert b"\x1bP" not in later
    assert player.terminal.received == player.overlay.sent <= pictures.PICTURE_BYTES


@pytest.mark.parametrize("keys", ["<f1>", "<f2>", "<f7>", "<ctrl+p>"])
def test_what_lies_over_it_takes_it_away_and_gives_it_back(keys: str) -> None:
    """No pixel is left beside a box, in the place of a sidebar that is closed, or under a list."""
    player = Player()
    player.says(portrait_of("mira", RED, BLUE))
    player.type(keys)
    player.type("<f7>" if keys == "<f7>" else "<escape>")
    assert portrait.laid_over(player.face.model)[1] is not None


def test_another_speaker_and_one_without_a_picture() -> None:
    player = Player()
    player.says(portrait_of("mira", RED, BLUE))
    player.says(messages.SystemUpdate("", messages.State(speaker="tam")))
    assert player.terminal.pixels() == {}
    player.says(portrait_of("tam", GREEN, GREEN))
    seen = {pixel for tile in player.terminal.pixels().values() for row in tile for pixel in row}
    assert seen == {(0, 100, 0)}
    player.says(messages.SystemUpdate("", messages.State(portrait=messages.Portrait("tam", 0, 0, ""))))
    assert player.terminal.pixels() == {}


def test_a_screen_that_was_given_away_is_drawn_anew() -> None:
    """As after an editor, and after other output that the player asks to be painted over."""
    player = Player()
    player.says(portrait_of("mira", RED, BLUE))
    player.terminal.screen.feed(b"\x1b[H\x1b[2J")
    player.overlay.forget()
    player.painter.forget()
    assert b"\x1bP" in player.frame()
    player.painter.forget()  # Ctrl+L
    assert b"\x1bP" in player.frame()


def test_pictures_that_are_switched_off_leave_nothing() -> None:
    player = Player()
    player.says(portrait_of("mira", RED, BLUE))
    player.face.put(PicturesShown(""))
    player.frame()
    assert player.terminal.pixels() == {}
    assert isinstance(player.face.model.picture, Picture)
