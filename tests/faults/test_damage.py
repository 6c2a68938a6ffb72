"""Damaged files, with kills around them: no crash loop, one clear sentence, what can be saved is saved.

One home is played in and killed; copies of it are damaged, started, played on and killed again.
"""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio

from flower.engine.main import SHIPPED_MODELS
from flower.engine.recall.minilm import NAME
from flower.engine.store import schema
from tests import damage
from tests.engine_process import (
    Process,
    begin_story,
    command,
    connected,
    engine,
    kill,
    look_into,
    make_home,
    output,
    start,
    with_limits,
)

CONFIG = """\
narrator:
  seed: 7
  words_per_s: 400
engine:
  linger_s: 60
tui:
  theme: paper
"""
WORLD = """\
id: pier
name: The Pier
start_message: The pier is wet.
lore: |
  The lamp keeper Orla lights the harbour at dusk.

  Under the pier lives an old pike that nobody has caught.
"""
# Vectors get an index file from the second on, and it is written soon.
PROGRAM = with_limits(EXACT_ROWS=1, INDEX_SAVE_IDLE_S=0.2, MEMORY_REST_S=0.2)
TARGETS = {
    "config.yaml": ("config.yaml",),
    "assets": ("assets/worlds/pier.yaml", "assets/worlds/own.yaml"),
    "index": ("index/*",),
    "model": tuple(
        f"models/{NAME}/{name}" for name in ("model.onnx", "model.onnx.data", "tokenizer.json")
    ),
    "database": ("flower.db",),
    "log of the database": ("flower.db-wal",),
    "run": ("run/engine.json",),
}
DATABASE = ("database", "log of the database")
MOST_TELLING = ("config.yaml", "index", "database", "log of the database")


class Played:
    """A home with a story in it whose engine was killed, and what it had acknowledged by then."""

    def __init__(self, home: Path, messages: list[tuple[str, str, str]]) -> None:
        self.home = home
        self.messages = messages


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return trio.run(_play, tmp_path_factory.mktemp("played") / "home")


async def _play(home: Path) -> Played:
    make_home(home, CONFIG)
    async with engine(home):
        pass  # makes the folders
    (home / "assets/worlds/pier.yaml").write_text(WORLD)
    (home / "assets/worlds/own.yaml").write_text(WORLD.replace("pier", "own", 1))
    _give_model(home)
    async with engine(home, program=PROGRAM) as running:
        async with connected(running) as wire:
            await wire.say("/world select pier")
            await wire.say("/session new")
            await wire.until("chat_history")
            for line in ("I look for Orla.", "I ask her about the pike.", "I sit down on the pier."):
                await wire.say(line)
                await wire.reply()
            with trio.fail_after(20):
                while not _index_files(home):
                    await trio.sleep(0.05)
            await wire.say("I wait for the evening.")
            await wire.until("chat_chunk")
        await kill(running)
        messages = [row for row in running.messages() if row[2] == "complete"]
    assert (home / "flower.db-wal").stat().st_size, "a killed engine leaves its log"
    return Played(home, messages)


def _index_files(home: Path) -> list[Path]:
    return [path for path in (home / "index").rglob("*") if path.is_file() and path.suffix != ".ok"]


def _give_model(home: Path) -> None:
    folder = home / "models" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for source in (SHIPPED_MODELS / NAME).iterdir():
        if source.is_file() and not (folder / source.name).exists():
            (folder / source.name).symlink_to(source)


def _copy(played: Played, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(played.home, to, symlinks=True)
    return to


def _damage(home: Path, what: str, rng: random.Random) -> str:
    """Damages one file of a kind; returns how."""
    files = [path for pattern in TARGETS[what] for path in home.glob(pattern) if path.is_file()]
    path = rng.choice(sorted(files))
    kind = rng.choice(damage.KINDS)
    if path.is_symlink():  # a model's files are shared by all copies until one is damaged
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)
    kind(path, rng)
    return f"{path.relative_to(home)} {kind.__name__}"


def _flower(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(home, *arguments), capture_output=True, text=True, timeout=60, check=False
    )


async def _start_or_sentence(home: Path, how: str) -> tuple[Process | None, str]:
    """Returns a ready engine, or None and the one sentence with which it has ended."""
    (home.parent / "engine.out").unlink(missing_ok=True)
    running = await start(home, program=PROGRAM)
    with trio.fail_after(60):
        while running.process.poll() is None and not running.announced:
            await trio.sleep(0.02)
    said = output(home)
    assert "Traceback" not in said, f"{how}: {said}"
    if running.process.poll() is None:
        return running, ""
    sentences = [line for line in said.splitlines() if line.startswith("flower: ")]
    assert running.process.returncode in (1, 78), (
        f"{how}: it died ({running.process.returncode}): {said}"
    )
    assert len(sentences) == 1, f"{how}: {said}"
    assert len(sentences[0]) < 400
    return None, sentences[0]


async def _play_on(running: Process, line: str) -> str:
    """Says a line in whatever story there is, or a new one; returns the reply."""
    async with connected(running) as wire:
        await wire.until("sync_state")
        await wire.say("/world select orrinsay")
        await begin_story(wire)
        await wire.say(line)
        with trio.fail_after(30):
            return await wire.reply()


async def survive(played: Played, scratch: Path, what: str, rng: random.Random) -> list[str]:
    """One damage, from start to the last look; returns what happened, in a word each."""
    home = _copy(played, scratch / "home")
    how = _damage(home, what, rng)
    seen = []
    running, sentence = await _start_or_sentence(home, how)
    if running is None:
        seen.append("refused in a sentence")
        _repair(played, home, what, sentence, how)
        running, sentence = await _start_or_sentence(home, how)
        assert running is not None, f"{how}: the second start failed too: {sentence}"
    try:
        reply = await _play_on(running, "I go on all the same.")
        assert reply, how
        if rng.random() < 0.5:
            await trio.sleep(rng.uniform(0, 0.3))
    finally:
        await kill(running)
    assert "Traceback" not in output(home), f"{how}: {output(home)}"
    if what in DATABASE:
        checked = _flower(home, "check")
        assert "Traceback" not in checked.stderr, f"{how}: {checked.stderr}"
        assert checked.returncode == 0, f"{how}: {checked.stdout}{checked.stderr}"
        seen.append("nothing lost" if _kept(played, home) == len(played.messages) else "something lost")
        seen.append("sound afterwards")
    else:
        assert _kept(played, home) == len(played.messages), f"{how}: something was lost"
        seen.append("nothing lost")
    assert ("user", "I go on all the same.", "complete") in _messages(home), how
    return seen


def _repair(played: Played, home: Path, what: str, sentence: str, how: str) -> None:
    """Does what the sentence says."""
    if "made by a newer Flower" in sentence:  # nothing is touched; the newer Flower would read it
        with closing(sqlite3.connect(home / "flower.db")) as db:
            db.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS)}")
    elif what in DATABASE:
        checked = _flower(home, "check")
        assert "Traceback" not in checked.stderr, f"{how}: {checked.stderr}"
        if checked.returncode:  # nothing is left to repair: its words say what to do
            assert re.search(r"restore|move|newer|is no|backup", checked.stdout + checked.stderr), (
                f"{how}: {sentence}: {checked.stdout}{checked.stderr}"
            )
            for path in home.glob("flower.db*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    else:
        file = what if what == "config.yaml" else how.split()[0]
        assert Path(file).name in sentence, f"{how}: the sentence names the file: {sentence}"
        target = home / file
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        shutil.copy(played.home / file, target)


def _messages(home: Path) -> list[tuple[str, str, str]]:
    with closing(look_into(home)) as db:
        return [tuple(row) for row in db.execute("SELECT role, content, status FROM messages")]


def _kept(played: Played, home: Path) -> int:
    """Returns how many of the acknowledged messages are there, to the letter."""
    try:
        there = {(role, content) for role, content, _ in _messages(home)}
    except sqlite3.Error:
        return 0
    return sum((role, content) in there for role, content, _ in played.messages)


async def many(
    played: Played, scratch: Path, targets: Sequence[str], count: int, seed: int
) -> dict[str, Counter[str]]:
    """Damages ``count`` homes, each of the ``targets`` in turn; returns a table of what happened."""
    rng = random.Random(seed)
    table: dict[str, Counter[str]] = {what: Counter() for what in targets}
    for number in range(count):
        what = targets[number % len(targets)]
        table[what]["damaged"] += 1
        table[what].update(await survive(played, scratch, what, rng))
    return table


@pytest.mark.timeout(120)
async def test_damaged_files_stop_nothing(played: Played, tmp_path: Path) -> None:
    table = await many(played, tmp_path, MOST_TELLING, len(MOST_TELLING), seed=3)
    assert all(row["damaged"] == 1 for row in table.values())


@pytest.mark.faults
@pytest.mark.timeout(7200)
async def test_damaged_files_stop_nothing_long(
    played: Played, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = await many(played, tmp_path, tuple(TARGETS), 210, seed=4)
    with capsys.disabled():
        print("\ndamaged files:")
        for what, row in table.items():
            print(f"  {what:20} " + ", ".join(f"{count} {name}" for name, count in row.items()))
