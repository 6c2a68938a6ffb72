"""Ollama's own API, ``/api/chat``.

Native, because the compatible address cannot set the context length and then silently drops the
early story. ``num_ctx`` is our own budget and stays the same for a story: a change makes Ollama load
the model again. Pure up to the last class. Shapes: Ollama docs/api.md; the end mark is ``done``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import Completion, Finish, ModelInfo, Reasoning, Spent
from flower.engine.provider.decode import Interpreter, Item, ThinkSplitter
from flower.engine.provider.endpoint import Endpoint, patched, wanted_params
from flower.engine.provider.errors import Origin, from_payload
from flower.engine.provider.framing import NdjsonDecoder
from flower.engine.provider.http import RemoteProvider
from flower.engine.provider.request_fields import without
from flower.engine.provider.response import Call
from flower.errors import ProviderError

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
        "messages": [{"role": m.role, "content": m.content} for m in completion.messages],
        "stream": True,
        "options": options,
    }
    for name, value in wanted_params(completion, endpoint).items():
        own = _RENAMED.get(name, name)
        if own in _OPTIONS:
            options[own] = [value] if own == "stop" and isinstance(value, str) else value
        elif own in _TOP_LEVEL:
            body[own] = value
    return without(patched(body, endpoint, completion.model), refused)


# --- the stream ---------------------------------------------------------------------------------


class _Message(Struct, gc=False):
    content: str | None = None
    thinking: str | None = None


class _Line(Struct, gc=False):
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Line)


class ChatLines:
    """The meaning of the lines of ``/api/chat``."""

    def __init__(self, origin: Origin, *, thinks: bool = False) -> None:
        self._origin = origin
        self._think = ThinkSplitter(inside=thinks)
        self._reason = ""
        self.ended = False

    @property
    def finished(self) -> bool:
        """The last line was seen."""
        return self.ended

    def event(self, data: bytes, name: str) -> list[Item]:
        """Returns what one line says."""
        line = _decoder.decode(data)
        if line.error:
            return [from_payload({"error": line.error}, self._origin)]
        items: list[Item] = []
        if line.message is not None:
            if line.message.thinking:
                items.append(Reasoning(line.message.thinking))
            if line.message.content:
                items += self._think.feed(line.message.content)
        if line.done:
            self.ended = True
            self._reason = line.done_reason or "stop"
            if line.eval_count is not None:
                items.append(Spent(line.prompt_eval_count or 0, line.eval_count))
        return items

    def whole(self, data: bytes) -> list[Item]:
        """Returns what a reply says that came as one document."""
        items = self.event(data.strip(), "")
        if not items and not self.ended:
            raise ValueError("no reply")
        return items

    def finish(self) -> list[Item]:
        """Returns held back text, and ``Finish`` when the last line came."""
        items: list[Item] = [*self._think.end()]
        if self.ended:
            items.append(Finish("length" if self._reason == "length" else "done"))
        return items


# --- the edge -----------------------------------------------------------------------------------


class OllamaProvider(RemoteProvider):
    """A provider over an Ollama server."""

    async def _prepared(self, completion: Completion) -> Call:
        """An empty model means the first one on offer."""
        model = completion.model or await self._first()
        named = msgspec.structs.replace(completion, model=model)
        body = build_body(named, self._endpoint, self._refusals.of(model))
        origin = self._edge.origin(model, body)
        dialect = ChatLines(origin, thinks=self._thinks(model))
        return Call("/api/chat", body, origin, Interpreter(origin, NdjsonDecoder(), dialect))

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model)
        sent = _OPTIONS | _TOP_LEVEL
        wanted = wanted_params(completion, self._endpoint)
        return tuple(
            n for n in wanted if _RENAMED.get(n, n) not in sent or _RENAMED.get(n, n) in refused
        )

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models that are pulled, with the context they were trained for."""
        payload = await self._edge.get_json("/api/tags")
        rows = payload.get("models") if isinstance(payload, dict) else None
        found: list[ModelInfo] = []
        for row in rows if isinstance(rows, list) else ():
            name = row.get("model") or row.get("name") if isinstance(row, dict) else None
            if isinstance(name, str) and name:
                shown = len(found) < limits.OLLAMA_SHOWN_MODELS
                details = await self._show(name) if shown else None
                if details is not None and not details[1]:
                    continue
                found.append(ModelInfo(name, name, details[0] if details else 0, 0.0, 0.0))
        return tuple(found)

    async def _show(self, name: str) -> tuple[int, bool] | None:
        """Returns context length and whether the model can chat; None if Ollama does not tell."""
        try:
            payload = await self._edge.post_json("/api/show", {"model": name})
        except ProviderError:
            return None  # a damaged model must not hide the others
        return read_show(payload)

    async def _first(self) -> str:
        found = await self.models()
        if not found:
            raise ProviderError(
                "model_not_found",
                f"{self.name} has no model yet; fetch one, for example with `ollama pull gemma3`.",
            )
        return found[0].id


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
