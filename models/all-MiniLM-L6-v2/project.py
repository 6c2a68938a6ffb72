"""Finds the 128 directions in which the vectors of single tokens differ most: ``projection.npy``.

    pip install onnx numpy onnxruntime tokenizers pyyaml
    python project.py model.safetensors        # from the repository's root, which has the texts

Recall compares a question's tokens with those of passages (late interaction). Of a passage's token only the
signs of 128 numbers are kept, so the directions are turned at random after they were found: then each sign
says as much as any other. Row 0 of the file is the mean of the tokens, the others the projection.
The file is kept because eigenvectors differ in their last bits between machines. The texts are those of the
recall benchmark; no question and no answer is used.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from build import PROJECTED, Builder, read_weights, save  # noqa: E402

from tests.bench.recall.collections import dialogue, load  # noqa: E402

TEXTS = 1_500
TOKENS = 60_000
LONGEST = 256


def main() -> None:
    rng = np.random.default_rng(0)
    smoothing = json.loads((HERE / "smoothing.json").read_text())
    with tempfile.TemporaryDirectory() as folder:
        save(Builder(read_weights(Path(sys.argv[1])), smoothing, None).model(), Path(folder))
        session = onnxruntime.InferenceSession(str(Path(folder) / "model.onnx"))
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    found = []
    for collection in (dialogue.load(), load.tale(), load.vael(), load.technical()):
        texts = [document.text for document in collection.documents]
        for text in (texts[place] for place in rng.permutation(len(texts))[:TEXTS]):
            ids = np.array([tokenizer.encode(text).ids], np.int64)
            (tokens,) = session.run(["tokens"], {"input_ids": ids})
            found.append(tokens[0] / np.linalg.norm(tokens[0], axis=1, keepdims=True))
    rows = np.concatenate(found)
    rows = rows[rng.permutation(len(rows))[:TOKENS]]
    mean = rows.mean(axis=0)
    _, directions = np.linalg.eigh(np.cov((rows - mean).T))
    turn, _ = np.linalg.qr(rng.normal(size=(PROJECTED, PROJECTED)))
    projection = directions[:, ::-1][:, :PROJECTED] @ turn
    np.save(HERE / "projection.npy", np.vstack([mean @ projection, projection]).astype(np.float16))


if __name__ == "__main__":
    main()
