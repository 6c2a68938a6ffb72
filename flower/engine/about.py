"""A sentence on what a world, a character or a rule is, for lists to choose from. Pure."""

from __future__ import annotations

import re

from flower import limits

_SENTENCE = re.compile(r".+?[.!?…][\"”’')]*(?=\s|$)", re.DOTALL)
_NOT_PROSE = ("#", "-", "*", "<", "[", "|")
STARTER_MARK = "(edit me)"  # at the end of the names of the files that a new home comes with
STARTER = "An example to change: its file is in the assets folder of your home."


def of(name: str, *texts: str) -> str:
    """Returns the first sentence of the first of ``texts`` that has prose, ``""`` when none has.

    Headings and lists are passed over. At most ``limits.ABOUT_CHARS`` long.
    """
    if is_starter(name):
        return STARTER
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text[: limits.ABOUT_READ_CHARS]):
            lines = [line.strip() for line in paragraph.splitlines()]
            prose = " ".join(line for line in lines if line and not line.startswith(_NOT_PROSE))
            if prose:
                found = _SENTENCE.match(prose)
                return _cut(found.group() if found else prose)
    return ""


def is_starter(name: str) -> bool:
    """Whether this is an example that nobody has made their own yet."""
    return name.rstrip().endswith(STARTER_MARK)


def _cut(sentence: str) -> str:
    if len(sentence) <= limits.ABOUT_CHARS:
        return sentence
    return sentence[: limits.ABOUT_CHARS].rpartition(" ")[0].rstrip(" ,;:-") + " …"
