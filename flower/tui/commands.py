"""Slash commands: the list, completion and ghost text.

The engine says which commands it offers (``State.commands``); an old engine says nothing, then the
V1 list below is used. ``LOCAL`` ones are done by the face itself. Pure text work, no sending.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flower.tui import palette

if TYPE_CHECKING:
    from flower.tui.model import Replica


class Command(NamedTuple):
    """``argument``: the list that completes it, ``text`` for free text, ``""`` for none.

    ``optional``: it means something without its argument, too.
    """

    name: str
    summary: str
    argument: str = ""
    local: bool = False
    optional: bool = False
    group: str = ""  # the heading it stands under, by which it can be found, too


LOCAL = (
    Command("/find", "search the story", "text", local=True),
    Command("/theme", "change the colours", "themes", local=True),
    Command("/copy", "copy the last reply to the clipboard", local=True),
    Command("/tree", "see the story's tree and walk it", "text", local=True, optional=True),
    Command("/keys", "show the keys", local=True),
    Command("/quit", "leave; the story is saved", local=True),
)
V1 = (
    Command("/world select", "choose the world of the story", "worlds"),
    Command("/world attach_lore", "add lore to the world", "text"),
    Command("/character select", "choose whom the narrator plays", "characters"),
    Command("/model", "choose the narrator's model", "models"),
    Command("/rules add", "add a rule to the narrator", "rules"),
    Command("/rules clear", "drop all added rules"),
    Command("/nsfw", "allow or forbid adult content"),
    Command("/session new", "begin a new story"),
    Command("/session continue", "go on with a saved story", "sessions"),
    Command("/session delete", "delete a saved story", "sessions"),
    Command("/cancel", "stop the reply"),
    Command("/help", "what can be typed"),
)
ON_MESSAGES = ("message", "message_text")  # arguments that choosing a message gives
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
PLUMBING = frozenset({"/sync", "/history"})  # spoken by the face, of no use to people


class Candidate(NamedTuple):
    """One way to go on: ``line`` is the input after taking it, ``runs``: it is a whole command."""

    label: str
    detail: str
    line: str
    runs: bool


def offered(replica: Replica) -> tuple[Command, ...]:
    """Returns the commands of this engine and of the face, without plumbing and doubles."""
    told = tuple(
        Command(
            option.name,
            option.summary,
            _argument(option.argument, option.usage, option.name),
            optional=not _needs_more(option.usage, option.name),
            group=option.group,
        )
        for option in replica.commands
    )
    local = {command.name for command in LOCAL}
    engine = tuple(c for c in told or V1 if c.name not in PLUMBING and c.name not in local)
    return (*engine, *LOCAL)


def _argument(argument: str, usage: str, name: str) -> str:
    return argument or ("text" if _needs_more(usage, name) else "")


def _needs_more(usage: str, name: str) -> bool:
    """Whether something outside brackets follows the name, as in ``/edit [MESSAGE] TEXT``."""
    return bool(_BRACKETED.sub("", usage.removeprefix(name)).strip())


def is_plumbing(line: str) -> bool:
    """Whether ``line`` is a command that no list offers, typed out by somebody who knows it."""
    return any(line == name or line.startswith(f"{name} ") for name in PLUMBING)


def offers(replica: Replica, name: str) -> bool:
    """Whether the engine told of a command ``name``."""
    return any(option.name == name for option in replica.commands)


def choices(
    replica: Replica, argument: str, themes: tuple[str, ...] = ()
) -> tuple[tuple[str, str], ...]:
    """Returns (id, name) of everything that completes ``argument``."""
    if argument == "themes":
        return tuple((name, "") for name in themes)
    options = getattr(replica, f"available_{argument}", ())
    return tuple((option.id, option.name) for option in options)


def split(line: str, commands: tuple[Command, ...]) -> tuple[Command, str] | None:
    """Returns the command at the start of ``line`` and its argument text, or None."""
    best: Command | None = None
    for command in commands:
        fits = line == command.name or line.startswith(command.name + " ")
        if fits and (best is None or len(command.name) > len(best.name)):
            best = command
    return (best, line[len(best.name) :].strip()) if best else None


def is_line(text: str) -> bool:
    """Whether ``text`` is a command being typed: one line that begins with a slash."""
    return text.startswith("/") and "\n" not in text


def complete(
    line: str, replica: Replica, recent: tuple[str, ...] = (), themes: tuple[str, ...] = ()
) -> tuple[Candidate, ...]:
    """Returns how a command line can go on, best first."""
    if not is_line(line):
        return ()
    commands = offered(replica)
    found = split(line, commands)
    if found and (line != found[0].name or not found[0].argument or found[0].optional):
        return _arguments(*found, replica, themes)
    ranked = palette.rank(line, commands, lambda command: command.name, recent)
    return tuple(
        Candidate(
            command.name,
            command.summary,
            command.name + (" " if command.argument else ""),
            not command.argument or command.optional,
        )
        for command in ranked
    )


def _arguments(
    command: Command, typed: str, replica: Replica, themes: tuple[str, ...]
) -> tuple[Candidate, ...]:
    if command.argument in ("", "text"):
        return ()
    known = choices(replica, command.argument, themes)
    if any(typed == option for option, _ in known):
        return ()
    ranked = palette.rank(typed, known, lambda option: f"{option[0]} {option[1]}")
    return tuple(
        Candidate(option, name if name != option else "", f"{command.name} {option}", runs=True)
        for option, name in ranked
    )


def message_key(command: Command) -> str:
    """Returns the letter that runs ``command`` on the chosen message."""
    return command.name.split()[-1].lstrip("/")[:1]


def ghost(line: str, candidates: tuple[Candidate, ...]) -> str:
    """Returns the rest of the best candidate, to show after the cursor; ``""`` when none begins so."""
    for candidate in candidates:
        if len(candidate.line) > len(line) and candidate.line.startswith(line):
            return candidate.line[len(line) :].rstrip()
    return ""
