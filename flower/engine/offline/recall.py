"""Finds, in recalled exchanges and in the last messages, the sentence that answers or echoes a line.

Pure. A memory is text; who said what is marked as ``Player: ...`` or ``Narrator: ...`` or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache

from msgspec import Struct

from flower.engine.offline.grammar import (
    IRREGULAR,
    past_verb,
    second_person,
    sentences,
    stem,
    stems,
    stop,
    upper_first,
)
from flower.engine.offline.questions import answers, only_i_can_tell
from flower.engine.offline.tables import vocabulary, word_list
from flower.engine.provider.base import PromptMessage

_SPEAKER = re.compile(
    r"^\s*(?:[-*>]\s*)?(?:\*\*)?(?P<who>[A-Z][\w .'\u2019-]{0,30}|you|user|player|narrator|assistant)(?:\*\*)?\s*:\s*",
    re.IGNORECASE,
)
_PLAYER = frozenset({"player", "the player", "you", "user", "i", "me"})


@cache
def _act() -> re.Pattern[str]:
    """Returns what finds the plain verbs of a line, which are put into the past later."""
    verbs = "|".join(sorted(vocabulary().verbs, key=len, reverse=True))
    return re.compile(rf"((?:\bI |^|\band |\bthen )(?:[a-z]+ly )?)({verbs})\b(?![-'])")


_ACT_AND = re.compile(
    r"(\band )([a-z]{3,}[^eds\W])(?= (?:the|a|an|my|his|her|its|it|him|them|to|for|into|at|on)\b)"
)


# What introduces a sentence and is no part of what it says.
_PREFACE = re.compile(
    r"^(?:(?:well|so|then|and|okay|ok),?\s+|(?:hello|hi|hey|greetings|good (?:morning|day|evening))\b[^,.!?]*[,!.]\s*|"
    r"(?:please )?(?:remember|note|mind|don['\u2019]t forget)(?: this)?(?: that|:)\s+)+",
    re.IGNORECASE,
)
_I_DID = re.compile(r"\bI (?!want\b|need\b|would\b|will\b|don)[a-z]+")
_QUOTED = re.compile('["\u201c]([^"\u201c\u201d]+)["\u201d]')
_TAG = re.compile(
    r"\bI\b[^.!?]{0,40}\b(?:say|said|ask|asked|whisper|whispered|shout|shouted|reply|answer|add|murmur)\b"
)
_ASKED = re.compile(r"^(?:I|We) (?:ask|question|wonder)(?:ed|s)?\b", re.IGNORECASE)
_BY_OTHERS = re.compile(r"^who \w+ me\b", re.IGNORECASE)  # nothing that I did answers it
_DIRECTION = re.compile(r"\*[^*\n]{1,200}\*")  # what is done while something is said
_WORDS_ALOUD = 3  # fewer words between quotation marks are a name or an exclamation
_FORM_POINTS = 4  # for the form that the question wants
_ALONE_POINTS = 12  # for a sentence that answers without a shared word
_WEAK = frozenset(stem(word) for word in ("name", "call", "old", "long", "kind", "sort", "come", "ago"))


class Recollection(Struct, frozen=True):
    """A sentence of the past. ``own``: the player wrote it."""

    text: str
    own: bool
    score: int
    whole: bool = False  # it has every word that was asked about

    @property
    def retold(self) -> str:
        """Returns the sentence as it is said to the player: ``I hid it`` -> ``You hid it.``"""
        text = _PREFACE.sub("", self.text)
        if not self.own:
            return upper_first(stop(text))
        text, changed = _act().subn(lambda match: match.group(1) + past_verb(match.group(2)), text)
        if changed:
            text = _ACT_AND.sub(lambda match: match.group(1) + _past(match.group(2)), text)
            text = re.sub(r"\b(I|we)(?: will|['\u2019]ll)\b", r"\1 would", text)
        return upper_first(stop(second_person(text)))


def _past(word: str) -> str:
    """Returns a word in the past; one that is there already as it is."""
    return word if word in IRREGULAR else past_verb(word)


def remember(
    words: frozenset[str],
    memories: Iterable[str],
    messages: Sequence[PromptMessage],
    scene: str,
    line: str,
) -> Recollection | None:
    """Returns the past sentence nearest to the words, or None.

    With no shared word the player's first sentence of the best memory is returned with score 0: recall
    by meaning already chose it.
    """
    words = (words - _asking() - _WEAK) or (words - _asking())
    recalled = _of_memories(memories)
    candidates = [
        *recalled,
        *_of_messages(messages),
        *((_flat(text), False) for text in sentences(scene)),
    ]
    scene_from = len(candidates) - len(sentences(scene))
    by_others = _BY_OTHERS.search(line) is not None
    of_mine = only_i_can_tell(line)
    best: Recollection | None = None
    for rank, (text, own) in enumerate(candidates):
        if (own and _ASKED.match(text)) or (own and by_others and text.startswith("I ")):
            continue
        if of_mine and not own:
            continue
        if own and re.match(r"(?:But|And|Or|So|Then)\b", text) and not _I_DID.search(text):
            continue  # the half of a wish or of an answer tells nothing by itself
        if text.endswith("?") or text == _flat(line) or len(text.split()) < 3 or "[" in text:
            continue
        shared = len(words & stems(text))
        form, alone = answers(line, text) if own else (False, False)
        enough = 1 if len(words) < 2 or rank >= scene_from else 2 if len(words) > 3 or not own else 1
        if not alone and shared < enough:
            continue
        points = shared * 10 + _FORM_POINTS * form + _ALONE_POINTS * alone + (6 if own else 0)
        recollection = Recollection(
            text, own, points - min(rank, 5), whole=bool(words) and shared == len(words)
        )
        if best is None or recollection.score > best.score:
            best = recollection
    if best is None and of_mine:
        return None
    return best or next(
        (Recollection(text, True, 0) for text, own in recalled if own and not text.endswith("?")), None
    )


@cache
def _asking() -> frozenset[str]:
    return frozenset(stem(word) for word in word_list("asking"))


def _of_memories(memories: Iterable[str]) -> list[tuple[str, bool]]:
    """Returns (sentence, said by the player), in the order given."""
    sayings: list[tuple[str, bool]] = []
    for memory in memories:
        own = False
        for line in re.split(r"\n+", memory):
            match = _SPEAKER.match(line)
            if match:
                own = match.group("who").casefold() in _PLAYER
            text = line[match.end() :] if match else line
            sayings += [
                (_flat(one), own or (match is None and one.startswith("I ")))
                for one in (_own_words(text) if own else sentences(text))
            ]
    return sayings


def _of_messages(messages: Sequence[PromptMessage]) -> list[tuple[str, bool]]:
    """Returns the sentences of the player, newest message first, then those of the narrator."""
    sayings = [
        (_flat(sentence), message.role == "user")
        for message in reversed(messages)
        for sentence in (
            _own_words(message.content) if message.role == "user" else sentences(message.content)
        )
    ]
    return sorted(sayings, key=lambda pair: not pair[1])


def _own_words(message: str) -> list[str]:
    """Returns the sentences of a player's line, those of what they said aloud by themselves."""
    message = _DIRECTION.sub(" ", message).strip() or message
    aloud = [quoted for quoted in _QUOTED.findall(message) if len(quoted.split()) >= _WORDS_ALOUD]
    if not aloud:
        return sentences(message)
    rest = _QUOTED.sub(" ", message)
    acts = [one for one in sentences(rest) if not _TAG.search(one)]
    return [one for part in (*aloud, *acts) for one in sentences(part)]


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()
