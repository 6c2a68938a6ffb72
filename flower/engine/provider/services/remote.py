"""What the services over HTTP have in common: an endpoint, its client, what models refused there, shapes of prompts.

A family adds what its API says: the call for a completion, its models, how it counts. One level, no more: nothing
inherits from a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence

from flower import limits
from flower.engine.provider.base import Completion, PromptMessage, Template
from flower.engine.provider.endpoint import Endpoint, Refusals
from flower.engine.provider.errors import Origin
from flower.engine.provider.gate import Gate
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.decode import Dialect, Interpreter
from flower.engine.provider.http.framing import NdjsonDecoder, SseDecoder
from flower.engine.provider.http.response import Call, PieceStream
from flower.engine.provider.text_prompts import ChatFormat, TextPrompts


def bearer(key: str) -> dict[str, str]:
    """Returns the header that carries a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


class RemoteProvider(ABC):
    """The part of a ``Provider`` that is the same for every API; ``needed`` fields are always sent."""

    def __init__(self, endpoint: Endpoint, http: HttpClient, *, needed: Collection[str] = ()) -> None:
        self._endpoint = endpoint
        self._http = http
        self._refusals = Refusals(needed)
        self._seen_thinking: set[str] = set()
        self._texts = TextPrompts(endpoint, self._chat_format)
        self._gates: dict[str, Gate] = {}
        self.local = endpoint.own
        self.timeouts = endpoint.timeouts

    @property
    def name(self) -> str:
        """The prefix of this provider's model ids."""
        return self._endpoint.name

    def open(self, completion: Completion) -> PieceStream:
        """Returns the stream of one completion; the call is made when it is entered."""
        return self._http.stream(lambda: self._prepared(completion))

    @abstractmethod
    async def _prepared(self, completion: Completion) -> Call:
        """Returns the call that asks for ``completion``; raises ``ProviderError``."""

    def refuse(self, model: str, field: str) -> bool:
        """Remembers that ``model`` does not take ``field``; returns whether leaving it out may help."""
        return self._refusals.add(model, field)

    def gate(self, model: str) -> Gate:
        """Returns the line of those who wait for ``model``."""
        gate = self._gates.get(model)
        if gate is None:
            for idle in [name for name, other in self._gates.items() if not other.active][
                : -limits.GATES
            ]:
                del self._gates[idle]
            gate = self._gates[model] = Gate(self._places)
        return gate

    async def _places(self) -> int | None:
        """Returns how many requests the server takes at once, None when it does not say.

        Raises ``ProviderError`` when it cannot say it yet.
        """
        return None

    async def count_tokens(self, text: str) -> int | None:
        """Returns None: most APIs do not count, or only whole requests over the network."""
        return None

    def _interpreter(
        self,
        decoder: SseDecoder | NdjsonDecoder,
        dialect: Dialect,
        origin: Origin,
        completion: Completion,
    ) -> Interpreter:
        """Returns what reads the answer to ``completion``."""
        return Interpreter(
            origin,
            decoder,
            dialect,
            expects=self._thinks(completion.model),
            names=completion.player_names,
            marks=(*completion.scaffold, *self._texts.marks(completion)),
        )

    async def _chat_format(self) -> ChatFormat:
        """Returns the chat template that the server says it uses; none where it does not tell."""
        return ChatFormat()

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns whether a reply can go on in its own words: a prompt that is text always does."""
        return self._texts.template(model, template) is not None

    def remarks(self, model: str) -> tuple[str, ...]:
        """Returns what the player should know about a model."""
        return self._texts.remarks(model)

    def _thinks(self, model: str) -> bool:
        """Whether replies of ``model`` begin inside its thinking: the user says so, or it was seen."""
        if model in self._seen_thinking:
            return True
        return any(patch.thinks and patch.fits(model) for patch in self._endpoint.patch)

    def _learned(self, model: str) -> Callable[[], None]:
        """Returns what to call when a reply of ``model`` ended thinking that nobody had begun."""

        def learn() -> None:
            if len(self._seen_thinking) < limits.CATALOGUE_MODELS:
                self._seen_thinking.add(model)

        return learn

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()


# --- Shapes that stricter APIs want: the system text apart, user and assistant in turns, the user first and last.

OPENING = "Begin."  # said by nobody: APIs that want the first word to be the user's
GO_ON = "Go on exactly where you stopped, without repeating anything."


def split_system(messages: Sequence[PromptMessage]) -> tuple[str, tuple[PromptMessage, ...]]:
    """Returns the system messages at the start as one text, and the rest.

    System messages further down (an author's note, recalled lore) stay where they are, as the user's:
    moved to the top they would lose their weight and spoil the prompt cache.
    """
    count = 0
    while count < len(messages) and messages[count].role == "system":
        count += 1
    system = "\n\n".join(message.content for message in messages[:count])
    rest = (
        PromptMessage("user", message.content) if message.role == "system" else message
        for message in messages[count:]
    )
    return system, tuple(rest)


def alternating(messages: Iterable[PromptMessage]) -> list[PromptMessage]:
    """Returns the messages with neighbours of the same role merged, beginning with the user."""
    merged: list[PromptMessage] = []
    for message in messages:
        if not message.content.strip():
            continue
        if merged and merged[-1].role == message.role:
            merged[-1] = PromptMessage(message.role, f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    if not merged or merged[0].role != "user":
        merged.insert(0, PromptMessage("user", OPENING))
    return merged


def ending_with_user(messages: list[PromptMessage]) -> list[PromptMessage]:
    """Returns the messages, with a request to go on when the assistant spoke last."""
    if messages and messages[-1].role == "assistant":
        return [*messages, PromptMessage("user", GO_ON)]
    return messages
