"""Settings: from a mapping (``config.yaml``) and the environment to one frozen ``Config``.

Owns every setting's name, type, range and default. Pure: files are read in ``home.py``. A setting that
is unknown or wrong raises ``ConfigError``: a sentence, on a line of its own, that names the key, its line and
what is allowed, and never the value, because values may be keys to someone's account.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.errors import ConfigError
from flower.protocol.messages import QuickReply
from flower.settings import validators
from flower.settings.validators import Path, Secret, WrongValueError

PROVIDER_KINDS = (
    "openai",
    "openrouter",
    "deepseek",
    "groq",
    "mistral",
    "gemini",
    "anthropic",
    "ollama",
    "llamacpp",
    "tabbyapi",
    "koboldcpp",
    "lmstudio",
    "vllm",
    "compatible",  # any other server that speaks OpenAI's API
)

# How prompts are written for servers and models that complete text.
TEMPLATES = ("chatml", "llama3", "mistral", "gemma", "alpaca", "vicuna", "plain", "server")

ENVIRONMENT = {
    "OPENAI_API_KEY": "openai_api_key",
    "OPENAI_BASE_URL": "openai_base_url",
    "DEEPSEEK_API_KEY": "deepseek_api_key",
    "GROQ_API_KEY": "groq_api_key",
    "GEMINI_API_KEY": "gemini_api_key",
    "OPENROUTER_API_KEY": "openrouter_api_key",
    "ANTHROPIC_API_KEY": "anthropic_api_key",
    "MISTRAL_API_KEY": "mistral_api_key",
    "MODEL_NAME": "default_model",
    "FLOWER_STORE": "store",
}


INPUT = "{{input}}"  # in a quick reply: where what has been typed goes, and the cursor
BELLS = ("off", "bell", "title")
PREPARED_FOR = (
    "local",
    "always",
    "never",
)  # local: models of one's own without a price, on mains power
SPOKEN = ("all", "narration", "dialogue")
NO_SECRET = Secret()


class SupportedModel(Struct, frozen=True):
    """A model the user wants in the list; prices in USD per million tokens, None is unknown."""

    id: str
    name: str = ""
    prompt_price: float | None = None
    completion_price: float | None = None


class EngineConfig(Struct, frozen=True):
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any free port
    linger_s: float = limits.LINGER_S_DEFAULT
    token: Secret = NO_SECRET
    names: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()  # addresses and networks; whom they speak for is believed
    advertise: str = ""  # where other engines on one database reach this one; "": at its own address
    tls_certificate: str = ""
    tls_key: str = ""
    socket: str = ""
    trust_local_users: bool = False  # whoever is on this machine comes in without a token


class TuiConfig(Struct, frozen=True):
    tick_hz: float = 0.0  # 0: 120 on a local terminal, 20 over SSH
    theme: str = "petal"
    reduced_motion: bool = False
    mouse: bool = True
    keys: Mapping[str, str] = {}  # action -> key name
    bell: str = "off"  # when a reply ends while another window is in use: off, bell or title
    styles: Mapping[str, str] = {}  # role -> style words, laid over any theme
    portraits: bool = False  # the speaking character's picture in the sidebar
    text_width: int = limits.READING_COLUMNS  # columns of the story at most, in the middle of the pane


class SpeechConfig(Struct, frozen=True):
    """Reading aloud. ``command`` gets each sentence on its standard input; "": nothing is read."""

    command: str = ""
    voice: str = ""  # takes the place of {voice} in the command
    voices: Mapping[str, str] = {}  # those of characters, by name
    what: str = "all"  # all, narration or dialogue


class EmbeddingConfig(Struct, frozen=True):
    model: str = ""  # folder in models; "": the shipped one
    threads: int = 1
    unload_after_s: float | None = None  # 0: never; None: by the machine's memory


class PromptConfig(Struct, frozen=True):
    context_tokens: int = limits.CONTEXT_TOKENS_DEFAULT
    reply_tokens: int = limits.REPLY_TOKENS_DEFAULT
    params: Mapping[str, Any] = {}  # sampler settings for every model, in OpenAI's names
    stop_at_player: bool = True  # a reply ends where a line of it begins as the player's
    prepare: str = "local"  # for which models to work ahead while the player reads; see PREPARED_FOR


class NarratorConfig(Struct, frozen=True):
    """The offline narrator. ``seed`` None: another story every time."""

    seed: int | None = None
    words_per_s: float = 40.0  # 0: no pauses


class GameConfig(Struct, frozen=True):
    """``narrator_updates``: the narrator may propose changes of the state sheet with its replies.

    ``keep_people``: a new story takes over the people of the story played last in its world.
    """

    narrator_updates: bool = False
    keep_people: bool = False


class LoreConfig(Struct, frozen=True):
    """``roots``: folders below which a world may follow one; none named: the user's home and Flower's."""

    roots: tuple[str, ...] = ()


class ProviderConfig(Struct, frozen=True):
    """An endpoint of the user's own. At most one of the four ``api_key`` settings is set.

    A ``patch`` corrects requests to models whose id matches the regular expression ``models``: ``set``
    is merged into the body, ``drop`` names fields to leave out, ``thinks`` says that replies begin
    inside a thinking block, ``template`` how the prompt is written as text to be completed.
    """

    name: str
    kind: str
    base_url: str = ""
    api_key: Secret = NO_SECRET
    api_key_env: str = ""
    api_key_file: str = ""
    api_key_cmd: str = ""
    headers: Mapping[str, Secret] = {}
    models: tuple[str, ...] = ()
    params: Mapping[str, Any] = {}
    patch: tuple[Mapping[str, Any], ...] = ()
    timeouts: Mapping[str, float] = {}  # seconds: connect_s, first_s, silence_s, idle_s


class Config(Struct, frozen=True):
    openai_base_url: str = ""
    openai_api_key: Secret = NO_SECRET
    deepseek_api_key: Secret = NO_SECRET
    groq_api_key: Secret = NO_SECRET
    gemini_api_key: Secret = NO_SECRET
    openrouter_api_key: Secret = NO_SECRET
    anthropic_api_key: Secret = NO_SECRET
    mistral_api_key: Secret = NO_SECRET
    default_model: str = ""
    store: Secret = NO_SECRET  # where the stories are when not in the home; its URL may hold a password
    supported_models: tuple[SupportedModel, ...] = ()
    fallback_models: tuple[str, ...] = ()  # asked in order when the chosen model fails at once
    engine: EngineConfig = EngineConfig()
    tui: TuiConfig = TuiConfig()
    speech: SpeechConfig = SpeechConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    prompt: PromptConfig = PromptConfig()
    narrator: NarratorConfig = NarratorConfig()
    game: GameConfig = GameConfig()
    lore: LoreConfig = LoreConfig()
    providers: tuple[ProviderConfig, ...] = ()
    quick_replies: tuple[QuickReply, ...] = ()


def parse(
    mapping: object,
    lines: Mapping[Path, int],
    environ: Mapping[str, str],
    *,
    source: str = "config.yaml",
) -> Config:
    """Returns the settings in ``mapping`` (None: no settings); the environment wins over them.

    ``lines`` tells on which line of ``source`` a path begins (see ``safeyaml.Document``). Raises
    ``ConfigError``.
    """
    try:
        config = _CONFIG(mapping, ())
    except WrongValueError as wrong:
        told = sorted((validators.line_of(lines, one.path), str(one)) for one in wrong.every)
        raise ConfigError("\n".join(f"{source}, line {line}: {text}" for line, text in told)) from None
    return msgspec.structs.replace(config, **_from_environ(environ))


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found = {}
    for variable, key in ENVIRONMENT.items():
        value = environ.get(variable, "").strip()
        if value:
            try:
                found[key] = FLAT[key](value, (variable,))
            except WrongValueError as wrong:
                raise ConfigError(f"environment variable {wrong}") from None
    return found


def _supported_model(value: object, path: Path) -> SupportedModel:
    """A model is listed by its id alone or as a section."""
    if isinstance(value, str):
        return SupportedModel(validators.short_text(value, path))
    return _SUPPORTED_MODEL(value, path)


def _provider(value: object, path: Path) -> ProviderConfig:
    provider = _PROVIDER(value, path)
    sources = [key for key in _KEY_SOURCES if getattr(provider, key)]
    if len(sources) > 1:
        raise WrongValueError(
            path, f"{validators.name_of(path)} has {' and '.join(sources)}; keep one of them"
        )
    return provider


def _providers(value: object, path: Path) -> tuple[ProviderConfig, ...]:
    providers = _PROVIDER_LIST(value, path)
    names = [provider.name for provider in providers]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise WrongValueError((*path, index), f"two providers have the name {name!r}; rename one")
    return providers


def _quick_reply(value: object, path: Path) -> QuickReply:
    """A quick reply is a text alone, whose beginning is its name, or a section."""
    if isinstance(value, str):
        text = _quick_text(value, path)
        most = limits.QUICK_REPLY_NAME_CHARS
        return QuickReply(text if len(text) <= most else f"{text[: most - 1].rstrip()}…", text)
    return _QUICK_REPLY(value, path)


def _quick_name(value: object, path: Path) -> str:
    name = validators.short_text(value, path)
    if len(name) > limits.QUICK_REPLY_NAME_CHARS:
        raise validators.must_be(path, f"1 to {limits.QUICK_REPLY_NAME_CHARS} characters", value)
    return name


def _quick_text(value: object, path: Path) -> str:
    text = validators.text(value, path)
    if not text or "\n" in text or len(text) > limits.QUICK_REPLY_CHARS:
        most = limits.QUICK_REPLY_CHARS
        raise validators.must_be(path, f"one line of 1 to {most} characters", value)
    if text.count(INPUT) > 1:
        raise WrongValueError(path, f"{validators.name_of(path)} has {INPUT} twice; keep one")
    return text


def _quick_replies(value: object, path: Path) -> tuple[QuickReply, ...]:
    replies = _QUICK_REPLY_LIST(value, path)
    if len(replies) > limits.QUICK_REPLIES:
        most = limits.QUICK_REPLIES
        raise WrongValueError((*path, most), f"{validators.name_of(path)} has at most {most} entries")
    return replies


# --- every setting: its name, type and range ------------------------------------------------------
_DAY_S = 24 * 3600.0
_PRICE = validators.number(0, 1_000_000)
_KEY_SOURCES = ("api_key", "api_key_env", "api_key_file", "api_key_cmd")

_SUPPORTED_MODEL = validators.section(
    SupportedModel,
    {
        "id": validators.short_text,
        "name": validators.short_text,
        "prompt_price": _PRICE,
        "completion_price": _PRICE,
    },
    required=("id",),
)
_PATCH: validators.Reader[dict[str, Any]] = validators.section(
    dict,
    {
        "models": validators.pattern,
        "set": validators.map_of(validators.anything),
        "drop": validators.list_of(validators.short_text),
        "thinks": validators.flag,
        "template": validators.one_of(TEMPLATES),
    },
)
_TIMEOUTS: validators.Reader[dict[str, float]] = validators.section(
    dict,
    {name: validators.number(0.1, _DAY_S) for name in ("connect_s", "first_s", "silence_s", "idle_s")},
)
_PROVIDER = validators.section(
    ProviderConfig,
    {
        "name": validators.identifier,
        "kind": validators.one_of(PROVIDER_KINDS),
        "base_url": validators.url,
        "api_key": validators.secret,
        "api_key_env": validators.short_text,
        "api_key_file": validators.text,
        "api_key_cmd": validators.text,
        "headers": validators.map_of(validators.header),
        "models": validators.list_of(validators.short_text),
        "params": validators.map_of(validators.anything),
        "patch": validators.list_of(_PATCH),
        "timeouts": _TIMEOUTS,
    },
    required=("name", "kind"),
)
_PROVIDER_LIST = validators.list_of(_provider)
_QUICK_REPLY = validators.section(
    QuickReply, {"name": _quick_name, "text": _quick_text}, required=("name", "text")
)
_QUICK_REPLY_LIST = validators.list_of(_quick_reply)

FLAT: dict[str, validators.Reader[Any]] = {
    "openai_base_url": validators.url,
    "openai_api_key": validators.secret,
    "deepseek_api_key": validators.secret,
    "groq_api_key": validators.secret,
    "gemini_api_key": validators.secret,
    "openrouter_api_key": validators.secret,
    "anthropic_api_key": validators.secret,
    "mistral_api_key": validators.secret,
    "default_model": validators.text,
    "store": validators.database,
    "supported_models": validators.list_of(_supported_model),
    "fallback_models": validators.list_of(validators.short_text),
    "providers": _providers,
    "quick_replies": _quick_replies,
}
SECTIONS: dict[str, dict[str, validators.Reader[Any]]] = {
    "engine": {
        "host": validators.short_text,
        "port": validators.whole(0, 65535),
        "linger_s": validators.number(0, 365 * _DAY_S),
        "token": validators.secret,
        "names": validators.list_of(validators.short_text),
        "trusted_proxies": validators.list_of(validators.proxy),
        "advertise": validators.text,
        "tls_certificate": validators.text,
        "tls_key": validators.text,
        "socket": validators.text,
        "trust_local_users": validators.flag,
    },
    "tui": {
        "tick_hz": validators.number(0, 240),
        "theme": validators.short_text,
        "text_width": validators.whole(20, 500),
        "reduced_motion": validators.flag,
        "portraits": validators.flag,
        "mouse": validators.flag,
        "bell": validators.one_of(BELLS),
        "styles": validators.map_of(validators.short_text),
        "keys": validators.map_of(validators.short_text),
    },
    "speech": {
        "command": validators.text,
        "voice": validators.short_text,
        "voices": validators.map_of(validators.short_text),
        "what": validators.one_of(SPOKEN),
    },
    "embedding": {
        "model": validators.short_text,
        "threads": validators.whole(1, 64),
        "unload_after_s": validators.number(0, _DAY_S),
    },
    "prompt": {
        "context_tokens": validators.whole(512, 2_000_000),
        "reply_tokens": validators.whole(16, 100_000),
        "params": validators.map_of(validators.anything),
        "stop_at_player": validators.flag,
        "prepare": validators.one_of(PREPARED_FOR),
    },
    "narrator": {
        "seed": validators.whole(0, 2**63 - 1),
        "words_per_s": validators.number(0, 10_000),
    },
    "game": {
        "narrator_updates": validators.flag,
        "keep_people": validators.flag,
    },
    "lore": {
        "roots": validators.list_of(validators.short_text),
    },
}
_CONFIG = validators.section(
    Config,
    {
        **FLAT,
        "engine": validators.section(EngineConfig, SECTIONS["engine"]),
        "tui": validators.section(TuiConfig, SECTIONS["tui"]),
        "speech": validators.section(SpeechConfig, SECTIONS["speech"]),
        "embedding": validators.section(EmbeddingConfig, SECTIONS["embedding"]),
        "prompt": validators.section(PromptConfig, SECTIONS["prompt"]),
        "narrator": validators.section(NarratorConfig, SECTIONS["narrator"]),
        "game": validators.section(GameConfig, SECTIONS["game"]),
        "lore": validators.section(LoreConfig, SECTIONS["lore"]),
    },
)
