"""Commands about the program itself: stop, pages, state, help, goodbye."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flower.engine.commands.help import help_text
from flower.engine.store import replies
from flower.errors import CommandError

if TYPE_CHECKING:
    from flower.engine.client import Client
    from flower.engine.engine import Engine


async def cancel(engine: Engine, client: Client, argument: str) -> None:
    drafted = engine.drafts.cancel(client)
    if client.session is not None and engine.turns.cancel(client.session):
        return
    client.tell("✓ No draft then." if drafted else "Nothing is being written.")


async def go_on(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    await engine.rewriting.go_on(client.session, client.chosen)


async def history(engine: Engine, client: Client, argument: str) -> None:
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    if not argument.isdecimal():
        raise CommandError("Above which message? /history MESSAGE takes a message's number.")
    await engine.send_history(client, client.session, before=int(argument[:18]))


async def why(engine: Engine, client: Client, argument: str) -> None:
    """Shows the parts of a prompt, as they were stored with its reply."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    if argument and not argument.isdecimal():
        raise CommandError("Of which reply? /why MESSAGE takes a message's number.")
    message = int(argument[:18]) if argument else None
    manifest = await engine.services.database.read(replies.manifest, client.session.id, message)
    if manifest is None:
        what = "is known for this message" if argument else "has been sent in this story yet"
        raise CommandError(f"No prompt {what}.")
    rows = [f"{e['tokens']:>6}  {e['section']}: {e['source']}  {e['note']}".rstrip() for e in manifest]
    total = sum(e["tokens"] for e in manifest if e["section"] not in ("lore", "memory"))
    client.tell("\n".join([f"The prompt, about {total} tokens:", *rows]))


async def sync(engine: Engine, client: Client, argument: str) -> None:
    await engine.sync(client)


async def show_help(engine: Engine, client: Client, argument: str) -> None:
    client.tell(help_text(argument))


async def quit_(engine: Engine, client: Client, argument: str) -> None:
    client.goodbye()
    client.tell("Goodbye.")
    client.outbox.close()
