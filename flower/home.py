"""The user's directory: where everything of theirs lives, made on the first start.

Owns the paths under ``FLOWER_HOME`` and their permissions (0700, files 0600); reads ``config.yaml`` and changes it, one
setting at a time, for those who do not write it by hand; reads and makes the access token. It never looks into the
database, the index or the stories.

Both processes import this before anything is on screen, so the module top stays light: dataclasses,
typing and platformdirs cost 10 to 15 ms each on a PC and several times that on a small board.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from flower import file_io, limits
from flower.errors import ConfigError, YamlError

TYPE_CHECKING = False  # typing's own costs 6 ms to import; type checkers know the name
if TYPE_CHECKING:
    from typing import Any

    from flower.settings.config import Config

_STARTER = Path(__file__).parent / "starter"  # config.yaml and example assets for a first start
_FOLDERS = ("assets", "import", "index", "logs", "models", "run")
_PEOPLE_FROM = 1000  # user numbers, by the convention of /etc/login.defs
_PRIVATE_DIR = 0o700
_PRIVATE_FILE = 0o600


class Home:
    """The paths of one home directory. A value: making one touches nothing."""

    __slots__ = (
        "assets", "config", "database", "imports", "index", "logs", "models", "root", "run", "token",
    )  # fmt: skip

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.token = root / "token"  # the access token that Flower made itself, if it has
        self.database = root / "flower.db"
        self.index = root / "index"
        self.assets = root / "assets"
        self.imports = root / "import"  # what is put here is imported
        self.logs = root / "logs"
        self.models = root / "models"
        self.run = root / "run"  # locks, addresses, drafts; may be emptied when no process runs

    def __repr__(self) -> str:
        return f"Home({str(self.root)!r})"


def default_path(environ: Mapping[str, str]) -> Path:
    """Returns ``FLOWER_HOME``, else the platform's directory for a user's data."""
    chosen = environ.get("FLOWER_HOME", "")
    if chosen:
        return expanded(chosen, "FLOWER_HOME")
    platform: str = sys.platform  # a plain text: type checkers would call one of the branches dead
    if platform == "linux":
        # What platformdirs answers on Linux, without its 15 ms; a test compares the two.
        base = environ.get("XDG_DATA_HOME", "").strip()
        if base:
            return Path(base) / "flower"
        own = user_home()
        if own is None:
            raise ConfigError(
                "this user has no home directory; set FLOWER_HOME or --home to a folder for Flower"
            )
        return own / ".local" / "share" / "flower"
    import platformdirs

    return Path(platformdirs.user_data_dir("flower", appauthor=False))


def expanded(path: str, what: str) -> Path:
    """Returns ``path`` with a leading ``~`` or ``~NAME`` replaced.

    Raises ``ConfigError``, which names ``what``, when nobody knows that user's home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{what} is {path!r}, but the home of that user is not known here; write the whole path"
        ) from None


def user_home() -> Path | None:
    """Returns the user's home directory; None for a user without one, as in a container."""
    try:
        own = Path.home()
    except (RuntimeError, KeyError):
        return None
    return own if own.is_absolute() else None


def open_home(path: Path | None, environ: Mapping[str, str], *, reads_only: bool = False) -> Home:
    """Returns the home at ``path`` (default: ``default_path``), made ready to use.

    With ``reads_only`` a home on a disk that cannot be written to is taken as it is.

    Directories that are missing are made, private to the user. A missing ``config.yaml`` is written,
    all comments; example assets come with a new ``assets/`` and stay deleted once deleted.
    Raises ``ConfigError`` with one sentence if the place cannot be used.
    """
    chosen = expanded(str(path), "--home") if path else default_path(environ)
    root = Path(os.path.abspath(chosen))
    if root == Path(root.anchor) or (root == user_home() and not _is_service(root, environ)):
        raise ConfigError(f"{root} cannot be Flower's home; choose a folder of its own with --home")
    home = Home(root)
    try:
        _make(home)
    except OSError as error:
        if reads_only and home.root.is_dir():
            return home
        raise ConfigError(
            f"cannot use {root} as Flower's home ({error.strerror or error}); "
            "set FLOWER_HOME or --home to a folder you can write to"
        ) from error
    return home


def _is_service(root: Path, environ: Mapping[str, str]) -> bool:
    """Whether this user has its home directory for Flower alone.

    A person's is full of other things, and would be closed to others. A system's user, which by
    convention has a number below 1000, and one whom systemd gave the folder as its state have nothing else.
    """
    states = environ.get("STATE_DIRECTORY", "").split(":")
    return str(root) in states or 0 < os.getuid() < _PEOPLE_FROM


def _make(home: Home) -> None:
    home.root.mkdir(mode=_PRIVATE_DIR, parents=True, exist_ok=True)
    _tighten(home.root, _PRIVATE_DIR)
    first = not home.assets.exists()
    for name in _FOLDERS:
        (home.root / name).mkdir(mode=_PRIVATE_DIR, exist_ok=True)
    if first:
        for source in sorted((_STARTER / "assets").rglob("*.yaml")):
            _write_new(source, home.root / source.relative_to(_STARTER))
    if home.config.exists():
        _tighten(home.config, _PRIVATE_FILE)
    else:
        _write_new(_STARTER / "config.yaml", home.config)
    if not os.access(home.run, os.W_OK | os.X_OK):
        raise PermissionError(None, "no permission to write there")


def _tighten(path: Path, mode: int) -> None:
    """Takes other people's access away; a folder that is not ours to change stays as it is."""
    status = path.stat()
    if status.st_mode & 0o777 & ~mode and status.st_uid == os.getuid():
        path.chmod(mode)


def _write_new(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=_PRIVATE_DIR, exist_ok=True)
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE_FILE)
    except FileExistsError:
        return  # another process's first start, at this very moment
    with open(descriptor, "wb") as out:
        out.write(source.read_bytes())


def load_config(home: Home, environ: Mapping[str, str]) -> Config:
    """Returns the settings of ``config.yaml`` and the environment; a missing file means defaults.

    Raises ``ConfigError`` that names file, line and key. It never quotes a value.
    """
    from flower.settings import (
        config,
    )  # msgspec, as PyYAML below: 50 ms that a first frame cannot wait for

    try:
        data = file_io.read(home.config, limits.YAML_BYTES + 1)
    except FileNotFoundError:
        data = b""
    except OSError as error:
        raise ConfigError(f"cannot read {home.config} ({error.strerror or error})") from error
    if _sets_nothing(data):
        return config.parse(None, {}, environ, source=str(home.config))
    from flower.settings import safe_yaml

    try:
        document = safe_yaml.load(data)
    except YamlError as error:
        raise ConfigError(f"{home.config}, {error}") from error
    return config.parse(document.value, document.lines, environ, source=str(home.config))


def _sets_nothing(data: bytes) -> bool:
    """Whether there are only comments, as in a new home: PyYAML need not be loaded for that."""
    if not data.isascii():
        return False  # YAML knows ends of lines that bytes do not
    return all(not line or line.startswith(b"#") for line in map(bytes.strip, data.splitlines()))


def change_setting(home: Home, name: str, value: Any, environ: Mapping[str, str]) -> Config:
    """Sets ``name`` in ``config.yaml`` to ``value``, None for as it comes; returns the settings as they are then.

    The file is whole at any moment. Another program that writes it meanwhile is not locked out, as editors know no
    lock. Raises ``ConfigError`` with a sentence when the value is wrong or the file cannot be changed; it is as before.
    """
    from flower.settings import config, edit, safe_yaml

    try:
        with _locked(home.run / "config.lock"):
            before = _config_text(home.config)
            after = edit.with_setting(before, name, value)
            document = safe_yaml.load(after.encode())
            checked = config.parse(document.value, document.lines, environ, source=str(home.config))
            if after != before:
                path = home.config.resolve()  # through a link to where it is
                file_io.write_whole(path, [after.encode()])
    except OSError as error:
        raise ConfigError(f"{home.config} cannot be changed ({error.strerror or error})") from error
    return checked


def _config_text(path: Path) -> str:
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


# --- The access token, asked for by an engine that others can reach.


def read_token(home: Home) -> str | None:
    """Returns the token that was made for this home, None if there is none. Raises ``ConfigError``."""
    try:
        return file_io.read_text(home.token, limits.KEY_BYTES).strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {home.token}; delete it and run `flower token`") from error


def make_token(home: Home) -> str:
    """Returns a new token, which is the home's from now on. Raises ``ConfigError``."""
    import secrets  # 5 ms that only this needs

    token = secrets.token_urlsafe(limits.TOKEN_BYTES)
    try:
        file_io.write_whole(home.token, [f"{token}\n".encode()])
    except OSError as error:
        raise ConfigError(f"cannot write {home.token} ({error.strerror or error})") from error
    return token


def own_token(home: Home, environ: Mapping[str, str]) -> str | None:
    """Returns the token that this home's engine asks for, None if it asks for none.

    Whether it will ask depends on where it listens; a token it does not ask for does no harm. Most
    people have none, and reading the whole config costs 50 ms before the first frame: a glance at
    the file decides whether it must be read. A broken config is for the engine to report.
    """
    try:
        lines = file_io.read(home.config, limits.YAML_BYTES).splitlines()
        if any(b"token:" in line and not line.lstrip().startswith(b"#") for line in lines):
            token = load_config(home, environ).engine.token
            if token:
                return token
        return read_token(home)
    except (OSError, ConfigError):
        return None
