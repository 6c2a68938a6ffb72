"""A file is the old one or the new one, never half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flower.whole_file import write_whole


def broken() -> Iterator[bytes]:
    yield b"half"
    raise OSError(28, "No space left on device")


def test_a_file_is_replaced_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    write_whole(path, [b"n", b"ew"])
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["a"]


def test_what_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path, aside = tmp_path / "a", tmp_path / "a.before"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        write_whole(path, broken(), aside=aside)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_the_file_before_goes_aside(tmp_path: Path) -> None:
    path, aside = tmp_path / "a", tmp_path / "a.before"
    write_whole(path, [b"one"], aside=aside)
    assert not aside.exists()
    write_whole(path, [b"two"], aside=aside)
    assert (aside.read_bytes(), path.read_bytes()) == (b"one", b"two")


def test_what_is_there_stays_when_it_must(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, [b"one"], overwrite=False)
    with pytest.raises(FileExistsError):
        write_whole(path, [b"two"], overwrite=False)
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_of_full_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 250)
    write_whole(path, [b"one"], durable=False)
    assert path.read_bytes() == b"one"
