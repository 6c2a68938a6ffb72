"""What has happened, in a few sentences: for "what happened so far", for whoever comes back, for a title.

Pure. Made of what the player wrote, turned round, and of whom they met: the replies are not repeated.
Works for stories of every narrator.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flower.engine.offline.facts import Lore
from flower.engine.offline.grammar import lower_first, stop, upper_first
from flower.engine.offline.hearing import hear
from flower.engine.offline.parse import ParsedLine, read
from flower.engine.offline.recall import Recollection
from flower.engine.provider.base import ChatMessage

DEEDS = 6  # in a recap: more would be a list
DEED_WORDS = 24
PEOPLE = 4
TITLE_WORDS = 7
_TRIVIAL = ("look", "rest", "continue", "aside", "dice", "recall", "know", "oracle", "think")
_JOINTS = ("Then", "After that", "Later", "Next", "And then")
_MEETS = re.compile(
    r"\b(?:says|asks)\s+([A-Z][\w'-]+)\b|\b([A-Z][\w'-]+) (?:says|asks|nods|answers|listens)\b"
)


def recap(history: Sequence[ChatMessage], lore: Lore | None = None) -> str:
    """Returns what the player did, what they told and whom they met, oldest first; "" for nothing yet."""
    lines = [read(message.content) for message in history if message.role == "user"]
    deeds = _deeds(lines)
    if not deeds:
        return ""
    told = [deeds[0]]
    for index, deed in enumerate(deeds[1:]):
        told.append(f"{_JOINTS[index % len(_JOINTS)]} {lower_first(deed)}")
    people = met(history, lore)
    if people:
        listed = people[0] if len(people) == 1 else f"{', '.join(people[:-1])} and {people[-1]}"
        told.append(f"You have spoken with {listed}.")
    return " ".join(told)


def title(history: Sequence[ChatMessage], world: str = "") -> str:
    """Returns a few words for what the story is about so far, "" when there is nothing to go by."""
    lines = [read(message.content) for message in history if message.role == "user"]
    people = met(history, None)
    goals = [line.goal for line in lines if line.goal]
    about = next((line.topic or line.object for line in lines if line.topic or line.object), "")
    if people and goals:
        return _short(f"{people[0]} and {goals[-1]}")
    if people and about:
        return _short(f"{people[0]}, and {about}")
    if goals or about:
        return _short(goals[-1] if goals else about)
    return people[0] if people else world


def met(history: Sequence[ChatMessage], lore: Lore | None) -> list[str]:
    """Returns the names of those who have spoken, in order of first word."""
    found: dict[str, None] = {}
    for message in history:
        if message.role == "assistant":
            for after, before in _MEETS.findall(message.content):
                name = after or before
                if len(name) > 2 and name not in _NOBODY:
                    found[name] = None
    known: dict[str, str] = {}
    for name in lore.of_kind("person") if lore else ():
        known |= {part: name.full for part in (*name.full.split(), name.short) if part[0].isupper()}
    return list(dict.fromkeys(known.get(name, name) for name in found))[:PEOPLE]


_NOBODY = frozenset(
    {
        "She",
        "He",
        "They",
        "You",
        "Nobody",
        "Somebody",
        "Someone",
        "Everyone",
        "One",
        "The",
        "Who",
        "It",
        "And",
    }
)


def _deeds(lines: Sequence[ParsedLine]) -> list[str]:
    """Returns the last things done that were more than a look, as they are told to the player."""
    told = [deed for deed in map(_deed, lines) if deed]
    weighty = [
        deed
        for line, deed in zip(lines, map(_deed, lines), strict=True)
        if deed and line.kind not in _TRIVIAL
    ]
    return (weighty if len(weighty) >= 2 else told)[-DEEDS:]


def _deed(line: ParsedLine) -> str:
    if line.kind in ("aside", "continue", "dice", "recall", "know", "oracle"):
        return ""
    text = line.text if line.act else ""
    heard = hear(line.text, line.speech)
    if heard.telling in ("self", "loss", "confession") and heard.echo and "?" not in line.text:
        return upper_first(stop(f"you told that {lower_first(heard.echo)}"))
    if line.speech and not line.act:
        about = f" about {line.topic}" if line.topic else ""
        said = line.speech.strip(" ,.")
        if line.speech_act == "ask":
            return f"You asked{about}." if about else ""
        return upper_first(f'you said: "{stop(said)}"') if len(said.split()) <= DEED_WORDS else ""
    if not text or len(text.split()) > DEED_WORDS or '"' in text:
        return ""
    if not re.match(r"(?i)(?:i|we)\b", text):
        text = f"I {lower_first(text)}"
    return Recollection(text, own=True, score=0).retold


def _short(words: str) -> str:
    return upper_first(" ".join(words.split()[:TITLE_WORDS]))
