"""Prompts as text for one endpoint: with which template, and what the server's own chat template makes of one.

Owns the chat templates that servers have named, per model. A template that cannot be used costs nothing but a
sentence: the server writes the prompt then, as it would have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import Completion, Template
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.instruct import (
    BASE,
    SERVER,
    TEMPLATES,
    as_text,
    base_remark,
    is_base,
    with_prompt,
)
from flower.engine.provider.story_text import QUOTED


class ChatFormat(Struct, frozen=True):
    """What a server says of its model: the source of its chat template, "" if none, and special tokens."""

    source: str = ""
    bos: str = ""
    eos: str = ""


class TextPrompts:
    """Writes prompts as text where somebody wants that. ``ask`` asks the server for its model's format."""

    def __init__(self, endpoint: Endpoint, ask: Callable[[], Awaitable[ChatFormat]]) -> None:
        self._endpoint = endpoint
        self._ask = ask
        self._formats: dict[str, ChatFormat] = {}
        self._trouble: dict[str, str] = {}  # by model, why its chat template is not used

    def template(self, model: str, wanted: Template | str | None) -> Template | str | None:
        """Returns how to write prompts for ``model``: a template, "server" for the server's own, None: not as text.

        The story says so, or the settings do, or the name says that it is a base model of a server of one's own.
        """
        if wanted is not None:
            return wanted
        for patch in self._endpoint.patch:
            if patch.template and patch.fits(model):
                return SERVER if patch.template == SERVER else TEMPLATES.get(patch.template)
        return TEMPLATES[BASE] if self._endpoint.own and is_base(model) else None

    async def body(self, body: dict[str, Any], completion: Completion) -> dict[str, Any] | None:
        """Returns a chat request as one for a completion of text; None: the server is to write the prompt.

        Raises ``ProviderError`` when the server cannot be asked.
        """
        template = self.template(completion.model, completion.template)
        if template is TEMPLATES[BASE] and completion.story is not None:
            return with_prompt(body, completion.story(), template.stop)
        if isinstance(template, Template):
            return as_text(body, completion.messages, template)
        if template != SERVER:
            return None
        text = await self._written(completion)
        return with_prompt(body, text) if text else None

    def marks(self, completion: Completion) -> tuple[str, ...]:
        """Returns what a reply may begin with that is the prompt's and not the story's."""
        base = self.template(completion.model, completion.template) is TEMPLATES[BASE]
        return (QUOTED,) if base else ()

    def remarks(self, model: str) -> tuple[str, ...]:
        """Returns what the player should know about how prompts for a model are written."""
        base = (base_remark(model),) if self._endpoint.own and is_base(model) else ()
        trouble = self._trouble.get(model)
        return (*base, trouble) if trouble else base

    async def _written(self, completion: Completion) -> str:
        from flower.engine.provider.chat_template import ChatTemplateError, render_chat

        model = completion.model
        if model not in self._formats:
            while len(self._formats) >= limits.GATES:
                del self._formats[next(iter(self._formats))]
            self._formats[model] = await self._ask()
        known = self._formats[model]
        if not known.source:
            return self._fails(model, "the server tells none")
        tokens = {"bos_token": known.bos, "eos_token": known.eos}
        try:
            text = await trio.to_thread.run_sync(render_chat, known.source, completion.messages, tokens)
        except ChatTemplateError as error:
            return self._fails(model, str(error))
        self._trouble.pop(model, None)
        return text.removeprefix(known.bos)  # the server puts it there itself

    def _fails(self, model: str, why: str) -> str:
        if len(self._trouble) < limits.GATES:
            self._trouble[model] = (
                f"The chat template of {model} cannot be used here ({why}); {self._endpoint.name} writes the prompt."
            )
        return ""
