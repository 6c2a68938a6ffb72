"""Changes of the state sheet that the narrator proposes at the end of a reply. Pure.

A reply may end with a fenced block (``blocks`` parts it from the story), one change in a line::

    place: The lamp room
    inventory: +brass key
    hp: -2

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

_LINE = re.compile(r'[-*]?\s*"?(?P<key>[^:="]{1,60}?)"?\s*[:=]\s*(?P<value>.+?)\s*,?')
_FRAME = re.compile(r"[\s{}\[\],]*")  # of JSON, and empty lines


class Proposed(Struct, frozen=True):
    """A sheet after the narrator's changes, what they are, and which lines fitted nothing."""

    sheet: Sheet
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read(block: str, sheet: Sheet) -> Proposed:
    """Returns what the lines of a block propose for ``sheet``.

    Lines of JSON and YAML are understood as well, as far as they are one key and one value.
    """
    changes, refused = [], []
    lines = [line.strip() for line in block.splitlines() if not _FRAME.fullmatch(line)]
    for line in lines[: limits.PROPOSALS]:
        parts = _LINE.fullmatch(line[:LINE_CHARS])
        try:
            if parts is None:
                raise CommandError("no change")
            sheet, change = put(sheet, parts["key"], parts["value"].strip('"'))
        except CommandError:
            refused.append(line[: limits.SHEET_TEXT_CHARS])
        else:
            changes.append(change)
    return Proposed(sheet, tuple(changes), tuple(refused))
