"""What a provider may be able to do besides narrating: whoever needs it asks with ``isinstance``. Pure types."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from flower.engine.provider.base import Completion, Template
from flower.engine.provider.endpoint import Timeouts
from flower.engine.provider.gate import Gate


@runtime_checkable
class Composing(Protocol):
    """A provider that makes replies from phrases of its own, without a model.

    It plays from the ``Cue``, which is made for it alone, and must know what it said in other stories. It
    has no words for a player's own line and writes no summaries.
    """

    composes: bool


@runtime_checkable
class Adaptable(Protocol):
    """A provider that can leave out what a model refuses, and tell what it leaves out."""

    local: bool

    def refuse(self, model: str, field: str) -> bool: ...

    def left_out(self, completion: Completion) -> tuple[str, ...]: ...


@runtime_checkable
class Patient(Protocol):
    """A provider whose endpoint has deadlines in the settings; 0 leaves the usual one."""

    timeouts: Timeouts


@runtime_checkable
class Remarking(Protocol):
    """A provider that knows something of a model which the player should know."""

    def remarks(self, model: str) -> tuple[str, ...]: ...


@runtime_checkable
class Gated(Protocol):
    """A provider whose server may be full: requests wait for their turn."""

    def gate(self, model: str) -> Gate: ...


@runtime_checkable
class Suggesting(Protocol):
    """A provider with phrases of its own for what the player could do next."""

    async def suggestions(self, completion: Completion) -> tuple[str, ...]: ...


@runtime_checkable
class Bodied(Protocol):
    """A stream that knows the body of its request; None where nothing was sent."""

    body: dict[str, Any] | None


@runtime_checkable
class Prefilling(Protocol):
    """A provider that may let a reply go on in its own words, where its last message is the assistant's."""

    def prefills(self, model: str, template: Template | str | None) -> bool: ...
