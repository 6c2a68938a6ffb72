"""Lists of models, as servers of the OpenAI family give them.

Pure. Prices become USD per million tokens; a price that is dynamic, absent or strange is never
multiplied. What a bare list of ids does not tell (context lengths, DeepSeek's prices) comes from a
small table with a date.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import ModelInfo
from flower.engine.provider.endpoint import Endpoint
from flower.errors import ProviderError

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
    models: list[ModelInfo] = []
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and len(models) < limits.CATALOGUE_MODELS:
            info = _read_row(row, kind)
            if info is not None:
                models.append(info)
    return tuple(models)


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
    info = known_model(model)
    prices = _section(row, "pricing")
    prompt, varies_in = per_million(prices.get("prompt"))
    completion, varies_out = per_million(prices.get("completion"))
    name = row.get("name")
    return ModelInfo(
        id=model,
        name=name if isinstance(name, str) and name else model,
        context_tokens=_context(row) or info.context_tokens,
        prompt_price=info.prompt_price if prompt is None and kind == "deepseek" else prompt,
        completion_price=info.completion_price
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


# --- Which models there are: what providers listed, and when.
#
# Pure: a value and functions over it. Owns the format of the file in which lists survive a restart.
# Finds the endpoint and the model that an id means.

FIRST = "default"  # as a model name: the first one the server lists


class Listed(Struct, frozen=True):
    """What one endpoint offered. ``fetched_at``: Unix time in seconds."""

    base_url: str
    fetched_at: float
    models: tuple[ModelInfo, ...]


Catalogue = Mapping[str, Listed]  # by endpoint name

_FORMAT = 1


class _CatalogueFile(Struct, frozen=True):
    format: int
    endpoints: dict[str, Listed]


def encode(catalogue: Catalogue) -> bytes:
    """Returns the catalogue as the bytes of its file."""
    return msgspec.json.encode(_CatalogueFile(_FORMAT, dict(catalogue)))


def decode(data: bytes, endpoints: Iterable[Endpoint]) -> dict[str, Listed]:
    """Returns what a file knows of these endpoints; nothing if the file is broken or older."""
    try:
        file = msgspec.json.decode(data, type=_CatalogueFile)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}
    if file.format != _FORMAT:
        return {}
    addresses = {endpoint.name: endpoint.base_url for endpoint in endpoints}
    return {
        name: listed
        for name, listed in file.endpoints.items()
        if addresses.get(name) == listed.base_url
    }


def find(catalogue: Catalogue, endpoint: str, model: str) -> ModelInfo | None:
    """Returns what the endpoint says about a model; the first on its list for an empty name."""
    listed = catalogue.get(endpoint)
    for info in listed.models if listed is not None else ():
        if not model or info.id == model:
            return info
    return None


# --- from an id to an endpoint ------------------------------------------------------------------

# Ids that people have in their scripts and notes, without our prefix.
_ESTABLISHED = (
    (re.compile(r"^deepseek-(chat|reasoner|v\d)"), "deepseek"),
    (re.compile(r"^gemini-|^gemini/"), "gemini"),
    (re.compile(r"^claude-"), "anthropic"),
    (re.compile(r"^(gpt-\d|chatgpt-|o\d(-|$))"), "openai"),
    (re.compile(r"^(mistral|ministral|magistral|codestral|open-mixtral|open-mistral)-"), "mistral"),
    (re.compile(r"^groq/"), "groq"),
)


def locate(model_id: str, endpoints: Sequence[Endpoint], catalogue: Catalogue) -> tuple[str, str]:
    """Returns the name of the endpoint and the endpoint's own id of the model that ``model_id`` means.

    Tried in this order: our own form ``endpoint/model``; an id that an endpoint was configured with
    or has listed; a well-known id of a vendor with a key; OpenRouter's ``vendor/model``; a server
    that may take any id, unless it looks like a slip of the pen. Raises ``ProviderError``: ``auth``
    when only a key is missing, else ``model_not_found`` with the closest match.
    """
    head, _, rest = model_id.partition("/")
    by_name = {endpoint.name: endpoint for endpoint in endpoints}
    if head in by_name and rest:
        return head, _own_id(by_name[head], rest, catalogue)
    for endpoint in endpoints:
        if model_id in endpoint.models or (model_id and find(catalogue, endpoint.name, model_id)):
            return endpoint.name, model_id
    kind = next((kind for pattern, kind in _ESTABLISHED if pattern.search(model_id)), "")
    for endpoint in endpoints:
        if kind and endpoint.kind == kind:
            return endpoint.name, model_id.removeprefix(f"{kind}/")
    for endpoint in endpoints:
        if endpoint.kind == "openrouter" and "/" in model_id:
            return endpoint.name, model_id
    for endpoint in endpoints:
        if endpoint.kind == "compatible" and model_id and not closest(model_id, [endpoint], catalogue):
            return endpoint.name, model_id
    raise _unknown(model_id, kind, endpoints, catalogue)


def _own_id(endpoint: Endpoint, model: str, catalogue: Catalogue) -> str:
    if model == FIRST and find(catalogue, endpoint.name, FIRST) is None:
        return ""
    if endpoint.kind == "openrouter" and "/" not in model:
        return f"openrouter/{model}"  # openrouter/auto is OpenRouter's own name for it
    return model


def _unknown(
    model_id: str, kind: str, endpoints: Sequence[Endpoint], catalogue: Catalogue
) -> ProviderError:
    head = model_id.partition("/")[0]
    vendor = kind or (head if head in KEY_SETTINGS else "openrouter" if "/" in model_id else "")
    if vendor and not any(endpoint.kind == vendor for endpoint in endpoints):
        near = closest(model_id, endpoints, catalogue)
        also = f" (the closest known model is {near})" if near else ""
        without = "or /model offline/narrator plays without a key"
        return ProviderError(
            "auth", f"{model_id} needs {vendor}; set {key_hint(vendor)}{also}, {without}."
        )
    near = closest(model_id, endpoints, catalogue)
    meant = f"did you mean {near}?" if near else "choose one with /model."
    return ProviderError("model_not_found", f"There is no model {model_id!r}; {meant}")


def closest(model_id: str, endpoints: Sequence[Endpoint], catalogue: Catalogue) -> str:
    """Returns the known id that is most like ``model_id``; "" if none is."""
    ids = [f"{e.name}/{model}" for e in endpoints for model in e.models]
    for endpoint in endpoints:
        listed = catalogue.get(endpoint.name)
        ids += [f"{endpoint.name}/{info.id}" for info in (listed.models if listed is not None else ())]
    by_tail = {model.rpartition("/")[2].lower(): model for model in reversed(ids)}
    tail = model_id.rpartition("/")[2].lower()
    whole = difflib.get_close_matches(model_id, ids, n=1, cutoff=0.75)
    tails = difflib.get_close_matches(tail, by_tail, n=1, cutoff=0.6)
    return whole[0] if whole else by_tail[tails[0]] if tails else ""


KEY_SETTINGS = ("openai", "openrouter", "deepseek", "groq", "gemini", "anthropic", "mistral")


def key_hint(name: str) -> str:
    """Returns where the user sets the key of an endpoint, for sentences."""
    if name in KEY_SETTINGS:
        return f"{name}_api_key in config.yaml or {name.upper()}_API_KEY in the engine's environment"
    return f"api_key of the provider {name} in config.yaml"
