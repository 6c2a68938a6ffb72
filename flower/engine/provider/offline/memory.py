"""Finds, in recalled exchanges and in the last messages, the sentence that answers or echoes a line.

Pure. A memory is text; who said what is marked as ``Player: ...`` or ``Narrator: ...`` or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from flower.engine.provider.base import ChatMessage
from flower.engine.provider.offline.grammar import (
    past_verb,
    second_person,
    sentences,
    stop,
    upper_first,
)
from flower.engine.provider.offline.reading import stem, stems
from flower.engine.provider.offline.tables.verbs import ASKING_WORDS, VERBS

_SPEAKER = re.compile(
    r"^\s*(?:[-*>]\s*)?(?:\*\*)?(?P<who>[A-Z][\w .'\u2019-]{0,30}|you|user|player|narrator|assistant)(?:\*\*)?\s*:\s*",
    re.IGNORECASE,
)
_PLAYER = frozenset({"player", "the player", "you", "user", "i", "me"})


_ACT = re.compile(
    rf"((?:\bI |^|\band |\bthen )(?:[a-z]+ly )?)({'|'.join(sorted(VERBS, key=len, reverse=True))})\b(?![-'])"
)

_ACT_AND = re.compile(
    r"(\band )([a-z]{3,}[^eds\W])(?= (?:the|a|an|my|his|her|its|it|him|them|to|for|into|at|on)\b)"
)


class Recollection(Struct, frozen=True):
    """A sentence of the past. ``own``: the player wrote it."""

    text: str
    own: bool
    score: int

    @property
    def retold(self) -> str:
        """Returns the sentence as it is said to the player: ``I hid it`` -> ``You hid it.``"""
        text = re.sub(r"^(?:well|so|then|and|okay|ok),?\s+", "", self.text, flags=re.IGNORECASE)
        if not self.own:
            return upper_first(stop(text))
        text, changed = _ACT.subn(lambda match: match.group(1) + past_verb(match.group(2)), text)
        if changed:
            text = _ACT_AND.sub(lambda match: match.group(1) + past_verb(match.group(2)), text)
            text = re.sub(r"\bI will\b", "I would", text)
        return upper_first(stop(second_person(text)))


def remember(
    words: frozenset[str],
    memories: Iterable[str],
    messages: Sequence[ChatMessage],
    scene: str,
    line: str,
) -> Recollection | None:
    """Returns the past sentence nearest to the words, or None.

    With no shared word the player's first sentence of the best memory is returned with score 0: recall
    by meaning already chose it.
    """
    words = words - _ASKING
    recalled = _of_memories(memories)
    said = [*recalled, *_of_messages(messages), *((_flat(text), False) for text in sentences(scene))]
    told_from = len(said) - len(sentences(scene))
    best: Recollection | None = None
    for rank, (text, own) in enumerate(said):
        if text.endswith("?") or text == _flat(line) or len(text.split()) < 3 or "[" in text:
            continue
        shared = len(words & stems(text))
        if shared < (1 if own or rank >= told_from or len(words) < 2 else 2):
            continue
        told = Recollection(text, own, shared * 10 + (6 if own else 0) - min(rank, 5))
        if best is None or told.score > best.score:
            best = told
    return best or next(
        (Recollection(text, True, 0) for text, own in recalled if own and not text.endswith("?")), None
    )


_ASKING = frozenset(stem(word) for word in ASKING_WORDS)


def _of_memories(memories: Iterable[str]) -> list[tuple[str, bool]]:
    """Returns (sentence, said by the player), in the order given."""
    said: list[tuple[str, bool]] = []
    for memory in memories:
        own = False
        for line in re.split(r"\n+", memory):
            match = _SPEAKER.match(line)
            if match:
                own = match.group("who").casefold() in _PLAYER
            text = line[match.end() :] if match else line
            said += [
                (_flat(one), own or (match is None and one.startswith("I "))) for one in sentences(text)
            ]
    return said


def _of_messages(messages: Sequence[ChatMessage]) -> list[tuple[str, bool]]:
    """Returns the sentences of the player, newest message first, then those of the narrator."""
    said = [
        (_flat(sentence), message.role == "user")
        for message in reversed(messages)
        for sentence in sentences(message.content)
    ]
    return sorted(said, key=lambda pair: not pair[1])


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
