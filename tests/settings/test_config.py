"""Settings: defaults, the environment, and one clear sentence for everything wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flower
from flower import limits
from flower.engine.provider.endpoint import KINDS
from flower.errors import ConfigError
from flower.protocol.messages import QuickReply
from flower.settings import config, safe_yaml
from flower.settings.config import Config
from flower.settings.validators import Secret

STARTER = Path(flower.__file__).parent / "starter" / "config.yaml"
CANARY = "sk-canary-4242"


def parse(text: str, environ: dict[str, str] | None = None) -> Config:
    document = safe_yaml.load(text.encode())
    return config.parse(document.value, document.lines, environ or {})


def test_no_settings_are_the_defaults() -> None:
    assert parse("") == Config()
    assert parse("engine:\ntui:\nopenai_api_key:\n") == Config()


def test_the_starter_file_changes_nothing() -> None:
    assert parse(STARTER.read_text()) == Config()


def test_the_starter_file_is_right_without_its_comment_signs() -> None:
    """Every example line in the file that users edit is accepted as it stands."""
    text = re.sub(r"(?m)^# (?=[a-z_]+:|  )", "", STARTER.read_text())
    example = parse(text)
    assert example.openai_base_url == "http://127.0.0.1:8080/v1"
    assert [model.id for model in example.supported_models] == [
        "deepseek-chat",
        "mistralai/mistral-nemo",
    ]
    assert example.providers[0].api_key_env == "ATTIC_KEY"
    assert example.prompt.params == {"temperature": 0.9, "top_p": 0.95}
    assert [reply.name for reply in example.quick_replies] == ["I look around.", "Search", "Whisper"]
    for name, fields in config.SECTIONS.items():
        assert f"\n{name}:\n" in text
        for field in fields:
            assert f"\n  {field}:" in text


def test_a_quick_reply_is_a_text_alone_or_has_a_name() -> None:
    long = "I ask them politely, once more, to leave."
    replies = parse(
        f"""
quick_replies:
  - I wait.
  - {long}
  - {{name: Whisper, text: 'I whisper: "{{{{input}}}}"'}}
"""
    ).quick_replies
    assert replies == (
        QuickReply("I wait.", "I wait."),
        QuickReply("I ask them politely, on…", long),
        QuickReply("Whisper", 'I whisper: "{{input}}"'),
    )
    assert all(len(reply.name) <= limits.QUICK_REPLY_NAME_CHARS for reply in replies)


def test_every_setting_arrives() -> None:
    given_config = parse("""
openai_base_url: localhost:5000
default_model: attic/big
engine: {host: 0.0.0.0, port: 0, linger_s: 5, token: abc}
tui: {tick_hz: 30, theme: night, reduced_motion: true, mouse: false, keys: {cancel: ctrl+g}}
embedding: {model: tiny, threads: 2, unload_after_s: 60}
narrator: {seed: 7, words_per_s: 0}
providers:
  - name: attic
    kind: compatible
    base_url: http://box:1234/v1
    headers: {Authorization: Bearer x}
    models: [big, small]
    params: {temperature: 1}
    patch: [{models: ^big, set: {stream: true}, drop: [stop], thinks: true}]
""")
    assert given_config.engine == config.EngineConfig("0.0.0.0", 0, 5.0, Secret("abc"))
    assert given_config.tui == config.TuiConfig(30.0, "night", True, False, {"cancel": "ctrl+g"})
    assert given_config.embedding == config.EmbeddingConfig("tiny", 2, 60.0)
    assert given_config.narrator == config.NarratorConfig(7, 0.0)
    provider = given_config.providers[0]
    assert provider.models == ("big", "small")
    assert provider.patch == (
        {"models": "^big", "set": {"stream": True}, "drop": ("stop",), "thinks": True},
    )


@pytest.mark.parametrize(("variable", "key"), config.ENVIRONMENT.items())
def test_the_environment_wins_over_the_file(variable: str, key: str) -> None:
    scheme = "postgresql" if key == "store" else "http"
    in_file, in_environ = f"{scheme}://file", f"{scheme}://environ"
    result = parse(f"{key}: {in_file}", {variable: f" {in_environ} "})
    assert getattr(result, key) == in_environ
    assert getattr(parse(f"{key}: {in_file}", {variable: ""}), key) == in_file


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("openai_bse_url: x", 1, "unknown key 'openai_bse_url'; did you mean 'openai_base_url'?"),
        ("\nengine:\n  prt: 1", 3, "unknown key 'prt' in engine; did you mean 'port'?"),
        ("zzz: 1", 1, "unknown key 'zzz'; allowed: openai_base_url"),
        ("engine:\n  port: 70000", 2, "engine.port must be a whole number from 0 to 65535"),
        ("engine: {port: true}", 1, "engine.port must be a whole number from 0 to 65535, not true"),
        ("engine: {port: '80'}", 1, "engine.port must be a whole number"),
        ("tui:\n  mouse: yes", 2, "tui.mouse must be true or false"),
        ("tui: {keys: [a]}", 1, "tui.keys must be a section of keys and values, not a list"),
        ("engine: 5", 1, "engine must be a section with the keys host, port"),
        ("- a", 1, "the file must be a section with the keys openai_base_url"),
        ("openai_api_key: 12345", 1, "openai_api_key must be text (put it in quotes)"),
        ("openai_api_key: a b", 1, "openai_api_key must be a key without spaces"),
        ("openai_base_url: ftp://x", 1, "openai_base_url must be an address like http://"),
        ("openai_base_url: 'http://'", 1, "openai_base_url must be an address"),
        ("supported_models: x", 1, "supported_models must be a list"),
        ("quick_replies: go", 1, "quick_replies must be a list"),
        ("quick_replies:\n- ok\n- {text: x}", 3, "quick_replies[2] has no 'name'"),
        ("quick_replies:\n- name: a\n  text: 'b\n\n    c'", 3, "text must be one line"),
        ("quick_replies:\n- '{{input}} and {{input}}'", 2, "has {{input}} twice"),
        ("quick_replies:\n- {name: aaaaaaaaaabbbbbbbbbbccccc, text: x}", 2, "1 to 24 characters"),
        ("quick_replies: [a, a, a, a, a, a, a, a, a, a]", 1, "at most 9 entries"),
        ("supported_models:\n- a\n- {name: x}", 3, "supported_models[2] has no 'id'"),
        ("supported_models: [{id: a, prompt_price: -1}]", 1, "prompt_price must be a number from 0"),
        ("prompt: {context_tokens: 12}", 1, "prompt.context_tokens must be a whole number from 512"),
        ("narrator: {seed: -1}", 1, "narrator.seed must be a whole number"),
        ("providers: [{kind: openai}]", 1, "providers[1] has no 'name'"),
        ("providers:\n- {name: a, kind: opnai}", 2, "providers[1].kind must be one of openai, "),
        ("providers: [{name: A b, kind: openai}]", 1, "providers[1].name must be 1 to 64 characters"),
        ("providers:\n- {name: a, kind: openai}\n- {name: a, kind: openai}", 3, "have the name 'a'"),
        (
            "providers: [{name: a, kind: openai, api_key: x, api_key_env: Y}]", 1,
            "has api_key and api_key_env; keep one",
        ),
        ("providers: [{name: a, kind: openai, patch: [{models: '['}]}]", 1, "a regular expression"),
        ("providers: [{name: a, kind: openai, headers: {X: 'a\\nb'}, patch: [{x: 1}]}]", 1, "unknown key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_sentence(text: str, line: int, says: str) -> None:
    """File, line, key and what is allowed; one line of text."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"config.yaml, line {line}: ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="environment variable OPENAI_BASE_URL must be an address"):
        parse("", {"OPENAI_BASE_URL": "ftp://nowhere"})


def test_secrets_are_not_in_the_repr() -> None:
    """A config in a log line or traceback shows no key, not even inside a header."""
    text = "\n".join(
        f"{key}: {CANARY}" for key in config.ENVIRONMENT.values() if key.endswith("_api_key")
    )
    text += f"\nengine: {{token: {CANARY}}}\nproviders:\n"
    text += f"- {{name: a, kind: openai, api_key: {CANARY}, headers: {{X-Key: {CANARY}}}}}"
    result = parse(text)
    assert result.openai_api_key == CANARY
    assert CANARY not in repr(result)


def _paths() -> list[str]:
    keys = list(config.Config.__struct_fields__)
    sections = [f"{section}.{field}" for section, fields in config.SECTIONS.items() for field in fields]
    return keys + sections + [f"providers.0.{key}" for key in config.ProviderConfig.__struct_fields__]


@given(
    path=st.sampled_from(_paths()),
    wrap=st.sampled_from([lambda v: v, lambda v: [v], lambda v: {v: v}, lambda v: f"{v} \n x"]),
)
def test_no_error_ever_quotes_a_value(path: str, wrap: Callable[[str], object]) -> None:
    """Someone may paste a key into the wrong line; the error must not repeat it."""
    mapping = wrap(CANARY)
    for part in reversed(path.split(".")):
        mapping = [mapping] if part == "0" else {part: mapping}
    try:
        config.parse(mapping, {}, {})
    except ConfigError as error:
        message = str(error)
        # the name of a key is the user's own word, and needed to find it
        assert CANARY not in re.sub(f"unknown key '{CANARY}'|\\.{CANARY} must", "", message)


def test_the_kinds_are_those_that_exist() -> None:
    """config knows the names without importing the engine; this keeps the two lists equal."""
    assert set(config.PROVIDER_KINDS) == set(KINDS)
