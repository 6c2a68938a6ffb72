"""Evenings with the offline narrator in the shipped worlds, without an engine: recall is by shared words.

``play`` returns the replies; ``shape`` what a sentence is when names and the player's words are taken out of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

import flower
from flower.engine.offline.grammar import sentences, stems
from flower.engine.offline.provider import reply
from flower.engine.provider.base import Completion, Cue, PromptMessage
from flower.engine.recall.chunking import chunk

ASSETS = Path(flower.__file__).parent / "assets"
WORLDS = ("orrinsay", "kessel", "patience")
RECALLED = 6  # passages of lore with each line
SHAPE_WORDS = 4  # a sentence with fewer is a nod, not a turn of phrase


@cache
def world(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ASSETS / "worlds" / f"{name}.yaml").read_text("utf-8"))
    return loaded


@cache
def passages(name: str) -> tuple[str, ...]:
    return tuple(f"## {one.title}\n\n{one.text}" for one in chunk(world(name)["lore"]))


def recalled(name: str, line: str) -> tuple[str, ...]:
    """Returns the passages that share most words with a line, secret ones like all others."""
    wanted = stems(line)
    return tuple(sorted(passages(name), key=lambda one: -len(wanted & stems(one)))[:RECALLED])


def play(
    name: str,
    lines: Sequence[str],
    *,
    earlier: Sequence[str] = (),
    seed: int = 11,
    begun: Mapping[int, str] | None = None,
    **cue: Any,
) -> list[str]:
    """Returns the replies to lines in a world; ``earlier`` are replies in other stories, newest first.

    ``begun``: replies, by the number of their line, that were cut off and are to be continued.
    """
    story = [PromptMessage("assistant", world(name)["start_message"].strip())]
    replies = []
    for turn, line in enumerate(lines):
        moment = Cue(
            line=line,
            world=world(name)["name"],
            scene=world(name)["scene"],
            lore=recalled(name, line),
            world_lore=world(name)["lore"],
            story=(*story, PromptMessage("user", line)),
            turn_number=turn,
            seed=seed,
            earlier=tuple(earlier),
            begun=(begun or {}).get(turn, ""),
            **cue,
        )
        text = reply(Completion("narrator", moment.story, 800, 8192, cue=moment))
        story += [PromptMessage("user", line), PromptMessage("assistant", text)]
        replies.append(text)
    return replies


def shapes(name: str, lines: Sequence[str], replies: Sequence[str]) -> list[str]:
    """Returns the shapes of all sentences of an evening that the narrator made, in order."""
    told = " ".join(world(name)["lore"].split()).replace('"', "'") + world(name)["start_message"]
    found = []
    for line, text in zip(lines, replies, strict=True):
        for sentence in sentences(text.replace("\n\n", " ")):
            bare = sentence.strip(" \"'.!?")
            if bare in told or len(bare.split()) < SHAPE_WORDS or bare.startswith("["):
                continue
            found.append(shape(sentence, line))
    return found


_WORD = re.compile(r"[A-Za-z][\w'\u2019-]*")
_PRONOUN = frozenset(["she", "he", "they", "her", "him", "them", "his", "hers", "their", "theirs"])


def shape(sentence: str, line: str) -> str:
    """Returns a sentence in small letters with a blank for names, pronouns and what the line said."""
    said = stems(line)
    words = []
    for match in _WORD.finditer(sentence):
        word = match.group()
        name = word[0].isupper() and match.start() > 1
        blank = name or word.casefold() in _PRONOUN or bool(stems(word) & said)
        if not blank:
            words.append(word.casefold())
        elif not words or words[-1] != "_":
            words.append("_")
    return " ".join(words)
