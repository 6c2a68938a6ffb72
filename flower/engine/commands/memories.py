"""Commands about what is kept of a story when its words have left the prompt: its summary, its memories."""

from __future__ import annotations

from flower import limits
from flower.engine.commands.world import memory_in, story_scope
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import exchanges, search, tree
from flower.engine.store.search import Summary
from flower.errors import CommandError
from flower.protocol.messages import State

OFF = ("off", "none")
TASK_CHARS = 2_000  # of one's own words on how a summary is written
MEMORY_CHARS = 4_000  # of a memory that is rewritten; what is longer would be cut in recall

# --- the summary ------------------------------------------------------------------------------------


async def show_summary(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError("/summary shows it; /summary edit TEXT, /summary remake [HOW] change it.")
    session, known = await _known(engine, client)
    if known is None:
        client.notify(
            "There is no summary on this way through the story yet: it comes before the first messages leave the"
            " prompt. /summary remake makes one now, /summary edit TEXT takes yours."
        )
        return
    asked = await engine.services.database.read(search.own_task, session.id)
    how = f"\n\nIt is written as you asked: {asked}" if asked else ""
    client.notify(f"What happened up to message {known.last_id}:\n\n{known.text}{how}")


async def edit_summary(engine: Engine, client: Client, argument: str) -> None:
    """Takes the player's text for the summary; without one the text comes into their input line."""
    session, known = await _known(engine, client)
    if not argument:
        if known is None:
            raise CommandError("There is no summary here yet; /summary edit TEXT takes yours.")
        client.notify("Change it and send it.", State(draft=f"/summary edit {known.text}"))
        return
    if len(argument) > limits.SUMMARY_CHARS:
        raise CommandError(f"A summary has {limits.SUMMARY_CHARS} characters at most.")
    database = engine.services.database
    last_id = known.last_id if known else await database.read(tree.active_leaf, session.id)
    if last_id is None:
        raise CommandError("Nothing has happened in this story yet.")
    engine.turns.summariser.interrupt(session.id)
    await database.write(search.add, last_id, argument, engine.now())
    client.notify(f"✓ The summary up to message {last_id} is yours now. {_told(session, last_id)}")


async def remake_summary(engine: Engine, client: Client, argument: str) -> None:
    """Lets the model write the summary anew; how, the player may say, and it holds from then on."""
    session, _ = await _known(engine, client)
    if len(argument) > TASK_CHARS:
        raise CommandError(f"How to write it can be said in {TASK_CHARS} characters at most.")
    models = engine.turns.models
    model, _ = models.select(models.story_model(client.chosen))
    if session.busy:
        raise CommandError("A reply is being written; wait for its end or stop it with /cancel.")
    if argument:
        asked = "" if argument.lower() in OFF else argument
        await engine.services.database.write(search.set_own_task, session.id, asked)

    async def remake() -> None:
        made = await engine.turns.summariser.remake(session, model, client.notify)
        if made is None:
            client.notify(
                "✗ The summary stays as it was: there is nothing to tell yet, or a line came."
            )
            return
        client.notify(
            f"✓ What happened up to message {made.last_id}:\n\n{made.text}\n\n{_told(session, made.last_id)}"
        )

    client.notify("Summarising … /cancel stops it.")
    engine.side_tasks.begin(client, "new summary", remake)


def _told(session: Session, last_id: int) -> str:
    """Returns a sentence on when a summary is told to the narrator."""
    start = session.window_start
    if start is not None and last_id < start:
        return "The next prompt has it."
    return "It is told when the messages it is about have left the prompt."


async def _known(engine: Engine, client: Client) -> tuple[Session, Summary | None]:
    story_scope(client)
    session = client.session
    assert session is not None  # or there is no scope
    database = engine.services.database
    leaf = await database.read(tree.active_leaf, session.id)
    return session, await database.read(search.newest, leaf)


# --- memories ---------------------------------------------------------------------------------------


async def show_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await memory_in(engine, client, argument, "/memory show 12")
    pinned = ", pinned" if passage.pinned else ""
    of = f"message {passage.message_id}" if passage.message_id is not None else "no message"
    scene = exchanges.scene_of(passage.title)
    where = f" ({scene})" if scene else ""
    client.notify(f"Memory {passage.id}, of {of}{where}{pinned}:\n\n{passage.text}")


async def edit_memory(engine: Engine, client: Client, argument: str) -> None:
    """Gives a memory other words; without words its own come into the player's input line."""
    number, _, text = argument.partition(" ")
    text = text.strip()
    passage = await memory_in(engine, client, number, "/memory edit 12 TEXT")
    if not text:
        draft = f"/memory edit {passage.id} {passage.text}"
        client.notify("Change it and send it.", State(draft=draft))
        return
    if len(text) > MEMORY_CHARS:
        raise CommandError(f"A memory has {MEMORY_CHARS} characters at most.")
    if passage.message_id is not None:  # else the next start might make the old one again
        await engine.services.database.write(exchanges.forget, passage.message_id)
    new = await engine.services.library.rewrite(passage.id, text)
    client.notify(f"✓ Memory {passage.id} is {new} now, and remembered in your words.")
