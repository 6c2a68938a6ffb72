"""Ollama's own API, ``/api/chat``.

Native, because the compatible address cannot set the context length and then silently drops the
early story. ``num_ctx`` is our own budget and stays the same for a story: a change makes Ollama load
the model again. Pure up to the last class. Shapes: Ollama docs/api.md; the end mark is ``done``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from flower.engine.provider.base import Completion, Finish, ModelInfo, Reasoning, Spent, Template, Text
from flower.engine.provider.endpoint import Endpoint, not_sent, patched, wanted_params, without
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.decode import Item
from flower.engine.provider.http.framing import NdjsonDecoder, count, mapping, string
from flower.engine.provider.http.response import Call
from flower.engine.provider.services.remote import RemoteProvider, bearer, ending_with_user
from flower.errors import ProviderError

OLLAMA_SHOWN_MODELS = 50  # one request each to learn the context length

_OPTIONS = frozenset(
    {"temperature", "top_p", "top_k", "min_p", "typical_p", "seed", "stop", "repeat_penalty"}
    | {
        "repeat_last_n",
        "presence_penalty",
        "frequency_penalty",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
    }
    | {"num_gpu", "num_thread", "num_keep"}
)
_RENAMED = {"repetition_penalty": "repeat_penalty"}
_TOP_LEVEL = frozenset({"keep_alive", "think"})
_SENT_AS = {name: name for name in _OPTIONS | _TOP_LEVEL} | _RENAMED


def build_body(
    completion: Completion, endpoint: Endpoint, refused: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the request's JSON."""
    options: dict[str, Any] = {
        "num_ctx": completion.context_tokens,
        "num_predict": completion.max_tokens,
    }
    body: dict[str, Any] = {
        "model": completion.model,
        "messages": [
            {"role": m.role, "content": m.content} for m in ending_with_user(list(completion.messages))
        ],
        "stream": True,
        "options": options,
    }
    if completion.quiet:
        body["think"] = False
    for name, value in wanted_params(completion, endpoint).items():
        own = _RENAMED.get(name, name)
        if own in _OPTIONS:
            options[own] = [value] if own == "stop" and isinstance(value, str) else value
        elif own in _TOP_LEVEL:
            body[own] = value
    return without(patched(body, endpoint, completion.model), refused)


# --- the stream ---------------------------------------------------------------------------------


class ChatLines:
    """The meaning of the lines of ``/api/chat``."""

    def __init__(self) -> None:
        self._reason = ""
        self.ended = False

    @property
    def finished(self) -> bool:
        """The last line was seen."""
        return self.ended

    def event(self, document: dict[str, Any]) -> list[Item]:
        """Returns what one line says."""
        items: list[Item] = []
        message = mapping(document.get("message"))
        if thought := string(message.get("thinking")):
            items.append(Reasoning(thought))
        if text := string(message.get("content")) or string(document.get("response")):
            items.append(Text(text))
        if document.get("done") is True:
            self.ended = True
            self._reason = string(document.get("done_reason")) or "stop"
            written = count(document.get("eval_count"))
            if written is not None:
                items.append(Spent(count(document.get("prompt_eval_count")) or 0, written))
        return items

    def whole(self, document: dict[str, Any]) -> list[Item]:
        """Returns what a reply says that came as one document."""
        items = self.event(document)
        self.ended = self.ended or any(isinstance(item, Text) for item in items)
        return items

    def done(self) -> None:
        """Takes an end mark that is no line of this API, from something between it and us."""
        self.ended = True

    def finish(self) -> list[Item]:
        """Returns ``Finish`` when the last line came."""
        if not self.ended:
            return []
        return [Finish("length" if self._reason == "length" else "done")]


# --- over HTTP -----------------------------------------------------------------------------------


def build(endpoint: Endpoint) -> OllamaProvider:
    """Returns the provider of an endpoint of this family."""
    return OllamaProvider(endpoint, HttpClient(endpoint, bearer))


class OllamaProvider(RemoteProvider):
    """A provider over an Ollama server."""

    async def _prepared(self, completion: Completion) -> Call:
        """An empty model means the first one on offer."""
        model = completion.model or await self._first()
        named = msgspec.structs.replace(completion, model=model)
        body = build_body(named, self._endpoint, self._refusals.of(model))
        origin = self._http.origin(model, body)
        return Call(
            "/api/chat",
            body,
            origin,
            self._interpreter(NdjsonDecoder(), ChatLines(), origin, named),
            self._learned(model),
        )

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model)
        return not_sent(wanted_params(completion, self._endpoint), _SENT_AS, refused)

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns False: this API writes the prompt, and ends it with the player."""
        return False

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models that are pulled, with the context they were trained for."""
        payload = await self._http.get_json("/api/tags")
        rows = payload.get("models") if isinstance(payload, dict) else None
        listed: list[ModelInfo] = []
        for row in rows if isinstance(rows, list) else ():
            name = row.get("model") or row.get("name") if isinstance(row, dict) else None
            if isinstance(name, str) and name:
                asks = len(listed) < OLLAMA_SHOWN_MODELS
                details = await self._show(name) if asks else None
                if details is not None and not details[1]:
                    continue
                listed.append(ModelInfo(name, name, details[0] if details else 0, 0.0, 0.0))
        return tuple(listed)

    async def _show(self, name: str) -> tuple[int, bool] | None:
        """Returns context length and whether the model can chat; None if Ollama does not tell."""
        try:
            payload = await self._http.post_json("/api/show", {"model": name})
        except ProviderError:
            return None  # a damaged model must not hide the others
        return read_show(payload)

    async def _first(self) -> str:
        listed = await self.models()
        if not listed:
            raise ProviderError(
                "model_not_found",
                f"{self.name} has no model yet; fetch one, for example with `ollama pull gemma3`.",
            )
        return listed[0].id


def read_show(payload: object) -> tuple[int, bool]:
    """Returns context length in tokens (0: unknown) and whether the model can chat."""
    if not isinstance(payload, dict):
        return 0, True
    info = payload.get("model_info")
    lengths = [
        value
        for key, value in (info.items() if isinstance(info, dict) else ())
        if key.endswith(".context_length") and isinstance(value, int)
    ]
    capabilities = payload.get("capabilities")
    chats = not isinstance(capabilities, list) or not capabilities or "completion" in capabilities
    return max(lengths, default=0), chats
