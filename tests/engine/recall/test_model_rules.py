"""Small rules of an embedding model of one's own, one by one: what it may be given, what makes it another one."""

from __future__ import annotations

import json
import mmap
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flower import limits
from flower.engine.recall import embedding_models, minilm
from flower.engine.recall.embedding_models import (
    CONFIG,
    OwnSession,
    fingerprint,
    read_config,
    tokenizer,
)
from flower.engine.recall.tokenizers import PieceTable, WordPiece
from flower.errors import EmbedError

EDGE = embedding_models._EDGE_BYTES


def folder_of(path: Path, **config: object) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    (path / CONFIG).write_text(json.dumps({"dimension": 2, **config}))
    (path / "model.onnx").write_bytes(b"a" * 3 * EDGE)
    (path / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}}})
    )
    return path


# --- what a folder may say ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [("dimension", 1, True), ("dimension", 4096, True), ("dimension", 0, False), ("dimension", 4097, False),
     ("max_tokens", 8, True), ("max_tokens", 8192, True), ("max_tokens", 7, False), ("max_tokens", 8193, False)],
)  # fmt: skip
def test_a_model_has_so_many_numbers_and_reads_so_many_tokens(
    tmp_path: Path, name: str, value: int, fits: bool
) -> None:
    folder = folder_of(tmp_path, **{name: value})
    if fits:
        assert getattr(read_config(folder), name) == value
        return
    with pytest.raises(EmbedError, match=f"{name} must be"):
        read_config(folder)


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json"])
def test_each_file_of_a_model_is_needed(tmp_path: Path, missing: str) -> None:
    folder = folder_of(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(EmbedError, match=f"{missing} is missing"):
        read_config(folder)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ({"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}}}, True),
        ({"model": {"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}}, "normalizer": None}, True),
        (
            {
                "model": {"vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2}},
                "normalizer": {"lowercase": False},
            },
            False,
        ),
        ({"model": {"type": "BPE"}}, False),
        ({"model": {}}, False),
        ({}, False),
    ],
)
def test_a_tokenizer_splits_words_in_small_letters(
    tmp_path: Path, file: Mapping[str, object], fits: bool
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file))
    if fits:
        assert tokenizer(path, 8).encode("x")
        return
    with pytest.raises(EmbedError, match=r"can be used|cannot be used"):
        tokenizer(path, 8)


def test_a_model_is_used_as_most_are_unless_it_says_otherwise(tmp_path: Path) -> None:
    config = read_config(folder_of(tmp_path, dimension=384))
    assert (config.query_prefix, config.passage_prefix, config.pooling) == ("", "", "mean")
    assert config.max_tokens == 256


# --- what makes it another one ------------------------------------------------------------------


def changed(name: str, at: int) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] = ord("b")
        (folder / name).write_bytes(data)

    return change


@pytest.mark.parametrize(
    ("change", "other"),
    [
        (changed("model.onnx", 0), True), (changed("model.onnx", EDGE - 1), True), (changed("model.onnx", -1), True),
        (changed("model.onnx", 2 * EDGE), True), (changed("model.onnx", EDGE + EDGE // 2), False),
        (lambda folder: (folder / "model.onnx").write_bytes(b"a" * (3 * EDGE + 1)), True),
        (lambda folder: (folder / "model.onnx").rename(folder / "n.onnx"), True),
        (lambda folder: (folder / "model.onnx_data").write_bytes(b"w"), True),
        (lambda folder: (folder / "readme.txt").write_text("w"), False),
        (lambda folder: (folder / "more.json").mkdir(), False),
    ],
)  # fmt: skip
def test_a_model_is_told_from_another_by_names_sizes_and_both_ends_of_its_files(
    tmp_path: Path, change: Callable[[Path], object], other: bool
) -> None:
    folder = folder_of(tmp_path)
    before = fingerprint(folder)
    change(folder)
    assert (fingerprint(folder) != before) is other
    assert len(before) == 12


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match="cannot be read"):
        fingerprint(tmp_path / "gone")


# --- what it is given and gives -----------------------------------------------------------------


def session(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    inputs: Sequence[str],
    output: object,
    **config: object,
) -> tuple[OwnSession, list[Mapping[str, Any]]]:
    """A model that gives ``output`` whatever it is given, and what that was."""
    given: list[Mapping[str, Any]] = []

    def run(_names: None, feeds: Mapping[str, Any]) -> list[object]:
        given.append(feeds)
        if isinstance(output, Exception):
            raise output
        return [output]

    loaded = SimpleNamespace(get_inputs=lambda: [SimpleNamespace(name=one) for one in inputs], run=run)
    monkeypatch.setattr(embedding_models, "open_session", lambda *_: loaded)
    folder_of(folder, **config)
    return OwnSession(folder, read_config(folder), None, 1), given


ALL = ("input_ids", "attention_mask", "token_type_ids")


@pytest.mark.parametrize(
    ("inputs", "fits"), [(ALL[:1], True), (ALL, True), (ALL[1:], False), ((*ALL, "pixels"), False)]
)
def test_a_model_is_given_the_inputs_that_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: Sequence[str], fits: bool
) -> None:
    output = np.ones((2, 3, 2))
    if not fits:
        with pytest.raises(EmbedError, match=f"has the inputs {', '.join(sorted(inputs))}; input_ids"):
            session(monkeypatch, tmp_path, inputs, output)
        return
    model, given = session(monkeypatch, tmp_path, inputs, output)
    model.run([[1, 0, 2], [1, 5, 2]])
    assert set(given[0]) == set(inputs)
    wanted = {ALL[0]: [[1, 0, 2], [1, 5, 2]], ALL[1]: [[1, 1, 1]] * 2, ALL[2]: [[0, 0, 0]] * 2}
    assert {name: value.tolist() for name, value in given[0].items()} == {
        one: wanted[one] for one in inputs
    }


@pytest.mark.parametrize(
    ("pooling", "output", "vector"),
    [
        ("mean", [[[3.0, 0.0], [3.0, 8.0]]], [0.6, 0.8]),
        ("cls", [[[3.0, 0.0], [3.0, 8.0]]], [1.0, 0.0]),
        ("mean", [[3.0, 4.0]], [0.6, 0.8]),  # pooled already
        ("mean", [[0.0, 0.0]], [0.0, 0.0]),
    ],
)
def test_a_vector_has_length_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pooling: str, output: object, vector: list[float]
) -> None:
    model, _ = session(monkeypatch, tmp_path, ALL, output, pooling=pooling)
    vectors, tokens = model.run([[1, 2]])
    assert vectors[0].tolist() == pytest.approx(vector)
    assert [one.size for one in tokens] == [0]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ([[1.0, 2.0, 3.0]], "makes vectors of 3 numbers, flower.json says 2"),
        (RuntimeError("full"), "failed: full"),
    ],
)
def test_what_is_wrong_with_a_models_output_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, output: object, says: str
) -> None:
    model, _ = session(monkeypatch, tmp_path, ALL, output)
    with pytest.raises(EmbedError, match=says):
        model.run([[1, 2]])


def test_the_shipped_model_is_made_of_the_files_of_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[tuple[object, ...]] = []
    session = SimpleNamespace(run=lambda names, feeds: ([[1.0, 2.0]], [np.array([[1], [2], [3]])]))
    vocabulary = PieceTable({"[CLS]": 0, "a": 1, ",": 2})
    words = SimpleNamespace(madvise=lambda advice: calls.append(("let go", advice)))

    def note(name: str, result: object) -> Callable[..., object]:
        def called(*values: object) -> object:
            calls.append((name, *values))
            return result

        return called

    monkeypatch.setattr(minilm, "find_model", note("find", tmp_path))
    monkeypatch.setattr(minilm, "check_native", note("check", None))
    monkeypatch.setattr(minilm, "_mapped_words", note("words", (words, "rows")))
    monkeypatch.setattr(minilm, "open_session", note("session", session))
    read = note("tokenizer", SimpleNamespace(vocabulary=vocabulary, encode=lambda text: [0, len(text)]))
    monkeypatch.setattr(WordPiece, "read", read)
    model = minilm.OnnxModel([tmp_path], None, 3)
    assert calls[2:] == [
        ("words", tmp_path / "model.onnx.data"),
        ("session", tmp_path / "model.onnx", None, 3, {"words": "rows"}),
        ("tokenizer", tmp_path / "tokenizer.json", limits.EMBED_TOKENS),
    ]
    assert model.tokenise(["abc"]) == [[0, 3]]
    vectors, tokens = model.run([[0, 1, 2]])
    assert (vectors.tolist(), tokens[0].tolist()) == ([[1.0, 2.0]], [[2]])
    model.rest()
    assert calls[-1] == ("let go", mmap.MADV_DONTNEED)


@pytest.mark.parametrize(
    ("before", "name", "asked", "previous"),
    [
        ("", "", "", None), ("a", "a", "a", None), ("", "a", "a", ""), ("a", "", "", "a"),
        ("gone", "a", "a", ""), ("a", "gone", "a", None), ("gone", "gone", "", None),
    ],
)  # fmt: skip
def test_a_model_that_is_chosen_comes_after_the_one_of_before(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    before: str,
    name: str,
    asked: str,
    previous: str | None,
) -> None:
    def own(_dirs: object, name: str, **_: object) -> str:
        if name == "gone":
            raise EmbedError("gone")
        return name

    monkeypatch.setattr(embedding_models, "MiniLM", lambda _dirs, **_: "")
    monkeypatch.setattr(embedding_models, "OwnModel", own)
    embedding_models.note(tmp_path, before)
    chosen = embedding_models.choose([tmp_path], name, tmp_path)
    models: tuple[object, object] = chosen.embedder, chosen.previous
    assert models == (asked, previous)
    assert chosen.trouble == ("gone" if name == "gone" else "")


def test_the_folder_of_a_model_is_in_the_first_place_that_has_it(tmp_path: Path) -> None:
    for place in ("b/m", "c/m"):
        (tmp_path / place).mkdir(parents=True)
    places = [tmp_path / name for name in "abc"]
    assert embedding_models.find_folder(places, "m") == tmp_path / "b" / "m"
    with pytest.raises(EmbedError, match=r"n is not in \S+/a or \S+/b or \S+/c"):
        embedding_models.find_folder(places, "n")
    for name in ("", ".", "..", "b/m", "/m"):
        with pytest.raises(EmbedError, match="must be the name of a folder"):
            embedding_models.find_folder(places, name)


def test_a_session_keeps_to_its_threads_and_copies_no_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As a batch is short and words of a reply wait beside it."""

    def note(name: str, value: object) -> None:
        setattr(options, name.rpartition(".")[2], value)

    options: Any = SimpleNamespace(add_session_config_entry=note, add_initializer=note)

    def load(path: str, _options: object, *, providers: Sequence[str]) -> str:
        if path.endswith("broken"):
            raise RuntimeError("no graph")
        return f"{path} on {providers[0]}"

    levels = SimpleNamespace(ORT_ENABLE_BASIC="basic")
    values = SimpleNamespace(ortvalue_from_numpy=lambda rows: rows)
    runtime = SimpleNamespace(
        SessionOptions=lambda: options,
        GraphOptimizationLevel=levels,
        InferenceSession=load,
        OrtValue=values,
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    monkeypatch.setattr(minilm, "check_native", lambda *_: None)
    loaded: object = minilm.open_session(Path("m"), None, 3, {"words": "rows"})
    assert loaded == "m on CPUExecutionProvider"
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert (options.enable_cpu_mem_arena, options.enable_mem_pattern) == (True, False)
    assert (options.graph_optimization_level, options.allow_spinning, options.words) == (
        "basic",
        "0",
        "rows",
    )
    assert options.log_severity_level == 3  # errors and worse
    with pytest.raises(EmbedError, match="onnxruntime cannot load broken: no graph"):
        minilm.open_session(Path("broken"), None, 1)
    weights = tmp_path / "weights"
    with weights.open("wb") as file:
        file.write(b"\x01\xff")
        file.truncate(30_522 * 384 + 99)
    mapped, rows = minilm._mapped_words(weights)
    table: Any = rows
    assert (table.shape, len(mapped), table[0, :3].tolist()) == ((30_522, 384), table.size, [1, -1, 0])
