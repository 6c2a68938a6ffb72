"""A class name means one thing: whoever meets it need not ask which one."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.sources import modules, name_of, tree_of


def classes() -> dict[str, list[str]]:
    """Returns the modules that define a class, by its name."""
    places = defaultdict(list)
    for path in modules():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(path))
    return places


def test_a_class_name_is_given_once() -> None:
    twice = {name: where for name, where in classes().items() if len(where) > 1}
    assert not twice
