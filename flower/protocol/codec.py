"""Frames: messages of the protocol as JSON text, and whatever a socket brings as messages.

Owns nothing and never touches a socket. Laws: ``decode_event(encode(e)) == e``; decoding any bytes gives
a message or ``ProtocolError`` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import itemgetter
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.errors import ProtocolError
from flower.protocol.messages import Event, Prompt, UnknownEvent

FORM_FIELDS = 100  # of one form; the longest has 25
REQUEST_ID_CHARS = 64

__all__ = ["Encoder", "decode_event", "decode_prompt", "encode"]


class _Payload(Struct, frozen=True):
    content: str
    metadata: Any


class _Frame(Struct, frozen=True):
    event: str
    payload: _Payload


class _RawPayload(Struct, frozen=True):
    content: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _RawFrame(Struct, frozen=True):
    event: str
    payload: _RawPayload = _RawPayload()


_EVENT_TYPES: dict[str, type[Any]] = {kind.event: kind for kind in get_args(Event)}
# trio-websocket clients close on messages over 1 MiB, ours among them.
FRAME_MOST_BYTES = limits.MIB - 4 * limits.KIB
SHORT_BYTES = 64  # a text that is not worth shortening
_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder()
_frame_decoder = msgspec.json.Decoder(_RawFrame)
_prompt_decoder = msgspec.json.Decoder(Prompt)
_metadata_decoders = {
    name: msgspec.json.Decoder(get_type_hints(kind)["metadata"]) for name, kind in _EVENT_TYPES.items()
}


class Encoder:
    """Frames of events, each made once however many clients get it one after the other."""

    def __init__(self) -> None:
        self._event: Event | None = None
        self._frame = ""

    def encode(self, event: Event) -> str:
        """Returns what ``encode`` returns."""
        if event is not self._event:
            self._event, self._frame = event, encode(event)
        return self._frame


def encode(message: Event | Prompt) -> str:
    """Returns the JSON text of one frame; lone surrogates become U+FFFD, as no socket carries them.

    A frame that no client would take is shortened: see ``shortened``.
    """
    wire: Any = message
    if not isinstance(message, Prompt):
        wire = _Frame(message.event, _Payload(message.content, message.metadata))
    try:
        data = _encoder.encode(wire)
    except UnicodeEncodeError:
        wire = _without_surrogates(msgspec.to_builtins(wire))
        data = _encoder.encode(wire)
    if len(data) > FRAME_MOST_BYTES and not isinstance(message, Prompt):
        data = _encoder.encode(shortened(msgspec.json.decode(data)))
    return data.decode()


def shortened(frame: dict[str, Any], most: int = FRAME_MOST_BYTES) -> dict[str, Any]:
    """Returns a frame of at most ``most`` bytes: the longest list loses its end, or the longest text its.

    Whatever grew too long is found by its size and not by its name, and loses a little more than is too much, so a
    round or two are enough. The messages of a page of history stay, and are shortened only when nothing else is left.
    """
    while (excess := len(_encoder.encode(frame)) - most) > 0:
        holder, key, size = _longest(frame)
        value = holder[key]
        count = int(len(value) * max(0.0, 1.0 - 1.1 * excess / size))
        if isinstance(value, list):
            count = max(count, 1)  # a list of two or more: one long entry is shortened after this
        holder[key] = value[:count] + ("…" if isinstance(value, str) else [])
    return frame


def _longest(frame: dict[str, Any]) -> tuple[Any, Any, int]:
    """Returns where the list or the text is that takes the most bytes, and how many."""
    texts: list[tuple[int, Any, Any]] = []
    lists: list[tuple[int, Any, Any]] = []

    def weigh(holder: Any, key: Any) -> int:
        value = holder[key]
        if isinstance(value, str):
            texts.append((len(value.encode("utf-8", "replace")), holder, key))
            return texts[-1][0] + 4
        if isinstance(value, dict):
            return sum(weigh(value, name) + len(name) + 4 for name in value)
        if not isinstance(value, list):
            return 8
        size = sum(weigh(value, number) for number in range(len(value)))
        if len(value) > 1 and key != "history":
            lists.append((size, holder, key))
        return size

    weigh({"": frame}, "")
    text = max(texts, key=itemgetter(0))
    longest = max(lists, key=itemgetter(0), default=(0, None, None))
    # A list of a few long texts is better served by shortening these.
    if longest[0] > 2 * text[0]:
        return longest[1], longest[2], longest[0]
    if text[0] > SHORT_BYTES:
        return text[1], text[2], text[0]
    metadata = frame["payload"]["metadata"]
    return metadata, "history", weigh(metadata, "history")


def decode_event(data: str | bytes) -> Event | UnknownEvent:
    """Returns the event in a frame; raises ``ProtocolError`` for anything that is none."""
    try:
        frame = _frame_decoder.decode(data)
        kind = _EVENT_TYPES.get(frame.event)
        if kind is None:
            return UnknownEvent(frame.event)
        metadata = _metadata_decoders[frame.event].decode(frame.payload.metadata)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise ProtocolError(f"not an event of the Flower protocol: {error}") from error
    event: Event = kind(frame.payload.content, metadata)
    return event


def decode_prompt(data: str | bytes) -> Prompt:
    """Returns the prompt in a frame; plain text that is no JSON at all is the prompt itself.

    Raises ``ProtocolError`` with a sentence for the client when the frame is JSON of another shape,
    is not UTF-8, or is over a limit.
    """
    try:
        text = data.decode() if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise ProtocolError(
            'the frame is not UTF-8 text; send JSON like {"prompt": "hello"}'
        ) from error
    return _checked(_parse_prompt(text))


def _parse_prompt(text: str) -> Prompt:
    opening = text.lstrip()[:1]
    if opening == "{" or (opening == "[" and _is_json(text)):
        try:
            return _prompt_decoder.decode(text)
        except msgspec.ValidationError as error:
            raise ProtocolError(f'expected an object like {{"prompt": "hello"}}: {error}') from error
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise ProtocolError(f"the frame is broken JSON: {error}") from error
    return Prompt(text)  # plain text: `5`, `"Halt!" she said`, `[OOC: shall we skip ahead?]`


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, ValueError):
        return False
    return True


def _checked(prompt: Prompt) -> Prompt:
    if len(prompt.prompt) > limits.PROMPT_CHARS:
        raise ProtocolError(
            f"the prompt has {len(prompt.prompt)} characters; {limits.PROMPT_CHARS} is the most"
        )
    if len(prompt.client or "") > limits.CLIENT_ID_CHARS:
        raise ProtocolError(f"a client id has at most {limits.CLIENT_ID_CHARS} characters")
    if len(prompt.request or "") > REQUEST_ID_CHARS:
        raise ProtocolError(f"a request id has at most {REQUEST_ID_CHARS} characters")
    if prompt.fields is not None:
        _check_fields(prompt.fields)
    # Only a plain text can have half a letter: JSON with one is refused above.
    return replace(prompt, prompt=_SURROGATE.sub("\ufffd", prompt.prompt))


def _check_fields(fields: Mapping[str, str]) -> None:
    longest = max(map(len, (*fields, *fields.values())), default=0)
    if len(fields) > FORM_FIELDS or longest > limits.PROMPT_CHARS:
        raise ProtocolError(
            f"a form has at most {FORM_FIELDS} fields of {limits.PROMPT_CHARS} characters"
        )


def _without_surrogates(value: Any) -> Any:
    """Returns ``value`` with every lone surrogate in its strings replaced by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
