"""Small rules of what an engine has at hand, one by one: what users wrote and imported, and the lists of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.assets.shelves import owned
from flower.engine.assets.yaml_files import Asset
from flower.engine.sessions import imports
from flower.engine.sessions.own_libraries import OwnLibraries
from flower.engine.store.library import characters, own_assets
from flower.errors import StoreError
from flower.protocol.messages import State, SystemUpdate
from tests.engine.sessions.test_user_rules import Rows, client_of, said
from tests.engine_world import ASSETS, engine_world

NED = 1001
ATOLL = World(owned("atoll", NED), "Atoll")
INES = Character(owned("ines", NED), "Ines", "Quick.")
BRIEF = Rule(owned("brief", NED), "Brief", "Be brief.")


class Library(Rows):
    """A database with the libraries of users, which has what is to be removed or not."""

    def __init__(self, **has: Any) -> None:
        empty: dict[str, Any] = {"worlds": {}, "characters": {}, "rules": {}, "imported": ()}
        super().__init__({own_assets.of_user: SimpleNamespace(**{**empty, **has})})
        self.removes = True

    async def write(self, function: Any, *args: Any) -> Any:
        await super().write(function, *args)
        return self.removes


def libraries_of(rows: Rows) -> OwnLibraries:
    return OwnLibraries(rows, lambda: 7.0, set)  # type: ignore[arg-type]


def card(character_id: str) -> Any:
    return SimpleNamespace(brief=SimpleNamespace(id=character_id, name="Ines"), packed=b"")


# --- what users wrote ---------------------------------------------------------------------------


async def test_users_see_their_own_things_and_the_homes_and_nobody_elses() -> None:
    rows = Library(
        worlds={ATOLL.id: ATOLL}, characters={INES.id: INES}, rules={BRIEF.id: BRIEF}
    )  # fmt: skip
    libraries = libraries_of(rows)
    await libraries.read(NED)
    home = libraries.added_to(ASSETS)
    for kind, own in (("worlds", ATOLL), ("characters", INES), ("rules", BRIEF)):
        shared = list(getattr(ASSETS, kind))
        seen = [list(getattr(libraries.seen_by(user, home), kind)) for user in (0, NED, NED + 1)]
        assert seen == [shared, [own.id, *shared], shared]
        assert getattr(home, kind)[own.id] == own
        with pytest.raises(KeyError):
            getattr(libraries.seen_by(NED + 1, home), kind)[own.id]
        with pytest.raises(KeyError):
            getattr(libraries.seen_by(0, home), kind)[own.id]


@pytest.mark.parametrize("asset", [ATOLL, INES, BRIEF], ids=lambda one: type(one).__name__)
async def test_what_a_user_writes_is_at_hand_until_it_is_removed(asset: Asset) -> None:
    rows = Library()
    libraries = libraries_of(rows)
    await libraries.write(NED, asset)
    kind = {World: "worlds", Character: "characters", Rule: "rules"}[type(asset)]  # type: ignore[index]
    assert list(getattr(libraries.of(NED), kind)) == [asset.id]
    assert not await libraries.remove(NED, asset)
    assert list(getattr(libraries.of(NED), kind)) == []
    assert rows.written == [
        (own_assets.put, NED, kind, asset, 7.0),
        (own_assets.remove, NED, kind, asset.id),
    ]


async def test_an_imported_character_is_there_again_when_what_was_written_over_it_is_removed() -> None:
    rows = Library(imported=(card(INES.id),))
    libraries = libraries_of(rows)
    await libraries.write(NED, INES)
    assert await libraries.remove(NED, INES)
    assert list(libraries.of(NED).characters) == [INES.id]
    for other in (World(INES.id, "Ines"), Rule(INES.id, "Ines", "Dry.")):  # of the same id
        await libraries.write(NED, other)
        assert not await libraries.remove(NED, other)
    rows.removes = False  # nothing is written over it any more
    assert not await libraries.remove(NED, INES)
    assert list(libraries.of(NED).characters) == []
    assert rows.written[-1] == (characters.remove, INES.id)


# --- what was imported --------------------------------------------------------------------------


async def test_an_engine_that_starts_has_nothing_to_tell_of_imports(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        one = world.engine.imports
        assert (one._changed, one._telling, one._stories) == (False, False, False)
        assert sorted(one._written) == sorted(ASSETS.characters)
        assert one.importer._written() == one._written


async def test_what_users_import_is_theirs_and_what_the_home_imports_everybodys(
    tmp_path: Path,
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        engine: Any = world.engine
        puts: list[tuple[int, Any]] = []
        engine.imports._libraries = SimpleNamespace(
            put_imported=lambda user, cards: puts.append((user, cards)),
            seen_by=lambda _, assets: assets,
        )
        announced: list[int] = []
        engine.imports._announce = lambda: announced.append(1)
        story: Any = SimpleNamespace(characters=(), stories=("s",))
        cards: Any = SimpleNamespace(characters=(card("ines"),), stories=())
        engine.imports._on_change(cards, NED)
        assert not engine.imports._stories
        engine.imports._on_change(story, NED)
        engine.imports._on_change(cards, 0)
        assert engine.imports._stories
        assert puts == [(NED, cards.characters)]
        assert list(engine.imports.imported.briefs) == ["ines"]
        assert len(announced) == 3
        engine.imports.drop("ines")
        assert (list(engine.imports.imported.briefs), len(announced)) == ([], 4)


async def test_a_character_is_what_its_file_says_until_that_is_gone(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        one = world.engine.imports
        new = Character("ines", "Ines", "Quick.")
        one.write(new)
        assert world.engine.services.assets.characters["ines"] == new
        assert set(one._written) == {*ASSETS.characters, "ines"}
        one.unwrite("ines")
        assert set(one._written) == set(ASSETS.characters)
        assert "ines" not in world.engine.services.assets.characters


async def test_a_library_that_is_read_again_forgets_what_is_no_longer_stored(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        engine: Any = world.engine
        rows = Rows({imports._everybody: [card("ines")]})
        engine.imports._runtime = SimpleNamespace(services=SimpleNamespace(database=rows))
        announced: list[int] = []
        engine.imports._announce = lambda: announced.append(1)
        engine.imports.imported.put(card("gone").brief, b"")
        engine.imports.imported.put(card("ines").brief, b"")
        await engine.imports._look("0")
        assert list(engine.imports.imported.briefs) == ["ines"]

        async def fails(*_: object) -> None:
            raise StoreError("full.")

        rows.read = fails  # type: ignore[method-assign, assignment]
        await engine.imports._look("0")
        assert (list(engine.imports.imported.briefs), len(announced)) == (["ines"], 1)


async def test_a_users_clients_are_sent_all_their_lists_and_the_others_none(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        ned, owner = client_of(NED), client_of(0)
        world.engine.clients |= {ned, owner}
        world.engine.imports.tell_user(int(str(NED)))
        (event,) = await said(ned)
        lists: Any = event.metadata
        assert [one.id for one in lists.available_characters] == list(ASSETS.characters)
        assert [one.id for one in lists.available_worlds] == list(ASSETS.worlds)
        assert [one.id for one in lists.available_rules] == list(ASSETS.rules)
        assert await said(owner) == []
        world.engine.imports.tell_everybody(lambda assets: State(nsfw=len(assets.rules) == 2))
        assert await said(owner) == await said(ned) == [SystemUpdate("", State(nsfw=True))]
        world.engine.clients -= {ned, owner}


async def test_changes_of_the_list_are_told_at_once_and_then_together(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        engine: Any = world.engine
        times: list[float] = []
        began = trio.current_time()
        engine.imports.tell_everybody = lambda _: times.append(trio.current_time() - began)
        for _ in range(3):
            engine.imports._announce()
        await trio.testing.wait_all_tasks_blocked()
        engine.imports._announce()
        engine.imports._announce()
        await trio.sleep(5)
        assert times == [0.0, imports.TELL_INTERVAL_S]
        assert not engine.imports._telling
