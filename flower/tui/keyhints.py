"""The few words in the status line that say which keys help now."""

from __future__ import annotations

from flower.tui import checklist, commands, layout, transcript
from flower.tui.model import Model


def idle(model: Model) -> tuple[str, ...]:
    """Returns the hints for an idle screen, the longest first."""
    lines = model.input.text.count("\n") + 1
    if lines > layout.input_rows_most(model.rows):  # not all of them are in view
        return (f"{lines} lines; {key_of(model, 'submit')} sends them, Esc clears", f"{lines} lines")
    keys = f"{key_of(model, 'help')} keys"
    more = f"{keys}, {key_of(model, 'palette')} commands"
    if checklist.shown(model):
        return (f"{more}, {key_of(model, 'quit')} leaves", more, keys)
    return (f"{more}, {key_of(model, 'messages')} messages", more, keys)


def messages(model: Model) -> str:
    """Returns the hint while messages are chosen."""
    glyphs = model.theme.glyphs
    parts = [f"{glyphs.up}{glyphs.down} choose", "c copy"]
    index = transcript.index_of(model.story, model.selected or 0)
    if index < len(model.story.messages) and model.story.messages[index].variants > 1:
        parts.append(f"{glyphs.left}{glyphs.right} variant")
    parts += [
        f"{commands.message_key(command)} {command.name.lstrip('/')}"
        for command in message_commands(model)
    ]
    parts += ["n N next", "/ search"] if model.search.term else ["/ search"]
    return ", ".join([*parts, "Esc back"])


def message_commands(model: Model) -> tuple[commands.Command, ...]:
    """Returns the engine's commands that act on one message."""
    offered = commands.offered(model.replica)
    every = [command for command in offered if command.argument in commands.ON_MESSAGES]
    letters = [commands.message_key(command) for command in every]
    # Two commands with one letter: the first has it.
    return tuple(c for place, c in enumerate(every) if letters[place] not in letters[:place])


def key_of(model: Model, action: str) -> str:
    """Returns the first key of ``action`` as people write it, or the action's name when it has none."""
    keys = model.bindings.keys_of(action)
    return "+".join(part.capitalize() for part in keys[0].split("+")) if keys else action
