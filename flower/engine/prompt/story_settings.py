"""The settings of a story: what of them goes to the model, and what they change in a prompt.

Reads them and imported templates; stores nothing. A value of another version that makes no sense is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flower.engine.prompt.turn_input import Services
from flower.engine.provider.base import Template
from flower.engine.provider.text_prompts import SERVER, TEMPLATES
from flower.engine.store import presets, selections
from flower.settings import samplers


class _Around(Struct, frozen=True):
    """The fields of a stored context preset."""

    before: str = ""
    after: str = ""
    chat_start: str = ""


class StorySettings(Struct, frozen=True):
    """``params`` are the model's; ``template``: how to write the prompt as text, "server": as the server says."""

    params: dict[str, object]
    banned: tuple[str, ...] = ()
    template: Template | str | None = None


async def with_lengths(services: Services, session_id: str, model_id: str) -> Services:
    """Returns the services with the lengths of context and reply that a story has of its own."""
    own = await services.database.read(selections.of_story, session_id, model_id)
    context = samplers.checked_value(samplers.CONTEXT_TOKENS, own.get(samplers.CONTEXT_TOKENS))
    reply = samplers.checked_value(samplers.REPLY_TOKENS, own.get(samplers.REPLY_TOKENS))
    if context is None and reply is None:
        return services
    return replace(
        services,
        context_tokens=context if isinstance(context, int) else services.context_tokens,
        reply_tokens=reply if isinstance(reply, int) else services.reply_tokens,
    )


async def settings_of(
    services: Services, session_id: str, model_id: str, variant: int = 0
) -> StorySettings:
    """Returns the settings for a reply: the story's over the model's over everybody's.

    A seed that was set is another one for each variant, or all would be the same.
    """
    own = await services.database.read(selections.of_story, session_id, model_id)
    settings = {**services.params, **own}
    banned = samplers.checked_value(samplers.BANNED, settings.get(samplers.BANNED))
    template = settings.get(samplers.TEMPLATE)
    params = {name: value for name, value in settings.items() if name not in samplers.OURS}
    seed = params.get("seed")
    if isinstance(seed, int) and seed >= 0:
        params["seed"] = seed + variant
    return StorySettings(
        params,
        tuple(banned) if isinstance(banned, list) else (),
        await _template(services, template) if isinstance(template, str) else None,
    )


async def _template(services: Services, name: str) -> Template | str | None:
    if name == SERVER:
        return SERVER
    if name in TEMPLATES:
        return TEMPLATES[name]
    found = await services.database.read(presets.find, presets.INSTRUCT, name)
    around = await services.database.read(presets.find, presets.CONTEXT, name)
    return read_template(found[1], around[1] if around is not None else {}) if found else None


def read_template(values: Mapping[str, object], around: Mapping[str, object]) -> Template | None:
    """Returns a stored template, with what the context preset of its name puts around the system text.

    Returns None for one that is damaged or of a later version.
    """
    try:
        template = msgspec.convert(values, Template)
        beside = msgspec.convert(around, _Around)
    except msgspec.ValidationError:
        return None
    system = template.system
    if beside.before.strip() or beside.after.strip():
        system = (beside.before, beside.after)
    if system is not None and beside.chat_start:
        system = (system[0], f"{system[1]}{beside.chat_start}\n")
    return replace(template, system=system)
