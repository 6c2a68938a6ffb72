"""The story in what a model writes: without its thinking, its marks and what it says for the player.

Pure. Owns the table of the marks that models and chat templates put around thinking, turns and replies, and the tail
of a text that may yet turn out to be a mark or the player's name. Many servers pass on thinking as the model wrote it,
and some models go on where their turn is over. Knows nothing of how the text came.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from typing import Any, Literal

from msgspec import Struct

from flower.engine.provider.base import Reasoning, Text, Withdrawn
from flower.engine.provider.text_prompts import QUOTED

BLANKS = 8  # white space inside one mark; more of it is text


class MarkKind(Enum):
    """What a mark means for the reply it is in."""

    OPEN = "thinking begins"
    CLOSE = "thinking ends"
    END = "the reply is over"
    DROP = "nothing; not for eyes"
    STRIKE = "BOS of some templates, and HTML's struck text"


class Mark(Struct, frozen=True):
    """A mark found in a text: where, how long, and what it means. ``MarkKind`` None: it may yet become one."""

    start: int
    end: int
    kind: MarkKind | None


_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "antml:thinking")
_PIPED = ("think", "thinking", "thought", "reasoning")  # tags that some models write as <|tag|>

# Sources: the chat templates of DeepSeek R1, Qwen 3, Magistral, Kimi, Command A, gpt-oss (OpenAI's harmony format),
# Gemma, Llama 3, Mistral, Phi, GLM and Zephyr, as their model cards publish them. No mark has a blank inside.
MARKS: dict[MarkKind, tuple[str, ...]] = {
    MarkKind.OPEN: (
        *(f"<{tag}>" for tag in _TAGS), *(f"<|{tag}|>" for tag in _PIPED),
        "[think]", "[thinking]", "◁think▷", "<|begin_of_thought|>", "<|start_thinking|>", "<|channel>thought",
        "<|channel|>thought<|message|>", "<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>",
    ),
    MarkKind.CLOSE: (
        *(f"</{tag}>" for tag in _TAGS), *(f"<|/{tag}|>" for tag in _PIPED),
        "[/think]", "[/thinking]", "◁/think▷", "<|end_of_thought|>", "<|end_thinking|>", "<channel|>",
        "<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    MarkKind.END: (
        "<|im_end|>", "<|im_start|>", "<|im_sep|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|end_of_text|>",
        "<|endoftext|>", "<|end_of_turn|>", "<|end_of_turn_token|>", "<|start_of_turn_token|>", "<|start_header_id|>",
        "<|end|>", "<|return|>", "<|call|>", "<|user|>", "<|assistant|>", "<|system|>", "<|begin_of_text|>",
        "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>", "<eos>", "</s>", "[inst]", "[/inst]",
        "<｜end▁of▁sentence｜>", "<｜user｜>", "<｜assistant｜>",
    ),
    MarkKind.DROP: (
        "<bos>", "<|im_start|>assistant", "<|start_header_id|>assistant<|end_header_id|>", "<start_of_turn>model",
        "<|turn>model", "<|start|>", "<|start|>assistant", "<|message|>", "<|begin_of_solution|>",
        "<|end_of_solution|>", "<|start_response|>", "<|end_response|>", "<｜begin▁of▁sentence｜>",
    ),
    MarkKind.STRIKE: ("<s>",),
}  # fmt: skip

_BEGINS = re.compile(r"[<\[◁]")
_KIND = ""  # the key of a mark's kind in the node where it ends


def _trie() -> dict[str, Any]:
    root: dict[str, Any] = {}
    for kind, marks in MARKS.items():
        for mark in marks:
            node = root
            for character in mark:
                node = node.setdefault(character, {})
            node[_KIND] = kind
    return root


_ROOT = _trie()


def may_begin_mark(text: str) -> bool:
    """Returns whether ``text`` holds a character with which a mark can begin."""
    return _BEGINS.search(text) is not None


def find_mark(text: str, *, final: bool = False) -> Mark | None:
    """Returns the first mark in ``text``, the longest where several begin; None when there is none.

    A mark that the end of the text cuts off has no kind yet, unless the text is ``final``.
    """
    for place in _BEGINS.finditer(text):
        mark = _match(text, place.start(), final=final)
        if mark is not None:
            return mark
    return None


def _match(text: str, start: int, *, final: bool) -> Mark | None:
    node, blanks, longest = _ROOT, 0, None
    # One mark may be the beginning of another (<|start|> and <|start|>assistant), so a mark that is whole counts
    # only once the text has left the tree, or has reached a leaf of it.
    for at in range(start, len(text)):
        character = text[at]
        if character.isspace() and at > start:
            blanks += 1
            if blanks > BLANKS:
                return longest
            continue
        node = node.get(character.lower(), {})
        if not node:
            return longest
        if _KIND in node:
            longest = Mark(start, at + 1, node[_KIND])
            if len(node) == 1:
                return longest
    return longest if final else Mark(start, len(text), None)


# --- The story between the marks -----------------------------------------------------------------


StoryPart = Text | Reasoning | Withdrawn


class StoryReader:
    """Cuts a stream of text into story and thinking, and drops the marks.

    ``expects``: replies of this model begin with thinking that has no start mark, because its prompt
    template has written it. Then the text is thinking until the end mark; a complete reply without one was
    story after all. Where nobody expects it, an end mark without a start takes back what was sent: from
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
        self._unsure: list[str] = []  # sent so far, or kept back, while it may be thinking
        self._struck = False

    def feed(self, text: str) -> list[StoryPart]:
        """Returns what is certain so far; the shortest tail that could be a mark is held back."""
        if self.cut:
            return []
        if self._begun and not self._held and not self._inside and not may_begin_mark(text):
            return self._piece(text)  # nearly always: the short way, taken for every token
        return self._read(self._held + text, final=False)

    def end(self, *, complete: bool) -> list[StoryPart]:
        """Returns what was held back; ``complete``: the model has said all it wanted to say."""
        held, self._held = self._held, ""
        parts = self._read(held, final=True) if not self.cut else []
        if self._expects and (complete or self.cut):
            parts += self._after_all()
        return parts

    def thinks_apart(self) -> None:
        """Says that the server keeps the thinking apart: what comes as text is story."""
        self._expects = False
        self._thought = True

    def _after_all(self) -> list[StoryPart]:
        """What was taken for thinking is the story: nothing ended it."""
        self._expects = False
        text = "".join(self._unsure).lstrip()
        return [Text(text)] if text else []

    def _read(self, text: str, *, final: bool) -> list[StoryPart]:
        parts: list[StoryPart] = []
        self._held = ""
        while text:
            mark = find_mark(text, final=final)
            if mark is None:
                parts += self._piece(text)
                break
            parts += self._piece(text[: mark.start])
            if mark.kind is None:
                self._held = text[mark.start :]
                break
            parts += self._pass(mark.kind, text[mark.start : mark.end])
            if self.cut:
                break
            text = text[mark.end :]
        return parts

    def _pass(self, kind: MarkKind, mark: str) -> list[StoryPart]:
        match kind:
            case MarkKind.OPEN:
                self._expects, self._inside, self._lead = False, True, ""
            case MarkKind.CLOSE:
                return self._close()
            case MarkKind.STRIKE if self._begun:
                self._struck = True
                return self._piece(mark)
            case MarkKind.END if self._struck and mark.lower() == "</s>":
                self._struck = False
                return self._piece(mark)
            case MarkKind.END if not self._inside and (self._begun or (self._expects and self._unsure)):
                self.cut = mark
            case _:
                pass  # of no meaning here, and not for eyes
        return []

    def _close(self) -> list[StoryPart]:
        parts: list[StoryPart] = []
        if not self._inside and not self._expects:
            if self._thought or not self._begun:
                return []  # a stray one
            self.unopened = True
            parts = [Withdrawn(), Reasoning("".join(self._unsure))]
        self.unopened = self.unopened or self._expects
        self._expects = self._inside = self._begun = False
        self._thought = True
        self._lead = ""
        self._unsure.clear()
        return parts

    def _piece(self, text: str) -> list[StoryPart]:
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
            self._unsure.append(text)  # a later end mark may say that all of it was thinking
        return [Text(text)]


# --- Lines that are not the narrator's: the player's part, and the scaffolding of our own prompts.

COMPLETED_CHARS = 600  # two or three paragraphs
_DRESS = '*_>-•–—"“[ \t'  # in front of a name or a mark at the start of a line
_AFTER = "*_ \t"  # between a name and its colon
_HELD_CHARS = 256  # of a line's beginning; a name is shorter, and a model may write nothing but blanks


class LineStop:
    """Ends a reply where a line of it begins as the player's (``You:``), or as a part of a prompt (``marks``).

    Only after the story has begun: a reply that is nothing but a line of the player's stays as it is, and
    lines of a prompt before the story are left out. The beginning of a line waits while it may be either.
    Case does not matter. ``cut`` holds the line's beginning, "" while there is none. The mark ``>`` is one only
    before the story, where a model that completes text may write the player's next line first; such a model
    does not know when it has said enough, and ends with a paragraph after ``COMPLETED_CHARS``.
    """

    def __init__(self, names: Collection[str], marks: Collection[str] = ()) -> None:
        self._names = tuple({name.casefold().strip() for name in names if name.strip()})
        self._marks = tuple(mark.casefold() for mark in marks if mark != QUOTED)
        self._quoted = QUOTED in marks
        self._longest = max(map(len, (*self._names, *self._marks)), default=0) + len(_AFTER) + 2
        self._watches = bool(self._names or self._marks or self._quoted)
        self._held = ""
        self._begun = False
        self._dropping = False  # a line of the prompt, to its end
        self._chars = 0  # characters
        self._dropped = False  # at least one, and the blank lines after it
        self.cut = ""

    def feed(self, text: str) -> str:
        """Returns the text that is certainly the narrator's."""
        if self.cut:
            return ""
        if not self._watches or (self._begun and not self._held and "\n" not in text):
            self._chars += len(text)
            return text
        text, self._held = self._held + text, ""
        story = self._before_the_story(text) if not self._begun else self._lines(text)
        self._begun = self._begun or bool(story.strip())
        return self._to_a_paragraph(story) if self._quoted else story

    def _to_a_paragraph(self, text: str) -> str:
        self._chars += len(text)
        enough = max(len(text) - (self._chars - COMPLETED_CHARS), 0)
        end = text.find("\n", enough)
        if self.cut or end < 0:
            return text
        self.cut = "\n"
        return text[:end]

    def end(self) -> str:
        """Returns what was held back."""
        held, self._held = self._held, ""
        return "" if self.cut else held

    def _before_the_story(self, text: str) -> str:
        while True:
            if self._dropping:
                _, line_end, text = text.partition("\n")
                self._dropping = not line_end
            if self._dropped:
                text = text.lstrip("\r\n")
            start = _past(text, 0, "\n\r" + _DRESS)
            quoted = self._quoted and text.lstrip().startswith(QUOTED)
            verdict = "mark" if quoted else self._verdict(text[start : start + self._longest])
            if (verdict is None or start == len(text)) and len(text) < _HELD_CHARS:
                self._held = text  # not enough of the line is here to know what it is
                return ""
            if verdict != "mark":
                self._begun = True
                return self._lines(text, start)
            self._dropping = self._dropped = True
            text = text[start:]

    def _lines(self, text: str, start_at: int = 0) -> str:
        while (line := text.find("\n", start_at)) >= 0:
            start = _past(text, line, "\n\r" + _DRESS)
            verdict = self._verdict(text[start : start + self._longest])
            if (verdict is None or start == len(text)) and len(text) - line < _HELD_CHARS:
                self._held = text[
                    line:
                ]  # with its line end, which is no part of a reply that is cut here
                return text[:line]
            if verdict:
                self.cut = text[start : start + self._longest + 80].partition("\n")[0]
                return text[:line]
            start_at = start
        return text

    def _verdict(self, line: str) -> Literal["mark", "name", ""] | None:
        """Returns as what a line begins; None while that is open."""
        folded = line.casefold()
        if any(folded.startswith(mark) for mark in self._marks):
            return "mark"
        waits = any(mark.startswith(folded) for mark in self._marks)
        for name in self._names:
            if name.startswith(folded):
                waits = True
            elif folded.startswith(name):
                rest = folded[len(name) :].lstrip(_AFTER)
                if not rest:
                    waits = True
                elif rest[0] in ":：":
                    return "name"
        return None if waits else ""


def _past(text: str, start: int, characters: str) -> int:
    while start < len(text) and text[start] in characters:
        start += 1
    return start
