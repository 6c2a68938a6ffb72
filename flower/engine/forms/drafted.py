"""A character out of what a model wrote when it was asked for one. Pure.

Models are asked for lines with labels, and give JSON, headings, bold labels, lists, or a plain paragraph. Whatever of
it is recognised goes into its field, the rest is who the character is. Every text is read once, line by line.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from flower import limits
from flower.engine.forms import specs
from flower.engine.forms.values import value_of
from flower.settings import validators
from flower.text import sanitize

MOST_CHARS = 16_000  # read of what a model wrote
LABEL_CHARS = 40  # a longer beginning of a line is no label
FIELDS: Mapping[str, str] = {
    "name": "name", "full name": "name", "persona": "persona", "description": "persona", "personality": "persona",
    "appearance": "persona", "character": "persona", "background": "persona", "pronouns": "pronouns",
    "greeting": "greeting", "first message": "greeting", "first mes": "greeting", "opening": "greeting",
    "scenario": "scenario", "scene": "scenario", "setting": "scenario", "example dialogue": "example_dialogue",
    "example dialog": "example_dialogue", "examples": "example_dialogue", "mes example": "example_dialogue",
    "tags": "tags",
}  # fmt: skip
_MARKS = "#*_>-•`\"' \t0123456789."  # around a label, and before it
ASK = (
    "Write a character for a story game. The idea: {idea}\n\n"
    "Answer with these parts and nothing else, each behind its label on a line of its own:\n"
    "Name: what the character is called\n"
    "Pronouns: she, he, they or it\n"
    "Persona: looks, ways, wishes, a flaw, how they speak; 80 to 150 words\n"
    "Scenario: where the player meets them; one or two sentences\n"
    "Greeting: the first message of the story, told in the third person, with something said; ends with a chance to"
    " act\n"
    "Tags: three to five words with commas between them"
)


def parsed(text: str, idea: str) -> dict[str, str]:
    """Returns the texts of fields of ``specs.CHARACTER``: always a name, and who they are; {} for no words at all."""
    text = sanitize(text[:MOST_CHARS]).strip()
    if not text:
        return {}
    fields = _from_json(text) or _from_lines(text)
    if not fields.get("persona", "").strip():
        loose = [part for name, part in fields.items() if name in ("", "scenario") and part.strip()]
        fields["persona"] = loose[0] if loose else text
    name = " ".join(fields.get("name", "").strip(_MARKS).split())
    fields["name"] = (name or idea.strip().capitalize() or "Somebody")[: limits.NAME_CHARS]
    fields["pronouns"] = fields.get("pronouns", "").strip(_MARKS).casefold()
    fields["tags"] = " ".join(fields.get("tags", "").replace("#", " ").split())
    return {name: text for name, text in fields.items() if name and _is_allowed(name, text)}


def _is_allowed(name: str, text: str) -> bool:
    spec = next(spec for spec in specs.CHARACTER if spec.name == name)
    try:
        return bool(text.strip()) and bool(value_of(spec, text))
    except validators.WrongValueError:
        return False


def _label(words: str) -> str | None:
    """Returns the field that a label names, None if it is no label."""
    return FIELDS.get(" ".join(words.strip(_MARKS).replace("_", " ").casefold().split()))


def _from_json(text: str) -> dict[str, str]:
    """Returns the fields of the object in ``text``, {} if there is none."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return {}
    try:
        value = msgspec.json.decode(text[start : end + 1].encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return {}
    if isinstance(value, dict) and isinstance(value.get("data"), dict):
        value = value["data"]  # a whole card
    fields: dict[str, str] = {}
    for key, part in value.items() if isinstance(value, dict) else ():
        field = _label(str(key)[:LABEL_CHARS])
        words = _words(part)
        if field and words:
            fields[field] = f"{fields[field]}\n\n{words}" if fields.get(field) else words
    return fields


def _words(part: object) -> str:
    if isinstance(part, str):
        return part.strip()
    if isinstance(part, list):
        return ", ".join(one.strip() for one in part if isinstance(one, str))
    return ""


def _from_lines(text: str) -> dict[str, str]:
    """Returns the text behind each label; what is before the first has the name ""."""
    parts: dict[str, list[str]] = {"": []}
    at = ""
    for line in text.split("\n"):
        head, colon, rest = line[: LABEL_CHARS + 1].partition(":")
        field = _label(head) if colon or line.lstrip()[:1] in ("#", "*") else None
        if field is None:
            parts[at].append(line)
            continue
        at = field
        behind = line[len(head) + 1 :] if colon else ""
        lines_here = parts.setdefault(at, [])
        if lines_here:
            lines_here.append("")
        lines_here.append(behind.lstrip(" *_`").rstrip() if rest or behind else "")
    return {name: "\n".join(lines).strip().strip("`").strip() for name, lines in parts.items()}
