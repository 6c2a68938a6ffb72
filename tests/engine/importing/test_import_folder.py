"""What is copied into the home's folder ``import/`` is imported and moved out of the way."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from flower.engine.importing import watch
from flower.engine.importing.watch import ImportFolder
from flower.errors import StoreError
from tests import import_files
from tests.engine_process import connected, engine, with_limits
from tests.engine_world import engine_world


async def test_files_go_to_done_or_failed(autojump_clock: MockClock, tmp_path: Path) -> None:
    """With a text that says why, and no file in the place of another one."""
    root = tmp_path / "import"
    (root / "mine").mkdir(parents=True)
    import_files.write(root / "ada.json", import_files.card())
    import_files.write(root / "mine" / "ben.json", import_files.card("Ben"))
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    told: list[str] = []
    async with engine_world(tmp_path / "flower.db") as world:
        folder = ImportFolder(world.engine.imports.importer, root, told.append)
        await folder.take_all()
        assert list(world.engine.services.assets.characters) == ["mara", "ada", "ben"]
        assert (root / "done" / "ada.json").exists()
        assert (root / "done" / "mine" / "ben.json").exists()
        assert not (root / "mine").exists()
        assert (root / "failed" / "broken.png").exists()
        assert len((root / "failed" / "broken.png.txt").read_text().splitlines()) == 1
        assert told == ["✗ From the folder import/: 2 imported, 1 not: see import/failed/."]
        import_files.write(root / "ada.json", import_files.card(description="Another."))
        await folder.take_all()
        assert (root / "done" / "ada 2.json").exists()
        await folder.take_all()
        assert len(told) == 2


async def test_a_file_that_grows_is_waited_for(autojump_clock: MockClock, tmp_path: Path) -> None:
    """A copy over a slow line is imported when it is whole, however long that takes."""
    root = tmp_path / "import"
    root.mkdir()
    whole = import_files.write(tmp_path / "whole.json", import_files.card()).read_bytes()
    part = root / "ada.json"
    part.write_bytes(whole[:50])
    looks = 0

    class Copied(ImportFolder):
        """After each of the first looks more of the file has come."""

        def _files(self) -> dict[Path, watch.Stamp]:
            nonlocal looks
            found = super()._files()
            looks += 1
            if looks <= 3:
                part.write_bytes(whole[: 50 * (looks + 1)] if looks < 3 else whole)
            return found

    async with engine_world(tmp_path / "flower.db") as world:
        await Copied(world.engine.imports.importer, root, lambda _: None).take_all()
    assert looks > 4
    assert (root / "done" / "ada.json").exists()
    assert not (root / "failed").exists()


async def test_a_disk_that_refuses_is_no_fault_of_the_file(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays where it is, for later."""
    root = tmp_path / "import"
    root.mkdir()
    import_files.write(root / "ada.json", import_files.card())
    async with engine_world(tmp_path / "flower.db") as world:

        async def full(*_: object) -> None:
            raise StoreError("not saved: the disk is full")

        importer = world.engine.imports.importer
        monkeypatch.setattr(importer, "take", full)
        with pytest.raises(StoreError):
            await ImportFolder(importer, root, lambda _: None).take_all()
    assert (root / "ada.json").exists()


async def test_a_running_engine_watches_it(tmp_path: Path) -> None:
    """Whoever is there is told."""
    soon = with_limits(SETTLED_S=0.2)
    async with engine(tmp_path / "home", program=soon) as running, connected(running) as wire:
        await wire.until("sync_state")
        import_files.write(tmp_path / "home" / "import" / "ada.json", import_files.card())
        with trio.fail_after(30):
            while True:
                text, _ = await wire.until("system_update")
                if "import/" in text:
                    break
        assert text == "✓ From the folder import/: 1 imported."
        assert (tmp_path / "home" / "import" / "done" / "ada.json").exists()
