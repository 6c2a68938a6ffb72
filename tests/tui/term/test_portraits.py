"""Pictures of who speaks: from a card's PNG to cells, or over them where the terminal says that it can."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.commands import library
from flower.engine.interchange import card_writer, pictures, thumbnail
from flower.engine.recall.native_check import NoNumpyError
from flower.protocol import messages
from flower.tui.state.model import PicturesShown
from flower.tui.term import pictures as term_pictures
from flower.tui.term.inputs import Reply
from flower.tui.term.keys import Decoder
from flower.tui.term.pictures import KittyPicture
from tests.engine_world import engine_world
from tests.tui_world import Face

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(colour: int, bits: int = 8, interlaced: int = 0, filters: str = "01234") -> bytes:
    """A PNG of 60 x 40, its left half red and its right half blue, each row with another filter."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    red, blue = {
        0: ((76,), (29,)), 2: (RED, BLUE), 3: ((0,), (1,)), 4: ((76, 255), (29, 255)), 6: ((*RED, 255), (*BLUE, 255)),
    }[colour]  # fmt: skip
    row = bytes(red) * 30 + bytes(blue) * 30
    rows = b"".join(
        filtered(int(filters[y % len(filters)]), row, row if y else bytes(len(row)), channels)
        for y in range(40)
    )
    header = struct.pack(">IIBBBBB", 60, 40, bits, colour, 0, 0, interlaced)
    parts = [
        (b"IHDR", header),
        (b"PLTE", bytes(RED + BLUE)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return pictures.SIGNATURE + b"".join(pictures.chunk_bytes(kind, body) for kind, body in parts)


def filtered(kind: int, row: bytes, above: bytes, channels: int) -> bytes:
    """A row as the filters of the PNG specification (9.2) write it."""

    def guess(at: int) -> int:
        left = row[at - channels] if at >= channels else 0
        corner = above[at - channels] if at >= channels else 0
        up = above[at]
        if kind == 4:
            return min((left, up, corner), key=lambda one: abs(left + up - corner - one))
        return (0, left, up, (left + up) // 2)[kind]

    return bytes([kind]) + bytes((value - guess(at)) & 255 for at, value in enumerate(row))


@pytest.mark.parametrize("colour", [0, 2, 3, 4, 6])
@pytest.mark.parametrize("filters", ["0", "1", "2", "3", "4", "01234"])
def test_every_filter_and_kind_of_colour_is_read(colour: int, filters: str) -> None:
    small = thumbnail.of_png(picture(colour, filters=filters))
    assert small is not None
    assert (small.width, small.height) == (60, 40)
    left, right = tuple(small.pixels[:3]), tuple(small.pixels[-3:])
    assert (left, right) == ((RED, BLUE) if colour in (2, 3, 6) else ((76,) * 3, (29,) * 3))
    assert small.pixels == (bytes(left) * 30 + bytes(right) * 30) * 40


def test_a_card_becomes_small_in_its_proportions() -> None:
    """The picture we draw ourselves has the size of cards."""
    small = thumbnail.of_png(card_writer.portrait("Nan Okoro"))
    assert small is not None
    assert (small.width, small.height) == (100, 150)
    assert len(small.pixels) == 3 * small.width * small.height


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xd8\xff\xe0 a JPEG", pictures.SIGNATURE, picture(2)[:-30], picture(2, bits=16),
        picture(2, interlaced=1),
        picture(3).replace(b"PLTE", b"PLTX"),
        picture(2, filters="0").replace(struct.pack(">II", 60, 40), struct.pack(">II", 60, 41)),
    ],
)  # fmt: skip
def test_what_is_not_read_has_no_portrait(data: bytes) -> None:
    """Other formats, broken and cut files: no picture and no error."""
    assert thumbnail.of_png(data) is None


def test_a_picture_that_lies_about_its_size_is_not_inflated() -> None:
    """A header of 100 million pixels ends it; so does one that says less than there is, after what it said."""
    head = struct.pack(">IIBBBBB", 10_000, 10_000, 8, 6, 0, 0, 0)
    bomb = zlib.compress(bytes(50_000_000), 9)
    for header in (head, struct.pack(">IIBBBBB", 10, 10, 8, 6, 0, 0, 0)):
        parts = [(b"IHDR", header), (b"IDAT", bomb), (b"IEND", b"")]
        data = pictures.SIGNATURE + b"".join(pictures.chunk_bytes(kind, body) for kind, body in parts)
        small = thumbnail.of_png(data)
        assert small is None or (small.width, small.height) == (10, 10)


async def test_numpy_is_loaded_for_the_first_picture_and_without_it_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has to be recalled before a picture is shown; a machine without numpy has no pictures and no error."""
    asked: list[Path | None] = []

    async def refused(marker_dir: Path | None) -> None:
        asked.append(marker_dir)
        raise NoNumpyError("numpy cannot be used: it is not for this processor")

    monkeypatch.setattr(library, "load_numpy", refused)
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        character = next(iter(world.engine.services.assets.characters))
        await face.say(f"/portrait {character}")
        await trio.testing.wait_all_tasks_blocked()
        assert face.of(messages.SystemUpdate)[-1].metadata.portrait == messages.Portrait(character)
        assert face.of(messages.ErrorEvent) == []
    assert asked == [None]


# --- on the screen --------------------------------------------------------------------------------


def told(name: str = "mira") -> messages.SystemUpdate:
    pixels = base64.b64encode(bytes(RED) * 300 + bytes(BLUE) * 300).decode()
    return messages.SystemUpdate("", messages.State(portrait=messages.Portrait(name, 20, 30, pixels)))


def playing(how: str) -> Face:
    face = Face(110, 30).online(session="s1", character_id="mira").story(("user", "I knock."))
    option = messages.CommandOption("/portrait", "/portrait [ID]", "send a picture")
    replica = face.model.replica
    face.model = face.model._replace(replica=replica._replace(commands=(*replica.commands, option)))
    face.sent()
    return face.put(PicturesShown(how))


def test_the_picture_of_who_speaks_is_asked_for_once() -> None:
    """Again when somebody else speaks; never where pictures are not shown, nor of an engine that has none."""
    face = playing("blocks")
    assert [one.prompt for one in face.sent()] == ["/portrait mira"]
    face.says(told())
    face.type("a")
    assert face.sent() == []
    face.says(messages.SystemUpdate("", messages.State(speaker="tam")))
    assert [one.prompt for one in face.sent()] == ["/portrait tam"]
    assert playing("").sent() == []


def test_half_blocks_show_the_picture_in_the_sidebar() -> None:
    face = playing("blocks")
    assert "\u2580" not in face.text()
    face.says(told())
    rows = [row for row in face.text().splitlines() if "\u2580" in row]
    assert 4 <= len(rows) <= 12
    assert len({row.count("\u2580") for row in rows}) == 1
    assert "Status" in face.text()
    face.says(told("somebody-else"))
    assert "\u2580" not in face.text()


def test_a_picture_with_other_pixels_than_it_says_is_none() -> None:
    face = playing("blocks")
    for pixels in ("AAAA", "no base64!", ""):
        wrong = messages.Portrait("mira", 20, 30, pixels)
        face.says(messages.SystemUpdate("", messages.State(portrait=wrong)))
        assert "\u2580" not in face.text()


# --- a terminal that answers ----------------------------------------------------------------------


class KittyTerminal:
    """Reads the graphics protocol as kitty does: what it holds, and where it is placed."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[int, int, bytes]] = {}
        self.placed: dict[tuple[str, str], tuple[int, int, int, int]] = {}
        self.answers = b""
        self._parts: list[str] = []
        self._keys: dict[str, str] = {}
        self._cursor = (0, 0)

    def feed(self, data: bytes) -> KittyTerminal:
        for found in re.finditer(rb"\x1b\[(\d+);(\d+)H|\x1b_G([^;\x1b]*);?([^\x1b]*)\x1b\\", data):
            if found[3] is None:
                self._cursor = (int(found[2]) - 1, int(found[1]) - 1)
                continue
            keys = dict(one.split("=") for one in found[3].decode().split(","))
            self._carry_out(keys, found[4].decode())
        return self

    def _carry_out(self, keys: dict[str, str], payload: str) -> None:
        assert len(payload) <= 4096
        action = keys.get("a", "more")
        if action == "q":
            self.answers += f"\x1b_Gi={keys['i']};OK\x1b\\".encode()
        elif action in ("t", "more"):
            self._keys = keys if action == "t" else self._keys
            self._parts.append(payload)
            if keys["m"] == "0":
                pixels = zlib.decompress(base64.b64decode("".join(self._parts)))
                self._parts = []
                size = (int(self._keys["s"]), int(self._keys["v"]))
                assert len(pixels) == 3 * size[0] * size[1]
                self.held[self._keys["i"]] = (*size, pixels)
        elif action == "p":
            assert keys["i"] in self.held
            self.placed[keys["i"], keys["p"]] = (*self._cursor, int(keys["c"]), int(keys["r"]))
        elif action == "d":
            self.placed = {key: at for key, at in self.placed.items() if key[0] != keys["i"]}
            if keys["d"].isupper():
                self.held.pop(keys["i"], None)


def noise() -> tuple[int, int, bytes]:
    """The largest picture there is, which no compression makes smaller."""
    value, pixels = 1, bytearray()
    for _ in range(3 * thumbnail.THUMBNAIL_PIXELS):
        value = value * 48271 % 2147483647
        pixels.append(value & 255)
    return 100, 150, bytes(pixels)


def test_a_terminal_that_says_so_gets_the_picture_once() -> None:
    """At most 64 KiB; later frames cost nothing, moved lines a placement, and a covered picture is taken away."""
    terminal, laid = KittyTerminal(), KittyPicture()
    assert Decoder().feed(terminal.feed(term_pictures.KITTY_QUESTION).answers) == [
        Reply("other", term_pictures.KITTY_ANSWER)
    ]
    first = laid.follow(noise(), (80, 1, 16, 12), b"")
    assert len(first) <= term_pictures.PICTURE_BYTES
    terminal.feed(first)
    assert list(terminal.held.values()) == [noise()]
    assert list(terminal.placed.values()) == [(80, 1, 16, 12)]
    assert laid.follow(noise(), (80, 1, 16, 12), b"\x1b[3;4Ha word") == b""
    again = laid.follow(noise(), (80, 1, 16, 12), b"\x1b[2;20r\x1b[3S\x1b[r")
    assert 0 < len(again) < 80
    moved = laid.follow(noise(), (70, 1, 16, 12), b"")
    assert list(terminal.feed(again + moved).placed.values()) == [(70, 1, 16, 12)]
    assert terminal.feed(laid.follow(noise(), None, b"")).placed == {}
    terminal.feed(laid.follow(noise(), (70, 1, 16, 12), b""))
    assert len(terminal.placed) == 1
    assert laid.sent <= term_pictures.PICTURE_BYTES
    terminal.feed(term_pictures.REMOVED)
    assert (terminal.held, terminal.placed) == ({}, {})


def test_another_picture_takes_the_place_of_the_first() -> None:
    terminal, laid = KittyTerminal(), KittyPicture()
    one, two = (2, 2, bytes(RED) * 4), (2, 2, bytes(BLUE) * 4)
    for shown in (one, two, one):
        terminal.feed(laid.follow(shown, (80, 1, 4, 2), b""))
        assert list(terminal.held.values()) == [shown]
    assert len(terminal.placed) == 1
    laid.forget()  # an editor had the screen
    assert terminal.feed(laid.follow(one, (80, 1, 4, 2), b"")).held["70"] == one


def test_what_scrolls_or_erases_is_known() -> None:
    for written in (b"\x1b[2S", b"\x1b[T", b"\x1b[3L", b"\x1b[M", b"\x1bM", b"\x1b[2J", b"\x1b[1;20r"):
        laid = KittyPicture()
        states = [laid.follow((1, 1, b"abc"), (0, 0, 2, 1), out) for out in (b"", b"", written)]
        assert [bool(out) for out in states] == [True, False, True], written
