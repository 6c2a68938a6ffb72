"""Stems of English words: what the forms of a word share. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.grammar import IRREGULAR
from flower.engine.offline.tables import word_list


def stem(word: str) -> str:
    """Returns the part of a word that its forms share, roughly; small letters."""
    word = word.casefold().removesuffix("'s").removesuffix("\u2019s").strip("'\u2019-")
    word = IRREGULAR.get(word, word)
    for ending, put in (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", "e"), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word.removesuffix(ending) + put
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


def stems(text: str) -> frozenset[str]:
    """Returns the stems of the words of a text that carry meaning."""
    words = re.findall(r"[^\W_]+(?:['-][^\W_]+)*", text.casefold())
    return frozenset(
        stem(word)
        for word in words
        if word.removesuffix("'s") not in word_list("stop_words") and len(word) > 1
    )
