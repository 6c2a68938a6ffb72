"""The story as lines to read: what is new after every change, and walking through what was said.

Pure: models in, text out. For people who hear the screen: sentences are never cut, every message begins with who
speaks, and what changed is said once.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from flower.protocol import messages as protocol
from flower.tui.render.messages import MessageView, ending_of
from flower.tui.render.text import clean, width
from flower.tui.state.checklist import name_of
from flower.tui.state.model import Model
from flower.tui.state.transcript import UNCONFIRMED

READ_OUT = ("text", "suggestions")  # popups that are read out
RECENT = 4  # messages of an old story that are read out again
DETAIL = {1: "the story alone", 2: "the story and news", 3: "all there is, thinking and numbers too"}
USAGE = (
    ":prev and :next read the message before and after (:prev you, :prev narrator: of one speaker), :who says who "
    "speaks there and where you are, :detail 1, 2 or 3 says less or more."
)
_SENTENCE = re.compile(r"[.!?…][”\"’')\]*_]*\s+|\n+")
_SPEAKERS = {"user": "You", "assistant": "Narrator", "system": "Dice"}


class Reader:
    """Turns changes of the model into lines to read; knows how much of each reply was read."""

    def __init__(self) -> None:
        self._read: dict[int, int] = {}  # characters read by message key
        self._open: int | None = None  # key of the reply whose line is not ended yet
        self._session = ""
        self._lost = ""  # the reason that was read out while there is no connection
        self.detail = 2  # see ``DETAIL``

    def news(self, before: Model, after: Model) -> str:
        """Returns what has to be written now."""
        parts: list[str] = []
        if after.link != before.link:
            parts.append(self._link(after))
        if after.notice != before.notice and self._is_worth(after):
            mark = "!" if after.notice.kind == "bad" else "*"
            parts.append(self._line(f"{mark} {after.notice.text}"))
        if after.popup != before.popup and after.popup is not None and after.popup.kind in READ_OUT:
            parts.append(self._line(after.popup.subject))
            if after.popup.kind == "suggestions":
                parts.append(self._line("* A number alone says one of them."))
        if after.replica.session_id != self._session:
            self._session = after.replica.session_id
            self._read.clear()
        if after.story is not before.story:
            parts += [self._story(message, after) for message in self._unread(after)]
        return "".join(parts)

    def _link(self, model: Model) -> str:
        """Returns what has to be said of the connection: a loss once, whatever is tried, and its end."""
        note = model.link.note or "no connection"
        if model.link.state == "lost" and note != self._lost:
            self._lost = note
            return self._line(f"! {note}")
        if model.link.state == "online" and self._lost:
            self._lost = ""
            return self._line("* The engine is there again.")
        return ""

    def _is_worth(self, after: Model) -> bool:
        notice = after.notice
        return bool(notice.text) and (self.detail > 1 or notice.kind == "bad")

    def outline(self, event: protocol.Event) -> str:
        """Returns the tree of a story or a form as lines to read, if that is what came; the screen draws it."""
        if not isinstance(event, protocol.SystemUpdate):
            return ""
        if event.metadata.tree is protocol.UNSET and event.metadata.form is protocol.UNSET:
            return ""
        return self._line(event.content)

    def _unread(self, model: Model) -> tuple[MessageView, ...]:
        messages = model.story.messages
        if not self._read:
            for message in messages[:-RECENT]:
                self._read[message.key] = len(message.text)
        return messages[-RECENT:]

    def _story(self, message: MessageView, model: Model) -> str:
        done = self._read.get(message.key)
        if message.role == "assistant":
            return self._reply(message, done)
        if done is not None or message.status in UNCONFIRMED or message.role == "notice":
            return ""  # notices were read when they came
        self._read[message.key] = len(message.text)
        if message.role == "system":
            return self._line(f"* {clean(message.text)}")
        own = message.request.startswith(f"{model.nonce}-")
        return "" if own else self._line(f"You: {clean(message.text)}")

    def _reply(self, message: MessageView, done: int | None) -> str:
        begins = done is None
        done = done or 0
        if done > len(message.text):  # what was read was none of the story: say so, and begin again
            begins, done, self._open = True, 0, None
            self._read[message.key] = 0
            return self._line("(That was the model thinking; the reply begins again.)")
        text = message.text[done:]
        ended = message.status != "streaming"
        if not ended:
            ends = [match.end() for match in _SENTENCE.finditer(text)]
            text = text[: ends[-1]] if ends else ""
        if not text and (not ended or self._open != message.key):
            return ""
        self._read[message.key] = done + len(text)
        words = clean(text)
        if begins or self._open != message.key:
            words = self._line("", begin=True) + "Narrator: " + words.lstrip()
        self._open = message.key
        if ended:
            words = words.rstrip() + "".join(f" ({one})" for one in self._about(message)) + "\n"
            self._open = None
        return words

    def _about(self, message: MessageView) -> list[str]:
        """Returns what is said behind a finished message."""
        parts = [ending] if (ending := ending_of(message)) else []
        if self.detail < 3:
            return parts
        if message.reasoning:
            parts.append(f"{len(message.reasoning.split())} words of thinking")
        if message.variants > 1:
            parts.append(f"variant {message.variant} of {message.variants}")
        return parts

    def _line(self, text: str, *, begin: bool = False) -> str:
        """Returns a line of its own; the reply that was being read is interrupted."""
        start = "\n" if self._open is not None else ""
        self._open = None
        return start if begin else f"{start}{clean(text)}\n"


# --- walking ------------------------------------------------------------------------------------


class Walk(NamedTuple):
    """Where somebody reads: the message of ``key``; 0: behind the last one."""

    key: int = 0

    def step(self, model: Model, words: list[str]) -> tuple[Walk, str]:
        """Carries out ``:prev`` or ``:next``, of one speaker if one is named; returns what is to be read."""
        forward = words[0] == ":next"
        speaker = words[1].casefold() if len(words) > 1 else ""
        messages = model.story.messages
        ahead = [one for one in messages if one.key > self.key] if forward else list(reversed(messages))
        if not forward and self.key:
            ahead = [one for one in ahead if one.key < self.key]
        if forward and not self.key:
            ahead = []
        message = next((one for one in ahead if speaker in ("", speaker_of(one).casefold())), None)
        if message is None:
            return self, f"* There is nothing {'after' if forward else 'before'} this.\n"
        place = messages.index(message) + 1
        text = f"{place} of {len(messages)}. {speaker_of(message)}: {clean(message.text).strip()}\n"
        return Walk(message.key), text

    def who(self, model: Model) -> str:
        """Returns who speaks here, and where the story is."""
        messages, replica = model.story.messages, model.replica
        place = next((n for n, one in enumerate(messages, 1) if one.key == self.key), len(messages))
        parts = [
            f"{speaker_of(messages[place - 1])}, message {place} of {len(messages)}" if messages else ""
        ]
        for plural, chosen in (("worlds", replica.world_id), ("characters", replica.character_id)):
            parts.append(name_of(model, plural, chosen))
        parts.append(
            "the offline narrator" if replica.offline else name_of(model, "models", replica.model)
        )
        return f"* {clean(', '.join(part for part in parts if part))}.\n"


def speaker_of(message: MessageView) -> str:
    """Returns who speaks in a message."""
    return _SPEAKERS.get(message.role, "News")


# --- wrapping -----------------------------------------------------------------------------------


def wrapped_onto(text: str, column: int, columns: int) -> tuple[str, int]:
    """Returns ``text`` broken between words for a line that is ``column`` columns long already.

    And the columns of its last line. Only spaces become line breaks; what is longer than a line stays whole.
    """
    parts: list[str] = []
    for piece in re.split(r"( |\n)", text):
        if piece == "\n":
            column = 0
        elif piece == " ":
            column += 1
        elif piece:
            size = width(piece)
            if column and column + size > columns:
                while parts and parts[-1] == " ":
                    parts.pop()
                parts.append("\n")
                column = 0
            column += size
        parts.append(piece)
    return "".join(parts), column
