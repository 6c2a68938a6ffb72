"""What macros stand for: names, texts, times. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from math import floor

from msgspec import Struct

NO_DATE = "Invalid date"
MACRO_FORMAT_CHARS = 100  # of a date's form

NOBODY = "the player"  # whom {{user}} means without a persona

# How many arguments macros take at least and at most; with any other number they are none. Those that take one
# may be a block, {{trim}}...{{/trim}}: what is in it is the last argument.
_ONE, _TWO = (1, 1), (2, 2)
ARGUMENTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("noop", "else"), (0, 0)),
    **dict.fromkeys(("trim", "newline", "space", "time", "charfirstmessage", "greeting"), (0, 1)),
    **dict.fromkeys(("reverse", "upper", "lower", "capitalize", "roll", "outlet", "banned"), _ONE),
    **dict.fromkeys(("datetimeformat", "varexists", "globalvarexists"), _ONE),
    **{f"{verb}{kind}": _TWO for verb in ("set", "add") for kind in ("var", "globalvar")},
    **{
        f"{verb}{kind}": _ONE
        for verb in ("get", "has", "inc", "dec", "delete", "flush")
        for kind in ("var", "globalvar")
    },
    "timediff": _TWO,
    "if": (1, 2),
    **dict.fromkeys(("random", "pick", "comment", "//"), (0, 1_000_000)),
}

_UTC = re.compile(r"utc([+-]\d{1,3})", re.IGNORECASE)
_HOURS = 16  # a larger offset is in minutes
_FORMAT = re.compile(
    r"\[([^\[\]]*)\]|LTS|LT|LLLL|LLL|LL|L|YYYY|YY|MMMM|MMM|MM|M|Do|DD|D|dddd|ddd|HH|H|hh|h|kk|k|mm|m|ss|SSS|s"
    r"|ZZ|Z|A|a"
)
_LOCAL = {
    "LT": "h:mm A",
    "LTS": "h:mm:ss A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
}
# How lengths of time are written: the unit in seconds, from how many on the next one is used, and what one is called.
# A year has 365.2425 days, a month is a twelfth of it.
_YEAR = 365.2425 * 86_400
_SPANS = (
    (60.0, 45, "minute", "a minute"),
    (3_600.0, 22, "hour", "an hour"),
    (86_400.0, 26, "day", "a day"),
    (_YEAR / 12, 11, "month", "a month"),
    (_YEAR, 1_000_000, "year", "a year"),
)
_FEW_SECONDS = 45
_TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %I:%M %p")
_DATES = ("%Y/%m/%d", "%m/%d/%Y", "%B %d, %Y", "%b %d, %Y", "%d %B %Y", "%d %b %Y")


class Values(Struct, frozen=True):
    """What macros stand for. ``seed`` is chance for ``random`` and ``roll``; ``story_seed`` for ``pick``.

    The last messages and the idle time, in seconds, are known only where a text is written anew with every
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
    personality: str = ""
    char_prompt: str = ""
    char_instruction: str = ""
    depth_prompt: str = ""
    creator_notes: str = ""
    char_version: str = ""
    examples: str = ""
    greetings: tuple[str, ...] = ()
    original: str | None = None  # what a text replaces
    box: str = ""  # what the player is typing
    last_swipe_id: str = ""
    current_swipe_id: str = ""
    outlets: Mapping[str, str] = {}  # texts of lorebooks that are given only where they are asked for


# Of programs that have more of these than we do; a prompt is better without their names.
ELSEWHERE = (
    "summary",
    "firstincludedmessageid",
    "firstdisplayedmessageid",
    "maxprompt",
    "maxprompttokens",
    "maxcontext",
    "maxcontexttokens",
    "maxresponse",
    "maxresponsetokens",
    "lastgenerationtype",
    "authorsnote",
    "charauthorsnote",
    "defaultauthorsnote",
    "systemprompt",
    "defaultsystemprompt",
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
    "chardescription": lambda v: v.description,
    "personality": lambda v: v.personality,
    "charpersonality": lambda v: v.personality,
    "scenario": lambda v: v.scenario,
    "charscenario": lambda v: v.scenario,
    "charprompt": lambda v: v.char_prompt,
    "charinstruction": lambda v: v.char_instruction,
    "chardepthprompt": lambda v: v.depth_prompt,
    "charcreatornotes": lambda v: v.creator_notes,
    "creatornotes": lambda v: v.creator_notes,
    "charversion": lambda v: v.char_version,
    "char_version": lambda v: v.char_version,
    "version": lambda v: v.char_version,
    "mesexamples": lambda v: example_blocks(v.examples),
    "mesexamplesraw": lambda v: v.examples,
    "charfirstmessage": lambda v: v.greetings[0] if v.greetings else "",
    "greeting": lambda v: v.greetings[0] if v.greetings else "",
    "input": lambda v: v.box,
    "lastswipeid": lambda v: v.last_swipe_id,
    "currentswipeid": lambda v: v.current_swipe_id,
    "world": lambda v: v.world,
    "model": lambda v: v.model,
    "date": lambda v: f"{v.moment:%B} {v.moment.day}, {v.moment.year}",
    "time": lambda v: _clock(v.moment),
    "weekday": lambda v: f"{v.moment:%A}",
    "isotime": lambda v: f"{v.moment:%H:%M}",
    "isodate": lambda v: f"{v.moment:%Y-%m-%d}",
    "lastmessage": lambda v: v.last_message,
    "lastmessageid": lambda v: v.last_message_id,
    "lastusermessage": lambda v: v.last_user_message,
    "lastcharmessage": lambda v: v.last_char_message,
    "idleduration": lambda v: span(v.idle_s) if v.last_message_id else "just now",
    "idle_duration": lambda v: span(v.idle_s) if v.last_message_id else "just now",
    "allchatrange": lambda v: f"0-{v.last_message_id}" if v.last_message_id else "",
    **dict.fromkeys(ELSEWHERE, lambda v: ""),
}


def angle(name: str, values: Values) -> str:
    """Returns what ``<USER>`` and its kin, of older cards, stand for."""
    return PLAIN["char" if name == "bot" else name](values)


def timed(name: str, argument: str, values: Values) -> str | None:
    """Returns the value of a macro about time, None for any other."""
    if name == "time":
        return _clock(_shifted(values.moment, argument))
    if name.startswith("time_utc") and not argument and _UTC.fullmatch(name.removeprefix("time_")):
        return _clock(_shifted(values.moment, name.removeprefix("time_")))
    if name == "datetimeformat" and 0 < len(argument) <= MACRO_FORMAT_CHARS:
        return formatted(argument, values.moment)
    if name == "timediff":
        first, _, second = argument.partition("::")
        a, b = _moment(first, values.moment), _moment(second, values.moment)
        return _apart((a - b).total_seconds()) if a is not None and b is not None else NO_DATE
    return None


def span(seconds: float) -> str:
    """Returns a length of time in words, like ``3 days``."""
    if _rounded(seconds) < _FEW_SECONDS:
        return "a few seconds"
    number, word, one = next(
        (number, word, one)
        for unit, below, word, one in _SPANS
        if (number := _rounded(seconds / unit)) < below
    )
    return one if number <= 1 else f"{number} {word}s"


def _rounded(value: float) -> int:
    return floor(value + 0.5)


def _apart(seconds: float) -> str:
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"


def example_blocks(text: str) -> str:
    """Returns the examples of a card as other programs give them: each after a line of stars."""
    blocks = [block.strip() for block in re.split(r"<START>", text, flags=re.IGNORECASE)]
    return "".join(f"***\n{block}\n" for block in blocks if block)


def _others(values: Values) -> str:
    names = [name for name in values.group.split(", ") if name and name != values.char]
    return ", ".join((*names, values.user))


def _shifted(moment: datetime, zone: str) -> datetime:
    """Returns the moment in a zone like ``UTC+2``, as it is in any other."""
    match = _UTC.fullmatch(zone.strip())
    if match is None:
        return moment
    offset = int(match[1])
    minutes = offset * 60 if abs(offset) < _HOURS else offset
    return moment.astimezone(timezone(timedelta(minutes=minutes)))


def _clock(moment: datetime) -> str:
    return f"{moment.hour % 12 or 12}:{moment:%M %p}"


def formatted(form: str, moment: datetime) -> str:
    """Returns a moment in the form that other programs write (``YYYY-MM-DD``, ``LT``)."""
    return _FORMAT.sub(lambda token: _formatted(token, moment), form)


def _moment(text: str, now: datetime) -> datetime | None:
    """Returns the moment that a text names, in ISO form or one of a few others."""
    text = text.strip()[:MACRO_FORMAT_CHARS]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        forms = [date + time for date in _DATES for time in _TIMES_OF_DAY]
        local = next((one for form in forms if (one := _in_form(text, form)) is not None), None)
        if local is None:
            return None
        moment = local
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


def _in_form(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def _formatted(token: re.Match[str], moment: datetime) -> str:
    """Returns one token of a format as other programs write them (``YYYY-MM-DD``); brackets quote."""
    if token[1] is not None:
        return token[1]
    if token[0] in _LOCAL:
        return formatted(_LOCAL[token[0]], moment)
    twelve = moment.hour % 12 or 12
    zone = f"{moment:%z}"[:5] or "+0000"
    parts = {
        "YYYY": f"{moment.year:04}",
        "YY": f"{moment:%y}",
        "MMMM": f"{moment:%B}",
        "MMM": f"{moment:%b}",
        "MM": f"{moment:%m}",
        "M": str(moment.month),
        "Do": f"{moment.day}{_ending(moment.day)}",
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
        "kk": f"{moment.hour or 24:02}",
        "k": str(moment.hour or 24),
        "SSS": f"{moment.microsecond // 1000:03}",
        "ZZ": zone,
        "Z": f"{zone[:3]}:{zone[3:]}",
        "A": f"{moment:%p}",
        "a": f"{moment:%p}".lower(),
    }
    return parts[token[0]]


def _ending(day: int) -> str:
    return "th" if 10 < day < 14 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
