"""Which embedding model recall goes by: the one the settings name, else the shipped one; and which one before.

Owns the note of the model whose vectors are complete, a file beside the indexes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from flower.engine.recall.embedder import MiniLM, OnnxEmbedder
from flower.engine.recall.own_model import OwnModel
from flower.errors import EmbedError

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
