"""The library as lists: characters, worlds and lorebooks with tags, favourites and when they were played last.

Thousands of cards are listed a page at a time: a client asks for what its player looks at, so that the state which
every client gets when it comes does not grow with the library. Pictures are asked for one by one as well.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio
from msgspec import Struct

from flower import limits
from flower.engine.assets.kinds import Character
from flower.engine.assets.shelves import Brief, briefs, plain
from flower.engine.commands.lookup import closest
from flower.engine.export import library_files
from flower.engine.recall.native_check import NoNumpyError, load_numpy
from flower.engine.sessions import snapshot
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client
from flower.engine.store import states, stories
from flower.engine.store.connection import Connection
from flower.engine.store.library import books, favourites
from flower.engine.store.stories import StoredSession
from flower.errors import CommandError
from flower.protocol.messages import LibraryItem, Listing, Portrait, State
from flower.text import counted, one_line

if TYPE_CHECKING:
    from flower.engine.interchange.thumbnail import Thumbnail

log = logging.getLogger(__name__)

PAGE = 100  # of one frame: 40 KB at most
ROWS = 40  # of a list as text
TAGS = 8  # of one character in a list
TUTORIAL = "tutorial"  # the shipped world that teaches to play
KINDS = ("characters", "worlds", "books")


class Ranking(Struct, frozen=True):
    """What a list needs beside the things themselves: which are favourites, and when stories were played."""

    favourites: frozenset[str] = frozenset()
    played: dict[str, float] = {}


def arranged(everything: Sequence[Brief], words: str, ranking: Ranking) -> list[Brief]:
    """Returns those that have all of ``words``, favourites first, then what was played last, then by name."""
    matches = filtered(everything, words)
    played, liked = ranking.played, ranking.favourites
    matches.sort(key=lambda one: (one.id not in liked, -played.get(one.id, 0.0), one.name.casefold()))
    return matches


def filtered(everything: Sequence[Brief], words: str) -> list[Brief]:
    """Returns those whose name, id or tags have all of ``words`` in them."""
    parts = words.casefold().split()
    if not parts:
        return list(everything)
    matches = []
    for brief in everything:
        text = f"{brief.name}\n{brief.id}\n{' '.join(brief.tags)}".casefold()
        if all(word in text for word in parts):
            matches.append(brief)
    return matches


async def send_page(engine: Engine, client: Client, argument: str) -> None:
    """``KIND [OFFSET] [WORDS]``: a page of a list, for screens."""
    kind, _, rest = argument.partition(" ")
    if kind not in KINDS:
        raise CommandError(f"What is listed? One of {', '.join(KINDS)}.")
    first, _, words = rest.strip().partition(" ")
    if not first.isdecimal():
        first, words = "0", rest
    words, offset = words.strip()[: limits.FILTER_CHARS], int(first[: limits.NUMBER_DIGITS])
    matches, ranking = await _briefs(engine, client, kind, words)
    page = tuple(_listed(one, ranking) for one in matches[offset : offset + PAGE])
    client.notify("", State(listing=Listing(kind, words, len(matches), page, offset)))


async def _briefs(engine: Engine, client: Client, kind: str, words: str) -> tuple[list[Brief], Ranking]:
    assets, database = engine.assets_for(client), engine.services.database
    if kind == "books":
        stored = await database.read(books.listed, client.visitor.id)
        everything = [Brief(str(one.id), one.name or f"Lorebook {one.id}") for one in stored]
    elif kind == "worlds":
        worlds = assets.worlds.values()
        everything = [
            Brief(w.id, w.name, snapshot.of(w.name, w.lore, w.scene, w.start_message)) for w in worlds
        ]
    else:
        everything = list(briefs(assets.characters))
    ranking = await database.read(_ranking, kind, client.visitor.id)
    matches = arranged(everything, words, ranking)
    if kind == "worlds" and not ranking.played and not ranking.favourites:  # a newcomer's
        matches.sort(key=lambda one: one.id != TUTORIAL)
    return matches, ranking


def _ranking(db: Connection, kind: str, user: int) -> Ranking:
    """Stories that nobody has played for long say nothing: those that the list of stories has are looked at."""
    played: dict[str, float] = {}
    for story in stories.sessions(db, user=user) if kind != "books" else []:
        one = _with(story, kind)
        if one:
            played[one] = max(played.get(one, 0.0), story.updated)
    return Ranking(favourites.of(db, kind, user), played)


def _with(story: StoredSession, kind: str) -> str:
    return story.world_id if kind == "worlds" else story.character_id


def _listed(brief: Brief, ranking: Ranking) -> LibraryItem:
    return LibraryItem(
        id=brief.id,
        name=brief.name,
        about=snapshot.of(brief.name, brief.summary),
        tags=brief.tags[:TAGS],
        favourite=brief.id in ranking.favourites,
        played=ranking.played.get(brief.id, 0.0),
    )


async def list_characters(engine: Engine, client: Client, argument: str) -> None:
    """A page of the characters that have the words in their name or tags, as text."""
    number, words = 1, argument
    first, _, rest = argument.partition(" ")
    if first.isdecimal():
        number, words = max(int(first[:6]), 1), rest
    matches, ranking = await _briefs(engine, client, "characters", words)
    if not matches:
        raise CommandError("There is no such character; /import brings some, /character new makes one.")
    pages = -(-len(matches) // ROWS)
    number = min(number, pages)
    rows = []
    for brief in matches[(number - 1) * ROWS : number * ROWS]:
        tags = f" [{', '.join(brief.tags[:5])}]" if brief.tags else ""
        mark = "*" if brief.id in ranking.favourites else " "
        rows.append(f"{mark} {brief.id}  {brief.name}{tags}  {one_line(brief.summary, 60)}")
    more = f", page {number} of {pages}: /character list {number + 1} shows more" if pages > 1 else ""
    liked = "; * are favourites" if any(row.startswith("*") for row in rows) else ""
    client.notify("\n".join([f"{counted(len(matches), 'character')}{more}{liked}:", *rows]))


async def favourite(kind: str, engine: Engine, client: Client, argument: str) -> None:
    """Keeps something at the top of its list, or lets it go; without a name what is chosen."""
    chosen = {"characters": client.chosen.character_id, "worlds": client.chosen.world_id}
    name = argument.strip() or chosen.get(kind, "")
    matches, _ = await _briefs(engine, client, kind, "")
    one = next(
        (one for one in matches if name.casefold() in (one.id, plain(one.id), one.name.casefold())),
        None,
    )
    if one is None:
        ids = [one.id for one in matches[:PAGE]]
        raise CommandError(f"Which of the {kind}? There is no {name!r}.{closest(name, ids)}")
    liked = await engine.services.database.write(favourites.switch, kind, one.id, client.visitor.id)
    if liked is None:
        raise CommandError(f"There are {favourites.MOST} favourites, the most there can be.")
    client.notify(f"✓ {one.name} is {'a favourite' if liked else 'no favourite any more'}.")


# --- pictures -----------------------------------------------------------------------------------


async def send_portrait(engine: Engine, client: Client, argument: str) -> None:
    """Sends a character's picture, as small as screens show it; nothing is said where there is none."""
    character_id = argument.lower() or client.chosen.character_id
    character = await _pictured(engine, client, character_id)
    small = None
    if character is not None:
        source = await engine.services.database.read(library_files.read_character, character)
        try:
            await load_numpy(None)  # the first picture may be asked for before anything was recalled
            small = await trio.to_thread.run_sync(_thumbnail, source)
        except NoNumpyError as error:
            log.warning("no portraits: %s", error)
    portrait = Portrait(character_id)
    if small is not None:
        packed = base64.b64encode(small.pixels).decode()
        portrait = Portrait(character_id, small.width, small.height, packed)
    client.notify("", State(portrait=portrait))


async def _pictured(engine: Engine, client: Client, character_id: str) -> Character | None:
    """Returns a character that a client may see the picture of: one it can choose, or one in its story."""
    character = engine.assets_for(client).characters.get(character_id)
    session = client.session
    if character is not None or session is None:
        return character
    steered = await engine.services.database.read(states.steering, session.id)
    here = (session.character_id, *steered.cast.members)
    return engine.services.assets.characters.get(character_id) if character_id in here else None


def _thumbnail(source: library_files.CardSource) -> Thumbnail | None:
    from flower.engine.interchange import thumbnail  # numpy is loaded when it is known to run here

    picture = library_files.picture_of(source)
    return thumbnail.of_png(picture) if picture is not None else None
