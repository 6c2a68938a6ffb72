"""What the lore, the scene and what was told so far have to say about one line. Pure.

Chooses sentences of lore so that each answers what was asked or belongs to what is done, and none comes
twice within a few replies; writes no sentences itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from flower.engine.offline import facts as lore_of
from flower.engine.offline.facts import Fact, Lore
from flower.engine.offline.forms import AMOUNT, ASKS_PRICE, COUNTS, NUMBER, counted, counts, fit
from flower.engine.offline.grammar import lower_first, spoken, stop, upper_first
from flower.engine.offline.names import Name
from flower.engine.offline.parse import ParsedLine
from flower.engine.offline.people import People
from flower.engine.offline.questions import about_me
from flower.engine.offline.relevance import (
    SEEKING,
    answers_it,
    asked_part,
    belongs_to,
    belongs_to_name,
    content,
    kindred,
    leads_with,
    measured,
    who_is,
)
from flower.engine.offline.scene import Scene, first_place, goal_of, key_of, wanted_by
from flower.engine.offline.stems import stems
from flower.engine.offline.tables import word_list
from flower.engine.offline.templates import Picker
from flower.engine.offline.topics import by_head, told_first
from flower.engine.provider.base import ChatMessage, Cue

NEAR_SCORE = 12  # for acts: what the act is about, or two words, or a name
ASKED_SCORE = 6  # for questions: one word will do, if it is none of the commonest
FORM_POINTS = 8  # for a sentence of the form that a question wants
SHORT_WORDS = 4  # a question of no more, such as "And why?", is about what was just said
SPARE_STEMS = 6  # a shorter one says nothing out of its place
SPARE_WORDS = 28  # a fact that comes by the way is not a long one
SPARE_RANK = 4  # and was recalled for this very moment
_PRICE_WORDS = ("price", "cost", "pay", "charge", "fee")
_POINTS = re.compile(r"\b(?:he|she|it|they|him|her|them|this|that|his|their)\b", re.IGNORECASE)
_ONCE = re.compile(
    r"\b(?:was|were|had|went|came|stood|rang|died|drowned|sworn|years ago|never found)\b"
)
_OF_ME = re.compile(r"\byou (?:are|were|have|carry|come)\b|\bmakes you\b|\byour\b", re.IGNORECASE)
_I_AM = re.compile(
    r"\byou (?:are|were|have come|carry)\b|\bmakes you\b|\basking you to\b", re.IGNORECASE
)
_YOURS = re.compile(r"\byou(?:r)?\b", re.IGNORECASE)
_OF_THEM = re.compile(r"(?:She|He|They|It) ")  # a sentence that can follow when somebody is the talk


class Knowledge:
    """What is known in one turn. ``Context`` sets the attributes and adds phrases and slots."""

    cue: Cue
    line: ParsedLine
    lore: Lore
    scene: Scene
    people: People
    pick: Picker
    history: Sequence[ChatMessage]
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
        found = [
            fact.subject
            for fact in self.lore.facts
            if fact.subject is not None
            and fact.subject.kind == "person"
            and not fact.secret
            and any(name in fact.names for name in places)
        ]
        if not self.scene.place and not self.goal:
            opening = f"{self.cue.scene} {self.replies[0] if self.replies else ''}"
            found = [name for name in self.lore.named_in(opening) if name.kind == "person"] + found
        return tuple(name for name in dict.fromkeys(found) if not name.gone)

    def facts_of(self, words: str) -> list[Fact]:
        """Returns what is openly known about a place or a person, what begins with the name first."""
        names = self.lore.named_in(words)
        known = [fact for fact in self.lore.facts if not fact.secret and not self.is_recent(fact)]
        about = [fact for fact in known if fact.subject is not None and fact.subject in names]
        return about + [fact for fact in known if fact not in about and set(names) & set(fact.names)]

    # --- facts ------------------------------------------------------------------------------------
    def near(
        self, *, secret: bool = False, least: int = NEAR_SCORE, price: bool = False, besides: str = ""
    ) -> Fact | None:
        """Returns the best fact about the line that was not used lately, or None.

        ``besides``: who is spoken to; that they are named says nothing of what the talk is about.
        """
        line = self.line
        names = tuple(name for name in self.named if name.short != besides)
        called = stems(" ".join(name.full for name in self.named if name not in names))
        asks = line.kind in ("know", "oracle", "speech", "recall", "aside")
        words = (self.asked if asks else line.words) - called
        prices = stems(" ".join(_PRICE_WORDS))
        points = not words or _POINTS.search(line.text) is not None
        meant = self.meant(besides) if asks and not names else ()
        if meant:
            names = meant
        elif asks and points and not names and len(line.text.split()) <= SHORT_WORDS and self.last:
            names = self._lately_named()  # "Why?" asks about what was just said
        if ASKS_PRICE.search(line.text) and words & prices and not price:
            cost = self.near(secret=secret, least=least, price=True, besides=besides)
            if cost is not None:
                return cost
        if price:
            words = words - prices
        if not asks:
            names = tuple(one for one in names if not belongs_to_name(one, line.text))
        focus = stems(f"{line.object} {line.topic}") - prices
        if asks:
            focus = frozenset[str]().union(*(kindred(word) for word in focus & words))
            words = frozenset[str]().union(*(kindred(word) for word in words))
        found = self._fitting(
            words | focus, focus, names, self.asked - called if asks else None, besides
        )
        if price:
            found.sort(key=lambda pair: AMOUNT.search(pair[1].text) is None)
        if COUNTS.search(line.text):  # a number about anything in the question is nearer than no number
            found = [
                (max(score, least) if NUMBER.search(fact.text) and score > 0 else score, fact)
                for score, fact in found
            ]
            found.sort(key=lambda pair: pair[0] < least or NUMBER.search(pair[1].text) is None)
        for score, fact in found:
            wanted = (secret or not fact.secret) and (fact.price or not price)
            if score >= least and wanted and self.use(fact):
                return fact
            if asks and wanted and fact.subject in names and (rest := self._rest_of(fact)):
                return rest
        return None

    def _rest_of(self, fact: Fact) -> Fact | None:
        """Returns the second half of what was told of somebody, who is asked for once more."""
        core = _core(fact.more)
        if self.pick.noted(_core(fact.text)):
            return None
        if not _OF_THEM.match(fact.more) or core.casefold() in self.recent or self.pick.noted(core):
            return None
        self.pick.note(core)
        if fact.subject is None:
            return None
        who = upper_first(fact.subject.said)  # "He has new gloves" alone would be of anybody
        return replace(fact, text=_OF_THEM.sub(f"{who} ", fact.more, count=1), more="")

    def _fitting(
        self,
        words: frozenset[str],
        focus: frozenset[str],
        names: tuple[Name, ...],
        asked: frozenset[str] | None,
        speaker: str = "",
    ) -> list[tuple[int, Fact]]:
        """Returns the facts that touch the words, best first; ``asked``: only those that answer these.

        None for ``asked``: only those that belong to what is done.
        """
        question = asked_part(self.line.speech or self.line.text)
        who = re.match(r"\W*(?:and |so |but )?who\b", question, re.IGNORECASE) is not None
        found = lore_of.about(self.lore, words, focus=focus, names=names, who=who)
        if asked is None:
            looks = self.line.kind in ("look", "search", "think")
            thing = stems(self.line.object)
            return [
                (score + lore_of.NOT_RECALLED, fact)
                for score, fact in found
                if belongs_to(fact, words, names, thing, of_people=looks)
            ]
        if things := counted(question):
            return [(score + FORM_POINTS, fact) for score, fact in found if counts(fact, things)]
        asked -= measured(question)
        led = {fact.subject for fact in self.lore.facts} & set(names)
        of_whom = led if who_is(question) else ()
        seeks = SEEKING.search(self.line.text) is not None
        fitting = [
            (
                score
                + lore_of.NOT_RECALLED
                + 4 * leads_with(fact, asked)
                + FORM_POINTS
                * fit(
                    question,
                    fact,
                    named=bool(self.named),
                    seeks=seeks,
                ),
                fact,
            )
            for score, fact in found
            if answers_it(fact, asked, names, self._common) and (not of_whom or fact.subject in of_whom)
        ]
        return sorted(fitting, key=lambda pair: -pair[0])

    @cached_property
    def asked(self) -> frozenset[str]:
        """The stems of what is asked, without who is asked for it and what is done meanwhile."""
        part = asked_part(self.line.text)
        return self.line.words if part == self.line.text else self.line.words & stems(part)

    @cached_property
    def _common(self) -> Mapping[str, int]:
        return Counter(word for fact in self.lore.facts for word in fact.words)

    def hidden(self, least: int) -> Fact | None:
        """Returns the secret that the line touches most, for whoever has earned it."""
        line = self.line
        focus = stems(f"{line.object} {line.topic} {self.place}")
        found = lore_of.about(self.lore, line.words | focus, focus=focus, names=self.named)
        return next(
            (fact for score, fact in found if fact.secret and score >= least and self.use(fact)), None
        )

    def from_scene(self, *, of_me: bool = False, date: bool = False) -> Fact | None:
        """Returns what the scene says about the line, or who the player is, or the day; None when nothing."""
        facts = [
            fact
            for fact in lore_of.told_of(self.cue.scene, self.lore)
            if not fact.secret and (of_me or date or not self.is_recent(fact))
        ]
        if of_me:
            found = [fact for fact in facts if _I_AM.search(fact.text)]
        elif date:
            found = [
                fact for fact in facts[:1] if NUMBER.search(fact.text) or "day" in fact.text.casefold()
            ]
        elif self.line.kind in ("know", "recall", "aside", "oracle") and (
            about_me(self.line.text) or counted(self.line.text) or not self.near_words
        ):
            asked = self.asked - measured(self.line.text)
            wanted = content(asked, [one for one in self.named if one.kind == "person"])
            things = counted(self.line.text)
            found = [fact for fact in facts if things and counts(fact, things)] or [
                fact
                for fact in facts
                if wanted
                and len(wanted & fact.words) == len(wanted)
                and (_OF_ME.search(fact.text) or not self.named)
            ]
        else:
            noun = self.line.object.rsplit(" ", 1)[
                -1
            ].casefold()  # small: a board is no Board of Lights
            found = [
                fact
                for fact in facts
                if noun
                and re.search(rf"\b{re.escape(noun)}", fact.text)
                and _YOURS.search(fact.text)
                and not re.search(rf"\b(?:an?|some) (?:\w+ )?{re.escape(noun)}", self.line.text)
            ]
        for fact in found[:1]:
            self.use(fact)
        return found[0] if found else None

    @cached_property
    def near_words(self) -> bool:
        """Whether the lore has a sentence with all that is asked."""
        wanted = content(self.asked - measured(self.line.text), ())
        return any(wanted <= fact.words for fact in self.lore.facts if not fact.secret)

    def about(self, names: Sequence[Name]) -> Fact | None:
        """Returns something openly known about one of the names that was not told lately, None for nothing."""
        known = (
            fact
            for fact in self.lore.facts
            if not fact.secret and fact.subject in names and not fact.price
        )
        return next((fact for fact in known if self.use(fact)), None)

    def first_of(self, besides: str = "", *, told_too: bool = False) -> Fact | None:
        """Returns what the lore says of whoever or whatever the question names, None when it knows neither.

        Chosen by the words of the question among what was not told lately; ``told_too``: else what was.
        """
        asked = asked_part(self.line.speech or self.line.text)
        named = tuple(name for name in self.named if name.short != besides)
        pointed = () if named else self.meant(besides)
        names = (*named, *pointed, *by_head(self.lore, asked))
        wanted = content(stems(asked) - measured(asked), names)
        own = next((name for name in self.named if name.short == besides), None)
        found = told_first(self.lore.facts, wanted, names, self._common, own)
        if pointed and besides:  # whom "he" means is a guess: what is told must be about what was asked
            found = [fact for fact in found if any(kindred(word) & fact.words for word in wanted)]
        fresh = next((fact for fact in found if self.use(fact)), None)
        return fresh or (found[0] if found and told_too else None)

    def of_thing(self) -> Fact | None:
        """Returns what is known of the thing an act is done to: a sentence that begins with it."""
        words = stems(self.line.object) or self.line.words
        rare = frozenset(
            word for word in words if self._common.get(word, 0) <= 2 * lore_of.COMMON_FACTS
        )
        heads = by_head(self.lore, self.line.object or self.line.text)
        found = [
            fact
            for fact in self.lore.facts
            if not fact.secret
            and (fact.subject is None or fact.subject.kind != "person")
            and (
                (fact.subject is not None and fact.subject in heads)
                or (rare and leads_with(fact, rare))
            )
        ]
        return next((fact for fact in found if self.use(fact)), None)

    def who_knows(self, besides: str) -> Name | None:
        """Returns somebody whom the lore ties to what is asked and who is not at hand, None for nobody."""
        wanted = content(self.asked, self.named)
        at_hand = {key_of(one) for one in (*self.scene.company, besides)}
        for fact in self.lore.facts:
            who = fact.subject
            if who is None or who.kind != "person" or fact.secret or key_of(who.short) in at_hand:
                continue
            shares = any(
                kindred(word) & fact.core and self._common[word] <= lore_of.COMMON_FACTS
                for word in wanted
            )
            if (shares or who in self.named) and not self.people.is_gone(who):
                return who
        return None

    def in_lore(self, words: frozenset[str]) -> bool:
        """Whether the lore at hand has all of the words, in whatever place."""
        return words <= frozenset().union(*(fact.words for fact in self.lore.facts))

    def meant(self, besides: str = "") -> tuple[Name, ...]:
        """Returns whom "he" or "she" of a question is about: the last one named so, gone or not."""
        asked = self.line.speech if self.line.speech_act == "ask" and self.line.speech else ""
        topic = self.line.topic if self.line.kind == "speech" and not asked else ""
        wanted = wanted_by(asked or topic or ("" if self.line.kind == "speech" else self.line.text))
        if not wanted:
            return ()
        for message in reversed(self.history[-4:]):
            found = [
                name
                for name in self.lore.named_in(message.content)
                if name.kind == "person" and name.they == wanted and name.short != besides
            ]
            folded = message.content.casefold()
            if found:
                return (max(found, key=lambda name: folded.rfind(name.short.casefold())),)
        return ()

    def last_named(self, text: str) -> Name | None:
        """Returns who was named last and is called as "him" or "her" of the text, None for nobody who is there."""
        wanted = wanted_by(text)
        for message in reversed(self.history[-4:]):
            folded = message.content.casefold()
            found = [
                name
                for name in self.lore.named_in(message.content)
                if name.kind == "person" and name.they == wanted and not self.people.is_gone(name)
            ]
            if wanted and found:
                return max(found, key=lambda name: folded.rfind(name.short.casefold()))
        return None

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
        words = frozenset[str]().union(*(kindred(word) for word in self.asked - called))
        found = self._fitting(words | focus, focus, names, self.asked - called, besides)
        recent = [
            (score + least * (asks_price and AMOUNT.search(fact.text) is not None), fact)
            for score, fact in found
            if not fact.secret and _core(fact.text).casefold() in self.recent  # not in this very reply
        ]
        score, fact = max(recent, key=lambda pair: pair[0], default=(0, None))
        if fact is None or score < least:
            return None
        return fact

    def _lately_named(self) -> tuple[Name, ...]:
        folded = self.last.casefold()
        named = sorted(
            self.lore.named_in(self.last), key=lambda name: -folded.rfind(name.short.casefold())
        )
        return tuple(named[:3])

    def spare(self) -> Fact | None:
        """Returns some fact recalled for this moment that was not used lately, or None."""
        return self._some(lambda fact: fact.rank < SPARE_RANK)

    def rumour(self) -> Fact | None:
        """Returns something people say that was not told lately, None when nobody says anything."""
        rumours = (
            one for one in self.lore.facts if "rumour" in one.section.casefold() and not one.secret
        )
        return next((fact for fact in rumours if self.use(fact)), None) or self.spare()

    def tale(self) -> Fact | None:
        """Returns something that happened here once and was not told lately, else any fact; None for nothing."""
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
        """Returns a fact about the place that was not told yet, or None; who is there speaks for themself."""
        here = [one for one in (*self.lore.named_in(self.place), *self.named) if one.kind != "person"]
        return self._some(lambda fact: fact.subject in here and not self.was_told(fact))

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
        self.pick.note(_core(fact.text))
        return True

    def counted(self, thing: str) -> Fact | None:
        """Returns what says how many there are of a thing: "the steps"; None when nothing does."""
        wanted = frozenset[str]().union(*(kindred(word) for word in stems(thing)))
        known = (fact for fact in self.lore.facts if not fact.secret and counts(fact, wanted))
        return next((fact for fact in known if not self.pick.noted(_core(fact.text))), None)

    def was_told(self, fact: Fact) -> bool:
        """Whether a fact was told in this story, however long ago, as far as the story is seen."""
        core, end = _core(fact.text).casefold(), _end(fact.text)
        return any(core in reply.casefold() or end in reply.casefold() for reply in self.replies)

    def is_recent(self, fact: Fact) -> bool:
        """Whether a fact was told in one of the last replies or in this one."""
        core = _core(fact.text)
        return core.casefold() in self.recent or _end(fact.text) in self.recent or self.pick.noted(core)

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
        more = fact.more if _core(fact.more).casefold() not in self.recent else ""
        return {
            "fact": fact.text,
            "fact_plain": quoted,
            "fact_said": spoken(fact.text, tagged=True)[1:],
            "fact_lc": lowered,
            "telling": f"{fact.text} {more}".strip(),
        }


def _core(text: str) -> str:
    """Returns the middle of a sentence: the same whether quoted, lowered or followed by a tag."""
    return text[1:].rstrip(".!?\"'\u201d\u2019").replace('"', "'")[:60]


def _end(text: str) -> str:
    """Returns the end of a sentence, small: the same in a portrait, which begins otherwise."""
    return text.rstrip(".!?\"'\u201d\u2019").replace('"', "'")[-45:].casefold()
