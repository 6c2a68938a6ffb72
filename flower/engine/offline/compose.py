"""Composes one reply: what the act leads to, what the world adds, what the player may answer.

Pure: everything random comes from the ``Chance`` passed in, so the same turn gives the same reply.
A reply is a list of paragraphs; a paragraph is a list of sentences joined and tidied at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline import answering, results
from flower.engine.offline.changes import changes_of
from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import let_talk, talk
from flower.engine.offline.encounters import is_gift, recipient, with_somebody
from flower.engine.offline.events import close, pending, turned_to
from flower.engine.offline.grammar import sentences, tidy
from flower.engine.offline.names import Name
from flower.engine.offline.narration import (
    Paragraphs,
    by_the_way,
    call_back,
    of_the_scene,
    remark,
    seen,
    tell,
    the_place,
    who_is_here,
)
from flower.engine.offline.present import searches_own_things
from flower.engine.offline.relevance import belongs_to_name
from flower.engine.offline.scene import is_lethal, key_of, victim
from flower.engine.offline.tables import Phrases, word_list
from flower.engine.offline.templates import Chance
from flower.engine.offline.voice import of_name
from flower.engine.provider.base import ChatMessage, Cue

_TRIED = ("move", "take", "use", "look", "rest", "think", "state", "other")  # acts without dice of ours
_THROWING = ("contest", "fight", "risk", "search")
_MAGIC = re.compile(
    r"\b(?:magic\w*|spells?|teleport\w*|levitate|fireballs?|conjure|enchant|polymorph|telekine\w+|telepath\w*)\b|"
    r"\b(?:turn|become|make myself) invisible\b|\bfly (?:to|over|up|away|through|across)\b|"
    r"\bcast (?:a|an|my|the) (?!line\b|net\b|glance\b|look\b|vote\b|shadow\b|eye\b|anchor\b)",
    re.IGNORECASE,
)
_MAGIC_WORLD = re.compile(
    r"\b(?:magics?|spells|wizards?|sorcer\w+|witch(?:es|craft)?)\b", re.IGNORECASE
)
_SOMEBODY = re.compile(r"\b(?:somebody|someone|anyone|anybody|whoever is) in charge\b", re.IGNORECASE)
_CROWD = re.compile(r"\b(?:faces|crowd|people|everyone|everybody|others|bystanders)\b", re.IGNORECASE)
TERSE_CHARS = 260  # of a talk: one breath of the place makes an answer of it
SHORT_CHARS = 260  # a reply of fewer leaves the place bare
ABOUT_SCORE = 24  # for acts of no known kind: what is told must be about them
_WHO_GOES = re.compile(
    r"^\W*(?:who goes there|who(?:'s| is) there|show yourself|come out|is (?:anybody|anyone|somebody|someone) there|"
    r"hello\?+)",
    re.IGNORECASE,
)
_SEEKS = re.compile(r"\b(?:see|find|meet|visit|seek|approach|look for|go to|call on)\b", re.IGNORECASE)
_SEEKS_THEM = re.compile(
    r"\b(?:find|visit|meet|seek|look for|go to|call on|go see|and see) (?:him|her)\b", re.IGNORECASE
)
_SEES_WHAT = re.compile(r"\b(?:see|look) (?:if|whether|that|how|what|back)\b", re.IGNORECASE)
_WHAT_SENSE = re.compile(r"^(?:.*[.!] )?what (?:do|can) (?:i|we) (?:hear|smell)\b", re.IGNORECASE)
_BODY = re.compile(
    r"\b(?:his|her|their) (?:\w+ )?(?:hands?|face|eyes?|feet|fingers|mouth|shoulders|arms?|boots|wrists?|neck|body)\b",
    re.IGNORECASE,
)
_COUNTS = ("eleven", "fourteen", "seventeen", "nineteen", "twenty-three", "thirty-one")
_LETS_TALK = re.compile(
    r"\b(?:let|leave) (?:him|her|them|[A-Z][a-z]+) (?:to )?(?:talk|speak|go on|finish|have (?:his|her|their) say)\b"
)
_TAKES_A_WAY = re.compile(
    r"\btake (?:the|a) [a-z]+ (?:across|along|up|down|over|through|to|out)\b", re.IGNORECASE
)
_KEEPS_ON = re.compile(r"\bkeep (?:[a-z]+ )?[a-z]+ing\b", re.IGNORECASE)
_TO_NOBODY = re.compile(
    r"\bto (?:myself|nobody|no one|the (?:empty|dark|night|wall|walls|stair|sea|room|air|ceiling))\b",
    re.IGNORECASE,
)
_HOW_I_FEEL = re.compile(
    r"\bhow (?:do|am|would) i (?:really |actually )?(?:feel|feeling|doing|holding up)\b", re.IGNORECASE
)
_SMALL_PERCENT = 50  # of replies in which something small happens that one can take up
_DISCLOSED = ("confession", "self", "loss", "name", "affection", "comfort", "praise", "insult")


class Composed(Struct, frozen=True):
    """A reply, and the changes of the state sheet that follow from it, one in a line."""

    text: str
    changes: str = ""


def compose(cue: Cue, messages: Sequence[ChatMessage], chance: Chance, phrases: Phrases) -> Composed:
    """Returns the reply as one to four paragraphs separated by blank lines; its text is never empty."""
    context = Context(cue, messages, chance, phrases)
    event = pending(context)
    kind = _kind(context)
    if kind in ("aside", "unclear"):  # nothing moves, whatever is going on
        return Composed(_finish(context, _HANDLERS[kind](context)))
    if event is not None and turned_to(context, event):
        paragraphs = _taken_up(context, context.pick.fill(event.met, _event_slots(context)))
    elif cue.outcome:
        paragraphs = _decided(context, kind)
    else:
        paragraphs = _HANDLERS[kind](context)
    _besides(context, kind, paragraphs)
    _fill_out(context, kind, paragraphs)
    _feel(context, kind, paragraphs)
    _clocks(context, paragraphs)
    close(context, paragraphs, event)
    _turn_to_speak(context, paragraphs)
    changes = changes_of(context)
    return Composed(_finish(context, paragraphs), "\n".join(changes))


def resumed(cue: Cue, messages: Sequence[ChatMessage], chance: Chance, phrases: Phrases) -> Composed:
    """Returns the rest of a reply that was cut off at ``cue.begun``: it goes on from there."""
    begun = cue.begun.rstrip()
    whole = compose(replace(cue, begun=""), messages, chance, phrases)
    if whole.text.startswith(begun) and len(whole.text) > len(begun):
        exactly = cue.begun if whole.text.startswith(cue.begun) else begun
        return replace(whole, text=whole.text[len(exactly) :])
    if begun.endswith((".", "!", "?", "\u2026", '"', "]", ")")):  # whole as it is: time goes on
        so_far = (*messages, ChatMessage("assistant", begun))
        further = compose(replace(cue, begun="", line="", story=so_far), so_far, chance, phrases)
        return replace(further, text=f"\n\n{further.text}")
    cut = (sentences(begun) or [""])[-1].strip()
    for sentence in sentences(whole.text.replace("\n\n", " ")):
        if cut and sentence.startswith(cut):
            after = whole.text.partition(sentence)[2]
            return replace(whole, text=sentence[len(cut) :] + after)
    return replace(whole, text=f"\u2026\n\n{whole.text}", changes="")


def _kind(context: Context) -> str:
    line, heard = context.line, context.heard
    if line.act and line.kind != "speech" and _MAGIC.search(line.text) and not _has_magic(context):
        return "magic"
    if line.kind in ("look", "search", "use", "other") and searches_own_things(line.text):
        return "know"  # what one carries is on the sheet
    if line.kind == "search" and line.verb == "find" and context.goal:
        return "move"
    if line.kind == "search" and _SOMEBODY.search(line.text):
        return "know"
    if (sought := _seeks_somebody(context)) is not None:
        context.people.sought = sought
        return "speech"
    if line.kind == "speech" and _WHO_GOES.search(line.speech):
        return "call"
    if line.kind in ("take", "use", "trade", "other", "look", "move") and is_gift(context):
        return "gift"
    tells = (
        heard.disclosure in _DISCLOSED and line.verb != "write"
    )  # a letter to one's sister is heard by nobody
    if tells and line.kind in ("state", "other", "take", "use", "rest"):
        return "speech"
    if _LETS_TALK.search(line.text) and line.act:
        return "let talk"
    if line.kind == "take" and _TAKES_A_WAY.search(line.text):
        return "move"
    if told := results.kind_by_words(context):
        return told
    if heard.feeling and (_TO_NOBODY.search(line.text) or line.kind == "oracle"):
        return "feel"
    if _HOW_I_FEEL.search(line.text) and not line.speech:
        return "feel"
    if (
        line.act
        and line.kind != "speech"
        and not line.foreign
        and (done := results.done_with_hands(line.text))
    ):
        return done
    if line.verb == "keep" and _KEEPS_ON.search(line.text):
        return "other"
    if heard.feeling and line.kind in ("state", "think", "other", "rest", "speech") and not line.speech:
        return "feel"
    if (
        line.text
        and not line.foreign
        and all(
            word in word_list("interjections") for word in re.findall(r"[a-z']+", line.text.casefold())
        )
        and re.search(r"[a-z]", line.text.casefold())
    ):
        return "exclaim"
    return "unclear" if context.unclear else line.kind


def _decided(context: Context, kind: str) -> Paragraphs:
    """Returns a reply to a line that the player's dice have decided: it is told as they fell."""
    if kind in _TRIED and context.line.act:
        return _risk(context)
    paragraphs = _HANDLERS[kind](context)
    if kind not in (*_THROWING, "speech"):
        lead = "dice_worked" if context.cue.outcome == "strong" else "dice_failed"
        paragraphs.insert(0, [context.say(lead)])
    return paragraphs


def _finish(context: Context, paragraphs: Paragraphs) -> str:
    if context.line.foreign:
        paragraphs.insert(0, [context.say("foreign")])
    text = "\n\n".join(part for part in (tidy(" ".join(parts)) for parts in paragraphs) if part)
    return text or tidy(context.say("any_act_bare"))


def _besides(context: Context, kind: str, paragraphs: Paragraphs) -> None:
    """Adds what comes of listening and waiting beside an act, and the answer to a question behind it."""
    acts = kind in (*_TRIED, "trade") and context.line.act and not context.line.speech
    if acts and (result := results.result_beside(context, kind)):
        paragraphs[-1].insert(0, result)
    last = sentences(context.line.text)[-1] if context.line.act and kind in _TRIED else ""
    if re.match(
        r"(?:is|are|was|were|does|do|can) (?:it|they|that|this|he|she|the|there)\b.*\?$",
        last,
        re.IGNORECASE,
    ):
        paragraphs[-1].append(answering.fate_of(context, last))


def _fill_out(context: Context, kind: str, paragraphs: Paragraphs) -> None:
    """Adds a breath of the place, and sometimes what one could turn to, to a reply that is a line or less."""
    if kind in ("dice", "aside", "unclear") or context.cue.begun:
        return
    if sum(len(sentence) for part in paragraphs for sentence in part) >= SHORT_CHARS:
        return
    short = sum(len(sentence) for part in paragraphs for sentence in part) < TERSE_CHARS
    breath = context.breath()
    happens = context.small() if context.pick.percent(_SMALL_PERCENT) else ""
    if kind == "speech":
        if context.pick.percent(95 if short else 35):
            paragraphs.append([breath, happens])
        return
    paragraphs[0].append(by_the_way(context, 35) or breath)
    paragraphs.append([remark(context, 35), happens])


def _feel(context: Context, kind: str, paragraphs: Paragraphs) -> None:
    """Adds that a feeling shown beside an act is noticed."""
    if context.heard.feeling and kind not in ("feel", "speech"):
        paragraphs[-1].append(seen(context))


def _clocks(context: Context, paragraphs: Paragraphs) -> None:
    """Adds what clocks bring: what a full one leads to happens, a nearly full one shows signs."""
    for event in context.cue.happening:
        paragraphs.append([context.say("clock_full", {"event": event})])
    if not context.cue.happening and context.cue.nearing and context.pick.percent(60):
        paragraphs[-1].append(context.say("clock_near", {"clock": context.cue.nearing[0]}))


def _turn_to_speak(context: Context, paragraphs: Paragraphs) -> None:
    """Lets whose turn it is speak, if they have not yet."""
    if context.cue.speaks and context.companion and not context.met(context.companion.name):
        paragraphs.append([remark(context)])


def _event_slots(context: Context) -> dict[str, str]:
    slots = context.slots
    return slots | {
        "other": slots["other"] or "somebody you know",
        "other_place": slots["other_place"] or "the way you came",
    }


def _taken_up(context: Context, met: str) -> Paragraphs:
    acts = context.line.kind not in ("speech", "know", "oracle")
    return [[context.say("move_simple") if acts else "", met], [remark(context, 30)]]


def _seeks_somebody(context: Context) -> Name | None:
    """Returns whom of the lore the line goes to see, which is the start of a talk; None for nobody."""
    text = context.line.text
    if context.line.kind not in ("look", "search", "move") or context.goal:
        return None
    if not _SEEKS.search(text) or _SEES_WHAT.search(text):
        return None
    named = next((name for name in context.named if name.kind == "person"), None)
    meant = context.last_named(text) if named is None and _SEEKS_THEM.search(text) else None
    found = named or meant
    return None if found is None or belongs_to_name(found, text) else found


def _has_magic(context: Context) -> bool:
    return _MAGIC_WORLD.search(f"{context.cue.world_lore} {context.cue.scene}") is not None


def _magic(context: Context) -> Paragraphs:
    return [[context.say("no_magic")], [remark(context)]]


def _verb_of_its_own(context: Context) -> str:
    """Returns a phrase for just this verb, or "" when the verb has none."""
    return context.say(f"verb.{context.line.verb}")


# --- one handler per kind of line ---------------------------------------------------------------
def _look(context: Context) -> Paragraphs:
    line = context.line
    if _WHAT_SENSE.match(line.text):
        return [[context.air(), context.air()], [remark(context)]]
    if line.verb in ("listen", "hear"):
        return results.listen(context)
    if results.looks_back(line.text):
        return [[f"You {line.act}." if line.act else "", context.say("look_back")], [remark(context)]]
    if not line.object and not context.named and (met := with_somebody(context)):
        return [[met], [remark(context, 30)]]
    if (
        not line.object
        and not context.named
        and re.search(r"\blook (?:down|up|back|out|away)\b", line.text)
    ):
        return [
            [f"You {line.act}." if line.act else "", context.say("look_away"), context.air()],
            [remark(context)],
        ]
    if not line.object and not context.named:
        return [
            [context.say_fresh("look_around"), the_place(context), context.sky() or context.air()],
            [who_is_here(context), remark(context)],
        ]
    person = next((name for name in context.named if name.kind == "person"), None)
    if person is not None and context.people.is_gone(person) and not belongs_to_name(person, line.text):
        return [
            [context.say("no_sight", {"gone": person.said}), tell(context, context.near())],
            [remark(context)],
        ]
    if not context.named and _CROWD.search(line.text):
        return [[context.say("look_people"), context.air()], [remark(context, 50)]]
    text = of_the_scene(context) or tell(context, context.near() or context.of_thing())
    if line.verb == "count":
        known = context.counted(line.object)
        count = context.pick.any_of(_COUNTS)
        said = tell(context, known) if known else context.say("counted", {"count": count})
        return [[said], [call_back(context), remark(context)]]
    if _BODY.search(line.text) and (whose := context.people.pointed_at(line.text)) is not None:
        return [
            [f"You {line.act}." if line.act else "", context.say("look_body", whose.slots), text],
            [remark(context)],
        ]
    if context.goal and not text:
        there = the_place(context, most=1)
        return [
            [f"You {line.act}." if line.act else "", there, context.air()],
            [who_is_here(context), remark(context)],
        ]
    if re.search(r"\blooks? out\b", line.text) and not text:
        return [
            [f"You {line.act}." if line.act else "", context.say("look_away"), context.air()],
            [remark(context)],
        ]
    if person is not None and not line.object:
        seen = context.say("look_person", of_name(person).slots)
        return [[seen, text or context.air()], [remark(context)]]
    own = "" if text and line.verb in ("taste", "smell") else _verb_of_its_own(context)
    opening = own or (
        context.say("move_simple")
        if text and line.act and line.verb == "taste"
        else context.say("look")
    )
    if line.verb in ("smell", "sniff", "taste", "touch"):  # nothing to be seen comes of these
        return [[opening, text or context.air()], [call_back(context), remark(context)]]
    return [[opening, text or context.say("detail")], [call_back(context), remark(context)]]


def _let_talk(context: Context) -> Paragraphs:
    return let_talk(context) or _rest(context)


def _search(context: Context) -> Paragraphs:
    throw = context.throw()
    opening = [context.say("search"), context.say(f"search_{throw.outcome}"), throw.display_text]
    if throw.outcome == "miss":
        return [opening, [remark(context)]]
    context.changes.append(f"inventory: +{context.slots['find']}")
    secret = context.hidden(24) if throw.outcome == "strong" else None
    if secret is not None:
        return [opening, [context.say("clue_secret", context.fact_slots(secret)), remark(context)]]
    clue = tell(context, context.near(least=16)) or context.say("clue")
    return [opening, [clue, remark(context)]]


def _move(context: Context) -> Paragraphs:
    going = "move" if context.line.act else "move_bare"
    first = [_verb_of_its_own(context) or context.say(going)]
    sought = next((name for name in context.named if name.kind == "person"), None)
    if sought is not None and _goes_to(context, sought):
        found = of_name(sought)
        context.meet(found.name)
        met = context.say("meet_found", found.slots | {"full": sought.said})
        greets = context.say(f"said_to.greet.{found.register}", found.slots)
        return [[*first, the_place(context, most=1) if context.goal else ""], [met, greets]]
    if not context.goal:
        return [[*first, context.sky() or context.air()], [who_is_here(context), remark(context)]]
    again = key_of(context.goal) == key_of(context.here)
    arrived = "" if again else context.say("arrive") if context.pick.percent(45) else ""
    first += [
        arrived,
        the_place(context),
        context.sky() or (context.air() if context.pick.percent(50) else ""),
    ]
    return [first, [call_back(context), who_is_here(context), remark(context)]]


def _goes_to(context: Context, who: Name) -> bool:
    """Whether a move leads to somebody who is there to be met, and not with them or after them."""
    text = context.line.text
    besides = re.search(
        r"\b(?:with|after|behind|without|from|for|follow|past) (?:\w+ )?$", text.partition(who.short)[0]
    )
    return not (
        besides
        or context.people.is_gone(who)
        or belongs_to_name(who, text)
        or context.line.verb == "follow"
    )


def _fight(context: Context) -> Paragraphs:
    struck = victim(context.line, context.lore)
    if isinstance(struck, Name) and context.people.is_gone(struck):
        return [[context.say("no_sight", {"gone": struck.said})], [remark(context)]]
    throw = context.throw()
    meant = None if struck else context.people.pointed_at(context.line.text)
    foe = struck.short if isinstance(struck, Name) else struck or (meant.name if meant else "the other")
    them = struck.them if isinstance(struck, Name) else meant.slots["them"] if meant else "them"
    kills = throw.outcome == "strong" and is_lethal(context.line)
    act = f"try to {context.line.act}" if is_lethal(context.line) and not kills else context.line.act
    slots = {"foe": foe, "foe_them": them, "act": act}
    table = "fight_kills" if kills else f"fight_{throw.outcome}"
    if throw.outcome == "miss":
        context.changes.append("condition: +bruised")
    after = context.say("fight_after") if context.pick.percent(60) else ""
    return [[context.say(table, slots), throw.display_text], [after, remark(context, 50)]]


def _contest(context: Context) -> Paragraphs:
    throw = context.throw()
    return [[context.say(f"contest_{throw.outcome}"), throw.display_text], [remark(context, 30)]]


def _risk(context: Context) -> Paragraphs:
    throw = context.throw()
    text = the_place(context, most=1) if context.goal and throw.outcome != "miss" else ""
    whom = context.people.pointed_at(context.line.text)
    if whom is not None and throw.outcome in ("strong", "miss"):
        context.meet(whom.name)
        after = context.say(f"persuade_{throw.outcome}", whom.slots)
    else:
        after = context.say("risk_after") if throw.outcome == "miss" else ""
    return [
        [context.say(f"risk_{throw.outcome}"), throw.display_text, text],
        [after, "" if after else by_the_way(context, 20), remark(context, 50)],
    ]


def _use(context: Context) -> Paragraphs:
    written = context.line.verb in ("write", "note")
    if not written and (met := with_somebody(context)):
        return [[met], [remark(context, 30)]]
    last = context.line.object.rsplit(" ", 1)[-1]
    own = "" if last in word_list("body_parts") else _verb_of_its_own(context)
    luck = context.pick.chance.randrange(8)
    table = "use_trouble" if luck == 0 else "use"
    first = own or context.say(table) or context.say("any_act_bare")
    return [
        [first, of_the_scene(context) or tell(context, context.near())],
        [call_back(context), remark(context)],
    ]


def _take(context: Context) -> Paragraphs:
    if met := with_somebody(context):
        return [[met], [remark(context, 30)]]
    first = context.say("take") or context.say("any_act_bare")
    return [[first, tell(context, context.near())], [call_back(context), remark(context)]]


def _trade(context: Context) -> Paragraphs:
    price = context.near(price=True, least=8)
    if context.line.verb in ("order", "buy", "pay") and context.line.act:
        there = the_place(context, most=1) if context.goal else ""
        bought = context.say(f"verb.{context.line.verb}")
        return [[there, bought, price.text if price else ""], [remark(context)]]
    first = [context.say("trade"), tell(context, price)]
    if context.line.verb in word_list("haggling"):
        throw = context.throw()
        second = [
            context.say("trade_stuck" if throw.outcome == "miss" else "trade_works"),
            throw.display_text,
        ]
    else:  # a thing with a price on it needs no luck
        second = [context.say("trade_works")]
    return [first, [*second, remark(context)]]


def _rest(context: Context) -> Paragraphs:
    first = _verb_of_its_own(context) or context.say("rest")
    return [
        [first, context.hour() or context.sky() or context.air()],
        [by_the_way(context, 30), remark(context, 50)],
    ]


def _call_out(context: Context) -> Paragraphs:
    return [[context.say("call_out"), context.air()], [remark(context, 40)]]


def _exclaim(context: Context) -> Paragraphs:
    speaker = context.people.at_hand()
    if speaker is None or context.pick.percent(25):
        return [[context.say("exclaims"), context.air()], [remark(context, 50)]]
    context.meet(speaker.name)
    return [[context.say("exclaims_heard", speaker.slots), context.air()]]


def _resolve(context: Context) -> Paragraphs:
    return [[context.say("resolved")], [remark(context, 30)]]


def _think(context: Context) -> Paragraphs:
    fact = context.near()
    memory = call_back(context)
    first = context.say("think")
    if fact is None and not memory:
        return [[first, by_the_way(context, 25)], [remark(context)]]
    return [[first, memory, tell(context, fact)], [remark(context, 30)]]


def _feel_only(context: Context) -> Paragraphs:
    own = _verb_of_its_own(context) if context.line.kind == "rest" else ""
    if not context.heard.feeling:
        return [[context.say("feels_plain"), context.air()], [remark(context, 30)]]
    return [[own or context.say("feels"), seen(context)], [call_back(context)]]


def _gift(context: Context) -> Paragraphs:
    speaker = recipient(context)
    if speaker is None:
        return _other(context)
    context.meet(speaker.name)
    taken = context.say(f"gift.{speaker.register} gift.any", speaker.slots)
    return [[f"You {context.line.act}.", taken], [remark(context, 20)]]


def _state(context: Context) -> Paragraphs:
    liked = context.heard.disclosure in ("love", "hate", "plan")
    speaker = context.people.at_hand()
    if liked and speaker is not None:
        return talk(context)
    return [[context.say("condition"), tell(context, context.near())], [remark(context, 50)]]


def _other(context: Context) -> Paragraphs:
    if met := with_somebody(context):
        return [[met], [remark(context, 30)]]
    own = _verb_of_its_own(context)
    if own:
        return [[own], [remark(context, 50)]]
    table = "any_act" if context.line.act else "any_act_bare"
    text = tell(context, context.near(least=ABOUT_SCORE))
    return [[context.say(table), text], [call_back(context), remark(context, 50)]]


def _continue(context: Context) -> Paragraphs:
    first = [context.say("continue"), context.hour() or context.sky(), context.air()]
    return [first, [who_is_here(context) or by_the_way(context, 70), remark(context, 60)]]


_HANDLERS: dict[str, Callable[[Context], Paragraphs]] = {
    "aside": answering.answer_aside,
    "contest": _contest,
    "call": _call_out,
    "continue": _continue,
    "dice": answering.answer_dice,
    "hide": results.hide,
    "joke": results.joke,
    "knock": results.knock,
    "let talk": _let_talk,
    "like": results.like,
    "meal": results.meal,
    "door": results.door,
    "exclaim": _exclaim,
    "feel": _feel_only,
    "fight": _fight,
    "gift": _gift,
    "know": answering.answer_know,
    "listen": results.listen,
    "look": _look,
    "magic": _magic,
    "move": _move,
    "oracle": answering.answer_oracle,
    "other": _other,
    "recall": answering.answer_recall,
    "resolve": _resolve,
    "rest": _rest,
    "risk": _risk,
    "search": _search,
    "speech": talk,
    "state": _state,
    "take": _take,
    "touch": results.touch,
    "think": _think,
    "trade": _trade,
    "unclear": answering.answer_unclear,
    "use": _use,
}
