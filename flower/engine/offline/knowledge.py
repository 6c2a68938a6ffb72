"""What the lore and the story so far have to say in one turn, and what of it was said already. Pure.

Owns the choice among sentences that no question asks for; searching for an answer is ``fact_search``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from flower.engine.offline.facts import COMMON_FACTS, Fact, Lore
from flower.engine.offline.grammar import lower_first, spoken, stems, stop
from flower.engine.offline.names import Name
from flower.engine.offline.parse import ParsedLine
from flower.engine.offline.people import People
from flower.engine.offline.relevance import (
    asked_part,
    by_head,
    content,
    counts,
    facts_of_names,
    kindred,
    leads_with,
    measured,
)
from flower.engine.offline.scene import Scene, first_place, goal_of, key_of, pronoun_in
from flower.engine.offline.tables import word_list
from flower.engine.offline.templates import Picker
from flower.engine.provider.base import Cue, PromptMessage

SPARE_STEMS = 6  # a shorter one says nothing out of its place
SPARE_WORDS = 28  # a fact that comes by the way is not a long one
SPARE_RANK = 4  # and was recalled for this very moment
_ONCE = re.compile(
    r"\b(?:was|were|had|went|came|stood|rang|died|drowned|sworn|years ago|never found)\b"
)


class Knowledge:
    """What is known in one turn. ``Context`` sets the attributes and adds phrases and slots."""

    cue: Cue
    line: ParsedLine
    lore: Lore
    scene: Scene
    people: People
    pick: Picker
    history: Sequence[PromptMessage]
    replies: Sequence[str]
    last: str
    recent: str
    named: tuple[Name, ...]

    # --- the place --------------------------------------------------------------------------------
    @cached_property
    def goal(self) -> str:
        """Where this line leads to, "" when it leads nowhere in particular."""
        return goal_of(self.line, self.lore)

    @cached_property
    def here(self) -> str:
        """Where the player was when they wrote the line, in words."""
        return self.cue.place or self.scene.place or first_place(self.cue.scene, self.lore)

    @cached_property
    def place(self) -> str:
        """Where the reply plays."""
        return self.goal or self.here

    @cached_property
    def nearby(self) -> tuple[Name, ...]:
        """People whom the lore ties to the place, or whom the scene has at hand at the beginning."""
        places = [name for name in self.lore.named_in(self.place) if name.kind == "place"]
        people = [
            fact.subject
            for fact in self.lore.facts
            if fact.subject is not None
            and fact.subject.kind == "person"
            and not fact.secret
            and any(name in fact.names for name in places)
        ]
        if not self.scene.place and not self.goal:
            opening = f"{self.cue.scene} {self.replies[0] if self.replies else ''}"
            people = [name for name in self.lore.named_in(opening) if name.kind == "person"] + people
        return tuple(name for name in dict.fromkeys(people) if not name.gone)

    def facts_of(self, words: str) -> list[Fact]:
        """Returns what is openly known about a place or a person, what begins with the name first."""
        names = self.lore.named_in(words)
        open_facts = [fact for fact in self.lore.facts if not fact.secret and not self.is_recent(fact)]
        about = [fact for fact in open_facts if fact.subject is not None and fact.subject in names]
        return about + [
            fact for fact in open_facts if fact not in about and set(names) & set(fact.names)
        ]

    # --- facts ------------------------------------------------------------------------------------
    @cached_property
    def query_words(self) -> frozenset[str]:
        """The stems of what is asked, without who is asked for it and what is done meanwhile."""
        part = asked_part(self.line.text)
        return self.line.words if part == self.line.text else self.line.words & stems(part)

    @cached_property
    def word_counts(self) -> Mapping[str, int]:
        return Counter(word for fact in self.lore.facts for word in fact.words)

    def about(self, names: Sequence[Name]) -> Fact | None:
        """Returns something openly known about one of the names that was not said lately, None for nothing."""
        candidates = (
            fact
            for fact in self.lore.facts
            if not fact.secret and fact.subject in names and not fact.price
        )
        return next((fact for fact in candidates if self.use(fact)), None)

    def first_of(self, besides: str = "", *, repeats: bool = False) -> Fact | None:
        """Returns what the lore says of whoever or whatever the question names, None when it knows neither.

        Chosen by the words of the question among what was not said lately; ``repeats``: else what was.
        """
        question = asked_part(self.line.speech or self.line.text)
        named = tuple(name for name in self.named if name.short != besides)
        pointed = () if named else self.meant(besides)
        names = (*named, *pointed, *by_head(self.lore, question))
        query = content(stems(question) - measured(question), names)
        own = next((name for name in self.named if name.short == besides), None)
        hits = facts_of_names(self.lore.facts, query, names, self.word_counts, own)
        if pointed and besides:  # whom "he" means is a guess: what is said must be about what was asked
            hits = [fact for fact in hits if any(kindred(word) & fact.words for word in query)]
        fresh = next((fact for fact in hits if self.use(fact)), None)
        return fresh or (hits[0] if hits and repeats else None)

    def of_thing(self) -> Fact | None:
        """Returns what is known of the thing an act is done to: a sentence that begins with it."""
        words = stems(self.line.object) or self.line.words
        rare = frozenset(word for word in words if self.word_counts.get(word, 0) <= 2 * COMMON_FACTS)
        heads = by_head(self.lore, self.line.object or self.line.text)
        hits = [
            fact
            for fact in self.lore.facts
            if not fact.secret
            and (fact.subject is None or fact.subject.kind != "person")
            and (
                (fact.subject is not None and fact.subject in heads)
                or (rare and leads_with(fact, rare))
            )
        ]
        return next((fact for fact in hits if self.use(fact)), None)

    def who_knows(self, besides: str) -> Name | None:
        """Returns somebody whom the lore ties to what is asked and who is not at hand, None for nobody."""
        query = content(self.query_words, self.named)
        at_hand = {key_of(one) for one in (*self.scene.company, besides)}
        for fact in self.lore.facts:
            who = fact.subject
            if who is None or who.kind != "person" or fact.secret or key_of(who.short) in at_hand:
                continue
            shares = any(
                kindred(word) & fact.core and self.word_counts[word] <= COMMON_FACTS for word in query
            )
            if (shares or who in self.named) and not self.people.is_gone(who):
                return who
        return None

    def in_lore(self, words: frozenset[str]) -> bool:
        """Whether the lore at hand has all of the words, in whatever place."""
        return words <= frozenset().union(*(fact.words for fact in self.lore.facts))

    def meant(self, besides: str = "") -> tuple[Name, ...]:
        """Returns whom "he" or "she" of a question is about: the last one named so, gone or not."""
        question = self.line.speech if self.line.speech_act == "ask" and self.line.speech else ""
        topic = self.line.topic if self.line.kind == "speech" and not question else ""
        pronoun = pronoun_in(
            question or topic or ("" if self.line.kind == "speech" else self.line.text)
        )
        if not pronoun:
            return ()
        for message in reversed(self.history[-4:]):
            people = [
                name
                for name in self.lore.named_in(message.content)
                if name.kind == "person" and name.they == pronoun and name.short != besides
            ]
            folded = message.content.casefold()
            if people:
                return (max(people, key=lambda name: folded.rfind(name.short.casefold())),)
        return ()

    def last_named(self, text: str) -> Name | None:
        """Returns who was named last and is called as "him" or "her" of the text, None for nobody who is there."""
        pronoun = pronoun_in(text)
        for message in reversed(self.history[-4:]):
            folded = message.content.casefold()
            people = [
                name
                for name in self.lore.named_in(message.content)
                if name.kind == "person" and name.they == pronoun and not self.people.is_gone(name)
            ]
            if pronoun and people:
                return max(people, key=lambda name: folded.rfind(name.short.casefold()))
        return None

    def lately_named(self) -> tuple[Name, ...]:
        folded = self.last.casefold()
        named = sorted(
            self.lore.named_in(self.last), key=lambda name: -folded.rfind(name.short.casefold())
        )
        return tuple(named[:3])

    def spare(self) -> Fact | None:
        """Returns some fact recalled for this moment that was not used lately, or None."""
        return self._some(lambda fact: fact.rank < SPARE_RANK)

    def rumour(self) -> Fact | None:
        """Returns something people say that is new, None when nobody says anything."""
        rumours = (
            one for one in self.lore.facts if "rumour" in one.section.casefold() and not one.secret
        )
        return next((fact for fact in rumours if self.use(fact)), None) or self.spare()

    def tale(self) -> Fact | None:
        """Returns something that happened here once and was not said lately, else any fact; None for nothing."""
        once = [
            fact
            for fact in self.lore.facts
            if not fact.secret and not self.is_recent(fact) and _ONCE.search(fact.text)
            and (fact.subject is None or fact.subject.kind != "person") and len(fact.words) >= SPARE_STEMS
        ]  # fmt: skip
        if not once:
            return self.spare()
        fact = self.pick.any_of(once)
        self.use(fact)
        return fact

    def at_hand(self) -> Fact | None:
        """Returns a fact about the place that is new, or None; who is there speaks for themself."""
        here = [one for one in (*self.lore.named_in(self.place), *self.named) if one.kind != "person"]
        return self._some(lambda fact: fact.subject in here and not self.was_given(fact))

    def _some(self, fits: Callable[[Fact], bool]) -> Fact | None:
        facts = [
            fact
            for fact in self.lore.facts
            if not fact.secret and not self.is_recent(fact) and fact.names and fits(fact)
            and len(fact.words) >= SPARE_STEMS and len(fact.text.split()) <= SPARE_WORDS
        ]  # fmt: skip
        if not facts:
            return None
        fact = self.pick.any_of(facts)
        self.use(fact)
        return fact

    def use(self, fact: Fact) -> bool:
        """Marks a fact as given in this reply; returns False if it was used lately."""
        if self.is_recent(fact):
            return False
        self.pick.note(core_of(fact.text))
        return True

    def counted(self, thing: str) -> Fact | None:
        """Returns what says how many there are of a thing: "the steps"; None when nothing does."""
        query = frozenset[str]().union(*(kindred(word) for word in stems(thing)))
        candidates = (fact for fact in self.lore.facts if not fact.secret and counts(fact, query))
        return next((fact for fact in candidates if not self.pick.noted(core_of(fact.text))), None)

    def was_given(self, fact: Fact) -> bool:
        """Whether a fact was given in this story, however long ago, as far as the story is seen."""
        core, end = core_of(fact.text).casefold(), _end(fact.text)
        return any(core in reply.casefold() or end in reply.casefold() for reply in self.replies)

    def is_recent(self, fact: Fact) -> bool:
        """Whether a fact was given in one of the last replies or in this one."""
        core = core_of(fact.text)
        return core.casefold() in self.recent or _end(fact.text) in self.recent or self.pick.noted(core)

    def with_more(self, fact: Fact) -> str:
        """Returns a fact and the sentence that leans on it, unless that was said lately."""
        more = fact.more if core_of(fact.more).casefold() not in self.recent else ""
        return f"{fact.text} {more}".strip()

    def fact_slots(self, fact: Fact) -> dict[str, str]:
        """Returns the slots a fact fills; ``fact_lc`` only when it can stand behind "that"."""
        quoted = spoken(fact.text, tagged=False)[1:-1]
        first = re.match(r"[\w'\u2019-]+", fact.text)
        word = first.group() if first else ""
        lowered = ""
        if fact.subject is not None and not fact.text.startswith("The "):
            lowered = stop(fact.text)
        elif word.casefold() in word_list("stop_words") or word in ("No", "Two", "Three", "Nothing"):
            lowered = stop(lower_first(fact.text))
        return {
            "fact": fact.text,
            "fact_plain": quoted,
            "fact_said": spoken(fact.text, tagged=True)[1:],
            "fact_lc": lowered,
            "telling": self.with_more(fact),
        }


def core_of(text: str) -> str:
    """Returns the middle of a sentence: the same whether quoted, lowered or followed by a tag."""
    return text[1:].rstrip(".!?\"'\u201d\u2019").replace('"', "'")[:60]


def _end(text: str) -> str:
    """Returns the end of a sentence, small: the same in a portrait, which begins otherwise."""
    return text.rstrip(".!?\"'\u201d\u2019").replace('"', "'")[-45:].casefold()
