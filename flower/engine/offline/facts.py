"""Makes facts out of recalled passages, so that a narrator can use them piece by piece. Pure.

A passage is Markdown as a person wrote it. A fact is one sentence that can be read alone, with the
sentence that leans on it. What is under a heading that speaks of secrets is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.offline.grammar import sentences, stem, stems, word_set
from flower.engine.offline.names import Name, NameKind, all_stems, as_kind, find_names, mentioned
from flower.engine.offline.tables import word_list
from flower.engine.recall.secrets import secret_text, secret_title

FACT_WORDS_MIN = 5
FACT_WORDS_MAX = 42  # longer sentences drown the reply they are put in
PEOPLE_TITLE = re.compile(
    r"\b(?:people|persons?|characters?|cast|who is who|inhabitants)\b", re.IGNORECASE
)
_PLACES_TITLE = re.compile(r"\b(?:places?|locations?|where)\b", re.IGNORECASE)
NOT_RECALLED = 8  # the rank of what is only somewhere in the world
COMMON_FACTS = 3  # a word in more facts than that says little about any one

_PRICE = re.compile(
    r"\b(coins?|pence|penny|pennies|silver|copper|gold|shillings?|marks?|credits?|chits?|hours? of|price|costs?|"
    r"pays?|paid|rent|toll|fee|tokens?|worth|sells? for|buys?|ration)\b",
    re.IGNORECASE,
)
_META = re.compile(r"\b(player|narrator|game master|GM|NPCs?|roleplay|{{char}})\b")
_LEANS = re.compile(
    r"^(She|He|They|It|Its|Her|His|Their|This|That|These|Those|Both|Neither|Such|There|Then|But|And|Or|So|Yet|"
    r"Also|Others|Another|Still|Instead|Hence|Even so|None|Most|Some|Each|Either|Since then|After that|Here|"
    r"Worse|Perhaps|For example|In return|Afterwards|In that|On that|You|Your|"
    r"(?:[A-Z]\w+ )(?:\w+ ){0,2}(?:he|she|they|it)\b)\b"
)


_THERE_ARE = re.compile(r"There (?:is|are|was|were) ")  # at the head of a paragraph it is alone


class Fact(Struct, frozen=True):
    """A sentence of lore. ``more`` leans on it ("She keeps ..."), "" if nothing does."""

    text: str
    more: str
    rank: int  # of its passage, 0 is the best
    words: frozenset[str]
    names: tuple[Name, ...]
    secret: bool
    price: bool
    section: str = ""  # the headings it is under
    core: frozenset[str] = frozenset()  # those of the words that stand in ``text`` itself

    @property
    def subject(self) -> Name | None:
        """Returns the name the sentence begins with, if it begins with one."""
        start = self.text.removeprefix("The ")
        return next((name for name in self.names if start.startswith((name.full, name.short))), None)


class Lore(Struct, frozen=True):
    """What the recalled passages hold, best first."""

    facts: tuple[Fact, ...]
    names: tuple[Name, ...]  # of the passages, then of what else is spoken of
    own: tuple[Name, ...] = ()  # of the passages only

    def of_kind(self, kind: NameKind) -> tuple[Name, ...]:
        return tuple(name for name in self.names if name.kind == kind)

    def named_in(self, text: str) -> tuple[Name, ...]:
        """Returns the names a text mentions: in full, or people by a part that no full name took."""
        folded = text.casefold()
        whole = [name for name in self.names if name.full.casefold() in folded]
        used = frozenset(stem for name in whole for stem in all_stems(name.full))
        rest = all_stems(text) - used
        return tuple(
            name for name in self.names if name in whole or mentioned(name, _without(whole, text), rest)
        )


_WHO_IS = re.compile(r"\bthe (?:old |new |late |dead |poor |two |other )?([A-Za-z][a-z]{3,})\b")


def by_office(lore: Lore, text: str) -> tuple[Name, ...]:
    """Returns whom a text means by what they are: "the keeper" is whoever has kept something."""
    called = {one for noun in _WHO_IS.findall(text) for one in stems(noun)}
    called -= stems(" ".join(word_list("not_people")))
    if not called:
        return ()
    candidates = (fact for fact in lore.facts if fact.subject is not None and not fact.secret)
    return tuple(
        dict.fromkeys(
            fact.subject
            for fact in candidates
            if fact.subject and fact.subject.kind == "person" and called & offices(fact.text)
        )
    )[:1]


_OFFICE = re.compile(r"\bis (?:the |an? )?(?P<role>[\w' -]{3,50}?)(?=[,.;]| and | of | who | for |$)")
_KEEPERS = (
    (re.compile(r"\b(?:has kept|have kept|keeps) (?:the )?[A-Z]"), "keeper"),
    (re.compile(r"\bruns the ferry\b"), "ferryman"),
    (
        re.compile(r"\b(?:keeps|owns) the [A-Z][^.]*inn\b"),
        "innkeeper landlord landlady host hostess barkeep barman barmaid",
    ),
    (re.compile(r"\blends money\b"), "moneylender lender banker"),
    (re.compile(r"\bmends nets\b"), "netmender"),
    (re.compile(r"\bteaches\b"), "teacher"),
)


_TITLED = {
    "Dr": "dr doctor physician",
    "Reverend": "reverend priest parson",
    "Constable": "constable policeman",
}
_ANY_PERSON = stems("man woman boy girl child lady person fellow gentleman old young tall grey")


@lru_cache(maxsize=1024)
def offices(sentence: str) -> frozenset[str]:
    """Returns the stems of what the sentence says its subject is by trade."""
    match = _OFFICE.search(sentence.partition(" which ")[0])
    words = set(all_stems(match["role"])) if match else set()
    words |= {
        stem(word) for verb, called in _KEEPERS if verb.search(sentence) for word in called.split()
    }
    title = re.match(r"(?:Old |Young )?([A-Z]\w+) [A-Z]\w+", sentence)
    if title and title.group(1) in word_list("titles"):
        words |= all_stems(_TITLED.get(title.group(1), title.group(1).casefold()))
    return frozenset(words - _ANY_PERSON)


LOOKS = re.compile(
    r"\b(?:the|that|a|an) (?:man|woman|boy|girl|lady|gentleman|fellow|child|one) (?:with|in|wearing) (?:the |a |an )?"
    r"(?P<seen>[a-z]+ [a-z]+)",
    re.IGNORECASE,
)


_LIKE_WHAT = re.compile(
    r"\b(?:the|that) (?P<adj>[a-z]{4,})(?: old| young| tall)? (?P<who>man|woman|lady|gentleman|boy|girl)\b",
    re.IGNORECASE,
)
_GENDER = {"man": "he", "gentleman": "he", "boy": "he", "woman": "she", "lady": "she", "girl": "she"}
_ANY_LOOKS = word_set(
    "young tall first same other little strange nearest next last poor dead whole right"
)


def by_looks(lore: Lore, text: str) -> tuple[Name, ...]:
    """Returns whom the lore describes so: "the man with yellow gloves" wears yellow gloves."""
    they = ""  # anybody
    seen = frozenset[str]()
    if match := LOOKS.search(text):
        seen = stems(match["seen"])
        if len(seen) < 2:  # one word of it is nobody's alone
            return ()
    elif (match := _LIKE_WHAT.search(text)) and match["adj"].casefold() not in _ANY_LOOKS:
        seen, they = stems(match["adj"]), _GENDER[match["who"].casefold()]
    if not seen:
        return ()
    people = (
        fact.subject
        for fact in lore.facts
        if fact.subject is not None
        and fact.subject.kind == "person"
        and not fact.secret
        and seen <= fact.words
        and they in ("", fact.subject.they)
    )
    return tuple(one for one in (next(people, None),) if one is not None)


def _without(names: Sequence[Name], text: str) -> str:
    """Returns the text without names that were found whole in it."""
    for name in names:
        text = text.replace(name.full, " ")
    return text


def gather(passages: Iterable[str], *, spoken_of: Iterable[str] = (), user: str = "you") -> Lore:
    """Returns the facts and names in the passages; ``spoken_of`` (scene, opening) gives names only."""
    texts = [_plain(text, user) for text in passages]
    bodies = [body for _, body in texts]
    names = find_names("\n\n".join([*bodies, *(_plain(text, user)[1] for text in spoken_of)]))
    names = _sorted_by_headings(names, texts)
    facts: dict[str, Fact] = {}
    for rank, (title, body) in enumerate(texts):
        for fact in _facts(body, rank, names, title):
            facts.setdefault(fact.text, fact)
    together = "\n".join(bodies)
    return Lore(tuple(facts.values()), names, tuple(name for name in names if name.full in together))


@lru_cache(maxsize=4)
def gather_world(text: str, spoken_of: tuple[str, ...]) -> Lore:
    """Returns the facts and names of the whole lore of a world, read under its headings."""
    return gather(_under_headings(text), spoken_of=spoken_of)


def _under_headings(text: str) -> list[str]:
    """Returns the paragraphs of a Markdown text, each below the path of its headings."""
    path: dict[int, str] = {}
    parts: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip().splitlines()
        while lines and lines[0].startswith("#"):
            head = lines.pop(0)
            level = len(head) - len(head.lstrip("#"))
            path = {deep: title for deep, title in path.items() if deep < level} | {
                level: head.strip("# ")
            }
        if lines:
            parts.append("\n".join([f"## {' > '.join(path.values())}" if path else "", *lines]))
    return parts


def with_recalled(world: Lore, passages: Sequence[str], spoken_of: tuple[str, ...]) -> Lore:
    """Returns a world's lore with what was recalled for this moment ranked first.

    Passages that are not the world's (notes, what a character knows) are added to it.
    """
    ranks: dict[str, int] = {}
    others: list[str] = []
    for rank, passage in enumerate(passages):
        body = " ".join(_plain(passage, "you")[1].split())
        matches = [fact.text for fact in world.facts if fact.text in body]
        ranks |= {text: rank for text in matches if text not in ranks}
        if not matches:
            others.append(passage)
    more = gather(others, spoken_of=spoken_of) if others or not world.facts else Lore((), ())
    facts = [replace(fact, rank=ranks.get(fact.text, NOT_RECALLED)) for fact in world.facts]
    facts = sorted([*more.facts, *facts], key=lambda fact: fact.rank)
    full_names = {name.full for name in world.names}
    own = (*world.own, *(name for name in more.own if name.full not in full_names))
    names = (*world.names, *(name for name in more.names if name.full not in full_names))
    return Lore(tuple(facts), names, own)


def _sorted_by_headings(names: tuple[Name, ...], texts: Iterable[tuple[str, str]]) -> tuple[Name, ...]:
    """Returns the names with the kind that the heading tells under which a paragraph begins with them."""
    kinds: dict[str, NameKind] = {}
    for title, body in texts:
        kind: NameKind | None = (
            "person" if PEOPLE_TITLE.search(title) else "place" if _PLACES_TITLE.search(title) else None
        )
        if kind is None:
            continue
        for paragraph in _paragraphs(body):
            start = paragraph.removeprefix("The ")
            kinds |= {name.full: kind for name in names if start.startswith(name.full + " ")}
    return tuple(as_kind(name, kinds.get(name.full, name.kind)) for name in names)


def _plain(text: str, user: str) -> tuple[str, str]:
    """Returns (headings, prose) of a Markdown passage."""
    titles: list[str] = []
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("#"):
            titles.append(line.strip("# "))
            lines.append("")
            continue
        line = re.sub(r"^(?:[-*+>|]\s+|\d+[.)]\s+)", "", line)
        line = re.sub(r"\[([^\[\]]++)\]\([^()]*+\)", r"\1", line)
        line = re.sub(r"[*_`]{1,3}([^*_`]+)[*_`]{1,3}", r"\1", line)
        lines.append(line.replace("{{user}}", user).replace("{{User}}", user))
    return " ".join(titles), "\n".join(lines)


def _paragraphs(body: str) -> list[str]:
    return [re.sub(r"\s+", " ", part).strip() for part in re.split(r"\n\s*\n", body) if part.strip()]


def _facts(body: str, rank: int, names: tuple[Name, ...], title: str) -> list[Fact]:
    facts: list[Fact] = []
    for paragraph in _paragraphs(body):
        parts = sentences(paragraph)
        hidden = secret_title(title) or secret_text(parts[0])
        leant_on = False
        for index, sentence in enumerate(parts):
            leans = _LEANS.match(sentence) and (index or not _THERE_ARE.match(sentence))
            if not leans and not _hangs(sentence, names):
                leant_on = _usable(sentence, FACT_WORDS_MIN)
                if leant_on:
                    facts.append(_fact(sentence, rank, names, title, hidden=hidden))
            elif secret_text(sentence):
                leant_on = False  # what follows on a secret leans on it
            elif leant_on and not facts[-1].more and _usable(sentence, 3):
                facts[-1] = _with_more(facts[-1], sentence)
    return facts


def _hangs(sentence: str, names: tuple[Name, ...]) -> bool:
    """Whether a sentence has a pronoun for somebody, or something, that it does not name before."""
    if re.match(r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)* also\b", sentence):
        return True
    somebody = _SOMEBODY.search(sentence)
    if somebody:
        before = sentence[: somebody.start()]
        named = any(name.kind == "person" and name.short in before for name in names)
        if not named and not _ANYBODY.search(before):
            return True
    something = _LAST_IT.search(sentence)
    if something is None:
        return False
    before = sentence[: something.start()]
    return not _A_THING.search(before) and not any(
        name.kind != "person" and name.short in before for name in names
    )


_SOMEBODY = re.compile(r"\b(?:he|she|him|her|his|hers)\b")
_ANYBODY = re.compile(
    r"\b(?:man|woman|boy|girl|child|wife|husband|widow|keeper|stranger|person|someone|somebody|nobody|anyone|"
    r"whoever|who|mother|father|brother|sister|son|daughter|captain|doctor|priest|king|queen|clerk|sailor|"
    r"soldier|merchant|thief|owner|master|[a-z]+(?:er|or|ess|ist|ian))\b",
    re.IGNORECASE,
)
_LAST_IT = re.compile(r"\bit[.!]$")
_A_THING = re.compile(r"\b(?:the|a|an|its|his|her|their|no|every|each|this) [a-z]", re.IGNORECASE)


def _fact(sentence: str, rank: int, names: tuple[Name, ...], title: str, *, hidden: bool) -> Fact:
    parts = all_stems(sentence)
    return Fact(
        section=title,
        text=sentence,
        more="",
        rank=rank,
        words=stems(sentence),
        core=stems(sentence),
        names=tuple(name for name in names if mentioned(name, sentence, parts)),
        secret=hidden or secret_text(sentence),
        price=bool(_PRICE.search(sentence)),
    )


def scene_facts(text: str, lore: Lore) -> tuple[Fact, ...]:
    """Returns the sentences of a scene as facts, those about the player too."""
    return tuple(
        _fact(one, 0, lore.names, "", hidden=False)
        for one in sentences(text)
        if len(one.split()) >= FACT_WORDS_MIN
    )


def _with_more(fact: Fact, sentence: str) -> Fact:
    return replace(
        fact,
        more=sentence,
        words=fact.words | stems(sentence),
        price=fact.price or bool(_PRICE.search(sentence)),
    )


def _usable(sentence: str, least_words: int) -> bool:
    """A sentence that can be said aloud: whole, of sayable length, no list, no note to a narrator."""
    return (
        least_words <= len(sentence.split()) <= FACT_WORDS_MAX
        and sentence[-1] in ".!"
        and sentence[0].isupper()
        and sentence.count('"') % 2 == 0
        and sentence.count("(") == sentence.count(")")
        and ": " not in sentence[:28]
        and not _META.search(sentence)
    )
