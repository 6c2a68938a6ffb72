"""Plays the afternoon of somebody who brings a library along: ``python -m tests.long_story.afternoon --out FOLDER``.

Reads ``afternoon.txt`` and types it into the real face, as ``play`` does with the long story. What is brought are
files that SillyTavern wrote, made up for these tests. ``--gguf``, or ``--url`` and ``--model``, let a model tell it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.engine_process import look_into, make_home
from tests.long_story.play import OFFLINE, Player, Telling, asked

SCRIPT = Path(__file__).with_name("afternoon.txt")
FILES = Path(__file__).parents[1] / "library" / "vectors" / "files"
CONFIG = """\
narrator:
  seed: 11
  words_per_s: 2000
"""
PROGRAM = (sys.executable, "-m", "flower")
TAKEN_OVER = "the-files-read-back.txt"
QUERIES = {
    "chat": "SELECT id FROM sessions WHERE title = 'corvin_solo'",
    "gulls": """SELECT id FROM messages WHERE content = '"Ask the gulls."'""",
}
SCP_BYTES = 8192  # that come at once


class Newcomer(Player):
    """Somebody with files of another program.

    ``taken_over`` and ``read_back``: what another Flower says of the files that were written, and has of the chat.
    """

    taken_over = ""
    read_back: list[tuple[str, str, str]]

    def _value(self, name: str) -> object:
        if name in QUERIES:
            return self.row(QUERIES[name])[0]
        return super()._value(name)

    def _direct(self, what: str, about: str) -> None:
        if what == "scp":
            folder = self.home / "import"
            self._seen = ""
            for file in (files := [FILES / name for name in about.split(", ")]):
                copy_in_pieces(file, folder)
            for file in files:
                self.wait_for((folder / "done" / file.name).exists, f"{file.name} is not imported")
        elif what == "other":
            self.taken_over = self._read_elsewhere()
        else:
            super()._direct(what, about)

    def _read_elsewhere(self) -> str:
        """Returns what a Flower that knows nothing of this home says of the files that were written here."""
        exports = sorted(
            str(file) for file in (self.home / "exports").iterdir() if file.suffix != ".md"
        )
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            make_home(home, CONFIG)
            command = [sys.executable, "-m", "flower", "--home", str(home), "import", *exports]
            found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            if found.returncode:
                raise ValueError(f"the files cannot be read back: {found.stdout}{found.stderr}")
            self.read_back = told(home)
            stop = [sys.executable, "-m", "flower", "--home", str(home), "stop"]
            subprocess.run(stop, capture_output=True, timeout=60, check=True)
        return found.stdout


def told(home: Path) -> list[tuple[str, str, str]]:
    """Returns the messages of the imported chat: role, text, and the text of what it follows."""
    query = """
        SELECT m.role, m.content, coalesce(p.content, '') FROM messages m LEFT JOIN messages p ON p.id = m.parent_id
        WHERE m.session_id = (SELECT session_id FROM messages WHERE content = 'I put the brass key down.')
        ORDER BY 1, 2, 3
    """
    with closing(look_into(home)) as db:
        return db.execute(query).fetchall()


def copy_in_pieces(file: Path, folder: Path) -> None:
    """Copies a file as scp does: it is there at once, and grows."""
    folder.mkdir(exist_ok=True)
    data = file.read_bytes()
    with (folder / file.name).open("wb", buffering=0) as out:
        for at in range(0, len(data), SCP_BYTES):
            out.write(data[at : at + SCP_BYTES])


def play_afternoon(
    folder: Path, telling: Telling = OFFLINE, *, program: tuple[str, ...] = PROGRAM, verbose: bool
) -> Newcomer:
    """Plays the script in a new home in ``folder``; returns who played it, whose face has quit.

    ``program`` is the face.
    """
    home = folder / "home"
    make_home(home, CONFIG)
    telling.bring(home)
    names = {"model": telling.model, "files": str(FILES)}
    player = Newcomer(home, telling.environ(), names, program)
    player.play_to_the_end(SCRIPT, verbose=verbose)
    return player


def main() -> None:
    out, telling = asked("where the stories and the pictures go")
    with tempfile.TemporaryDirectory() as folder:
        player = play_afternoon(Path(folder), telling, verbose=True)
        print(player.taken_over)
        if out is not None:
            keep(player, out)


def keep(player: Newcomer, out: Path) -> None:
    """Copies what a reader can look at; the other files that were written are like those that came."""
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted((player.home / "exports").glob("*.md")):
        (out / file.name.replace(" ", "-")).write_bytes(file.read_bytes())
    for name, picture in player.pictures.items():
        (out / f"{name}.svg").write_text(picture, encoding="utf-8")
    (out / TAKEN_OVER).write_text(player.taken_over, encoding="utf-8")


if __name__ == "__main__":
    main()
