"""What is meant by what was typed: a command, an id, a lorebook; and what there is, for ``/help``.

Says so in one sentence where nothing fits, with the closest that there is.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from flower.engine.assets.kinds import Character, Rule, World
from flower.engine.commands.catalogue import EXAMPLES, GROUPS, OPTIONS
from flower.engine.sessions.engine import Engine
from flower.engine.sessions.session import Client, Session
from flower.engine.store import states
from flower.engine.store.library.books import StoredBook
from flower.errors import CommandError
from flower.protocol.messages import CommandOption

USAGE_COLUMNS = 32  # of a list; what is longer pushes its own line to the right
# What other roleplay programs call it, and what does the same here.
ELSEWHERE = {
    "/again": "/retry",
    "/regen": "/retry",
    "/regenerate": "/retry",
    "/reroll": "/retry",
    "/swipe": "/retry, and the left and right keys choose a variant",
    "/sys": "/narrate TEXT",
    "/sendas": "/as NAME TEXT",
    "/send": "a line without a slash",
    "/comment": "/note TEXT",
    "/an": "/note TEXT",
    "/authornote": "/note TEXT",
    "/cut": "/remove MESSAGE",
    "/del": "/delete MESSAGE",
    "/stop": "/cancel",
    "/abort": "/cancel",
    "/trigger": "/continue",
    "/cont": "/continue",
    "/char": "/character select",
    "/go": "/session continue",
    "/load": "/session continue",
    "/chat": "/session list",
    "/newchat": "/session new",
    "/start": "/session new",
    "/save": "not needed: every word is saved as it is written; /export makes a file",
    "/temp": "/set temperature NUMBER",
    "/temperature": "/set temperature NUMBER",
    "/system": "/rules add",
    "/prompt": "/rules add",
    "/worldinfo": "/lorebook list",
    "/wi": "/lorebook list",
    "/profile": "/preset load",
    "/api": "/model",
    "/remember": "/memory pin TEXT",
    "/exit": "/quit",
    "/whoami": "/persona",
    "/user": "/persona",
    "/dice": "/roll",
    "/sd": "nothing: Flower makes no pictures",
    "/bg": "/theme, for the colours of the screen",
}

BY_NAME = {option.name: option for option in OPTIONS}
_LONGEST_FIRST = sorted(BY_NAME, key=len, reverse=True)


def parse(text: str) -> tuple[CommandOption, str]:
    """Returns the command in ``text`` and its argument.

    Raises ``CommandError`` with the closest match for a command that does not exist or is half typed.
    """
    words = text.split(None, 2)
    for count in (2, 1):
        name = " ".join(words[:count]).lower()
        option = BY_NAME.get(name)
        if option is not None:
            return option, text.split(None, count)[count].strip() if len(words) > count else ""
    typed = " ".join(words[:2]).lower()
    family = [option.usage for option in OPTIONS if option.name.startswith(words[0].lower() + " ")]
    if family:
        raise CommandError(f"{words[0]} needs one of: {', '.join(family)}.")
    if same := ELSEWHERE.get(words[0].lower()):
        raise CommandError(f"There is no command {words[0]}; here it is {same}.")
    close = difflib.get_close_matches(typed, _LONGEST_FIRST, n=1, cutoff=0.5)
    close = close or difflib.get_close_matches(words[0].lower(), _LONGEST_FIRST, n=1, cutoff=0.5)
    hint = f" Did you mean {BY_NAME[close[0]].usage}?" if close else ""
    raise CommandError(
        f"There is no command {words[0]}.{hint} /help lists them all; "
        "a line of the story that begins with a slash is written with two."
    )


def closest(typed: str, ids: list[str]) -> str:
    """Returns a hint like `` Did you mean lantern-quay?`` or, without a match, what there is."""
    close = difflib.get_close_matches(typed.lower(), ids, n=1, cutoff=0.4)
    if close:
        return f" Did you mean {close[0]}?"
    return f" There is: {', '.join(ids[:12])}." if ids else ""


def help_text(topic: str = "") -> str:
    """Returns all commands under their headings, or with ``topic`` those of a group, family or name.

    One command alone comes with an example. Raises ``CommandError`` when nothing fits.
    """
    if not topic:
        groups = [_group(title, OPTIONS) for title in GROUPS]
        hint = "/help roll tells more about one command, /help dice about one of these groups."
        return "\n\n".join([hint, *groups])
    name = "/" + " ".join(topic.lower().removeprefix("/").split())
    title = next((title for title in GROUPS if title.lower() == name[1:]), "")
    exact = BY_NAME.get(name)
    family = [option for option in OPTIONS if option.name.startswith(f"{name} ")]
    if title and exact is None:
        return _group(title, OPTIONS)
    if exact is None and not family:
        family = [option for option in OPTIONS if option.name.startswith(name)]
    if exact is None and len(family) == 1:
        exact, family = family[0], []
    parts = [_alone(exact)] if exact is not None else []
    parts += [_table(family)] if family else []
    if not parts:
        raise CommandError(f"There is no command {name}. /help lists them all.")
    return "\n\n".join(parts)


def _group(title: str, options: Sequence[CommandOption]) -> str:
    return f"{title}\n{_table([option for option in options if option.group == title])}"


def _table(options: Sequence[CommandOption]) -> str:
    width = min(max(len(option.usage) for option in options), USAGE_COLUMNS)
    return "\n".join(f"  {option.usage:<{width}}  {option.summary}" for option in options)


def _alone(option: CommandOption) -> str:
    summary = f"{option.summary[:1].upper()}{option.summary[1:]}."
    example = EXAMPLES[option.name]
    example_line = f"\nFor example: {example}" if example != option.usage else ""
    return f"{option.usage}\n{summary}{example_line}"


def story_of(client: Client) -> Session:
    """Returns the story a client watches; raises ``CommandError`` if it watches none."""
    if client.session is None:
        raise CommandError("There is no story here yet; /session new starts one.")
    return client.session


async def current_of(engine: Engine, session: Session) -> states.CurrentState:
    return await engine.services.database.read(states.current, session.id, engine.now())


Thing = TypeVar("Thing", World, Character, Rule)


def named(kind: str, thing_id: str, available: Mapping[str, Thing]) -> Thing:
    """Returns the world, character or rule with an id. Raises ``CommandError`` with the closest there is."""
    if not thing_id:
        raise CommandError(f"Which {kind}?{closest('', list(available))}")
    thing = available.get(thing_id.lower())
    if thing is None:
        raise CommandError(f"There is no {kind} {thing_id!r}.{closest(thing_id, list(available))}")
    return thing


def find_book(listed: list[StoredBook], name: str) -> StoredBook:
    """Returns the lorebook of that name or number. Raises ``CommandError`` with those there are."""
    if not listed:
        raise CommandError("There is no lorebook here; /import brings some.")
    fits = [one for one in listed if name.casefold() in (str(one.id), (one.name or "").casefold())]
    if not fits:
        near = closest(name, [one.name for one in listed])
        raise CommandError(f"There is no lorebook {name!r}.{near}")
    if len(fits) > 1:
        numbers = ", ".join(str(one.id) for one in fits)
        raise CommandError(f"Several lorebooks are called that; say which by its number: {numbers}.")
    return fits[0]
