"""What an entry, a book or a scan is where nothing is said of it, and the numbers that files use."""

from __future__ import annotations

from enum import IntEnum

import pytest
from msgspec import NODEFAULT, Struct, structs

from flower.engine.lorebook import book, decorators, index, judge, outcome, rules, scan, situation

# The others are false, empty, nothing or 0. Those of an entry are what editors of World Info make of a new one.
NOT_EMPTY = {
    "Entry": {"selective": True, "enabled": True, "order": 100, "depth": 4, "probability": 100,
              "use_probability": True, "group_weight": 100},
    "EntryKey": {"number": -1},
    "Matching": {"whole_words": True, "strategy": 1, "dialect": "flower"},
    "Outcome": {"timed": situation.NOTHING},
    "ScanSettings": {"depth": 2, "budget": 2_048, "include_names": True, "recursive": True},
    "Situation": {"trigger": "normal", "timed": situation.NOTHING},
    "Term": {"fold": True, "whole": True},
    "Tools": {"expand": scan._unchanged},
}  # fmt: skip
MODULES = (
    vars(book), vars(decorators), vars(index), vars(judge), vars(outcome), vars(rules), vars(scan), vars(situation)
)  # fmt: skip
STRUCTS = {
    name: one
    for names in MODULES
    for name, one in names.items()
    if isinstance(one, type) and issubclass(one, Struct) and one is not Struct
}


@pytest.mark.parametrize("name", sorted(STRUCTS))
def test_what_is_not_said_is_empty_but_for_a_few(name: str) -> None:
    given = {one.name: one.default for one in structs.fields(STRUCTS[name])}
    meant = {field: value for field, value in given.items() if value and value is not NODEFAULT}
    assert meant == NOT_EMPTY.get(name, {})


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("Logic", {0: "AND_ANY", 1: "NOT_ALL", 2: "NOT_ANY", 3: "AND_ALL", -1: "NEVER"}),
        ("Role", {0: "SYSTEM", 1: "USER", 2: "ASSISTANT"}),
        ("Position", {0: "BEFORE_CHARACTER", 1: "AFTER_CHARACTER", 2: "NOTE_TOP", 3: "NOTE_BOTTOM", 4: "AT_DEPTH",
                      5: "BEFORE_EXAMPLES", 6: "AFTER_EXAMPLES", 7: "OUTLET", -1: "NOWHERE"}),
    ],
)  # fmt: skip
def test_numbers_of_world_info_files_mean_what_they_mean_there(
    kind: str, names: dict[int, str]
) -> None:
    numbered: type[IntEnum] = vars(book)[kind]
    assert {int(one): one.name for one in numbered} == names
