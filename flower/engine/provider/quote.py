"""Foreign text made fit to be quoted in a sentence for the user.

Pure. What comes out is one line, bounded, printable, without markup and without keys.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from flower import limits
from flower.text import one_line


def excerpt(data: bytes | str) -> str:
    """Returns the beginning of a body as plain text on one line; HTML tags are taken out."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    text = text[: 16 * limits.KIB]
    text = re.sub(r"(?is)<(script|style)\b.*?(</\1>|$)", " ", text)
    text = re.sub(r"<[^<>]{1,500}>", " ", text)
    return clean(text)


def clean(text: str, secrets: Collection[str] = ()) -> str:
    """Returns ``text`` fit to be quoted: one line, bounded, printable, without the given secrets."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return one_line("".join(c if c.isprintable() else " " for c in text), limits.ERROR_TEXT_CHARS)
