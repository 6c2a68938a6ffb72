"""Sentences that replies of every kind are made with: lore, the place, a memory, who is there. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import lower_first, spoken, stems
from flower.engine.offline.hearing import hear
from flower.engine.offline.people import Absent
from flower.engine.offline.relevance import asks_what_became
from flower.engine.offline.voice import Speaker, in_voice_of

Paragraphs = list[list[str]]
_WHO_IS_GONE = re.compile(
    r"\b(?:who|whether anyone|if anyone|has anyone|has anybody|did anyone)\b.{0,40}\b"
    r"(?:vanish|disappear|missing|gone|dead|died|killed|murdered|drowned|lost)",
    re.IGNORECASE,
)
_WHO_HOLDS = re.compile(
    r"\b[Ww]ho(?:'s|\u2019s| is| was) (?:the |our |your )?"
    r"(?P<office>[A-Z][a-z]+(?: (?:of )?[A-Z][a-z]+){0,2})(?=[,?.!]| and\b)"
)
_WHO_LEADS = re.compile(
    r"\bwhom? do (?:i|we) (?:answer|report) to\b|"
    r"\bin charge\b|\bwho (?:runs|rules|leads|commands|governs|owns)\b|\bthe (?:boss|leader|ruler)\b|"
    r"\bwho is (?:the )?(?:boss|leader|master)\b",
    re.IGNORECASE,
)
_LEADS = re.compile(
    r"\bis (?:the )?(?:captain|warden|speaker|harbourmistress|harbourmaster|reeve|mayor|chief|head|first|master|"
    r"mistress|judge|governor|lord|lady|king|queen|abbot|prior|provost)\b|\b(?:keeps|owns|runs|rules|commands|leads) "
    r"(?:the|a) [A-Z]",
    re.IGNORECASE,
)
_RULES = re.compile(
    r"\bis (?:the )?(?:captain|warden|speaker|harbourmistress|harbourmaster|reeve|mayor|governor|lord|lady|king|"
    r"queen)\b",
    re.IGNORECASE,
)
_WHO_IS_AT = re.compile(
    r"\b(?:who(?:'s|\u2019s| is| are| was| will be| might be| waits?| sits?)|"
    r"(?:is|are) (?:there )?(?:anyone|anybody|someone|somebody))\b(?P<where>[^?.!]*)",
    re.IGNORECASE,
)
_IS_AT = re.compile(
    r"\b(?:is|are|sits|waits|works|lives|lodges|sleeps|keeps watch|may be found) "
    r"(?:(?:always|mostly|usually) )?(?:at|in|inside|by|outside|behind|under|over|above) (?:the )?$"
)
_AT = re.compile(r"\b(?:at|in|inside|by|outside|behind|under|over|above) (?:the )?$", re.IGNORECASE)
_LAST_SEEN = re.compile(r"\b(?:last saw|last to see|last seen|saw \w+ last)\b", re.IGNORECASE)
_LOST_WORDS = re.compile(
    r"\b(?:lost (?:his|her|their) [a-z]+ [A-Z]|did not come out|vanish|disappear|not been seen|missing|"
    r"found dead|died|killed|murdered)"
)
_TO_THEM = re.compile(
    r"\b(?:him|them)\b|\bher\b(?! [a-z]{3,})|"
    r"\b(?:his|her|their) (?:arms?|hands?|shoulders?|sleeves?|"
    r"collar|face|coat|hair|cheek|chin|throat|wrist|back|neck)\b",
    re.IGNORECASE,
)
_GIVES = re.compile(
    r"\b(?:give|offer|hand|pass|lend|show|pour|bring|pay|slip|throw|toss|bribe|buy)s?\s+"
    r"(?:him|her|them|(?:the|this|that) "
    r"(?P<who>[a-z]+)|(?P<name>[A-Z][\w'-]+(?: [A-Z][\w'-]+)?))\s+(?!(?:for|to|over|into|in|at|out|on|off|down|away|"
    r"aside)\b)\w+"
    r"|\b(?:give|offer|hand|pass|lend|show|pour|bring)s?\b[^.]{1,40}\bto (?:him|her|them|[A-Z]\w+)\b"
)
# "I take the letter to the constable": whoever holds that office, as far as somebody does.
_TAKES_TO = re.compile(
    r"\b(?:take|bring|carry|return|deliver|give|hand|show)s?\b[^.]{1,40}\bto (?:the|our) [a-z]+"
)
_TO_SOMEBODY = re.compile(
    r"\b(?:bribe|pay|tip|threaten|comfort|wake) (?:the|an?) [a-z]+\b", re.IGNORECASE
)
_FOR_THEM = re.compile(
    r"\b(?:for|about|like|than) [A-Z][a-z]+"
)  # "I make the move for Lusk": not done to him


def tell(context: Context, fact: Fact | None) -> str:
    """Returns a fact that belongs to the line, as the narrator says it."""
    return context.say("lore_near", context.fact_slots(fact)) if fact else ""


def of_the_scene(context: Context) -> str:
    """Returns what the scene says of a thing of the player's own; ""."""
    fact = context.from_scene()
    return fact.text if fact else ""


def about_the_gone(context: Context) -> Fact | None:
    """Returns what is known of somebody dead or missing, when the question is who is."""
    gone = [one for one in (*context.named, *context.meant()) if one.gone]
    became = asks_what_became(context.line.text) or _LAST_SEEN.search(context.line.text)
    if not (_WHO_IS_GONE.search(context.line.text) or (gone and became)):
        return None
    lost = [
        fact
        for fact in context.lore.facts
        if not fact.secret and any(one.gone and (not gone or one in gone) for one in fact.names)
    ]
    best = sorted(
        lost,
        key=lambda fact: (
            not _LOST_WORDS.search(fact.text),
            not any(one.short in fact.text for one in gone),  # a surname may be somebody else's
            fact.rank,
        ),
    )
    return next((fact for fact in best if context.use(fact)), None)


def holder_of_office(context: Context) -> Fact | None:
    """Returns what is known of whoever holds an office, when the question is who does: "Who is the First Pilot?" """
    match = _WHO_HOLDS.search(context.line.text)
    if match is None:
        return None
    held = re.compile(rf"\bis (?:the )?{re.escape(match['office'])}\b")
    hits = [fact for fact in context.lore.facts if not fact.secret and held.search(fact.text)]
    return next((fact for fact in hits if context.use(fact)), hits[0] if hits else None)


def in_charge(context: Context) -> Fact | None:
    """Returns what is known of somebody with a say, here rather than elsewhere, when the question is who has it."""
    if not _WHO_LEADS.search(context.line.text):
        return None
    heads = [
        fact
        for fact in context.lore.facts
        if fact.subject is not None
        and fact.subject.kind == "person"
        and not fact.subject.gone
        and not fact.secret
        and _LEADS.search(fact.text)
    ]
    best = sorted(
        heads,
        key=lambda fact: (
            _RULES.search(fact.text) is None,
            fact.subject not in context.nearby,
            fact.rank,
        ),
    )
    return next((fact for fact in best if context.use(fact)), None)


def who_is_at(context: Context) -> Fact | None:
    """Returns what is known of somebody whose place it is, when the question is who is there: "Who is at the mill?" """
    question = _WHO_IS_AT.search(context.line.text)
    if question is None:
        return None
    where = question["where"]
    places = [
        name
        for name in context.lore.named_in(where)
        if name.kind == "place" and _AT.search(where.partition(name.full)[0])
    ]
    facts = (
        fact
        for fact in context.lore.facts
        if not fact.secret
        and fact.subject is not None
        and fact.subject.kind == "person"
        and not fact.subject.gone
        and any(_IS_AT.search(fact.text.partition(name.full)[0]) for name in places)
    )
    return next((fact for fact in facts if context.use(fact)), None)


def by_the_way(context: Context, likely: int) -> str:
    """Returns, in so many of 100 cases, something of the place or of somebody who is there; ""."""
    if not context.pick.percent(likely):
        return ""
    fact = context.at_hand()
    return context.say("lore", context.fact_slots(fact)) if fact else ""


def the_place(context: Context, most: int = 2) -> str:
    """Returns what there is to see at the place: what the lore says of it, else what such places have."""
    texts: list[str] = []
    for fact in context.facts_of(context.place)[:most]:
        if context.use(fact):
            texts.append(context.with_more(fact) if not texts else fact.text)
    return " ".join(texts) or site(context)


def site(context: Context) -> str:
    """Returns a sentence about the kind of place this is, "" when that is not known."""
    words = stems(context.place)
    for name, table in context.phrases.tables.items():
        kind, _, what = name.partition(".")
        if kind == "site_words" and words & stems(" ".join(table)):
            return context.say_fresh(f"site.{what}")
    return ""


def who_is_here(context: Context) -> str:
    """Returns a sentence about somebody the lore has at this place, or about nobody in particular; or ""."""
    for name in context.nearby:
        if name.short in context.scene.company or name in context.named or context.people.is_gone(name):
            continue
        context.meet(name.short)
        return context.say("here_is", {"someone": name.with_article, "someone_short": name.short})
    return context.say("here_stranger") if context.pick.percent(30) else ""


def call_back(context: Context) -> str:
    """Returns something the player said or did that the line touches, or ""."""
    memory = context.memory()
    if (
        memory is None
        or memory.score < 20
        or not memory.own
        or hear(memory.text, "").disclosure not in ("self", "loss", "confession", "plan", "name")
        or memory.text[:40].casefold() in context.recent
    ):
        return ""
    context.pick.note(memory.text[:40])
    return context.say("memory_comes_back", memory_slots(memory.retold, memory.text))


def memory_slots(retold: str, text: str) -> dict[str, str]:
    """Returns the slots a memory fills: retold to the player, and in their own words."""
    return {
        "memory": retold,
        "memory_lc": lower_first(retold),
        "memory_quoted": spoken(text, tagged=False),
    }


def own_words(context: Context, speaker: Speaker, table: str) -> str:
    """Returns a sentence of the speaker's own that was not said yet, in a phrase of the table; or ""."""
    fresh = [line for line in speaker.own if not context.pick.was_used(line[:30])]
    if not fresh:
        return ""
    line = context.pick.any_of(fresh)
    context.pick.note(line[:30])
    quoted = {
        "sample": spoken(line, tagged=False)[1:-1],
        "sample_said": spoken(line, tagged=True)[1:],
    }
    return context.say(table, speaker.slots | quoted)


def remark(context: Context, likely: int = 40) -> str:
    """Returns something one of the cast says unasked; "" without one, or when it is not the moment."""
    if not context.cast:
        return ""
    turn = context.cue.speaks
    speaker = context.cast[0] if turn else context.pick.any_of(context.cast)
    if speaker.name.casefold() in context.line.text.casefold() or context.met(speaker.name):
        return ""
    if not turn and not context.pick.percent(likely // 3 if speaker.name in context.last else likely):
        return ""  # company, not a chorus
    context.meet(speaker.name)
    own = own_words(context, speaker, "remark_own") if context.pick.percent(35) else ""
    return own or context.say(f"remark.{speaker.register} remark.any", speaker.slots)


def seen(context: Context) -> str:
    """Returns how whoever is there takes the player's feeling, or what it is like alone; "" without one."""
    feeling = context.sentiment.feeling
    if not feeling:
        return ""
    speaker = context.people.at_hand()
    if speaker is None or context.met(speaker.name):
        return context.say(f"feeling_alone.{feeling}")
    context.meet(speaker.name)
    return context.say(f"feeling_seen.{feeling} feeling_seen.any", speaker.slots)


def is_gift(context: Context) -> bool:
    """Whether the line gives something to somebody who is there to take it."""
    text = context.line.text
    gives = _GIVES.search(text) or (_TAKES_TO.search(text) and _to_a_person(context))
    return bool(context.line.act and gives and recipient(context))


def _to_a_person(context: Context) -> bool:
    return any(name.kind == "person" for name in context.named)


def recipient(context: Context) -> Speaker | None:
    """Returns who is meant by the line's name or pronoun, None for somebody gone or nobody at hand."""
    if _to_a_person(context):
        addressee = context.people.addressed()
        if isinstance(addressee, Absent) or _FOR_THEM.search(context.line.text):
            return None
        return addressee
    if _TO_SOMEBODY.search(context.line.text):
        addressee = context.people.addressed()
        return None if isinstance(addressee, Absent) else addressee
    if _TO_THEM.search(context.line.text) or _GIVES.search(context.line.text):
        return context.people.pointed_at(context.line.text) or context.people.at_hand()
    return None


def with_somebody(context: Context) -> str:
    """Returns how somebody takes what the line does to them, "" when it is done to nobody who is there."""
    line = context.line
    done_to = _TO_THEM.search(line.act) or _to_a_person(context)
    speaker = recipient(context) if done_to and line.act else None
    if speaker is None:
        return ""
    context.meet(speaker.name)
    return context.say(f"done_to.{speaker.register} done_to.any", speaker.slots)


def in_their_words(context: Context, speaker: Speaker, fact: Fact) -> str:
    """Returns the fact as the speaker's answer."""
    own = fact.subject is not None and fact.subject.short == speaker.name
    table = "answer_own" if own else f"answer.{speaker.register} answer.any"
    return in_phrase(context, speaker, table, fact)


def in_phrase(context: Context, speaker: Speaker, table: str, fact: Fact) -> str:
    """Returns a fact as the speaker tells it, in a phrase of the table."""
    slots = context.fact_slots(in_voice_of(speaker, fact, context.line.words))
    return context.say(table, speaker.slots | slots)
