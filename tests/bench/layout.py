"""What laying out a long message costs: ``python -m tests.bench.layout`` from the repository's root.

A reply and a line of the player of each kind of text at three sizes, as milliseconds until the last screen of
it can be drawn, and the factor by which ten times the text costs more: about 10 is linear.
"""

from __future__ import annotations

import statistics
import time

from flower.tui.render.messages import Look, MessageView, StoryPane
from flower.tui.render.theme import load_theme

SIZES = (2_000, 20_000, 200_000)
RUNS = 3
KINDS = {
    "English paragraphs": "The tide has gone out, and *wet sand* shines. “You came,” she says.\n\n",
    "one English paragraph": "The tide has gone out further than you have ever seen it. ",
    "Chinese": "潮水已經退到你從未見過的遠處，濕沙一直亮到天邊。",
    "Thai": "น้ำลงไปไกลกว่าที่เคยเห็น",
    "no spaces": "abcdefghij",
    "unclosed underscores": "_word ",
    "unclosed stars": "**a ",
    "backquotes": "`a``b ",
    "quotation marks": '"a ',
    "emoji": "🙂👩‍👩‍👧",
    "short lines": "a\n",
}


def cost(role: str, text: str) -> float:
    """Returns the median seconds until the last rows are there."""
    times = []
    for _ in range(RUNS):
        pane, begun = StoryPane(load_theme("petal")), time.perf_counter()
        rows = pane.rows(MessageView(1, role, text), Look(100, 76))
        assert rows[max(0, len(rows) - 60) :]
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    print(f"{'ms for characters':30}" + "".join(f"{size:>10,}" for size in SIZES) + "    factor")
    for role in ("assistant", "user"):
        for name, unit in KINDS.items():
            costs = [cost(role, (unit * (size // len(unit) + 1))[:size]) for size in SIZES]
            figures = "".join(f"{seconds * 1000:10.1f}" for seconds in costs)
            print(f"{role + ', ' + name:30}{figures}{costs[2] / costs[1]:10.1f}", flush=True)


if __name__ == "__main__":
    main()
