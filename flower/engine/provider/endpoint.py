"""One place a narrator can be reached, as the user configured it.

Names, kinds, addresses, keys, what a model needs changed in its requests and which fields it refused. Owns the table
of kinds. Never sends anything; never shows a key.
"""

from __future__ import annotations

import ipaddress
import re
import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import trio
from msgspec import Struct

from flower import file_io, limits
from flower.engine.provider.base import Completion
from flower.errors import ConfigError, ProviderError
from flower.home import expanded

KEY_COMMAND_TIMEOUT_S = 20.0  # a password manager may ask for a fingerprint


class Patch(Struct, frozen=True):
    """A correction for models whose id matches ``models`` (a regular expression, searched).

    ``set`` is merged into the request's body, ``drop`` names fields that are left out, ``thinks``
    says that replies start inside a thinking block. ``template`` names one of ``text_prompts.TEMPLATES``: the
    prompt is sent as text to be completed.
    """

    models: str = ""
    set: Mapping[str, Any] = {}
    drop: tuple[str, ...] = ()
    thinks: bool = False
    template: str = ""

    def fits(self, model: str) -> bool:
        """Returns whether this patch is meant for ``model``."""
        return re.search(self.models, model) is not None


class Timeouts(Struct, frozen=True):
    """How long to wait at an endpoint, in seconds; 0 leaves the usual time.

    ``connect_s``: for the connection; ``first_s``: for the first word; ``silence_s``: before it, without any
    sign of life; ``idle_s``: the same in the middle of a reply.
    """

    connect_s: float = 0.0
    first_s: float = 0.0
    silence_s: float = 0.0
    idle_s: float = 0.0


class Endpoint(Struct, frozen=True):
    """A configured provider. ``api_key_cmd`` is run once, when the key is first needed."""

    name: str
    kind: str
    base_url: str
    api_key: str = ""
    api_key_cmd: str = ""
    headers: Mapping[str, str] = {}
    models: tuple[str, ...] = ()
    params: Mapping[str, Any] = {}
    patch: tuple[Patch, ...] = ()
    key_hint: str = ""  # where the user sets the key, for error sentences
    timeouts: Timeouts = Timeouts()

    def __repr__(self) -> str:  # header values may be keys as well
        return f"Endpoint({self.name!r}, {self.kind!r}, {self.base_url!r})"

    @property
    def local(self) -> bool:
        """True when the server is on this machine or in this house: it may load models for minutes."""
        return is_private(urlsplit(self.base_url).hostname or "")

    @property
    def own(self) -> bool:
        """True when the server is one's own, wherever it is: no vendor's, so it may load and read for long."""
        return self.local or not KINDS[self.kind].needs_key

    def secrets(self) -> tuple[str, ...]:
        """Returns every text that must never be shown."""
        return tuple(text for text in (self.api_key, *self.headers.values()) if len(text) >= 6)


class ServiceKind(Struct, frozen=True):
    """What is known of an API before any configuration."""

    family: str
    base_url: str = ""
    needs_key: bool = True
    first_model: str = ""  # used when the user names none


KINDS: dict[str, ServiceKind] = {
    "openai": ServiceKind("openai", "https://api.openai.com/v1", first_model="gpt-4.1-mini"),
    "openrouter": ServiceKind("openai", "https://openrouter.ai/api/v1", first_model="openrouter/auto"),
    "deepseek": ServiceKind("openai", "https://api.deepseek.com/v1", first_model="deepseek-chat"),
    "groq": ServiceKind(
        "openai", "https://api.groq.com/openai/v1", first_model="llama-3.3-70b-versatile"
    ),
    "mistral": ServiceKind("openai", "https://api.mistral.ai/v1", first_model="mistral-small-latest"),
    "gemini": ServiceKind(
        "gemini", "https://generativelanguage.googleapis.com/v1beta", first_model="gemini-flash-latest"
    ),
    "anthropic": ServiceKind(
        "anthropic", "https://api.anthropic.com/v1", first_model="claude-haiku-4-5"
    ),
    "ollama": ServiceKind("ollama", "http://127.0.0.1:11434", needs_key=False),
    "llamacpp": ServiceKind("openai", "http://127.0.0.1:8080/v1", needs_key=False),
    "tabbyapi": ServiceKind("openai", "http://127.0.0.1:5000/v1", needs_key=False),
    "koboldcpp": ServiceKind("koboldcpp", "http://127.0.0.1:5001", needs_key=False),
    "lmstudio": ServiceKind("openai", "http://127.0.0.1:1234/v1", needs_key=False),
    "vllm": ServiceKind("openai", "http://127.0.0.1:8000/v1", needs_key=False),
    "compatible": ServiceKind("openai", needs_key=False),
}

_DEFAULT_PATH = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
_PASTED_ENDINGS = ("/chat/completions", "/completions", "/models", "/messages", "/api/chat")


def normal_url(kind: str, url: str) -> str:
    """Returns the base address that requests of ``kind`` are appended to, without a final slash.

    Accepts ``host``, ``host:port``, with or without scheme, with ``/v1`` or ``/api``, and addresses
    pasted from a documentation's example request. Raises ``ConfigError`` for anything else.
    """
    service = KINDS.get(kind)
    if service is None:
        raise ConfigError(
            f"there is no provider kind {kind!r}; the kinds are {', '.join(sorted(KINDS))}"
        )
    text = url.strip() or service.base_url
    if not text:
        raise ConfigError(
            f"a provider of kind {kind!r} needs a base_url, for example http://127.0.0.1:8080/v1"
        )
    scheme, host, path = _parts(text, url)
    return urlunsplit((scheme, host, _path_of(service.family, path), "", ""))


def _parts(text: str, typed: str) -> tuple[str, str, str]:
    if not text.isprintable() or " " in text:
        raise ConfigError("a web address has no spaces or control characters; write it again")
    if "://" not in text:
        text = f"{'http' if _looks_local(text) else 'https'}://{text}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{typed!r} is no web address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{typed!r} is no web address; write for example http://127.0.0.1:8080/v1")
    if parts.username or parts.password:
        raise ConfigError("a base_url must not hold a user name or password; use api_key or headers")
    host = parts.hostname
    if host in ("0.0.0.0", "::"):  # noqa: S104  # a bind address copied from a server's settings
        host = "127.0.0.1"
    if ":" in host:
        host = f"[{host}]"
    return parts.scheme, host if port is None else f"{host}:{port}", parts.path.rstrip("/")


def _path_of(family: str, path: str) -> str:
    if family in ("ollama", "koboldcpp"):
        return _without_endings(path, (*_PASTED_ENDINGS, "/v1", "/api"))
    path = _without_endings(path, _PASTED_ENDINGS)
    if path in ("", "/api"):
        return path + _DEFAULT_PATH.get(family, "")
    return path


def _without_endings(path: str, endings: tuple[str, ...]) -> str:
    while (
        shorter := next((path.removesuffix(e) for e in endings if path.endswith(e)), None)
    ) is not None:
        path = shorter.rstrip("/")
    return path


def _looks_local(text: str) -> bool:
    host = text.partition("/")[0]
    if host.startswith("["):
        return is_private(host[1:].partition("]")[0])
    return is_private(host.partition(":")[0])


def is_private(host: str) -> bool:
    """Returns whether ``host`` can only be a machine of one's own."""
    host = host.lower()
    if host == "localhost" or host.endswith((".local", ".lan", ".home", ".internal", ".localhost")):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host


def is_loopback(host: str) -> bool:
    """Returns whether ``host`` is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- What a request asks for, and what a model would not take ----------------------------------------
#
# A sampler setting that was refused is left out of later requests instead of failing every turn.

# Without these a request means nothing; leaving them out cannot help.
_NEEDED = frozenset(
    {"model", "messages", "contents", "prompt", "stream", "system", "systemInstruction"}
)
_CONTENT = frozenset({"messages", "contents", "prompt", "system", "systemInstruction"})


class Refusals:
    """Remembers refused fields. ``needed`` can never be left out, beside what every API needs."""

    def __init__(self, needed: Collection[str] = ()) -> None:
        self._needed = _NEEDED | frozenset(needed)
        self._fields: dict[str, set[str]] = {}

    def add(self, model: str, field: str) -> bool:
        """Remembers one; returns False when leaving it out is no help or has been tried."""
        fields = self._fields.setdefault(model, set())
        if field in self._needed or field in fields:
            return False
        fields.add(field)
        return True

    def of(self, model: str) -> frozenset[str]:
        """Returns the fields ``model`` has refused."""
        return frozenset(self._fields.get(model, ()))


def not_sent(
    names: Iterable[str], sent_as: Mapping[str, str], refused: Collection[str]
) -> tuple[str, ...]:
    """Returns which of the wanted parameters are not sent: without a field here, or with one that was refused."""
    return tuple(name for name in names if name not in sent_as or sent_as[name] in refused)


def without(body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """Returns ``body`` without ``fields``, also inside option objects, never inside the prompt."""
    if not fields:
        return dict(body)
    return {
        name: without(value, fields) if isinstance(value, dict) and name not in _CONTENT else value
        for name, value in body.items()
        if name not in fields
    }


def field_names(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the names of the fields that were sent and could be refused, deepest names included."""
    names: list[str] = []
    for name, value in body.items():
        names.append(name)
        if isinstance(value, dict) and name not in _CONTENT:
            names += field_names(value)
    return tuple(dict.fromkeys(names))


def wanted_params(completion: Completion, endpoint: Endpoint) -> dict[str, Any]:
    """Returns the sampler settings to ask for: the endpoint's, overruled by the completion's."""
    return {**endpoint.params, **completion.params}


def patched(body: dict[str, Any], endpoint: Endpoint, model: str) -> dict[str, Any]:
    """Returns a request's body as the endpoint's patches for ``model`` want it."""
    for patch in endpoint.patch:
        if patch.fits(model):
            body = without({**body, **patch.set}, patch.drop)
    return body


# --- Where an API key comes from when it is needed.
#
# Owns running the user's key command, once per process. Never shows a key, nor what a command printed.


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
    place = home / expanded(path, "api_key_file")
    try:
        data = file_io.read(place, limits.KEY_BYTES)
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
    with trio.move_on_after(KEY_COMMAND_TIMEOUT_S):
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
