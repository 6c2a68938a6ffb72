"""The access token that Flower makes itself: the file ``token`` in the home, for its owner alone.

Asked for only by an engine that others can reach and whose config names no token of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

from flower import limits
from flower.errors import ConfigError
from flower.home import Home


def path_of(home: Home) -> Path:
    return home.root / "token"


def read(home: Home) -> str | None:
    """Returns the token that was made for this home, None if there is none."""
    try:
        return path_of(home).read_text().strip() or None
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path_of(home)}; delete it and run `flower token`") from error


def make(home: Home) -> str:
    """Returns a new token, which is the home's from now on. Raises ``ConfigError``."""
    import secrets  # 5 ms that only this needs

    token = secrets.token_urlsafe(limits.TOKEN_BYTES)
    draft = path_of(home).with_suffix(".new")
    try:
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        draft.replace(path_of(home))
    except OSError as error:
        raise ConfigError(f"cannot write {path_of(home)} ({error.strerror or error})") from error
    return token
