"""The animated picture of the README: valid, alone, small, and at every moment what the screen was."""

from __future__ import annotations

import random
from xml.etree import ElementTree

import pytest

from flower.tui.render.frame import Row
from flower.tui.render.style import PLAIN, Style
from tests import minute
from tests.minute import Shown, animated
from tests.paths import ROOT

SVG = "{http://www.w3.org/2000/svg}"


def row(text: str) -> Row:
    return Row.of([(text[:3], Style(fg=0xFF87AF, bold=True)), (text[3:], PLAIN)], 12)


def recording() -> tuple[Shown, ...]:
    """Forty screens of three rows, some of which stay."""
    rng = random.Random(4)
    rows = [row(f"row {number} <&>") for number in range(6)] + [Row.blank(12)]
    screens = [tuple(rng.choice(rows) for _ in range(3)) for _ in range(40)]
    return tuple(Shown(number / 2, screen) for number, screen in enumerate(screens))


def seconds(text: str) -> float:
    return float(text.removeprefix("t.begin").removeprefix("+").removesuffix("s") or 0)


def seen_at(picture: str, time: float) -> dict[int, str]:
    """The texts that a player of SMIL shows at a time, by row."""
    tree = ElementTree.fromstring(picture)
    drawn = {one.get("id"): "".join(one.itertext()) for one in tree.iter(f"{SVG}g")}
    seen: dict[int, str] = {}
    for use in tree.iter(f"{SVG}use"):
        visible = use.get("visibility") != "hidden"
        for change in use.iter(f"{SVG}set"):
            begin = seconds(str(change.get("begin")))
            if begin <= time < begin + seconds(str(change.get("dur"))):
                visible = change.get("to") == "visible"
        if visible:
            y = round(float(str(use.get("y"))) / minute.CELL[1])
            assert y not in seen, "two rows in one place"
            seen[y] = drawn[str(use.get("href")).removeprefix("#")]
    return seen


@pytest.mark.parametrize("number", [0, 1, 17, 39])
def test_the_picture_is_the_recording(number: int) -> None:
    shown = recording()[number]
    texts = {y: "".join(one.glyphs).strip() for y, one in enumerate(shown.rows)}
    seen = seen_at(animated(recording(), 21.0), shown.at + 0.2)
    assert {y: text.strip() for y, text in seen.items()} == {
        y: text for y, text in texts.items() if text
    }


def test_what_does_not_animate_shows_the_end() -> None:
    """Without a player of SMIL nothing is laid over anything else."""
    tree = ElementTree.fromstring(animated(recording(), 21.0))
    still = [use for use in tree.iter(f"{SVG}use") if use.get("visibility") != "hidden"]
    last = [one for one in recording()[-1].rows if "".join(one.glyphs).strip()]
    assert len(still) == len(last)


def test_the_picture_of_the_readme_stands_alone() -> None:
    """At most 300 KB, a minute or so, and nothing in it comes from outside or runs."""
    assert "](docs/minute.svg)" in (ROOT / "README.md").read_text("utf-8")
    picture = (ROOT / "docs" / "minute.svg").read_text("utf-8")
    assert len(picture.encode()) <= minute.PICTURE_BYTES
    tree = ElementTree.fromstring(picture)
    names = {one.tag.removeprefix(SVG) for one in tree.iter()}
    assert names <= {"svg", "title", "rect", "animate", "defs", "g", "text", "use", "set"}
    assert all(str(one.get("href")).startswith("#r") for one in tree.iter(f"{SVG}use"))
    assert picture.count("http") == 1, "the name of the format"
    lasts = next(tree.iter(f"{SVG}animate")).get("dur")
    assert 40 <= seconds(str(lasts)) <= 75
    assert "Ines" in "".join(tree.itertext())
