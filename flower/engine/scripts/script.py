"""What a script is: which texts it changes, when, and how. Pure.

The fields are those of SillyTavern's regex scripts, which most cards bring; others are read as these.
"""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field

__all__ = ["PLACES", "Macros", "Script", "ScriptPlace", "When"]


class ScriptPlace(IntEnum):
    """Whose words a script changes; the numbers are those of SillyTavern's files."""

    PLAYER = 1
    NARRATOR = 2
    COMMAND = 3  # what a command wrote into the story
    LORE = 5  # entries of lorebooks
    REASONING = 6


PLACES = frozenset(ScriptPlace)


class Macros(IntEnum):
    """What becomes of macros in a script's pattern."""

    LEFT = 0
    PUT_IN = 1
    ESCAPED = 2  # put in, with every sign that a pattern would obey escaped


class When(IntEnum):
    """For what a text is wanted."""

    SCREEN = 0
    PROMPT = 1


class Script(Struct, frozen=True, kw_only=True):
    """One script. ``pattern`` is as in the file: ``/pattern/flags``, or a pattern alone.

    With neither ``on_screen`` nor ``in_prompt`` it is for both, and meant for the words as they came: their depth
    does not count, and edited words are left alone unless ``on_edit``. Depths count messages, 0 is the newest.
    """

    name: str
    pattern: str
    replacement: str = ""
    trims: tuple[str, ...] = ()  # taken out of what is put in for ``$1`` and its like
    places: tuple[ScriptPlace, ...] = ()
    on_screen: bool = field(name="shown", default=False)  # only on screens
    in_prompt: bool = field(name="told", default=False)  # only in prompts
    on_edit: bool = False
    off: bool = False
    macros: Macros = Macros.LEFT
    least_depth: int | None = None
    most_depth: int | None = None

    def holds(self, place: ScriptPlace, when: When, depth: int | None, *, raw: bool) -> bool:
        """Returns whether it changes a text. ``raw``: no other program and no hand has changed it before.

        ``depth`` is None for what is no message.
        """
        if self.off or place not in self.places:
            return False
        if not (self.on_screen or self.in_prompt):
            return place is not ScriptPlace.LORE and (raw or self.on_edit)
        if not (self.on_screen if when is When.SCREEN else self.in_prompt):
            return False
        if depth is None:
            return True
        above = self.least_depth is not None and self.least_depth >= 0 and depth < self.least_depth
        below = self.most_depth is not None and self.most_depth >= 0 and depth > self.most_depth
        return not above and not below
