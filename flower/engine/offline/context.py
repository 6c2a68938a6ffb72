"""What is at hand for one reply: the line read, facts, people, memories, and what was said lately.

Pure. Chooses facts and speakers so that nothing comes twice; writes no sentences itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flower.engine.offline import facts as lore_of
from flower.engine.offline import oracle
from flower.engine.offline.facts import Fact, Lore
from flower.engine.offline.grammar import is_plural, lower_first, spoken, stop
from flower.engine.offline.names import Name, NameKind
from flower.engine.offline.parse import ParsedLine, read, stems
from flower.engine.offline.people import People
from flower.engine.offline.questions import without_call
from flower.engine.offline.recall import Recollection, remember
from flower.engine.offline.tables import Phrases, Setting, word_list
from flower.engine.offline.templates import Chance, Picker
from flower.engine.offline.voice import Speaker, of_character
from flower.engine.provider.base import ChatMessage, Cue

RECENT_REPLIES = 20  # phrases and facts of so many replies are not used again
NEAR_SCORE = 12  # for acts: what the act is about, or two words, or a name
ASKED_SCORE = 4  # for questions: one word will do, a wrong fact is better than none
DEEDS = 5  # a recap of more would be a list
DEED_WORDS = 24
SPARE_STEMS = 6  # a shorter one says nothing out of its place
SPARE_WORDS = 28  # a fact that comes by the way is not a long one
_SETTING_HITS = 3  # fewer words than that say nothing about the kind of world
_PRICE_WORDS = stems("price cost pay charge fee")


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
        replies = [message.content for message in history if message.role == "assistant"]
        before = next((message.content for message in reversed(history) if message.role == "user"), "")
        self.last = replies[-1] if replies else ""
        self.pick = Picker(chance, cue.seed, cue.turn_number, "\n".join(replies[-RECENT_REPLIES:]))
        self.reading: ParsedLine = read(cue.line)
        self.lore: Lore = lore_of.gather(cue.lore, spoken_of=(cue.scene, *replies[:1]))
        self.companion: Speaker | None = (
            of_character(cue.character, cue.persona) if cue.character else None
        )
        self.setting: Setting = _setting(
            phrases, f"{cue.world} {cue.scene}", " ".join((*cue.lore, *replies[:1]))
        )
        self.named: tuple[Name, ...] = self.lore.named_in(cue.line)
        self.people = People(
            self.reading, self.lore, self.companion, before, replies, self.setting, self.pick
        )
        self._met: set[str] = set()

    def throw(self) -> oracle.RiskRoll:
        """Returns what decides a risky act: the player's own dice if they threw any, else two of ours."""
        outcome = self.cue.outcome
        return oracle.decided(outcome) if outcome else oracle.throw(self.pick.chance)

    # --- facts ----------------------------------------------------------------------------------
    def near(
        self, *, secret: bool = False, least: int = NEAR_SCORE, price: bool = False
    ) -> Fact | None:
        """Returns the best fact about the line that was not told lately, or None."""
        reading = self.reading
        words, names = reading.words, self.named
        if not names and len(words) < 2 and self.last:
            names = self._lately_named()  # "Why?" asks about what was just said
        if words & _PRICE_WORDS and not price:
            cost = self.near(secret=secret, least=least, price=True)
            if cost is not None:
                return cost
        if price:
            words = words - _PRICE_WORDS
        focus = stems(f"{reading.object} {reading.topic}") - _PRICE_WORDS
        who = reading.text.casefold().startswith("who")
        for score, fact in lore_of.about(self.lore, words | focus, focus=focus, names=names, who=who):
            wanted = (secret or not fact.secret) and (fact.price or not price)
            if score >= least and wanted and self.use(fact):
                return fact
        return None

    def in_lore(self, words: frozenset[str]) -> bool:
        """Whether the lore at hand has all of the words, in whatever place."""
        return words <= frozenset().union(*(fact.words for fact in self.lore.facts))

    def _lately_named(self) -> tuple[Name, ...]:
        folded = self.last.casefold()
        named = sorted(
            self.lore.named_in(self.last), key=lambda name: -folded.rfind(name.short.casefold())
        )
        return tuple(named[:3])

    def spare(self, *, price: bool = False) -> Fact | None:
        """Returns some fact that was not told lately, better ranked ones more often, or None."""
        open_facts = [
            fact for fact in self.lore.facts
            if not fact.secret and not self._told(fact) and (fact.price or not price) and fact.names
            and len(fact.words) >= SPARE_STEMS
        ]  # fmt: skip
        if not open_facts:
            return None
        short = [fact for fact in open_facts if len(fact.text.split()) <= SPARE_WORDS]
        open_facts = short or open_facts
        fact = open_facts[
            min(
                self.pick.chance.randrange(len(open_facts)), self.pick.chance.randrange(len(open_facts))
            )
        ]
        self.use(fact)
        return fact

    def use(self, fact: Fact) -> bool:
        """Marks a fact as told in this reply; returns False if it was told lately."""
        if self._told(fact):
            return False
        self.pick.note(_core(fact.text))
        return True

    def _told(self, fact: Fact) -> bool:
        return self.pick.heard(_core(fact.text))

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
        more = fact.more if not self.pick.heard(_core(fact.more)) else ""
        return {
            "fact": fact.text,
            "fact_plain": quoted,
            "fact_said": spoken(fact.text, tagged=True)[1:],
            "fact_lc": lowered,
            "telling": f"{fact.text} {more}".strip(),
        }

    # --- phrases --------------------------------------------------------------------------------
    def table(self, name: str) -> tuple[str, ...]:
        """Returns the phrases of a table: the setting's own, then those of any world; none for no table."""
        return (*self.setting.tables.get(name, ()), *self.phrases.tables.get(name, ()))

    def has(self, name: str) -> bool:
        """Whether there is such a table."""
        return bool(self.table(name))

    def say(self, tables: str, slots: Mapping[str, str] | None = None) -> str:
        """Returns a phrase of the tables, whose names stand one after the other; "" when none fits the slots."""
        return self.pick.say([one for name in tables.split() for one in self.table(name)], slots)

    # --- slots ----------------------------------------------------------------------------------
    def slots(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Returns everything templates may use now; empty ones are left out by the picker."""
        reading = self.reading
        target = next((name for name in self.named if name.kind != "person"), None)
        noun = reading.object or (self.named[0].said if self.named else "")
        other, place = self.other("person"), self.other("place")
        slots = {
            "act": reading.act,
            "object": noun,
            "it": "them" if is_plural(noun) else "it",
            "stranger": self.stranger(),
            "find": self.pick.any_of(self.setting.finds),
            "other": other.said if other else "",
            "other_place": place.said if place else "",
            "place": target.said if target and target.kind == "place" else "",
            "any_name": self.any_name(),
        }
        return slots | dict(extra or {})

    def other(self, kind: NameKind) -> Name | None:
        """Returns a name of that kind that the player did not mention, or None."""
        free = [
            name
            for name in self.lore.of_kind(kind)
            if name not in self.named and name.full not in self._met and name.full not in self.cue.world
        ]
        if kind == "person":
            mine = self.cue.character
            free = [name for name in free if not name.gone and (not mine or name.short not in mine)]
        quiet = [name for name in free if name.short.casefold() not in self.last.casefold()]
        return self.pick.any_of((quiet or free)[:5]) if free else None

    def meet(self, voice: Speaker) -> None:
        """Marks somebody as speaking in this reply, so that nobody points at them in their own words."""
        self._met.add(voice.full)

    def stranger(self) -> str:
        fresh = [one for one in self.setting.strangers if not self.pick.heard(one)]
        return self.pick.any_of(fresh or self.setting.strangers)

    def any_name(self) -> str:
        if not self.lore.names:
            return ""
        fresh = [name for name in self.lore.names if not self.pick.heard(name.full)]
        return self.pick.any_of((fresh or list(self.lore.names))[:8]).said

    # --- the past -------------------------------------------------------------------------------
    def memory(self) -> Recollection | None:
        """Returns the past sentence nearest to the line."""
        asked = stems(without_call(self.cue.line))
        return remember(asked, self.cue.memories, self.history, self.cue.scene, self.cue.line)

    def deeds(self) -> list[str]:
        """Returns what the player did in their last lines, oldest first, as it is said to them."""
        lines = [message.content for message in self.history if message.role == "user"]
        done = [
            Recollection(_as_mine(reading.text), own=True, score=0).retold
            for reading in map(read, lines)
            if reading.act and len(reading.text.split()) <= DEED_WORDS
        ]
        return done[-DEEDS:]


def _as_mine(text: str) -> str:
    return text if re.match(r"(I|we)\b", text, re.IGNORECASE) else f"I {lower_first(text)}"


def _core(text: str) -> str:
    """Returns the middle of a sentence: the same whether quoted, lowered or followed by a tag."""
    return text[1:].rstrip(".!?\"'\u201d\u2019").replace('"', "'")[:60]


def _setting(phrases: Phrases, main: str, around: str) -> Setting:
    """Returns the setting whose words the scene, four times, and the texts around it, once, use most."""
    scene, rest = _words(main), _words(around)
    counts = [
        (4 * len(setting.words & scene) + len(setting.words & rest), setting)
        for setting in phrases.settings
    ]
    hits, best = max(counts, key=lambda pair: pair[0])
    return best if hits >= _SETTING_HITS else phrases.plain


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.casefold()))
