"""Plays a long story through the real face: ``python -m tests.long_story.play --out FOLDER``.

Reads ``story.txt``, types its lines into the face in a pseudo-terminal, waits for what must be on the
screen, and keeps the export and the pictures. The narrator is the offline one, with ``--gguf`` a model from a
file, or with ``--url`` any OpenAI-compatible server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.engine_process import look_into, make_home
from tests.pty_world import Pty
from tests.screen import Screen
from tests.svg import svg_of_screen

SCRIPT = Path(__file__).with_name("story.txt")
SIZE = (100, 30)
QUIET_S = 0.15  # the screen is at rest when nothing was written for so long
EXPECT_S = 10.0  # until a text is on the screen
SLOW_S = 120.0  # the longest wait for a reply: a small machine with a language model
KEYS = {
    "<esc>": "\x1b", "<ctrl-u>": "\x15", "<enter>": "\r", "<tab>": "\t", "<alt-1>": "\x1b1", "<down>": "\x1b[B",
    "<left>": "\x1b[D", "<right>": "\x1b[C",
    "<ctrl-s>": "\x13", "<page-down>": "\x1b[6~",
}  # fmt: skip
CONFIG = """\
narrator:
  seed: 11
  words_per_s: 400
quick_replies:
  - name: Look
    text: I look around.
  - name: Listen
    text: I stand still and listen.
  - name: Ask
    text: 'I ask {{input}}'
"""
NOTES = {"harbour.md": "# The harbour\n\nThe ferry to Carrick leaves at slack water and never waits.\n"}


class Step(Struct, frozen=True):
    """A line of the script. ``kind`` is its sign: ``>``, ``/``, ``=``, ``!`` or ``@``."""

    number: int
    kind: str
    text: str


def script(text: str) -> Iterator[Step]:
    """Yields the steps of a script; raises ``ValueError`` for a line that is none.

    Keys and pictures right after a command are refused: on a busy machine its answer is not there yet, and
    they meet whatever was on the screen before. A line with ``=`` waits for it.
    """
    before = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        kind, rest = line[0], line[1:].strip()
        if kind not in "/>=!@":
            raise ValueError(f"line {number} of the story is no step: {line}")
        if before == "/" and line.startswith(("@keys", "@picture")):
            raise ValueError(
                f"line {number} of the story does not wait for what the command shows: {line}"
            )
        before = kind
        yield Step(number, kind, line if kind == "/" else rest)


class Terminal(Screen):
    """A terminal that answers no questions about itself, as many do not."""

    def debug(self, *args: Any, **kwargs: Any) -> None:
        pass


class Player:
    """Hands on the keyboard, eyes on the screen, and a look into the database for numbers."""

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        names: Mapping[str, str],
        program: tuple[str, ...] = (sys.executable, "-m", "flower"),
    ) -> None:
        self.home = home
        self.names = dict(names)
        offline = names["model"].startswith("offline/")
        self.expect_s = EXPECT_S if offline else SLOW_S  # a model also writes what commands show
        self.pictures: dict[str, str] = {}
        self.pty = Pty([*program, "--home", str(home)], dict(environ))
        self.pty.resize(*SIZE)
        self.screen = Terminal(*SIZE)
        self._fed = 0
        self._seen = ""  # every screen since the last line was sent: messages give way to others

    def look(self, seconds: float) -> None:
        """Reads what the face writes for so long."""
        self.pty.drain(seconds)
        self.screen.feed(self.pty.output[self._fed :])
        self._fed = len(self.pty.output)
        if not self._seen.endswith(shown := self.shown):
            self._seen += shown

    def rest(self) -> None:
        """Reads until the screen is at rest."""
        while self.pty.pump_some(QUIET_S):
            pass
        self.look(0.0)

    @property
    def shown(self) -> str:
        """The screen as one text: the story, then what stands beside it; spaces count as one."""
        halves = [row.partition("│") for row in self.screen.text]
        columns = [left for left, _, _ in halves] + [right for _, _, right in halves]
        return re.sub(r"[\s│]+", " ", " ".join(columns))

    def expect(self, text: str) -> None:
        """Waits until ``text`` was seen since the last line; raises ``TimeoutError`` with the screen."""
        self.wait_for(lambda: text in self._seen, f"{text!r} is not on the screen", self.expect_s)

    # --- what the story's rows say ----------------------------------------------------------------

    def row(self, query: str, *values: object) -> tuple[Any, ...]:
        with closing(look_into(self.home)) as db:
            return tuple(db.execute(query, values).fetchone() or (None,))

    def replies(self) -> tuple[int, int, int]:
        """Returns a fingerprint of all replies, and how many are being written."""
        count, length = self.row(
            "SELECT count(*), coalesce(sum(length(content)), 0) FROM messages WHERE role = 'assistant'"
        )
        (running,) = self.row("SELECT count(*) FROM messages WHERE status = 'streaming'")
        return count, length, running

    def wait_reply(self, before: tuple[int, int, int]) -> None:
        """Waits until another reply than those of ``before`` is whole."""
        self.wait_for(
            lambda: self.replies()[:2] != before[:2] and not self.replies()[2], "no reply came"
        )

    def wait_for(self, done: Callable[[], bool], trouble: str, seconds: float = SLOW_S) -> None:
        """Reads what the face writes until ``done``; raises ``TimeoutError`` with the screen."""
        until = time.monotonic() + seconds
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(f"{trouble}:\n" + "\n".join(self.screen.text))
            self.look(0.05)

    def name(self, text: str) -> str:
        """Returns ``text`` with the numbers it names."""
        return re.sub(r"\{(\w+)\}", lambda found: str(self._value(found[1])), text)

    def _value(self, name: str) -> object:
        if name in self.names:
            return self.names[name]
        query = QUERIES[name]
        (value,) = self.row(query)
        return value

    # --- steps ------------------------------------------------------------------------------------

    def play_to_the_end(self, written: Path, *, verbose: bool) -> None:
        """Carries out the steps of a file, and quits."""
        with self.pty:
            self.expect("Engine ready.")
            for step in script(written.read_text(encoding="utf-8")):
                if verbose:
                    print(f"{step.number:>4} {step.kind} {step.text}", flush=True)
                self.carry_out(step)
            self.pty.type("/quit\r")
            self.pty.wait_end(15.0)

    def carry_out(self, step: Step) -> None:
        text = self.name(step.text)
        if step.kind == "=":
            self.expect(text)
        elif step.kind == "@":
            self._direct(*text.partition(" ")[::2])
        else:
            before = self.replies()
            if "From the engine" in self.shown:
                self._direct("keys", "<esc>")
            self._type(text)
            self._seen = ""
            self.pty.type("\r")
            if step.kind == ">":
                self.wait_reply(before)
            if step.kind != "!":
                self.rest()

    def _type(self, text: str) -> None:
        """Types a line and waits until it is in the input: keys that come in one piece with it would be pasted."""
        word = text.split()[-1][-10:]
        before = self.shown.count(word)
        self.pty.type(text)
        until = time.monotonic() + self.expect_s
        while self.shown.count(word) <= before:
            if time.monotonic() > until:
                raise TimeoutError(f"{text!r} is not in the input:\n" + "\n".join(self.screen.text))
            self.look(0.01)

    def _direct(self, what: str, about: str) -> None:
        if what == "picture":
            self.pictures[about] = svg_of_screen(self.screen)
        elif what == "keys":
            for key in about.split():
                self.pty.type(KEYS.get(key, key))
                self.rest()
        elif what == "keep":  # a number under a name, for later
            name, _, query = about.partition(" ")
            self.names[name] = str(self._value(query))
        elif what == "kill":
            killed = self._engine()
            os.kill(killed, signal.SIGKILL)
            # A message may be gone again before it is looked for; the engine and the reply it gave up stay.
            self.wait_for(
                lambda: self._engine() not in (0, killed) and not self.replies()[2],
                "no engine comes back",
            )
            self.wait_for(lambda: "interrupted" in self._seen, "nothing is interrupted", SLOW_S)
        elif what == "begun":
            self.wait_for(lambda: self.replies()[2] > 0, "no reply begins")
        else:
            raise ValueError(f"the story says {what!r}")

    def _engine(self) -> int:
        """Returns the process of the engine that has said where it listens, 0 while there is none."""
        try:
            return int(json.loads((self.home / "run" / "engine.json").read_text())["pid"])
        except (OSError, ValueError):
            return 0


# The story that was played last, its end, and what was written last.
_HERE = "(SELECT session_id FROM messages ORDER BY id DESC LIMIT 1)"
QUERIES = {
    "session": f"SELECT {_HERE}",
    "leaf": f"SELECT active_leaf FROM sessions WHERE id = {_HERE}",
    "line": f"SELECT max(id) FROM messages WHERE role = 'user' AND session_id = {_HERE}",
    "reply": f"SELECT max(id) FROM messages WHERE role = 'assistant' AND session_id = {_HERE}",
    "memory": "SELECT max(id) FROM passages WHERE scope LIKE 'memory:%'",
    "lore": "SELECT max(id) FROM passages WHERE source LIKE 'attached:%'",
}


class Telling(Struct, frozen=True):
    """Who tells the story."""

    model: str = "offline/narrator"
    url: str = ""  # of an OpenAI-compatible server
    gguf: Path | None = None

    def environ(self) -> dict[str, str]:
        return {"COLORTERM": "truecolor"} | ({"OPENAI_BASE_URL": self.url} if self.url else {})

    def bring(self, home: Path) -> None:
        """Puts the model's file into a new home."""
        if self.gguf is not None:
            (home / "models").mkdir()
            (home / "models" / self.gguf.name).symlink_to(self.gguf.resolve())


OFFLINE = Telling()


def play(folder: Path, telling: Telling = OFFLINE, *, verbose: bool) -> Player:
    """Plays the whole script in a new home in ``folder``; returns the player, whose face has quit."""
    home, notes, model = folder / "home", folder / "notes", telling.model
    make_home(home, f"{CONFIG}lore:\n  roots: [{notes}]\n")
    telling.bring(home)
    notes.mkdir()
    for name, text in NOTES.items():
        (notes / name).write_text(text, encoding="utf-8")
    offline = model.startswith("offline/")
    names = {
        "model": model,
        "folder": str(notes),
        "drafted": "cannot write your lines" if offline else "A draft:",
        "sent": "Nothing was sent anywhere" if offline else f"To {model}",
    }
    player = Player(home, telling.environ(), names)
    player.play_to_the_end(SCRIPT, verbose=verbose)
    return player


def main() -> None:
    out, telling = asked("where the export and the pictures go")
    with tempfile.TemporaryDirectory() as folder:
        player = play(Path(folder), telling, verbose=True)
        with closing(look_into(player.home)) as db:
            print_figures(db)
        if out is not None:
            keep(player, out)


def asked(kept: str) -> tuple[Path | None, Telling]:
    """Returns what the command line says: where to keep what came of it, and who tells."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=None, help=kept)
    parser.add_argument("--gguf", type=Path, default=None, help="a model file; default: offline")
    parser.add_argument("--url", default="", help="an OpenAI-compatible server")
    parser.add_argument("--model", default="", help="its model, such as openai/gemma-3-270m")
    given = parser.parse_args()
    of_file = f"local/{given.gguf.stem}" if given.gguf else OFFLINE.model
    return given.out, Telling(given.model or of_file, given.url, given.gguf)


def print_figures(db: sqlite3.Connection) -> None:
    for role, count, characters in db.execute(
        "SELECT role, count(*), sum(length(content)) FROM messages GROUP BY role"
    ):
        print(f"{role:<10} {count:>5} messages {characters:>8} characters")


def keep(player: Player, out: Path) -> None:
    """Copies what the story left behind."""
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted((player.home / "exports").iterdir()):
        (out / file.name).write_bytes(file.read_bytes())
    for name, picture in player.pictures.items():
        (out / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
