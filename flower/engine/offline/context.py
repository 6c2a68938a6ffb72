"""What is at hand for one reply: the line read, the scene, facts, people, memories, what was said lately.

Pure. Chooses facts and phrases so that nothing comes twice; writes no sentences itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from flower.engine.offline import oracle
from flower.engine.offline.fact_search import FactSearch
from flower.engine.offline.facts import Lore, by_looks, by_office, gather_world, with_recalled
from flower.engine.offline.grammar import is_plural, lower_first, stems, tidy, upper_first
from flower.engine.offline.hearing import Sentiment, hear
from flower.engine.offline.names import Name, NameKind
from flower.engine.offline.parse import ParsedLine, read
from flower.engine.offline.people import People
from flower.engine.offline.questions import without_call
from flower.engine.offline.recall import Recollection, remember
from flower.engine.offline.scene import Scene, key_of, replay
from flower.engine.offline.tables import Phrases, Surroundings, word_list
from flower.engine.offline.templates import Chance, Picker
from flower.engine.offline.voice import Speaker, of_character
from flower.engine.provider.base import Cue, PromptMessage

RECENT_REPLIES = 12  # facts of so many replies are not used again
SKY_REPLIES = 8  # in which the same sky is not said again
SKY_PERCENT = 50  # else a sound or a smell of the place says more
EVADED_REPLIES = 3  # in which an answer was refused already: people are not walls
SUGGESTIONS = ("suggest_talk", "suggest_go", "suggest_act")  # one of each: three different things
_TRIES = 6  # for another phrase where one was offered already
_CLOSE = frozenset({"confession", "affection", "loss", "comfort"})
_SETTING_HITS = 3  # fewer words than that say nothing about the kind of world
_CALLS_FIRST = re.compile(
    r"^(?:(?:Mr|Mrs|Ms|Miss|Dr|Lady|Lord|Sir|Madam|Captain|Mother) )?[A-Z][a-z]+, (?=\S)"
)
_WEATHER = ("rain", "fog", "mist", "snow", "sun", "storm", "wind", "hail", "cloud", "frost")
_HOURS = ("dusk", "dawn", "noon", "evening", "morning", "midnight", "sunset", "afternoon", "lamplight")


class Context(FactSearch):
    """One turn's material. Lives for one reply."""

    def __init__(
        self, cue: Cue, messages: Sequence[PromptMessage], chance: Chance, phrases: Phrases
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
        self.sentiment: Sentiment = hear(self.line.text, self.line.speech)
        spoken_of = (cue.scene, *self.replies[:1]) if cue.scene or self.replies else ()
        world = gather_world(cue.world_lore, spoken_of)
        self.lore: Lore = with_recalled(world, cue.lore, spoken_of)
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
                    *by_office(self.lore, self.line.text),
                    *by_looks(self.lore, self.line.text),
                )
            )
        )
        self.people = People(
            self.line, self.lore, self.scene, self.cast, self.nearby, self.setting.strangers
        )
        self._met: set[str] = set()
        self.happened = False  # something small has come up in this reply
        self.aired = False  # a sentence of sounds and smells is in this reply
        self.changes: list[str] = []  # of the state sheet, that this reply proposes

    # --- dice -------------------------------------------------------------------------------------
    def throw(self) -> oracle.RiskRoll:
        """Returns what decides a risky act: the player's own dice if they threw any, else two of ours."""
        outcome = self.cue.outcome
        return oracle.decided(outcome) if outcome else oracle.throw(self.pick.chance)

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

    def breath(self) -> str:
        """Returns such a sentence if one was not said lately and this reply has none, else ""."""
        fitting = [one for one in self.table("air") if not self._contradicts(one)]
        sentence = "" if self.aired else self.pick.say(self.pick.unused(fitting), self.slots)
        self.aired = self.aired or bool(sentence)
        return sentence

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

    @cached_property
    def evaded(self) -> bool:
        """Whether somebody had no answer in one of the last three replies."""
        lately = "\n".join(self.replies[-EVADED_REPLIES:]).casefold()
        tables = [name for name in self.phrases.tables if name.startswith("unknown")]
        phrases = [one for name in tables for one in self.table(name)]
        return len(self.pick.fresh(phrases, lately)) < len(phrases)

    def small(self) -> str:
        """Returns something small that happens and can be taken up, once in a story; "" when nothing is left.

        One in a reply is enough, and where the player opens their heart nothing comes between.
        """
        if self.happened or self.sentiment.feeling or self.sentiment.disclosure in _CLOSE:
            return ""
        sentence = self.pick.say(self.pick.unused(self.table("small")), self.slots)
        self.happened = bool(sentence)
        return sentence

    # --- slots ------------------------------------------------------------------------------------
    @cached_property
    def slots(self) -> dict[str, str]:
        """Everything templates may use in this reply; empty ones are left out by the picker."""
        line = self.line
        target = next((name for name in self.named if name.kind == "place"), None)
        noun = line.object or (self.named[0].with_article if self.named else "")
        other, place = self.other("person"), self.other("place")
        echo = _CALLS_FIRST.sub("", self.sentiment.echo, count=1)  # nobody says their own name back
        named = echo.startswith(tuple(name.short for name in self.lore.names))
        return {
            "act": line.act,
            "object": noun,
            "it": "them" if is_plural(noun) else "it",
            "stranger": self.stranger(),
            "find": self.find(),
            "other": other.with_article if other else "",
            "other_place": place.with_article if place else "",
            "place": target.with_article if target else self.goal,
            "here": self.place,
            "companion": self.companion.name if self.companion else "",
            "player": self.player,
            "echo": upper_first(echo),
            "echo_lc": echo if named else lower_first(echo),
            "liked": self.sentiment.subject,
        }

    @property
    def player(self) -> str:
        """What the player is called: by themself, or by their persona."""
        return self.sentiment.name or self.scene.name or self.cue.user

    def other(self, kind: NameKind) -> Name | None:
        """Returns somebody or some place of the lore that the line did not mention and that may come up."""
        subjects = [
            fact.subject
            for fact in self.lore.facts
            if fact.subject is not None and fact.subject.kind == kind and not fact.secret
        ]
        at_hand = {key_of(one) for one in (*self.scene.company, self.place)}
        free = [
            name
            for name in dict.fromkeys(subjects)
            if name not in self.named
            and not self.people.is_gone(name)
            and not at_hand & {key_of(name.short), key_of(name.full)}
            and name.full not in self.cue.world
            and all(name.short != one.name for one in self.cast)
        ]
        quiet = [name for name in free if name.short.casefold() not in self.last.casefold()]
        return self.pick.any_of((quiet or free)[:6]) if free else None

    def stranger(self) -> str:
        fresh = [one for one in self.setting.strangers if not self.pick.was_used(one)]
        return self.pick.any_of(fresh or self.setting.strangers)

    def find(self) -> str:
        fresh = [one for one in self.setting.finds if not self.pick.was_used(one)]
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
    def witnessed(self) -> list[PromptMessage]:
        """What was said while who speaks was there."""
        absent = self.cue.unheard
        return [one for place, one in enumerate(self.history) if place not in absent]

    def memory(self) -> Recollection | None:
        """Returns the past sentence nearest to the line."""
        query = stems(without_call(self.cue.line))
        return remember(query, self.cue.memories, self.witnessed, self.cue.scene, self.cue.line)

    @cached_property
    def unclear(self) -> bool:
        """Whether the line says nothing that can be played: no act, no question, hardly a known word."""
        line = self.line
        if line.kind != "other" or line.act or line.speech or line.foreign or self.named:
            return False
        words = re.findall(r"[a-z']+", line.text.casefold())
        english = [
            word for word in words if word in self.phrases.words or word in word_list("stop_words")
        ]
        return bool(words) and (len(words) <= 2 or 2 * len(english) < len(words))

    def suggestions(self) -> tuple[str, ...]:
        """Returns three different lines that the player could write: a word, a way to go, something to do."""
        offered: list[str] = []
        for table in SUGGESTIONS:
            for _ in range(_TRIES):
                line = tidy(self.say(table))
                if line and line not in offered:
                    offered.append(line)
                    break
        return tuple(offered)

    def ideas(self) -> list[str]:
        """Returns two things the player could do, as they would write them."""
        lines = (self.say(table) for table in SUGGESTIONS[:2])
        return [tidy(one) for one in lines if one]


def _cast(cue: Cue) -> tuple[Speaker, ...]:
    members = ((cue.character, cue.persona), *cue.stage) if cue.character else cue.stage
    pronouns = (*cue.pronouns, *[""] * len(members))
    return tuple(
        of_character(name, persona, pronoun)
        for (name, persona), pronoun in zip(members, pronouns, strict=False)
        if name
    )


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
