"""A field of a form, and what its kind allows in it. Pure.

The readers of ``flower.settings.validators`` decide, which are those that the engine reads files with: what is said
here while somebody types is what the engine would say. Every value is text:

line, secret    one line                              whole, number  digits
id              what commands call a thing            flag           yes or no
text            any text                              choice         one of the field's choices
words           words with commas between them        lines          one text a line
texts           long texts, between them a line with nothing but ``%``
"""

from __future__ import annotations

from typing import NamedTuple

from flower import limits
from flower.settings import validators

BREAK = "%"  # alone on a line it is between two texts


class TypedField(NamedTuple):
    """One field. ``value`` is text for every kind, see above; ``was`` is what it was when opened."""

    name: str
    label: str
    kind: str = "line"
    value: str = ""
    was: str = ""
    about: str = ""  # a sentence on what it is for
    choices: tuple[str, ...] = ()
    needed: bool = False
    low: float = 0
    high: float = 0
    most: int = 0  # characters; 0: no more than a prompt has
    locked: str = ""  # why it cannot be changed here
    finding: tuple[str, str] = ("", "")  # a value, and what whoever saves has found wrong with it

    @property
    def changed(self) -> bool:
        return self.value != self.was

    @property
    def problem(self) -> str:
        """What is wrong with the value, "" if nothing is."""
        value, sentence = self.finding
        return sentence if sentence and value == self.value else problem_of(self)


def problem_of(field: TypedField) -> str:
    """Returns what is wrong with a field's value as a sentence, "" if nothing is."""
    value, most = field.value, field.most or limits.PROMPT_CHARS
    if not value.strip():
        return f"{field.label} is needed." if field.needed else ""
    if len(value) > most:
        return f"{field.label} has {len(value):,} characters; {most:,} is the most."
    try:
        _read(field, value.strip())
    except validators.WrongValueError as wrong:
        return f"{wrong}."
    return ""


def _read(field: TypedField, value: str) -> None:
    path = (field.label,)
    match field.kind:
        case "line" | "words":
            if "\n" in value:
                raise validators.must_be(path, "one line", value)
        case "id":
            validators.identifier(value, path)
        case "choice":
            validators.one_of(field.choices)(value, path)
        case "flag":
            validators.one_of(("yes", "no"))(value, path)
        case "whole":
            number = int(value) if value.lstrip("-").isdecimal() and len(value) < 20 else None
            validators.whole(int(field.low), int(field.high))(number, path)
        case "number":
            validators.number(field.low, field.high)(_number(value), path)


def _number(value: str) -> float | None:
    try:
        return float(value[:30])
    except ValueError:
        return None
