"""Long dialogues with facts planted in small talk, put together from ``dialogue.yaml`` by a seed.

Stories share people, places and things with each other (two stories in one world), and within a story the
same kind of fact is told of several people, so only who and what together find the right exchange.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.bench.recall.collections.base import Collection, Document, Question

STORIES = 6
EXCHANGES = 320
FACTS = 44
SEED = 20
ALIASES = ("Emeric Vane", "Tilda Roan", "Casimir Holt", "Oda Pretorius", "Leopold Sark", "Magda Fenn")


def load(
    name: str = "dialogue",
    player: str = "The player",
    narrator: str = "The narrator",
    *,
    plain: bool = False,
) -> Collection:
    """Returns all stories; each is a scope of its own, its exchanges in the order they were told.

    ``plain``: asked in much the same words as were told.
    """
    parts = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text())
    documents: list[Document] = []
    questions: list[Question] = []
    for story in range(STORIES):
        _tell(parts, f"memory:{name} {story}", story, player, narrator, documents, questions, plain)
    return Collection(f"{name}, plain" if plain else name, "memory", documents, questions)


def by_pronoun(name: str) -> Collection:
    """Returns a dialogue whose questions about one person say she; the line begins with whom it speaks to."""
    collection = load(name)
    parts = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text())
    questions = []
    for number, q in enumerate(collection.questions):
        named = [person for person in parts["people"] if re.search(rf"\b{person}\b", q.text)]
        if len(named) == 1 and q.answers:
            other = parts["people"][number % len(parts["people"])]
            before = f"{other} walks away without a word. I turn to {named[0]}, who looks up."
            text = q.text.replace(f"{named[0]}'s", "her")
            text = re.sub(rf"\b(to|with|from|of|by|for) {named[0]}\b", r"\1 her", text)
            questions.append(Question(q.scope, f"{before} {text.replace(named[0], 'she')}", q.answers))
    return Collection(f"{name}, she", collection.kind, collection.documents, questions)


def two_at_once(collection: Collection) -> Collection:
    """Returns a collection in which two questions of a scope are asked in one line."""
    answered = [q for q in collection.questions if q.answers]
    questions = [
        Question(
            one.scope,
            f"{one.text} And {other.text[0].lower()}{other.text[1:]}",
            one.answers | other.answers,
        )
        for one, other in zip(answered[::2], answered[1::2], strict=False)
        if one.scope == other.scope
    ]
    return Collection(
        f"{collection.name}, two at once", collection.kind, collection.documents, questions
    )


def by_order(name: str) -> Collection:
    """Returns a dialogue that is asked what stands before and after its facts, and for the first and last time."""
    collection = load(name)
    told = [
        document.text.split("\n")[0].partition(": ")[2].rstrip(".") for document in collection.documents
    ]
    scopes = [document.scope for document in collection.documents]
    questions = []
    for q in collection.questions:
        first = min(q.answers, default=-1)
        if first >= 0 and told[first].startswith("I "):
            for word, place in (("before", first - 1), ("after", max(q.answers) + 1)):
                if 0 <= place < len(scopes) and scopes[place] == q.scope:
                    text = f"What happened right {word} {told[first]}?"
                    questions.append(Question(q.scope, text, frozenset([place])))
    places: dict[tuple[str, str], list[int]] = {}
    for place, act in enumerate(told):
        if act.startswith("I "):
            places.setdefault((scopes[place], act), []).append(place)
    for (scope, act), found in places.items():
        if len(found) > 2:
            for word, place in (("first", found[0]), ("last", found[-1])):
                text = f"What happened the {word} time {act}?"
                questions.append(Question(scope, text, frozenset([place])))
    return Collection(f"{name}, order", collection.kind, collection.documents, questions)


def _tell(
    parts: Mapping[str, Any],
    scope: str,
    story: int,
    player: str,
    narrator: str,
    documents: list[Document],
    questions: list[Question],
    plain: bool,
) -> None:
    rng = random.Random(SEED + story)
    cast = rng.sample(parts["people"], 9)
    me = parts["heroes"][story]
    beats: list[tuple[Sequence[Sequence[str]], dict[str, str], Mapping[str, Any] | None]] = []
    told = [(fact, person) for fact in parts["facts"] for person in rng.sample(cast, 3)]
    for fact, person in rng.sample(told, FACTS):
        beats.append((fact["turns"], _values(parts, rng, cast, me, person), fact))
    planted = sum(len(turns) for turns, _, _ in beats)
    for _ in range(EXCHANGES - planted):
        small = rng.choice(parts["small_talk"])
        beats.append(([small], _values(parts, rng, cast, me, rng.choice(cast)), None))
    rng.shuffle(beats)
    for turns, values, fact in beats:
        first = len(documents)
        for line, reply in turns:
            before, after = _padding(parts, rng, cast, me), _padding(parts, rng, cast, me)
            reply = f"{before} {reply.format(**values)} {after}".strip()
            documents.append(
                Document(scope, "", f"{player}: {line.format(**values)}\n{narrator}: {reply}")
            )
        if fact is not None:
            evidence = frozenset(first + place for place in fact.get("evidence", [0]))
            number = rng.randrange(len(fact["ask"]))
            ask = fact["plain"][number % 2] if plain else fact["ask"][number]
            questions.append(Question(scope, ask.format(**values), evidence))
    for ask in parts["unanswerable"]:
        values = _values(parts, rng, cast, me, rng.choice(cast))
        questions.append(Question(scope, ask.format(**values), frozenset()))


def _padding(parts: Mapping[str, Any], rng: random.Random, cast: Sequence[str], me: str) -> str:
    """Returns up to three replies of small talk: what is told around a fact in a longer reply."""
    replies = [small[1] for small in rng.sample(parts["small_talk"], rng.choice((0, 1, 1, 2, 3)))]
    return " ".join(
        reply.format(**_values(parts, rng, cast, me, rng.choice(cast))) for reply in replies
    )


def _values(
    parts: Mapping[str, Any], rng: random.Random, cast: Sequence[str], me: str, person: str
) -> dict[str, str]:
    other = rng.choice([name for name in cast if name != person])
    place, place2 = rng.sample(parts["places"], 2)
    beast = rng.choice(parts["beasts"])
    n, m = rng.sample(parts["numbers"], 2)
    return {
        "p": person,
        "q": other,
        "me": me,
        "place": place,
        "place2": place2,
        "thing": rng.choice(parts["things"]),
        "day": rng.choice(parts["days"]),
        "trade": rng.choice(parts["trades"]),
        "food": rng.choice(parts["foods"]),
        "beast": beast,
        "beast_short": beast.split()[-1],
        "alias": rng.choice(ALIASES),
        "n": n,
        "m": m,
    }
