"""What is at hand for one reply: the line read, the scene, facts, people, memories, what was said lately.

Pure. Chooses facts and phrases so that nothing comes twice; writes no sentences itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from msgspec.structs import replace

from flower.engine.offline import facts as lore_of
from flower.engine.offline import oracle
from flower.engine.offline.facts import Fact, Lore
from flower.engine.offline.grammar import is_plural, lower_first, spoken, stop, tidy, upper_first
from flower.engine.offline.hearing import Heard, hear
from flower.engine.offline.names import Name, NameKind
from flower.engine.offline.parse import ParsedLine, read
from flower.engine.offline.people import People
from flower.engine.offline.questions import about_me, answers, without_call
from flower.engine.offline.recall import Recollection, remember
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
from flower.engine.offline.scene import Scene, first_place, goal_of, key_of, replay, wanted_by
from flower.engine.offline.stems import stem, stems
from flower.engine.offline.tables import Phrases, Surroundings, word_list
from flower.engine.offline.templates import Chance, Picker
from flower.engine.offline.voice import Speaker, of_character
from flower.engine.provider.base import ChatMessage, Cue

RECENT_REPLIES = 12  # facts of so many replies are not used again
NEAR_SCORE = 12  # for acts: what the act is about, or two words, or a name
SKY_REPLIES = 8  # in which the same sky is not told again
SKY_PERCENT = 50  # else a sound or a smell of the place says more
ASKED_SCORE = 6  # for questions: one word will do, if it is none of the commonest
FORM_POINTS = 8  # for a sentence of the form that a question wants
SHORT_WORDS = 4  # a question of no more, such as "And why?", is about what was just said
COUNT_WORDS = 7  # a number at most so many words before a thing counts it
SPARE_STEMS = 6  # a shorter one says nothing out of its place
SPARE_WORDS = 28  # a fact that comes by the way is not a long one
SPARE_RANK = 4  # and was recalled for this very moment
_SETTING_HITS = 3  # fewer words than that say nothing about the kind of world
_PRICE_WORDS = ("price", "cost", "pay", "charge", "fee")
_ASKS_PRICE = re.compile(
    r"\bhow much\b|\b(?:price|cost|costs|afford|charge|fee|expensive|cheap)\b|"
    r"\bwhat (?:do|does|would) [^?]{1,30}\b(?:pay|charge)\b",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\b(?:a|an|one|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty|sixty|\d+|and) "
    r"(?:pence|penny|pennies|sixpence|shillings?|pounds?|marks?|coins?|silver|gold|credits?|hours?|cup|tokens?)\b"
)
_COUNTS = re.compile(r"\bhow (?:many|old|far|long|high|deep)\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"\b(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|\w+ty|hundred|thousand|dozen)\b"
)
_HOW_MANY = re.compile(r"\bhow (?:many|much) (?:more |other )?(?P<what>[a-z]+)", re.IGNORECASE)
_POINTS = re.compile(r"\b(?:he|she|it|they|him|her|them|this|that|his|their)\b", re.IGNORECASE)
_UNIT = re.compile(
    r"\b(?:miles?|yards?|paces|steps|feet|foot|metres?|minutes|hours|days|weeks|years?|kilos?|pounds|tons?|\w+teen|\w+ty)\b"
)
_LOOKS_LIKE = re.compile(r"\blook(?:s|ed)? like\b|\bwhat sort of (?:man|woman|person)\b", re.IGNORECASE)
_APPEARANCE = re.compile(
    r"\b(?:small|tall|thin|fat|round|bald|grey|broad|damp|handsome|muddy|freckled|elegant|heavy-browed|quick|neat|"
    r"wears?|hair|eyes|coat|beard|moustache|fingers|granite|glass|stone hall)\b"
)
_ONCE = re.compile(
    r"\b(?:was|were|had|went|came|stood|rang|died|drowned|sworn|years ago|never found)\b"
)
_WHERE = re.compile(r"^\W*where(?:'s|\u2019s)?\b", re.IGNORECASE)
_MAY_I = re.compile(
    r"\b(?:can|could|do|should|may|might|will|am) (?:I|we)\b"
)  # nobody else is asked of
_IS_AT = re.compile(
    r"\b(?:is|are|lives?|lodges|sits|sleeps|lies|stands?|found|office|meets) (?:to be found )?(?:mostly )?"
    r"(?:at|in|on|over|above|by|under|beneath|behind|beside|near|below|between)\b"
)
_OF_ME = re.compile(r"\byou (?:are|were|have|carry|come)\b|\bmakes you\b|\byour\b", re.IGNORECASE)
_I_AM = re.compile(
    r"\byou (?:are|were|have come|carry)\b|\bmakes you\b|\basking you to\b", re.IGNORECASE
)
_YOURS = re.compile(r"\byou(?:r)?\b", re.IGNORECASE)
_OF_THEM = re.compile(r"(?:She|He|They|It) ")  # a sentence that can follow when somebody is the talk
_WEATHER = ("rain", "fog", "mist", "snow", "sun", "storm", "wind", "hail", "cloud", "frost")
_HOURS = ("dusk", "dawn", "noon", "evening", "morning", "midnight", "sunset", "afternoon", "lamplight")


class Context:
    """One turn's material. Lives for one reply."""

    def __init__(
        self, cue: Cue, messages: Sequence[ChatMessage], chance: Chance, phrases: Phrases
    ) -> None:
        self.cue = cue
        self.phrases = phrases
        history = [message for message in messages if message.role != "system"]
        if history and history[-1].role == "user":
            history.pop()  # the line itself
        self.history = history
        self.replies = [message.content for message in history if message.role == "assistant"]
        self.last = self.replies[-1] if self.replies else ""
        self.recent = "\n".join(self.replies[-RECENT_REPLIES:]).casefold()
        heard_before = "\n".join([*reversed(cue.earlier), *self.replies])
        self.pick = Picker(chance, cue.seed, cue.turn_number, heard_before)
        self.line: ParsedLine = read(cue.line)
        self.heard: Heard = hear(self.line.text, self.line.speech)
        spoken_of = (cue.scene, *self.replies[:1]) if cue.scene or self.replies else ()
        world = lore_of.gather_world(cue.world_lore, spoken_of)
        self.lore: Lore = lore_of.with_recalled(world, cue.lore, spoken_of)
        self.cast: tuple[Speaker, ...] = _cast(cue)
        names = [one.name for one in self.cast]
        self.scene: Scene = replay(history, cue.decided, self.lore, names)
        self.companion: Speaker | None = self.cast[0] if self.cast else None
        self.setting: Surroundings = _setting(
            phrases, f"{cue.world} {cue.scene}", " ".join((*cue.lore, *self.replies[:1]))
        )
        self.named: tuple[Name, ...] = tuple(
            dict.fromkeys(
                (
                    *self.lore.named_in(cue.line),
                    *lore_of.by_office(self.lore, self.line.text),
                    *lore_of.by_looks(self.lore, self.line.text),
                )
            )
        )
        self.people = People(
            self.line, self.lore, self.scene, self.cast, self.nearby, self.setting.strangers
        )
        self._met: set[str] = set()
        self.aired = False  # a sentence of sounds and smells is in this reply
        self.changes: list[str] = []  # of the state sheet, that this reply proposes

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

    # --- dice -------------------------------------------------------------------------------------
    def throw(self) -> oracle.RiskRoll:
        """Returns what decides a risky act: the player's own dice if they threw any, else two of ours."""
        outcome = self.cue.outcome
        return oracle.decided(outcome) if outcome else oracle.throw(self.pick.chance)

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
        if _ASKS_PRICE.search(line.text) and words & prices and not price:
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
            found.sort(key=lambda pair: _AMOUNT.search(pair[1].text) is None)
        if _COUNTS.search(
            line.text
        ):  # a number about anything in the question is nearer than no number
            found = [
                (max(score, least) if _NUMBER.search(fact.text) and score > 0 else score, fact)
                for score, fact in found
            ]
            found.sort(key=lambda pair: pair[0] < least or _NUMBER.search(pair[1].text) is None)
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
        return replace(fact, text=fact.more, more="")

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
        if counted := _counted(question):
            return [(score + FORM_POINTS, fact) for score, fact in found if _counts(fact, counted)]
        asked -= measured(question)
        led = {fact.subject for fact in self.lore.facts} & set(names)
        of_whom = led if who_is(question) else ()
        fitting = [
            (
                score
                + lore_of.NOT_RECALLED
                + 4 * leads_with(fact, asked)
                + FORM_POINTS * self._form(question, fact),
                fact,
            )
            for score, fact in found
            if answers_it(fact, asked, names, self._common) and (not of_whom or fact.subject in of_whom)
        ]
        return sorted(fitting, key=lambda pair: -pair[0])

    def _form(self, question: str, fact: Fact) -> int:
        """Returns how well the form of a sentence fits the question: at most 4; a price nobody asked for is no fit."""
        counted = _NUMBER.search(fact.text) is not None and _UNIT.search(fact.text) is not None
        measure = bool(measured(question)) and counted
        found_at = (
            bool(self.named)
            and _WHERE.search(question) is not None
            and _IS_AT.search(fact.text) is not None
        )
        looks = _LOOKS_LIKE.search(question) is not None and _APPEARANCE.search(fact.text) is not None
        mine = (_MAY_I.search(question) or SEEKING.search(self.line.text)) is not None and (
            fact.subject is None or fact.subject.kind != "person"
        )
        sold = _AMOUNT.search(fact.text) is not None and _ASKS_PRICE.search(question) is None
        return answers(question, fact.text)[0] + 2 * (measure or found_at or looks) + mine - sold

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
                fact for fact in facts[:1] if _NUMBER.search(fact.text) or "day" in fact.text.casefold()
            ]
        elif self.line.kind in ("know", "recall", "aside", "oracle") and (
            about_me(self.line.text) or _counted(self.line.text) or not self.near_words
        ):
            asked = self.asked - measured(self.line.text)
            wanted = content(asked, [one for one in self.named if one.kind == "person"])
            counted = _counted(self.line.text)
            found = [fact for fact in facts if counted and _counts(fact, counted)] or [
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

    def ideas(self) -> list[str]:
        """Returns two things the player could do, as they would write them."""
        said = (self.say(table) for table in ("suggest_talk", "suggest_go"))
        return [tidy(one) for one in said if one]

    def about(self, names: Sequence[Name]) -> Fact | None:
        """Returns something openly known about one of the names that was not told lately, None for nothing."""
        known = (
            fact
            for fact in self.lore.facts
            if not fact.secret and fact.subject in names and not fact.price
        )
        return next((fact for fact in known if self.use(fact)), None)

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

    def in_any(self, words: frozenset[str]) -> bool:
        """Whether a fact says something of one of the words that not every other fact says, too."""
        return any(
            0 < sum(word in fact.core for fact in self.lore.facts) <= lore_of.COMMON_FACTS
            for word in words
        )

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
        asks_price = _ASKS_PRICE.search(self.line.text) is not None
        if instead is not None and (not asks_price or _AMOUNT.search(instead.text)):
            return None
        names = tuple(name for name in self.named if name.short != besides) or self.meant(besides)
        focus = stems(f"{self.line.object} {self.line.topic}")
        called = stems(" ".join(name.full for name in self.named if name not in names))
        words = frozenset[str]().union(*(kindred(word) for word in self.asked - called))
        found = self._fitting(words | focus, focus, names, self.asked - called, besides)
        recent = [
            (score + least * (asks_price and _AMOUNT.search(fact.text) is not None), fact)
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
        known = (fact for fact in self.lore.facts if not fact.secret and _counts(fact, wanted))
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

    # --- phrases ----------------------------------------------------------------------------------
    def table(self, name: str) -> tuple[str, ...]:
        """Returns the phrases of a table: the setting's own, then those of any world; none for no table."""
        return (*self.setting.tables.get(name, ()), *self.phrases.tables.get(name, ()))

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        return bool(self.table(name))

    def say(self, tables: str, slots: Mapping[str, str] | None = None) -> str:
        """Returns a phrase of the tables, whose names stand one after the other; "" when none fits the slots."""
        options = [one for name in tables.split() for one in self.table(name)]
        return self.pick.say(options, self.slots | dict(slots or {}))

    def say_fresh(self, tables: str) -> str:
        """Returns a phrase of the tables that was not used in the last replies; "" when there is none."""
        options = [one for name in tables.split() for one in self.table(name)]
        return self.pick.say(self.pick.fresh(options, self.recent), self.slots)

    def air(self) -> str:
        """Returns a sentence of sounds, smells and light that the sheet's weather and hour allow."""
        self.aired = True
        fitting = [one for one in self.table("air") if not self._contradicts(one)]
        return self.pick.say(fitting, self.slots)

    def hour(self) -> str:
        """Returns how time goes on, "" when the sheet says itself what hour it is."""
        return "" if self.cue.time or self.cue.weather else self.say("hour")

    def _contradicts(self, sentence: str) -> bool:
        now = f"{self.cue.weather} {self.cue.time}".casefold()
        folded = sentence.casefold()
        weather = bool(self.cue.weather) and any(
            word in folded and word not in now for word in _WEATHER
        )
        hour = bool(self.cue.time) and any(word in folded and word not in now for word in _HOURS)
        return weather or hour

    def sky(self) -> str:
        """Returns hour and weather of the sheet in words, when they have changed and are worth a sentence."""
        parts = [part for part in (self.cue.time, self.cue.weather) if part]
        last = "\n".join(self.replies[-SKY_REPLIES:]).casefold()
        if not parts or ", ".join(parts).casefold() in last or not self.pick.percent(SKY_PERCENT):
            return ""
        return self.say("sky", {"sky": ", ".join(parts), "sky_first": upper_first(", ".join(parts))})

    # --- slots ------------------------------------------------------------------------------------
    @cached_property
    def slots(self) -> dict[str, str]:
        """Everything templates may use in this reply; empty ones are left out by the picker."""
        line = self.line
        target = next((name for name in self.named if name.kind == "place"), None)
        noun = line.object or (self.named[0].said if self.named else "")
        other, place = self.other("person"), self.other("place")
        return {
            "act": line.act,
            "object": noun,
            "it": "them" if is_plural(noun) else "it",
            "stranger": self.stranger(),
            "find": self.find(),
            "other": other.said if other else "",
            "other_place": place.said if place else "",
            "place": target.said if target else self.goal,
            "here": self.place,
            "companion": self.companion.name if self.companion else "",
            "player": self.player,
            "echo": self.heard.echo,
            "echo_lc": lower_first(self.heard.echo) if self.heard.echo else "",
            "liked": self.heard.subject,
        }

    @property
    def player(self) -> str:
        """What the player is called: by themself, or by their persona."""
        return self.heard.name or self.scene.name or self.cue.user

    def other(self, kind: NameKind) -> Name | None:
        """Returns somebody or some place of the lore that the line did not mention and that may come up."""
        known = [
            fact.subject
            for fact in self.lore.facts
            if fact.subject is not None and fact.subject.kind == kind and not fact.secret
        ]
        at_hand = {key_of(one) for one in (*self.scene.company, self.place)}
        free = [
            name
            for name in dict.fromkeys(known)
            if name not in self.named
            and not self.people.is_gone(name)
            and not at_hand & {key_of(name.short), key_of(name.full)}
            and name.full not in self.cue.world
            and all(name.short != one.name for one in self.cast)
        ]
        quiet = [name for name in free if name.short.casefold() not in self.last.casefold()]
        return self.pick.any_of((quiet or free)[:6]) if free else None

    def stranger(self) -> str:
        fresh = [one for one in self.setting.strangers if not self.pick.heard(one)]
        return self.pick.any_of(fresh or self.setting.strangers)

    def find(self) -> str:
        fresh = [one for one in self.setting.finds if not self.pick.heard(one)]
        return self.pick.any_of(fresh or self.setting.finds)

    # --- who has appeared -------------------------------------------------------------------------
    def meet(self, name: str) -> None:
        """Marks somebody as appearing in this reply."""
        self._met.add(key_of(name))

    def met(self, name: str) -> bool:
        """Whether somebody has appeared in this reply."""
        return key_of(name) in self._met

    # --- the past ---------------------------------------------------------------------------------
    @property
    def witnessed(self) -> list[ChatMessage]:
        """What was said while who speaks was there."""
        unheard = self.cue.unheard
        return [one for place, one in enumerate(self.history) if place not in unheard]

    def memory(self) -> Recollection | None:
        """Returns the past sentence nearest to the line."""
        asked = stems(without_call(self.cue.line))
        return remember(asked, self.cue.memories, self.witnessed, self.cue.scene, self.cue.line)

    @cached_property
    def unclear(self) -> bool:
        """Whether the line says nothing that can be played: no act, no question, hardly a known word."""
        line = self.line
        if line.kind != "other" or line.act or line.speech or line.foreign or self.named:
            return False
        words = re.findall(r"[a-z']+", line.text.casefold())
        known = [
            word for word in words if word in self.phrases.words or word in word_list("stop_words")
        ]
        return bool(words) and (len(words) <= 2 or 2 * len(known) < len(words))


def _cast(cue: Cue) -> tuple[Speaker, ...]:
    members = ((cue.character, cue.persona), *cue.stage) if cue.character else cue.stage
    pronouns = (*cue.pronouns, *[""] * len(members))
    return tuple(
        of_character(name, persona, pronoun)
        for (name, persona), pronoun in zip(members, pronouns, strict=False)
        if name
    )


def _counted(question: str) -> frozenset[str]:
    """Returns the stems that may stand for what is counted in "how many guards are there", none without such."""
    found = _HOW_MANY.search(question)
    return (
        frozenset[str]().union(*(kindred(word) for word in stems(found["what"])))
        if found
        else frozenset()
    )


def _counts(fact: Fact, counted: frozenset[str]) -> bool:
    """Whether a sentence has a number of them, close before the word."""
    words = re.findall(r"[\w'-]+", fact.text)
    return any(
        stem(word) in counted and _NUMBER.search(" ".join(words[max(0, at - COUNT_WORDS) : at]))
        for at, word in enumerate(words)
    )


def _core(text: str) -> str:
    """Returns the middle of a sentence: the same whether quoted, lowered or followed by a tag."""
    return text[1:].rstrip(".!?\"'\u201d\u2019").replace('"', "'")[:60]


def _end(text: str) -> str:
    """Returns the end of a sentence, small: the same in a portrait, which begins otherwise."""
    return text.rstrip(".!?\"'\u201d\u2019").replace('"', "'")[-45:].casefold()


def _setting(phrases: Phrases, main: str, around: str) -> Surroundings:
    """Returns the setting whose words the scene, four times, and the texts around it, once, use most."""
    scene, rest = _words(main), _words(around)
    counts = [
        (4 * len(setting.words & scene) + len(setting.words & rest), setting)
        for setting in phrases.settings
    ]
    hits, best = max(counts, key=lambda pair: pair[0], default=(0, phrases.plain))
    return best if hits >= _SETTING_HITS else phrases.plain


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.casefold()))
