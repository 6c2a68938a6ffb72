"""``Card`` values as V2 and V3 cards: JSON, PNG and CHARX.

A card is written as it was read, with what has changed since and with what the specifications want and the
file did not have. The chunk for V2 is complete by itself: some programs look at no other. Sources: Character
Card V2 and V3; SillyTavern writes the same fields beside ``data`` for programs that know V1 only.

Programs that keep cards in pictures need one. A character that has none gets a small PNG, the same for the same name:
a head and shoulders on a ground that changes from top to bottom, in colours that follow from the name.
"""

from __future__ import annotations

import colorsys
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from flower.engine.interchange import archive, book_writer, card_assets, cards, json_text, pictures
from flower.engine.interchange.archive import Archive
from flower.engine.interchange.fields import mapping
from flower.engine.interchange.values import Card, DepthPrompt, Kind
from flower.errors import ImportFileError

Spec = Literal["v2", "v3"]
_SPECS: Mapping[Spec, tuple[str, str]] = {
    "v2": ("chara_card_v2", "2.0"),
    "v3": ("chara_card_v3", "3.0"),
}
CARD_KEYWORDS = ("chara", "ccv3")


class _Field(NamedTuple):
    attribute: str
    key: str  # in data
    beside: str = ""  # in the V1 fields beside data
    type: type[Any] = str
    write: Callable[[Any], Any] = lambda value: value


def _seconds(value: float | None) -> int:
    return int(value or 0)


_FIELDS = (
    _Field("name", "name", "name"),
    _Field("description", "description", "description"),
    _Field("personality", "personality", "personality"),
    _Field("scenario", "scenario", "scenario"),
    _Field("greeting", "first_mes", "first_mes"),
    _Field("example_dialogue", "mes_example", "mes_example"),
    _Field("creator_notes", "creator_notes", "creatorcomment"),
    _Field("system_prompt", "system_prompt"),
    _Field("post_history_instructions", "post_history_instructions"),
    _Field("alternate_greetings", "alternate_greetings", "", list, list),
    _Field("tags", "tags", "tags", list, list),
    _Field("creator", "creator"),
    _Field("version", "character_version"),
)
_V3_FIELDS = (_Field("group_greetings", "group_only_greetings", "", list, list),)
# These are written only where a card has them.
_OPTIONAL = (
    _Field("nickname", "nickname"),
    _Field("notes_by_language", "creator_notes_multilingual", "", dict, dict),
    _Field("sources", "source", "", list, list),
    _Field("created", "creation_date", "", int, _seconds),
    _Field("modified", "modification_date", "", int, _seconds),
)


def card_object(card: Card, spec: Spec) -> dict[str, Any]:
    """Returns a card as the object of a specification."""
    source = card.source
    kind = cards.kind_of(source) if source else None
    was = cards.read(source) if kind else None
    top, data = _beginning(card, kind)
    v3 = spec == "v3"
    _fill(card, was, top, data, (*_FIELDS, *(_V3_FIELDS if v3 else ())), must=True)
    _fill(card, was, top, data, (*_OPTIONAL, *(() if v3 else _V3_FIELDS)), must=False)
    _put_extensions(card, was, data)
    _put_book(card, was, data)
    version = str(top.get("spec_version", ""))
    keeps_version = v3 and kind is Kind.CARD_V3 and version
    top |= {
        "spec": _SPECS[spec][0],
        "spec_version": version if keeps_version else _SPECS[spec][1],
        "data": data,
    }
    return top


def _beginning(card: Card, kind: Kind | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns what is beside ``data`` and in it before anything is filled in."""
    if kind in (Kind.CARD_V2, Kind.CARD_V3):
        return dict(card.source), dict(mapping(card.source["data"]))
    beside = {field.beside: "" for field in _FIELDS if field.beside}
    data: dict[str, Any] = {"extensions": dict(card.extensions)}
    return ({**beside, **card.source} if kind is Kind.CARD_V1 else beside), data


def _fill(
    card: Card,
    was: Card | None,
    top: dict[str, Any],
    data: dict[str, Any],
    fields: tuple[_Field, ...],
    *,
    must: bool,
) -> None:
    for field in fields:
        value = getattr(card, field.attribute)
        same = was is not None and getattr(was, field.attribute) == value
        if not (same and isinstance(data.get(field.key), field.type)) and (must or value):
            data[field.key] = field.write(value)
        elif not must and not value and not same:
            data.pop(field.key, None)
        if field.beside in top and not (same and isinstance(top[field.beside], field.type)):
            top[field.beside] = field.write(value)


def _put_extensions(card: Card, was: Card | None, data: dict[str, Any]) -> None:
    extensions = dict(card.extensions)
    if card.talkativeness is not None and (was is None or was.talkativeness != card.talkativeness):
        extensions["talkativeness"] = card.talkativeness
    if card.linked_book and (was is None or was.linked_book != card.linked_book):
        extensions["world"] = card.linked_book
    if card.depth_prompt != (was.depth_prompt if was else None):
        extensions["depth_prompt"] = _depth_prompt(card.depth_prompt)
    data["extensions"] = extensions


def _depth_prompt(depth_prompt: DepthPrompt | None) -> dict[str, Any]:
    prompt = depth_prompt or DepthPrompt("")
    return {"prompt": prompt.text, "depth": prompt.depth, "role": prompt.role}


def _put_book(card: Card, was: Card | None, data: dict[str, Any]) -> None:
    """A book that is unchanged and of the right shape stays as it is."""
    if card.book is None:
        data.pop("character_book", None)
    elif was is None or was.book != card.book or not _is_valid(data.get("character_book")):
        data["character_book"] = book_writer.character_book(card.book)


def _is_valid(book: object) -> bool:
    return isinstance(mapping(book).get("entries"), list)


def card_json(card: Card, spec: Spec, original: bytes | None = None) -> bytes:
    """Returns a card as a JSON file; ``original`` itself, the file it came from, if that says the same."""
    written = card_object(card, spec)
    if original and original[:1] == b"{" and _says(original, written):
        return original
    return json_text.indented(written).encode()


def _says(data: bytes, value: object) -> bool:
    """Whether a JSON text is a value, whatever its spaces are like."""
    try:
        return bool(json_text.parse(json_text.decode(data)) == value)
    except ImportFileError:
        return False


def card_png(card: Card, original: bytes | None = None) -> bytes:
    """Returns a card as a PNG with both chunks, V2 in ``chara`` and V3 in ``ccv3``.

    The picture is the card's own if that is a PNG, else a drawn one. ``original`` is the file the card came
    from, if it is still there: its assets come along. Raises ``ImportFileError`` if it is broken.
    """
    picture = card.picture if card.picture and card.picture.startswith(pictures.SIGNATURE) else None
    v3 = card_object(card, "v3")
    v2 = {**v3, "spec": _SPECS["v2"][0], "spec_version": _SPECS["v2"][1]}
    if picture and picture == original and _chunks_say(picture, {"chara": v2, "ccv3": v3}):
        return picture
    files = {} if original is None or picture == original else card_assets.embedded(original)
    if files:
        v3["data"]["assets"] = card_assets.renamed(v3["data"].get("assets"), files, card_assets.in_png)
    v2 = {**v2, "data": v3["data"]}
    chunks = [
        ("chara", pictures.packed_card(v2)),
        ("ccv3", pictures.packed_card(v3)),
        *card_assets.png_chunks(files),
    ]
    return pictures.with_texts(picture or portrait(card.name), chunks, CARD_KEYWORDS)


def _chunks_say(picture: bytes, expected: Mapping[str, object]) -> bool:
    """Whether each keyword is in a picture once, with this value."""
    chunks = list(pictures.texts(picture, CARD_KEYWORDS))
    try:
        values = {word: pictures.card_object(body) for word, body in chunks}
    except ImportFileError:
        return False
    return len(chunks) == len(expected) and values == expected


def card_charx(card: Card, original: bytes | None = None) -> bytes:
    """Returns a card as a CHARX archive: ``original``, the file it came from, if that says the same.

    Else what is beside the card in ``original`` comes along: all members of an archive, the assets of a PNG.
    Raises ``ImportFileError`` if it is broken.
    """
    v3 = card_object(card, "v3")
    charx = Archive(original) if original and card_assets.is_charx(original) else None
    if original and charx and _says(charx.read(card_assets.CARD_JSON), v3):
        return original
    files = dict(card_assets.members(original)) if original else {}
    if original and not files:
        files = card_assets.embedded(original)
        if files:
            v3["data"]["assets"] = card_assets.renamed(
                v3["data"].get("assets"), files, card_assets.in_charx
            )
            files = {card_assets.in_charx(path): body for path, body in files.items()}
    if card.picture and not card_assets.has_icon(v3["data"].get("assets")):
        icon = card_assets.icon(card.picture)
        files[icon["uri"].removeprefix(card_assets.EMBEDDED)] = _plain(card.picture)
        v3["data"]["assets"] = [icon, *(_other_assets(v3["data"].get("assets")))]
    return archive.write({"card.json": json_text.indented(v3).encode(), **files})


def _other_assets(assets: object) -> list[Any]:
    """Returns the other assets of a card that gets a new icon."""
    if not isinstance(assets, list):
        return []
    return [item for item in assets if mapping(item).get("uri") != "ccdefault:"]


def _plain(picture: bytes) -> bytes:
    """Returns a picture without the card in it, which would say everything twice."""
    if picture.startswith(pictures.SIGNATURE):
        return pictures.with_texts(picture, (), CARD_KEYWORDS)
    return picture


# --- a picture for a character that has none ------------------------------------------------------

PORTRAIT_WIDTH, PORTRAIT_HEIGHT = 256, 384  # two to three, as cards are
_HEAD_RADIUS = 56
_HEAD_AT = (PORTRAIT_WIDTH // 2, 170)
_SHOULDERS_AT = (PORTRAIT_WIDTH // 2, PORTRAIT_HEIGHT + 10)
_SHOULDERS = (100, 130)  # radii of an ellipse


def portrait(name: str) -> bytes:
    """Returns the picture of a character as a PNG without any text chunk."""
    hue = (zlib.crc32(name.encode("utf-8", "replace")) % 360) / 360
    figure = _colour(hue, 0.35, 0.92)
    rows = b"".join(b"\0" + _row(y, hue, figure) for y in range(PORTRAIT_HEIGHT))
    eight_bits, rgb = 8, 2
    header = struct.pack(">IIBBBBB", PORTRAIT_WIDTH, PORTRAIT_HEIGHT, eight_bits, rgb, 0, 0, 0)
    return pictures.SIGNATURE + b"".join(
        pictures.chunk_bytes(kind, body)
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    )


def _row(y: int, hue: float, figure: bytes) -> bytes:
    ground = _colour((hue + 0.5) % 1, 0.55, 0.30 + 0.40 * y / PORTRAIT_HEIGHT)
    head = _half_width(y, _HEAD_AT, (_HEAD_RADIUS, _HEAD_RADIUS))
    half = max(head, _half_width(y, _SHOULDERS_AT, _SHOULDERS))
    side = PORTRAIT_WIDTH // 2 - half
    return ground * side + figure * (2 * half) + ground * side


def _half_width(y: int, centre: tuple[int, int], radii: tuple[int, int]) -> int:
    """Returns half the width of an ellipse in a row, 0 outside of it."""
    share = (y - centre[1]) / radii[1]
    return int(radii[0] * (1 - share * share) ** 0.5) if abs(share) < 1 else 0


def _colour(hue: float, saturation: float, value: float) -> bytes:
    return bytes(round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
