"""A small engine over a real socket that says what a test wants: greets, streams words, remembers.

It speaks the wire as our engine does, without its knowledge: two worlds, one running story, replies of
numbered words. ``python -m tests.scripted_engine PORT [WORDS] [RATE] [STORY] [STAMPED]`` serves it by hand.
"""

from __future__ import annotations

import sys
import time
from urllib.parse import parse_qs, urlparse

import trio
import trio_websocket

from flower.protocol import codec, messages
from tests import tui_world as world

_PARAGRAPH = (
    "The tide has gone out further than you have ever seen it. *Wet sand* shines to the horizon, and the "
    "wreck of the **Marigold** stands upright in it like a tooth. “You came,” says the keeper. “I had "
    "begun to count the lamps twice.” She holds the lantern lower; the flame leans away from the sea.\n\n"
)
PROSE = _PARAGRAPH.split(" ")


class ScriptedEngine:
    """State of one story; ``words`` and ``rate`` (words per second, 0: all at once) shape its replies."""

    def __init__(
        self, *, words: int = 60, rate: float = 50.0, story: int = 0, stamped: bool = False
    ) -> None:
        self.words = words
        self.stamped = stamped  # every word tells when it was sent, see ``stamp``
        self.rate = rate
        self.session = "s1" if story else ""
        self.world = "ember" if story else ""
        self.character = "mira" if story else ""
        self.lines: list[messages.HistoryItem] = []
        for number in range(1, story + 1):
            role = "user" if number % 2 else "assistant"
            self.lines.append(
                messages.HistoryItem(role, f"Line {number}. " + " ".join(PROSE[:40]), message=number)
            )
        self.heard: list[messages.Prompt] = []
        self.faces: dict[trio_websocket.WebSocketConnection, str] = {}
        self.turn = ""
        self.turns = 0
        self.stop = trio.CancelScope()
        self.nursery: trio.Nursery
        self.owed = 0  # states until a late answer

    async def serve(
        self, port: int = 0, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serves until cancelled; ``started`` gives the address."""
        async with trio.open_nursery() as self.nursery:
            server: trio_websocket.WebSocketServer = await self.nursery.start(
                trio_websocket.serve_websocket, self._accept, "127.0.0.1", port, None
            )
            task_status.started(f"ws://127.0.0.1:{server.port}/ws/rpc")

    async def _accept(self, request: trio_websocket.WebSocketRequest) -> None:
        client = parse_qs(urlparse(request.path).query).get("client", [""])[0]
        socket = await request.accept()
        self.faces[socket] = client
        try:
            await self._greet(socket, client)
            while True:
                prompt = codec.decode_prompt(await socket.get_message())
                self.heard.append(prompt)
                await self._obey(socket, client, prompt)
        except trio_websocket.ConnectionClosed:
            pass
        finally:
            self.faces.pop(socket, None)

    async def _greet(self, socket: trio_websocket.WebSocketConnection, client: str) -> None:
        await self._say(socket, messages.SystemUpdate("✓ Engine ready.", messages.State(status="ok")))
        await self._sync(socket, client)

    async def _sync(self, socket: trio_websocket.WebSocketConnection, client: str) -> None:
        await self._say(socket, messages.SyncState("", self._state(client)))
        await self._say(socket, self._page())

    def _state(self, client: str) -> messages.State:
        return messages.State(
            model="offline",
            model_confirmed=True,
            world_id=self.world,
            character_id=self.character,
            session_id=self.session,
            available_worlds=world.WORLDS,
            available_characters=world.CHARACTERS,
            available_models=world.MODELS,
            available_rules=world.RULES,
            available_sessions=(),
            active_rules=(),
            client=client,
            commands=world.COMMANDS,
            offline=True,
        )

    def _page(self, before: int | None = None) -> messages.ChatHistory:
        if not self.session:
            return messages.ChatHistory("", messages.HistoryMeta(()))
        lines = [line for line in self.lines if before is None or _number(line) < before]
        page = lines[-100:]
        more = _number(page[0]) if len(lines) > len(page) else messages.UNSET
        return messages.ChatHistory(
            "",
            messages.HistoryMeta(
                tuple(page),
                session=self.session,
                more=more,
                before=messages.UNSET if before is None else before,
                turn=self.turn or messages.UNSET if before is None else messages.UNSET,
            ),
        )

    async def _say(self, socket: trio_websocket.WebSocketConnection, event: messages.Event) -> None:
        try:
            await socket.send_message(codec.encode(event))
        except trio_websocket.ConnectionClosed:
            self.faces.pop(socket, None)

    async def _tell_all(self, event: messages.Event) -> None:
        for socket in tuple(self.faces):
            await self._say(socket, event)

    async def _obey(
        self, socket: trio_websocket.WebSocketConnection, client: str, prompt: messages.Prompt
    ) -> None:
        match prompt.prompt.split():
            case ["/world", "select", name]:
                self.world = name
                await self._say(
                    socket, messages.SystemUpdate("✓ World chosen.", messages.State(world_id=name))
                )
            case ["/character", "select", name]:
                self.character = name
                await self._say(
                    socket,
                    messages.SystemUpdate("✓ Character chosen.", messages.State(character_id=name)),
                )
            case ["/session", "new"]:
                self.session, self.lines = (
                    "s1",
                    [messages.HistoryItem("assistant", " ".join(PROSE), message=1)],
                )
                await self._say(
                    socket,
                    messages.SystemUpdate("✓ A new story begins.", messages.State(session_id="s1")),
                )
                await self._say(socket, self._page())
            case ["/sync"]:
                await self._sync(socket, client)
                self.owed -= self.owed > 0
                if self.owed == 1:
                    await self._say(socket, messages.SystemUpdate("You could:\n1. I wait."))
            case ["/suggest"]:
                self.owed = 4  # answered behind the third state that is asked for
            case ["/history", number]:
                await self._say(socket, self._page(int(number)))
            case ["/cancel"]:
                self.stop.cancel()
            case ["/help"]:
                await self._say(
                    socket, messages.SystemUpdate("What can be typed:\n/help  this\n/quit  leave")
                )
            case ["/quit"]:
                await self._say(socket, messages.SystemUpdate("Goodbye."))
                await socket.aclose(1000)
            case [name, *_] if name.startswith("/"):
                await self._say(socket, messages.ErrorEvent(f"There is no command {name}; try /help."))
            case _ if any(prompt.request and line.request == prompt.request for line in self.lines):
                return  # said again after a reconnect
            case _:
                self.nursery.start_soon(self._reply, prompt)

    async def _reply(self, prompt: messages.Prompt) -> None:
        unset = messages.UNSET
        self.turns += 1
        self.turn = turn = f"t{self.turns}"
        number = len(self.lines) + 1
        line = messages.HistoryItem(
            "user", prompt.prompt, message=number, request=prompt.request or unset
        )
        self.lines.append(line)
        meta = messages.MessageMeta("user", number, self.session, request=prompt.request or unset)
        await self._tell_all(messages.ChatMessage(prompt.prompt, meta))
        await self._tell_all(
            messages.ChatMessage(
                "", messages.MessageMeta("assistant", number + 1, self.session, turn=turn)
            )
        )
        recalled = (
            messages.RecallItem(
                "memory", "", "You asked the keeper about the second lamp.", "alike", 0.61
            ),
        )
        await self._tell_all(messages.Recall("", messages.RecallMeta(turn, recalled)))
        text = ""
        self.lines.append(messages.HistoryItem("assistant", "", message=number + 1))
        began = time.monotonic()
        with trio.CancelScope() as self.stop:
            for place in range(self.words):
                if self.rate:
                    await trio.sleep(1 / self.rate)
                word = (stamp() if self.stamped else PROSE[place % len(PROSE)]) + " "
                await self._tell_all(world.chunk(word, len(text), turn, rate=self.rate or 999.0))
                text += word
                self.lines[-1] = messages.HistoryItem("assistant", text, message=number + 1)
        reason = "stopped" if self.stop.cancelled_caught else "done"
        self.turn = ""
        seconds = time.monotonic() - began
        await self._tell_all(
            world.end(turn, reason, tokens=self.words, message=number + 1, seconds=seconds)
        )


def stamp() -> str:
    """Returns the time as a word: ``Q`` and six letters that count 10 microseconds."""
    return "Q" + letters_of(time.perf_counter())


def letters_of(seconds: float) -> str:
    """Returns six letters for a time, in units of 10 microseconds; they repeat after 50 minutes."""
    count, letters = int(seconds * 100_000), ""
    for _ in range(6):
        count, digit = divmod(count, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def seconds_of(letters: str) -> float:
    """Returns the time that ``letters_of`` wrote, within its 50 minutes."""
    count = 0
    for letter in letters:
        count = count * 26 + ord(letter) - ord("a")
    return count / 100_000


def _number(line: messages.HistoryItem) -> int:
    assert isinstance(line.message, int)
    return line.message


async def main(port: int, words: int, rate: float, story: int, stamped: bool) -> None:
    """Serves until interrupted."""
    await ScriptedEngine(words=words, rate=rate, story=story, stamped=stamped).serve(port)


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[1:]] + [8765, 60, 50, 0, 0][len(sys.argv) - 1 :]
    trio.run(main, int(numbers[0]), int(numbers[1]), numbers[2], int(numbers[3]), bool(numbers[4]))
