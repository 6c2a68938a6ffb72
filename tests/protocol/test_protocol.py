"""The wire: V1 shapes are exact, additions are optional, and no bytes do harm."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.errors import ProtocolError
from flower.protocol import codec
from flower.protocol.codec import REQUEST_ID_CHARS, decode_event, decode_prompt, encode
from flower.protocol.messages import (
    ChatChunk,
    ChatEnd,
    ChatHistory,
    ChatMessage,
    ChatReasoning,
    ChunkMeta,
    EndMeta,
    ErrorEvent,
    ErrorMeta,
    Event,
    HistoryItem,
    HistoryMeta,
    MessageMeta,
    ModelOption,
    Named,
    Progress,
    Prompt,
    Recall,
    RecallItem,
    RecallMeta,
    SessionOption,
    ShownMessage,
    State,
    StoryTree,
    SyncState,
    SystemUpdate,
    TreeNode,
    UnknownEvent,
    Usage,
)

# Frames as a V1 engine and a V1 client exchange them.
V1_FRAMES = [
    '{"event":"system_update","payload":{"content":"✓ Engine ready.","metadata":{"status":"ok"}}}',
    '{"event":"chat_history","payload":{"content":"","metadata":{"history":'
    '[{"role":"assistant","content":"The tide is out."},{"role":"user","content":"I walk."}]}}}',
    '{"event":"chat_chunk","payload":{"content":"The ","metadata":'
    '{"model":"deepseek-chat","tokens_per_second":12.5,"world_id":"harbour"}}}',
    '{"event":"chat_end","payload":{"content":"","metadata":{"total_tokens":42}}}',
    '{"event":"error","payload":{"content":"no such world","metadata":{}}}',
    '{"event":"sync_state","payload":{"content":"","metadata":{"model":"m","model_confirmed":true,'
    '"world_id":"","character_id":"","session_id":"","available_worlds":[{"id":"w","name":"W"}],'
    '"available_characters":[],"available_models":[{"id":"m","name":"M","prompt_price":0.5,'
    '"completion_price":1.5}],"available_rules":[],"available_sessions":[{"id":"s","name":"S"}],'
    '"active_rules":["r"]}}}',
]

text = st.text(max_size=40)
name = st.text(min_size=1, max_size=12)
number = st.floats(0, 1e6, allow_nan=False)
natural = st.integers(0, 2**40)


nodes = st.builds(
    TreeNode,
    natural,
    natural,
    name,
    text,
    branches=st.lists(text, max_size=2).map(tuple),
    folded=natural,
)
events: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        SystemUpdate,
        text,
        st.builds(State, status=text, progress=st.builds(Progress, text, natural, natural)),
    ),
    st.builds(
        SystemUpdate,
        text,
        st.builds(
            State,
            tree=st.builds(
                StoryTree, name, natural, natural, natural, st.lists(nodes, max_size=4).map(tuple)
            ),
            shown=st.builds(ShownMessage, name, natural, name, cut=st.booleans()),
        ),
    ),
    st.builds(
        SyncState,
        text,
        st.builds(
            State,
            model=name,
            model_confirmed=st.booleans(),
            world_id=text,
            available_worlds=st.lists(st.builds(Named, name, name, text), max_size=3).map(tuple),
            available_models=st.lists(
                st.builds(ModelOption, name, name, number, number), max_size=3
            ).map(tuple),
            available_sessions=st.lists(
                st.builds(SessionOption, name, name, text, number), max_size=3
            ).map(tuple),
            active_rules=st.lists(name, max_size=3).map(tuple),
        ),
    ),
    st.builds(
        ChatHistory,
        text,
        st.builds(
            HistoryMeta,
            st.lists(st.builds(HistoryItem, name, text, natural, name), max_size=4).map(tuple),
            session=name,
            more=natural,
        ),
    ),
    st.builds(ChatChunk, text, st.builds(ChunkMeta, name, number, text, name, natural)),
    st.builds(ChatReasoning, text, st.builds(ChunkMeta, name, number, text)),
    st.builds(
        ChatEnd,
        text,
        st.builds(EndMeta, natural, reason=name, usage=st.builds(Usage, natural, natural)),
    ),
    st.builds(ErrorEvent, text, st.builds(ErrorMeta, kind=name)),
    st.builds(ChatMessage, text, st.builds(MessageMeta, name, natural, name, request=name)),
    st.builds(
        Recall,
        text,
        st.builds(
            RecallMeta, name, st.lists(st.builds(RecallItem, name, name, text), max_size=3).map(tuple)
        ),
    ),
)


@given(events)
def test_an_event_survives_the_wire(event: Event) -> None:
    assert decode_event(encode(event)) == event


@given(events)
def test_every_frame_has_the_v1_envelope(event: Event) -> None:
    frame = json.loads(encode(event))
    assert set(frame) == {"event", "payload"}
    assert set(frame["payload"]) == {"content", "metadata"}
    assert isinstance(frame["payload"]["content"], str)
    assert isinstance(frame["payload"]["metadata"], dict)


@given(st.builds(Prompt, text, st.none() | name, st.none() | name))
def test_a_prompt_survives_the_wire(prompt: Prompt) -> None:
    assert decode_prompt(encode(prompt)) == prompt


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_any_bytes_give_a_message_or_a_protocol_error(data: bytes | str) -> None:
    for decode in (decode_event, decode_prompt):
        with contextlib.suppress(ProtocolError):
            decode(data)


@pytest.mark.parametrize("frame", V1_FRAMES)
def test_v1_frames_decode_and_encode_to_themselves(frame: str) -> None:
    event = decode_event(frame)
    assert not isinstance(event, UnknownEvent)
    assert json.loads(encode(event)) == json.loads(frame)


def test_v1_keys_are_sent_even_when_they_hold_defaults() -> None:
    chunk = json.loads(encode(ChatChunk("x", ChunkMeta("", 0.0, ""))))
    assert chunk["payload"]["metadata"] == {"model": "", "tokens_per_second": 0.0, "world_id": ""}
    model = json.loads(
        encode(SyncState("", State(available_models=(ModelOption("m", "M", 0.0, 0.0),))))
    )
    assert model["payload"]["metadata"]["available_models"] == [
        {"id": "m", "name": "M", "prompt_price": 0.0, "completion_price": 0.0}
    ]


def test_unknown_events_and_unknown_keys_are_ignored() -> None:
    assert decode_event('{"event":"rain","payload":{"content":"","metadata":{}}}') == UnknownEvent(
        "rain"
    )
    newer = '{"event":"chat_end","payload":{"content":"","metadata":{"total_tokens":1,"mood":"good"}},"v":2}'
    assert decode_event(newer) == ChatEnd("", EndMeta(1))


@pytest.mark.parametrize(
    ("frame", "prompt"),
    [
        ("hello there", "hello there"),
        ("b'bytes'", "b'bytes'"),
        ('"Halt!" she says.', '"Halt!" she says.'),
        ("5", "5"),
        ("null", "null"),
        ("[OOC: skip ahead?]", "[OOC: skip ahead?]"),
        ('{"prompt": "/help", "later": 1}', "/help"),
    ],
)
def test_plain_text_is_the_prompt_itself(frame: str, prompt: str) -> None:
    assert decode_prompt(frame) == Prompt(prompt)


@pytest.mark.parametrize(
    "frame",
    [
        '{"prompt": 5}',
        '{"text": "hello"}',
        '{"prompt": "hello"',
        '["hello"]',
        "{" * 100_000,
        '{"prompt": ' + "9" * 6000 + "}",
        b"\xff\xfe",
        "x" * (limits.PROMPT_CHARS + 1),
        json.dumps({"prompt": "x", "client": "c" * (limits.CLIENT_ID_CHARS + 1)}),
        json.dumps({"prompt": "x", "request": "r" * (REQUEST_ID_CHARS + 1)}),
    ],
)
def test_other_json_and_oversize_frames_get_a_sentence(frame: str | bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_prompt(frame)
    assert len(str(caught.value)) < 400


def test_lone_surrogates_cannot_break_a_socket() -> None:
    assert decode_event(encode(ChatChunk("a\ud800b", ChunkMeta("m", 1.0, "w")))).content == "a\ufffdb"  # type: ignore[union-attr]
    assert decode_prompt("a\ud800b").prompt == "a\ufffdb"


@pytest.mark.parametrize(
    "event",
    [
        SyncState(
            "",
            State(
                available_models=tuple(ModelOption(f"m/{n}", "x" * 200, 0.0, 0.0) for n in range(9_000))
            ),
        ),
        Recall("", RecallMeta("t", tuple(RecallItem("lore", "t", " " * 900_000) for _ in range(3)))),
        SystemUpdate("\U0001f3d4" * 400_000),
        ChatHistory("", HistoryMeta(tuple(HistoryItem("user", "\u4e00" * 30_000) for _ in range(20)))),
    ],
    ids=lambda event: event.event,
)
def test_no_frame_is_longer_than_a_client_takes(event: Event) -> None:
    """Whatever grew too long is shortened, the rest of the frame stays, and it is still that event."""
    frame = encode(event)
    assert len(frame.encode()) <= codec.FRAME_MOST_BYTES
    made = decode_event(frame)
    assert type(made) is type(event)
    assert len(frame.encode()) > codec.FRAME_MOST_BYTES // 4, "no more is lost than has to be"


def test_a_frame_that_fits_is_left_alone() -> None:
    event = SystemUpdate("x" * (codec.FRAME_MOST_BYTES - 200))
    assert decode_event(encode(event)) == event
