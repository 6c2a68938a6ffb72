"""Commands about scripts that change texts: which hold here, and switching them."""

from __future__ import annotations

from flower.engine.assets.shelves import owner_of
from flower.engine.commands.lookup import closest
from flower.engine.scripts.apply import problem_of
from flower.engine.scripts.script import Script, ScriptPlace
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import states
from flower.engine.store.connection import Connection
from flower.engine.store.library import scripts
from flower.engine.store.library.scripts import StoredScript
from flower.errors import CommandError

LISTED = 200
EVERY = "all"
_PLACES = {
    ScriptPlace.PLAYER: "your lines",
    ScriptPlace.NARRATOR: "replies",
    ScriptPlace.COMMAND: "what commands write",
    ScriptPlace.LORE: "lorebooks",
    ScriptPlace.REASONING: "thoughts",
}


async def list_scripts(engine: Engine, client: Client, argument: str) -> None:
    """Lists the scripts of the character here, those of the cast, and those for everything."""
    stored = await _scripts_here(engine, client)
    if not stored:
        client.notify("No script is here; cards and /import bring some.")
        return
    rows = [_row(number, one) for number, one in enumerate(stored[:LISTED], start=1)]
    more = [f"and {len(stored) - LISTED} more"] if len(stored) > LISTED else []
    head = "Scripts that change texts; * is on. /script on NAME|NUMBER|all lets one act:"
    client.notify("\n".join([head, *rows, *more]))


def _row(number: int, one: StoredScript) -> str:
    whose = f"of {one.character_id}" if one.character_id else "for everything"
    problem = problem_of(one.script)
    does = f"cannot act: {problem}" if problem else _does(one.script)
    return f"{'*' if one.is_on else ' '} {number:>3}  {one.script.name}  ({whose}; {does})"


def _does(script: Script) -> str:
    where = ", ".join(_PLACES[place] for place in script.places)
    if script.on_screen and not script.in_prompt:
        return f"{where}, only on the screen"
    if script.in_prompt and not script.on_screen:
        return f"{where}, only for the narrator"
    return where


async def script_on(engine: Engine, client: Client, argument: str) -> None:
    await _switch(engine, client, argument, on=True)


async def script_off(engine: Engine, client: Client, argument: str) -> None:
    await _switch(engine, client, argument, on=False)


async def _switch(engine: Engine, client: Client, argument: str, *, on: bool) -> None:
    meant = _meant(await _scripts_here(engine, client), argument.strip())
    for one in meant:
        client.check_own(owner_of(one.character_id), "/character copy ID NEW-ID")

    def switch(db: Connection) -> None:
        for one in meant:
            scripts.switch(db, one.id, on=on)

    await engine.services.database.write(switch)
    named = ", ".join(one.script.name for one in meant[:5])
    more = f" and {len(meant) - 5} more" if len(meant) > 5 else ""
    client.notify(f"✓ {'On' if on else 'Off'}: {named}{more}.")
    if client.session is not None:
        await engine.stories.send_history(client, client.session)


def _meant(stored: list[StoredScript], name: str) -> list[StoredScript]:
    if not stored:
        raise CommandError("No script is here; cards and /import bring some.")
    if not name:
        raise CommandError("Which script? /script on NAME, a number of /script list, or all.")
    if name.casefold() == EVERY:
        return stored
    meant = [one for one in stored if one.script.name.casefold() == name.casefold()]
    if not meant and name.isdecimal() and 0 < int(name[:9]) <= len(stored):
        meant = [stored[int(name[:9]) - 1]]
    if not meant:
        names = [one.script.name for one in stored]
        raise CommandError(f"There is no script {name!r} here.{closest(name, names)}")
    return meant


async def _scripts_here(engine: Engine, client: Client) -> list[StoredScript]:
    session = client.session
    character = session.character_id if session is not None else client.chosen.character_id

    def read(db: Connection) -> list[StoredScript]:
        members = states.steering(db, session.id).cast.members if session is not None else ()
        return scripts.listed(db, [one for one in (character, *members) if one])

    return await engine.services.database.read(read)
