"""What a running engine counts: replies, errors, refusals, tokens, and how long things took.

Pure counters; ``server.health`` writes them out. Never a label with text from a story, a client or a
provider: only our own words for kinds and reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from flower.engine.sessions.turn_outcome import TurnOutcome

FIRST_TEXT_BOUNDS_S = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
RELAY_BOUNDS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Histogram:
    """How many values were at most each bound."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.total += value
        for index, bound in enumerate(self.bounds):
            if value <= bound:
                self.counts[index] += 1
                return
        self.counts[-1] += 1

    def lines(self, name: str) -> Iterable[str]:
        """Yields the samples: cumulative buckets, sum, count."""
        seen = 0
        for bound, count in zip((*map(repr, self.bounds), "+Inf"), self.counts, strict=True):
            seen += count
            yield f'{name}_bucket{{le="{bound}"}} {seen}'
        yield f"{name}_sum {self.total:.6f}"
        yield f"{name}_count {seen}"


class Metrics:
    """What has happened since the engine started."""

    def __init__(self) -> None:
        self.turns: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.tokens = 0
        self.rates: dict[str, float] = {}  # tokens a second of each model's last reply, while it wrote
        self.first_text = Histogram(FIRST_TEXT_BOUNDS_S)
        self.relay = Histogram(RELAY_BOUNDS_S)

    def turn_ended(self, outcome: TurnOutcome) -> None:
        self.turns[outcome.reason] += 1
        self.tokens += outcome.tokens
        if outcome.rate and outcome.model is not None and not outcome.elsewhere:
            self.rates[outcome.model.id] = outcome.rate
        if outcome.first_text_s is not None:
            self.first_text.add(outcome.first_text_s)
        if outcome.trouble:
            self.errors[outcome.trouble] += 1

    def error(self, kind: str) -> None:
        self.errors[kind] += 1

    def refusal(self, status: int) -> None:
        """Counts an upgrade that was refused."""
        self.refused[str(status)] += 1
