"""What is released is the same bytes wherever and whenever it is built from the same files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.paths import ROOT

TOP = ("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "MANIFEST.in", "constraints.txt", "start.sh",
       "setup.cfg", "pyproject.toml")  # fmt: skip
BUILD = "from setuptools import build_meta as b; b.build_sdist('out'); b.build_wheel('out')"
MODEL_BYTES = 64 * 1024
MOMENT = 1_800_000_000
WHEEL, SDIST = "flower_roleplay-*.whl", "flower_roleplay-*.tar.gz"


def build(folder: Path, *, copied_at: float) -> Path:
    """Builds wheel and sdist as ``.ci/release`` does; returns the folder with both."""
    ignored = shutil.ignore_patterns("__pycache__", "*.gguf")
    for name in ("flower", "docs", "models", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in folder.rglob("model.onnx*"):  # packing 20 MB says no more than packing these
        os.truncate(path, MODEL_BYTES)
    for name in TOP:
        shutil.copy(ROOT / name, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (copied_at, copied_at))
    environ = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": str(MOMENT), "LC_ALL": "C.UTF-8"}
    for line in (
        [sys.executable, "-I", "-c", BUILD],
        ["sh", "-c", '"$0" .ci/repack out/*.tar.gz', sys.executable],
    ):
        done = subprocess.run(
            line, cwd=folder, env=environ, umask=0o022, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.timeout(300)
def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """In folders of other names, of files with other times; the script sets the umask."""
    with ThreadPoolExecutor() as both:
        builds = [
            both.submit(build, tmp_path / "here", copied_at=MOMENT - 5_000_000),
            both.submit(build, tmp_path / "some where else", copied_at=MOMENT + 7),
        ]
    one, two = (one.result() for one in builds)
    for pattern in (WHEEL, SDIST):
        (first,), (second,) = one.glob(pattern), two.glob(pattern)
        assert first.name == second.name
        assert first.read_bytes() == second.read_bytes(), first.name
    (wheel,), (sdist,) = one.glob(WHEEL), one.glob(SDIST)
    with zipfile.ZipFile(wheel) as packed, tarfile.open(sdist) as tar:
        names = packed.namelist()
        sources = {member.name.partition("/")[2] for member in tar}
    for needed in ("flower/models/all-MiniLM-L6-v2/model.onnx", "flower/assets/", "flower/starter/"):
        assert [name for name in names if name.startswith(needed)], needed
        assert [name for name in sources if name.startswith(needed)], needed
    assert {"start.sh", "constraints.txt", ".ci/release"} <= sources
