"""The services that have models: a module for each API family, ``remote`` for what they have in common.

``openai`` with ``openai_dialects`` (all that speak its API), ``anthropic``, ``gemini``, ``ollama``, ``koboldcpp``.
Makes the provider of an endpoint, with the ``build`` of its family's module. That is imported when an endpoint of
the family is first used: httpx alone takes 0.1 s and 10 MB, which somebody who plays with the offline narrator need
not pay for.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from flower.engine.provider.base import Provider
from flower.engine.provider.endpoint import KINDS, Endpoint


def build(endpoint: Endpoint) -> Provider:
    """Returns a provider for ``endpoint``, whose kind must be one of ``KINDS``."""
    provider: Provider = load(endpoint.kind).build(endpoint)
    return provider


def load(kind: str) -> ModuleType:
    """Returns the module of the providers of ``kind``; slow the first time, so call it in a thread."""
    return import_module(f"{__name__}.{KINDS[kind].family}")
