"""What a small board suffers from: a slow or dying card, too little power, a clock that nobody set.

Measures and reads; what it writes for that is gone afterwards. Each look returns what was found and what to do, ""
when all is well.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SYNCS = 9  # the median of so many: a card is slow at times, a slow card always
SYNC_SLOW_S = (
    0.25  # twice a second a growing reply is synced; the rest of the engine waits for none of it
)
SYNC_BYTES = 4096
EARLIEST = 1_767_225_600.0  # 2026: no clock that was ever set is before it
TOOL_S = 5.0
# Bits of vcgencmd get_throttled: now, and since the board was switched on.
_THROTTLED = ((0, "too little power"), (1, "clocked down"), (2, "throttled"), (3, "too hot"))
_SINCE = 16


def sync_times(folder: Path, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Returns how many seconds each of a few small writes took until it was on the disk; raises ``OSError``."""
    path = folder / f"sync-{os.getpid()}.probe"
    seconds = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        for _ in range(SYNCS):
            begun = clock()
            os.write(descriptor, b"\0" * SYNC_BYTES)
            os.fsync(descriptor)
            seconds.append(clock() - begun)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
    return seconds


def judged_syncs(seconds: list[float]) -> tuple[str, str]:
    """Returns what the times say, and advice. Pure."""
    middle, worst = statistics.median(seconds), max(seconds)
    finding = f"a write is safe after {middle * 1000:.1f} ms, {worst * 1000:.0f} at worst"
    if middle <= SYNC_SLOW_S:
        return finding, ""
    return finding, "the card or disk is slow or dying; make a backup elsewhere, and try another one"


def throttling(word: str) -> tuple[str, str]:
    """Returns what ``throttled=0x50005`` of ``vcgencmd get_throttled`` means, and advice. Pure."""
    digits = word.strip().rpartition("=")[2].removeprefix("0x")
    try:
        bits = int(digits, 16)
    except ValueError:
        return "not known", ""
    now = [name for bit, name in _THROTTLED if bits >> bit & 1]
    since = [name for bit, name in _THROTTLED if bits >> (bit + _SINCE) & 1 and name not in now]
    sentences = [
        *(f"{name} now" for name in now),
        *(f"{name} since it was switched on" for name in since),
    ]
    if not sentences:
        return "enough", ""
    cools = any(name == "too hot" for name in (*now, *since))
    return ", ".join(
        sentences
    ), "cool the board" if cools else "use the board's own power supply and a short cable"


def asked_throttling() -> str | None:
    """Returns what ``vcgencmd`` answers; None where there is none, or no answer."""
    tool = shutil.which("vcgencmd")
    if tool is None:
        return None
    line = [tool, "get_throttled"]
    try:
        done = subprocess.run(  # noqa: S603 - the board's own tool
            line, capture_output=True, text=True, timeout=TOOL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def clock(now: float) -> tuple[str, str]:
    """Returns what the Unix time ``now`` says about the clock, and advice. Pure but for the time zone."""
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(now))
    if now >= EARLIEST:
        return day, ""
    return (
        day,
        "it was never set, so dates of stories are wrong: connect to a network, or set it with `date`",
    )
