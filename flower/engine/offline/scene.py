"""The state of the story, as the player's own lines and the replies to them have left it.

Pure. Replays what can still be seen of the story: the place, who is at hand there, who is being spoken
to, what the player has disclosed of themself, and how fights have ended. Nothing is stored: what a branch of
the story does not hold has not happened there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline.clauses import clauses, verb_of
from flower.engine.offline.facts import Lore
from flower.engine.offline.grammar import sentences
from flower.engine.offline.hearing import hear
from flower.engine.offline.names import Name
from flower.engine.offline.oracle import shown_outcome
from flower.engine.offline.parse import ParsedLine, read
from flower.engine.offline.tables import word_list
from flower.engine.offline.voice import of_stranger
from flower.engine.provider.base import PromptMessage

COMPANY = 4  # people at hand: more cannot be kept apart
MEANT = 6  # people a "him" or "her" may mean
DISCLOSURES_KEPT = 12  # things the player disclosed of themself that are kept in mind
_SPEAKS = re.compile(
    r"\" (?:[a-z]+s) (the [a-z]+(?: [a-z]+)?|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?)(?=[.,\s])|"
    r"\" (the [a-z]+(?: [a-z]+)?|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) [a-z]+s\b|"
    r"(?:^|(?<=[.!?\"] ))(The [a-z]+(?: [a-z]+){0,2}|[A-Z][\w'-]+(?: [A-Z][\w'-]+)?) "
    r"(?:says(?! that)|asks|hears|listens|nods|looks|turns|is here|"
    r"frowns|shakes|laughs|sighs|snorts|shrugs|grunts|smiles|comes|thinks|lets|has|takes|stops|answers|gives)\b",
    re.MULTILINE,
)
_ADVERB = re.compile(r" [a-z]+ly$")
_SOMEBODY_THERE = re.compile(
    r"^(?!.*\b(?:side|other|thing|place|moment|light|door|water|silence|tide)\b)"
)
_TO = re.compile(
    r"\b(?:to|with|ask|tell|thank|greet|beg|warn|question|accuse|challenge|find|see|meet|threaten|bribe|insult) "
    r"(?:[A-Z][a-z]+ )?$"
)
_SITS_WITH = re.compile(
    r"\b(?:sit|eat|drink|walk|play|stand)s? (?:down )?"
    r"(?:with|beside|next to|opposite|by) (?:him|her|them|the|a)\b",
    re.IGNORECASE,
)
_WITH = re.compile(r"\b(?:with|to|beside|after) ")
_POINTED = re.compile(r"\b(?:(he|him|his)|(she|her|hers))\b")
_DESCRIBED = re.compile(r"\b(?:the|a|an|this|that) (?P<who>(?:[a-z]+ ){0,2}?[a-z]+)\b", re.IGNORECASE)
_ALOUD = re.compile('["\u201c][^"\u201c\u201d]*["\u201d]')
_STRUCK = re.compile(r"^\w+(?: at| down)? (?:him|her|them)\b|\b(?:him|her|them) by\b")
_INVITES = re.compile(
    r"\b(?:walk|come|go|travel|ride|run|sail|climb) with (?:me|us)\b|"
    r"\b(?:walk|come|go|travel|ride|run|sail|climb)s? (?:along |back |off )?with (?:him|her|them|[A-Z]\w+)\b|"
    r"\b(?:follow me|come along|join me|let's go)\b|"
    r"\b(?:coming|come) with (?:me|us)\b|"
    r"\b(?:lead|show|take|bring) (?:me|us)\b|\blead the way\b|"
    r"\b(?:ask|tell|invite|beg|hire)s? (?:[\w']+ ){1,3}to (?:come|walk|lead|follow|take|bring|join|guide)\b",
    re.IGNORECASE,
)
_PARTS = re.compile(
    r"\b(?:goodbye|farewell|wait here|wait for me|stay here|stay behind|go home|alone)\b|"
    r"\bleave (?:him|her|them|me)\b",
    re.IGNORECASE,
)
_MET_BY = ("follow", "chase", "pursue", "approach", "join", "catch")  # moves that lead to somebody


class Scene(Struct, frozen=True):
    """What holds when a line is written."""

    place: str = ""  # "the harbour"; "" when the player has not moved yet
    company: tuple[str, ...] = ()  # names of people at hand, the last to speak first
    partner: str = ""  # who is being spoken to
    name: str = ""  # what the player calls themself
    disclosures: tuple[str, ...] = ()  # sentences the player disclosed of themself, oldest first
    dead: frozenset[str] = frozenset()  # keys of those the player has killed
    spared: frozenset[str] = frozenset()  # keys of those who came away from a fight alive
    meant: tuple[str, ...] = ()  # who was spoken of or to, last first: whom "him" and "her" may mean
    along: tuple[str, ...] = ()  # who was asked to come with the player, and comes
    lines: int = 0  # of the player, so far as they are seen


def replay(
    history: Sequence[PromptMessage], decided: Sequence[str], lore: Lore, cast: Sequence[str] = ()
) -> Scene:
    """Returns what the messages leave behind; ``decided`` are outcomes of the player's own dice, by line.

    ``cast``: names of companions, who are not who "him" means only because they said something.
    """
    scene = Scene()
    line: ParsedLine | None = None
    number = 0
    for message in history:
        if message.role == "user":
            line = read(message.content)
            scene = _after_line(scene, line, lore)
            outcome = decided[number] if number < len(decided) else ""
            number += 1
        else:
            scene = _after_reply(scene, line, message.content, outcome if line else "", lore, cast)
            line = None
    return scene


def key_of(name: str) -> str:
    """Returns what somebody is known by when it is asked what has become of them."""
    return name.casefold().removeprefix("the ").removeprefix("a ").removeprefix("your ").strip()


def pronoun_in(text: str) -> str:
    """Returns the pronoun that a text points with, ``he`` or ``she``, "" when it points at nobody."""
    pronoun = _POINTED.search(text.casefold())
    return "" if pronoun is None else "he" if pronoun.group(1) else "she"


def they_of(name: str, lore: Lore) -> str:
    """Returns the pronoun of somebody by what they are called: of the lore, or by their description."""
    if name.startswith("the "):
        return of_stranger(name).they
    person = next((one for one in lore.of_kind("person") if name in (one.short, one.full)), None)
    return person.they if person else "they"


def meant_by(text: str, scene: Scene, lore: Lore) -> str:
    """Returns whom "him" or "her" of a text means, the last one called so who is not gone; "" for nobody."""
    pronoun = pronoun_in(text)
    gone = {name.short for name in lore.of_kind("person") if name.gone}
    named = (*scene.meant, scene.partner, *scene.company)
    return next(
        (one for one in named if pronoun and one not in gone and they_of(one, lore) == pronoun), ""
    )


def victim(line: ParsedLine, lore: Lore) -> Name | str:
    """Returns whom a blow is meant for: somebody of the lore, or words such as ``the sailor``.

    "" for nobody who is named: "I hit him with a chair" is not meant for the chair.
    """
    if _STRUCK.search(line.act):
        return ""
    named = next((name for name in lore.named_in(line.text) if name.kind == "person"), None)
    if named is not None:
        return named
    called = re.search(r"\s([A-Z][\w'-]+)", line.act)
    if called:
        return called.group(1)
    noun = line.object
    last = noun.rsplit(" ", 1)[-1]
    return "" if not noun or noun.startswith("your ") or last in word_list("body_parts") else noun


def is_lethal(line: ParsedLine) -> bool:
    """Whether an act is meant to kill."""
    return bool(set(re.findall(r"[a-z]+", line.text.casefold())) & word_list("lethal"))


def _after_line(scene: Scene, line: ParsedLine, lore: Lore) -> Scene:
    place, company, partner = scene.place, scene.company, scene.partner
    meant = tuple(dict.fromkeys((*_spoken_of(line, lore), *scene.meant)))[:MEANT]
    goal = goal_of(line, lore)
    along = _along(scene, line, lore)
    if goal:
        if key_of(goal) != key_of(place) and not _within(goal, lore):
            company = tuple(one for one in company if one in along or not scene.lines)
            partner = partner if partner in company else ""
            meant = tuple(_spoken_of(line, lore))[:MEANT]
        place = goal if not _within(goal, lore) else place
    if host := _gone_to(line, lore):
        partner = host
        company = (host, *(one for one in company if one != host))[:COMPANY]
    sentiment = hear(line.text, line.speech)
    disclosures = scene.disclosures
    if sentiment.disclosure in ("self", "loss", "confession", "name") and sentiment.echo:
        disclosures = (*disclosures, sentiment.echo)[-DISCLOSURES_KEPT:]
    return replace(
        scene,
        place=place,
        company=company,
        partner=partner,
        name=sentiment.name or scene.name,
        disclosures=disclosures,
        meant=meant,
        along=along,
        lines=scene.lines + 1,
    )


def _within(goal: str, lore: Lore) -> bool:
    """Whether a goal is a part of the place where one is: the stair, the window, the landing."""
    return goal.rsplit(" ", 1)[-1].casefold() in word_list("parts_of_places") and not lore.named_in(
        goal
    )


def _along(scene: Scene, line: ParsedLine, lore: Lore) -> tuple[str, ...]:
    """Returns who comes along from this line on: whoever is asked to, until they are left or have to stay."""
    if _PARTS.search(line.text):
        return ()
    if not _INVITES.search(line.text):
        return scene.along
    named = [one.short for one in lore.named_in(line.text) if one.kind == "person" and not one.gone]
    who = (named or [scene.partner])[0]
    return tuple(dict.fromkeys((who, *scene.along)))[:COMPANY] if who else scene.along


def _spoken_of(line: ParsedLine, lore: Lore) -> list[str]:
    """Returns who is named or described in a line, the last first."""
    text = _ALOUD.sub(" ", line.text)
    named = [one for one in lore.named_in(text) if one.kind == "person"]
    mentions = [(text.casefold().find(one.short.casefold()), one.short) for one in named]
    people = word_list("people")
    for match in _DESCRIBED.finditer(text):
        words = match["who"].casefold().split()
        noun = next((index for index, word in enumerate(words) if word in people), None)
        if noun is not None and not named:
            mentions.append((match.start(), f"the {' '.join(words[: noun + 1])}"))
    return [who for _, who in sorted(mentions, reverse=True)]


def _is_addressed(name: Name, text: str) -> bool:
    """Whether somebody is named in a line where the one who is spoken to would be."""
    if name.kind != "person" or name.gone:
        return False
    form = name.full if name.full in text else name.short
    return form in text and _TO.search(text[: text.find(form)]) is not None


def _gone_to(line: ParsedLine, lore: Lore) -> str:
    """Returns whom a line goes to, sits with or follows: they are at hand from then on; "" for nobody."""
    if line.kind == "speech":
        return next(
            (one.short for one in lore.named_in(line.text) if _is_addressed(one, line.text)), ""
        )
    if line.kind not in ("move", "rest", "search", "look", "risk", "fight", "trade"):
        return ""
    if _SITS_WITH.search(line.text) and not lore.named_in(line.text):
        return next(
            iter(_spoken_of(line, lore)), ""
        )  # "I buy the man in the corner a drink and sit with him"
    if line.kind in ("rest", "search", "look") and not _WITH.search(line.text):
        return ""
    named = [one for one in lore.named_in(line.text) if one.kind == "person"]
    if not named and (line.verb in _MET_BY or line.kind == "fight"):
        return next(iter(_spoken_of(line, lore)), "")  # "I follow the man in the grey coat"
    return next((one.short for one in named if not one.gone), "")


def goal_of(line: ParsedLine, lore: Lore) -> str:
    """Returns where a line leads to, "" when it leads nowhere in particular."""
    if (
        line.kind == "search" and line.verb == "find"
    ):  # "I find the Patient Eel": a place that has a name
        return next(
            (name.with_article for name in lore.named_in(line.text) if name.kind == "place"), ""
        )
    moves = [one for one in clauses(_ALOUD.sub(" ", line.text)) if verb_of(one)[1] == "move"]
    if line.kind != "move" and not line.goal and not moves:
        return ""
    text = line.text if line.kind == "move" else " ".join(moves)
    places = [name for name in lore.named_in(text) if name.kind == "place"]
    return places[0].with_article if places else line.goal


def _after_reply(
    scene: Scene, line: ParsedLine | None, reply: str, outcome: str, lore: Lore, cast: Sequence[str]
) -> Scene:
    first = reply.partition("\n\n")[0]
    speakers = [  # whoever has no name and comes in behind belongs to what happens, not to the talk
        _short(name, lore)
        for name in speakers_of(reply)
        if not name.startswith(("the ", "The ")) or name.casefold() in first.casefold()
    ]
    speakers = [*speakers, *(one for one in _short_speakers(reply, lore) if one not in speakers)]
    company = tuple(dict.fromkeys([*reversed(speakers), *scene.company]))[:COMPANY]
    quoted = [name for name in speakers if f"{name} says" in reply or f"says {name}" in reply]
    others = [one for one in quoted or speakers if one not in cast]
    met = _gone_to(line, lore) if line is not None else ""
    partner = (others or quoted or speakers or [scene.partner])[-1]
    if met and not quoted:
        partner = met  # who is only there besides is not who the player went to
    meant = tuple(dict.fromkeys((*reversed(others), *scene.meant)))[:MEANT]
    dead, spared = scene.dead, scene.spared
    if line is not None and line.kind == "fight":
        how = outcome or shown_outcome(reply)
        struck = victim(line, lore)
        key = key_of(
            struck.full if isinstance(struck, Name) else struck or meant_by(line.text, scene, lore)
        )
        if key and how == "strong" and is_lethal(line):
            dead |= {key}
        elif key:
            spared |= {key}
    return replace(
        scene, company=company, partner=partner, dead=dead, spared=spared - dead, meant=meant
    )


def _short_speakers(reply: str, lore: Lore) -> list[str]:
    """Returns who does something beside what is said: "Cask looks past you. "No."" Lore that is quoted is no doing."""
    if '"' not in reply:
        return []
    doers = []
    for name in lore.of_kind("person"):
        does = re.search(rf"(?:^|[.!?\"] )({re.escape(name.short)} [a-z]+s\b)", reply, re.MULTILINE)
        is_lore = does and any(
            reply[does.start(1) : does.start(1) + 40] in fact.text for fact in lore.facts
        )
        if does and not is_lore and not name.gone:
            doers.append(name.short)
    return doers


def speakers_of(reply: str) -> list[str]:
    """Returns who speaks or is met in a reply, in order, as they are called there."""
    speakers = [
        _ADVERB.sub("", after or tag or before)
        for paragraph in reply.split("\n\n")
        for after, tag, before in _SPEAKS.findall(paragraph)
        if '"' in paragraph or not before.startswith("The ")  # "The cold comes off the stones": nobody
    ]
    return [
        one
        for one in speakers
        if (_is_somebody(one) if one.startswith(("the ", "The ")) else _can_be_name(one))
    ]


def _is_somebody(described: str) -> bool:
    words = described.split()
    last = words[-1].casefold()
    if words[1][0].isupper():  # "The Infirmary has"
        return False
    return last not in word_list("not_people") and _SOMEBODY_THERE.search(described) is not None


def _short(called: str, lore: Lore) -> str:
    person = next((name for name in lore.of_kind("person") if called in (name.full, name.short)), None)
    return person.short if person else re.sub(r"^The ", "the ", called)


def _can_be_name(word: str) -> bool:
    low = word.split()[0].casefold()
    return low not in word_list("no_names") and low not in word_list("stop_words")


def first_place(scene_text: str, lore: Lore) -> str:
    """Returns where a scene is set: the place its first sentences name, or "" when they name none."""
    for sentence in sentences(scene_text)[:2]:
        places = [name for name in lore.named_in(sentence) if name.kind == "place"]
        match = re.search(
            r"\b(?:at|in|on|inside|aboard|before|outside)\s+((?:the|a|an|your)\s+[\w' -]{3,60}?)(?=[,.;]|$)",
            sentence,
        )
        if match:
            words = match.group(1).partition(" on the ")[0]
            if len(words.split()) <= 9:
                return words
        if places:
            return places[0].with_article
    return ""
