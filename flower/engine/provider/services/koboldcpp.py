"""KoboldCpp.

Its chat address applies the template of the loaded model, which the native generate address leaves to
the client; so completions go there, and what only the native API has (exact token counts, the real
context length, the model's name) comes from there. Closing the connection stops the generation.
"""

from __future__ import annotations

from typing import Any

import msgspec

from flower.engine.provider.base import Completion, ModelInfo, Template
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.framing import SseDecoder
from flower.engine.provider.http.response import Call
from flower.engine.provider.services.openai import ChatStream, read_props
from flower.engine.provider.services.openai_dialects import Flavour, build_body, can_prefill, left_out
from flower.engine.provider.services.remote import RemoteProvider, bearer
from flower.engine.provider.text_prompts import ChatFormat
from flower.errors import ProviderError

FLAVOUR = Flavour(
    renamed={
        "repetition_penalty": "rep_pen",
        "repeat_penalty": "rep_pen",
        "repeat_last_n": "rep_pen_range",
        "typical_p": "typical",
        "top_n_sigma": "nsigma",
    },
    usage_option=False,
    prefill={"continue_assistant_turn": True},
    banned_field="banned_tokens",  # phrases: the model is set back when it has written one
)


def build(endpoint: Endpoint) -> KoboldCppProvider:
    """Returns the provider of an endpoint of this family."""
    return KoboldCppProvider(endpoint, HttpClient(endpoint, bearer))


class KoboldCppProvider(RemoteProvider):
    """A provider over a KoboldCpp server, which holds one model."""

    async def _prepared(self, completion: Completion) -> Call:
        named = msgspec.structs.replace(completion, model=completion.model or "koboldcpp")
        body = build_body(named, self._endpoint, FLAVOUR, self._refusals.of(completion.model))
        text = await self._texts.body(body, named)
        body = body if text is None else text
        origin = self._http.origin(named.model, body)
        return Call(
            "/v1/chat/completions" if text is None else "/v1/completions",
            body,
            origin,
            self._interpreter(SseDecoder(), ChatStream(origin), origin, named),
            self._learned(named.model),
        )

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the names of the wanted parameters that are not sent."""
        return left_out(completion, self._endpoint, FLAVOUR, self._refusals.of(completion.model))

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns whether a reply can go on in its own words here."""
        refused = self._refusals.of(model)
        return super().prefills(model, template) or can_prefill(FLAVOUR, refused)

    async def _chat_format(self) -> ChatFormat:
        """Newer ones tell it where llama.cpp does."""
        try:
            return read_props(await self._http.get_json("/props"))
        except ProviderError:
            return ChatFormat()

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the loaded model; raises ``ProviderError``."""
        model = _text(await self._http.get_json("/api/v1/model"), "result").removeprefix("koboldcpp/")
        if not model or model == "inactive":
            return ()
        context = await self._http.get_json("/api/extra/true_max_context_length")
        tokens = context.get("value") if isinstance(context, dict) else 0
        return (ModelInfo(model, model, tokens if isinstance(tokens, int) else 0, 0.0, 0.0),)

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact count of the loaded model's tokenizer."""
        try:
            answer = await self._http.post_json("/api/extra/tokencount", {"prompt": text})
        except ProviderError:
            return None  # an estimate will do
        value = answer.get("value") if isinstance(answer, dict) else None
        return value if isinstance(value, int) else None


def _text(payload: Any, field: str) -> str:
    value = payload.get(field) if isinstance(payload, dict) else None
    return value if isinstance(value, str) else ""
