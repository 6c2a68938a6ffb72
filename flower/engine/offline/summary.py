"""What has happened, in a few sentences: for "what happened so far", for whoever comes back, for a title.

Pure. Made of what the player wrote, turned round, and of whom they met: the replies are not repeated.
Works for stories of every narrator.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from flower.engine.offline.facts import Lore
from flower.engine.offline.grammar import lower_first, stop, upper_first, word_set
from flower.engine.offline.hearing import hear
from flower.engine.offline.parse import ParsedLine, read
from flower.engine.offline.recall import Recollection
from flower.engine.provider.base import PromptMessage

DEEDS = 5  # in a recap: more would be a list
DISCLOSURES = 3  # things that the player said of themself
PLACES = 4
DEED_WORDS = 24
PEOPLE = 4
TITLE_WORDS = 7
_WEIGHTS = {
    "fight": 5, "contest": 4, "risk": 4, "search": 3, "speech": 2, "look": 0, "rest": 0, "think": 0,
}  # fmt: skip
_GOES = re.compile(
    r"\b(?:go|walk|run|head|return|travel|climb|move|sail|row|ride|come|sneak|float|march|hurry)\b",
    re.IGNORECASE,
)
_TO_NAMED = re.compile(
    r"\b(?:to|into|for|towards?) (?P<place>(?:the )?[A-Z][\w'-]+(?: (?:of )?[A-Z][\w'-]+){0,2})(?!\w)"
)
_NAMES = re.compile(r"^(?:your name is|you are called|they call you|call you)\b", re.IGNORECASE)
_JOINTS = ("Then", "After that", "Later", "Next", "And then")
_MEETS = re.compile(
    r"\b(?:says|asks)\s+([A-Z][\w'-]+)\b|\b([A-Z][\w'-]+) (?:says|asks|nods|answers|listens)\b"
)


def recap(history: Sequence[PromptMessage], lore: Lore | None = None) -> str:
    """Returns a summary: what the player disclosed, where they went, what they did and whom they met; "" for nothing.

    It has that order, and only the deeds that weigh most, in the order in which they happened.
    """
    lines = [read(message.content) for message in history if message.role == "user"]
    disclosures = _disclosures(lines)
    places = _places(lines)
    deeds = _deeds(lines, besides_moves=bool(places))
    if not deeds and not disclosures and not places:
        return ""
    parts = [disclosures] if disclosures else []
    if places:
        parts.append(_way(places))
    for index, deed in enumerate(deeds):
        lead = f"{_JOINTS[(index - 1) % len(_JOINTS)]} " if index else ""
        parts.append(f"{lead}{lower_first(deed) if lead else deed}")
    people = met(history, lore)
    if people:
        parts.append(f"You have spoken with {_listed(people)}.")
    return " ".join(parts)


def title(history: Sequence[PromptMessage]) -> str:
    """Returns a few words for what the story is about so far, "" when there is nothing to go by."""
    lines = [read(message.content) for message in history if message.role == "user"]
    people = _talked_to(history)
    places = _places(lines)
    spoken_of = (line.topic or line.object for line in reversed(lines))
    about = next((one for one in spoken_of if one.startswith("the ")), "")
    if people and places:
        return _short(f"{people} and {places[-1]}")
    if people and about:
        return _short(f"{people}, and {about}")
    return _short(people or (places[-1] if places else about))


def _talked_to(history: Sequence[PromptMessage]) -> str:
    """Returns who answered most of what the player said; who only remarks on things does not count."""
    counts: Counter[str] = Counter()
    talks = False
    for message in history:
        if message.role == "user":
            talks = read(message.content).kind == "speech"
        elif talks:
            counts.update(met([message], None)[:1])
    return max(reversed(list(counts)), key=lambda name: counts[name]) if counts else ""


def _disclosures(lines: Sequence[ParsedLine]) -> str:
    """Returns what the player disclosed of themself, the first things first; "" for nothing."""
    sentiments = [hear(line.text, line.speech) for line in lines]
    echoes = [
        one.echo
        for one in sentiments
        if one.disclosure in ("self", "loss", "confession", "name") and one.echo
    ]
    name = next((one.name for one in sentiments if one.name), "")
    rest = (one for one in echoes if not _NAMES.match(one) and (not name or name not in one))
    sentences = list(dict.fromkeys(rest))[:DISCLOSURES]
    parts = [f"You are {name}."] if name else []
    if sentences:
        parts.append(f"You have told that {' and that '.join(map(lower_first, sentences))}.")
    return " ".join(parts)


def _places(lines: Sequence[ParsedLine]) -> list[str]:
    """Returns where the player went, in order, the last few; nowhere twice in a row."""
    places: list[str] = []
    for line in lines:
        if line.kind in ("speech", "move", "rest", "search", "look", "risk", "trade"):
            named = _TO_NAMED.search(line.text) if _GOES.search(line.text) else None
            place = named["place"] if named else line.goal
            if place and places[-1:] != [place]:
                places.append(place)
    return places[-PLACES:]


def _way(places: Sequence[str]) -> str:
    if len(places) == 1:
        return f"You went to {places[0]}."
    return f"You went to {', to '.join(places[:-1])} and then to {places[-1]}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def met(history: Sequence[PromptMessage], lore: Lore | None) -> list[str]:
    """Returns the names of those who have spoken, in order of first word."""
    speakers: dict[str, None] = {}
    for message in history:
        if message.role == "assistant":
            for after, before in _MEETS.findall(message.content):
                name = after or before
                if len(name) > 2 and name not in _NOBODY:
                    speakers[name] = None
    full_names: dict[str, str] = {}
    for name in lore.of_kind("person") if lore else ():
        full_names |= {
            part: name.full for part in (*name.full.split(), name.short) if part[0].isupper()
        }
    return list(dict.fromkeys(full_names.get(name, name) for name in speakers))[:PEOPLE]


_NOBODY = word_set("She He They You Nobody Somebody Someone Everyone One The Who It And")


def _deeds(lines: Sequence[ParsedLine], *, besides_moves: bool) -> list[str]:
    """Returns the deeds that weigh most, as they are retold to the player, in the order they happened."""
    weighed = [
        (_WEIGHTS.get(line.kind, 1), number, deed)
        for number, line in enumerate(lines)
        if (deed := _deed(line)) and not (besides_moves and line.kind == "move")
    ]
    weighty = [one for one in weighed if one[0] > 0] or weighed
    best = sorted(weighty, key=lambda one: (-one[0], -one[1]))[:DEEDS]
    return [deed for _, _, deed in sorted(best, key=lambda one: one[1])]


def _deed(line: ParsedLine) -> str:
    if line.kind in ("aside", "continue", "dice", "recall", "know", "oracle"):
        return ""
    text = line.text if line.act else ""
    sentiment = hear(line.text, line.speech)
    if sentiment.name or (sentiment.disclosure in ("self", "loss", "confession") and sentiment.echo):
        return ""  # that is said apart
    if line.speech and not line.act:
        about = f" about {line.topic}" if line.topic else ""
        words = line.speech.strip(" ,.")
        if line.speech_act == "ask":
            return f"You asked{about}." if about else ""
        return upper_first(f'you said: "{stop(words)}"') if len(words.split()) <= DEED_WORDS else ""
    if not text or len(text.split()) > DEED_WORDS or '"' in text:
        return ""
    if not re.match(r"(?i)(?:i|we)\b", text):
        text = f"I {lower_first(text)}"
    return Recollection(text, own=True, score=0).retold


def _short(words: str) -> str:
    return upper_first(" ".join(words.split()[:TITLE_WORDS]))
