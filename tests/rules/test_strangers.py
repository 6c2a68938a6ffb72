"""What comes from others is data: names in it lead to no file, commands in it are not carried out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from flower.engine.commands import catalogue
from flower.protocol.messages import SystemUpdate
from tests.engine_process import REPOSITORY, begin_story, connected, engine, make_home, output
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, words

CANARY = "canary-5e1f"
TAKES_A_PATH = ("/world sync_folder", "/export", "/session export")
# An engine that notes every path with the canary in it that it opens, makes, moves or lists.
WATCHED = """
import os, sys
from flower import limits
limits.PROMPTS_BURST = 10_000
out = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
events = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir")
def note(event, arguments):
    if event in events and any("CANARY" in str(argument) for argument in arguments):
        os.write(out, f"{event} {arguments}\\n".encode())
sys.addaudithook(note)
try:
    open("/nowhere/CANARY")
except OSError:
    pass
from flower.cli import main
sys.exit(main())
""".replace("CANARY", CANARY)


@pytest.mark.timeout(120)
async def test_no_id_is_ever_made_into_a_path(tmp_path: Path) -> None:
    """Every command with something like a path where an id or a name belongs."""
    notes = tmp_path / "notes"
    program = [sys.executable, "-c", WATCHED, str(notes)]
    make_home(tmp_path / "home", "narrator:\n  words_per_s: 1000\n")
    async with (
        engine(tmp_path / "home", program=program) as running,
        connected(running, f"/ws/rpc?client=..%2F..%2F{CANARY}") as wire,
        trio.open_nursery() as nursery,
    ):
        await begin_story(wire)
        synced = trio.Event()

        async def listen() -> None:
            await wire.until("sync_state")
            synced.set()

        nursery.start_soon(listen)
        tried = 0
        for option in catalogue.OPTIONS:
            if option.name.startswith((*TAKES_A_PATH, "/quit", "/sync")):
                continue
            for text in (f"../../{CANARY}", f"/tmp/{CANARY}.yaml", f"..\\{CANARY}\x00"):
                await wire.say(f"{option.name} {text}", request=f"../{CANARY}/{tried}")
                tried += 1
        await wire.say("/sync")
        with trio.fail_after(60):
            await synced.wait()
        nursery.cancel_scope.cancel()
    assert tried > 100
    assert "Traceback" not in output(tmp_path / "home")
    (only,) = notes.read_text().splitlines()
    assert "/nowhere/" in only, "the watch sees files, and the engine used none"


async def test_commands_in_replies_and_lore_are_not_carried_out(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    orders = "/session new\n/session delete s1\n/world select forest\n/quit\n/nsfw\n"
    provider = ScriptedProvider(words(orders))
    async with engine_world(tmp_path / "flower.db", provider) as world:
        face = await world.playing()
        before = face.client.chosen
        await face.say(f"/world attach_lore {orders}")
        await face.say_and_wait("Go on.")
        await face.say_and_wait("/retry")
        assert face.text.split() == orders.split(), "it is text"
        assert face.client.chosen == before
        assert len(world.engine.clients) == 1
        assert not [u for u in face.of(SystemUpdate) if "Deleted" in u.content]


HOSTILE = {
    "nested": '"[" * 500_000',
    "items": '"- " * 500_000',
    "values": '"[" + "1," * 500_000 + "]"',
    "keys": '"".join(f"k{n}: v\\n" for n in range(90_000))',
    "just enough": '"".join(f"k{n}: v\\n" for n in range(9_000))',
    "aliases": '"a: &a [x]\\n" + "b: [" + "*a," * 200_000 + "]"',
    "one text": '"id: a\\nname: b\\nlore: " + "x" * 1_000_000',
    "quotes": '"\\"" + "\\\\\\\\u0041" * 150_000 + "\\""',
    "lines": '"id: a\\nname: b\\nlore: |\\n" + "  x\\n" * 250_000',
    "comments": '"#\\n" * 500_000',
}
MEASURE = """
import resource, sys, time
from pathlib import Path
from flower.engine.assets import loader
folder = Path(sys.argv[1])
(folder / "worlds").mkdir()
(folder / "worlds" / "small.yaml").write_text("id: a\\nname: b\\n")
loader.load_assets([folder])
text = eval(sys.argv[2])
(folder / "worlds" / "hostile.yaml").write_text(text)
del text
def peak():
    Path("/proc/self/clear_refs").write_text("5")
    return next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
before = peak()
begun = time.process_time()
found = loader.load_assets([folder])
seconds = time.process_time() - begun
after = next(int(l.split()[1]) for l in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in l)
print(seconds, after - before, len(found.problems))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_strangers_file_costs_little(tmp_path: Path, name: str) -> None:
    """Read or refused within 200 ms of work and 32 MB."""
    found = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), HOSTILE[name]],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
    )
    seconds, kib, _ = found.stdout.split()
    assert float(seconds) < 0.2 * 3, "three times as much, as this machine may be busy"
    assert int(kib) < 32 * 1024
