"""Fidelity, speed and memory of the embedding model, beside the fp32 original in the same run.

python -m tests.bench.recall model
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import trio
from numpy.typing import NDArray
from tokenizers import Tokenizer

from flower import limits
from flower.engine.recall.minilm import NAME, MiniLM
from tests.bench.recall.measure import FP32, MODELS, SHARED, in_child, memory_mib, table

CHUNKS = 200
Embed = Callable[[Sequence[str]], NDArray[np.float32]]


def shipped(threads: int) -> Embed:
    minilm = MiniLM([MODELS], threads=threads)

    async def all_of(texts: Sequence[str]) -> NDArray[np.float32]:
        parts = [
            await minilm.embed(texts[start : start + limits.EMBED_REQUEST_TEXTS])
            for start in range(0, len(texts), limits.EMBED_REQUEST_TEXTS)
        ]
        return np.concatenate(parts)

    return lambda texts: trio.run(all_of, texts)


def plain_onnx(path: Path, threads: int) -> Embed:
    """The way most programs run it: padded batches of 8, masked, arena off."""
    tokenizer = Tokenizer.from_file(str(MODELS / NAME / "tokenizer.json"))
    tokenizer.enable_truncation(limits.EMBED_TOKENS)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(texts: Sequence[str]) -> NDArray[np.float32]:
        found = np.empty((len(texts), 384), np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), 8):
            part = order[start : start + 8]
            encodings = tokenizer.encode_batch([texts[index] for index in part])
            ids = np.array([encoding.ids for encoding in encodings], np.int64)
            mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            (hidden,) = session.run(None, inputs)
            pooled = (hidden * mask[:, :, None]).sum(axis=1)
            found[part] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return found

    return run


def sentence_transformers() -> Embed:
    module = importlib.import_module("sentence_transformers")
    model = module.SentenceTransformer(f"sentence-transformers/{NAME}")
    return lambda texts: np.asarray(model.encode(list(texts), normalize_embeddings=True), np.float32)


def child(kind: str, threads: int) -> dict[str, float]:
    """Embeds 200 chunks three times, then the fidelity set."""
    before = memory_mib()
    embed = {
        "shipped": lambda: shipped(threads),
        "fp32": lambda: plain_onnx(FP32, threads),
        "sentence-transformers": sentence_transformers,
    }[kind]()
    texts: list[str] = json.loads((SHARED / "fidelity_texts.json").read_text())
    expected = np.load(SHARED / "fidelity_vectors.npz")["vectors"]
    embed(texts[:1])
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        embed(texts[:CHUNKS])
        rates.append(CHUNKS / (time.perf_counter() - started))
    peak = memory_mib("VmHWM")
    vectors = embed(texts)
    cosines = (vectors * expected).sum(axis=1)
    same = (_nearest(vectors[:300]) == _nearest(expected[:300])).mean()
    return {
        "rate": sorted(rates)[1],
        "before": before,
        "peak": peak,
        "mean": float(cosines.mean()),
        "min": float(cosines.min()),
        "same": float(same),
    }


def _nearest(vectors: NDArray[np.float32]) -> NDArray[np.intp]:
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1.0)
    return np.asarray(likeness.argmax(axis=1))


def report() -> None:
    if not FP32.exists():
        print("\nmodel: skipped, the fp32 original is not here")
        return
    kinds = [("fp32", 1), ("shipped", 1), ("shipped", 2)]
    if importlib.util.find_spec("sentence_transformers") is None:
        print("\nsentence-transformers is not installed; its row is left out")
    else:
        kinds.append(("sentence-transformers", 1))
    rows = []
    base = 0.0
    for kind, threads in kinds:
        found = in_child("model", kind, str(threads))
        base = base or found["rate"]
        rows.append(
            [
                kind,
                threads,
                f"{found['rate']:.0f}",
                f"{found['rate'] / base:.2f}x",
                f"{found['mean']:.4f}",
                f"{found['min']:.4f}",
                f"{found['same']:.3f}",
                f"{found['peak']:.0f}",
                f"{found['peak'] - found['before']:.0f}",
            ]
        )
    table(
        f"Embedding {CHUNKS} chunks of 600 characters (peak includes this benchmark's own imports)",
        [
            "model",
            "threads",
            "chunks/s",
            "ratio",
            "cosine",
            "worst",
            "top-1 same",
            "peak MiB",
            "of it model",
        ],
        rows,
    )
