"""Everything that speaks OpenAI's chat completions API.

Reads the chunks of OpenAI, OpenRouter, DeepSeek, Groq, Mistral, LM Studio, vLLM, llama.cpp's ``/v1``
and any other compatible server; ``flavours`` knows how their requests differ. Pure up to the last
class, which sends requests through ``Edge``. Shapes: OpenAI API reference, chat completion chunks;
llama.cpp tools/server/README.md for ``return_progress`` and ``timings``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from flower.engine.provider.base import (
    Completion,
    Finish,
    FinishReason,
    Loading,
    ModelInfo,
    Reasoning,
    Spent,
    Text,
)
from flower.engine.provider.decode import Interpreter, Item, ThinkSplitter
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.errors import Origin, from_payload
from flower.engine.provider.framing import SseDecoder
from flower.engine.provider.http import Edge, RemoteProvider
from flower.engine.provider.models import read_models
from flower.engine.provider.openai_dialects import FLAVOURS, Flavour, build_body, flavour_of, left_out
from flower.engine.provider.response import Call
from flower.errors import ProviderError

# --- the stream ---------------------------------------------------------------------------------


class _Delta(Struct, gc=False):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None


class _Choice(Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: Any = None


class _Chunk(Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None
    message: Any = None
    x_groq: Any = None
    timings: Any = None
    prompt_progress: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_LENGTH = frozenset({"length", "max_tokens", "model_length"})
_BLOCKED = frozenset({"content_filter", "safety", "refusal"})


class ChatStream:
    """The meaning of chat completion chunks."""

    def __init__(self, origin: Origin, *, thinks: bool = False) -> None:
        self._origin = origin
        self._think = ThinkSplitter(inside=thinks)
        self._reason: FinishReason | None = None
        self._detail = ""
        self.ended = False

    @property
    def finished(self) -> bool:
        """The finish reason was seen."""
        return self._reason is not None

    def event(self, data: bytes, name: str) -> list[Item]:
        """Returns what one chunk says."""
        if data == b"[DONE]":
            self.ended = True
            return []
        return self._chunk(data)

    def whole(self, data: bytes) -> list[Item]:
        """Returns what a completion that was not streamed says."""
        items = self._chunk(data)
        if not self.finished and not any(isinstance(item, Text | ProviderError) for item in items):
            raise ValueError("no chat completion")
        return items

    def finish(self) -> list[Item]:
        """Returns held back text, and ``Finish`` when a finish reason or ``[DONE]`` came."""
        items: list[Item] = [*self._think.end()]
        if self.finished or self.ended:
            items.append(Finish(self._reason or "done", self._detail))
        return items

    def _chunk(self, data: bytes) -> list[Item]:
        chunk = _decoder.decode(data)
        if error := _error_in(chunk):
            return [from_payload(error, self._origin)]
        items: list[Item] = []
        if chunk.choices:
            items += self._choice(chunk.choices[0])
        if chunk.prompt_progress is not None:
            items += _progress(chunk.prompt_progress)
        spent = _spent(chunk)
        if spent:
            items.append(spent)
        return items

    def _choice(self, choice: _Choice) -> list[Item]:
        items: list[Item] = []
        delta = choice.delta or choice.message
        if delta is not None:
            thought = delta.reasoning_content or delta.reasoning
            if thought and isinstance(thought, str):
                items.append(Reasoning(thought))
            if delta.content:
                items += self._content(delta.content)
        if choice.finish_reason:
            items += self._end(str(choice.finish_reason))
        return items

    def _content(self, content: object) -> list[Item]:
        if isinstance(content, str):
            return [*self._think.feed(content)]
        items: list[Item] = []
        for part in content if isinstance(content, list) else ():  # Mistral's reasoning models
            if isinstance(part, dict):
                items += self._part(part)
        return items

    def _part(self, part: dict[str, Any]) -> list[Item]:
        if part.get("type") == "thinking":
            inner = part.get("thinking")
            texts = [p.get("text", "") for p in inner] if isinstance(inner, list) else [inner]
            thought = "".join(text for text in texts if isinstance(text, str))
            return [Reasoning(thought)] if thought else []
        text = part.get("text")
        return [*self._think.feed(text)] if isinstance(text, str) else []

    def _end(self, reason: str) -> list[Item]:
        if reason == "error":
            return [from_payload({"message": "the model failed"}, self._origin)]
        if reason in _BLOCKED:
            self._reason, self._detail = "blocked", reason
        else:
            self._reason = "length" if reason in _LENGTH else "done"
        return []


def _error_in(chunk: _Chunk) -> object:
    if chunk.error:
        return {"error": chunk.error}
    if chunk.object == "error":
        return {"message": chunk.message}
    if isinstance(chunk.x_groq, dict) and chunk.x_groq.get("error"):
        return {"error": chunk.x_groq["error"]}
    return None


def _progress(progress: Any) -> list[Item]:
    done, total = progress.get("processed"), progress.get("total")
    if isinstance(done, int) and isinstance(total, int):
        return [Loading("reading the prompt", done, total)]
    return []


def _spent(chunk: _Chunk) -> Spent | None:
    usage = chunk.usage
    if not usage and isinstance(chunk.x_groq, dict):
        usage = chunk.x_groq.get("usage")
    if isinstance(usage, dict):
        details = usage.get("prompt_tokens_details")
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        if cached is None:
            cached = usage.get("prompt_cache_hit_tokens")  # DeepSeek
        cost = usage.get("cost")
        return Spent(
            prompt_tokens=_whole(usage.get("prompt_tokens")) or 0,
            completion_tokens=_whole(usage.get("completion_tokens")) or 0,
            cached_tokens=_whole(cached),
            cost=float(cost) if isinstance(cost, int | float) else None,
        )
    timings = chunk.timings
    if isinstance(timings, dict) and "predicted_n" in timings:
        cached = _whole(timings.get("cache_n")) or 0
        prompt = cached + (_whole(timings.get("prompt_n")) or 0)
        return Spent(prompt, _whole(timings["predicted_n"]) or 0, cached)
    return None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


# --- the edge -----------------------------------------------------------------------------------


def bearer(key: str) -> dict[str, str]:
    """Returns the header that carries a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


class OpenAIProvider(RemoteProvider):
    """A provider over one OpenAI-compatible endpoint."""

    def __init__(self, endpoint: Endpoint, edge: Edge) -> None:
        super().__init__(endpoint, edge)
        self._first_model = ""

    async def _prepared(self, completion: Completion) -> Call:
        """An empty model means the first one on offer."""
        model = completion.model or await self._first()
        refused = self._refusals.of(model)
        named = msgspec.structs.replace(completion, model=model)
        body = build_body(named, self._endpoint, self._flavour(), refused)
        origin = self._edge.origin(model, body)
        dialect = ChatStream(origin, thinks=self._thinks(model))
        return Call("/chat/completions", body, origin, Interpreter(origin, SseDecoder(), dialect))

    def refuse(self, model: str, field: str) -> bool:
        """Remembers that ``model`` does not take ``field``; returns whether leaving it out may help."""
        return self._refusals.add(model or self._first_model, field)

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model or self._first_model)
        return left_out(completion, self._endpoint, self._flavour(), refused)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""
        payload = await self._edge.get_json("/models")
        return read_models(payload, self._endpoint.kind)

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact count from a llama.cpp server, None from any other."""
        if self._flavour() is not FLAVOURS["llamacpp"]:
            return None
        root = self._endpoint.base_url.removesuffix("/v1")
        try:
            payload = await self._edge.post_json("/tokenize", {"content": text}, base_url=root)
        except ProviderError:
            return None  # an estimate will do
        tokens = payload.get("tokens") if isinstance(payload, dict) else None
        return len(tokens) if isinstance(tokens, list) else None

    def _flavour(self) -> Flavour:
        return flavour_of(self._endpoint.kind, self._edge.server)

    async def _first(self) -> str:
        if not self._first_model:
            found = await self.models()
            if not found:
                raise ProviderError(
                    "model_not_found",
                    f"{self.name} offers no model; load one there, or choose another with /model.",
                )
            self._first_model = found[0].id
        return self._first_model
