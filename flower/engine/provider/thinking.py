"""Tells a model's thinking from the story when both come in one text.

Owns the tail of the text that may yet turn out to be a tag. Many local servers pass on
``<think>...</think>`` as the model wrote it, split anywhere over the chunks.
"""

from __future__ import annotations

from flower.engine.provider.base import Reasoning, Text

_OPEN = ("<think>", "<thinking>")
_CLOSE = ("</think>", "</thinking>")
_LONGEST = max(map(len, _OPEN + _CLOSE))


class ThinkSplitter:
    """Cuts a stream of text into story and thinking, and drops the tags.

    ``inside``: the prompt template has opened the tag already, the reply starts with thinking.
    White space around a thinking block at the start of the reply is dropped. White space at the
    start of a reply without thinking is kept: a continued reply may begin with a space. A stray
    closing tag is dropped.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._inside = inside
        self._held = ""  # may be the beginning of a tag
        self._lead = ""  # white space before the first word of the story
        self._begun = False  # a word of the story since the start or the last thinking block
        self._thought = inside

    def feed(self, text: str) -> list[Text | Reasoning]:
        """Returns what is certain so far; the shortest tail that could be a tag is held back."""
        if self._begun and not self._held and not self._inside and "<" not in text:
            return [Text(text)] if text else []
        return self._cut(self._held + text)

    def end(self) -> list[Text | Reasoning]:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return self._piece(held)

    def _cut(self, text: str) -> list[Text | Reasoning]:
        found: list[Text | Reasoning] = []
        self._held = ""
        while text:
            at, tag = _first_tag(text)
            if not tag:
                keep = len(text) - _possible_tag_length(text)
                found += self._piece(text[:keep])
                self._held = text[keep:]
                break
            found += self._piece(text[:at])
            self._pass(tag)
            text = text[at + len(tag) :]
        return found

    def _pass(self, tag: str) -> None:
        closed = self._inside and tag in _CLOSE
        self._inside = tag in _OPEN
        if closed or self._inside:
            self._lead = ""
        if closed:
            self._begun = False
            self._thought = True

    def _piece(self, text: str) -> list[Text | Reasoning]:
        if not text:
            return []
        if self._inside:
            return [Reasoning(text)]
        if self._begun:
            return [Text(text)]
        text = self._lead + text
        if text.isspace():
            self._lead = text
            return []
        self._begun = True
        self._lead = ""
        return [Text(text.lstrip() if self._thought else text)]


def _first_tag(text: str) -> tuple[int, str]:
    """Returns position and text of the first complete tag; an empty tag when there is none."""
    start = text.find("<")
    while start >= 0:
        for tag in _OPEN + _CLOSE:
            if text.startswith(tag, start):
                return start, tag
        start = text.find("<", start + 1)
    return -1, ""


def _possible_tag_length(text: str) -> int:
    """Returns how many characters at the end may be the beginning of a tag."""
    start = text.rfind("<", max(0, len(text) - _LONGEST + 1))
    if start < 0:
        return 0
    tail = text[start:]
    return len(tail) if any(tag.startswith(tail) for tag in _OPEN + _CLOSE) else 0
