"""Finds the names in a text and guesses what each one names. Pure.

A name is a run of capitalised words. Whether it is a person, a place, a group or a thing is a guess
from the words beside it; a wrong guess costs an odd sentence, never an error.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline.grammar import stem, word_set
from flower.engine.offline.questions import is_adverb
from flower.engine.offline.tables import word_list

NameKind = Literal["person", "place", "group", "thing"]

PERSON_EVIDENCE = 2  # a pronoun nearby alone is chance, a verb only people have is not
_LOOK_AHEAD_CHARS = 130  # how far behind a name its pronoun is looked for
_NAME = re.compile(
    r"\b[A-Z\u00c0-\u00de][\w'\u2019-]*"
    r"(?:\s+(?:(?:of|the|de|van|von|la|le|du)\s+){0,2}[A-Z\u00c0-\u00de][\w'\u2019-]*)*"
)
_OPENS_AFTER = tuple(".!?:\"'(\u201c]")  # what is before the first word of a sentence
_CLOSES = "\"')\u201d"
_PERSON_VERBS = re.compile(
    r"^[,\s]*(?:who|whose|keeps|runs|owns|says|wants|knows|sells|buys|lives|believes|teaches|swears|remembers|walks|"
    r"writes|owes|was born|drinks|speaks|refuses|died|married|hates|loves|trusts|sings|mends|works|has never|"
    r"will not|cannot|hopes|thinks|took|came|meant|bought|gave|leads|nods|carries|wears|collects|pays|lost|found|asks|"
    r"is (?:captain|master|chief|keeper|warden|first|speaker|ambassador|clerk|only|small|tall|old|young|"
    r"[\w-]*(?:ty|teen|one|two|three|four|five|six|seven|eight|nine|ten))\b|"
    r"is (?:a|an|the) (?:\w+ )?(?:woman|man|girl|boy|widow|keeper|smith|cook))\b"
)
# Verbs a single capitalised word at the start of a sentence would hardly have, were it not a name.
_OPENING_VERBS = re.compile(
    r"^\s(?:says|wants|knows|sells|swears|carries|works for|belongs|lives|keeps|loves|hates|remembers|"
    r"is (?:\w+teen|\w+ty|small|tall|young|old|nine|ten|eleven|twelve)\b)"
)
_OF_A_REALM = word_set("king queen crown crowns kingdom ambassador envoy army court town city treaty")
_PREDICATES = frozenset({"is", "as", "was", "be", "became"})
_GONE = re.compile(
    r"^(?P<between>[^.;]{0,110}?)\b(?:vanished|disappeared|went missing|is missing|is dead|was found dead|"
    r"never came (?:down|back)|(?:has|have) not been seen|was murdered|was killed|was hanged|died|"
    r"(?<!the )drowned)\b"
)
KIN = (
    "brother", "sister", "son", "daughter", "wife", "husband", "cousin", "uncle", "aunt", "friend", "mother",
    "father",
)  # fmt: skip
_LOST = re.compile(r"\blost (?:his|her|their) \w+ $")
_SOMEBODY_ELSES = re.compile(
    r"\b(when|who|whose|whom|that|brother|sister|husband|wife|mother|father|sons?|daughters?|the day|before|after)\b"
)
_ANOTHER = re.compile(r" (?:the|an?) [a-z]+ $")  # "on the night the keeper vanished": he is another
_SHE = re.compile(
    r"(Mother|Sister|Lady|Mistress|Mrs|Ms|Miss|Widow|Aunt|Queen|Princess|Goodwife|Granny)\b"
)
_HE = re.compile(r"(Father|Brother|Lord|Mr|Mister|Uncle|King|Prince|Abbot)\b")
_GENDERED = re.compile(r"\b(she|her|hers|woman|sister|he|him|his|man)\b", re.IGNORECASE)
_SHE_WORDS = frozenset({"she", "her", "hers", "woman", "sister"})
_ELSEWHERE = re.compile(r"\n\n|\"")  # another paragraph, or what somebody says
_OPENS_PRONOUN = 3  # votes


class Name(Struct, frozen=True):
    """Somebody or something with a name."""

    full: str  # "Maud Tolley"
    short: str  # "Maud"
    kind: NameKind
    they: str  # "she", "he", "they"; "it" for what is no person
    article: bool = False  # people say "the" before it
    gone: bool = False  # dead or missing: may be spoken of, may not walk in
    common: frozenset[str] = frozenset()  # parts that are words, too: the lamp is not Ilsabet Lamp

    @property
    def with_article(self) -> str:
        """Returns the name as it is in a sentence: "the Salt Stair", "Maud Tolley"."""
        return f"the {self.full}" if self.article else self.full

    @property
    def them(self) -> str:
        return {"she": "her", "he": "him"}.get(self.they, "them")


def find_names(text: str) -> tuple[Name, ...]:
    """Returns the names in a text in order of first mention, without parts of other names."""
    counts: dict[str, int] = {}
    sure: set[str] = set()
    for match in _NAME.finditer(text):
        opens = _opens_a_sentence(text[max(0, match.start() - 4) : match.start()])
        words = _trimmed(match.group().split(), opens=opens)
        name = re.sub(r"['\u2019]s$", "", " ".join(words))
        if (
            len(name) < 3
            or name.isupper()
            or (len(words) == 1 and name.casefold() in word_list("stop_words"))
        ):
            continue
        counts[name] = counts.get(name, 0) + 1
        if not opens or len(words) > 1 or _OPENING_VERBS.match(text[match.end() : match.end() + 30]):
            sure.add(name)
    candidates = [name for name in counts if name in sure]
    padded = [f" {name} " for name in candidates]
    whole = [name for name in candidates if sum(f" {name} " in other for other in padded) == 1]
    return tuple(_name(name, text) for name in whole)


def as_kind(name: Name, kind: NameKind) -> Name:
    """Returns the name as one of another kind."""
    if name.kind == kind:
        return name
    if kind == "person":
        return replace(name, kind=kind, short=short_name(name.full), they="they")
    return replace(name, kind=kind, short=name.full, they="it", gone=False)


def mentioned(name: Name, text: str, parts: frozenset[str]) -> bool:
    """Returns whether the text has the full name, or ``parts`` (its stems) a part of a person's name."""
    if name.full.casefold() in text.casefold():
        return True
    return name.kind == "person" and any(
        stem(part) in parts
        for part in name.full.split()
        if _distinct(part)
        and (part.casefold() not in name.common or part in text)
        and (
            stem(part) not in parts  # "spare parts" are no Spar
            or re.search(rf"\b{re.escape(part)}(?:['\u2019]?s)?\b", text, re.IGNORECASE)
        )
    )


def all_stems(text: str) -> frozenset[str]:
    """Returns the stems of every word, small ones included."""
    return frozenset(stem(word) for word in re.findall(r"[\w'\u2019-]+", text))


def short_name(full: str) -> str:
    """Returns what people call somebody: the first name, or the title with the name behind it."""
    words = full.split()
    if "of" in words:
        return full
    if words and words[0] in word_list("titles"):
        return full if len(words) == 2 else words[-1]
    return words[0] if words else full


def _trimmed(words: list[str], *, opens: bool) -> list[str]:
    while words and (
        words[0] in ("The", "A", "An")
        or re.match(r"I(?:$|['\u2019])", words[0])
        or not words[0][0].isupper()
        or (
            opens
            and (
                words[0].casefold() in word_list("stop_words")
                or words[0] in word_list("openers")
                or is_adverb(words[0])
            )
        )
    ):
        words = words[1:]
    return words


def _opens_a_sentence(before: str) -> bool:
    """Whether a word with these few characters before it is the first of its sentence."""
    bare = before.rstrip()
    if not bare or "\n" in before[len(bare) :]:
        return True
    inner = bare.rstrip(_CLOSES)
    return bool({'"', "'"} & set(bare[len(inner) :])) or inner.endswith(_OPENS_AFTER)


def _distinct(part: str) -> bool:
    low = part.casefold()
    return (
        len(part) > 2
        and part not in word_list("titles")
        and low not in word_list("stop_words")
        and low not in word_list("place_words")
    )


def _name(full: str, text: str) -> Name:
    spans = [match.span() for match in re.finditer(rf"\b{re.escape(full)}\b", text)]
    relatives = _relatives(full, text)
    kind = "person" if relatives else _kind(full, text, spans)
    articles = sum(text[max(0, start - 4) : start].casefold() == "the " for start, _ in spans)
    article = 2 * articles > len(spans)
    if kind != "person":
        return Name(full, full, kind, "it", article)
    short = short_name(full)
    common = frozenset(
        part.casefold() for part in full.split() if re.search(rf"\b{re.escape(part.lower())}s?\b", text)
    )
    return Name(
        full, short, kind, _pronoun(full, text), article, _gone(text, [*spans, *relatives]), common
    )


def _relatives(full: str, text: str) -> list[tuple[int, int]]:
    """Returns where somebody is called by their first name as a relative: "his daughter Lio"."""
    first = full.split()[0]
    if len(full.split()) != 2 or first in word_list("titles"):
        return []
    kin = re.compile(rf"\b(?:{'|'.join(KIN)}) (?P<name>{re.escape(first)})\b(?! [A-Z])")
    return [match.span("name") for match in kin.finditer(text)]


def _kind(full: str, text: str, spans: list[tuple[int, int]]) -> NameKind:
    words = full.split()
    before_all = [text[max(0, start - 24) : start].split() for start, _ in spans]
    offices = sum(_is_predicate(before) for before in before_all)
    if 2 * offices > len(spans):
        return "thing"  # "Tobiah Rivet is Chief Mender": an office, not somebody
    if words[0] in word_list("titles") and len(words) > 1:
        return "thing" if "of" in words else "person"
    if full in word_list("titles") or full in word_list("calendar"):
        return "thing"
    if words[-1].casefold() in word_list("place_words") or words[0].casefold() in word_list(
        "place_words"
    ):
        return "place"
    if any(word.casefold() in word_list("group_words") for word in words):
        return "group"
    person = (1 if _pronoun(full, text) != "they" else 0) + (1 if len(words) == 2 else 0)
    place = 0
    for (_, end), before in zip(spans, before_all, strict=True):
        last = before[-1].casefold() if before else ""
        after = text[end : end + 48]
        if last in ("of", "from", "to"):
            pass  # "a widow from Ardrey who": the widow does it
        elif _PERSON_VERBS.match(after) or re.match(r",\s+(?:the|a|an|who|his|her|aged)\b", after):
            person += 2
        if re.match(r"['\u2019]s\b", after) or last in ("says", "asks", "told"):
            person += 1
        if last in KIN:
            person += 2
        if last in word_list("place_before"):
            place += 2
        if last == "of" and len(before) > 1 and before[-2].casefold() in _OF_A_REALM:
            place += 4  # the ambassador of a land
        if last == "the":
            place += 1
            person -= 2
    if person >= PERSON_EVIDENCE and person > place:
        return "person"
    return "place" if place else "thing"


def _is_predicate(before: list[str]) -> bool:
    """Whether the words before a name say that something is that; "whose name is" says who it is."""
    return (
        bool(before) and before[-1].casefold() in _PREDICATES and not {"name", "It", "it"} & set(before)
    )


def _gone(text: str, spans: list[tuple[int, int]]) -> bool:
    """Returns whether the text says that the person died or went missing."""
    for start, end in spans:
        if _LOST.search(text[max(0, start - 40) : start]):
            return True
        lost = _GONE.match(text[end : end + 140])
        between = lost.group("between") if lost else ""
        if lost and not _SOMEBODY_ELSES.search(between) and not _ANOTHER.search(between):
            return True
    return False


def _pronoun(full: str, text: str) -> str:
    if _SHE.match(full):
        return "she"
    if _HE.match(full):
        return "he"
    votes = {"she": 0, "he": 0}
    for match in re.finditer(rf"\b{re.escape(short_name(full))}\b", text):
        following = text[match.end() : match.end() + _LOOK_AHEAD_CHARS]
        following = _ELSEWHERE.split(following)[0]
        word = _GENDERED.search(following)
        if word:  # a sentence that begins with "He" is about somebody; "her" may be anybody's
            weight = _OPENS_PRONOUN if word.group()[0].isupper() else 1
            votes["she" if word.group().lower() in _SHE_WORDS else "he"] += weight
    best = max(votes, key=lambda key: votes[key])
    return best if votes[best] else "they"
