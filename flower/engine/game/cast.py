"""The cast: which characters the narrator plays, and who speaks next. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

Mode = Literal["together", "named", "round"]
MODES: tuple[Mode, ...] = ("together", "named", "round")
NARRATOR = "narrator"


class Cast(Struct, frozen=True, omit_defaults=True):
    """Ids of characters beside the story's own one.

    ``together``: the narrator decides who speaks. ``named``: whom the player's line names. ``round``: one
    after the other. ``next`` is a speaker chosen by hand, whatever the mode, until it is taken back; it
    is not used up by a reply, so that a second try of that reply has the same speaker. ``models`` are
    ids of models by character, "" for the story's, whatever the character's file says.
    """

    members: tuple[str, ...] = ()
    mode: Mode = "together"
    next: str = ""
    models: dict[str, str] = {}


def speaker(cast: Cast, names: Mapping[str, str], line: str, spoke_last: str) -> str:
    """Returns the id of who speaks in the reply to ``line``; ``narrator``; or "" to leave it open.

    ``names`` are the names by id of everybody on stage, the story's own character first; ``spoke_last``
    is the id that spoke in the last reply, "" for nobody.
    """
    if cast.next in names or cast.next == NARRATOR:
        return cast.next
    if len(names) < 2 or cast.mode == "together":
        return ""
    named = first_named(names, line)
    if named or cast.mode == "named":
        return named
    order = list(names)
    return order[(order.index(spoke_last) + 1) % len(order)] if spoke_last in names else order[0]


def first_named(names: Mapping[str, str], line: str) -> str:
    """Returns the id of the character whom ``line`` names first, in full or by a first name; "" for none."""
    places: list[tuple[int, str]] = []
    for member, name in names.items():
        for word in _callings(name):
            at = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", line, re.IGNORECASE)
            if at:
                places.append((at.start(), member))
    return min(places)[1] if places else ""


def _callings(name: str) -> Sequence[str]:
    return (name, *(word for word in name.split() if len(word) > 2 and word[0].isupper()))


def prompt_text(speaking: str, names: Mapping[str, str]) -> str:
    """Returns the narrator's instruction for this reply, "" when it is left open."""
    if speaking == NARRATOR:
        return "This reply is the narrator's alone: nobody of the cast speaks in it."
    if speaking not in names:
        return ""
    return f"In this reply {names[speaking]} acts and speaks; the others may listen but do not speak."
