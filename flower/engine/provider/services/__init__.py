"""The services that have models: a module for each API family, ``remote`` for what they have in common.

Makes the provider of an endpoint. The families are imported when an endpoint of theirs is first used: httpx alone
takes 0.1 s and 10 MB, which somebody who plays with the offline narrator need not pay for.
"""

from __future__ import annotations

from importlib import import_module

from flower.engine.provider.base import Provider
from flower.engine.provider.endpoint import KINDS, Endpoint


def build(endpoint: Endpoint) -> Provider:
    """Returns a provider for ``endpoint``, whose kind must be one of ``KINDS``."""
    from flower.engine.provider.http.client import Edge

    match KINDS[endpoint.kind].family:
        case "gemini":
            from flower.engine.provider.services.gemini import GeminiProvider, api_key

            return GeminiProvider(endpoint, Edge(endpoint, api_key))
        case "anthropic":
            from flower.engine.provider.services.anthropic import AnthropicProvider, api_headers

            return AnthropicProvider(endpoint, Edge(endpoint, api_headers))
        case "ollama":
            from flower.engine.provider.services.ollama import OllamaProvider
            from flower.engine.provider.services.openai import bearer

            return OllamaProvider(endpoint, Edge(endpoint, bearer))
        case "koboldcpp":
            from flower.engine.provider.services.koboldcpp import KoboldCppProvider
            from flower.engine.provider.services.openai import bearer

            return KoboldCppProvider(endpoint, Edge(endpoint, bearer))
        case _:
            from flower.engine.provider.services.openai import OpenAIProvider, bearer

            return OpenAIProvider(endpoint, Edge(endpoint, bearer))


def load(kind: str) -> None:
    """Imports what the providers of ``kind`` need; slow the first time, so call it in a thread."""
    import_module("flower.engine.provider.http.client")
    import_module(f"{__name__}.{KINDS[kind].family}")
