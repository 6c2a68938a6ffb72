"""Helpers of the recall benchmarks: tables, medians, memory, child processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[3]
MODELS = ROOT / "models"
SHARED = ROOT.parent / "shared" / "minilm"
FP32 = SHARED / "all-MiniLM-L6-v2.fp32.onnx"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints rows under a head, columns aligned."""
    cells = [
        list(head),
        *(
            [f"{value:.4g}" if isinstance(value, float) else str(value) for value in row]
            for row in rows
        ),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print(
            "  "
            + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def memory_mib(key: str = "VmRSS") -> float:
    """Returns the resident memory of this process (``VmHWM``: its peak); Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_child(*arguments: str) -> Any:
    """Runs a part of the benchmark in a process of its own; returns the JSON it prints last."""
    command = [sys.executable, "-m", "tests.bench.recall", "--child", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    return float(np.percentile(np.array(seconds), percent) * 1000)


def make_texts(count: int, seed: int = 0) -> list[str]:
    """Returns paragraphs of about 100 words, put together from the words of the shipped corpus."""
    rng = np.random.default_rng(seed)
    words = (Path(__file__).parent / "vael.md").read_text().replace("#", "").split()
    picks = rng.integers(len(words), size=(count, 100))
    return [" ".join(words[pick] for pick in row) + "." for row in picks]


def make_vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    """Returns vectors of 384 numbers in clusters, as the vectors of text lie."""
    centres = np.random.default_rng(99).normal(size=(200, 384))
    rng = np.random.default_rng(seed)
    found = np.empty((count, 384), np.float32)
    for start in range(0, count, 10_000):
        size = min(10_000, count - start)
        found[start : start + size] = centres[rng.integers(200, size=size)] + rng.normal(
            size=(size, 384)
        )
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found
