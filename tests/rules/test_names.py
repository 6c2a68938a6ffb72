"""A class name means one thing: whoever meets it need not ask which one."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.sources import modules, name_of, tree_of

# Names that two modules give to a class of their own, each with the reason why that is no riddle.
MEANT_TWICE = {
    "ChatMessage": "an event of the wire, and a message of a prompt: every chat API calls both so",
}


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
    assert set(twice) - set(MEANT_TWICE) == set(), twice


def test_every_exception_is_still_one() -> None:
    twice = {name for name, where in classes().items() if len(where) > 1}
    assert set(MEANT_TWICE) <= twice
