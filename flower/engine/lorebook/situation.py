"""What a scan is told about the story and the wishes of its player. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from msgspec import Struct

from flower.engine.lorebook.book import TextSource
from flower.engine.lorebook.rules import EntryId
from flower.engine.lorebook.timed import NOTHING, Timed

__all__ = ["ScanSettings", "Situation", "SpokenLine", "budget", "seeded"]


class SpokenLine(Struct, frozen=True):
    """One visible message."""

    speaker: str
    text: str


class ScanSettings(Struct, frozen=True):
    """How to scan. The defaults are those of a new installation of the program books are written for."""

    depth: int = 2  # newest messages
    budget: int = 2_048  # tokens
    include_names: bool = True  # messages are read as "Name: text"
    recursive: bool = True
    recursion_steps: int = 0  # passes at most; 0 = as many as there are
    group_scoring: bool = False
    min_activations: int = 0  # read further back until so many have fired; not with recursion_steps
    min_activations_depth: int = 0  # but not further than this; 0 = to the beginning


class Situation(Struct, frozen=True, kw_only=True):
    """One moment of a story. ``messages`` are the visible ones of its branch, oldest first; of a long
    branch the newest will do if ``count`` says how many there are."""

    messages: tuple[SpokenLine, ...] = ()
    count: int | None = None
    replies: int = 0  # messages of the character among them
    characters: frozenset[str] = frozenset()  # names that filters may mean
    tags: frozenset[str] = frozenset()
    trigger: str = "normal"
    sources: Mapping[TextSource, str] = {}
    injected: tuple[str, ...] = ()  # other parts of the prompt that are searched too
    greeting: int | None = None  # which the story began with
    persona_icon: str = ""
    requested: frozenset[EntryId] = frozenset()  # entries that fire without a key
    timed: Timed = NOTHING
    variables: Mapping[str, str] = {}
    dry: bool = False  # a trial: lasting effects are neither used nor set


def budget(percent: float, context: int, cap: int = 0) -> int:
    """Returns the tokens that a share of the context is: at least 1, at most ``cap`` unless that is 0."""
    tokens = int(percent * context / 100 + 0.5) or 1
    return min(tokens, cap) if cap > 0 else tokens


def seeded(seed: str) -> Callable[[str], float]:
    """Returns chance from 0 to below 1 that follows from the seed and from what it is drawn for.

    A change in one entry leaves the dice of the others as they were.
    """

    def draw(purpose: str) -> float:
        whole = f"{seed}\0{purpose}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(whole, digest_size=7).digest(), "big") / 2**56

    return draw
