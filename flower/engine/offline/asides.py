"""Answers outside the story: the rules, the sheet, how a thing is done; and plainly when nothing is known. Pure.

What a question is about is seen by its words, the narrowest meaning first. Lore answers only who or what
somebody or something is; a question about playing is never answered with a sentence of the world.
"""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.fact_search import ASKED_SCORE
from flower.engine.offline.facts import Fact
from flower.engine.offline.grammar import upper_first
from flower.engine.offline.names import Name, NameKind
from flower.engine.offline.narration import Paragraphs
from flower.engine.offline.summary import recap

_MARKS = re.compile(
    r"^[\s(\[]*(?:/?ooc\b|out of character\b)?[:,\s]*|[\s)\]]+$",
    re.IGNORECASE,
)
# Topic -> what a question about it says; the first that fits.
_TOPICS = tuple(
    (topic, re.compile(pattern, re.IGNORECASE))
    for topic, pattern in (
        (
            "spoiler",
            r"\b(?:who (?:really )?(?:did it|killed|murdered|is the (?:killer|murderer|culprit))|spoil\w*|"
            r"the solution|the ending|"
            r"is [a-z]+ (?:a |an |the )?(?:bad|good|evil|villain|traitor|lying|guilty))\b",
        ),
        ("dice", r"\b(?:dice|roll(?:s|ed|ing)?|d20|d6|skill checks?|checks?)\b"),
        (
            "hint",
            r"\bwhat (?:can|could|should) i do (?:about|with|to|for)\b",
        ),
        (
            "end",
            r"\b(?:near|at|close to) the end\b|\bhow long (?:is|does|will) (?:this|it|the story)\b|"
            r"\bdoes (?:it|this) (?:ever )?end\b",
        ),
        (
            "free",
            r"\b(?:do|must) i (?:have|need) to\b|\bcan i (?:just|simply|also)\b|\bam i supposed to do\b|"
            r"\bis there (?:a|any) (?:goal|plot|quest|aim|main story|point)\b",
        ),
        (
            "decide",
            r"\b(?:can|may|could|do|am) i (?:just |please |get to |allowed to |supposed to )*"
            r"(?:decide|choose|pick|make up|"
            r"have|be called)\b[^?]{0,60}\b(?:character|name|past|backstory|background|family|fixed)\b|"
            r"\bif i can choose\b|\bmy character (?:grew|was|is|has|had|comes?|used|knows?)\b",
        ),
        (
            "money",
            r"\b(?:my|any|have|much|enough) (?:\w+ )?(?:money|coins?|cash|gold|funds)\b|\bcan i afford\b|"
            r"\bhow (?:rich|poor) am i\b",
        ),
        (
            "carried",
            r"\b(?:inventory|carry(?:ing)?|in my (?:bag|pack|pockets?|trunk)|equipment|items?|what do i have|"
            r"what have i got|do i have(?! to)|have i got)\b",
        ),
        (
            "sheet",
            r"\b(?:character sheet|stats?|hit points|hp|level(?:s| up)?|experience|xp|skills?|health|wounds?|"
            r"injur\w+)\b",
        ),
        (
            "undo",
            r"\b(?:undo|take (?:that|it) back|go back|rewind|redo|retry|try (?:that|it) again|mistake|typo|"
            r"changed? my mind|did(?:n't| not) mean)\b",
        ),
        (
            "save",
            r"\b(?:save|saved|saving|quit|stop (?:here|for)|continue (?:later|tomorrow|another)|resume|"
            r"take a break|pause|log ?off)\b",
        ),
        (
            "death",
            r"\b(?:can i|could i|will i|do i|am i going to|is it possible to) (?:\w+ )?(?:die|lose|fail|"
            r"get killed)\b|\bgame over\b|\bpermadeath\b",
        ),
        (
            "fight",
            r"\b(?:combat|fight(?:ing|s)?|attack\w*|kill)\b.{0,40}(?:\bwork|\bhow|\ballowed|\bpossible|\?)|"
            r"\bhow\b.{0,30}\b(?:combat|fight\w*|attack\w*)\b|\bcan i (?:fight|attack|kill|hit)\b",
        ),
        (
            "skip",
            r"\b(?:skip|fast[- ]forward|time ?skip|jump (?:ahead|to)|move on|speed (?:this|it) up|next (?:day|"
            r"morning|scene))\b",
        ),
        (
            "persona",
            r"\b(?:play|be) (?:someone|somebody|a different|another|as)\b|\bchange my (?:character|name|"
            r"persona)\b|\b(?:different|another|second) character\b|\bwho am i playing\b",
        ),
        (
            "companion",
            r"\b(?:bring|have|get|add) (?:a |another )?(?:companion|party|friend|follower)s?\b|\bparty\b|"
            r"\bmultiplayer\b|\bwith (?:a friend|friends|others)\b",
        ),
        (
            "world",
            r"\b(?:other|another|different|new|change) (?:worlds?|settings?|scenarios?|adventures?|stor(?:y|"
            r"ies))\b",
        ),
        (
            "length",
            r"\b(?:shorter|longer|short|long|length|less text|more detail|brief\w*)\b.{0,30}\b(?:repl\w+|"
            r"answers?|messages?|text|posts?)\b|\b(?:repl\w+|answers?) (?:shorter|longer)\b",
        ),
        (
            "machine",
            r"\b(?:are you (?:an? )?(?:ai|bot|robot|machine|computer|human|real|model|llm|chatgpt|person)|"
            r"who (?:are you|wrote this|made this|is (?:the )?narrat\w+)|language model|an ai\b|a model\b)",
        ),
        (
            "hint",
            r"\b(?:hint|stuck|clue(?:s|less)?|any ideas|suggest\w*|what (?:should|could|can|do) i do"
            r"(?: now| next| here)?(?=\W*$)|what now|lost here|"
            r"don't know what to do|where (?:should|do) i (?:go|start))\b",
        ),
        ("map", r"\bmap\b|\bwhere can i go\b|\bwhat places\b|\blist of (?:places|locations)\b"),
        ("people", r"\b(?:list of|which|what) (?:characters|people|npcs)\b|\bwho(?:'s| is) who\b"),
        (
            "romance",
            r"\b(?:romance|flirt|kiss|date)\b.{0,30}(?:\?|\ballowed|\bpossible|\bok)|\bcan i (?:romance|flirt|"
            r"kiss)\b",
        ),
    )
)  # fmt: skip
_TIME = re.compile(
    r"\bwhat (?:time|day|date|hour|season|month|year) is\b|\bwhat(?:'s| is) the (?:time|date|day|hour|weather)\b|"
    r"\bhow late\b",
    re.IGNORECASE,
)
_WHERE = re.compile(r"\bwhere (?:am i|are we)\b|\bwhat place is\b", re.IGNORECASE)
_HELP = re.compile(
    r"^(?:help|how (?:do i|to|does (?:this|it)) (?:play|work)|what (?:can|could) i do\W*$|what are the (?:rules|"
    r"commands)|"
    r"rules|commands?|what do i (?:type|write)|how does this (?:game )?work)\b|"
    r"\bhow (?:do i|to) play\b|\b(?:rules|commands)\W*$|^$",
    re.IGNORECASE,
)
_WISH = re.compile(
    r"\b(?:can|could) (?:we|you|it) (?:please )?(?:keep|make|be|go|have|slow|stop)\b|"
    r"\b(?:please|sorry|thanks?|thank you)\b|"
    r"\b(?:less|more|slower|faster) (?:gore|gory|violence|dialogue|mystery|humou?r)\b|"
    r"\b(?:loving|enjoying|i love|i like|great|cool|brilliant|well done|nice)\b(?! to know\b)",
    re.IGNORECASE,
)
_SO_FAR = re.compile(
    r"\b(?:summari[sz]e|summary|recap|sum up|so far|what (?:has|have|did) (?:happened|i done|we done|i do|we do))\b|"
    r"\bwho(?:m)? (?:have |did |has )?(?:i|we) (?:met|meet|spoken|talked)\b",
    re.IGNORECASE,
)
_OF_THE_WORLD = re.compile(
    r"\b(?:who|what|where|which|when|why|how (?:many|much|far|old|long)|am i allowed|is it (?:legal|allowed|true)|"
    r"are (?:there|we)|is there|does|do)\b",
    re.IGNORECASE,
)
_DESCRIBES = re.compile(r"\bdescribe\b|\bwhat (?:does|do) [^?]{1,40}\blook like\b", re.IGNORECASE)
_PLAYING = re.compile(
    r"\b(?:game|play(?:ing|er|ers)?|engine|program|command|session|screen|typing)\b", re.IGNORECASE
)


def aside(context: Context) -> str:
    """Returns the answer to a line outside the story, without its brackets; no time passes."""
    question = _MARKS.sub("", context.line.text)
    if _HELP.search(question):
        return context.say("help")
    if _SO_FAR.search(question):
        return recap(context.history, context.lore) or context.say("recap_nothing")
    if _DESCRIBES.search(question) and (about := context.facts_of(context.place)):
        return context.say("aside_fact", context.fact_slots(about[0]))
    topic = next((name for name, pattern in _TOPICS if pattern.search(question)), "")
    fact = None if topic or not _OF_THE_WORLD.search(question) else _fact_of_world(context)
    if fact is not None and not _PLAYING.search(question):
        return context.say("aside_fact", context.fact_slots(fact))
    if _TIME.search(question):
        return _when(context)
    if _WHERE.search(question):
        return context.say(
            "you_are_at" if context.place else "you_are_in", {"world": context.cue.world}
        )
    if topic:
        return context.say(f"aside.{topic}", _sheet(context)) or context.say(f"aside.{topic}_none")
    if fact is not None:
        return context.say("aside_fact", context.fact_slots(fact))
    return context.say("aside_wish" if _WISH.search(question) else "aside_nothing")


def _fact_of_world(context: Context) -> Fact | None:
    return (
        context.from_scene()
        or context.near(least=ASKED_SCORE)
        or context.again(None)
        or context.first_of()
    )


def _when(context: Context) -> str:
    sky = ", ".join(part for part in (context.cue.time, context.cue.weather) if part)
    if sky:
        return context.say("it_is", {"sky": sky, "sky_first": upper_first(sky)})
    first = context.from_scene(date=True)
    return first.text if first else context.say("aside_nothing")


def _listed(context: Context, kind: NameKind, heading: str) -> list[Name]:
    """Returns those whom the lore tells of under such a heading, then others of the kind; nobody who is gone."""
    facts = [fact for fact in context.lore.facts if fact.subject is not None and not fact.secret]
    facts.sort(key=lambda fact: heading not in fact.section.casefold())
    subjects = dict.fromkeys(fact.subject for fact in facts if fact.subject)
    return [name for name in subjects if name.kind == kind and not name.gone]


def _sheet(context: Context) -> dict[str, str]:
    """Returns what the state sheet and the world have, in words; empty where they have nothing."""
    cue = context.cue
    places = [name.with_article for name in _listed(context, "place", "place")][:7]
    people = [name.full for name in _listed(context, "person", "people")][:8]
    ideas = context.ideas()
    return {
        "listed": ", ".join(cue.inventory[:12]),
        "condition": ", ".join(cue.conditions[:6]),
        "places": ", ".join(places),
        "people": ", ".join(people),
        "ideas": " ".join(ideas),
    }


def answer_aside(context: Context) -> Paragraphs:
    """Returns an answer outside the story: what is known, or what can be done; no time passes."""
    return [[f"({aside(context)})"]]
