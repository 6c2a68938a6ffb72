"""What somebody answers to a question: of themself, of what the lore has, or that they do not know. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from flower.engine.offline import oracle
from flower.engine.offline.context import Context
from flower.engine.offline.fact_search import ASKED_SCORE, NEAR_SCORE
from flower.engine.offline.facts import PEOPLE_TITLE, Fact
from flower.engine.offline.grammar import sentences, spoken, stems
from flower.engine.offline.narration import (
    about_the_gone,
    in_charge,
    in_phrase,
    in_their_words,
    own_words,
    who_is_at,
)
from flower.engine.offline.present import last_words
from flower.engine.offline.questions import about_me, about_the_other
from flower.engine.offline.relevance import ANSWERED, asked_part, content, covered, measured
from flower.engine.offline.voice import Speaker

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
_CALLED_SO = re.compile(r"\b(?:called|name[ds]?|known as)\b", re.IGNORECASE)
_VOCATIVE = re.compile(r", [A-Za-z]+\?$")
_AGE = re.compile(r"\b(?:nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\b")
_ASKS_WITH = re.compile(r"\W*(?:and |so |but )?(who|where|when|why|how)\b", re.IGNORECASE)
_OF_ME = re.compile(r"\b(?:can|could|do|should|may|might|will|am) (?:I|we)\b")
_DO_YOU_KNOW = re.compile(r"\byou (know|heard?|remember|seen?|met)\b", re.IGNORECASE)


def answer_question(context: Context, speaker: Speaker) -> list[str]:
    """Returns what somebody answers to the line: what its form asks for, else what they know, else that they do not."""
    text = context.line.speech or context.line.text
    if answer := _by_form(context, speaker, text):
        return [*answer]
    least = NEAR_SCORE if _OF_YOU.search(text) else ASKED_SCORE
    fact = (
        about_the_gone(context)
        or in_charge(context)
        or who_is_at(context)
        or fact_for(context, speaker, least)
    )
    if (again := context.again(fact, besides=speaker.name)) is not None:
        return [in_phrase(context, speaker, "says_again", again)]
    if context.cue.outcome == "strong" and (secret := context.hidden(ASKED_SCORE * 4)) is not None:
        return [context.say("tells_secret", speaker.slots | context.fact_slots(secret))]
    if _OPINION.search(text) and (fact is None or fact.rank > 2):
        opinion = own_words(context, speaker, "own_words") if context.pick.percent(45) else ""
        return [opinion or context.say(f"opinion.{speaker.register} opinion.any", speaker.slots)]
    yes_no: list[str] = []
    if _YES_NO.match(text) and (fact is None or not content(context.query_words, ())):
        answer_of_fate, _ = oracle.answer(oracle.fixed(context.cue.seed, context.line.words), 55)
        yes = answer_of_fate.startswith("yes")
        yes_no = [context.say("says_yes" if yes else "says_no", speaker.slots)]
    if fact is None:
        return yes_no or _without_fact(context, speaker, text)
    if text.count("?") > 1 and not yes_no:
        second = fact_for(context, speaker, NEAR_SCORE)
        also = in_phrase(context, speaker, "and_also", second) if second else ""
        return [in_their_words(context, speaker, fact), also]
    return [*yes_no, in_their_words(context, speaker, fact)]


def _by_form(context: Context, speaker: Speaker, text: str) -> tuple[str, ...]:
    """Returns the answer to a question that its form decides, whatever the lore says; none for others."""
    if _ONCE_MORE.search(text) and (words := last_words(context, speaker.name)):
        return (context.say("says_it_again", speaker.slots | {"quote": words}),)
    if about_the_other(text):
        return _about_themself(context, speaker)
    if _WHATS_UP.search(text) and (news := context.rumour()) is not None:
        return (in_their_words(context, speaker, news),)
    if _HOW_ARE_YOU.search(text):
        return (context.say(f"how_are_you.{speaker.register} how_are_you.any", speaker.slots),)
    if reminder := _of_my_past(context, text):
        quoted = spoken(reminder, tagged=True)[1:]
        slots = {"memory_said": quoted, "memory_plain": quoted[:-2]}
        return (context.say("reminded", speaker.slots | slots),)
    if _ASKS_A_FAVOUR.search(text):
        return (context.say(f"said_to.request.{speaker.register}", speaker.slots),)
    return (context.say("vouches", speaker.slots),) if _DOUBTS.search(text) else ()


def _of_my_past(context: Context, text: str) -> str:
    """Returns what the player has disclosed of themself, when the question is about that; else ""."""
    memory = context.memory()
    own_past = about_me(sentences(text)[-1] if sentences(text) else text)
    if own_past and memory is not None and memory.own and memory.score >= 10:
        return memory.retold
    disclosures = context.scene.disclosures
    return f"{disclosures[-1]}." if _ABOUT_ME.search(text) and disclosures else ""


def _without_fact(context: Context, speaker: Speaker, text: str) -> list[str]:
    """Returns the nearest there is to an answer: half of it, what people say instead, that they cannot tell."""
    others = [name for name in context.named if name.short != speaker.name]
    of_them = _of_themself(context, speaker)
    partly = None if of_them else context.first_of(speaker.name)
    if partly is None and others and not of_them:
        partly = context.about(others)
    if partly is not None and _is_about(partly, speaker):
        return [in_their_words(context, speaker, partly)]
    if partly is not None:
        return [in_phrase(context, speaker, "knows_partly", partly)]
    if context.evaded and (news := context.rumour()) is not None:  # two in a row would be a wall
        return [in_phrase(context, speaker, "instead", news)]
    return [_does_not_know(context, speaker, text), _hint(context, speaker, 35)]


def _is_about(fact: Fact, speaker: Speaker) -> bool:
    """Whether a fact is about the one who tells it."""
    return fact.subject is not None and fact.subject.short == speaker.name


def _does_not_know(context: Context, speaker: Speaker, text: str) -> str:
    """Returns how somebody says that they cannot tell, as it was asked: of themself, of a person, a place, a reason."""
    question = asked_part(text)
    of_them = re.search(rf"\b(?:what|how|why|where|when|if|whether) {speaker.they}\b", question)
    if of_them or (_OF_YOU.search(question) and not _DO_YOU_KNOW.search(question)):
        return context.say("unknown_of_you", speaker.slots)
    word = _ASKS_WITH.match(question)
    own = context.say(f"unknown_{word.group(1).casefold()}", speaker.slots) if word else ""
    return own or context.say(f"unknown.{speaker.register} unknown.any", speaker.slots)


def _about_themself(context: Context, speaker: Speaker) -> tuple[str, ...]:
    unsaid = [line for line in speaker.persona if not context.pick.was_used(line[:40])]
    if unsaid:
        context.pick.note(unsaid[0][:40])
        first = context.say("about_self", speaker.slots | {"known": unsaid[0]})
        return (first, own_words(context, speaker, "own_words"))
    own = (fact for fact in context.facts_of(speaker.full) if _is_about(fact, speaker))
    fact = next(own, None)
    if fact is not None and context.use(fact):
        return (in_their_words(context, speaker, fact),)
    stranger = speaker.full.startswith("the ")
    return (context.say("about_self_stranger" if stranger else "about_self_little", speaker.slots),)


def fact_for(context: Context, speaker: Speaker, score: int = ASKED_SCORE) -> Fact | None:
    """Returns something near the question; of the speaker only what was asked for."""
    of_them = _of_themself(context, speaker)
    if of_them:
        return _of_their_own(context, speaker)
    for _ in range(3):
        least = score if context.line.speech_act == "ask" else NEAR_SCORE
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
    query = content(stems(asked_part(question)) - measured(question), ())
    own = [
        fact
        for fact in context.lore.facts
        if not fact.secret and fact.subject is not None and fact.subject.short == speaker.name
    ]
    fitting = [
        fact
        for fact in own
        if (query and covered(fact, query, {}) >= ANSWERED)
        or (not query and measured(question) and _AGE.search(fact.text))
    ]
    answer = next((fact for fact in fitting if context.use(fact)), None)
    if answer is None and (
        _CALLED_SO.search(question) or context.evaded
    ):  # what there is to say of them
        portraits = (fact for fact in own if PEOPLE_TITLE.search(fact.section))
        answer = next((fact for fact in portraits if context.use(fact)), None)
        if answer is not None and answer.subject is not None:
            more = _THEY_OPEN.sub(f"{answer.subject.full} ", answer.more, count=1)
            answer = replace(answer, text=f"{answer.text} {more}".strip(), more="")
    return answer


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


def _hint(context: Context, speaker: Speaker, likely: int) -> str:
    """Returns, in so many of 100 cases, who would know: somebody who has to do with what was asked, or ""."""
    knows = context.who_knows(speaker.name)
    if knows is None or not context.pick.percent(likely):
        return ""
    return context.say("hint", speaker.slots | {"other": knows.with_article})
