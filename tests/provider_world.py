"""Recorded replies of every API family, and a network that plays them.

The shapes are those of the vendors' documentation; the llama.cpp ones were recorded from a server.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
import trio
from msgspec import Struct

from flower.engine.provider.base import Completion, Piece, PromptMessage, Provider, Reasoning, Text
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.errors import Origin
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.decode import Interpreter, Item
from flower.engine.provider.http.framing import NdjsonDecoder, SseDecoder
from flower.engine.provider.services.anthropic import AnthropicProvider, MessageStream, api_headers
from flower.engine.provider.services.gemini import GeminiProvider, GenerateStream, api_key
from flower.engine.provider.services.koboldcpp import KoboldCppProvider
from flower.engine.provider.services.ollama import ChatLines, OllamaProvider
from flower.engine.provider.services.openai import ChatStream, OpenAIProvider
from flower.engine.provider.services.remote import bearer

KEY = "sk-canary-7f3a9c51e2"
STORY = 'The door\u2028opens. "Who goes there?" – 🌸'
THOUGHT = "The player is at the door."
ORIGIN = Origin("acme", "http://127.0.0.1:9/v1", key_hint="acme_api_key in config.yaml", model="m1")


def sse(*events: str, end: str = "\n\n") -> bytes:
    return "".join(event + end for event in events).encode()


def chunk(delta: str, finish: str = "null") -> str:
    return (
        'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"m1","choices":'
        f'[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}'
    )


OPENAI = sse(
    chunk('{"role":"assistant","content":null}'),
    chunk('{"role":"assistant","content":""}'),
    chunk('{"reasoning_content":"The player is "}'),
    chunk('{"reasoning_content":"at the door."}'),
    chunk('{"content":"The door\u2028opens. "}'),
    chunk('{"content":"\\"Who goes there?\\""}'),
    chunk('{"content":" – 🌸"}'),
    chunk("{}", '"stop"'),
    'data: {"id":"c1","object":"chat.completion.chunk","choices":[],"usage":{"prompt_tokens":30,'
    '"completion_tokens":12,"total_tokens":42,"prompt_tokens_details":{"cached_tokens":28}}}',
    "data: [DONE]",
)
OPENROUTER = sse(
    ": OPENROUTER PROCESSING",
    ": OPENROUTER PROCESSING",
    chunk(
        '{"role":"assistant","content":"","reasoning":"The player is at the door.",'
        '"reasoning_details":[{"type":"reasoning.text","text":"The player is at the door."}]}'
    ),
    chunk('{"content":"The door\u2028opens. \\"Who goes there?\\" – 🌸"}'),
    chunk('{"content":""}', '"stop"'),
    'data: {"id":"g1","provider":"Acme","choices":[{"index":0,"delta":{"role":"assistant","content":""},'
    '"finish_reason":null}],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,'
    '"cost":0.00014,"is_byok":false,"prompt_tokens_details":{"cached_tokens":28}}}',
    "data: [DONE]",
)
DEEPSEEK = sse(
    ": keep-alive",
    chunk('{"role":"assistant","content":null,"reasoning_content":"The player is at the door."}'),
    chunk('{"content":"The door\u2028opens. \\"Who goes there?\\" – 🌸","reasoning_content":null}'),
    'data: {"choices":[{"index":0,"delta":{"content":"","reasoning_content":null},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":30,"completion_tokens":12,"prompt_cache_hit_tokens":28,'
    '"prompt_cache_miss_tokens":2}}',
    "data: [DONE]",
    end="\r\n\r\n",
)
GROQ = sse(
    'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],'
    '"x_groq":{"id":"req_1"}}',
    chunk('{"reasoning":"The player is at the door."}'),
    chunk('{"content":"The door\u2028opens. \\"Who goes there?\\" – 🌸"}'),
    'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"req_1",'
    '"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42,"total_time":0.3}}}',
    "data: [DONE]",
)
MISTRAL = sse(
    'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":[{"type":"thinking",'
    '"thinking":[{"type":"text","text":"The player is at the door."}]}]},"finish_reason":null}]}',
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":[{"type":"text","text":"The door\u2028opens. "}]}'
    ',"finish_reason":null}]}',
    chunk('{"content":"\\"Who goes there?\\" – 🌸"}'),
    'data: {"id":"c","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],'
    '"usage":{"prompt_tokens":30,"total_tokens":42,"completion_tokens":12}}',
    "data: [DONE]",
)
LLAMACPP = sse(
    'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"role":"assistant","content":null}}],'
    '"model":"gemma","object":"chat.completion.chunk","prompt_progress":'
    '{"total":30,"cache":0,"processed":26,"time_ms":96}}',
    chunk('{"content":"<thi"}'),
    chunk('{"content":"nk>\\nThe player is at the door.</th"}'),
    chunk('{"content":"ink>\\n\\nThe door\u2028opens. \\"Who goes there?\\" – 🌸"}'),
    chunk("{}", '"stop"'),
    'data: {"choices":[],"object":"chat.completion.chunk","usage":{"completion_tokens":12,"prompt_tokens":30,'
    '"total_tokens":42,"prompt_tokens_details":{"cached_tokens":28}},"timings":{"cache_n":28,"prompt_n":2,'
    '"prompt_ms":168.9,"predicted_n":12,"predicted_ms":172.2,"predicted_per_second":63.8}}',
    "data: [DONE]",
)
GEMINI = sse(
    'data: {"candidates":[{"content":{"parts":[{"text":"The player is at the door.","thought":true}],'
    '"role":"model"},"index":0}],"usageMetadata":{"promptTokenCount":30,"totalTokenCount":30}}',
    'data: {"candidates":[{"content":{"parts":[{"text":"The door\u2028opens. "},{"thoughtSignature":"x"}],'
    '"role":"model"},"index":0}],"modelVersion":"gemini-2.5-flash","responseId":"r1"}',
    'data: {"candidates":[{"content":{"parts":[{"text":"\\"Who goes there?\\" – 🌸"}],"role":"model"},'
    '"finishReason":"STOP","index":0,"safetyRatings":[{"category":"HARM_CATEGORY_HARASSMENT",'
    '"probability":"NEGLIGIBLE"}]}],"usageMetadata":{"promptTokenCount":30,"candidatesTokenCount":8,'
    '"thoughtsTokenCount":4,"cachedContentTokenCount":28,"totalTokenCount":42}}',
    end="\r\n\r\n",
)
ANTHROPIC = sse(
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":'
    '"assistant","content":[],"model":"claude","stop_reason":null,"usage":{"input_tokens":2,'
    '"cache_creation_input_tokens":0,"cache_read_input_tokens":28,"output_tokens":1}}}',
    'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    '{"type":"thinking","thinking":"","signature":""}}',
    'event: ping\ndata: {"type": "ping"}',
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    '{"type":"thinking_delta","thinking":"The player is at the door."}}',
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    '{"type":"signature_delta","signature":"EqQ"}}',
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
    'event: content_block_start\ndata: {"type":"content_block_start","index":1,"content_block":'
    '{"type":"text","text":""}}',
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":'
    '{"type":"text_delta","text":"The door\u2028opens. "}}',
    'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":'
    '{"type":"text_delta","text":"\\"Who goes there?\\" – 🌸"}}',
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":1}',
    'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
    '"stop_sequence":null},"usage":{"output_tokens":12}}',
    'event: message_stop\ndata: {"type":"message_stop"}',
)
OLLAMA = sse(
    '{"model":"g","created_at":"2025-01-01T00:00:00Z","message":{"role":"assistant","content":"",'
    '"thinking":"The player is at the door."},"done":false}',
    '{"model":"g","message":{"role":"assistant","content":"The door\u2028opens. "},"done":false}',
    '{"model":"g","message":{"role":"assistant","content":"\\"Who goes there?\\" – 🌸"},"done":false}',
    '{"model":"g","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
    '"total_duration":5191566416,"load_duration":2154458,"prompt_eval_count":30,'
    '"prompt_eval_duration":383809000,"eval_count":12,"eval_duration":4799921000}',
    end="\n",
)
KOBOLDCPP = b"event: message\n" + sse(
    chunk('{"role":"assistant","content":"","reasoning_content":"The player is at the door."}'),
    chunk('{"content":"The door\u2028opens. \\"Who goes there?\\" – 🌸"}'),
    chunk("{}", '"stop"'),
    "data: [DONE]",
)


class Family(Struct, frozen=True):
    """How a family is played and read."""

    kind: str
    recorded: bytes
    content_type: str
    interpreter: Callable[[], Interpreter]
    provider: Callable[[Endpoint, HttpClient], Provider]
    auth: Callable[[str], dict[str, str]]
    cached: int | None = 28
    cost: float | None = None
    spends: bool = True


def _openai(kind: str, recorded: bytes, **more: Any) -> Family:
    return Family(
        kind,
        recorded,
        "text/event-stream",
        lambda: Interpreter(ORIGIN, SseDecoder(), ChatStream(ORIGIN)),
        OpenAIProvider,
        bearer,
        **more,
    )


FAMILIES = {
    family.kind: family
    for family in (
        _openai("openai", OPENAI),
        _openai("openrouter", OPENROUTER, cost=0.00014),
        _openai("deepseek", DEEPSEEK),
        _openai("groq", GROQ, cached=None),
        _openai("mistral", MISTRAL, cached=None),
        _openai("llamacpp", LLAMACPP),
        _openai("compatible", OPENAI),
        Family(
            "gemini",
            GEMINI,
            "text/event-stream",
            lambda: Interpreter(ORIGIN, SseDecoder(), GenerateStream()),
            GeminiProvider,
            api_key,
        ),
        Family(
            "anthropic",
            ANTHROPIC,
            "text/event-stream; charset=utf-8",
            lambda: Interpreter(ORIGIN, SseDecoder(), MessageStream()),
            AnthropicProvider,
            api_headers,
        ),
        Family(
            "ollama",
            OLLAMA,
            "application/x-ndjson",
            lambda: Interpreter(ORIGIN, NdjsonDecoder(), ChatLines()),
            OllamaProvider,
            bearer,
            cached=None,
        ),
        Family(
            "koboldcpp",
            KOBOLDCPP,
            "text/event-stream",
            lambda: Interpreter(ORIGIN, SseDecoder(), ChatStream(ORIGIN)),
            KoboldCppProvider,
            bearer,
            cached=None,
            spends=False,
        ),
    )
}


class Body(httpx.AsyncByteStream):
    """A response body that is played: bytes are sent, numbers are seconds to wait, errors raised."""

    def __init__(self, *steps: bytes | float | Exception) -> None:
        self._steps = deque(steps)
        self.closed = False

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, bytes):
                return step
            if isinstance(step, Exception):
                raise step
            await trio.sleep(step)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class Network(httpx.AsyncBaseTransport):
    """Answers requests with the given responses in turn, the last one again and again."""

    def __init__(self, *answers: httpx.Response | Exception | float) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(await request.aread())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, float):
            await trio.sleep(answer)
            pytest.fail("nobody waits that long")
        return answer


def streamed(family: Family, *steps: bytes | float | Exception) -> httpx.Response:
    """Returns a success whose body is played; ``extensions["body"]`` is that body."""
    body = Body(*steps)
    headers = {"content-type": family.content_type}
    return httpx.Response(200, headers=headers, stream=body, extensions={"body": body})


def refused(status: int, body: str = "", **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=names, stream=Body(body.encode()))


def make_provider(family: Family, network: Network, **fields: Any) -> Provider:
    fields = {"api_key": KEY, "key_hint": "acme_api_key in config.yaml", **fields}
    endpoint = Endpoint("acme", family.kind, "https://api.acme.example/v1", **fields)
    return family.provider(
        endpoint, HttpClient(endpoint, family.auth, transport=network, clock=lambda: 0.0)
    )


def completion(**fields: Any) -> Completion:
    messages = (PromptMessage("system", "You narrate."), PromptMessage("user", "I knock."))
    return Completion(
        **{"model": "m1", "messages": messages, "max_tokens": 99, "context_tokens": 4096, **fields}
    )


def text_of(items: Sequence[Piece | Item]) -> str:
    return "".join(item.text for item in items if isinstance(item, Text))


def thought_of(items: Sequence[Piece | Item]) -> str:
    return "".join(item.text for item in items if isinstance(item, Reasoning))


def read(interpreter: Interpreter, *parts: bytes) -> list[Item]:
    """Feeds an interpreter to its end, as the stream of pieces does."""
    items: list[Item] = []
    for part in parts:
        items += interpreter.feed(part)
        if interpreter.ended:
            break
    return items + interpreter.end()
