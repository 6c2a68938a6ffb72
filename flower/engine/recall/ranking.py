"""From signals to a ranking: fusion, neighbours, late interaction, age. Pure.

Similarity and BM25 are put on one scale by their standard scores (z), so that how much better the first is
than the second counts, which reciprocal ranks throw away (Bruch, Gai and Ingber 2023, compare such scales).
The best of the sum are ranked again by late interaction: for each token of the question the most similar token of the
passage counts, and the mean of these is the score (MaxSim, after Khattab and Zaharia 2020). One vector of a whole
passage cannot do that: what is said in half a sentence drowns in it. A token counts the more the less it is found in
all the passages: what all have tells nothing. Of a passage's tokens only the signs of their numbers are kept, 16 bytes
a token; measured on ``tests/bench/recall`` they rank as well as the numbers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from flower.engine.recall.base import Score
from flower.engine.recall.selection import Cut
from flower.engine.store.passages import Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.store.vector_rows import TokenVectors

LATE_CANDIDATES = 50  # ranked again token by token

RECENCY_HALF_LIFE_S = 3 * 24 * 3600.0
# Between memories that are alike: in long dialogues age made no difference to what is asked for.
RECENCY_SHARE = 0.05
IMPORTANCE_SHARE = 0.25


class Share(Struct, frozen=True):
    """A share, from 0 to 1, by how much of the question is in passages word by word.

    Words that are there tell more than any vector; where a question is asked in other words they are chance.
    """

    of_meant: float  # where no passage has the words of the question
    of_said: float  # where some have most of them

    def at(self, quoted: float) -> float:
        """Returns the share for a question that is said so much, from 0 to 1."""
        return self.of_meant + (self.of_said - self.of_meant) * quoted


class Tuning(Struct, frozen=True):
    """How much each signal counts. The defaults are what was best over all kinds of text together;
    ``tests/bench/recall`` prints what each is worth.
    """

    words_share: Share = Share(0.2, 0.7)  # of words in the sum with similarity; the rest is similarity
    late_share: Share = Share(0.75, 0.5)  # of late interaction among the best; the rest is that sum
    before: float = 0.3  # what the exchange before a memory adds: an answer is about its question
    after: float = 0.1
    late_before: float = 0.2  # the same for late interaction
    foreign_words_share: float = 0.7  # of a scope in another language: the shipped model knows English
    foreign_late_share: float = 0.2
    by_question: bool = True  # ask by the question of a line, not by all of it
    by_order: bool = (
        True  # answer questions about before and after, first and last, by the story's order
    )
    by_parts: bool = True  # look for each of several questions by itself
    by_name: bool = True  # ask by the name of whom a question calls she or he
    memory_cut: Cut = Cut(0.04, 0.65, 0.012)
    lore_cut: Cut = Cut(0.017, 0.37, 0.01)
    beside: float = (
        0.65  # chance of an answer from which the exchanges beside the best are recalled along
    )


class Signals(Struct, frozen=True):
    """What is known about the candidates of a query, by passage id; a missing id has no such signal."""

    words: Mapping[int, float]  # BM25
    similarity: Mapping[int, float] = {}  # cosine to the query
    held: Mapping[int, float] = {}  # share of the query's words, weighed by what they tell
    before: Mapping[int, int] = {}  # id of the exchange before, if it is a candidate, too
    after: Mapping[int, int] = {}
    foreign: bool = False  # the scope is not in the model's language


SAID_FROM, SAID_TO = 0.2, 0.6  # share of the question's words, from which they count and count fully
_SAID_BY = 2  # passages: in one of many there are some words by chance


def quoted_share(signals: Signals) -> float:
    """Returns how much of the question is said in passages word by word, from 0 to 1."""
    most = sorted(signals.held.values(), reverse=True)[:_SAID_BY]
    held = math.fsum(most) / _SAID_BY
    return min(1.0, max(0.0, (held - SAID_FROM) / (SAID_TO - SAID_FROM)))


def rank(signals: Signals, tuning: Tuning) -> dict[int, Score]:
    """Returns a score for every id that has one of the signals."""
    ids = list({**signals.words, **signals.similarity})
    share = (
        tuning.foreign_words_share if signals.foreign else tuning.words_share.at(quoted_share(signals))
    )
    if not signals.similarity:
        share = 1.0
    words = _standard({i: signals.words.get(i, 0.0) for i in ids})
    similarity = _standard(signals.similarity)
    scores = {}
    for i in ids:
        by_words, by_meaning = share * words[i], (1 - share) * similarity.get(i, 0.0)
        scores[i] = Score(by_words + by_meaning, by_words, by_meaning)
    sums = {i: score.total for i, score in scores.items()}
    for i, score in scores.items():
        beside = tuning.before * _led(sums, signals.before.get(i))
        beside += tuning.after * _led(sums, signals.after.get(i))
        scores[i] = Score(score.total + beside, score.words, score.similarity, beside)
    return scores


def _led(scores: Mapping[int, float], other: int | None) -> float:
    """Returns what a passage gains by one beside it: by how much that is better than the mean."""
    return 0.0 if other is None else max(0.0, scores.get(other, 0.0))


def best_of(scores: Mapping[int, Score]) -> list[int]:
    """Returns the ids that are ranked again token by token, best first."""
    return sorted(scores, key=lambda i: -scores[i].total)[:LATE_CANDIDATES]


def rank_again(
    scores: Mapping[int, Score], late: Mapping[int, float], signals: Signals, tuning: Tuning
) -> dict[int, Score]:
    """Returns the scores with those that ``late`` knows ranked by late interaction, too.

    The others stay behind them. While tokens of some of the best are still being made nothing changes:
    only like can be compared with like.
    """
    share = (
        tuning.foreign_late_share if signals.foreign else tuning.late_share.at(quoted_share(signals))
    )
    if not share or any(i not in late for i in best_of(scores)):
        return dict(scores)
    sums = {i: scores[i].total for i in late}
    mean, spread = _mean_and_spread(sums)
    scale = (1 - share) / spread if spread else 0.0
    tokens = _standard(late)
    ranked = {}
    for i, total in sums.items():
        score = scores[i]
        by_tokens = share * tokens[i]
        beside = share * tuning.late_before * _led(tokens, signals.before.get(i))
        ranked[i] = Score(
            scale * (total - mean) + by_tokens + beside,
            scale * score.words,
            scale * score.similarity,
            scale * score.neighbours + beside,
            by_tokens,
        )
    last = min((score.total for score in ranked.values()), default=0.0)
    rest = {i: score for i, score in scores.items() if i not in late}
    top = max((score.total for score in rest.values()), default=0.0)
    for i, score in rest.items():
        ranked[i] = replace(score, total=last - 1.0 + score.total - top)
    return ranked


def _standard(values: Mapping[int, float]) -> dict[int, float]:
    """Returns standard scores; all 0 when the values are equal."""
    mean, spread = _mean_and_spread(values)
    return {i: (value - mean) / spread if spread else 0.0 for i, value in values.items()}


def _mean_and_spread(values: Mapping[int, float]) -> tuple[float, float]:
    """Returns mean and standard deviation, 0 for values that are equal or not there."""
    count = len(values)
    if not count:
        return 0.0, 0.0
    mean = math.fsum(values.values()) / count
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values.values()) / count)
    return mean, spread if spread > 1e-9 else 0.0


def weigh_memory(score: float, passage: Passage, now: float) -> float:
    """Returns the score of a memory raised by its importance and, a little, by how recent it is."""
    age_s = max(0.0, now - passage.created)
    recency = math.exp2(-age_s / RECENCY_HALF_LIFE_S)
    return score + RECENCY_SHARE * recency + IMPORTANCE_SHARE * passage.importance


# --- Late interaction: how well a passage answers a question, token by token


BLOCK_TOKENS = (
    512  # 256 KiB as numbers: all tokens at once are several MB, for which the system has to be asked
)


def pack_tokens(tokens: TokenVectors) -> bytes:
    """Returns the signs of a passage's token vectors, a bit each."""
    import numpy as np

    return np.packbits(tokens > 0, axis=1).tobytes()


def late_scores(
    question: TokenVectors, packed: Sequence[bytes]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Returns how well each passage answers, about -1 to 1, to rank by and as it is; without tokens 0.

    To rank by, the tokens of the question are weighed among these passages; the plain mean can be compared with that
    of other questions.
    ``question`` has at least one token; its width is that of the packed vectors.
    """
    import numpy as np

    width = question.shape[1]
    size = width // 8
    whole = [data if len(data) % size == 0 else b"" for data in packed]
    counts = np.array([len(data) // size for data in whole], np.int64)
    result = np.zeros(len(packed), np.float32)
    if not counts.any():
        return result, result
    lengths = np.linalg.norm(question, axis=1, keepdims=True)
    unit = question / np.maximum(lengths, 1e-9) / np.sqrt(width)
    bits = np.frombuffer(b"".join(whole), np.uint8).reshape(-1, size)
    filled = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
    best = np.maximum.reduceat(_products(bits, unit), starts, axis=0)
    # With signs s = 2 * ones - 1: s @ a = 2 * (ones @ a) - sum(a), a pass over all tokens less.
    alike = 2 * best - unit.sum(axis=1)
    result[filled] = alike.mean(axis=1)
    ranked = np.zeros(len(packed), np.float32)
    rarity = np.maximum(1 - alike.mean(axis=0), 1e-6)
    ranked[filled] = alike @ (rarity / rarity.sum())
    return ranked, result


def _products(bits: NDArray[np.uint8], question: TokenVectors) -> NDArray[np.float32]:
    """Returns for each token, a row of bits, the sums of what each asked one has where its bits are set."""
    import numpy as np

    products = np.empty((len(bits), len(question)), np.float32)
    for first in range(0, len(bits), BLOCK_TOKENS):
        block = slice(first, first + BLOCK_TOKENS)
        ones = np.unpackbits(bits[block], axis=1).astype(np.float32)
        np.matmul(ones, question.T, out=products[block])
    return products
