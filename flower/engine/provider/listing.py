"""Lists of models, as servers of the OpenAI family give them.

Pure. Prices become USD per million tokens; a price that is dynamic, absent or strange is never
multiplied. What a bare list of ids does not tell (context lengths, DeepSeek's prices) comes from a
small table with a date.
"""

from __future__ import annotations

import re
from typing import Any

from flower import limits
from flower.engine.provider.base import ModelInfo

# Vendors' documentation as of 2025-10: context length in tokens, prices in USD per million tokens.
# Only what changes rarely; a list from the network always wins.
_KNOWN: tuple[tuple[str, int, float | None, float | None], ...] = (
    (r"^deepseek-(chat|reasoner)$", 128_000, 0.28, 0.42),
    (r"^gpt-4\.1", 1_047_576, None, None),
    (r"^gpt-4o|^chatgpt-4o", 128_000, None, None),
    (r"^gpt-5", 400_000, None, None),
    (r"^o[134](-|$)", 200_000, None, None),
    (r"^claude-", 200_000, None, None),
)
# Lists mix narrators with models that cannot chat.
_NO_CHAT = re.compile(
    r"embed|whisper|tts|audio|transcribe|speech|dall-e|image|moderation|rerank|guard|ocr|sora|realtime"
    r"|davinci|babbage|video|imagen|veo",
    re.IGNORECASE,
)


def read_models(payload: object, kind: str) -> tuple[ModelInfo, ...]:
    """Returns the chat models of a ``GET /models`` answer, in its order; skips what it cannot read."""
    rows = payload.get("data") if isinstance(payload, dict) else payload
    if not isinstance(rows, list) and isinstance(payload, dict):
        rows = payload.get("models")
    found: list[ModelInfo] = []
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and len(found) < limits.CATALOGUE_MODELS:
            info = _read_row(row, kind)
            if info is not None:
                found.append(info)
    return tuple(found)


def known_model(model: str) -> ModelInfo:
    """Returns what the table knows about a model id; unknown fields are empty."""
    for pattern, context, prompt, completion in _KNOWN:
        if re.search(pattern, model):
            return ModelInfo(model, model, context, prompt, completion)
    return ModelInfo(model, model)


def _read_row(row: dict[str, Any], kind: str) -> ModelInfo | None:
    model = row.get("id") or row.get("name")
    if not isinstance(model, str) or not model or not _chats(row, model, kind):
        return None
    known = known_model(model)
    prices = _section(row, "pricing")
    prompt, varies_in = per_million(prices.get("prompt"))
    completion, varies_out = per_million(prices.get("completion"))
    name = row.get("name")
    return ModelInfo(
        id=model,
        name=name if isinstance(name, str) and name else model,
        context_tokens=_context(row) or known.context_tokens,
        prompt_price=known.prompt_price if prompt is None and kind == "deepseek" else prompt,
        completion_price=known.completion_price
        if completion is None and kind == "deepseek"
        else completion,
        price_varies=varies_in or varies_out,
    )


def per_million(price: object) -> tuple[float | None, bool]:
    """Returns USD per million tokens of a price per token, and whether it is dynamic.

    OpenRouter gives strings, and "-1" for routers whose price depends on the model they pick.
    """
    if isinstance(price, bool) or not isinstance(price, str | int | float):
        return None, False
    try:
        value = float(price)
    except ValueError:
        return None, False
    if value != value or value in (float("inf"), float("-inf")):
        return None, False
    if value < 0:
        return None, True
    return round(value * 1_000_000, 6), False


def _context(row: dict[str, Any]) -> int:
    """Returns the tokens that fit: the smallest figure a list gives, as routers promise the largest."""
    top = _section(row, "top_provider")
    meta = _section(row, "meta")
    figures = (
        row.get("context_length"),  # OpenRouter
        top.get("context_length"),
        row.get("context_window"),  # Groq
        row.get("max_context_length"),  # Mistral, LM Studio
        row.get("loaded_context_length"),
        row.get("max_model_len"),  # vLLM
        meta.get("n_ctx"),  # llama.cpp: per slot
    )
    usable = [f for f in figures if isinstance(f, int) and not isinstance(f, bool) and f > 0]
    if usable:
        return min(usable)
    trained = meta.get("n_ctx_train")
    return trained if isinstance(trained, int) else 0


def _chats(row: dict[str, Any], model: str, kind: str) -> bool:
    if row.get("active") is False:  # Groq
        return False
    capabilities = row.get("capabilities")
    if isinstance(capabilities, dict) and capabilities.get("completion_chat") is False:  # Mistral
        return False
    architecture = row.get("architecture")
    if isinstance(architecture, dict) and isinstance(architecture.get("output_modalities"), list):
        return "text" in architecture["output_modalities"]
    if kind in ("openai", "groq", "mistral", "lmstudio"):
        return _NO_CHAT.search(model) is None
    return True


def _section(row: dict[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}
