"""What providers say when they fail becomes one class and one sentence that helps."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower import limits
from flower.engine.provider.error_body import clean, excerpt, retry_after
from flower.engine.provider.errors import Origin, from_payload, from_response
from flower.errors import ProviderError
from tests.provider_world import KEY

ORIGIN = Origin(
    "acme",
    "https://api.acme.example/v1",
    key_hint="acme_api_key in config.yaml",
    model="m1",
    secrets=(KEY,),
    sent=("model", "messages", "max_tokens", "temperature", "top_k", "stream_options", "topK"),
)
KINDS = {
    "auth",
    "payment",
    "rate_limit",
    "overloaded",
    "network",
    "context_exceeded",
    "blocked",
    "bad_request",
    "model_not_found",
    "loading",
    "malformed_stream",
    "server",
}

# (status, body, kind)
ANSWERS = {
    "openai 401": (
        401,
        '{"error":{"message":"Incorrect API key provided: sk-ca***e2.","type":'
        '"invalid_request_error","param":null,"code":"invalid_api_key"}}',
        "auth",
    ),
    "anthropic 401": (
        401,
        '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}',
        "auth",
    ),
    "gemini bad key": (
        400,
        '[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.",'
        '"status":"INVALID_ARGUMENT","details":[{"reason":"API_KEY_INVALID"}]}}]',
        "auth",
    ),
    "llama.cpp 401": (
        401,
        '{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}',
        "auth",
    ),
    "403": (
        403,
        '{"error":{"message":"Your account may not use this model","code":"permission_denied"}}',
        "auth",
    ),
    "openrouter moderation": (
        403,
        '{"error":{"code":403,"message":"Your input was flagged","metadata":'
        '{"reasons":["violence"],"flagged_input":"…"}}}',
        "blocked",
    ),
    "openrouter 402": (402, '{"error":{"code":402,"message":"Insufficient credits"}}', "payment"),
    "deepseek 402": (
        402,
        '{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,'
        '"code":"invalid_request_error"}}',
        "payment",
    ),
    "openai no quota": (
        429,
        '{"error":{"message":"You exceeded your current quota, please check your plan and '
        'billing details.","type":"insufficient_quota","code":"insufficient_quota"}}',
        "payment",
    ),
    "anthropic no credit": (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"Your credit '
        'balance is too low to access the Anthropic API."}}',
        "payment",
    ),
    "openai 404": (
        404,
        '{"error":{"message":"The model `m1` does not exist","type":"invalid_request_error",'
        '"code":"model_not_found"}}',
        "model_not_found",
    ),
    "openrouter bad id": (
        400,
        '{"error":{"message":"m1 is not a valid model ID","code":400}}',
        "model_not_found",
    ),
    "ollama 404": (
        404,
        '{"error":"model \\"m1\\" not found, try pulling it first"}',
        "model_not_found",
    ),
    "anthropic 404": (
        404,
        '{"type":"error","error":{"type":"not_found_error","message":"model: m1"}}',
        "model_not_found",
    ),
    "no such page": (404, "<html><title>404</title><h1>Not Found</h1></html>", "model_not_found"),
    "groq 413": (
        413,
        '{"error":{"message":"Request too large for model `m1` in organization `o` on tokens per '
        'minute (TPM): Limit 6000, Requested 9123, please reduce your message size and try again.",'
        '"type":"tokens","code":"rate_limit_exceeded"}}',
        "context_exceeded",
    ),
    "plain 413": (413, "Payload Too Large", "context_exceeded"),
    "llama.cpp context": (
        400,
        '{"error":{"code":400,"message":"request (13392 tokens) exceeds the available '
        'context size (8192 tokens), try increasing it","type":"exceed_context_size_error",'
        '"n_prompt_tokens":13392,"n_ctx":8192}}',
        "context_exceeded",
    ),
    "wrapped context": (
        500,
        '{"error":{"message":"{\\"error\\":{\\"code\\":400,\\"message\\":\\"request (13392 '
        'tokens) exceeds the available context size (8192 tokens)\\",\\"type\\":'
        '\\"exceed_context_size_error\\"}}"}}',
        "context_exceeded",
    ),
    "openai context": (
        400,
        '{"error":{"message":"This model\'s maximum context length is 8,192 tokens. However, '
        'you requested 13,392 tokens (12,592 in the messages, 800 in the completion).","type":'
        '"invalid_request_error","param":"messages","code":"context_length_exceeded"}}',
        "context_exceeded",
    ),
    "anthropic context": (
        400,
        '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too '
        'long: 13392 tokens > 8192 maximum"}}',
        "context_exceeded",
    ),
    "gemini context": (
        400,
        '{"error":{"code":400,"message":"The input token count (13392) exceeds the maximum '
        'number of tokens allowed (8192).","status":"INVALID_ARGUMENT"}}',
        "context_exceeded",
    ),
    "mistral context": (
        400,
        '{"object":"error","message":"Prompt contains 13392 tokens and 0 draft tokens, too '
        'large for model with 8192 maximum context length","type":"invalid_request_prompt"}',
        "context_exceeded",
    ),
    "vllm context": (
        400,
        '{"object":"error","message":"This model\'s maximum context length is 8192 tokens. '
        "However, you requested 13392 tokens in the messages, Please reduce the length of the "
        'messages.","type":"BadRequestError","param":null,"code":400}',
        "context_exceeded",
    ),
    "groq 429": (
        429,
        '{"error":{"message":"Rate limit reached for model `m1` on tokens per minute (TPM): Limit '
        '6000, Used 5800, Requested 700. Please try again in 5.289s.","type":"tokens","code":'
        '"rate_limit_exceeded"}}',
        "rate_limit",
    ),
    "gemini 429": (
        429,
        '{"error":{"code":429,"message":"Quota exceeded","status":"RESOURCE_EXHAUSTED","details":'
        '[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}',
        "rate_limit",
    ),
    "llama.cpp loading": (
        503,
        '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
        "loading",
    ),
    "anthropic 529": (
        529,
        '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
        "overloaded",
    ),
    "gemini 503": (
        503,
        '{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}',
        "overloaded",
    ),
    "koboldcpp busy": (
        503,
        '{"detail":{"msg":"Server is busy; please try again later.","type":"service_unavailable"}}',
        "overloaded",
    ),
    "groq 498": (
        498,
        '{"error":{"message":"Flex tier capacity exceeded","code":"capacity_exceeded"}}',
        "overloaded",
    ),
    "nginx 502": (
        502,
        "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
        "overloaded",
    ),
    "500": (500, '{"error":{"message":"The server had an error","type":"server_error"}}', "server"),
    "500 nothing": (500, "", "server"),
    "openai policy": (
        400,
        '{"error":{"message":"Rejected by our safety system","code":"content_policy_violation"}}',
        "blocked",
    ),
    "fastapi 422": (
        422,
        '{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs '
        'are not permitted","input":{}}]}',
        "bad_request",
    ),
    "openai 400": (
        400,
        '{"error":{"message":"Unsupported value: \'temperature\' does not support 0.2 with this '
        'model.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}',
        "bad_request",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_has_its_class(name: str) -> None:
    status, body, kind = ANSWERS[name]
    error = from_response(status, {}, body.encode(), ORIGIN)
    assert error.kind == kind
    assert str(error).endswith(".")
    assert "\n" not in str(error)


CONTEXT_ANSWERS = [name for name in ANSWERS if "context" in name]


@pytest.mark.parametrize("name", CONTEXT_ANSWERS)
def test_a_prompt_that_is_too_long_tells_the_numbers(name: str) -> None:
    status, body, _ = ANSWERS[name]
    error = from_response(status, {}, body.encode(), ORIGIN)
    assert (error.used_tokens, error.limit_tokens) == (13392, 8192)
    assert "13392 tokens, 8192 fit" in str(error)


def test_a_request_over_the_rate_of_tokens_tells_what_would_fit() -> None:
    status, body, _ = ANSWERS["groq 413"]
    error = from_response(status, {}, body.encode(), ORIGIN)
    assert (error.used_tokens, error.limit_tokens) == (9123, 6000)


REFUSED = {
    "fastapi 422": "stream_options",
    "openai 400": "temperature",
    "llama.cpp": "max_tokens",
    "groq": "top_k",
    "gemini": "topK",
    "anthropic": "top_k",
    "none of ours": None,
}
REFUSALS = {
    "fastapi 422": ANSWERS["fastapi 422"][1],
    "openai 400": ANSWERS["openai 400"][1],
    "llama.cpp": '{"error":{"code":400,"message":"Field \'max_tokens\': type must be number","type":'
    '"invalid_request_error"}}',
    "groq": '{"error":{"message":"property \'top_k\' is unsupported","type":"invalid_request_error"}}',
    "gemini": '{"error":{"code":400,"message":"Invalid JSON payload received. Unknown name \\"topK\\" at '
    "'generation_config': Cannot find field.\"}}",
    "anthropic": '{"type":"error","error":{"type":"invalid_request_error","message":"top_k: Extra inputs are not '
    'permitted"}}',
    "none of ours": '{"error":{"message":"something is wrong with the_topology"}}',
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_field_is_recognised(name: str) -> None:
    error = from_response(400, {}, REFUSALS[name].encode(), ORIGIN)
    assert error.kind == "bad_request"
    assert error.field == REFUSED[name]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=60.0) == seconds
    error = from_response(429, httpx.Headers(headers), b"{}", ORIGIN, now=60.0)
    assert error.retry_after_s == seconds


def test_waiting_times_inside_bodies() -> None:
    groq = from_response(429, {}, ANSWERS["groq 429"][1].encode(), ORIGIN)
    gemini = from_response(429, {}, ANSWERS["gemini 429"][1].encode(), ORIGIN)
    assert groq.retry_after_s == pytest.approx(5.289)
    assert gemini.retry_after_s == 34.0
    assert "try again in 34 s" in str(gemini)


IN_STREAM = {
    "openrouter": (
        {
            "error": {
                "code": 502,
                "message": "Provider disconnected",
                "metadata": {"error_type": "provider_unavailable"},
            }
        },
        "overloaded",
    ),
    "openrouter rate limit": ({"error": {"code": 429, "message": "Rate limit exceeded"}}, "rate_limit"),
    "vllm": (
        {
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
            "code": 400,
        },
        "context_exceeded",
    ),
    "anthropic": ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded"),
    "ollama": ({"error": "an error was encountered while running the model: CUDA error"}, "server"),
    "openai": ({"error": {"message": "The server had an error", "type": "server_error"}}, "server"),
    "text": ("boom", "server"),
    "nothing": ({}, "server"),
    "a number": (7, "server"),
}


@pytest.mark.parametrize("name", IN_STREAM)
def test_errors_inside_a_stream(name: str) -> None:
    payload, kind = IN_STREAM[name]
    assert from_payload(payload, ORIGIN).kind == kind


def test_an_html_page_is_quoted_without_its_tags() -> None:
    page = b"<html><style>p{color:red}</style><body><p>Attention   Required!</p><script>x()</script></body>"
    assert excerpt(page) == "Attention Required!"
    error = from_response(500, {}, page, ORIGIN)
    assert "Attention Required!" in str(error)
    assert "<" not in str(error)


def test_a_redirect_is_not_followed_but_named() -> None:
    error = from_response(302, {"location": "http://169.254.169.254/"}, b"", ORIGIN)
    assert error.kind == "bad_request"
    assert "169.254.169.254" in str(error)


def test_quotes_are_short_printable_and_without_keys() -> None:
    nasty = f"key {KEY} \x1b]52;c;AAAA\x07 \u202e" + "x" * 10_000
    for error in (
        from_response(500, {}, nasty.encode(), ORIGIN),
        from_response(400, {}, b'{"error":{"message":"bad key ' + KEY.encode() + b'"}}', ORIGIN),
        from_payload({"error": {"message": nasty}}, ORIGIN),
    ):
        assert KEY not in str(error)
        assert str(error).isprintable()
        assert len(str(error)) < 2 * limits.ERROR_TEXT_CHARS
    assert clean("a\tb\nc") == "a b c"


def test_a_wrong_address_says_so() -> None:
    error = from_response(404, {}, b"<h1>Not Found</h1>", ORIGIN)
    assert "https://api.acme.example/v1" in str(error)
    assert "base_url" in str(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "detail", "metadata", "loc", "details", "raw"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(payload=json_values)
def test_any_payload_is_some_error(payload: object) -> None:
    error = from_payload(payload, ORIGIN)
    assert isinstance(error, ProviderError)
    assert error.kind in KINDS


@given(status=st.integers(300, 599), body=st.binary(max_size=300))
def test_any_response_is_some_error(status: int, body: bytes) -> None:
    error = from_response(status, {}, body, ORIGIN)
    assert error.kind in KINDS
    assert str(error).isprintable()
