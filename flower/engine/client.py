"""One connected face, as the engine knows it."""

from __future__ import annotations

from collections.abc import Callable

from flower.engine.outbox import Outbox
from flower.engine.session import Session
from flower.engine.store.selections import Selection
from flower.protocol import Event, State, SystemUpdate


class Client:
    """A face: its mailbox, what it has chosen and the story it watches."""

    def __init__(self, outbox: Outbox, chosen: Selection, goodbye: Callable[[], None]) -> None:
        self.outbox = outbox
        self.chosen = chosen
        self.session: Session | None = None
        self.goodbye = goodbye  # to be called when it says that it leaves for good
        self.request: str | None = None  # of the prompt that is being carried out

    def __repr__(self) -> str:
        return f"<Client {self.chosen.client!r} on {self.session!r}>"

    def send(self, event: Event) -> None:
        """Puts an event into its mailbox."""
        self.outbox.put_nowait(event)

    def tell(self, text: str, state: State | None = None) -> None:
        """Sends a line for its user, and what of the state has changed."""
        self.send(SystemUpdate(text, state if state is not None else State()))
