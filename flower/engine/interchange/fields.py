"""Values of files as the types they should have had.

Real files hold a text where a list belongs, a number as a text and null anywhere. Each function takes
whatever is there and returns its type; nothing raises. Texts lose what terminals obey.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flower.text import sanitize

MOST_SECONDS = 253_402_300_799.0  # the end of the year 9999


def text(value: object) -> str:
    """Returns a text; lists become lines, objects nothing."""
    if isinstance(value, str):
        return sanitize(value)
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "\n".join(part for part in map(text, value) if part)
    return ""


def first_text(source: Mapping[str, object], *keys: str) -> str:
    """Returns the first text that is not empty among ``keys``."""
    return next((found for key in keys if (found := text(source.get(key)))), "")


def texts(value: object) -> tuple[str, ...]:
    """Returns a list of texts without its empty ones; a single text is a list of one."""
    parts = value if isinstance(value, list) else [value]
    return tuple(found for part in parts if (found := text(part)).strip())


def words(value: object) -> tuple[str, ...]:
    """Returns a list of words or short phrases; in a single text commas are between them."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(found for part in parts if (found := text(part).strip()))


def number(value: object) -> float | None:
    """Returns a number, also one written as a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return None
    if not isinstance(value, int | float):
        return None
    try:
        figure = float(value)
    except OverflowError:
        return None
    return figure if math.isfinite(figure) else None


def whole(value: object, least: int = -(2**31), most: int = 2**31) -> int | None:
    """Returns a whole number, kept between two bounds; None for anything that is no number."""
    figure = number(value)
    return None if figure is None else int(min(max(figure, least), most))


def seconds(value: object) -> float | None:
    """Returns Unix seconds of a number in seconds or milliseconds; None for zero, which means hidden."""
    figure = number(value)
    if figure is None or figure <= 0:
        return None
    figure = figure / 1000 if figure > 1e11 else figure
    return figure if figure <= MOST_SECONDS else None


def flag(value: object, default: bool = False) -> bool:
    """Returns a switch; numbers and the texts "true" and "false" count too."""
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}.get(value.strip().lower(), default)
    return bool(value) if isinstance(value, bool | int | float) else default


def flag_or_none(value: object) -> bool | None:
    return flag(value) if isinstance(value, bool | int | float) else None


def mapping(value: object) -> dict[str, Any]:
    """Returns an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> Iterator[dict[str, Any]]:
    """Yields the objects in a list, or among the values of an object."""
    parts: Sequence[object] = (
        list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    )
    return (part for part in parts if isinstance(part, dict))
