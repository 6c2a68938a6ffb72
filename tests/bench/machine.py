"""What Flower does on this machine, as one row of the table in docs/install.md.

    python3 -m tests.bench.machine [--name TEXT] [--passages N] [--tests] [--emulated]

Works on a clone of its own in a temporary folder (``--folder``): a whole set-up with hnswlib, the fidelity of the
embedding model, a first start with a screen, and the reading of so many passages. Runs on any Python 3.11, without
packages. Give it less memory from outside, with a control group: the table's head says how.

Memory is the proportional set size of engine and screen together, looked at ten times a second; of the set-up, the
largest of its processes. An emulator's memory says nothing, so ``--emulated`` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.pty_world import Pty

ROOT = Path(__file__).parents[2]
LOOK_S = 0.1
MIB = 1 << 20
HEAD = (
    "Machine", "Set-up", "On disk", "Quick tests", "Fidelity: mean, worst", "First screen", "Passages", "Read in",
    "At rest", "Most memory",
)  # fmt: skip
FIDELITY = """
import json, sys, numpy, trio
from pathlib import Path
from flower.engine.recall.minilm import (MiniLM)
texts = json.loads(Path("tests/fidelity/texts.json").read_text())
expected = numpy.load("tests/fidelity/vectors.npy").astype(numpy.float32)
model = MiniLM([Path("flower/models"), Path("models")])
found = trio.run(model.embed, texts)
model.close()
cosines = (found * expected).sum(axis=1)
print(f"{cosines.mean():.4f}, {cosines.min():.4f}")
"""


def system() -> str:
    """Returns what this is: processor, system, Python."""
    lines = Path("/etc/os-release").read_text().splitlines()
    named = dict(line.split("=", 1) for line in lines if "=" in line)
    name = named.get("PRETTY_NAME", "Linux").strip('"').replace("GNU/Linux ", "")
    return f"{platform.machine()}, {name}, Python {platform.python_version()}"


def run(line: Sequence[str], folder: Path, environ: dict[str, str]) -> str:
    """Returns what a command printed; ends the bench with its errors if it fails."""
    done = subprocess.run(line, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(
            f"{' '.join(line[:6])} ended with {done.returncode}:\n{done.stderr[-2000:]}{done.stdout[-2000:]}"
        )
    return done.stdout.strip()


def size(folder: Path) -> int:
    """Returns the bytes of the files below ``folder``."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def set_up(clone: Path, environ: dict[str, str]) -> tuple[str, str]:
    """Returns (seconds and the largest process, size of the environment)."""
    begun = time.monotonic()
    run(["./start.sh", "--setup"], clone, environ)
    seconds = time.monotonic() - begun
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    index = "" if list(clone.glob(".venv/lib/*/site-packages/*hnswlib*.so")) else ", no hnswlib"
    return f"{seconds:.0f} s, {largest} MB{index}", f"{size(clone / '.venv') // MIB} MB"


def memory(pids: Sequence[int]) -> float:
    """Returns the proportional set size in MiB; processes that have ended count nothing."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return total / 1024


def vectors(home: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{home / 'flower.db'}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except sqlite3.Error:  # not made yet, or being changed
        return 0


def write_lore(path: Path, passages: int) -> None:
    """Writes a text with so many paragraphs, no two of them alike."""
    things = ("lamp", "ledger", "bell", "oar", "kettle", "map", "coat", "anchor", "candle", "gate")
    people = (
        "the keeper",
        "a bone-setter",
        "the clerk",
        "old Ilse",
        "the ferryman",
        "a child",
        "the widow",
    )
    with path.open("w") as file:
        for number in range(passages):
            thing, person = things[number % 10], people[number // 10 % 7]
            file.write(
                f"# Page {number}\n\n"
                f"In the year {number} {person} left a {thing} at house {number * 7 % 9973}, and wrote"
                f" down that it was worth {number * 13 % 997} marks. Nobody has asked for it since, although the"
                f" harbour's book names it among the things that may be fetched on a dry day.\n\n"
            )


def play(clone: Path, home: Path, environ: dict[str, str], passages: int, patience: float) -> list[str]:
    """Returns seconds to the first screen, passages read, seconds for that, and memory at rest and at most."""
    python = str(clone / ".venv/bin/python")
    flower = [python, "-P", "-m", "flower", "--home", str(home)]
    lore = home.parent / "lore.md"
    write_lore(lore, passages)
    begun = time.monotonic()
    with Pty(flower, environ) as screen:
        screen.wait(lambda output: b"Type your" in output or b"Enter" in output, patience)
        first = time.monotonic() - begun
        engine = int(json.loads((home / "run/engine.json").read_text())["pid"])
        pids = (engine, screen.child.pid)
        screen.drain(5)
        rest = memory(pids)
        before = vectors(home)
        begun = time.monotonic()
        adding = subprocess.Popen(
            [*flower[:-2], "lore", "add", "--home", str(home), "orrinsay", str(lore)],
            cwd=clone,
            env=environ,
        )
        most, read, grown = rest, before, begun
        while read < before + passages and time.monotonic() - grown < patience:
            screen.drain(LOOK_S)
            most = max(most, memory(pids))
            now = vectors(home)
            if now != read:
                read, grown = now, time.monotonic()
        seconds = grown - begun
        if adding.wait():
            sys.exit("the lore could not be added")
        os.kill(screen.child.pid, signal.SIGTERM)
        os.kill(engine, signal.SIGTERM)
    return [
        f"{first:.1f} s",
        f"{read - before:,}",
        f"{seconds:.0f} s",
        f"{rest:.0f} MB",
        f"{most:.0f} MB",
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default="", help="what the machine is called in the row")
    parser.add_argument("--folder", default=None, help="where the clone and the home are made")
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--patience", type=float, default=120.0, help="seconds without progress")
    parser.add_argument(
        "--tests", action="store_true", help="run the quick tests too (installs their tools)"
    )
    parser.add_argument("--emulated", action="store_true", help="memory is not this program's")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        clone, home = Path(folder) / "flower", Path(folder) / "home"
        environ = {**os.environ, "FLOWER_HOME": str(home), "PIP_NO_CACHE_DIR": "1"}
        environ.pop("PYTHONPATH", None)
        run(
            ["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", str(clone)],
            Path(folder),
            environ,
        )
        cells = [arguments.name or system(), *set_up(clone, environ)]
        python = str(clone / ".venv/bin/python")
        fidelity = run([python, "-c", FIDELITY], clone, environ)
        played = play(clone, home, environ, arguments.passages, arguments.patience)
        tests = "-"
        if arguments.tests:
            run(["./start.sh", "--setup", "test"], clone, environ)
            line = [python, "-m", "pytest", "-q", "-m", "quick", "--timeout", "600"]
            done = subprocess.run(
                line, cwd=clone, env=environ, capture_output=True, text=True, check=False
            )
            print(
                *(text for text in done.stdout.splitlines() if text.startswith("FAILED")),
                sep="\n",
                file=sys.stderr,
            )
            tests = done.stdout.splitlines()[-1].split(" in ")[0]
        cells += [tests, fidelity, *played]
    if arguments.emulated:
        cells[1] = cells[1].replace(cells[1].split(", ")[1], "-")
        cells[-2:] = ["-", "-"]
    print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}\n| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
