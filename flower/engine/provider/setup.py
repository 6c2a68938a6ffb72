"""From the user's settings to the endpoints they mean.

Reads key files and environment variables, nothing else. Adds the servers that people run on their
own machine at the usual ports, so that nobody has to configure what can be found.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct, convert

from flower.engine.provider.endpoint import (
    KINDS,
    Endpoint,
    Patch,
    Timeouts,
    key_from_environment,
    key_from_file,
    normal_url,
)
from flower.engine.provider.models import KEY_SETTINGS, key_hint
from flower.errors import ConfigError
from flower.settings.config import Config, ProviderConfig

LOCAL_SERVERS = ("ollama", "llamacpp", "koboldcpp", "lmstudio")
_VENDOR_HOSTS = {
    "api.openai.com": "openai",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
}


class ProviderSetup(Struct, frozen=True):
    """The endpoints in the user's order, those to look for, and what is wrong with the rest.

    ``problems``: one sentence by endpoint name; such an endpoint is named, but cannot be used.
    """

    configured: tuple[Endpoint, ...]
    probed: tuple[Endpoint, ...]
    problems: Mapping[str, str]


def read_setup(config: Config, environ: Mapping[str, str], home: Path) -> ProviderSetup:
    """Returns the endpoints of a configuration. ``home``: where relative key files are."""
    endpoints: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in _flat(config)}
    problems: dict[str, str] = {}
    for provider in config.providers:
        endpoints.pop(provider.name, None)
        try:
            endpoints[provider.name] = _endpoint(provider, environ, home)
        except ConfigError as error:
            problems[provider.name] = f"The provider {provider.name} cannot be used: {error}."
    addresses = {endpoint.base_url for endpoint in endpoints.values()}
    names = endpoints.keys() | problems.keys()
    probed = tuple(
        endpoint
        for endpoint in _local_servers(environ)
        if endpoint.name not in names and endpoint.base_url not in addresses
    )
    return ProviderSetup(tuple(endpoints.values()), probed, problems)


def _flat(config: Config) -> list[Endpoint]:
    """The established flat keys: an address or a key makes an endpoint named after its vendor."""
    endpoints = []
    for name in KEY_SETTINGS:
        key = getattr(config, f"{name}_api_key")
        address = config.openai_base_url if name == "openai" else ""
        if not key and not address:
            continue
        kind = _kind_at(address) if address else name
        endpoints.append(Endpoint(name, kind, normal_url(kind, address), key, key_hint=key_hint(name)))
    return endpoints


def _kind_at(address: str) -> str:
    """An OpenAI-compatible address of a known vendor gets that vendor's dialect."""
    host = urlsplit(normal_url("compatible", address)).hostname or ""
    return _VENDOR_HOSTS.get(host, "compatible")


def _endpoint(provider: ProviderConfig, environ: Mapping[str, str], home: Path) -> Endpoint:
    key = str(provider.api_key)
    if provider.api_key_env:
        key = key_from_environment(provider.api_key_env, environ)
    elif provider.api_key_file:
        key = key_from_file(provider.api_key_file, home)
    elif provider.name in KEY_SETTINGS and not key:
        key = environ.get(f"{provider.name.upper()}_API_KEY", "")
    return Endpoint(
        name=provider.name,
        kind=provider.kind,
        base_url=normal_url(provider.kind, provider.base_url),
        api_key=key,
        api_key_cmd=provider.api_key_cmd,
        headers=provider.headers,
        models=provider.models,
        params=provider.params,
        patch=tuple(convert(patch, Patch) for patch in provider.patch),
        key_hint=key_hint(provider.name),
        timeouts=convert(provider.timeouts, Timeouts),
    )


def _local_servers(environ: Mapping[str, str]) -> list[Endpoint]:
    addresses = {"ollama": environ.get("OLLAMA_HOST", "")}
    endpoints = []
    for name in LOCAL_SERVERS:
        try:
            url = normal_url(name, addresses.get(name, ""))
        except ConfigError:  # an OLLAMA_HOST that is meant for another program
            url = KINDS[name].base_url
        if name == "ollama" and urlsplit(url).port is None:
            url += ":11434"
        endpoints.append(Endpoint(name, name, url, key_hint=key_hint(name)))
    return endpoints
