"""The tree in a real terminal with a real engine: branches are made, walked and gone to."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import trio

from tests.engine_process import Wire, begin_story, connected, engine
from tests.pty_world import COLUMNS, LINES, Pty
from tests.screen import Screen

FACE = (
    "import sys; from pathlib import Path; from flower.tui.boot import main; "
    "sys.exit(main(home_dir=Path(sys.argv[1]), engine_url=lambda: sys.argv[2]))"
)


class Terminal:
    """A face in a pseudo-terminal beside a client that may say things meanwhile."""

    def __init__(self, one: Pty) -> None:
        self.one = one
        self.screen = Screen(COLUMNS, LINES)
        one.wait_for("Shift+Tab")  # before that the terminal is asked what it can do
        self._fed = one.output.rfind(b"\x1b[2J")

    @property
    def text(self) -> str:
        fresh, self._fed = self.one.output[self._fed :], len(self.one.output)
        return "\n".join(self.screen.feed(fresh).text)

    async def shows(self, wanted: Callable[[str], bool], seconds: float = 15.0) -> str:
        """Reads until the screen is as wanted; returns it."""
        with trio.move_on_after(seconds):
            while not wanted(self.text):
                await trio.to_thread.run_sync(self.one.drain, 0.05)
        assert wanted(self.text), self.text
        return self.text

    async def press(self, keys: str, wanted: Callable[[str], bool]) -> str:
        self.one.type(keys)
        return await self.shows(wanted)


def chosen(text: str) -> str:
    """Returns the line above the chosen message's text."""
    return next((line for line in text.splitlines() if "Message " in line), "")


def running_text(text: str) -> str:
    """Returns the words of a screen without the frame around them."""
    return " ".join(text.replace("│", " ").split())


async def play(wire: Wire, *lines: str) -> list[str]:
    replies = []
    for line in lines:
        await wire.say(line)
        replies.append(await wire.reply())
    return replies


async def test_branches_are_made_walked_and_gone_to_in_a_terminal(tmp_path: Path) -> None:
    async with engine(tmp_path / "home") as running, connected(running) as wire:
        await begin_story(wire)
        first, second = await play(wire, "I knock at the river door.", "/retry")
        assert first != second
        face = [sys.executable, "-c", FACE, str(tmp_path / "home"), running.url]
        with Pty(face, {"FLOWER_HOME": str(tmp_path / "home")}) as one:
            screen = Terminal(one)
            await screen.shows(lambda text: "2/2" in text)
            text = await screen.press("\x1b[19~", lambda text: "2/2 here" in text)
            assert "1/2" in text
            assert "Message 4, the narrator, variant 2 of 2" in chosen(text)
            # To the other variant, which is on no screen: its text is fetched.
            await screen.press("\x1b[D", lambda text: "Message 3" in chosen(text))
            await screen.shows(lambda text: " ".join(first.split()[:25]) in running_text(text))
            await screen.press("nthe old way\r", lambda text: "[the old way] 1/2 here" in text)
            # Another face goes on while the tree is open here.
            await play(wire, "I wait for the tide.")
            await screen.shows(lambda text: "I wait for the tide." in text and "7 messages" not in text)
            text = await screen.press("\x1b[F", lambda text: "Message 6" in chosen(text))
            assert "[the old way] here" in text
            # Into the trash with it, and back, and to the second variant for good.
            await screen.press("\x1b[Ad", lambda text: "into the trash" in text)
            await screen.press("y", lambda text: "(in the trash, with 1 below it)" in text)
            await screen.press("u", lambda text: "(in the trash" not in text)
            await screen.press("/old\r", lambda text: "Message 6" in chosen(text))
            await screen.press("\x1b", lambda text: "I knock" in text)
            await screen.press("\x1b[H", lambda text: "Message 1" in chosen(text))
            await screen.press("\x1b[C\x1b[C\x1b[C", lambda text: "Message 4" in chosen(text))
            await screen.press("\r", lambda text: "The story goes on from message 4" in text)
            assert "The story's tree" not in screen.text
            one.type("\x04")
            assert one.wait_end() == 0
        await wire.say("/tree")
        while "tree" not in (told := (await wire.receive())[2]):
            pass
        assert told["tree"]["stands"] == 4
        assert [node["message"] for node in told["tree"]["nodes"]] == [1, 2, 3, 5, 6, 4]
