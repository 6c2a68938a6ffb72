"""A file is the old one or the new one, never half of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from flower.file_io import sweep, write_whole


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


def draft_of(path: Path) -> str:
    """Returns the name that is in the folder while ``path`` is being written."""
    names: list[str] = []

    def pieces() -> Iterator[bytes]:
        names.extend(os.listdir(path.parent))
        yield b""

    write_whole(path, pieces())
    path.unlink()
    (name,) = names
    return name


@pytest.mark.parametrize("name", ["a", "config.yaml", "two\nlines", "long" * 50])
def test_what_a_killed_writer_left_is_swept_when_it_is_old(name: str, tmp_path: Path) -> None:
    """A draft that may be one under way stays, and so does every other file, folder and link."""
    draft = tmp_path / draft_of(tmp_path / name)
    others = [tmp_path / other for other in ("a.0123abcd", ".a.0123abc", ".hidden", ".a.0123abcg")]
    for path in (draft, *others):
        path.write_text("half")
        os.utime(path, (1000, 1000))
    (folder := tmp_path / ".folder.0123abcd").mkdir()
    os.utime(folder, (1000, 1000))
    (link := tmp_path / ".link.0123abcd").symlink_to(others[0])
    assert sweep(tmp_path, 1000.0) == 0
    assert sweep(tmp_path, 1001.0) == 1
    assert sorted(tmp_path.iterdir()) == sorted((*others, folder, link))


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(tmp_path / "none", 1e12) == 0
