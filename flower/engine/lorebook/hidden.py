"""``{{hidden_key: words}}`` in a content: not told, but read by other entries (V3). Pure."""

from __future__ import annotations

import re

__all__ = ["split"]

_OPENING = re.compile(r"\{\{\s{0,9}hidden_key\s{0,9}:", re.IGNORECASE)


def split(content: str) -> tuple[str, list[str]]:
    """Returns the content without its hidden keys, and these."""
    found = _OPENING.search(content)
    if found is None:
        return content, []
    told: list[str] = []
    hidden: list[str] = []
    at = 0
    while found is not None:
        end = content.find("}}", found.end())
        if end < 0:
            break
        told.append(content[at : found.start()])
        hidden.append(content[found.end() : end].strip())
        at = end + 2
        found = _OPENING.search(content, at)
    return "".join((*told, content[at:])), hidden
