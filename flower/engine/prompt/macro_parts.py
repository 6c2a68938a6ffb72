"""Texts with macros taken apart: what is a macro, what belongs to it, where a block of it ends. Pure.

Takes time in proportion to the text, whatever the text is: each brace and each block is looked at a
bounded number of times.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from flower.engine.prompt.macro_values import ARGUMENTS

MACRO_DEPTH = 8  # macros inside the arguments of macros
MACRO_BLOCKS = 48  # open blocks inside each other

Part: TypeAlias = "str | tuple[Part, ...]"  # text, or the inside of a macro

_BRACES = re.compile(r"\{(?=\{\{)|\{\{|\}\}")  # of three that open, the first is text
_HEAD = re.compile(
    r"\s*+(?P<flags>[!?~#]{0,4}+)\s*+(?P<name>//|[a-zA-Z][\w.+-]*)(?P<rest>.*)", re.DOTALL
)
_END = re.compile(r"\s*+/\s*+(?P<name>//|[a-zA-Z][\w.+-]*)\s*")


class MacroCall(Struct, frozen=True):
    """A macro by its name in small letters. ``arguments`` are what is between double colons, without the
    white space around it; behind a single colon or a space all is one. ``rest`` is all behind the name.
    ``keeps``: its block keeps its white space."""

    name: str
    arguments: tuple[tuple[Part, ...], ...]
    rest: tuple[Part, ...]
    keeps: bool = False


def parse(text: str) -> tuple[Part, ...]:
    """Returns the text in parts; braces without a partner, or nested too deep, are text."""
    inside: list[list[Part]] = [[]]
    position = 0
    for brace in _BRACES.finditer(text):
        inside[-1].append(text[position : brace.start()])
        position = brace.end()
        if brace.group() == "{{" and len(inside) <= MACRO_DEPTH:
            inside.append([])
        elif brace.group() == "}}" and len(inside) > 1:
            macro = tuple(inside.pop())
            inside[-1].append(macro)
        else:
            inside[-1].append(brace.group())
    inside[-1].append(text[position:])
    whole = inside[0]
    for unclosed in inside[1:]:
        whole += ["{{", *unclosed]
    return tuple(whole)


def call_of(macro: Sequence[Part]) -> MacroCall | None:
    """Returns what a macro calls, None for one without a name."""
    first = macro[0] if macro and isinstance(macro[0], str) else ""
    head = _HEAD.fullmatch(first)
    if head is None:
        return None
    rest = head["rest"]
    if rest and head["name"] != "//" and not (rest[0] == ":" or rest[0].isspace()):
        return None
    behind = rest.lstrip()
    arguments: tuple[tuple[Part, ...], ...] = ()
    if behind.startswith("::"):
        arguments = _arguments((behind[2:], *macro[1:]))
    elif behind or len(macro) > 1:
        arguments = (stripped((behind.removeprefix(":"), *macro[1:])),)
    return MacroCall(head["name"].lower(), arguments, (rest, *macro[1:]), "#" in head["flags"])


def _arguments(parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    arguments: list[list[Part]] = [[]]
    for part in parts:
        if not isinstance(part, str):
            arguments[-1].append(part)
            continue
        first, *others = part.split("::")
        arguments[-1].append(first)
        arguments += [[other] for other in others]
    return tuple(stripped(argument) for argument in arguments)


def stripped(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Returns parts without the white space at their ends, as it is written: none of what macros give."""
    inner = list(parts)
    if inner and isinstance(inner[0], str):
        inner[0] = inner[0].lstrip()
    if inner and isinstance(inner[-1], str):
        inner[-1] = inner[-1].rstrip()
    return tuple(inner)


def dedented(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Returns the inside of a block: without the white space around it and the indentation of its first line."""
    first = parts[0] if parts and isinstance(parts[0], str) else ""
    lines = first.split("\n")
    begins = next((line for line in lines[1:] if line.strip()), lines[-1] if len(lines) > 1 else "")
    indent = begins[: len(begins) - len(begins.lstrip(" \t"))]
    if indent:
        parts = [part.replace(f"\n{indent}", "\n") if isinstance(part, str) else part for part in parts]
    return stripped(parts)


def blocks(parts: Sequence[Part]) -> dict[int, int]:
    """Returns where each block among the parts begins and where its end mark is.

    What is never closed begins no block, an end mark without a beginning ends none.
    """
    marks = [_mark(part) for part in parts]
    closing = Counter(name for name, ends in marks if ends)
    ends: dict[int, int] = {}
    opened: deque[tuple[str, int]] = deque()
    counts: Counter[str] = Counter()
    for number, (name, is_end) in enumerate(marks):
        if is_end:
            closing[name] -= 1
            while counts[name]:
                open_name, begin = opened.pop()
                counts[open_name] -= 1
                if open_name == name:
                    ends[begin] = number
                    break
        elif closing[name] and name in ARGUMENTS and _has_room(parts[number], name):
            if len(opened) == MACRO_BLOCKS:
                counts[opened.popleft()[0]] -= 1
            opened.append((name, number))
            counts[name] += 1
    return ends


def _has_room(macro: Part, name: str) -> bool:
    """Returns whether a macro may have one argument more, the inside of its block."""
    call = call_of(macro) if not isinstance(macro, str) else None
    return call is not None and len(call.arguments) < ARGUMENTS[name][1]


def _mark(part: Part) -> tuple[str, bool]:
    """Returns the name of a macro, "" for text, and whether it is the end mark of a block."""
    first = part[0] if not isinstance(part, str) and part and isinstance(part[0], str) else ""
    end = _END.fullmatch(first) if len(part) == 1 else None
    if end is not None:
        return end["name"].lower(), True
    head = _HEAD.match(first)
    return (head["name"].lower() if head is not None else ""), False


def around_else(parts: Sequence[Part]) -> tuple[Sequence[Part], Sequence[Part]]:
    """Returns what is before and behind the ``{{else}}`` of a block, which is none of a block inside."""
    ends = blocks(parts)
    number = 0
    while number < len(parts):
        part = parts[number]
        if not isinstance(part, str) and is_else(part):
            return parts[:number], parts[number + 1 :]
        number = ends.get(number, number) + 1
    return parts, ()


def is_else(macro: Sequence[Part]) -> bool:
    """Whether a macro is ``{{else}}``."""
    return len(macro) == 1 and isinstance(macro[0], str) and macro[0].strip().lower() == "else"
