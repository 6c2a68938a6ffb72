"""How long a picture takes as sixels, and how many bytes: ``python -m tests.bench.sixels``."""

from __future__ import annotations

import statistics
import time

from flower.engine.interchange import card_writer, thumbnail
from flower.tui.term import pictures
from flower.tui.term.pictures import Pixels
from tests.tui.term.test_portraits import noise

SIZES = ((160, 192), (200, 240), (400, 480), (1280, 960))
TIMES = 7


def shaded() -> Pixels:
    """A picture with nearly as many colours as pixels."""
    pixels = bytearray()
    for y in range(150):
        for x in range(100):
            pixels += bytes((min(255, 2 * x + y % 7), min(255, y + x % 5), x * y % 230))
    return 100, 150, bytes(pixels)


def main() -> None:
    small = thumbnail.of_png(card_writer.portrait("Nan Okoro"))
    assert small is not None
    drawn = (small.width, small.height, small.pixels)
    for name, picture in (("noise", noise()), ("shaded", shaded()), ("drawn", drawn)):
        for width, height in SIZES:
            took = []
            for _ in range(TIMES):
                pictures.encoded.cache_clear()
                began = time.process_time()
                data = pictures.encoded(picture, width, height)
                took.append(time.process_time() - began)
            milliseconds = 1000 * statistics.median(took)
            print(f"{name:7} {width:4} x {height:<4} {len(data):6} bytes {milliseconds:5.0f} ms CPU")


if __name__ == "__main__":
    main()
