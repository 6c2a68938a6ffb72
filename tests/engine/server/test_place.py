"""Where an engine listens and who may come in there; the token; settings read again while it runs."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
from pathlib import Path

import pytest
import trio
import trio.testing

from flower import cli
from flower.engine.server import listener
from flower.engine.server.access import Peer
from flower.engine.server.listener import Listener, open_place
from flower.errors import ConfigError, LaunchError
from flower.home import Home, own_token, read_token
from flower.settings.config import Config, EngineConfig
from tests.engine_process import Process, Wire, begin_story, command, connected, engine, output
from tests.hostile import UPGRADE


def place(home: Home, host: str | None = None, **settings: object) -> Listener:
    config = Config(engine=EngineConfig(port=0, **settings))  # type: ignore[arg-type] # a test's own table
    return open_place(home, config, host=host, port=None, managed=False)


def status(at: Listener, address: str = "127.0.0.1", *, own: bool = False, **headers: str) -> int:
    refused = at.access.refusal({"Host": "localhost", **headers}.get, Peer(address, own), 0.0)
    return refused.status if refused is not None else 0


@pytest.mark.parametrize("host", [None, "127.0.0.1", "localhost", "127.0.0.5"])
def test_on_this_machine_our_own_programs_need_no_token_but_names_are_checked(
    home: Home, host: str | None
) -> None:
    at = place(home, host, names=("Pi.Home",))
    with at.bound:
        assert status(at, own=True) == 0
        assert status(at, own=True, Host="evil.example") == 421
        assert status(at, own=True, Host="pi.home:8000") == 0
        assert at.url.startswith(("ws://127.0.0.", "ws://[::1]:")), (
            "what localhost means is up to the machine"
        )
        assert status(at) == 401
        assert status(at, Authorization=f"Bearer {read_token(home)}") == 0


def test_the_settings_can_trust_everybody_on_this_machine(home: Home) -> None:
    at = place(home, None, trust_local_users=True)
    with at.bound:
        assert status(at) == 0
    exposed = place(home, "0.0.0.0", trust_local_users=True)
    with exposed.bound:
        assert status(exposed, own=True) == 401, "a proxy of ours would let everybody in"


def test_reachable_by_others_it_asks_for_a_token_which_is_made_once(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with place(home, "0.0.0.0").bound:
        token = read_token(home)
        assert token is not None
        assert len(token) >= 32
        assert home.token.stat().st_mode & 0o777 == 0o600
    assert "without TLS" in caplog.text
    assert token not in caplog.text
    again = place(home, "0.0.0.0")
    with again.bound:
        assert read_token(home) == token
        assert status(again) == 401
        assert status(again, Authorization=f"Bearer {token}", Host="anything") == 0
    assert own_token(home, {}) == token, "the face of the same home sends it"
    of_config = place(home, "0.0.0.0", token="from-the-config")
    with of_config.bound:
        assert status(of_config, Authorization=f"Bearer {token}") == 401
        assert status(of_config, Authorization="Bearer from-the-config") == 0


def test_tokens_as_typed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--home", str(home.root)]
    shown = []
    for extra in ([], [], ["--new"], []):
        assert cli.main([*root, "token", *extra]) == 0
        shown.append(capsys.readouterr().out.strip())
    assert shown[0] == shown[1] != shown[2] == shown[3]
    home.config.write_text("engine:\n  token: my-own-secret\n")
    assert cli.main([*root, "token"]) == 0
    assert "my-own-secret" not in capsys.readouterr().out
    assert cli.main([*root, "token", "--new"]) == ConfigError.exit_code
    assert "config.yaml" in capsys.readouterr().err


def test_a_token_that_cannot_be_read_is_one_sentence(home: Home) -> None:
    home.token.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="delete it"):
        read_token(home)
    assert own_token(home, {}) is None


def test_a_unix_socket_is_private_and_replaces_a_dead_one(home: Home) -> None:
    path = home.run / "engine.sock"
    first = place(home, socket="run/engine.sock")
    assert first.url == f"unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o600
    first.bound.close()  # killed: the file stays
    second = place(home, socket=str(path))
    with second.bound:
        assert status(second, "", Host="whatever") == 0
    second.close()
    assert not path.exists()
    with pytest.raises(LaunchError, match="short path"):
        place(home, socket="x" * 200)


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    request = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    request += " -addext subjectAltName=DNS:localhost"
    try:
        subprocess.run(
            [*request.split(), "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl")
    return folder


def test_tls_files_that_do_not_fit_are_named(home: Home, certificate: Path) -> None:
    key, cert = str(certificate / "key.pem"), str(certificate / "cert.pem")
    with pytest.raises(LaunchError, match="needs both"):
        place(home, tls_certificate=cert)
    with pytest.raises(LaunchError, match=r"tls_certificate .*nothing"):
        place(home, tls_certificate="nothing.pem", tls_key=key)
    with pytest.raises(LaunchError, match="cannot use"):
        place(home, tls_certificate=key, tls_key=cert)


async def test_an_engine_speaks_tls(tmp_path: Path, certificate: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(
        f"engine:\n  tls_certificate: {certificate}/cert.pem\n  tls_key: {certificate}/key.pem\n"
    )
    (home / "config.yaml").chmod(0o600)
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    async with engine(home) as running:
        assert running.url.startswith("wss://")
        port = int(running.url.split(":")[2].split("/")[0])
        async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
            secure = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
            await secure.send_all(UPGRADE)
            assert bytes(await secure.receive_some()).startswith(b"HTTP/1.1 101")
            assert secure.selected_alpn_protocol() in (None, "http/1.1")
        async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
            await plain.send_all(UPGRADE)
            with trio.fail_after(listener.TLS_HANDSHAKE_S + 2):
                assert b"HTTP" not in bytes(await plain.receive_some())
        running.process.terminate()
        with trio.fail_after(6):
            assert await running.process.wait() == 0


async def test_an_engine_listens_on_a_unix_socket_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text("engine:\n  socket: run/e.sock\n")
    (home / "config.yaml").chmod(0o600)
    running = Process(
        await trio.lowlevel.open_process(command(home, "engine"), stderr=subprocess.DEVNULL),
        home,
    )
    try:
        with trio.fail_after(20):
            while not running.announced:
                await trio.testing.wait_all_tasks_blocked(0.05)
        assert running.url == f"unix:{home}/run/e.sock"
        async with await trio.open_unix_socket(f"{home}/run/e.sock") as stream:
            await stream.send_all(UPGRADE)
            assert bytes(await stream.receive_some()).startswith(b"HTTP/1.1 101")
        running.process.terminate()
        with trio.fail_after(6):
            assert await running.process.wait() == 0
        assert not (home / "run" / "e.sock").exists()
    finally:
        if running.process.poll() is None:
            running.process.kill()
        await running.process.wait()


# --- settings read again --------------------------------------------------------------------------


async def hang_up(running: Process, wire: Wire) -> str:
    """Sends SIGHUP and returns what the engine says about it."""
    running.process.send_signal(signal.SIGHUP)
    with trio.fail_after(10):
        while True:
            content, _ = await wire.until("system_update")
            if "settings" in content.lower():
                return content


async def test_sighup_takes_over_settings_and_worlds_while_a_reply_streams(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with engine(home) as running, connected(running) as wire:
        await begin_story(wire)
        await wire.say("Tell me more.")
        await wire.until("chat_chunk")
        (home / "assets" / "worlds" / "cave.yaml").write_text("id: cave\nname: The Cave\nlore: Deep.\n")
        config = "narrator:\n  seed: 7\nengine:\n  token: brand-new-token\nquick_replies: [I wait.]\n"
        (home / "config.yaml").write_text(config)
        running.process.send_signal(signal.SIGHUP)
        worlds, quick, ended, told = [], [], 0, ""
        with trio.fail_after(20):
            while not (ended and told):
                event, content, metadata = await wire.receive()
                ended += event == "chat_end"
                told = content if event == "system_update" and "read again" in content else told
                if event == "sync_state":
                    worlds = [world["id"] for world in metadata["available_worlds"]]
                    quick = metadata["quick_replies"]
        assert "cave" in worlds
        assert quick == [{"name": "I wait.", "text": "I wait."}]
        assert running.messages()[-1][2] == "complete", "the reply went on"
        async with connected(running, Authorization="Bearer brand-new-token") as another:
            await another.until("sync_state")
        (home / "config.yaml").write_text("narrator: nonsense\n")
        assert "stay as they were" in await hang_up(running, wire)
        assert "brand-new-token" not in output(home)


async def test_wrong_settings_at_the_start_are_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    for text in ("engine:\n  port: many\n", "\x00\xff", "a: [", "engine: {tls_key: x.pem}\n"):
        (home / "config.yaml").write_text(text)
        ended = await trio.run_process(
            command(home, "engine"), capture_stderr=True, check=False, env={**os.environ}
        )
        (line,) = ended.stderr.decode().strip().splitlines()
        assert ended.returncode == 78
        assert line.startswith("flower: ")
