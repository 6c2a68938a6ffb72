"""Files made to do harm: every one is one sentence, soon, and in bounded memory."""

from __future__ import annotations

import base64
import io
import json
import random
import stat
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from flower import limits
from flower.engine.interchange import (
    book_writer,
    card_writer,
    flower_story,
    pictures,
    sillytavern_chats,
)
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.pictures import IMPORT_PNG_CHUNKS
from flower.engine.interchange.reader import read
from flower.engine.interchange.values import Kind
from flower.errors import ImportFileError
from tests.interchange_files import (
    PICTURE,
    V1,
    V2,
    V3,
    as_json,
    as_lines,
    as_png,
    as_zip,
    charx,
    deflated,
    exif,
    files,
    jpeg,
    with_chunk,
)  # fmt: skip

FILES = files()
CARD = base64.b64encode(as_json(V2))
JSON_BOMB = b"[" * 100_000
MIB = limits.MIB


def one_sentence(data: bytes) -> str:
    """Returns the sentence with which a file is refused."""
    with pytest.raises(ImportFileError) as refused:
        read(data, "file")
    sentence = str(refused.value)
    assert sentence
    assert "\n" not in sentence
    assert len(sentence) < 300
    return sentence


def zip_of_infos(count: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}", b"")
    return buffer.getvalue()


def packed(data: bytes) -> bytes:
    return zlib.compress(data, 9)


def stored_and_changed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("card.json", as_json(V3))
    return buffer.getvalue().replace(b"Hedda", b"Hedwa", 1)


def bomb_png() -> bytes:
    return with_chunk(b"zTXt", b"chara\0\0" + packed(bytes(300 * MIB)))


def bomb_zip() -> bytes:
    return as_zip({"card.json": bytes(100 * MIB)})


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "empty"),
    "only spaces": (lambda: b"  \n", "empty"),
    "not text": (lambda: b"\xff\xfe\xfd\x00\x01" * 9, "UTF-8"),
    "plain words": (lambda: b"Once upon a time", "no file of a kind"),
    "a RAR": (lambda: b"Rar!\x1a\x07\0data", "RAR"),
    "a 7z": (lambda: b"7z\xbc\xaf'\x1cdata", "7z"),
    "signature alone": (lambda: pictures.SIGNATURE, "ends too early"),
    "no end chunk": (lambda: PICTURE[:-12], "ends too early"),
    "a chunk longer than the file": (
        lambda: pictures.SIGNATURE + struct.pack(">I4s", 0xFFFFFFFF, b"tEXt") + bytes(40), "longer than the file"),
    "a wrong checksum": (lambda: as_png(chara=V2).replace(b"chara\0ey", b"chara\0eZ"), "checksum"),
    "too many chunks": (
        lambda: pictures.SIGNATURE + pictures.chunk_bytes(b"tEXt", b"a\0b") * (IMPORT_PNG_CHUNKS + 5), "chunks"),
    "a picture without a card": (lambda: PICTURE, "no character"),
    "an inflating text": (bomb_png, "too large"),
    "a damaged deflate stream": (lambda: with_chunk(b"zTXt", b"chara\0\0notdeflate"), "damaged"),
    "no base64": (lambda: with_chunk(b"tEXt", b"chara\0***"), "base64"),
    "base64 of no JSON": (lambda: with_chunk(b"tEXt", b"chara\0" + base64.b64encode(b"hello")), "JSON"),
    "a card that is a list": (lambda: as_png(chara=[1]), "no character card"),
    "an inflating member": (bomb_zip, "grows without measure|more than"),
    "a cut archive": (lambda: charx()[:-30], "ends too early|damaged"),
    "a hundred thousand members": (lambda: zip_of_infos(70_000), "more than"),
    "an archive without a card": (lambda: as_zip({"../../evil.txt": b"x"}), "no card"),
    "a wrong sum in an archive": (stored_and_changed, "damaged|no card|no character"),
    "brackets": (lambda: JSON_BOMB, "nested"),
    "objects in objects": (lambda: b'{"a":' * 100_000, "nested"),
    "values without end": (lambda: b"[" + b"[]," * 1_500_000 + b"[]]", "values"),
    "an endless number": (lambda: b'{"name":' + b"9" * 5_000 + b"}", "number"),
    "an endless fraction": (lambda: b'{"name": 1e999}', "number"),
    "broken JSON": (lambda: b'{"name": "x", "description": }', "line 1, column"),
    "two values": (lambda: b'{"name": "x"} {"name": "y"}', "no chat"),
    "another JSON": (lambda: b'{"hello": "world"}', "no file of a kind"),
    "YAML aliases": (lambda: b"name: &a x\ncontext: *a\n", "aliases"),
    "a WebP that lies about a length": (lambda: b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\x7fx", "longer than the file"),
    "EXIF that points outside": (lambda: jpeg(b"")[:30] + b"\xff\xd9", "no character"),
    "Kobold without a text": (lambda: b'{"gamestarted": false, "prompt": "", "actions": []}', "no text"),
    "a story that names what is not there": (
        lambda: as_lines({"flower": 1}, {"id": 1, "parent": 7, "role": "user", "content": "x"}), "not there"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_sentence(name: str) -> None:
    make, says = HOSTILE[name]
    data = make()
    begun = time.process_time()
    assert any(part in one_sentence(data) for part in says.split("|"))
    assert time.process_time() - begun < 3.0  # a guard against minutes; a fast machine takes 0.1 s


@pytest.mark.parametrize(
    "name", ["an inflating text", "an inflating member", "values without end", "brackets"]
)
def test_bombs_take_little_memory(name: str) -> None:
    data = HOSTILE[name][0]()
    tracemalloc.start()
    try:
        one_sentence(data)
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
    finally:
        tracemalloc.stop()


def test_a_file_that_is_too_large_is_refused_by_its_size() -> None:
    assert "64 MiB" in one_sentence(bytes(limits.IMPORT_BYTES + 1))


def test_members_with_evil_names_are_never_paths() -> None:
    """They are kept as names and nothing else; a link is read as the bytes it is."""
    link = zipfile.ZipInfo("assets/icon/images/main.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("card.json", as_json(V3))
        archive.writestr("../../evil.txt", b"evil")
        archive.writestr(link, b"/etc/passwd")
    found = read(buffer.getvalue())
    assert found.cards[0].picture == b"/etc/passwd"
    written = card_writer.card_charx(found.cards[0], buffer.getvalue())
    assert "../../evil.txt" in Archive(written).names()


def test_an_archive_with_a_password_says_so() -> None:
    data = bytearray(charx())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + place] |= 1
    assert "password" in one_sentence(bytes(data))


def test_the_sum_of_members_is_bounded() -> None:
    noise = random.Random(1).randbytes(MIB)
    archive = Archive(as_zip({f"{number}": noise for number in range(65)}))
    for name in archive.names()[:64]:
        archive.read(name)
    with pytest.raises(ImportFileError, match="more than 64 MiB"):
        archive.read("64")


def test_lone_surrogates_become_a_sign_that_can_be_stored() -> None:
    card = read(b'{"name": "a\\ud800b", "description": "\\ud83d\\ude00"}').cards[0]
    assert (card.name, card.description) == ("a\ufffdb", "\U0001f600")
    card_writer.card_json(card, "v3").decode()


def test_escape_sequences_leave_the_texts() -> None:
    card = read(as_json({**V1, "name": "H\x1b]0;x\x07", "description": "a\r\nb\x9b2J"})).cards[0]
    assert (card.name, card.description) == ("H]0;x", "a\nb2J")


# --- fuzzing ------------------------------------------------------------------------------------

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


def survives(data: bytes) -> None:
    """Reading gives values, or one sentence."""
    try:
        found = read(data, "file")
    except ImportFileError:
        return
    assert isinstance(found.kind, Kind)
    for card in found.cards:
        assert read(card_writer.card_json(card, "v3"), "file").cards
    for book in found.books:
        assert len(read(book_writer.world_info(book), "file").books[0].entries) == len(book.entries)
    for chat in found.chats:
        assert read("".join(flower_story.write(chat)).encode()).chats == (chat,)
        assert dict(sillytavern_chats.write_tree(chat, "file"))


@pytest.mark.parametrize("kind", Kind)
@QUICK
@given(data=st.data())
def test_damaged_files_of_every_kind_are_read_or_refused(kind: Kind, data: st.DataObject) -> None:
    body = bytearray(FILES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    survives(bytes(body[: data.draw(st.integers(1, len(body)))]))


WORDS = st.sampled_from([
    "name", "description", "first_mes", "data", "spec", "entries", "keys", "key", "content", "extensions", "uid",
    "position", "order", "depth", "role", "probability", "delayUntilRecursion", "characterFilter", "character_book",
    "alternate_greetings", "tags", "mes", "swipes", "swipe_id", "swipe_info", "is_user", "extra", "chat_metadata",
    "messages", "msg", "histories", "msgs", "src", "type", "risuChat", "prompt", "actions", "gamestarted", "worldinfo",
    "actions_metadata", "savedsettings", "opmode", "chatname", "character", "aiName", "Chat", "ChatItems", "loreItems",
    "scenarioVersion", "context", "lorebook", "power_user", "personas", "persona_descriptions", "qrList", "message",
    "depth_prompt", "assets", "uri", "triggers", "groupWeight", "lorebookVersion", "ga", "data_visible", "members",
    "chat_id", "flower", "id", "parent", "of", "content", "endings", "note", "storyContainerVersion", "fragments",
])  # fmt: skip
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=6)
    | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=30,
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(value=VALUES)
@example(value={"name": "x", "description": 10**30})
def test_objects_of_known_names_with_any_values_are_read_or_refused(value: object) -> None:
    survives(json.dumps(value).encode())


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(VALUES, min_size=2, max_size=5))
def test_lines_of_known_names_with_any_values_are_read_or_refused(values: list[object]) -> None:
    survives(as_lines({"chat_metadata": {}}, *values))
    survives(as_lines({"flower": 2}, *values))


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Yields where each part of a value is: what holds it, and under which key."""
    keys = (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places(value[key])  # type: ignore[index]


@pytest.mark.parametrize("kind", [kind for kind in Kind if FILES[kind][:1] == b"{"])
@QUICK
@given(changes=st.lists(st.tuples(st.integers(0, 999), VALUES), min_size=1, max_size=8))
def test_fields_of_wrong_types_cost_no_file(kind: Kind, changes: list[tuple[int, object]]) -> None:
    lines = [json.loads(line) for line in FILES[kind].decode().split("\n")]
    found = list(places(lines))
    for number, value in changes:
        holder, key = found[number % len(found)]
        holder[key] = value
    survives(as_lines(*lines))


def test_a_number_too_large_to_be_meant_can_be_read_again() -> None:
    """Written with all its digits it would be refused."""
    for field in ("insertion_order", "priority", "probability"):
        entry = {"keys": ["a"], "content": "x", field: 1e40, "extensions": {field: -1e40}}
        survives(json.dumps({"name": "b", "entries": [entry]}).encode())


@QUICK
@given(data=st.binary(max_size=200))
def test_any_bytes_behind_any_signature_are_refused_with_a_sentence(data: bytes) -> None:
    for start in (
        pictures.SIGNATURE,
        b"RIFF\0\0\0\0WEBP",
        b"\xff\xd8\xff",
        b"PK\x03\x04",
        b"MZ",
        b"{",
        b"[",
        b"",
    ):
        survives(start + data)


@QUICK
@given(block=st.binary(max_size=120), order=st.sampled_from(["<", ">"]))
def test_any_exif_block_is_read_or_refused(block: bytes, order: str) -> None:
    whole = exif(CARD, order)
    survives(with_chunk(b"eXIf", whole[: len(block)] + block))
    survives(with_chunk(b"eXIf", block + whole[len(block) :]))


def test_reading_takes_time_in_proportion_to_size() -> None:
    """Twice the text takes about twice the time; the bound is wide, as machines are busy."""

    def seconds(count: int) -> float:
        said = as_lines(
            {"chat_metadata": {}}, *({"name": "A", "is_user": True, "mes": "x, {y} [z] " * 20},) * count
        )
        book = as_json({"entries": [{"keys": ["k"], "content": "a, b" * 30, "enabled": True}] * count})
        begun = time.process_time()
        read(said)
        read(book)
        return time.process_time() - begun

    seconds(200)
    small = min(seconds(1_000) for _ in range(3))
    large = min(seconds(4_000) for _ in range(3))
    assert large < 12 * small


@pytest.mark.parametrize(
    ("keyword", "body"),
    [
        (b"tEXt", b"chara\0" + CARD),
        (b"tEXt", b"Chara\0" + CARD),
        (b"zTXt", deflated(b"chara", CARD)),
        (b"iTXt", b"chara\0\0\0\0\0" + CARD),
        (b"iTXt", b"chara\0\1\0en\0word\0" + zlib.compress(CARD)),
        (b"iTXt", b"chara\0\0\0\0\0" + as_json(V2)),
        (b"tEXt", b"chara\0" + base64.encodebytes(as_json(V2)).rstrip()),
        (b"tEXt", b"chara\0" + CARD.rstrip(b"=")),
    ],
)
@pytest.mark.parametrize("before_image", [False, True])
def test_cards_are_found_in_every_kind_of_chunk(
    keyword: bytes, body: bytes, before_image: bool
) -> None:
    found = read(with_chunk(keyword, body, before_image=before_image))
    assert found.kind is Kind.CARD_PNG
    assert found.cards[0].name == "Hedda"
