"""Measures ``smoothing.json``: where the inputs of the 8-bit layers lie, channel by channel.

    python calibrate.py SOURCE

Runs the original in numpy over the texts below and writes, for the inputs of the query/key/value and
the intermediate layers, the mean of every channel (``shift``) and a ``scale`` that moves part of its
range into the weights: ``range ** ALPHA / largest weight ** (1 - ALPHA)``, after SmoothQuant (Xiao
and others, 2022). Only ``build.py``'s result is checked by its hash, so this file's result is kept:
the last bits of a matrix product differ from machine to machine.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from build import EPSILON, HEAD, HEADS, HERE, LAYERS, SMOOTHING_UNIT, read_weights
from numpy.typing import NDArray
from tokenizers import Tokenizer

# How much of a range moves into the weights; the best of a grid for the fidelity set.
ALPHA = {"attention": 0.8, "intermediate": 0.65}

Array = NDArray[Any]

# Prose, talk, lists, code, names, numbers, other scripts, and nothing at all: what lore may hold.
TEXTS = (
    "",
    "?",
    "Who are you?",
    "I open the door.",
    "Where did the old ferryman hide his ledger?",
    "The rain had not stopped for three days, and nobody would take them across. \"Wait for the moon,\""
    " he said, and spat into the brown water. Behind him the reeds moved although there was no wind.",
    "Captain Ilse Varga kept two ledgers: one for the harbour office, and one, bound in sharkskin, for"
    " herself. The second one was shorter, and it was the only one that told the truth about the fire.",
    "The guild has seven masters. Each is chosen for life, and each wears a ring of a different metal:"
    " iron, tin, copper, silver, gold, lead and quicksilver, which is kept in a ring of glass.",
    "# Places\n\n- The Docks: fog, tar, and the smell of old rope.\n- The Stair: 999 steps, one missing."
    "\n- The Lamp Quarter (closed after dark)\n\nSee also: Factions, Law, Money.",
    "name: Mara Venn\nage: 34\ntraits: [patient, proud, left-handed]\nwants: to find the drowned bell",
    "Chapter XII. In which the travellers reach the pass, lose a mule, and are glad of it.",
    "The treaty of 1412 gave the northern provinces to the crown, but the tolls of the river stayed"
    " with the cities, which led to forty years of lawsuits, two wars and the first printed newspaper.",
    "Salt, flour, lamp oil, twelve arrows, a coil of rope, 3 silver pieces and 40 copper bits.",
    "def roll(sides: int) -> int:\n    return random.randint(1, sides)  # never 0\n\nassert roll(6) < 7",
    "A gravitational lens bends the light of distant galaxies; from the distortion astronomers infer"
    " how much matter, visible or dark, lies between the source and the telescope.",
    "Bring a large pot of water to the boil, add the salt and the onions, and simmer for two hours."
    " Skim the foam. Season with pepper, thyme and a little vinegar just before serving.",
    "He laughed. She didn't. \"Again,\" said the judge, \"and this time without the parrot.\"",
    "WARNING!!! Do NOT feed the gargoyles after midnight -- they remember.",
    "Die Brücke war seit Jahren gesperrt, doch die Kinder kannten einen Weg darunter hindurch.",
    "La vieille horloge sonna treize coups, et personne dans la salle n'osa parler.",
    "¿Dónde está la llave del faro? Nadie lo sabe desde la tormenta.",
    "Где ключ от старого маяка? Никто не знает.",
    "灯台の鍵はどこにありますか。誰も知りません。",
    "🐉🔥 the dragon wakes 🔥🐉",
    "https://example.org/archive/2019/07/index.html?page=3&sort=date#notes",
    "Copyright (C) 1998, 2004 by the authors. This program is distributed in the hope that it will be"
    " useful, but WITHOUT ANY WARRANTY; without even the implied warranty of fitness.",
    "The elves left the forest long before the first towers were built. What remains of them are the"
    " paths that never flood, a few songs in a language without a word for war, and the habit of the"
    " woodcutters to ask a tree's leave before they strike it. Most of them no longer know whom they"
    " are asking.",
    "My sister fell ill in the second week of the siege. I sold the horse, then the saddle, then my"
    " father's sword, and on the last day of the year I went to the wall and offered the only thing"
    " that I had left, which was my name.",
)  # fmt: skip


class Original:
    """The fp32 network in numpy; keeps every input of the layers to be smoothed."""

    def __init__(self, tensors: dict[str, Array]) -> None:
        self.t = tensors
        self.seen: dict[str, list[Array]] = defaultdict(list)

    def read(self, ids: list[int]) -> None:
        words = self.t["embeddings.word_embeddings.weight"][ids]
        positions = self.t["embeddings.position_embeddings.weight"][: len(ids)]
        x = words + positions + self.t["embeddings.token_type_embeddings.weight"][0]
        x = self._norm("embeddings.LayerNorm", x)
        for layer in range(LAYERS):
            prefix = f"encoder.layer.{layer}."
            self.seen[prefix + "attention"].append(x)
            x = self._norm(prefix + "attention.output.LayerNorm", x + self._attend(prefix, x))
            self.seen[prefix + "intermediate"].append(x)
            wide = _gelu(self._linear(prefix + "intermediate.dense", x))
            x = self._norm(prefix + "output.LayerNorm", x + self._linear(prefix + "output.dense", wide))

    def _linear(self, name: str, x: Array) -> Array:
        return np.asarray(x @ self.t[name + ".weight"].T + self.t[name + ".bias"])

    def _norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
        return np.asarray(centred / spread * self.t[name + ".weight"] + self.t[name + ".bias"])

    def _attend(self, prefix: str, x: Array) -> Array:
        query, key, value = (
            self._linear(f"{prefix}attention.self.{part}", x).reshape(-1, HEADS, HEAD).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / np.sqrt(HEAD)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        mixed = (weights @ value).swapaxes(0, 1).reshape(len(x), -1)
        return self._linear(prefix + "attention.output.dense", mixed)


def _gelu(x: Array) -> Array:
    # erf after Abramowitz and Stegun 7.1.26, right to 1.5e-7
    size = np.abs(x) / np.sqrt(2)
    t = 1 / (1 + 0.3275911 * size)
    series = (
        (((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592
    ) * t
    return np.asarray(0.5 * x * (1 + np.sign(x) * (1 - series * np.exp(-size * size))))


def smoothing(tensors: dict[str, Array], name: str, inputs: Array) -> dict[str, list[int]]:
    """Returns shift and scale of every channel of one input, in units of 1 / ``SMOOTHING_UNIT``."""
    readers = (
        [f"{name}.self.{part}.weight" for part in ("query", "key", "value")]
        if name.endswith("attention")
        else [f"{name}.dense.weight"]
    )
    weight = np.abs(np.concatenate([tensors[reader] for reader in readers])).max(axis=0)
    shift = inputs.mean(axis=0)
    alpha = ALPHA[name.rpartition(".")[2]]
    scale = np.abs(inputs - shift).max(axis=0) ** alpha / weight ** (1 - alpha)
    scale /= np.median(scale)
    return {
        "shift": [round(value * SMOOTHING_UNIT) for value in shift.tolist()],
        "scale": [max(1, round(value * SMOOTHING_UNIT)) for value in scale.tolist()],
    }


def main() -> None:
    tensors = {
        name: value.astype(np.float64) for name, value in read_weights(Path(sys.argv[1])).items()
    }
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.no_padding()
    original = Original(tensors)
    for text in TEXTS:
        original.read(tokenizer.encode(text).ids)
    found = {
        name: smoothing(tensors, name, np.concatenate(inputs)) for name, inputs in original.seen.items()
    }
    (HERE / "smoothing.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
