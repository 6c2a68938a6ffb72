"""Random books, stories and settings fire what a plain model of the rules says, step by step."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from flower.engine.lorebook.rules import LoreRules
from tests.lore_model import Model
from tests.lore_vectors import Case, Story, cases, described

HEAD = next(iter(cases())).head
WORDS = (
    "lamp",
    "oil",
    "tide",
    "bell",
    "Anna",
    "e",
    "x-ray",
    "lamp oil",
    "C++",
    "a.b",
    "日本",
    "#tag",
    "100%",
    "a_b",
)
PATTERNS = ("/\\blamp\\b/i", "/(oil|bell)/", "/t.de/", "/\\d+/", "/ann[ab]/i")
FIELDS: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "keys": {"caseSensitive": (None, True, False), "matchWholeWords": (None, True, False),
             "scanDepth": (None, 0, 1, 3)},
    "recursion": {"excludeRecursion": (False, False, True), "preventRecursion": (False, False, True),
                  "delayUntilRecursion": (0, 0, True, 2, 3)},
    "groups": {"group": ("", "g", "h"), "groupWeight": (100, 50, 1), "groupOverride": (False, False, True),
               "useGroupScoring": (None, True, False)},
    "times": {"sticky": (None, 1, 3), "cooldown": (None, 1, 4), "delay": (None, None, 2)},
    "dice": {"probability": (100, 50, 0, 99), "useProbability": (True, True, False)},
}  # fmt: skip
SETTINGS: Mapping[str, tuple[Any, ...]] = {
    "depth": (0, 1, 2, 4), "recursive": (True, False), "include_names": (True, False), "strategy": (0, 1, 2),
    "case_sensitive": (False, True), "match_whole_words": (True, False), "use_group_scoring": (False, True),
    "min_activations": (0, 0, 3), "min_activations_depth_max": (0, 2),
}  # fmt: skip


class Maker:
    """Makes one case after the other, in the form of the recorded ones."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._words = self._rng.sample(WORDS, 6)

    def case(self) -> dict[str, Any]:
        rng = self._rng
        kinds = rng.sample(sorted(FIELDS), rng.randint(1, len(FIELDS)))
        settings = {name: rng.choice(values) for name, values in SETTINGS.items()}
        if not settings["min_activations"] and rng.random() < 0.3:
            settings["max_recursion_steps"] = rng.randint(1, 3)
        scopes = rng.sample(("global", "character", "chat", "persona"), rng.randint(1, 3))
        return {
            "id": "made",
            "settings": {**settings, "budget": 100, "max_context": 1_000_000},
            "books": [self._book(scope, kinds) for scope in scopes],
            "chat": [self._message() for _ in range(rng.randint(1, 6))],
            "steps": [self._step(number) for number in range(rng.randint(1, 4))],
        }

    def _book(self, scope: str, kinds: list[str]) -> dict[str, Any]:
        entries = {str(uid): self._entry(uid, kinds) for uid in range(self._rng.randint(1, 6))}
        return {"name": scope.upper(), "scope": scope, "entries": entries}

    def _entry(self, uid: int, kinds: list[str]) -> dict[str, Any]:
        rng = self._rng
        made = {field: rng.choice(values) for kind in kinds for field, values in FIELDS[kind].items()}
        made |= {"uid": uid, "content": self._text(), "order": rng.choice((100, 100, 90, 50))}
        made["key"] = [self._key() for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.3:
            made |= {"keysecondary": [self._key(), self._key()], "selectiveLogic": rng.randint(0, 3)}
        for field, value in (
            ("constant", True),
            ("disable", True),
            ("triggers", ["swipe"]),
            ("key", []),
        ):
            if rng.random() < 0.06:
                made[field] = value
        if rng.random() < 0.06:
            names = [rng.choice((HEAD["char_file"], "Other"))]
            made["characterFilter"] = {"isExclude": rng.random() < 0.5, "names": names, "tags": []}
        return made

    def _key(self) -> str:
        rng = self._rng
        word = rng.choice(self._words)
        return rng.choice((word, word, word.upper(), word[:-1] or word, rng.choice(PATTERNS)))

    def _text(self) -> str:
        rng = self._rng
        words = [*self._words, "the", "a1"]
        return "".join(
            rng.choice(words) + rng.choice((" ", ", ", "-", "'", "\n", "", ". ", "_"))
            for _ in range(rng.randint(1, 6))
        ).strip()

    def _message(self) -> dict[str, Any]:
        is_user = self._rng.random() < 0.5
        made = {"name": HEAD["user" if is_user else "char"], "is_user": is_user, "mes": self._text()}
        return made | ({"is_system": True} if self._rng.random() < 0.08 else {})

    def _step(self, number: int) -> dict[str, Any]:
        rng = self._rng
        step: dict[str, Any] = {"random": [rng.random() for _ in range(80)]}
        if number and rng.random() < 0.7:
            step["add"] = [self._message() for _ in range(rng.randint(1, 2))]
        elif number and rng.random() < 0.5:
            step["remove"] = 1
        return step | {"dry": rng.random() < 0.1, "trigger": rng.choice(("normal", "normal", "swipe"))}


@pytest.mark.parametrize("seed", range(20))
def test_what_fires_is_what_the_model_says(seed: int) -> None:
    """Entries in their order, dice thrown, and what lasts; many cases for each seed."""
    maker = Maker(seed)
    for _ in range(15):
        case = maker.case()
        model, story = Model(case, HEAD), Story(Case(HEAD, case), LoreRules.FLOWER)
        for step in case["steps"]:
            fired, thrown = model.step(step)
            outcome, rolls = story.step(step)
            ours = described(outcome, rolls)
            lasting = {kind: effects for kind, effects in model.timed.items() if effects}
            assert (ours["activated"], rolls, ours["timed"] or {}) == (fired, thrown, lasting), case
