"""Commands of the game layer: dice and checks, the state sheet, quests, things.

What a change means is decided in ``flower.engine.game``; that it holds for this message and below, in
``store.states``. Every watcher of the story is told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from flower.engine import snapshot
from flower.engine.direction import ambience_of
from flower.engine.game import checks, dice, sheet
from flower.engine.game.chance import Seeded
from flower.engine.game.sheet import Sheet
from flower.engine.game.story import StoryState
from flower.engine.session import Session
from flower.engine.store import additions, states
from flower.errors import CommandError
from flower.protocol import ChatMessage, MessageMeta, State, SystemUpdate

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine


def story_of(client: Client) -> Session:
    """Returns the story a client watches; raises ``CommandError`` if it watches none."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    return client.session


async def standing_of(engine: Engine, session: Session) -> states.Standing:
    return await engine.services.database.read(states.standing_now, session.id, engine.now())


# --- dice ---------------------------------------------------------------------------------------


async def roll(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    await _throw(engine, client, session, dice.parse(argument), "")


async def check(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    standing = await standing_of(engine, session)
    name, expression = checks.parse_check(argument, standing.state.sheet.skills)
    await _throw(engine, client, session, expression, name)


async def _throw(
    engine: Engine, client: Client, session: Session, expression: dice.Expression, name: str
) -> None:
    """Rolls and puts the result into the story, where no second try of a reply rolls it again."""

    def make(message_id: int) -> tuple[str, dict[str, Any]]:
        throw = dice.roll(expression, Seeded(f"{session.id}:{message_id}"))
        seen = {"of": expression.shown, "total": throw.total, "degree": checks.degree(throw)}
        return checks.shown(throw, name), {"told": checks.told(throw, name), "roll": seen}

    await add_message(engine, client, "system", make)


async def add_message(
    engine: Engine, client: Client, role: str, make: Callable[[int], tuple[str, dict[str, Any]]]
) -> None:
    """Puts a whole message into the client's story and shows it to every watcher."""
    session = story_of(client)
    added = await engine.services.database.write(
        additions.add_message, session.id, role, make, client.request, engine.now()
    )
    if added is not None:
        meta = MessageMeta(role, added.id, session.id, status="complete")
        session.publish(ChatMessage(added.content, meta))


# --- the state sheet ----------------------------------------------------------------------------


async def show_state(engine: Engine, client: Client, argument: str) -> None:
    session = story_of(client)
    if argument.lower() == "undo":
        if not await engine.services.database.write(states.undo_state, session.id):
            raise CommandError("Nothing has changed the state of this story yet.")
        await tell_sheet(engine, session, "✓ The last change of the state is taken back.")
        return
    if argument:
        raise CommandError("/state shows how things stand, /state undo takes the last change back.")
    standing = await standing_of(engine, session)
    found = dict(await engine.services.database.read(_rows, session.id))
    world = engine.services.assets.worlds.get(session.world_id)
    by_itself = ambience_of(world, session.id, standing)
    rows = {**{f"{name} (by itself)": v for name, v in by_itself.items() if name not in found}, **found}
    if not rows:
        client.tell("The state sheet is empty. /set-state place The mill puts something on it.")
        return
    width = max(len(name) for name in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows.items()]
    client.tell("\n".join(["How things stand:", *lines]))


async def set_state(engine: Engine, client: Client, argument: str) -> None:
    key, _, value = argument.partition(" ")
    if not key:
        raise CommandError("Set what? For example /set-state place The mill, or /set-state hp -3.")
    await _change_sheet(engine, client, partial(sheet.put, key=key, value=value))


async def show_quests(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError(
            f"/quest add {argument} begins a quest; /quest done and /quest failed end one."
        )
    standing = await standing_of(engine, story_of(client))
    rows = [f"{state:>6}  {name}" for name, state in standing.state.sheet.quests.items()]
    client.tell("\n".join(["Quests:", *rows]) if rows else "No quests yet; /quest add NAME begins one.")


async def _quest(engine: Engine, client: Client, argument: str, state: str) -> None:
    await _change_sheet(engine, client, partial(sheet.quest, name=argument, state=state))


async def add_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "open")


async def finish_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "done")


async def fail_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "failed")


async def drop_quest(engine: Engine, client: Client, argument: str) -> None:
    await _quest(engine, client, argument, "off")


async def show_inventory(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError(f"/inv add {argument} takes it up, /inv drop {argument} gives it away.")
    standing = await standing_of(engine, story_of(client))
    carried = dict(sheet.rows(standing.state.sheet)).get("inventory", "nothing")
    client.tell(f"You carry: {carried}.")


async def add_thing(engine: Engine, client: Client, argument: str) -> None:
    await _change_sheet(engine, client, partial(sheet.gain, things=argument))


async def drop_thing(engine: Engine, client: Client, argument: str) -> None:
    await _change_sheet(engine, client, partial(sheet.lose, things=argument))


async def _change_sheet(
    engine: Engine, client: Client, change: Callable[[Sheet], tuple[Sheet, str]]
) -> None:
    """Carries out a change of the sheet; ``change`` returns the new one and what to say about it."""
    said: list[str] = []

    def changed(state: StoryState) -> StoryState:
        new, text = change(state.sheet)
        said.append(text)
        return replace(state, sheet=new)

    session = story_of(client)
    await engine.services.database.write(states.change_state, session.id, changed)
    await tell_sheet(engine, session, f"✓ {said[0][:1].upper()}{said[0][1:]}.")


async def tell_sheet(engine: Engine, session: Session, text: str) -> None:
    """Tells every watcher what changed and how the sheet is now."""
    rows = await engine.services.database.read(_rows, session.id)
    session.publish(SystemUpdate(text, State(sheet=snapshot.sheet_rows(rows))))


def _rows(db: Any, session_id: str) -> Sequence[tuple[str, str]]:
    return states.rows(db, session_id, states.active_leaf(db, session_id))
