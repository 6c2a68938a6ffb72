"""The steps from nothing to a story: world, character, model, session. Shown until a story is open.

Between them stand two that nobody has to take: the theme and the player's name.
"""

from __future__ import annotations

from typing import NamedTuple

from flower.tui.state import commands
from flower.tui.state.model import Model

NAME = "persona"  # the step that is typed, not chosen from a list


class Step(NamedTuple):
    """``popup`` is the kind of popup that does it; ``value`` what is chosen, ``""`` for nothing."""

    popup: str
    title: str
    value: str
    optional: bool = False
    quiet: bool = False  # drawn so that it asks for nothing


def visible(model: Model) -> bool:
    """Whether the checklist takes the place of the story."""
    return not model.replica.session_id and not model.story.messages


def steps(model: Model) -> tuple[Step, ...]:
    """Returns the steps in their order."""
    replica = model.replica
    narrator = "the offline narrator" if replica.offline else name_of(model, "models", replica.model)
    return (
        Step("worlds", "Choose a world", name_of(model, "worlds", replica.world_id)),
        Step(
            "characters",
            "Choose a character to meet",
            name_of(model, "characters", replica.character_id),
        ),
        Step("models", "Choose a model", narrator, optional=True),
        Step("themes", "Theme", model.settings.theme, optional=True, quiet=True),
        *_name(model),
        Step("sessions", "Begin or continue a story", ""),
    )


def _name(model: Model) -> tuple[Step, ...]:
    """The step of the player's name; none with an engine that takes names only in stories."""
    replica = model.replica
    if replica.commands and (replica.persona is None or not commands.offers(replica, "/persona")):
        return ()
    return (Step(NAME, "Your name", replica.persona or "", optional=True, quiet=True),)


def current(model: Model) -> int:
    """Returns the index of the step that Enter opens."""
    every = steps(model)
    if 0 <= model.step < len(every):
        return model.step
    return next(place for place, step in enumerate(every) if not step.value and not step.optional)


def name_of(model: Model, plural: str, option_id: str) -> str:
    """Returns the name of the option ``option_id`` in one of the engine's lists, or the id itself."""
    for option in getattr(model.replica, f"available_{plural}"):
        if option.id == option_id:
            return str(option.name) or option_id
    return option_id
