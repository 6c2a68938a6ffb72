"""What a connection to the engine reports and what it is asked to send. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # msgspec would cost the first frame 20 ms
    from flower.protocol import messages


class Received(NamedTuple):
    """The engine said something."""

    event: messages.Event


class LinkChanged(NamedTuple):
    """The connection is now ``state`` (see ``Link``)."""

    state: str
    note: str = ""


class Send(NamedTuple):
    """Send a prompt; ``request`` makes sending it twice safe, ``fields`` were typed into a form."""

    prompt: str
    request: str | None = None
    fields: Mapping[str, str] | None = None
