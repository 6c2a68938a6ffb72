"""Changes of the state sheet that the narrator proposes at the end of a reply. Pure.

A reply may end with a fenced block, one change in a line::

    ```state
    place: The lamp room
    inventory: +brass key
    hp: -2
    ```

What a model writes is never trusted: each line goes through ``sheet.put`` like a command of the
player, a line that fits nothing is named and left out, and only so many lines are read.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flower import limits
from flower.engine.game.sheet import Sheet, put
from flower.errors import CommandError

LINE_CHARS = 400  # of one change; a name and a value are shorter

INSTRUCTION = """\
When the reply changes the state, end it with a block like this, and with nothing behind it:
```state
place: where the player is now
time: evening
inventory: +lamp
inventory: -2 coins
condition: +wounded
hp: -3
quest: Find the keeper = done
```
Write only what changed in this reply. When nothing changed, write no block."""

_BLOCK = re.compile(r"```[ \t]*state[ \t]*\r?\n(?P<lines>(?:(?!```).)*)(?:```)?\s*\Z", re.DOTALL)
_LINE = re.compile(r"\s*[-*]?\s*(?P<key>[^:=]{1,60}?)\s*[:=]\s*(?P<value>.+?)\s*")


class Proposed(Struct, frozen=True):
    """A sheet after the narrator's changes, what they are, and which lines fitted nothing."""

    sheet: Sheet
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read(reply: str, sheet: Sheet) -> Proposed:
    """Returns what a reply proposes for ``sheet``; without a block at its end the same sheet."""
    found = _BLOCK.search(reply)
    if found is None:
        return Proposed(sheet)
    changes, refused = [], []
    lines = [line for line in found["lines"].splitlines() if line.strip()]
    for line in lines[: limits.PROPOSALS]:
        parts = _LINE.fullmatch(line.strip()[:LINE_CHARS])
        try:
            if parts is None:
                raise CommandError("no change")
            sheet, change = put(sheet, parts["key"], parts["value"])
        except CommandError:
            refused.append(line.strip()[: limits.SHEET_TEXT_CHARS])
        else:
            changes.append(change)
    return Proposed(sheet, tuple(changes), tuple(refused))


def without(reply: str) -> str:
    """Returns the reply's story without the block at its end."""
    return _BLOCK.sub("", reply).rstrip()
