"""Finds out who is spoken to. Pure.

A line rarely says so outright: the name may be called, told, asked, or left out because the talk is
going on. What is not found is somebody without a name, never nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from flower.engine.offline.facts import Lore
from flower.engine.offline.grammar import word_set
from flower.engine.offline.names import Name
from flower.engine.offline.parse import ParsedLine, stems
from flower.engine.offline.questions import is_adverb
from flower.engine.offline.tables import Setting, word_list
from flower.engine.offline.templates import Picker
from flower.engine.offline.voice import Speaker, of_name, of_stranger

_SPEAKS = re.compile(
    r"\"\s+(?:says|asks|murmurs|quotes)\s+(the [a-z]+(?: [a-z]+)??|[A-Z][\w'-]+)(?=[.,\s])|"
    r"((?:^|(?<=[.\"] ))The [a-z]+(?: [a-z]+)??|[A-Z][\w'-]+) (?:says|asks|hears|listens|nods|looks at you|turns to)\b",
    re.MULTILINE,
)
_PRONOUN = {"he": "he", "him": "he", "she": "she", "her": "she"}


class People:
    """Who is there to be spoken to in one turn. ``said_before`` is the player's line before this one, ``replies`` the
    narrator's, oldest first.
    """

    def __init__(
        self,
        reading: ParsedLine,
        lore: Lore,
        companion: Speaker | None,
        said_before: str,
        replies: Sequence[str],
        setting: Setting,
        pick: Picker,
    ) -> None:
        self._reading = reading
        self._lore = lore
        self._companion = companion
        self._replies = replies
        self._setting = setting
        self._pick = pick
        self._said_before = said_before
        self._last = replies[-1] if replies else ""
        self._named = lore.named_in(reading.text)

    def speaker(self) -> Speaker:
        """Returns who is spoken to.

        In this order: the one called by name, the one named outside the quotes, the one with the
        trade named, the person of the place named, who was spoken to last, the companion, anyone.
        """
        text, companion = self._reading.text, self._companion
        outside = re.sub('["\u201c][^"\u201d]*["\u201d]', " ", text)
        for called in _called(self._reading.speech or text):
            if companion and _part_of(companion.name, called):
                return companion
            person = self._person_named(called)
            return of_name(person) if person else of_stranger(called)
        if companion and _part_of(companion.name, outside):
            return companion
        people = [name for name in self._lore.named_in(outside) if name.kind == "person"]
        addressed = next((name for name in people if not self._only_topic(name, outside)), None)
        if addressed:
            return of_name(addressed)
        unknown = re.search(
            r"\b(?:to|with|ask|tell|greet|thank|warn|call)s?\s+([A-Z][\w'-]+)\b", outside
        )
        if unknown and _can_be_name(unknown.group(1)):
            person = self._person_named(unknown.group(1))
            return of_name(person) if person else of_stranger(unknown.group(1))
        trade = self._addressee(outside)
        if trade:
            return self._by_trade(trade) or of_stranger(trade)
        return self._of_place() or self._in_talk() or companion or self._last_person() or self._anyone()

    def _person_named(self, called: str) -> Name | None:
        return next((name for name in self._lore.named_in(called) if name.kind == "person"), None)

    def _only_topic(self, name: Name, text: str) -> bool:
        """The name stands behind "about" or inside a question, so it is not who is asked."""
        at = text.casefold().find(name.short.casefold())
        before = text[: max(at, 0)].casefold()
        if re.search(
            r"\b(?:to|with|ask|asks|tell|tells|thank|greet|beg|warn|call|find|see|meet|visit|promise)\s+$",
            before,
        ):
            return False
        return bool(
            re.search(
                r"\b(about|of|if|whether|who|what|where|why|how|does|is|did|has|that|know)\b", before
            )
        )

    def _of_place(self) -> Speaker | None:
        """Returns the person whom the lore ties to the place the line names."""
        places = [name for name in self._named if name.kind == "place"]
        for fact in self._lore.facts:
            subject = fact.subject
            if (
                subject
                and subject.kind == "person"
                and not subject.gone
                and any(name in fact.names for name in places)
            ):
                return of_name(subject)
        return None

    def _in_talk(self) -> Speaker | None:
        """Returns who was spoken to before this line, or who spoke last in one of the last two replies."""
        for called in _called(self._said_before):
            person = self._person_named(called)
            return of_name(person) if person else of_stranger(called)
        for name in self._lore.named_in(self._said_before):
            if name.kind == "person" and not name.gone and name.short in self._last:
                return of_name(name)
        for reply in reversed(self._replies[-2:]):
            found = [after or before for after, before in _SPEAKS.findall(reply)]
            speakers = [one for one in found if " " in one or _can_be_name(one)]
            for speaker in reversed(speakers):
                if self._companion and speaker == self._companion.name:
                    continue
                person = self._person_named(speaker)
                return of_name(person) if person else of_stranger(re.sub(r"^The ", "the ", speaker))
        return None

    def _by_trade(self, trade: str) -> Speaker | None:
        wanted = stems(trade)
        for fact in self._lore.facts:
            subject = fact.subject
            if (
                subject is not None
                and subject.kind == "person"
                and not subject.gone
                and wanted & fact.words
            ):
                return of_name(subject)
        return None

    def _addressee(self, text: str) -> str:
        match = re.search(
            r"\b(?:(?:talk|speak|chat|say|whisper|call|shout)s?(?: quietly| softly| loudly)? (?:to|with)|ask|tell|"
            r"thank|greet|beg|warn|question)\s+(?:the|a|an)\s+([a-z'-]+)",
            text,
            re.IGNORECASE,
        )
        if match:
            return f"the {match.group(1).lower()}"
        noun = self._reading.object.split(" ")[:2]
        pointed = re.search(r"\b(him|her|them)\b", text.casefold())
        return (
            f"the {noun[1]}"
            if pointed and len(noun) == 2 and noun[1].casefold() in word_list("people")
            else ""
        )

    def _last_person(self) -> Speaker | None:
        text = self._last.casefold()
        found: list[tuple[int, Speaker]] = [
            (text.rfind(name.short.casefold()), of_name(name))
            for name in self._lore.of_kind("person")
            if not name.gone
        ]
        if self._companion:
            found.append((text.rfind(self._companion.name.casefold()), self._companion))
        found = [(at, voice) for at, voice in found if at >= 0]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def _anyone(self) -> Speaker:
        people = [name for name in self._lore.of_kind("person") if not name.gone]
        if people:
            return of_name(people[0])
        strangers = [of_stranger(re.sub(r"^(?:a|an)\b", "the", one)) for one in self._setting.strangers]
        pointed = re.search(r"\b(he|him|she|her)\b", self._reading.text.casefold())
        they = _PRONOUN[pointed.group()] if pointed else ""
        return self._pick.any_of(
            [voice for voice in strangers if they in ("", voice.they)] or strangers
        )


def _called(text: str) -> list[str]:
    """Returns the names somebody is called by: "Maud, where is it?", "Well, Maud?", "Lio? I have bread." """
    name = "([A-Z][\\w'\u2019-]+(?: [A-Z][\\w'\u2019-]+)?)"
    found = re.findall(rf"^[\"\u201c']?{name}[,?!]", text) + re.findall(rf",\s+{name}[.,?!]", text)
    named = [
        re.sub(r"^\S+ ", "", one) if one.split()[0].casefold() in _NO_NAMES else one for one in found
    ]
    return [one for one in named if _can_be_name(one)]  # "Hello Ines" calls Ines


def _can_be_name(word: str) -> bool:
    """Whether a capitalised word may be somebody's: no pronoun, no adverb, no word that opens a sentence."""
    low = word.casefold()
    return low not in _NO_NAMES and low not in word_list("stop_words") and not is_adverb(word)


_NO_NAMES = word_set(
    """
    nobody somebody everybody anybody everyone anyone someone nothing everything anything something
    none both neither either others all most some they everywhere two three one
    well please look listen thanks sorry hello hey yes okay sir madam really wait stop fine good
    sure in out god gods heaven hell
    """
)


def _part_of(name: str, text: str) -> bool:
    return bool(re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE))
