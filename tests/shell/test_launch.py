"""One engine per home: claiming, finding, starting, and starting again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from flower import limits
from flower.errors import EngineStarting, LaunchError
from flower.home import Home
from flower.installation import as_typed
from flower.launch import (
    ERROR_LINE_CHARS,
    RESTART_DELAY_LONG_S,
    RESTART_DELAY_S,
    Launcher,
    announce,
    claim,
    find,
    last_error,
    start,
)
from flower.shell import reload
from flower.shell.processes import ignored_variables

URL = "ws://127.0.0.1:8000/ws/rpc"


def test_an_engine_is_found_once_it_has_announced_itself(home: Home) -> None:
    """Not before, and not after it has gone."""
    assert find(home) is None
    with claim(home) as held:
        assert find(home) is None
        announce(held, URL)
        assert find(home) == URL
        assert json.loads((home.run / "engine.json").read_text()) == {"pid": os.getpid(), "url": URL}
    assert find(home) is None
    assert not (home.run / "engine.json").exists()


def test_a_second_engine_is_told_who_runs(home: Home) -> None:
    with claim(home) as held:
        with pytest.raises(LaunchError, match=f"already runs on {home.root}; join it"):
            claim(home, wait_s=0)
        announce(held, URL)
        with pytest.raises(LaunchError, match=rf"\(process {os.getpid()}, {URL}\)"):
            claim(home, wait_s=0)
        assert find(home) == URL  # the failed claims took nothing away


def test_the_address_of_a_killed_engine_is_not_believed(home: Home) -> None:
    """kill -9 leaves the file behind, but never the lock."""
    (home.run / "engine.json").write_text(json.dumps({"pid": 1, "url": URL}))
    assert find(home) is None
    with claim(home):
        assert find(home) is None


def test_settings_that_a_running_engine_does_not_know_are_named_without_their_values(
    home: Home,
) -> None:
    given = {"OPENAI_BASE_URL": "http://127.0.0.1:9", "OPENAI_API_KEY": "sk-secret", "HOME": "/x"}
    assert ignored_variables(home, given) == "", "no engine runs, the next one will hear them"
    engine = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OPENAI_BASE_URL": "http://127.0.0.1:9", "OPENAI_API_KEY": "sk-other"},
    )
    with claim(home), engine:
        assert engine.stdout is not None
        engine.stdout.readline()  # until then its environment is still ours
        (home.run / "engine.json").write_text(json.dumps({"pid": engine.pid, "url": URL}))
        told = ignored_variables(home, given)
        assert told.startswith("OPENAI_API_KEY is not in use")
        assert as_typed("`flower stop`") in told
        assert "config.yaml" not in told, "the engine's own variable would win over the file"
        assert "sk-" not in told
        told = ignored_variables(home, {"MISTRAL_API_KEY": "sk-m"})
        assert "mistral_api_key into config.yaml" in told
        assert ignored_variables(home, {**given, "OPENAI_API_KEY": "sk-other"}) == ""
        assert ignored_variables(home, {}) == ""
        home.config.write_text("openai_base_url: http://127.0.0.1:7\nmistral_api_key: sk-m")
        assert ignored_variables(home, {"MISTRAL_API_KEY": "sk-m"}) == "", "config.yaml says the same"
        home.config.write_text("openai_base_url: [")
        assert ignored_variables(home, given) == "", "a broken file is told by others"
        engine.communicate(b"\n")


def test_variables_of_a_process_that_cannot_be_seen_are_no_matter(home: Home) -> None:
    with claim(home):
        (home.run / "engine.json").write_text(json.dumps({"pid": 2**22 + 1, "url": URL}))
        assert ignored_variables(home, {"MODEL_NAME": "x"}) == ""


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x", "url": 1}', "\x00" * 64])
def test_a_damaged_address_file_is_no_address(home: Home, text: str) -> None:
    with claim(home):
        (home.run / "engine.json").write_text(text)
        assert find(home) is None


def test_a_claim_survives_faces_that_look(home: Home) -> None:
    """Looking takes the lock for an instant; an engine that starts in that instant waits for it."""
    import fcntl

    looking = os.open(home.run / "engine.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(looking, fcntl.LOCK_SH)
    with pytest.raises(LaunchError):
        claim(home, wait_s=0)
    os.close(looking)
    claim(home, wait_s=0).__exit__()


def test_a_home_without_run_folder_is_one_sentence(home: Home) -> None:
    home.run.rmdir()
    with pytest.raises(LaunchError, match="cannot use"):
        find(home)


# --- starting ----------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Engines:
    """Spawns real children that are no engines: ``true`` dies at once, ``sleep`` lives."""

    def __init__(self, command: list[str], log: str = "") -> None:
        self.command = command
        self.log = log
        self.pids: list[int] = []

    def __call__(self, home: Home) -> int:
        with (home.logs / "engine.log").open("a") as file:
            file.write(self.log)
        self.pids.append(os.posix_spawnp(self.command[0], self.command, os.environ))
        return self.pids[-1]

    def wait_until_dead(self) -> None:
        os.waitid(os.P_PID, self.pids[-1], os.WEXITED | os.WNOWAIT)


def test_a_missing_engine_is_started_once(home: Home) -> None:
    """While it is on its way the face is told so, and no second one is started."""
    engines = Engines(["sleep", "60"])
    launcher = Launcher(home, clock=Clock(), spawn=engines)
    for _ in range(3):
        with pytest.raises(EngineStarting):
            launcher.url()
    assert len(engines.pids) == 1
    with claim(home) as held:
        with pytest.raises(EngineStarting):
            launcher.url()
        announce(held, URL)
        assert launcher.url() == URL
    os.kill(engines.pids[0], 9)
    engines.wait_until_dead()
    with pytest.raises((EngineStarting, LaunchError)):
        launcher.url()


def test_a_running_engine_is_joined_not_started(home: Home) -> None:
    engines = Engines(["true"])
    with claim(home) as held:
        announce(held, URL)
        assert Launcher(home, spawn=engines).url() == URL
    assert engines.pids == []


def test_an_engine_that_keeps_dying_is_started_ever_more_rarely(home: Home) -> None:
    """Every few seconds at first; after three quick deaths seldom; the log's last error is shown."""
    clock = Clock()
    engines = Engines(["true"], log="INFO hello\nflower: port 8000 is taken\nbye\n")
    launcher = Launcher(home, clock=clock, spawn=engines)
    delays = [RESTART_DELAY_S, RESTART_DELAY_S, *[RESTART_DELAY_LONG_S] * 2]
    for count, delay in enumerate(delays, start=1):
        with pytest.raises(EngineStarting):
            launcher.url()
        assert len(engines.pids) == count
        engines.wait_until_dead()
        for wait in (0, delay - 0.1):
            clock.now += wait
            with pytest.raises(LaunchError, match="the engine stopped: port 8000 is taken") as caught:
                launcher.url()
            assert not isinstance(caught.value, EngineStarting)
        assert len(engines.pids) == count
        clock.now += 0.2


def test_an_engine_that_lived_long_is_started_at_once(home: Home) -> None:
    clock = Clock()
    engines = Engines(["true"])
    launcher = Launcher(home, clock=clock, spawn=engines)
    for count in range(1, 6):
        with pytest.raises(EngineStarting):
            launcher.url()
        engines.wait_until_dead()
        clock.now += 3600
        assert len(engines.pids) == count


def test_the_loser_of_two_starts_counts_as_no_death(home: Home) -> None:
    """Two faces start an engine each; the second one ends because the first one's runs."""
    clock = Clock()
    engines = Engines(["false"])
    launcher = Launcher(home, clock=clock, spawn=engines)
    with claim(home) as held:
        pass
    with pytest.raises(EngineStarting):
        launcher.url()
    engines.wait_until_dead()
    with claim(home) as held:
        announce(held, URL)
        assert launcher.url() == URL
    assert launcher._quick_deaths == 0


def test_an_engine_that_never_gets_ready_is_named(home: Home) -> None:
    clock = Clock()
    engines = Engines(["sleep", "60"])
    launcher = Launcher(home, clock=clock, spawn=engines)
    launcher.prepare()
    clock.now += limits.ENGINE_START_S + 1
    with pytest.raises(LaunchError, match=r"not ready after 20 s; see .*engine\.log"):
        launcher.url()
    os.kill(engines.pids[0], 9)
    engines.wait_until_dead()


def test_a_real_start_is_detached_and_logs_why_it_failed(home: Home) -> None:
    """A session of its own, no terminal, output in logs/engine.log; here a broken config ends it."""
    home.config.write_text("engine: {prt: 1}")
    pid = start(home)
    assert os.getsid(pid) != os.getsid(0)
    os.waitpid(pid, 0)
    assert "line 1: unknown key 'prt'" in last_error(home.logs / "engine.log")
    assert (home.logs / "engine.log").stat().st_mode & 0o077 == 0


def test_an_engine_listens_to_signals_that_its_client_has_blocked(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screen that starts blocks them for itself; an engine with them blocked could not be ended."""
    told = "import signal; print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    monkeypatch.setattr(
        "flower.launch.own_command", lambda *_: ([sys.executable, "-c", told], dict(os.environ))
    )
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        os.waitpid(start(home), 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert (home.logs / "engine.log").read_text() == "set()\n"


def test_a_long_log_is_set_aside_at_a_start(home: Home) -> None:
    home.config.write_text("engine: {prt: 1}")
    log = home.logs / "engine.log"
    log.write_bytes(b"x" * (limits.ENGINE_LOG_BYTES + 1))
    os.waitpid(start(home), 0)
    assert log.with_name("engine.log.1").stat().st_size > limits.ENGINE_LOG_BYTES
    assert log.stat().st_size < 1000


@pytest.mark.parametrize(
    ("text", "offset", "line"),
    [
        ("", 0, ""),
        ("flower: old\n", 12, ""),
        ("a\nflower: no disk\nb\n", 0, "no disk"),
        ("Traceback\n  File x\nValueError: bad\n\n", 0, "ValueError: bad"),
        ("flower: \x1b[31mred\x07\n", 0, "[31mred"),
        ("x" * 50_000, 0, "x" * ERROR_LINE_CHARS),
    ],
)
def test_the_last_error_line(tmp_path: Path, text: str, offset: int, line: str) -> None:
    """The sentence Flower wrote, else the last line; nothing from before, no escape sequences."""
    (tmp_path / "log").write_text(text)
    assert last_error(tmp_path / "log", offset) == line
    assert last_error(tmp_path / "absent") == ""


# --- reloading ---------------------------------------------------------------------------------------


def children(
    *codes: str,
) -> tuple[list[subprocess.Popen[bytes]], Callable[[], subprocess.Popen[bytes]]]:
    made: list[subprocess.Popen[bytes]] = []

    def spawn() -> subprocess.Popen[bytes]:
        made.append(subprocess.Popen([sys.executable, "-S", "-c", codes[len(made)]]))
        return made[-1]

    return made, spawn


def test_a_change_restarts_and_a_good_end_ends() -> None:
    made, spawn = children("import time; time.sleep(60)", "pass")

    def changes() -> Iterable[set[str]]:
        yield {"a.py"}
        made[1].wait()
        yield set()

    assert reload.supervise(spawn, changes()) == 0
    assert [child.returncode for child in made] == [-15, 0]


def test_a_failing_child_waits_for_the_next_change(capsys: pytest.CaptureFixture[str]) -> None:
    made, spawn = children("raise SystemExit(3)", "pass")

    def changes() -> Iterable[set[str]]:
        made[0].wait()
        yield set()
        yield set()
        yield {"a.py"}
        made[1].wait()
        yield set()

    assert reload.supervise(spawn, changes()) == 0
    assert capsys.readouterr().err.count("ended with 3; waiting for a change") == 1


def test_ctrl_c_leaves_no_child() -> None:
    made, spawn = children("import time; time.sleep(60)")

    def changes() -> Iterable[set[str]]:
        raise KeyboardInterrupt
        yield set()

    assert reload.supervise(spawn, changes()) == 130
    assert made[0].returncode is not None


def test_only_what_a_part_is_made_of_concerns_it(home: Home) -> None:
    package = Path(reload.__file__).parents[1]
    table = [
        (package / "protocol.py", True, True),
        (package / "engine/turn.py", True, False),
        (package / "tui/view.py", False, True),
        (package / "assets/worlds/a.yaml", True, True),
        (package / "__pycache__/cli.pyc", False, False),
        (home.config, True, True),
        (home.assets / "worlds/a.yaml", True, False),
        (home.root / "flower.db", False, False),
        (home.logs / "a.yaml", False, False),
    ]
    for path, engine, tui in table:
        assert (reload.concerns("engine", path, home), reload.concerns("tui", path, home)) == (
            engine,
            tui,
        ), path
