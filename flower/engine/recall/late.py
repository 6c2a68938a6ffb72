"""Late interaction: how well a passage answers a question, token by token. Pure.

For each token of the question the most similar token of the passage counts, and the mean of these is the
score (MaxSim, after Khattab and Zaharia 2020). One vector of a whole passage cannot do that: what is said
in half a sentence drowns in it. A token counts the more the less it is found in all the passages: what all
have tells nothing. Of a passage's tokens only the signs of their numbers are kept, 16 bytes a
token; measured on ``tests/bench/recall`` they rank as well as the numbers themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.store.vector_rows import TokenVectors


BLOCK_TOKENS = (
    512  # 256 KiB as numbers: all tokens at once are several MB, for which the system has to be asked
)


def pack(tokens: TokenVectors) -> bytes:
    """Returns the signs of a passage's token vectors, a bit each."""
    import numpy as np

    return np.packbits(tokens > 0, axis=1).tobytes()


def scores(
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
    asked = question / np.maximum(lengths, 1e-9) / np.sqrt(width)
    bits = np.frombuffer(b"".join(whole), np.uint8).reshape(-1, size)
    filled = np.flatnonzero(counts)
    starts = np.concatenate([[0], np.cumsum(counts[filled])[:-1]])
    best = np.maximum.reduceat(_products(bits, asked), starts, axis=0)
    # With signs s = 2 * ones - 1: s @ a = 2 * (ones @ a) - sum(a), a pass over all tokens less.
    alike = 2 * best - asked.sum(axis=1)
    result[filled] = alike.mean(axis=1)
    ranked = np.zeros(len(packed), np.float32)
    telling = np.maximum(1 - alike.mean(axis=0), 1e-6)
    ranked[filled] = alike @ (telling / telling.sum())
    return ranked, result


def _products(bits: NDArray[np.uint8], asked: TokenVectors) -> NDArray[np.float32]:
    """Returns for each token, a row of bits, the sums of what each asked one has where its bits are set."""
    import numpy as np

    products = np.empty((len(bits), len(asked)), np.float32)
    for first in range(0, len(bits), BLOCK_TOKENS):
        block = slice(first, first + BLOCK_TOKENS)
        ones = np.unpackbits(bits[block], axis=1).astype(np.float32)
        np.matmul(ones, asked.T, out=products[block])
    return products
