"""The wire between engine and faces: every message, both ways, as frozen typed structs.

Owns the JSON shapes of the V1 Flower protocol and their optional additions; never touches a socket.

A client sends ``{"prompt": TEXT}``; everything it can do is a prompt. The optional keys ``request``
(client-made id, sending it twice is safe) and ``client`` (stable id of this face) are additions that
V1 clients never send. The engine sends ``{"event": E, "payload": {"content": str, "metadata": {}}}``.
Additions are optional metadata keys or new events; a V1 client ignores both.

Laws: ``decode_event(encode(e)) == e``; decoding any bytes gives a message or ``ProtocolError`` and
nothing else; the chunks of a turn concatenate to the saved text, ``offset`` counts its characters
(Unicode code points) before the chunk; every started turn ends with exactly one ``chat_end``.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, get_type_hints

import msgspec
from msgspec import UNSET, Struct, UnsetType

from flower import limits
from flower.errors import ProtocolError

__all__ = [
    "UNSET",
    "ChatChunk",
    "ChatEnd",
    "ChatHistory",
    "ChatMessage",
    "ChatReasoning",
    "ChunkMeta",
    "EndMeta",
    "ErrorEvent",
    "ErrorMeta",
    "Event",
    "FoundMessage",
    "HistoryItem",
    "HistoryMeta",
    "MessageMeta",
    "ModelOption",
    "Named",
    "Prompt",
    "Recall",
    "RecallItem",
    "RecallMeta",
    "SessionOption",
    "SheetRow",
    "State",
    "SyncState",
    "SystemUpdate",
    "UnknownEvent",
    "Usage",
    "decode_event",
    "decode_prompt",
    "encode",
]


class Prompt(Struct, frozen=True, omit_defaults=True):
    """What a client says: plain text for the narrator or ``/command args``."""

    prompt: str
    request: str | None = None
    client: str | None = None


class Named(Struct, frozen=True):
    """Something that can be chosen, as lists in ``State`` show it."""

    id: str
    name: str


class ModelOption(Struct, frozen=True, omit_defaults=True):
    """A model as the picker shows it; prices in USD per million tokens."""

    id: str
    name: str
    prompt_price: float
    completion_price: float
    price_varies: bool = False  # a router with dynamic prices: the two numbers say nothing
    context: int = 0
    note: str = ""


class SessionOption(Struct, frozen=True, omit_defaults=True):
    """A saved story; ``updated`` is Unix time in seconds."""

    id: str
    name: str
    world_id: str = ""
    updated: float = 0.0
    messages: int = 0
    pinned: bool = False


class CommandOption(Struct, frozen=True, omit_defaults=True):
    """A slash command the engine offers, for palettes and completion."""

    name: str  # "/world select"
    usage: str  # "/world select ID"
    summary: str
    argument: str = ""  # which list completes it: worlds, characters, models, rules, sessions


class FoundMessage(Struct, frozen=True):
    """A message that ``/session search`` found; ``text`` is the part around the words."""

    session: str
    name: str  # the story's title
    message: int
    role: str
    text: str


class Progress(Struct, frozen=True, omit_defaults=True):
    """Something long that is under way; ``total`` 0 means unknown."""

    what: str
    done: int
    total: int = 0


class SheetRow(Struct, frozen=True):
    """A row of the state sheet, for a sidebar: place, inventory, a counter, a clock."""

    name: str
    value: str


class State(Struct, frozen=True, omit_defaults=True):
    """What a face shows beside the story. ``sync_state`` sets every V1 key, updates only some."""

    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    model_confirmed: bool | UnsetType = UNSET
    world_id: str | UnsetType = UNSET
    character_id: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    available_worlds: tuple[Named, ...] | UnsetType = UNSET
    available_characters: tuple[Named, ...] | UnsetType = UNSET
    available_models: tuple[ModelOption, ...] | UnsetType = UNSET
    available_rules: tuple[Named, ...] | UnsetType = UNSET
    available_sessions: tuple[SessionOption, ...] | UnsetType = UNSET
    active_rules: tuple[str, ...] | UnsetType = UNSET
    # additions
    client: str | UnsetType = UNSET
    commands: tuple[CommandOption, ...] | UnsetType = UNSET
    nsfw: bool | UnsetType = UNSET
    offline: bool | UnsetType = UNSET  # True: the offline narrator speaks, no AI model is used
    version: str | UnsetType = UNSET
    progress: Progress | UnsetType | None = UNSET
    queued: int | UnsetType = UNSET
    found: tuple[FoundMessage, ...] | UnsetType = UNSET  # what a search found, best first
    sheet: tuple[SheetRow, ...] | UnsetType = UNSET  # of the selected story
    draft: str | UnsetType = UNSET  # a line for the player to change and send


class SystemUpdate(Struct, frozen=True):
    event: ClassVar[str] = "system_update"
    content: str
    metadata: State = State()


class SyncState(Struct, frozen=True):
    event: ClassVar[str] = "sync_state"
    content: str
    metadata: State


class HistoryItem(Struct, frozen=True, omit_defaults=True):
    role: str
    content: str
    message: int | UnsetType = UNSET
    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    request: str | UnsetType = UNSET  # tells a face that a line it sent before a restart has arrived
    variant: int | UnsetType = UNSET  # which of its siblings this is, from 1; set when there are others
    variants: int | UnsetType = UNSET  # how many siblings there are, itself included


class HistoryMeta(Struct, frozen=True, omit_defaults=True):
    """A page of a story, oldest first. ``more``: id of the oldest message shown, when older exist."""

    history: tuple[HistoryItem, ...]
    session: str | UnsetType = UNSET
    more: int | UnsetType = UNSET
    before: int | UnsetType = UNSET  # set when this page was asked for by `/history BEFORE`
    turn: str | UnsetType = UNSET  # the last item is this running turn's text so far
    sheet: tuple[SheetRow, ...] | UnsetType = UNSET  # as the story stands at the end of this page


class ChatHistory(Struct, frozen=True):
    event: ClassVar[str] = "chat_history"
    content: str
    metadata: HistoryMeta


class ChunkMeta(Struct, frozen=True, omit_defaults=True):
    model: str
    tokens_per_second: float
    world_id: str
    turn: str | UnsetType = UNSET
    offset: int | UnsetType = UNSET


class ChatChunk(Struct, frozen=True):
    event: ClassVar[str] = "chat_chunk"
    content: str
    metadata: ChunkMeta


class ChatReasoning(Struct, frozen=True):
    """A model's thinking: shown folded, never part of the story or of later prompts."""

    event: ClassVar[str] = "chat_reasoning"
    content: str
    metadata: ChunkMeta


class Usage(Struct, frozen=True, omit_defaults=True):
    """Tokens of one completion. ``estimated``: counted by us, not told by the provider."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int | None = None
    estimated: bool = False


class EndMeta(Struct, frozen=True, omit_defaults=True):
    """``reason``: done, stopped, length, blocked, interrupted or error. ``cost`` in USD."""

    total_tokens: int
    reason: str | UnsetType = UNSET
    turn: str | UnsetType = UNSET
    message: int | UnsetType = UNSET
    session: str | UnsetType = UNSET
    usage: Usage | UnsetType = UNSET
    cost: float | UnsetType = UNSET
    seconds: float | UnsetType = UNSET
    tokens_per_second: float | UnsetType = UNSET


class ChatEnd(Struct, frozen=True):
    event: ClassVar[str] = "chat_end"
    content: str
    metadata: EndMeta


class ErrorMeta(Struct, frozen=True, omit_defaults=True):
    kind: str | UnsetType = UNSET
    turn: str | UnsetType = UNSET
    request: str | UnsetType = UNSET


class ErrorEvent(Struct, frozen=True):
    event: ClassVar[str] = "error"
    content: str
    metadata: ErrorMeta = ErrorMeta()


class MessageMeta(Struct, frozen=True, omit_defaults=True):
    """A message that joined the story: the player's line, or an empty reply that starts to stream."""

    role: str
    message: int
    session: str
    turn: str | UnsetType = UNSET
    request: str | UnsetType = UNSET
    status: str | UnsetType = UNSET
    model: str | UnsetType = UNSET


class ChatMessage(Struct, frozen=True):
    """Addition to V1: lets several faces on one story show the same thing."""

    event: ClassVar[str] = "chat_message"
    content: str
    metadata: MessageMeta


class RecallItem(Struct, frozen=True, omit_defaults=True):
    """One recalled passage; ``kind`` is lore or memory, ``why`` a short human reason."""

    kind: str
    title: str
    text: str
    why: str = ""
    similarity: float = 0.0


class RecallMeta(Struct, frozen=True):
    turn: str
    items: tuple[RecallItem, ...]


class Recall(Struct, frozen=True):
    """Addition to V1: what the narrator was reminded of for this turn."""

    event: ClassVar[str] = "recall"
    content: str
    metadata: RecallMeta


class UnknownEvent(Struct, frozen=True):
    """An event of a newer engine; faces ignore it."""

    event: str


Event = (
    SystemUpdate
    | SyncState
    | ChatHistory
    | ChatChunk
    | ChatReasoning
    | ChatEnd
    | ErrorEvent
    | ChatMessage
    | Recall
)


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


_EVENT_TYPES: dict[str, type[Any]] = {
    kind.event: kind
    for kind in (
        SystemUpdate,
        SyncState,
        ChatHistory,
        ChatChunk,
        ChatReasoning,
        ChatEnd,
        ErrorEvent,
        ChatMessage,
        Recall,
    )
}
_SURROGATE = re.compile("[\ud800-\udfff]")
_encoder = msgspec.json.Encoder()
_frame_decoder = msgspec.json.Decoder(_RawFrame)
_prompt_decoder = msgspec.json.Decoder(Prompt)
_metadata_decoders = {
    name: msgspec.json.Decoder(get_type_hints(kind)["metadata"]) for name, kind in _EVENT_TYPES.items()
}


def encode(message: Event | Prompt) -> str:
    """Returns the JSON text of one frame; lone surrogates become U+FFFD, as no socket carries them."""
    wire: Any = message
    if not isinstance(message, Prompt):
        wire = _Frame(message.event, _Payload(message.content, message.metadata))
    try:
        return _encoder.encode(wire).decode()
    except UnicodeEncodeError:
        return _encoder.encode(_without_surrogates(msgspec.to_builtins(wire))).decode()


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
    if len(prompt.request or "") > limits.REQUEST_ID_CHARS:
        raise ProtocolError(f"a request id has at most {limits.REQUEST_ID_CHARS} characters")
    if not _has_surrogates(prompt.prompt):
        return prompt
    return Prompt(_without_surrogates(prompt.prompt), prompt.request, prompt.client)


def _has_surrogates(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None


def _without_surrogates(value: Any) -> Any:
    """Returns ``value`` with every lone surrogate in its strings replaced by U+FFFD."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
