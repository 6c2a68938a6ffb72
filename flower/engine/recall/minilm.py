"""The shipped model all-MiniLM-L6-v2 on onnxruntime: its files, checked, and one loaded session.

A session lives in the embedder's thread only. Never downloads anything.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flower import file_io, limits
from flower.engine.recall.base import Encoded
from flower.engine.recall.embedder import OnnxEmbedder
from flower.engine.recall.native_check import check_native
from flower.engine.recall.tokenizers import WordPiece
from flower.errors import EmbedError

if TYPE_CHECKING:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray

    from flower.engine.store.vector_rows import TokenVectors, Vectors

EMBED_CHARS = 16_000  # read per text before the cut to EMBED_TOKENS; whitespace costs no tokens

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
WORDS = 30_522  # their embeddings, a byte for each number, are the first of model.onnx.data
# What models/all-MiniLM-L6-v2/build.py makes. Any other bytes may load and give wrong vectors.
SHA256 = {
    "model.onnx": "17882fa21a61fea1173f7bd2f9d0da545d3bceb388ef0c550c28f8b8900675dc",
    "model.onnx.data": "db66dd6df1302c11a5032d008cb2500f96082325ac580400e7e9458c0d8de4af",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
# Of the files that made the same vectors first: a new output beside them is no reason to embed all anew.
MODEL_ID = f"{NAME}-fae777855d1c"
TOKEN_WIDTH = 128  # numbers per token, of which passages keep the signs

_PACKAGES = ("numpy", "onnxruntime")
_PROBE = "import numpy, onnxruntime; onnxruntime.get_available_providers()"


class OnnxModel:
    """The loaded model; lives in the embedder's thread only."""

    def __init__(self, models_dirs: Sequence[Path], state_dir: Path | None, threads: int) -> None:
        folder = find_model(models_dirs)
        check_native(_PACKAGES, _PROBE, state_dir)
        self._words = _mapped_words(folder / "model.onnx.data")
        weights = {"words": self._words[1]}
        self._session = open_session(folder / "model.onnx", state_dir, threads, weights)
        self._tokenizer = WordPiece.read(folder / "tokenizer.json", limits.EMBED_TOKENS)
        self._tells = _tells(self._tokenizer)

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._tokenizer.encode(clean(text)) for text in texts]

    def run(self, batch: Sequence[Sequence[int]]) -> tuple[Vectors, list[TokenVectors]]:
        """Returns the vectors of texts that all have the same number of tokens, and of their tokens.

        Tokens without a letter or digit tell nothing by themselves and are left out.
        """
        import numpy as np

        ids = np.array(batch, np.int64)
        try:
            vectors, tokens = self._session.run(["embedding", "tokens"], {"input_ids": ids})
        except RuntimeError as error:
            raise EmbedError(f"the embedding model failed: {error}") from error
        informative = [row[self._tells[row_ids]] for row, row_ids in zip(tokens, ids, strict=True)]
        return np.asarray(vectors, np.float32), informative

    def rest(self) -> None:
        self._words[0].madvise(mmap.MADV_DONTNEED)


def _mapped_words(weights: Path) -> tuple[mmap.mmap, onnxruntime.OrtValue]:
    """Returns the word embeddings as they lie in the file, which are let go of between runs.

    Each word that occurs has 64 KiB around it mapped: after a page of text nearly all are.
    """
    import numpy as np
    import onnxruntime

    with file_io.opened(weights) as file:
        mapped = mmap.mmap(file.fileno(), WORDS * DIMENSION, access=mmap.ACCESS_READ)
    rows = np.frombuffer(mapped, np.int8).reshape(WORDS, DIMENSION)
    return mapped, onnxruntime.OrtValue.ortvalue_from_numpy(rows)


def open_session(
    path: Path,
    state_dir: Path | None,
    threads: int,
    initializers: Mapping[str, onnxruntime.OrtValue] | None = None,
) -> onnxruntime.InferenceSession:
    """Returns a loaded model; raises ``EmbedError``. ``state_dir`` remembers that onnxruntime runs here.

    ``initializers``: weights by name that are used instead of the file's, and not copied.
    """
    check_native(_PACKAGES, _PROBE, state_dir)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The arena keeps the memory of the largest batch for ever, which EMBED_BATCH_TOKENS bounds:
    # 10 MiB less at the peak than malloc, which fragments. A pattern would hold one per shape.
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = False
    # Fused operators are slower here than the plain ones the shipped graph was written with.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, weight in (initializers or {}).items():
        options.add_initializer(name, weight)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except RuntimeError as error:  # onnxruntime's own errors all derive from it
        raise EmbedError(f"onnxruntime cannot load {path}: {error}") from error


def _tells(tokenizer: WordPiece) -> NDArray[np.bool_]:
    """Returns for every token of the vocabulary whether it has a letter or digit, so no ``[CLS]``."""
    import numpy as np

    pieces, numbers = tokenizer.vocabulary, tokenizer.vocabulary.numbers
    tells = np.zeros(max(numbers) + 1, bool)
    for token, number in zip(pieces, numbers, strict=True):
        tells[number] = not token.startswith("[") and any(char.isalnum() for char in token)
    return tells


def find_model(models_dirs: Sequence[Path]) -> Path:
    """Returns the first folder with an intact model; raises ``EmbedError`` saying what is wrong."""
    wrong = ""
    for models in models_dirs:
        folder = models / NAME
        if folder.is_dir():
            wrong_here = _whats_wrong(folder)
            if not wrong_here:
                return folder
            wrong = wrong or wrong_here
    places = " or ".join(str(models) for models in models_dirs)
    raise EmbedError(wrong or f"the embedding model {NAME} is not in {places}; copy its folder there")


def _whats_wrong(folder: Path) -> str:
    for name, expected in SHA256.items():
        path = folder / name
        try:
            with file_io.opened(path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"{path} is missing; restore the folder {NAME} from the release"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror}); restore it from the release"
        if digest != expected:
            return f"{path} is damaged or of another version; restore it from the release"
    return ""


def clean(text: str) -> str:
    """Returns what the tokenizer can read: bounded, without lone surrogates."""
    return text[:EMBED_CHARS].encode("utf-8", "replace").decode("utf-8")


class MiniLM(OnnxEmbedder):
    """The shipped embedding model; implements ``recall.base.TokenEmbedder``.

    ``models_dirs`` are searched in order for a folder ``all-MiniLM-L6-v2``. ``threads`` is the number of
    cores one batch may use.
    """

    def __init__(
        self,
        models_dirs: Sequence[Path],
        *,
        state_dir: Path | None = None,
        threads: int = 1,
        unload_after_s: float | None = None,
    ) -> None:
        super().__init__(
            partial(OnnxModel, models_dirs, state_dir, threads),
            MODEL_ID,
            DIMENSION,
            state_dir=state_dir,
            unload_after_s=unload_after_s,
        )

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Returns one row of length 1 per text; raises ``EmbedError``.

        Text after ``limits.EMBED_TOKENS`` tokens does not count. Cancelling drops the batches that
        have not begun.
        """
        return (await self.encode(texts, urgent=urgent)).vectors

    async def encode(self, texts: Sequence[str], *, urgent: bool = False) -> Encoded:
        """Returns the vectors of the texts and of their tokens; else like ``embed``."""
        return await self._encoded(texts, urgent=urgent)
