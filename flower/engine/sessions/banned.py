"""Notices phrases in a growing reply that its player has banned. Pure.

Where a server can keep a model from writing them they never come; everywhere else they are found here. Case
does not matter, and a phrase counts only where it does not begin or end in the middle of a word.
"""

from __future__ import annotations

from collections.abc import Sequence

RETRY_ASK = "Do not write any of these: {phrases}."


class BannedPhrases:
    """Reads a reply as it comes."""

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
        found = self._look("", last=True)
        self._tail = ""
        return found

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
