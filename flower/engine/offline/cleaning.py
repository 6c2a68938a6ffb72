"""A line as a person types it, made readable: one space, no marks, stage directions as acts. Pure."""

from __future__ import annotations

import re

from flower import limits
from flower.engine.offline.grammar import base_verb
from flower.engine.offline.tables import word_list

# "Wait, do I have the letter?": not an order to wait.
_HESITATES = re.compile(
    r"^(?:(?:wait|hold on|hang on|hm+|um+|uh+|erm?|oh|ah|right)\b[,.!\u2026]+\s+)+(?=\w)", re.IGNORECASE
)


def clean(line: str) -> str:
    """Returns the line as it is read, at most ``OFFLINE_READ_CHARS`` characters long."""
    line = "".join(char if char.isprintable() else " " for char in line).replace("\u2019", "'")
    line = _stage_directions(line)
    line = re.sub(r"[*_`#>]+", " ", line)
    line = re.sub(r"\s+", " ", line).strip()
    line = _HESITATES.sub("", line) or line
    if len(line) > limits.OFFLINE_READ_CHARS:
        line = line[: limits.OFFLINE_READ_CHARS].rsplit(" ", 1)[0]
    return line


def _stage_directions(line: str) -> str:
    """Returns ``*smiles* Come in.`` as an act and words aloud; a line without directions as it is."""
    if line.count("*") < 2 or "**" in line or '"' in line or "\u201c" in line:
        return line
    parts = line.split("*")[: 2 * (line.count("*") // 2) + 1]
    acts = [part.strip() for part in parts[1::2] if part.strip()]
    aloud = " ".join(part.strip() for part in parts[0::2] if part.strip())
    if not acts or len(aloud) > limits.OFFLINE_READ_CHARS:
        return line
    done = ". ".join(_in_first_person(act) for act in acts).rstrip(".") + "."
    return f'{done} "{aloud}"' if aloud else done


def _in_first_person(act: str) -> str:
    """Returns ``smiles at her`` as ``I smile at her``."""
    first, _, rest = act.partition(" ")
    if first.casefold() in ("i", "we", "the", "a", "my", "his", "her"):
        return act
    rest = re.sub(r"\band ([a-z]+s)\b", lambda found: f"and {base_verb(found.group(1))}", rest)
    return f"I {base_verb(first.lower())} {rest}".strip()


def in_another_language(line: str) -> bool:
    """Whether a line has the small words of another European language, and more of them than English ones."""
    words = re.findall(r"[^\W\d_]+", line.casefold())
    theirs = sum(word in word_list("foreign_words") for word in words)
    ours = sum(word in word_list("stop_words") for word in words)
    return theirs >= 2 and theirs > ours
