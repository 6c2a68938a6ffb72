"""Settings: from a mapping (``config.yaml``) and the environment to one frozen ``Config``.

Owns every setting's name, type, range and default, declared once, in its struct. Pure: files are read in
``home.py``. A setting that is unknown or wrong raises ``ConfigError``: a sentence, on a line of its own, that names
the key, its line and what is allowed, and never the value, because values may be keys to someone's account.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from flower import limits
from flower.errors import ConfigError
from flower.protocol.messages import QuickReply
from flower.settings import validators
from flower.settings.validators import Path, Secret, WrongValueError

CONTEXT_TOKENS_DEFAULT = 8192  # what small local models offer
REPLY_TOKENS_DEFAULT = 800
LINGER_S_DEFAULT = 30 * 60.0

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
# local: models of one's own without a price, on mains power
PREPARED_FOR = ("local", "always", "never")
SPOKEN = ("all", "narration", "dialogue")
NO_SECRET = Secret()

# What a setting is, and what reads it: each struct below says so once, where it declares the setting. They are values
# here and not texts, as in other modules: texts would have to be compiled at every start.
Text = Annotated[str, validators.text]
ShortText = Annotated[str, validators.short_text]
ShortTexts = Annotated[tuple[str, ...], validators.list_of(validators.short_text)]
ShortTextsByName = Annotated[Mapping[str, str], validators.map_of(validators.short_text)]
Flag = Annotated[bool, validators.flag]
SecretText = Annotated[Secret, validators.secret]
Values = Annotated[Mapping[str, Any], validators.map_of(validators.anything)]
DAY_S = 24 * 3600.0
_PRICE = validators.number(0, 1_000_000)
_KEY_SOURCES = ("api_key", "api_key_env", "api_key_file", "api_key_cmd")


# --- Models and endpoints.


def _readers_of(kind: type[Struct]) -> dict[str, validators.Reader[Any]]:
    """Returns the reader of each field by its name; a field that is a section has none."""
    hints = kind.__annotations__.items()
    return {name: hint.__metadata__[0] for name, hint in hints if hasattr(hint, "__metadata__")}


class SupportedModel(Struct, frozen=True):
    """A model the user wants in the list; prices in USD per million tokens, None is unknown."""

    id: ShortText
    name: ShortText = ""
    prompt_price: Annotated[float | None, _PRICE] = None
    completion_price: Annotated[float | None, _PRICE] = None


_SUPPORTED_MODEL = validators.section(SupportedModel, _readers_of(SupportedModel), required=("id",))


def _supported_model(value: object, path: Path) -> SupportedModel:
    """A model is listed by its id alone or as a section."""
    if isinstance(value, str):
        return SupportedModel(validators.short_text(value, path))
    return _SUPPORTED_MODEL(value, path)


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
    {name: validators.number(0.1, DAY_S) for name in ("connect_s", "first_s", "silence_s", "idle_s")},
)


class ProviderConfig(Struct, frozen=True):
    """An endpoint of the user's own. At most one of the four ``api_key`` settings is set.

    A ``patch`` corrects requests to models whose id matches the regular expression ``models``: ``set``
    is merged into the body, ``drop`` names fields to leave out, ``thinks`` says that replies begin
    inside a thinking block, ``template`` how the prompt is written as text to be completed.
    """

    name: Annotated[str, validators.identifier]
    kind: Annotated[str, validators.one_of(PROVIDER_KINDS)]
    base_url: Annotated[str, validators.url] = ""
    api_key: SecretText = NO_SECRET
    api_key_env: ShortText = ""
    api_key_file: Text = ""
    api_key_cmd: Text = ""
    headers: Annotated[Mapping[str, Secret], validators.map_of(validators.header)] = {}
    models: ShortTexts = ()
    params: Values = {}
    patch: Annotated[tuple[Mapping[str, Any], ...], validators.list_of(_PATCH)] = ()
    # Seconds: connect_s, first_s, silence_s, idle_s.
    timeouts: Annotated[Mapping[str, float], _TIMEOUTS] = {}


_PROVIDER = validators.section(ProviderConfig, _readers_of(ProviderConfig), required=("name", "kind"))


def _provider(value: object, path: Path) -> ProviderConfig:
    provider = _PROVIDER(value, path)
    sources = [key for key in _KEY_SOURCES if getattr(provider, key)]
    if len(sources) > 1:
        raise WrongValueError(
            path, f"{validators.name_of(path)} has {' and '.join(sources)}; keep one of them"
        )
    return provider


_PROVIDER_LIST = validators.list_of(_provider)


def _providers(value: object, path: Path) -> tuple[ProviderConfig, ...]:
    providers = _PROVIDER_LIST(value, path)
    names = [provider.name for provider in providers]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise WrongValueError((*path, index), f"two providers have the name {name!r}; rename one")
    return providers


# --- Quick replies.


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


_QUICK_REPLY = validators.section(
    QuickReply, {"name": _quick_name, "text": _quick_text}, required=("name", "text")
)


def _quick_reply(value: object, path: Path) -> QuickReply:
    """A quick reply is a text alone, whose beginning is its name, or a section."""
    if isinstance(value, str):
        text = _quick_text(value, path)
        most = limits.QUICK_REPLY_NAME_CHARS
        return QuickReply(text if len(text) <= most else f"{text[: most - 1].rstrip()}…", text)
    return _QUICK_REPLY(value, path)


_QUICK_REPLY_LIST = validators.list_of(_quick_reply)


def _quick_replies(value: object, path: Path) -> tuple[QuickReply, ...]:
    replies = _QUICK_REPLY_LIST(value, path)
    if len(replies) > limits.QUICK_REPLIES:
        most = limits.QUICK_REPLIES
        raise WrongValueError((*path, most), f"{validators.name_of(path)} has at most {most} entries")
    return replies


# --- Sections, and all of it.


class EngineConfig(Struct, frozen=True):
    host: ShortText = "127.0.0.1"
    port: Annotated[int, validators.whole(0, 65535)] = 8000  # 0: any free port
    linger_s: Annotated[float, validators.number(0, 365 * DAY_S)] = LINGER_S_DEFAULT
    token: SecretText = NO_SECRET
    names: ShortTexts = ()
    # Addresses and networks; whom they speak for is believed.
    trusted_proxies: Annotated[tuple[str, ...], validators.list_of(validators.proxy)] = ()
    advertise: Text = ""  # where other engines on one database reach this one; "": at its own address
    tls_certificate: Text = ""
    tls_key: Text = ""
    socket: Text = ""
    trust_local_users: Flag = False  # whoever is on this machine comes in without a token


class TuiConfig(Struct, frozen=True):
    # 0: 120 on a local terminal, 20 over SSH.
    tick_hz: Annotated[float, validators.number(0, 240)] = 0.0
    theme: ShortText = "petal"
    reduced_motion: Flag = False
    mouse: Flag = True
    keys: ShortTextsByName = {}  # action -> key name
    # When a reply ends while another window is in use: off, bell or title.
    bell: Annotated[str, validators.one_of(BELLS)] = "off"
    styles: ShortTextsByName = {}  # role -> style words, laid over any theme
    portraits: Flag = False  # the speaking character's picture in the sidebar
    # Columns of the story at most, in the middle of the pane.
    text_width: Annotated[int, validators.whole(20, 500)] = limits.READING_COLUMNS


class SpeechConfig(Struct, frozen=True):
    """Reading aloud. ``command`` gets each sentence on its standard input; "": nothing is read."""

    command: Text = ""
    voice: ShortText = ""  # takes the place of {voice} in the command
    voices: ShortTextsByName = {}  # those of characters, by name
    what: Annotated[str, validators.one_of(SPOKEN)] = "all"  # all, narration or dialogue


class EmbeddingConfig(Struct, frozen=True):
    model: ShortText = ""  # folder in models; "": the shipped one
    threads: Annotated[int, validators.whole(1, 64)] = 1
    # 0: never; None: by the machine's memory.
    unload_after_s: Annotated[float | None, validators.number(0, DAY_S)] = None


class PromptConfig(Struct, frozen=True):
    context_tokens: Annotated[int, validators.whole(512, 2_000_000)] = CONTEXT_TOKENS_DEFAULT
    reply_tokens: Annotated[int, validators.whole(16, 100_000)] = REPLY_TOKENS_DEFAULT
    params: Values = {}  # sampler settings for every model, in OpenAI's names
    stop_at_player: Flag = True  # a reply ends where a line of it begins as the player's
    # For which models to work ahead while the player reads; see PREPARED_FOR.
    prepare: Annotated[str, validators.one_of(PREPARED_FOR)] = "local"


class NarratorConfig(Struct, frozen=True):
    """The offline narrator. ``seed`` None: another story every time."""

    seed: Annotated[int | None, validators.whole(0, 2**63 - 1)] = None
    words_per_s: Annotated[float, validators.number(0, 10_000)] = 40.0  # 0: no pauses


class GameConfig(Struct, frozen=True):
    """``narrator_updates``: the narrator may propose changes of the state sheet with its replies.

    ``keep_people``: a new story takes over the people of the story played last in its world.
    """

    narrator_updates: Flag = False
    keep_people: Flag = False


class LoreConfig(Struct, frozen=True):
    """``roots``: folders below which a world may follow one; none named: the user's home and Flower's."""

    roots: ShortTexts = ()


class Config(Struct, frozen=True):
    openai_base_url: Annotated[str, validators.url] = ""
    openai_api_key: SecretText = NO_SECRET
    deepseek_api_key: SecretText = NO_SECRET
    groq_api_key: SecretText = NO_SECRET
    gemini_api_key: SecretText = NO_SECRET
    openrouter_api_key: SecretText = NO_SECRET
    anthropic_api_key: SecretText = NO_SECRET
    mistral_api_key: SecretText = NO_SECRET
    default_model: Text = ""
    # Where the stories are when not in the home; its URL may hold a password.
    store: Annotated[Secret, validators.database] = NO_SECRET
    supported_models: Annotated[tuple[SupportedModel, ...], validators.list_of(_supported_model)] = ()
    fallback_models: ShortTexts = ()  # asked in order when the chosen model fails at once
    engine: EngineConfig = EngineConfig()
    tui: TuiConfig = TuiConfig()
    speech: SpeechConfig = SpeechConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    prompt: PromptConfig = PromptConfig()
    narrator: NarratorConfig = NarratorConfig()
    game: GameConfig = GameConfig()
    lore: LoreConfig = LoreConfig()
    providers: Annotated[tuple[ProviderConfig, ...], _providers] = ()
    quick_replies: Annotated[tuple[QuickReply, ...], _quick_replies] = ()


FLAT = _readers_of(Config)
_SECTION_KINDS = {name: kind for name, kind in Config.__annotations__.items() if name not in FLAT}
SECTIONS = {name: _readers_of(kind) for name, kind in _SECTION_KINDS.items()}
_CONFIG = validators.section(
    Config,
    {
        **FLAT,
        **{name: validators.section(kind, SECTIONS[name]) for name, kind in _SECTION_KINDS.items()},
    },
)


def parse(
    mapping: object,
    lines: Mapping[Path, int],
    environ: Mapping[str, str],
    *,
    source: str = "config.yaml",
) -> Config:
    """Returns the settings in ``mapping`` (None: no settings); the environment wins over them.

    ``lines`` says on which line of ``source`` a path begins (see ``safe_yaml.Document``). Raises
    ``ConfigError``.
    """
    try:
        config = _CONFIG(mapping, ())
    except WrongValueError as wrong:
        mistakes = sorted((validators.line_of(lines, one.path), str(one)) for one in wrong.every)
        sentences = (f"{source}, line {line}: {text}" for line, text in mistakes)
        raise ConfigError("\n".join(sentences)) from None
    return msgspec.structs.replace(config, **_from_environ(environ))


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    values = {}
    for variable, key in ENVIRONMENT.items():
        value = environ.get(variable, "").strip()
        if value:
            try:
                values[key] = FLAT[key](value, (variable,))
            except WrongValueError as wrong:
                raise ConfigError(f"environment variable {wrong}") from None
    return values
