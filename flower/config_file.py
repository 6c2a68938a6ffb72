"""``config.yaml`` changed by the program: one setting at a time, checked first, the file whole at any moment.

Owns the lock of its writers (``run/config.lock``); how the text changes is ``settings/edit.py``'s. Another program
that writes the file meanwhile is not locked out, as editors know no lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flower import file_io, limits
from flower.errors import ConfigError
from flower.file_io import write_whole
from flower.home import Home
from flower.settings import config, edit, safe_yaml
from flower.settings.config import Config

_PRIVATE_FILE = 0o600


def change(home: Home, name: str, value: Any, environ: Mapping[str, str]) -> Config:
    """Sets ``name`` to ``value``, None for as it comes; returns the settings as they are then.

    Raises ``ConfigError`` with a sentence when the value is wrong or the file cannot be changed; it is as before.
    """
    try:
        with _locked(home.run / "config.lock"):
            before = _read(home.config)
            after = edit.with_setting(before, name, value)
            document = safe_yaml.load(after.encode())
            told = config.parse(document.value, document.lines, environ, source=str(home.config))
            if after != before:
                write_whole(home.config.resolve(), [after.encode()])  # through a link to where it is
    except OSError as error:
        raise ConfigError(f"{home.config} cannot be changed ({error.strerror or error})") from error
    return told


def _read(path: Path) -> str:
    try:
        data = file_io.read(path, limits.YAML_BYTES + 1)
    except FileNotFoundError:
        return ""
    if len(data) > limits.YAML_BYTES:
        raise ConfigError(f"{path} is too long to be changed by a program")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8") from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
