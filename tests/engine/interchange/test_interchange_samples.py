"""Real files of other people, where a folder of them is named; they are no part of this project.

``FLOWER_IMPORT_SAMPLES`` names the folder. Every file in it must be read, except for lists of the folder itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flower.engine.interchange.reader import read
from flower.errors import UnknownPlayerError
from tests.engine.interchange.test_interchange_table import books_return, cards_return, chats_return

FOLDER = Path(os.environ.get("FLOWER_IMPORT_SAMPLES", "no folder"))
PATHS = [path for path in sorted(FOLDER.glob("*")) if path.suffix not in (".tsv", ".md", ".txt")]

pytestmark = pytest.mark.skipif(not PATHS, reason="FLOWER_IMPORT_SAMPLES names no folder with files")


@pytest.mark.parametrize("path", PATHS or [FOLDER], ids=lambda path: path.name)
def test_real_files_are_read_and_come_back(path: Path) -> None:
    data = path.read_bytes()
    try:
        found = read(data, path.stem)
    except UnknownPlayerError as asked:
        found = read(data, path.stem, asked.speakers[-1])
    assert found.cards or found.books or found.chats
    for card in found.cards:
        assert cards_return(card, data)[0]
    for book in found.books:
        assert books_return(book)[0]
    for chat in found.chats:
        assert chats_return(chat)[0]
