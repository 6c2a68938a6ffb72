"""Dialogue: who answers, how they come into the talk, and how they take what was said. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.dialogue_answers import answer_question, fact_for
from flower.engine.offline.fact_search import NEAR_SCORE
from flower.engine.offline.facts import PEOPLE_TITLE
from flower.engine.offline.grammar import word_set
from flower.engine.offline.narration import in_phrase, in_their_words, own_words, remark
from flower.engine.offline.people import Absent
from flower.engine.offline.relevance import (
    SEEKING,
    asked_part,
    content,
    kindred,
)
from flower.engine.offline.scene import key_of
from flower.engine.offline.voice import Speaker

WAITS_PERCENT = 20  # of replies in a talk end on a word to go on; more would be pressing
_TALE = re.compile(
    r"\b(?i:(?:tell|give|sing) (?:me|us) (?:a|an|another|your|some|one more)(?: \w+)? (?:story|stories|tale|song|"
    r"legend|yarn|joke)|tell (?:me|us) something)\b|"
    r"\bask (?:him|her|them|[A-Z]\w+(?: [A-Z]\w+)?|the \w+) (?:for|to tell)(?: me| us)? a (?:story|tale|song|"
    r"legend|yarn|joke)\b"
)
_WANTS_TO_KNOW = re.compile(
    r"\b(?:i(?:'d| would) like to know|i (?:want|need|have) to know|tell me (?:who|what|where|when|why|how|about))\b",
    re.IGNORECASE,
)
_REPORTS = re.compile(
    r"(?:(?:says?|swears?|told|will|had|was|may)\b|has (?:not|asked|been|seen|told|found|noticed)\b)"
)  # draws nobody's portrait
_IN_KIND = word_set("confession affection insult praise name self loss plan love hate comfort")


def talk(context: Context) -> list[list[str]]:
    """Returns the paragraphs of a conversation: they take it, they tell something, they may wait."""
    addressee = context.people.addressed()
    if isinstance(addressee, Absent):
        return _no_answer(context, addressee)
    context.meet(addressee.name)
    shows = (
        context.sentiment.disclosure in ("affection", "insult")
        and bool(context.line.act)
        and not context.line.speech
    )
    first = [f"You {context.line.act}."] if shows else [_beside(context), _meeting(context, addressee)]
    if context.cue.outcome:
        first.append(context.say(f"persuade_{context.cue.outcome}", addressee.slots))
    second = _answer(context, addressee)
    third = [_waits(context, addressee)] if context.pick.percent(WAITS_PERCENT) else []
    return [[*first, *second], third]


def let_talk(context: Context) -> list[list[str]] | None:
    """Returns what somebody at hand says when they are let talk, None when nobody is there or knows anything."""
    speaker = context.people.at_hand()
    fact = context.rumour() if speaker is not None else None
    if speaker is None or fact is None:
        return None
    context.meet(speaker.name)
    return [[f"You {context.line.act}.", in_phrase(context, speaker, "goes_on", fact)]]


def _answer(context: Context, speaker: Speaker) -> list[str]:
    sentiment, line = context.sentiment, context.line
    if line.speech_act == "help":
        return [context.say("called_for_help", speaker.slots)]
    if _TALE.search(line.speech or line.text) and (tale := context.tale()) is not None:
        return [in_phrase(context, speaker, "tale", tale)]
    sought = context.people.sought is not None and asked_part(line.text) != line.text
    wants = line.speech_act == "ask" or _WANTS_TO_KNOW.search(line.speech) is not None
    if (wants or sought) and sentiment.disclosure not in ("confession", "affection"):
        return answer_question(context, speaker)
    if SEEKING.search(line.speech) and (thing := fact_for(context, speaker)):
        return [in_their_words(context, speaker, thing)]
    if sentiment.disclosure in _IN_KIND and line.speech_act != "threat":
        return _in_kind(context, speaker)
    if sentiment.feeling:
        return [context.say(f"feeling_seen.{sentiment.feeling} feeling_seen.any", speaker.slots)]
    only_talks = line.verb in ("talk", "speak", "chat") and not line.speech and not line.topic
    act = line.speech_act if line.kind == "speech" and not only_talks else "greet"
    if act == "greet" and key_of(speaker.name) == key_of(context.scene.partner):
        act = "claim"
    response = context.say(f"said_to.{act}.{speaker.register} said_to.{act}.any", speaker.slots)
    return [response, _volunteered(context, speaker)]


def _no_answer(context: Context, absent: Absent) -> list[list[str]]:
    """Somebody who is dead or missing is called, and does not come."""
    name = absent.name
    slots = {"gone": name.with_article, "gone_short": name.short, "they": name.they, "them": name.them}
    silence = context.say("no_answer_killed" if absent.killed else "no_answer", slots)
    return [[silence], [remark(context, 60)]]


def _beside(context: Context) -> str:
    return f"You {context.line.beside}." if context.line.beside else ""


_SEEKS = ("see", "find", "meet", "visit", "seek", "approach", "look", "go")


def _fresh(context: Context, speaker: Speaker) -> bool:
    """Whether the speaker was not at hand before this line: not met, nor there as the story opens."""
    opening = context.replies[0] if context.replies and not context.scene.place else ""
    if f"says {speaker.name}" in opening or f"{speaker.name} says" in opening:
        return False
    return all(key_of(speaker.name) != key_of(one) for one in context.scene.company) and all(
        speaker.name != one.name for one in context.cast
    )


def _meeting(context: Context, speaker: Speaker) -> str:
    """Returns how somebody comes into the talk: looked for and found, or there and turned to; with a portrait once."""
    if not _fresh(context, speaker):
        return context.say("meet_again", speaker.slots) if context.pick.percent(20) else ""
    full = speaker.full or speaker.name
    slots = speaker.slots | {"full": full}
    if full.startswith("the "):
        return context.say("meet_stranger", slots)
    there = any(name.short == speaker.name for name in context.nearby)
    portrait = _portrait(context, speaker, full)
    sought = context.line.verb in _SEEKS and not there
    if portrait:
        return context.say(
            "meet_found_portrait" if sought else "meet_portrait", slots | {"portrait": portrait}
        )
    table = "meet_found" if sought else "meet_here" if there else "meet"
    return context.say(table, slots)


def _portrait(context: Context, speaker: Speaker, full: str) -> str:
    """Returns "Hanne Brask, Warden of Weights, ..." from the lore, "" when the story has it already."""
    own = [fact for fact in context.lore.facts if fact.subject and fact.subject.short == speaker.name]
    if any(context.was_given(fact) for fact in own) or f"{speaker.name} " in "".join(
        context.replies[:1]
    ):
        return ""
    portraits = [
        fact
        for fact in own
        if not fact.secret
        and fact.text.startswith(f"{full} ")
        and not _REPORTS.match(fact.text.removeprefix(f"{full} "))
    ]
    portraits.sort(key=lambda fact: PEOPLE_TITLE.search(fact.section) is None)
    portrait = portraits[0] if portraits else None
    if portrait is None or portrait.subject is None or not context.use(portrait):
        return ""
    rest = portrait.text.removeprefix(portrait.subject.full).strip(" .!,")
    return f"{full}, {rest.removeprefix('is ')}" if rest.startswith("is ") else f"{full}, who {rest}"


def _in_kind(context: Context, speaker: Speaker) -> list[str]:
    """Returns an answer to what the player disclosed of themself, in kind."""
    sentiment = context.sentiment
    parts = []
    if sentiment.name:
        parts.append(context.say("hears_name", speaker.slots))
    if sentiment.disclosure == "name":
        return [*parts, _volunteered(context, speaker)]
    if (
        sentiment.echo
        and sentiment.disclosure in ("confession", "self", "loss")
        and context.pick.percent(70)
    ):
        parts.append(context.say("says_back", speaker.slots))
    parts.append(
        context.say(
            f"{sentiment.disclosure}.{speaker.register} {sentiment.disclosure}.any", speaker.slots
        )
    )
    fact = context.near(least=NEAR_SCORE) if sentiment.disclosure in ("self", "loss", "plan") else None
    if fact is not None and all(name.short != speaker.name for name in fact.names):
        parts.append(in_phrase(context, speaker, "volunteer", fact))
    return parts


def _volunteered(context: Context, speaker: Speaker) -> str:
    """Returns something the speaker tells unasked, when it has to do with what was said."""
    if context.line.speech_act in ("bye", "gesture", "threat", "thanks", "sorry"):
        return ""
    fact = fact_for(context, speaker)
    topics = content(context.line.words, ())
    shared = sum(bool(kindred(word) & fact.words) for word in topics) if fact else 0
    if fact is not None and (shared > 1 or set(fact.names) & set(context.named)):
        return in_phrase(context, speaker, "volunteer", fact)
    if context.pick.percent(40):
        return own_words(context, speaker, "own_words")
    return ""


def _waits(context: Context, speaker: Speaker) -> str:
    return context.say(f"waits.{speaker.register} waits.any", speaker.slots)
