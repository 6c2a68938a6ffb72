"""A prompt as a text that goes on, for models that follow no instructions. Pure.

A base model goes on with whatever it reads. Read rules and headings, and it writes rules and headings; so it is
given a story: who and where, what is known as plain sentences, the player's lines after ``>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from flower.engine.prompt.assemble import OPENING, PLAYERS_WORDS, Section
from flower.engine.prompt.sections import (
    CHARACTER_HEAD,
    LORE_KIND,
    MEMORY_KIND,
    PRIVATE_KIND,
    RECALLED_HEAD,
    SCENARIO_HEAD,
    SCENE_HEAD,
)
from flower.engine.provider.base import PromptMessage

BREAK = "* * *"
# Sections that say how to narrate: of no use to a model that follows none.
_INSTRUCTIONS = frozenset({"base rules", "content", "rule", "examples", "state updates"})
_HEADS = (SCENE_HEAD, SCENARIO_HEAD)
_KINDS = {f"- {LORE_KIND}": "", f"- {PRIVATE_KIND}": "", f"- {MEMORY_KIND}": "Earlier: "}


class StoryText(Struct, frozen=True):
    """A prompt that can be had as a story; a value, as requests are compared with what was prepared for them."""

    sections: tuple[Section, ...]  # of the system message
    messages: tuple[PromptMessage, ...]

    def __call__(self) -> str:
        """Returns the story so far, which ends where the reply begins."""
        return as_story(premise(self.sections), self.messages)


def premise(sections: Iterable[Section]) -> str:
    """Returns what the system message tells of the story, without what it asks of the narrator."""
    texts = [_premise_of(section) for section in sections if section.name not in _INSTRUCTIONS]
    return "\n\n".join(text for text in texts if text)


def as_story(premise: str, messages: Sequence[PromptMessage]) -> str:
    """Returns the prompt as a story that ends where the reply begins; a reply so far at its end stays open."""
    parts = [premise, BREAK] if premise else []
    for message in messages:
        content = message.content.strip()
        if message.role == "assistant":
            parts.append(content)
        elif message.role == "user" and content != OPENING:
            notes, marked, words = content.rpartition(f"{PLAYERS_WORDS}\n\n")
            parts += _facts(notes) if marked else ()
            parts.append(f"> {words}")
    ends = "" if messages and messages[-1].role == "assistant" else "\n\n"
    return "\n\n".join(parts) + ends


def _premise_of(section: Section) -> str:
    text = section.text.strip()
    match section.name:
        case "world":  # what follows its name is how to tell it
            return text.partition("\n")[0]
        case "character":
            head, _, who = text.partition("\n")
            return who if head.startswith(CHARACTER_HEAD) else text
        case _:
            head = next((head for head in _HEADS if text.startswith(head)), "")
            return text.removeprefix(head).strip()


def _facts(notes: str) -> list[str]:
    """Returns what is known at a line, without the words that say what kind of note it is."""
    lines = [_fact(line) for line in notes.strip().splitlines() if line != RECALLED_HEAD]
    text = "\n".join(lines).strip()
    return [text] if text else []


def _fact(line: str) -> str:
    for kind, instead in _KINDS.items():
        rest = line.removeprefix(kind)
        if rest != line and rest.startswith((": ", " (")):
            return instead + rest.partition(": " if rest.startswith(": ") else "): ")[2]
    return line
