"""What every command needs of whoever gives it. Pure.

``NEEDS`` has a row for each command of the catalogue; ``dispatch`` asks ``need_of`` before it carries anything out, and
the table in ``docs/remote.md`` is this one. What changes something of a library asks whose it is
(``Client.check_own``). A command that takes the id of a story needs no role at the story that
is open: it asks ``sessions.rights`` about the one it is given.
"""

from __future__ import annotations

from collections.abc import Mapping

from flower.engine.sessions.rights import Need
from flower.errors import CommandError

LINE = Need.PLAYER  # a line of the story

_ANYONE = """
    /world select|/character list|/model|/nsfw|/session new|/session continue|/session delete|/session restore
    /session list|/session search|/session pin|/session archive|/library|/portrait|/preset list|/preset delete
    /persona list|/persona default|/persona bind|/persona new|/persona edit|/persona copy|/persona delete
    /portrait|/character favourite|/world favourite|/lorebook favourite|/lore list|/lore search|/lore show
    /lorebook list|/lorebook show|/script list|/form save|/sync|/help|/quit|/table join
    /export character|/export lorebook|/export preset|/export replies
    /world attach_lore|/world new|/world edit|/world copy|/world delete|/lore add|/lore delete
    /lorebook new|/lorebook edit|/lorebook copy|/lorebook delete|/script on|/script off
    /character new|/character edit|/character draft|/character keep|/character copy|/character delete
    /rules new|/rules edit|/rules copy|/rules delete
"""
_READER = """
    /variants|/tree|/show|/branches|/history|/export|/why|/memory list|/memory search|/memory show|/summary|/recall
    /cast|/table list|/table leave|/whisper
    /state|/quest|/inv|/npc list|/npc show|/clock|/lore test
"""
_PLAYER = """
    /typing|/cancel|/continue|/ooc|/me|/suggest|/impersonate|/roll|/check|/retry
    /quest add|/inv add|/inv drop|/npc add|/persona|/persona use
"""
_OWNER = """
    /table invite|/table code|/table order|/persona save
    /character select|/variant|/edit|/undo|/redo|/hide|/unhide|/remove|/delete|/restore|/branch|/checkout|/goto
    /session rename|/memory edit|/memory forget|/memory pin|/summary edit|/summary remake|/set|/preset save
    /preset load|/rules add|/rules clear|/rules on|/rules off|/why full|/lorebook on|/lorebook off
    /cast add|/cast remove|/cast next|/cast mode|/cast model|/as|/narrate|/note|/pin|/unpin|/set-state
    /quest done|/quest failed|/quest drop|/npc mood|/npc remove|/npc bring|/clock add|/clock tick|/clock remove
"""
_HOME = """
    /world sync_folder|/world unsync|/models refresh|/models get|/export library|/settings|/reload|/problems
"""


def _named(names: str) -> tuple[str, ...]:
    return tuple(
        name.strip() for line in names.splitlines() for name in line.split("|") if name.strip()
    )


NEEDS: Mapping[str, Need] = {
    **dict.fromkeys(_named(_ANYONE), Need.ANYONE),
    **dict.fromkeys(_named(_READER), Need.READER),
    **dict.fromkeys(_named(_PLAYER), Need.PLAYER),
    **dict.fromkeys(_named(_OWNER), Need.OWNER),
    **dict.fromkeys(_named(_HOME), Need.HOME),
}


# These only show something when nothing stands behind them, and change it when something does.
CHANGING_WITH_WORDS = frozenset({"/state", "/quest", "/inv", "/clock", "/cast"})


# These ask a model for something, or may.
ASKS_MODEL = frozenset(
    _named(
        "/retry|/continue|/ooc|/me|/as|/narrate|/suggest|/impersonate|/summary remake|/edit|/character draft"
    )
)
STORIES = frozenset({"/session new"})  # begin one
SPEAKS = frozenset({"/me", "/ooc", "/as"})  # are lines, which begin one where none is open


def need_of(command: str, argument: str = "") -> Need:
    """Returns what a command needs. Raises ``CommandError`` for one that nobody has thought about."""
    if argument and command in CHANGING_WITH_WORDS:
        return Need.OWNER
    need = NEEDS.get(command)
    if need is None:
        raise CommandError(f"{command} is in no row of the table of rights.")
    return need
