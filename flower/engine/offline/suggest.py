"""What the player could do next, from the offline narrator's own phrases.

Pure: everything random comes from the ``Chance`` passed in, so the same moment offers the same things.
"""

from __future__ import annotations

from collections.abc import Sequence

from flower.engine.offline.context import Context
from flower.engine.offline.grammar import tidy
from flower.engine.offline.tables import Phrases
from flower.engine.offline.templates import Chance
from flower.engine.provider.base import ChatMessage, Cue

TABLES = ("suggest_talk", "suggest_go", "suggest_act")  # one of each: three different things
_TRIES = 6  # for another phrase where one was offered already


def suggestions(
    cue: Cue, messages: Sequence[ChatMessage], chance: Chance, phrases: Phrases
) -> tuple[str, ...]:
    """Returns three different lines for the player: a word to somebody, a way to go, something to do."""
    return suggestions_of(Context(cue, messages, chance, phrases))


def suggestions_of(context: Context) -> tuple[str, ...]:
    """Returns what ``suggestions`` does, for a turn that is being told."""
    offered: list[str] = []
    for table in TABLES:
        for _ in range(_TRIES):
            line = tidy(context.say(table))
            if line and line not in offered:
                offered.append(line)
                break
    return tuple(offered)
