"""Dialogue: who answers, how they take what was said, and what they tell. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from flower.engine.offline import oracle
from flower.engine.offline.context import Context
from flower.engine.offline.facts import PEOPLE_TITLE, Fact
from flower.engine.offline.grammar import in_first_person, sentences, spoken, upper_first
from flower.engine.offline.knowledge import ASKED_SCORE, NEAR_SCORE
from flower.engine.offline.narration import about_the_gone, in_charge, own_words, remark
from flower.engine.offline.people import Absent
from flower.engine.offline.present import last_words
from flower.engine.offline.questions import about_me, about_the_other
from flower.engine.offline.relevance import (
    ANSWERED,
    SEEKING,
    asked_part,
    content,
    covered,
    kindred,
    measured,
)
from flower.engine.offline.scene import key_of
from flower.engine.offline.stems import stems
from flower.engine.offline.voice import Speaker

WAITS_PERCENT = 20  # of replies in a talk end on a word to go on; more would be pressing
_TALE = re.compile(
    r"\b(?i:(?:tell|give|sing) (?:me|us) (?:a|an|another|your|some|one more)(?: \w+)? (?:story|stories|tale|song|"
    r"legend|yarn|joke)|tell (?:me|us) something)\b|"
    r"\bask (?:him|her|them|[A-Z]\w+(?: [A-Z]\w+)?|the \w+) (?:for|to tell)(?: me| us)? a (?:story|tale|song|"
    r"legend|yarn|joke)\b"
)
_HOW_ARE_YOU = re.compile(
    r"\bhow (?:are|do) you\b|\bare you (?:all right|okay|ok|well)\b", re.IGNORECASE
)
_WHATS_UP = re.compile(
    r"\bwhat(?:'s| is|'s all) (?:going on|happening|the matter|this (?:all )?about|up|wrong here|new)\b|"
    r"\bany (?:news|gossip)\b",
    re.IGNORECASE,
)
_OPINION = re.compile(
    r"\b(?:what (?:do|would) you (?:think|make|say|recommend|suggest|advise)|do you (?:like|trust|believe|love|hate)|"
    r"are you (?:afraid|happy|sad|angry|scared)|would you|should (?:i|we)|"
    r"what (?:should|would|do) (?:i|we|you) do|your opinion|how do you feel)\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"^(?:[A-Z][\w'-]+,\s+)?(do|does|did|are|is|was|were|will|would|can|could|have|has|should|may|must)\b",
    re.IGNORECASE,
)
_ABOUT_ME = re.compile(r"\bwhat did i (?:just )?(?:tell|say|confess)\b", re.IGNORECASE)
_ASKS_YOU = re.compile(
    r"\b(?:when|why|how|what|where|who)(?: \w+){0,2} (?:do|did|are|were|have|had|will|would) you\b",
    re.IGNORECASE,
)
_DOUBTS = re.compile(
    r"^(?:why should i (?:believe|trust)|how (?:sure|certain) are you|"
    r"how (?:do|can) (?:you|i) know\b|are you (?:sure|certain)|really\?)",
    re.IGNORECASE,
)
_OF_YOU = re.compile(r"\b(?:did|do|are|were|have|had|would|could|will) you\b", re.IGNORECASE)
_ONCE_MORE = re.compile(
    r"\b(?:say|repeat) (?:that|it) (?:again|once more)\b|\brepeat that\b|\bcome again\b|"
    r"\bwhat did you (?:just )?say\W*$",
    re.IGNORECASE,
)
_ASKS_A_FAVOUR = re.compile(
    r"\bask (?:him|her|them|[A-Z]\w+(?: [A-Z]\w+)?|the [a-z]+) (?:not )?to "
    r"(?!tell|explain|say|describe|repeat|show|teach)[a-z]+|"
    r"\b(?:if|whether) (?:I|we) (?:may|can|could|might)\b|\b(?:are you coming|will you come|may I|can I (?:come|"
    r"have|see|borrow|take|sit))\b|"
    r"^(?:[A-Z][\w'-]+, )?(?:could|can|will|would) you (?:please |just |at least )?"
    r"(?!know|tell|say|see|hear|remember|explain|think|describe|be|have|ever|like|mind)[a-z]+ ",
    re.IGNORECASE,
)
_THEY_OPEN = re.compile(r"^(?:He|She|They) ")
_WANTS_TO_KNOW = re.compile(
    r"\b(?:i(?:'d| would) like to know|i (?:want|need|have) to know|tell me (?:who|what|where|when|why|how|about))\b",
    re.IGNORECASE,
)
_CALLED_SO = re.compile(r"\b(?:called|name[ds]?|known as)\b", re.IGNORECASE)
_REPORTS = re.compile(
    r"(?:(?:says?|swears?|told|will|had|was|may)\b|has (?:not|asked|been|seen|told|found|noticed)\b)"
)  # draws nobody's portrait
_VOCATIVE = re.compile(r", [A-Za-z]+\?$")
_AGE = re.compile(r"\b(?:nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b")
_ASKS_WITH = re.compile(r"\W*(?:and |so |but )?(who|where|when|why|how)\b", re.IGNORECASE)
_OF_ME = re.compile(r"\b(?:can|could|do|should|may|might|will|am) (?:I|we)\b")
_DO_YOU_KNOW = re.compile(r"\byou (know|heard?|remember|seen?|met)\b", re.IGNORECASE)
_IN_KIND = frozenset(
    {
        "confession",
        "affection",
        "insult",
        "praise",
        "name",
        "self",
        "loss",
        "plan",
        "love",
        "hate",
        "comfort",
    }
)


def talk(context: Context) -> list[list[str]]:
    """Returns the paragraphs of a conversation: they take it, they tell something, they may wait."""
    found = context.people.addressed()
    if isinstance(found, Absent):
        return _no_answer(context, found)
    context.meet(found.name)
    shows = (
        context.heard.disclosure in ("affection", "insult")
        and bool(context.line.act)
        and not context.line.speech
    )
    first = [f"You {context.line.act}."] if shows else [_beside(context), _meeting(context, found)]
    if context.cue.outcome:
        first.append(context.say(f"persuade_{context.cue.outcome}", found.slots))
    second = _answer(context, found)
    third = [_waits(context, found)] if context.pick.percent(WAITS_PERCENT) else []
    return [[*first, *second], third]


def let_talk(context: Context) -> list[list[str]] | None:
    """Returns what somebody at hand says when they are let talk, None when nobody is there or knows anything."""
    speaker = context.people.at_hand()
    fact = context.rumour() if speaker is not None else None
    if speaker is None or fact is None:
        return None
    context.meet(speaker.name)
    told = context.fact_slots(as_said_by(speaker, fact, context.line.words))
    return [[f"You {context.line.act}.", context.say("goes_on", speaker.slots | told)]]


def answers(context: Context, speaker: Speaker, fact: Fact) -> str:
    """Returns the fact in the speaker's mouth."""
    own = fact.subject is not None and fact.subject.short == speaker.name
    return context.say(
        "answer_own" if own else f"answer.{speaker.register} answer.any",
        speaker.slots | context.fact_slots(as_said_by(speaker, fact, context.line.words)),
    )


def as_said_by(speaker: Speaker, fact: Fact, asked: frozenset[str]) -> Fact:
    """Returns a fact as somebody tells it: the half that was asked for, and of themself as "I"."""
    text = fact.text
    if asked & fact.words and not asked & fact.core and fact.more:
        bare = _JOINT.sub("", fact.more)
        alone = bare != fact.more and not _POINTS_BACK.match(bare)
        text = upper_first(bare) if alone else f"{text} {fact.more}"
    if fact.subject is not None and fact.subject.short == speaker.name:
        reported = _REPORTED.match(text.removeprefix(fact.subject.full))
        if reported:  # whose pipe it is in what they say of another is not theirs
            return replace(fact, text=upper_first(reported["said"]), more="")
        whole = (in_first_person(one, fact.subject.full, speaker.they) for one in sentences(text))
        text = " ".join(whole)
        text = upper_first(_I_SAY.sub("", text))  # who says it does not say that they say it
    return replace(fact, text=text, more="")


_POINTS_BACK = re.compile(r"(?:he|she|it|they|his|her|its|their)\b", re.IGNORECASE)
_REPORTED = re.compile(r" (?:says|swears) that (?P<said>(?!s?he |they |his |her |their |it )[^\n]+)")
_I_SAY = re.compile(r"^I (?:say|swear) that ")
_JOINT = re.compile(r"^(?:But|And|So|Yet|Or|Then|Also|Instead|Hence),? ")


def _answer(context: Context, speaker: Speaker) -> list[str]:
    heard, line = context.heard, context.line
    if line.speech_act == "help":
        return [context.say("called_for_help", speaker.slots)]
    if _TALE.search(line.speech or line.text) and (tale := context.tale()) is not None:
        fact_said = context.fact_slots(as_said_by(speaker, tale, line.words))
        return [context.say("tale", speaker.slots | fact_said)]
    sought = context.people.sought is not None and asked_part(line.text) != line.text
    wants = line.speech_act == "ask" or _WANTS_TO_KNOW.search(line.speech) is not None
    if (wants or sought) and heard.disclosure not in ("confession", "affection"):
        return _asked(context, speaker)
    if SEEKING.search(line.speech) and (wanted := _fact_for(context, speaker)):
        return [answers(context, speaker, wanted)]
    if heard.disclosure in _IN_KIND and line.speech_act != "threat":
        return _in_kind(context, speaker)
    if heard.feeling:
        return [context.say(f"feeling_seen.{heard.feeling} feeling_seen.any", speaker.slots)]
    only_talks = line.verb in ("talk", "speak", "chat") and not line.speech and not line.topic
    act = line.speech_act if line.kind == "speech" and not only_talks else "greet"
    if act == "greet" and key_of(speaker.name) == key_of(context.scene.partner):
        act = "claim"
    said = context.say(f"said_to.{act}.{speaker.register} said_to.{act}.any", speaker.slots)
    return [said, _volunteered(context, speaker)]


def _no_answer(context: Context, absent: Absent) -> list[list[str]]:
    """Somebody who is dead or missing is called, and does not come."""
    name = absent.name
    slots = {"gone": name.said, "gone_short": name.short, "they": name.they, "them": name.them}
    said = context.say("no_answer_killed" if absent.killed else "no_answer", slots)
    return [[said], [remark(context, 60)]]


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
    """Returns "Hanne Brask, Warden of Weights, ..." from the lore, "" when that was told in this story."""
    own = [fact for fact in context.lore.facts if fact.subject and fact.subject.short == speaker.name]
    if any(context.was_told(fact) for fact in own) or f"{speaker.name} " in "".join(
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
    known = portraits[0] if portraits else None
    if known is None or known.subject is None or not context.use(known):
        return ""
    rest = known.text.removeprefix(known.subject.full).strip(" .!,")
    return f"{full}, {rest.removeprefix('is ')}" if rest.startswith("is ") else f"{full}, who {rest}"


def _in_kind(context: Context, speaker: Speaker) -> list[str]:
    """Returns an answer to what the player told of themself: it was heard, and by whom."""
    heard = context.heard
    parts = []
    if heard.name:
        parts.append(context.say("hears_name", speaker.slots))
    if heard.disclosure == "name":
        return [*parts, _volunteered(context, speaker)]
    if heard.echo and heard.disclosure in ("confession", "self", "loss") and context.pick.percent(70):
        parts.append(context.say("says_back", speaker.slots))
    parts.append(
        context.say(f"{heard.disclosure}.{speaker.register} {heard.disclosure}.any", speaker.slots)
    )
    fact = context.near(least=NEAR_SCORE) if heard.disclosure in ("self", "loss", "plan") else None
    if fact is not None and all(name.short != speaker.name for name in fact.names):
        fact_said = as_said_by(speaker, fact, context.line.words)
        parts.append(context.say("volunteer", speaker.slots | context.fact_slots(fact_said)))
    return parts


def _asked(context: Context, speaker: Speaker) -> list[str]:
    text = context.line.speech or context.line.text
    if _ONCE_MORE.search(text) and (words := last_words(context, speaker.name)):
        return [context.say("says_it_again", speaker.slots | {"quote": words})]
    if about_the_other(text):
        return _about_themself(context, speaker)
    if _WHATS_UP.search(text) and (news := context.rumour()) is not None:
        return [answers(context, speaker, news)]
    if _HOW_ARE_YOU.search(text):
        return [context.say(f"how_are_you.{speaker.register} how_are_you.any", speaker.slots)]
    memory = context.memory()
    own_past = about_me(sentences(text)[-1] if sentences(text) else text)
    fact = None
    if own_past and memory is not None and memory.own and memory.score >= 10:
        quoted = spoken(memory.retold, tagged=True)[1:]
        slots = {"memory_said": quoted, "memory_plain": quoted[:-2]}
        return [context.say("reminded", speaker.slots | slots)]
    if _ABOUT_ME.search(text) and context.scene.disclosures:
        quoted = spoken(f"{context.scene.disclosures[-1]}.", tagged=True)[1:]
        return [
            context.say(
                "reminded", speaker.slots | {"memory_said": quoted, "memory_plain": quoted[:-2]}
            )
        ]
    if _ASKS_A_FAVOUR.search(text):
        return [context.say(f"said_to.request.{speaker.register}", speaker.slots)]
    if _DOUBTS.search(text):
        return [context.say("vouches", speaker.slots)]
    least = NEAR_SCORE if _OF_YOU.search(text) else ASKED_SCORE
    fact = about_the_gone(context) or in_charge(context) or _fact_for(context, speaker, least)
    if (again := context.again(fact, besides=speaker.name)) is not None:
        slots = context.fact_slots(as_said_by(speaker, again, context.line.words))
        return [context.say("says_again", speaker.slots | slots)]
    if context.cue.outcome == "strong" and (secret := context.hidden(ASKED_SCORE * 4)) is not None:
        return [context.say("tells_secret", speaker.slots | context.fact_slots(secret))]
    if _OPINION.search(text) and (fact is None or fact.rank > 2):
        opinion = own_words(context, speaker, "own_words") if context.pick.percent(45) else ""
        return [opinion or context.say(f"opinion.{speaker.register} opinion.any", speaker.slots)]
    said: list[str] = []
    if _YES_NO.match(text) and (fact is None or not content(context.asked, ())):
        answer, _ = oracle.answer(oracle.fixed(context.cue.seed, context.line.words), 55)
        said.append(context.say("says_yes" if answer.startswith("yes") else "says_no", speaker.slots))
    if fact is not None and text.count("?") > 1 and not said:
        second = _fact_for(context, speaker, NEAR_SCORE)
        fact_said = as_said_by(speaker, second, context.line.words) if second else None
        also = (
            context.say("and_also", speaker.slots | context.fact_slots(fact_said)) if fact_said else ""
        )
        return [answers(context, speaker, fact), also]
    if fact is not None:
        return [*said, answers(context, speaker, fact)]
    if said:
        return said
    others = [name for name in context.named if name.short != speaker.name]
    of_them = _of_themself(context, speaker)
    partly = None if of_them else context.first_of(speaker.name)
    if partly is None and others and not of_them:
        partly = context.about(others)
    if partly is not None and _told_of(partly, speaker):
        return [answers(context, speaker, partly)]
    if partly is not None:
        told = context.fact_slots(as_said_by(speaker, partly, context.line.words))
        return [context.say("knows_partly", speaker.slots | told)]
    if context.evaded and (news := context.rumour()) is not None:  # two in a row would be a wall
        told = context.fact_slots(as_said_by(speaker, news, context.line.words))
        return [context.say("instead", speaker.slots | told)]
    return [_does_not_know(context, speaker, text), _hint(context, speaker, 35)]


def _told_of(fact: Fact, speaker: Speaker) -> bool:
    """Whether a fact is about the one who tells it."""
    return fact.subject is not None and fact.subject.short == speaker.name


def _does_not_know(context: Context, speaker: Speaker, text: str) -> str:
    """Returns how somebody says that they cannot tell, as it was asked: of themself, of a person, a place, a reason."""
    asked = asked_part(text)
    told_of = re.search(rf"\b(?:what|how|why|where|when|if|whether) {speaker.they}\b", asked)
    if told_of or (_OF_YOU.search(asked) and not _DO_YOU_KNOW.search(asked)):
        return context.say("unknown_of_you", speaker.slots)
    word = _ASKS_WITH.match(asked)
    own = context.say(f"unknown_{word.group(1).casefold()}", speaker.slots) if word else ""
    return own or context.say(f"unknown.{speaker.register} unknown.any", speaker.slots)


def _about_themself(context: Context, speaker: Speaker) -> list[str]:
    known = [line for line in speaker.known if not context.pick.heard(line[:40])]
    if known:
        context.pick.note(known[0][:40])
        return [
            context.say("about_self", speaker.slots | {"known": known[0]}),
            own_words(context, speaker, "own_words"),
        ]
    fact = next(
        (
            one
            for one in context.facts_of(speaker.full)
            if one.subject and one.subject.short == speaker.name
        ),
        None,
    )
    if fact is not None and context.use(fact):
        return [answers(context, speaker, fact)]
    stranger = speaker.full.startswith("the ")
    return [context.say("about_self_stranger" if stranger else "about_self_little", speaker.slots)]


def _fact_for(context: Context, speaker: Speaker, asked: int = ASKED_SCORE) -> Fact | None:
    """Returns something near the question; of the speaker only what was asked for."""
    of_them = _of_themself(context, speaker)
    if of_them:
        return _of_their_own(context, speaker)
    for _ in range(3):
        least = asked if context.line.speech_act == "ask" else NEAR_SCORE
        fact = context.near(least=least, besides=speaker.name)
        if fact is None or all(name.short != speaker.name for name in fact.names):
            return None if fact and (of_them or _of_somebody_else(context, speaker, fact)) else fact
        own = fact.subject is not None and fact.subject.short == speaker.name
        if own and not of_them and _OF_ME.search(context.line.text):
            continue  # "Where can I sleep?" does not ask where they do
        if own and fact.core & (context.line.words - stems(speaker.full)):
            return fact
    return None


def _of_their_own(context: Context, speaker: Speaker) -> Fact | None:
    """Returns what the lore has of the speaker that answers a question about them, None for nothing."""
    question = _VOCATIVE.sub("?", context.line.speech or context.line.text)
    wanted = content(stems(asked_part(question)) - measured(question), ())
    known = [
        fact
        for fact in context.lore.facts
        if not fact.secret and fact.subject is not None and fact.subject.short == speaker.name
    ]
    found = [
        fact
        for fact in known
        if (wanted and covered(fact, wanted, {}) >= ANSWERED)
        or (not wanted and measured(question) and _AGE.search(fact.text))
    ]
    told = next((fact for fact in found if context.use(fact)), None)
    if told is None and (_CALLED_SO.search(question) or context.evaded):  # what there is to say of them
        portraits = (fact for fact in known if PEOPLE_TITLE.search(fact.section))
        told = next((fact for fact in portraits if context.use(fact)), None)
        if told is not None and told.subject is not None:
            more = _THEY_OPEN.sub(f"{told.subject.full} ", told.more, count=1)
            told = replace(told, text=f"{told.text} {more}".strip(), more="")
    return told


def _of_themself(context: Context, speaker: Speaker) -> bool:
    """Whether the question is what the one who is asked did or is, and not what they know of others."""
    text = asked_part(context.line.speech or context.line.text)
    others = [name for name in context.named if name.short != speaker.name]
    indirect = re.search(
        rf"\b(?:when|why|how(?: \w+)?|what|where|if|whether) {speaker.they} "
        r"(?:is|was|has|had|do|does|did|owes?|wants?|knows?|thinks?)\b",
        text,
    )
    return bool(_OF_YOU.search(text) or indirect) and not _DO_YOU_KNOW.search(text) and not others


def _of_somebody_else(context: Context, speaker: Speaker, fact: Fact) -> bool:
    """Whether the speaker is asked of themself, and the fact is about a person nobody asked for."""
    subject = fact.subject
    if subject is None or subject.kind != "person" or subject in context.named:
        return False
    text = context.line.text
    indirect = re.search(rf"\b(?:when|why|how|what|where|if|whether) {speaker.they} \w", text)
    return bool(_ASKS_YOU.search(text) or indirect)


def _volunteered(context: Context, speaker: Speaker) -> str:
    """Returns something the speaker tells unasked, when it has to do with what was said."""
    if context.line.speech_act in ("bye", "gesture", "threat", "thanks", "sorry"):
        return ""
    fact = _fact_for(context, speaker)
    said = content(context.line.words, ())
    shared = sum(bool(kindred(word) & fact.words) for word in said) if fact else 0
    if fact is not None and (shared > 1 or set(fact.names) & set(context.named)):
        fact_said = as_said_by(speaker, fact, context.line.words)
        return context.say("volunteer", speaker.slots | context.fact_slots(fact_said))
    if context.pick.percent(40):
        return own_words(context, speaker, "own_words")
    return ""


def _waits(context: Context, speaker: Speaker) -> str:
    return context.say(f"waits.{speaker.register} waits.any", speaker.slots)


def _hint(context: Context, speaker: Speaker, likely: int) -> str:
    """Returns, in so many of 100 cases, who would know: somebody who has to do with what was asked, or ""."""
    knows = context.who_knows(speaker.name)
    if knows is None or not context.pick.percent(likely):
        return ""
    return context.say("hint", speaker.slots | {"other": knows.said})
