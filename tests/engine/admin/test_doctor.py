"""``flower doctor``: one line for everything, advice where something is wrong, secrets nowhere."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from flower import limits
from flower.engine.admin import doctor
from flower.engine.store.sqlite.database import Database
from flower.home import Home
from flower.installation import as_typed

TERMINAL = {"TERM": "xterm-256color"}


def found(home: Home, environ: dict[str, str] | None = None) -> dict[str, doctor.Finding]:
    """Returns the last finding of each kind; the embedding model is tried in a test of its own."""
    findings = {}
    for finding in doctor.findings(home, environ if environ is not None else TERMINAL):
        findings[finding.what] = finding
    return findings


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "model" not in request.node.name:
        monkeypatch.setattr(doctor, "_embedding", lambda *_: doctor.Finding("recall", "not tried"))


async def test_everything_is_looked_at_and_named(home: Home) -> None:
    await (await Database.open(home.database)).aclose()
    findings = found(home)
    assert {
        "Python", "compiler", "packages", "home", "config", "assets", "keys", "database", "backups", "index",
        "disk", "engine", "terminal", "recall",
    } <= set(findings)  # fmt: skip
    assert findings["database"].state.startswith("0 stories, 0 messages.")
    for name in ("Python", "packages", "home", "config", "assets", "database", "index", "terminal"):
        assert findings[name].advice == "", findings[name]


def files(home: Home) -> list[Path]:
    """Returns what is in the home, but for the lock through which a running engine is found."""
    return sorted(path for path in home.root.rglob("*") if path.name != "engine.lock")


def test_nothing_is_written_and_the_answer_is_the_exit_code(home: Home) -> None:
    before = files(home)
    lines: list[str] = []
    code = doctor.run(home, {"TERM": "dumb"}, lines.append)
    assert code == 1
    assert files(home) == before
    assert any(line.startswith("--  terminal") and "set TERM" in line for line in lines)


def test_keys_are_named_and_never_shown(home: Home) -> None:
    home.config.write_text(
        "openai_api_key: sk-secret-one\nengine: {token: secret-two}\nproviders:\n"
        "  - {name: mine, kind: compatible, base_url: http://localhost:1, api_key: secret-three}\n"
    )
    lines: list[str] = []
    doctor.run(home, {**TERMINAL, "GROQ_API_KEY": "secret-four"}, lines.append)
    text = "".join(lines)
    assert "openai_api_key, groq_api_key, mine (environment: GROQ_API_KEY)" in text
    assert "secret" not in text


@pytest.mark.parametrize("kind", ["config", "asset", "database", "disk", "home", "port"])
async def test_what_is_wrong_comes_with_what_to_do(
    home: Home, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    advice = {
        "config": ("config", "mend that line"),
        "asset": ("assets", "mend or delete that file"),
        "database": ("database", as_typed("`flower check`")),
        "disk": ("disk", "free some space"),
        "home": ("home", "chmod 700"),
        "port": ("engine", "engine.port"),
    }
    what, part = advice[kind]
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        match kind:
            case "config":
                home.config.write_text("engine: {port: many}\n")
            case "asset":
                (home.assets / "worlds" / "bad.yaml").write_text("- nothing\n")
            case "database":
                home.database.write_bytes(b"noise" * 2000)
            case "disk":
                monkeypatch.setattr(limits, "DISK_LOW_BYTES", 1 << 60)
            case "home":
                home.root.chmod(0o755)
            case "port":
                home.config.write_text(f"engine: {{port: {taken.getsockname()[1]}}}\n")
        lines: list[str] = []
        assert doctor.run(home, TERMINAL, lines.append) == 1
    assert any(line.startswith(f"--  {what}") and part in line for line in lines), lines


def test_the_model_is_loaded_and_tried(home: Home) -> None:
    finding = found(home)["recall"]
    assert "one sentence in" in finding.state or finding.advice


def test_a_missing_model_is_told(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SHIPPED_MODELS", tmp_path)
    finding = found(home)["recall"]
    assert "by words only" in finding.advice
