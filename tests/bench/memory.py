"""Where the engine's memory is: RSS, PSS and USS at rest and with the embedding model, by what is mapped.

RSS counts every page once, PSS shares pages among the processes that have them, USS has the process's own alone.

    python -m tests.bench.memory [EXCHANGES]
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from flower.engine.recall.embedder import TIDY_AFTER_S
from tests.bench.engine import LINES, say
from tests.engine_process import begin_story, connected, kill, start, wait_announced

KIB_PER_MIB = 1024
MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+ *(.*)")
SHOWN = 14  # mappings of a moment

Parts = dict[str, Counter[str]]


def parts(pid: int) -> Parts:
    """Returns the KiB of each kind of a process's pages (Rss, Pss, private ones), by what is mapped."""
    found: Parts = {}
    at = Counter[str]()
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        heading = MAPPING.match(line)
        if heading is not None:
            at = found.setdefault(_name(heading[1], heading[2]), Counter())
            continue
        kind, _, value = line.partition(":")
        if kind in ("Rss", "Pss") or kind.startswith("Private_"):
            at["Uss" if kind.startswith("Private") else kind] += int(value.split()[0])
    return found


def _name(rights: str, path: str) -> str:
    if not path:
        return "anonymous"
    if path.startswith("["):
        return path
    kind = "code" if "x" in rights else "written" if "w" in rights else "read"
    return f"{os.path.basename(path)} {kind}"


def show(moment: str, found: Parts) -> None:
    total = sum(found.values(), Counter[str]())
    print(
        f"{moment:44}" + "".join(f"{total[kind] / KIB_PER_MIB:8.1f}" for kind in ("Rss", "Pss", "Uss"))
    )
    for name, sizes in sorted(found.items(), key=lambda item: -item[1]["Rss"])[:SHOWN]:
        row = "".join(f"{sizes[kind] / KIB_PER_MIB:8.1f}" for kind in ("Rss", "Pss", "Uss"))
        print(f"    {name[:38]:40}{row}")


async def main(exchanges: int) -> None:
    print(f"{'MiB':44}{'RSS':>8}{'PSS':>8}{'USS':>8}")
    with tempfile.TemporaryDirectory() as folder:
        running = await start(Path(folder) / "home")
        await wait_announced(running)
        pid = running.process.pid
        show("at rest", parts(pid))
        async with connected(running) as wire:
            await begin_story(wire)
            await say(wire, LINES[0])
            show("the model loaded", parts(pid))
            for number in range(1, exchanges):
                await say(wire, LINES[number % len(LINES)])
            show(f"after {exchanges} exchanges", parts(pid))
            await trio.sleep(TIDY_AFTER_S + 2)
            show(f"{TIDY_AFTER_S + 2:.0f} s later", parts(pid))
        await kill(running)


def run(arguments: Sequence[str]) -> None:
    trio.run(partial(main, int(arguments[0]) if arguments else 50))


if __name__ == "__main__":
    run(sys.argv[1:])
