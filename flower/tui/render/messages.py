"""Story messages as rows of cells, remembered while they do not change.

``StoryPane`` is a memo: the same message with the same look gives the same ``Row`` objects, so the view and
the diff can compare rows by identity. A growing reply is laid out from its last block on. Rows far
from the view are forgotten. A theme has its own pane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, overload

from flower.tui.render.frame import Row
from flower.tui.render.layout import MARGIN
from flower.tui.render.style import PLAIN, Span, Style
from flower.tui.render.text import clean, wrap

if TYPE_CHECKING:
    from flower.tui.render.markdown import Streaming
    from flower.tui.render.theme import Theme

PANE_ROWS_KEPT = 2_000  # laid-out rows remembered: about ten screens of a tall terminal

ENDINGS = {
    "pending": "not sent yet; it will be when the engine is back",
    "stopped": "stopped",
    "length": "the reply reached its length limit",
    "blocked": "the model's provider held back the rest",
    "interrupted": "interrupted; what was written is kept, /continue goes on",
    "error": "ended by an error",
}


def ending_of(message: MessageView) -> str:
    """Returns how a message ended, in words; nothing when it ended well."""
    if message.status == "interrupted" and not message.text:
        return "interrupted before its first word; /retry tries again"
    return ENDINGS.get(message.status, "")


class MessageView(NamedTuple):
    """One message. ``role`` is user, assistant, system (dice) or notice (the client's own words).

    ``status``: sent or pending (a line the engine has not confirmed, with and without a connection),
    streaming, or how it ended: ``""`` (well), stopped, length, blocked, interrupted, error.
    """

    key: int  # rising along the story, never used twice
    role: str
    text: str
    message: int = 0  # the engine's id; 0: not known
    turn: str = ""
    request: str = ""
    status: str = ""
    model: str = ""
    reasoning: str = ""
    variant: int = 0  # which of its siblings this is, from 1; 0: it has none
    variants: int = 0
    hidden: bool = False  # no narrator reads it
    written: str = ""  # the words as they are stored, where others are shown


class Look(NamedTuple):
    """Everything besides the message that its rows depend on."""

    columns: int  # of a whole row
    text_columns: int
    selected: bool = False
    unfolded: bool = False
    term: str = ""  # to highlight
    left: int = MARGIN  # columns before the text, the mark of a speaker included


class Rows(Sequence[Row]):
    """The rows of a message, made when they come into view: only their number is always needed."""

    __slots__ = ("_lines", "_make", "_rows")

    def __init__(
        self,
        lines: list[list[Span]],
        make: Callable[[int, list[Span]], Row],
        before: Rows | None,
        same: int,
    ) -> None:
        """``make`` gives the row of a line; the first ``same`` rows are those of ``before``."""
        self._lines = lines
        self._make = make
        rows = before._rows[:same] if before is not None else []
        self._rows: list[Row | None] = rows + [None] * (len(lines) - len(rows))

    def __len__(self) -> int:
        return len(self._lines)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            places = range(*place.indices(len(self._lines)))
            return [
                row if row is not None else self._made(index)
                for index, row in zip(places, self._rows[place], strict=True)
            ]
        row = self._rows[place]
        return row if row is not None else self._made(place % len(self._lines))

    def _made(self, index: int) -> Row:
        row = self._rows[index] = self._make(index, self._lines[index])
        return row

    def row_of(self, term: str) -> int:
        """Returns the first row with ``term`` (case-folded) in it, 0 if it is in none."""
        for place, line in enumerate(self._lines):
            if term in "".join(part for part, _ in line).casefold():
                return place
        return 0


class _Laid(NamedTuple):
    message: MessageView
    look: Look
    rows: Rows
    lines: list[list[Span]]
    streaming: Streaming | None
    settled: int  # so many lines from the first on stay as they are while the message grows


class StoryPane:
    """Rows of messages under one theme; holds about ``PANE_ROWS_KEPT`` of them."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._laid: dict[int, _Laid] = {}  # by message key, least recently used first
        self._kept = 0

    def rows(self, message: MessageView, look: Look) -> Rows:
        """Returns the rows of ``message``: a blank one, then its text, then how it ended."""
        last = self._laid.pop(message.key, None)
        if (
            last is not None
            and last.look == look
            and (last.message is message or last.message == message)
        ):
            self._laid[message.key] = last
            return last.rows
        laid = self._lay(message, look, last)
        self._laid[message.key] = laid
        self._kept += len(laid.rows) - (len(last.rows) if last else 0)
        while self._kept > PANE_ROWS_KEPT and len(self._laid) > 1:
            oldest = next(iter(self._laid))
            self._kept -= len(self._laid.pop(oldest).rows)
        return laid.rows

    def _lay(self, message: MessageView, look: Look, last: _Laid | None) -> _Laid:
        streaming: Streaming | None = None
        if message.role == "assistant":
            streaming, body = self._narration(message, look, last)
        else:
            style = self._theme[message.role if message.role in ("user", "system") else "notice"]
            body = [[(line, style)] for line in wrap(clean(message.text), look.text_columns)]
        thinking = self._thinking(message, look)
        if message.hidden:
            dim = self._theme["dim"]
            body = [[(text, dim) for text, _ in line] for line in body]
        lines = [[], *thinking, *body, *self._ending(message, look)]
        settled = 0
        if streaming is not None and not message.reasoning:
            settled = 1 + streaming.settled
        rows = self._as_rows(message, lines, look, last, streaming)
        return _Laid(message, look, rows, lines, streaming, settled)

    def _narration(
        self, message: MessageView, look: Look, last: _Laid | None
    ) -> tuple[Streaming, list[list[Span]]]:
        from flower.tui.render import markdown  # not needed for the first frame, which has no story

        stream = last.streaming if last and last.look.text_columns == look.text_columns else None
        before = last.message.text if last else ""
        if stream is None or not message.text.startswith(before):
            stream, before = markdown.Streaming(look.text_columns, markdown.Palette.of(self._theme)), ""
        if len(message.text) > len(before):
            stream.append(message.text[len(before) :])
        return stream, stream.lines()

    def _thinking(self, message: MessageView, look: Look) -> list[list[Span]]:
        if not message.reasoning:
            return []
        style = self._theme["thinking"]
        if not look.unfolded:
            words = len(message.reasoning.split())
            # Ten at a time: the count must not cost bytes for every word thought.
            about = words // 10 * 10 if message.status == "streaming" and words >= 10 else words
            counted = "1 word" if about == 1 else f"{about} words"
            return [[(f"thinking: {counted} (Alt+T shows them)", style)]]
        return [[(line, style)] for line in wrap(clean(message.reasoning), look.text_columns)]

    def _ending(self, message: MessageView, look: Look) -> list[list[Span]]:
        words = [f"({ending_of(message)})"] if message.status in ENDINGS else []
        if message.hidden:
            words.append("(hidden from the narrator)")
        if message.variants > 1:
            words.append(f"{message.variant}/{message.variants}")
        lines = wrap(" ".join(words), look.text_columns) if words else []
        return [[(line, self._theme["dim"])] for line in lines]

    def _as_rows(
        self,
        message: MessageView,
        lines: list[list[Span]],
        look: Look,
        last: _Laid | None,
        streaming: Streaming | None,
    ) -> Rows:
        """Returns the rows of ``lines``, the old objects where nothing changed."""
        same = 0
        if last is not None and last.look == look:
            if streaming is not None and last.streaming is streaming:
                same = last.settled  # known without looking: a long reply has thousands
            for old, line in zip(last.lines[same:], lines[same:], strict=False):
                if old is not line and old != line:
                    break
                same += 1

        def make(place: int, line: list[Span]) -> Row:
            spans = highlight(line, look.term, self._theme["highlight"]) if look.term else line
            return Row.of([self._mark(message, look, place), *spans], look.columns)

        return Rows(lines, make, last.rows if last is not None else None, same)

    def _mark(self, message: MessageView, look: Look, place: int) -> Span:
        glyphs = self._theme.glyphs
        mark, style = "", PLAIN
        if look.selected and place:
            mark, style = glyphs.bar, self._theme["accent"]
        elif place == 1 and message.role == "user":  # row 0 is blank
            mark, style = glyphs.prompt, self._theme["user"]
        elif place == 1 and message.role == "system":
            mark, style = glyphs.bullet, self._theme["accent"]
        elif place == 1 and message.role == "notice":
            mark, style = "!", self._theme["error"]
        return (" " * (look.left - MARGIN) + mark.ljust(MARGIN), style)


def highlight(line: list[Span], term: str, style: Style) -> list[Span]:
    """Returns ``line`` with every occurrence of ``term``, case aside, in ``style``."""
    text = "".join(part for part, _ in line)
    folded, pattern = text.casefold(), term.casefold()
    if not pattern or pattern not in folded or len(folded) != len(text):
        return line
    marked: set[int] = set()
    start = folded.find(pattern)
    while start >= 0:
        marked.update(range(start, start + len(pattern)))
        start = folded.find(pattern, start + len(pattern))
    spans: list[Span] = []
    place = 0
    for part, own in line:
        for char in part:
            look = style.over(own) if place in marked else own
            if spans and spans[-1][1] == look:
                spans[-1] = (spans[-1][0] + char, look)
            else:
                spans.append((char, look))
            place += 1
    return spans
