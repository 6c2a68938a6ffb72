"""Values in columns: MessagePack, deflated where that pays. Pure."""

from __future__ import annotations

import zlib
from typing import TypeVar

import msgspec
from msgspec import Struct

from flower.errors import StoreError

T = TypeVar("T", bound=Struct)

_PLAIN, _DEFLATED = b"\0", b"\1"
_SMALL = 200  # bytes; below it deflating gains nothing
_LEVEL = 6


def pack(value: Struct) -> bytes:
    """Returns ``value`` as bytes for a column."""
    data = msgspec.msgpack.encode(value)
    return _PLAIN + data if len(data) < _SMALL else _DEFLATED + zlib.compress(data, _LEVEL)


def unpack(packed: bytes, kind: type[T]) -> T:
    """Returns the value of ``kind`` in ``packed``. Raises ``StoreError`` if that is damaged."""
    try:
        data = packed[1:] if packed[:1] == _PLAIN else zlib.decompress(packed[1:])
        return msgspec.msgpack.decode(data, type=kind)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise StoreError(f"a stored {kind.__name__.lower()} is damaged ({error})") from error
