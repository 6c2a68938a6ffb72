"""Prompts as plain text: for models without a chat template, and for servers that only complete text.

A table of templates, which of them an endpoint gets for a model, and what the server's own chat template makes of a
prompt. The formats are those of the model cards of Qwen (ChatML), Llama 3, Mistral, Gemma, Alpaca and Vicuna.
``plain`` is for base models, which follow no instructions: the story as it would be in a book of play, and its
continuation is the reply.

Owns the chat templates that servers have named, per model. A template that cannot be used costs nothing but a
sentence: the server writes the prompt then, as it would have.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio
from msgspec import Struct

from flower import limits
from flower.engine.provider.base import Completion, PromptMessage, Template
from flower.engine.provider.endpoint import Endpoint

TEMPLATES: dict[str, Template] = {
    "chatml": Template(
        ("<|im_start|>user\n", "<|im_end|>\n"),
        ("<|im_start|>assistant\n", "<|im_end|>\n"),
        ("<|im_start|>system\n", "<|im_end|>\n"),
        ("<|im_end|>", "<|im_start|>"),
    ),
    "llama3": Template(
        ("<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|eot_id|>", "<|start_header_id|>"),
    ),
    "mistral": Template(("[INST] ", " [/INST]"), (" ", "</s>"), stop=("</s>", "[INST]")),
    "gemma": Template(
        ("<start_of_turn>user\n", "<end_of_turn>\n"),
        ("<start_of_turn>model\n", "<end_of_turn>\n"),
        stop=("<end_of_turn>", "<start_of_turn>"),
    ),
    "alpaca": Template(
        ("### Instruction:\n", "\n\n"),
        ("### Response:\n", "\n\n"),
        ("", "\n\n"),
        ("### Instruction:", "### Response:"),
    ),
    "vicuna": Template(("USER: ", "\n"), ("ASSISTANT: ", "</s>\n"), ("", "\n\n"), ("</s>", "USER:")),
    "plain": Template(("\n> ", "\n\n"), ("", "\n"), ("", "\n\n* * *\n"), ("\n> ", "\n* * *")),
}
BASE = "plain"
QUOTED = ">"  # before the player's lines, in a prompt that is a text to go on with
SERVER = "server"  # the chat template that the server itself would use
BASE_NOTE = "base model: completes text, follows no instructions"

_BASE_NAME = re.compile(r"(?:^|[-_./ ])(?:base|pt|pretrain|pretrained)(?:$|[-_./: ])", re.IGNORECASE)
_TUNED_NAME = re.compile(
    r"(?:^|[-_./ ])(?:it|instruct|chat|rp|assistant)(?:$|[-_./: \d])", re.IGNORECASE
)


def is_base(model: str) -> bool:
    """Returns whether a model's name says that it only completes text."""
    return _BASE_NAME.search(model) is not None and _TUNED_NAME.search(model) is None


def is_tuned(model: str) -> bool:
    """Returns whether a model's name says that it follows instructions."""
    return _TUNED_NAME.search(model) is not None


def base_remark(model: str) -> str:
    """Returns what a player should know about a base model."""
    return (
        f"{model} is a base model: it goes on with texts and follows no instructions. It gets the story as plain "
        "text; a model whose name says it, instruct or chat tells better."
    )


def render(messages: Sequence[PromptMessage], template: Template) -> str:
    """Returns the messages as text that ends where the reply begins.

    An assistant's message at the end stays open: the reply goes on in it.
    """
    text, waiting = template.start, ""
    for number, message in enumerate(messages):
        last = number == len(messages) - 1
        content = message.content.strip()
        if message.role == "system" and template.system is None:
            waiting += f"{content}\n\n"
            continue
        before, after = _around(message, template)
        text += f"{before}{waiting if message.role == 'user' else ''}{content}"
        waiting = "" if message.role == "user" else waiting
        text += "" if last and message.role == "assistant" else after
    if waiting:  # nothing but system text
        text += f"{template.user[0]}{waiting.rstrip()}{template.user[1]}"
    if messages and messages[-1].role == "assistant":
        return text
    return (text + (template.reply or template.assistant[0])).rstrip(
        " "
    )  # models trained without a blank start badly after one


def _around(message: PromptMessage, template: Template) -> tuple[str, str]:
    match message.role:
        case "system" if template.system is not None:
            return template.system
        case "assistant":
            return template.assistant
        case _:
            return template.user


def as_text(
    body: Mapping[str, Any], messages: Sequence[PromptMessage], template: Template
) -> dict[str, Any]:
    """Returns a chat request as one for a completion of text; the template's ends are added to ``stop``."""
    return with_prompt(body, render(messages, template), template.stop)


def with_prompt(body: Mapping[str, Any], prompt: str, stop: Sequence[str] = ()) -> dict[str, Any]:
    """Returns a chat request with a text in the place of its messages; ``stop`` is added to what ends it."""
    stop_before = body.get("stop") or ()
    stops = [stop_before] if isinstance(stop_before, str) else list(stop_before)
    rest = {name: value for name, value in body.items() if name not in _CHAT_ONLY}
    stops = list(dict.fromkeys([*stops, *stop]))
    return {**rest, "prompt": prompt, **({"stop": stops} if stops else {})}


_CHAT_ONLY = frozenset(
    {"messages", "chat_template_kwargs", "reasoning_effort", "reasoning"}
    | {"continue_final_message", "add_generation_prompt", "continue_assistant_turn", "response_prefix"}
)


# --- Which of them an endpoint gets --------------------------------------------------------------


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
        self._problems: dict[str, str] = {}  # by model, why its chat template is not used

    def template(self, model: str, own: Template | str | None) -> Template | str | None:
        """Returns how to write prompts for ``model``: a template, "server" for the server's own, None: not as text.

        The story says so, or the settings do, or the name says that it is a base model of a server of one's own.
        """
        if own is not None:
            return own
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
        problem = self._problems.get(model)
        return (*base, problem) if problem else base

    async def _written(self, completion: Completion) -> str:
        from flower.engine.provider.chat_template import ChatTemplateError, render_chat

        model = completion.model
        if model not in self._formats:
            while len(self._formats) >= limits.GATES:
                del self._formats[next(iter(self._formats))]
            self._formats[model] = await self._ask()
        chat_format = self._formats[model]
        if not chat_format.source:
            return self._fails(model, "the server tells none")
        tokens = {"bos_token": chat_format.bos, "eos_token": chat_format.eos}
        try:
            text = await trio.to_thread.run_sync(
                render_chat, chat_format.source, completion.messages, tokens
            )
        except ChatTemplateError as error:
            return self._fails(model, str(error))
        self._problems.pop(model, None)
        return text.removeprefix(chat_format.bos)  # the server puts it there itself

    def _fails(self, model: str, why: str) -> str:
        if len(self._problems) < limits.GATES:
            self._problems[model] = (
                f"The chat template of {model} cannot be used here ({why}); {self._endpoint.name} writes the prompt."
            )
        return ""
