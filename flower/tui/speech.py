"""Reads replies aloud through a program of the user's: it gets each finished sentence on its standard input.

Owns the queue of sentences and the one program that runs. Decides nothing about the story. A program that
cannot be started or fails is named once; then the session is silent.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import trio

from flower.tui.render.messages import MessageView
from flower.tui.state.transcript import Transcript

QUEUE = 64  # sentences that wait to be read: whoever writes faster than that is not listened to
SENTENCE_S = 120.0  # the longest that one sentence is read
VOICE = "{voice}"
SENTENCE_CHARS = 600  # a longer one is read in parts
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»*_)\]]*+(?=\s)|\n\n++")
_QUOTE = re.compile(r'"[^"\n]*+"|“[^“”\n]*+”')
_MARKS = re.compile(r"[*_`#>]++")
_DICE = re.compile(r"\[[^\[\]\n]{0,80}\]")  # what a throw shows is not read


# --- sentences: pure, they know what is narration, what is said by somebody, and by whom ----------


class Utterance(NamedTuple):
    """A piece to be read. ``speaker`` is "" for narration, and for somebody who is not named."""

    text: str
    dialogue: bool = False
    speaker: str = ""


class Sentences:
    """Cuts a growing text into sentences. Positions are characters of that text."""

    def __init__(self, begins: int = 0) -> None:
        self._read = begins

    def take(self, text: str, *, ended: bool = False) -> list[str]:
        """Returns the sentences that are whole by now and were not returned before.

        ``ended``: nothing will follow, so that what is left is a sentence, too. A text that has become shorter
        is read on from where it ends.
        """
        self._read = min(self._read, len(text))
        sentences = []
        for match in _END.finditer(text, self._read):
            sentences.append(text[self._read : match.end()])
            self._read = match.end()
        if ended or len(text) - self._read > SENTENCE_CHARS:
            sentences.append(text[self._read :])
            self._read = len(text)
        return [clean for one in sentences if (clean := _readable(one))]


def _readable(sentence: str) -> str:
    bare = " ".join(_MARKS.sub(" ", _DICE.sub(" ", sentence)).split())
    return bare if any(char.isalnum() for char in bare) else ""


def utterances(sentence: str, names: Collection[str], what: str) -> Sequence[Utterance]:
    """Returns what of a sentence is read: ``what`` is all, narration or dialogue.

    Where ``names`` has somebody whom the words beside a quotation name, the quotation is theirs.
    """
    beside = _QUOTE.sub(" ", sentence)
    folded = beside.casefold()
    speaker = next((one for one in names if one.casefold() in folded), "")
    pieces: list[Utterance] = []
    end = 0
    for match in _QUOTE.finditer(sentence):
        pieces.append(Utterance(sentence[end : match.start()].strip()))
        pieces.append(Utterance(match.group().strip('"“”'), dialogue=True, speaker=speaker))
        end = match.end()
    pieces.append(Utterance(sentence[end:].strip()))
    pieces_read = [
        one
        for one in pieces
        if any(char.isalnum() for char in one.text)
        and (what == "all" or one.dialogue == (what == "dialogue"))
    ]
    if what == "all" and not any(one.speaker for one in pieces_read):
        return [Utterance(sentence)] if pieces_read else []
    return pieces_read


# --- the program --------------------------------------------------------------------------------


class SpeechSettings(NamedTuple):
    """``command`` "": silent. ``voices`` are those of characters by name; ``what``: all, narration, dialogue."""

    command: str = ""
    voice: str = ""
    voices: Mapping[str, str] = {}
    what: str = "all"


def arguments(settings: SpeechSettings, speaker: str) -> list[str]:
    """Returns the program with its arguments for somebody's voice. Raises ``ValueError`` for an open quotation."""
    voice = settings.voices.get(speaker, settings.voice)
    words = shlex.split(settings.command)
    if voice:
        return [word.replace(VOICE, voice) for word in words]
    return _without_voice(words)


def _without_voice(words: list[str]) -> list[str]:
    """Leaves out ``{voice}`` with the option before it: ``-v {voice}``."""
    bare: list[str] = []
    for word in words:
        if VOICE not in word:
            bare.append(word)
        elif word == VOICE and bare and bare[-1].startswith("-"):
            bare.pop()
    return bare


class Speech:
    """Follows the reply that is being written and has its sentences read, one after the other."""

    def __init__(self, settings: SpeechSettings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._waiting: deque[Utterance] = deque()
        self._news = trio.Event()
        self._turn = ""
        self._sentences = Sentences()
        self._scope = trio.CancelScope()
        self._muted = ""  # the turn whose reply is not to be read on
        self._busy = False
        self._silent = not settings.command.strip()

    @property
    def on(self) -> bool:
        """Whether anything is read."""
        return not self._silent

    @property
    def speaking(self) -> bool:
        """Whether a sentence is read or waits to be."""
        return self._busy or bool(self._waiting)

    def use(self, settings: SpeechSettings) -> None:
        """Goes on with changed settings, whatever failed before; what is being read is not read on."""
        if settings != self._settings:
            self.stop()
            self._settings = settings
            self._silent = not settings.command.strip()

    def follow(self, before: Transcript, after: Transcript) -> None:
        """Takes what a reply has grown by between two moments of the story."""
        if self._silent or before is after or not after.messages:
            return
        last = after.messages[-1]
        if last.role == "user" and last.key != (before.messages[-1].key if before.messages else 0):
            self.stop()  # the player goes on: what was before is past
        if last.role != "assistant" or not last.turn or after.session != before.session:
            return
        if last.turn != self._turn:
            if last.status != "streaming":
                return
            self._turn = last.turn
            growing = next((one for one in before.messages if one.turn == last.turn), None)
            self._sentences = Sentences(len(growing.text) if growing else 0)
        self._hear(last)

    def _hear(self, reply: MessageView) -> None:
        ended = reply.status != "streaming"
        for sentence in self._sentences.take(reply.text, ended=ended):
            for piece in utterances(sentence, self._settings.voices, self._settings.what):
                if len(self._waiting) < QUEUE and reply.turn != self._muted:
                    self._waiting.append(piece)
        self._news.set()

    def stop(self) -> None:
        """Falls silent at once, and for the rest of this reply."""
        self._muted = self._turn
        self._waiting.clear()
        self._scope.cancel()

    async def run(self) -> None:
        """Reads what comes until it is cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._waiting and not self._silent:
                piece = self._waiting.popleft()
                with trio.CancelScope() as self._scope:
                    self._busy = True
                    try:
                        await self._say(piece)
                    finally:
                        self._busy = False

    async def _say(self, piece: Utterance) -> None:
        try:
            words = arguments(self._settings, piece.speaker)
            with trio.move_on_after(SENTENCE_S):
                code = await _read_aloud(words, piece.text)
                if code:
                    self._give_up(f"it ended with code {code}")
        except (OSError, ValueError) as error:
            self._give_up(str(error))

    def _give_up(self, reason: str) -> None:
        self._silent = True
        self._waiting.clear()
        self._tell(
            f"Nothing is read aloud: speech.command does not work ({reason}). Try it in a shell, then correct it."
        )


async def _read_aloud(words: list[str], text: str) -> int:
    """Returns the exit code of a program that got ``text`` on its standard input.

    When it is cancelled the program and whatever it started are stopped. Raises ``OSError``.
    """
    process = await trio.lowlevel.open_process(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        try:
            await process.stdin.send_all(f"{text}\n".encode())
            await process.stdin.aclose()
        except trio.BrokenResourceError:  # it does not read: its exit code says more
            pass
        return await process.wait()
    finally:
        if process.poll() is None:
            _stop(process.pid)
            with trio.CancelScope(shield=True):
                await process.wait()
        if process.stdin is not None:
            with trio.CancelScope(shield=True):
                await process.stdin.aclose()


def _stop(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
