"""The shipped model all-MiniLM-L6-v2 on onnxruntime: its files, checked, and one loaded session.

A session lives in the embedder's thread only. Never downloads anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flower import limits
from flower.engine.recall.native_check import check_native
from flower.engine.recall.wordpiece import WordPiece
from flower.errors import EmbedError

if TYPE_CHECKING:
    import onnxruntime

    from flower.engine.store.vector_rows import Vectors

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
# What models/all-MiniLM-L6-v2/build.py makes. Any other bytes may load and give wrong vectors.
SHA256 = {
    "model.onnx": "fae777d9cfb6a3076c6d95c24c2b790ad0b80df81cf9103458da185e84b532a4",
    "model.onnx.data": "855d1c8f336902830e4b2ca740294467da7a2006e87301e2986a458bf85f7830",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MODEL_ID = f"{NAME}-{SHA256['model.onnx'][:6]}{SHA256['model.onnx.data'][:6]}"

_PACKAGES = ("numpy", "onnxruntime")
_PROBE = "import numpy, onnxruntime; onnxruntime.get_available_providers()"


class Session:
    """The loaded model; lives in the embedder's thread only."""

    def __init__(self, models_dirs: Sequence[Path], state_dir: Path | None, threads: int) -> None:
        folder = find_model(models_dirs)
        check_native(_PACKAGES, _PROBE, state_dir)
        import onnxruntime

        self._tokenizer = WordPiece.read(folder / "tokenizer.json", limits.EMBED_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena keeps the memory of the largest batch for ever, which EMBED_BATCH_TOKENS bounds:
        # 10 MiB less at the peak than malloc, which fragments. A pattern would hold one per shape.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = False
        # Fused operators are slower here than the plain ones the graph was written with.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except RuntimeError as error:  # onnxruntime's own errors all derive from it
            raise EmbedError(f"onnxruntime cannot load {folder / 'model.onnx'}: {error}") from error

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._tokenizer.encode(_clean(text)) for text in texts]

    def run(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """Returns the vectors of texts that all have the same number of tokens."""
        import numpy as np

        ids = np.array(batch, np.int64)
        try:
            (vectors,) = self._session.run(None, {"input_ids": ids})
        except RuntimeError as error:
            raise EmbedError(f"the embedding model failed: {error}") from error
        return np.asarray(vectors, np.float32)


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
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"{path} is missing; restore the folder {NAME} from the release"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror}); restore it from the release"
        if found != expected:
            return f"{path} is damaged or of another version; restore it from the release"
    return ""


def _clean(text: str) -> str:
    """Returns what the tokenizer can read: bounded, without lone surrogates."""
    return text[: limits.EMBED_CHARS].encode("utf-8", "replace").decode("utf-8")
