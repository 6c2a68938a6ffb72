"""Which embedding model recall goes by: the one the settings name, else the shipped one; and which one before.

A model of the user's own is a folder in ``models/`` with ``model.onnx``, ``tokenizer.json`` and ``flower.json``, which
says how it is to be used. It gets ``input_ids`` and, if it has such inputs, ``attention_mask`` and ``token_type_ids``;
its first output is a vector for each token, or one for each text.

Owns what may be in ``flower.json``, and the note of the model whose vectors are complete, a file beside the indexes.
Never downloads anything.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct

from flower import file_io, limits
from flower.engine.recall.embedder import OnnxEmbedder
from flower.engine.recall.minilm import MiniLM, clean, open_session
from flower.engine.recall.tokenizers import Unigram, WordPiece, read_file
from flower.errors import EmbedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from flower.engine.store.vector_rows import TokenVectors, Vectors

log = logging.getLogger(__name__)

NOTE = "embedding-model"


class ChosenModels(Struct, frozen=True):
    """The embedder to use, the one to ask until its vectors are there, and what is wrong with the chosen one."""

    embedder: MiniLM | OwnModel
    previous: MiniLM | OwnModel | None = None
    trouble: str = ""

    def close(self) -> None:
        """Ends the threads of both."""
        for one in (self.embedder, self.previous):
            if isinstance(one, OnnxEmbedder):
                one.close()


def choose(
    models_dirs: Sequence[Path],
    name: str,
    index_dir: Path,
    *,
    threads: int = 1,
    unload_after_s: float | None = None,
) -> ChosenModels:
    """Returns the models; a chosen one that cannot be read leaves recall with the one of before."""

    def made(named: str) -> MiniLM | OwnModel:
        if not named:
            return MiniLM(
                models_dirs, threads=threads, unload_after_s=unload_after_s, state_dir=index_dir
            )
        return OwnModel(
            models_dirs, named, threads=threads, unload_after_s=unload_after_s, state_dir=index_dir
        )

    before = _noted(index_dir)
    try:
        embedder = made(name)
    except EmbedError as error:
        return ChosenModels(_or_shipped(made, before), trouble=str(error))
    if before == name:
        return ChosenModels(embedder)
    return ChosenModels(embedder, previous=_or_shipped(made, before))


def _or_shipped(made: Callable[[str], MiniLM | OwnModel], name: str) -> MiniLM | OwnModel:
    try:
        return made(name)
    except EmbedError as error:
        log.warning("the embedding model of before is gone: %s", error)
        return made("")


def _noted(index_dir: Path) -> str:
    """Returns the model whose vectors are complete: the shipped one where nothing was noted."""
    try:
        return (index_dir / NOTE).read_text(errors="replace").strip()
    except OSError:
        return ""


def note(index_dir: Path, name: str) -> None:
    """Notes that the vectors of a model are complete; a disk that takes it not costs nothing but time."""
    if name == _noted(index_dir):
        return
    try:
        (index_dir / NOTE).write_text(name)
    except OSError as error:
        log.warning("the embedding model could not be noted: %s", error)


# --- A model of the user's own


CONFIG = "flower.json"
_MOST_DIMENSIONS, _MOST_TOKENS = 4096, 8192
_EDGE_BYTES = (
    1 << 20
)  # of the weights that tell one model from another: all of them take seconds to read


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``flower.json``: how a model is used."""

    dimension: int
    query_prefix: str = ""  # in front of what is looked for, for example "query: "
    passage_prefix: str = ""  # in front of what is found
    pooling: Literal["mean", "cls"] = "mean"
    max_tokens: int = 256


class OwnModel(OnnxEmbedder):
    """The embedder over a user's model; implements ``recall.base.PrefixedEmbedder``."""

    def __init__(
        self,
        models_dirs: Sequence[Path],
        name: str,
        *,
        state_dir: Path | None = None,
        threads: int = 1,
        unload_after_s: float | None = None,
    ) -> None:
        """Raises ``EmbedError`` saying what is wrong with the folder."""
        folder = find_folder(models_dirs, name)
        config = read_config(folder)
        self.query_prefix, self.passage_prefix = config.query_prefix, config.passage_prefix
        super().__init__(
            partial(OwnSession, folder, config, state_dir, threads),
            f"{name}-{fingerprint(folder)}",
            config.dimension,
            state_dir=state_dir,
            unload_after_s=unload_after_s,
        )

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Returns one row of length 1 per text; raises ``EmbedError``."""
        return (await self._encoded(texts, urgent=urgent)).vectors


def find_folder(models_dirs: Sequence[Path], name: str) -> Path:
    """Returns the folder of a model by its name; raises ``EmbedError``."""
    if not name or name in (".", "..") or Path(name).name != name:
        raise EmbedError(f"embedding.model is {name!r}; it must be the name of a folder in models")
    for models in models_dirs:
        if (models / name).is_dir():
            return models / name
    places = " or ".join(str(models) for models in models_dirs)
    raise EmbedError(f"the embedding model {name} is not in {places}; copy its folder there")


def read_config(folder: Path) -> ModelConfig:
    """Returns how a model is used; raises ``EmbedError``."""
    path = folder / CONFIG
    try:
        config = msgspec.json.decode(file_io.read(path, limits.MIB), type=ModelConfig)
    except OSError as error:
        raise EmbedError(f"{path} cannot be read ({error.strerror})") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise EmbedError(f"{path} is wrong: {error}") from error
    if not 1 <= config.dimension <= _MOST_DIMENSIONS:
        raise EmbedError(f"{path}: dimension must be 1 to {_MOST_DIMENSIONS}")
    if not 8 <= config.max_tokens <= _MOST_TOKENS:
        raise EmbedError(f"{path}: max_tokens must be 8 to {_MOST_TOKENS}")
    for name in ("model.onnx", "tokenizer.json"):
        if not (folder / name).is_file():
            raise EmbedError(f"{folder / name} is missing")
    return config


def fingerprint(folder: Path) -> str:
    """Returns what changes when the same text may get another vector; raises ``EmbedError``."""
    digest = hashlib.sha256()
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file() and (path.suffix in (".json", ".onnx") or ".onnx" in path.name):
                size = path.stat().st_size
                digest.update(f"{path.name}\0{size}\0".encode())
                with file_io.opened(path) as file:
                    digest.update(file.read(_EDGE_BYTES))
                    file.seek(max(0, size - _EDGE_BYTES))
                    digest.update(file.read(_EDGE_BYTES))
    except OSError as error:
        raise EmbedError(f"{folder} cannot be read ({error.strerror})") from error
    return digest.hexdigest()[:12]


class OwnSession:
    """The loaded model; lives in the embedder's thread only."""

    def __init__(self, folder: Path, config: ModelConfig, state_dir: Path | None, threads: int) -> None:
        self._config = config
        self._tokenizer = tokenizer(folder / "tokenizer.json", config.max_tokens)
        self._session = open_session(folder / "model.onnx", state_dir, threads)
        self._inputs = {one.name for one in self._session.get_inputs()}
        unknown = self._inputs - {"input_ids", "attention_mask", "token_type_ids"}
        if "input_ids" not in self._inputs or unknown:
            raise EmbedError(
                f"{folder / 'model.onnx'} has the inputs {', '.join(sorted(self._inputs))}; input_ids, "
                "attention_mask and token_type_ids are what a sentence model gets"
            )

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        return [self._tokenizer.encode(clean(text)) for text in texts]

    def run(self, batch: Sequence[Sequence[int]]) -> tuple[Vectors, list[TokenVectors]]:
        """Returns the vectors of texts that all have the same number of tokens; none of their tokens."""
        import numpy as np

        ids = np.array(batch, np.int64)
        feeds = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        try:
            output = self._session.run(None, {name: feeds[name] for name in self._inputs})[0]
        except RuntimeError as error:
            raise EmbedError(f"the embedding model failed: {error}") from error
        vectors = _pooled(np.asarray(output, np.float32), self._config.pooling)
        if vectors.shape != (len(batch), self._config.dimension):
            raise EmbedError(
                f"the embedding model makes vectors of {vectors.shape[-1]} numbers, {CONFIG} says "
                f"{self._config.dimension}"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        nothing = np.empty((0, 0), np.float32)
        return vectors / np.maximum(lengths, 1e-9), [nothing for _ in batch]

    def rest(self) -> None:
        """Keeps what it has: where which weights lie is not known."""


def _pooled(output: NDArray[np.float32], pooling: str) -> NDArray[np.float32]:
    """Returns a vector for each text. No text is padded, so that the mean is over all of its tokens."""
    if output.ndim != 3:
        return output
    pooled: NDArray[np.float32] = output[:, 0] if pooling == "cls" else output.mean(axis=1)
    return pooled


def tokenizer(path: Path, tokens: int) -> WordPiece | Unigram:
    """Returns the tokenizer of a ``tokenizer.json``; raises ``EmbedError`` for kinds that are not known."""
    file = read_file(path)
    try:
        kind = file["model"].get("type", "WordPiece")
        if kind == "Unigram":
            return Unigram.of(file, tokens)
        if kind == "WordPiece" and (file.get("normalizer") or {}).get("lowercase", True):
            return WordPiece(file["model"]["vocab"], tokens)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise EmbedError(f"{path} cannot be used ({error!r})") from error
    raise EmbedError(
        f"{path} is of the kind {kind}; WordPiece in small letters and Unigram can be used"
    )
