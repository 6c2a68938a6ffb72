"""Slash commands: the list, completion and ghost text.

The engine says which commands it offers (``State.commands``); an old engine says nothing, then the
V1 list below is used. ``LOCAL`` ones are done by the client itself. Pure text work, no sending.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from flower import limits
from flower.tui.render.theme import THEMES
from flower.tui.state.model import Model

if TYPE_CHECKING:
    from flower.tui.state.model import Replica


class Command(NamedTuple):
    """``argument``: the list that completes it, ``text`` for free text, ``""`` for none.

    ``optional``: it means something without its argument, too.
    """

    name: str
    summary: str
    argument: str = ""
    local: bool = False
    optional: bool = False
    group: str = ""  # the heading it is under, by which it can be found, too


LOCAL = (
    Command("/find", "search the story", "text", local=True),
    Command("/theme", "change the colours", "themes", local=True),
    Command("/copy", "copy the last reply to the clipboard", local=True),
    Command("/tree", "see the story's tree and walk it", "text", local=True, optional=True),
    Command("/import", "bring cards, lorebooks and chats from your disk", "paths", local=True),
    Command("/fetch", "bring an export from the engine's machine", "text", local=True),
    Command("/settings", "see and change every setting", "settings", local=True, optional=True),
    Command("/problems", "see what is wrong with your files", local=True),
    Command("/keys", "show the keys", local=True),
    Command("/quit", "leave; the story is saved", local=True),
)
V1 = (
    Command("/world select", "choose the world of the story", "worlds"),
    Command("/world attach_lore", "add lore to the world", "text"),
    Command("/character select", "choose whom the narrator plays", "characters"),
    Command("/model", "choose the model", "models"),
    Command("/rules add", "add a rule to the narrator", "rules"),
    Command("/rules clear", "drop all added rules"),
    Command("/nsfw", "allow or forbid adult content"),
    Command("/session new", "begin a new story"),
    Command("/session continue", "go on with a saved story", "sessions"),
    Command("/session delete", "delete a saved story", "sessions"),
    Command("/cancel", "stop the reply"),
    Command("/help", "what can be typed"),
)
PATHS = "paths"  # the argument is a path on the disk of the machine the screen runs on
ON_MESSAGES = ("message", "message_text")  # arguments that choosing a message gives
OF_A_MODEL = frozenset({"/character draft", "/character keep"})  # nothing to offer without one
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
# Sent by the client, of no use to people.
PLUMBING = frozenset({"/sync", "/history", "/form save", "/library", "/portrait", "/typing"})


class Candidate(NamedTuple):
    """One way to go on: ``line`` is the input after taking it, ``runs``: it is a whole command."""

    label: str
    detail: str
    line: str
    runs: bool


def offered(replica: Replica) -> tuple[Command, ...]:
    """Returns the commands of this engine and of the client, without plumbing and doubles."""
    sent = tuple(
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
    hidden = PLUMBING | local | (OF_A_MODEL if replica.offline else frozenset())
    engine = tuple(command for command in sent or V1 if command.name not in hidden)
    return (*engine, *LOCAL)


def _argument(argument: str, usage: str, name: str) -> str:
    return argument or ("text" if _needs_more(usage, name) else "")


def _needs_more(usage: str, name: str) -> bool:
    """Whether something outside brackets follows the name, as in ``/edit [MESSAGE] TEXT``."""
    return words_needed(usage, name) > 0


def words_needed(usage: str, name: str) -> int:
    """Returns how many words have to follow the name, as in ``/lore add WORLD TEXT``."""
    return len(_bare(usage.removeprefix(name)).split())


def _bare(usage: str) -> str:
    """Returns ``usage`` without what is in brackets, also in brackets in brackets."""
    while (bare := _BRACKETED.sub("", usage)) != usage:
        usage = bare
    return usage


def is_plumbing(line: str) -> bool:
    """Whether ``line`` is a command that no list offers, typed out by somebody who knows it."""
    return any(line == name or line.startswith(f"{name} ") for name in PLUMBING)


def offers(replica: Replica, name: str) -> bool:
    """Whether the engine offers a command ``name``."""
    return any(option.name == name for option in replica.commands)


def choices(
    replica: Replica, argument: str, themes: tuple[str, ...] = ()
) -> tuple[tuple[str, str], ...]:
    """Returns (id, name) of everything that completes ``argument``."""
    if argument == "themes":
        return tuple((name, "") for name in themes)
    if argument == "settings":
        return _settings()
    options = getattr(replica, f"available_{argument}", ())
    return tuple((option.id, option.name) for option in options)


def _settings() -> tuple[tuple[str, str], ...]:
    """Returns the names of all settings with their meanings, and those with few values with each of them."""
    from flower.settings import config, descriptions  # YAML and its checks: not before somebody asks

    names = []
    for one in descriptions.every(config.Config()):
        names.append((one.name, one.meaning))
        names += [(f"{one.name} {value}", "") for value in one.choices if not one.by_hand]
    return tuple(names)


def split(line: str, commands: tuple[Command, ...]) -> tuple[Command, str] | None:
    """Returns the command at the start of ``line`` and its argument text, or None."""
    best: Command | None = None
    for command in commands:
        fits = line == command.name or line.startswith(command.name + " ")
        if fits and (best is None or len(command.name) > len(best.name)):
            best = command
    return (best, line[len(best.name) :].strip()) if best else None


def is_line(text: str) -> bool:
    """Whether ``text`` is a command being typed: one line that begins with a slash, not with two."""
    return text.startswith("/") and not text.startswith("//") and "\n" not in text


def complete(
    line: str,
    replica: Replica,
    recent: tuple[str, ...] = (),
    themes: tuple[str, ...] = (),
    paths: tuple[str, ...] = (),
) -> tuple[Candidate, ...]:
    """Returns how a command line can go on, best first. ``paths`` are some that exist on the disk."""
    if not is_line(line) or len(line) > limits.FILTER_CHARS:
        return ()
    commands = offered(replica)
    if (match := split(line, commands)) is not None:
        command, argument = match
        if line != command.name or not command.argument or command.optional:
            if command.argument == PATHS:
                return _path_arguments(line.removeprefix(command.name).lstrip(), command, paths)
            return _arguments(command, argument, replica, themes)
    ranked = rank(line, commands, lambda command: command.name, recent)
    return tuple(
        Candidate(
            command.name,
            command.summary,
            command.name + (" " if command.argument else ""),
            not command.argument or command.optional,
        )
        for command in ranked
    )


def _path_arguments(typed: str, command: Command, paths: Sequence[str]) -> tuple[Candidate, ...]:
    """A folder is gone into, a file is a whole argument."""
    return tuple(
        Candidate(path, "", f"{command.name} {path}", runs=not path.endswith("/"))
        for path in paths
        if path.startswith(typed) and path != typed
    )


def typed_path(line: str) -> str | None:
    """Returns the path that is being typed in a command line, None in any other."""
    name, space, typed = line.partition(" ")
    takes = space and is_line(line) and any(c.name == name and c.argument == PATHS for c in LOCAL)
    return typed.lstrip() if takes and len(line) <= limits.FILTER_CHARS else None


def _arguments(
    command: Command, typed: str, replica: Replica, themes: tuple[str, ...]
) -> tuple[Candidate, ...]:
    if command.argument in ("", "text"):
        return ()
    options = choices(replica, command.argument, themes)
    if any(typed == option for option, _ in options):
        return ()
    if command.argument == "settings":  # values come behind a name
        options = tuple(option for option in options if (" " in option[0]) is (" " in typed))
    ranked = rank(typed, options, lambda option: f"{option[0]} {option[1]}")
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


# --- What the line being typed could become: the completion menu and the ghost text after the cursor.


def candidates(model: Model) -> tuple[Candidate, ...]:
    """Returns how the typed command can go on; nothing after Escape closed the menu."""
    if model.menu_closed or not is_line(model.input.text):
        return ()
    return every(model)


def every(model: Model) -> tuple[Candidate, ...]:
    """Returns how the typed command can go on, whether the menu shows it or not."""
    themes = (*THEMES, *model.settings.own_themes)
    return complete(model.input.text, model.replica, model.recent, themes, model.paths)


def ghost_of_line(model: Model) -> str:
    """Returns the text that Tab would add after the cursor, ``""`` when the cursor is not at the end."""
    line = model.input
    if not is_line(line.text) or line.cursor != len(line.text):
        return ""
    listed = candidates(model)
    if 0 <= model.menu < len(listed):
        listed = listed[model.menu : model.menu + 1]
    return ghost(line.text, listed)


# --- Fuzzy matching: which entries fit what was typed, best first.
#
# A pattern fits a text when its characters occur in order; words of the pattern are matched on their
# own, so "sel world" finds "/world select". Better: at a word's start, next to each other, early.

T = TypeVar("T")

_WORD_START = 8
_NEXT = 5
_FIRST = 6
_SKIP = -1
_SKIP_MOST = -6
_RECENT = 4


def score(pattern: str, text: str) -> int | None:
    """Returns how well ``pattern`` fits ``text`` (higher is better), None when it does not."""
    text = text.casefold()
    total = 0
    for word in pattern.casefold().split():
        best = _score_word(word, text)
        if best is None:
            return None
        total += best
    return total


def _score_word(word: str, text: str) -> int | None:
    exact = text.find(word)
    if exact >= 0:
        # A whole occurrence beats any scattered one; prefer one at a word's start.
        while exact > 0 and text[exact - 1].isalnum():
            following = text.find(word, exact + 1)
            if following < 0:
                break
            exact = following
        starts = exact == 0 or not text[exact - 1].isalnum()
        return (_NEXT + _WORD_START) * len(word) + (_FIRST if starts else 0) + max(_SKIP_MOST, -exact)
    total = 0
    place = -1
    for char in word:
        at = text.find(char, place + 1)
        if at < 0:
            return None
        if at == place + 1 and place >= 0:
            total += _NEXT
        elif at == 0 or not text[at - 1].isalnum():
            total += _WORD_START
        else:
            total += max(_SKIP_MOST, _SKIP * (at - place))
        place = at
    return total


def rank(
    pattern: str, entries: Iterable[T], text_of: Callable[[T], str], recent: Sequence[str] = ()
) -> list[T]:
    """Returns the entries that fit, best first; ties keep their order.

    Entries whose text is in ``recent`` (newest first) come up a little; with nothing typed they lead.
    """
    ranked: list[tuple[int, int, T]] = []
    for place, entry in enumerate(entries):
        text = text_of(entry)
        points = score(pattern, text)
        if points is None:
            continue
        if text in recent:
            points += _RECENT + len(recent) - recent.index(text)
        ranked.append((-points, place, entry))
    ranked.sort(key=lambda item: item[:2])
    return [entry for _, _, entry in ranked]


def spread(pattern: str, text: str) -> list[int]:
    """Returns the places in ``text`` to mark as matched by ``pattern``."""
    folded = text.casefold()
    if len(folded) != len(text):
        return []
    places: set[int] = set()
    for word in pattern.casefold().split():
        exact = folded.find(word)
        if exact >= 0:
            places.update(range(exact, exact + len(word)))
    return sorted(places)
