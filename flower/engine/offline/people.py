"""Finds out who is spoken to. Pure.

A line rarely says so outright: the name may be called, be asked, or left out because the talk is
going on. Somebody dead or missing is talked about and does not answer, whatever they are called by. What
is not found is somebody at hand, never nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from flower.engine.offline.facts import LOOKS, Lore, by_looks, by_office, offices
from flower.engine.offline.grammar import second_person, stem
from flower.engine.offline.names import KIN, Name, all_stems
from flower.engine.offline.parse import ParsedLine
from flower.engine.offline.questions import is_adverb
from flower.engine.offline.relevance import asked_part
from flower.engine.offline.scene import Scene, key_of, meant_by, pronoun_in
from flower.engine.offline.tables import vocabulary, word_list
from flower.engine.offline.voice import Speaker, of_name, of_stranger

_NAME = "[A-Z][\\w'\u2019-]+(?: [A-Z][\\w'\u2019-]+)?"
_CALLED = (re.compile(rf"^[\"\u201c']?({_NAME})[,?!]"), re.compile(rf",\s+({_NAME})[.,:?!]"))
_BEFORE_ADDRESSEE = re.compile(
    r"\b(?:to|with|at|ask|asks|tell|tells|thank|thanks|greet|greets|beg|warn|call|shout for|call for|find|see|meet|"
    r"visit|promise|question|hug|kiss|follow|for|answer|invite|join|hail|nod to|wave to|threaten|bribe|challenge|"
    r"insult|accuse|wake|help|offer|comfort|slap)\s+"
    r"(?:(?:the|old|dear|poor|young|my)\s+){0,3}$"
)
_TO_WHOM = re.compile(
    r"\b(?:(?:talk|speak|chat|say|whisper|call|shout|turn|nod|wave|smile|lie|listen)s?"
    r"(?: quietly| softly| loudly| back)? (?:to|with|at)|ask|tell|thank|greet|beg|warn|question|call for|"
    r"shout for|find|meet|visit|look for|tip|hug|kiss|flirt with|threaten|bribe|challenge|insult|accuse|wake|comfort|"
    r"propose(?: marriage)? to|"
    r"(?:take|bring|carry|give|hand|show|return|deliver)s? (?:it|this|that|them|(?:the|my|a|an|this|that) [\w'-]+) to)"
    r"\s+(?:(?:the|a|an|my|that|this)\s+)(?P<who>(?:[a-z'-]+ ){0,2}?[a-z'-]+)"
    r"(?=$|[.,;:!?]|\s+(?:about|if|whether|who|what|where|why|how|when|for|to|that|with|and|in|on|at|by|not|again|here|of|i|we|near|who))",
    re.IGNORECASE,
)
_SOMEBODY_BESIDE = re.compile(  # "I help an old woman with her net. "Who are you?""
    r"\b(?:an?|the) (?P<who>(?:[a-z]+ )?(?:man|woman|boy|girl|child|sailor|guard|clerk|carter|soldier|"
    r"gardener|mender))\b"
)
_WHOEVER = re.compile(r"\bwhoever(?:'s| is| runs| keeps| owns)\b", re.IGNORECASE)
_MEANS_TO = re.compile(
    r"\b(?:threaten|offer|promise|swear|refuse|decide|want)s? to [^.]{1,200}", re.IGNORECASE
)
_BESIDE_ME = re.compile(
    r" (?:next|closest|nearest|beside|behind|opposite|standing|sitting)(?: (?:to )?(?:me|us))?$",
    re.IGNORECASE,
)
_NOBODY_NAMED = re.compile(
    r"(?:(?:next|nearest|closest|other|first|last) )?(?:person|people|persons|one|stranger)|first|next|nearest|closest",
    re.IGNORECASE,
)
_ANYBODY = re.compile(
    r"\b(?:anyone|anybody|someone|somebody|everyone|everybody|people|them all|the crowd|around)\b",
    re.IGNORECASE,
)
_HEADS_FOR = re.compile(r"\b(?:head|make|set out|set off|leave) (?:for|towards?) (?:the )?[A-Z]")
_IS_A_TRADE = re.compile(
    r"(?:er|or|man|woman|mistress|master|lord|lady|keep|captain|warden|reverend|constable|clerk|smith|ist|ian|priest|cook)$",
    re.IGNORECASE,
)
_GOES_UP_TO = re.compile(
    r"\b(?:(?:go|walk|step|come|stride)s?(?: right| straight| back)? (?:up|over|across) to|approach|"
    r"introduces? (?:myself|ourselves) to|reports? to|turn to|join|catch|visit|seek out|call on|"
    r"(?:go|come)s? (?:and|to) (?:see|find|visit)|look for|see) (?:the|our) (?P<who>[a-z-]+)\b(?!['\u2019])|"
    r"\bknocks? (?:at|on) the (?P<whose>[a-z-]+)['\u2019]s\b",
    re.IGNORECASE,
)
_TO_A_NAME = re.compile(r"\b(?:to|with|ask|tell|greet|thank|warn|call)s?\s+([A-Z][\w'-]+)\b")
_ARTICLES = frozenset({"a", "an", "the", "some", "no", "every"})  # "A clerk, a goat": nobody is called
_GESTURES = re.compile(r"\b(?:eye|nod|smile|wave|bow|wink|curtsy|salute|beckon)\b", re.IGNORECASE)
_TOPIC = re.compile(
    r"\bfor (?:the|a|an|my|some) [a-z]+\b|"
    r"\b(?:about|of|if|whether|who|what|where|why|how|does|do|is|did|has|had|was|that|know|knows|seen|saw|anyone|anybody)\b"
)


class Absent(Struct, frozen=True):
    """Somebody who is spoken to and cannot answer: dead or missing. ``killed``: by the player."""

    name: Name
    killed: bool = False


class People:
    """Who is there to be spoken to in one turn. ``strangers`` are descriptions of people without a name."""

    def __init__(
        self,
        line: ParsedLine,
        lore: Lore,
        scene: Scene,
        cast: Sequence[Speaker],
        nearby: Sequence[Name],
        strangers: Sequence[str],
    ) -> None:
        self._line = line
        self._lore = lore
        self._scene = scene
        self._cast = cast
        self._companion = cast[0] if cast else None
        self._nearby = nearby
        self._strangers = strangers
        self.sought: Name | None = None  # whom the line goes to see

    def addressed(self) -> Speaker | Absent:
        """Returns who is spoken to.

        In this order: the one called by name, the one named where an addressee is, the one whose trade
        is named there, who was spoken to last, the companion, whoever is at hand.
        """
        text = self._line.text
        if self.sought is not None:
            return self._of(self.sought)
        outside = _said_to(re.sub('["\u201c][^"\u201d]*["\u201d]', " ", text))
        return (
            self._called(self._line.speech or text)
            or self._named_as_addressee(outside)
            or self._holder_of_office(outside)
            or self._described(outside)
            or self._unknown_by_name(outside)
            or self._whoever(outside)
            or self.pointed_at(outside)
            or self.at_hand()
            or self._companion
            or self.stranger()
        )

    def _called(self, text: str) -> Speaker | Absent | None:
        """Returns who is called by name or trade: "Maud, where is it?"."""
        for called in _names_called(text):
            person = self._by_name(called) or (
                self._by_trade(called.casefold()) if _IS_A_TRADE.search(called) else None
            )
            if person is None and self._is_no_person(called):
                continue  # "The inn, please" calls no inn
            if person is not None or f"{called}," in self._line.text:  # "Fire!" and "Dead?" call nobody
                return person or of_stranger(called)
        return None

    def _holder_of_office(self, outside: str) -> Speaker | Absent | None:
        """Returns who is nodded or gone to by what they are; of "whoever", somebody who belongs to the place."""
        held = by_office(self._lore, outside) if _GESTURES.search(outside) else ()
        if held:
            return self._of(held[0])
        if (approach := _GOES_UP_TO.search(outside)) and (
            person := self._by_trade((approach["who"] or approach["whose"]).casefold())
        ):
            return person
        return (self._of_the_place() or self.stranger()) if _WHOEVER.search(outside) else None

    def _described(self, outside: str) -> Speaker | Absent | None:
        """Returns who is spoken to by looks or by a word for them: "I ask the man in the corner"."""
        if (described := self._by_looks(outside)) is not None:
            return described
        whos = [_BESIDE_ME.sub("", match["who"]) for match in _TO_WHOM.finditer(outside)]
        who = next((one for one in whos if self._can_be_somebody(one)), "")
        if _NOBODY_NAMED.fullmatch(who):
            return self.stranger()
        return (
            (self._by_trade(who) or of_stranger(f"the {second_person(who.lower())}")) if who else None
        )

    def _unknown_by_name(self, outside: str) -> Speaker | Absent | None:
        """Returns whom a line names where an addressee is and the lore does not have."""
        match = _TO_A_NAME.search(outside)
        if not match or not can_be_name(match.group(1)) or self._is_no_person(match.group(1)):
            return None
        return self._by_name(match.group(1)) or of_stranger(match.group(1))

    def _whoever(self, outside: str) -> Speaker | None:
        """Returns whom a line speaks to that says anybody, that does something beside, or that goes somewhere."""
        if _ANYBODY.search(outside):
            return self.at_hand() or self.stranger()
        if beside := _SOMEBODY_BESIDE.search(self._line.beside):
            return of_stranger(f"the {beside['who']}")
        goes = self._line.kind == "speech" and (self._line.goal or _HEADS_FOR.search(outside))
        return self._of_the_place() if goes else None  # "I go to the inn and ask for something hot"

    def _of_the_place(self) -> Speaker | None:
        """Returns the first of those who belong to the place and did not come along, None for nobody."""
        here = (of_name(one) for one in self._nearby if not self.is_gone(one))
        return next((one for one in here if one.name not in self._scene.along), None)

    def pointed_at(self, text: str) -> Speaker | None:
        """Returns whom "him" or "her" of a text means: the last one at hand who is called so, or None."""
        pronoun = pronoun_in(text)
        name = meant_by(text, self._scene, self._lore)
        person = self._by_name(name) if name else None
        if person is None and name.startswith("the "):
            person = of_stranger(name)
        if isinstance(person, Speaker):
            return person
        near = (of_name(one) for one in self._nearby if not self.is_gone(one))
        return next((one for one in (*self._cast, *near) if pronoun and one.they == pronoun), None)

    def at_hand(self) -> Speaker | None:
        """Returns whom a word without an addressee goes to: who was spoken to last, the companion, others here."""
        for name in (
            self._scene.partner,
            *([self._companion.name] if self._companion else []),
            *self._scene.company,
        ):
            person = self._by_name(name) if name else None
            if isinstance(person, Speaker):
                return person
            if name.startswith("the ") and person is None:
                return of_stranger(name)
        return next((of_name(name) for name in self._nearby if not self.is_gone(name)), None)

    def stranger(self) -> Speaker:
        """Returns somebody without a name, of the gender the line points at if it points at one."""
        described = [of_stranger(re.sub(r"^(?:a|an)\b", "the", one)) for one in self._strangers]
        pointed = re.search(r"\b(?:(he|him|his)|(she|her))\b", self._line.text.casefold())
        they = ("he" if pointed.group(1) else "she") if pointed else ""
        return next((one for one in described if they in ("", one.they)), described[0])

    def is_gone(self, name: Name) -> bool:
        """Whether somebody is dead or missing, by the lore or by the player's hand."""
        return (
            name.gone or key_of(name.full) in self._scene.dead or key_of(name.short) in self._scene.dead
        )

    def _of(self, name: Name) -> Speaker | Absent:
        if self.is_gone(name):
            return Absent(name, killed=not name.gone)
        return of_name(name)

    def _can_be_somebody(self, who: str) -> bool:
        """Whether what is where somebody would be spoken to is no place and no thing: "visit the infirmary"."""
        last = who.split()[-1].casefold()
        place = any(
            stem(last) in all_stems(name.full) for name in self._lore.names if name.kind == "place"
        )
        return last not in word_list("not_people") | word_list("place_words") and not place

    def _is_no_person(self, word: str) -> bool:
        """Whether the lore has a place or a group of that name, and nobody: "to Orrinsay" speaks to no one."""
        return any(word in name.full.split() for name in self._lore.names if name.kind != "person")

    def _by_name(self, called: str) -> Speaker | Absent | None:
        member = next((one for one in self._cast if _part_of(one.name, called)), None)
        if member is not None:
            return member
        person = next((name for name in self._lore.named_in(called) if name.kind == "person"), None)
        if person is not None:
            return self._of(person)
        if key_of(called) in self._scene.dead:
            return Absent(Name(called, called, "person", "they"), killed=True)
        return None

    def _named_as_addressee(self, text: str) -> Speaker | Absent | None:
        """Returns who is named where an addressee is; a name behind "about" is only a topic."""
        names = [name for name in self._lore.named_in(text) if name.kind == "person"]
        for name in names:
            before = _before(name, text)
            if _BEFORE_ADDRESSEE.search(before) and not _ANYBODY.search(before):
                return self._of(name)
        member = next((one for one in self._cast if _part_of(one.name, text)), None)
        if member is not None:
            return member
        return next((self._of(name) for name in names if not _TOPIC.search(_before(name, text))), None)

    def _by_looks(self, text: str) -> Speaker | Absent | None:
        """Returns whom the lore describes so: "the man with yellow gloves" wears yellow gloves."""
        match = LOOKS.search(text) or re.search(r"\b(?:the|that) [a-z]+ (?:[a-z]+ )?[a-z]+", text)
        if match is None or not _BEFORE_ADDRESSEE.search(text[: match.start()].casefold()):
            return None
        return next((self._of(name) for name in by_looks(self._lore, text)), None)

    def _by_trade(self, trade: str) -> Speaker | Absent | None:
        """Returns whom the lore knows by a trade: "the keeper" is whoever keeps something."""
        query = all_stems(trade)
        candidates = [
            (fact.rank, fact.subject)
            for fact in self._lore.facts
            if fact.subject is not None and fact.subject.kind == "person" and query & offices(fact.text)
        ]
        if not candidates:
            return None
        nearby = [name for _, name in candidates if name in self._nearby]
        return self._of((nearby or [min(candidates, key=lambda pair: pair[0])[1]])[0])


def _said_to(text: str) -> str:
    """Returns a line without what is asked or only meant in it: "I ask her what happened to Carrow" asks her."""
    text = _MEANS_TO.sub(" ", text)
    question = asked_part(text)
    return text.removesuffix(question).rstrip() if question != text else text


def _before(name: Name, text: str) -> str:
    """Returns what is before the first part of a name, in small letters."""
    folded = text.casefold()
    at = [folded.find(part.casefold()) for part in (name.full, *reversed(name.full.split()))]
    return folded[: next((one for one in at if one >= 0), 0)]


def _names_called(text: str) -> list[str]:
    """Returns the names somebody is called by: "Maud, where is it?", "Well, Maud?", "Lio? I have bread." """
    matches = [name for pattern in _CALLED for name in pattern.findall(text)]
    matches = [one for one in matches if one.split()[0].casefold() not in _ARTICLES]
    named = [
        re.sub(r"^\S+ ", "", one) if one.split()[0].casefold() in word_list("no_names") else one
        for one in matches
    ]
    callees = [one for one in named if can_be_name(one) and one.casefold() not in vocabulary().verbs]
    callees = [one for one in callees if not one.startswith(("I'", "I\u2019"))]  # "Hello, I'm Mara."
    return [one for one in callees if not _is_presented(one, text)]  # "Hello Ines" calls Ines


def _is_presented(name: str, text: str) -> bool:
    """Whether somebody is presented by their name: "I have a sister, Wren." calls nobody."""
    before = text[: text.find(name)].rstrip(", ").split()
    return len(before) >= 2 and before[-1].casefold() in KIN


def can_be_name(word: str) -> bool:
    """Whether a capitalised word may be somebody's: no pronoun, no adverb, no word that opens a sentence."""
    low = word.casefold()
    return (
        low not in word_list("no_names")
        and low not in word_list("stop_words")
        and (" " in word or not is_adverb(word))
    )


def _part_of(name: str, text: str) -> bool:
    return bool(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE))
