"""Acts and their outcomes: one function for each kind, which returns the paragraphs of the reply. Pure."""

from __future__ import annotations

import re

from flower.engine.offline.context import Context
from flower.engine.offline.dialogue import let_talk, talk
from flower.engine.offline.effects import WAITS, looks_back, overheard
from flower.engine.offline.kinds import EAR_TO
from flower.engine.offline.names import Name
from flower.engine.offline.narration import (
    Paragraphs,
    by_the_way,
    call_back,
    of_the_scene,
    recipient,
    remark,
    seen,
    tell,
    the_place,
    who_is_here,
    with_somebody,
)
from flower.engine.offline.relevance import belongs_to_name
from flower.engine.offline.scene import is_lethal, key_of, victim
from flower.engine.offline.tables import word_list
from flower.engine.offline.voice import of_name

_CROWD = re.compile(r"\b(?:faces|crowd|people|everyone|everybody|others|bystanders)\b", re.IGNORECASE)
ABOUT_SCORE = 24  # for acts of no known kind: what is said must be about them
_WHAT_SENSE = re.compile(r"^(?:.*[.!] )?what (?:do|can) (?:i|we) (?:hear|smell)\b", re.IGNORECASE)
_BODY = re.compile(
    r"\b(?:his|her|their) (?:\w+ )?(?:hands?|face|eyes?|feet|fingers|mouth|shoulders|arms?|boots|wrists?|neck|body)\b",
    re.IGNORECASE,
)
_LOOKS_AWAY = re.compile(r"\blook (?:down|up|back|out|away)\b")
_LOOKS_OUT = re.compile(r"\blooks? out\b")
_COUNTS = ("eleven", "fourteen", "seventeen", "nineteen", "twenty-three", "thirty-one")


def listen(context: Context) -> Paragraphs:
    first = f"You {context.line.act}." if EAR_TO.search(context.line.text) else ""
    return [[first or context.say("verb.listen"), overheard(context)], [remark(context)]]


def touch(context: Context) -> Paragraphs:
    """What a hand on something tells: how it feels, and what is known of it."""
    felt = [f"You {context.line.act}.", context.say("felt"), tell(context, context.of_thing())]
    return [felt, [remark(context)]]


def knock(context: Context) -> Paragraphs:
    return [[context.say("verb.knock"), tell(context, context.of_thing())], [remark(context)]]


def hide(context: Context) -> Paragraphs:
    waits = context.small() if WAITS.search(context.line.text) else ""
    return [[f"You {context.line.act}.", context.say("hides")], [waits, remark(context)]]


def meal(context: Context) -> Paragraphs:
    price = context.near(price=True, least=8)
    return [[context.say("meal"), price.text if price else ""], [context.small() or remark(context)]]


def joke(context: Context) -> Paragraphs:
    teller = context.people.at_hand()
    slots = teller.slots if teller else {}
    return [[context.say("joke_heard joke" if teller else "joke", slots), context.air()]]


def like(context: Context) -> Paragraphs:
    return [[context.say("like"), tell(context, context.of_thing())], [remark(context)]]


def door(context: Context) -> Paragraphs:
    there = the_place(context, most=1) if context.goal else ""
    return [[f"You {context.line.act}.", there, context.say("tries_door")], [remark(context)]]


def magic(context: Context) -> Paragraphs:
    return [[context.say("no_magic")], [remark(context)]]


def _verb_of_its_own(context: Context) -> str:
    """Returns a phrase for just this verb, or "" when the verb has none."""
    return context.say(f"verb.{context.line.verb}")


# --- one handler per kind of line ---------------------------------------------------------------
def look(context: Context) -> Paragraphs:
    line = context.line
    if _WHAT_SENSE.match(line.text):
        return [[context.air(), context.air()], [remark(context)]]
    if line.verb in ("listen", "hear"):
        return listen(context)
    if looks_back(line.text):
        return [[_you_do(context), context.say("look_back")], [remark(context)]]
    if not line.object and not context.named:
        return _look_around(context)
    person = next((name for name in context.named if name.kind == "person"), None)
    if person is not None and context.people.is_gone(person) and not belongs_to_name(person, line.text):
        missed = context.say("no_sight", {"gone": person.with_article})
        return [[missed, tell(context, context.near())], [remark(context)]]
    if not context.named and _CROWD.search(line.text):
        return [[context.say("look_people"), context.air()], [remark(context, 50)]]
    text = of_the_scene(context) or tell(context, context.near() or context.of_thing())
    if line.verb == "count":
        return _count(context)
    if _BODY.search(line.text) and (whose := context.people.pointed_at(line.text)) is not None:
        return [[_you_do(context), context.say("look_body", whose.slots), text], [remark(context)]]
    if context.goal and not text:
        there = the_place(context, most=1)
        return [[_you_do(context), there, context.air()], [who_is_here(context), remark(context)]]
    if _LOOKS_OUT.search(line.text) and not text:
        return [[_you_do(context), context.say("look_away"), context.air()], [remark(context)]]
    if person is not None and not line.object:
        sight = context.say("look_person", of_name(person).slots)
        return [[sight, text or context.air()], [remark(context)]]
    return _look_at(context, text)


def _look_around(context: Context) -> Paragraphs:
    """Looks at nothing in particular."""
    if met := with_somebody(context):
        return [[met], [remark(context, 30)]]
    if _LOOKS_AWAY.search(context.line.text):
        return [[_you_do(context), context.say("look_away"), context.air()], [remark(context)]]
    first = [context.say_fresh("look_around"), the_place(context), context.sky() or context.air()]
    return [first, [who_is_here(context), remark(context)]]


def _count(context: Context) -> Paragraphs:
    fact = context.counted(context.line.object)
    count = context.pick.any_of(_COUNTS)  # thrown in any case, as all that follows depends on it
    sentence = tell(context, fact) if fact else context.say("counted", {"count": count})
    return [[sentence], [call_back(context), remark(context)]]


def _look_at(context: Context, text: str) -> Paragraphs:
    """Looks at, smells or tastes a thing; ``text`` is what is known of it."""
    verb = context.line.verb
    opening = "" if text and verb in ("taste", "smell") else _verb_of_its_own(context)
    if not opening:
        tastes = text and context.line.act and verb == "taste"
        opening = context.say("move_simple" if tastes else "look")
    nothing_seen = verb in ("smell", "sniff", "taste", "touch")
    sight = text or (context.air() if nothing_seen else context.say("detail"))
    return [[opening, sight], [call_back(context), remark(context)]]


def _you_do(context: Context) -> str:
    """Returns the act as a sentence, "" when it cannot be said back."""
    return f"You {context.line.act}." if context.line.act else ""


def lets_talk(context: Context) -> Paragraphs:
    return let_talk(context) or rest(context)


def search(context: Context) -> Paragraphs:
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


def move(context: Context) -> Paragraphs:
    going = "move" if context.line.act else "move_bare"
    first = [_verb_of_its_own(context) or context.say(going)]
    sought = next((name for name in context.named if name.kind == "person"), None)
    if sought is not None and _goes_to(context, sought):
        host = of_name(sought)
        context.meet(host.name)
        met = context.say("meet_found", host.slots | {"full": sought.with_article})
        greets = context.say(f"said_to.greet.{host.register}", host.slots)
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


def fight(context: Context) -> Paragraphs:
    struck = victim(context.line, context.lore)
    if isinstance(struck, Name) and context.people.is_gone(struck):
        return [[context.say("no_sight", {"gone": struck.with_article})], [remark(context)]]
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


def contest(context: Context) -> Paragraphs:
    throw = context.throw()
    return [[context.say(f"contest_{throw.outcome}"), throw.display_text], [remark(context, 30)]]


def risk(context: Context) -> Paragraphs:
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


def use(context: Context) -> Paragraphs:
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


def take(context: Context) -> Paragraphs:
    if met := with_somebody(context):
        return [[met], [remark(context, 30)]]
    first = context.say("take") or context.say("any_act_bare")
    return [[first, tell(context, context.near())], [call_back(context), remark(context)]]


def trade(context: Context) -> Paragraphs:
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


def rest(context: Context) -> Paragraphs:
    first = _verb_of_its_own(context) or context.say("rest")
    return [
        [first, context.hour() or context.sky() or context.air()],
        [by_the_way(context, 30), remark(context, 50)],
    ]


def call_out(context: Context) -> Paragraphs:
    return [[context.say("call_out"), context.air()], [remark(context, 40)]]


def exclaim(context: Context) -> Paragraphs:
    speaker = context.people.at_hand()
    if speaker is None or context.pick.percent(25):
        return [[context.say("exclaims"), context.air()], [remark(context, 50)]]
    context.meet(speaker.name)
    return [[context.say("exclaims_heard", speaker.slots), context.air()]]


def resolve(context: Context) -> Paragraphs:
    return [[context.say("resolved")], [remark(context, 30)]]


def think(context: Context) -> Paragraphs:
    fact = context.near()
    memory = call_back(context)
    first = context.say("think")
    if fact is None and not memory:
        return [[first, by_the_way(context, 25)], [remark(context)]]
    return [[first, memory, tell(context, fact)], [remark(context, 30)]]


def feel(context: Context) -> Paragraphs:
    own = _verb_of_its_own(context) if context.line.kind == "rest" else ""
    if not context.sentiment.feeling:
        return [[context.say("feels_plain"), context.air()], [remark(context, 30)]]
    return [[own or context.say("feels"), seen(context)], [call_back(context)]]


def gift(context: Context) -> Paragraphs:
    speaker = recipient(context)
    if speaker is None:
        return other(context)
    context.meet(speaker.name)
    thanks = context.say(f"gift.{speaker.register} gift.any", speaker.slots)
    return [[f"You {context.line.act}.", thanks], [remark(context, 20)]]


def state(context: Context) -> Paragraphs:
    liked = context.sentiment.disclosure in ("love", "hate", "plan")
    speaker = context.people.at_hand()
    if liked and speaker is not None:
        return talk(context)
    return [[context.say("condition"), tell(context, context.near())], [remark(context, 50)]]


def other(context: Context) -> Paragraphs:
    if met := with_somebody(context):
        return [[met], [remark(context, 30)]]
    own = _verb_of_its_own(context)
    if own:
        return [[own], [remark(context, 50)]]
    table = "any_act" if context.line.act else "any_act_bare"
    text = tell(context, context.near(least=ABOUT_SCORE))
    return [[context.say(table), text], [call_back(context), remark(context, 50)]]


def go_on(context: Context) -> Paragraphs:
    first = [context.say("continue"), context.hour() or context.sky(), context.air()]
    return [first, [who_is_here(context) or by_the_way(context, 70), remark(context, 60)]]
