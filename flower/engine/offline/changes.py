"""What an act changes on the state sheet, as lines like those a language model would propose. Pure.

    place: the harbour
    inventory: -1 torch

Only what the line plainly says and the reply has let happen: a place one goes to, a thing taken, given,
eaten, lit. The engine checks every line like a command, shows it, and the player can take it back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flower.engine.offline.scene import key_of
from flower.engine.offline.stems import stems
from flower.engine.offline.tables import word_list

if TYPE_CHECKING:
    from flower.engine.offline.context import Context

THING_WORDS = 4  # of a name in the inventory
_ARTICLE = re.compile(r"^(?:the|a|an|my|your|some|this|that|his|her|their|its)\s+", re.IGNORECASE)
_COINS = re.compile(
    r"\b(?:pay|give|hand|offer)\b.{0,40}?\b(?P<count>\d{1,4}|a|an|one|two|three|four|five|six|ten|twelve)\s+"
    r"(?P<coin>shillings?|pence|penny|pennies|coins?|silver|gold|marks?|credits?|hours?|copper)\b",
    re.IGNORECASE,
)
_HELD = re.compile(r"^\w+ (?:him|her|them)\b")
_NUMBERS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "ten": 10,
    "twelve": 12,
}


def changes_of(context: Context) -> list[str]:
    """Returns the changes that the line and its outcome lead to, one in a line."""
    found = [*context.changes]
    if context.cue.outcome == "miss":
        return found  # what was tried has not happened
    if context.goal and key_of(context.goal) != key_of(context.here):
        found.append(f"place: {context.goal}")
    found += _lit(context)
    found += _coins(context)
    line = context.line
    if _HELD.match(line.act):
        return list(dict.fromkeys(found))  # "I grab him by the collar" takes nothing along
    if line.verb in word_list("taking") and line.kind in ("take", "trade"):
        thing = _thing(line.object)
        if thing and not _carried(context, thing):
            found.append(f"inventory: +{thing}")
    elif line.verb in word_list("giving_up"):
        carried = _carried(context, line.object)
        if carried:
            found.append(f"inventory: -1 {carried}")
    return list(dict.fromkeys(found))


def _lit(context: Context) -> list[str]:
    """A torch lit is a torch less; a lamp or a lantern stays."""
    lit = re.search(
        r"\blight(?:s|ed)?\s+(?:the|a|an|my|another|one)\s+(?P<what>\w+)",
        context.line.text,
        re.IGNORECASE,
    )
    if lit is None or lit["what"].casefold() not in word_list("lights"):
        return []
    what = lit["what"].casefold()
    carried = _carried(context, what)
    used = carried and what in word_list("burns_up")
    return [f"light: {what}", *([f"inventory: -1 {carried}"] if used else [])]


def _coins(context: Context) -> list[str]:
    paid = _COINS.search(context.line.text)
    carried = _carried(context, paid["coin"]) if paid else ""
    if paid is None or not carried:
        return []
    count = _NUMBERS.get(paid["count"].casefold()) or int(paid["count"])
    return [f"inventory: -{count} {carried}"]


def _thing(noun: str) -> str:
    """Returns a noun phrase as it is in an inventory, "" for what cannot be carried off."""
    bare = _ARTICLE.sub("", noun)
    words = bare.split()
    if not words or len(words) > THING_WORDS or words[-1].casefold() in word_list("not_things"):
        return ""
    return bare


def _carried(context: Context, noun: str) -> str:
    """Returns the name under which something is carried, "" when it is not."""
    wanted = stems(_ARTICLE.sub("", noun))
    return next((name for name in context.cue.inventory if wanted and wanted & stems(name)), "")
