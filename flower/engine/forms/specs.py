"""The fields of everything that can be edited, in the order of their forms.

``field_values`` gives a thing's values by field, ``changed`` the thing with other values. Both know the few fields that
stand for a part of a value, as those of a depth prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.assets.kinds import PRONOUNS, Character, DepthPrompt, Rule, World
from flower.engine.forms.values import Spec
from flower.engine.game.steering import NOTE_CHARS
from flower.engine.lorebook.book import Book, Entry, Logic, Position, Role

T = TypeVar("T", bound=Struct)

_ID = Spec("id", "id", "What commands call it: letters a-z, digits, - and _.", needed=True)
_NAME = Spec("name", "line", "What it is called.", needed=True, most=limits.NAME_CHARS)

CHARACTER = (
    _ID,
    _NAME,
    Spec("nickname", "line", "What {{char}} means, if not the name.", most=limits.NAME_CHARS),
    Spec("pronouns", "choice", "By which they are spoken of.", choices=PRONOUNS),
    Spec("persona", "text", "Who they are: looks, ways, wishes, how they speak.", needed=True),
    Spec("greeting", "text", "The first message of a story with them."),
    Spec("alternate_greetings", "texts", "Other first messages; a line with % alone stands between two."),
    Spec("group_greetings", "texts", "First messages for a cast; a line with % alone stands between two."),
    Spec("scenario", "text", "Where things stand when the story begins."),
    Spec("example_dialogue", "text", "How they talk: blocks, each after a line <START>."),
    Spec("system_prompt", "text", "Takes the place of the base rules; {{original}} stands for them."),
    Spec("post_history_instructions", "text", "Told after the story so far.", "after the history"),
    Spec("depth_prompt", "text", "Told among the messages, some above the newest."),
    Spec("depth", "whole", "How many messages above the newest the depth prompt stands.", high=1000),
    Spec("depth_role", "choice", "Who says the depth prompt.", choices=("system", "user", "assistant")),
    Spec("lore", "text", "What they alone know; recalled when they speak."),
    Spec("model", "line", "The id of the model that speaks for them, if not the story's.", most=limits.NAME_CHARS),
    Spec("talkativeness", "number", "How readily they speak in a cast, 0 to 1.", high=1),
    Spec("tags", "words", "With commas between them."),
    Spec("creator", "line", "Who made them."),
    Spec("version", "line", "Of the character, as its maker counts."),
    Spec("notes", "text", "The maker's notes for the player; no narrator reads them."),
)  # fmt: skip
WORLD = (
    _ID,
    _NAME,
    Spec("start_message", "text", "The first message of a story here.", "first message"),
    Spec("scene", "text", "Where things stand when a story begins."),
    Spec("system_prompt", "text", "How the narrator tells of this world."),
    Spec("lore", "text", "What is known of the world, however long; recalled in passages."),
)
RULE = (
    _ID,
    _NAME,
    Spec("prompt", "text", "What the narrator is told while the rule is on.", needed=True),
    Spec("priority", "whole", "0 to 100; a higher one is told earlier.", high=100),
)
PERSONA = (
    _NAME,
    Spec("title", "line", "Tells two personas of one name apart.", most=limits.NAME_CHARS),
    Spec("description", "text", "Who you are.", most=NOTE_CHARS),
)
BOOK = (
    _NAME,
    Spec("description", "text", "What the book is about; no narrator reads it."),
    Spec("scan_depth", "whole", "Newest messages in which keys are looked for; empty: the usual.", high=1000),
    Spec("token_budget", "whole", "Tokens for this book alone; empty: the usual.", high=1_000_000),
)  # fmt: skip
LOGICS = {
    "any": Logic.AND_ANY, "all": Logic.AND_ALL, "not any": Logic.NOT_ANY, "not all": Logic.NOT_ALL,
}  # fmt: skip
POSITIONS = {
    "before character": Position.BEFORE_CHARACTER, "after character": Position.AFTER_CHARACTER,
    "above note": Position.NOTE_TOP, "below note": Position.NOTE_BOTTOM, "at depth": Position.AT_DEPTH,
    "before examples": Position.BEFORE_EXAMPLES, "after examples": Position.AFTER_EXAMPLES,
    "outlet": Position.OUTLET,
}  # fmt: skip
ROLES = {"system": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
ENTRY = (
    Spec("comment", "line", "The entry's title, for people.", "title"),
    Spec("keys", "lines", "One a line: a word or words, or /pattern/flags. One of them has to be said."),
    Spec("content", "text", "What the narrator is told when it fires.", needed=True),
    Spec("secondary_keys", "lines", "One a line; looked at once a key is found."),
    Spec("logic", "choice", "Which of the secondary keys have to be found.", choices=tuple(LOGICS)),
    Spec("enabled", "flag", "An entry that is off never fires."),
    Spec("constant", "flag", "It fires always."),
    Spec("vectorized", "flag", "It may be recalled by meaning, too.", "by meaning"),
    Spec("order", "number", "A higher one comes later and has the budget first.", low=-1e6, high=1e6),
    Spec("position", "choice", "Where it is told.", choices=tuple(POSITIONS)),
    Spec("depth", "whole", "At a depth: messages above the newest.", high=1000),
    Spec("role", "choice", "At a depth: who says it.", choices=tuple(ROLES)),
    Spec("probability", "number", "Percent.", high=100),
    Spec("groups", "words", "Of each group one entry fires at a time."),
    Spec("group_weight", "number", "How likely it is the one of its group.", high=1e6),
    Spec("scan_depth", "whole", "Newest messages that are read; empty: as the book says.", high=1000),
    Spec("sticky", "whole", "Messages it stays once it has fired.", high=100_000),
    Spec("cooldown", "whole", "Messages it rests after that.", high=100_000),
    Spec("delay", "whole", "Messages a story must have before it fires.", high=100_000),
    Spec("exclude_recursion", "flag", "No other entry's text fires it.", "not by others"),
    Spec("prevent_recursion", "flag", "Its text fires no other entry.", "fires no other"),
    Spec("ignore_budget", "flag", "It is told even when the budget is spent."),
)  # fmt: skip

_NUMBERED: Mapping[str, Mapping[str, IntEnum]] = {"logic": LOGICS, "position": POSITIONS, "role": ROLES}
_DEFAULTS: Mapping[str, Any] = {
    "priority": 50,
    "order": 100.0,
    "probability": 100.0,
    "group_weight": 100.0,
}


def field_values(thing: Struct) -> dict[str, Any]:
    """Returns the values of a thing's fields by name."""
    values = {name: getattr(thing, name) for name in thing.__struct_fields__}
    if isinstance(thing, Character):
        part = thing.depth_prompt
        values |= {
            "depth_prompt": part.text if part else "",
            "depth": part.depth if part else None,
            "depth_role": part.role if part else "",
        }
    if isinstance(thing, Entry):
        for name, numbers in _NUMBERED.items():
            values[name] = next((word for word, n in numbers.items() if n == values[name]), "")
    return values


def changed(thing: T, values: Mapping[str, Any]) -> T:
    """Returns the thing with other values in some of its fields."""
    new = dict(values)
    if isinstance(thing, Character) and new.keys() & {"depth_prompt", "depth", "depth_role"}:
        now = {name: field_values(thing)[name] for name in ("depth_prompt", "depth", "depth_role")}
        now |= {name: new.pop(name) for name in tuple(now) if name in new}
        text, depth, role = now["depth_prompt"], now["depth"], now["depth_role"]
        usual = DepthPrompt("")
        new["depth_prompt"] = (
            DepthPrompt(text, usual.depth if depth is None else depth, role or usual.role)
            if text
            else None
        )
    for name, value in tuple(new.items()):
        if isinstance(thing, Entry) and name in _NUMBERED:
            if value:
                new[name] = _NUMBERED[name][value]
            else:  # a number that no program knows stays
                del new[name]
        elif value is None and name in _DEFAULTS:
            new[name] = _DEFAULTS[name]
        elif value is None and not isinstance(thing, Book | Character) and name != "scan_depth":
            new[name] = 0
    return replace(thing, **new)


def empty(kind: str) -> Struct:
    """Returns what a form for a new thing begins with."""
    match kind:
        case "character":
            return Character("", "", "")
        case "world":
            return World("", "")
        case "rules":
            return Rule("", "", "")
        case "entry":
            return Entry(uid="")
        case _:
            return Book(name="")
