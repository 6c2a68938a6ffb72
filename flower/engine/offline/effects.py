"""What comes of a turn beside its act: complications, clocks, a breath of the place, changes of the sheet. Pure.

Complications come in two beats: one reply opens them, the next tells what the player makes of them. Changes of the
state sheet are lines like those a language model would propose::

    place: the harbour
    inventory: -1 torch

Only what the line plainly says and the reply has let happen: a place one goes to, a thing taken, given,
eaten, lit. The engine checks every line like a command, shows it, and the player can take it back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flower.engine.offline.grammar import stems
from flower.engine.offline.narration import Paragraphs, by_the_way, remark, seen
from flower.engine.offline.scene import key_of
from flower.engine.offline.tables import Event, word_list

if TYPE_CHECKING:
    from flower.engine.offline.context import Context

THING_WORDS = 4  # of a name in the inventory
_ARTICLE = re.compile(r"^(?:the|a|an|my|your|some|this|that|his|her|their|its)\s+", re.IGNORECASE)
_COINS = re.compile(
    r"\b(?:pay|give|hand|offer)\b.{0,40}?\b(?P<count>\d{1,4}|a|an|one|two|three|four|five|six|ten|twelve)\s+"
    r"(?P<coin>shillings?|pence|penny|pennies|coins?|silver|gold|marks?|credits?|hours?|copper)\b",
    re.IGNORECASE,
)
_HELD = re.compile(r"^\w+ (?:him|her|them)\b")
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "ten": 10, "twelve": 12,
}  # fmt: skip
_GENERAL = stems(
    "ask look go talk wait see take turn find follow listen try get help answer who stop check count search"
)
_PEOPLE = re.compile(
    r"\b(?:man|woman|child|boy|girl|somebody|someone|stranger|rider|customer|scribe|pilgrim)\b",
    re.IGNORECASE,
)
_TOWARDS = frozenset({"look", "search", "move", "use", "take", "other", "fight", "risk"})
# These are answered, whatever is going on; and where somebody opens their heart nothing bursts in.
_ELSEWHERE = frozenset({"recall", "dice", "aside"})
_QUIET = frozenset({"speech", "recall", "dice", "aside", "know", "oracle", "state"})
EVERY = 8  # a complication about every eighth reply keeps an hour from going slack
FIRST = 3  # and none before the player has found their feet
WORDS_FULL = 90  # a reply of so many words needs no more to end on
TERSE_CHARS = 260  # of a talk: one breath of the place makes an answer of it
SHORT_CHARS = 260  # a reply of fewer leaves the place bare
_SMALL_PERCENT = 50  # of replies in which something small happens that one can take up
_LISTENS = re.compile(
    r"\b(?:listen(?:ing)?|ears? open|overhear|hear (?:people|them|what|who|anything|something|if|whether))\b",
    re.IGNORECASE,
)
WAITS = re.compile(r"\b(?:wait(?:ing)?|keep (?:still|quiet)|hold still|linger)\b", re.IGNORECASE)
_LOOKS_BACK = re.compile(
    r"\b(?:look(?:ing)?|glance|glancing|peer) (?:back|behind|over my shoulder)\b|\bfollow(?:ing|ed|s) me\b",
    re.IGNORECASE,
)
_TO_SEE_INSIDE = re.compile(
    r"\bto see what(?:'s|\u2019s| is) (?:inside|in (?:it|there|them)|under (?:it|them)|behind (?:it|them))\b",
    re.IGNORECASE,
)
_TO_SEE_WHAT = re.compile(
    r"\bto see (?:what happens|what comes of it|if (?:anything|something|it)|whether (?:anything|something|it))\b",
    re.IGNORECASE,
)
_GETS_OPEN = re.compile(
    r"\b(?:get|force|prise|pry|work) (?:it|the [a-z]+) open\b|\b(?:door|gate|hatch)s? is locked\b",
    re.IGNORECASE,
)


def changes_of(context: Context) -> list[str]:
    """Returns the changes that the line and its outcome lead to, one in a line."""
    changes = [*context.changes]
    if context.cue.outcome == "miss":
        return changes  # what was tried has not happened
    if context.goal and key_of(context.goal) != key_of(context.here):
        changes.append(f"place: {context.goal}")
    changes += _lit(context)
    changes += _coins(context)
    line = context.line
    if _HELD.match(line.act):
        return list(dict.fromkeys(changes))  # "I grab him by the collar" takes nothing along
    if line.verb in word_list("taking") and line.kind in ("take", "trade"):
        thing = _thing(line.object)
        if thing and not _carried(context, thing):
            changes.append(f"inventory: +{thing}")
    elif line.verb in word_list("giving_up"):
        carried = _carried(context, line.object)
        if carried:
            changes.append(f"inventory: -1 {carried}")
    return list(dict.fromkeys(changes))


def _lit(context: Context) -> list[str]:
    """A torch lit is a torch less; a lamp or a lantern stays."""
    lit = re.search(
        r"\blight(?:s|ed)?\s+(?:the|a|an|my|another|one)\s+(?P<what>\w+)",
        context.line.text,
        re.IGNORECASE,
    )
    if lit is None or lit["what"].casefold() not in word_list("lights"):
        return []
    what = lit["what"].casefold()
    carried = _carried(context, what)
    used = carried and what in word_list("burns_up")
    return [f"light: {what}", *([f"inventory: -1 {carried}"] if used else [])]


def _coins(context: Context) -> list[str]:
    paid = _COINS.search(context.line.text)
    carried = _carried(context, paid["coin"]) if paid else ""
    if paid is None or not carried:
        return []
    count = _NUMBERS.get(paid["count"].casefold()) or int(paid["count"])
    return [f"inventory: -{count} {carried}"]


def _thing(noun: str) -> str:
    """Returns a noun phrase as it is in an inventory, "" for what cannot be carried off."""
    bare = _ARTICLE.sub("", noun)
    words = bare.split()
    if not words or len(words) > THING_WORDS or words[-1].casefold() in word_list("not_things"):
        return ""
    return bare


def _carried(context: Context, noun: str) -> str:
    """Returns the name under which something is carried, "" when it is not."""
    query = stems(_ARTICLE.sub("", noun))
    return next((name for name in context.cue.inventory if query and query & stems(name)), "")


def pending(context: Context) -> Event | None:
    """Returns the event that the last reply opened, if any."""
    folded = context.last.casefold()
    return next((event for event in context.phrases.events if event.mark.casefold() in folded), None)


def turned_to(context: Context, event: Event) -> bool:
    """Returns whether the line takes the event up: by its own words, or by pointing at nothing else."""
    line = context.line
    if line.kind in _ELSEWHERE:
        return False
    if line.kind == "speech" and context.named:
        return False  # somebody is asked about something else
    if line.words & (stems(event.words) - _GENERAL):
        return True
    if context.named or line.object or context.goal or context.sentiment.feeling:
        return False
    pronouns = "it|them|that|there|this" + ("|him|her" if _PEOPLE.search(event.opening) else "")
    points = re.search(rf"\b(?:{pronouns})\b", line.text.casefold())
    if line.verb in word_list("giving_up") or line.kind == "fight":
        return False  # "I give it back", "I hit him": something, or somebody, of the story's own
    return line.kind in _TOWARDS and bool(points or line.words & stems(event.words))


def close(context: Context, paragraphs: list[list[str]], opened: Event | None) -> None:
    """Adds the end of the reply to its paragraphs: the open event, a new one, or a word to go on from."""
    if context.line.verb == "die":  # nothing goes on that the player could turn to
        return
    if opened is not None:
        if not turned_to(context, opened) and context.line.kind not in _QUIET:
            paragraphs.append([context.pick.fill(opened.ignored, event_slots(context))])
        return
    event = _new_event(context) if _due(context) else None
    if event is not None:
        paragraphs.append([context.pick.fill(event.opening, event_slots(context))])
        return
    words = sum(len(sentence.split()) for parts in paragraphs for sentence in parts)
    if words < WORDS_FULL and context.line.kind not in _QUIET and context.pick.percent(25):
        paragraphs[-1].append(context.say(f"end.{context.line.kind} end.any"))


def _new_event(context: Context) -> Event | None:
    """Returns an event that fits the world and was not played before, here or in another story lately."""
    free = [
        event
        for event in context.phrases.events
        if event.setting in ("", context.setting.key) and not context.pick.was_used(event.mark)
    ]
    own = [event for event in free if event.setting]
    return context.pick.any_of(own if own and context.pick.percent(75) else free) if free else None


def _due(context: Context) -> bool:
    if context.line.kind in _QUIET or context.sentiment.feeling or context.sentiment.disclosure:
        return False
    if context.line.foreign:  # nothing bursts in on what was not understood
        return False
    if context.happened or context.cue.happening or context.cue.turn_number < FIRST:
        return False
    if not context.pick.percent(40):
        return False
    recent = "\n".join(context.replies[-EVERY + 1 :]).casefold()
    return not any(event.mark.casefold() in recent for event in context.phrases.events)


def event_slots(context: Context) -> dict[str, str]:
    """Returns the slots of an event, which always has somebody and somewhere to speak of."""
    slots = context.slots
    return slots | {
        "other": slots["other"] or "somebody you know",
        "other_place": slots["other_place"] or "the way you came",
    }


def add_breath(context: Context, kind: str, paragraphs: Paragraphs) -> None:
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


def add_feeling(context: Context, kind: str, paragraphs: Paragraphs) -> None:
    """Adds that a feeling shown beside an act is noticed."""
    if context.sentiment.feeling and kind not in ("feel", "speech"):
        paragraphs[-1].append(seen(context))


def add_clocks(context: Context, paragraphs: Paragraphs) -> None:
    """Adds what clocks bring: what a full one leads to happens, a nearly full one shows signs."""
    for event in context.cue.happening:
        paragraphs.append([context.say("clock_full", {"event": event})])
    if not context.cue.happening and context.cue.nearing and context.pick.percent(60):
        paragraphs[-1].append(context.say("clock_near", {"clock": context.cue.nearing[0]}))


def let_speak(context: Context, paragraphs: Paragraphs) -> None:
    """Lets whose turn it is speak, if they have not yet."""
    if context.cue.speaks and context.companion and not context.met(context.companion.name):
        paragraphs.append([remark(context)])


def overheard(context: Context) -> str:
    """Returns what somebody is heard to say, of what the line is about as far as anybody speaks of it."""
    fact = context.near() or context.spare()
    return context.say("overheard", context.fact_slots(fact)) if fact else context.small()


def result_beside(context: Context, kind: str) -> str:
    """Returns what comes of what a line does besides its act: listening, waiting, looking back; or ""."""
    text, verb = context.line.text, context.line.verb
    if _LISTENS.search(text) and verb not in ("listen", "hear"):
        return overheard(context)
    if kind == "rest" or WAITS.search(text):
        return context.small()
    if _TO_SEE_INSIDE.search(text):
        return context.say("inside")
    if _TO_SEE_WHAT.search(text):
        return context.say("happens_then")
    if _GETS_OPEN.search(text):
        return context.say("tries_door")
    return context.say("look_back") if looks_back(text) and kind != "look" else ""


def looks_back(text: str) -> bool:
    """Whether a line looks behind or says that somebody follows."""
    return _LOOKS_BACK.search(text) is not None
