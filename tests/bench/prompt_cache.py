"""What the layout of a prompt is worth on a local model: prompt cache hits and time to first token.

Plays one story twice against a llama.cpp server: laid out by Flower (stable parts first, recalled
lore kept where it was told, history trimmed in blocks), and as many programs do it (recalled lore at
the top of the system message, the oldest message dropped whenever the prompt is full). Lore, lines
and replies are the same in both; the model is asked for one token per turn.

The usual layout reads the whole prompt in every turn and may be played for fewer turns; its later turns
are longer and slower than its first.

    python -m tests.bench.prompt_cache http://127.0.0.1:8080 [TURNS [TURNS-OF-THE-USUAL-LAYOUT]]
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import httpx

from flower.engine.assets import SHIPPED, load_assets
from flower.engine.prompt.assemble import Line, assemble
from flower.engine.prompt.sections import system_sections
from flower.engine.prompt.tokens import TokenCounter

WORLD, CHARACTER = "orrinsay", "ines-calder"
BUDGET_TOKENS = 7000  # what the default context of 8,192 leaves for the prompt
RECALLED_PASSAGES = 4
REPLY_WORDS = 110

Messages = list[dict[str, str]]


class Story:
    """The same lines, replies and recalled passages for both layouts."""

    def __init__(self, turns: int) -> None:
        rng = random.Random(5)
        self.assets = load_assets((SHIPPED,))
        world = self.assets.worlds[WORLD]
        self.passages = [p for p in world.lore.split("\n\n") if len(p) > 200]
        words = [word for passage in self.passages for word in passage.split()]
        self.greeting = world.start_message
        self.lines = [f"Turn {n}: I ask about {' '.join(rng.sample(words, 4))}." for n in range(turns)]
        self.replies = [" ".join(rng.choices(words, k=REPLY_WORDS)) for _ in range(turns)]
        # What recall finds drifts: with every line one passage goes and another comes.
        self.recalled = [
            [self.passages[(n + k) % len(self.passages)] for k in range(RECALLED_PASSAGES)]
            for n in range(turns)
        ]
        self.sections = system_sections(
            self.assets.system_rules, (), world, self.assets.characters[CHARACTER], nsfw=False
        )


def flower_prompts(story: Story) -> Iterator[Messages]:
    counter, start = TokenCounter(), None
    lines = [Line(0, "assistant", story.greeting)]
    told: list[tuple[int, str]] = []  # (line id, passage): told again only when its line has left
    for turn, text in enumerate(story.lines):
        in_view = {passage for line_id, passage in told if start is None or line_id >= start}
        new = [passage for passage in story.recalled[turn] if passage not in in_view]
        line_id = 2 * turn + 1
        told += [(line_id, passage) for passage in new]
        lines.append(Line(line_id, "user", text, "\n".join(new)))
        prompt = assemble(
            story.sections, lines, budget=BUDGET_TOKENS, counter=counter, window_start=start
        )
        start = prompt.window_start
        yield [{"role": m.role, "content": m.content} for m in prompt.messages]
        lines.append(Line(line_id + 1, "assistant", story.replies[turn]))


def usual_prompts(story: Story) -> Iterator[Messages]:
    counter = TokenCounter()
    base = "\n\n".join(section.text for section in story.sections)
    history: Messages = [{"role": "assistant", "content": story.greeting}]
    for turn, text in enumerate(story.lines):
        history.append({"role": "user", "content": text})
        system = base + "\n\n" + "\n".join(story.recalled[turn])
        kept = list(history)
        while sum(counter.count(m["content"]) for m in kept) + counter.count(system) > BUDGET_TOKENS:
            kept.pop(0)
        if kept[0]["role"] == "assistant":
            kept.insert(0, {"role": "user", "content": "Begin the story."})
        yield [{"role": "system", "content": system}, *kept]
        history.append({"role": "assistant", "content": story.replies[turn]})


def play(client: httpx.Client, prompts: Iterator[Messages]) -> tuple[list[float], list[float]]:
    """Returns per turn the share of the prompt that was cached, and ms to the first token."""
    shares, waits = [], []
    for messages in prompts:
        body: dict[str, Any] = {
            "messages": messages,
            "max_tokens": 1,
            "temperature": 0,
            "cache_prompt": True,
        }
        started = time.perf_counter()
        response = client.post("/v1/chat/completions", json=body)
        waits.append((time.perf_counter() - started) * 1000)
        response.raise_for_status()
        timings = response.json()["timings"]
        shares.append(timings["cache_n"] / (timings["cache_n"] + timings["prompt_n"]))
    return shares[1:], waits[1:]  # the first prompt of a story is always read whole


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        raise SystemExit(__doc__)
    turns = int(arguments[1]) if len(arguments) > 1 else 40
    usual_turns = int(arguments[2]) if len(arguments) > 2 else turns
    story = Story(turns)
    with httpx.Client(base_url=arguments[0], timeout=600) as client:
        usual = play(client, islice(usual_prompts(story), usual_turns))
        own = play(client, flower_prompts(story))
    print(f"{'':36}{'usual':>10}{'flower':>10}{'ratio':>8}")
    rows = (
        ("prompt cached, mean", statistics.mean, 0),
        ("prompt cached, median", statistics.median, 0),
        ("ms to the first token, median", statistics.median, 1),
        ("ms to the first token, mean", statistics.mean, 1),
    )
    for name, summary, column in rows:
        base, figure = summary(usual[column]), summary(own[column])
        ratio = f"{base / figure:8.1f}" if column else ""
        print(f"{name:36}{base:10.2f}{figure:10.2f}{ratio}")


if __name__ == "__main__":
    main(sys.argv[1:])
