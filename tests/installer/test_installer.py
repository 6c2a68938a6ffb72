"""Setting up: what is missing is named, what was interrupted is resumed, what is not needed to play stops nothing.

The environment is a real one without packages; pip is played by a small script, so nothing is installed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from flower import machine
from flower.installer import __main__ as program
from flower.installer import hnswlib, pip, setup, slim
from flower.installer.failures import InstallError, explain
from flower.installer.pip import requirements
from flower.installer.setup import Setup
from tests.paths import ROOT

# Notes how it was called; fails, hangs or installs a module called hnswlib as a file beside it says.
FAKE_PIP = r"""
import json, os, pathlib, sys, time
here = pathlib.Path(__file__).parent
names = ("PIP_NO_INDEX", "PIP_FIND_LINKS", "CFLAGS", "HNSWLIB_NO_NATIVE", "PYTHONPATH", "TMPDIR")
with (here / "calls").open("a") as calls:
    print(json.dumps([sys.argv[1:], {n: os.environ[n] for n in names if n in os.environ}]), file=calls)
print("Collecting trio (from x)", flush=True)
order = (here / "order").read_text() if (here / "order").exists() else ""
step, _, text = order.partition("|")
if step == "hang":
    print("Installing collected packages: trio", flush=True)
    (here / "hangs").touch()
    while True: time.sleep(1)
if step and any(word.endswith(step) for word in sys.argv):
    print(text)
    sys.exit(1)
if "install" in sys.argv and "hnswlib" in sys.argv:
    (pathlib.Path(sys.prefix) / f"lib/python3.{sys.version_info[1]}/site-packages/hnswlib.py").touch()
if "wheel" in sys.argv and "hnswlib" in sys.argv:
    (pathlib.Path(sys.argv[sys.argv.index("--wheel-dir") + 1]) / "hnswlib-0.8.0-cp3-linux.whl").touch()
"""


class World:
    """A checkout to set up, and a pip to watch."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a place" / "with spaces"
        self.pip = folder / "pip.whl"
        (self.root / "flower").mkdir(parents=True)
        self.pip.mkdir()
        (self.pip / "pip").write_text(FAKE_PIP)
        for name in ("start.sh", "constraints.txt", "setup.cfg", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def order(self, step: str, text: str = "") -> None:
        (self.pip / "order").write_text(f"{step}|{text}" if step else "")

    def calls(self) -> list[tuple[list[str], dict[str, str]]]:
        """How pip was called since the last time, and with which variables."""
        file = self.pip / "calls"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [(arguments, environ) for arguments, environ in map(json.loads, lines)]

    def steps(self) -> list[str]:
        """The last word of every call since the last time."""
        return [arguments[-1].rpartition("/")[2] for arguments, _ in self.calls()]

    def run(self, *words: str, fingerprint: str = "1 2 x") -> int:
        return program.main([str(self.root), fingerprint, *words])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(pip, "bundled", lambda: world.pip)
    monkeypatch.setattr(pip, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)
    monkeypatch.setattr(machine, "free_mib", lambda: 2000)
    monkeypatch.setattr(hnswlib, "link_debian", lambda *_: False)
    for name in ("CFLAGS", "PIP_NO_INDEX", "PIP_FIND_LINKS", "HNSWLIB_NO_NATIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CXX", "true")
    return world


def test_a_first_set_up_goes_from_packages_to_the_index(world: World) -> None:
    """Packages, Flower itself, hnswlib last; all in one environment without a pip of its own."""
    assert world.run() == 0
    packages, flower, index = world.calls()
    assert packages[0][-2:] == ["-r", f"{world.venv}/requirements.txt"]
    assert flower[0][-3:] == ["--no-deps", "-e", str(world.root)]
    assert index[0][-2:] == ["--no-deps", "hnswlib"]
    for arguments, environ in (packages, flower, index):
        assert arguments[arguments.index("-c") + 1] == f"{world.root}/constraints.txt"
        assert "PYTHONPATH" not in environ
        assert environ["TMPDIR"] == f"{world.venv}/tmp"
    assert index[1]["CFLAGS"] == "-g0"
    assert (world.venv / "flower-stamp").read_text() == "1 2 x\n"
    assert not list(world.venv.glob("lib/python3*/site-packages/pip"))


def test_what_is_asked_for_comes_from_setup_cfg(world: World) -> None:
    assert world.run("local") == 0
    names = (world.venv / "requirements.txt").read_text().split()
    assert {"trio", "onnxruntime", "xllamacpp"} <= set(names)
    assert "hnswlib" not in names, "it comes later"
    assert "pytest" not in names
    assert (world.venv / "flower-stamp-local").read_text() == "1 2 x\n"


def test_requirements_keep_their_conditions() -> None:
    lines = requirements((ROOT / "setup.cfg").read_text(), ["test"])
    assert 'quart ==0.22.*; python_version < "3.13"' in lines
    assert "pytest" in lines
    assert not [line for line in lines if line.startswith(("#", "hnswlib"))]


def test_a_second_set_up_installs_nothing(world: World) -> None:
    world.run()
    world.calls()
    assert world.run() == 0
    assert world.calls() == []
    assert world.run(fingerprint="another") == 0
    assert world.steps() == ["requirements.txt", "with spaces"], "hnswlib is there already"


def test_an_extra_keeps_those_that_were_there(world: World) -> None:
    world.run("local")
    world.run("test", fingerprint="new")
    names = (world.venv / "requirements.txt").read_text().split()
    assert {"xllamacpp", "pytest"} <= set(names)


def test_playing_waits_for_no_compiler(world: World) -> None:
    """The first start notes that hnswlib is to come; the process beside the game gets it."""
    assert world.run("--later") == 0
    assert world.steps() == ["requirements.txt", "with spaces"]
    assert (world.venv / "flower-index-later").exists()
    assert world.run("--later") == 0
    setup = Setup(world.root, "1 2 x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "setsid", lambda: None)
        patch.setattr(os, "nice", lambda _: 0)
        setup.finish_index()
    assert world.steps() == ["hnswlib"]
    assert not (world.venv / "flower-index-later").exists()


@pytest.mark.parametrize(
    ("free", "compiler", "sentence"),
    [
        (512, "true", "takes 700 MB of memory and 512 MB are free"),
        (2000, "no-such-compiler", "there is no C++ compiler; install one: sudo apt install"),
    ],
)
def test_what_keeps_hnswlib_away_is_said_and_stops_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    free: int, compiler: str, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(machine, "free_mib", lambda: free)
    monkeypatch.setenv("CXX", compiler)
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name: None if name in ("g++", "apt-cache") else which(name)
    )
    assert world.run() == 0
    assert sentence in capsys.readouterr().err
    assert world.steps() == ["requirements.txt", "with spaces"]
    assert (world.venv / "flower-stamp").exists()


def test_an_hnswlib_that_does_not_compile_stops_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.order(
        "hnswlib", "c++: fatal error: Killed signal terminated program cc1plus\nFailed building wheel"
    )
    assert world.run() == 0
    assert "Flower plays without hnswlib" in (said := capsys.readouterr().err)
    assert "not enough memory" in said


@pytest.mark.parametrize("step", ["requirements.txt", "-e"])
def test_a_failed_install_is_resumed(
    world: World, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence, the end of pip's log, no stamp; the next run does what is left."""
    world.order(step, "ERROR: no route to host")
    assert world.run() == 1
    said = capsys.readouterr().err
    assert "ERROR: no route to host\nstart.sh: the package index cannot be reached" in said
    assert f"the whole log is {world.venv}/setup.log" in said
    assert not (world.venv / "flower-stamp").exists()
    world.order("")
    assert world.run() == 0


def test_an_install_killed_while_unpacking_starts_afresh(world: World) -> None:
    """pip believes in half a package, so nothing of such an environment is kept."""
    assert world.run() == 0
    (world.venv / "flower-stamp").unlink()
    (world.venv / "unpacking").touch()
    (world.venv / "setup.log").write_text("Installing collected packages: numpy, trio\n")
    (world.venv / "half-a-package").touch()
    assert world.run() == 0
    assert not (world.venv / "half-a-package").exists()
    assert not (world.venv / "unpacking").exists()


def test_an_environment_of_a_python_that_is_gone_is_made_anew(world: World) -> None:
    world.run()
    (world.venv / "bin/python").unlink()
    (world.venv / "bin/python").symlink_to("/nowhere/python3.11")
    assert world.run(fingerprint="new") == 0
    assert os.access(world.venv / "bin/python", os.X_OK)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_install_says_so_and_leaves_no_pip(world: World, number: int) -> None:
    world.order("hang")
    code = (
        "import pathlib, sys; import flower.installer.pip as pip;"
        f"pip.bundled = lambda: pathlib.Path({str(world.pip)!r});"
        "from flower.installer.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(world.root), "x"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if "unpacking" in line:  # pip is at work
                break
        child.send_signal(number)
        said = child.stderr.read()
    assert child.returncode == 1
    assert "interrupted; ./start.sh goes on from here" in said
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _reads(path, f"{world.pip}/pip")]
    assert left == []


def _reads(path: Path, text: str) -> bool:
    try:
        return text in path.read_text()
    except OSError:
        return False


# --- folders of wheels ------------------------------------------------------------------------------


def test_wheels_are_collected_and_then_used_alone(world: World, tmp_path: Path) -> None:
    """hnswlib's for any processor of its kind, never one from pip's cache; what builds Flower is there too."""
    folder = tmp_path / "wheels"
    assert world.run("--wheels", str(folder)) == 0
    made, collected, packages, flower, index = world.calls()
    assert "--no-cache-dir" in made[0]
    assert made[1]["HNSWLIB_NO_NATIVE"] == "1"
    assert collected[0][0] == "wheel"
    assert any(word.startswith("setuptools") for word in collected[0])
    assert "PIP_NO_INDEX" not in collected[1]
    for _, environ in (packages, flower, index):
        assert environ["PIP_NO_INDEX"] == "1"
        assert environ["PIP_FIND_LINKS"] == str(folder)
    assert world.run("--wheels", str(folder)) == 0
    assert [call[0][0] for call in world.calls()] == ["wheel", "install", "install"]


def test_offline_asks_no_index_and_needs_no_compiler(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "free_mib", lambda: 100)
    assert world.run("--offline", str(tmp_path)) == 0
    calls = world.calls()
    assert len(calls) == 3
    assert all(environ["PIP_NO_INDEX"] == "1" for _, environ in calls)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--offline"], "--offline needs a folder behind it"),
        (
            ["--offline", "/nowhere"],
            "there is no folder /nowhere; ./start.sh --setup --wheels DIR makes one",
        ),
        (["--offline", "/tmp", "--wheels", "/tmp"], "give one of them"),
        (["lokal"], "unknown extra 'lokal'; there are: test, local, postgres, socks, model"),
    ],
)
def test_wrong_words_are_refused_before_anything_happens(
    world: World, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert world.run(*words) == 1
    assert sentence in capsys.readouterr().err
    assert not world.venv.exists()


# --- the system ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "answer", "sentence"),
    [
        (machine, "is_32_bit", True, "needs a 64-bit system"),
        (machine, "is_musl", True, "no builds for musl"),
        (pip, "bundled", None, "venv module is missing; install it with: sudo apt install python"),
    ],
)
def test_a_system_that_cannot_run_it_is_told_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    module: object, name: str, answer: object, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(module, name, lambda: answer)
    assert world.run() == 1
    assert sentence in capsys.readouterr().err
    assert not world.venv.exists()


def test_the_wheel_of_pip_that_comes_with_python_is_found() -> None:
    wheel = pip.bundled()
    assert wheel is not None
    assert wheel.name.startswith("pip-")


def test_sudo_is_not_needed_and_not_wanted(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, -1) if os.geteuid() == 0 else None
    if os.geteuid() != 0:
        pytest.skip("gives a folder away, which only root can")
    with pytest.raises(
        InstallError, match="without sudo: the folder belongs to the user with the number 1234"
    ):
        setup.check_owner(tmp_path, tmp_path / ".venv", user=0, sudo="me")
    setup.check_owner(tmp_path, tmp_path / ".venv", user=0, sudo="")  # a container's root


def test_an_environment_of_somebody_else_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    stranger = os.geteuid() + 4321
    with pytest.raises(InstallError, match=r"\.venv belongs to .*clone a copy of your own"):
        setup.check_owner(tmp_path, tmp_path / ".venv", user=stranger, sudo="")


MEMINFO = "MemTotal:  1000000 kB\nMemFree: 5 kB\nMemAvailable:  500000 kB\nSwapFree:  100000 kB\n"


def test_memory_is_what_is_free_with_swap_within_the_limits_of_the_group(tmp_path: Path) -> None:
    assert machine.free_mib(tmp_path) is None
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    assert machine.free_mib(tmp_path) == 488 + 97
    assert machine.total_mib(tmp_path) == 976
    (tmp_path / "proc/self/cgroup").write_text("0::/user.slice/flower.service\n")
    group = tmp_path / "sys/fs/cgroup/user.slice/flower.service"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    assert machine.free_mib(tmp_path) == 488 + 97
    (group.parent / "memory.max").write_text(f"{256 << 20}\n")
    assert machine.free_mib(tmp_path) == 256
    assert machine.total_mib(tmp_path) == 256
    older = tmp_path / "sys/fs/cgroup/memory/box"
    older.mkdir(parents=True)
    (older / "memory.limit_in_bytes").write_text(f"{128 << 20}\n")
    (older.parent / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    (tmp_path / "proc/self/cgroup").write_text("5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n")
    assert machine.free_mib(tmp_path) == 128, "of version 1 too"


# --- why it failed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        ("ERROR: Could not install: [Errno 28] No space left on device", "the disk is full"),
        ("x: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed", "whether `date` is right"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure in name resolution\n"
         "ERROR: No matching distribution found for trio", "index cannot be reached"),
        ("ERROR: No matching distribution found for onnxruntime!=1.21.*", "no build of onnxruntime!=1.21.* for"),
        ("fatal error: Python.h: No such file or directory\nERROR: Failed building wheel for hnswlib", "python3-dev"),
        ("error: command 'g++' failed\n  ERROR: Failed building wheel for hnswlib", "hnswlib could not be compiled"),
        ("g++: fatal error: Killed signal terminated program cc1plus\nFailed building wheel for hnswlib",
         "not enough memory"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "belongs to somebody else"),
        ("something new", "the lines above say why"),
    ],
)  # fmt: skip
def test_a_failure_is_told_by_its_cause(log: str, sentence: str) -> None:
    assert sentence in explain(log)


def test_a_package_that_the_folder_lacks_is_named() -> None:
    log = "ERROR: No matching distribution found for numpy==2.4.6"
    assert "folder of wheels has no numpy==2.4.6 for this Python" in explain(log, offline=True)


# --- hnswlib and size --------------------------------------------------------------------------------------


def packages(folder: Path) -> Path:
    """A folder of packages as pip leaves it, dead weight included."""
    for name in (
        "onnxruntime/capi/onnxruntime_pybind11_state.so",
        "onnxruntime/capi/libonnxruntime.so.1.32.0",
        "onnxruntime/transformers/models/bert.py",
        "numpy/_core/tests/test_a.py",
        "numpy/_core/multiarray.py",
        "trio/testing/__init__.py",
        "mine/tests/data.py",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * 1000)
    return folder


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_playing_never_needs_is_taken_out(tmp_path: Path) -> None:
    site = packages(tmp_path / "site-packages")
    assert slim.slim(site, lambda: True) == 3000
    assert left(site) == {
        "onnxruntime/capi/onnxruntime_pybind11_state.so",
        "numpy/_core/multiarray.py",
        "trio/testing/__init__.py",
        "mine/tests/data.py",
    }
    assert list(tmp_path.iterdir()) == [site]
    assert slim.slim(site, lambda: True) == 0


def test_what_is_missed_after_all_is_put_back(tmp_path: Path) -> None:
    """A newer version of a package may need what this one does not."""
    site = packages(tmp_path / "site-packages")
    before = left(site)
    assert slim.slim(site, lambda: False) == 0
    assert left(site) == before


def test_a_library_that_the_module_is_linked_to_stays(tmp_path: Path) -> None:
    site = packages(tmp_path / "site-packages")
    module = site / "onnxruntime/capi/onnxruntime_pybind11_state.so"
    module.write_bytes(b"\0libonnxruntime.so.1\0")
    slim.slim(site, lambda: True)
    assert (site / "onnxruntime/capi/libonnxruntime.so.1.32.0").exists()


@pytest.mark.parametrize("fits", [True, False])
def test_debians_own_hnswlib_is_taken_if_it_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    import sysconfig

    debian, site = tmp_path / "debian", tmp_path / "site"
    debian.mkdir()
    site.mkdir()
    works: Callable[[Path], bool] = lambda _: fits  # noqa: E731
    monkeypatch.setattr(hnswlib, "works", works)
    assert not hnswlib.link_debian(Path(sys.executable), site, debian), "there is none"
    library = debian / f"hnswlib{sysconfig.get_config_var('EXT_SUFFIX')}"
    library.touch()
    (debian / "hnswlib-0.8.0.egg-info").mkdir()
    assert hnswlib.link_debian(Path(sys.executable), site, debian) is fits
    names = {library.name, "hnswlib-0.8.0.egg-info"} if fits else set()
    assert {path.name for path in site.iterdir()} == names


def test_an_hnswlib_of_another_python_is_none(tmp_path: Path) -> None:
    """A stale file beside a new interpreter must not be taken for a good one."""
    (tmp_path / "hnswlib.cpython-30-x86_64-linux-gnu.so").touch()
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python3*/site-packages")
    shutil.copy(tmp_path / "hnswlib.cpython-30-x86_64-linux-gnu.so", site)
    assert not hnswlib.is_there(venv / "bin/python")
    (site / "hnswlib.py").touch()
    assert hnswlib.is_there(venv / "bin/python")
    assert not hnswlib.works(venv / "bin/python")
