"""The settings of a story or a model: sampler settings, lengths, banned phrases, and which values they take. Pure.

Names are those of OpenAI and llama.cpp; how a server calls them is known where it is spoken to. Those in
``OURS`` are no model's: they say how a prompt is made or a reply is read.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping

from flower.errors import CommandError

LORE_TOKENS = "lore_tokens"  # what lorebooks and recalled lore may have of a prompt
LORE_RULES = "lore_rules"  # whose rules lorebooks fire by where programs differ
REPLY_TOKENS = "max_tokens"  # the longest reply; of the request itself, not among its parameters
CONTEXT_TOKENS = "context_tokens"
BANNED = "banned_phrases"
TEMPLATE = "template"  # how prompts are written for a server that completes text
OURS = frozenset({LORE_TOKENS, LORE_RULES, REPLY_TOKENS, CONTEXT_TOKENS, BANNED, TEMPLATE})

# With the least and the most that makes sense.
RANGES: dict[str, tuple[float, float]] = {
    REPLY_TOKENS: (16, 100_000),
    CONTEXT_TOKENS: (512, 2_000_000),
    LORE_TOKENS: (0, 100_000),
    "temperature": (0, 5),
    "top_p": (0, 1),
    "top_k": (0, 1000),
    "top_a": (0, 1),
    "min_p": (0, 1),
    "typical_p": (0, 1),
    "top_n_sigma": (-1, 10),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "repetition_penalty": (0, 3),
    "repeat_penalty": (0, 3),
    "repeat_last_n": (-1, 1_000_000),
    "seed": (-1, 2**63 - 1),
    "dry_multiplier": (0, 10),
    "dry_base": (1, 10),
    "dry_allowed_length": (0, 1000),
    "dry_penalty_last_n": (-1, 1_000_000),
    "xtc_probability": (0, 1),
    "xtc_threshold": (0, 1),
    "dynatemp_range": (0, 5),
    "dynatemp_exponent": (0, 10),
    "smoothing_factor": (0, 10),
    "mirostat": (0, 2),
    "mirostat_tau": (0, 20),
    "mirostat_eta": (0, 1),
}
WORDS = {
    "reasoning_effort": ("none", "minimal", "low", "medium", "high"),
    LORE_RULES: ("flower", "sillytavern"),
}
LISTS = ("stop", BANNED)
NAMES = (*RANGES, *WORDS, *LISTS, TEMPLATE)
WHOLE = frozenset(
    {REPLY_TOKENS, CONTEXT_TOKENS, LORE_TOKENS, "top_k", "seed", "repeat_last_n", "mirostat"}
    | {"dry_allowed_length", "dry_penalty_last_n"}
)

LIST_ITEMS = 64
ITEM_CHARS = 120
NAME_CHARS = 80  # of a template or a preset
_OFF = ("off", "default", "none")


def parsed(argument: str) -> tuple[str, object]:
    """Returns name and value in ``NAME VALUE``; the value None takes the setting back.

    Raises ``CommandError`` that says which names or values there are.
    """
    name, _, text = argument.partition(" ")
    name, text = name.lower(), text.strip()
    if name not in NAMES:
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"Did you mean {close[0]}?" if close else "There is: " + ", ".join(NAMES) + "."
        raise CommandError(f"There is no setting {name!r}. {hint}")
    if text.lower() in _OFF and (name not in WORDS or text.lower() == "off"):
        return name, None
    value: object = text
    if name in LISTS:
        value = [part.strip() for part in text.split("|") if part.strip()]
    checked = checked_value(name, value)
    if checked is None:
        raise CommandError(f"{name} takes {expectation(name)}, or off.")
    return name, checked


def checked_value(name: str, value: object) -> object | None:
    """Returns the value as a setting has it, None if it is none that the setting takes."""
    if name in LISTS:
        return _list(value)
    if name in WORDS:
        return value if value in WORDS[name] else None
    if name == TEMPLATE:
        return value if isinstance(value, str) and 0 < len(value) <= NAME_CHARS else None
    return _number(name, value)


def _list(value: object) -> list[str] | None:
    if not isinstance(value, list) or not 0 < len(value) <= LIST_ITEMS:
        return None
    good = all(isinstance(item, str) and 0 < len(item) <= ITEM_CHARS for item in value)
    return list(dict.fromkeys(value)) if good else None


def _number(name: str, value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = int(value) if name in WHOLE else float(value)
    except (ValueError, OverflowError):
        return None
    least, most = RANGES.get(name, (0, -1))
    return number if least <= number <= most else None


def expectation(name: str) -> str:
    """Returns in words what a setting takes."""
    if name in LISTS:
        return f"up to {LIST_ITEMS} phrases of {ITEM_CHARS} characters with | between them, like a shiver | barely"
    if name in WORDS:
        return f"one of {', '.join(WORDS[name])}"
    if name == TEMPLATE:
        return "the name of a template"
    least, most = RANGES[name]
    return f"a {'whole ' if name in WHOLE else ''}number from {least} to {most}"


def checked(values: Mapping[str, object]) -> dict[str, object]:
    """Returns what of some settings is known and takes its value; the rest is left out."""
    return {
        name: good
        for name, value in values.items()
        if name in NAMES and (good := checked_value(name, value)) is not None
    }


def value_text(value: object) -> str:
    """Returns a value as people read it."""
    if isinstance(value, list):
        return " | ".join(str(item) for item in value)
    return "off" if value is None else json.dumps(value, ensure_ascii=False)
