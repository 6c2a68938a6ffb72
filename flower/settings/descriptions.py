"""Every setting as people see it: its meaning, range, present value, and when a change takes effect. Pure.

Names, types, ranges and defaults are ``config.py``'s and are not said again here: the range is what its reader
tells whoever gives a wrong value. Owns what each setting means, and how a value is written and read in one line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from flower.errors import ConfigError, YamlError
from flower.settings import config, safe_yaml, validators
from flower.settings.config import Config
from flower.settings.validators import Reader, Secret, WrongValueError

SETTING_CHARS = 2_000  # of a value given to a command

MEANINGS: Mapping[str, str] = {
    "openai_base_url": "the address of an OpenAI-compatible server",
    "openai_api_key": "the key of that server, or of OpenAI itself",
    "deepseek_api_key": "the key of DeepSeek",
    "groq_api_key": "the key of Groq",
    "gemini_api_key": "the key of Gemini",
    "openrouter_api_key": "the key of OpenRouter",
    "anthropic_api_key": "the key of Anthropic",
    "mistral_api_key": "the key of Mistral",
    "store": "the address of a PostgreSQL database for the stories; nothing: a file in the home",
    "default_model": "the model a new story begins with",
    "supported_models": "models for the list, by id or with names and prices",
    "fallback_models": "models that step in, in order, when the chosen one fails before its first word",
    "providers": "endpoints of your own",
    "quick_replies": "lines you have ready, sent with Alt+1 to Alt+9",
    "engine.host": "the address the engine listens on",
    "engine.port": "the port it listens on; 0: any free one",
    "engine.linger_s": "seconds it waits for you after a lost connection",
    "engine.token": "what clients of other machines must send to come in",
    "engine.names": "host names that clients may ask for beside localhost",
    "engine.trusted_proxies": "addresses or networks of proxies whose X-Forwarded-For is believed",
    "engine.advertise": "the address by which other engines on one database reach this one",
    "engine.tls_certificate": "the file of the certificate for wss://",
    "engine.tls_key": "the file of its key",
    "engine.socket": "the path of a Unix socket to listen on instead of a port",
    "engine.trust_local_users": "whether every user of this machine comes in without a token",
    "tui.tick_hz": "frames per second at most; 0: 120 on a local terminal, 20 over SSH",
    "tui.theme": "the colours",
    "tui.reduced_motion": "no spinner",
    "tui.mouse": "wheel and clicks; false leaves selecting text to the terminal",
    "tui.keys": "other keys for actions",
    "tui.bell": "how a reply that ends tells you while you look elsewhere",
    "tui.styles": "other looks for single roles, over any theme",
    "tui.portraits": "the picture of who speaks, in the sidebar",
    "tui.text_width": "columns of the story at most; it stands in the middle of a wide screen",
    "speech.command": "a program that reads the story aloud, a sentence at a time",
    "speech.voice": "its voice, which takes the place of {voice} in the command",
    "speech.voices": "voices of single characters, by name",
    "speech.what": "what is read: everything, narration or dialogue",
    "embedding.model": "a folder in models with a sentence model of your own",
    "embedding.threads": "processor cores for reading lore",
    "embedding.unload_after_s": "idle seconds before the embedding model leaves memory; 0: never",
    "prompt.context_tokens": "what the model can read at once",
    "prompt.reply_tokens": "the longest reply",
    "prompt.params": "sampler settings for every model, in OpenAI's names",
    "prompt.stop_at_player": "a reply ends where a line of it begins as yours",
    "prompt.prepare": "which models write the next variant and suggestions while you read",
    "narrator.seed": "the same number, the same dice of the offline narrator",
    "narrator.words_per_s": "the offline narrator's pace; 0: all at once",
    "game.narrator_updates": "the narrator may change the state sheet with its replies",
    "game.keep_people": "a new story knows the people of the last one in its world",
    "lore.roots": "folders below which a world may follow one for its lore",
}
OWN = "tui."  # the screen's own settings: those of the home it was started with
# What an engine or a screen reads only when it starts; the rest holds from the next reply, or at once.
AT_START = frozenset({
    "engine.host", "engine.port", "engine.linger_s", "engine.names", "engine.advertise",
    "engine.trusted_proxies",
    "engine.tls_certificate", "engine.tls_key", "engine.socket",
    "embedding.model", "embedding.threads", "embedding.unload_after_s",
})  # fmt: skip
# What widens who may come in, whom the engine talks to or what it reads: for the engine's own user alone.
OWNERS = frozenset({"openai_base_url", "lore.roots"})
OWNERS_SECTION = "engine."
# Lists of sections, and a program that a screen will run: an editor is the place for them.
BY_HAND = frozenset({"supported_models", "providers", "quick_replies", "speech.command"})
_DEFAULTS = Config()
_NOTHING = object()  # fits no reader, so each says what it wants


class Setting(Struct, frozen=True):
    """One setting. ``value`` in one line as it is written in the file, of a secret only whether it is set."""

    name: str
    value: str
    default: str
    meaning: str
    allowed: str
    choices: tuple[str, ...] = ()  # all there are, when they are few
    changed: bool = False  # it is not as it comes
    secret: bool = False
    by_hand: bool = False
    at_start: bool = False
    owners: bool = False


def every(now: Config) -> tuple[Setting, ...]:
    """Returns all settings with their values in ``now``, in the order of ``config.Config``."""
    return tuple(_setting(name, reader, now) for name, reader in _readers())


def named(now: Config, name: str) -> Setting | None:
    """Returns the setting ``name``, such as ``tui.theme``."""
    return next((one for one in every(now) if one.name == name), None)


def names() -> tuple[str, ...]:
    """Returns the names of all settings."""
    return tuple(name for name, _ in _readers())


def in_effect(setting: Setting) -> str:
    """Returns when a change of ``setting`` holds, as a clause."""
    if setting.at_start:
        return "it holds when the engine starts again: flower stop, then flower"
    return "it holds now" if setting.name.startswith(OWN) else "it holds from the next reply on"


def value_of(name: str, text: str) -> Any:
    """Returns what ``text``, typed by a person, means as a value of ``name``: plain, as the file has it.

    Text needs no quotes. Raises ``ConfigError`` that says what is allowed.
    """
    reader = dict(_readers())[name]
    if len(text) > SETTING_CHARS:
        raise ConfigError(f"{name} may have {SETTING_CHARS} characters here; use config.yaml")
    wrong: WrongValueError | None = None
    for value in _meanings(text):
        try:
            reader(value, (name,))
        except WrongValueError as error:
            wrong = wrong or error
        else:
            return value
    raise ConfigError(str(wrong) if wrong is not None else f"{name} needs a value")


def _meanings(text: str) -> Iterator[safe_yaml.Value]:
    """Yields what a typed text may be: a value as YAML has it, and the text as it is."""
    try:
        value = safe_yaml.load(text.encode("utf-8", "replace")).value
    except YamlError:
        pass
    else:
        if value is not None:
            yield value
    if text.strip():
        yield text.strip()


def _readers() -> Iterator[tuple[str, Reader[Any]]]:
    for name in Config.__struct_fields__:
        if name in config.SECTIONS:
            yield from ((f"{name}.{key}", reader) for key, reader in config.SECTIONS[name].items())
        else:
            yield name, config.FLAT[name]


def _setting(name: str, reader: Reader[Any], now: Config) -> Setting:
    value, default = _value(now, name), _value(_DEFAULTS, name)
    secret = isinstance(default, Secret)
    by_hand = name in BY_HAND
    allowed = "" if secret or by_hand else _allowed(name, reader)
    return Setting(
        name=name,
        value=("set" if value else "") if secret else _shown(value),
        default="" if secret else _shown(default),
        meaning=MEANINGS[name],
        allowed=allowed,
        choices=_choices(allowed),
        changed=value != default,
        secret=secret,
        by_hand=by_hand,
        at_start=name in AT_START,
        owners=secret or name in OWNERS or name.startswith(OWNERS_SECTION),
    )


def _value(settings: Config, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: object) -> str:
    """Returns a value in one line, as the file may have it; long lists by their length."""
    if value in ("", None, (), {}):
        return ""
    if isinstance(value, tuple) and isinstance(value[0], Struct):
        return f"{len(value)} in config.yaml"
    return as_yaml(msgspec.to_builtins(value))


def _allowed(name: str, reader: Reader[Any]) -> str:
    """Returns what a reader takes, in the words in which it refuses what it does not."""
    try:
        reader(_NOTHING, (name,))
    except WrongValueError as wrong:
        return str(wrong).removeprefix(f"{validators.name_of((name,))} must be ")
    return ""


def _choices(allowed: str) -> tuple[str, ...]:
    if allowed == "true or false":
        return ("true", "false")
    if allowed.startswith("one of "):
        return tuple(allowed.removeprefix("one of ").split(", "))
    return ()


def as_yaml(value: object) -> str:
    """Returns a value as YAML in one line, without quotes where it means the same without."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if _is_plain(value) else json.dumps(value, ensure_ascii=not value.isprintable())


def _is_plain(text: str) -> bool:
    """Whether a text can stand bare in any place of a YAML file."""
    if (
        not text.isprintable()
        or text.strip() != text
        or any(sign in text for sign in ",[]{}#:'\"&*!|>%@`?")
    ):
        return False
    try:
        return safe_yaml.load(f"key: {text}".encode()).value == {"key": text}
    except YamlError:
        return False
