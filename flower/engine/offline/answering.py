"""Answers to questions about the past and about the world. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.fact_search import ASKED_SCORE
from flower.engine.offline.facts import Fact, by_office
from flower.engine.offline.grammar import upper_first
from flower.engine.offline.narration import (
    Paragraphs,
    about_the_gone,
    holder_of_office,
    in_charge,
    in_their_words,
    memory_slots,
    remark,
    who_is_at,
)
from flower.engine.offline.present import answer_here, answer_now
from flower.engine.offline.questions import here, put_away
from flower.engine.offline.recall import Recollection
from flower.engine.offline.summary import recap

_ALL_SO_FAR = re.compile(
    r"^(?:please )?(?:summari[sz]e|recap|sum up)\b|"
    r"\b(so far|what (?:has|have|did) (?:happened|i done|we done|i do|we do|been)|up to now|until now|recap|"
    r"what happened$|what has happened)\b",
    re.IGNORECASE,
)
_MY_NAME = re.compile(r"\bwho am i\b|\bmy (?:own )?name\b|\bwhat am i called\b", re.IGNORECASE)
_WHO_AM_I = re.compile(
    r"\bwho am i\b|\bwhat am i (?:doing |supposed to (?:do|be) )?(?:here|then|now)?\W*$|\bwhy am i (?:here|there)\b|"
    r"\bwhy did i come\b|\bwhat(?:'s| is) my (?:job|task|role|mission|business|office|duty)\b",
    re.IGNORECASE,
)
_DID = re.compile(r"\bdid (?:i|we)\b|\bremember\b", re.IGNORECASE)
_OWN_PAST = re.compile(r"\b(?:did|have|had|was|do) (?:i|we)\b", re.IGNORECASE)
_OUT_OF_SIGHT = re.compile(
    r"^(?:and |so )?what(?:'s|\u2019s| is| was| lies| waits) (?:up |down |over )?"
    r"(?:(?:at|on|in) (?:the|its|that) (?:very )?(?:top|bottom|end|other side|far end|far side|back|middle)|"
    r"(?:behind|beyond|under|above|below|inside)(?: it| that| this)?|there)\W*$",
    re.IGNORECASE,
)
_TWO = re.compile(r"\?.+\?|,? and (?:who|what|where|when|why|how)\b", re.IGNORECASE)
_WHAT_PEOPLE = re.compile(
    r"\bdo(?:es)? (?:the )?(?:people|folk|they|anyone|anybody|everyone|everybody|locals|crew)\b",
    re.IGNORECASE,
)
SHORT_ANSWER = 140  # characters: there is room for another thing that is known
_OF_WORDS = re.compile(
    r"\b(?:say|said|tell|told|promise[ds]?|mention(?:ed)?|asked|answer(?:ed)?|called?|words?|remember|remind|recall|forg[eo]t)\b",
    re.IGNORECASE,
)
_KNOWN_OF = re.compile(
    r"\bwhat (?:do|did) (?:i|we) (?:even |already |really )?(?:know|hear)\b", re.IGNORECASE
)


def answer_unclear(context: Context) -> Paragraphs:
    """Returns a plain question back: the line was not understood, and nothing happens."""
    quoted = context.line.text.strip(" .!?")[:40].replace('"', "'")
    speaker = context.people.at_hand()
    if speaker is not None:
        return [
            [
                context.say(
                    "unclear_heard", speaker.slots | {"said": quoted, "said_first": upper_first(quoted)}
                )
            ]
        ]
    return [[context.say("unclear", {"said": quoted, "said_first": upper_first(quoted)})]]


def answer_recall(context: Context) -> Paragraphs:
    """Returns what the player asks about their own past."""
    if (now := answer_now(context)) is not None:
        return now
    text = context.line.text
    if _MY_NAME.search(text) and context.player and not re.search(r"\bmy \w+'s name\b", text):
        return [[context.say("your_name")], [remark(context, 30)]]
    if _ALL_SO_FAR.search(text):
        text = recap(context.witnessed, context.lore)
        return [[context.say("recap"), text]] if text else [[context.say("recap_nothing")]]
    if _WHO_AM_I.search(text) and (fact_of_me := context.from_scene(of_me=True)) is not None:
        named = context.say("your_name") if context.player and "name" in text else ""
        return [[named, fact_of_me.text], [remark(context, 30)]]
    memory = context.memory()
    if _KNOWN_OF.search(text) and context.named:
        return answer_know(context)
    theirs = memory is None or not memory.own
    if theirs and not _OF_WORDS.search(text):  # not about what was said: what is known answers it
        fact = (
            about_the_gone(context)
            or who_is_at(context)
            or context.near(least=ASKED_SCORE)
            or context.first_of()
        )
        if fact is not None:
            return [[context.say("known", context.fact_slots(fact))], [remark(context, 30)]]
    if memory is None or (memory.score == 0 and not _DID.search(text)):
        if not _OWN_PAST.search(text) and context.near(least=12) is not None:
            return answer_know(context)
        return [[context.say("memory_none")], [remark(context, 40)]]
    return _remembered(context, memory)


def _remembered(context: Context, memory: Recollection) -> Paragraphs:
    table = "memory_vague" if memory.score == 0 else "memory" if memory.own else "memory_told"
    first = context.say(table, memory_slots(memory.retold, memory.text))
    return [[first], [remark(context, 30)]]


def answer_know(context: Context) -> Paragraphs:
    """Returns what is known about what is asked: of the place, the player's own words, the lore."""
    if (now := answer_now(context)) is not None:
        return now
    if about := here(context.line.text):
        return answer_here(context, about)
    if _OUT_OF_SIGHT.search(context.line.text):
        return [[context.say("out_of_sight"), remark(context, 50)]]
    memory = context.memory()
    if memory is not None and memory.own and memory.whole:
        mine = put_away(context.line.text, memory.text)
        if mine or not context.in_lore(context.line.words):
            return _remembered(context, memory)
    if (scene := context.from_scene()) is not None:
        return _sentence(context, "known", scene)
    fact = (
        holder_of_office(context)
        or about_the_gone(context)
        or in_charge(context)
        or who_is_at(context)
        or context.near(least=ASKED_SCORE)
        or (None if context.again(None) else context.first_of())
    )
    if (again := context.again(fact)) is not None:
        return _sentence(context, "known_again", again)
    return _unknown(context) if fact is None else _known(context, fact)


def _sentence(context: Context, table: str, fact: Fact) -> Paragraphs:
    return [[context.say(table, context.fact_slots(fact))], [remark(context, 30)]]


def _known(context: Context, fact: Fact) -> Paragraphs:
    """Returns a fact, from a companion's mouth perhaps, and what else belongs to it."""
    if context.companion is not None and context.pick.percent(35):
        context.meet(context.companion.name)
        first = in_their_words(context, context.companion, fact)
    else:
        first = context.say("known", context.fact_slots(fact))
    two = _TWO.search(context.line.text) is not None
    also = (context.near(least=12) if two else None) or _more_of(context, fact)
    second = context.say("known_also", context.fact_slots(also)) if also else _holder(context, fact)
    return [[first, second], [remark(context, 30)]]


def _unknown(context: Context) -> Paragraphs:
    """Returns the nearest there is to an answer: what people say, what was said before, who might know."""
    if context.line.verb == "what if":
        return [[context.say("what_if"), context.air()], [remark(context, 30)]]
    if _WHAT_PEOPLE.search(context.line.text) and (news := context.rumour()) is not None:
        return _sentence(context, "overheard", news)
    if (fact := context.first_of(repeats=True)) is not None:
        return _sentence(context, "known_again", fact)
    knows = context.who_knows("")
    speaker = context.people.at_hand()
    hint = ""
    if knows:
        hint = context.say("known_by_others", {"other": knows.with_article})
    elif speaker and not context.cast:
        hint = context.say("ask_here", speaker.slots)
    return [[context.say("known_nothing"), hint or context.air()], [remark(context, 30)]]


def _more_of(context: Context, fact: Fact) -> Fact | None:
    """Returns a second thing known of whom a short answer is about, in three of five cases; None for nothing."""
    if (
        fact.subject is None
        or len(f"{fact.text} {fact.more}") > SHORT_ANSWER
        or not context.pick.percent(60)
    ):
        return None
    others = (one for one in context.facts_of(fact.subject.full) if one.subject == fact.subject)
    return next((one for one in others if context.use(one)), None)


def _holder(context: Context, fact: Fact) -> str:
    """Returns who holds the office a fact speaks of, when the question is who: "the Warden" has a name."""
    named = any(name.kind == "person" for name in fact.names)
    if named or not re.match(r"(?:and |so )?who\b", context.line.text, re.IGNORECASE):
        return ""
    held = by_office(context.lore, fact.text)
    about = [one for name in held for one in context.facts_of(name.full) if one.subject == name]
    return about[0].text if about and context.use(about[0]) else ""
