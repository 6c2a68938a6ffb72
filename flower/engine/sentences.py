"""Where sentences end, and texts cut to one line. Pure, and in time proportional to the text.

A sentence ends at ``.``, ``!``, ``?`` or ``…``, with whatever closes a quotation or an emphasis behind it,
where white space or the end of the text follows.
"""

from __future__ import annotations

import re

# A run of marks is looked at from its first one only, and never given back in parts: else a text of nothing
# but full stops would be tried from each of them.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»*_)\]]*+(?=\s|\Z)")


def first_sentence(text: str, most: int) -> str:
    """Returns the first sentence of a text on one line, cut at a word to at most ``most`` characters.

    A cut one ends with ``…``. A text without an end of a sentence is taken whole.
    """
    line = " ".join(text[: most * 4].split())
    found = _END.search(line, 1)
    sentence = line[: found.end()] if found else line
    if len(sentence) <= most:
        return sentence
    return sentence[: most - 1].rpartition(" ")[0].rstrip(" ,;:-") + "…"


def one_line(text: str, most: int) -> str:
    """Returns a text on one line, cut to at most ``most`` characters; a cut one ends with ``…``."""
    line = " ".join(text[: most * 4].split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
