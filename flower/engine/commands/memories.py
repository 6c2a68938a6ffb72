"""Commands about what the narrator remembers: the summary, memories, what a prompt had, what a line would recall."""

from __future__ import annotations

from collections.abc import Container

from flower import limits
from flower.engine.commands import exports
from flower.engine.commands.lookup import story_of
from flower.engine.commands.world import PREVIEW_CHARS, listing, passage_in, reads_lore, search_passages
from flower.engine.export.library_files import NamedFile
from flower.engine.prompt.record import FIRED, is_kept, reason
from flower.engine.prompt.sent import page_of, text_of
from flower.engine.recall.base import Ranked, lore_scope, memory_scope
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import exchanges, search, stories, whispers
from flower.engine.store.passages import Passage
from flower.engine.store.search import Summary
from flower.errors import CommandError
from flower.protocol.messages import State
from flower.text import one_line

OFF = ("off", "none")
TASK_CHARS = 2_000  # of one's own words on how a summary is written
MEMORY_CHARS = 4_000  # of a memory that is rewritten; what is longer would be cut in recall

# --- the summary ------------------------------------------------------------------------------------


async def show_summary(engine: Engine, client: Client, argument: str) -> None:
    if argument:
        raise CommandError("/summary shows it; /summary edit TEXT, /summary remake [HOW] change it.")
    session, summary = await _newest_summary(engine, client)
    if summary is None:
        client.notify(
            "There is no summary on this way through the story yet: it comes before the first messages leave the"
            " prompt. /summary remake makes one now, /summary edit TEXT takes yours."
        )
        return
    own_task = await engine.services.database.read(search.own_task, session.id)
    how = f"\n\nIt is written as you asked: {own_task}" if own_task else ""
    client.notify(f"What happened up to message {summary.last_id}:\n\n{summary.text}{how}")


async def edit_summary(engine: Engine, client: Client, argument: str) -> None:
    """Takes the player's text for the summary; without one the text comes into their input line."""
    session, summary = await _newest_summary(engine, client)
    if not argument:
        if summary is None:
            raise CommandError("There is no summary here yet; /summary edit TEXT takes yours.")
        client.notify("Change it and send it.", State(draft=f"/summary edit {summary.text}"))
        return
    if len(argument) > limits.SUMMARY_CHARS:
        raise CommandError(f"A summary has {limits.SUMMARY_CHARS} characters at most.")
    database = engine.services.database
    last_id = summary.last_id if summary else await database.read(stories.active_leaf, session.id)
    if last_id is None:
        raise CommandError("Nothing has happened in this story yet.")
    engine.turns.summariser.interrupt(session.id)
    await database.write(search.add, last_id, argument, engine.now())
    client.notify(f"✓ The summary up to message {last_id} is yours now. {_when_sent(session, last_id)}")


async def remake_summary(engine: Engine, client: Client, argument: str) -> None:
    """Lets the model write the summary anew; how, the player may say, and it holds from then on."""
    session, _ = await _newest_summary(engine, client)
    if len(argument) > TASK_CHARS:
        raise CommandError(f"How to write it can be said in {TASK_CHARS} characters at most.")
    models = engine.turns.models
    model, _ = models.select(models.story_model(client.chosen))
    if session.busy:
        raise CommandError("A reply is being written; wait for its end or stop it with /cancel.")
    if argument:
        own_task = "" if argument.lower() in OFF else argument
        await engine.services.database.write(search.set_own_task, session.id, own_task)

    async def remake() -> None:
        made = await engine.turns.summariser.remake(session, model, client.notify, client.chosen.client)
        if made is None:
            client.notify(
                "✗ The summary stays as it was: there is nothing to tell yet, or a line came."
            )
            return
        client.notify(
            f"✓ What happened up to message {made.last_id}:\n\n{made.text}\n\n{_when_sent(session, made.last_id)}"
        )

    client.notify("Summarising … /cancel stops it.")
    engine.side_tasks.begin(client, "new summary", remake)


def _when_sent(session: Session, last_id: int) -> str:
    """Returns a sentence on when prompts have a summary."""
    start = session.window_start
    if start is not None and last_id < start:
        return "The next prompt has it."
    return "It is told when the messages it is about have left the prompt."


async def _newest_summary(engine: Engine, client: Client) -> tuple[Session, Summary | None]:
    session = story_of(client)
    database = engine.services.database
    leaf = await database.read(stories.active_leaf, session.id)
    return session, await database.read(search.newest, leaf)


# --- memories ---------------------------------------------------------------------------------------


async def list_memories(engine: Engine, client: Client, argument: str) -> None:
    """Lists what can be recalled here: not what belongs to other variants and branches only."""
    session = story_of(client)
    away = await engine.tables.unwitnessed(client)
    memories = [
        p
        for p in await engine.services.library.list(memory_scope(session.id))
        if p.message_id not in away
    ]
    database = engine.services.database
    leaf = await database.read(stories.active_leaf, session.id)
    visible = await database.read(stories.path_ids, leaf)
    here = tuple(p for p in memories if p.message_id is None or p.message_id in visible)
    text = listing("Memories of this story", here)
    others = len(memories) - len(here)
    client.notify(f"{text}\n{others} more on other variants and branches." if others else text)


async def search_memories(engine: Engine, client: Client, argument: str) -> None:
    away = await engine.tables.unwitnessed(client)
    await search_passages(engine, client, _scope(client), argument, "/memory search my brother", away)


async def forget_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await memory_in(engine, client, argument, "/memory forget 12")
    if passage.message_id is not None:  # else the next start would make it again
        await engine.services.database.write(exchanges.forget, passage.message_id)
    await engine.services.library.forget(passage.id)
    client.notify(f"✓ Forgotten: {one_line(passage.text, PREVIEW_CHARS)}")


async def pin_memory(engine: Engine, client: Client, argument: str) -> None:
    passage = await memory_in(engine, client, argument, "/memory pin 12")
    await engine.services.library.pin(passage.id, not passage.pinned)
    client.notify(
        f"✓ {'No longer pinned' if passage.pinned else 'Pinned'}: {one_line(passage.text, PREVIEW_CHARS)}"
    )


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


def _scope(client: Client) -> str:
    return memory_scope(story_of(client).id)


async def memory_in(engine: Engine, client: Client, argument: str, example: str) -> Passage:
    """Returns a memory of the story that a client watches; one of what its user did not hear is none."""
    passage = await passage_in(engine, _scope(client), argument, example)
    if passage.message_id in await engine.tables.unwitnessed(client):
        raise CommandError(f"There is no passage {argument} here; list them to see the numbers.")
    return passage


# --- what a prompt had, and what a line would bring to mind ---------------------------------------


async def why(engine: Engine, client: Client, argument: str) -> None:
    """Shows the parts of a prompt, as they were stored with its reply."""
    session = story_of(client)
    words = argument.split()
    nearly = words[:1] == ["nearly"]
    argument = " ".join(words[1:] if nearly else words)
    if argument and not argument.isdecimal():
        raise CommandError("Of which reply? /why MESSAGE takes a message's number.")
    message = int(argument[:18]) if argument else None
    query = exchanges.nearly_fired if nearly else exchanges.manifest
    manifest = await engine.services.database.read(query, session.id, message)
    if manifest is None:
        what = "is known for this message" if argument else "has been sent in this story yet"
        raise CommandError(f"No prompt {what}.")
    if nearly:
        entries = [f"  {e.source}: {e.note}" for e in manifest] or ["  none"]
        client.notify("\n".join(["Entries that nearly fired:", *entries]))
        return
    rows = [f"{e.tokens:>6}  {e.section}: {e.source}  {e.note}".rstrip() for e in manifest]
    total = sum(e.tokens for e in manifest if e.section not in ("lore", "memory", FIRED))
    client.notify("\n".join([f"The prompt, about {total} tokens:", *rows]))


async def why_full(engine: Engine, client: Client, argument: str) -> None:
    """Shows the last request word for word, a page at a time, or writes it to a file."""
    session = story_of(client)
    sent = session.sent
    if sent is None:
        raise CommandError(
            "No prompt has been sent since this story was opened; the next reply's can be seen."
        )
    if await engine.services.database.read(  # whoever whispered may have left meanwhile
        whispers.has_others, session.id, client.visitor.id
    ):
        raise CommandError("Others have whispered at this table, and this prompt has what they said.")
    text = text_of(sent)
    if argument.lower() == "file":
        name = f"prompt of message {sent.message_id}.txt"
        await exports.write(engine, client, [NamedFile(name, text.encode("utf-8", "replace"))])
        return
    if argument and not argument.isdecimal():
        raise CommandError("Which page? /why full 2, or /why full file for all of it.")
    page, count = page_of(text, int(argument[:9] or 1))
    number = min(max(int(argument[:9] or 1), 1), count)
    more = f"\n\n(page {number} of {count}; /why full {number % count + 1}, /why full file)"
    client.notify(page + (more if count > 1 else ""))


async def recall(engine: Engine, client: Client, argument: str) -> None:
    """Ranks lore and memories as for a line of the story, but for the scene and what was said last."""
    if not argument:
        raise CommandError("Recall what? For example /recall who rang the bell?")
    database, session = engine.services.database, client.session
    visible: Container[int] = ()
    if session is not None:
        way = await database.read(
            stories.path_ids, await database.read(stories.active_leaf, session.id)
        )
        away = await engine.tables.unwitnessed(client)
        visible = frozenset(way) - away if away else way
    world_lore = client.chosen.world_id and reads_lore(client)
    scopes = {"Lore": lore_scope(client.chosen.world_id)} if world_lore else {}
    if session is not None:
        scopes["Memories"] = memory_scope(session.id)
    if not scopes:
        raise CommandError("Choose a world first: /world select ID.")
    text = [f"What {argument!r} brings to mind; * would be told to the narrator, if there is room."]
    for title, scope in scopes.items():
        rows = await engine.services.library.explain(scope, argument, visible=visible)
        none = ", none likely enough" if rows and not any(_would_be_told(row) for row in rows) else ""
        text += ["", f"{title}: {len(rows)}{none}", *(_ranked(row) for row in rows)]
    client.notify("\n".join(text))


def _would_be_told(row: Ranked) -> bool:
    return row.worth or row.hit.passage.pinned


def _ranked(row: Ranked) -> str:
    """Returns a place in the ranking: parts of the score by signal, how far it is ahead, and what was found."""
    hit, score = row.hit, row.score
    parts = {
        "words": score.words,
        "meaning": score.similarity,
        "beside": score.neighbours,
        "tokens": score.late,
    }
    share = " ".join(f"{name} {part:+.2f}" for name, part in parts.items() if abs(part) >= 0.005)
    text = hit.passage.title if is_kept(hit) else one_line(hit.passage.text, PREVIEW_CHARS)
    if row.lead is not None:
        share = f"{share} ahead {row.lead:+.2f}".lstrip()
    mark = "*" if _would_be_told(row) else " "
    return (
        f"{mark}{hit.passage.id:>6}  {row.chance:4.0%}  {text}\n"
        f"               {share or 'no part'}  ({reason(hit)})"
    )
