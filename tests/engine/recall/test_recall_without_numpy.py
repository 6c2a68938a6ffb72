"""A numpy that cannot be imported costs recall, said once, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import json, sys
from importlib.abc import MetaPathFinder
from pathlib import Path

class Broken(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "numpy":
            raise ImportError("libopenblas is not there")
        return None

sys.meta_path.insert(0, Broken())
import trio
import flower.engine.main
from flower.engine.recall import native_check
from flower.engine.recall.base import Query
from flower.engine.recall.minilm import (MiniLM)
from flower.engine.recall.library import PassageLibrary
from flower.engine.store.sqlite.database import Database
from flower.errors import EmbedError

checked = []
check = native_check.check_native
native_check.check_native = lambda *arguments: (checked.append(arguments), check(*arguments))

async def main(folder):
    said = []
    database = await Database.open(folder / "flower.db")
    library = PassageLibrary(database, MiniLM([folder]), folder, notify=lambda line, progress: said.append(line))
    await library.sync_source("lore:w", "book", "The bell", "The bell rings by itself at low water.")
    await library.remember("memory:s", None, "", "The player rang the bell.")
    found = [await library.recall(Query("Who rings the bell?", lore_scope="lore:w")) for _ in range(2)]
    try:
        await library.search("lore:w", "bell")
    except EmbedError as error:
        said.append(f"search: {error}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(library.run)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
    dropped = await library.drop_scope("memory:s")
    await database.aclose()
    print(json.dumps({"found": [len(one) for one in found], "said": said, "dropped": dropped, "checked": len(checked)}))

import trio.testing
trio.run(main, Path(sys.argv[1]))
"""


def test_without_numpy_nothing_is_recalled_and_one_sentence_says_so(tmp_path: Path) -> None:
    """Lore and memories are kept, replies and deletions go on, a search says why it finds nothing."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    reason = "numpy cannot be used: libopenblas is not there"
    assert told["found"] == [0, 0]
    assert told["said"] == [f"✗ Recall is off: {reason}", f"search: {reason}"]
    assert told["dropped"] == 1
    assert told["checked"] == 1, "a child process for every line is a second of waiting"
