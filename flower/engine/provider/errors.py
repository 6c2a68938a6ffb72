"""What went wrong at a provider, as one of our classes and one sentence for the user.

Pure. Decides nothing about retries. A provider's own words are cut, cleaned and stripped of keys
before they are quoted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import msgspec
from msgspec import Struct

from flower.engine.provider.error_body import (
    TOO_LONG,
    ErrorReport,
    clean,
    read_body,
    read_error,
    retry_after,
)
from flower.errors import ProviderError


class Origin(Struct, frozen=True):
    """Who was asked for what: everything a sentence about a failure needs.

    ``sent`` are the names of the request's fields, so that a refused one can be recognised.
    """

    label: str
    base_url: str = ""
    key_hint: str = ""
    model: str = ""
    secrets: tuple[str, ...] = ()
    sent: Collection[str] = ()
    local: bool = False

    def __repr__(self) -> str:
        return f"Origin({self.label!r}, {self.model!r})"


def from_response(
    status: int, headers: Mapping[str, str], body: bytes, origin: Origin, *, now: float = 0.0
) -> ProviderError:
    """Returns the error for a response that is no success. ``now``: Unix time, for HTTP dates."""
    if 300 <= status < 400:
        target = clean(headers.get("location", "another address"), origin.secrets)
        return ProviderError(
            "bad_request", f"{origin.label} has moved to {target}; change its base_url in config.yaml."
        )
    report = read_body(body)
    after = retry_after(headers, now=now)
    if after is not None:
        report = msgspec.structs.replace(report, retry_after_s=after)
    return _verdict(msgspec.structs.replace(report, status=status), origin)


def from_payload(payload: object, origin: Origin) -> ProviderError:
    """Returns the error for an error object found inside a stream that began as a success."""
    return _verdict(read_error(payload), origin)


def malformed(origin: Origin, what: str) -> ProviderError:
    """Returns the error for bytes that are no reply of the expected kind; ``what`` quotes them."""
    return ProviderError(
        "malformed_stream",
        f"{origin.label} sent something that is no chat reply ({clean(what, origin.secrets)}); "
        "try again, or check its base_url and kind in config.yaml.",
    )


def blocked(origin: Origin, reason: str) -> ProviderError:
    """Returns the error for a prompt that a provider will not answer."""
    return ProviderError(
        "blocked",
        f"{origin.label} will not answer this prompt ({clean(reason, origin.secrets)}); "
        "change your line or choose another model with /model.",
    )


# --- deciding -----------------------------------------------------------------------------------

_CONTEXT_CODES = ("exceed_context_size", "context_length_exceeded", "token_limit_exceeded")
_PAYMENT_WORDS = (
    "insufficient_quota",
    "insufficient balance",
    "credit balance",
    "billing",
    "payment_required",
)
_AUTH_WORDS = (
    "api key not valid",
    "api_key_invalid",
    "invalid api key",
    "invalid_api_key",
    "authentication",
)
_BLOCK_WORDS = ("content_policy", "content_filter", "refusal", "moderation", "flagged")
_MEMORY_WORDS = (
    "out of memory",
    "outofmemory",
    "out_of_memory",
    "more system memory",
    "not enough memory",
    "insufficient memory",
    "failed to allocate",
    "unable to allocate",
    "cudamalloc failed",
    "cannot allocate memory",
)
_REQUEST_WORDS = (
    "invalid_request",
    "invalid request",
    "invalid_argument",
    "does not support",
    "unsupported",
)
_BUSY_WORDS = ("overloaded", "provider_unavailable", "capacity_exceeded", "unavailable")


def _verdict(report: ErrorReport, origin: Origin) -> ProviderError:
    report = msgspec.structs.replace(report, message=clean(report.message, origin.secrets))
    kind = _kind_of(report, origin)
    return ProviderError(
        kind,
        _sentence(kind, report, origin),
        retry_after_s=report.retry_after_s,
        limit_tokens=report.limit_tokens if kind == "context_exceeded" else None,
        used_tokens=report.used_tokens if kind == "context_exceeded" else None,
        field=_refused_field(report, origin.sent) if kind == "bad_request" else None,
    )


def _kind_of(report: ErrorReport, origin: Origin) -> str:
    status = report.status
    words = f"{report.code} {report.message}".lower()

    def says(*texts: str) -> bool:
        return any(text in words for text in texts)

    if status == 413 or says(*_CONTEXT_CODES) or (status in (0, 400, 422) and TOO_LONG.search(words)):
        return "context_exceeded"
    if says(*_MEMORY_WORDS):
        return "out_of_memory"
    if status == 402 or says(*_PAYMENT_WORDS):
        return "payment"
    if says(*_BLOCK_WORDS) and status in (0, 200, 400, 403, 451):
        return "blocked"
    if status in (401, 403) or says(*_AUTH_WORDS):
        return "auth"
    if status == 429 or says("rate_limit", "resource_exhausted"):
        return "rate_limit"
    if status == 404 or says("model_not_found", "not a valid model", "no such model"):
        return "model_not_found"
    if says("loading model", "currently loading", "model is loading"):
        return "loading"
    if status in (408, 498, 502, 503, 504, 529) or says(*_BUSY_WORDS):
        return "overloaded"
    if 400 <= status < 500 or (not status and says(*_REQUEST_WORDS)):
        return "bad_request"
    return "server"


def _refused_field(report: ErrorReport, sent: Collection[str]) -> str | None:
    """Returns the field of our request that the provider would not take, if it names one."""
    if report.field in sent:
        return report.field
    for name in sent:
        if re.search(rf"[`'\"“]{re.escape(name)}[`'\"”]", report.message):
            return name
    for name in sent:
        if re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", report.message):
            return name
    return None


def _sentence(kind: str, report: ErrorReport, origin: Origin) -> str:
    label, message = origin.label, report.message
    quoted = f" ({message})" if message else ""
    match kind:
        case "auth":
            return (
                f"{label} refused the API key; set {origin.key_hint or 'its api_key in config.yaml'}."
            )
        case "payment":
            return f"{label} says there is no credit left; add some there, or choose another model with /model."
        case "rate_limit":
            return f"{label} limits how often you may ask{quoted}; {_when(report.retry_after_s)}."
        case "overloaded":
            return f"{label} is overloaded{quoted}; {_when(report.retry_after_s)}."
        case "context_exceeded":
            return _too_long_sentence(report, origin)
        case "out_of_memory":
            return (
                f"{label} has not enough memory for this{quoted}; choose a smaller model with /model, or "
                "lower prompt.context_tokens in config.yaml."
            )
        case "blocked":
            return str(blocked(origin, message or "content policy"))
        case "model_not_found":
            return _not_found_sentence(report, origin)
        case "loading":
            return f"{label} is still loading the model; try again in a moment."
        case "bad_request":
            return f"{label} did not accept the request{quoted}; change the setting or choose another model."
        case _:
            status = f" with HTTP {report.status}" if report.status else ""
            return f"{label} failed{status}{quoted}; try again, or choose another model with /model."


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "try again in a moment, or choose another model with /model"
    if seconds < 120:
        return f"try again in {max(1, round(seconds))} s"
    return f"try again in {round(seconds / 60)} min, or choose another model with /model"


def _too_long_sentence(report: ErrorReport, origin: Origin) -> str:
    size = ""
    if report.used_tokens is not None and report.limit_tokens is not None:
        size = f" ({report.used_tokens} tokens, {report.limit_tokens} fit)"
    return (
        f"The prompt is longer than {origin.model or origin.label} can read{size}; "
        "lower prompt.context_tokens in config.yaml or choose a model with a longer context."
    )


def _not_found_sentence(report: ErrorReport, origin: Origin) -> str:
    if "model" not in report.message.lower() and not report.code:
        return f"there is no chat API at {origin.base_url or origin.label}; check its base_url in config.yaml."
    pull = f" or fetch it with `ollama pull {origin.model}`" if "pull" in report.message else ""
    return f"{origin.label} has no model {origin.model!r}; choose one with /model{pull}."
