"""Where an API key comes from when it is needed.

Owns running the user's key command, once per process. Never shows a key, nor what a command printed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import trio

from flower import limits
from flower.engine.provider.endpoint import Endpoint
from flower.errors import ConfigError, ProviderError


async def read_key(endpoint: Endpoint) -> str:
    """Returns the endpoint's key, "" if it has none; raises ``ProviderError`` of kind ``auth``."""
    key = endpoint.api_key or (await _from_command(endpoint) if endpoint.api_key_cmd else "")
    key = key.strip()
    if not all("!" <= character <= "~" for character in key):
        raise ProviderError(
            "auth",
            f"the API key of {endpoint.name} holds a space or another character that no key has; "
            "copy it again.",
        )
    return key


def key_from_file(path: str, home: Path) -> str:
    """Returns the first line of a key file; relative paths start at ``home``.

    Raises ``ConfigError`` when the file cannot be read.
    """
    place = home / Path(path).expanduser()
    try:
        with place.open("rb") as file:
            data = file.read(limits.KEY_BYTES)
        return data.decode().strip().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"api_key_file {place} cannot be read: {reason}") from error


def key_from_environment(name: str, environ: Mapping[str, str]) -> str:
    """Returns the value of an environment variable; raises ``ConfigError`` when it is not set."""
    if name not in environ:
        raise ConfigError(f"api_key_env names {name}, which is not set in the engine's environment")
    return environ[name].strip()


async def _from_command(endpoint: Endpoint) -> str:
    problem = f"the api_key_cmd of {endpoint.name} failed; run it in a shell to see why."
    with trio.move_on_after(limits.KEY_COMMAND_TIMEOUT_S):
        try:
            # The command is the user's own line of config.yaml, pipes and quotes included.
            done = await trio.run_process(
                ["/bin/sh", "-c", endpoint.api_key_cmd],
                capture_stdout=True,
                check=True,
                stderr=subprocess.DEVNULL,
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise ProviderError("auth", problem) from error
        return done.stdout.decode("utf-8", "replace").strip().partition("\n")[0]
    raise ProviderError("auth", problem)
