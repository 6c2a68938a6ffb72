"""Dialogue: who answers, how they take it, and what they tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flower.engine.offline import oracle
from flower.engine.offline.context import ASKED_SCORE, NEAR_SCORE, Stage
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import spoken
from flower.engine.offline.tables import company, speech, telling
from flower.engine.offline.voice import Voice

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


def talk(stage: Stage) -> list[list[str]]:
    """Returns the paragraphs of a conversation: they take it, they tell something, they wait."""
    voice = stage.people.speaker()
    stage.meet(voice)
    first = [_meeting(stage, voice)]
    if stage.reading.speech_act == "ask":
        second = _asked(stage, voice)
    else:
        act = "greet" if stage.reading.kind != "speech" else stage.reading.speech_act
        table: Sequence[str] = speech.BY_ACT[act][voice.register]
        if act == "claim":
            table = (*table, *speech.CLAIM_ANY)
        second = [stage.pick.say(table, voice.slots), _volunteered(stage, voice)]
    return [first, second, [prompt(stage, voice)]]


def answers(stage: Stage, voice: Voice, fact: Fact) -> str:
    """Returns the fact in the speaker's mouth."""
    return stage.pick.say(
        (*telling.ANSWER[voice.register], *telling.ANSWER_ANY), voice.slots | stage.fact_slots(fact)
    )


def prompt(stage: Stage, voice: Voice) -> str:
    """Returns the speaker's turn being handed over."""
    return stage.pick.say((*company.PROMPT[voice.register], *company.PROMPT_ANY), voice.slots)


def aside(stage: Stage) -> str:
    """Returns something the companion says unasked, in their own words when they have some; "" without one."""
    voice = stage.companion
    if voice is None or voice.name.casefold() in stage.reading.text.casefold():
        return ""
    if not stage.pick.percent(22 if voice.name in stage.last else 65):  # company, not a chorus
        return ""
    own = [line for line in voice.own if not stage.pick.heard(line[:30])]
    if own and stage.pick.percent(35):
        line = stage.pick.any_of(own)
        stage.pick.note(line[:30])
        quoted = {
            "sample": spoken(line, tagged=False)[1:-1],
            "sample_said": spoken(line, tagged=True)[1:],
        }
        return stage.pick.say(company.SAMPLE, voice.slots | quoted)
    return stage.pick.say((*company.ASIDE[voice.register], *company.ASIDE_ANY), voice.slots)


def _meeting(stage: Stage, voice: Voice) -> str:
    full = voice.full or voice.name
    fresh = not _spoke_last(stage, voice)
    is_companion = stage.companion is not None and voice.name == stage.companion.name
    unknown = company.MEET_STRANGER if full.startswith("the ") else company.MEET
    table: Sequence[str] = unknown if fresh and not is_companion else company.MEET_AGAIN
    met = stage.pick.say(table, voice.slots | {"full": full})
    if stage.reading.act and len(_MOVES.split(stage.reading.act)) > 1:
        met = f"You {_MOVES.split(stage.reading.act)[0]}. {met}"
    if not fresh or is_companion:
        return met
    known = next(
        (
            fact
            for fact in stage.lore.facts
            if fact.subject and fact.subject.short == voice.name and not fact.secret
        ),
        None,
    )
    if known is None or not stage.use(known):
        return f"{met} {stage.pick.say(stage.palette.air)}"
    return f"{met} {stage.fact_slots(known)['telling']}"


def _spoke_last(stage: Stage, voice: Voice) -> bool:
    name = re.escape(voice.name)
    return (
        re.search(rf"\" (?:says|asks) {name}|{name} (?:says|asks)", stage.last, re.IGNORECASE)
        is not None
    )


def _asked(stage: Stage, voice: Voice) -> list[str]:
    text = stage.reading.speech or stage.reading.text
    said: list[str] = []
    if _ABOUT_SELF.search(text):
        known = [line for line in voice.known if not stage.pick.heard(line[:40])]
        if known:
            stage.pick.note(known[0][:40])
            return [
                stage.pick.say(company.SELF, voice.slots | {"known": known[0]}),
                aside_or_sample(stage, voice),
            ]
    fact = _fact_for(stage, voice)
    if _YES_NO.match(text) and (fact is None or not _DO_YOU_KNOW.search(text)):
        answer, _ = oracle.answer(stage.pick.chance, 55)
        table = telling.YES_SAID if answer.startswith("yes") else telling.NO_SAID
        said.append(stage.pick.say(table, voice.slots))
    memory = stage.memory()
    own_past = re.search(r"\b(I|my|me|we)\b", text) is not None
    if own_past and fact is None and memory is not None and memory.score >= 10:
        quoted = spoken(memory.text, tagged=True)[1:] if memory.own else ""
        if quoted:
            return [
                *said,
                stage.pick.say(
                    company.REMINDED, voice.slots | {"memory_said": quoted, "memory_plain": quoted[:-2]}
                ),
            ]
    if fact is not None:
        return [*said, answers(stage, voice, fact), _hint(stage, voice, 35)]
    if not said:
        said.append(
            stage.pick.say((*telling.UNKNOWN[voice.register], *telling.UNKNOWN_ANY), voice.slots)
        )
    return [*said, _hint(stage, voice, 60) or aside_or_sample(stage, voice)]


def _fact_for(stage: Stage, voice: Voice) -> Fact | None:
    """Returns something near the question that is not about the speaker: people do not quote themselves."""
    for _ in range(3):
        fact = stage.near(least=ASKED_SCORE if stage.reading.speech_act == "ask" else NEAR_SCORE)
        if fact is None or all(name.short != voice.name for name in fact.names):
            return fact
    return None


def _volunteered(stage: Stage, voice: Voice) -> str:
    if stage.reading.speech_act in ("bye", "gesture", "threat") or stage.pick.percent(25):
        return aside_or_sample(stage, voice)
    fact = _fact_for(stage, voice) or stage.spare()
    if fact is None or any(name.short == voice.name for name in fact.names):
        return _hint(stage, voice, 100)
    return stage.pick.say(telling.TELL, voice.slots | stage.fact_slots(fact))


def aside_or_sample(stage: Stage, voice: Voice) -> str:
    """Returns one of the speaker's own lines if there is a fresh one, else a piece of the air."""
    own = [line for line in voice.own if not stage.pick.heard(line[:30])]
    if own:
        line = stage.pick.any_of(own)
        stage.pick.note(line[:30])
        quoted = {
            "sample": spoken(line, tagged=False)[1:-1],
            "sample_said": spoken(line, tagged=True)[1:],
        }
        return stage.pick.say(company.OWN, voice.slots | quoted)
    return stage.pick.say(stage.palette.air)


def _hint(stage: Stage, voice: Voice, likely: int) -> str:
    other = stage.other("person")
    if other is None or not stage.pick.percent(likely):
        return ""
    return stage.pick.say(telling.HINT, voice.slots | {"other": other.said})
