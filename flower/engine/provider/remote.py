"""What the providers over HTTP have in common: an endpoint, an edge, and what models refused there.

A family adds what its API says: the call for a completion, its models, how it counts. One level, no more:
nothing inherits from a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection

from flower.engine.provider.base import Completion
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.http import Edge
from flower.engine.provider.pieces import Call, PieceStream
from flower.engine.provider.refusals import Refusals


class RemoteProvider(ABC):
    """The part of a ``Provider`` that is the same for every API; ``needed`` fields are always sent."""

    def __init__(self, endpoint: Endpoint, edge: Edge, *, needed: Collection[str] = ()) -> None:
        self._endpoint = endpoint
        self._edge = edge
        self._refusals = Refusals(needed)
        self.local = endpoint.local

    @property
    def name(self) -> str:
        """The prefix of this provider's model ids."""
        return self._endpoint.name

    def open(self, completion: Completion) -> PieceStream:
        """Returns the stream of one completion; the call is made when it is entered."""
        return self._edge.stream(lambda: self._prepared(completion))

    @abstractmethod
    async def _prepared(self, completion: Completion) -> Call:
        """Returns the call that asks for ``completion``; raises ``ProviderError``."""

    def refuse(self, model: str, field: str) -> bool:
        """Remembers that ``model`` does not take ``field``; returns whether leaving it out may help."""
        return self._refusals.add(model, field)

    async def count_tokens(self, text: str) -> int | None:
        """Returns None: most APIs do not count, or only whole requests over the network."""
        return None

    def _thinks(self, model: str) -> bool:
        """Whether the user's patches say that replies of ``model`` begin inside its thinking."""
        return any(patch.thinks and patch.fits(model) for patch in self._endpoint.patch)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._edge.aclose()
