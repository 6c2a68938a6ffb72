"""Dates of chats, in every form that programs have written them, as Unix seconds, and back.

A date without a zone is taken as UTC: the file does not say where it was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from flower.engine.interchange.fields import seconds

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


def parse(value: object) -> float | None:
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
    found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
