"""What the machine has: free memory, mains power, which system it is; and what of it a process can give back.

Reads ``/proc``, ``/sys`` and what Python knows about itself; changes nothing of the machine.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

KIB_PER_MIB = 1024
_DONT_NEED = 4  # MADV_DONTNEED of Linux
_NEVER_LIMITED = 1 << 50  # cgroups say "max", older ones a number near 2**63


def total_mib(root: Path = Path("/")) -> int | None:
    """Returns the memory of the machine, or of the group this process is confined to; None if unknown."""
    total = _meminfo(root).get("MemTotal")
    limits = [*_limits(root), *([total] if total is not None else [])]
    return min(limits) if limits else None


def free_mib(root: Path = Path("/")) -> int | None:
    """Returns how much memory a new program could have, swap included; None if unknown."""
    figures = _meminfo(root)
    if "MemAvailable" not in figures:
        return None
    free = figures["MemAvailable"] + figures.get("SwapFree", 0)
    return min([free, *_limits(root)])


def _meminfo(root: Path) -> dict[str, int]:
    figures = {}
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        words = value.split()
        if words and words[0].isdecimal():
            figures[name] = int(words[0]) // KIB_PER_MIB
    return figures


def _limits(root: Path) -> list[int]:
    """The memory limits of this process's group and of those around it, in MiB."""
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers == "":  # version 2: one tree for everything
            top, file = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):  # version 1, in older containers
            top, file = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        folder = top / group.strip("/")
        while folder != top.parent and len(folder.parts) >= len(top.parts):
            text = _read(folder / file).strip()
            if text.isdecimal() and int(text) < _NEVER_LIMITED:
                limits.append(int(text) >> 20)
            folder = folder.parent
    return limits


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def on_battery(root: Path = Path("/")) -> bool:
    """Whether the machine's own battery, not one of a mouse, gives its power now.

    Format: ``Documentation/ABI/testing/sysfs-class-power`` of Linux.
    """
    for supply in sorted((root / "sys/class/power_supply").glob("*")):
        own = _read(supply / "scope").strip() != "Device"
        if own and _read(supply / "status").strip() == "Discharging":
            return True
    return False


def is_32_bit() -> bool:
    return sys.maxsize < 2**32


def is_musl() -> bool:
    """Whether Python was built for musl, as on Alpine: onnxruntime has no builds for it."""
    names = (sysconfig.get_config_var("SOABI"), sysconfig.get_config_var("HOST_GNU_TYPE"))
    return any("musl" in str(name) for name in names)


def give_back() -> bool:
    """Gives what is free back to the system; returns whether this C library can (glibc does)."""
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is None:
        return False
    trim(0)
    return True


def let_go() -> int:
    """Lets go of the code and constants of all that is loaded; returns of how many pieces.

    Most of a program is read once, when it starts; what is needed again comes from the system's cache. Only pieces
    that are as on the disk are meant, and stay where they are as long as the process. Only Linux has this.
    """
    import ctypes

    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None:
        return 0
    pieces = 0
    for first, end in unchanged_pieces(_read(Path("/proc/self/smaps"))):
        pieces += advise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _DONT_NEED) == 0
    return pieces


def unchanged_pieces(smaps: str) -> list[tuple[int, int]]:
    """Returns begin and end of what ``/proc/PID/smaps`` shows of libraries as it is on the disk.

    A library's constants that its loader has changed are left out: they are on no disk. So is a library that
    another thread is about to load: what it may write is mapped last, into what looks unchanged before.
    """
    pieces, loaded = [], set()
    begin = end = 0
    path = ""
    for line in smaps.splitlines():
        name, *words = line.split(maxsplit=5)
        if not name.endswith(":"):
            begin, end = (int(part, 16) for part in name.split("-"))
            path = words[4] if len(words) == 5 and words[4].startswith("/") else ""
            if "w" in words[0]:
                loaded.add(path)
                path = ""
        elif name == "Anonymous:" and words[0] == "0" and path:
            pieces.append((path, begin, end))
    return [(begin, end) for path, begin, end in pieces if path in loaded]
