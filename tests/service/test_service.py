"""``flower service``: the units it writes, held against systemd's own tools where they are, and what it runs."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from flower.cli import main
from flower.errors import FlowerError, UsageError
from flower.home import Home, open_home
from flower.service import manage, unit
from flower.service.manage import HomeService, ServiceError

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
EXPOSURE_MAX = 2.0


def plan(**changes: object) -> unit.Plan:
    values: dict[str, object] = {
        "name": "flower", "system": True, "python": "/bin/true", "root": "/opt/flo wer", "listen": "127.0.0.1:8000",
        "home": '/srv/100% "mine" $HOME', "always": False, "total_mib": 920,
    }  # fmt: skip
    return unit.Plan(**{**values, **changes})  # type: ignore[arg-type]


def written(folder: Path, made: unit.Plan) -> list[str]:
    texts = {"service": unit.service(made), "socket": unit.socket(made)}
    for kind, text in texts.items():
        (folder / f"{made.name}.{kind}").write_text(text)
    return [str(folder / f"{made.name}.{kind}") for kind in texts]


@needs_systemd
@pytest.mark.parametrize("system", [True, False])
@pytest.mark.parametrize("always", [True, False])
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path, system: bool, always: bool) -> None:
    listen = "127.0.0.1:8000" if system else "/srv/100% mine/run/service.socket"
    files = written(tmp_path, plan(system=system, always=always, listen=listen))
    done = subprocess.run(
        ["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "flower" in line]
    # The user is made by an installation, not by a check of its unit.
    assert [line for line in ours if "Failed to resolve user" not in line] == []
    assert done.returncode == 0 or ours


@needs_systemd
@pytest.mark.parametrize(("system", "below_homes"), [(True, True), (True, False), (False, True)])
def test_a_service_is_closed_in(tmp_path: Path, system: bool, below_homes: bool) -> None:
    """A user's too, where the kernel has user namespaces; its processes are its user's, which costs some tenths."""
    (service, _) = written(tmp_path, plan(system=system, below_homes=below_homes))
    line = ["systemd-analyze", "security", "--offline=true", "--no-pager", service]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    (exposure,) = re.findall(r"Overall exposure level for flower\.service: ([\d.]+)", done.stdout)
    assert float(exposure) <= EXPOSURE_MAX


def test_paths_are_taken_as_they_are() -> None:
    text = unit.service(plan())
    assert '--home "/srv/100%% \\"mine\\" $$HOME" engine --managed' in text
    assert 'Environment="PYTHONPATH=/opt/flo wer"' in text
    assert "ListenStream=/srv/100%% a b" in unit.socket(plan(listen="/srv/100% a b"))
    for bad in ("a\nExecStart=/bin/sh", "a\tb", "a\x1b"):
        with pytest.raises(UsageError, match="move that folder"):
            unit.service(plan(home=bad))
    with pytest.raises(UsageError, match="107 bytes"):
        unit.socket(plan(listen="/" + "x" * 200))


def test_a_users_service_without_user_namespaces_has_what_needs_none(
    home: Home, bin_with_systemctl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Anything more would end it at every start with 218/CAPABILITIES."""
    run = Machine("systemd-run")
    service = services(home, bin_with_systemctl, tmp_path / "units", run)
    service.install()
    assert run.ran[0].startswith(
        "systemd-run --user --wait --quiet -p PrivateUsers=yes -p CapabilityBoundingSet="
    )
    assert "lets no user close a service in" in capsys.readouterr().out
    text = service.service_file.read_text()
    assert "NoNewPrivileges=yes" in text
    for line in unit.walls(plan(system=False)):
        assert line not in text


def test_a_users_service_writes_to_its_home_alone() -> None:
    text = unit.service(plan(system=False, below_homes=True))
    assert 'ProtectSystem=strict\nProtectHome=read-only\nReadWritePaths="/srv/100%%' in text
    assert "ReadWritePaths" not in unit.service(plan()), "a system's has its StateDirectory"


def test_mistakes_do_not_loop_and_the_rest_is_tried_again() -> None:
    text = unit.service(plan())
    assert "RestartPreventExitStatus=2 78" in text
    assert "Restart=on-failure" in text
    assert set(unit.NO_RETRY) == {UsageError.exit_code, 78}


@pytest.mark.parametrize(
    ("total", "high"), [(None, None), (256, 200), (430, 258), (920, 552), (8000, 4800)]
)
def test_memory_is_held_by_the_size_of_the_machine(total: int | None, high: int | None) -> None:
    assert unit.memory_high_mib(total) == high
    assert ("MemoryHigh=" in unit.service(plan(total_mib=total))) == (high is not None)


class Machine:
    """What would have been run, and what it answers."""

    def __init__(self, *failing: str) -> None:
        self.ran: list[str] = []
        self._failing = failing

    def __call__(self, command: Sequence[str]) -> int:
        self.ran.append(" ".join(command))
        return int(any(word in self.ran[-1] for word in self._failing))


@pytest.fixture
def bin_with_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "systemctl").write_text("#!/bin/sh\n")
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return folder


def services(
    home: Home, bin_folder: Path, units: Path, run: Machine, *, system: bool = False
) -> HomeService:
    environ = {"PATH": str(bin_folder), "FLOWER_HOME": str(home.root)}
    return HomeService(home.root, environ, system=system, run=run, units=units)


def test_a_users_service_comes_and_goes(home: Home, bin_with_systemctl: Path, tmp_path: Path) -> None:
    run, units = Machine(), tmp_path / "units"
    service = services(home, bin_with_systemctl, units, run)
    service.install()
    assert f"ListenStream={home.run}/service.socket" in service.socket_file.read_text()
    assert f'--home "{home.root}" engine --managed' in service.service_file.read_text()
    name = service.name
    assert run.ran[0].startswith("systemd-run --user")
    assert run.ran[1:] == [
        "systemctl --user daemon-reload",
        f"systemctl --user enable {name}.socket",
        f"systemctl --user restart {name}.socket",
        "loginctl enable-linger",
    ]
    assert service.status() == 0
    assert service.logs(follow=True) == 0
    assert run.ran[-1] == f"journalctl --user --no-pager -n 100 -u {name}.service -f"
    service.remove()
    assert list(units.iterdir()) == []
    assert home.config.exists()
    with pytest.raises(ServiceError, match="nothing was changed"):
        service.remove()


def test_a_service_for_always_starts_with_the_machine(
    home: Home, bin_with_systemctl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Machine("enable-linger")
    service = services(home, bin_with_systemctl, tmp_path / "units", run)
    service.install(always=True)
    assert "--managed" not in service.service_file.read_text()
    assert f"systemctl --user enable {service.name}.socket {service.name}.service" in run.ran
    assert "sudo loginctl enable-linger" in capsys.readouterr().out


def test_every_home_has_a_service_of_its_own(tmp_path: Path) -> None:
    environ = {"PATH": "", "XDG_DATA_HOME": str(tmp_path)}
    names = {
        HomeService(tmp_path / name, environ, system=False, run=Machine()).name
        for name in ("flower", "a", "b")
    }
    assert "flower" in names
    assert len(names) == 3


def test_what_stands_in_the_way_is_a_sentence(
    home: Home, bin_with_systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = tmp_path / "units"
    with pytest.raises(ServiceError, match="no systemd"):
        services(home, tmp_path, units, Machine()).install()
    with pytest.raises(ServiceError, match="daemon-reload failed"):
        services(home, bin_with_systemctl, units, Machine("daemon-reload")).install()
    with pytest.raises(ServiceError, match="sudo"):
        services(home, bin_with_systemctl, units, Machine(), system=True).install()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ServiceError, match="--system"):
        services(home, bin_with_systemctl, units, Machine()).install()
    monkeypatch.setattr(manage, "_unreadable", lambda path: Path("/home/ada"))
    with pytest.raises(ServiceError, match="cannot read /home/ada"):
        services(home, bin_with_systemctl, units, Machine(), system=True).install()


def test_a_service_of_the_system_has_a_user_of_its_own(
    home: Home, bin_with_systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(manage, "_unreadable", lambda path: None)
    monkeypatch.setattr(unit, "SYSTEM_USER", "flower-nobody-has")
    monkeypatch.setattr(HomeService, "_check_free", lambda *_: None)  # of this machine's ports
    run = Machine()
    service = services(home, bin_with_systemctl, tmp_path / "units", run, system=True)
    service.install(listen="0.0.0.0:9000")
    assert run.ran[0].startswith("useradd --system")
    assert run.ran[1] == "install -d -m 700 -o flower-nobody-has -g flower-nobody-has /var/lib/flower"
    text = service.service_file.read_text()
    assert "User=flower-nobody-has" in text
    assert "ListenStream=0.0.0.0:9000" in service.socket_file.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_a_port_that_is_taken_is_named_before_anything_is_written(
    home: Home, bin_with_systemctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """But for the service's own, which is there when it is installed again."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(manage, "_unreadable", lambda _: None)
    units, machine = tmp_path / "units", Machine()
    with socket.create_server((host.strip("[]"), 0), family=family_of(host)) as taken:
        listen = f"{host}:{taken.getsockname()[1]}"
        with pytest.raises(ServiceError, match=r"cannot listen at .* in use.*; .*--listen"):
            services(home, bin_with_systemctl, units, machine, system=True).install(listen=listen)
        assert not units.exists()
        units.mkdir()
        (units / "flower.socket").write_text(unit.socket(plan(listen=listen)))
        services(home, bin_with_systemctl, units, machine, system=True).install(listen=listen)
    assert (units / "flower.service").exists()


def family_of(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@pytest.mark.parametrize(("text", "address"), [("8000", "127.0.0.1:8000"), ("[::1]:9", "[::1]:9")])
def test_addresses_to_listen_at(text: str, address: str) -> None:
    assert manage.checked_address(text) == address
    for bad in ("", "x", "1:0", "a b:80", "1.2.3.4:70000", "h\n:80"):
        with pytest.raises(UsageError, match="--listen"):
            manage.checked_address(bad)


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["service", "install", "--listen", "80"]) == 2
    assert "needs --system" in capsys.readouterr().err
    assert main(["service", "install", "--help"]) == 0
    assert "--always" in capsys.readouterr().out


def test_a_user_made_for_flower_has_it_for_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The home directory of a person is refused, that of a system's user or a unit's state is not."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    with pytest.raises(FlowerError, match="choose a folder of its own"):
        open_home(tmp_path, {})
    assert open_home(tmp_path, {"STATE_DIRECTORY": str(tmp_path)}).config.exists()
    monkeypatch.setattr(os, "getuid", lambda: 999)
    assert open_home(tmp_path, {}).root == tmp_path
