"""The access token that Flower makes itself: the file ``token`` in the home, for its owner alone.

Asked for only by an engine that others can reach and whose config names no token of its own.
"""

from __future__ import annotations

from pathlib import Path

from flower import file_io, limits
from flower.errors import ConfigError
from flower.file_io import write_whole
from flower.home import Home


def path_of(home: Home) -> Path:
    return home.root / "token"


def read(home: Home) -> str | None:
    """Returns the token that was made for this home, None if there is none."""
    try:
        return file_io.read_text(path_of(home), limits.KEY_BYTES).strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path_of(home)}; delete it and run `flower token`") from error


def make(home: Home) -> str:
    """Returns a new token, which is the home's from now on. Raises ``ConfigError``."""
    import secrets  # 5 ms that only this needs

    token = secrets.token_urlsafe(limits.TOKEN_BYTES)
    try:
        write_whole(path_of(home), [f"{token}\n".encode()])
    except OSError as error:
        raise ConfigError(f"cannot write {path_of(home)} ({error.strerror or error})") from error
    return token
