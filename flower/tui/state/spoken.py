"""Finished sentences of a reply as it grows, for whoever reads them aloud.

Pure. Knows what is narration and what is said by somebody, and by whom where the sentence says so. Speaks
nothing itself.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

SENTENCE_CHARS = 600  # a longer one is read in parts
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»*_)\]]*+(?=\s)|\n\n++")
_QUOTE = re.compile(r'"[^"\n]*+"|“[^“”\n]*+”')
_MARKS = re.compile(r"[*_`#>]++")
_DICE = re.compile(r"\[[^\[\]\n]{0,80}\]")  # what a throw shows is not read


class Utterance(NamedTuple):
    """A piece to be read. ``speaker`` is "" for narration, and for somebody who is not named."""

    text: str
    dialogue: bool = False
    speaker: str = ""


class Sentences:
    """Cuts a growing text into sentences. Positions are characters of that text."""

    def __init__(self, begins: int = 0) -> None:
        self._read = begins

    def take(self, text: str, *, ended: bool = False) -> list[str]:
        """Returns the sentences that are whole by now and were not returned before.

        ``ended``: nothing will follow, so that what is left is a sentence, too. A text that has become shorter
        is read on from where it ends.
        """
        self._read = min(self._read, len(text))
        found = []
        for match in _END.finditer(text, self._read):
            found.append(text[self._read : match.end()])
            self._read = match.end()
        if ended or len(text) - self._read > SENTENCE_CHARS:
            found.append(text[self._read :])
            self._read = len(text)
        return [clean for one in found if (clean := _readable(one))]


def _readable(sentence: str) -> str:
    bare = " ".join(_MARKS.sub(" ", _DICE.sub(" ", sentence)).split())
    return bare if any(char.isalnum() for char in bare) else ""


def utterances(sentence: str, names: Collection[str], what: str) -> Sequence[Utterance]:
    """Returns what of a sentence is read: ``what`` is all, narration or dialogue.

    Where ``names`` has somebody whom the words beside a quotation name, the quotation is theirs.
    """
    beside = _QUOTE.sub(" ", sentence)
    folded = beside.casefold()
    speaker = next((one for one in names if one.casefold() in folded), "")
    pieces: list[Utterance] = []
    end = 0
    for match in _QUOTE.finditer(sentence):
        pieces.append(Utterance(sentence[end : match.start()].strip()))
        pieces.append(Utterance(match.group().strip('"“”'), dialogue=True, speaker=speaker))
        end = match.end()
    pieces.append(Utterance(sentence[end:].strip()))
    kept = [
        one
        for one in pieces
        if any(char.isalnum() for char in one.text)
        and (what == "all" or one.dialogue == (what == "dialogue"))
    ]
    if what == "all" and not any(one.speaker for one in kept):
        return [Utterance(sentence)] if kept else []
    return kept
