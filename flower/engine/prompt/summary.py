"""What a summary of the older story is made from, and how the offline narrator makes one. Pure.

A summary covers the story from its beginning to one message. It is made ahead of time: it covers what
the next trim of the history would leave out, so that at the trim the story goes on without a gap.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flower.engine.prompt.assemble import Line
from flower.engine.prompt.tokens import MESSAGE_TOKENS, TokenCounter
from flower.engine.provider.base import ChatMessage

MIN_NEW_LINES = 4  # fewer are not worth a call of the model
FILLED_SHARE = 0.75  # of the history's room; before that no trim is near
KEPT_SHARE = 0.5  # of the room stays uncovered: a summary reaches further than the next trim must
SUMMARY_WORDS = 220
LINE_CHARS = 1500  # of one message, as the summariser sees it
EXTRACT_CHARS = 1400
SENTENCE_CHARS = 160

TASK = (
    "You keep the record of a story that is being played. Write down what matters later: who was met, what"
    " was promised, given, lost, learned and decided, where everyone is, what is unresolved. Past tense,"
    f" plain sentences, at most {SUMMARY_WORDS} words, no headings, nothing that did not happen."
)


def lines_to_cover(lines: Sequence[Line], room: int, counter: TokenCounter) -> int:
    """Returns how many of the oldest lines a summary should cover now; 0 while no trim is near."""
    sizes = [
        counter.count(line.content) + counter.count(line.recalled) + MESSAGE_TOKENS for line in lines
    ]
    if sum(sizes) < room * FILLED_SHARE:
        return 0
    kept = 0
    for index in range(len(lines) - 1, -1, -1):
        kept += sizes[index]
        if kept > room * KEPT_SHARE:
            return index + 1
    return 0


def summary_prompt(before: str, lines: Sequence[Line]) -> tuple[ChatMessage, ...]:
    """Returns the messages that ask a model to bring the record up to date."""
    told = "\n\n".join(
        f"{'The player' if line.role == 'user' else 'The narrator'}: {line.content[:LINE_CHARS]}"
        for line in lines
    )
    record = f"The record so far:\n{before}\n\n" if before else ""
    ask = f"{record}What happened since:\n{told}\n\nWrite the whole record anew."
    return (ChatMessage("system", TASK), ChatMessage("user", ask))


def extract(before: str, lines: Sequence[Line]) -> str:
    """Returns a summary made of what stands there: each line and the first sentence of its reply.

    For narrators that cannot summarise. The newest part is kept when all of it is too long.
    """
    parts = [before] if before else []
    for line in lines:
        sentence = _first_sentence(line.content)
        if sentence:
            parts.append(f"The player: {sentence}" if line.role == "user" else sentence)
    text = "\n".join(parts)
    if len(text) <= EXTRACT_CHARS:
        return text
    return "…" + text[-EXTRACT_CHARS:].partition("\n")[2]


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    found = re.match(r".+?[.!?…][\"”’)]*(?=\s|$)", flat)
    sentence = found.group() if found else flat
    return (
        sentence if len(sentence) <= SENTENCE_CHARS else sentence[: SENTENCE_CHARS - 1].rstrip() + "…"
    )
