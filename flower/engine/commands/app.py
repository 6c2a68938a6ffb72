"""Commands about the program itself: stop, pages, state, help, leaving."""

from __future__ import annotations

from flower.engine.commands import library
from flower.engine.commands.lookup import help_text
from flower.engine.export.library_files import NamedFile
from flower.engine.prompt.record import FIRED
from flower.engine.prompt.sent import page_of, text_of
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import exchanges, whispers
from flower.errors import CommandError


async def cancel(engine: Engine, client: Client, argument: str) -> None:
    drafted = engine.drafts.tasks.cancel(client) or engine.character_drafts.tasks.cancel(client)
    aside = engine.side_tasks.cancel(client)
    if client.session is not None and engine.turns.cancel(client.session):
        return
    stopped = "✓ No draft then." if drafted else "✓ Stopped."
    client.notify(stopped if drafted or aside else "Nothing is being written.")


async def go_on(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    await engine.edits.go_on(client.session, client.chosen)


async def history(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    if not argument.isdecimal():
        raise CommandError("Above which message? /history MESSAGE takes a message's number.")
    await engine.stories.send_history(client, client.session, before=int(argument[:18]))


async def why(engine: Engine, client: Client, argument: str) -> None:
    """Shows the parts of a prompt, as they were stored with its reply."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    words = argument.split()
    nearly = words[:1] == ["nearly"]
    argument = " ".join(words[1:] if nearly else words)
    if argument and not argument.isdecimal():
        raise CommandError("Of which reply? /why MESSAGE takes a message's number.")
    message = int(argument[:18]) if argument else None
    asked = exchanges.nearly_fired if nearly else exchanges.manifest
    manifest = await engine.services.database.read(asked, client.session.id, message)
    if manifest is None:
        what = "is known for this message" if argument else "has been sent in this story yet"
        raise CommandError(f"No prompt {what}.")
    if nearly:
        kept = [f"  {e.source}: {e.note}" for e in manifest] or ["  none"]
        client.notify("\n".join(["Entries that nearly fired:", *kept]))
        return
    rows = [f"{e.tokens:>6}  {e.section}: {e.source}  {e.note}".rstrip() for e in manifest]
    total = sum(e.tokens for e in manifest if e.section not in ("lore", "memory", FIRED))
    client.notify("\n".join([f"The prompt, about {total} tokens:", *rows]))


async def why_full(engine: Engine, client: Client, argument: str) -> None:
    """Shows the last request word for word, a page at a time, or writes it to a file."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    sent = client.session.sent
    if sent is None:
        raise CommandError(
            "No prompt has been sent since this story was opened; the next reply's can be seen."
        )
    if await engine.services.database.read(  # whoever whispered may have left meanwhile
        whispers.has_others, client.session.id, client.visitor.id
    ):
        raise CommandError("Others have whispered at this table, and this prompt has what they said.")
    text = text_of(sent)
    if argument.lower() == "file":
        name = f"prompt of message {sent.message_id}.txt"
        await library.write(engine, client, [NamedFile(name, text.encode("utf-8", "replace"))])
        return
    if argument and not argument.isdecimal():
        raise CommandError("Which page? /why full 2, or /why full file for all of it.")
    page, count = page_of(text, int(argument[:9] or 1))
    number = min(max(int(argument[:9] or 1), 1), count)
    more = f"\n\n(page {number} of {count}; /why full {number % count + 1}, /why full file)"
    client.notify(page + (more if count > 1 else ""))


async def sync(engine: Engine, client: Client, argument: str) -> None:
    await engine.sync(client)


async def show_help(engine: Engine, client: Client, argument: str) -> None:
    client.notify(help_text(argument))


async def quit_(engine: Engine, client: Client, argument: str) -> None:
    client.on_leave()
    client.notify("Goodbye.")
    client.outbox.close()
