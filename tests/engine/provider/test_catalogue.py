"""Addresses, lists of models, prices, and what an id means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.provider import models, services
from flower.engine.provider.base import ModelInfo
from flower.engine.provider.endpoint import KINDS, Endpoint, is_loopback, is_private, normal_url
from flower.engine.provider.models import Listed, locate, per_million, read_models
from flower.engine.provider.setup import read_setup
from flower.engine.provider.text_prompts import SERVER
from flower.engine.provider.text_prompts import TEMPLATES as WRITTEN
from flower.errors import ConfigError, ProviderError
from flower.settings.config import PROVIDER_KINDS, TEMPLATES, Config, ProviderConfig, parse

URLS = [
    ("compatible", "127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
    ("compatible", "http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
    ("compatible", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1"),
    ("compatible", "http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1"),
    ("compatible", "http://127.0.0.1:8080/v1/chat/completions", "http://127.0.0.1:8080/v1"),
    ("compatible", "http://127.0.0.1:8080/v1/models", "http://127.0.0.1:8080/v1"),
    ("compatible", "localhost", "http://localhost/v1"),
    ("compatible", "raspberrypi:8080", "http://raspberrypi:8080/v1"),
    ("compatible", "pi.local:8080", "http://pi.local:8080/v1"),
    ("compatible", "192.168.1.7:1234", "http://192.168.1.7:1234/v1"),
    ("compatible", "[::1]:8080", "http://[::1]:8080/v1"),
    ("compatible", "0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
    ("compatible", "llm.example.org", "https://llm.example.org/v1"),
    ("compatible", "https://llm.example.org/team/api/v3", "https://llm.example.org/team/api/v3"),
    ("openrouter", "https://openrouter.ai/api", "https://openrouter.ai/api/v1"),
    ("openrouter", "", "https://openrouter.ai/api/v1"),
    ("ollama", "", "http://127.0.0.1:11434"),
    ("ollama", "127.0.0.1:11434/v1", "http://127.0.0.1:11434"),
    ("ollama", "http://127.0.0.1:11434/api", "http://127.0.0.1:11434"),
    ("ollama", "0.0.0.0:11434", "http://127.0.0.1:11434"),
    ("koboldcpp", "127.0.0.1:5001/api", "http://127.0.0.1:5001"),
    ("gemini", "", "https://generativelanguage.googleapis.com/v1beta"),
    ("anthropic", "api.anthropic.com", "https://api.anthropic.com/v1"),
]


@pytest.mark.parametrize(("kind", "given", "expected"), URLS)
def test_addresses(kind: str, given: str, expected: str) -> None:
    assert normal_url(kind, given) == expected
    assert normal_url(kind, expected) == expected, "a normal address stays as it is"


@pytest.mark.parametrize(
    "bad", ["ftp://x", "http://", "http://x:99999", "http://u:p@x/v1", "http://[::1"]
)
def test_addresses_that_are_none(bad: str) -> None:
    with pytest.raises(ConfigError):
        normal_url("compatible", bad)


def test_a_compatible_server_needs_an_address_and_a_kind_must_exist() -> None:
    with pytest.raises(ConfigError, match="base_url"):
        normal_url("compatible", "")
    with pytest.raises(ConfigError, match="kinds are"):
        normal_url("skynet", "http://x")


@given(st.text(max_size=30))
def test_any_address_is_normal_or_an_error(text: str) -> None:
    try:
        url = normal_url("compatible", text)
    except ConfigError:
        return
    assert url.startswith(("http://", "https://"))
    assert normal_url("compatible", url) == url


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "10.0.0.3", "192.168.0.9", "pi", "pi.local", "::1"]
)
def test_hosts_at_home(host: str) -> None:
    assert is_private(host)


@pytest.mark.parametrize("host", ["api.openai.com", "8.8.8.8", "example.org"])
def test_hosts_elsewhere(host: str) -> None:
    assert not is_private(host)
    assert not is_loopback(host)


# --- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ("0.00000055", (0.55, False)),
        ("0", (0.0, False)),
        (0.000002, (2.0, False)),
        ("-1", (None, True)),
        (-1, (None, True)),
        (None, (None, False)),
        ("", (None, False)),
        ("free", (None, False)),
        ("nan", (None, False)),
        (True, (None, False)),
        ({}, (None, False)),
    ],
)
def test_prices(price: object, expected: tuple[float | None, bool]) -> None:
    """USD per token, often as text, becomes USD per million; dynamic prices are never multiplied."""
    assert per_million(price) == expected


def test_openrouter_list() -> None:
    payload = {
        "data": [
            {
                "id": "deepseek/deepseek-chat",
                "name": "DeepSeek: V3",
                "context_length": 163840,
                "architecture": {"output_modalities": ["text"]},
                "pricing": {"prompt": "0.0000003", "completion": "0.00000085", "image": "0"},
                "top_provider": {"context_length": 65536, "max_completion_tokens": None},
            },
            {
                "id": "openrouter/auto",
                "name": "Auto",
                "context_length": 2000000,
                "pricing": {"prompt": "-1", "completion": "-1"},
            },
            {"id": "x/painter", "architecture": {"output_modalities": ["image"]}},
            {"id": "y/new", "pricing": None, "context_length": None},
            {"name": None},
            "nonsense",
            None,
        ]
    }
    chat, auto, new = read_models(payload, "openrouter")
    assert chat == ModelInfo("deepseek/deepseek-chat", "DeepSeek: V3", 65536, 0.3, 0.85)
    assert auto.price_varies
    assert auto.prompt_price is None
    assert (new.prompt_price, new.context_tokens, new.price_varies) == (None, 0, False)


LISTS = {
    "groq": (
        {
            "data": [
                {"id": "llama-70b", "context_window": 131072, "active": True},
                {"id": "old", "active": False},
                {"id": "whisper-large-v3", "active": True},
            ]
        },
        [("llama-70b", 131072)],
    ),
    "mistral": (
        {
            "data": [
                {
                    "id": "m-small",
                    "max_context_length": 32768,
                    "capabilities": {"completion_chat": True},
                },
                {"id": "m-embed-x", "capabilities": {"completion_chat": False}},
            ]
        },
        [("m-small", 32768)],
    ),
    "openai": (
        {"data": [{"id": "gpt-4.1-mini"}, {"id": "text-embedding-3-small"}, {"id": "dall-e-3"}]},
        [("gpt-4.1-mini", 1_047_576)],
    ),
    "deepseek": ({"data": [{"id": "deepseek-chat", "object": "model"}]}, [("deepseek-chat", 128_000)]),
    "llamacpp": (
        {"data": [{"id": "gemma", "meta": {"n_ctx": 8192, "n_ctx_train": 32768}}]},
        [("gemma", 8192)],
    ),
    "vllm": (
        {"data": [{"id": "org/model", "max_model_len": 4096, "owned_by": "vllm"}]},
        [("org/model", 4096)],
    ),
    "lmstudio": ({"data": [{"id": "qwen"}, {"id": "text-embedding-nomic"}]}, [("qwen", 0)]),
    "compatible": ([{"id": "bare"}], [("bare", 0)]),
}


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_other_servers(kind: str) -> None:
    payload, expected = LISTS[kind]
    assert [(info.id, info.context_tokens) for info in read_models(payload, kind)] == expected


@pytest.mark.parametrize(
    "payload", [None, [], {}, {"data": None}, {"data": {}}, "x", 7, {"data": [[]]}]
)
def test_lists_that_are_none(payload: object) -> None:
    assert read_models(payload, "openai") == ()


# --- the file -----------------------------------------------------------------------------------

ENDPOINTS = (
    Endpoint("openrouter", "openrouter", "https://openrouter.ai/api/v1"),
    Endpoint("deepseek", "deepseek", "https://api.deepseek.com/v1"),
    Endpoint("mine", "llamacpp", "http://127.0.0.1:8080/v1", models=("my/model",)),
)
LISTED = {
    "openrouter": Listed(
        ENDPOINTS[0].base_url,
        5.0,
        (ModelInfo("openrouter/auto", "Auto"), ModelInfo("x/llama-3.3-70b", "L")),
    ),
    "mine": Listed(ENDPOINTS[2].base_url, 6.0, (ModelInfo("gemma-3-270m", "G", 8192),)),
}


def test_the_file_brings_back_the_lists() -> None:
    assert models.decode(models.encode(LISTED), ENDPOINTS) == LISTED


def test_a_list_of_another_address_is_not_used() -> None:
    moved = (Endpoint("mine", "llamacpp", "http://127.0.0.1:9999/v1"),)
    assert models.decode(models.encode(LISTED), moved) == {}


@given(st.binary(max_size=100))
def test_a_broken_file_is_an_empty_catalogue(data: bytes) -> None:
    assert models.decode(data, ENDPOINTS) == {}


# --- what an id means ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("deepseek/deepseek-chat", ("deepseek", "deepseek-chat")),
        ("deepseek-chat", ("deepseek", "deepseek-chat")),
        ("openrouter/x/llama-3.3-70b", ("openrouter", "x/llama-3.3-70b")),
        ("openrouter/auto", ("openrouter", "openrouter/auto")),
        ("openrouter/openrouter/auto", ("openrouter", "openrouter/auto")),
        ("x/llama-3.3-70b", ("openrouter", "x/llama-3.3-70b")),
        ("google/gemini-2.5-flash", ("openrouter", "google/gemini-2.5-flash")),
        ("mine/gemma-3-270m", ("mine", "gemma-3-270m")),
        ("gemma-3-270m", ("mine", "gemma-3-270m")),
        ("my/model", ("mine", "my/model")),
        ("mine/default", ("mine", "")),
    ],
)
def test_ids(model_id: str, expected: tuple[str, str]) -> None:
    assert locate(model_id, ENDPOINTS, LISTED) == expected


@pytest.mark.parametrize(
    ("model_id", "setting"),
    [
        ("gemini/gemini-2.5-flash", "gemini_api_key"),
        ("gemini-2.5-flash", "gemini_api_key"),
        ("claude-sonnet-4-5", "anthropic_api_key"),
        ("gpt-4.1", "openai_api_key"),
        ("groq/llama-3.3-70b-versatile", "groq_api_key"),
        ("mistral-small-latest", "mistral_api_key"),
    ],
)
def test_a_known_vendor_without_a_key_names_the_setting(model_id: str, setting: str) -> None:
    with pytest.raises(ProviderError, match=setting) as raised:
        locate(model_id, ENDPOINTS[1:], LISTED)
    assert raised.value.kind == "auth"


def test_a_slip_of_the_pen_gets_a_suggestion() -> None:
    with pytest.raises(ProviderError, match="did you mean mine/gemma-3-270m") as raised:
        locate("gema-3-270m", ENDPOINTS, LISTED)
    assert raised.value.kind == "model_not_found"


def test_a_compatible_server_takes_any_id_but_a_slip() -> None:
    server = (Endpoint("openai", "compatible", "http://127.0.0.1:8080/v1"),)
    listed = {"openai": Listed(server[0].base_url, 1.0, (ModelInfo("gemma-3-270m", "G"),))}
    assert locate("whatever-the-proxy-calls-it", server, {}) == (
        "openai",
        "whatever-the-proxy-calls-it",
    )
    assert locate("deepseek-chat", server, listed) == ("openai", "deepseek-chat")
    with pytest.raises(ProviderError, match="gemma-3-270m"):
        locate("gemma-3-270", server, listed)


@given(st.text(max_size=40))
def test_any_id_is_found_or_refused(model_id: str) -> None:
    try:
        found, _ = locate(model_id, ENDPOINTS, LISTED)
    except ProviderError as error:
        found = error.kind
    assert found in {"auth", "model_not_found", *(endpoint.name for endpoint in ENDPOINTS)}


# --- from the settings --------------------------------------------------------------------------


def setup_of(
    settings: dict[str, object], environ: dict[str, str] | None = None, home: Path = Path("/nowhere")
):  # type: ignore[no-untyped-def]  # one line
    return read_setup(parse(settings, {}, environ or {}), environ or {}, home)


def test_flat_keys_make_endpoints_named_after_their_vendors() -> None:
    settings = {
        f"{name}_api_key": "k-123456"
        for name in ("deepseek", "groq", "gemini", "openrouter", "anthropic", "mistral", "openai")
    }
    setup = setup_of(settings)
    assert {e.name: e.kind for e in setup.configured} == {
        name: name
        for name in ("openai", "openrouter", "deepseek", "groq", "gemini", "anthropic", "mistral")
    }
    assert setup.problems == {}
    assert [e.name for e in setup.probed] == ["ollama", "llamacpp", "koboldcpp", "lmstudio"]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("http://127.0.0.1:8080/v1", "compatible"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.openai.com/v1", "openai"),
    ],
)
def test_an_openai_address_gets_the_dialect_of_its_vendor(address: str, kind: str) -> None:
    (endpoint,) = setup_of({"openai_base_url": address}).configured
    assert (endpoint.name, endpoint.kind) == ("openai", kind)


def test_a_configured_server_is_not_probed_again() -> None:
    setup = setup_of({"openai_base_url": "127.0.0.1:8080"})
    assert "llamacpp" not in {e.name for e in setup.probed}


def test_sources_of_keys(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("k-from-file\nnoise\n")
    providers = [
        {"name": "a", "kind": "deepseek", "api_key_env": "MY_KEY"},
        {"name": "b", "kind": "deepseek", "api_key_file": "key.txt"},
        {"name": "c", "kind": "deepseek", "api_key_cmd": "pass show c"},
        {
            "name": "d",
            "kind": "deepseek",
            "api_key": "k-direct",
            "models": ["m"],
            "headers": {"X-A": "1"},
            "patch": [{"models": "^m", "set": {"x": 1}, "drop": ["y"], "thinks": True}],
            "params": {"top_k": 5},
        },
    ]
    setup = setup_of({"providers": providers}, {"MY_KEY": " k-from-env "}, tmp_path)
    keys = {e.name: (e.api_key, e.api_key_cmd) for e in setup.configured}
    assert keys == {
        "a": ("k-from-env", ""),
        "b": ("k-from-file", ""),
        "c": ("", "pass show c"),
        "d": ("k-direct", ""),
    }
    last = setup.configured[-1]
    assert last.patch[0].fits("my-model")
    assert (last.params, last.models, last.patch[0].thinks) == ({"top_k": 5}, ("m",), True)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "x", "kind": "deepseek", "api_key_env": "NOT_SET"},
        {"name": "x", "kind": "deepseek", "api_key_file": "missing.txt"},
        {"name": "x", "kind": "compatible"},
    ],
)
def test_a_broken_provider_does_not_spoil_the_others(broken: dict[str, object]) -> None:
    setup = setup_of({"deepseek_api_key": "k-123456", "providers": [broken]})
    assert [e.name for e in setup.configured] == ["deepseek"]
    assert list(setup.problems) == ["x"]
    assert setup.problems["x"].endswith(".")


def test_own_providers_replace_flat_ones_of_the_same_name() -> None:
    own = {"name": "deepseek", "kind": "compatible", "base_url": "http://127.0.0.1:9/v1"}
    (endpoint,) = setup_of({"deepseek_api_key": "k-123456", "providers": [own]}).configured
    assert endpoint.base_url == "http://127.0.0.1:9/v1"


def test_ollama_host_is_understood() -> None:
    environ = {"OLLAMA_HOST": "0.0.0.0"}
    ollama = next(e for e in setup_of({}, environ).probed if e.name == "ollama")
    assert ollama.base_url == "http://127.0.0.1:11434"


def test_the_kinds_of_the_settings_are_the_kinds_there_are() -> None:
    from flower.settings.config import PROVIDER_KINDS

    assert set(PROVIDER_KINDS) == set(KINDS)
    assert isinstance(ProviderConfig("a", "openai"), ProviderConfig)
    assert read_setup(Config(), {}, Path("/")).configured == ()


def test_a_kind_that_settings_may_name_has_a_row_and_a_family_that_builds() -> None:
    assert set(PROVIDER_KINDS) == set(KINDS), "settings/config.py and engine/provider/endpoint.py"
    for kind in KINDS:
        assert callable(services.load(kind).build), f"the module of {KINDS[kind].family} in services/"
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    assert all(f"`{kind}`" in page for kind in KINDS), "the row of `kind` in docs/configuration.md"


def test_a_template_that_settings_may_name_is_there() -> None:
    assert set(TEMPLATES) == {*WRITTEN, SERVER}
