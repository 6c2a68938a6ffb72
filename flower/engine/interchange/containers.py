"""Pictures and archives that hold a card, a lorebook or a story.

Which chunk of a picture counts: ``ccv3`` before ``chara``, the first of each; what cannot be read gives way to
the next. Sources: Character Card V2 and V3, Backyard's and NovelAI's cards, SillyTavern's importers.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from flower import limits
from flower.engine.interchange import (
    archive,
    backyard,
    card_assets,
    card_reader,
    exif,
    json_text,
    kobold,
    other_books,
    payload,
    png,
)
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.fields import mapping
from flower.engine.interchange.values import Card, Imported, Kind
from flower.errors import ImportFileError

WEBP, JPEG, ZIP = b"RIFF", b"\xff\xd8\xff", b"PK\x03\x04"
_OTHER_ARCHIVES = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip"}
_NOVELAI = "naidata"


def read(data: bytes, name: str) -> Imported | None:
    """Returns what is in a picture or an archive, None if ``data`` is neither.

    Raises ``ImportFileError`` where it is broken or holds nothing that Flower knows.
    """
    for start, kind in _OTHER_ARCHIVES.items():
        if data.startswith(start):
            raise ImportFileError(f"this is a {kind} archive; unpack it, or save it as ZIP")
    if data.startswith(png.SIGNATURE):
        return _png(data, name)
    if data.startswith(WEBP) and data[8:12] == b"WEBP":
        return _picture(data, Kind.CARD_WEBP, name)
    if data.startswith(ZIP):
        return _archive(data, name)
    if data.startswith(JPEG):
        return (
            _archive(data, name) if archive.is_archive(data) else _picture(data, Kind.CARD_JPEG, name)
        )
    if data.startswith(b"MZ") and archive.is_archive(data):
        return _archive(data, name)
    return None


# --- pictures -----------------------------------------------------------------------------------


def _png(data: bytes, name: str) -> Imported:
    found: dict[str, bytes] = {}
    for word, body in png.texts(data, ("ccv3", "chara", _NOVELAI)):
        found.setdefault(word, body)
    problem: ImportFileError | None = None
    for word in ("ccv3", "chara"):
        if word in found:
            try:
                return _card(payload.read(found[word]), Kind.CARD_PNG, data, name)
            except ImportFileError as error:
                problem = problem or error
    if _NOVELAI in found:
        book = payload.read(found[_NOVELAI])
        if other_books.kind_of(book) is Kind.NOVELAI_BOOK:
            return Imported(
                kind=Kind.NOVELAI_BOOK_PNG,
                books=(other_books.read(book, Kind.NOVELAI_BOOK, name),),
            )
    return _from_comments(data, Kind.CARD_PNG, name, problem)


def _picture(data: bytes, kind: Kind, name: str) -> Imported:
    return _from_comments(data, kind, name, None)


def _from_comments(data: bytes, kind: Kind, name: str, problem: ImportFileError | None) -> Imported:
    for comment in exif.comments(data):
        try:
            return _card(payload.read(comment), kind, data, name)
        except ImportFileError as error:
            problem = problem or error  # a comment may be a caption
    if problem is not None:
        raise problem
    raise ImportFileError(
        "the picture holds no character; get the original file, not a screenshot of it"
    )


def _card(source: dict[str, Any], kind: Kind, picture: bytes, name: str) -> Imported:
    if backyard.is_faraday(source):
        return backyard.read_faraday(source, picture, name)
    card = structs.replace(card_reader.read(source, name), picture=picture)
    return Imported(kind=kind, cards=(card,), notices=card_reader.notices(card))


# --- archives -----------------------------------------------------------------------------------


def _archive(data: bytes, name: str) -> Imported:
    opened = Archive(data)
    if card_assets.CARD_JSON in opened:
        return _charx(opened, name)
    if backyard.MANIFEST in opened:
        return backyard.read_archive(opened, name)
    if kobold.STORY_JSON in opened:
        return kobold.read_archive(opened, name)
    return _packed_cards(opened)


def _charx(opened: Archive, name: str) -> Imported:
    source = json_text.parse(json_text.decode(opened.read(card_assets.CARD_JSON)))
    if not isinstance(source, dict):
        raise ImportFileError("card.json in the archive is no card")
    card = card_reader.read(source, name)
    icon = card_assets.main_icon(mapping(source.get("data")).get("assets"))
    if icon not in opened:
        icon = next((path for path in opened.names() if path.startswith("assets/icon/")), "")
    picture = opened.read(icon) if icon else None
    card = structs.replace(card, picture=picture)
    notices = [*card_reader.notices(card)]
    if "module.risum" in opened:
        notices.append("The archive has a Risu module, which Flower cannot read; it is kept.")
    return Imported(kind=Kind.CHARX, cards=(card,), notices=tuple(notices))


def _packed_cards(opened: Archive) -> Imported:
    """Returns the cards of pictures that somebody packed into an archive."""
    cards: list[Card] = []
    notices: list[str] = []
    for path in opened.names():
        if path.lower().endswith(".png") and len(cards) < limits.IMPORT_SPEAKERS:
            try:
                found = _png(opened.read(path), path.rpartition("/")[2][: -len(".png")])
            except ImportFileError as error:
                notices.append(f"{path[-limits.KEY_SHOWN_CHARS :]}: {error}.")
                continue
            cards += found.cards
    if not cards:
        raise ImportFileError("the archive holds no card, no character and no story that Flower knows")
    return Imported(kind=Kind.CARD_PNG, cards=tuple(cards), notices=tuple(notices))
