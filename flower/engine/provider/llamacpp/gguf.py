"""What the head of a GGUF file tells about the model, and what fits into this machine.

Reads a stream or, in ``problem_of``, the head of a file. Format: ggml docs/gguf.md, versions 2 and 3: magic, counts,
then typed key-value pairs. Never reads the weights.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from flower import file_io, limits

LOCAL_CONTEXT_TOKENS = 8192  # more costs memory and, on a Pi, minutes of reading
LOCAL_CONTEXT_MIN_TOKENS = 1024  # below it no story can be played
LOCAL_THREADS_MAX = 8  # generation is bound by memory bandwidth long before that
GGUF_HEADER_BYTES = 32 * limits.MIB  # token lists come before the chat template
GGUF_ENTRIES = 4_096

_MAGIC = b"GGUF"
_STRING, _ARRAY = 8, 9
_FORMATS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_KEPT_ARRAY = 4_096  # per-layer figures are kept, token lists are not
_PEEK_BYTES = 512  # tell a web page or a pointer from a model
_KEY_BYTES = 65_535


class Header(Struct, frozen=True):
    """The figures that matter here; 0 where a file does not tell."""

    architecture: str = ""
    name: str = ""
    context_tokens: int = 0
    layers: int = 0
    kv_bytes_per_token: int = 0
    has_template: bool = False


class LoadPlan(Struct, frozen=True):
    """How a model is run. ``needs_bytes``: memory with this context, weights included."""

    context_tokens: int
    threads: int
    needs_bytes: int


def read_header(stream: BinaryIO, *, whole: bool = False) -> Header:
    """Returns the header; raises ``ValueError`` with a reason when the stream is no GGUF file.

    ``whole`` False stops before the token lists, which come first in most files and tell only whether
    there is a chat template.
    """
    reader = _Reader(stream)
    if reader.bytes(4) != _MAGIC:
        raise ValueError("it is no GGUF file")
    version = reader.number("I")
    if version not in (2, 3):
        raise ValueError(f"GGUF version {version} is not supported")
    reader.number("Q")  # tensors
    entries = min(reader.number("Q"), GGUF_ENTRIES)
    values: dict[str, Any] = {}
    for _ in range(entries):
        key = reader.text(_KEY_BYTES)
        if key.startswith("tokenizer.") and not whole:
            break
        values[key] = reader.value(reader.number("I"))
    return _header(values)


def problem_of(path: Path) -> str:
    """Returns why a file is no model, a clause; "" for one that may be. Raises ``OSError``."""
    with file_io.opened(path) as stream:
        head = stream.read(_PEEK_BYTES)
        if not head:
            return "it is empty; the download failed, fetch it again"
        if head.lstrip()[:1] == b"<":
            return "it is a web page, not a model; take the link behind Download"
        if head.startswith(b"version https://git-lfs"):
            return "it only says where the model is (a Git LFS pointer); fetch the file itself"
        if not head.startswith(_MAGIC):
            return "it is no GGUF file"
        stream.seek(0)
        try:
            read_header(stream)
        except ValueError as error:
            return f"{error}; fetch it again"
    return ""


def plan(header: Header, size_bytes: int, memory_bytes: int, cores: int) -> LoadPlan:
    """Returns the longest useful context that fits beside the weights, at least the minimum.

    The caller compares ``needs_bytes`` with what is free: a plan is also made for what does not fit.
    """
    room = memory_bytes - limits.LOCAL_RESERVE_BYTES - limits.LOCAL_OVERHEAD_BYTES - size_bytes
    fits = room // header.kv_bytes_per_token if header.kv_bytes_per_token else LOCAL_CONTEXT_TOKENS
    trained = header.context_tokens or LOCAL_CONTEXT_TOKENS
    tokens = min(fits, trained, LOCAL_CONTEXT_TOKENS)
    tokens = max(tokens // 256 * 256, LOCAL_CONTEXT_MIN_TOKENS)
    needs = size_bytes + limits.LOCAL_OVERHEAD_BYTES + tokens * header.kv_bytes_per_token
    # One core stays free: llama.cpp's threads wait for each other by spinning, and a single one that
    # has to share its core makes all of them slow (measured: 2 s per token instead of 0.02 s).
    threads = max(1, min(cores - 1, LOCAL_THREADS_MAX))
    return LoadPlan(tokens, threads, needs)


def template_for(header: Header) -> str:
    """Returns the name of a built-in chat template for a file that brings none; "" if it brings one."""
    if header.has_template:
        return ""
    return "gemma" if header.architecture.startswith("gemma") else "chatml"


def model_name(filename: str) -> str:
    """Returns the model's id for a file name; "" for files that are no model by themselves.

    Those are projectors for images (``mmproj``) and all but the first part of a split model.
    """
    stem = filename.removesuffix(".gguf")
    part = re.search(r"-(\d{5})-of-(\d{5})$", stem)
    if "mmproj" in stem.lower() or (part and part[1] != "00001"):
        return ""
    return stem[: part.start()] if part else stem


def _header(values: dict[str, Any]) -> Header:
    architecture = str(values.get("general.architecture", ""))

    def figure(name: str) -> int:
        return _largest(values.get(f"{architecture}.{name}"))

    heads = figure("attention.head_count")
    kv_heads = figure("attention.head_count_kv") or heads
    width = figure("embedding_length") // heads if heads else 0
    key, value = figure("attention.key_length") or width, figure("attention.value_length") or width
    layers = figure("block_count")
    return Header(
        architecture=architecture,
        name=str(values.get("general.name", "")),
        context_tokens=figure("context_length"),
        layers=layers,
        kv_bytes_per_token=layers * kv_heads * (key + value) * 2,  # half precision
        has_template="tokenizer.chat_template" in values,
    )


def _largest(value: object) -> int:
    if isinstance(value, list):  # per layer
        return max((v for v in value if isinstance(v, int)), default=0)
    return int(value) if isinstance(value, int | float) else 0


class _Reader:
    """Bounded reads; raises ``ValueError`` at the end of the stream or beyond the limit."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = GGUF_HEADER_BYTES

    def bytes(self, count: int) -> bytes:
        self._take(count)
        data = self._stream.read(count)
        if len(data) != count:
            raise ValueError("the file is cut off")
        return data

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.bytes(struct.calcsize(code)))[0]

    def text(self, max_bytes: int) -> str:
        length = self.number("Q")
        if length > max_bytes:
            raise ValueError("the file is damaged")
        return self.bytes(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text(self._left)
        if kind == _ARRAY:
            return self._array(self.number("I"), self.number("Q"))
        if kind not in _FORMATS:
            raise ValueError("the file is damaged")
        return self.number(_FORMATS[kind])

    def _array(self, kind: int, count: int) -> list[Any]:
        if count > self._left:
            raise ValueError("the file is damaged")
        if kind in _FORMATS:
            width = struct.calcsize(_FORMATS[kind])
            if count > _KEPT_ARRAY:
                self._skip(count * width)
                return []
            return list(struct.unpack(f"<{count}{_FORMATS[kind]}", self.bytes(count * width)))
        for _ in range(count):
            if kind == _STRING:
                self._skip(self.number("Q"))
            else:
                self.value(kind)
        return []

    def _skip(self, count: int) -> None:
        self._take(count)
        self._stream.seek(count, 1)

    def _take(self, count: int) -> None:
        if count > self._left:
            raise ValueError("its header is too long")
        self._left -= count
