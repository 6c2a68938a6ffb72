"""What a provider says about a failure, whatever shape it has, and foreign text made fit to be quoted.

Pure. Knows the error bodies of all API families and the numbers people put into their sentences;
``errors`` decides what they mean. A quotation is one line, bounded, printable, without markup and without keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.text import one_line


class ErrorReport(Struct, frozen=True):
    """What a provider says about a failure; "", 0 and None where it does not say."""

    status: int = 0
    message: str = ""
    code: str = ""
    field: str = ""
    retry_after_s: float | None = None
    limit_tokens: int | None = None
    used_tokens: int | None = None


def retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Returns the seconds to wait that the headers ask for: milliseconds, seconds or an HTTP date."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after", "")
        if not value:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def read_body(body: bytes) -> ErrorReport:
    """Returns what a service says of a failure in a body; one that is no JSON is quoted."""
    try:
        payload = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ErrorReport(message=excerpt(body))
    return read_error(payload)


def read_error(payload: object) -> ErrorReport:
    """Returns what is in the error shapes of OpenAI, Gemini, Anthropic, Ollama, vLLM, FastAPI, ..."""
    if isinstance(payload, list):
        payload = payload[0] if payload else {}
    if isinstance(payload, str):
        return _read_text(payload)
    if not isinstance(payload, dict):
        return ErrorReport(message=clean(str(payload)))
    error = payload.get("error", payload)
    if isinstance(error, str):
        return _read_text(error)
    if not isinstance(error, dict):
        return ErrorReport(message=clean(str(error)))
    return _read_object(error)


def _read_text(text: str) -> ErrorReport:
    """Some gateways put the original error, as JSON text, into a string."""
    if text.lstrip().startswith("{"):
        try:
            inner = msgspec.json.decode(text)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            inner = None
        if isinstance(inner, dict):
            return _read_object(inner.get("error") if isinstance(inner.get("error"), dict) else inner)
    return _with_numbers(ErrorReport(message=clean(text)), text)


def _read_object(error: Any) -> ErrorReport:
    message = (
        error.get("message") or error.get("detail") or error.get("msg") or error.get("error") or ""
    )
    metadata = error.get("metadata") if isinstance(error.get("metadata"), dict) else {}
    field = error.get("param") or ""
    if isinstance(message, list):  # FastAPI: [{"loc": ["body", "top_k"], "msg": "...", "type": "..."}]
        message, field = _read_details(message)
    if isinstance(message, dict):
        message = message.get("message") or message.get("msg") or str(message)
    raw = metadata.get("raw")
    if isinstance(raw, str) and raw and str(message).startswith("Provider returned error"):
        message = _read_text(raw).message or message
    codes = (error.get("code"), error.get("type"), error.get("status"), metadata.get("error_type"))
    status = next((c for c in codes if isinstance(c, int) and not isinstance(c, bool)), 0)
    report = ErrorReport(
        status=status if 400 <= status < 600 else 0,
        message=clean(str(message)),
        code=" ".join(str(c) for c in codes if isinstance(c, str)).lower(),
        field=str(field).rpartition(".")[2] if isinstance(field, str) else "",
        retry_after_s=_retry_delay(error.get("details")),
        limit_tokens=_whole(error.get("n_ctx")),
        used_tokens=_whole(error.get("n_prompt_tokens")),
    )
    return _with_numbers(report, str(message))


def _read_details(details: list[Any]) -> tuple[str, str]:
    first = details[0] if details and isinstance(details[0], dict) else {}
    path = first.get("loc")
    field = str(path[-1]) if isinstance(path, list) and path else ""
    message = str(first.get("msg") or details)
    return (f"{field}: {message}" if field else message), field


def _retry_delay(details: object) -> float | None:
    """Returns Google's ``RetryInfo.retryDelay`` in seconds."""
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and isinstance(detail.get("retryDelay"), str):
            return _duration(detail["retryDelay"])
    return None


_NUMBERS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        r"request \((?P<used>\d+) tokens\) exceeds the available context size \((?P<limit>\d+)",
        r"maximum context length (?:is|of) (?P<limit>\d+)(?: tokens)?"
        r".{0,120}?(?:requested|resulted in|request has|contains)\D{0,40}(?P<used>\d+)",
        r"prompt is too long: (?P<used>\d+) tokens > (?P<limit>\d+)",
        r"token count\D{0,4}(?P<used>\d+)\D{0,4} exceeds the maximum number of tokens allowed\D{0,4}(?P<limit>\d+)",
        r"contains (?P<used>\d+) tokens.{0,120}?(?P<limit>\d+) maximum context length",
        r"tokens per minute.{0,80}?limit (?P<limit>\d+),.{0,40}?requested (?P<used>\d+)",
    )
)
TOO_LONG = re.compile(
    r"context.{0,20}(?:length|window|size|limit).{0,60}(?:exceed|too|over|reach|maximum)"
    r"|exceed.{0,60}context|maximum context length|prompt is too long|too many (?:input )?tokens"
    r"|exceeds the maximum number of tokens|reduce the length of the (?:messages|prompt)",
    re.IGNORECASE | re.DOTALL,
)
_TRY_AGAIN = re.compile(r"(?:try again|retry) in ((?:\d+(?:\.\d+)?(?:ms|h|m|s)\s*)+)", re.IGNORECASE)


def _with_numbers(report: ErrorReport, text: str) -> ErrorReport:
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text[:2000])
    limit, used, after = report.limit_tokens, report.used_tokens, report.retry_after_s
    for pattern in _NUMBERS:
        match = pattern.search(text)
        if match and limit is None:
            limit, used = int(match["limit"]), int(match["used"])
    again = _TRY_AGAIN.search(text)
    if after is None and again:
        after = _duration(again[1])
    return msgspec.structs.replace(report, limit_tokens=limit, used_tokens=used, retry_after_s=after)


DURATION_CHARS = 60


def _duration(text: str) -> float | None:
    """Returns seconds of a Go or protobuf duration like ``2m59.56s``; None if it is none."""
    seconds = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text[:DURATION_CHARS])
    return sum(float(number) * seconds[unit] for number, unit in parts) if parts else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def excerpt(data: bytes | str) -> str:
    """Returns the beginning of a body as plain text on one line; HTML tags are taken out."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = text[: 16 * limits.KIB]
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)", " ", text)
    text = re.sub(r"<[^<>]{1,500}>", " ", text)
    return clean(text)


def clean(text: str, secrets: Collection[str] = ()) -> str:
    """Returns ``text`` fit to be quoted: one line, bounded, printable, without the given secrets."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return one_line("".join(c if c.isprintable() else " " for c in text), limits.ERROR_TEXT_CHARS)
