"""Small rules of what a story is played with: assets that are written and put aside, seats, settings of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio.testing
from msgspec.structs import replace

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.assets.yaml_files import Asset
from flower.engine.prompt.model import settings_of, template_of
from flower.engine.sessions.rights import StoryRole
from flower.engine.sessions.tables import HOST, Sitting, _of_seat, is_shared, sitting, tell_narrator
from flower.engine.store import seats, selections, states, stories, users
from flower.engine.store.seats import Seat
from flower.engine.store.users import HOME_NAME
from flower.protocol.messages import SystemUpdate
from tests.engine_world import EngineWorld, engine_world
from tests.stores import connected

OWN = [World("mine", "Mine"), Character("own", "Own", "Dry."), Rule("short", "Short", "Be brief.")]


def known(world: EngineWorld, asset: Asset) -> set[str]:
    assets = world.engine.services.assets
    match asset:
        case World():
            return set(assets.worlds)
        case Character():
            return set(assets.characters)
        case _:
            return set(assets.rules)


@pytest.mark.parametrize("asset", OWN, ids=lambda one: type(one).__name__)
async def test_what_is_put_aside_is_gone_and_the_others_stay(tmp_path: Path, asset: Asset) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        edits, before = world.engine.asset_edits, known(world, asset)
        assert await edits.put_aside(type(asset), asset.id) is None
        await edits.write(asset)
        assert known(world, asset) == before | {asset.id}
        aside = await edits.put_aside(type(asset), asset.id)
        assert aside is not None
        assert aside.exists()
        assert known(world, asset) == before


@pytest.mark.parametrize("asset", [OWN[0], OWN[2]], ids=lambda one: type(one).__name__)
async def test_everybody_is_told_which_worlds_and_rules_there_are(tmp_path: Path, asset: Asset) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.face()
        await trio.testing.wait_all_tasks_blocked()
        face.events.clear()
        await world.engine.asset_edits.write(asset)
        await world.engine.asset_edits.put_aside(type(asset), asset.id)
        await trio.testing.wait_all_tasks_blocked()
        assert [asset.id in repr(one) for one in face.of(SystemUpdate)] == [True, False]


# --- who sits at a table ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seat", "sits"),
    [
        (Seat(2, "ned", "player", "Brand", ""), Sitting(2, "ned", StoryRole.PLAYER, "Brand")),
        (Seat(2, "ned", "player", "", ""), Sitting(2, "ned", StoryRole.PLAYER, "Ned")),
        (Seat(2, "ned", "reader", "Brand", ""), Sitting(2, "ned", StoryRole.READER, "")),
        (Seat(0, "", "player", "Brand", ""), Sitting(0, HOME_NAME, StoryRole.PLAYER, "Brand")),
    ],
)
def test_a_player_has_a_voice_and_a_reader_none(seat: Seat, sits: Sitting) -> None:
    assert _of_seat(seat) == sits


def test_the_narrator_knows_the_players_and_is_told_when_they_change() -> None:
    with connected("sqlite") as db:
        stories.create_session(db, "s", "harbour", "mara", "Hello.", 1.0)
        for name in ("ned", "olaf"):
            users.add(db, name, 1.0)
        assert sitting(db, "nowhere") == []
        assert [one.voice for one in sitting(db, "s")] == [HOST]
        seats.give(db, "s", 1, "player", 1.0)
        seats.give(db, "s", 2, "reader", 1.0)
        assert not is_shared(db, "s")
        tell_narrator(db, "s")
        assert [one.name for one in states.steering(db, "s").players] == ["Ned"]
        assert is_shared(db, "s")
        before = db.total_changes
        tell_narrator(db, "s")
        assert db.total_changes == before
        seats.take(db, "s", 1)
        tell_narrator(db, "s")
        assert not is_shared(db, "s")


# --- settings of a story ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "variant", "sent"), [(5, 0, 5), (5, 2, 7), (0, 3, 3), (-1, 2, -1), ("7", 2, "7")]
)
async def test_each_variant_has_a_seed_of_its_own_but_for_a_seed_by_chance(
    tmp_path: Path, seed: object, variant: int, sent: object
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        services = replace(world.engine.services, params={"seed": seed, "max_tokens": 9})
        settings = await settings_of(services, "s", "scripted/one")
    assert settings.params(variant) == {"seed": sent}


async def test_a_storys_settings_go_over_those_of_everybody(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        assert face.client.session is not None
        story = face.client.session.id
        services = replace(world.engine.services, params={"temperature": 0.1, "top_p": 0.2})
        for name, value in {"temperature": 0.9, "max_tokens": 333, "banned_phrases": ["fog"]}.items():
            await world.database.write(selections.set_of_story, story, name, value)
        settings = await settings_of(services, story, "scripted/one")
        assert settings.params() == {"temperature": 0.9, "top_p": 0.2}
        assert (settings.banned, await template_of(services, settings)) == (("fog",), None)
        assert (settings.context_tokens, settings.reply_tokens) == (services.context_tokens, 333)
        await world.database.write(selections.set_of_story, story, "context_tokens", 3000)
        settings = await settings_of(services, story, "scripted/one")
        assert (settings.context_tokens, settings.reply_tokens) == (3000, 333)
