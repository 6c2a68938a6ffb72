"""Answers to questions that what is at hand answers: what one carries, has found, has heard, the weather. Pure."""

from __future__ import annotations

import re
from typing import Literal

from flower.engine.offline import oracle
from flower.engine.offline.clauses import LEAD, second
from flower.engine.offline.context import Context
from flower.engine.offline.grammar import stems, upper_first
from flower.engine.offline.narration import Paragraphs, remark, the_place
from flower.engine.offline.questions import Here, wants_advice
from flower.engine.offline.scene import key_of, meant_by

_CARRIED = re.compile(
    r"\bwhat (?:do|am|have) (?:i|we) (?:carry|carrying|have|got|own)(?: with me| on me| left)?\W*$|"
    r"\bwhat(?:'s| is) in my (?:pockets?|bag|pack|inventory|purse)\b|\bmy inventory\b",
    re.IGNORECASE,
)
_OWN_THINGS = re.compile(
    r"\b(?:check|search|look (?:in|into|through)|go through|rummage (?:in|through)|pat|feel in) my (?:own )?"
    r"(?:pockets?|bags?|pack|purse|satchel|coat|things|belongings|trunk)\b",
    re.IGNORECASE,
)
_FOUND = re.compile(
    r"\bwhat (?:did|have|had) (?:i|we) (?:just )?(?:find|found|get|got|gotten|steal|stolen|discover\w*|catch)\W*$",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\b(?i:what) (?:did|does|has) (?P<who>he|she|they|it|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) (?:just )?"
    r"(?:say|said|tell|told|answer|answered|reply|replied|mean)\b(?! by\b)",
)
_SAID_ABOUT = re.compile(
    r"\b(?i:what) (?:was it|is it|did|does|has|had|were the words) (?:that )?"
    r"(?P<who>he|she|they|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) "
    r"(?:just )?(?:say|said|tell|told)(?: me| us)? (?:about|of) (?P<topic>[^?.!]{2,60})"
)
_WRITTEN = r"(?:letter|note|page|paper|book|sign|notice|log|ledger|map|card)"
_WRITING = re.compile(rf"\b{_WRITTEN}\b", re.IGNORECASE)
_ITS_WORDS = re.compile(r"\bwhat (?:does|do) (?:it|they) (?:say|read|show)\b", re.IGNORECASE)
_THE_WORDS = re.compile(
    rf"\bwhat (?:does|do) the (?:\w+ )?{_WRITTEN} (?:say|read|show)\b", re.IGNORECASE
)
_WEATHER = re.compile(
    r"^(?:is|was) (?:it|there) (?:still |very |really |any )?(?P<sky>rain|snow|fog|mist|wind|storm|dark|light|sun|"
    r"cold|warm|night|day|late|early|morning|evening)\w*\W*$",
    re.IGNORECASE,
)
_TALK = re.compile(
    r"\bwhat (?:do|are|does) (?:the )?(?:people|folk|locals|townspeople|crew|everyone|everybody) (?:say|talk)\w*|"
    r"\bany (?:news|rumou?rs|gossip)\b|\bwhat(?:'s| is) the (?:news|gossip|talk)\b",
    re.IGNORECASE,
)
_WAY_OUT = re.compile(
    r"\bhow (?:do|can|could|would|should) (?:i|we) (?:get|go|come|leave|escape)\b.{0,30}\b(?:out|away|here)\b",
    re.IGNORECASE,
)
_WON = re.compile(
    r"^who (?:has )?won\b|"
    r"\bdid (?:i|we) (?:win|lose|make it|manage(?: it)?|succeed|fail|do it|get it|hit (?:him|her|it|them))\W*$",
    re.IGNORECASE,
)
_FACTUAL = frozenset(
    {"rain", "snow", "fog", "mist", "wind", "storm", "sun", "night", "morning", "evening"}
)
_ALOUD = re.compile('"([^"]{2,240})"')
_FINDS_LOOKED_AT = 3  # replies back: what was found before has been spoken of since
_THROWS_LOOKED_AT = 3
_SAID_LOOKED_AT = 8


def searches_own_things(text: str) -> bool:
    """Whether a line looks for something in the player's own pockets or bags."""
    return _OWN_THINGS.search(text) is not None


def answer_now(context: Context) -> Paragraphs | None:
    """Returns the answer to a question about what is at hand, None when the question is another."""
    text = context.line.text
    if _asks_to_read(text) and (written := context.first_of()) is not None:
        return [[context.say("reads", context.fact_slots(written))], [remark(context, 30)]]
    answer = _now(context, text)
    return [[answer], [remark(context, 30)]] if answer else None


def _asks_to_read(text: str) -> bool:
    """Whether a line asks what is written in something that it names, there or before in the same line."""
    for line in text.split("\n"):
        # From the first such thing on, and not from each: many of them in one line would cost a square.
        written = _WRITING.search(line)
        if written is not None and _ITS_WORDS.search(line, written.end()):
            return True
    return _THE_WORDS.search(text) is not None


def _now(context: Context, text: str) -> str:
    if _OWN_THINGS.search(text):
        return _carried(context)
    if wants_advice(text):
        return _advice(context)
    if _WON.search(text) and (fell := _last_throw(context)):
        return context.say(f"went_{fell}")
    if _CARRIED.search(text):
        return _carried(context)
    if _FOUND.search(text):
        return _last_find(context)
    if (about := _SAID_ABOUT.search(text)) is not None:
        return _words_of(context, about["who"], stems(about["topic"]))
    if (match := _SAID.search(text)) is not None:
        return _words_of(context, match["who"])
    if (sky := _WEATHER.search(text)) is not None:
        return _sky(context, sky["sky"].casefold())
    if _TALK.search(text) and not re.search(r"\babout\b", text):
        fact = context.rumour()
        return context.say("overheard", context.fact_slots(fact)) if fact else ""
    return context.say("way_out") if _WAY_OUT.search(text) else ""


def _advice(context: Context) -> str:
    """Returns two or three things to do, as ``/suggest`` offers them."""
    lines = context.suggestions()
    acts = [act for line in lines if (act := second(LEAD.sub("", line, count=1)))]
    if len(acts) < 2:
        return ""
    return context.say("advice", {"one": acts[0], "two": acts[1], "three": acts[-1]})


def _last_throw(context: Context) -> oracle.Outcome | Literal[""]:
    """Returns what the dice decided last, "" when none were thrown lately."""
    for reply in reversed(context.replies[-_THROWS_LOOKED_AT:]):
        if outcome := oracle.shown_outcome(reply):
            return outcome
    return ""


def _carried(context: Context) -> str:
    things = list(context.cue.inventory)[:12]
    if not things:
        return context.say("carries_nothing")
    listed = things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
    return context.say("carries", {"listed": listed, "listed_first": upper_first(listed)})


def _last_find(context: Context) -> str:
    for reply in reversed(context.replies[-_FINDS_LOOKED_AT:]):
        folded = reply.casefold()
        find = next((one for one in context.setting.finds if one.casefold() in folded), None)
        if find:
            return context.say("found", {"find": find})
    return context.say("found_nothing")


def _words_of(context: Context, who: str, topic: frozenset[str] = frozenset()) -> str:
    """Returns the last words of somebody, about a topic if one is given; that they said none; "" for nobody."""
    if who.casefold() in ("he", "she"):
        name = meant_by(who, context.scene, context.lore) or next(
            (one.name for one in context.cast if one.they == who.casefold()), context.scene.partner
        )
    elif who.casefold() in ("they", "it"):
        name = context.scene.partner
    else:
        named = [one.short for one in context.lore.named_in(who) if one.kind == "person"]
        name = named[0] if named else who
    if not name:
        return ""
    words = last_words(context, name, topic)
    return context.say("they_said" if words else "they_said_nothing", {"name": name, "quote": words})


def last_words(context: Context, name: str, topic: frozenset[str] = frozenset()) -> str:
    """Returns what somebody said last, of what has a word of the topic if one is given; "" for nothing lately."""
    for reply in reversed(context.replies[-_SAID_LOOKED_AT:]):
        for paragraph in reversed(reply.split("\n\n")):
            quoted = _ALOUD.findall(paragraph)
            if quoted and re.search(rf"\b{re.escape(name)}\b", _ALOUD.sub(" ", paragraph)):
                words = _joined(quoted)
                if not topic or topic & stems(words):
                    return words
    return ""


def _joined(quoted: list[str]) -> str:
    """Returns what was said in pieces as one; a comma before the words beside it ends a sentence now."""
    ended = [
        f"{one[:-1]}." if one.endswith(",") and not following[:1].islower() else one
        for one, following in zip(quoted, [*quoted[1:], ""], strict=True)
    ]
    return " ".join(ended)


def _sky(context: Context, weather: str) -> str:
    sky = ", ".join(part for part in (context.cue.time, context.cue.weather) if part)
    if not sky:
        return ""
    lead = "" if weather not in _FACTUAL else "Yes. " if weather in sky.casefold() else "No. "
    return lead + context.say("it_is", {"sky": sky, "sky_first": upper_first(sky)})


def answer_here(context: Context, about: Here) -> Paragraphs:
    """Returns the answer to a question that a look around answers."""
    if about == "hour":
        if re.search(r"\b(?:day|date|how long|year)\b", context.line.text, re.IGNORECASE):
            day = context.from_scene(date=True)
            if day is not None:
                return [[day.text], [remark(context, 30)]]
        sky = ", ".join(part for part in (context.cue.time, context.cue.weather) if part)
        sentence = (
            context.say("it_is", {"sky": sky, "sky_first": upper_first(sky)})
            if sky
            else context.say("hour")
        )
        return [[sentence, context.air()]]
    if about == "people":
        return [[who_is_present(context)], [remark(context, 30)]]
    where = context.say("you_are_at" if context.place else "you_are_in", {"world": context.cue.world})
    return [[where, the_place(context, most=1)], [remark(context, 30)]]


def who_is_present(context: Context) -> str:
    names = [one.name for one in context.cast]
    names += [one for one in context.scene.company if one not in names]
    names += [
        name.with_article
        for name in context.nearby
        if name.short not in names and not context.people.is_gone(name)
    ]
    names = [name for name in names if key_of(name) not in context.scene.dead][:4]
    if not names:
        return context.say("here_nobody")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return context.say("here_who", {"listed": listed, "listed_first": upper_first(listed)})
