"""Which files of tests are quick, so that they can be run all the time: read off what they import."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

# Whoever imports one of these tests files, processes, sockets or whole engines, and takes its time.
SLOW_IMPORTS = {
    "socket", "sqlite3", "subprocess", "trio", "tests.engine_process", "tests.engine_world", "tests.provider_world",
    "tests.pty_world", "tests.stores", "tests.tui_world",
}  # fmt: skip
SLOW_FILES = {  # thorough: whole evenings, the whole tree of the code, laws of a database
    "test_fuzz_corpus.py", "test_interchange_hostile.py", "test_layering.py", "test_lorebook_laws.py",
    "test_lorebook_model.py", "test_macro_vectors.py", "test_macros.py", "test_names.py",
    "test_offline_listening.py", "test_offline_play.py", "test_offline_relevance.py",
    "test_offline_worlds.py", "test_patterns.py", "test_sinks.py", "test_tree_laws.py", "test_vectors.py",
    "test_vocabulary.py", "test_wordpiece.py",
}  # fmt: skip


_IMPORT = re.compile(
    r"^ *(?:from ([\w.]+) import (?:\(([^)]*)\)|([\w, ]+))|import ([\w.]+))", re.MULTILINE
)


@cache
def is_quick(path: Path) -> bool:
    """Whether a file of tests is pure computation: what ``./start.sh test -m quick`` runs."""
    text = path.read_text()
    imported = {"sqlite3"} if "db: " in text else set()  # the fixture of that name
    for package, in_brackets, in_line, module in _IMPORT.findall(text):
        names = (in_brackets or in_line).split(",")
        imported |= {
            module or package,
            *(f"{package}.{name.split()[0]}" for name in names if name.strip()),
        }
    return path.name not in SLOW_FILES and not imported & SLOW_IMPORTS
