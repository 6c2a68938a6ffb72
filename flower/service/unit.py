"""The text of Flower's units: a service, and the socket that starts it. Pure.

A system's service is closed in as far as the engine allows; each line that is less strict than it could be
says why. A user's manager has no privileges: it closes a service in inside a user namespace, where the kernel
lets it make one. Where it does not (``218/CAPABILITIES`` at the start), a user's unit has what holds for anybody:
filters of system calls and the like.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from flower.errors import UsageError

START_S = 600  # a change of the database's form after an update copies it first, on a slow card
WATCHDOG_S = 60
STOP_S = 20
RESTART_S = 10
NO_RETRY = (2, 78)  # wrong usage, wrong settings: flower.errors
MEMORY_SHARE = 0.6  # of the machine: above it the kernel takes back caches and slows the engine down
MEMORY_LEAST_MIB = 200  # the engine with its embedding model
SOCKET_PATH_BYTES = 107  # sun_path
SYSTEM_USER = "flower"


class Plan(Struct, frozen=True, kw_only=True):
    """What a service is written for. ``listen`` is a path or an address as systemd takes it.

    ``always``: it starts with the machine and stays, instead of with a client and until nobody is left.
    """

    name: str
    system: bool
    python: str
    root: str
    home: str
    listen: str
    always: bool
    total_mib: int | None = None
    below_homes: bool = False
    walled: bool = True  # of a user's: whether the kernel lets its manager make user namespaces


def quoted(text: str) -> str:
    """Returns ``text`` as one word of a unit's line, with nothing expanded in it.

    Raises ``UsageError`` for line breaks and other controls, which no unit can hold.
    """
    if not text.isprintable():
        raise UsageError(f"systemd takes no path like {text!r}; move that folder")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def command_word(text: str) -> str:
    """Returns ``text`` as an argument of ``ExecStart=``, where ``$`` expands too."""
    return quoted(text).replace("$", "$$")


def memory_high_mib(total_mib: int | None) -> int | None:
    """Returns above how much memory the kernel holds the engine back; None if nobody knows the machine."""
    if total_mib is None:
        return None
    return max(MEMORY_LEAST_MIB, int(total_mib * MEMORY_SHARE))


def service(plan: Plan) -> str:
    """Returns the service's unit file. Raises ``UsageError``."""
    return _file(
        ("Unit", _unit(plan)),
        ("Service", [*_process(plan), *_limits(plan), *_hardening(plan)]),
        ("Install", [f"WantedBy={'multi-user' if plan.system else 'default'}.target"]),
    )


def socket(plan: Plan) -> str:
    """Returns the socket's unit file. Raises ``UsageError`` if the path is longer than the kernel takes."""
    if len(plan.listen.encode()) > SOCKET_PATH_BYTES:
        raise UsageError(
            f"the path {plan.listen} is longer than {SOCKET_PATH_BYTES} bytes, too long for a socket;"
            " use a home with a shorter one"
        )
    lines = [
        f"ListenStream={quoted(plan.listen)[1:-1]}",  # the rest of the line, whatever is in it
        "SocketMode=0600",
        "RemoveOnStop=yes",
        # An engine that cannot start must not be started again at once by whoever still waits at the door.
        "FlushPending=yes",
    ]
    if plan.listen.startswith("/"):
        lines.append("DirectoryMode=0700")
    else:
        lines.append("NoDelay=yes")
    return _file(
        ("Unit", [f"Description=Flower's door ({plan.name})"]),
        ("Socket", lines),
        ("Install", ["WantedBy=sockets.target"]),
    )


def _file(*sections: tuple[str, Iterable[str]]) -> str:
    return "\n".join("\n".join([f"[{name}]", *lines, ""]) for name, lines in sections)


def _unit(plan: Plan) -> Iterator[str]:
    yield "Description=Flower, a roleplay engine"
    yield f"Requires={plan.name}.socket"
    yield f"After={plan.name}.socket{' network.target' if plan.system else ''}"
    yield "StartLimitIntervalSec=0"  # a pause of RestartSec between tries is limit enough


def _process(plan: Plan) -> Iterator[str]:
    yield "Type=notify"
    if plan.system:
        yield from (f"User={SYSTEM_USER}", f"Group={SYSTEM_USER}")
        yield from (f"StateDirectory={SYSTEM_USER}", "StateDirectoryMode=0700")
    yield "Environment=PYTHONDONTWRITEBYTECODE=1"  # the program's folder is not the engine's to write to
    yield f"Environment={quoted(f'PYTHONPATH={plan.root}')}"
    stays = "" if plan.always else " --managed"
    yield (
        f"ExecStart={quoted(plan.python)} -P -m flower --home {command_word(plan.home)} engine{stays}"
    )
    yield "ExecReload=/bin/kill -HUP $MAINPID"
    yield "Restart=on-failure"
    yield f"RestartSec={RESTART_S}"
    yield f"RestartPreventExitStatus={' '.join(map(str, NO_RETRY))}"
    yield f"TimeoutStartSec={START_S}"
    yield f"TimeoutStopSec={STOP_S}"
    yield f"WatchdogSec={WATCHDOG_S}"
    yield "UMask=0077"


def _limits(plan: Plan) -> Iterator[str]:
    high = memory_high_mib(plan.total_mib)
    if high is not None:
        yield f"MemoryHigh={high}M"
    yield "TasksMax=128"
    yield "OOMScoreAdjust=200"  # stories are on disk: sooner the engine than the desktop


def _hardening(plan: Plan) -> Iterator[str]:
    yield "NoNewPrivileges=yes"
    yield "LockPersonality=yes"
    yield "MemoryDenyWriteExecute=yes"
    yield "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX"
    yield "RestrictNamespaces=yes"
    yield "RestrictRealtime=yes"
    yield "RestrictSUIDSGID=yes"
    yield "SystemCallArchitectures=native"
    yield "SystemCallFilter=@system-service"
    yield "SystemCallErrorNumber=EPERM"
    if plan.system or plan.walled:
        yield "SystemCallFilter=~@privileged @resources"
        yield "SystemCallFilter=setpriority"  # downwards alone: embedding goes after all else
        yield from walls(plan)


def walls(plan: Plan) -> Iterator[str]:
    """Yields what takes the rest of the machine out of the engine's reach."""
    yield "PrivateUsers=yes"  # first in a user's manager, which can do the rest only inside
    yield "CapabilityBoundingSet="
    yield "AmbientCapabilities="
    yield "ProtectSystem=strict"
    # Where the program itself is below /home or /root it must be read; nothing there is written. Of a user's home
    # it also reads lore folders, wherever they are.
    yield f"ProtectHome={'read-only' if plan.below_homes or not plan.system else 'yes'}"
    if not plan.system:
        yield f"ReadWritePaths={quoted(plan.home)}"
    yield from (
        "PrivateTmp=yes", "PrivateDevices=yes", "ProtectClock=yes", "ProtectHostname=yes",
        "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes", "ProtectProc=invisible", "RemoveIPC=yes", "KeyringMode=private",
    )  # fmt: skip
    # ProcSubset=pid is left out: onnxruntime reads /proc/cpuinfo to know an ARM processor.
