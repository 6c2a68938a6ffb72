"""Macros against recorded behaviour, and the list of where we differ on purpose."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest

from flower.engine.prompt.macros import Values, expand
from tests.macro_vectors import cases, fault_of
from tests.paths import DOCS

CASES = list(cases())
PAGE = DOCS / "macros.md"
DIFFERENT = {
    "m_chat-008", "m_nest-016", "m_nest-026", "m_random-024", "m_random-027", "m_random-028", "m_random-029",
}  # fmt: skip
VALUES = Values(moment=datetime(2026, 3, 4, tzinfo=UTC), story_seed="s", seed="l")


@pytest.mark.parametrize(("head", "case"), CASES, ids=[case["id"] for _, case in CASES])
def test_a_text_is_told_as_recorded(head: dict[str, object], case: dict[str, object]) -> None:
    """Each case agrees, or is a difference that we chose; none of those agrees by chance."""
    fault = fault_of(head, case)
    assert bool(fault) == (case["id"] in DIFFERENT), fault


def test_each_difference_is_in_the_page() -> None:
    """The page names the case of every difference with its reason, and no other."""
    assert set(re.findall(r"\bm_[a-z]+-\d{3}\b", PAGE.read_text())) == DIFFERENT


@pytest.mark.parametrize(
    "text",
    [
        "{{if 1}}" * 2_000,
        "{{if 1}}a" * 2_000 + "{{/if}}" * 2_000,
        "{{reverse}}{{if 0}}{{trim}}" * 1_000 + "{{/if}}{{/reverse}}" * 1_000,
        "{{x::" * 8 + "a" + "}}" * 8,
        "{{random::" + "a::" * 8_000 + "}}",
    ],
    ids=["open", "deep", "crossed", "unknown", "many"],
)
def test_blocks_take_time_in_proportion(text: str) -> None:
    """Sixteen times the text takes less than sixteen times two as long, and never raises."""

    most = 32 * min(_timed(text) for _ in range(3)) + 0.05
    assert any(_timed(text * 16) < most for _ in range(3)), "a busy machine only adds"


def _timed(text: str) -> float:
    started = time.process_time()
    expand(text, VALUES)
    return time.process_time() - started


def test_what_a_macro_sets_is_set_once() -> None:
    """A macro inside one that is not known is expanded once, though its text is told."""
    assert expand("{{huh::{{incvar::n}}}}{{getvar::n}}", VALUES) == "{{huh::1}}1"


def test_many_open_macros_hide_no_block() -> None:
    """Whatever stands before it inline, a block is a block."""
    assert (
        expand(
            "{{setvar::a::1}}" * 100 + "{{if 1}}{{setvar::b}} x {{/setvar}}{{getvar::b}}{{/if}}", VALUES
        )
        == "x"
    )
