"""The state sheet: where and when the story is, what the player carries and has to do. Pure.

A sheet never changes; every change gives a new one and one line that says what changed. Commands of
the player and proposals of the narrator go through the same ``put``, so both obey the same bounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.errors import CommandError

SHEET_ENTRIES = 64  # things, counters, quests, flags of a story, each
SHEET_NUMBER = 1_000_000_000

SCENE = ("place", "time", "weather", "mood")  # fields that are words
SCENE_IN_PROMPT = ("place", "time", "weather", "light", "mood")  # light comes from the world alone
QUEST_STATES = ("open", "done", "failed")
NOTHING = ("", "-", "off", "none", "clear")
_RESERVED = {"inventory", "condition", "quest", "flag"}
_SYNONYMS = {"inv": "inventory", "items": "inventory", "conditions": "condition", "quests": "quest"}

_COUNT = re.compile(r"(?P<sign>[+-])?\s*(?P<number>\d{1,9})(?:\s*/\s*(?P<most>\d{1,9}))?")
_THINGS = re.compile(r"(?:(?P<count>\d{1,6}) ?x? )?(?P<name>.*\S)")
_KEY = re.compile(r"[^\W\d_][\w '-]*")

Value = TypeVar("Value")


class Counter(Struct, frozen=True, omit_defaults=True):
    """A number such as hit points; ``most`` 0: without an upper bound."""

    value: int
    most: int = 0

    @property
    def display_text(self) -> str:
        return f"{self.value}/{self.most}" if self.most else str(self.value)


class Sheet(Struct, frozen=True, omit_defaults=True):
    """What is true now. Names keep the case they were first given and are found in any case."""

    place: str = ""
    time: str = ""
    weather: str = ""
    mood: str = ""
    inventory: dict[str, int] = {}
    conditions: tuple[str, ...] = ()
    counters: dict[str, Counter] = {}
    quests: dict[str, str] = {}  # name -> open, done or failed
    flags: dict[str, str] = {}

    @property
    def skills(self) -> dict[str, int]:
        """The counters as bonuses for checks."""
        return {name: counter.value for name, counter in self.counters.items()}


def put(sheet: Sheet, key: str, value: str) -> tuple[Sheet, str]:
    """Returns the sheet with ``key`` set to ``value`` and a line that says so.

    ``place``, ``time``, ``weather`` and ``mood`` are words. ``inventory``, ``condition`` and ``quest``
    take ``+`` and ``-`` before the name. Any other key is a counter when the value is a number (``12``,
    ``12/20``, or ``+3`` and ``-3`` to change it) and else a flag. ``off`` clears. Raises
    ``CommandError`` when the key or the value cannot be used.
    """
    key, value = _name(key, "key").replace("_", " "), " ".join(value.split())
    kind = _SYNONYMS.get(key.lower(), key.lower())
    if kind in SCENE:
        return _scene(sheet, kind, value)
    if kind in _RESERVED and value.lower() in NOTHING:
        raise CommandError(f"{key.capitalize()} what? For example /set-state {kind} +lamp.")
    match kind:
        case "inventory":
            dropped, thing = _signed(value)
            return (lose if dropped else gain)(sheet, thing)
        case "condition":
            return _condition(sheet, *_signed(value))
        case "quest":
            name, _, state = value.rpartition("=")
            return quest(sheet, name or value, state.strip().lower() if name else "open")
        case "flag":
            name, _, word = value.partition("=")
            return _flag(sheet, name, word.strip() or "on")
    number = _COUNT.fullmatch(value)
    if number is not None:
        return _count(sheet, key, number)
    if value.lower() in NOTHING and _name_in(sheet.counters, key) is not None:
        counters = _without(sheet.counters, key)
        return replace(sheet, counters=counters), f"{key} is no longer counted"
    if not _KEY.fullmatch(key):
        raise CommandError(f"{key!r} is no name for a value; begin with a letter.")
    return _flag(sheet, key, value)


def gain(sheet: Sheet, things: str) -> tuple[Sheet, str]:
    """Returns the sheet with things taken up: ``lamp`` or ``3 torches``."""
    count, name = _counted(things)
    name = _name_in(sheet.inventory, name) or name
    most = SHEET_NUMBER
    inventory = _with(sheet.inventory, name, min(sheet.inventory.get(name, 0) + count, most))
    return replace(sheet, inventory=inventory), f"you have {_amount(name, inventory[name])}"


def lose(sheet: Sheet, things: str) -> tuple[Sheet, str]:
    """Returns the sheet with things given up; without a number all of them."""
    match = _THINGS.fullmatch(" ".join(things.split()))
    whole = match is not None and match["count"] is None
    count, name = _counted(things)
    item = _name_in(sheet.inventory, name)
    if item is None:
        carried = ", ".join(sheet.inventory) or "nothing"
        raise CommandError(f"You do not carry {name!r}; you carry {carried}.")
    left = 0 if whole else max(sheet.inventory[item] - count, 0)
    if not left:
        return replace(sheet, inventory=_without(sheet.inventory, item)), f"you no longer have {item}"
    inventory = _with(sheet.inventory, item, left)
    return replace(sheet, inventory=inventory), f"you have {_amount(item, left)} left"


def quest(sheet: Sheet, name: str, state: str) -> tuple[Sheet, str]:
    """Returns the sheet with a quest ``open``, ``done``, ``failed``, or with ``off`` forgotten."""
    name = _name(name, "quest")
    title = _name_in(sheet.quests, name)
    if state in NOTHING:
        if title is None:
            raise CommandError(f"There is no quest {name!r}.")
        return replace(sheet, quests=_without(sheet.quests, title)), f"quest forgotten: {title}"
    if state not in QUEST_STATES:
        raise CommandError(f"A quest is {', '.join(QUEST_STATES)} or off, not {state!r}.")
    if title is None and state != "open":
        raise CommandError(f"There is no quest {name!r}; /quest add {name} begins it.")
    name = title or name
    return replace(sheet, quests=_with(sheet.quests, name, state)), f"quest {state}: {name}"


def rows(sheet: Sheet) -> tuple[tuple[str, str], ...]:
    """Returns what the sheet holds as pairs of a name and a value, for a screen; empty parts are left out."""
    pairs = [(key, getattr(sheet, key)) for key in SCENE]
    pairs += [(name, counter.display_text) for name, counter in sheet.counters.items()]
    pairs.append(("conditions", ", ".join(sheet.conditions)))
    pairs.append(("inventory", ", ".join(_amount(n, c) for n, c in sheet.inventory.items())))
    pairs += [
        (f"quest, {state}" if state != "open" else "quest", n) for n, state in sheet.quests.items()
    ]
    pairs += list(sheet.flags.items())
    return tuple((name, value) for name, value in pairs if value)


def _scene(sheet: Sheet, kind: str, value: str) -> tuple[Sheet, str]:
    text = "" if value.lower() in NOTHING else _bounded(value, kind)
    return replace(sheet, **{kind: text}), f"{kind}: {text}" if text else f"{kind} is open again"


def _condition(sheet: Sheet, ends: bool, name: str) -> tuple[Sheet, str]:
    name = _name(name, "condition")
    others = tuple(c for c in sheet.conditions if c.casefold() != name.casefold())
    if ends:
        if others == sheet.conditions:
            raise CommandError(f"You are not {name}.")
        return replace(sheet, conditions=others), f"no longer {name}"
    if len(others) >= SHEET_ENTRIES:
        raise CommandError(f"A sheet holds {SHEET_ENTRIES} conditions; end one first.")
    return replace(sheet, conditions=(*others, name)), f"now {name}"


def _flag(sheet: Sheet, name: str, word: str) -> tuple[Sheet, str]:
    name = _name_in(sheet.flags, _name(name, "flag")) or _name(name, "flag")
    if word.lower() in NOTHING:
        if name not in sheet.flags:
            raise CommandError(f"Nothing is called {name!r} on this sheet.")
        return replace(sheet, flags=_without(sheet.flags, name)), f"{name} is cleared"
    return replace(sheet, flags=_with(sheet.flags, name, _bounded(word, name))), f"{name}: {word}"


def _count(sheet: Sheet, key: str, number: re.Match[str]) -> tuple[Sheet, str]:
    name = _name_in(sheet.counters, key) or key
    if not _KEY.fullmatch(name):
        raise CommandError(f"{name!r} is no name for a counter; begin with a letter.")
    old = sheet.counters.get(name, Counter(0))
    amount = int(number["number"])
    most = min(int(number["most"] or old.most), SHEET_NUMBER)
    value = {"+": old.value + amount, "-": old.value - amount}.get(number["sign"] or "", amount)
    if most:
        value = min(value, most)
    value = max(-SHEET_NUMBER, min(value, SHEET_NUMBER))
    new = Counter(value, most)
    before = f" (was {old.display_text})" if name in sheet.counters and old != new else ""
    return replace(
        sheet, counters=_with(sheet.counters, name, new)
    ), f"{name} is {new.display_text}{before}"


def _signed(value: str) -> tuple[bool, str]:
    """Returns whether something goes away, and its name."""
    return value.startswith("-"), value.lstrip("+- ")


def _counted(things: str) -> tuple[int, str]:
    match = _THINGS.fullmatch(" ".join(things.split()))
    if match is None:
        raise CommandError("Which thing? For example /inv add 3 torches.")
    return int(match["count"] or 1), _name(match["name"], "thing")


def _amount(name: str, count: int) -> str:
    return name if count == 1 else f"{count} {name}"


def _name(text: str, what: str) -> str:
    text = " ".join(text.split())
    if not text:
        raise CommandError(f"Which {what}? Write its name.")
    return _bounded(text, what)


def _bounded(text: str, what: str) -> str:
    if len(text) > limits.SHEET_TEXT_CHARS:
        raise CommandError(f"{what.capitalize()}: {limits.SHEET_TEXT_CHARS} characters are the most.")
    return text


def _name_in(entries: Mapping[str, object], name: str) -> str | None:
    """Returns the entry's own spelling of ``name``."""
    return next((key for key in entries if key.casefold() == name.casefold()), None)


def _with(entries: Mapping[str, Value], name: str, value: Value) -> dict[str, Value]:
    if name not in entries and len(entries) >= SHEET_ENTRIES:
        raise CommandError(f"A sheet holds {SHEET_ENTRIES} of a kind; take one away first.")
    return {**entries, name: value}


def _without(entries: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in entries.items() if key.casefold() != name.casefold()}
