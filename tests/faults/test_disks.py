"""Disks that are full, broken or read-only: nothing is pretended, nothing is lost that was on screen.

A small library, preloaded into the engine, makes its writes fail on demand. Needs a C compiler.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.engine_process import (
    Process,
    Wire,
    begin_story,
    connected,
    engine,
    make_home,
    output,
    start,
    with_limits,
)

COMPILER = shutil.which(os.environ.get("CC", "cc"))
pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler")
RETRY_S = 0.7  # between tries of unsaved replies, a seventh of what is shipped
SLOW = "narrator:\n  seed: 7\n  words_per_s: 60\n"
QUICK = "narrator:\n  seed: 7\n  words_per_s: 1000\n"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("shim") / "fault_shim.so"
    source = Path(__file__).with_name("fault_shim.c")
    assert COMPILER is not None
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl"], check=True
    )
    return target


class Disk:
    """The failing disk that holds one home's database."""

    def __init__(self, tmp_path: Path, shim: Path, config: str) -> None:
        self.home = tmp_path / "home"
        self._order = tmp_path / "fault"
        self.environ = {
            "LD_PRELOAD": str(shim),
            "FLOWER_FAULT_MATCH": "/home/flower.db",
            "FLOWER_FAULT_FILE": str(self._order),
        }
        make_home(self.home, config)

    def fail(self, order: str) -> None:
        draft = self._order.with_suffix(".new")
        draft.write_text(order)
        draft.replace(self._order)

    def mend(self) -> None:
        self._order.unlink(missing_ok=True)


@pytest.fixture
def disk(tmp_path: Path, shim: Path) -> Disk:
    return Disk(tmp_path, shim, SLOW)


@pytest.fixture
def quick_disk(tmp_path: Path, shim: Path) -> Disk:
    """One with a narrator that hardly pauses."""
    return Disk(tmp_path, shim, QUICK)


@asynccontextmanager
async def playing(disk: Disk) -> AsyncIterator[tuple[Process, Wire]]:
    quick = with_limits(SAVE_RETRY_S=RETRY_S)
    async with (
        engine(disk.home, environ=disk.environ, program=quick) as running,
        connected(running) as wire,
    ):
        await begin_story(wire)
        yield running, wire


async def reply_and_errors(wire: Wire) -> tuple[str, list[str]]:
    """Returns the text of the reply under way and the errors told until its end."""
    text, errors = "", []
    while True:
        event, content, _ = await wire.receive()
        if event == "chat_chunk":
            text += content
        elif event == "error":
            errors.append(content)
        elif event == "chat_end":
            return text, errors


SENTENCES = {"N": "is full", "W": "reports an error", "S": "reports an error", "R": "read-only"}


@pytest.mark.parametrize(
    "fault", ["N", *(pytest.param(other, marks=pytest.mark.faults) for other in "SWR")]
)
async def test_a_failing_disk_is_told_and_the_reply_is_saved_when_it_works_again(
    disk: Disk, fault: str
) -> None:
    async with playing(disk) as (running, wire):
        await wire.say("I look around.")
        await wire.until("chat_chunk")
        disk.fail(fault)
        text, errors = await reply_and_errors(wire)
        assert len(errors) == 1
        assert "not saved" in errors[0]
        assert SENTENCES[fault] in errors[0] or fault == "R"
        await wire.say("I go on.", request="r2")
        content, metadata = await wire.until("error")
        assert "not saved" in content
        assert metadata["request"] == "r2", "the face knows which line was not taken"
        async with connected(running) as another:
            _, history = await another.until("chat_history")
            assert history["history"][-1]["content"].endswith(text), "the whole reply, unsaved as it is"
        disk.mend()
        with trio.fail_after(RETRY_S + 3):
            while "saved now" not in (await wire.until("system_update"))[0]:
                pass
        assert running.messages()[-1][1].endswith(text)
        await wire.say("I go on.", request="r2")
        again = await wire.reply()
        assert running.messages()[-1] == ("assistant", again, "complete")
        assert [row[1] for row in running.messages() if row[0] == "user"] == [
            "I look around.",
            "I go on.",
        ]
        assert "Traceback" not in output(disk.home)


async def test_a_disk_that_fails_until_the_end_keeps_what_it_can(disk: Disk) -> None:
    """SIGTERM with a reply that cannot be saved: out in time, and the next start works."""
    async with playing(disk) as (running, wire):
        await wire.say("I look around.")
        await wire.until("chat_chunk")
        await trio.testing.wait_all_tasks_blocked(0.6)
        disk.fail("N")
        await reply_and_errors(wire)
        running.process.terminate()
        with trio.fail_after(6):
            assert await running.process.wait() == 0
    disk.mend()
    async with engine(disk.home, environ=disk.environ) as running, connected(running) as wire:
        _, history = await wire.until("chat_history")
        assert history["history"][-1]["status"] == "interrupted"
        assert history["history"][-1]["content"], "up to the last flush"


@pytest.mark.parametrize(
    "fault", ["N", *(pytest.param(other, marks=pytest.mark.faults) for other in "WS")]
)
async def test_a_first_start_on_a_failing_disk_is_one_sentence(disk: Disk, fault: str) -> None:
    disk.fail(fault)
    running = await start(disk.home, environ=disk.environ)
    with trio.fail_after(20):
        assert await running.process.wait() == 1
    said = [line for line in output(disk.home).splitlines() if "INFO" not in line]
    assert len(said) == 1
    assert said[0].startswith("flower: not saved")
    disk.mend()
    async with playing(disk) as (running, wire):
        await wire.say("I look around.")
        assert await wire.reply()


async def single_faults(disk: Disk, count: int, seed: int) -> Counter[str]:
    """Lets one call fail at a random moment of each of ``count`` exchanges; all must end up saved."""
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    async with playing(disk) as (running, wire):
        said: list[tuple[str, str]] = []
        for number in range(count):
            line = f"I turn over stone number {number}."
            disk.fail(f"{rng.choice('NWSH')}@{rng.randint(1, 14)}")
            while True:
                await wire.say(line, request=f"r{number}")
                event, content, _ = await wire.receive()
                while event not in ("error", "chat_message") or (
                    event == "error" and "Send it again" in content
                ):
                    event, content, _ = await wire.receive()
                if event == "chat_message":
                    break
                seen["lines refused"] += 1
            text, errors = await reply_and_errors(wire)
            disk.mend()
            seen["replies saved later"] += any("not saved" in error for error in errors)
            said.append((line, text))
        await trio.sleep(RETRY_S + 1)
        rows = running.messages()[1:]
        assert [(content, status) for _, content, status in rows] == [
            pair for line, text in said for pair in ((line, "complete"), (text, "complete"))
        ]
        seen["exchanges"] = count
        assert "Traceback" not in output(disk.home)
    return seen


@pytest.mark.timeout(120)
async def test_single_faults_lose_nothing(quick_disk: Disk) -> None:
    seen = await single_faults(quick_disk, 6, seed=1)
    assert seen["exchanges"] == 6


@pytest.mark.faults
@pytest.mark.timeout(3600)
async def test_single_faults_lose_nothing_long(
    quick_disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = await single_faults(quick_disk, 300, seed=2)
    with capsys.disabled():
        print(f"\nsingle disk faults: {dict(seen)}")
