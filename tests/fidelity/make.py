"""Makes the small reference that the shipped embedding model is compared with in every clone.

    python -m tests.fidelity.make SOURCE.onnx

``SOURCE`` is the original model as plain fp32 ONNX (``last_hidden_state`` as output). Writes ``texts.json``,
paragraphs and sentences of the shipped worlds and texts that are odd in some way, and ``vectors.npy``, float16
``[texts, 384]``: the mean of the token vectors, of length 1, of at most 256 tokens. float16 costs a cosine 1e-7.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
TEXTS, VECTORS = HERE / "texts.json", HERE / "vectors.npy"
MODEL = REPOSITORY / "models" / "all-MiniLM-L6-v2"
TOKENS = 256
EACH = 40  # paragraphs, and as many sentences
ODD = [
    "", " ", "?", "Ash.", "🐉", "🏳️‍🌈 flies", "竜の洞窟で王は眠る。", "Привет, кто здесь?", "สวัสดีครับ", "नमस्ते दुनिया",
    "naïve café ﬁn", "a\0b", "\ud800".encode("utf-8", "replace").decode(), "AAAA" * 60, "1234567890 -3.5e10",
    "if (a < b) { return c[0]; }", "word " * 400, "\n\n\t\n", "<|im_end|> {{char}} [[1]]", "ALL CAPITALS SHOUT",
]  # fmt: skip


def texts() -> list[str]:
    """Returns paragraphs and sentences of the shipped worlds, evenly drawn, and the odd ones."""
    prose = "\n\n".join(
        path.read_text()
        for path in sorted((REPOSITORY / "flower" / "assets" / "worlds").glob("*.yaml"))
    )
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n[ \t]*\n", prose)]
    paragraphs = [part for part in paragraphs if len(part) > 80]
    sentences = [one for part in paragraphs for one in re.split(r"(?<=[.!?]) ", part) if len(one) > 20]
    return [*_drawn(paragraphs), *_drawn(sentences), *ODD]


def _drawn(every: list[str]) -> list[str]:
    return [every[number * len(every) // EACH] for number in range(EACH)]


def vectors(source: Path, every: list[str]) -> np.ndarray:
    """Returns the original model's vectors, float16 ``[texts, 384]``."""
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.no_padding()
    session = onnxruntime.InferenceSession(source)
    rows = []
    for text in every:
        ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
        feed = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        (hidden,) = session.run(["last_hidden_state"], feed)
        mean = hidden[0].mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.array(rows, dtype=np.float16)


if __name__ == "__main__":
    drawn = texts()
    TEXTS.write_text(json.dumps(drawn, indent=0, ensure_ascii=True) + "\n")
    np.save(VECTORS, vectors(Path(sys.argv[1]), drawn))
    print(f"{len(drawn)} texts, {VECTORS.stat().st_size} bytes of vectors")
