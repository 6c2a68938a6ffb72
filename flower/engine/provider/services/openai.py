"""Everything that speaks OpenAI's chat completions API.

Reads the chunks of OpenAI, OpenRouter, DeepSeek, Groq, Mistral, LM Studio, vLLM, llama.cpp's ``/v1``
and any other compatible server; ``flavours`` knows how their requests differ. Pure up to the last
class, which sends requests through ``HttpClient``. Shapes: OpenAI API reference, chat completion chunks;
llama.cpp tools/server/README.md for ``return_progress`` and ``timings``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    FinishReason,
    Loading,
    ModelInfo,
    Reasoning,
    Spent,
    Template,
    Text,
)
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.error_body import clean
from flower.engine.provider.errors import Origin, from_payload
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.decode import Item
from flower.engine.provider.http.framing import SseDecoder, amount, count, mapping, rows, string
from flower.engine.provider.http.response import Call
from flower.engine.provider.models import read_models
from flower.engine.provider.services.openai_dialects import (
    FLAVOURS,
    PREFILL,
    Flavour,
    build_body,
    can_prefill,
    flavour_of,
    left_out,
)
from flower.engine.provider.services.remote import RemoteProvider, bearer
from flower.engine.provider.text_prompts import ChatFormat
from flower.errors import ProviderError

# --- the stream ---------------------------------------------------------------------------------


BANNED_KEPT = 512  # words whose tokens are remembered
BANNED_LETTERS = 4  # a shorter one is the beginning of too many other words

_LENGTH = frozenset({"length", "max_tokens", "model_length"})
_BLOCKED = frozenset({"content_filter", "safety", "refusal"})
_THOUGHTS = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "reasoning_details")
_THOUGHT_TEXTS = ("text", "summary", "content", "thinking")


class ChatStream:
    """The meaning of chat completion chunks."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._reason: FinishReason | None = None
        self._detail = ""
        self._refusal = ""
        self.ended = False

    @property
    def finished(self) -> bool:
        """The finish reason was seen."""
        return self._reason is not None

    def event(self, document: dict[str, Any]) -> list[Item]:
        """Returns what one chunk says."""
        items: list[Item] = []
        choice = _first_choice(document.get("choices"))
        if choice:
            items += self._choice(choice)
        groq = mapping(document.get("x_groq"))
        if groq.get("error"):
            items.append(from_payload({"error": groq["error"]}, self._origin))
        progress = mapping(document.get("prompt_progress"))
        done, total = count(progress.get("processed")), count(progress.get("total"))
        if done is not None and total is not None:
            items.append(Loading("reading the prompt", done, total))
        spent = _spent(document, groq)
        if spent:
            items.append(spent)
        return items

    def whole(self, document: dict[str, Any]) -> list[Item]:
        """Returns what a completion that was not streamed says."""
        items = self.event(document)
        if any(isinstance(item, Text) for item in items) and self._reason is None:
            self._reason = "done"
        return items

    def done(self) -> None:
        """Takes ``[DONE]``."""
        self.ended = True

    def finish(self) -> list[Item]:
        """Returns ``Finish`` when a finish reason or ``[DONE]`` came."""
        if not (self.finished or self.ended):
            return []
        if self._refusal.strip():
            return [Finish("blocked", f"the model refused: {clean(self._refusal)}")]
        return [Finish(self._reason or "done", self._detail)]

    def _choice(self, choice: dict[str, Any]) -> list[Item]:
        if choice.get("error"):
            return [from_payload({"error": choice["error"]}, self._origin)]
        delta = mapping(choice.get("delta")) or mapping(choice.get("message"))
        items: list[Item] = []
        thought = next((text for name in _THOUGHTS if (text := _thought(delta.get(name)))), "")
        if thought:
            items.append(Reasoning(thought))
        items += _content(delta.get("content") or string(choice.get("text")))
        if len(self._refusal) < limits.ERROR_TEXT_CHARS:
            self._refusal += string(delta.get("refusal"))
        if choice.get("finish_reason"):
            items += self._end(str(choice["finish_reason"]))
        return items

    def _end(self, reason: str) -> list[Item]:
        if reason == "error":
            return [from_payload({"message": "the model failed"}, self._origin)]
        if reason in _BLOCKED:
            self._reason, self._detail = "blocked", reason
        else:
            self._reason = "length" if reason in _LENGTH else "done"
        return []


def _first_choice(choices: object) -> dict[str, Any]:
    """Returns the choice with index 0; a server may send several, whatever was asked for."""
    for place, choice in enumerate(rows(choices)):
        if isinstance(choice, dict):
            index = count(choice.get("index"))
            if (place if index is None else index) == 0:
                return choice
    return {}


def _content(content: object) -> list[Item]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    items: list[Item] = []
    for part in rows(content):  # Mistral's reasoning models
        part = {"text": part} if isinstance(part, str) else mapping(part)
        if part.get("type") == "thinking":
            thought = _thought(part.get("thinking"))
            items += [Reasoning(thought)] if thought else []
        elif text := string(part.get("text")):
            items.append(Text(text))
    return items


def _thought(value: object) -> str:
    """Returns the thinking in a field: text, an object that holds it, or a list of either."""
    if isinstance(value, list):
        return "".join(_thought(part) for part in value if not isinstance(part, list))
    if isinstance(value, dict):
        return next((text for name in _THOUGHT_TEXTS if (text := string(value.get(name)))), "")
    return string(value)


def _spent(document: dict[str, Any], groq: dict[str, Any]) -> Spent | None:
    usage = mapping(document.get("usage")) or mapping(groq.get("usage"))
    if usage:
        cached = count(mapping(usage.get("prompt_tokens_details")).get("cached_tokens"))
        if cached is None:
            cached = count(usage.get("prompt_cache_hit_tokens"))  # DeepSeek
        prompt, completed = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
        if prompt is None and completed is None:
            return None
        return Spent(prompt or 0, completed or 0, cached, amount(usage.get("cost")))
    timings = mapping(document.get("timings"))
    written = count(timings.get("predicted_n"))
    if written is None:
        return None
    cached = count(timings.get("cache_n")) or 0
    return Spent(cached + (count(timings.get("prompt_n")) or 0), written, cached)


def read_props(payload: object) -> ChatFormat:
    """Returns the chat template and special tokens in an answer of llama.cpp's ``/props``."""
    answer = mapping(payload)
    return ChatFormat(
        string(answer.get("chat_template")),
        string(answer.get("bos_token")),
        string(answer.get("eos_token")),
    )


# --- over HTTP -----------------------------------------------------------------------------------


def build(endpoint: Endpoint) -> OpenAIProvider:
    """Returns the provider of an endpoint of this family."""
    return OpenAIProvider(endpoint, HttpClient(endpoint, bearer))


class OpenAIProvider(RemoteProvider):
    """A provider over one OpenAI-compatible endpoint."""

    def __init__(self, endpoint: Endpoint, http: HttpClient) -> None:
        super().__init__(endpoint, http)
        self._first_model = ""
        self._tokens_of: dict[str, tuple[int, ...]] = {}  # of banned words

    async def _prepared(self, completion: Completion) -> Call:
        """An empty model means the first one on offer."""
        model = completion.model or await self._first()
        refused = self._refusals.of(model)
        named = msgspec.structs.replace(completion, model=model)
        body = build_body(named, self._endpoint, self._flavour(), refused)
        if self._flavour().bans_tokens and named.banned:
            body.setdefault("logit_bias", await self._banned_tokens(named.banned))
        text = await self._texts.body(body, named)
        body = body if text is None else text
        # "prefill" is what a refusal of a last message that is the assistant's is remembered as.
        origin = self._http.origin(model, {**body, PREFILL: True})
        return Call(
            "/chat/completions" if text is None else "/completions",
            body,
            origin,
            self._interpreter(SseDecoder(), ChatStream(origin), origin, named),
            self._learned(model),
        )

    def refuse(self, model: str, field: str) -> bool:
        """Remembers that ``model`` does not take ``field``; returns whether leaving it out may help."""
        return self._refusals.add(model or self._first_model, field)

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model or self._first_model)
        return left_out(completion, self._endpoint, self._flavour(), refused)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""
        payload = await self._http.get_json("/models")
        return read_models(payload, self._endpoint.kind)

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact count from a llama.cpp server, None from any other."""
        if self._flavour() is not FLAVOURS["llamacpp"]:
            return None
        root = self._endpoint.base_url.removesuffix("/v1")
        try:
            payload = await self._http.post_json("/tokenize", {"content": text}, base_url=root)
        except ProviderError:
            return None  # an estimate will do
        tokens = payload.get("tokens") if isinstance(payload, dict) else None
        return len(tokens) if isinstance(tokens, list) else None

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns whether a reply of ``model`` can go on in its own words here."""
        refused = self._refusals.of(model or self._first_model)
        return super().prefills(model, template) or can_prefill(self._flavour(), refused)

    async def _chat_format(self) -> ChatFormat:
        """llama.cpp tells it beside its settings, tabbyAPI beside its model."""
        root = self._endpoint.base_url.removesuffix("/v1")
        if self._flavour() is FLAVOURS["llamacpp"]:
            return read_props(await self._http.get_json("/props", base_url=root))
        if self._flavour() is FLAVOURS["tabbyapi"]:
            answer = mapping(await self._http.get_json("/model"))
            return ChatFormat(string(mapping(answer.get("parameters")).get("prompt_template_content")))
        return ChatFormat()

    async def _banned_tokens(self, phrases: Sequence[str]) -> list[list[object]]:
        """Returns the tokens that are banned words as a whole; longer phrases are watched for as they come."""
        pairs: list[list[object]] = []
        for phrase in phrases:
            if phrase not in self._tokens_of:
                while len(self._tokens_of) >= BANNED_KEPT:
                    del self._tokens_of[next(iter(self._tokens_of))]
                self._tokens_of[phrase] = await self._whole_tokens(phrase)
            pairs += [[token, False] for token in self._tokens_of[phrase]]
        return pairs

    async def _whole_tokens(self, word: str) -> tuple[int, ...]:
        if len(word) < BANNED_LETTERS or not word.isalpha():
            return ()
        root = self._endpoint.base_url.removesuffix("/v1")
        tokens: list[int] = []
        for spelled in dict.fromkeys((word, word.capitalize())):
            for text in (spelled, f" {spelled}"):
                try:
                    answer = await self._http.post_json("/tokenize", {"content": text}, base_url=root)
                except ProviderError:
                    return ()
                ids = mapping(answer).get("tokens")
                if isinstance(ids, list) and len(ids) == 1 and isinstance(ids[0], int):
                    tokens.append(ids[0])
        return tuple(dict.fromkeys(tokens))

    async def _places(self) -> int | None:
        """A llama.cpp server says how many slots it has."""
        if self._flavour() is not FLAVOURS["llamacpp"]:
            return None
        root = self._endpoint.base_url.removesuffix("/v1")
        payload = await self._http.get_json("/props", base_url=root)
        return count(mapping(payload).get("total_slots")) or None

    def _flavour(self) -> Flavour:
        return flavour_of(self._endpoint.kind, self._http.server)

    async def _first(self) -> str:
        if not self._first_model:
            listed = await self.models()
            if not listed:
                raise ProviderError(
                    "model_not_found",
                    f"{self.name} offers no model; load one there, or choose another with /model.",
                )
            self._first_model = listed[0].id
        return self._first_model
