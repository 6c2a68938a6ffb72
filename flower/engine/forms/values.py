"""Values as the text of a field, and back, by the field's kind.

A form carries text only, so that every client can show and send any field. The readers of
``flower.settings.validators`` decide what is allowed; clients may use the same to check while somebody types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from flower import limits
from flower.errors import FormError
from flower.protocol.messages import FormField
from flower.settings import validators

BREAK = "%"  # alone on a line it is between two texts


class Spec(Struct, frozen=True):
    """A field of something: ``name`` is the command's word for it, kinds are those of ``FormField``."""

    name: str
    kind: str
    about: str
    label: str = ""  # "": the name, with spaces
    choices: tuple[str, ...] = ()
    needed: bool = False
    low: float = 0
    high: float = 0
    most: int = 0

    @property
    def called(self) -> str:
        return self.label or self.name.replace("_", " ")


def text_of(spec: Spec, value: Any) -> str:
    """Returns a value as the text of its field."""
    if value is None:
        return ""
    match spec.kind:
        case "flag":
            return "yes" if value else "no"
        case "whole":
            return str(int(value))
        case "number":
            return f"{value:g}"
        case "words":
            return ", ".join(value)
        case "lines":
            return "\n".join(value)
        case "texts":
            return f"\n{BREAK}\n".join(value)
        case _:
            return str(value)


def value_of(spec: Spec, text: str) -> Any:
    """Returns what the text of a field means; None for an empty number.

    Raises ``WrongValueError`` with a clause for the person who typed it.
    """
    text, path = text.strip(), (spec.called,)
    most = spec.most or limits.PROMPT_CHARS
    if len(text) > most:
        raise validators.must_be(path, f"at most {most:,} characters", text)
    if spec.needed and not text:
        raise validators.WrongValueError(path, f"{spec.called} is needed")
    match spec.kind:
        case "line" | "id" | "choice" if not text:
            return ""
        case "line" | "words" if "\n" in text:
            raise validators.must_be(path, "one line", text)
        case "line":
            return text
        case "id":
            return validators.identifier(text, path)
        case "choice":
            return validators.one_of(spec.choices)(text, path)
        case "flag":
            return validators.one_of(("yes", "no"))(text, path) == "yes"
        case "whole" | "number":
            return _number(spec, text, path)
        case "words":
            return tuple(word.strip() for word in text.split(",") if word.strip())
        case "lines":
            return tuple(line.strip() for line in text.splitlines() if line.strip())
        case "texts":
            return tuple(_between_breaks(text))
        case _:
            return text


def _number(spec: Spec, text: str, path: validators.Path) -> int | float | None:
    if not text:
        return None
    if spec.kind == "whole":
        digits = text.lstrip("-").isdecimal() and len(text) <= limits.YAML_DIGITS
        return validators.whole(int(spec.low), int(spec.high))(int(text) if digits else text, path)
    try:
        number: float | str = float(text[:30])
    except ValueError:
        number = text
    return validators.number(spec.low, spec.high)(number, path)


def _between_breaks(text: str) -> list[str]:
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        if line.strip() == BREAK:
            parts.append([])
        else:
            parts[-1].append(line)
    return [part for lines in parts if (part := "\n".join(lines).strip())]


def cannot_be_text(spec: Spec, value: Any) -> bool:
    """Whether the field's text would mean something else: a part of a list has what is between parts."""
    try:
        return bool(value_of(spec, text_of(spec, value)) != _stripped(value))
    except validators.WrongValueError:
        return False  # it is wrong already, and may be put right


def _stripped(value: Any) -> Any:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, tuple):
        return tuple(part.strip() for part in value if part.strip())
    return value


def field_of(spec: Spec, value: Any, where: str) -> FormField:
    """Returns the field of a form; one that is too long for it is locked, ``where`` says where else it is changed."""
    text, locked = text_of(spec, value), ""
    most = spec.most or limits.PROMPT_CHARS
    if len(text) > most:
        text, locked = text[: limits.PREVIEW_CHARS], f"It is too long to be changed here; {where}."
    elif cannot_be_text(spec, value):
        locked = f"Its parts cannot be told apart here; {where}."
    return FormField(
        name=spec.name,
        label=spec.called,
        kind=spec.kind,
        value=text,
        about=spec.about,
        choices=spec.choices,
        needed=spec.needed,
        low=spec.low,
        high=spec.high,
        most=most,
        locked=locked,
    )


def read_all(specs: Sequence[Spec], texts: dict[str, str]) -> dict[str, Any]:
    """Returns what the typed ``texts`` mean, by name.

    Raises ``FormError`` that says which fields are wrong, and which there are not.
    """
    by_name = {spec.name: spec for spec in specs}
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name, text in texts.items():
        if name not in by_name:
            raise FormError(f"There is no field {name[: limits.KEY_SHOWN_CHARS]!r} here.", {})
        try:
            values[name] = value_of(by_name[name], text)
        except validators.WrongValueError as error:
            wrong[name] = f"{error}."
    if wrong:
        raise FormError(next(iter(wrong.values())), wrong)
    return values
