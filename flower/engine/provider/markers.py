"""The marks that models and chat templates put around thinking, turns and replies.

Pure: one table, and the scanner that finds its entries in text that comes in pieces. Marks are found in
any case and with blanks inside, because models write them from memory. Sources: the chat templates of
DeepSeek R1, Qwen 3, Magistral, Kimi, Command A, gpt-oss (OpenAI's harmony format), Gemma, Llama 3, Mistral,
Phi, GLM and Zephyr, as their model cards publish them.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

from msgspec import Struct

BLANKS = 8  # white space inside one mark; more of it is text


class MarkKind(Enum):
    """What a mark means for the reply it is in."""

    OPEN = "thinking begins"
    CLOSE = "thinking ends"
    END = "the reply is over"
    DROP = "nothing; not for eyes"
    STRIKE = "BOS of some templates, and HTML's struck text"


class Mark(Struct, frozen=True):
    """A mark found in a text: where, how long, and what it means. ``MarkKind`` None: it may yet become one."""

    start: int
    end: int
    kind: MarkKind | None


_TAGS = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think", "antml:thinking")
_CHANNEL_FINAL = "<|channel|>final<|message|>"
_TURN = "<|start|>assistant"

TABLE: dict[MarkKind, tuple[str, ...]] = {
    MarkKind.OPEN: (
        *(f"<{tag}>" for tag in _TAGS),
        *(f"<|{tag}|>" for tag in ("think", "thinking", "thought", "reasoning")),
        "[think]",
        "[thinking]",
        "◁think▷",
        "<|begin_of_thought|>",
        "<|start_thinking|>",
        "<|channel>thought",
        "<|channel|>thought<|message|>",
        "<|channel|>analysis<|message|>",
        "<|channel|>commentary<|message|>",
    ),
    MarkKind.CLOSE: (
        *(f"</{tag}>" for tag in _TAGS),
        *(f"<|/{tag}|>" for tag in ("think", "thinking", "thought", "reasoning")),
        "[/think]",
        "[/thinking]",
        "◁/think▷",
        "<|end_of_thought|>",
        "<|end_thinking|>",
        "<channel|>",
        _CHANNEL_FINAL,
        _TURN + _CHANNEL_FINAL,
        "<|end|>" + _TURN + _CHANNEL_FINAL,
    ),
    MarkKind.END: (
        "<|im_end|>",
        "<|im_start|>",
        "<|im_sep|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|eot|>",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<|end_of_turn|>",
        "<|end_of_turn_token|>",
        "<|start_of_turn_token|>",
        "<|start_header_id|>",
        "<|end|>",
        "<|return|>",
        "<|call|>",
        "<|user|>",
        "<|assistant|>",
        "<|system|>",
        "<|begin_of_text|>",
        "<start_of_turn>",
        "<end_of_turn>",
        "<|turn>",
        "<turn|>",
        "<eos>",
        "</s>",
        "[inst]",
        "[/inst]",
        "<｜end▁of▁sentence｜>",
        "<｜user｜>",
        "<｜assistant｜>",
    ),
    MarkKind.DROP: (
        "<bos>",
        "<|im_start|>assistant",
        "<|start_header_id|>assistant<|end_header_id|>",
        "<start_of_turn>model",
        "<|turn>model",
        "<|start|>",
        _TURN,
        "<|message|>",
        "<|begin_of_solution|>",
        "<|end_of_solution|>",
        "<|start_response|>",
        "<|end_response|>",
        "<｜begin▁of▁sentence｜>",
    ),
    MarkKind.STRIKE: ("<s>",),
}

_BEGINS = re.compile(r"[<\[◁]")
_KIND = ""  # the key of a mark's kind in the node where it ends


def _trie() -> dict[str, Any]:
    root: dict[str, Any] = {}
    for kind, marks in TABLE.items():
        for mark in marks:
            node = root
            for character in mark:
                node = node.setdefault(character, {})
            node[_KIND] = kind
    return root


_ROOT = _trie()


def may_begin(text: str) -> bool:
    """Returns whether ``text`` holds a character with which a mark can begin."""
    return _BEGINS.search(text) is not None


def find(text: str, *, final: bool = False) -> Mark | None:
    """Returns the first mark in ``text``, the longest where several begin; None when there is none.

    A mark that the end of the text cuts off has no kind yet, unless the text is ``final``.
    """
    for place in _BEGINS.finditer(text):
        mark = _match(text, place.start(), final=final)
        if mark is not None:
            return mark
    return None


def _match(text: str, start: int, *, final: bool) -> Mark | None:
    node, blanks, found = _ROOT, 0, None
    for at in range(start, len(text)):
        character = text[at]
        if character.isspace() and at > start:
            blanks += 1
            if blanks > BLANKS:
                return found
            continue
        node = node.get(character.lower(), {})
        if not node:
            return found
        if _KIND in node:
            found = Mark(start, at + 1, node[_KIND])
            if len(node) == 1:
                return found
    return found if final else Mark(start, len(text), None)
