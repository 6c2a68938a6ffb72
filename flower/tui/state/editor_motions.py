"""Places in a text: borders of characters and words, and the rows it takes on the screen.

Pure functions over a text and offsets into it; never change a text.
"""

from __future__ import annotations

from functools import lru_cache

from flower.tui.render import text as columns_of


def borders(text: str, cursor: int) -> tuple[int, int]:
    """Returns the borders of user-perceived characters next to ``cursor`` on its left and right."""
    # A cluster never crosses a newline, so only the line matters.
    start = text.rfind("\n", 0, cursor) + 1
    end = text.find("\n", cursor)
    end = len(text) if end < 0 else end
    left, right = max(0, cursor - 1), min(len(text), cursor + 1)
    if text[start:end].isascii() or start == cursor == end:
        return left, right
    at = start
    for cluster, _ in columns_of.graphemes(text[start:end]):
        after = at + len(cluster)
        if after >= cursor > at:
            left = at
        if at <= cursor < after:
            right = after
        at = after
    return left, right


def snap(text: str, cursor: int) -> int:
    """Returns the first border of a user-perceived character that is not before ``cursor``."""
    if cursor in (0, len(text)) or text.isascii():
        return cursor
    left, _ = borders(text, cursor)
    return cursor if left == cursor else borders(text, left)[1]


def floor(text: str, cursor: int) -> int:
    """Returns the last border of a user-perceived character that is not after ``cursor``."""
    return cursor if snap(text, cursor) == cursor else borders(text, cursor)[0]


def word_left(text: str, cursor: int) -> int:
    while cursor and not text[cursor - 1].isalnum():
        cursor -= 1
    while cursor and _in_word(text[cursor - 1]):
        cursor -= 1
    return floor(text, cursor)


def word_right(text: str, cursor: int) -> int:
    size = len(text)
    while cursor < size and not text[cursor].isalnum():
        cursor += 1
    while cursor < size and _in_word(text[cursor]):
        cursor += 1
    return snap(text, cursor)


def _in_word(char: str) -> bool:
    return char.isalnum() or char in "_'’" or columns_of.attaches(char)


@lru_cache(maxsize=4)
def soft_rows(text: str, columns: int) -> list[tuple[int, int]]:
    """Returns begin and end of the rows; spaces count, so that the cursor can be anywhere.

    Rows are shorter than ``columns``: the cursor has a place behind the last character.
    """
    rows: list[tuple[int, int]] = []
    start = 0
    for line in text.split("\n"):
        rows += _line_rows(line, start, columns - 1)
        start += len(line) + 1
    return rows


def _line_rows(line: str, start: int, room: int) -> list[tuple[int, int]]:
    rows: list[tuple[int, int]] = []
    begin = at = start
    used = 0  # columns of text[begin:at]
    space = begin  # where the row can end: behind its last space
    since = 0  # columns of text[begin:space]
    for cluster, size in columns_of.graphemes(line):
        while used + size > room and at > begin:  # twice if the word alone is too long
            if space == begin:
                space, since = at, used
            rows.append((begin, space))
            begin, used, since = space, used - since, 0
        at += len(cluster)
        used += size
        if cluster == " ":
            space, since = at, used
    rows.append((begin, at))
    return rows
