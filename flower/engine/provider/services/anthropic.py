"""Anthropic's Messages API.

Pure up to the last class. Shapes: Anthropic API reference, streaming messages. The end mark is
``message_stop``. Marks the stable part of the prompt for Anthropic's prompt cache.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    FinishReason,
    ModelInfo,
    PromptMessage,
    Reasoning,
    Spent,
    Template,
    Text,
)
from flower.engine.provider.endpoint import KINDS, Endpoint, not_sent, patched, wanted_params, without
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.decode import Item
from flower.engine.provider.http.framing import SseDecoder, count, mapping, rows, string
from flower.engine.provider.http.response import Call
from flower.engine.provider.models import known_model
from flower.engine.provider.services.remote import (
    RemoteProvider,
    alternating,
    ending_with_user,
    split_system,
)

_VERSION = "2023-06-01"
_PARAMS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "stop": "stop_sequences",
    "thinking": "thinking",
}
_CACHED = {"type": "ephemeral"}


def build_body(
    completion: Completion, endpoint: Endpoint, refused: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the request's JSON. A trailing assistant message is a prefill where models take one."""
    system, rest = split_system(completion.messages)
    turns = alternating(rest)
    if "prefill" in refused:
        turns = ending_with_user(turns)
    body: dict[str, Any] = {
        "model": completion.model or KINDS["anthropic"].first_model,
        "max_tokens": completion.max_tokens,
        "messages": _marked(turns),
        "stream": True,
    }
    if system:
        body["system"] = [{"type": "text", "text": system, "cache_control": _CACHED}]
    for name, value in wanted_params(completion, endpoint).items():
        if name in _PARAMS:
            body[_PARAMS[name]] = value
    if isinstance(body.get("stop_sequences"), str):
        body["stop_sequences"] = [body["stop_sequences"]]
    return without(patched(body, endpoint, completion.model), refused)


def _marked(turns: list[PromptMessage]) -> list[dict[str, Any]]:
    """Returns the turns with a cache mark on the last one that the next prompt will repeat.

    That is the assistant's last: the user's line after it carries recalled lore, which changes.
    """
    ends = [number for number, turn in enumerate(turns[:-1]) if turn.role == "assistant"]
    marked = []
    for number, turn in enumerate(turns):
        last = number == len(turns) - 1
        text = turn.content.rstrip() if turn.role == "assistant" and last else turn.content
        block: dict[str, Any] = {"type": "text", "text": text}
        if ends and number == ends[-1]:
            block["cache_control"] = _CACHED
        marked.append({"role": turn.role, "content": [block]})
    return marked


# --- the stream ---------------------------------------------------------------------------------


_REASONS: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "blocked",
}


class MessageStream:
    """The meaning of the events of a streamed message."""

    def __init__(self) -> None:
        self._reason = ""
        self._usage: dict[str, int] = {}
        self.ended = False

    @property
    def finished(self) -> bool:
        """The stop reason was seen."""
        return bool(self._reason)

    def event(self, document: dict[str, Any]) -> list[Item]:
        """Returns what one event says."""
        match document.get("type"):
            case "content_block_delta":
                return _words(mapping(document.get("delta")))
            case "content_block_start":
                return _words(mapping(document.get("content_block")))
            case "message_start":
                return self._count(mapping(document.get("message")).get("usage"))
            case "message_delta":
                self._reason = string(mapping(document.get("delta")).get("stop_reason")) or self._reason
                return self._count(document.get("usage"))
            case "message_stop":
                self.ended = True
            case "message":
                return self.whole(document)
        return []

    def whole(self, document: dict[str, Any]) -> list[Item]:
        """Returns what a message says that was not streamed."""
        if document.get("type") != "message":
            return self.event(document)
        self._reason = string(document.get("stop_reason")) or "end_turn"
        blocks = map(mapping, rows(document.get("content")))
        return [item for block in blocks for item in _words(block)] + self._count(document.get("usage"))

    def done(self) -> None:
        """Takes an end mark that is none of this API's."""
        self.ended = True

    def finish(self) -> list[Item]:
        """Returns ``Finish`` when a stop reason or the end mark came."""
        if not (self.finished or self.ended):
            return []
        reason = self._reason or "end_turn"
        kind = _REASONS.get(reason, "done")
        return [Finish(kind, reason if kind == "blocked" else "")]

    def _count(self, usage: object) -> list[Item]:
        """Keeps the last figure of each kind: input comes at the start, output grows to the end."""
        for name, value in mapping(usage).items():
            if (figure := count(value)) is not None:
                self._usage[name] = figure
        if not self._usage:
            return []
        read = self._usage.get("cache_read_input_tokens", 0)
        written = self._usage.get("cache_creation_input_tokens", 0)
        prompt = self._usage.get("input_tokens", 0) + read + written
        return [Spent(prompt, self._usage.get("output_tokens", 0), read)]


def _words(block: dict[str, Any]) -> list[Item]:
    if text := string(block.get("text")):
        return [Text(text)]
    thought = string(block.get("thinking"))
    return [Reasoning(thought)] if thought else []


def read_models(payload: object) -> tuple[ModelInfo, ...]:
    """Returns the models of a ``GET /models`` answer. The API gives no prices."""
    rows = payload.get("data") if isinstance(payload, dict) else None
    models = []
    for row in (rows if isinstance(rows, list) else ())[: limits.CATALOGUE_MODELS]:
        if isinstance(row, dict) and isinstance(row.get("id"), str):
            context = row.get("max_input_tokens")
            context_tokens = known_model(row["id"]).context_tokens
            tokens = context if isinstance(context, int) and context > 0 else context_tokens
            models.append(ModelInfo(row["id"], str(row.get("display_name") or row["id"]), tokens))
    return tuple(models)


# --- over HTTP -----------------------------------------------------------------------------------


def api_headers(key: str) -> dict[str, str]:
    """Returns the headers that carry the key and the API's version."""
    return {"x-api-key": key, "anthropic-version": _VERSION}


def build(endpoint: Endpoint) -> AnthropicProvider:
    """Returns the provider of an endpoint of this family."""
    return AnthropicProvider(endpoint, HttpClient(endpoint, api_headers))


class AnthropicProvider(RemoteProvider):
    """A provider over the Messages API."""

    def __init__(self, endpoint: Endpoint, http: HttpClient) -> None:
        super().__init__(endpoint, http, needed=("max_tokens",))

    async def _prepared(self, completion: Completion) -> Call:
        body = build_body(completion, self._endpoint, self._refusals.of(completion.model))
        # "prefill" is what a refusal of a trailing assistant turn is remembered as.
        origin = self._http.origin(completion.model, {**body, "prefill": True})
        reader = self._interpreter(SseDecoder(), MessageStream(), origin, completion)
        return Call("/messages", body, origin, reader, self._learned(completion.model))

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model)
        return not_sent(wanted_params(completion, self._endpoint), _PARAMS, refused)

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns whether a reply of ``model`` can go on in its own words: newer ones refuse that."""
        return "prefill" not in self._refusals.of(model)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""
        return read_models(await self._http.get_json("/models?limit=1000"))
