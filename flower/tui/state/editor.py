"""The input line as a value: text, cursor, undo, history and kill ring.

Owns editing rules (those of readline and of arrow-key editors together); never draws and never submits by
itself. Every method returns a new ``Editor``. The cursor is an offset into ``text`` and always at the
border of a user-perceived character.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flower import limits
from flower.tui.render import text as columns_of
from flower.tui.state.editor_motions import borders, floor, snap, soft_rows, word_left, word_right
from flower.tui.term.inputs import Key

INPUT_HISTORY = 200  # submitted lines that Up can bring back
KILL_RING = 16
UNDO_STEPS = 200
UNDO_CHARS = 1_000_000  # all remembered versions of the input together


class Editor(NamedTuple):
    """``text`` with ``cursor`` in it, and what it takes to go back."""

    text: str = ""
    cursor: int = 0
    history: tuple[str, ...] = ()  # submitted texts, oldest first
    place: int = -1  # index into history while browsing it, else -1
    draft: str = ""  # what was being written before browsing history
    undo_stack: tuple[tuple[str, int], ...] = ()
    redo_stack: tuple[tuple[str, int], ...] = ()
    kills: tuple[str, ...] = ()  # newest last
    last: str = ""  # kind of the last edit, so that typing undoes by words and kills join
    yanked: int = 0  # characters the last yank put in, for yank-pop
    goal: int = -1  # column that up and down try to keep

    # --- changing -------------------------------------------------------------------------------

    def with_text(self, text: str, cursor: int | None = None) -> Editor:
        """Returns the editor with another text (cleaned, undoable); the cursor goes to its end."""
        text = _clean(text)
        return self._edit(text, len(text) if cursor is None else min(cursor, len(text)), "set")

    def insert(self, text: str) -> Editor:
        """Returns the editor with ``text`` (cleaned) put in at the cursor.

        Text over ``limits.PROMPT_CHARS`` is cut off.
        """
        text = _clean(text)[: max(0, limits.PROMPT_CHARS - len(self.text))]
        if not text:
            return self
        before, after = self.text[: self.cursor] + text, self.text[self.cursor :]
        kind = "paste" if len(text) > 1 or text.isspace() else "type"
        # What was typed may join a character that is there already: the cursor goes after it.
        return self._edit(before + after, snap(before + after, len(before)), kind)

    def submit(self) -> tuple[str, Editor]:
        """Returns the text and an empty editor that remembers it in its history."""
        return self.text, Editor(history=self.remembering(self.text).history, kills=self.kills)

    def remembering(self, text: str) -> Editor:
        """Returns the editor with ``text`` as the newest line of its history."""
        history = self.history
        if not text.strip() or (history and history[-1] == text):
            return self
        return self._replace(history=(*history, text)[-INPUT_HISTORY:])

    def clear(self) -> Editor:
        """Returns the editor with no text; undo brings it back."""
        return self._edit("", 0, "clear") if self.text else self

    def handle(self, key: Key) -> Editor | None:
        """Returns the editor after ``key``, or None when it is no editing key."""
        action = _ACTIONS.get(key.name)
        if action is not None:
            return action(self)
        if key.text and not key.name.startswith(("ctrl+", "alt+")):
            return self.insert(key.text)
        return None

    # --- showing --------------------------------------------------------------------------------

    def layout(self, columns: int, max_rows: int) -> tuple[list[str], tuple[int, int]]:
        """Returns the visible rows, each at most ``columns`` wide, and the cursor as (x, y) in them.

        At most ``max_rows`` rows around the cursor. The cursor's column may be ``columns`` - 1 at most:
        a full row is followed by the cursor on the next one.
        """
        rows = soft_rows(self.text, max(2, columns))
        y = next(index for index in range(len(rows) - 1, -1, -1) if rows[index][0] <= self.cursor)
        x = columns_of.width(self.text[rows[y][0] : self.cursor])
        top = max(0, min(y - max_rows // 2, len(rows) - max_rows))
        visible = rows[top : top + max(1, max_rows)]
        return [self.text[start:end] for start, end in visible], (x, y - top)

    # --- moving ---------------------------------------------------------------------------------

    def _to(self, cursor: int) -> Editor:
        return self._replace(cursor=max(0, min(cursor, len(self.text))), last="", goal=-1)

    def left(self) -> Editor:
        """Moves over one user-perceived character."""
        return self._to(borders(self.text, self.cursor)[0])

    def right(self) -> Editor:
        """Moves over one user-perceived character."""
        return self._to(borders(self.text, self.cursor)[1])

    def word_left(self) -> Editor:
        """Moves to the beginning of the word before the cursor."""
        return self._to(word_left(self.text, self.cursor))

    def word_right(self) -> Editor:
        """Moves to the end of the word after the cursor."""
        return self._to(word_right(self.text, self.cursor))

    def line_start(self) -> Editor:
        """Moves to the beginning of the line."""
        return self._to(self.text.rfind("\n", 0, self.cursor) + 1)

    def line_end(self) -> Editor:
        """Moves to the end of the line."""
        end = self.text.find("\n", self.cursor)
        return self._to(len(self.text) if end < 0 else end)

    def text_start(self) -> Editor:
        """Moves before everything."""
        return self._to(0)

    def text_end(self) -> Editor:
        """Moves behind everything."""
        return self._to(len(self.text))

    def up(self) -> Editor:
        """Moves a line up, or to the submitted text before this one."""
        return self._vertical(-1) or self.older()

    def down(self) -> Editor:
        """Moves a line down, or to the submitted text after this one."""
        return self._vertical(1) or self.newer()

    def _vertical(self, by: int) -> Editor | None:
        start = self.text.rfind("\n", 0, self.cursor) + 1
        goal = self.goal if self.goal >= 0 else columns_of.width(self.text[start : self.cursor])
        if by < 0:
            if start == 0:
                return None
            target = self.text.rfind("\n", 0, start - 1) + 1
        else:
            target = self.text.find("\n", self.cursor) + 1
            if target == 0:
                return None
        end = self.text.find("\n", target)
        line = self.text[target : len(self.text) if end < 0 else end]
        return self._to(target + len(columns_of.cut(line, goal)))._replace(goal=goal)

    # --- history --------------------------------------------------------------------------------

    def older(self) -> Editor:
        """Shows the text submitted before; what was being written is kept for ``newer``."""
        if self.place < 0:
            if not self.history:
                return self
            return self._recall(len(self.history) - 1, self.text)
        return self._recall(self.place - 1, self.draft) if self.place > 0 else self

    def newer(self) -> Editor:
        """Shows the text submitted after, at the end what was being written."""
        if self.place < 0:
            return self
        return self._recall(self.place + 1, self.draft)

    def _recall(self, place: int, draft: str) -> Editor:
        back = place >= len(self.history)
        text = draft if back else self.history[place]
        return Editor(
            text,
            len(text),
            self.history,
            -1 if back else place,
            "" if back else draft,
            kills=self.kills,
        )

    # --- deleting -------------------------------------------------------------------------------

    def backspace(self) -> Editor:
        """Deletes the character before the cursor."""
        return self._delete(borders(self.text, self.cursor)[0], self.cursor, "backspace")

    def delete(self) -> Editor:
        """Deletes the character after the cursor."""
        return self._delete(self.cursor, borders(self.text, self.cursor)[1], "delete")

    def kill_word_left(self) -> Editor:
        """Deletes back to the beginning of the word."""
        return self._kill(word_left(self.text, self.cursor), self.cursor)

    def kill_space_left(self) -> Editor:
        """Deletes back to the last space, as a Unix terminal's Ctrl+W does."""
        start = len(self.text[: self.cursor].rstrip())
        while start and not self.text[start - 1].isspace():
            start -= 1
        return self._kill(floor(self.text, start), self.cursor)

    def kill_word_right(self) -> Editor:
        """Deletes to the end of the word."""
        return self._kill(self.cursor, word_right(self.text, self.cursor))

    def kill_to_end(self) -> Editor:
        """Deletes to the end of the line, or the line break there."""
        end = self.line_end().cursor
        return self._kill(self.cursor, min(len(self.text), end + 1) if end == self.cursor else end)

    def kill_to_start(self) -> Editor:
        """Deletes to the beginning of the line, or the line break there."""
        start = self.line_start().cursor
        return self._kill(max(0, start - 1) if start == self.cursor else start, self.cursor)

    def yank(self) -> Editor:
        """Puts the newest killed text in."""
        if not self.kills:
            return self
        text = self.kills[-1]
        return self.insert(text)._replace(last="yank", yanked=len(text))

    def yank_pop(self) -> Editor:
        """Right after a yank: exchanges what it put in for the kill before it."""
        if self.last != "yank" or len(self.kills) < 2:
            return self
        start = self.cursor - self.yanked
        kills = (self.kills[-1], *self.kills[:-1])
        text = kills[-1]
        changed = self._edit(
            self.text[:start] + text + self.text[self.cursor :], start + len(text), "yank"
        )
        return changed._replace(kills=kills, yanked=len(text))

    def transpose(self) -> Editor:
        """Exchanges the characters around the cursor."""
        at = borders(self.text, self.cursor)[0] if self.cursor == len(self.text) else self.cursor
        start, end = borders(self.text, at)
        if start == at or end == at or "\n" in self.text[start:end]:
            return self
        swapped = self.text[at:end] + self.text[start:at]
        return self._edit(self.text[:start] + swapped + self.text[end:], end, "transpose")

    def _delete(self, start: int, end: int, kind: str) -> Editor:
        if start == end:
            return self
        text = self.text[:start] + self.text[end:]
        return self._edit(text, snap(text, start), kind)

    def _kill(self, start: int, end: int) -> Editor:
        if start == end:
            return self
        killed, kills = self.text[start:end], self.kills
        if self.last == "kill" and kills:  # kills in a row are one
            joined = kills[-1] + killed if start == self.cursor else killed + kills[-1]
            kills = (*kills[:-1], joined)
        else:
            kills = (*kills, killed)[-KILL_RING:]
        return self._delete(start, end, "kill")._replace(kills=kills)

    # --- undo -----------------------------------------------------------------------------------

    def undo(self) -> Editor:
        """Takes back the last edit; typing goes word by word."""
        if not self.undo_stack:
            return self
        text, cursor = self.undo_stack[-1]
        return self._replace(
            text=text, cursor=cursor, undo_stack=self.undo_stack[:-1],
            redo_stack=(*self.redo_stack, (self.text, self.cursor)), last="undo", goal=-1,
        )  # fmt: skip

    def redo(self) -> Editor:
        """Takes back the last undo."""
        if not self.redo_stack:
            return self
        text, cursor = self.redo_stack[-1]
        return self._replace(
            text=text, cursor=cursor, redo_stack=self.redo_stack[:-1],
            undo_stack=(*self.undo_stack, (self.text, self.cursor)), last="undo", goal=-1,
        )  # fmt: skip

    def _edit(self, text: str, cursor: int, kind: str) -> Editor:
        joins = kind == self.last and kind in ("type", "backspace", "delete")
        stack = self.undo_stack
        if not joins:
            stack = (*stack, (self.text, self.cursor))[-UNDO_STEPS:]
            while len(stack) > 1 and sum(len(before) for before, _ in stack) > UNDO_CHARS:
                stack = stack[1:]
        return self._replace(
            text=text, cursor=cursor, undo_stack=stack, redo_stack=(), last=kind, goal=-1
        )


def _clean(text: str) -> str:
    return columns_of.clean(text.replace("\r\n", "\n").replace("\r", "\n"))


_ACTIONS: dict[str, Callable[[Editor], Editor]] = {
    "left": Editor.left,
    "ctrl+b": Editor.left,
    "right": Editor.right,
    "ctrl+f": Editor.right,
    "ctrl+left": Editor.word_left,
    "alt+left": Editor.word_left,
    "alt+b": Editor.word_left,
    "ctrl+right": Editor.word_right,
    "alt+right": Editor.word_right,
    "alt+f": Editor.word_right,
    "home": Editor.line_start,
    "ctrl+a": Editor.line_start,
    "end": Editor.line_end,
    "ctrl+e": Editor.line_end,
    "ctrl+home": Editor.text_start,
    "ctrl+end": Editor.text_end,
    "up": Editor.up,
    "down": Editor.down,
    "ctrl+p": Editor.older,
    "ctrl+n": Editor.newer,
    "backspace": Editor.backspace,
    "ctrl+h": Editor.backspace,
    "shift+backspace": Editor.backspace,
    "delete": Editor.delete,
    "ctrl+d": Editor.delete,
    "ctrl+w": Editor.kill_space_left,
    "alt+backspace": Editor.kill_word_left,
    "ctrl+backspace": Editor.kill_word_left,
    "alt+d": Editor.kill_word_right,
    "ctrl+delete": Editor.kill_word_right,
    "ctrl+k": Editor.kill_to_end,
    "ctrl+u": Editor.kill_to_start,
    "ctrl+y": Editor.yank,
    "alt+y": Editor.yank_pop,
    "ctrl+t": Editor.transpose,
    "ctrl+_": Editor.undo,
    "ctrl+z": Editor.undo,
    "alt+z": Editor.redo,
    "alt+_": Editor.redo,
}
