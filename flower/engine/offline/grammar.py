"""Small English grammar for a narrator without a model: sentences, persons, agreement, tidy prose.

Text in, text out, and stems: what the forms of a word share. Owns no phrases, chooses nothing, knows no story.
"""

from __future__ import annotations

import re

from flower.engine.offline.tables import word_list

_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|St|Capt|Sgt|No|Jr|Sr|vs|etc|e\.g|i\.e|[A-Z])\.$")
_SENTENCE_END = re.compile(
    r"(?<![.!?\u2026])[.!?\u2026]++[\"')\]\u201d\u2019]*+\s++(?=[\"'(\[\u201c\u2018]?[A-Z0-9])"
)

# Past forms whose present cannot be had by cutting an ending.
IRREGULAR = {
    "ate": "eat", "became": "become", "began": "begin", "bought": "buy", "broke": "break", "brought": "bring",
    "built": "build", "came": "come", "caught": "catch", "chose": "choose", "crept": "creep", "drank": "drink",
    "drew": "draw", "drove": "drive", "fell": "fall", "felt": "feel", "fled": "flee", "forgot": "forget",
    "fought": "fight", "found": "find", "gave": "give", "given": "give", "got": "get", "heard": "hear",
    "held": "hold", "hid": "hide", "hidden": "hide", "kept": "keep", "knew": "know", "laid": "lay", "led": "lead",
    "left": "leave", "lent": "lend", "lit": "light", "lost": "lose", "made": "make", "meant": "mean", "met": "meet",
    "paid": "pay", "ran": "run", "rang": "ring", "said": "say", "sang": "sing", "sat": "sit", "saw": "see",
    "sent": "send", "shook": "shake", "shot": "shoot", "slept": "sleep", "snuck": "sneak", "sold": "sell",
    "spoke": "speak", "stole": "steal", "stood": "stand", "stuck": "stick", "struck": "strike", "swam": "swim",
    "swore": "swear", "thought": "think", "threw": "throw", "told": "tell", "took": "take", "went": "go",
    "woke": "wake", "won": "win", "wore": "wear", "wrote": "write",
}  # fmt: skip

_PERSONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"\bi\s+am\b", "you are"),
        (r"\bi\s+was\b", "you were"),
        (r"\bam\s+i\b", "are you"),
        (r"\bwas\s+i\b", "were you"),
        (r"\bi['\u2019]m\b", "you're"),
        (r"\bi['\u2019]ve\b", "you've"),
        (r"\bi['\u2019]ll\b", "you'll"),
        (r"\bi['\u2019]d\b", "you'd"),
        (r"\bmyself\b", "yourself"),
        (r"\bmine\b", "yours"),
        (r"\bmy\b", "your"),
        (r"\bme\b", "you"),
        (r"\bourselves\b", "yourselves"),
        (r"\bours\b", "yours"),
        (r"\bour\b", "your"),
        (r"\bus\b", "you"),
        (r"\bwe\b", "you"),
        (r"\bi\b", "you"),
    )
)


def word_set(text: str) -> frozenset[str]:
    """Returns the words of a list written as running text."""
    return frozenset(text.split())


def sentences(text: str) -> list[str]:
    """Returns the sentences of running text, each with its end mark, none empty."""
    parts: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        piece = text[start : match.end()].strip()
        if _ABBREVIATION.search(piece):
            continue
        if piece:
            parts.append(piece)
        start = match.end()
    rest = text[start:].strip()
    return [*parts, rest] if rest else parts


def second_person(text: str) -> str:
    """Returns what the player said of themself as it is said to them: ``my knife`` -> ``your knife``."""
    for pattern, replacement in _PERSONS:
        text = pattern.sub(replacement, text)
    return text


def in_first_person(text: str, name: str, they: str) -> str:
    """Returns what is said of somebody as they say it: ``Maud Tolley keeps her boat`` -> ``I keep my boat``.

    ``they`` is their pronoun; the text begins with ``name``.
    """
    rest = text.removeprefix("The ").removeprefix(name)
    if rest == text or rest.startswith(("'s", "\u2019s", ",")):
        return text
    together = re.match(r" and ((?:the )?[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) (?=[a-z])", rest)
    if together:  # "Lusk and Carrow were friends" -> "Carrow and I were friends"
        return f"{upper_first(together.group(1))} and I {rest[together.end() :]}"
    words = rest.split()
    verb = words[0] if words else ""
    after = _I_VERBS.get(verb) or (plural_verb(verb) if verb.endswith("s") and verb != "was" else verb)
    rest = " ".join([after, *words[1:]])
    own = {"she": ("she", "her", "her"), "he": ("he", "him", "his")}.get(they)
    if own is not None:
        subject, thing, owner = own
        rest = re.sub(rf"\b{subject} (is|has|[a-z]+s)\b", lambda m: f"I {_first(m.group(1))}", rest)
        rest = re.sub(rf"\b{subject}\b", "I", rest)
        if owner != thing:
            rest = re.sub(rf"\b{thing}\b", "me", rest)
        rest = re.sub(rf"\b{owner}(?= [a-z])(?! (?:and|in|on|at|to|by|when|for|of)\b)", "my", rest)
        rest = re.sub(rf"\b{owner}\b", "me", rest)
        rest = re.sub(r"\b(?:himself|herself)\b", "myself", rest)
    rest = re.sub(
        r"\band ((?:sell|keep|know|mend|run|own|say|make|take|hold|want|owe|count|read|write|live|work|wear|pay|buy)s\b"
        r"|(?:carries|goes|has|is|does)\b"
        r"|[a-z]+s(?= (?:that|the|a|an|to|my|in|on|everywhere|with|for|of|at)\b))",
        lambda m: f"and {_first(m.group(1))}",
        rest,
    )
    return f"I {rest}"


_I_VERBS = {"is": "am", "has": "have", "does": "do", "was": "was", "means": "mean"}


def _first(verb: str) -> str:
    return _I_VERBS.get(verb) or plural_verb(verb)


def lower_first(text: str, names: frozenset[str] = frozenset()) -> str:
    """Returns the text with a small first letter, unless it begins with ``I`` or one of the names."""
    first = re.match(r"[\w'\u2019-]+", text)
    if first is None or first.group() in names or first.group() in ("I", "I'm", "I've", "I'll", "I'd"):
        return text
    if len(first.group()) > 1 and first.group().isupper():
        return text
    return text[0].lower() + text[1:]


def upper_first(text: str) -> str:
    """Returns the text with a capital first letter, looking past an opening quotation mark."""
    for index, char in enumerate(text[:3]):
        if char.isalpha():
            return text[:index] + char.upper() + text[index + 1 :]
        if char.isdigit():
            break
    return text


def plural_verb(verb: str) -> str:
    """Returns the verb as ``they`` takes it: ``looks`` -> ``look``, ``has`` -> ``have``."""
    special = {"is": "are", "has": "have", "does": "do", "was": "were", "goes": "go"}
    if verb in special:
        return special[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    if verb.endswith(("ches", "shes", "sses", "xes", "zes")):
        return verb[:-2]
    return verb.removesuffix("s")


def is_plural(noun: str) -> bool:
    """Returns whether a noun phrase takes a plural verb, by its ending: ``the desk drawers`` does."""
    last = noun.rsplit(" ", 1)[-1]
    return noun.startswith(("these ", "those ")) or (
        noun[:1].islower() and last.endswith("s") and not last.endswith(("ss", "us", "is", "'s"))
    )


def base_verb(word: str) -> str:
    """Returns a guess at the plain form of a verb: ``went`` -> ``go``, ``opened`` -> ``open``."""
    word = word.lower()
    if word in IRREGULAR:
        return IRREGULAR[word]
    for ending, cut in (("ies", 3), ("ied", 3)):
        if word.endswith(ending) and len(word) > 4:
            return word[:-cut] + "y"
    if word.endswith("ing") and len(word) > 5:
        return _undouble(word[:-3])
    if word.endswith("ed") and len(word) > 4:
        return _undouble(word[:-2])
    if word.endswith(("ches", "shes", "sses", "xes", "oes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        return word[:-1]
    return word


_PAST = {
    **{now: then for then, now in IRREGULAR.items() if then not in ("given", "hidden")},
    **{same: same for same in ("put", "cut", "set", "let", "hit", "shut", "read", "bet", "cost", "hurt")},
    "do": "did", "have": "had", "am": "was", "are": "were", "is": "was", "swing": "swung", "dig": "dug",
    "feed": "fed", "bend": "bent", "lend": "lent", "spend": "spent", "bind": "bound", "wind": "wound",
}  # fmt: skip


def past_verb(verb: str) -> str:
    """Returns the past of a plain verb: ``hide`` -> ``hid``, ``carry`` -> ``carried``."""
    if verb in _PAST:
        return _PAST[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        return verb[:-1] + "ied"
    if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", verb) and verb[-1] != verb[-2:-1]:
        return verb + verb[-1] + "ed"
    return verb + "ed"


def _undouble(stem: str) -> str:
    if len(stem) > 3 and stem[-1] == stem[-2] and stem[-1] not in "lsez":
        return stem[:-1]
    return stem


def spoken(text: str, *, tagged: bool) -> str:
    """Returns the text in quotation marks; ``tagged``: a "she says" follows, so a full stop turns comma."""
    text = (
        text.strip()
        .strip('"\u201c\u201d')
        .replace("\u201c", "'")
        .replace("\u201d", "'")
        .replace('"', "'")
    )
    if text and text[-1] not in ".,!?\u2026":
        text += "."
    if tagged and text.endswith(".") and not text.endswith(".."):
        text = text[:-1] + ","
    return f'"{text}"'


def stop(text: str) -> str:
    """Returns the text with an end mark."""
    text = text.strip()
    if not text or re.search(r"[.!?\u2026][\"')\]\u201d\u2019]*$", text):
        return text
    return text.rstrip(",;:") + "."


def tidy(paragraph: str) -> str:
    """Returns a paragraph with single spaces, sound punctuation and capitals after full stops."""
    text = re.sub(r"\s+", " ", paragraph).strip()
    text = re.sub(r" ([,.;:!?])", r"\1", text)
    text = re.sub(r"([,;:])([.!?])", r"\2", text)
    text = re.sub(r"([.!?])[,;:](?=\s|$)", r"\1", text)
    text = re.sub(r"(?<!\.)\.\.(?!\.)", ".", text)
    text = re.sub(r"([!?])\.(?!\.)", r"\1", text)
    text = re.sub(r",{2,}", ",", text)
    text = re.sub(r"(?<=[.!?] )([a-z])", lambda match: match.group(1).upper(), text)
    return upper_first(text)


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
