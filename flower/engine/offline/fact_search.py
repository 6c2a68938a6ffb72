"""Searches the lore for the sentence that answers a line, or belongs to what it does. Pure.

Chooses sentences so that each answers what was asked and none comes twice within a few replies; writes no
sentences itself. How well a sentence fits is for ``relevance`` to say.
"""

from __future__ import annotations

import re
from functools import cached_property

from msgspec.structs import replace

from flower.engine.offline.facts import NOT_RECALLED, Fact, scene_facts
from flower.engine.offline.grammar import stems, upper_first
from flower.engine.offline.knowledge import Knowledge, core_of
from flower.engine.offline.names import Name
from flower.engine.offline.questions import about_me
from flower.engine.offline.relevance import (
    AMOUNT,
    ASKS_PRICE,
    COUNTS,
    NUMBER,
    SEEKING,
    answers_it,
    asked_part,
    belongs_to,
    belongs_to_name,
    content,
    counted,
    counts,
    fit,
    kindred,
    leads_with,
    measured,
    rank_facts,
    who_is,
)

NEAR_SCORE = 12  # for acts: what the act is about, or two words, or a name
ASKED_SCORE = 6  # for questions: one word will do, if it is none of the commonest
FORM_POINTS = 8  # for a sentence of the form that a question wants
SHORT_WORDS = 4  # a question of no more, such as "And why?", is about what was just said
_PRICE_WORDS = ("price", "cost", "pay", "charge", "fee")
_POINTS = re.compile(r"\b(?:he|she|it|they|him|her|them|this|that|his|their)\b", re.IGNORECASE)
_OF_ME = re.compile(r"\byou (?:are|were|have|carry|come)\b|\bmakes you\b|\byour\b", re.IGNORECASE)
_I_AM = re.compile(
    r"\byou (?:are|were|have come|carry)\b|\bmakes you\b|\basking you to\b", re.IGNORECASE
)
_YOURS = re.compile(r"\byou(?:r)?\b", re.IGNORECASE)
_OF_THEM = re.compile(r"(?:She|He|They|It) ")  # a sentence that can follow when somebody is the talk


class FactSearch(Knowledge):
    """Knowledge that can be searched for one line."""

    def near(
        self, *, secret: bool = False, least: int = NEAR_SCORE, price: bool = False, besides: str = ""
    ) -> Fact | None:
        """Returns the best fact about the line that was not used lately, or None.

        ``besides``: who is spoken to; that they are named says nothing of what the talk is about.
        """
        line = self.line
        called = self._called_besides(besides)
        asks = line.kind in ("know", "oracle", "speech", "recall", "aside")
        words = (self.query_words if asks else line.words) - called
        prices = stems(" ".join(_PRICE_WORDS))
        names = self._names_meant(words, besides, asks=asks)
        if ASKS_PRICE.search(line.text) and words & prices and not price:
            cost = self.near(secret=secret, least=least, price=True, besides=besides)
            if cost is not None:
                return cost
        if price:
            words = words - prices
        focus = stems(f"{line.object} {line.topic}") - prices
        if asks:
            focus = frozenset[str]().union(*(kindred(word) for word in focus & words))
            words = frozenset[str]().union(*(kindred(word) for word in words))
        hits = self._fitting(
            words | focus, focus, names, self.query_words - called if asks else None, besides
        )
        for score, fact in self._by_form(hits, least, price=price):
            fits = (secret or not fact.secret) and (fact.price or not price)
            if score >= least and fits and self.use(fact):
                return fact
            if asks and fits and fact.subject in names and (rest := self._rest_of(fact)):
                return rest
        return None

    def _called_besides(self, besides: str) -> frozenset[str]:
        """Returns the stems of the name of who is spoken to, if the line has it."""
        return stems(" ".join(name.full for name in self.named if name.short == besides))

    def _names_meant(self, words: frozenset[str], besides: str, *, asks: bool) -> tuple[Name, ...]:
        """Returns whom and what the line is about: those it names, else those that its pronouns mean."""
        line = self.line
        names = tuple(name for name in self.named if name.short != besides)
        if not asks:
            return tuple(one for one in names if not belongs_to_name(one, line.text))
        if names or (names := self.meant(besides)):
            return names
        points = not words or _POINTS.search(line.text) is not None
        short = len(line.text.split()) <= SHORT_WORDS
        return self.lately_named() if points and short and self.last else ()  # "Why?" is about that

    def _by_form(
        self, hits: list[tuple[int, Fact]], least: int, *, price: bool
    ) -> list[tuple[int, Fact]]:
        """Returns the facts with those first that have the price or the number that is asked for."""
        if price:
            hits = sorted(hits, key=lambda pair: AMOUNT.search(pair[1].text) is None)
        if not COUNTS.search(self.line.text):
            return hits
        numbered = [
            (max(score, least) if NUMBER.search(fact.text) and score > 0 else score, fact)
            for score, fact in hits
        ]  # a number about anything in the question is nearer than no number
        return sorted(numbered, key=lambda pair: pair[0] < least or NUMBER.search(pair[1].text) is None)

    def _rest_of(self, fact: Fact) -> Fact | None:
        """Returns the second half of what was said of somebody, who is asked for once more."""
        core = core_of(fact.more)
        if self.pick.noted(core_of(fact.text)):
            return None
        if not _OF_THEM.match(fact.more) or core.casefold() in self.recent or self.pick.noted(core):
            return None
        self.pick.note(core)
        if fact.subject is None:
            return None
        who = upper_first(fact.subject.with_article)  # "He has new gloves" alone would be of anybody
        return replace(fact, text=_OF_THEM.sub(f"{who} ", fact.more, count=1), more="")

    def _fitting(
        self,
        words: frozenset[str],
        focus: frozenset[str],
        names: tuple[Name, ...],
        query: frozenset[str] | None,
        speaker: str = "",
    ) -> list[tuple[int, Fact]]:
        """Returns the facts that touch the words, best first; ``query``: only those that answer these.

        None for ``query``: only those that belong to what is done.
        """
        question = asked_part(self.line.speech or self.line.text)
        who = re.match(r"\W*(?:and |so |but )?who\b", question, re.IGNORECASE) is not None
        hits = rank_facts(self.lore, words, focus=focus, names=names, who=who)
        if query is None:
            looks = self.line.kind in ("look", "search", "think")
            thing = stems(self.line.object)
            return [
                (score + NOT_RECALLED, fact)
                for score, fact in hits
                if belongs_to(fact, words, names, thing, of_people=looks)
            ]
        if things := counted(question):
            return [(score + FORM_POINTS, fact) for score, fact in hits if counts(fact, things)]
        query -= measured(question)
        led = {fact.subject for fact in self.lore.facts} & set(names)
        of_whom = led if who_is(question) else ()
        seeks = SEEKING.search(self.line.text) is not None
        fitting = [
            (
                score
                + NOT_RECALLED
                + 4 * leads_with(fact, query)
                + FORM_POINTS
                * fit(
                    question,
                    fact,
                    named=bool(self.named),
                    seeks=seeks,
                ),
                fact,
            )
            for score, fact in hits
            if answers_it(fact, query, names, self.word_counts)
            and (not of_whom or fact.subject in of_whom)
        ]
        return sorted(fitting, key=lambda pair: -pair[0])

    def hidden(self, least: int) -> Fact | None:
        """Returns the secret that the line touches most, for whoever has earned it."""
        line = self.line
        focus = stems(f"{line.object} {line.topic} {self.place}")
        hits = rank_facts(self.lore, line.words | focus, focus=focus, names=self.named)
        return next(
            (fact for score, fact in hits if fact.secret and score >= least and self.use(fact)), None
        )

    def from_scene(self, *, of_me: bool = False, date: bool = False) -> Fact | None:
        """Returns what the scene says about the line, or who the player is, or the day; None when nothing."""
        facts = [
            fact
            for fact in scene_facts(self.cue.scene, self.lore)
            if not fact.secret and (of_me or date or not self.is_recent(fact))
        ]
        if of_me:
            hits = [fact for fact in facts if _I_AM.search(fact.text)]
        elif date:
            hits = [
                fact for fact in facts[:1] if NUMBER.search(fact.text) or "day" in fact.text.casefold()
            ]
        elif self.line.kind in ("know", "recall", "aside", "oracle") and (
            about_me(self.line.text) or counted(self.line.text) or not self.near_words
        ):
            query = self.query_words - measured(self.line.text)
            topics = content(query, [one for one in self.named if one.kind == "person"])
            things = counted(self.line.text)
            hits = [fact for fact in facts if things and counts(fact, things)] or [
                fact
                for fact in facts
                if topics
                and len(topics & fact.words) == len(topics)
                and (_OF_ME.search(fact.text) or not self.named)
            ]
        else:
            noun = self.line.object.rsplit(" ", 1)[
                -1
            ].casefold()  # small: a board is no Board of Lights
            hits = [
                fact
                for fact in facts
                if noun
                and re.search(rf"\b{re.escape(noun)}", fact.text)
                and _YOURS.search(fact.text)
                and not re.search(rf"\b(?:an?|some) (?:\w+ )?{re.escape(noun)}", self.line.text)
            ]
        for fact in hits[:1]:
            self.use(fact)
        return hits[0] if hits else None

    @cached_property
    def near_words(self) -> bool:
        """Whether the lore has a sentence with all that is asked."""
        topics = content(self.query_words - measured(self.line.text), ())
        return any(topics <= fact.words for fact in self.lore.facts if not fact.secret)

    def again(self, instead: Fact | None, *, besides: str = "", least: int = 16) -> Fact | None:
        """Returns a fact that was given before and is asked for once more, None when none is meant.

        ``instead``: what would be given for the first time; only a price that it does not name is better.
        """
        asks_price = ASKS_PRICE.search(self.line.text) is not None
        if instead is not None and (not asks_price or AMOUNT.search(instead.text)):
            return None
        names = tuple(name for name in self.named if name.short != besides) or self.meant(besides)
        focus = stems(f"{self.line.object} {self.line.topic}")
        called = stems(" ".join(name.full for name in self.named if name not in names))
        words = frozenset[str]().union(*(kindred(word) for word in self.query_words - called))
        hits = self._fitting(words | focus, focus, names, self.query_words - called, besides)
        recent = [
            (score + least * (asks_price and AMOUNT.search(fact.text) is not None), fact)
            for score, fact in hits
            if not fact.secret
            and core_of(fact.text).casefold() in self.recent  # not in this very reply
        ]
        score, fact = max(recent, key=lambda pair: pair[0], default=(0, None))
        if fact is None or score < least:
            return None
        return fact
