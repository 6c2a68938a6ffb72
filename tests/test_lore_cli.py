"""``flower lore add``: files become lore of a world, through the engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flower.client.lore_upload import parts, read
from flower.errors import FlowerError
from tests.engine_process import REPOSITORY, connected, engine


@given(
    st.lists(st.text(st.characters(exclude_characters="\n"), max_size=60), max_size=12),
    st.integers(5, 40),
)
def test_pieces_are_within_the_limit_and_lose_no_word(paragraphs: list[str], most: int) -> None:
    text = "\n\n".join(paragraphs)
    pieces = list(parts(text, most))
    assert all(0 < len(piece) <= most for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"\xff\xfe", "not UTF-8"), (b"  \n", "no text"), (b"a\0b", "no text"), (None, "cannot be read")],
)
def test_a_file_that_is_no_lore_is_named(tmp_path: Path, content: bytes | None, part: str) -> None:
    path = tmp_path / "lore.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FlowerError, match=part):
        read(path)


async def flower(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(
        [sys.executable, "-m", "flower", *arguments],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


async def test_files_are_found_by_the_next_search(tmp_path: Path) -> None:
    lore = tmp_path / "chandler.md"
    lore.write_text("# Wren\n\nThe chandler Wren sells green candles to drowned men.")
    async with engine(tmp_path / "home") as running:
        done = await flower("--home", str(running.home), "lore", "add", "orrinsay", str(lore))
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"1 files are lore of orrinsay" in done.stdout
        async with connected(running) as wire:
            await wire.say("/world select orrinsay")
            await wire.say("/lore search green candles chandler")
            content = ""
            with trio.fail_after(20):
                while "Wren" not in content:
                    content, _ = await wire.until("system_update")
        wrong = await flower("--home", str(running.home), "lore", "add", "nowhere", str(lore))
        assert wrong.returncode == 1
        assert b"There is no world 'nowhere'" in wrong.stderr
