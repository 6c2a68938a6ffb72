"""Nothing leaves the machine unasked, and nothing is written outside the home."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flower import launch, privacy
from flower.home import Home
from tests.engine_process import look_into, make_home
from tests.paths import ROOT
from tests.pty_world import Pty

MODEL = ROOT / "models" / "all-MiniLM-L6-v2" / "model.onnx"
COMPILER = shutil.which(os.environ.get("CC", "cc"))
# A person's environment and nothing more: onnxruntime keeps quiet where CI or a dozen other variables
# say that a build is running, and XDG folders would take its files elsewhere.
CARRIED = ("PATH", "LANG", "LC_ALL", "TERM", "TMPDIR", "LD_LIBRARY_PATH")
NEVER_LOADED = ("huggingface_hub", "hf_xet", "httpx2", "fsspec", "requests", "urllib3")

needs_shim = pytest.mark.skipif(
    not sys.platform.startswith("linux") or COMPILER is None,
    reason="preloads a shim: needs Linux and cc",
)


class Watch:
    """What programs do beyond this machine and beyond one folder."""

    def __init__(self, shim: Path, folder: Path) -> None:
        self.home = folder / "home"
        self.user = folder / "user"  # HOME: whatever appears there was not asked for
        self.user.mkdir()
        self._log = folder / "outside.log"
        self.environ = {
            **{name: value for name, value in os.environ.items() if name in CARRIED},
            "LD_PRELOAD": str(shim),
            "FLOWER_OUTSIDE_LOG": str(self._log),
            "FLOWER_HOME": str(self.home),
            "HOME": str(self.user),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",  # beside the source, where the tests run from
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )

    def outside(self) -> list[str]:
        """The names, addresses and files outside the home that were used, once each."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        inside = (f"file {self.home}", "file /dev/", "file /proc/self/")
        return sorted({line for line in lines if not line.startswith(inside)})

    def saw(self, path: Path) -> bool:
        return f"file {path}" in self._log.read_text(errors="replace").splitlines()

    def files(self) -> list[str]:
        return sorted(str(path.relative_to(self.user)) for path in self.user.rglob("*"))


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shim") / "outside_shim.so"
    assert COMPILER is not None
    source = Path(__file__).with_name("outside_shim.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", target, source, "-ldl"], check=True)
    return target


@pytest.fixture
def watch(shim: Path, tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(shim, tmp_path)
    yield watch
    if (watch.home / "run").exists() and (pid := launch.running_process(Home(watch.home))) is not None:
        os.kill(pid, signal.SIGKILL)


def wait_until(screen: Pty, done: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Lets the screen draw until something is there."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, f"{what}: {screen.output[-300:]!r}"
        screen.drain(0.05)


def replies(home: Path) -> int:
    """How many replies are whole and saved."""
    query = "SELECT count(*) FROM messages WHERE role = 'assistant' AND status = 'complete'"
    with closing(look_into(home)) as db:
        return int(db.execute(query).fetchone()[0])


@needs_shim
def test_a_whole_story_reaches_nobody_and_writes_in_the_home_only(watch: Watch) -> None:
    """A screen that starts its engine, a story with recall, a second client, the doctor."""
    make_home(watch.home, "engine:\n  port: 0\n")
    with Pty([sys.executable, "-P", "-m", "flower"], environ=watch.environ) as screen:
        screen.wait_for("Engine ready", seconds=20)
        for command, answer in (
            ("/world select orrinsay", "Orrinsay:"),
            ("/session new", "Behind you"),
        ):
            screen.type(f"{command}\r")
            wait_until(screen, lambda text=answer: text.encode() in screen.output, answer)  # type: ignore[misc]
        for line in ("My brother is called Tobias.", "Who is Tobias?"):
            before = replies(watch.home)
            screen.type(f"{line}\r")
            wait_until(screen, lambda told=before: replies(watch.home) > told, f"no reply to {line!r}")  # type: ignore[misc]
        loaded = (watch.home / "index").glob
        wait_until(screen, lambda: any(loaded("native-*onnxruntime*.ok")), "the model was not used")
        said = watch.run("-P", "-m", "flower", "say", "I go home.")
        assert said.returncode == 0, said.stderr
        assert len(said.stdout.split()) > 5
        screen.type("\x04")
        screen.wait_end(10)
    doctor = watch.run("-P", "-m", "flower", "doctor")
    assert "loaded in" in doctor.stdout, "the embedding model was used in that process too"
    assert watch.saw(watch.home / "flower.db"), "the engine was watched too"
    assert watch.outside() == []
    assert watch.files() == []


@needs_shim
def test_the_watch_sees_what_onnxruntime_does_when_it_is_not_told(watch: Watch) -> None:
    """Else the test above would pass with a blind shim."""
    code = (
        "import socket;"
        f"import onnxruntime; onnxruntime.InferenceSession({str(MODEL)!r});"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('192.0.2.1', 9)); s.close();"
        "socket.getaddrinfo('127.0.0.1', 9)\n"
        "try: socket.getaddrinfo('flower.invalid', 9)\n"
        "except OSError: pass\n"
    )
    watch.environ.pop("ORT_DISABLE_TELEMETRY", None)
    done = watch.run("-c", code)
    assert done.returncode == 0, done.stderr
    assert {"connect 192.0.2.1", "name flower.invalid"} <= set(watch.outside())
    assert "name 127.0.0.1" not in watch.outside()
    cache = watch.user / ".cache" / "Microsoft"
    assert any(line.startswith(f"file {cache}") for line in watch.outside())
    assert watch.files(), "onnxruntime leaves its device id where it is not told to be quiet"
    assert privacy.remove_leftovers({"HOME": str(watch.user)})
    assert watch.files() == [".cache"]


def test_every_process_is_quiet_before_it_imports_anything() -> None:
    """Also where the variable says otherwise, as a desktop's settings might."""
    code = "import flower, os; print(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in __import__('sys').modules)"
    environ = {**os.environ, "ORT_DISABLE_TELEMETRY": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 False\n"


def test_clients_of_hubs_are_never_imported() -> None:
    """The embedding model is here; what could fetch another one stays asleep."""
    code = (
        "import sys, trio; from pathlib import Path; from flower.engine.recall.minilm import MiniLM;"
        f"e = MiniLM([Path({str(MODEL.parents[1])!r})]);"
        "v = trio.run(e.embed, ['The lamp is lit.']); e.close();"
        f"print(v.shape, [name for name in {NEVER_LOADED!r} if name in sys.modules])"
    )
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "(1, 384) []\n"


def leave(cache: Path) -> Path:
    folder = cache / "Microsoft" / "DeveloperTools" / ".onnxruntime"
    folder.mkdir(parents=True)
    for name in ("deviceid", "onnxruntime.db"):
        (folder / name).write_text("x")
    return folder


def test_what_earlier_versions_left_is_removed(tmp_path: Path) -> None:
    leave(tmp_path / ".cache")
    assert privacy.remove_leftovers({"HOME": str(tmp_path)})
    assert list((tmp_path / ".cache").iterdir()) == []
    assert not privacy.remove_leftovers({"HOME": str(tmp_path)})


def test_the_cache_folder_of_the_desktop_counts(tmp_path: Path) -> None:
    leave(tmp_path / "elsewhere")
    assert privacy.remove_leftovers(
        {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "elsewhere")}
    )
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    other = leave(tmp_path / ".cache").parent / "another-tool"
    other.write_text("x")
    assert privacy.remove_leftovers({"HOME": str(tmp_path)})
    assert other.exists()


@pytest.mark.parametrize(
    "environ", [{}, {"HOME": ""}, {"HOME": "/nowhere"}, {"XDG_CACHE_HOME": "relative"}]
)
def test_without_a_home_nothing_is_removed(environ: dict[str, str]) -> None:
    assert not privacy.remove_leftovers(environ)
