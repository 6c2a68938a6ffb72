"""The model that writes a reply, and the settings of a story it is asked with.

Reads the settings and imported templates; stores nothing. A value of another version that makes no sense is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flower import limits
from flower.engine.lorebook.rules import LoreRules
from flower.engine.lorebook.situation import budget
from flower.engine.prompt.turn_input import Services
from flower.engine.provider.base import ModelInfo, Provider, Template
from flower.engine.provider.text_prompts import SERVER, TEMPLATES
from flower.engine.store import selections
from flower.engine.store.library import presets
from flower.engine.token_counter import TokenCounter
from flower.settings import samplers

THINKING_TOKENS = 1_500  # room of small hidden requests for a model that thinks all the same
LORE_SHARE = 25  # percent of the context that entries and recalled lore may have

REPLY_SHARE = 3  # a reply takes no more than this part of what the model reads


class TokenRoom(Struct, frozen=True):
    """Tokens that the model reads, and of them those that there are for the reply and for the prompt."""

    context: int
    reply: int
    prompt: int


class ChosenModel(Struct, frozen=True, kw_only=True):
    """A model, who serves it, and what is known about it."""

    id: str  # with the prefix of its provider
    provider: Provider
    name: str  # the provider's own id
    info: ModelInfo | None = None
    counter: TokenCounter = TokenCounter()
    context_limit: int | None = None  # what the server said fits, when it refused a prompt
    fallbacks: tuple[tuple[Provider, str], ...] = ()  # asked in order when the provider fails at once

    def context_tokens(self, most: int) -> int:
        """Returns what the model reads: the smallest of ``most``, what is known, and what was refused."""
        bounds = (self.info.context_tokens if self.info is not None else 0, self.context_limit or 0)
        return min([most, *(tokens for tokens in bounds if tokens)])

    def room(self, settings: StorySettings) -> TokenRoom:
        """Returns how much of a prompt and a reply there is room for, with these settings."""
        context = self.context_tokens(settings.context_tokens)
        reply = min(settings.reply_tokens, context // REPLY_SHARE)
        return TokenRoom(context, reply, int((context - reply) * limits.CONTEXT_USED_SHARE))


def thinking_room(context: int) -> int:
    """Returns tokens that a small hidden request leaves for a model that thinks first, whatever it is asked."""
    return min(THINKING_TOKENS, context // 4)


# --- the settings of a story ------------------------------------------------------------------------


class StorySettings(Struct, frozen=True):
    """The settings that hold for the replies of a story: its own over its model's over everybody's.

    Read once for a turn. ``context_tokens`` and ``reply_tokens`` are the most that either may have.
    """

    values: Mapping[str, object]
    context_tokens: int
    reply_tokens: int

    @property
    def banned(self) -> tuple[str, ...]:
        """The phrases that no reply may have."""
        phrases = samplers.checked_value(samplers.BANNED, self.values.get(samplers.BANNED))
        return tuple(phrases) if isinstance(phrases, list) else ()

    @property
    def lore_rules(self) -> LoreRules:
        """How lorebooks are read."""
        rules = self.values.get(samplers.LORE_RULES)
        return LoreRules.SILLYTAVERN if rules == LoreRules.SILLYTAVERN else LoreRules.FLOWER

    @property
    def lore_tokens(self) -> int:
        """The tokens that entries of lorebooks and recalled lore may have together."""
        tokens = self.values.get(samplers.LORE_TOKENS)
        return tokens if isinstance(tokens, int) else budget(LORE_SHARE, self.context_tokens)

    def params(self, variant: int = 0) -> dict[str, object]:
        """Returns what is the model's of them, for the reply that is the ``variant``-th other one to its line.

        A seed that was set is another one for each variant, or all would be the same.
        """
        params = {name: value for name, value in self.values.items() if name not in samplers.OURS}
        seed = params.get("seed")
        if isinstance(seed, int) and seed >= 0:
            params["seed"] = seed + variant
        return params


def settings_with(services: Services, own: Mapping[str, object]) -> StorySettings:
    """Returns the settings for a story that has ``own`` ones, as ``selections.of_story`` gives them."""
    context = samplers.checked_value(samplers.CONTEXT_TOKENS, own.get(samplers.CONTEXT_TOKENS))
    reply = samplers.checked_value(samplers.REPLY_TOKENS, own.get(samplers.REPLY_TOKENS))
    return StorySettings(
        {**services.params, **own},
        context if isinstance(context, int) else services.context_tokens,
        reply if isinstance(reply, int) else services.reply_tokens,
    )


async def settings_of(services: Services, session_id: str, model_id: str) -> StorySettings:
    """Returns the settings for a story and a model, for whoever does not have them from a turn."""
    return settings_with(
        services, await services.database.read(selections.of_story, session_id, model_id)
    )


async def template_of(services: Services, settings: StorySettings) -> Template | str | None:
    """Returns how to write the prompt as text, "server": as the server says, None: as messages."""
    name = settings.values.get(samplers.TEMPLATE)
    if not isinstance(name, str):
        return None
    if name == SERVER:
        return SERVER
    if name in TEMPLATES:
        return TEMPLATES[name]
    row = await services.database.read(presets.find, presets.INSTRUCT, name)
    around = await services.database.read(presets.find, presets.CONTEXT, name)
    return read_template(row[1], around[1] if around is not None else {}) if row else None


class _Around(Struct, frozen=True):
    """The fields of a stored context preset."""

    before: str = ""
    after: str = ""
    chat_start: str = ""


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
