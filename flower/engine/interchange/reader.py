"""Any file of any kind: which one it is by its content, and what is in it."""

from __future__ import annotations

from typing import Any

from flower import limits
from flower.engine.interchange import (
    book_reader,
    cards,
    containers,
    flower_story,
    json_text,
    kobold,
    novelai,
    other_books,
    other_chats,
    presets,
    script_reader,
    sillytavern_chats,
    sillytavern_settings,
)
from flower.engine.interchange.backyard import is_faraday, read_faraday
from flower.engine.interchange.fields import mapping, text
from flower.engine.interchange.values import Card, Imported, Kind
from flower.engine.lorebook.book import Book
from flower.errors import ImportFileError, YamlError
from flower.settings import safe_yaml

_UNKNOWN = "this is no file of a kind that Flower can read"
_OPENINGS = ("{", "[")


def read(data: bytes, name: str = "", me: str = "") -> Imported:
    """Returns everything that a file holds.

    ``name`` is the file's, without folder and ending: it names what has no name of its own. ``me`` is the
    player's name in a chat that does not tell. Raises ``ImportFileError`` with one sentence for a file that
    is broken, too large or of no known kind, and ``UnknownPlayerError`` where ``me`` is needed.
    """
    if len(data) > limits.IMPORT_BYTES:
        raise ImportFileError(f"the file is larger than {limits.IMPORT_BYTES // limits.MIB} MiB")
    return _read(data, name, me, lambda member, called: _read(member, called, me, None))


def _read(data: bytes, name: str, me: str, inside: containers.Reader | None) -> Imported:
    content = containers.read(data, name, inside)
    if content is not None:
        return content
    if not data.strip():
        raise ImportFileError("the file is empty")
    text_ = json_text.decode(data)
    if not text_.lstrip().startswith(_OPENINGS):
        return _yaml(text_.encode(), name)
    value, end = json_text.first_value(text_)
    if text_[end:].strip() or _is_line(value):
        return _lines(value, text_, name, me)
    return _value(value, name, me)


def _is_line(value: object) -> bool:
    """Whether a file of one line is one of those with a line per message."""
    return sillytavern_chats.is_chat(value) or flower_story.is_story(value)


def _lines(first: Any, text_: str, name: str, me: str) -> Imported:
    if flower_story.is_story(first):
        return Imported(kind=Kind.FLOWER_STORY, chats=(flower_story.read(text_, name),))
    if mapping(first).get("type") == "session":
        items = [json_text.parse(line) for line in text_.split("\n") if line.strip()]
        return other_chats.read_session([item for item in items if isinstance(item, dict)], name)
    if not sillytavern_chats.is_chat(first):
        raise ImportFileError(
            "the lines of this file are no chat that Flower knows, or it is broken JSON"
        )
    kind, chat, notices = sillytavern_chats.read(text_, name, me)
    return Imported(kind=kind, chats=(chat,), notices=notices)


def _value(value: Any, name: str, me: str) -> Imported:
    chat = other_chats.kind_of(value)
    if chat is not None:
        return other_chats.read(value, chat, name, me)
    if script_reader.is_scripts(value):
        return Imported(kind=Kind.SCRIPTS, scripts=script_reader.read(value))
    own = sillytavern_settings.kind_of(value)
    if own is not None:
        return sillytavern_settings.read(value, own, name)
    preset = presets.kind_of(value)
    if preset is not None:
        return presets.read(value, preset, name)
    story = novelai.kind_of(value)
    if story is Kind.NOVELAI_SCENARIO:
        return novelai.read_scenario(value, name)
    if story is Kind.NOVELAI_STORY:
        return novelai.read_story(value, name)
    if kobold.kind_of(value) is not None:
        return kobold.read(value, name, me)
    if isinstance(value, dict) and is_faraday(value):
        return read_faraday(value, None, name)
    return _book_or_card(value, name)


def _book_or_card(value: Any, name: str) -> Imported:
    """Books have a name and a description too, so that they are asked for first."""
    kind = other_books.kind_of(value)
    if kind is not None:
        return _book(kind, other_books.read(value, kind, name))
    if not isinstance(value, dict):
        raise ImportFileError(_UNKNOWN)
    if text(value.get("spec")).startswith("lorebook") and book_reader.is_book(
        mapping(value.get("data"))
    ):
        return _book(Kind.LOREBOOK_V3, book_reader.read(value["data"], name))
    if "entries" not in value:
        kind = cards.kind_of(value)
        if kind is not None:
            return _card(value, kind, name)
    if not book_reader.is_book(value):
        raise ImportFileError(_UNKNOWN)
    plain = isinstance(value["entries"], dict)
    return _book(Kind.WORLD_INFO if plain else Kind.CHARACTER_BOOK, book_reader.read(value, name))


def _card(value: dict[str, Any], kind: Kind, name: str) -> Imported:
    card: Card = cards.read(value, name)
    return Imported(kind=kind, cards=(card,), notices=cards.notices(card))


def _book(kind: Kind, book: Book) -> Imported:
    silent = sum(1 for entry in book.entries if not entry.keys and not entry.constant)
    notices = (f"{silent} entries have no keys and fire only by meaning.",) if silent else ()
    return Imported(kind=kind, books=(book,), notices=notices)


def _yaml(data: bytes, name: str) -> Imported:
    try:
        value = safe_yaml.load(data).value
    except YamlError as error:
        raise ImportFileError(f"{_UNKNOWN}: no JSON, and as YAML broken in {error}") from error
    if not isinstance(value, dict) or cards.kind_of(value) is None:
        raise ImportFileError(_UNKNOWN)
    return _card(value, cards.kind_of(value) or Kind.OOBA_CARD, name)
