"""What macros stand for: names, texts, times. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone

from msgspec import Struct

MACRO_FORMAT_CHARS = 100  # of a date's form

NOBODY = "the player"  # whom {{user}} means without a persona

_UTC = re.compile(r"utc\s{0,9}([+-]\d{1,2})", re.IGNORECASE)
_FORMAT = re.compile(r"\[([^\[\]]*)\]|YYYY|YY|MMMM|MMM|MM|M|DD|D|dddd|ddd|HH|H|hh|h|mm|m|ss|s|A|a")
_SPANS = (
    (365 * 86_400, "year"),
    (30 * 86_400, "month"),
    (86_400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


class Values(Struct, frozen=True):
    """What macros stand for. ``seed`` is chance for ``random`` and ``roll``; ``story_seed`` for ``pick``.

    The last messages and the idle time, in seconds, are known only where a text is told anew with every
    line; elsewhere they are empty, or a prompt's beginning would change. ``variables`` are by name in
    small letters; those named in ``sheet`` come from the state sheet.
    """

    moment: datetime  # with a time zone
    story_seed: str
    seed: str
    user: str = NOBODY
    char: str = "the narrator"
    persona: str = ""
    description: str = ""  # of the character
    scenario: str = ""
    world: str = ""
    group: str = ""
    model: str = ""
    variables: Mapping[str, str] = {}
    sheet: frozenset[str] = frozenset()
    last_message: str = ""
    last_message_id: str = ""
    last_user_message: str = ""
    last_char_message: str = ""
    idle_s: float = 0.0
    outlets: Mapping[str, str] = {}  # texts of lorebooks that are told only where they are asked for


# Of cards and programs that have more fields than ours; a prompt is better without their names.
_ELSEWHERE = (
    "personality",
    "charprompt",
    "charinstruction",
    "chardepthprompt",
    "charcreatornotes",
    "charversion",
    "mesexamples",
    "mesexamplesraw",
    "charfirstmessage",
    "original",
    "summary",
    "input",
    "firstincludedmessageid",
    "lastswipeid",
    "currentswipeid",
    "maxprompt",
    "maxcontexttokens",
    "maxresponsetokens",
    "lastgenerationtype",
    "authorsnote",
    "systemprompt",
)
PLAIN: dict[str, Callable[[Values], str]] = {
    "user": lambda v: v.user,
    "char": lambda v: v.char,
    "charifnotgroup": lambda v: v.group or v.char,
    "group": lambda v: v.group or v.char,
    "groupnotmuted": lambda v: v.group or v.char,
    "notchar": lambda v: _others(v),
    "persona": lambda v: v.persona,
    "description": lambda v: v.description,
    "scenario": lambda v: v.scenario,
    "world": lambda v: v.world,
    "model": lambda v: v.model,
    "date": lambda v: f"{v.moment.day} {v.moment:%B %Y}",
    "weekday": lambda v: f"{v.moment:%A}",
    "isotime": lambda v: f"{v.moment:%H:%M}",
    "isodate": lambda v: f"{v.moment:%Y-%m-%d}",
    "lastmessage": lambda v: v.last_message,
    "lastmessageid": lambda v: v.last_message_id,
    "lastusermessage": lambda v: v.last_user_message,
    "lastcharmessage": lambda v: v.last_char_message,
    "idleduration": lambda v: span(v.idle_s),
    "idle_duration": lambda v: span(v.idle_s),
    **dict.fromkeys(_ELSEWHERE, lambda v: ""),
}


def angle(name: str, values: Values) -> str:
    """Returns what ``<USER>`` and its kin, of older cards, stand for."""
    return PLAIN["char" if name == "bot" else name](values)


def timed(name: str, argument: str, values: Values) -> str | None:
    """Returns the value of a macro about time, None for any other."""
    if name == "time" or name.startswith("time_utc"):
        return _time(values.moment, argument if name == "time" else name)
    if name == "datetimeformat" and 0 < len(argument) <= MACRO_FORMAT_CHARS:
        return _FORMAT.sub(lambda found: _formatted(found, values.moment), argument)
    if name == "timediff":
        first, _, second = argument.partition("::")
        a, b = _moment(first, values.moment), _moment(second, values.moment)
        return span(abs((a - b).total_seconds())) if a is not None and b is not None else ""
    return None


def span(seconds: float) -> str:
    """Returns a length of time in words, like ``3 days``."""
    for size, word in _SPANS:
        count = int(seconds // size)
        if count:
            return f"{count} {word}{'s' if count > 1 else ''}"
    return "a few seconds"


def _others(values: Values) -> str:
    names = [name for name in values.group.split(", ") if name and name != values.char]
    return ", ".join((*names, values.user))


def _time(moment: datetime, zone: str) -> str | None:
    if zone:
        found = _UTC.search(zone)
        if found is None:
            return None
        hours = max(-23, min(int(found[1]), 23))
        moment = moment.astimezone(timezone(timedelta(hours=hours)))
    return f"{moment:%H:%M}"


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)


def _formatted(found: re.Match[str], moment: datetime) -> str:
    """Returns one token of a format as other programs write them (``YYYY-MM-DD``); brackets quote."""
    if found[1] is not None:
        return found[1]
    twelve = moment.hour % 12 or 12
    parts = {
        "YYYY": f"{moment.year:04}",
        "YY": f"{moment:%y}",
        "MMMM": f"{moment:%B}",
        "MMM": f"{moment:%b}",
        "MM": f"{moment:%m}",
        "M": str(moment.month),
        "DD": f"{moment:%d}",
        "D": str(moment.day),
        "dddd": f"{moment:%A}",
        "ddd": f"{moment:%a}",
        "HH": f"{moment:%H}",
        "H": str(moment.hour),
        "hh": f"{twelve:02}",
        "h": str(twelve),
        "mm": f"{moment:%M}",
        "m": str(moment.minute),
        "ss": f"{moment:%S}",
        "s": str(moment.second),
        "A": f"{moment:%p}",
        "a": f"{moment:%p}".lower(),
    }
    return parts[found[0]]
