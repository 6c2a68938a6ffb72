"""Values of files as the types they should have had: texts, numbers, dates, names of other files. Pure.

Real files hold a text where a list belongs, a number as a text and null anywhere. Each function takes
whatever is there and returns its type; nothing raises. Texts lose what terminals obey. A date without a zone is taken
as UTC: the file does not say where it was written.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flower import limits
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
    return next((value for key in keys if (value := text(source.get(key)))), "")


def texts(value: object) -> tuple[str, ...]:
    """Returns a list of texts without its empty ones; a single text is a list of one."""
    parts = value if isinstance(value, list) else [value]
    return tuple(line for part in parts if (line := text(part)).strip())


def words(value: object) -> tuple[str, ...]:
    """Returns a list of words or short phrases; in a single text commas are between them."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(word for part in parts if (word := text(part).strip()))


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
    """Returns a yes or no; None for what is neither."""
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


# --- Dates of chats, in every form that programs have written them, as Unix seconds, and back


_DATE_CHARS = 64
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# "September 28, 2024 2:05pm"
_SPOKEN = re.compile(
    r"([A-Za-z]{3})[a-z]* +(\d{1,2}), +(\d{4}) +(\d{1,2}):(\d{2}) ?([ap]m)", re.IGNORECASE
)
# "2024-09-28@14h05m33s", "2023-5-1 @10h 11m 12s 13ms"
_FILE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2}) ?@(\d{1,2})h ?(\d{1,2})m ?(\d{1,2})s ?(?:(\d{1,3})ms)?", re.IGNORECASE
)


def date(value: object) -> float | None:
    """Returns Unix seconds; None for what is no date."""
    if not isinstance(value, str):
        return seconds(value)
    value = value.strip()
    if not value or len(value) > _DATE_CHARS:
        return None
    if value.isdigit():
        return seconds(value)
    for read in (_iso, _spoken, _file):
        moment = _tried(read, value)
        if moment is not None:
            return moment
    return None


def _tried(read: Callable[[str], datetime | None], value: str) -> float | None:
    try:
        moment = read(value)
        return moment.timestamp() if moment else None
    except (ValueError, OverflowError):  # the 31st of February, the year 0
        return None


def _iso(value: str) -> datetime | None:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _spoken(value: str) -> datetime | None:
    match = _SPOKEN.fullmatch(value)
    if not match or match[1].lower() not in _MONTHS:
        return None
    hour = int(match[4]) % 12 + (12 if match[6].lower() == "pm" else 0)
    month = _MONTHS.index(match[1].lower()) + 1
    return datetime(int(match[3]), month, int(match[2]), hour, int(match[5]), tzinfo=UTC)


def _file(value: str) -> datetime | None:
    match = _FILE.fullmatch(value)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    milliseconds = int(match[7] or 0)
    return datetime(year, month, day, hour, minute, second, milliseconds * 1000, tzinfo=UTC)


def iso(moment: float | None) -> str:
    """Returns a date as browsers write it, "" for none: 2026-11-28T01:06:08.486Z."""
    if moment is None:
        return ""
    moment_utc = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    return moment_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- The names by which files point to each other


# Of files that are imported. "Dr. Vole" has none of them, and a book may be called so.
ENDINGS = frozenset({
    "png", "apng", "webp", "jpg", "jpeg", "json", "jsonl", "charx", "byaf", "yaml", "yml", "lorebook",
    "scenario", "story", "zip", "txt",
})  # fmt: skip


def stem_of(name: str) -> str:
    """Returns a file's name without folders and ending, as other files point to it."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    ending = last.rpartition(".")[2].lower()
    stem = last[: -len(ending) - 1] if ending in ENDINGS and len(last) > len(ending) + 1 else last
    return unicodedata.normalize("NFC", sanitize(stem).replace("\n", " "))[: limits.NAME_CHARS]
