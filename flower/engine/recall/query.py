"""What a query asks for: its questions, the words of each with their weights, its context, and what it refers to. Pure.

Whom a question calls she or he is looked for by name, in English only. A name is a run of capitalised words; whether
one is a person is a guess from where it is, and whether she or he fits it from the pronouns that follow it. A wrong
guess costs a place in the ranking.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from flower.engine.recall.base import Query
from flower.engine.store.words import COMMON, ENGLISH, language_of, stem, words_of
from flower.text import sentences_of

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors

RECALL_PARTS = 3  # questions of one line that are looked for each by itself
RECALL_CONTEXT_CHARS = 400  # the end of scene and last lines that widens a search
KEYWORD_TERMS = 48  # rare words of a line that are looked up
CONTEXT_TERMS = 6  # of its context: the newest ones

# Of the words of other sentences in the same line: they say who and where, seldom what is asked.
BESIDE_WEIGHT = 0.2
BESIDE_WEIGHT_OF_SHORT = 0.5  # ... and more when the question itself says little
_SAYS_LITTLE = 2  # content words of a question up to which it leans on its line
_QUESTION_MARKS = ("?", "？", "؟", "⁇")
_CLOSING = "\"'”’»)]*_ "


class Question(Struct, frozen=True):
    """A query made ready.

    ``words`` are the content words of the question, ``weights`` all words to look for: those, and with
    less weight those of the rest of the line and of the context. ``vector`` and ``tokens`` are None while
    there is no model; recall goes by words then. ``context_weight`` is the context's share of the
    vector, from 0 to 1. ``order`` is what is asked of the order of a story.
    """

    text: str
    words: tuple[str, ...]
    weights: tuple[tuple[str, float], ...]
    language: str
    context_weight: float = 0.0
    order: Order = ""
    vector: Vectors | None = None
    tokens: TokenVectors | None = None


def prepare(
    query: Query, *, by_question: bool = True, by_name: bool = True, by_parts: bool = True
) -> tuple[Question, ...]:
    """Returns what is asked, with everything but what a model makes of it: most lines ask one thing.

    ``by_name``: whom a question calls she or he is looked for by the name that was spoken of last.
    """
    question, beside = split_question(query.text) if by_question else (query.text, "")
    context = context_of(query)
    language = language_of(f"{query.text}\n{context}" if len(query.text) < _SHORT else query.text)
    parts = split_parts(question, language) if by_parts else [question]
    questions = []
    before = f"{context}\n{beside}"
    for part in parts:
        meant = resolve(part, before) if by_name and language == ENGLISH else ""
        named = f"{meant}: {part}" if meant else part
        questions.append(_prepared(named, beside, context, language))
        before = f"{before}\n{part}"
    return tuple(questions)


def _prepared(question: str, beside: str, context: str, language: str) -> Question:
    words = keywords(question, language)
    weights = dict.fromkeys(words, 1.0)
    share = BESIDE_WEIGHT_OF_SHORT if len(words) <= _SAYS_LITTLE else BESIDE_WEIGHT
    for word in keywords(beside, language):
        weights.setdefault(word, share)
    context_share = context_weight(words) if context else 0.0
    for word in keywords(context, language, left_out=words)[-CONTEXT_TERMS:]:
        weights.setdefault(word, context_share)
    order = order_of(question) if language == ENGLISH else ""
    return Question(question, words, tuple(weights.items()), language, context_share, order)


def split_parts(question: str, language: str) -> list[str]:
    """Returns the questions in a question, at most ``RECALL_PARTS``; one for each sentence that asks.

    In English ``Where is the key, and who has it?`` asks two things, too. What says little by itself stays with what
    is before it.
    """
    parts: list[str] = []
    for sentence in sentences_of(question):
        for piece in _pieces(sentence) if language == ENGLISH else [sentence]:
            alone = _asks(piece) and len(keywords(piece, language)) >= _PART_WORDS
            if parts and (len(parts) == RECALL_PARTS or not alone or not _asks(parts[-1])):
                parts[-1] = f"{parts[-1]} {piece}"
            else:
                parts.append(piece)
    if len(parts) > 1 and len(keywords(parts[0], language)) < _PART_WORDS:
        parts[:2] = [" ".join(parts[:2])]
    return parts or [question]


def _pieces(sentence: str) -> list[str]:
    """Returns a sentence cut before each ``and`` that begins another question."""
    words = sentence.split()
    starts = [
        place
        for place in range(1, len(words) - 1)
        if words[place] == "and" and words[place + 1].casefold() in _ASKING
    ]
    if not starts or not _asks(sentence):
        return [sentence]
    edges = [0, *starts, len(words)]
    pieces = [" ".join(words[start + (start > 0) : end]) for start, end in itertools.pairwise(edges)]
    return [*(piece.rstrip(",;") + "?" for piece in pieces[:-1]), pieces[-1]]


_ASKING = frozenset(["who", "whom", "whose", "what", "which", "when", "where", "why", "how"])
_PART_WORDS = 2  # content words from which a part of a line is a question of its own
_SHORT = 60  # characters below which a line may not tell its language


def split_question(line: str) -> tuple[str, str]:
    """Returns what is asked and the rest of a line: ``I sit down. "Where is he?" I ask Mara.``

    A line without a question mark is asked as a whole. What follows a quoted question without a capital
    letter or with ``I`` says who is asked, so it belongs to the question.
    """
    sentences = sentences_of(line)
    marked = [number for number, sentence in enumerate(sentences) if _asks(sentence)]
    if not marked or len(sentences) == 1:
        return line, ""
    of_question = set(marked)
    of_question |= {number + 1 for number in marked if _is_tag(sentences, number + 1)}
    question = " ".join(sentence for number, sentence in enumerate(sentences) if number in of_question)
    beside = " ".join(
        sentence for number, sentence in enumerate(sentences) if number not in of_question
    )
    return question, beside


def _asks(sentence: str) -> bool:
    return sentence.rstrip(_CLOSING).endswith(_QUESTION_MARKS)


def _is_tag(sentences: Sequence[str], number: int) -> bool:
    """Returns whether a sentence only says who spoke to whom: ``I ask Mara.``"""
    if number >= len(sentences) or sentences[number - 1][-1:] not in "\"'”’»":
        return False
    return len(sentences[number].split()) <= _TAG_WORDS


_TAG_WORDS = 5


def keywords(text: str, language: str, *, left_out: Sequence[str] = ()) -> tuple[str, ...]:
    """Returns the content words of a text, each once, in order, at most ``KEYWORD_TERMS``.

    Common words of the language and ``left_out`` ones are left out.
    """
    common = COMMON.get(language, frozenset())
    words = dict.fromkeys(words_of(text))
    content = [word for word in words if word not in common and word not in left_out]
    return tuple(content[:KEYWORD_TERMS])


def context_weight(words: Sequence[str]) -> float:
    """Returns the share of the context in a query, from 0 to 1, by the content words of its question.

    ``What does she say?`` is about whatever was spoken of; a line with words of its own is not.
    """
    return 0.6 if not words else 0.4 if len(words) == 1 else 0.2


def context_of(query: Query) -> str:
    """Returns the end of the context, cut at a word, where the newest lines are."""
    context = query.context.strip()
    if len(context) <= RECALL_CONTEXT_CHARS:
        return context
    return context[-RECALL_CONTEXT_CHARS:].partition(" ")[2].strip()


def words_found(text: str, words: Sequence[str], language: str) -> tuple[str, ...]:
    """Returns the words that a passage holds in one form or another."""
    held = {stem(word, language) for word in words_of(text)}
    return tuple(word for word in words if stem(word, language) in held)


# --- Vectors of texts that are likely to be asked for again, the least recently used ones forgotten.


# --- What a question refers to: whom by she or he, and which end or side of what happened


_PRONOUNS = {"she": "she", "her": "she", "hers": "she", "he": "he", "him": "he", "his": "he"}
_NOBODY = frozenset(
    [
        "nobody",
        "somebody",
        "everybody",
        "someone",
        "everyone",
        "anyone",
        "nothing",
        "something",
        "everything",
        "outside",
        "inside",
    ]
)
_EDGES = "\"'“”‘’«».,;:!?…()[]*_-–—"


Order = Literal["", "before", "after", "first", "last"]


def order_of(question: str) -> Order:
    """Returns what a question asks of the order of a story: what is before or after something that happened, or the
    first or last of several; "" if nothing.
    """
    words = [word.casefold() for word in _bare(question)]
    for here, following in itertools.pairwise([*words, ""]):
        if here in ("first", "last") and following == "time":
            return "first" if here == "first" else "last"
        if here in ("before", "after") and following:
            return "before" if here == "before" else "after"
    return ""


class _Name(Struct):
    text: str
    sure: bool  # it is within a sentence, or does what people do
    they: set[str]  # pronouns that follow it, before another name


def resolve(question: str, before: str) -> str:
    """Returns the name of whom ``question`` calls she or he, from the text ``before`` it; "" if it names somebody
    itself or nobody is meant.
    """
    meant = {they for word in _bare(question) if (they := _PRONOUNS.get(word.casefold()))}
    if len(meant) != 1 or _names(question):
        return ""
    for name in reversed(_names(before)):
        if not name.they or meant <= name.they:
            return name.text
    return ""


def _names(text: str) -> list[_Name]:
    """Returns the names in a text by their last mention."""
    names: dict[str, _Name] = {}
    last: _Name | None = None
    for sentence in sentences_of(text):
        for item in _runs(sentence.split()):
            if isinstance(item, str):
                if last is not None:
                    last.they.add(item)
                continue
            earlier = names.pop(item.text, None)
            if earlier is not None:
                item.sure |= earlier.sure
                item.they |= earlier.they
            names[item.text] = last = item
    return [name for name in names.values() if name.sure]


def _runs(words: Sequence[str]) -> Iterator[_Name | str]:
    """Yields the names of a sentence, and which pronouns stand between them."""
    run: list[str] = []
    start = 0
    for place, word in enumerate([*words, ""]):
        bare = _without_end(word)
        if _is_capital(bare):
            start = start if run else place
            run.append(bare)
            continue
        if run and (start == 0 or words[start - 1].casefold() != "the"):  # "the Copper Kettle"
            # "Mara nods": at the beginning of a sentence only what people do tells a name.
            yield _Name(" ".join(run), start > 0 or len(run) > 1 or bare.endswith(("s", "ed")), set())
        run = []
        if bare.casefold() in _PRONOUNS:
            yield _PRONOUNS[bare.casefold()]


def _is_capital(word: str) -> bool:
    small = word.casefold()
    return (
        len(word) > 1
        and word[0].isupper()
        and not word.isupper()
        and small not in COMMON[ENGLISH]
        and small not in _NOBODY
        and small not in _PRONOUNS
    )


def _without_end(word: str) -> str:
    """Returns a word without the signs around it and its possessive."""
    bare = word.strip(_EDGES)
    return bare[:-2] if bare.endswith(("'s", "’s")) else bare


def _bare(text: str) -> list[str]:
    return [_without_end(word) for word in text.split()]
