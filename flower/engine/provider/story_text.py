"""The story in what a model writes: without its thinking, its marks and what it says for the player.

Pure. Owns the tail of the text that may yet turn out to be a mark or the player's name. Many servers pass on
thinking as the model wrote it, and some models go on where their turn is over. Knows nothing of how the text
came.
"""

from __future__ import annotations

from collections.abc import Collection

from flower.engine.provider import markers
from flower.engine.provider.base import Reasoning, Text, Withdrawn
from flower.engine.provider.markers import Kind

Told = Text | Reasoning | Withdrawn


class StoryReader:
    """Cuts a stream of text into story and thinking, and drops the marks.

    ``expects``: replies of this model begin with thinking that has no start mark, because its prompt
    template has written it. Then the text is thinking until the end mark; a complete reply without one was
    story after all. Where nobody expects it, an end mark without a start takes back what was told: from
    there back to the beginning the reply was thinking. ``unopened`` says that this happened.

    White space around thinking at the start of the reply is dropped. White space at the start of a reply
    without thinking is kept: a continued reply may begin with a space. ``cut`` is the mark at which the
    reply ended, "" for none; nothing after it is read.
    """

    def __init__(self, *, expects: bool = False) -> None:
        self.unopened = False
        self.cut = ""
        self._expects = expects
        self._inside = False
        self._thought = False  # a block of thinking has ended, or is known to have none before
        self._begun = False  # a word of the story since the start or the last thinking
        self._held = ""  # may be the beginning of a mark
        self._lead = ""  # white space before the first word of the story
        self._unsure: list[str] = []  # told so far, or kept back, while it may be thinking
        self._struck = False

    def feed(self, text: str) -> list[Told]:
        """Returns what is certain so far; the shortest tail that could be a mark is held back."""
        if self.cut:
            return []
        if self._begun and not self._held and not self._inside and not markers.may_begin(text):
            return self._piece(text)
        return self._read(self._held + text, final=False)

    def end(self, *, complete: bool) -> list[Told]:
        """Returns what was held back; ``complete``: the model has said all it wanted to say."""
        held, self._held = self._held, ""
        found = self._read(held, final=True) if not self.cut else []
        if self._expects and (complete or self.cut):
            found += self._after_all()
        return found

    def thinks_apart(self) -> None:
        """Says that the server keeps the thinking apart: what comes as text is story."""
        self._expects = False
        self._thought = True

    def _after_all(self) -> list[Told]:
        """What was taken for thinking is the story: nothing ended it."""
        self._expects = False
        text = "".join(self._unsure).lstrip()
        return [Text(text)] if text else []

    def _read(self, text: str, *, final: bool) -> list[Told]:
        found: list[Told] = []
        self._held = ""
        while text:
            mark = markers.find(text, final=final)
            if mark is None:
                found += self._piece(text)
                break
            found += self._piece(text[: mark.start])
            if mark.kind is None:
                self._held = text[mark.start :]
                break
            found += self._pass(mark.kind, text[mark.start : mark.end])
            if self.cut:
                break
            text = text[mark.end :]
        return found

    def _pass(self, kind: Kind, mark: str) -> list[Told]:
        match kind:
            case Kind.OPEN:
                self._expects, self._inside, self._lead = False, True, ""
            case Kind.CLOSE:
                return self._close()
            case Kind.STRIKE if self._begun:
                self._struck = True
                return self._piece(mark)
            case Kind.END if self._struck and mark.lower() == "</s>":
                self._struck = False
                return self._piece(mark)
            case Kind.END if not self._inside and (self._begun or (self._expects and self._unsure)):
                self.cut = mark
            case _:
                pass  # of no meaning here, and not for eyes
        return []

    def _close(self) -> list[Told]:
        found: list[Told] = []
        if not self._inside and not self._expects:
            if self._thought or not self._begun:
                return []  # a stray one
            self.unopened = True
            found = [Withdrawn(), Reasoning("".join(self._unsure))]
        self.unopened = self.unopened or self._expects
        self._expects = self._inside = self._begun = False
        self._thought = True
        self._lead = ""
        self._unsure.clear()
        return found

    def _piece(self, text: str) -> list[Told]:
        if not text:
            return []
        if self._inside:
            return [Reasoning(text)]
        if self._expects:
            self._unsure.append(text)
            return [Reasoning(text)]
        if not self._begun:
            text = self._lead + text
            if text.isspace():
                self._lead = text
                return []
            self._begun, self._lead = True, ""
            text = text.lstrip() if self._thought else text
        if not self._thought:
            self._unsure.append(text)
        return [Text(text)]


# --- The player's part, which is not the model's to speak.

_DRESS = '*_>"“ \t'  # in front of a name at the start of a line
_AFTER = "*_ \t"  # between a name and its colon
_HELD_CHARS = 256  # of a line's beginning; a name is shorter, and a model may write nothing but blanks


class PlayerStop:
    """Ends a reply where a line of it begins as the player's: ``You:``, or ``Mara:`` for a persona.

    Only after the story has begun: a reply that is nothing but such a line stays as it is. The beginning of
    a line waits while it may be a name. ``cut`` holds the line's beginning, "" while there is none.
    """

    def __init__(self, names: Collection[str]) -> None:
        self._names = tuple({name.casefold().strip() for name in names if name.strip()})
        self._longest = max(map(len, self._names), default=0)
        self._held = ""
        self._begun = False
        self.cut = ""

    def feed(self, text: str) -> str:
        """Returns the text that is certainly no line of the player's."""
        if self.cut:
            return ""
        if not self._names or (not self._held and "\n" not in text):
            self._begun = self._begun or not text.isspace()
            return text
        return self._lines(self._held + text)

    def end(self) -> str:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return "" if self.cut else held

    def _lines(self, text: str) -> str:
        told, self._held = 0, ""
        while (line := text.find("\n", told)) >= 0:
            said = text[:line]
            self._begun = self._begun or bool(said.strip())
            start = _past(text, line, "\n\r" + _DRESS)
            verdict = self._verdict(text[start : start + self._longest + len(_AFTER) + 2])
            if (verdict is None or start == len(text)) and len(text) - line < _HELD_CHARS:
                self._held = text[line:]
                return text[:line]
            if verdict and self._begun:
                self.cut = text[start : start + self._longest + 80].partition("\n")[0]
                return text[:line]
            told = start
        self._begun = self._begun or bool(text.strip())
        return text

    def _verdict(self, line: str) -> bool | None:
        """Returns whether a line begins as the player's; None while that is open."""
        folded = line.casefold()
        for name in self._names:
            if name.startswith(folded):
                return None
            if folded.startswith(name):
                rest = folded[len(name) :].lstrip(_AFTER)
                if not rest:
                    return None
                if rest[0] in ":：":
                    return True
        return False


def _past(text: str, start: int, characters: str) -> int:
    while start < len(text) and text[start] in characters:
        start += 1
    return start
