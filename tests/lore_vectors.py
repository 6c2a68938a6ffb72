"""Cases of lorebook behaviour as recorded from the reference implementation, made ours and compared.

``FLOWER_LORE_VECTORS`` names another folder of such cases.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.interchange import book_reader
from flower.engine.lorebook import situation as situations
from flower.engine.lorebook.book import Scope, TextSource
from flower.engine.lorebook.outcome import Outcome
from flower.engine.lorebook.rules import EntryId, KeyedBooks, LoreRules, Matching, Shelved, Strategy
from flower.engine.lorebook.scan import Tools, scan
from flower.engine.lorebook.situation import NOTHING, ScanSettings, Situation, SpokenLine, Timed
from flower.engine.prompt import macros

FOLDER = Path(
    os.environ.get("FLOWER_LORE_VECTORS", Path(__file__).parent / "library" / "vectors" / "lore")
)
_SCAN_DATA = {
    "personaDescription": TextSource.PERSONA,
    "characterDescription": TextSource.DESCRIPTION,
    "characterPersonality": TextSource.PERSONALITY,
    "characterDepthPrompt": TextSource.DEPTH_PROMPT,
    "scenario": TextSource.SCENARIO,
    "creatorNotes": TextSource.CREATOR_NOTES,
}


class Case(Struct, frozen=True):
    """One recorded case with the head of its file."""

    head: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.data["id"])

    @property
    def quirk(self) -> bool:
        return bool(self.data.get("quirk"))


def cases() -> Iterator[Case]:
    """Yields all cases of the folder."""
    for path in sorted(FOLDER.glob("*.json")):
        file = json.loads(path.read_text())
        for case in file["cases"]:
            yield Case(file, case)


class Story:
    """A case being played: books, messages and what is remembered from step to step."""

    def __init__(self, case: Case, dialect: LoreRules) -> None:
        self._case = case
        self._dialect = dialect
        self._settings = {**case.head["base_settings"], **case.data.get("settings", {})}
        self._settings["max_context"] = case.data.get("max_context", self._settings["max_context"])
        self._books = {book["name"]: self._filled(book) for book in case.data["books"]}
        self._off: set[str] = set()
        self._messages = list(case.data["chat"])
        self._timed: Timed = NOTHING
        self._variables: Mapping[str, str] = case.data.get("variables", {})
        self._requested = frozenset(_id(text) for text in case.data.get("force", ()))
        self._random = list(case.data.get("random", ()))

    def _filled(self, book: Mapping[str, Any]) -> dict[str, Any]:
        defaults = {} if self._case.data.get("raw") else self._case.head["entry_defaults"]
        entries = {key: {**defaults, **raw} for key, raw in book["entries"].items()}
        return {**book, "entries": entries}

    def step(self, step: Mapping[str, Any]) -> tuple[Outcome, int]:
        """Returns the outcome of one step and how many dice were thrown."""
        if step.get("remove"):
            del self._messages[-step["remove"] :]
        self._messages += step.get("add", ())
        for name, fields in step.get("edit", {}).items():
            found = _id(name)
            self._books[found.book]["entries"][found.uid].update(fields)
        self._off = (self._off | set(_list(step.get("off")))) - set(_list(step.get("on")))
        self._random = list(step["random"]) if "random" in step else self._random
        rolls = 0

        def chance(purpose: str) -> float:
            nonlocal rolls
            rolls += 1
            return float(self._random.pop(0))

        outcome = scan(
            self._library(),
            self._situation(step),
            self._scan_settings(),
            Tools(tokens=tokens, chance=chance, expand=self._expand),
        )
        self._timed, self._variables = outcome.timed, outcome.variables
        self._requested = frozenset()
        return outcome, rolls

    def _library(self) -> KeyedBooks:
        wanted = self._settings
        strategy = wanted["strategy"]
        matching = Matching(
            case_sensitive=wanted["case_sensitive"],
            whole_words=wanted["match_whole_words"],
            strategy=Strategy(strategy) if strategy in (0, 1, 2) else Strategy.EVENLY,
            dialect=self._dialect,
        )
        shelved = []
        for name, book in self._books.items():
            if name in self._off:
                continue
            scopes = {Scope(scope.removesuffix("_extra")) for scope in _list(book["scope"])}
            shelved.append(Shelved(book_reader.read(book, name), frozenset(scopes)))
        return KeyedBooks(shelved, matching)

    def _situation(self, step: Mapping[str, Any]) -> Situation:
        data = self._case.data
        visible = [m for m in self._messages if not m.get("is_system")]
        return Situation(
            messages=tuple(SpokenLine(m["name"], m["mes"]) for m in visible),
            replies=sum(not m["is_user"] for m in visible),
            characters=frozenset({self._case.head["char_file"]}),
            tags=frozenset(data.get("tags", ())),
            trigger=step.get("trigger", data.get("trigger", "normal")),
            sources={_SCAN_DATA[name]: text for name, text in data.get("scan_data", {}).items()},
            injected=tuple(part["text"] for part in data.get("injects", ()) if part["scan"]),
            requested=self._requested,
            timed=self._timed,
            variables=self._variables,
            dry=bool(step.get("dry")),
        )

    def _scan_settings(self) -> ScanSettings:
        wanted = self._settings
        return ScanSettings(
            depth=wanted["depth"],
            budget=situations.budget(wanted["budget"], wanted["max_context"], wanted["budget_cap"]),
            include_names=wanted["include_names"],
            recursive=wanted["recursive"],
            recursion_steps=wanted["max_recursion_steps"],
            group_scoring=wanted["use_group_scoring"],
            min_activations=wanted["min_activations"],
            min_activations_depth=wanted["min_activations_depth_max"],
        )

    def _expand(self, text: str, variables: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        values = macros.Values(
            moment=datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC),
            story_seed="s",
            seed="s",
            user=self._case.head["user"],
            char=self._case.head["char"],
        )
        expanded = macros.run(text, replace(values, variables=variables))
        return expanded.text, expanded.variables


def tokens(text: str) -> float:
    """Returns the size of a text as the reference estimates it, with the line break that it adds."""
    return (len(text.encode()) + 1) / 3.35


def differences(case: Case, dialect: LoreRules = LoreRules.FLOWER) -> list[str]:
    """Returns in what our outcome differs from the recorded one, step by step."""
    story = Story(case, dialect)
    differing: list[str] = []
    for number, step in enumerate(case.data["steps"]):
        outcome, rolls = story.step(step)
        ours, theirs = described(outcome, rolls), expected(step["expect"])
        differing += [
            f"step {number}: {name}: expected {theirs.get(name)!r}, got {ours.get(name)!r}"
            for name in theirs
            if ours[name] != theirs[name]
        ]
    return differing


def described(outcome: Outcome, rolls: int) -> dict[str, Any]:
    """Returns an outcome in the words of the recordings."""
    placed = outcome.placed
    examples = [{"position": "after", "content": text} for text in placed.examples_after]
    examples += [{"position": "before", "content": text} for text in placed.examples_before[::-1]]
    return {
        "activated": [str(fired.id) for fired in outcome.fired],
        "before": "\n".join(placed.before),
        "after": "\n".join(placed.after),
        "an_top": list(placed.note_top),
        "an_bottom": list(placed.note_bottom),
        "examples": sorted(examples, key=str),
        "depth": [
            {"depth": block.depth, "role": int(block.role), "entries": list(block.texts)}
            for block in placed.at_depth
        ],
        "outlets": {name: list(texts) for name, texts in placed.outlets.items()},
        "timed": _timed(outcome.timed),
        "overflow": outcome.overflowed,
        "variables": dict(outcome.variables),
        "rolls": 0 if outcome.overflowed else rolls,
        "loops": _up_to_overflow(
            outcome.overflowed,
            [
                {
                    "state": step.state,
                    "found": [str(found) for found in step.winners],
                    "after": step.after,
                }
                for step in outcome.passes
            ],
        ),
    }


def expected(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what was recorded, with what is absent filled in."""
    overflow = recorded.get("overflow", False)
    return {
        "activated": recorded["activated"],
        "before": recorded.get("before", ""),
        "after": recorded.get("after", ""),
        "an_top": recorded.get("an_top", []),
        "an_bottom": recorded.get("an_bottom", []),
        "examples": sorted(recorded.get("examples", []), key=str),
        "depth": recorded.get("depth", []),
        "outlets": recorded.get("outlets", {}),
        "timed": recorded.get("timed", {}),
        "overflow": overflow,
        "variables": recorded.get("variables", {}),
        "rolls": 0 if overflow else recorded["rolls"],
        "loops": _up_to_overflow(overflow, recorded["loops"]),
    }


def _up_to_overflow(overflowed: bool, loops: list[Any]) -> list[Any]:
    """Once something did not fit, the reference lets its text find others that cannot enter any more;
    nothing comes of it, so passes and dice are compared only where all fits."""
    return [] if overflowed else loops


def _timed(timed: Timed) -> dict[str, Any]:
    table = {}
    for name, effects in (("sticky", timed.sticky), ("cooldown", timed.cooldown)):
        if effects:
            table[name] = {
                str(e.entry): {"start": e.start, "end": e.end, "protected": e.protected}
                for e in effects
            }
    return table


def _id(text: str) -> EntryId:
    book, _, uid = text.rpartition(".")
    return EntryId(book, uid)


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
