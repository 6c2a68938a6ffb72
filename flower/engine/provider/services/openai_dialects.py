"""How the servers that speak OpenAI's API differ in what they take.

Pure: a table, and the request that follows from it. Anything not listed here is OpenAI's own way.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import Struct

from flower.engine.provider.base import Completion, PromptMessage
from flower.engine.provider.endpoint import Endpoint, patched, wanted_params, without
from flower.engine.provider.services.remote import GO_ON

PREFILL = "prefill"  # what a refusal of a last message of the assistant's is remembered as
_COMMON = frozenset({"temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty"})


class Flavour(Struct, frozen=True):
    """How one server differs. ``params`` None: it takes samplers we have never heard of."""

    params: frozenset[str] | None = None
    renamed: Mapping[str, str] = {}
    limit_field: str = "max_tokens"
    usage_option: bool = True
    session_field: str = ""
    body: Mapping[str, Any] = {}
    quiet: Mapping[str, Any] = {}  # fields that tell a model not to think
    bans_tokens: bool = False  # it says which tokens a word is, and can be kept from writing them
    prefill: Mapping[str, Any] | None = (
        None  # lets a last message of the assistant go on; None: it cannot
    )
    prefix_field: str = ""  # takes the beginning of the reply instead of such a message
    prefix: bool = False  # such a message is marked as the beginning of the reply
    banned_field: str = ""  # takes phrases that the model must not write


_NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}

FLAVOURS: dict[str, Flavour] = {
    "openai": Flavour(
        _COMMON | {"logit_bias", "reasoning_effort", "verbosity", "service_tier"},
        limit_field="max_completion_tokens",
        session_field="prompt_cache_key",
    ),
    "openrouter": Flavour(
        _COMMON
        | {
            "top_k",
            "min_p",
            "top_a",
            "repetition_penalty",
            "logit_bias",
            "reasoning",
            "reasoning_effort",
        }
        | {"provider", "models", "transforms", "verbosity"},
        usage_option=False,  # it always reports usage
        session_field="session_id",
    ),
    "deepseek": Flavour(
        (_COMMON - {"seed"}) | {"thinking", "reasoning_effort"},
        quiet={"thinking": {"type": "disabled"}},
    ),
    "groq": Flavour(
        _COMMON | {"reasoning_effort", "reasoning_format", "include_reasoning", "service_tier"},
        limit_field="max_completion_tokens",
    ),
    "mistral": Flavour(
        _COMMON | {"safe_prompt", "prompt_mode", "reasoning_effort"},
        renamed={"seed": "random_seed"},
        prefill={},
        prefix=True,
        usage_option=False,  # refuses fields it does not know; reports usage anyway
    ),
    # cache_prompt is the default; a slot is found by the likeness of prompts, so none is pinned.
    "llamacpp": Flavour(
        renamed={"repetition_penalty": "repeat_penalty"},
        body={"return_progress": True, "cache_prompt": True},
        quiet=_NO_THINKING,
        bans_tokens=True,
        prefill={},
    ),
    "lmstudio": Flavour(renamed={"repetition_penalty": "repeat_penalty"}),
    "vllm": Flavour(
        renamed={"repeat_penalty": "repetition_penalty"},
        quiet=_NO_THINKING,
        prefill={"continue_final_message": True, "add_generation_prompt": False},
    ),
    "tabbyapi": Flavour(
        banned_field="banned_strings",
        quiet=_NO_THINKING,
        prefill={},
        prefix_field="response_prefix",
    ),
    "compatible": Flavour(),
}


def flavour_of(kind: str, server: str) -> Flavour:
    """Returns the flavour of an endpoint, given its kind and the last ``Server`` header it sent."""
    if kind == "compatible" and server.lower().startswith("llama.cpp"):
        return FLAVOURS["llamacpp"]
    return FLAVOURS[kind]


def build_body(
    completion: Completion, endpoint: Endpoint, flavour: Flavour, refused: Collection[str] = ()
) -> dict[str, Any]:
    """Returns the request's JSON. Patches come after parameters, refused fields are left out."""
    limit_field = flavour.limit_field
    if limit_field in refused:  # the two names of one thing
        limit_field = (
            "max_tokens" if limit_field == "max_completion_tokens" else "max_completion_tokens"
        )
    messages, begun = _begun(completion.messages, flavour, refused)
    body: dict[str, Any] = {
        "model": completion.model,
        "messages": messages,
        "stream": True,
        limit_field: completion.max_tokens,
        **flavour.body,
        **(flavour.quiet if completion.quiet else {}),
        **begun,
    }
    if flavour.usage_option:
        body["stream_options"] = {"include_usage": True}
    if flavour.session_field and completion.session:
        body[flavour.session_field] = completion.session
    if flavour.banned_field and completion.banned:
        body[flavour.banned_field] = list(completion.banned)
    for name, value in wanted_params(completion, endpoint).items():
        if flavour.params is None or name in flavour.params:
            body[flavour.renamed.get(name, name)] = value
    return without(patched(body, endpoint, completion.model), refused)


def can_prefill(flavour: Flavour, refused: Collection[str]) -> bool:
    """Returns whether a last message of the assistant's goes on there."""
    return flavour.prefill is not None and not {PREFILL, *flavour.prefill} & set(refused)


def _begun(
    messages: Sequence[PromptMessage], flavour: Flavour, refused: Collection[str]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Returns the messages as they are sent, and the fields that let the last one go on if it has begun."""
    rows: list[dict[str, Any]] = [{"role": m.role, "content": m.content} for m in messages]
    if not rows or rows[-1]["role"] != "assistant":
        return rows, {}
    if not can_prefill(flavour, refused):
        return [*rows, {"role": "user", "content": GO_ON}], {}
    begun = rows[-1]["content"].rstrip()  # a blank at the end is a token of its own, and leads astray
    if flavour.prefix_field:
        return rows[:-1], {flavour.prefix_field: begun}
    last = {**rows[-1], "content": begun, **({"prefix": True} if flavour.prefix else {})}
    return [*rows[:-1], last], dict(flavour.prefill or {})


def left_out(
    completion: Completion, endpoint: Endpoint, flavour: Flavour, refused: Collection[str]
) -> tuple[str, ...]:
    """Returns the names of the wanted parameters that this endpoint does not get."""
    params = wanted_params(completion, endpoint)
    body = build_body(completion, endpoint, flavour, refused)
    return tuple(name for name in params if flavour.renamed.get(name, name) not in body)
