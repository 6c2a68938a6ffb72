"""Replies to lines that ask: of the past, of the world, of fate, of dice, of the game. Pure."""

from __future__ import annotations

import re

from flower.engine.offline import oracle
from flower.engine.offline.asides import aside
from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import answers
from flower.engine.offline.facts import Fact, by_office
from flower.engine.offline.grammar import upper_first
from flower.engine.offline.knowledge import ASKED_SCORE
from flower.engine.offline.names import Name
from flower.engine.offline.narration import (
    Paragraphs,
    about_the_gone,
    holder_of_office,
    in_charge,
    memory_slots,
    remark,
    tell,
    the_place,
)
from flower.engine.offline.present import answer_now
from flower.engine.offline.questions import Here, here, put_away
from flower.engine.offline.recall import Recollection
from flower.engine.offline.restate import restate
from flower.engine.offline.scene import key_of, meant_by
from flower.engine.offline.summary import recap

_SHOULD = re.compile(r"^(?:.*[.!] )?should (?:i|we)\b", re.IGNORECASE)
_JUDGES = re.compile(
    r"^(?:is|are|was|were|does|do) (?P<who>he|she|they|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) (?:really |just )?"
    r"(?:lying|telling (?:me |us )?the truth|honest|"
    r"hiding (?:something|anything)|being honest|mean (?:it|that)|serious)\b",
    re.IGNORECASE,
)
_POINTING = ("he", "she", "him", "her")
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
_DO_I_SEE = re.compile(
    r"^(?:.*[.!] )?(?:do|can) (?:i|we) (?:see|find|notice|spot|make out)\b", re.IGNORECASE
)
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
_DEAD = re.compile(
    r"\b(?:is|are|was) (?P<who>[^?.!\s](?:[^?.!\n]{0,58}?[^?.!\s])??) (?:still )?"
    r"(?P<dead>dead|alive|breathing|living|killed|conscious)\b|"
    r"\bdid (?:i|we) (?P<kill>kill|murder|hurt|hit) (?P<whom>[^?.!]{1,60})",
    re.IGNORECASE,
)


def answer_dice(context: Context) -> Paragraphs:
    """Returns the player's roll and what it leads to."""
    count, sides, bonus = context.line.dice
    shown, share = oracle.roll(context.pick.chance, count, sides, bonus)
    table = "dice_high" if share >= 0.66 else "dice_middle" if share >= 0.34 else "dice_low"
    return [[shown, context.say(table)]]


def answer_aside(context: Context) -> Paragraphs:
    """Returns an answer outside the story: what is known, or what can be done; no time passes."""
    return [[f"({aside(context)})"]]


def answer_unclear(context: Context) -> Paragraphs:
    """Returns a plain question back: the line was not understood, and nothing happens."""
    said = context.line.text.strip(" .!?")[:40].replace('"', "'")
    speaker = context.people.at_hand()
    if speaker is not None:
        return [
            [
                context.say(
                    "unclear_heard", speaker.slots | {"said": said, "said_first": upper_first(said)}
                )
            ]
        ]
    return [[context.say("unclear", {"said": said, "said_first": upper_first(said)})]]


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
    if _WHO_AM_I.search(text) and (told := context.from_scene(of_me=True)) is not None:
        named = context.say("your_name") if context.player and "name" in text else ""
        return [[named, told.text], [remark(context, 30)]]
    memory = context.memory()
    if _KNOWN_OF.search(text) and context.named:
        return answer_know(context)
    theirs = memory is None or not memory.own
    if theirs and not _OF_WORDS.search(text):  # not about what was said: what is known answers it
        fact = about_the_gone(context) or context.near(least=ASKED_SCORE) or context.first_of()
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


def _here(context: Context, about: Here) -> Paragraphs:
    """Returns the answer to a question that a look around answers."""
    if about == "hour":
        if re.search(r"\b(?:day|date|how long|year)\b", context.line.text, re.IGNORECASE):
            day = context.from_scene(date=True)
            if day is not None:
                return [[day.text], [remark(context, 30)]]
        sky = ", ".join(part for part in (context.cue.time, context.cue.weather) if part)
        said = (
            context.say("it_is", {"sky": sky, "sky_first": upper_first(sky)})
            if sky
            else context.say("hour")
        )
        return [[said, context.air()]]
    if about == "people":
        return [[_who(context)], [remark(context, 30)]]
    where = context.say("you_are_at" if context.place else "you_are_in", {"world": context.cue.world})
    return [[where, the_place(context, most=1)], [remark(context, 30)]]


def _who(context: Context) -> str:
    names = [one.name for one in context.cast]
    names += [one for one in context.scene.company if one not in names]
    names += [
        name.said
        for name in context.nearby
        if name.short not in names and not context.people.is_gone(name)
    ]
    names = [name for name in names if key_of(name) not in context.scene.dead][:4]
    if not names:
        return context.say("here_nobody")
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return context.say("here_who", {"listed": listed, "listed_first": upper_first(listed)})


def answer_know(context: Context) -> Paragraphs:
    """Returns what is known about what is asked: of the place, the player's own words, the lore."""
    if (now := answer_now(context)) is not None:
        return now
    if about := here(context.line.text):
        return _here(context, about)
    if _OUT_OF_SIGHT.search(context.line.text):
        return [[context.say("out_of_sight"), remark(context, 50)]]
    said = context.memory()
    if said is not None and said.own and said.whole:
        mine = put_away(context.line.text, said.text)
        if mine or not context.in_lore(context.line.words):
            return _remembered(context, said)
    if (scene := context.from_scene()) is not None:
        return [[context.say("known", context.fact_slots(scene))], [remark(context, 30)]]
    fact = (
        holder_of_office(context)
        or about_the_gone(context)
        or in_charge(context)
        or context.near(least=ASKED_SCORE)
        or (None if context.again(None) else context.first_of())
    )
    if (again := context.again(fact)) is not None:
        return [[context.say("known_again", context.fact_slots(again))], [remark(context, 30)]]
    if fact is None and context.line.verb == "what if":
        return [[context.say("what_if"), context.air()], [remark(context, 30)]]
    if (
        fact is None
        and _WHAT_PEOPLE.search(context.line.text)
        and (news := context.rumour()) is not None
    ):
        return [[context.say("overheard", context.fact_slots(news))], [remark(context, 30)]]
    if fact is None and (known := context.first_of(told_too=True)) is not None:
        return [[context.say("known_again", context.fact_slots(known))], [remark(context, 30)]]
    if fact is None:
        knows = context.who_knows("")
        near_by = context.people.at_hand()
        by = (
            context.say("known_by_others", {"other": knows.said})
            if knows
            else context.say("ask_here", near_by.slots)
            if near_by and not context.cast
            else ""
        )
        return [[context.say("known_nothing"), by or context.air()], [remark(context, 30)]]
    if context.companion is not None and context.pick.percent(35):
        context.meet(context.companion.name)
        first = answers(context, context.companion, fact)
    else:
        first = context.say("known", context.fact_slots(fact))
    two = _TWO.search(context.line.text) is not None
    also = (context.near(least=12) if two else None) or _more_of(context, fact)
    second = context.say("known_also", context.fact_slots(also)) if also else _holder(context, fact)
    return [[first, second], [remark(context, 30)]]


def _more_of(context: Context, fact: Fact) -> Fact | None:
    """Returns a second thing known of whom a short answer is about, in three of five cases; None for nothing."""
    if (
        fact.subject is None
        or len(f"{fact.text} {fact.more}") > SHORT_ANSWER
        or not context.pick.percent(60)
    ):
        return None
    known = (one for one in context.facts_of(fact.subject.full) if one.subject == fact.subject)
    return next((one for one in known if context.use(one)), None)


def _holder(context: Context, fact: Fact) -> str:
    """Returns who holds the office a fact speaks of, when the question is who: "the Warden" has a name."""
    named = any(name.kind == "person" for name in fact.names)
    if named or not re.match(r"(?:and |so )?who\b", context.line.text, re.IGNORECASE):
        return ""
    held = by_office(context.lore, fact.text)
    about = [one for name in held for one in context.facts_of(name.full) if one.subject == name]
    return about[0].text if about and context.use(about[0]) else ""


def fate_of(context: Context, question: str) -> str:
    """Returns yes or no to a question asked beside an act, the same whenever it is asked."""
    answer, _ = oracle.answer(oracle.fixed(context.cue.seed, context.line.words), 50)
    restated = restate(question, answer.startswith("yes"), context.lore.names)
    return context.say(f"oracle.{answer}", {"restated": restated})


def answer_oracle(context: Context) -> Paragraphs:
    """Returns what holds: what the story says of it, else what fate says, the same whenever it is asked."""
    if (now := answer_now(context)) is not None:
        return now
    fate = _fate(context)
    if fate:
        return [[fate], [remark(context, 30)]]
    answer, _ = oracle.answer(oracle.fixed(context.cue.seed, context.line.words), context.line.likely)
    restated = restate(context.line.text, answer.startswith("yes"), context.lore.names)
    if _SHOULD.match(context.line.text):
        table = "should_yes" if answer.startswith("yes") else "should_no"
        return [[context.say(table), context.air()], [remark(context, 60)]]
    if judged := _JUDGES.search(context.line.text):
        them = {"he": "him", "she": "her"}.get(judged["who"].casefold(), "them")
        table = "judged_yes" if answer.startswith("yes") else "judged_no"
        return [[context.say(table, {"them": them})], [remark(context, 30)]]
    fact = context.near(least=20) or (context.first_of() if context.named else None)
    if _DO_I_SEE.search(context.line.text):
        seen = context.say("seen_yes" if answer.startswith("yes") else "seen_no")
        return [[seen, tell(context, fact) or context.say("detail")], [remark(context, 30)]]
    said = context.say(
        f"oracle.{answer}" if restated else f"oracle_bare.{answer[:3].rstrip('_')}",
        {"restated": restated},
    )
    return [
        [said, tell(context, fact)],
        [remark(context, 30)],
    ]


def _fate(context: Context) -> str:
    """Returns whether somebody lives, by what has happened to them: chance has no say in it."""
    found = _DEAD.search(context.line.text)
    if not found:
        return ""
    words = (found["who"] or found["whom"] or "").strip(" ?.!")
    if words.casefold().startswith("there"):  # "Is there anybody else alive?"
        return _who(context)
    pointed = meant_by(words, context.scene, context.lore) if words.casefold() in _POINTING else ""
    words = pointed or words
    name = next((one for one in context.lore.named_in(words) if one.kind == "person"), None)
    who = name.short if name else re.sub(r"^(?:a|an)\b", "the", words, flags=re.IGNORECASE)
    slots = {"who": who, "they": name.they if name else "they"}
    key = key_of(name.full if name else words)
    scene = context.scene
    if key in scene.dead or (name is not None and key_of(name.short) in scene.dead):
        return context.say("fate_dead", slots)
    if key in scene.spared or (name is not None and key_of(name.short) in scene.spared):
        return context.say("fate_alive", slots)
    if found["kill"]:
        return context.say("fate_not_by_you", slots)
    if name is None:
        return context.say("fate_alive", slots)
    if not _is_lost(name):
        return context.say("fate_alive", slots)
    known = next((fact for fact in context.facts_of(name.full) if fact.subject == name), None)
    text = context.fact_slots(known)["telling"] if known and context.use(known) else ""
    return f"{context.say('fate_unknown', slots)} {text}"


def _is_lost(name: Name) -> bool:
    return name.gone
