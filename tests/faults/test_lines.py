"""Lines that are cut without a word, and lines that are slow, far and lossy.

The engine is at the far end of a network of our own; the near end is a face's real link. The short forms
run with smaller limits, the long ones with those of ``limits.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import trio
import trio.testing

from flower import limits
from flower.client.connection import Link
from flower.client.events import LinkChanged, Received, Send
from flower.protocol.messages import ChatChunk, ChatEnd, ChatHistory, ChatMessage, SyncState
from tests.bad_line import BadLine, bad_lines, inside, why_not
from tests.engine_process import Process, engine, look_into, with_limits

TOKEN = "a-token-of-this-test"
SILENCE = {  # the limits of silence as they are shipped
    "PING_INTERVAL_S": limits.PING_INTERVAL_S,
    "PONG_DEADLINE_S": limits.PONG_DEADLINE_S,
    "SEND_TIMEOUT_S": limits.SEND_TIMEOUT_S,
}
NOTICED_S = 60.0  # what is promised
SHORT = 20.0  # how much smaller limits are in short forms

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())


class Face:
    """A face's link, and what its user would have read."""

    def __init__(self, url: str, client: str = "face") -> None:
        self.link = Link(lambda: url, client, self._post, TOKEN)
        self.states: list[tuple[str, float, str]] = []
        self.text = ""  # of the newest message
        self.role = ""
        self.arrivals: list[tuple[float, int]] = []
        self.ends = 0
        self.synced = 0
        self.page_due = False  # after a new connection pieces may come before the page that holds them
        self._moved = trio.Event()

    def _post(self, happened: LinkChanged | Received) -> None:
        if isinstance(happened, LinkChanged):
            self.states.append((happened.state, trio.current_time(), happened.note))
            self.page_due |= happened.state == "lost"
        else:
            self._take(happened.event)
        self._moved.set()
        self._moved = trio.Event()

    def _take(self, event: object) -> None:
        match event:
            case SyncState():
                self.synced += 1
            case ChatHistory(metadata=metadata) if metadata.history:
                self.page_due = False
                self.role, self.text = metadata.history[-1].role, metadata.history[-1].content
            case ChatMessage(content=content, metadata=metadata):
                self.role, self.text = metadata.role, content
            case ChatChunk() if self.page_due:
                return
            case ChatChunk(content=content, metadata=metadata):
                assert metadata.offset == len(self.text), "a gap, or the same text twice"
                self.text += content
                self.arrivals.append((trio.current_time(), len(content)))
            case ChatEnd():
                self.ends += 1
            case _:
                return

    async def until(self, condition: Callable[[], bool], within_s: float = 30.0) -> None:
        with trio.move_on_after(within_s):
            while not condition():
                await self._moved.wait()
        assert condition(), f"not within {within_s} s; the line was {self.states[-5:]}"

    def is_lost(self) -> bool:
        return bool(self.states) and self.states[-1][0] == "lost"

    async def say(self, line: str) -> None:
        assert self.link.send_nowait(Send(line))

    async def begin(self) -> None:
        await self.until(lambda: self.synced > 0)
        await self.say("/world select orrinsay")
        await self.say("/session new")
        await self.until(lambda: bool(self.text))

    def is_telling(self) -> bool:
        return self.role == "assistant" and bool(self.arrivals)


@asynccontextmanager
async def far_engine(
    home: Path, words_per_s: float, smaller: float = 1.0, *, lines: int = 1
) -> AsyncIterator[tuple[list[BadLine], Process]]:
    """An engine at the far end of ``lines`` lines, its limits of silence divided by ``smaller``."""
    home.mkdir(mode=0o700)
    (home / "config.yaml").write_text(
        f"engine:\n  host: 0.0.0.0\n  token: {TOKEN}\nnarrator:\n  seed: 7\n  words_per_s: {words_per_s}\n"
    )
    (home / "config.yaml").chmod(0o600)
    far = inside(*with_limits(**{name: value / smaller for name, value in SILENCE.items()}))
    async with bad_lines(lines) as ways, engine(home, program=far) as running:
        yield ways, running


@asynccontextmanager
async def face_at(running: Process, line: BadLine, client: str = "face") -> AsyncIterator[Face]:
    face = Face(f"ws://{line.address}:{running.address[1]}/ws/rpc", client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(face.link.run)
        yield face
        nursery.cancel_scope.cancel()


def connections(running: Process) -> int:
    """Returns how many connections the engine's own network has open."""
    rows = Path(f"/proc/{running.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[3] == "01" for row in rows)


async def wait_dropped(running: Process) -> float:
    """Waits until the engine has let its only client go; returns when that was."""
    while connections(running):
        await trio.testing.wait_all_tasks_blocked(0.02)
        await trio.sleep(0.05)
    return trio.current_time()


async def cut_and_mend(home: Path, smaller: float, *, telling: bool) -> tuple[float, float]:
    """Cuts the line while a reply is told or nothing happens; returns when engine and face noticed."""
    within = NOTICED_S / smaller
    async with (
        far_engine(home, 0.5 * smaller, smaller) as ([line], running),
        face_at(running, line) as face,
    ):
        await face.begin()
        if telling:
            await face.say("I look around, and take my time over everything that there is to see.")
            await face.until(face.is_telling)
        assert connections(running) == 1
        line.cut, cut_at = True, trio.current_time()
        noticed: list[float] = []

        async def by_engine() -> None:
            noticed.append(await wait_dropped(running))

        async with trio.open_nursery() as nursery:
            with trio.fail_after(within + 1):
                nursery.start_soon(by_engine)
                await face.until(face.is_lost, within + 1)
                _, lost_at, note = face.states[-1]
                while not noticed:
                    await trio.sleep(0.05)
        assert "stopped answering" in note, "the user is told"
        line.cut = False
        synced = face.synced
        await face.until(lambda: face.synced > synced)
        if telling:
            await face.until(lambda: last_reply(home)[1] == "complete", 120)
            await face.until(lambda: face.text == last_reply(home)[0])
            assert face.ends == 1, "one end, although the line broke in the middle"
        return noticed[0] - cut_at, lost_at - cut_at


def last_reply(home: Path) -> tuple[str, str]:
    db = look_into(home)
    try:
        row = db.execute(
            "SELECT content, status FROM messages WHERE role = 'assistant' ORDER BY id DESC"
        ).fetchone()
    finally:
        db.close()
    return str(row[0]), str(row[1])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same smaller limits in this process, where the face is."""
    for name, value in SILENCE.items():
        monkeypatch.setattr(limits, name, value / SHORT)


@pytest.mark.usefixtures("impatient")
async def test_a_line_cut_in_mid_reply_is_noticed_on_both_sides(tmp_path: Path) -> None:
    """And the reply goes on, is there afterwards to the last byte, and ends once."""
    by_engine, by_face = await cut_and_mend(tmp_path / "home", SHORT, telling=True)
    assert max(by_engine, by_face) <= NOTICED_S / SHORT + 1, "a second for a busy machine"


@pytest.mark.faults
@pytest.mark.timeout(400)
@pytest.mark.parametrize("telling", [True, False])
async def test_a_cut_line_is_noticed_within_a_minute(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], telling: bool
) -> None:
    by_engine, by_face = await cut_and_mend(tmp_path / "home", 1.0, telling=telling)
    with capsys.disabled():
        print(f"\nline cut (telling: {telling}): engine {by_engine:.1f} s, face {by_face:.1f} s")
    assert max(by_engine, by_face) <= NOTICED_S


@pytest.mark.usefixtures("impatient")
async def test_a_long_page_arrives_over_a_slow_line(tmp_path: Path) -> None:
    """It takes many times the limits of silence and of sending, and nobody gives up on it."""
    async with far_engine(tmp_path / "home", 1000.0, SHORT) as ([line], running):
        async with face_at(running, line) as face:
            await face.begin()
            for number in range(2):
                ends = face.ends
                await face.say(f"{number} " + "The sea goes on. " * 3000)
                await face.until(lambda ends=ends: face.ends > ends)
        whole = face.text
        line.bytes_per_s, line.delay_s = 40_000.0, 0.02
        async with face_at(running, line) as face:
            await face.until(lambda: bool(face.text))
            assert face.text == whole
            assert [state for state, *_ in face.states] == ["syncing"], "it was never lost"
            assert line.carried > 100_000


async def side_by_side(home: Path, words_per_s: float) -> tuple[list[float], int]:
    """One reply over a good line and over one like a bad mobile connection, both to the end.

    Returns the gaps between pieces on the good line in seconds, and the bytes on the bad one.
    """
    async with (
        far_engine(home, words_per_s, lines=2) as ([good, bad], running),
        face_at(running, good, "good") as one,
        face_at(running, bad, "bad") as two,
    ):
        await one.begin()
        session = last_session(home)
        await two.until(lambda: two.synced > 0)
        await two.say(f"/session continue {session}")
        await two.until(lambda: bool(two.text))
        bad.bytes_per_s, bad.delay_s, bad.loss = 1_000.0, 0.15, 0.05
        await one.say("I look around.")
        await one.until(lambda: one.ends > 0, 120)
        await two.until(lambda: two.ends > 0, 120)
        assert one.text == two.text == last_reply(home)[0]
        assert not any(state == "lost" for state, *_ in two.states), "slow, but never lost"
        moments = [at for at, _ in one.arrivals]
        return [b - a for a, b in pairwise(moments)], bad.carried


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_a_bad_line_delays_nobody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 kB/s, 300 ms there and back, 5 % of packets lost: slow for whoever is on it, and for no one else."""
    gaps, carried = await side_by_side(tmp_path / "home", 40.0)
    late = sorted(gaps)[len(gaps) * 99 // 100]
    with capsys.disabled():
        print(
            f"\nbeside a bad line: pieces {late * 1000:.0f} ms apart at p99; {carried} bytes on the bad one"
        )
    assert late < 0.3


def last_session(home: Path) -> str:
    db = look_into(home)
    try:
        return str(db.execute("SELECT id FROM sessions ORDER BY updated DESC").fetchone()[0])
    finally:
        db.close()
