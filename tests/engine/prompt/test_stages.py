"""Who of a cast was there is kept with the story, and a character who speaks remembers nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from trio.testing import MockClock

from flower.engine.assets.kinds import Character
from flower.engine.game.steering import NARRATOR
from flower.engine.offline.provider import reply
from flower.engine.prompt.context import gather
from flower.engine.prompt.turn_input import TurnInput
from flower.engine.provider.base import Completion, Cue, PromptMessage
from flower.engine.store import stages, stories
from flower.engine.store.connection import Connection
from flower.engine.store.exchanges import begin_exchange
from tests import stores
from tests.engine_world import ASSETS, EngineWorld, Face, engine_world
from tests.fakes import ScriptedProvider, words

S = "s1"
NED = Character("ned", "Ned", "Keeps the ferry.")
OLGA = Character("olga", "Olga", "Sells lamps.")


@pytest.fixture(params=stores.KINDS)
def db(request: pytest.FixtureRequest) -> object:
    with stores.connected(request.param) as connection:
        yield connection


def said(db: Connection, *there: str) -> int:
    """A line and its reply with these characters on stage; returns the reply's id."""
    exchange = begin_exchange(db, S, "And then?", "m", None, 1.0)
    stages.keep(db, S, exchange.reply_id, there)
    return exchange.reply_id


def heard(db: Connection, who: str) -> list[int]:
    leaf = stories.leaf_and_title(db, S)[0]  # type: ignore[index]
    return list(stages.witnessed(db, S, leaf, who))


def test_a_story_of_one_character_keeps_nothing(db: Connection) -> None:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    for _ in range(3):
        said(db, "mara")
    assert db.execute("SELECT count(*) FROM messages WHERE extra != '{}'").fetchone() == (0,)
    assert len(heard(db, "mara")) == len(heard(db, "ned")) == 7


def test_who_comes_has_heard_nothing_of_what_was_before(db: Connection) -> None:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    first = said(db, "mara")
    stages.begin(db, S, "mara")
    second = said(db, "mara", "ned")
    third = said(db, "mara", "ned")
    assert heard(db, "ned") == [second - 1, second, third - 1, third]
    assert first in heard(db, "mara")
    fourth = said(db, "mara", "olga")  # Ned has left
    fifth = said(db, "mara")  # and Olga
    assert heard(db, "olga") == [fourth - 1, fourth]
    assert fifth not in heard(db, "ned")
    assert len(heard(db, "mara")) == 11
    kept = db.execute("SELECT count(*) FROM messages WHERE extra LIKE '%stage%'").fetchone()
    assert kept == (4,), "only where it changed"


def test_of_what_was_before_nobody_is_left_out_where_nothing_is_known(db: Connection) -> None:
    """An imported chat of a group, a story of an earlier version."""
    stories.create_session(db, S, "", "mara", "Hello.", 1.0)
    for _ in range(2):
        begin_exchange(db, S, "And then?", "m", None, 1.0)
    reply = said(db, "mara", "ned")
    assert len(heard(db, "ned")) == len(heard(db, "mara")) == 7
    assert stories.message(db, reply).extra.stage == (NARRATOR, "mara", "ned")  # type: ignore[union-attr]


def test_other_branches_have_stages_of_their_own(db: Connection) -> None:
    stories.create_session(db, S, "harbour", "mara", "Hello.", 1.0)
    stages.begin(db, S, "mara")
    fork = said(db, "mara", "ned")
    said(db, "mara")
    db.execute("UPDATE sessions SET active_leaf = ? WHERE id = ?", (fork, S))
    other = said(db, "mara", "ned")
    assert heard(db, "ned") == [fork - 1, fork, other - 1, other]


@asynccontextmanager
async def staged(path: Path) -> AsyncIterator[tuple[EngineWorld, Face]]:
    async with engine_world(path, ScriptedProvider(words("The quince is under the stone. "))) as world:
        known = {**ASSETS.characters, "ned": NED, "olga": OLGA}
        assets = ASSETS._replace(characters=known)
        world.engine.use(
            msgspec.structs.replace(world.engine.services, assets=assets), world.engine.registry
        )
        face = await world.playing()
        await face.say("/character select mara")
        yield world, face


async def recalled(world: EngineWorld, face: Face, line: str) -> tuple[str, frozenset[int]]:
    """What a prompt for a line would recall, and which messages the speaker has not heard."""
    session = face.client.session
    assert session is not None
    leaf = (await world.database.read(stories.session, session.id)).active_leaf  # type: ignore[union-attr]
    task = TurnInput(
        turn="t", session_id=session.id, world_id=session.world_id, character_id=session.character_id,
        reply_id=0, leaf=leaf, line=line, selection=face.client.chosen, model_id="one",
    )  # fmt: skip
    context = await gather(world.engine.services, task)
    return " ".join(f.passage.text for f in context.hits if f.passage.kind == "memory"), context.absent


async def test_a_character_recalls_what_was_said_in_their_presence(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with staged(tmp_path / "db") as (world, face):
        await face.say_and_wait("I hide the quince under the stone.")
        await face.say("/cast add ned")
        world.provider.pieces = words("He nods at the lantern. ")
        for _ in range(4):
            await face.say_and_wait("We talk of the lantern and the quay.")
        asked = "where is the quince under the stone"
        for who, knows in (("ned", False), ("mara", True), ("off", True)):
            await face.say(f"/cast next {who}")
            memories, unheard = await recalled(world, face, asked)
            assert ("quince" in memories) is knows, who
            assert bool(unheard) is not knows


async def test_who_was_away_heard_nothing_meanwhile(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with staged(tmp_path / "db") as (world, face):
        for line in ("/cast add ned", "/cast add olga"):
            await face.say(line)
        world.provider.pieces = words("He nods. ")
        await face.say_and_wait("We meet at the quay.")
        await face.say("/cast remove ned")
        await face.say_and_wait("I hide the quince under the stone.")
        await face.say("/cast add ned")
        world.provider.pieces = words("He nods. ")
        for _ in range(3):
            await face.say_and_wait("We talk of the lantern.")
        for who, knows in (("ned", False), ("olga", True)):
            await face.say(f"/cast next {who}")
            memories, _ = await recalled(world, face, "the quince under the stone")
            assert ("quince" in memories) is knows, who


@pytest.mark.parametrize(("unheard", "knows"), [(frozenset(), True), (frozenset({0, 1}), False)])
def test_offline_a_character_answers_of_what_they_heard(unheard: frozenset[int], knows: bool) -> None:
    asked = "Where did I hide the quince?"
    story = [("user", "I hide the quince under the stone."), ("assistant", "It fits."), ("user", asked)]
    cue = Cue(
        line=asked, character="Ned", persona="Keeps the ferry.", speaks=True, turn_number=1, seed=7,
        story=tuple(PromptMessage(role, text) for role, text in story), unheard=unheard,  # type: ignore[arg-type]
    )  # fmt: skip
    completion = Completion(model="m", messages=cue.story, max_tokens=400, context_tokens=4096, cue=cue)
    told = reply(completion)
    assert ("under the stone" in told) is knows, told
