"""Inline Markdown: emphasis, code, links and dialogue inside one paragraph.

Owns the rules of where emphasis and dialogue begin and end; never wraps. The rules are those of CommonMark's
flanking runs (https://spec.commonmark.org/0.31.2/#emphasis-and-strong-emphasis) with two changes. What is opened
with stars and not closed holds to the end of the paragraph, because text is still being written. And a run inside
a word opens only what is closed in the same word: people write ``f**k`` and ``Lehrer*innen``.

Every rule looks at most at a table that is made once for the paragraph, so the time is linear.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import NamedTuple, Protocol

from flower.tui.render.style import PLAIN, Span, Style


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


class _NoStyles(NamedTuple):
    dialogue: Style = PLAIN
    emphasis: Style = PLAIN
    strong: Style = PLAIN
    strike: Style = PLAIN
    code: Style = PLAIN
    link: Style = PLAIN


_NO_STYLES = _NoStyles()
_TOKEN = re.compile(
    r"\\(?P<escaped>[!-/:-@\[-`{-~])"
    r"|(?P<ticks>`+)"
    r"|!?\[(?P<label>[^\[\]\n]{1,200})\]\((?P<address>[^()\s]{0,500})\)"
    r"|(?P<stars>\*+)|(?P<lines>_+)|(?P<strike>~~)"
    r"|(?P<quote>[\"“”„«»])"
)
_MARK = re.compile('[\\\\`!\\[\\]()*_~"“”„«»]')  # what can begin, end or complete a token
_RUNS = re.compile(r"(?P<ticks>`+)|_+")
_STARS = re.compile(r"\*+")
_WORD = 64  # a longer word has no emphasis inside
_WORD_AND_STARS = re.compile(r"[^\s*]+(\*+)")
_DEPTH = 15  # more things open at once are hostile; the oldest are forgotten
_CLOSING_QUOTES = {"“": "”", "„": "“”", "«": "»", '"': '"', "»": "«"}


class _State:
    """What is open at the place of reading."""

    def __init__(self, base: Style, styles: Styles) -> None:
        self.base = base
        self.styles = styles
        self.open: list[tuple[str, int]] = []  # marks and how many (1 emphasis, 2 strong, 3 both)
        self.struck = False
        self.quote = ""  # the mark that ends the open dialogue

    def style(self) -> Style:
        style = self.base
        bits = 0
        for _, count in self.open:
            bits |= count
        if self.quote:
            style = self.styles.dialogue.over(style)
        if bits & 1:
            style = self.styles.emphasis.over(style)
        if bits & 2:
            style = self.styles.strong.over(style)
        if self.struck:
            style = self.styles.strike.over(style)
        return style


class _Ahead:
    """Where runs of marks are that could close what is opened before them, by mark and length."""

    def __init__(self, text: str) -> None:
        self.lines: dict[int, int] = {}  # last closing run of so many underscores
        self.ticks: dict[int, list[int]] = {}  # runs of so many backquotes, in order
        for match in _RUNS.finditer(text):
            start, end = match.span()
            if match["ticks"]:
                self.ticks.setdefault(end - start, []).append(start)
            elif start and not text[start - 1].isspace() and not _is_word(text[end : end + 1]):
                self.lines[end - start] = start

    def closing_ticks(self, count: int, at: int) -> int:
        """Returns where the next run of ``count`` backquotes begins, -1 if there is none."""
        starts = self.ticks.get(count, [])
        place = bisect_left(starts, at)
        return starts[place] if place < len(starts) else -1


def parse(text: str, base: Style, styles: Styles, opened: int = 0) -> list[Span]:
    """Returns the spans of a paragraph: its text without the marks, neighbours of different style.

    ``opened``: so many stars (0 to 3) of the paragraph before hold on, if a run here closes them.
    """
    return _parse(text, base, styles, opened)[0]


def left_open(text: str, opened: int = 0) -> int:
    """Returns how many stars (0 to 3) a paragraph opens and does not close."""
    return _parse(text, PLAIN, _NO_STYLES, opened)[1] if "*" in text else opened


class _Spans:
    """Spans as they are found: parts of one style become one span, joined once at the end."""

    def __init__(self) -> None:
        self._styles: list[Style] = []
        self._parts: list[list[str]] = []

    def add(self, part: str, style: Style) -> None:
        if not part:
            return
        if self._styles and self._styles[-1] == style:
            self._parts[-1].append(part)
        else:
            self._styles.append(style)
            self._parts.append([part])

    def joined(self) -> list[Span]:
        return [("".join(parts), style) for parts, style in zip(self._parts, self._styles, strict=True)]


def _parse(text: str, base: Style, styles: Styles, opened: int) -> tuple[list[Span], int]:
    """Returns the spans of a paragraph, and how many stars it leaves open."""
    state = _State(base, styles)
    if opened and _closes_first(text):
        state.open.append(("*", opened))
    ahead, spans, at = _Ahead(text), _Spans(), 0
    while (match := _TOKEN.search(text, at)) is not None:
        spans.add(text[at : match.start()], state.style())
        at = _token(match, text, state, ahead, spans)
    spans.add(text[at:], state.style())
    return spans.joined(), next((count for mark, count in state.open if mark == "*"), 0)


def _token(match: re.Match[str], text: str, state: _State, ahead: _Ahead, spans: _Spans) -> int:
    """Adds what a token shows and opens or closes what it means; returns where the text goes on."""
    start, end = match.span()
    if match["ticks"]:
        return _code(match, text, state, ahead, spans)
    if match["quote"]:
        _dialogue(state, match["quote"], text[start - 1 : start], text[end : end + 1], spans)
    elif match["stars"]:
        spans.add(_stars(state, text, start, end), state.style())
    elif match["lines"]:
        spans.add(_underscores(state, ahead, text, start, end), state.style())
    elif match["escaped"]:
        spans.add(match["escaped"], state.style())
    elif match["label"]:
        spans.add(match["label"], state.styles.link.over(state.style()))
    elif state.struck or text[end : end + 1].strip():  # ~~
        state.struck = not state.struck
    else:
        spans.add("~~", state.style())
    return end


def _code(match: re.Match[str], text: str, state: _State, ahead: _Ahead, spans: _Spans) -> int:
    """Adds what is between backquotes; returns where the text goes on."""
    start, end = match.span()
    close = ahead.closing_ticks(end - start, end)
    if close < 0:  # a lone backquote is often an apostrophe
        spans.add(match["ticks"], state.style())
        return end
    spans.add(text[end:close].replace("\n", " "), state.styles.code.over(state.style()))
    return close + end - start


def grown(before: str, text: str, spans: list[Span]) -> list[Span] | None:
    """Returns the spans of ``text`` when they are those of ``before`` and plain words; else None.

    A mark at the end of ``before`` may mean something else now that something follows it.
    """
    if not spans or not text.startswith(before) or _MARK.search(text, len(before) - 1):
        return None
    last, style = spans[-1]
    return [*spans[:-1], (last + text[len(before) :], style)]


# --- emphasis -------------------------------------------------------------------------------------


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _is_punctuation(char: str) -> bool:
    return bool(char) and not char.isalnum() and not char.isspace()


def _flanks(before: str, after: str) -> tuple[bool, bool]:
    """Returns whether a run between these characters can open and whether it can close (CommonMark)."""
    left = bool(after.strip()) and (
        not _is_punctuation(after) or not before.strip() or _is_punctuation(before)
    )
    right = bool(before.strip()) and (
        not _is_punctuation(before) or not after.strip() or _is_punctuation(after)
    )
    return left, right


def _closes_first(text: str) -> bool:
    """True when the first run of stars in a paragraph can close and not open."""
    match = _STARS.search(text)
    if match is None:
        return False
    start, end = match.span()
    return _flanks(text[start - 1 : start], text[end : end + 1]) == (False, True)


def _stars(state: _State, text: str, start: int, end: int) -> str:
    """Opens or closes what a run of stars means; returns the stars that mean nothing."""
    before, after = text[start - 1 : start], text[end : end + 1]
    can_open, can_close = _flanks(before, after)
    count = end - start
    inside = before.isalnum() and after.isalnum()
    if inside and before.isdigit() and after.isdigit():  # 2*3
        return "*" * count
    if can_close:
        count = _close(state, "*", count, exact=inside)
    if not count or not can_open or (inside and not _closed_in_word(text, end, count)):
        return "*" * count
    state.open = state.open[-_DEPTH:]
    state.open.append(("*", min(3, count)))
    return "*" * max(0, count - 3)


def _close(state: _State, mark: str, count: int, *, exact: bool) -> int:
    """Closes what ``count`` marks close: first what was opened with as many; returns those left over."""
    for place in range(len(state.open) - 1, -1, -1):
        if state.open[place] == (mark, min(3, count)):
            del state.open[place:]  # what was opened inside and never closed ends here
            return max(0, count - 3)
    while count and not exact:
        place = next(
            (place for place in range(len(state.open) - 1, -1, -1) if state.open[place][0] == mark), -1
        )
        if place < 0:
            break
        left = state.open[place][1]
        used = 2 if count >= 2 and left >= 2 else 1
        del state.open[place:]
        if left > used:
            state.open.append((mark, left - used))
        count -= used
    return count


def _closed_in_word(text: str, at: int, count: int) -> bool:
    """True when a run of as many stars follows before the word ends."""
    match = _WORD_AND_STARS.match(text, at, at + _WORD)
    return match is not None and len(match[1]) == count


def _underscores(state: _State, ahead: _Ahead, text: str, start: int, end: int) -> str:
    """The same for underscores, which never work inside words and must be closed: names have them."""
    before, after = text[start - 1 : start], text[end : end + 1]
    count = end - start
    can_open, can_close = _flanks(before, after)
    if can_close and not after.isalnum() and any(mark == "_" for mark, _ in state.open):
        return "_" * _close(state, "_", count, exact=False)
    if can_open and not before.isalnum() and ahead.lines.get(count, 0) > start:
        state.open = state.open[-_DEPTH:]
        state.open.append(("_", min(3, count)))
        return "_" * max(0, count - 3)
    return "_" * count


def _dialogue(state: _State, mark: str, before: str, after: str, spans: _Spans) -> None:
    """Begins or ends dialogue; the quotation marks belong to it."""
    if state.quote and mark in state.quote:
        spans.add(mark, state.style())
        state.quote = ""
        return
    opening = mark in "“„«" or (
        mark in '"»' and (not before or not (before.isalnum() or before in ".,!?…"))
    )
    if not state.quote and opening and after.strip():
        state.quote = _CLOSING_QUOTES[mark]
    spans.add(mark, state.style())
