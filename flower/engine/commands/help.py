"""What /help tells: all commands under their headings, a family of them, or one with an example. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from flower.engine.commands.catalogue import BY_NAME, EXAMPLES, GROUPS, OPTIONS
from flower.errors import CommandError
from flower.protocol import CommandOption

USAGE_COLUMNS = 32  # of a list; what is longer pushes its own line to the right


def help_text(wanted: str = "") -> str:
    """Returns all commands under their headings, or with ``wanted`` those of a group, family or name.

    One command alone is told with an example. Raises ``CommandError`` when nothing fits.
    """
    if not wanted:
        groups = [_group(title, OPTIONS) for title in GROUPS]
        hint = "/help roll tells more about one command, /help dice about one of these groups."
        return "\n\n".join([hint, *groups])
    name = "/" + " ".join(wanted.lower().removeprefix("/").split())
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
    shown = f"\nFor example: {example}" if example != option.usage else ""
    return f"{option.usage}\n{summary}{shown}"
