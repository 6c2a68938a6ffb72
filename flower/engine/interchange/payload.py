"""A card's object out of the text that a picture carries: JSON, base64 of JSON, or byte numbers. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from flower.engine.interchange import json_text
from flower.errors import ImportFileError

_SPACE = re.compile(rb"\s+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")  # some writers use the signs for addresses
_NUMBERS = re.compile(rb"[0-9, ]+")


def read(text: bytes) -> dict[str, Any]:
    """Returns the object in a text. Raises ``ImportFileError``."""
    value = json_text.parse(json_text.decode(_json(text.rstrip(b"\0").strip())))
    if not isinstance(value, dict):
        raise ImportFileError("the text in the picture is no character card")
    return value


def _json(text: bytes) -> bytes:
    if text.startswith((b"{", b"[")):
        return text
    if b"," in text[:8] and _NUMBERS.fullmatch(text):  # a WebP writer of 2023 listed the bytes
        return bytes(
            int(part) & 255 for part in text.replace(b" ", b"").split(b",") if len(part) in (1, 2, 3)
        )
    packed = _SPACE.sub(b"", text).translate(_URL_SAFE).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except binascii.Error as error:
        raise ImportFileError("the card in the picture is damaged: it is no base64 text") from error


def pack(value: object) -> bytes:
    """Returns base64 of JSON in UTF-8, as ``chara`` and ``ccv3`` chunks hold it."""
    return base64.b64encode(json_text.compact(value).encode())
