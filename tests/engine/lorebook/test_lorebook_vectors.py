"""Lorebooks fire as recorded from the program that most books are written for."""

from __future__ import annotations

import re

import pytest

from flower.engine.lorebook.rules import LoreRules
from tests.lore_vectors import Case, cases, differences
from tests.paths import DOCS

PAGE = DOCS / "lorebooks.md"
# Differing even by the other program's rules: what reading a file has settled before.
READING = {"decorators-020", "positions-011", "raw-015", "raw-020", "raw-021", "raw-026"}
# What our own rules do otherwise; docs/lorebooks.md has the reasons.
OWN = {
    "budget-017", "budget-018", "budget-021", "budget-024", "budget-029", "budget-033", "scenes-005",
    "decorators-008", "decorators-019", "decorators-023",
    "groups-022", "groups-024", "groups-041", "groups-042", "groups-043",
    "logic-020", "macros_in_entries-011", "recursion-024",
    "whole_words-021", "whole_words-022", "whole_words-023", "whole_words-026", "whole_words-027",
}  # fmt: skip

CASES = list(cases())


def test_there_are_cases() -> None:
    """A folder that moved must not look like agreement."""
    assert len(CASES) > 300
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_fires_as_recorded(case: Case) -> None:
    """By the other program's rules every step of a case gives what was recorded; what differs, differs."""
    found = differences(case, LoreRules.SILLYTAVERN)
    assert bool(found) == (case.id in READING), "\n".join(found)


def test_our_own_rules_differ_where_we_chose() -> None:
    """In no other case than those that are named."""
    differing = {case.id for case in CASES if differences(case, LoreRules.FLOWER)}
    assert differing == READING | OWN


def test_each_difference_is_in_the_page() -> None:
    """With its reason."""
    kinds = "|".join({case.rpartition("-")[0] for case in READING | OWN})
    page = PAGE.read_text().partition("## Where we differ")[2]
    named = re.findall(rf"\b({kinds})-(\d{{3}}(?:, -\d{{3}})*)", page)
    found = {f"{kind}-{number}" for kind, row in named for number in re.findall(r"\d{3}", row)}
    assert found == READING | OWN
