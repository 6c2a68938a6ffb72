"""What a summary of the older story is made from, and how one is made without a model. Pure.

A summary covers the story from its beginning to one message. It is made ahead of time: it covers what
the next trim of the history would leave out, so that at the trim the story goes on without a gap.
"""

from __future__ import annotations

from collections.abc import Sequence

from flower.engine.prompt.assemble import PromptLine, Section, is_filling
from flower.engine.provider.base import PromptMessage
from flower.engine.token_counter import MESSAGE_TOKENS, TokenCounter
from flower.text import first_sentence

MIN_NEW_LINES = 4  # fewer are not worth a call of the model
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
OWN_TASK = (
    "You keep the record of a story that is being played. {asked}. Write only the record, at most"
    f" {SUMMARY_WORDS} words, and nothing that did not happen."
)


def summary_section(text: str, last_id: int) -> Section:
    """Returns what happened before the history begins, as the last part of the system message."""
    return Section("summary", f"up to message {last_id}", f"What happened before:\n{text}", 40)


def lines_to_cover(lines: Sequence[PromptLine], room: int, counter: TokenCounter) -> int:
    """Returns how many of the oldest lines a summary should cover now; 0 while no trim is near."""
    sizes = [
        counter.count(line.content) + counter.count(line.recalled) + MESSAGE_TOKENS for line in lines
    ]
    if not is_filling(sum(sizes), room):
        return 0
    uncovered = 0
    for index in reversed(range(len(lines))):
        uncovered += sizes[index]
        if uncovered > room * KEPT_SHARE:
            return index + 1
    return 0


def summary_prompt(
    before: str, lines: Sequence[PromptLine], own_task: str = ""
) -> tuple[PromptMessage, ...]:
    """Returns the messages that ask a model to bring the record up to date.

    ``own_task``: how to write it, in the player's own words, instead of ours.
    """
    task = OWN_TASK.format(asked=own_task.rstrip(". ")) if own_task else TASK
    story = "\n\n".join(
        f"{'The player' if line.role == 'user' else 'The narrator'}: {line.content[:LINE_CHARS]}"
        for line in lines
    )
    record = f"The record so far:\n{before}\n\n" if before else ""
    ask = f"{record}What happened since:\n{story}\n\nWrite the whole record anew."
    return (PromptMessage("system", task), PromptMessage("user", ask))


def extract(before: str, lines: Sequence[PromptLine]) -> str:
    """Returns a summary made of what is there: each line and the first sentence of its reply.

    For narrators that cannot summarise. The newest part is kept when all of it is too long.
    """
    parts = [before] if before else []
    for line in lines:
        sentence = first_sentence(line.content, SENTENCE_CHARS)
        if sentence:
            parts.append(f"The player: {sentence}" if line.role == "user" else sentence)
    text = "\n".join(parts)
    if len(text) <= EXTRACT_CHARS:
        return text
    return "…" + text[-EXTRACT_CHARS:].partition("\n")[2]
