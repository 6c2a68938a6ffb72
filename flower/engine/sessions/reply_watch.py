"""Notices what ends a reply while it is being written: that it goes round in circles, or a banned phrase. Pure.

Small models fall into loops: the same words again and again without end, or one sentence between everything
else they say. Looks only every few hundred characters, at the end of what came, so it costs next to nothing.
Phrases that a player has banned are found here wherever a server cannot keep a model from writing them.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from itertools import islice

# Of one text repeated without a break: a litany is shorter, and half a minute is bearable.
LOOP_CHARS = 2_400
LOOP_TIMES = 4
LOOP_SENTENCES = 16  # times that one sentence comes, making up a third of what is said
LOOP_SENTENCE_LETTERS = 16
LOOP_SENTENCES_READ = 24  # the last ones of a reply, of which
LOOP_SENTENCES_FEW = 8  # different ones are no story any more
LOOP_BLANK_CHARS = 160  # at the end of a reply
LOOP_PHRASE_LETTERS = 8  # of such a sentence; "No." may come often
LOOP_PHRASE_CHARS = 600  # of some words repeated and nothing else
LOOP_TAIL_CHARS = 8_000  # of a reply in which a loop is looked for

LOOP_REPLIES = 3  # replies with the same sentence, of so many:
LOOP_REPLIES_READ = 5
STILL_ALIKE = (
    "✗ This model says the same sentence in one reply after the other, also with another sampler."
    " /edit takes it out of the story, /model chooses another model."
)
_PROBE = 24  # characters whose return is looked for
_LOOK_EVERY = 200  # characters
_PERIODS = 12  # distances tried at one look
_ENDS = re.compile(r"[.!?…。！？\n]+[\"”’»*]*")
_WORDS = re.compile(r"[^\W\d_]+")
_PHRASE_WORDS = 3  # different ones in a repeated text; fewer may be laughter, a bell, a cry
_NO_LETTERS = re.compile(r"[\W\d_]+")


class ReplyWatch:
    """Reads a reply as it grows, for both: ``in_loop``, and ``phrase``, the first banned one in it, or ""."""

    def __init__(self, banned: Sequence[str]) -> None:
        self.phrase = ""
        self._loops = LoopGuard()
        self._banned = BannedPhrases(banned)

    @property
    def in_loop(self) -> bool:
        return self._loops.in_loop

    def feed(self, text: str) -> int | None:
        """Returns how many characters of what was read are worth keeping; None while it goes on well."""
        self.phrase = self.phrase or self._banned.feed(text)
        return self._loops.feed(text)

    def end(self) -> None:
        """Looks at the end of the reply, where nothing more comes."""
        self.phrase = self.phrase or self._banned.end()


class LoopGuard:
    """Reads a reply as it grows; ``in_loop``: it goes round in circles."""

    def __init__(self) -> None:
        self.in_loop = False
        self._tail = ""
        self._length = 0
        self._looked = 0
        self._sentences: dict[str, list[int]] = {}  # where each began, by its letters
        self._recent: deque[tuple[str, int]] = deque(maxlen=LOOP_SENTENCES_READ)
        self._open = ""  # the sentence under way

    def feed(self, text: str) -> int | None:
        """Returns how many characters of the reply are worth keeping; None while it goes on well."""
        self._length += len(text)
        if len(text) > LOOP_TAIL_CHARS:  # it came as a whole: there is nothing to stop
            self._looked, self._open, self._tail = self._length, "", ""
            return None
        self._tail = (self._tail + text)[-LOOP_TAIL_CHARS:]
        self._open += text
        if self._length - self._looked < _LOOK_EVERY:
            return None
        self._looked = self._length
        worth = self._nothing_more()
        if worth is None:
            worth = self._again_and_again()
        if worth is None:
            worth = self._same_sentence()
        self.in_loop = worth is not None
        return worth

    def _nothing_more(self) -> int | None:
        """The end of the reply is blank: some small models go on with empty lines to the greatest length."""
        blank = len(self._tail) - len(self._tail.rstrip())
        return self._length - blank if blank >= LOOP_BLANK_CHARS else None

    def _again_and_again(self) -> int | None:
        """The end of the reply is one piece of text, repeated."""
        tail = self._tail
        probe = tail[-_PROBE:]
        if tail.count(probe[: _PROBE // 2]) < LOOP_TIMES:
            return None
        at = len(tail) - len(probe)
        for _ in range(_PERIODS):
            earlier = tail.rfind(probe, 0, at + len(probe) - 1)
            if earlier < 0:
                return None
            period = len(tail) - len(probe) - earlier
            run = _common_end(tail, tail[:-period])
            if run + period >= _enough(tail[-period:]):
                return self._length - run
            at = earlier
        return None

    def _same_sentence(self) -> int | None:
        """One sentence makes up a third of what was said since it was said first, or a few are all that is said."""
        begin = self._length - len(self._open)
        done = 0
        for end in _ENDS.finditer(self._open):
            sentence = _NO_LETTERS.sub("", self._open[done : end.start()]).lower()
            if len(sentence) >= LOOP_PHRASE_LETTERS:
                self._recent.append((sentence, begin + done))
                if (worth := self._few()) is not None:
                    return worth
            if len(sentence) >= LOOP_SENTENCE_LETTERS:
                places = self._sentences.setdefault(sentence, [])
                places.append(begin + done)
                if len(places) >= LOOP_SENTENCES and self._mostly(sentence, places, begin + end.end()):
                    return places[1]
            done = end.end()
        self._open = self._open[done:][-LOOP_TAIL_CHARS:]
        return None

    def _few(self) -> int | None:
        """Where the last sentences begin to be the same few."""
        if len(self._recent) < LOOP_SENTENCES_READ:
            return None
        if len({sentence for sentence, _ in self._recent}) > LOOP_SENTENCES_FEW:
            return None
        earlier: set[str] = set()
        for sentence, place in self._recent:
            if sentence in earlier:
                return place
            earlier.add(sentence)
        return None

    def _mostly(self, sentence: str, places: list[int], end: int) -> bool:
        recent = list(islice(reversed(places), LOOP_SENTENCES))
        return len(sentence) * len(recent) * 3 >= end - recent[-1]


def _enough(unit: str) -> int:
    """Returns after how many characters a repeated text is a loop; a cry or a line of dashes may be long."""
    words = len(set(_WORDS.findall(f"{unit}{unit}".lower())[1:-1]))  # it may begin and end in a word
    if words < _PHRASE_WORDS:
        return max(LOOP_CHARS, LOOP_TIMES * len(unit))
    return max(LOOP_PHRASE_CHARS, LOOP_TIMES * len(unit))


def shared_sentence(replies: Sequence[str]) -> str:
    """Returns a sentence that is in ``LOOP_REPLIES`` of the last replies, newest last, as it is written; else ""."""
    counts: Counter[str] = Counter()
    spelled: dict[str, str] = {}
    for reply in replies[-LOOP_REPLIES_READ:]:
        sentences = {
            letters: one.strip()
            for one in _ENDS.split(reply[-LOOP_TAIL_CHARS:])
            if len(letters := _NO_LETTERS.sub("", one).lower()) >= LOOP_SENTENCE_LETTERS
        }
        counts.update(sentences.keys())
        spelled |= sentences
    letters, times = next(iter(counts.most_common(1)), ("", 0))
    return spelled[letters] if times >= LOOP_REPLIES else ""


def less_alike(params: Mapping[str, object]) -> dict[str, object]:
    """Returns sampler settings under which a model falls less easily into what it has said before."""
    warmth = params.get("temperature")
    warmer = float(warmth) + 0.3 if isinstance(warmth, int | float) else 1.1
    return {
        **params,
        "temperature": min(warmer, 1.5),
        "frequency_penalty": 0.6,
        "presence_penalty": 0.4,
    }


def _common_end(a: str, b: str) -> int:
    """Returns how many characters two texts have in common at their ends."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a.endswith(b[len(b) - middle :]):
            low = middle
        else:
            high = middle - 1
    return low


RETRY_ASK = "Do not write any of these: {phrases}."


class BannedPhrases:
    """Finds banned phrases in a reply as it comes.

    Case does not matter, and a phrase counts only where it does not begin or end in the middle of a word.
    """

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = [(phrase, phrase.casefold()) for phrase in phrases if phrase.strip()]
        self._longest = max((len(folded) for _, folded in self._phrases), default=0)
        self._tail = ""

    def feed(self, text: str) -> str:
        """Returns the first banned phrase that ended within what came, "" for none."""
        if not self._phrases:
            return ""
        return self._look(text.casefold(), last=False)

    def end(self) -> str:
        """Returns the banned phrase with which the reply ends, "" for none; then it may begin anew."""
        phrase = self._look("", last=True)
        self._tail = ""
        return phrase

    def _look(self, text: str, *, last: bool) -> str:
        whole = self._tail + text
        for phrase, folded in self._phrases:
            at = whole.find(folded)
            while at >= 0:
                end = at + len(folded)
                if (end < len(whole) or last) and _stands_alone(whole, at, end):
                    return phrase
                at = whole.find(folded, at + 1)
        self._tail = whole[-(self._longest + 1) :]  # and the character before it
        return ""


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, first = text[start - 1 : start], text[start]
    after, last = text[end : end + 1], text[end - 1]
    return not (before.isalnum() and first.isalnum()) and not (last.isalnum() and after.isalnum())
