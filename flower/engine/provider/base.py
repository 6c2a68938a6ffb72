"""What a narrator is: open one completion, get pieces of it.

Pure types. A provider is anything with the ``Provider`` protocol below; the turn neither knows nor
asks which kind it has. A provider never retries, saves, publishes or decides about budgets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from msgspec import Struct

from flower.protocol.messages import ModelOption

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["done", "length", "blocked"]


class PromptMessage(Struct, frozen=True):
    """One message of a prompt, as every chat API has it."""

    role: Role
    content: str


class Cue(Struct, frozen=True):
    """What the prompt is about, before it became messages.

    The offline narrator plays from it; providers of language models may ignore it.
    """

    line: str = ""  # what the player just wrote
    world: str = ""
    scene: str = ""
    character: str = ""
    persona: str = ""
    lore: tuple[str, ...] = ()  # recalled passages, best first
    memories: tuple[str, ...] = ()  # recalled exchanges of this story, best first
    story: tuple[PromptMessage, ...] = ()  # the last messages without notes, up to the player's line
    turn_number: int = 0  # 0 for the first reply of the story
    seed: int = 0  # same seed, same cue, same reply
    outcome: Literal["", "strong", "miss"] = ""  # what dice of the player's have decided about the line
    world_lore: str = ""  # all of it, as it was written, as far as it is short enough
    user: str = ""  # what the player is called, "" when nobody has said so
    place: str = ""  # of the state sheet, as are the following
    time: str = ""
    weather: str = ""
    mood: str = ""
    inventory: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    happening: tuple[str, ...] = ()  # what clocks lead to that have become full with this line
    nearing: tuple[str, ...] = ()  # names of clocks that are nearly full
    people: tuple[str, ...] = ()  # whom the player keeps in mind
    stage: tuple[tuple[str, str], ...] = ()  # the others of the cast: name and persona
    pronouns: tuple[str, ...] = ()  # "she", "he/him", "" if unknown: the character's, then the stage's
    speaks: bool = False  # the character is the one whose turn it is to speak
    decided: tuple[str, ...] = ()  # outcome of each of the player's lines in ``story``, "" without dice
    earlier: tuple[str, ...] = ()  # the last replies in other stories, newest first
    begun: str = ""  # the reply so far, which is to be continued
    unheard: frozenset[int] = frozenset()  # places in ``story`` that who speaks was not there to hear


class Template(Struct, frozen=True):
    """How messages are written as text: what is before and after each role's, and where a reply ends.

    ``system`` None: the model knows no system role; such text goes before the first line of the player.
    ``reply`` is before the reply that is asked for, "" for what is before any of the assistant's.
    """

    user: tuple[str, str]
    assistant: tuple[str, str]
    system: tuple[str, str] | None = None
    stop: tuple[str, ...] = ()
    start: str = ""
    reply: str = ""


class Completion(Struct, frozen=True):
    """A request for one reply.

    ``params`` are sampler settings in OpenAI's names (``temperature``, ``top_p``, ``stop``, ...); a
    provider maps those it knows and drops the rest. ``session`` lets servers with slots or sticky
    routing keep a story's prompt cache warm. At a line that begins with one of ``player_names`` and a
    colon the reply ends; lines that begin as one of ``scaffold`` are the prompt's. ``quiet``: a small
    request nobody watches; models that can are asked not to think. ``banned`` phrases are kept from the model
    where its server can; ``template`` is how to write the prompt as text, "server": as the server says. ``story``
    returns the prompt as a text that goes on, for models that follow no instructions; None where that means nothing.
    """

    model: str  # the provider's own id, without our prefix
    messages: tuple[PromptMessage, ...]
    max_tokens: int
    context_tokens: int
    params: Mapping[str, object] = {}
    session: str = ""
    cue: Cue = Cue()
    player_names: tuple[str, ...] = ()
    scaffold: tuple[str, ...] = ()
    quiet: bool = False
    banned: tuple[str, ...] = ()
    template: Template | str | None = None
    story: Callable[[], str] | None = None


class Text(Struct, frozen=True):
    """Some characters of the story; never empty."""

    text: str


class Reasoning(Struct, frozen=True):
    """Some characters of the model's thinking; shown apart, never stored as story."""

    text: str


class Loading(Struct, frozen=True):
    """The model is being loaded or the prompt read. ``done`` of ``total`` units; total 0: unknown."""

    what: str  # "loading the model", "reading the prompt"
    done: int = 0
    total: int = 0


class Spent(Struct, frozen=True):
    """Tokens as the provider counts them; may come in any piece, the last one counts."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    cost: float | None = None  # USD, only when the provider itself says


class Withdrawn(Struct, frozen=True):
    """All text of the story so far was none: it was thinking whose beginning nobody had marked."""


class Finish(Struct, frozen=True):
    """The provider's end mark. A stream that ends without one was interrupted."""

    reason: FinishReason
    detail: str = ""  # why it was blocked, in the provider's words
    cut: str = ""  # where we ended the reply ourselves: a template's mark, a line of the player's


class Proposal(Struct, frozen=True):
    """Changes of the state sheet that follow from the reply, one in a line; no part of the story."""

    changes: str


Piece = Text | Reasoning | Withdrawn | Loading | Proposal | Spent | Finish


class ModelInfo(Struct, frozen=True, omit_defaults=True):
    """A model in the catalogue. Prices in USD per million tokens; None is unknown."""

    id: str  # the provider's own id, without our prefix
    name: str
    context_tokens: int = 0  # 0: unknown
    prompt_price: float | None = None
    completion_price: float | None = None
    price_varies: bool = False


class Provider(Protocol):
    """One endpoint that narrates.

    ``open`` is an async context manager over the pieces of one completion; leaving it closes the
    connection at once. Raises ``ProviderError`` from entering or from iterating. Entering it waits
    for the response's head at most; whoever iterates owns the deadlines. It may be entered and iterated
    inside short cancel scopes, so it must not keep a nursery or a cancel scope of its own open in
    between. What it can do besides is in ``capabilities``.
    """

    @property
    def name(self) -> str:
        """The prefix of this provider's model ids, for example ``openrouter``."""

    def open(self, completion: Completion) -> AbstractAsyncContextManager[AsyncIterator[Piece]]: ...

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact number of tokens if the backend can count, else None."""

    async def aclose(self) -> None:
        """Closes connections and child processes."""


class Registry(Protocol):
    """The models there are, each with its provider."""

    on_change: Callable[[], None]  # called when the list of models has changed

    @property
    def problems(self) -> Mapping[str, str]:
        """Providers that cannot be used, each with a sentence that says why."""

    @property
    def file_problems(self) -> tuple[str, ...]:
        """Files in the models folder that are no models, each with the reason."""

    async def look_for_files(self) -> None:
        """Looks into the models folder again and tells of what is new."""

    def local_bytes(self) -> Mapping[str, int]:
        """Returns the bytes of each model from a file, by its id."""

    def resolve(self, model_id: str) -> tuple[Provider, str]:
        """Returns the provider of a model id and the model's name there; raises ``ProviderError``."""

    def default(self) -> str:
        """Returns the id of the model that narrates when the user has chosen none."""

    def info(self, model_id: str) -> ModelInfo | None:
        """Returns what is known of a model; None when nobody offers it."""

    def composes(self, model_id: str) -> bool:
        """Returns whether a model id means a narrator that plays without a model."""

    def options(self) -> tuple[ModelOption, ...]:
        """Returns all models for a picker, each id once."""

    async def refresh(self) -> tuple[str, ...]:
        """Fetches every list of models; returns a sentence for each that could not be had."""

    async def run(self) -> None:
        """Keeps the list of models fresh, until cancelled."""

    async def aclose(self) -> None:
        """Closes every connection and ends every child process."""
