"""start.sh: what is there starts at once, everything else is handed to the installer.

Runs the real script in a copy of the repository's top level. Python is played by a small shell script, so no
test installs anything.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from flower.shell import command_line
from tests.paths import ROOT

TOOLS = ("sh", "cat", "cksum", "mkdir", "readlink", "sleep")

# Answers the questions start.sh asks of Python; writes down what it was asked to do.
FAKE_PYTHON = r"""#!/bin/sh
case "$1 $2" in
'-c import sys; sys.exit(sys.version_info < (3, 11))') exit "${FAKE_TOO_OLD:-0}" ;;
'-c import sys; print("%d.%d" % sys.version_info[:2])') echo 3.9 ;;
'-P -m')
    if [ "$3" != flower.installer ]; then
        shift
        echo "ran in $(pwd):$*"
        exit 0
    fi
    root=$4 fingerprint=$5
    shift 5
    echo "installer $0 $PYTHONPATH: $*" >>"$FAKE_LOG"
    [ "${1-}" != --index ] || exit 0
    trap 'echo "told to stop" >>"$FAKE_LOG"; exit 1' TERM
    echo "installing" >&2
    if [ -n "${FAKE_HANGS:-}" ]; then
        while :; do sleep 0.02; done
    fi
    [ -z "${FAKE_FAILS:-}" ] || { echo "start.sh: no" >&2; exit 1; }
    mkdir -p "$root/.venv/bin"
    [ -e "$root/.venv/bin/python" ] || ln -s "$FAKE_PYTHON" "$root/.venv/bin/python"
    for extra in "" "$@"; do
        case $extra in -*) ;; *) printf '%s\n' "$fingerprint" >"$root/.venv/flower-stamp${extra:+-$extra}" ;; esac
    done ;;
'-m ruff' | '-m mypy' | '-m pytest') echo "$*" >>"$FAKE_LOG"; [ "$2" != "${FAKE_CHECK_FAILS:-none}" ] ;;
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
        """What the installer and the checkers were asked to do since the last call."""
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
    for word in (
        "--setup",
        "--wheels DIR",
        "--offline DIR",
        "test [--every-python] [--faults]",
        "--help",
        "docs/install.md",
    ):
        assert word in done.stdout


def test_help_names_every_command(copy: Copy) -> None:
    """Whoever has only the script learns from it what there is."""
    words = re.findall(r"[a-z]+", copy.run("--help").stdout)
    assert set(command_line.commands.commands) <= set(words)


def test_first_run_installs_then_starts(copy: Copy) -> None:
    """By the system's Python, out of this folder; arguments reach Flower as they were, from any directory."""
    done = copy.run("tui", "--url", "a b")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ran in /:-m flower tui --url a b\n"
    assert copy.asked() == [f"installer {copy.bin}/python3 {copy.root}: --later"]


def test_set_up_alone_is_handed_on_as_it_was_asked_for(copy: Copy) -> None:
    done = copy.run("--setup", "local", "--wheels", "a b")
    assert "Play with: ./start.sh" in done.stderr
    assert copy.asked() == [f"installer {copy.bin}/python3 {copy.root}: local --wheels a b"]


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
    copy.run()
    copy.asked()
    with (copy.root / name).open("a") as file:
        file.write("# changed\n")
    assert copy.run().returncode == 0
    assert len(copy.asked()) == 1
    assert copy.run().returncode == 0
    assert copy.asked() == []


def test_a_moved_folder_installs_again(copy: Copy) -> None:
    """An environment holds absolute paths, so it must be told where it is now."""
    copy.run()
    copy.asked()
    copy.root = copy.root.rename(copy.root.parent / "moved")
    assert copy.run().returncode == 0
    assert len(copy.asked()) == 1


def test_an_interpreter_that_went_away_installs_again(copy: Copy) -> None:
    """A system upgrade takes /usr/bin/python3.11 and leaves a dead link in the environment."""
    copy.run()
    copy.asked()
    (copy.root / ".venv/bin/python").unlink()
    (copy.root / ".venv/bin/python").symlink_to("/nowhere/python3.11")
    copy.run()
    assert len(copy.asked()) == 1


def test_an_install_that_failed_starts_nothing(copy: Copy) -> None:
    done = copy.run(FAKE_FAILS="1")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "installing\nstart.sh: no\n")


def test_what_is_compiled_beside_the_game_is_begun_once_it_is_wanted(copy: Copy) -> None:
    """Flower starts at once; the installer goes on with hnswlib by itself."""
    copy.run()
    copy.asked()
    (copy.root / ".venv/flower-index-later").touch()
    assert copy.run("tui").stdout == "ran in /:-m flower tui\n"
    while not copy.log.exists():
        time.sleep(0.01)
    assert copy.asked() == [f"installer {copy.root}/.venv/bin/python {copy.root}: --index"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("whole_group", [True, False])
def test_a_signal_is_passed_on_and_waited_for(copy: Copy, number: int, whole_group: bool) -> None:
    """Ctrl-C must not leave an installer behind that writes into the environment."""
    with subprocess.Popen(
        [copy.root / "start.sh", "--setup"],
        env={**copy.environ(), "FAKE_HANGS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as script:
        assert script.stderr is not None
        for line in script.stderr:
            if "installing" in line:
                break
        if whole_group:
            os.killpg(script.pid, number)
        else:
            script.send_signal(number)
        script.stderr.read()
    assert script.returncode == 1
    assert copy.asked()[-1] == "told to stop"


def test_an_old_python_is_named_with_the_command_for_a_new_one(copy: Copy) -> None:
    done = copy.run(FAKE_TOO_OLD="1")
    assert done.returncode == 1
    assert (
        "Python 3.11 or newer (found: 3.9); on Debian 12, Raspberry Pi OS 12 or newer "
        "install it with: sudo apt install python3 python3-venv" in done.stderr
    )
    assert copy.asked() == []


def test_another_python_is_found(copy: Copy) -> None:
    """An old python3 beside a python3.12 is common."""
    copy.add("python3.12", FAKE_PYTHON)
    copy.add("python3", "#!/bin/sh\nexit 1\n")
    done = copy.run("--setup", FAKE_PYTHON=str(copy.bin / "python3.12"))
    assert done.returncode == 0, done.stderr
    assert copy.asked() == [f"installer {copy.bin}/python3.12 {copy.root}: "]


def test_test_runs_lint_types_and_tests(copy: Copy) -> None:
    done = copy.run("test", "--faults", "-k", "a b")
    assert done.returncode == 0, done.stderr
    assert copy.asked()[-4:] == [
        "-m ruff check .", "-m ruff format --check .", "-m mypy --strict flower",
        f"-m pytest -o cache_dir={copy.root}/.venv/pytest_cache --cache-clear --faults -k a b",
    ]  # fmt: skip


@pytest.mark.parametrize("tool", ["ruff", "mypy", "pytest"])
def test_test_runs_everything_and_fails_if_anything_does(copy: Copy, tool: str) -> None:
    done = copy.run("test", FAKE_CHECK_FAILS=tool)
    assert done.returncode == 1
    assert f"not clean: {tool}" in done.stderr
    assert copy.asked()[-1].startswith("-m pytest")


@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.parametrize("failures", [1, 3, 4])
def test_a_few_tests_that_failed_run_once_more(copy: Copy, failures: int, broken: bool) -> None:
    """By themselves and named; a fault fails again, and many failures are no accident."""
    listed = ",\n".join(f'  "tests/test_a.py::test_b[{n} \'x]": true' for n in range(failures))
    listing = copy.root.parent / "listing"
    listing.write_text("{\n" + listed + "\n}")
    text = FAKE_PYTHON.replace(
        "'-m ruff'",
        f"""'-m pytest')
    echo "$*" >>"$FAKE_LOG"
    case $* in *--last-failed*) exit {int(broken)} ;; esac
    mkdir -p "${{4#cache_dir=}}/v/cache"
    cat {str(listing)!r} >"${{4#cache_dir=}}/v/cache/lastfailed"
    exit 1 ;;
'-m ruff'""",
    )
    copy.add("python3", text)
    done = copy.run("test", "-x")
    again = f"-m pytest -o cache_dir={copy.root}/.venv/pytest_cache --last-failed --last-failed-no-failures none -x"
    assert (again in copy.asked()) == (failures <= 3)
    assert (done.returncode == 0) == (failures <= 3 and not broken)
    if failures <= 3:
        assert f"{failures} failed and run once more" in done.stderr + done.stdout
        assert "test_b[0 'x]" in done.stderr + done.stdout


def test_every_other_python_runs_the_quick_tests(copy: Copy) -> None:
    """In an environment of its own; one that has no venv module is named and left out."""
    for name, version in (("python3.11", "3.11"), ("python3.12", "3.12"), ("python3.13", "3.13")):
        text = FAKE_PYTHON.replace("echo 3.9", f"echo {version}")
        copy.add(name, text.replace("*) echo", "'-c import ensurepip, venv') ;;\n*) echo"))
    copy.add(
        "python3.13", (copy.bin / "python3.13").read_text().replace("venv') ;;", "venv') exit 1 ;;")
    )
    copy.add("python3", FAKE_PYTHON.replace("echo 3.9", "echo 3.11"))
    venv = copy.root / ".venv/python3.12"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(copy.bin / "python3.12")
    done = copy.run("test", "--every-python", "-x")
    assert done.returncode == 0, done.stderr
    assert "python3.13 is left out: it has no venv module" in done.stderr
    asked = copy.asked()
    assert asked[-3:] == [
        f"-m pytest -o cache_dir={copy.root}/.venv/pytest_cache --cache-clear -x",
        f"installer {copy.bin}/python3.12 {copy.root}: --later --venv {venv} test",
        "-m pytest -q -m quick",
    ]
    assert not [line for line in asked if "python3.11" in line], "that is the one tested already"
    failing = copy.run("test", "--every-python", FAKE_FAILS="1")
    assert failing.returncode == 1
    assert "set-up-on-python3.12" in failing.stderr


def test_without_another_python_every_python_is_one(copy: Copy) -> None:
    done = copy.run("test", "--every-python")
    assert done.returncode == 0, done.stderr
    assert "no Python but 3.9 to test with" in done.stderr
