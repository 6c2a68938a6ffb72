"""What lies between a command and its first line of work: ``python -m tests.bench.start``.

Prints medians over interleaved runs, each beside bare Python in the same run. Needs a finished
``./start.sh --setup``.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = str(ROOT / ".venv/bin/python")
RUNS = 40
COMMANDS = {
    "python -c pass": [PYTHON, "-c", "pass"],
    "python -c 'import pathlib'": [PYTHON, "-c", "import pathlib"],
    "python -P -m flower --version": [PYTHON, "-P", "-m", "flower", "--version"],
    "./start.sh --version": [str(ROOT / "start.sh"), "--version"],
}


def main() -> None:
    if not (ROOT / ".venv/flower-stamp").exists():
        sys.exit("Run ./start.sh --setup first, or it would be measured, too.")
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` has read enough: end without a traceback
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}  # works before Flower is installed, too
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, command in COMMANDS.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", env=environ)
            seconds[name].append(time.perf_counter() - begun)
    base = statistics.median(seconds["python -c pass"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(
            f"{name:32} {median * 1000:6.1f} ms   {(median - base) * 1000:+6.1f} ms over bare Python",
            flush=True,
        )


if __name__ == "__main__":
    main()
