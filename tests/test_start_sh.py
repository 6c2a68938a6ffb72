"""start.sh: what is missing is named, what was interrupted is resumed, what is ready starts at once.

Runs the real script in a copy of the repository's top level. Python and pip are played by a small
shell script, so no test installs anything.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = (
    "sh",
    "cat",
    "cksum",
    "date",
    "flock",
    "grep",
    "mkdir",
    "mv",
    "readlink",
    "rm",
    "sed",
    "sleep",
    "tail",
    "uname",
)

# Answers the questions start.sh asks of Python; writes down what it was asked to do.
FAKE_PYTHON = r"""#!/bin/sh
case "$1 $2" in
'-c import sys; sys.exit(sys.version_info < (3, 11))') exit "${FAKE_TOO_OLD:-0}" ;;
'-c import sys; print("%d.%d" % sys.version_info[:2])') echo 3.9 ;;
'-c import venv, ensurepip') exit "${FAKE_NO_VENV:-0}" ;;
'-c import os, sysconfig'*) exit "${FAKE_NO_HEADERS:-0}" ;;
'-c import sys; sys.exit(sys.maxsize'*) exit "${FAKE_32_BIT:-0}" ;;
'-c import os, sys; print(os.path.realpath'*) echo "$FAKE_PYTHON" ;;
'--version '*) echo "Python 3.11.2" ;;
'-m venv') mkdir -p "$3/bin" && ln -s "$FAKE_PYTHON" "$3/bin/python" ;;
'-m pip')
    [ "$3" = --version ] && exit 0
    echo "pip $*" >>"$FAKE_LOG"
    echo $$ >"$FAKE_LOG.pid"
    echo "Collecting trio (from x)"
    [ -z "${FAKE_PIP_HANGS:-}" ] || exec hang 60
    case "${FAKE_PIP_FAILS:-none}" in
    none) ;;
    *) case "$*" in *"$FAKE_PIP_FAILS"*) echo "ERROR: no route to host"; exit 1 ;; esac ;;
    esac
    case "$*" in *hnswlib)
        mkdir -p "${0%/bin/python}/lib/python3.11/site-packages"
        : >"${0%/bin/python}/lib/python3.11/site-packages/hnswlib.so" ;;
    esac ;;
'-m compileall') ;;
'-m ruff' | '-m mypy' | '-m pytest') echo "$*" >>"$FAKE_LOG"; [ "$2" != "${FAKE_CHECK_FAILS:-none}" ] ;;
'-P -m') shift; echo "ran in $(pwd):$*" ;;
*) echo "unexpected: $*"; exit 99 ;;
esac
"""


class Copy:
    """A copy of the repository's top level, with a fake Python on a PATH of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a place" / "with spaces"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.root.mkdir(parents=True)
        self.bin.mkdir()
        for name in ("start.sh", "constraints.txt", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        for tool in (*TOOLS, "ln"):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.add("python3", FAKE_PYTHON)
        self.add("c++", "#!/bin/sh\n")
        (self.bin / "sleep").rename(self.bin / "hang")
        self.add(
            "sleep", f"#!/bin/sh\nexec {shutil.which('sleep')} 0.02\n"
        )  # do not wait for a fake pip

    def add(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def environ(self) -> dict[str, str]:
        python = str(self.bin / "python3")
        return {"PATH": str(self.bin), "FAKE_PYTHON": python, "FAKE_LOG": str(self.log)}

    def run(
        self, *args: str, script: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [script or self.root / "start.sh", *args],
            env={**self.environ(), **environ},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    def asked(self) -> list[str]:
        """What pip and the checkers were asked to do since the last call."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_help_needs_nothing(copy: Copy) -> None:
    (copy.bin / "python3").unlink()
    done = copy.run("--help")
    assert done.returncode == 0
    for word in ("--setup", "test [--faults]", "--help", "docs/install.md"):
        assert word in done.stdout


def test_first_run_installs_then_starts(copy: Copy) -> None:
    """With progress on stderr; arguments reach Flower as they were, from any directory."""
    done = copy.run("tui", "--url", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran in /:-m flower tui --url a b\n"
    for text in (
        "[1/3]",
        "[2/3] Compiling hnswlib",
        "minutes on a Raspberry Pi",
        "[3/3]",
        "found trio",
    ):
        assert text in done.stderr
    constraint = f"-c {copy.root}/constraints.txt"
    compiled, installed = copy.asked()
    assert compiled.endswith(f"{constraint} hnswlib")
    assert installed.endswith(f"{constraint} -e {copy.root}")


def test_second_run_only_starts(copy: Copy) -> None:
    """No pip, no Python beside the one that becomes Flower, not a word; in a few milliseconds."""
    copy.run("--setup")
    copy.asked()
    seconds = []
    for _ in range(5):
        begun = time.perf_counter()
        done = copy.run("--home", "/x")
        seconds.append(time.perf_counter() - begun)
        assert (done.stdout, done.stderr) == ("ran in /:-m flower --home /x\n", "")
    assert copy.asked() == []
    assert min(seconds) < 0.3


def test_through_a_link(copy: Copy, tmp_path: Path) -> None:
    (tmp_path / "flower").symlink_to(copy.root / "start.sh")
    assert copy.run("--setup", script=tmp_path / "flower").returncode == 0
    assert (copy.root / ".venv" / "flower-stamp").exists()


@pytest.mark.parametrize("name", ["constraints.txt", "setup.cfg", "pyproject.toml"])
def test_a_changed_file_installs_again(copy: Copy, name: str) -> None:
    copy.run("--setup")
    copy.asked()
    with (copy.root / name).open("a") as file:
        file.write("# changed\n")
    assert copy.run("--setup").returncode == 0
    assert len(copy.asked()) == 1  # hnswlib is there already
    assert copy.run("--setup").returncode == 0
    assert copy.asked() == []


def test_a_moved_folder_installs_again(copy: Copy) -> None:
    """An environment holds absolute paths, so it must be told where it is now."""
    copy.run("--setup")
    copy.asked()
    copy.root = copy.root.rename(copy.root.parent / "moved")
    assert copy.run("--setup").returncode == 0
    assert len(copy.asked()) == 1


def test_an_interpreter_that_went_away_is_replaced(copy: Copy) -> None:
    """A system upgrade takes /usr/bin/python3.11 and leaves a dead link in the environment."""
    copy.run("--setup")
    copy.asked()
    (copy.root / ".venv/bin/python").unlink()
    (copy.root / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    assert copy.run("--setup").returncode == 0
    assert len(copy.asked()) == 2
    assert os.access(copy.root / ".venv/bin/python", os.X_OK)


@pytest.mark.parametrize("step", ["hnswlib", "-e"])
def test_a_failed_install_is_resumed(copy: Copy, step: str) -> None:
    """One sentence, the end of pip's log, no stamp; the next run does what is left."""
    done = copy.run(FAKE_PIP_FAILS=step)
    assert done.returncode == 1
    assert "ERROR: no route to host" in done.stderr
    assert "the whole log is" in done.stderr
    assert not (copy.root / ".venv/flower-stamp").exists()
    copy.asked()
    assert copy.run().returncode == 0
    assert len(copy.asked()) == (2 if step == "hnswlib" else 1)


def test_an_install_killed_while_unpacking_starts_afresh(copy: Copy) -> None:
    """pip believes in half a package, so nothing of such an environment is kept."""
    assert copy.run("--setup").returncode == 0
    venv = copy.root / ".venv"
    (venv / "flower-stamp").unlink()
    (venv / "unpacking").touch()
    (venv / "setup.log").write_text("Installing collected packages: numpy, trio\n")
    (venv / "half-a-package").touch()
    assert copy.run("--setup").returncode == 0
    assert not (venv / "half-a-package").exists()
    assert not (venv / "unpacking").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_install_says_so_and_leaves_no_pip(copy: Copy, number: int) -> None:
    """Ctrl-C must not leave an installer behind that writes into the environment."""
    with subprocess.Popen(
        [copy.root / "start.sh", "--setup"],
        env={**copy.environ(), "FAKE_PIP_HANGS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        assert script.stderr is not None
        for line in script.stderr:
            if "found trio" in line:  # pip is at work
                break
        os.killpg(script.pid, number)
        said = script.stderr.read()
    assert script.returncode == 1
    assert "interrupted; ./start.sh goes on from here" in said
    pip = Path("/proc", copy.log.with_name("log.pid").read_text().strip(), "stat")
    assert not pip.exists() or " Z " in pip.read_text()  # Z: dead, and nobody here reaps it
    assert not (copy.root / ".venv/flower-stamp").exists()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"FAKE_TOO_OLD": "1"}, "Python 3.11 or newer (found: 3.9); on Debian 12, Raspberry Pi OS 12 or newer "
         "install it with: sudo apt install python3 python3-venv python3-dev"),
        ({"FAKE_NO_VENV": "1"}, "venv module is missing; install it with: sudo apt install python3-venv"),
        ({"FAKE_NO_HEADERS": "1"}, "are compiled against"),
        ({"FAKE_32_BIT": "1"}, "needs a 64-bit system"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_the_command(
    copy: Copy, environ: dict[str, str], sentence: str
) -> None:
    done = copy.run(**environ)
    assert done.returncode == 1
    if "FAKE_NO_HEADERS" in environ:
        sentence = "(hnswlib is compiled against them); install it with: sudo apt install python3-dev"
    assert sentence in done.stderr
    assert copy.asked() == []
    assert not (copy.root / ".venv").exists()


def test_a_missing_compiler_is_named(copy: Copy) -> None:
    (copy.bin / "c++").unlink()
    done = copy.run()
    assert done.returncode == 1
    assert "a C++ compiler is missing" in done.stderr
    assert "sudo apt install g++" in done.stderr


def test_everything_missing_is_named_at_once(copy: Copy) -> None:
    (copy.bin / "c++").unlink()
    done = copy.run(FAKE_NO_VENV="1", FAKE_NO_HEADERS="1")
    assert "all at once: sudo apt install python3-venv g++ python3-dev" in done.stderr


def test_another_python_is_found(copy: Copy) -> None:
    """An old python3 beside a python3.12 is common; the packages are then those of 3.12."""
    copy.add("python3.12", FAKE_PYTHON)
    copy.add("python3", "#!/bin/sh\nexit 1\n")
    done = copy.run("--setup", FAKE_PYTHON=str(copy.bin / "python3.12"))
    assert done.returncode == 0, done.stderr
    assert os.readlink(copy.root / ".venv/bin/python").endswith("python3.12")


def test_extras(copy: Copy) -> None:
    """Each has its own stamp; an unknown one is refused before anything happens."""
    assert copy.run("--setup", "local").returncode == 0
    assert copy.asked()[-1].endswith(f"-e {copy.root}[local]")
    assert copy.run("--setup", "local").returncode == 0
    assert copy.asked() == []
    done = copy.run("--setup", "lokal")
    assert done.returncode == 1
    assert "unknown extra 'lokal'; there are: test, local, model" in done.stderr


def test_test_runs_lint_types_and_tests(copy: Copy) -> None:
    done = copy.run("test", "--faults", "-k", "a b")
    assert done.returncode == 0, done.stderr
    assert copy.asked()[-4:] == [
        "-m ruff check .", "-m ruff format --check .", "-m mypy --strict flower", "-m pytest --faults -k a b",
    ]  # fmt: skip


@pytest.mark.parametrize("tool", ["ruff", "mypy", "pytest"])
def test_test_runs_everything_and_fails_if_anything_does(copy: Copy, tool: str) -> None:
    done = copy.run("test", FAKE_CHECK_FAILS=tool)
    assert done.returncode == 1
    assert f"not clean: {tool}" in done.stderr
    assert copy.asked()[-1].startswith("-m pytest")
