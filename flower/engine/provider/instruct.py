"""A prompt as plain text: for models without a chat template, and for servers that only complete text.

Pure: a table of templates and what follows from one. The formats are those of the model cards of Qwen
(ChatML), Llama 3, Mistral, Gemma, Alpaca and Vicuna. ``plain`` is for base models, which follow no
instructions: the story as it would stand in a book of play, and its continuation is the reply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flower.engine.provider.base import ChatMessage, Template

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
    """Returns what a player is told about a base model."""
    return (
        f"{model} is a base model: it goes on with texts and follows no instructions. It gets the story as plain "
        "text; a model whose name says it, instruct or chat tells better."
    )


def render(messages: Sequence[ChatMessage], template: Template) -> str:
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


def _around(message: ChatMessage, template: Template) -> tuple[str, str]:
    match message.role:
        case "system" if template.system is not None:
            return template.system
        case "assistant":
            return template.assistant
        case _:
            return template.user


def as_text(
    body: Mapping[str, Any], messages: Sequence[ChatMessage], template: Template
) -> dict[str, Any]:
    """Returns a chat request as one for a completion of text; the template's ends are added to ``stop``."""
    return with_prompt(body, render(messages, template), template.stop)


def with_prompt(body: Mapping[str, Any], prompt: str, stop: Sequence[str] = ()) -> dict[str, Any]:
    """Returns a chat request with a text in the place of its messages; ``stop`` is added to what ends it."""
    asked = body.get("stop") or ()
    stops = [asked] if isinstance(asked, str) else list(asked)
    rest = {name: value for name, value in body.items() if name not in _CHAT_ONLY}
    stops = list(dict.fromkeys([*stops, *stop]))
    return {**rest, "prompt": prompt, **({"stop": stops} if stops else {})}


_CHAT_ONLY = frozenset(
    {"messages", "chat_template_kwargs", "reasoning_effort", "reasoning"}
    | {"continue_final_message", "add_generation_prompt", "continue_assistant_turn", "response_prefix"}
)
