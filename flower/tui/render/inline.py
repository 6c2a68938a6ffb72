"""Inline Markdown: emphasis, code, links and dialogue inside one paragraph.

Owns the rules of where emphasis and dialogue begin and end; never wraps. The rules lean on CommonMark's
flanking runs, made simpler in one way that suits text which is still being written: what is opened and
not closed holds to the end of the paragraph.
"""

from __future__ import annotations

import re
from typing import Protocol

from flower.tui.render.style import Span, Style


class Styles(Protocol):
    """The styles needed here; ``markdown.Palette`` has them."""

    @property
    def dialogue(self) -> Style: ...
    @property
    def emphasis(self) -> Style: ...
    @property
    def strong(self) -> Style: ...
    @property
    def strike(self) -> Style: ...
    @property
    def code(self) -> Style: ...
    @property
    def link(self) -> Style: ...


_TOKEN = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)"
    r"|!?\[(?P<label>[^\[\]\n]{1,200})\]\((?P<address>[^()\s]{0,500})\)"
    r"|(?P<stars>\*+)|(?P<lines>_+)|(?P<strike>~~)"
    r"|(?P<quote>[\"“”„«»])"
)
_MARK = re.compile('[\\\\`!\\[\\]()*_~"“”„«»]')  # what can begin, end or complete a token
_CLOSING_QUOTES = {"“": "”", "„": "“”", "«": "»", '"': '"', "»": "«"}


class _State:
    """What is open at the place of reading."""

    def __init__(self, base: Style, styles: Styles) -> None:
        self.base = base
        self.styles = styles
        self.star = 0  # bits: 1 emphasis, 2 strong, opened with stars
        self.line = 0  # the same, opened with underscores
        self.struck = False
        self.quote = ""  # the mark that ends the open dialogue

    def style(self) -> Style:
        style, bits = self.base, self.star | self.line
        if self.quote:
            style = self.styles.dialogue.over(style)
        if bits & 1:
            style = self.styles.emphasis.over(style)
        if bits & 2:
            style = self.styles.strong.over(style)
        if self.struck:
            style = self.styles.strike.over(style)
        return style


def parse(text: str, base: Style, styles: Styles) -> list[Span]:
    """Returns the spans of a paragraph: its text without the marks, neighbours of different style."""
    state = _State(base, styles)
    spans: list[Span] = []

    def add(part: str, style: Style) -> None:
        if not part:
            return
        if spans and spans[-1][1] == style:
            spans[-1] = (spans[-1][0] + part, style)
        else:
            spans.append((part, style))

    at = 0
    while True:
        match = _TOKEN.search(text, at)
        if match is None:
            add(text[at:], state.style())
            return spans
        add(text[at : match.start()], state.style())
        at = match.end()
        before, after = text[match.start() - 1 : match.start()], text[at : at + 1]
        if match["escaped"]:
            add(match["escaped"], state.style())
        elif match["ticks"]:
            end = text.find(match["ticks"], at)
            if end < 0:  # a lone backquote is often an apostrophe
                add(match["ticks"], state.style())
            else:
                add(text[at:end].replace("\n", " "), styles.code.over(state.style()))
                at = end + len(match["ticks"])
        elif match["label"]:
            add(match["label"], styles.link.over(state.style()))
        elif match["stars"]:
            add(_stars(state, len(match["stars"]), before, after), state.style())
        elif match["lines"]:
            add(_underscores(state, match["lines"], before, after, text[at:]), state.style())
        elif match["strike"]:
            if state.struck or after.strip():
                state.struck = not state.struck
            else:
                add("~~", state.style())
        else:
            _dialogue(state, match["quote"], before, after, add)


def grown(before: str, text: str, spans: list[Span]) -> list[Span] | None:
    """Returns the spans of ``text`` when they are those of ``before`` and plain words; else None.

    A mark at the end of ``before`` may mean something else now that something follows it.
    """
    if not spans or not text.startswith(before) or _MARK.search(text, len(before) - 1):
        return None
    last, style = spans[-1]
    return [*spans[:-1], (last + text[len(before) :], style)]


def _stars(state: _State, count: int, before: str, after: str) -> str:
    """Opens or closes what a run of stars means; returns the stars that mean nothing."""
    can_open, can_close = bool(after.strip()), bool(before.strip())
    bits = min(3, count)
    if can_close and state.star & bits and not (can_open and state.star & bits != bits):
        closed = state.star & bits
        state.star &= ~closed
        left = bits & ~closed
        if left and can_open:
            state.star |= left
            left = 0
        return "*" * (left + max(0, count - 3))
    if can_open:
        inside = before.isalnum() and after.isalnum()
        if inside and before.isdigit():  # 2*3
            return "*" * count
        state.star |= bits
        return "*" * max(0, count - 3)
    return "*" * count


def _underscores(state: _State, marks: str, before: str, after: str, rest: str) -> str:
    """The same for underscores, which never work inside words and must be closed: names have them."""
    bits = min(3, len(marks))
    if state.line & bits == bits and before.strip() and not after.isalnum():
        state.line &= ~bits
        return marks[3:]
    opens = after.strip() and not before.isalnum() and before != "_"
    if opens and re.search(r"[^\s_]" + marks + r"(?![\w])", rest):
        state.line |= bits
        return marks[3:]
    return marks


def _dialogue(state: _State, mark: str, before: str, after: str, add: _Add) -> None:
    """Begins or ends dialogue; the quotation marks belong to it."""
    if state.quote and mark in state.quote:
        add(mark, state.style())
        state.quote = ""
        return
    opening = mark in "“„«" or (
        mark in '"»' and (not before or not (before.isalnum() or before in ".,!?…"))
    )
    if not state.quote and opening and after.strip():
        state.quote = _CLOSING_QUOTES[mark]
    add(mark, state.style())


class _Add(Protocol):
    def __call__(self, part: str, style: Style) -> None: ...
