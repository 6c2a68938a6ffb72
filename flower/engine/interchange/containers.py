"""Pictures and archives that hold a card, a lorebook or a story.

Which chunk of a picture counts: ``ccv3`` before ``chara``, the first of each; what cannot be read gives way to
the next. Sources: Character Card V2 and V3, Backyard's and NovelAI's cards, SillyTavern's importers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from flower import limits
from flower.engine.interchange import (
    archive,
    backyard,
    card_assets,
    cards,
    json_text,
    kobold,
    other_books,
    pictures,
)
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.fields import mapping
from flower.engine.interchange.values import Imported, Kind
from flower.errors import ImportFileError, UnknownPlayerError

WEBP, JPEG, ZIP = b"RIFF", b"\xff\xd8\xff", b"PK\x03\x04"
EMPTY_ZIP = b"PK\x05\x06"
_OTHER_ARCHIVES = {b"Rar!": "RAR", b"7z\xbc\xaf": "7z", b"\x1f\x8b": "gzip"}
_NOVELAI = "naidata"
_NO_LIBRARY = ("secrets.json", "stats.json", "content.json")  # of SillyTavern; the first has keys
_NAMED = 8  # files that were not read


Reader = Callable[[bytes, str], Imported]


def read(data: bytes, name: str, inside: Reader | None) -> Imported | None:
    """Returns what is in a picture or an archive, None if ``data`` is neither.

    ``inside`` reads a file of an archive of files; None: in an archive another one is not looked into.

    Raises ``ImportFileError`` where it is broken or holds nothing that Flower knows.
    """
    for start, kind in _OTHER_ARCHIVES.items():
        if data.startswith(start):
            raise ImportFileError(f"this is a {kind} archive; unpack it, or save it as ZIP")
    if data.startswith(pictures.SIGNATURE):
        return _png(data, name)
    if data.startswith(WEBP) and data[8:12] == b"WEBP":
        return _picture(data, Kind.CARD_WEBP, name)
    if data.startswith(EMPTY_ZIP):
        raise ImportFileError("the archive is empty")
    if data.startswith(ZIP):
        return _archive(data, name, inside)
    if data.startswith(JPEG):
        return (
            _archive(data, name, inside)
            if archive.is_archive(data)
            else _picture(data, Kind.CARD_JPEG, name)
        )
    if data.startswith(b"MZ") and archive.is_archive(data):
        return _archive(data, name, inside)
    return None


# --- pictures -----------------------------------------------------------------------------------


def _png(data: bytes, name: str) -> Imported:
    by_word: dict[str, bytes] = {}
    for word, body in pictures.texts(data, ("ccv3", "chara", _NOVELAI)):
        by_word.setdefault(word, body)
    problem: ImportFileError | None = None
    for word in ("ccv3", "chara"):
        if word in by_word:
            try:
                return _card(pictures.card_object(by_word[word]), Kind.CARD_PNG, data, name)
            except ImportFileError as error:
                problem = problem or error
    if _NOVELAI in by_word:
        book = pictures.card_object(by_word[_NOVELAI])
        if other_books.kind_of(book) is Kind.NOVELAI_BOOK:
            return Imported(
                kind=Kind.NOVELAI_BOOK_PNG,
                books=(other_books.read(book, Kind.NOVELAI_BOOK, name),),
            )
    return _from_comments(data, Kind.CARD_PNG, name, problem)


def _picture(data: bytes, kind: Kind, name: str) -> Imported:
    return _from_comments(data, kind, name, None)


def _from_comments(data: bytes, kind: Kind, name: str, problem: ImportFileError | None) -> Imported:
    for comment in pictures.comments(data):
        try:
            return _card(pictures.card_object(comment), kind, data, name)
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
    card = structs.replace(cards.read(source, name), picture=picture)
    return Imported(kind=kind, cards=(card,), notices=cards.notices(card))


# --- archives -----------------------------------------------------------------------------------


def _archive(data: bytes, name: str, inside: Reader | None) -> Imported:
    opened = Archive(data)
    if card_assets.CARD_JSON in opened:
        return _charx(opened, card_assets.CARD_JSON, name)
    if backyard.MANIFEST in opened:
        return backyard.read_archive(opened, name)
    if kobold.STORY_JSON in opened:
        return kobold.read_archive(opened, name)
    elsewhere = [path for path in opened.names() if _last(path).lower() == card_assets.CARD_JSON]
    if len(elsewhere) == 1:  # packed with its folder, or with capital letters
        return _charx(opened, elsewhere[0], name)
    if inside is None:
        raise ImportFileError("this is an archive in an archive; unpack the outer one")
    return _files(opened, inside)


def _last(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _charx(opened: Archive, path: str, name: str) -> Imported:
    source = json_text.parse(json_text.decode(opened.read(path)))
    if not isinstance(source, dict):
        raise ImportFileError("card.json in the archive is no card")
    card = cards.read(source, name)
    icon = card_assets.main_icon(mapping(source.get("data")).get("assets"))
    if icon not in opened:
        icon = next((path for path in opened.names() if path.startswith("assets/icon/")), "")
    picture = opened.read(icon) if icon else None
    card = structs.replace(card, picture=picture)
    notices = [*cards.notices(card)]
    if "module.risum" in opened:
        notices.append("The archive has a Risu module, which Flower cannot read; it is kept.")
    return Imported(kind=Kind.CHARX, cards=(card,), notices=tuple(notices))


def _files(opened: Archive, inside: Reader) -> Imported:
    """Returns what is in the files that somebody packed into an archive: cards, or all of a library.

    Raises ``UnknownPlayerError`` for a chat in it, so that all can be given in again with the name.
    """
    contents: list[Imported] = []
    left_out: list[str] = []
    problem: ImportFileError | None = None
    for path in opened.names():
        last = _last(path)
        if last.startswith(".") or "__MACOSX" in path or last in _NO_LIBRARY:
            continue
        try:
            contents.append(inside(opened.read(path), last.rpartition(".")[0] or last))
        except UnknownPlayerError:
            raise
        except ImportFileError as error:
            problem = problem or error
            left_out.append(last[-limits.KEY_SHOWN_CHARS :])
    if not contents:
        raise ImportFileError(
            "the archive holds no card, no character and no story that Flower knows"
            + (f" ({problem})" if problem is not None and len(left_out) == 1 else "")
        )
    notices = [notice for one in contents for notice in one.notices]
    if left_out:
        more = f" and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        names = ", ".join(left_out[:_NAMED])
        notices.insert(0, f"Not read of the archive: {names}{more}.")
    kinds = {one.kind for one in contents}
    return Imported(
        kind=kinds.pop() if len(kinds) == 1 else Kind.ARCHIVE,
        cards=tuple(card for one in contents for card in one.cards),
        books=tuple(book for one in contents for book in one.books),
        chats=tuple(chat for one in contents for chat in one.chats),
        groups=tuple(group for one in contents for group in one.groups),
        personas=tuple(persona for one in contents for persona in one.personas),
        quick_replies=tuple(replies for one in contents for replies in one.quick_replies),
        scripts=tuple(script for one in contents for script in one.scripts),
        notices=tuple(notices[: limits.IMPORT_SPEAKERS]),
    )
