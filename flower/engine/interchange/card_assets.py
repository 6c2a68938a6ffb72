"""The files that a card brings along, in a CHARX archive or in chunks of a PNG.

Owns the addresses by which a card names them. Sources: Character Card V3 (``embeded://``, ``__asset:``,
``chara-ext-asset_``) and the misspelt forms of both that real files have.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flower.engine.interchange import archive, pictures
from flower.engine.interchange.fields import objects, text
from flower.errors import ImportFileError

EMBEDDED = "embeded://"  # the specification's spelling
_EMBEDDED = (EMBEDDED, "embedded://")
_IN_PNG = "__asset:"
_CHUNKS = ("chara-ext-asset_:", "chara-ext-asset_")
CARD_JSON = "card.json"
_PICTURES = (
    (pictures.SIGNATURE, "png"), (b"\xff\xd8\xff", "jpg"), (b"RIFF", "webp"), (b"GIF8", "gif"),
)  # fmt: skip


def path_of(uri: str) -> str:
    """Returns the path of an asset inside its file, "" if it is elsewhere."""
    for prefix in (*_EMBEDDED, _IN_PNG):
        if uri.lower().startswith(prefix):
            return uri[len(prefix) :]
    return ""


def is_charx(original: bytes) -> bool:
    """Whether a file is an archive with a card in it."""
    if original.startswith(pictures.SIGNATURE) or not archive.is_archive(original):
        return False
    return CARD_JSON in archive.Archive(original)


def members(original: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields all members of a CHARX archive but the card itself; nothing for another file."""
    if original.startswith(pictures.SIGNATURE) or not archive.is_archive(original):
        return
    opened = archive.Archive(original)
    for name in opened.names():
        if name != CARD_JSON:
            yield name, opened.read(name)


def embedded(original: bytes) -> dict[str, bytes]:
    """Returns path and content of every asset in a file of any kind."""
    if not original.startswith(pictures.SIGNATURE):
        return {name: body for name, body in members(original) if name.startswith("assets/")}
    files = {}
    for chunk in pictures.chunks(original):
        word = pictures.keyword(original, chunk)
        prefix = next((prefix for prefix in _CHUNKS if word.startswith(prefix)), "")
        if prefix:
            start = chunk.start + len(word) + 1
            path = original[chunk.start : chunk.start + len(word)].decode("latin-1")[len(prefix) :]
            files[path] = _decoded(original[start : chunk.end])
    return files


def _decoded(body: bytes) -> bytes:
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ImportFileError("an asset in the PNG is damaged: it is no base64 text") from error


def in_png(path: str) -> str:
    return path


def in_charx(path: str) -> str:
    """Returns where an asset of a PNG goes in an archive."""
    safe = "".join(
        sign if sign.isascii() and (sign.isalnum() or sign in "._-") else "_" for sign in path
    )
    return path if path.startswith("assets/") else f"assets/other/image/{safe}"


def renamed(assets: object, files: Mapping[str, bytes], place: Callable[[str], str]) -> list[Any]:
    """Returns a card's list of assets with the addresses of another container."""
    prefix = _IN_PNG if place is in_png else EMBEDDED
    result = []
    for item in objects(assets):
        path = path_of(text(item.get("uri")))
        result.append({**item, "uri": prefix + place(path)} if path in files else item)
    return result


def png_chunks(files: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    return ((f"{_CHUNKS[0]}{path}", base64.b64encode(body)) for path, body in files.items())


def main_icon(assets: object) -> str:
    """Returns the path of the picture of the card, "" without one in the file."""
    icons = [item for item in objects(assets) if item.get("type") == "icon"]
    icons.sort(key=lambda item: item.get("name") != "main")
    return next((path for item in icons if (path := path_of(text(item.get("uri"))))), "")


def has_icon(assets: object) -> bool:
    return bool(main_icon(assets))


def icon(picture: bytes) -> dict[str, str]:
    """Returns the entry for a picture that becomes a card's icon."""
    extension = next((name for start, name in _PICTURES if picture.startswith(start)), "png")
    path = f"assets/icon/images/main.{extension}"
    return {"type": "icon", "uri": EMBEDDED + path, "name": "main", "ext": extension}
