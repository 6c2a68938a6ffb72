"""What the stories of one engine work with at present: services and models, exchanged whole on a reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from flower.engine.prompt.turn_input import Services
from flower.engine.provider.base import Registry


class SideUse(Struct, frozen=True):
    """What a request beside the replies used, and the key of the client that it is counted for."""

    client: str
    tokens: int  # read and written
    cost: float  # USD, 0 for unknown


async def _always(client: str) -> bool:
    return True


class Runtime:
    """The services and the models in use.

    Everything long-lived keeps this one object and reads from it when something begins: a reply that is
    being written ends as it began, the next one has the new settings.
    """

    def __init__(self, services: Services, registry: Registry) -> None:
        self.services = services
        self.registry = registry
        # Of what is asked of models beside the replies: counts it, and whether more may be asked in the background.
        self.spent: Callable[[SideUse], None] = lambda _: None
        self.may_work_ahead: Callable[[str], Awaitable[bool]] = _always

    def swap(self, services: Services, registry: Registry) -> None:
        """Goes on with others."""
        self.services, self.registry = services, registry
