"""Google's Gemini API, ``models/M:streamGenerateContent``.

Native rather than through Google's OpenAI-compatible address, which hides why something was blocked.
Pure up to the last class. Shapes: Gemini API reference, GenerateContentRequest and -Response. There
is no end mark: the reply is complete when a chunk carried a finish reason.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    FinishReason,
    ModelInfo,
    Reasoning,
    Spent,
    Text,
)
from flower.engine.provider.decode import Interpreter, Item
from flower.engine.provider.endpoint import KINDS, Endpoint, patched, wanted_params
from flower.engine.provider.errors import Origin, from_payload
from flower.engine.provider.framing import SseDecoder
from flower.engine.provider.http import RemoteProvider
from flower.engine.provider.request_fields import alternating, ending_with_user, split_system, without
from flower.engine.provider.response import Call

_PARAMS = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "thinkingConfig": "thinkingConfig",
}
_CATEGORIES = ("HARASSMENT", "HATE_SPEECH", "SEXUALLY_EXPLICIT", "DANGEROUS_CONTENT")
_STOPS_MAX = 5  # the API's own limit


def build_body(
    completion: Completion, endpoint: Endpoint, refused: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the request's JSON. What is adjustable of the safety filters is set to tell us only."""
    system, rest = split_system(completion.messages)
    turns = ending_with_user(alternating(rest))
    settings: dict[str, Any] = {"maxOutputTokens": completion.max_tokens}
    for name, value in wanted_params(completion, endpoint).items():
        if name in _PARAMS:
            settings[_PARAMS[name]] = value
    if "stopSequences" in settings:
        settings["stopSequences"] = _stops(settings["stopSequences"])
    body: dict[str, Any] = {
        "contents": [
            {"role": "model" if turn.role == "assistant" else "user", "parts": [{"text": turn.content}]}
            for turn in turns
        ],
        "generationConfig": settings,
        "safetySettings": [
            {"category": f"HARM_CATEGORY_{name}", "threshold": "BLOCK_NONE"} for name in _CATEGORIES
        ],
    }
    if system:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    return without(patched(body, endpoint, completion.model), refused)


def _stops(value: object) -> list[str]:
    stops = value if isinstance(value, list | tuple) else [value]
    return [str(stop) for stop in stops][:_STOPS_MAX]


# --- the stream ---------------------------------------------------------------------------------


class _Part(Struct, gc=False):
    text: str | None = None
    thought: bool | None = None


class _Content(Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(Struct, gc=False):
    content: _Content | None = None
    finishReason: str | None = None  # noqa: N815  # the wire's name
    finishMessage: str | None = None  # noqa: N815


class _Chunk(Struct, gc=False):
    candidates: list[_Candidate] | None = None
    promptFeedback: Any = None  # noqa: N815
    usageMetadata: Any = None  # noqa: N815
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)
_list_decoder = msgspec.json.Decoder(list[_Chunk] | _Chunk)
_REASONS: dict[str, FinishReason] = {"STOP": "done", "MAX_TOKENS": "length"}


class GenerateStream:
    """The meaning of the chunks of ``streamGenerateContent``."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._finish: Finish | None = None

    @property
    def finished(self) -> bool:
        """A finish reason was seen."""
        return self._finish is not None

    @property
    def ended(self) -> bool:
        """Never: the API has no end mark, the end of the body is the end."""
        return False

    def event(self, data: bytes, name: str) -> list[Item]:
        """Returns what one chunk says."""
        return self._chunk(_decoder.decode(data))

    def whole(self, data: bytes) -> list[Item]:
        """Returns what a reply says that came as one document or as an array of chunks."""
        decoded = _list_decoder.decode(data)
        chunks = decoded if isinstance(decoded, list) else [decoded]
        items = [item for chunk in chunks for item in self._chunk(chunk)]
        if not items and not self.finished:
            raise ValueError("no reply")
        return items

    def finish(self) -> list[Item]:
        """Returns ``Finish`` when a finish reason came."""
        return [self._finish] if self._finish is not None else []

    def _chunk(self, chunk: _Chunk) -> list[Item]:
        if chunk.error:
            return [from_payload({"error": chunk.error}, self._origin)]
        items: list[Item] = []
        if chunk.candidates:
            items += self._candidate(chunk.candidates[0])
        elif isinstance(chunk.promptFeedback, dict) and chunk.promptFeedback.get("blockReason"):
            self._finish = Finish("blocked", _block_detail(chunk.promptFeedback))
        if isinstance(chunk.usageMetadata, dict):
            items.append(_spent(chunk.usageMetadata))
        return items

    def _candidate(self, candidate: _Candidate) -> list[Item]:
        parts = candidate.content.parts if candidate.content is not None else None
        items: list[Item] = [
            Reasoning(part.text) if part.thought else Text(part.text)
            for part in parts or ()
            if part.text
        ]
        reason = candidate.finishReason
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            detail = "" if reason in _REASONS else candidate.finishMessage or reason
            self._finish = Finish(_REASONS.get(reason, "blocked"), detail)
        return items


def _block_detail(feedback: dict[str, Any]) -> str:
    """Returns the reason and the categories that caused it, in Google's words."""
    ratings = feedback.get("safetyRatings")
    causes = [
        str(rating.get("category", "")).removeprefix("HARM_CATEGORY_")
        for rating in (ratings if isinstance(ratings, list) else ())
        if isinstance(rating, dict) and rating.get("blocked")
    ]
    said = feedback.get("blockReasonMessage") or feedback["blockReason"]
    return f"{said}: {', '.join(causes)}" if causes else str(said)


def _spent(usage: dict[str, Any]) -> Spent:
    def figure(name: str) -> int:
        value = usage.get(name)
        return value if isinstance(value, int) else 0

    return Spent(
        prompt_tokens=figure("promptTokenCount"),
        completion_tokens=figure("candidatesTokenCount") + figure("thoughtsTokenCount"),
        cached_tokens=figure("cachedContentTokenCount") if "cachedContentTokenCount" in usage else None,
    )


def read_models(payload: object) -> tuple[ModelInfo, ...]:
    """Returns the models of a ``GET /models`` answer that can narrate. The API gives no prices."""
    rows = payload.get("models") if isinstance(payload, dict) else None
    found: list[ModelInfo] = []
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or "generateContent" not in (
            row.get("supportedGenerationMethods") or ()
        ):
            continue
        model = str(row.get("name", "")).removeprefix("models/")
        context = row.get("inputTokenLimit")
        if model and len(found) < limits.CATALOGUE_MODELS:
            found.append(
                ModelInfo(
                    model,
                    str(row.get("displayName") or model),
                    context if isinstance(context, int) else 0,
                )
            )
    return tuple(found)


# --- the edge -----------------------------------------------------------------------------------


def api_key(key: str) -> dict[str, str]:
    """Returns the header that carries a key; in the address it would end up in logs."""
    return {"x-goog-api-key": key} if key else {}


class GeminiProvider(RemoteProvider):
    """A provider over the Gemini API."""

    async def _prepared(self, completion: Completion) -> Call:
        model = _path_name(completion.model)
        body = build_body(completion, self._endpoint, self._refusals.of(completion.model))
        origin = self._edge.origin(model, body)
        path = f"/models/{model}:streamGenerateContent?alt=sse"
        return Call(path, body, origin, Interpreter(origin, SseDecoder(), GenerateStream(origin)))

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model)
        wanted = wanted_params(completion, self._endpoint)
        return tuple(name for name in wanted if name not in _PARAMS or _PARAMS[name] in refused)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""
        return read_models(await self._edge.get_json("/models?pageSize=1000"))


def _path_name(model: str) -> str:
    """Returns a model id that is safe inside a path."""
    name = model.removeprefix("models/") or KINDS["gemini"].first_model
    return "".join(c for c in name if c.isalnum() or c in "-._/")
