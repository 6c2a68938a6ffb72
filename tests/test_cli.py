"""The command line: what is typed is understood or answered with one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import flower
from flower import cli
from flower.cli import UsageError, main, parse, websocket_url
from flower.home import Home

ROOT = Path(flower.__file__).parents[1]


@pytest.mark.parametrize(
    ("line", "command", "options"),
    [
        ("", "", {}),
        ("--home /a", "", {"--home": "/a"}),
        ("--home=/a=b engine", "engine", {"--home": "/a=b"}),
        ("engine --home /a --port 0 --host ::1", "engine",
         {"--home": "/a", "--port": "0", "--host": "::1"}),
        ("engine --managed --reload", "engine", {"--managed": "", "--reload": ""}),
        ("tui --url x --token -t-", "tui", {"--url": "x", "--token": "-t-"}),
        ("-h", "", {"--help": ""}),
        ("tui --help", "tui", {"--help": ""}),
        ("--plain", "", {"--plain": ""}),
        ("tui --plain --ca a.pem", "tui", {"--plain": "", "--ca": "a.pem"}),
        ("say I open --url x it.", "say", {"TEXT": "I open it.", "--url": "x"}),
    ],
)  # fmt: skip
def test_a_command_line_is_understood(line: str, command: str, options: dict[str, str]) -> None:
    assert parse(line.split()) == (command, options)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("engin", "unknown command 'engin'; did you mean engine?"),
        ("zzz", f"unknown command 'zzz'; there are: {', '.join(cli.COMMANDS)}"),
        ("--hom x", "unknown option '--hom'; did you mean --home?"),
        ("--home", "--home needs a value"),
        ("engine --host --port 1", "--host needs a value"),
        ("--port 1", "--port belongs to `flower engine`"),
        ("tui --managed", "--managed belongs to `flower engine`"),
        ("--reload", "--reload belongs to `flower engine` and `flower tui`"),
        ("engine --reload=1", "--reload takes no value"),
        ("engine --plain", "--plain belongs to `flower` and `flower tui`"),
        ("engine tui", "'tui' after 'engine' has no meaning"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(line: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert str(caught.value) == says


def test_exit_codes(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for help and version, 2 for wrong usage, 1 with the sentence for everything else."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"flower {flower.__version__}\n"
    assert main(["engine", "--help"]) == 0
    assert capsys.readouterr().out == cli.HELP
    assert main(["enigne"]) == 2
    assert capsys.readouterr().err.startswith("flower: unknown command 'enigne'; did you mean engine?")
    assert main(["--home", str(home.root), "engine", "--port", "66000"]) == 2
    home.config.write_text("engine: {prt: 1}")
    capsys.readouterr()
    assert main(["--home", str(home.root), "engine"]) == 1
    assert capsys.readouterr().err.startswith(f"flower: {home.config}, line 1: unknown key 'prt'")


def test_the_help_has_every_option_and_command() -> None:
    for name in (*cli.OPTIONS, *(f"flower {command}" for command in cli.COMMANDS)):
        assert name in cli.HELP


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
    assert done.stdout.decode().strip() == f"flower {flower.__version__}"
