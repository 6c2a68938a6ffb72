"""Sentence models of the user's own: what a folder must have, what its vectors are, how one takes over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.testing

from flower.engine.recall import embedding_models
from flower.engine.recall.base import Embedder, Query
from flower.engine.recall.embedding_models import OwnModel, find_folder, read_config, tokenizer
from flower.engine.recall.library import PassageLibrary
from flower.engine.recall.tokenizers import Unigram
from flower.engine.store.sqlite.database import Database
from flower.errors import EmbedError
from tests.fakes import HashEmbedder

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "bell",
    "tide",
    "query",
    "passage",
    ":",
    "the",
    "door",
]
DIMENSION = 4


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _tensor_info(name: str, kind: int, rank: int) -> bytes:
    shape = b"".join(_bytes(1, _bytes(2, f"{name}{axis}")) for axis in range(rank))
    return _bytes(1, name) + _bytes(2, _bytes(1, _number(1, kind) + _bytes(2, shape)))


def onnx_model(table: np.ndarray) -> bytes:
    """Returns a model that looks every token up in a table, after the fields of onnx.proto."""
    rows = table.astype("<f4")
    weights = (
        b"".join(_number(1, size) for size in rows.shape)
        + _number(2, 1)
        + _bytes(8, "table")
        + _bytes(9, rows.tobytes())
    )
    node = _bytes(1, "table") + _bytes(1, "input_ids") + _bytes(2, "tokens") + _bytes(4, "Gather")
    graph = (
        _bytes(1, node)
        + _bytes(2, "lookup")
        + _bytes(5, weights)
        + _bytes(11, _tensor_info("input_ids", 7, 2))
        + _bytes(12, _tensor_info("tokens", 1, 3))
    )
    return _number(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, "") + _number(2, 13))


def table() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(len(WORDS), DIMENSION)).astype(np.float32)


def write_model(models: Path, name: str = "tiny", **config: object) -> Path:
    folder = models / name
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(onnx_model(table()))
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    (folder / "tokenizer.json").write_text(
        json.dumps({"model": {"type": "WordPiece", "vocab": vocabulary}})
    )
    (folder / "flower.json").write_text(json.dumps({"dimension": DIMENSION, **config}))
    return folder


@contextmanager
def opened(models: Path, name: str = "tiny") -> Iterator[OwnModel]:
    model = OwnModel([models], name)
    try:
        yield model
    finally:
        model.close()


def expected(words: Sequence[str], pooling: str) -> np.ndarray:
    rows = table()[[WORDS.index(word) for word in ("[CLS]", *words, "[SEP]")]]
    vector = rows[0] if pooling == "cls" else rows.mean(axis=0)
    return vector / np.linalg.norm(vector)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
async def test_a_text_is_the_pooled_vectors_of_its_tokens(tmp_path: Path, pooling: str) -> None:
    write_model(tmp_path, pooling=pooling)
    with opened(tmp_path) as model:
        vectors = await model.embed(["the bell", "tide", "The Bell"])
    assert vectors[0] == pytest.approx(expected(["the", "bell"], pooling), abs=1e-5)
    assert vectors[1] == pytest.approx(expected(["tide"], pooling), abs=1e-5)
    assert vectors[2] == pytest.approx(vectors[0])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda folder: (folder / "flower.json").unlink(), "flower.json cannot be read"),
        (lambda folder: (folder / "flower.json").write_text("{"), "flower.json is wrong"),
        (lambda folder: (folder / "flower.json").write_text('{"dimension": 0}'), "dimension must be"),
        (lambda folder: (folder / "flower.json").write_text('{"dimension": 4, "pool": 1}'), "pool"),
    ],
)
def test_a_folder_that_is_not_whole_is_named(tmp_path: Path, spoil: object, sentence: str) -> None:
    folder = write_model(tmp_path)
    spoil(folder)  # type: ignore[operator]
    with pytest.raises(EmbedError, match=sentence):
        read_config(folder)


@pytest.mark.parametrize("name", ["", "..", "../tiny", "none"])
def test_a_model_is_a_folder_in_models(tmp_path: Path, name: str) -> None:
    write_model(tmp_path / "models")
    with pytest.raises(EmbedError):
        find_folder([tmp_path / "models"], name)


async def test_a_dimension_that_is_not_the_models_is_said(tmp_path: Path) -> None:
    write_model(tmp_path, dimension=5)
    with opened(tmp_path) as model, pytest.raises(EmbedError, match=r"4 numbers, flower\.json says 5"):
        await model.embed(["bell"])


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"type": "BPE", "vocab": {}}}))
    with pytest.raises(EmbedError, match="kind BPE"):
        tokenizer(path, 64)
    path.write_text(json.dumps({"model": {"type": "Unigram", "vocab": [["a"]]}}))
    with pytest.raises(EmbedError, match="cannot be used"):
        tokenizer(path, 64)


def unigram() -> tuple[Unigram, list[tuple[str, float]]]:
    scored = {"<s>": 0.0, "<pad>": 0.0, "</s>": 0.0, "<unk>": 0.0, "\u2581": -3.0, "\u2581gl": -5.0}
    scored |= {"\u2581glo": -6.0, "cke": -4.5, "ocke": -7.0, "n": -3.0, "g": -6.0, "l": -5.5, "o": -5.2}
    scored |= {"c": -6.1, "k": -6.3, "e": -4.1, "\u2581die": -4.0}
    pieces = list(scored.items())
    return Unigram(pieces, 3, 64), pieces


def test_a_text_is_spelt_in_the_likeliest_way() -> None:
    """``▁glo`` + ``cke`` + ``n`` is likelier than ``▁gl`` + ``ocke`` + ``n``; what is unknown is one token."""
    ours, pieces = unigram()
    names = [pieces[i][0] for i in ours.encode("die  glocken \u4e00\u4e00")]
    marked = ["\u2581die", "\u2581glo", "cke", "n", "\u2581", "<unk>"]
    assert names == ["<s>", *marked, "</s>"]


def test_spelling_agrees_with_the_package_it_replaces() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    ours, pieces = unigram()
    theirs = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=3))
    theirs.normalizer = tokenizers.normalizers.NFKC()
    theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Metaspace()]
    )
    for text in ("die glocken", "gl o cke", "eeee", "\uff47locke", "glockenkegel \u00df die", "x", ""):
        assert ours.encode(text)[1:-1] == theirs.encode(text).ids, text


def test_a_long_text_is_cut() -> None:
    _, pieces = unigram()
    ids = Unigram(pieces, 3, 8).encode("die " * 50)
    assert len(ids) == 8
    assert (pieces[ids[0]][0], pieces[ids[-1]][0]) == ("<s>", "</s>")


class Noting(HashEmbedder):
    """An embedder with prefixes that keeps what it was given to read."""

    query_prefix, passage_prefix = "query: ", "passage: "
    broken = False

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    @property
    def model_id(self) -> str:
        return "noting"

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> np.ndarray:
        self.read += texts
        if self.broken:
            await trio.lowlevel.checkpoint()
            raise EmbedError("the new model is damaged")
        return await super().embed(texts, urgent=urgent)


@contextmanager
def a_library(
    database: Database, folder: Path, embedder: Embedder, previous: Embedder | None = None
) -> Iterator[tuple[PassageLibrary, list[str], list[str]]]:
    said: list[str] = []
    settled: list[str] = []
    yield (
        PassageLibrary(
            database,
            embedder,
            folder / "index",
            notify=lambda line, progress: said.append(line),
            previous=previous,
            settled=lambda: settled.append("settled"),
        ),
        said,
        settled,
    )


async def test_the_model_of_before_is_asked_until_all_vectors_are_new(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Then the new one takes over, told what is a question and what a passage."""
    database = await Database.open(tmp_path / "flower.db")
    old, new = HashEmbedder(), Noting()
    with a_library(database, tmp_path, old) as (library, _, _):
        await library.sync_source("lore:w", "book", "", "The bell rings at low water.")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
    with a_library(database, tmp_path, new, old) as (library, said, settled):
        found = await library.search("lore:w", "Which bell rings?")
        assert found[0].similarity is not None, "by the old vectors"
        assert (new.read, settled) == ([], [])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert settled == ["settled"]
            assert "✓ Recall goes by the new embedding model now." in said
            found = await library.recall(Query("Which bell rings?", lore_scope="lore:w"))
            nursery.cancel_scope.cancel()
    assert found[0].similarity is not None
    assert new.read == ["passage: The bell rings at low water.", "query: Which bell rings?"]
    await database.aclose()


async def test_a_new_model_that_fails_leaves_recall_with_the_old_one(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    database = await Database.open(tmp_path / "flower.db")
    old, new = HashEmbedder(), Noting()
    new.broken = True
    with a_library(database, tmp_path, new, old) as (library, said, settled):
        await library.sync_source("lore:w", "book", "", "The bell rings at low water.")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(library.run)
            await trio.testing.wait_all_tasks_blocked(0.05)
            found = await library.search("lore:w", "Which bell rings?")
            nursery.cancel_scope.cancel()
    assert len(found) == 1
    assert said == ["✗ Recall stays with the embedding model of before: the new model is damaged"]
    assert (settled, library.trouble) == ([], "")
    await database.aclose()


def test_the_chosen_model_comes_after_the_noted_one(tmp_path: Path) -> None:
    """A fresh choice is asked later, a noted one at once, one that is gone never."""
    write_model(tmp_path)
    fresh = embedding_models.choose([tmp_path], "tiny", tmp_path)
    assert (type(fresh.embedder), fresh.trouble) == (OwnModel, "")
    assert fresh.previous is not None
    embedding_models.note(tmp_path, "tiny")
    noted = embedding_models.choose([tmp_path], "tiny", tmp_path)
    assert (noted.embedder.model_id, noted.previous) == (fresh.embedder.model_id, None)
    gone = embedding_models.choose([tmp_path], "none", tmp_path)
    assert gone.embedder.model_id == noted.embedder.model_id
    assert "none is not in" in gone.trouble
    back = embedding_models.choose([tmp_path], "", tmp_path)
    assert back.previous is not None
    assert back.previous.model_id == noted.embedder.model_id


def test_other_files_make_another_model(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    before = OwnModel([tmp_path], "tiny").model_id
    (folder / "flower.json").write_text(json.dumps({"dimension": DIMENSION, "pooling": "cls"}))
    assert OwnModel([tmp_path], "tiny").model_id != before
