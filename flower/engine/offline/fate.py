"""Questions that chance answers: yes and no, dice, who is alive; the same whenever it is asked. Pure.

A yes-or-no question is answered with the statement it asks about, if its subject can be parted from its predicate
for certain. English does not mark where "the old door locked" parts, so the rest gets a bare yes or no.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from flower.engine.offline import oracle
from flower.engine.offline.context import Context
from flower.engine.offline.grammar import second_person, stop, upper_first
from flower.engine.offline.names import Name
from flower.engine.offline.narration import Paragraphs, remark, tell
from flower.engine.offline.present import answer_now, who_is_present
from flower.engine.offline.scene import key_of, meant_by

_SHOULD = re.compile(r"^(?:.*[.!] )?should (?:i|we)\b", re.IGNORECASE)
_JUDGES = re.compile(
    r"^(?:is|are|was|were|does|do) (?P<who>he|she|they|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) (?:really |just )?"
    r"(?:lying|telling (?:me |us )?the truth|honest|"
    r"hiding (?:something|anything)|being honest|mean (?:it|that)|serious)\b",
    re.IGNORECASE,
)
_POINTING = ("he", "she", "him", "her")
_DO_I_SEE = re.compile(
    r"^(?:.*[.!] )?(?:do|can) (?:i|we) (?:see|find|notice|spot|make out)\b", re.IGNORECASE
)
_DEAD = re.compile(
    r"\b(?:is|are|was) (?P<who>[^?.!\s](?:[^?.!\n]{0,58}?[^?.!\s])??) (?:still )?"
    r"(?P<dead>dead|alive|breathing|living|killed|conscious)\b|"
    r"\bdid (?:i|we) (?P<kill>kill|murder|hurt|hit) (?P<whom>[^?.!]{1,60})",
    re.IGNORECASE,
)
_QUESTION = re.compile(
    r"^(is|are|was|were|am|do|does|did|can|could|will|would|has|have|had|should|must|might|may)\s++(.++)$",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"^(i|you|he|she|it|they|we|this|that|these|those|someone|anyone|somebody|anybody)\s++(.++)$",
    re.IGNORECASE,
)
# "that crowd dangerous": a noun follows, and where it ends cannot be seen.
_BEFORE_NOUN = re.compile(
    r"^(?:this|that|these|those) (?!(?:a|an|the|my|your|his|her|not|all|really|still|true|right|real|enough|him|it|you|"
    r"me|what|where|how|why|who|so|too|in|on|at|for|from|of|\w+ed|\w+ing|[\w'-]+ (?:still|really|already|in|on|at|"
    r"under|behind|near|here|there|alone|open|closed|shut|empty|dead|alive|safe|asleep|awake|real|true|full|lit|dark|"
    r"gone|ready|\w+ed|\w+en|\w+ing))\b)",
    re.IGNORECASE,
)
_THERE = re.compile(r"^there\s++(?:(?:a|an|any|some)\s++)?(.++)$", re.IGNORECASE)
_NOUN = re.compile(
    r"^((?:the|my|your|his|her|their|this|that)\s+[\w'\u2019-]+)\s+"
    r"((?:still|really|already|in|on|at|under|behind|near|here|there|alone|open|closed|shut|empty|dead|alive|"
    r"safe|asleep|awake|real|true|full|lit|dark|gone|ready|\w+ed|\w+en|\w+ing)\b.*)$",
    re.IGNORECASE,
)


def answer_dice(context: Context) -> Paragraphs:
    """Returns the player's roll and what it leads to."""
    count, sides, bonus = context.line.dice
    result, share = oracle.roll(context.pick.chance, count, sides, bonus)
    table = "dice_high" if share >= 0.66 else "dice_middle" if share >= 0.34 else "dice_low"
    return [[result, context.say(table)]]


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
    verdict = context.say(
        f"oracle.{answer}" if restated else f"oracle_bare.{answer[:3].rstrip('_')}",
        {"restated": restated},
    )
    return [
        [verdict, tell(context, fact)],
        [remark(context, 30)],
    ]


def _fate(context: Context) -> str:
    """Returns whether somebody lives, by what has happened to them: chance has no say in it."""
    match = _DEAD.search(context.line.text)
    if not match:
        return ""
    words = (match["who"] or match["whom"] or "").strip(" ?.!")
    if words.casefold().startswith("there"):  # "Is there anybody else alive?"
        return who_is_present(context)
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
    if match["kill"]:
        return context.say("fate_not_by_you", slots)
    if name is None:
        return context.say("fate_alive", slots)
    if not _is_lost(name):
        return context.say("fate_alive", slots)
    fact = next((fact for fact in context.facts_of(name.full) if fact.subject == name), None)
    text = context.with_more(fact) if fact and context.use(fact) else ""
    return f"{context.say('fate_unknown', slots)} {text}"


def _is_lost(name: Name) -> bool:
    return name.gone


def restate(question: str, positive: bool, names: Iterable[Name]) -> str:
    """Returns ``The door is not locked.`` for ``Is the door locked?``, or "" when that cannot be seen."""
    last = re.split(r"(?<=[.!?])\s+", question.strip())[-1].rstrip("?! .")
    match = _QUESTION.match(last)
    if not match:
        return ""
    verb, rest = match.group(1).lower(), match.group(2).strip()
    there = _THERE.match(rest)
    if there:
        return _there(verb, rest, there.group(1), positive)
    parts = _parts(rest, names)
    if parts is None:
        return ""
    subject, predicate = parts
    predicate = re.sub(r"^(really|actually|ever|even|any)\s+", "", predicate, flags=re.IGNORECASE)
    if re.search(r"\b(any|anything|anyone|ever|yet)\b", predicate, re.IGNORECASE) and positive:
        return ""
    if subject.lower() == "you":  # asked of the narrator: who is meant is not clear
        return ""
    if subject.lower() in ("i", "we"):
        verb = {"am": "are", "was": "were"}.get(verb, verb)
        subject = "you"
    if subject.lower() in ("anyone", "anybody", "someone", "somebody"):
        subject = "somebody" if positive else "nobody"
        return upper_first(stop(f"{subject} {verb} {second_person(predicate)}"))
    denied = "" if positive else "no longer " if predicate.startswith("still ") else "not "
    predicate = predicate if positive else predicate.removeprefix("still ")
    return upper_first(stop(f"{second_person(subject)} {verb} {denied}{second_person(predicate)}"))


def _there(verb: str, rest: str, noun: str, positive: bool) -> str:
    if positive:
        rest = re.sub(r"\bany(one|body|thing)\b", r"some\1", re.sub(r"\bany (?!one)", "", rest))
        return upper_first(stop(f"there {verb} {second_person(rest.split(' ', 1)[1])}"))
    noun = re.sub(r"^(?:any|some)(one|body|thing)\b", r"no\1", noun).replace("noone", "no one")
    bare = noun.startswith("no")
    return upper_first(stop(f"there {verb} {'' if bare else 'no '}{second_person(noun)}"))


def _parts(rest: str, names: Iterable[Name]) -> tuple[str, str] | None:
    for pattern in (_PRONOUN, _NOUN):
        match = pattern.match(rest)
        if match and not _BEFORE_NOUN.match(rest):
            return match.group(1), match.group(2)
    for name in names:
        for form in (name.full, name.short):
            for article in ("the ", ""):
                head = article + form + " "
                if rest.casefold().startswith(head.casefold()):
                    return article + form, rest[len(head) :]
    return None
