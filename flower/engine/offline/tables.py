"""The phrases and words of the offline narrator, read from YAML files when it first narrates.

Owns their shape and the check of every file. Chooses nothing and fills nothing in: that is ``templates``.
The files that come with the program are in ``phrases/``; ``docs/phrases.md`` says how to write others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from msgspec import Struct

from flower import file_io, limits
from flower.errors import ConfigError, YamlError
from flower.settings import safe_yaml

OFFLINE_PHRASE_FILES = 100  # of the player, read whole with the first reply

FOLDER = Path(__file__).parent / "phrases"
REGISTERS = ("plain", "dry", "warm", "formal", "blunt")  # ways of talking
_WORDS = "words.yaml"
_NEEDED = ("air", "strangers", "finds", "hour")  # tables that every setting has
NO_SETTING = "plain"  # the setting of a world that uses the words of no other

Tables = Mapping[str, tuple[str, ...]]


class Event(Struct, frozen=True):
    """A complication in two beats. A reply that holds ``mark`` has opened it.

    ``words`` are what a player says when turning towards it: then ``met`` follows, else ``ignored``.
    ``setting`` is "" for any world.
    """

    mark: str
    words: str
    opening: str
    met: str
    ignored: str
    setting: str = ""


class Surroundings(Struct, frozen=True):
    """A kind of world: known by its words, with phrases of its own that go before the general ones."""

    key: str
    words: frozenset[str]
    tables: Tables

    @property
    def strangers(self) -> tuple[str, ...]:
        return self.tables["strangers"]

    @property
    def finds(self) -> tuple[str, ...]:
        return self.tables["finds"]


class Phrases(Struct, frozen=True):
    """Everything that can be said: tables by name (``answer.dry``), settings, events."""

    tables: Tables
    settings: tuple[Surroundings, ...]  # without the one of no words
    plain: Surroundings
    events: tuple[Event, ...]
    problems: tuple[str, ...] = ()  # files that could not be used, and why
    words: frozenset[str] = (
        frozenset()
    )  # that occur in them, small: English that is certainly none of nonsense


class _PhraseFile(Struct, frozen=True):
    """What is in one file. ``setting`` is "" when it is for any world."""

    setting: str
    words: frozenset[str]
    tables: Tables
    events: list[Event]


class Vocabulary(Struct, frozen=True):
    """What the parser knows of words. ``verbs`` and ``verb_phrases`` give the kind of an act."""

    verbs: Mapping[str, str]
    verb_phrases: Mapping[tuple[str, str], str]
    sets: Mapping[str, frozenset[str]]


def load(own: Path | None = None) -> Phrases:
    """Returns the phrases that come with the program and those in the folder ``own``, if there is one.

    A file there that has ``words`` is a setting, and replaces the shipped one of its name; another file's
    tables replace the shipped ones of their names, and its events are added. A broken file there is left
    out and named in ``problems``. Raises ``ConfigError`` for a broken shipped file.
    """
    tables: dict[str, tuple[str, ...]] = {}
    settings: dict[str, Surroundings] = {}
    events: list[Event] = []
    problems: list[str] = []
    shipped = sorted(path for path in FOLDER.glob("*.yaml") if path.name != _WORDS)
    others = sorted(own.glob("*.yaml"))[:OFFLINE_PHRASE_FILES] if own is not None else []
    for path in (*shipped, *sorted((FOLDER / "settings").glob("*.yaml")), *others):
        try:
            file = _file(path)
        except ConfigError as error:
            if path not in others:
                raise
            problems.append(str(error))
            continue
        events = [
            event for event in events if not event.setting or event.setting != file.setting
        ] + file.events
        if file.setting:
            settings[file.setting] = Surroundings(file.setting, file.words, file.tables)
        else:
            tables |= file.tables
    plain = settings.pop(NO_SETTING)
    text = "\n".join(
        phrase for table in (*tables.values(), *vocabulary().sets.values()) for phrase in table
    )
    text += " ".join((*vocabulary().verbs, *(event.words for event in events)))
    words = frozenset(re.findall(r"[a-z']+", text.casefold()))
    return Phrases(tables, tuple(settings.values()), plain, tuple(events), tuple(problems), words)


@cache
def shipped() -> Phrases:
    """Returns the phrases that come with the program."""
    return load()


@cache
def vocabulary() -> Vocabulary:
    """Returns what the parser knows of words. Raises ``ConfigError`` for a broken file."""
    path = FOLDER / _WORDS
    content = _read(path)
    verbs = {
        verb: kind
        for kind, listed in _mapping(path, content.pop("verbs")).items()
        for verb in str(listed).split()
    }
    pairs = {}
    for kind, listed in _mapping(path, content.pop("verb_phrases")).items():
        for pair in _strings(path, kind, listed):
            verb, _, particle = pair.partition(" ")
            pairs[verb, particle] = kind
    sets = {name: frozenset(str(listed).split()) for name, listed in content.items()}
    return Vocabulary(verbs, pairs, sets)


def word_list(name: str) -> frozenset[str]:
    """Returns the set of words of that name in ``words.yaml``."""
    return vocabulary().sets[name]


def _file(path: Path) -> _PhraseFile:
    content = _read(path)
    setting = path.stem if "words" in content or path.stem == NO_SETTING else ""
    words = frozenset(str(content.pop("words", "")).casefold().split())
    events = _events(path, content.pop("events", []), setting)
    tables = _flat(path, content)
    if setting:
        missing = [name for name in _NEEDED if name not in tables]
        if missing:
            raise ConfigError(f"{path.name}: a setting needs a list of {missing[0]}")
    return _PhraseFile(setting, words, tables, events)


def _read(path: Path) -> dict[str, safe_yaml.Value]:
    try:
        return _mapping(path, safe_yaml.load(file_io.read(path, limits.YAML_BYTES + 1)).value)
    except OSError as error:
        raise ConfigError(f"{path.name}: it cannot be read: {error.strerror}") from error
    except YamlError as error:
        raise ConfigError(f"{path.name}: {error}") from error


def _mapping(path: Path, value: safe_yaml.Value) -> dict[str, safe_yaml.Value]:
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path.name}: names with a colon are expected, each with its phrases below it"
        )
    return value


def _strings(path: Path, name: str, value: safe_yaml.Value) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{path.name}: {name} must be a list of phrases, each behind a dash")
    for phrase in value:
        if not isinstance(phrase, str) or not phrase.strip():
            raise ConfigError(
                f"{path.name}: {name} holds {phrase!r}, which is no phrase; put it in quotes"
            )
    return tuple(str(phrase) for phrase in value)


def _flat(
    path: Path, content: Mapping[str, safe_yaml.Value], prefix: str = ""
) -> dict[str, tuple[str, ...]]:
    """Returns nested tables by their whole name: ``answer.dry``."""
    tables: dict[str, tuple[str, ...]] = {}
    for name, value in content.items():
        if isinstance(value, dict):
            tables |= _flat(path, value, f"{prefix}{name}.")
        else:
            tables[prefix + name] = _strings(path, prefix + name, value)
    return tables


def _events(path: Path, listed: safe_yaml.Value, setting: str) -> list[Event]:
    events = []
    for item in listed if isinstance(listed, list) else [listed]:
        fields = _mapping(path, item)
        wrong = sorted(fields.keys() ^ {"mark", "words", "opening", "met", "ignored"})
        if wrong:
            raise ConfigError(
                f"{path.name}: an event has mark, words, opening, met and ignored; see {wrong[0]!r}"
            )
        event = Event(**{key: str(text) for key, text in fields.items()}, setting=setting)
        if event.mark.casefold() not in event.opening.casefold():
            raise ConfigError(
                f"{path.name}: the mark {event.mark!r} of an event must be in its opening"
            )
        events.append(event)
    return events
