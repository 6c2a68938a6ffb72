"""What recall has of one embedding model: its indexes, and what asks by it.

A library has one that is asked. When another model is chosen, the one of before is asked until every
passage has a vector of the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flower.engine.recall.base import Embedder, TokenEmbedder
from flower.engine.recall.candidates import Finder
from flower.engine.recall.fusion import Tuning
from flower.engine.recall.index import Indexes, Say
from flower.engine.recall.keywords import Keywords
from flower.engine.recall.questions import Questions
from flower.engine.recall.search import Searcher
from flower.engine.store.connection import Store


class ModelRecall:
    """The indexes, the searcher and the questions over one embedder."""

    def __init__(
        self,
        database: Store,
        embedder: Embedder,
        keywords: Keywords,
        index_dir: Path,
        *,
        say: Say,
        clock: Callable[[], float],
        tuning: Tuning,
    ) -> None:
        self.embedder = embedder
        model_id, dimension = embedder.model_id, embedder.dimension
        self.indexes = Indexes(database, model_id, dimension, index_dir, say)
        finder = Finder(database, self.indexes, keywords, model_id, dimension)
        self.searcher = Searcher(finder, clock, tuning)
        self.questions = Questions(embedder, tuning)


def makes_tokens(embedder: Embedder) -> bool:
    """Returns whether passages are to have token vectors of this embedder."""
    return isinstance(embedder, TokenEmbedder)
