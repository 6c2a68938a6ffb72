"""Where everything is on the screen, for a size in cells. Numbers only, no text.

From the top: header (1 row), story pane with the sidebar at its right, completion menu or the row of
quick replies, status line (1 to ``STATUS_ROWS`` rows), input line (1 to ``INPUT_ROWS`` rows). A popup lies
over the pane.
"""

from __future__ import annotations

from typing import NamedTuple

from flower import limits

INPUT_ROWS = 6
QUICK_REPLIES_FROM_ROWS = 16  # a smaller screen keeps the row for its story; the keys work all the same

MARGIN = 2  # columns left of the story: marks of speakers and of the chosen message
MENU_ROWS = 6


class Layout(NamedTuple):
    """All in cells; ``pane_bottom`` and ``pane_right`` are the first row and column outside."""

    columns: int
    rows: int
    pane_top: int
    pane_bottom: int
    pane_right: int
    sidebar: int  # columns, its border included; 0: hidden
    menu_top: int
    replies: int  # rows of quick replies above the status line, 0 or 1
    status: int
    input_top: int
    input_rows: int
    text_width: int = limits.READING_COLUMNS  # the most columns of a line of the story

    @property
    def pane_rows(self) -> int:
        return self.pane_bottom - self.pane_top

    @property
    def text_columns(self) -> int:
        """Columns for a line of the story."""
        return min(self.pane_right - 2 * MARGIN, self.text_width)

    @property
    def text_left(self) -> int:
        """Columns left of the story: it is in the middle of a wide pane."""
        return max(MARGIN, (self.pane_right - self.text_columns) // 2)


def too_small(columns: int, rows: int) -> bool:
    """Whether the screen has no room for the program."""
    return columns < limits.COLUMNS_MIN or rows < limits.ROWS_MIN


def input_rows_most(rows: int) -> int:
    """Returns how many rows the input line may take: a small screen keeps its story in view."""
    return max(1, min(INPUT_ROWS, rows // 4))


def arrange(
    columns: int,
    rows: int,
    input_rows: int,
    menu_rows: int,
    *,
    sidebar: bool,
    status_rows: int = 1,
    replies: bool = False,
    text_width: int = limits.READING_COLUMNS,
) -> Layout:
    """Returns the layout; ``input_rows`` and ``menu_rows`` are what these would like to have.

    ``replies``: there are quick replies to show.
    """
    input_rows = max(1, min(input_rows, input_rows_most(rows)))
    menu_rows = min(menu_rows, MENU_ROWS, max(0, rows - input_rows - status_rows - 3))
    reply_rows = int(replies and not menu_rows and rows >= QUICK_REPLIES_FROM_ROWS)
    input_top = rows - input_rows
    status = input_top - status_rows
    menu_top = status - reply_rows - menu_rows
    side = 0
    if sidebar and columns >= limits.SIDEBAR_FROM_COLUMNS:
        side = max(28, min(40, columns // 4))
    return Layout(
        columns,
        rows,
        1,
        menu_top,
        columns - side,
        side,
        menu_top,
        reply_rows,
        status,
        input_top,
        input_rows,
        text_width,
    )
