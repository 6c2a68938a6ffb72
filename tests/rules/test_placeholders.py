"""Values reach SQLite by place or by name, never by a numbered place: Python 3.12.0 warns of those."""

from __future__ import annotations

import ast
import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.query_plans import Noting
from tests.sources import modules, name_of, tree_of

NUMBERED = re.compile(r"\?[0-9]")


def numbered(tree: ast.Module) -> Iterator[str]:
    """Yields the texts in a module that hold ``?1`` and its like."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and NUMBERED.search(node.value)
        ):
            yield f"line {node.lineno}: {' '.join(node.value.split())}"


def test_no_statement_numbers_its_values() -> None:
    found = [
        f"{name_of(path)}, {text}"
        for path in modules()
        if name_of(path).startswith("engine/")
        for text in numbered(tree_of(path))
    ]
    assert found == []
    example = ast.parse("x = f'SELECT ?1 FROM {y}'\nz = 'a ?2'\nw = '?'")
    assert len(list(numbered(example))) == 2, "it finds them"


def test_names_are_bound_by_name() -> None:
    """The check that the played story of test_query_plans makes of each of its statements."""
    db = sqlite3.connect(":memory:", factory=Noting)
    db.execute("SELECT :word", {"word": 1})
    db.execute("SELECT ':quoted', ?", (1,))
    with pytest.raises(AssertionError, match="by name"):
        db.execute("SELECT :other", (1,))
    db.close()
