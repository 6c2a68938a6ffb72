"""``flower service``: units written for the paths found here, and handed to systemd.

Owns two files per service and nothing else. Stories stay where they are whatever is installed or removed. Every
command that is run is printed first, so that it can be repeated and undone by hand.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import structs

import flower
from flower import file_io, machine
from flower.errors import FlowerError, UsageError, printable_line
from flower.home import Home, default_path
from flower.launch import service_socket
from flower.protocol import PORT
from flower.service import unit

SYSTEM_HOME = Path("/var/lib") / unit.SYSTEM_USER
SYSTEM_UNITS = Path("/etc/systemd/system")
LOG_LINES = "100"
UNIT_BYTES = 64 * 1024  # of a unit that is read; ours have less than one of them

Run = Callable[[Sequence[str]], int]


class ServiceError(FlowerError):
    """systemd is not there, or refused."""


class HomeService:
    """The service of one home. ``run`` carries out a command and returns its exit code."""

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str],
        *,
        system: bool,
        run: Run,
        units: Path | None = None,
    ) -> None:
        self.home = SYSTEM_HOME if system else home
        self._environ = environ
        self._system = system
        self._run_command = run
        self.units = units or (SYSTEM_UNITS if system else _user_units(environ))
        self.name = _name(self.home, environ, system=system)

    @property
    def service_file(self) -> Path:
        return self.units / f"{self.name}.service"

    @property
    def socket_file(self) -> Path:
        return self.units / f"{self.name}.socket"

    def plan(self, *, listen: str, always: bool) -> unit.Plan:
        """Returns what the units are written for: this Python, this checkout, this machine."""
        root = str(Path(flower.__file__).parents[1])
        return unit.Plan(
            name=self.name,
            system=self._system,
            python=sys.executable,
            root=root,
            home=str(self.home),
            listen=listen or self._default_place(),
            always=always,
            total_mib=machine.total_mib(),
            below_homes=any(_below_homes(path) for path in (root, os.path.realpath(sys.executable))),
        )

    def install(self, *, listen: str = "", always: bool = False) -> None:
        """Writes the units and starts them. Raises ``FlowerError``."""
        self._check()
        plan = self.plan(listen=listen, always=always)
        self._check_free(plan.listen)
        if not self._system and self._run(self._try_walls(plan)):
            print("This kernel lets no user close a service in; it gets what needs no user namespace.")
            plan = structs.replace(plan, walled=False)
        texts = {self.socket_file: unit.socket(plan), self.service_file: unit.service(plan)}
        if self._system:
            self._make_user()
        try:
            self.units.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                path.write_text(text)
                path.chmod(0o644)
                print(f"wrote {printable_line(path)}")
        except OSError as error:
            raise ServiceError(f"cannot write to {self.units} ({error.strerror or error})") from error
        self._systemctl("daemon-reload")
        units = [self.socket_file.name, *([self.service_file.name] if always else [])]
        self._systemctl("enable", *units)
        self._systemctl("restart", *units)
        if not self._system and self._run(["loginctl", "enable-linger"]):
            print("It runs while you are logged in; for always: sudo loginctl enable-linger $USER")
        print(f"Flower starts {'with the machine' if always else 'with the first client'}.")

    def remove(self) -> None:
        """Stops the service and takes its units away; stories and settings stay. Raises ``FlowerError``."""
        self._check()
        if not self.service_file.exists() and not self.socket_file.exists():
            raise ServiceError(f"there is no service {self.name}; nothing was changed")
        self._run(self._control("disable", "--now", self.socket_file.name, self.service_file.name))
        for path in (self.service_file, self.socket_file):
            path.unlink(missing_ok=True)
        self._systemctl("daemon-reload")
        print(f"Removed. Your stories stay in {printable_line(self.home)}.")
        if not self._system:
            print("Other services of yours may need lingering; if none: loginctl disable-linger")

    def status(self) -> int:
        """Shows what systemd knows; returns its exit code: 0 runs, 3 does not, 4 is not installed."""
        self._check(writes=False)
        return self._run(
            self._control("status", "--no-pager", self.service_file.name, self.socket_file.name)
        )

    def logs(self, *, follow: bool = False) -> int:
        """Shows the last lines of the journal; returns the exit code of ``journalctl``."""
        self._check(writes=False)
        return self._run([
            "journalctl", *self._user_flag, "--no-pager", "-n", LOG_LINES, "-u", self.service_file.name,
            *(["-f"] if follow else []),
        ])  # fmt: skip

    def _try_walls(self, plan: unit.Plan) -> list[str]:
        """Returns the command that shows whether the kernel lets this user's manager close a service in."""
        lines = (line for line in unit.walls(plan) if not line.startswith("ReadWritePaths="))
        properties = [word for line in lines for word in ("-p", line)]
        return ["systemd-run", *self._user_flag, "--wait", "--quiet", *properties, "true"]

    def _default_place(self) -> str:
        return f"127.0.0.1:{PORT}" if self._system else str(service_socket(Home(self.home)))

    def _check(self, *, writes: bool = True) -> None:
        if shutil.which("systemctl", path=self._environ.get("PATH")) is None:
            raise ServiceError(
                "this system has no systemd; have `flower engine` started by what it has instead"
            )
        if self._system and writes:
            if os.geteuid():
                raise ServiceError("a service of the system needs root; put sudo before the command")
            hidden = _unreadable(Path(flower.__file__).parent) or _unreadable(
                Path(os.path.realpath(sys.executable))
            )
            if hidden is not None:
                raise ServiceError(
                    f"the user {unit.SYSTEM_USER} cannot read {hidden}; move Flower to /opt/flower, say"
                )
        elif not self._system and writes and not os.geteuid():
            raise ServiceError("root needs no service of its own; use --system, or do without sudo")

    def _check_free(self, listen: str) -> None:
        """Raises ``ServiceError`` if somebody else listens there: systemd would only say that a job failed."""
        if listen.startswith("/") or self._installed_at(listen):
            return
        host, _, port = listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host.strip("[]"), int(port)))
            except OSError as error:
                raise ServiceError(
                    f"it cannot listen at {listen} ({error.strerror or error}); stop what does, or choose"
                    " another place with --listen"
                ) from error

    def _installed_at(self, listen: str) -> bool:
        try:
            text = file_io.read(self.socket_file, UNIT_BYTES)
        except OSError:
            return False
        return f"ListenStream={listen}\n".encode() in text

    def _make_user(self) -> None:
        try:
            pwd.getpwnam(unit.SYSTEM_USER)
        except KeyError:
            line = ["useradd", "--system", "--user-group", "--no-create-home",
                    "--home-dir", str(SYSTEM_HOME), "--shell", "/usr/sbin/nologin", unit.SYSTEM_USER]  # fmt: skip
            if self._run(line):
                raise ServiceError(
                    f"cannot make the user {unit.SYSTEM_USER}; see the message above"
                ) from None
        # The unit would make it at its first start; its token may be asked for before that.
        who = ["-o", unit.SYSTEM_USER, "-g", unit.SYSTEM_USER]
        if self._run(["install", "-d", "-m", "700", *who, str(self.home)]):
            raise ServiceError(f"cannot make {self.home}; see the message above")

    def _systemctl(self, *arguments: str) -> None:
        if self._run(self._control(*arguments)):
            raise ServiceError(f"systemctl {arguments[0]} failed; see the message above")

    def _control(self, *arguments: str) -> list[str]:
        return ["systemctl", *self._user_flag, *arguments]

    @property
    def _user_flag(self) -> list[str]:
        return [] if self._system else ["--user"]

    def _run(self, command: Sequence[str]) -> int:
        print(f"$ {printable_line(shlex.join(command))}", flush=True)
        return self._run_command(command)


def run_command(command: Sequence[str]) -> int:
    """Runs ``command`` with this terminal; returns its exit code, 127 if it does not exist."""
    import subprocess

    try:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - our own words, no shell
    except FileNotFoundError:
        print(f"there is no {printable_line(command[0])} here", file=sys.stderr)
        return 127


def checked_address(text: str) -> str:
    """Returns ``[HOST:]PORT`` as systemd takes it; raises ``UsageError``."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536) or (
        host and not all(char.isascii() and (char.isalnum() or char in ".:[]") for char in host)
    ):
        raise UsageError(f"--listen must be an address like 127.0.0.1:{PORT}")
    return f"{host or '127.0.0.1'}:{port}"


def _user_units(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base else Path("~/.config").expanduser()) / "systemd" / "user"


def _name(home: Path, environ: Mapping[str, str], *, system: bool) -> str:
    """Returns the units' name: another one for every further home of a user."""
    usual = default_path({name: value for name, value in environ.items() if name != "FLOWER_HOME"})
    if system or home == usual:
        return "flower"
    return f"flower-{zlib.crc32(os.fsencode(home)):08x}"


def _below_homes(path: str) -> bool:
    return path.startswith(("/home/", "/root/", "/run/user/"))


def _unreadable(path: Path) -> Path | None:
    """Returns the first folder on the way to ``path`` that others may not pass; None if they may."""
    for folder in (*reversed(path.parents), path):
        if not folder.stat().st_mode & 0o001 and folder.is_dir():
            return folder
    return None
