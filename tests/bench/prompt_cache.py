"""What the layout of a prompt is worth on a local model: prompt cache hits and time to first token.

Plays one story three times against a llama.cpp server: laid out by Flower (stable parts first, recalled
lore and the state sheet kept where they were told, history trimmed in blocks); the same, but with the
whole sheet before the newest line of every prompt and nowhere else; and as many programs do it (recalled
lore and sheet at the top of the system message, the oldest message dropped whenever the prompt is full).
Lore, lines, replies and the course of the sheet are the same in all; the model is asked for one token
per turn, and then reads the story's own reply, as if it had written it.

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
from typing import Any, NamedTuple

import httpx

from flower.engine.assets.loader import SHIPPED, load_assets
from flower.engine.game import sheet
from flower.engine.game.clocks import Ambience, Now, ambience_at
from flower.engine.game.sheet import Sheet
from flower.engine.game.state import StoryState
from flower.engine.prompt import sections
from flower.engine.prompt.assemble import PromptLine, Section, assemble, state_text
from flower.engine.prompt.sections import system_sections
from flower.engine.token_counter import TokenCounter

WORLD, CHARACTER = "orrinsay", "ines-calder"
BUDGET_TOKENS = 7000  # what the default context of 8,192 leaves for the prompt
RECALLED_PASSAGES = 4
REPLY_WORDS = 110
WEATHER = Ambience(
    4, ("clear", "haze", "fog", "gale"), ("dawn", "noon", "dusk", "night"), ("calm", "uneasy")
)
PACK = "a lamp, 3 torches, a coil of rope, the brass key, a letter for Ned, 12 coins, a tide table"

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
        self.state = [state_at(turn) for turn in range(turns)]
        self.sections = system_sections(
            self.assets.system_rules, (), world, self.assets.characters[CHARACTER], nsfw=False
        )


def state_at(turn: int) -> tuple[Section, ...]:
    """Returns how things stand at a turn: a full sheet of which something changes every few turns."""
    told = Sheet(place=f"The {('mole', 'mill', 'lamp room')[turn // 6 % 3]}")
    for thing in PACK.split(", "):
        told, _ = sheet.gain(told, thing)
    told, _ = sheet.put(told, "hp", f"{10 - turn // 5 % 8}/10")
    for quest in ("Find the keeper", "Learn why the light never failed", "Pay the ferryman"):
        told, _ = sheet.quest(told, quest, "open")
    weather = ambience_at(WEATHER, "bench", turn)
    return sections.state_sections(
        StoryState(told), Now(turn, 0.0), ambience=weather, note="", speaking="", scene=(), line=""
    )


def flower_prompts(story: Story, *, keep_sheet: bool = True) -> Iterator[Messages]:
    counter, start = TokenCounter(), None
    stood: list[tuple[int, dict[str, str]]] = []  # (line id, what was told with it of the sheet)
    lines = [PromptLine(0, "assistant", story.greeting)]
    told: list[tuple[int, str]] = []  # (line id, passage): told again only when its line has left
    for turn, text in enumerate(story.lines):
        in_view = {passage for line_id, passage in told if start is None or line_id >= start}
        new = [passage for passage in story.recalled[turn] if passage not in in_view]
        line_id = 2 * turn + 1
        told += [(line_id, passage) for passage in new]
        lines.append(PromptLine(line_id, "user", text, "\n".join(new)))
        state = story.state[turn]
        if keep_sheet:
            seen = [texts for at, texts in stood if start is None or at >= start]
            state, _ = sections.due(state, seen)
        prompt = assemble(
            story.sections,
            lines,
            budget=BUDGET_TOKENS,
            counter=counter,
            window_start=start,
            tail=state,
        )
        start = prompt.window_start
        yield [{"role": m.role, "content": m.content} for m in prompt.messages]
        if keep_sheet:
            stood.append(
                (line_id, {sections.section_key(section): section.text for section in prompt.tail})
            )
            stands = state_text(section.text for section in prompt.tail)
            lines[-1] = PromptLine(line_id, "user", text, lines[-1].recalled, stands)
        lines.append(PromptLine(line_id + 1, "assistant", story.replies[turn]))


def usual_prompts(story: Story) -> Iterator[Messages]:
    counter = TokenCounter()
    base = "\n\n".join(section.text for section in story.sections)
    history: Messages = [{"role": "assistant", "content": story.greeting}]
    for turn, text in enumerate(story.lines):
        history.append({"role": "user", "content": text})
        stands = state_text(section.text for section in story.state[turn])
        system = base + "\n\n" + "\n".join((*story.recalled[turn], stands))
        kept = list(history)
        while sum(counter.count(m["content"]) for m in kept) + counter.count(system) > BUDGET_TOKENS:
            kept.pop(0)
        if kept[0]["role"] == "assistant":
            kept.insert(0, {"role": "user", "content": "Begin the story."})
        yield [{"role": "system", "content": system}, *kept]
        history.append({"role": "assistant", "content": story.replies[turn]})


class Played(NamedTuple):
    """One figure for each turn but the first, whose prompt is always read whole."""

    shares: list[float]  # of the prompt that was cached
    read: list[int]  # tokens of the prompt that were not
    waits: list[float]  # ms to the first token


def play(client: httpx.Client, prompts: Iterator[Messages], replies: Sequence[str]) -> Played:
    shares, read, waits = [], [], []
    for messages, reply in zip(prompts, replies, strict=False):
        started = time.perf_counter()
        timings = ask(client, messages)
        waits.append((time.perf_counter() - started) * 1000)
        shares.append(timings["cache_n"] / (timings["cache_n"] + timings["prompt_n"]))
        read.append(timings["prompt_n"])
        ask(client, [*messages, {"role": "assistant", "content": reply}])
    return Played(shares[1:], read[1:], waits[1:])


def ask(client: httpx.Client, messages: Messages) -> dict[str, Any]:
    body = {"messages": messages, "max_tokens": 1, "temperature": 0, "cache_prompt": True}
    response = client.post("/v1/chat/completions", json=body)
    response.raise_for_status()
    timings: dict[str, Any] = response.json()["timings"]
    return timings


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        raise SystemExit(__doc__)
    turns = int(arguments[1]) if len(arguments) > 1 else 40
    usual_turns = int(arguments[2]) if len(arguments) > 2 else turns
    story = Story(turns)
    with httpx.Client(base_url=arguments[0], timeout=600) as client:
        usual = play(client, islice(usual_prompts(story), usual_turns), story.replies)
        anew = play(client, flower_prompts(story, keep_sheet=False), story.replies)
        own = play(client, flower_prompts(story), story.replies)
    print(
        f"{'':36}{'usual':>10}{'sheet anew':>12}{'flower':>10}{'usual/flower':>14}{'anew/flower':>13}"
    )
    rows = (
        ("prompt cached, mean", statistics.mean, 0),
        ("prompt cached, median", statistics.median, 0),
        ("tokens read per turn, median", statistics.median, 1),
        ("tokens read per turn, mean", statistics.mean, 1),
        ("ms to the first token, median", statistics.median, 2),
        ("ms to the first token, mean", statistics.mean, 2),
    )
    for name, summary, column in rows:
        base, second, figure = (summary(played[column]) for played in (usual, anew, own))
        ratios = f"{base / figure:14.1f}{second / figure:13.1f}" if column else ""
        print(f"{name:36}{base:10.2f}{second:12.2f}{figure:10.2f}{ratios}")


if __name__ == "__main__":
    main(sys.argv[1:])
