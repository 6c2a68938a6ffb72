"""Google's Gemini API, ``models/M:streamGenerateContent``.

Native rather than through Google's OpenAI-compatible address, which hides why something was blocked.
Pure up to the last class. Shapes: Gemini API reference, GenerateContentRequest and -Response. There
is no end mark: the reply is complete when a chunk carried a finish reason.
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
from flower.engine.provider.services.remote import (
    RemoteProvider,
    alternating,
    ending_with_user,
    split_system,
)

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


_REASONS: dict[str, FinishReason] = {"STOP": "done", "MAX_TOKENS": "length"}


class GenerateStream:
    """The meaning of the chunks of ``streamGenerateContent``."""

    def __init__(self) -> None:
        self._finish: Finish | None = None
        self.ended = False  # the API has no end mark; something between it and us may add one

    @property
    def finished(self) -> bool:
        """A finish reason was seen."""
        return self._finish is not None

    def event(self, document: dict[str, Any]) -> list[Item]:
        """Returns what one chunk says."""
        items: list[Item] = []
        candidate = _first_candidate(document.get("candidates"))
        feedback = mapping(document.get("promptFeedback"))
        if candidate:
            items += self._candidate(candidate)
        elif feedback.get("blockReason"):
            self._finish = Finish("blocked", _block_detail(feedback))
        usage = mapping(document.get("usageMetadata"))
        if usage:
            items.append(_spent(usage))
        return items

    def whole(self, document: dict[str, Any]) -> list[Item]:
        """Returns what a reply says that came as one document, or as one of an array."""
        return self.event(document)

    def done(self) -> None:
        """Takes an end mark that is none of this API's."""
        self.ended = True

    def finish(self) -> list[Item]:
        """Returns ``Finish`` when a finish reason came."""
        if self._finish is None and self.ended:
            return [Finish("done")]
        return [self._finish] if self._finish is not None else []

    def _candidate(self, candidate: dict[str, Any]) -> list[Item]:
        parts = map(mapping, rows(mapping(candidate.get("content")).get("parts")))
        items: list[Item] = [
            Reasoning(text) if part.get("thought") is True else Text(text)
            for part in parts
            if (text := string(part.get("text")))
        ]
        reason = string(candidate.get("finishReason"))
        if reason and reason != "FINISH_REASON_UNSPECIFIED":
            detail = "" if reason in _REASONS else string(candidate.get("finishMessage")) or reason
            self._finish = Finish(_REASONS.get(reason, "blocked"), detail)
        return items


def _first_candidate(candidates: object) -> dict[str, Any]:
    for place, candidate in enumerate(rows(candidates)):
        if isinstance(candidate, dict):
            index = count(candidate.get("index"))
            if (place if index is None else index) == 0:
                return candidate
    return {}


def _block_detail(feedback: dict[str, Any]) -> str:
    """Returns the reason and the categories that caused it, in Google's words."""
    ratings = feedback.get("safetyRatings")
    causes = [
        str(rating.get("category", "")).removeprefix("HARM_CATEGORY_")
        for rating in map(mapping, rows(ratings))
        if rating.get("blocked")
    ]
    words = feedback.get("blockReasonMessage") or feedback["blockReason"]
    return f"{words}: {', '.join(causes)}" if causes else str(words)


def _spent(usage: dict[str, Any]) -> Spent:
    def figure(name: str) -> int:
        return count(usage.get(name)) or 0

    return Spent(
        prompt_tokens=figure("promptTokenCount"),
        completion_tokens=figure("candidatesTokenCount") + figure("thoughtsTokenCount"),
        cached_tokens=figure("cachedContentTokenCount") if "cachedContentTokenCount" in usage else None,
    )


def read_models(payload: object) -> tuple[ModelInfo, ...]:
    """Returns the models of a ``GET /models`` answer that can narrate. The API gives no prices."""
    rows = payload.get("models") if isinstance(payload, dict) else None
    models: list[ModelInfo] = []
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or "generateContent" not in (
            row.get("supportedGenerationMethods") or ()
        ):
            continue
        model = str(row.get("name", "")).removeprefix("models/")
        context = row.get("inputTokenLimit")
        if model and len(models) < limits.CATALOGUE_MODELS:
            models.append(
                ModelInfo(
                    model,
                    str(row.get("displayName") or model),
                    context if isinstance(context, int) else 0,
                )
            )
    return tuple(models)


# --- over HTTP -----------------------------------------------------------------------------------


def api_key(key: str) -> dict[str, str]:
    """Returns the header that carries a key; in the address it would end up in logs."""
    return {"x-goog-api-key": key} if key else {}


def build(endpoint: Endpoint) -> GeminiProvider:
    """Returns the provider of an endpoint of this family."""
    return GeminiProvider(endpoint, HttpClient(endpoint, api_key))


class GeminiProvider(RemoteProvider):
    """A provider over the Gemini API."""

    async def _prepared(self, completion: Completion) -> Call:
        model = _path_name(completion.model)
        body = build_body(completion, self._endpoint, self._refusals.of(completion.model))
        origin = self._http.origin(model, body)
        path = f"/models/{model}:streamGenerateContent?alt=sse"
        reader = self._interpreter(SseDecoder(), GenerateStream(), origin, completion)
        return Call(path, body, origin, reader, self._learned(completion.model))

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        refused = self._refusals.of(completion.model)
        return not_sent(wanted_params(completion, self._endpoint), _PARAMS, refused)

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns False: this API writes the prompt, and ends it with the player."""
        return False

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the models on offer; raises ``ProviderError``."""
        return read_models(await self._http.get_json("/models?pageSize=1000"))


def _path_name(model: str) -> str:
    """Returns a model id that is safe inside a path."""
    name = model.removeprefix("models/") or KINDS["gemini"].first_model
    return "".join(c for c in name if c.isalnum() or c in "-._/")
