"""Files of known kinds as other programs, editors and old disks leave them: each is read, or one sentence says why."""

from __future__ import annotations

import base64
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from flower.engine.interchange import card_writer, pictures
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Imported, Kind
from flower.errors import ImportFileError, UnknownPlayerError
from tests.interchange_files import as_zip, files

FILES = files()
TEXTS = [kind for kind, data in FILES.items() if data[:1] in (b"{", b"[")]
ODD: dict[str, Callable[[bytes], bytes]] = {
    "UTF-8 with a mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "UTF-16, big end first, with a mark": lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
    "UTF-16 without a mark": lambda data: data.decode().encode("utf-16-le"),
    "UTF-16, big end first, without a mark": lambda data: data.decode().encode("utf-16-be"),
    "UTF-32": lambda data: data.decode().encode("utf-32"),
    "UTF-32 without a mark": lambda data: data.decode().encode("utf-32-le"),
    "zero bytes behind it": lambda data: data + bytes(7),
    "blank lines around it": lambda data: b"\n \n" + data + b"\n\n",
}


def facts(found: Imported) -> tuple[Any, ...]:
    """What a file says, whatever it was written like."""
    return (
        found.kind,
        [(card.name, card.description, card.greeting) for card in found.cards],
        [[entry.content for entry in book.entries] for book in found.books],
        [[message.text for message in chat.messages] for chat in found.chats],
        [persona.name for persona in found.personas],
        [replies.name for replies in found.quick_replies],
        found.scripts,
        [group.members for group in found.groups],
    )


def asked(data: bytes) -> Imported:
    try:
        return read(data, "file")
    except UnknownPlayerError as error:
        return read(data, "file", error.speakers[-1])


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("kind", TEXTS)
def test_how_a_text_is_encoded_does_not_matter(kind: Kind, odd: str) -> None:
    assert facts(asked(ODD[odd](FILES[kind]))) == facts(asked(FILES[kind]))


def as_texts(value: Any) -> Any:
    """Returns a value with its numbers written as texts."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict):
        return {key: as_texts(part) for key, part in value.items()}
    return [as_texts(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", [kind for kind in TEXTS if kind is not Kind.FLOWER_STORY])
def test_numbers_may_be_written_as_texts(kind: Kind) -> None:
    lines = [json.dumps(as_texts(json.loads(line))) for line in FILES[kind].decode().split("\n")]
    assert facts(asked("\n".join(lines).encode())) == facts(asked(FILES[kind]))


@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_that_ends_early_is_one_sentence_or_the_whole_lines_before(kind: Kind) -> None:
    data = FILES[kind]
    sentences = [refusal(data[:end]) for end in range(0, len(data), max(1, len(data) // 40))]
    assert not [sentence for sentence in sentences if "\n" in sentence]


def refusal(data: bytes) -> str:
    """Returns why a file is not read, "" if it is; anything but a sentence is raised."""
    try:
        asked(data)
    except ImportFileError as error:
        return str(error)
    return ""


CARD = json.dumps(
    {"spec": "chara_card_v2", "spec_version": "2.0",
     "data": {"name": "Zo\u00eb ~?>>>", "description": "d???>>>" * 9, "first_mes": "Hm."}},
    ensure_ascii=False,
).encode()  # fmt: skip
CODED = base64.b64encode(CARD)


def picture(kind: bytes, body: bytes) -> bytes:
    drawn = card_writer.portrait("x")
    place = drawn.index(b"IDAT") - 4
    return drawn[:place] + pictures.chunk_bytes(kind, body) + drawn[place:]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"tEXt", b"chara\0" + base64.urlsafe_b64encode(CARD)),
        (b"tEXt", b"chara\0" + CODED.rstrip(b"=")),
        (b"tEXt", b"chara\0" + base64.encodebytes(CARD)),
        (b"tEXt", b"chara\0" + CODED + b"\0"),
        (b"tEXt", b"Chara\0" + CODED),
        (b"tEXt", b"chara\0" + CARD),
        (b"tEXt", b"chara\0" + base64.b64encode(CARD.decode().encode("utf-16"))),
        (b"zTXt", b"chara\0\0" + zlib.compress(CODED)),
        (b"iTXt", b"chara\0\1\0en\0k\0" + zlib.compress(CODED)),
    ],
)
def test_cards_in_pictures_are_packed_in_many_ways(kind: bytes, body: bytes) -> None:
    assert read(picture(kind, body)).cards[0].description == "d???>>>" * 9


@pytest.mark.parametrize("name", ["card.json", "Zoe/card.json", "Card.JSON", "a\\card.json"])
def test_a_card_is_found_wherever_it_stands_in_its_archive(name: str) -> None:
    found = read(as_zip({name: CARD, "assets/icon/images/main.png": card_writer.portrait("x")}))
    assert (found.kind, found.cards[0].name) == (Kind.CHARX, "Zo\u00eb ~?>>>")


def test_an_archive_of_files_gives_all_of_them() -> None:
    """A backup of SillyTavern: its keys are left alone, what is of no kind is named, nothing is lost in silence."""
    found = read(
        as_zip(
            {
                "default-user/characters/Zoe.png": picture(b"tEXt", b"chara\0" + CODED),
                "default-user/characters/Ada.json": CARD,
                "default-user/worlds/w.json": FILES[Kind.WORLD_INFO],
                "default-user/chats/Zoe/c.jsonl": FILES[Kind.SILLYTAVERN_CHAT],
                "default-user/settings.json": FILES[Kind.SETTINGS],
                "default-user/secrets.json": b'{"api_key": "x"}',
                "default-user/backgrounds/b.png": card_writer.portrait("b"),
                "__MACOSX/._Zoe.png": b"?",
            }
        )
    )
    assert found.kind is Kind.ARCHIVE
    counts = (len(found.cards), len(found.books), len(found.chats), len(found.personas))
    assert counts == (2, 1, 1, 1)
    assert found.notices[0] == "Not read of the archive: b.png."


def test_archives_in_archives_and_empty_ones_are_refused() -> None:
    """One level is looked into; a card's own archive counts as a card."""
    outer = as_zip({"inner.zip": as_zip({"a.json": CARD})})
    with pytest.raises(ImportFileError, match="no card"):
        read(outer)
    assert read(as_zip({"a.charx": as_zip({"card.json": CARD})})).cards
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    with pytest.raises(ImportFileError, match="empty"):
        read(empty.getvalue())
