"""Which key does what.

An action has a name (used in ``config.yaml``, section ``tui.keys``), keys and a sentence for the help
popup. A key is a name of ``keys.Key`` or two of them with a space between (``ctrl+x ctrl+e``). Keys
that no action takes go to the input line's editor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from flower import limits


class Action(NamedTuple):
    """``keys`` are the defaults; ``where`` groups the help popup."""

    name: str
    keys: tuple[str, ...]
    summary: str
    where: str = "Anywhere"


ACTIONS = (
    Action("submit", ("enter",), "send the line; in a list: take the entry", "Writing"),
    Action(
        "newline", ("alt+enter", "ctrl+j", "shift+enter"), "new line (or end a line with \\)", "Writing"
    ),
    Action("complete", ("tab",), "complete a command", "Writing"),
    Action("editor", ("ctrl+x ctrl+e",), "write in $EDITOR", "Writing"),
    Action("escape", ("escape",), "close, stop the reply, clear the line: in this order"),
    Action(
        "quick_reply",
        tuple(f"alt+{digit}" for digit in range(1, limits.QUICK_REPLIES + 1)),
        "a line you have ready (quick_replies in config.yaml)",
        "Writing",
    ),
    Action("palette", ("ctrl+p",), "all commands; also / on an empty line"),
    Action("help", ("f1",), "these keys; also ? on an empty line"),
    Action("worlds", ("f2", "alt+w"), "choose a world"),
    Action("characters", ("f3", "alt+c"), "choose a character to meet"),
    Action("models", ("f4", "alt+m"), "choose a model"),
    Action("rules", ("f5", "alt+r"), "choose rules"),
    Action("sessions", ("f6", "alt+s"), "stories: new, continue, delete"),
    Action("sidebar", ("f7",), "show or hide the sidebar"),
    Action("tree", ("f8", "alt+g"), "the story's tree: all its branches and variants"),
    Action("problems", ("f9", "alt+p"), "what is wrong with your files"),
    Action("news", ("alt+n",), "long news that came while you wrote"),
    Action(
        "recalled", ("alt+i",), "read what was recalled for the last reply (it may spoil the story)"
    ),
    Action("thinking", ("alt+t",), "unfold or fold the model's thinking"),
    Action("page_up", ("pageup",), "a page back", "Reading"),
    Action("page_down", ("pagedown",), "a page on", "Reading"),
    Action("line_up", ("shift+up", "alt+up"), "a line back", "Reading"),
    Action("line_down", ("shift+down", "alt+down"), "a line on", "Reading"),
    Action("top", ("ctrl+home",), "to the beginning; Home on an empty line", "Reading"),
    Action("bottom", ("ctrl+end",), "to the end; End on an empty line", "Reading"),
    Action("search", ("ctrl+f",), "search the story", "Reading"),
    Action("messages", ("shift+tab",), "choose a message: ↑ ↓, c copy, / search", "Reading"),
    Action("redraw", ("ctrl+l",), "draw the screen again"),
    Action("suspend", ("ctrl+z",), "to the shell; fg comes back"),
    Action("interrupt", ("ctrl+c",), "like Esc; twice with nothing to do: leave"),
    Action("quit", ("ctrl+d",), "on an empty line: leave; everything is saved"),
)
NAMES = {action.name for action in ACTIONS}


class Bindings(NamedTuple):
    """``by_key``: key or chord to action name. ``prefixes``: first keys of chords."""

    by_key: Mapping[str, str]
    prefixes: frozenset[str]

    def keys_of(self, action: str) -> tuple[str, ...]:
        """Returns the keys of ``action``, first the one to show."""
        return tuple(key for key, name in self.by_key.items() if name == action)


def default() -> Bindings:
    """Returns the bindings as they come."""
    return _index({action.name: action.keys for action in ACTIONS})


def configured(changes: Mapping[str, str | Sequence[str]]) -> tuple[Bindings, tuple[str, ...]]:
    """Returns the bindings with the user's ``changes`` (action to keys) and sentences on problems.

    A change replaces all keys of its action. A key that two actions want stays with the one the user
    named; when the user named both, with the first.
    """
    keys_by_action = {action.name: action.keys for action in ACTIONS}
    problems: list[str] = []
    owner: dict[str, str] = {}
    for name, keys in changes.items():
        if name not in NAMES:
            problems.append(
                f"tui.keys: there is no action '{name}'; allowed: {', '.join(sorted(NAMES))}."
            )
            continue
        own: list[str] = []
        for key in [keys] if isinstance(keys, str) else keys:
            if key in owner:
                problems.append(
                    f"tui.keys: {key} is bound to both {owner[key]} and {name}; change one."
                )
            else:
                owner[key] = name
                own.append(key)
        keys_by_action[name] = tuple(own)
    for name, keys in keys_by_action.items():
        if name in changes:
            continue
        problems += [
            f"tui.keys: {key} now means {owner[key]}; {name} lost it." for key in keys if key in owner
        ]
        keys_by_action[name] = tuple(key for key in keys if key not in owner)
    return _index(keys_by_action), tuple(problems)


def _index(keys_by_action: Mapping[str, Sequence[str]]) -> Bindings:
    by_key = {key: name for name, keys in keys_by_action.items() for key in keys}
    return Bindings(by_key, frozenset(key.split()[0] for key in by_key if " " in key))
