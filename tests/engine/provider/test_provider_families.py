"""Every API family reads its recorded replies, and nothing a server sends can do harm."""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flower.engine.provider.base import Finish, Loading, PromptMessage, Spent, Text
from flower.engine.provider.endpoint import Endpoint, Patch, Refusals
from flower.engine.provider.http.decode import Interpreter, Item
from flower.engine.provider.http.framing import SseDecoder
from flower.engine.provider.services import anthropic, gemini, ollama, openai, openai_dialects
from flower.errors import ProviderError
from tests.provider_world import (
    FAMILIES,
    ORIGIN,
    STORY,
    THOUGHT,
    Family,
    chunk,
    completion,
    read,
    sse,
    text_of,
    thought_of,
)

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def spent_in(items: list[Item]) -> Spent | None:
    return next((item for item in reversed(items) if isinstance(item, Spent)), None)


def error_in(items: list[Item]) -> ProviderError:
    assert isinstance(items[-1], ProviderError), items
    return items[-1]


@every_family
def test_a_recorded_reply(family: Family) -> None:
    """Story, thinking, numbers and end mark of a normal reply."""
    items = read(family.interpreter(), family.recorded)
    assert text_of(items) == STORY
    assert thought_of(items).strip() == THOUGHT
    assert items[-1] == Finish("done")
    if family.spends:
        assert spent_in(items) == Spent(30, 12, family.cached, family.cost)


@every_family
def test_byte_by_byte_and_at_random_cuts(family: Family) -> None:
    whole = read(family.interpreter(), family.recorded)
    data = family.recorded
    rng = random.Random(family.kind)
    bytewise = read(family.interpreter(), *(data[i : i + 1] for i in range(len(data))))
    assert text_of(bytewise) == text_of(whole)
    assert bytewise[-1] == whole[-1]
    for _ in range(30):
        edges = sorted(rng.randrange(len(data)) for _ in range(5))
        parts = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
        assert read(family.interpreter(), *parts) == whole


@every_family
def test_a_stream_cut_anywhere_keeps_the_words_and_never_looks_complete(family: Family) -> None:
    """The words are a beginning of the story; ``Finish`` comes only when the provider had said so."""
    data = family.recorded
    complete = data.rindex({"gemini": b"STOP", "anthropic": b"end_turn"}.get(family.kind, b"stop"))
    for length in range(len(data)):
        items = read(family.interpreter(), data[:length])
        words = text_of(items).partition("<")[0]  # half a tag may be a tag or the story
        assert STORY.startswith(words)
        assert not any(isinstance(item, ProviderError) for item in items)
        if length < complete - 30:
            assert not any(isinstance(item, Finish) for item in items), data[:length]


@every_family
def test_a_malformed_line_is_one_error_after_the_words(family: Family) -> None:
    ndjson = family.kind == "ollama"
    good = family.recorded.split(b"\n" if ndjson else b"data: [DONE]")[0]
    if ndjson:
        good = b"\n".join(family.recorded.split(b"\n")[:3]) + b"\n"
        bad = b'{"message": {"content": \n'
    else:
        good = b"\n\n".join(family.recorded.replace(b"\r\n", b"\n").split(b"\n\n")[:2]) + b"\n\n"
        bad = b'data: {"choices": [{"delta": \n\n'
    items = read(family.interpreter(), good + bad)
    error = error_in(items)
    assert error.kind == "malformed_stream"
    assert sum(isinstance(item, ProviderError) for item in items) == 1
    assert STORY.startswith(text_of(items).partition("<")[0])
    again = read(family.interpreter(), good + bad + family.recorded)
    assert isinstance(again[-1], Finish), "something came after it that was sound"


@every_family
def test_an_empty_stream_has_no_end_mark(family: Family) -> None:
    assert read(family.interpreter()) == []
    assert read(family.interpreter(), b"\n\n\n") == []


@every_family
def test_an_endless_line_ends_in_an_error(family: Family) -> None:
    items = read(family.interpreter(), *[b"data: {" + b"x" * 65_536] * 40)
    assert error_in(items).kind == "malformed_stream"


@every_family
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(data=st.data())
def test_mutated_streams_never_crash(family: Family, data: st.DataObject) -> None:
    """Bytes changed, dropped or doubled: only pieces and at most one error, which comes last."""
    stream = bytearray(family.recorded)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(stream) - 1))
        match data.draw(st.sampled_from(["change", "drop", "double"])):
            case "change":
                stream[place] = data.draw(st.integers(0, 255))
            case "drop":
                del stream[place : place + data.draw(st.integers(1, 40))]
            case _:
                stream[place:place] = stream[place : place + 60]
    items = read(family.interpreter(), bytes(stream))
    errors = [item for item in items if isinstance(item, ProviderError)]
    assert len(errors) <= 1
    assert not errors or items[-1] is errors[0] or isinstance(items[-1], Finish | Text)
    assert all(isinstance(item.text, str) and item.text for item in items if isinstance(item, Text))


# --- OpenAI's family ----------------------------------------------------------------------------


def openai_reader() -> Interpreter:
    return FAMILIES["openai"].interpreter()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ('"stop"', Finish("done")),
        ('"eos"', Finish("done")),
        ('"tool_calls"', Finish("done")),
        ('"length"', Finish("length")),
        ('"content_filter"', Finish("blocked", "content_filter")),
    ],
)
def test_finish_reasons(reason: str, finish: Finish) -> None:
    items = read(openai_reader(), sse(chunk('{"content":"a"}'), chunk("{}", reason), "data: [DONE]"))
    assert items[-1] == finish


def test_done_alone_is_an_end_mark() -> None:
    assert read(openai_reader(), sse(chunk('{"content":"a"}'), "data: [DONE]"))[-1] == Finish("done")


def test_a_finish_reason_alone_is_an_end_mark() -> None:
    assert read(openai_reader(), sse(chunk('{"content":"a"}', '"stop"')))[-1] == Finish("done")


def test_nothing_after_done_counts() -> None:
    items = read(
        openai_reader(), sse(chunk('{"content":"a"}'), "data: [DONE]", chunk('{"content":"b"}'))
    )
    assert text_of(items) == "a"


MID_STREAM = {
    "openrouter": 'data: {"id":"g","error":{"code":"server_error","message":"Provider disconnected"},"choices":'
    '[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}',
    "openai": 'data: {"error":{"message":"The server had an error","type":"server_error"}}',
    "vllm": 'data: {"object":"error","message":"The engine died","code":500}',
    "groq": 'data: {"choices":[],"x_groq":{"id":"r","error":"over capacity"}}',
    "finish reason": chunk("{}", '"error"'),
}


@pytest.mark.parametrize("shape", MID_STREAM)
def test_an_error_inside_the_stream_comes_after_the_words(shape: str) -> None:
    items = read(
        openai_reader(), sse(chunk('{"content":"The door"}'), MID_STREAM[shape], "data: [DONE]")
    )
    assert text_of(items) == "The door"
    assert error_in(items).kind == "server"


def test_a_reply_that_was_not_streamed() -> None:
    """Some servers ignore ``stream``."""
    body = (
        b'{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":'
        b'"Hello","reasoning_content":"hm"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,'
        b'"completion_tokens":1}}'
    )
    items = read(openai_reader(), body)
    assert text_of(items) == "Hello"
    assert thought_of(items) == "hm"
    assert spent_in(items) == Spent(3, 1)
    assert items[-1] == Finish("done")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"status":"ok"}', b"<html>", b"[1, null]"])
def test_a_document_that_is_no_reply(body: bytes) -> None:
    assert error_in(read(openai_reader(), body)).kind == "malformed_stream"


def test_an_error_document_with_success_status() -> None:
    body = b'{"error":{"code":429,"message":"Rate limit exceeded"}}'
    assert error_in(read(openai_reader(), body)).kind == "rate_limit"


def test_timings_stand_in_for_usage() -> None:
    """llama.cpp's numbers count when a server sends no usage."""
    timed = 'data: {"choices":[],"timings":{"cache_n":236,"prompt_n":1,"predicted_n":35}}'
    items = read(openai_reader(), sse(chunk('{"content":"a"}', '"stop"'), timed, "data: [DONE]"))
    assert spent_in(items) == Spent(237, 35, 236)


def test_prompt_progress_is_loading() -> None:
    items = read(FAMILIES["llamacpp"].interpreter(), FAMILIES["llamacpp"].recorded)
    assert Loading("reading the prompt", 26, 30) in items


def test_comments_are_signs_of_life() -> None:
    items = read(FAMILIES["openrouter"].interpreter(), b": OPENROUTER PROCESSING\n\n")
    assert items == [Loading("waiting for the model")]


def test_a_reply_that_starts_inside_a_thinking_block() -> None:
    reader = Interpreter(ORIGIN, SseDecoder(), openai.ChatStream(ORIGIN), expects=True)
    items = read(reader, sse(chunk('{"content":"why</think>\\n\\nBecause."}')))
    assert (thought_of(items), text_of(items)) == ("why", "Because.")


# --- Gemini -------------------------------------------------------------------------------------


def test_gemini_blocked_prompt_says_why() -> None:
    """A blocked prompt is a success without candidates."""
    body = sse(
        'data: {"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[{"category":'
        '"HARM_CATEGORY_DANGEROUS_CONTENT","probability":"HIGH","blocked":true},{"category":'
        '"HARM_CATEGORY_HARASSMENT","probability":"LOW"}]},"usageMetadata":{"promptTokenCount":8}}'
    )
    items = read(FAMILIES["gemini"].interpreter(), body)
    assert items[-1] == Finish("blocked", "SAFETY: DANGEROUS_CONTENT")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("MAX_TOKENS", Finish("length")),
        ("SAFETY", Finish("blocked", "SAFETY")),
        ("PROHIBITED_CONTENT", Finish("blocked", "PROHIBITED_CONTENT")),
        ("SOMETHING_NEW", Finish("blocked", "SOMETHING_NEW")),
    ],
)
def test_gemini_finish_reasons(reason: str, finish: Finish) -> None:
    body = sse(f'data: {{"candidates":[{{"finishReason":"{reason}","index":0}}]}}')
    assert read(FAMILIES["gemini"].interpreter(), body)[-1] == finish


def test_gemini_array_reply() -> None:
    """Without ``alt=sse`` the chunks come as one array; a proxy may drop the query."""
    parts = [
        part.removeprefix("data: ")
        for part in FAMILIES["gemini"].recorded.decode().split("\r\n\r\n")
        if part
    ]
    items = read(FAMILIES["gemini"].interpreter(), ("[" + ",".join(parts) + "]").encode())
    assert text_of(items) == STORY
    assert items[-1] == Finish("done")


def test_gemini_request() -> None:
    """System text apart, roles alternate, the user has first and last word, samplers are renamed."""
    messages = (
        PromptMessage("system", "A"),
        PromptMessage("system", "B"),
        PromptMessage("assistant", "Hello."),
        PromptMessage("user", "Hi."),
        PromptMessage("system", "note"),
        PromptMessage("assistant", "And"),
    )
    asked = completion(messages=messages, params={"top_p": 0.9, "stop": "###", "logit_bias": {}})
    body = gemini.build_body(asked, Endpoint("gemini", "gemini", "https://g"))
    assert body["systemInstruction"] == {"parts": [{"text": "A\n\nB"}]}
    assert [turn["role"] for turn in body["contents"]] == ["user", "model", "user", "model", "user"]
    assert body["contents"][2]["parts"][0]["text"] == "Hi.\n\nnote"
    assert body["generationConfig"] == {"maxOutputTokens": 99, "topP": 0.9, "stopSequences": ["###"]}


def test_gemini_models() -> None:
    payload = {
        "models": [
            {
                "name": "models/g-flash",
                "displayName": "G Flash",
                "inputTokenLimit": 1048576,
                "supportedGenerationMethods": ["generateContent", "countTokens"],
            },
            {"name": "models/embed", "supportedGenerationMethods": ["embedContent"]},
            {"name": 7},
            None,
            "x",
        ]
    }
    (info,) = gemini.read_models(payload)
    assert (info.id, info.name, info.context_tokens, info.prompt_price) == (
        "g-flash",
        "G Flash",
        1048576,
        None,
    )


# --- Anthropic ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish("done")),
        ("stop_sequence", Finish("done")),
        ("max_tokens", Finish("length")),
        ("refusal", Finish("blocked", "refusal")),
    ],
)
def test_anthropic_stop_reasons(reason: str, finish: Finish) -> None:
    body = FAMILIES["anthropic"].recorded.replace(b"end_turn", reason.encode())
    assert read(FAMILIES["anthropic"].interpreter(), body)[-1] == finish


def test_anthropic_error_event() -> None:
    body = FAMILIES["anthropic"].recorded.split(b"event: message_delta")[0]
    body += b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    items = read(FAMILIES["anthropic"].interpreter(), body)
    assert text_of(items) == STORY
    assert error_in(items).kind == "overloaded"


def test_anthropic_request() -> None:
    """System and the last repeated turn are marked for the cache; a prefill loses trailing space."""
    messages = (
        PromptMessage("system", "A"),
        PromptMessage("user", "Hi."),
        PromptMessage("assistant", "Hello."),
        PromptMessage("user", "Go."),
        PromptMessage("assistant", "And then "),
    )
    asked = completion(messages=messages, params={"stop": ["###"], "temperature": 0.7, "min_p": 0.1})
    body = anthropic.build_body(asked, Endpoint("anthropic", "anthropic", "https://a"))
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert [("cache_control" in turn["content"][0]) for turn in body["messages"]] == [
        False,
        True,
        False,
        False,
    ]
    assert body["messages"][-1]["content"][0]["text"] == "And then"
    assert (body["stop_sequences"], body["temperature"]) == (["###"], 0.7)
    assert "min_p" not in body
    without_prefill = anthropic.build_body(
        asked, Endpoint("anthropic", "anthropic", "https://a"), {"prefill"}
    )
    assert without_prefill["messages"][-1]["role"] == "user"


def test_what_an_api_needs_is_never_left_out() -> None:
    """A limit that is too high must not lead to a request without one, which Anthropic refuses."""
    refusals = Refusals(needed=("max_tokens",))
    assert not refusals.add("m1", "max_tokens")
    assert not refusals.add("m1", "messages")
    assert refusals.add("m1", "top_k")
    assert not refusals.add("m1", "top_k"), "leaving it out has been tried"
    assert refusals.of("m1") == {"top_k"}
    assert refusals.of("m2") == frozenset()


# --- Ollama -------------------------------------------------------------------------------------


def test_ollama_request_sets_the_context() -> None:
    asked = completion(
        params={"repetition_penalty": 1.1, "stop": "###", "keep_alive": "10m", "top_a": 1}
    )
    body = ollama.build_body(asked, Endpoint("ollama", "ollama", "http://127.0.0.1:11434"))
    assert body["options"] == {
        "num_ctx": 4096,
        "num_predict": 99,
        "repeat_penalty": 1.1,
        "stop": ["###"],
    }
    assert body["keep_alive"] == "10m"
    assert "top_a" not in body


def test_ollama_error_line() -> None:
    body = b'{"message":{"content":"The"},"done":false}\n{"error":"an error was encountered"}\n'
    items = read(FAMILIES["ollama"].interpreter(), body)
    assert text_of(items) == "The"
    assert error_in(items).kind == "server"


def test_ollama_length_and_load() -> None:
    body = b'{"message":{"content":"The"},"done":false}\n{"done":true,"done_reason":"length","eval_count":9}\n'
    assert read(FAMILIES["ollama"].interpreter(), body)[-1] == Finish("length")


def test_ollama_show() -> None:
    shown = {
        "model_info": {"gemma3.context_length": 32768, "x": 1},
        "capabilities": ["completion", "vision"],
    }
    assert ollama.read_show(shown) == (32768, True)
    assert ollama.read_show({"capabilities": ["embedding"]}) == (0, False)
    assert ollama.read_show([]) == (0, True)


# --- requests of OpenAI's family ----------------------------------------------------------------


def body_of(kind: str, refused: tuple[str, ...] = (), **fields: object) -> dict[str, object]:
    endpoint_fields = {
        name: fields.pop(name) for name in ("patch", "params_of_endpoint") if name in fields
    }
    endpoint = Endpoint(
        "acme",
        kind,
        "https://a",
        params=endpoint_fields.get("params_of_endpoint", {}),  # type: ignore[arg-type]
        patch=endpoint_fields.get("patch", ()),  # type: ignore[arg-type]  # test data
    )
    return openai_dialects.build_body(
        completion(**fields), endpoint, openai_dialects.FLAVOURS[kind], refused
    )


@pytest.mark.parametrize("kind", openai_dialects.FLAVOURS)
def test_every_flavour_asks_for_a_stream(kind: str) -> None:
    body = body_of(kind)
    assert body["stream"] is True
    assert body["model"] == "m1"
    assert [m["role"] for m in body["messages"]] == ["system", "user"]  # type: ignore[attr-defined]
    msgspec.json.encode(body)


def test_unknown_samplers_go_only_to_servers_that_may_know_them() -> None:
    params = {"temperature": 0.7, "min_p": 0.1, "dry_multiplier": 0.8}
    assert "min_p" not in body_of("openai", params=params)
    assert "min_p" in body_of("openrouter", params=params)
    assert "dry_multiplier" not in body_of("openrouter", params=params)
    assert "dry_multiplier" in body_of("llamacpp", params=params)


def test_names_that_differ() -> None:
    assert body_of("mistral", params={"seed": 7})["random_seed"] == 7
    assert body_of("openai")["max_completion_tokens"] == 99
    assert body_of("deepseek")["max_tokens"] == 99
    assert body_of("openai", refused=("max_completion_tokens",))["max_tokens"] == 99
    assert "stream_options" not in body_of("mistral")
    assert body_of("llamacpp")["return_progress"] is True
    assert body_of("openrouter", session="s7")["session_id"] == "s7"


def test_patches_and_refusals_have_the_last_word() -> None:
    patch = (
        Patch("^m", set={"reasoning": {"effort": "low", "x": 1}}, drop=("temperature",)),
        Patch("^z", drop=("model",)),
    )
    body = body_of("openrouter", refused=("x",), patch=patch, params={"temperature": 1.0})
    assert body["reasoning"] == {"effort": "low"}
    assert "temperature" not in body
    assert body["model"] == "m1"


def test_the_completion_overrules_the_endpoint() -> None:
    body = body_of(
        "llamacpp", params_of_endpoint={"temperature": 0.1, "top_k": 5}, params={"temperature": 0.9}
    )
    assert (body["temperature"], body["top_k"]) == (0.9, 5)
