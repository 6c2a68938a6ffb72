"""Who is speaking and how: a register, pronouns, and lines of their own. Pure.

The character's persona gives the voice. People of the lore get a register from their name, so that
the same person always sounds the same.
"""

from __future__ import annotations

import re
import zlib

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import in_first_person, sentences, upper_first, word_set
from flower.engine.offline.names import Name, short_name
from flower.engine.offline.tables import REGISTERS
from flower.engine.recall.secrets import secret_text

SAMPLE_WORDS_MIN = 4  # shorter quotes are single words
SAMPLE_WORDS_MAX = 45  # longer ones are speeches

_MARKED = {
    "dry": word_set(
        "dry wry sarcastic ironic sardonic deadpan cynical amused clever witty mocking sly"
    ),
    "warm": word_set(
        "warm kind gentle motherly fatherly cheerful caring tender friendly sweet soft generous"
    ),
    "formal": word_set(
        "formal polite precise archivist scholar noble courteous correct official priest educated"
    ),
    "blunt": word_set(
        "blunt gruff rough terse short harsh soldier fighter angry curt smuggler thief street"
    ),
    "plain": word_set("plain honest simple quiet patient calm steady shy"),
}
# What somebody keeps to themself, and would not tell of themself when asked.
_PRIVATE = re.compile(
    r"\b(?:hides?|hiding|conceals?|covers it|(?:does|do) not speak of|never speaks? of|has not said|will not say|"
    r"would never admit|pretends?|secretly)\b",
    re.IGNORECASE,
)
_QUOTE = re.compile('["\u201c]([^"\u201c\u201d]{8,300})["\u201d]')
_POINTS_BACK = re.compile(r"(?:he|she|it|they|his|her|its|their)\b", re.IGNORECASE)
_REPORTED = re.compile(r" (?:says|swears) that (?P<said>(?!s?he |they |his |her |their |it )[^\n]+)")
_I_SAY = re.compile(r"^I (?:say|swear) that ")
_JOINT = re.compile(r"^(?:But|And|So|Yet|Or|Then|Also|Instead|Hence),? ")


class Speaker(Struct, frozen=True):
    """A speaker. ``own`` are sentences the speaker is known to say; ``persona`` what is known of them."""

    name: str
    they: str
    register: str
    own: tuple[str, ...] = ()
    persona: tuple[str, ...] = ()
    full: str = ""  # as somebody is first seen: "the woman with a dog"

    @property
    def slots(self) -> dict[str, str]:
        """Returns the slots that templates about a speaker use."""
        return {
            "name": self.name,
            "they": self.they,
            "them": {"she": "her", "he": "him", "it": "it"}.get(self.they, "them"),
            "their": {"she": "her", "he": "his", "it": "its"}.get(self.they, "their"),
            "theirs": {"she": "hers", "he": "his", "it": "its"}.get(self.they, "theirs"),
        }


def of_character(name: str, persona: str, pronouns: str = "") -> Speaker:
    """Returns the voice that a persona describes; ``pronouns`` "" or such as ``she`` or ``he/him``."""
    words = re.findall(r"[a-z]+", persona.casefold())
    register = max(REGISTERS, key=lambda trait: sum(word in _MARKED[trait] for word in words))
    she = sum(word in ("she", "her", "hers", "woman") for word in words)
    he = sum(word in ("he", "him", "his", "man") for word in words)
    guessed = "they" if not she and not he else "she" if she >= he else "he"
    they = pronouns.partition("/")[0] or guessed
    return Speaker(
        short_name(name.split(",")[0].strip()),
        they,
        register,
        _samples(persona),
        _sentences_about(persona),
    )


def of_name(name: Name) -> Speaker:
    """Returns the voice of a person of the lore, the same every time."""
    return Speaker(name.short, name.they, _register(name.full), full=name.full)


def of_stranger(description: str) -> Speaker:
    """Returns the voice of somebody known by a few words only, for example ``the woman with a dog``."""
    short = re.split(
        r"(?<!\s)\s++(?:with|in|of|who|just|minding|selling|holding|mending|waiting|counting|carrying|without|gathering|"
        r"leading|out|on|round|over|off|still)\b",
        description,
    )[0]
    she = re.search(r"\b(woman|girl|nurse|fishwife|widow|lady|mother|her)\b", description)
    he = re.search(r"\b(man|boy|lad|clerk|soldier|sailor|carter|his)\b", description)
    return Speaker(short, "she" if she else "he" if he else "they", _register(short), full=description)


def _register(name: str) -> str:
    return REGISTERS[zlib.crc32(name.encode("utf-8", "replace")) % len(REGISTERS)]


def _samples(persona: str) -> tuple[str, ...]:
    quotes = [quote.strip() for quote in _QUOTE.findall(persona)]
    return tuple(
        quote
        for quote in quotes
        if SAMPLE_WORDS_MIN <= len(quote.split()) <= SAMPLE_WORDS_MAX and quote[0].isupper()
    )


def _sentences_about(persona: str) -> tuple[str, ...]:
    bare = re.sub(r"\s+", " ", _QUOTE.sub("", persona))
    return tuple(
        sentence
        for sentence in sentences(bare)
        if 5 <= len(sentence.split()) <= 40
        and sentence[0].isupper()
        and sentence[-1] == "."
        and ":" not in sentence
        and not _PRIVATE.search(sentence)
        and not secret_text(sentence)
    )


def in_voice_of(speaker: Speaker, fact: Fact, query: frozenset[str]) -> Fact:
    """Returns a fact as somebody tells it: the half that was asked for, and of themself as "I"."""
    text = fact.text
    if query & fact.words and not query & fact.core and fact.more:
        bare = _JOINT.sub("", fact.more)
        alone = bare != fact.more and not _POINTS_BACK.match(bare)
        text = upper_first(bare) if alone else f"{text} {fact.more}"
    if fact.subject is not None and fact.subject.short == speaker.name:
        reported = _REPORTED.match(text.removeprefix(fact.subject.full))
        if reported:  # whose pipe it is in what they say of another is not theirs
            return replace(fact, text=upper_first(reported["said"]), more="")
        whole = (in_first_person(one, fact.subject.full, speaker.they) for one in sentences(text))
        text = " ".join(whole)
        text = upper_first(_I_SAY.sub("", text))  # who says it does not say that they say it
    return replace(fact, text=text, more="")
