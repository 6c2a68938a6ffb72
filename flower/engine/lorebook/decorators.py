"""Decorators: the ``@@name value`` lines with which the content of an entry may begin. Pure.

Form and meaning follow the V3 card specification (kwaroran/character-card-spec-v3, SPEC_V3.md). Lines
that count tokens of a text-completion prompt (``@@instruct_depth`` and its kin) are not understood here:
as with any unknown decorator the ``@@@`` lines below them are tried instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct, structs

from flower.engine.lorebook.book import Role

__all__ = ["NONE", "Decorators", "parse", "parse_recorded", "split_hidden_keys"]

PLACES = ("after_desc", "before_desc", "personality", "scenario")
_DIGITS = 9


class Decorators(Struct, frozen=True):
    """What the decorators of one entry ask for; ``None`` and empty: nothing."""

    activate: bool = False
    dont_activate: bool = False
    activate_only_after: int | None = None  # replies of the character
    activate_only_every: int | None = None
    keep_activate_after_match: bool = False
    dont_activate_after_match: bool = False
    depth: int | None = None
    reverse_depth: int | None = None  # messages from the beginning
    role: Role | None = None
    scan_depth: int | None = None
    is_greeting: int | None = None  # 0 = the first message, 1.. = its alternates
    position: str | None = None  # one of PLACES
    ignore_on_max_context: bool = False
    additional_keys: tuple[tuple[str, ...], ...] = ()  # one of each must be found too
    exclude_keys: tuple[str, ...] = ()
    is_user_icon: str | None = None
    disable_ui_prompt: tuple[str, ...] = ()


NONE = Decorators()
_ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}


def parse(content: str) -> tuple[Decorators, str]:
    """Returns the decorators of a content and the text below them. Never raises.

    A fallback line (``@@@``) counts only below a decorator that is unknown or has a value it cannot
    have. The first of a name wins. Empty lines below the decorators belong to the text.
    """
    if not content.startswith("@@"):
        return NONE, content
    values: dict[str, object] = {}
    failed = False
    rest = content
    while rest.startswith("@@"):
        line, _, rest = rest.partition("\n")
        fallback = line.startswith("@@@")
        if not fallback or failed:
            failed = not _take(line.rstrip("\r").lstrip("@"), values)
    return structs.replace(NONE, **values), rest


def parse_recorded(content: str) -> tuple[Decorators, str]:
    """Returns what ``parse`` does, by the habits of SillyTavern 1.18: it obeys two decorators and cuts the
    others; a content of nothing but such lines stays as it is, and a Windows line end spoils its line."""
    if not content.startswith("@@"):
        return NONE, content
    lines = content.split("\n")
    text_at = next((at for at, line in enumerate(lines) if not line.startswith("@@")), 0)
    obeyed: set[str] = set()
    failed = False
    for line in lines[:text_at] if text_at else lines:
        fallback = line.startswith("@@@")
        if not line.startswith("@@") or (fallback and not failed):
            continue
        name = line[1:] if fallback else line
        failed = not name.startswith(("@@activate", "@@dont_activate"))
        obeyed.add(name)
    decorators = Decorators(activate="@@activate" in obeyed, dont_activate="@@dont_activate" in obeyed)
    return decorators, "\n".join(lines[text_at:])


def _take(line: str, values: dict[str, object]) -> bool:
    """Returns whether a line is understood; its value is then in ``values``."""
    name, _, written = line.partition(" ")
    reader = _READERS.get(name)
    if reader is None:
        return False
    value = reader(written.strip())
    if value is None:
        return False
    if name == "additional_keys":
        names = values.get(name, ())
        assert isinstance(names, tuple)
        values[name] = (*names, value)
    else:
        values.setdefault(name, value)
    return True


def _flag(written: str) -> bool | None:
    return True if not written else None


def _number(written: str) -> int | None:
    digits = written.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > _DIGITS:
        return None
    return int(written)


def _count(written: str) -> int | None:
    number = _number(written)
    return number if number is not None and number > 0 else None


def _role(written: str) -> Role | None:
    return _ROLES.get(written)


def _place(written: str) -> str | None:
    return written if written in PLACES else None


def _name(written: str) -> str | None:
    return written or None


def _names(written: str) -> tuple[str, ...] | None:
    """Returns the parts between commas, of which ``\\,`` is none."""
    parts = written.replace("\\,", "\0").split(",")
    names = tuple(part.replace("\0", ",").strip() for part in parts)
    return tuple(name for name in names if name) or None


_READERS: Mapping[str, Callable[[str], object]] = {
    "activate": _flag,
    "dont_activate": _flag,
    "activate_only_after": _number,
    "activate_only_every": _count,
    "keep_activate_after_match": _flag,
    "dont_activate_after_match": _flag,
    "depth": _number,
    "reverse_depth": _number,
    "role": _role,
    "scan_depth": _number,
    "is_greeting": _number,
    "position": _place,
    "ignore_on_max_context": _flag,
    "additional_keys": _names,
    "exclude_keys": _names,
    "is_user_icon": _name,
    "disable_ui_prompt": _names,
}


# --- ``{{hidden_key: words}}`` in a content: left out, but read by other entries (V3)

_HIDDEN_KEY = re.compile(r"\{\{\s{0,9}hidden_key\s{0,9}:", re.IGNORECASE)


def split_hidden_keys(content: str) -> tuple[str, list[str]]:
    """Returns the content without its hidden keys, and these."""
    match = _HIDDEN_KEY.search(content)
    if match is None:
        return content, []
    pieces: list[str] = []
    hidden: list[str] = []
    at = 0
    while match is not None:
        end = content.find("}}", match.end())
        if end < 0:
            break
        pieces.append(content[at : match.start()])
        hidden.append(content[match.end() : end].strip())
        at = end + 2
        match = _HIDDEN_KEY.search(content, at)
    return "".join((*pieces, content[at:])), hidden
