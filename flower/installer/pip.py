"""Runs pip in the environment, out of the wheel that comes with Python, and shows what it is doing.

pip itself is not installed: it would be a tenth of what is there, and nothing needs it to play.
"""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from flower.errors import printable, printable_line
from flower.installer.failures import InstallError, explain

TAIL_LINES = 12
LOOK_EVERY_S = 0.5
_DEBIAN_WHEELS = "/usr/share/python-wheels"


def bundled() -> Path | None:
    """Returns the wheel of pip that came with this Python; None where a system package is missing."""
    try:
        import ensurepip
    except ImportError:
        return None
    folders = [
        sysconfig.get_config_var("WHEEL_PKG_DIR"),
        Path(ensurepip.__file__).with_name("_bundled"),
        _DEBIAN_WHEELS,
    ]
    for folder in folders:
        wheels = sorted(Path(folder).glob("pip-*.whl")) if folder else []
        if wheels:
            return wheels[-1]
    return None


class Pip:
    """pip for one environment. ``offline``: a folder of wheels that is to serve without an index."""

    def __init__(self, root: Path, venv: Path, *, offline: Path | None = None) -> None:
        self._root = root
        self._venv = venv
        self.offline = offline
        self.python = venv / "bin" / "python"
        self.log = venv / "setup.log"
        self._unpacking = venv / "unpacking"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def was_cut_off(self) -> bool:
        """Whether a pip was killed while it unpacked: it takes packages for whole that are half there."""
        if not self._unpacking.exists():
            return False
        try:
            return "\nInstalling collected packages" in f"\n{self.log.read_text(errors='replace')}"
        except OSError:
            return False

    def install(self, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Installs; raises ``InstallError`` with a sentence."""
        self.run("install", "-c", str(self._root / "constraints.txt"), *arguments, environ=environ)

    def run(self, action: str, *arguments: str, environ: Mapping[str, str] | None = None) -> None:
        """Runs ``pip action arguments``; raises ``InstallError`` with a sentence for what went wrong."""
        wheel = bundled()
        assert wheel is not None, "looked for before"
        scratch = self._venv / "tmp"  # /tmp is often a small RAM disk on a Raspberry Pi
        scratch.mkdir(exist_ok=True)
        self._unpacking.touch()
        # -s, and no PYTHONPATH: what lies in the user's own folders is no part of this environment.
        line = [str(self.python), "-s", f"{wheel}/pip", action, "--no-input", *arguments]
        if action in ("install", "wheel"):
            line[5:5] = ["--progress-bar", "off"]
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our interpreter, Python's pip
                line,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=scratch,
                env=self._environ(scratch, environ or {}),
            )
        code = self._watch(self._child)
        self._child = None
        self._unpacking.unlink(missing_ok=True)  # it ended by itself, so it has cleaned up after itself
        if code:
            text = self.log.read_text(errors="replace")
            print(printable("\n".join(text.splitlines()[-TAIL_LINES:])), file=sys.stderr)
            sentence = explain(text, offline=self.offline is not None)
            raise InstallError(f"{sentence} (the whole log is {self.log})")
        _remove_tree(scratch)

    def stop(self) -> None:
        """Ends a pip that is at work and waits for it."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            self._child.wait()

    def _environ(self, scratch: Path, more: Mapping[str, str]) -> dict[str, str]:
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environ.setdefault("PIP_RETRIES", "2")  # five take a minute to say that there is no network
        if self.offline is not None:
            environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.offline)}
        environ |= {"TMPDIR": str(scratch), "PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        return {**environ, **more}

    def _watch(self, child: subprocess.Popen[bytes]) -> int:
        begun, line = time.monotonic(), ""
        while True:
            try:
                code = child.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                code = None
            line = _show(_progress(self.log), line, time.monotonic() - begun)
            if code is not None:
                if sys.stderr.isatty():
                    print("\r\033[K", end="", file=sys.stderr, flush=True)
                return code


def _progress(log: Path) -> str:
    """Returns what pip is doing, from the end of its log."""
    words = {
        "Collecting": "found {}",
        "Downloading": "downloading {}",
        "Building": "compiling {}",
        "Installing": "unpacking all packages",
    }
    for line in reversed(log.read_text(errors="replace").splitlines()):
        first, _, rest = line.strip().partition(" ")
        if first not in words or (first == "Building" and not rest.startswith("wheel for ")):
            continue
        if first == "Installing" and not rest.startswith("collected packages"):
            continue
        what = rest.removeprefix("wheel for ").split(" ")[0]
        if first == "Downloading":
            size = rest.partition("(")[2].rstrip(")")
            what = f"{what.rpartition('/')[2].partition('-')[0]}{f' ({size})' if size else ''}"
        return words[first].format(what)
    return ""


def _show(now: str, before: str, seconds: float) -> str:
    """One changing line on a terminal, else a line for every change."""
    if sys.stderr.isatty():
        print(
            f"\r\033[K      {seconds:3.0f} s  {printable_line(now)[:60]}",
            end="",
            file=sys.stderr,
            flush=True,
        )
    elif now and now != before:
        print(f"      {printable_line(now)}", file=sys.stderr, flush=True)
    return now


def _remove_tree(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


# --- which packages Flower asks for: ``setup.cfg`` is the one place where they are written down

LATER = "hnswlib"  # compiled in most places, and nothing waits for it
DEVELOPERS = ("test", "model")  # their tools use parts of packages that playing never needs


def requirements(setup_cfg: str, extras: Iterable[str]) -> list[str]:
    """Returns the requirements of Flower and of ``extras``, a line each, all but the one that comes later."""
    config = configparser.ConfigParser()
    config.read_string(setup_cfg)
    texts = [config["options"]["install_requires"]]
    texts += [config["options.extras_require"][extra] for extra in extras]
    lines = [line.strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#") and line.split()[0] != LATER]
