"""The command line: what is typed is understood or answered with one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import flower
from flower import cli
from flower.cli import main
from flower.errors import ConfigError, UsageError
from flower.home import Home
from flower.installation import as_typed
from flower.shell import command_line, processes
from flower.shell.processes import EngineChoice, websocket_url

ROOT = Path(flower.__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "daily"),
    [
        ("", ("", None, False)),
        ("tui", ("tui", None, False)),
        ("engine", ("engine", None, False)),
        ("--home /a", ("", "/a", False)),
        ("--home /a engine --managed", ("engine", "/a", True)),
        ("tui --managed", None),
        ("--managed", None),
        ("tui --url x", None),
        ("engine --port 1", None),
        ("--home", None),
        ("--home --plain", None),
        ("say hello", None),
    ],
)
def test_daily_command_lines_do_without_click(
    line: str, daily: tuple[str, str | None, bool] | None
) -> None:
    assert cli.parse_daily(line.split()) == daily


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What would have run: an engine, a screen, a line that is said."""
    calls: list[tuple[object, ...]] = []

    def engine(home: Home, **options: object) -> int:
        calls.append(("engine", home.root, options))
        return 0

    def tui(home: Home, connection: EngineChoice, *, plain: bool = False) -> int:
        calls.append(("tui", home.root, connection.url, connection.token, connection.starts, plain))
        return 0

    def say(text: str, **_: object) -> int:
        calls.append(("say", text))
        return 0

    class NoLauncher:
        """Where a client would find or start its home's engine: nothing starts here."""

        def __init__(self, home: Home) -> None:
            self.url = lambda: str(home.root)

        def prepare(self) -> None:
            """Starts nothing."""

    monkeypatch.setattr(processes, "Launcher", NoLauncher)
    for module in (cli, command_line):
        monkeypatch.setattr(module, "run_engine", engine)
        monkeypatch.setattr(module, "run_tui", tui)
    monkeypatch.setattr("flower.tui.plain.say", say)
    monkeypatch.delenv("FLOWER_TOKEN", raising=False)
    return calls


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ([], ("tui", "", "", True, False)),
        (["--plain"], ("tui", "", "", True, True)),
        (["tui", "--plain"], ("tui", "", "", False, True)),
        (["tui", "--url", "x", "--token", "-t-"], ("tui", "x", "-t-", False, False)),
        (["engine", "--port", "0", "--host", "::1"],
         ("engine", {"host": "::1", "port": 0, "managed": False})),
        (["say", "I", "open", "it."], ("say", "I open it.")),
        (["say", "- Halt, she says."], ("say", "- Halt, she says.")),
        (["say", "--- a line of dashes"], ("say", "--- a line of dashes")),
        (["say", "I open --url it.", "--url", "x"], ("say", "I open --url it.")),
        (["say", "--", "--url", "is", "said"], ("say", "--url is said")),
        (["say", "-h"], ("say", "-h")),
    ],
)  # fmt: skip
def test_a_command_line_is_carried_out(
    home: Home, started: list[tuple[object, ...]], line: list[str], expected: tuple[object, ...]
) -> None:
    """``--home`` may stand before the command or behind it."""
    command, *rest = expected
    result = (command, *rest) if command == "say" else (command, home.root, *rest)
    option = f"--home={home.root}"
    for arguments in ([option, *line], [*line[:1], option, *line[1:]]):
        started.clear()
        assert main(arguments) == 0
        assert started == [result]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("engin", "unknown command 'engin'; did you mean engine?"),
        ("zzz", "unknown command 'zzz'; there are: engine, tui, say,"),
        ("--hom x", "did you mean '--home'"),
        ("--home", "option '--home' requires an argument"),
        ("tui --port 1", "no such option '--port'"),
        ("tui --managed", "no such option '--managed'"),
        ("--plain engine", "--plain belongs to `flower` and `flower tui`"),
        ("engine --reload=1", "option '--reload' does not take a value"),
        ("engine --port 66000", "66000 is not in the range 0<=x<=65535"),
        ("engine tui", "got unexpected extra argument"),
        ("lore add Harbour", "missing argument 'FILE...'"),
        ("lore", "missing command; there are: add; see `flower lore --help`"),
        ("user nobody", "limit, log; see `flower user --help`"),
        ("engine --port x", "see `flower engine --help`"),
        ("zz", "see `flower --help`"),
        ("tui --ca a.pem", "--ca needs --url"),
        ("say --url wss://x --ca nowhere.pem hello", "--ca: there is no file"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(
    home: Home, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    assert main(["--home", str(home.root), *line.split()] if line != "--home" else ["--home"]) == 2
    sentence = capsys.readouterr().err
    assert as_typed(says).casefold() in sentence.casefold()
    assert sentence.startswith("flower: ")
    assert sentence.count("\n") == 1


def test_exit_codes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for help and version, 2 for wrong usage, 78 for wrong settings, with the sentence."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flower {flower.BUILD}\n"
    assert main(["enigne"]) == 2
    assert capsys.readouterr().err.startswith("flower: unknown command 'enigne'; did you mean engine?")
    home.config.write_text("engine: {prt: 1}")
    assert main(["--home", str(home.root), "engine"]) == 78
    assert capsys.readouterr().err.startswith(f"flower: {home.config}, line 1: unknown key 'prt'")


def every_command(group: click.Group = command_line.commands, path: str = "") -> Iterator[list[str]]:
    for name, command in group.commands.items():
        yield f"{path} {name}".split()
        if isinstance(command, click.Group):
            yield from every_command(command, f"{path} {name}")


@pytest.mark.parametrize("words", [[], *every_command()], ids=" ".join)
def test_every_command_has_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for help starts nothing and needs no home."""
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(" ".join(["Usage: flower", *words]))
    assert "--home" in text or words in (["lore"], ["service"], ["user"])


@pytest.mark.parametrize("words", [*every_command()], ids=" ".join)
def test_two_dashes_end_the_options_of_every_command(words: list[str]) -> None:
    """Behind ``--`` a word is an argument, whatever it begins with."""
    command: click.Command = command_line.commands
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    if arguments:
        context = command.make_context(words[-1], ["--", *["--help"] * len(arguments)])
        assert all("--help" in str(context.params[str(one.name)]) for one in arguments)


def test_what_flower_writes_is_private(home: Home) -> None:
    """Whichever module opens a file, other users cannot read it."""
    old = os.umask(0o022)
    try:
        main(["--version"])
        path = home.root / "anything"
        path.write_text("")
        assert path.stat().st_mode & 0o077 == 0
    finally:
        os.umask(old)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("box", "ws://box:8000/ws/rpc"),
        ("box:9000", "ws://box:9000/ws/rpc"),
        ("[::1]", "ws://[::1]:8000/ws/rpc"),
        ("[::1]:9", "ws://[::1]:9/ws/rpc"),
        ("http://box:9000", "ws://box:9000/ws/rpc"),
        ("https://box", "wss://box/ws/rpc"),
        ("wss://box/behind/proxy", "wss://box/behind/proxy"),
        ("ws://127.0.0.1:8000/ws/rpc", "ws://127.0.0.1:8000/ws/rpc"),
    ],
)
def test_an_address_may_be_written_short(text: str, url: str) -> None:
    assert websocket_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://x", "ws://", "a b", "ws:///x", "x\x00"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--url must be an address"):
        websocket_url(text)


def test_little_is_imported_before_the_screen() -> None:
    """The way from exec to the first frame: none of the modules that cost more than our own."""
    heavy = ["msgspec", "yaml", "trio", "click", "argparse", "dataclasses", "typing", "subprocess", "json",
             "platformdirs", "difflib", "blessed", "logging"]  # fmt: skip
    code = f"import sys, flower.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_python_m_flower_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flower", "--version"], cwd=ROOT, capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == f"flower {flower.BUILD}"


def flower_process(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "flower", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=30,
        check=False,
        **options,
    )


def test_a_reader_that_has_seen_enough_is_no_error(home: Home) -> None:
    """``flower doctor | head -n 1``: no traceback, and the line that was read."""
    line = f"{sys.executable} -P -m flower --home {home.root} doctor | head -n 1"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, timeout=60, check=True)
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_settings_that_are_no_file_are_one_sentence(home: Home) -> None:
    """A pipe in their place would be waited for, for ever."""
    home.config.unlink()
    os.mkfifo(home.config)
    done = flower_process("--home", str(home.root), "engine")
    assert done.returncode == ConfigError.exit_code
    assert done.stderr.count(b"\n") == 1
    assert b"no regular file" in done.stderr


@pytest.mark.parametrize("command", ["check", "doctor", "export", "backup", "token", "restore"])
def test_a_home_whose_name_is_no_text_works_or_says_so(tmp_path: Path, command: str) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9"
    done = flower_process("--home", path, command)
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1, ConfigError.exit_code)
