"""Commands that list characters, a page at a time."""

from __future__ import annotations

from flower.engine.character_list import Brief, briefs
from flower.engine.sentences import one_line
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.errors import CommandError

PAGE = 40  # characters of one list


def filtered(known: list[Brief], words: str) -> list[Brief]:
    """Returns those whose name, id or tags have all of ``words`` in them."""
    wanted = words.casefold().split()
    if not wanted:
        return known
    found = []
    for brief in known:
        text = f"{brief.name}\n{brief.id}\n{' '.join(brief.tags)}".casefold()
        if all(word in text for word in wanted):
            found.append(brief)
    return found


async def list_all(engine: Engine, client: Client, argument: str) -> None:
    """A page of the characters that have the words in their name or tags."""
    number, words = 1, argument
    first, _, rest = argument.partition(" ")
    if first.isdecimal():
        number, words = max(int(first[:6]), 1), rest
    found = filtered(list(briefs(engine.services.assets.characters)), words)
    if not found:
        raise CommandError("There is no such character; /import brings some, /character new makes one.")
    pages = -(-len(found) // PAGE)
    number = min(number, pages)
    rows = []
    for brief in found[(number - 1) * PAGE : number * PAGE]:
        tags = f" [{', '.join(brief.tags[:5])}]" if brief.tags else ""
        rows.append(f"{brief.id}  {brief.name}{tags}  {one_line(brief.summary, 60)}")
    more = f", page {number} of {pages}: /character list {number + 1} shows more" if pages > 1 else ""
    client.notify("\n".join([f"{len(found)} characters{more}:", *rows]))
