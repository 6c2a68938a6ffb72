"""Markdown of stories, as lines of styled spans.

Owns the dialect: what language models and roleplayers write. Paragraphs, where a newline is a line break
as in a chat; ``#`` headings, ``-`` ``*`` ``+`` ``1.`` lists, ``>`` quotes, fenced code, rules; in text
``**strong**``, ``*emphasis*``, ``_emphasis_``, ``~~struck~~``, code in backquotes, ``[text](address)``, and
“dialogue” in its own tone. Emphasis that is opened and not closed holds to the end of its paragraph, so
text that is still streaming does not change its look when the end comes. Raw HTML is plain text.

Law: a ``Streaming`` fed in any pieces gives the same lines as ``render`` of the whole. Text is cleaned here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from flower.tui.render import inline
from flower.tui.render.style import PLAIN, Span, Style
from flower.tui.render.text import Wrapped, clean, fit, width, wrapped

if TYPE_CHECKING:
    from flower.tui.render.theme import Theme

Line = list[Span]

_FENCE = re.compile(r" {0,3}(`{3,}+|~{3,}+)([^`\n]*+)\Z")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]++")
_OPEN_PARAGRAPHS = 4  # that emphasis goes over at most: a stray star must not take the rest of a story
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,}|(?:= *){3,}|(?:~ *){3,})\Z")
_ITEM = re.compile(r"( *)([-*+•]|\d{1,3}[.)])[ \t]+(?=\S)")
_QUOTE = re.compile(r" {0,3}((?:> ?)+)")


class Palette(NamedTuple):
    """The styles and glyphs that Markdown is drawn with."""

    text: Style = PLAIN
    dialogue: Style = PLAIN
    emphasis: Style = Style(italic=True)
    strong: Style = Style(bold=True)
    strike: Style = Style(dim=True)
    code: Style = PLAIN
    link: Style = Style(underline=True)
    heading: Style = Style(bold=True)
    quote: Style = Style(italic=True)
    rule: Style = Style(dim=True)
    bullet: Style = PLAIN
    bullet_glyph: str = "•"
    quote_glyph: str = "▎"
    rule_glyph: str = "─"

    @classmethod
    def of(cls, theme: Theme) -> Palette:
        """Returns the palette of a theme."""
        return cls(
            text=theme["narrator"],
            dialogue=theme["dialogue"],
            emphasis=theme["emphasis"],
            strong=theme["strong"],
            strike=theme["strike"],
            code=theme["code"],
            link=theme["link"],
            heading=theme["heading"],
            quote=theme["quote"],
            rule=theme["rule"],
            bullet=theme["bullet"],
            bullet_glyph=theme.glyphs.bullet,
            quote_glyph=theme.glyphs.quote,
            rule_glyph=theme.glyphs.h,
        )


def render(text: str, columns: int, palette: Palette) -> list[Line]:
    """Returns the lines of ``text`` laid out to ``columns``; a blank line between blocks, none around."""
    stream = Streaming(columns, palette)
    stream.append(text)
    return stream.lines()


class _Memo:
    """The growing paragraph as it was laid out last, so that only its end is laid out again."""

    __slots__ = ("lines", "opened", "spans", "style", "text", "wrapped")

    def __init__(self) -> None:
        self.text = ""
        self.opened = 0
        self.style: Style | None = None
        self.spans: Line = []
        self.wrapped: Wrapped | None = None
        self.lines: list[Line] = []

    def lay(
        self, text: str, columns: int, palette: Palette, style: Style, opened: int = 0
    ) -> list[Line]:
        """Returns the wrapped lines of inline text, unchanged ones as the same objects.

        ``opened``: stars that the paragraph before has left open.
        """
        same_look = style == self.style and opened == self.opened
        grown = inline.grown(self.text, text, self.spans) if same_look else None
        spans = inline.parse(text, style, palette, opened) if grown is None else grown
        now = wrapped("".join(part for part, _ in spans), columns, self.wrapped)
        same = 0
        # Words that were added change the last line and what follows, never a line before: those stay the same objects.
        if grown is not None and self.wrapped is not None and self.wrapped.columns == columns:
            same = max(0, len(self.lines) - 1)
        self.lines = self.lines[:same] + _cut_spans(spans, now.offsets[same:])
        self.text, self.style, self.spans, self.wrapped = text, style, spans, now
        self.opened = opened
        return self.lines


class Streaming:
    """Markdown that grows at its end. Only its last block is laid out again."""

    def __init__(self, columns: int, palette: Palette, memo: _Memo | None = None) -> None:
        self._columns = max(2, columns)
        self._memo = memo or _Memo()
        self._palette = palette
        self._done: list[Line] = []  # of closed blocks
        self._gap = False  # a blank line of the source came after the closed blocks
        self._fence = ""  # the fence that an open code block waits for
        self._open: list[str] = []  # complete source lines of the last block
        self._partial = ""  # the source line that is still growing
        self._opened = 0  # stars that paragraphs before have opened and not closed
        self._opened_for = 0  # so many paragraphs ago
        self._laid: list[Line] | None = None

    def append(self, text: str) -> None:
        """Adds source text at the end."""
        if not text:
            return
        *complete, self._partial = (self._partial + text).split("\n")
        for line in complete:
            self._take(clean(line))
        self._laid = None

    @property
    def settled(self) -> int:
        """How many of ``lines`` are of closed blocks: these are the same objects from now on."""
        return len(self._done)

    def lines(self) -> list[Line]:
        """Returns all lines so far. Lines of closed blocks are the same objects every time."""
        if self._laid is None:
            self._laid = self._done + self._tail()
        return self._laid

    # --- blocks ---------------------------------------------------------------------------------

    def _take(self, line: str) -> None:
        """Adds a complete source line: to the open block, or after closing it."""
        if self._fence:
            if _closes(line, self._fence):
                self._fence = ""
                self._gap = False
            else:
                self._done += _code_line(line, self._columns, self._palette)
            return
        if not line.strip():
            self._close()
            self._gap = bool(self._done)
            return
        kind = _kind(line)
        if kind == "fence":
            self._close()
            self._separate()
            match = _FENCE.match(line)
            self._fence = match.group(1) if match else "```"
            return
        if kind == "item" and (action := _action(line)):
            kind, line = "text", action
        before = _kind(self._open[0]) if self._open else ""
        if (kind == "text" and before in ("text", "item", "quote")) or kind == before == "quote":
            self._open.append(line)  # goes on with the paragraph, the item or the quote
            return
        self._close()
        self._separate()
        self._open = [line]
        if kind in ("heading", "rule"):
            self._close()

    def _separate(self) -> None:
        """Puts one blank line before a block where the source has some."""
        if self._gap and self._done:
            self._done.append([])
        self._gap = False

    def _close(self) -> None:
        """Lays the open block out for good."""
        if not self._open:
            return
        self._done += self._lay_open()
        if _kind(self._open[0]) == "text":
            left = inline.left_open(_paragraph(self._open), self._opened)
            self._opened_for = self._opened_for + 1 if left and left == self._opened else 0
            self._opened = left if self._opened_for < _OPEN_PARAGRAPHS else 0
        else:
            self._opened = 0
        self._open = []

    def _lay_open(self) -> list[Line]:
        return _lay(self._open, self._columns, self._palette, self._memo, self._opened)

    def _tail(self) -> list[Line]:
        """Returns the lines of the open block, the growing source line included."""
        line = clean(self._partial)
        if self._fence:
            if not line or _may_close(line, self._fence):
                return []
            return _code_line(line, self._columns, self._palette)
        if not line.strip():
            return self._lay_open() if self._open else []
        # What the growing line is, is not sure before its end. So a copy of the block takes it as if it had ended, and
        # is dropped; the blank line in ``_done`` is there for the closed blocks, of which only "are there any" counts.
        trial = Streaming(self._columns, self._palette, self._memo)
        trial._open = list(self._open)
        trial._gap = self._gap
        trial._opened, trial._opened_for = self._opened, self._opened_for
        trial._done = [[]] if self._done else []
        trial._take(line)
        done = trial._done + (trial._lay_open() if trial._open else [])
        return done[1:] if self._done else done


def _kind(line: str) -> str:
    if line[:1].isalpha():
        return "text"  # no mark begins with a letter
    if _FENCE.match(line):
        return "fence"
    if _HEADING.match(line):
        return "heading"
    if _RULE.match(line):
        return "rule"
    if _ITEM.match(line):
        return "item"
    if _QUOTE.match(line):
        return "quote"
    return "text"


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return stripped.startswith(fence) and not stripped.strip(fence[0])


def _may_close(line: str, fence: str) -> bool:
    """True while a growing line could still become the closing fence: it is not shown until known."""
    stripped = line.strip()
    return bool(stripped) and not stripped.strip(fence[0]) and fence.startswith(stripped[: len(fence)])


# --- laying blocks out ------------------------------------------------------------------------------


def _lay(source: list[str], columns: int, palette: Palette, memo: _Memo, opened: int = 0) -> list[Line]:
    """Returns the lines of one block; ``opened`` stars hold on from the paragraph before."""
    first = source[0]
    kind = _kind(first)
    if kind == "rule":
        glyph = palette.rule_glyph
        return [[(glyph * min(columns, 24), palette.rule)]]
    if kind == "heading":
        return memo.lay(_heading(first) or first, columns, palette, palette.heading)
    if kind == "item":
        return _item(source, columns, palette, memo)
    if kind == "quote":
        return _quote(source, columns, palette, memo)
    return memo.lay(_paragraph(source), columns, palette, palette.text, opened)


def _paragraph(source: list[str]) -> str:
    return "\n".join(line.strip() for line in source)


def _heading(line: str) -> str | None:
    """Returns the words of a heading, None when the line is none."""
    match = _HEADING.match(line)
    if match is None:
        return None
    words = line[match.end() :].strip(" \t")
    return words.rstrip("#").rstrip(" \t") if words.endswith("#") else words


def _action(line: str) -> str:
    """Returns ``*what somebody does*`` for the line ``* what somebody does*``; nothing for an item."""
    words = line.strip().removeprefix("*").strip()
    ends = words.endswith("*") and not words.endswith((" *", "**"))
    return f"*{words}" if ends and line.strip()[0] == "*" and words.count("*") % 2 else ""


def _item(source: list[str], columns: int, palette: Palette, memo: _Memo) -> list[Line]:
    match = _ITEM.match(source[0])
    if match is None:
        return memo.lay(source[0], columns, palette, palette.text)
    indent = min(len(match.group(1)), columns // 4)
    mark = match.group(2)
    mark = palette.bullet_glyph if mark in "-*+•" else mark
    hang = indent + width(mark) + 1
    text = "\n".join([source[0][match.end() :].strip(), *(line.strip() for line in source[1:])])
    head: Line = [(" " * indent, palette.text), (f"{mark} ", palette.bullet)]
    rest: Line = [(" " * hang, palette.text)]
    return list(_hung(text, columns, palette, palette.text, head, rest, memo))


def _quote(source: list[str], columns: int, palette: Palette, memo: _Memo) -> list[Line]:
    lines = []
    for line in source:
        match = _QUOTE.match(line)
        lines.append(line[match.end() :].strip() if match else line.strip())
    bar: Line = [(f"{palette.quote_glyph} ", palette.rule)]
    return list(_hung("\n".join(lines), columns, palette, palette.quote, bar, bar, memo))


def _hung(
    text: str, columns: int, palette: Palette, style: Style, first: Line, rest: Line, memo: _Memo
) -> Iterator[Line]:
    """Yields the paragraph's lines with ``first`` before the first and ``rest`` before the others."""
    room = columns - sum(width(part) for part, _ in first)
    if room < 4:  # too narrow to hang anything
        first = rest = []
        room = columns
    for index, line in enumerate(memo.lay(text, room, palette, style)):
        yield [*(first if index == 0 else rest), *line]


def _cut_spans(spans: Line, offsets: list[tuple[int, int]]) -> list[Line]:
    """Returns the spans that lie between each begin and end; offsets are in order."""
    lines: list[Line] = []
    index = at = 0  # spans[index] begins at offset ``at``
    for start, end in offsets:
        line: Line = []
        while index < len(spans) and at + len(spans[index][0]) <= start:
            at += len(spans[index][0])
            index += 1
        here, place = index, at
        while here < len(spans) and place < end:
            part, style = spans[here]
            piece = part[max(0, start - place) : end - place]
            if piece:
                line.append((piece, style))
            place += len(part)
            here += 1
        lines.append(line)
    return lines


def _code_line(line: str, columns: int, palette: Palette) -> list[Line]:
    """Returns one line of a code block: never wrapped, cut with an ellipsis."""
    return [[(fit(line, columns), palette.code)]]
