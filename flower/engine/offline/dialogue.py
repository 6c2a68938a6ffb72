"""Dialogue: who answers, how they take it, and what they tell. Pure."""

from __future__ import annotations

import re

from flower.engine.offline import oracle
from flower.engine.offline.context import ASKED_SCORE, NEAR_SCORE, Context
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import spoken
from flower.engine.offline.voice import Speaker

_ABOUT_SELF = re.compile(
    r"\b(who are you|your name|about yourself|are you from|do you do\b|what are you|your (?:life|past|work|story))",
    re.IGNORECASE,
)
_MOVES = re.compile(
    r"(?<=\w)(?:,? and | then )(?=(?:ask|tell|say|speak|talk|greet|demand|thank|whisper)\b)"
)  # "walk in and ask ..."
_YES_NO = re.compile(
    r"^(?:[A-Z][\w'-]+,\s+)?(do|does|did|are|is|was|were|will|would|can|could|have|has|should|may|must)\b",
    re.IGNORECASE,
)


_DO_YOU_KNOW = re.compile(r"\byou (know|heard?|remember|seen?|met|think|believe)\b", re.IGNORECASE)


def talk(context: Context) -> list[list[str]]:
    """Returns the paragraphs of a conversation: they take it, they tell something, they wait."""
    voice = context.people.speaker()
    context.meet(voice)
    first = [_meeting(context, voice)]
    if context.reading.speech_act == "ask":
        second = _asked(context, voice)
    else:
        act = "greet" if context.reading.kind != "speech" else context.reading.speech_act
        table = f"said_to.{act}.{voice.register}"
        if act == "claim":
            table += " said_to.claim.any"
        second = [context.say(table, voice.slots), _volunteered(context, voice)]
    return [first, second, [prompt(context, voice)]]


def answers(context: Context, voice: Speaker, fact: Fact) -> str:
    """Returns the fact in the speaker's mouth."""
    return context.say(f"answer.{voice.register} answer.any", voice.slots | context.fact_slots(fact))


def prompt(context: Context, voice: Speaker) -> str:
    """Returns the speaker's turn being handed over."""
    return context.say(f"waits.{voice.register} waits.any", voice.slots)


def aside(context: Context) -> str:
    """Returns something the companion says unasked, in their own words when they have some; "" without one."""
    voice = context.companion
    if voice is None or voice.name.casefold() in context.reading.text.casefold():
        return ""
    if not context.pick.percent(22 if voice.name in context.last else 65):  # company, not a chorus
        return ""
    own = [line for line in voice.own if not context.pick.heard(line[:30])]
    if own and context.pick.percent(35):
        line = context.pick.any_of(own)
        context.pick.note(line[:30])
        quoted = {
            "sample": spoken(line, tagged=False)[1:-1],
            "sample_said": spoken(line, tagged=True)[1:],
        }
        return context.say("remark_own", voice.slots | quoted)
    return context.say(f"remark.{voice.register} remark.any", voice.slots)


def _meeting(context: Context, voice: Speaker) -> str:
    full = voice.full or voice.name
    fresh = not _spoke_last(context, voice)
    is_companion = context.companion is not None and voice.name == context.companion.name
    unknown = "meet_stranger" if full.startswith("the ") else "meet"
    table = unknown if fresh and not is_companion else "meet_again"
    met = context.say(table, voice.slots | {"full": full})
    if context.reading.act and len(_MOVES.split(context.reading.act)) > 1:
        met = f"You {_MOVES.split(context.reading.act)[0]}. {met}"
    if not fresh or is_companion:
        return met
    known = next(
        (
            fact
            for fact in context.lore.facts
            if fact.subject and fact.subject.short == voice.name and not fact.secret
        ),
        None,
    )
    if known is None or not context.use(known):
        return f"{met} {context.say('air')}"
    return f"{met} {context.fact_slots(known)['telling']}"


def _spoke_last(context: Context, voice: Speaker) -> bool:
    name = re.escape(voice.name)
    return (
        re.search(rf"\" (?:says|asks) {name}|{name} (?:says|asks)", context.last, re.IGNORECASE)
        is not None
    )


def _asked(context: Context, voice: Speaker) -> list[str]:
    text = context.reading.speech or context.reading.text
    said: list[str] = []
    if _ABOUT_SELF.search(text):
        known = [line for line in voice.known if not context.pick.heard(line[:40])]
        if known:
            context.pick.note(known[0][:40])
            return [
                context.say("about_self", voice.slots | {"known": known[0]}),
                aside_or_sample(context, voice),
            ]
    fact = _fact_for(context, voice)
    if _YES_NO.match(text) and (fact is None or not _DO_YOU_KNOW.search(text)):
        answer, _ = oracle.answer(context.pick.chance, 55)
        table = "says_yes" if answer.startswith("yes") else "says_no"
        said.append(context.say(table, voice.slots))
    memory = context.memory()
    own_past = re.search(r"\b(I|my|me|we)\b", text) is not None
    if own_past and fact is None and memory is not None and memory.score >= 10:
        quoted = spoken(memory.text, tagged=True)[1:] if memory.own else ""
        if quoted:
            return [
                *said,
                context.say(
                    "reminded", voice.slots | {"memory_said": quoted, "memory_plain": quoted[:-2]}
                ),
            ]
    if fact is not None:
        return [*said, answers(context, voice, fact), _hint(context, voice, 35)]
    if not said:
        said.append(context.say(f"unknown.{voice.register} unknown.any", voice.slots))
    return [*said, _hint(context, voice, 60) or aside_or_sample(context, voice)]


def _fact_for(context: Context, voice: Speaker) -> Fact | None:
    """Returns something near the question that is not about the speaker: people do not quote themselves."""
    for _ in range(3):
        fact = context.near(least=ASKED_SCORE if context.reading.speech_act == "ask" else NEAR_SCORE)
        if fact is None or all(name.short != voice.name for name in fact.names):
            return fact
    return None


def _volunteered(context: Context, voice: Speaker) -> str:
    if context.reading.speech_act in ("bye", "gesture", "threat") or context.pick.percent(25):
        return aside_or_sample(context, voice)
    fact = _fact_for(context, voice) or context.spare()
    if fact is None or any(name.short == voice.name for name in fact.names):
        return _hint(context, voice, 100)
    return context.say("volunteer", voice.slots | context.fact_slots(fact))


def aside_or_sample(context: Context, voice: Speaker) -> str:
    """Returns one of the speaker's own lines if there is a fresh one, else a piece of the air."""
    own = [line for line in voice.own if not context.pick.heard(line[:30])]
    if own:
        line = context.pick.any_of(own)
        context.pick.note(line[:30])
        quoted = {
            "sample": spoken(line, tagged=False)[1:-1],
            "sample_said": spoken(line, tagged=True)[1:],
        }
        return context.say("own_words", voice.slots | quoted)
    return context.say("air")


def _hint(context: Context, voice: Speaker, likely: int) -> str:
    other = context.other("person")
    if other is None or not context.pick.percent(likely):
        return ""
    return context.say("hint", voice.slots | {"other": other.said})
