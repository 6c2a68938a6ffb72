"""Changes of the state sheet that the narrator proposes at the end of a reply. Pure.

A reply may end with a fenced block (``blocks`` parts it from the story), one change in a line::

    place: The lamp room
    inventory: +brass key
    hp: -2

What a model writes is never trusted: each line goes through ``sheet.put`` like a command of the
player, a line that fits nothing is named and left out, and only so many lines are read.
"""

from __future__ import annotations

import re

from msgspec import Struct

from flower import limits
from flower.engine.game.sheet import SCENE, Sheet, put
from flower.errors import CommandError

PROPOSALS = 16  # changes read from one reply
BLOCK_CHARS = 4_000  # of a block of changes: more than PROPOSALS of them need

LINE_CHARS = 400  # of one change; a name and a value are shorter

INSTRUCTION = """\
When the reply changes the state, end it with a block like this, and with nothing behind it:
```state
place: where the player is now
time: evening
inventory: +lamp
inventory: -2 coins
condition: +wounded
hp: -3
quest: Find the keeper = done
```
Write only what changed in this reply. When nothing changed, write no block."""

_LINE = re.compile(r'[-*]?\s*+"?(?P<key>[^:="]{1,60}+)"?\s*+[:=]\s*+(?P<value>.+)')
_FRAME = re.compile(r"[\s{}\[\],]*")  # of JSON, and empty lines


class Proposed(Struct, frozen=True):
    """A sheet after the narrator's changes, what they are, and which lines fitted nothing."""

    sheet: Sheet
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def read(block: str, sheet: Sheet) -> Proposed:
    """Returns what the lines of a block propose for ``sheet``.

    Lines of JSON and YAML are understood as well, as far as they are one key and one value.
    """
    changes, refused = [], []
    lines = [line.strip() for line in block.splitlines() if not _FRAME.fullmatch(line)]
    for line in lines[:PROPOSALS]:
        parts = _LINE.fullmatch(line[:LINE_CHARS])
        try:
            if parts is None:
                raise CommandError("no change")
            value = parts["value"].removesuffix(",").rstrip()
            sheet, change = put(sheet, parts["key"].rstrip(), value.strip('"'))
        except CommandError:
            refused.append(line[: limits.SHEET_TEXT_CHARS])
        else:
            changes.append(change)
    return Proposed(sheet, tuple(changes), tuple(refused))


# --- The block of proposed changes, parted from the story while a reply streams. Pure.
#
# Players never see such a block, nor do later prompts, memories or exports: it is no part of the saved
# text. Text is passed on as it comes; only what may be the beginning of a block waits for what follows, and
# the white space before it.
#
# Models write blocks in many ways. A fence (three back quotes or tildes) with the word ``state`` and a new
# line or a change behind it begins one, wherever it is; so does a shorter fence with that word on a
# line of its own. A block that is never closed ends where its lines are no changes any more. A fence
# without the word is a block only at the end of a reply, around nothing but changes, one of which no
# letter or sign in a story would have. All other fenced text belongs to the story.

INFO_CHARS = 40  # behind a fence: a name, not a sentence
SPACE_CHARS = 64  # that wait for what follows; a model in a loop may write nothing else

_WORD = "(?:s|st|sta|stat|state)?"  # the beginning of "state"
_MARK = re.compile(r"`+|~{3,}")
_KEYS = "|".join((*SCENE, "inventory|inv|items|conditions?|quests?|flag"))
_NAMED = re.compile(
    r"\s*+(?:(?:`{3,}+|~{3,}+)[ \t]*+[^\w`~ \t]{0,2}+[ \t]*+state"
    rf"(?=[ \t]*+:?+[ \t]*+\r?\n|(?:[ \t]*+:)?+[\s\-*\"'{{]++(?:{_KEYS})[\"']?\s*+[:=])"
    r"|`{1,2}[ \t]*+state(?=[ \t]*+:?+[ \t]*+\r?\n))[ \t]*+:?",
    re.IGNORECASE,
)
_FENCE = re.compile(rf"\s*+(?:`{{3,}}+|~{{3,}}+)[^\n`~]{{0,{INFO_CHARS}}}\n")
_MAY_OPEN = re.compile(
    rf"\s*+(?:(?:`{{3,}}+|~{{3,}}+)[^\n`~]{{0,{INFO_CHARS}}}|`{{1,2}}[ \t]*+{_WORD}[ \t]*+:?+[ \t]*+\r?)",
    re.IGNORECASE,
)
_OPENED = re.compile(
    rf"\s*+(?:`{{3,}}+|~{{3,}}+(?=[^~]))[ \t]*+[^\w`~ \t]{{0,2}}+[ \t]*+{_WORD}[ \t]*+:?+[ \t]*+",
    re.IGNORECASE,
)
_CLOSE = re.compile(r"`{3,}|~{3,}|(?m:^[ \t]*`{1,2}[ \t]*$)")
_CHANGE = re.compile(
    r"[\s\-*\"']*(?:(?:inventory|inv|items|conditions?|quests?|flag)[\"']?\s*[:=].*"
    r"|[^:=]{1,60}[:=][\s\"']*[+-]\s*\w.*)",
    re.IGNORECASE,
)  # and no line of a letter; a place or a time would be one
_PAIR = re.compile(r"[^:=]{1,60}[:=].*|\W*")
_CUT_KEY = re.compile(r"[\s\-*\"']*\w*")  # a reply that was stopped in the middle of a change


class UpdateFilter:
    """One reply as it comes in: what is story is given back, what is not gathers in ``block``.

    ``full``: a block goes on for longer than any that is meant; nothing sensible follows.
    """

    def __init__(self) -> None:
        self.block = ""
        self.full = False
        self._held = ""

    def take(self, text: str) -> str:
        """Returns what of the reply is story, now that ``text`` has come."""
        self._held += text
        return self._story(last=False)

    def end(self) -> str:
        """Returns what is left of the story in a reply that has ended."""
        return self._story(last=True)

    def _story(self, *, last: bool) -> str:
        texts = []
        waits = False
        while self._held and not waits:
            text, waits = self._step(last=last)
            texts.append(text)
        return "".join(texts)

    def _step(self, *, last: bool) -> tuple[str, bool]:
        """Returns the next part of the story, and whether the rest must wait."""
        held = self._held
        mark = _MARK.search(held)
        if mark is None:
            return self._let_go(_end(held, block=bool(self.block)) if last else _sure(held)), True
        # What is before the first mark is story. The white space between waits: before a block it is nothing.
        before = len(held[: mark.start()].rstrip())
        if before:
            return self._let_go(before), False
        # All that is here may yet become the head of a block; the next letters decide.
        if not last and _MAY_OPEN.fullmatch(held):
            return "", True
        named = _NAMED.match(held)
        fence = named or _FENCE.match(held)
        if fence is None:
            if last and _OPENED.fullmatch(held):  # stopped right where a block began
                self._let_go(len(held))
                return "", True
            return self._let_go(mark.end()), False
        close = _CLOSE.search(held, fence.end())
        body = held[fence.end() : close.start() if close else len(held)]
        goes_on = bool(named) and _is_story_again(body)  # some models never close a block and tell on
        grows = close is None or close.end() == len(held)  # by one quote, maybe
        if not last and grows and not goes_on and len(held) <= BLOCK_CHARS:
            return "", True
        end = close.end() if close else len(held)
        if named and (close is None or goes_on):
            # Only its changes are the block's; without this the rest of the story would be lost with it.
            body = body[: _changes_end(body)]
            end = fence.end() + len(body)
            self.full = end == len(held) and not last
        elif not named:
            # A fence without the word is a block only as the very end of a reply, which is certain at its end alone.
            if not _is_changes(body) or not _is_nothing(held[end:]) or (close is None and not last):
                return self._let_go(end), False
            if not last:
                return "", True
        self._let_go(end)
        self.block = f"{self.block}\n{body.strip()}".strip()
        return "", False

    def _let_go(self, length: int) -> str:
        part, self._held = self._held[:length], self._held[length:]
        return part


def _sure(text: str) -> int:
    """Returns how much of a text without marks cannot belong to a block, whatever follows."""
    cut = len(text.rstrip("~").rstrip())
    return cut if len(text) - cut <= SPACE_CHARS else len(text)


def _end(text: str, *, block: bool) -> int:
    """Returns how much of the last text is story: behind a block white space is nothing."""
    return len(text) if text.strip() or not block else 0


def _is_nothing(text: str) -> bool:
    """Returns whether a reply may end with this behind its block."""
    return len(text) <= SPACE_CHARS and not text.strip()


def _is_story_again(body: str) -> bool:
    """Returns whether the story goes on inside a block: a whole line that is no change, in a new paragraph."""
    begun = parted = False
    for line in body.splitlines(keepends=True):
        words = line.strip()
        if parted and line.endswith("\n") and not _PAIR.fullmatch(words):
            return True
        begun = begun or bool(words)
        parted = parted or (begun and not words)
    return False


def _changes_end(body: str) -> int:
    """Returns where the changes of a block without a proper end are over: the rest is story."""
    end = 0
    changes = False
    lines = body.splitlines(keepends=True)
    for number, line in enumerate(lines):
        words = line.strip()
        cut = number == len(lines) - 1 and _CUT_KEY.fullmatch(line) is not None
        if (not words and changes) or not (cut or _PAIR.fullmatch(words)):
            break
        changes = changes or bool(words)
        end += len(line)
    return end if end == len(body) else len(body[:end].rstrip())


def _is_changes(body: str) -> bool:
    lines = [line for line in body.splitlines() if line.strip()]
    return any(_CHANGE.fullmatch(line) for line in lines) and all(
        _PAIR.fullmatch(line.strip()) for line in lines
    )
