"""``./start.sh update``: the newest Flower, or exactly what was there before.

Order: stop the engine and claim the home, copy database and environment, fetch, switch, packages, migrations. Whatever
fails, the steps done so far are taken back. What is needed to go back later (``--back``) stays in ``.update`` beside
``.venv``: the commit, the environment as hard links, the database.

Everything this needs is imported before a file is replaced. It runs on the system's Python, without packages.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from flower import launch
from flower.errors import FlowerError, LaunchError, printable
from flower.home import Home, open_home
from flower.installer.failures import InstallError

STOP_S = 20.0
POLL_S = 0.05
_FORM = slice(60, 64)  # user_version in the header of an SQLite file: the form of the database
_LOGS = ("-wal", "-shm")

Run = Callable[[Sequence[str], Path], int]


def say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def run_command(command: Sequence[str], cwd: Path) -> int:
    """Runs ``command`` and returns its exit code; 127 if it does not exist."""
    environ = {**os.environ, "PYTHONPATH": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        return subprocess.run(command, cwd=cwd, env=environ, check=False).returncode  # noqa: S603 - no shell
    except OSError:
        return 127


class Update:
    """An update of the checkout at ``root`` with the stories of ``home``; ``run`` carries out commands."""

    def __init__(self, root: Path, home: Home, run: Run = run_command) -> None:
        self.root = root
        self.home = home
        self.aside = root / ".update"
        self.venv = root / ".venv"
        self._run = run

    def forward(self) -> bool:
        """Brings everything up to date; returns whether there was anything newer.

        Raises ``InstallError`` after putting back what was there, or before anything was touched.
        """
        if self._git("status", "--porcelain", "--untracked-files=no"):
            raise InstallError(
                "files of Flower were changed here; commit or undo that first (git status)"
            )
        before = self._git("rev-parse", "HEAD")
        say("[1/5] Asking for what is new")
        self._do("nothing could be fetched; nothing was changed", "git", "fetch", "--quiet")
        target = self._git("rev-parse", "@{upstream}")
        if self._git("merge-base", target, "HEAD") == target:
            return False
        with self._stopped():
            say("[2/5] Keeping a copy of stories and packages")
            self._keep(before)
            try:
                say("[3/5] Switching to the new version")
                self._do("git could not switch", "git", "merge", "--quiet", "--ff-only", target)
                say("[4/5] Packages")
                self._do(
                    "the packages could not be installed", "sh", str(self.root / "start.sh"), "--setup"
                )
                say("[5/5] Bringing the stories into the new form")
                self._do(
                    "the stories could not be taken over", str(self.venv / "bin" / "python"), "-P", "-m",
                    "flower.engine.admin.migrate", str(self.home.root),
                )  # fmt: skip
            except BaseException as error:
                say("Going back to what was there.")
                self._put_back(database=True)
                if isinstance(error, InstallError):
                    raise InstallError(f"{error}; everything is as it was before") from error
                raise
        return True

    def back(self) -> None:
        """Goes back to before the last update. Raises ``InstallError`` if there is nothing to go back to.

        Stories go on from where they are, unless the update changed the form of the database: then they are
        those of that moment, and the newer ones stay in ``backups/``.
        """
        if not (self.aside / "state.json").exists():
            raise InstallError("there was no update to go back from; nothing was changed")
        if self._git("status", "--porcelain", "--untracked-files=no"):
            raise InstallError(
                "files of Flower were changed here; commit or undo that first (git status)"
            )
        with self._stopped():
            other_form = self._form_changed()
            if other_form and self.home.database.exists():
                self._do(
                    "the newest stories could not be backed up; nothing was changed",
                    str(self.venv / "bin" / "python"), "-P", "-m", "flower", "--home", str(self.home.root), "backup",
                )  # fmt: skip
            self._put_back(database=other_form)

    # --- keeping and putting back ---------------------------------------------------------------

    def _keep(self, commit: str) -> None:
        """Keeps everything that an update changes; nothing half kept is taken for whole."""
        draft = self.root / ".update.new"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(mode=0o700)
            if self.venv.exists():
                shutil.copytree(self.venv, draft / "venv", symlinks=True, copy_function=_linked)
            had = self.home.database.exists()
            if had:
                self._do(
                    "the stories could not be copied; nothing was changed", str(self.venv / "bin" / "python"),
                    "-P", "-m", "flower", "--home", str(self.home.root), "backup", str(draft / "flower.db"),
                )  # fmt: skip
                if not (draft / "flower.db").exists():
                    raise InstallError("the stories could not be copied; nothing was changed")
            state = {"commit": commit, "home": str(self.home.root), "database": had}
            (draft / "state.json").write_text(json.dumps(state))
        except OSError as error:
            raise InstallError(
                f"no copy could be kept ({error.strerror or error}); nothing was changed"
            ) from error
        shutil.rmtree(self.aside, ignore_errors=True)
        draft.replace(self.aside)

    def _put_back(self, *, database: bool) -> None:
        """Puts back what ``_keep`` has kept. Begun again after a power cut it does the same."""
        state = json.loads((self.aside / "state.json").read_text())
        if state["home"] != str(self.home.root):
            raise InstallError(
                f"that update was for the home {state['home']}; give it with FLOWER_HOME"
            )
        self._do("git could not switch back", "git", "reset", "--quiet", "--hard", str(state["commit"]))
        if (self.aside / "venv").exists():
            fresh = self.root / ".venv.back"
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(self.aside / "venv", fresh, symlinks=True, copy_function=_linked)
            shutil.rmtree(self.venv, ignore_errors=True)
            fresh.replace(self.venv)
        if database:
            self._put_database_back(had=bool(state["database"]))
        shutil.rmtree(self.aside, ignore_errors=True)

    def _put_database_back(self, *, had: bool) -> None:
        target = self.home.database
        if had:
            draft = target.with_name("flower.db.back")
            shutil.copyfile(self.aside / "flower.db", draft)
            draft.chmod(0o600)
            descriptor = os.open(draft, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        for log in _LOGS:  # of the newer file: SQLite would write them into the older one
            target.with_name(target.name + log).unlink(missing_ok=True)
        if had:
            draft.replace(target)
        else:
            target.unlink(missing_ok=True)

    def _form_changed(self) -> bool:
        forms = []
        for path in (self.aside / "flower.db", self.home.database):
            try:
                with path.open("rb") as file:
                    forms.append(file.read(_FORM.stop)[_FORM])
            except FileNotFoundError:
                return False
        return forms[0] != forms[1]

    # --- engines --------------------------------------------------------------------------------

    def _stopped(self) -> launch.Claim:
        """Ends the home's engine and keeps others from starting: it would load files of two versions."""
        pid = launch.running_process(self.home)
        if pid is not None:
            say("Stopping the engine; replies are saved.")
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while launch.running_process(self.home) is not None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        try:
            return launch.claim(self.home)
        except LaunchError as error:
            raise InstallError(f"{error}; nothing was changed") from error

    # --- commands -------------------------------------------------------------------------------

    def _do(self, trouble: str, *command: str) -> None:
        if self._run(command, self.root):
            raise InstallError(trouble)

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(  # noqa: S603 - asks, changes nothing
                ["git", *arguments],  # noqa: S607 - the user's own git
                cwd=self.root,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise InstallError("an update needs git: sudo apt install git") from error
        if done.returncode:
            raise InstallError(f"this folder cannot be updated: {done.stderr.strip().splitlines()[-1]}")
        return done.stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """Carries out ``ROOT [--back]``; returns 0, 1 after a sentence, 2 for wrong usage."""
    root, *words = arguments
    if words not in ([], ["--back"]):
        say("start.sh: usage: ./start.sh update [--back]")
        return 2
    try:
        update = Update(Path(root), open_home(None, os.environ))
        if words:
            update.back()
            say("Flower is what it was before the last update.")
        elif update.forward():
            say("Flower is up to date. If it is not as it should be: ./start.sh update --back")
        else:
            say("There is nothing newer.")
    except FlowerError as error:
        say(f"start.sh: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _linked(source: str, target: str) -> str:
    """Keeps a file without a copy: set-up replaces files and never writes into them."""
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
