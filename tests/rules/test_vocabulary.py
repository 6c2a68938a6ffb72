"""The code is walked through easily: the field's words for names, short functions, modules that tell one story.

Counted as ``python -m tests.bench.house`` counts, whose ``--places`` lists the places. The numbers only ever go down.
"""

from __future__ import annotations

import pytest

from tests.bench import house

# By folder of flower/: how many words of our own, and participles as names of values, may be there at most.
MOST_WORDS = {
    ".": 0,
    "client": 0,
    "engine": 0,
    "engine/admin": 0,
    "engine/assets": 0,
    "engine/commands": 9,
    "engine/export": 0,
    "engine/forms": 13,
    "engine/game": 1,
    "engine/importing": 0,
    "engine/interchange": 0,
    "engine/lorebook": 0,
    "engine/offline": 29,
    "engine/prompt": 11,
    "engine/provider": 3,
    "engine/recall": 7,
    "engine/scripts": 1,
    "engine/server": 0,
    "engine/sessions": 0,
    "engine/store": 9,
    "installer": 0,
    "protocol": 4,
    "service": 0,
    "settings": 2,
    "shell": 0,
    "tui": 0,
    "tui/render": 0,
    "tui/state": 2,
    "tui/term": 0,
    "tui/view": 1,
}
# Modules that may be large, each with the reason why two would not be easier to read.
MAY_BE_LARGE = {
    "engine/commands/catalogue.py": "a table: every command with its words",
    "engine/store/schema.py": "every migration there ever was, in the order in which they run",
    "protocol/messages.py": "a table: every event and request of the wire",
}
MOST_OTHERS_LARGE = 0
MOST_LONG_FUNCTIONS = 0

SOURCES = {path.removeprefix("flower/"): text for path, text in house.present().items()}


def folder_of(path: str) -> str:
    """Returns the folder in the table that a module is in: inner folders count for the one around them."""
    parts = path.split("/")[:-1]
    return "/".join(parts[:2]) or "."


@pytest.mark.parametrize("folder", sorted({folder_of(path) for path in SOURCES}))
def test_a_folder_has_no_more_words_of_its_own(folder: str) -> None:
    by_module = {
        path: house.words_of(path, text) for path, text in SOURCES.items() if folder_of(path) == folder
    }
    count = sum(words.total() for words in by_module.values())
    places = {path: dict(words) for path, words in by_module.items() if words}
    assert count <= MOST_WORDS.get(folder, 0), f"{count}; call them what the field calls them: {places}"


def test_a_folder_of_the_table_is_there() -> None:
    assert set(MOST_WORDS) <= {folder_of(path) for path in SOURCES}


def test_no_more_modules_are_large() -> None:
    large = {path for path, text in SOURCES.items() if text.count("\n") > house.LARGE}
    assert set(MAY_BE_LARGE) <= large, "take it off the list"
    others = sorted(large - set(MAY_BE_LARGE))
    assert len(others) <= MOST_OTHERS_LARGE, f"over {house.LARGE} lines: {others}"


def test_no_more_functions_are_long() -> None:
    names = [
        f"{path}: {node.name}"
        for path, text in SOURCES.items()
        for node in house.long_functions_of(text)
    ]
    assert len(names) <= MOST_LONG_FUNCTIONS, f"over {house.LONG} lines: {names}"


def test_words_and_names_are_counted() -> None:
    """A comment that speaks of a face, a value, an argument and a function count; a die's face and a call do not."""
    text = "told = f(kept=1)  # a face\ndef asked(heard): print(shown)\n"
    assert house.words_of("x.py", text) == {"told": 2, "face": 1, "asked": 1, "heard": 1}
    assert not house.words_of(house.FACES_OF_DICE, "# the die's face")
