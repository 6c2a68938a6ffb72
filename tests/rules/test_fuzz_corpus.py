"""What fuzzing has found interesting, replayed: every law of ``tests/fuzz/targets.py`` holds for it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import run
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_breaks_no_law(name: str) -> None:
    inputs = run.load(run.CORPUS / f"{name}.json")
    assert inputs, "every target has a corpus"
    for data in inputs:
        TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_mutations_of_the_corpus_break_no_law(name: str, data: st.DataObject) -> None:
    """Two inputs spliced, a byte changed: what fuzzing does, a little of it in every test run."""
    inputs = st.sampled_from(run.load(run.CORPUS / f"{name}.json"))
    one, two = data.draw(inputs), data.draw(inputs)
    mixed = bytearray(one[: data.draw(st.integers(0, len(one)))] + two)
    if mixed:
        mixed[data.draw(st.integers(0, len(mixed) - 1))] = data.draw(st.integers(0, 255))
    TARGETS[name](bytes(mixed))


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in run.CORPUS.iterdir()) < 300_000
