"""Builds ``model.onnx`` and its weights: all-MiniLM-L6-v2 in 8 bits, byte for byte the same anywhere.

    python build.py SOURCE [FOLDER]

``SOURCE`` is the original ``model.safetensors`` or a plain fp32 ONNX export of it; both hold the same
numbers, so both give the same bytes. Needs numpy and onnx, nothing else: the graph is written by hand.

What the graph does, and why it is written this way:

- Word embeddings are int8 with one scale per row, which costs nothing in fidelity. Token type 0 is
  folded into the positions, of which 256 are kept: longer input is cut before it comes here.
- Every linear layer multiplies 8-bit by 8-bit numbers. Activations get one scale per token, measured
  at run time; weights one per output. A scale per tensor loses ten times as much.
- The inputs of the query/key/value and the intermediate layers have a few channels ten times larger
  than the rest. ``smoothing.json`` holds a shift and a scale per channel which the layer
  normalisation before them absorbs; the residual path multiplies back.
- GELU is never below -0.17, so its output uses nearly the whole unsigned range for positive numbers.
- x86 processors without VNNI add two neighbouring products in 16 bits. Weight scales are chosen so
  that no pair of neighbours can overflow there: |w0| + |w1| <= 128. ARM64 has no such limit.
- There is no attention mask: a batch holds texts of one length only. Masks cost as much as softmax.
- Weights lie in a file of their own, which onnxruntime maps: of the word embeddings only the pages in
  use are in memory.
- The usual fused operators (Attention, SkipLayerNormalization, BiasGelu) are slower on CPU than the
  plain ones and are not used. The output is pooled and of length 1.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

HERE = Path(__file__).parent
HIDDEN, HEADS, LAYERS, POSITIONS = 384, 12, 6, 256
HEAD = HIDDEN // HEADS
PROJECTED = 128  # numbers a token has for late interaction
EPSILON = 1e-12  # of the layer normalisations, as trained
GELU_ZERO = 16  # the unsigned number that stands for 0.0 in GELU's output
GELU_MIN = 0.1701  # GELU is never below -0.16998
INLINE_BYTES = 1024  # constants up to here stay in the graph's own file
ALIGNMENT = 64  # bytes: a cache line
SMOOTHING_UNIT = 64.0  # smoothing.json holds integers, so that no float formatting can change a bit

Array = NDArray[Any]
FUSED = "com.microsoft"  # domain of ONNX Runtime's own operators


def read_weights(path: Path) -> dict[str, Array]:
    """Returns tensors by their PyTorch names, linear weights as ``[out, in]``."""
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_onnx(path)


def _read_safetensors(path: Path) -> dict[str, Array]:
    # 8 bytes little-endian header length, JSON header, raw tensors.
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            raw = np.frombuffer(data[8 + size + begin : 8 + size + end], dtype="<f4")
            tensors[name] = raw.reshape(entry["shape"])
    return tensors


def _read_onnx(path: Path) -> dict[str, Array]:
    graph = onnx.load(str(path)).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors = {
        name.removeprefix("m."): value for name, value in stored.items() if name.startswith("m.")
    }
    for node in graph.node:  # exporters transpose linear weights and name them by number
        if node.op_type == "MatMul" and node.input[1] in stored:
            name = node.name.strip("/").removeprefix("m/").removesuffix("/MatMul").replace("/", ".")
            tensors[name + ".weight"] = stored[node.input[1]].T
    return tensors


def quantise(weight: Array) -> tuple[Array, Array]:
    """Returns int8 ``[in, out]`` and a scale per output, safe for 16-bit sums of neighbouring pairs."""
    size = np.abs(weight)
    # After rounding each may grow by half a step: 127 + 2 * 0.5 = 128, and 255 * 128 < 2 ** 15.
    scale = np.maximum(size.max(axis=1), (size[:, 0::2] + size[:, 1::2]).max(axis=1)) / 127.0
    rounded = np.rint(weight / scale[:, None])
    assert (np.abs(rounded[:, 0::2]) + np.abs(rounded[:, 1::2])).max() <= 128
    return rounded.T.astype(np.int8), scale.astype(np.float32)


class Graph:
    """Collects nodes and constants under short names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def const(self, name: str, value: Array | float, kind: Any = np.float32) -> str:
        array = np.ascontiguousarray(np.asarray(value, dtype=kind))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, kind: str, *inputs: str, out: str = "", domain: str = "", **attributes: Any) -> str:
        out = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out


class Builder:
    """Writes the network into a ``Graph``, layer by layer."""

    def __init__(
        self, tensors: dict[str, Array], smoothing: dict[str, Any], projection: Array | None
    ) -> None:
        self.t = {name: value.astype(np.float64) for name, value in tensors.items()}
        self.smoothing = smoothing
        self.projection = projection
        self.g = Graph()

    def model(self) -> onnx.ModelProto:
        self._shared_constants()
        hidden = self._embed()
        for layer in range(LAYERS):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden, last=layer == LAYERS - 1)
        tokens = self.g.op("Reshape", hidden[0], self.to_rows)
        pooled = self.g.op("ReduceMean", tokens, "axis1", keepdims=0)
        width = self._project(tokens)
        self.g.op("LpNormalization", pooled, out="embedding", axis=-1, p=2)
        graph = helper.make_graph(
            self.g.nodes,
            "all-MiniLM-L6-v2",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])],
            [
                helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", HIDDEN]),
                helper.make_tensor_value_info(
                    "tokens", TensorProto.FLOAT, ["batch", "sequence", width]
                ),
            ],
            self.g.constants,
        )
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def _project(self, tokens: str) -> int:
        """Writes the output ``tokens``: of length 1, moved and projected; returns how wide it is.

        It changes nothing about ``embedding``, and who does not ask for it does not pay for it.
        """
        if self.projection is None:
            self.g.op("Identity", tokens, out="tokens")
            return HIDDEN
        mean, matrix = self.projection[0], self.projection[1:]
        unit = self.g.op("LpNormalization", tokens, axis=-1, p=2)
        projected = self.g.op("MatMul", unit, self.g.const("tokens.projection", matrix))
        self.g.op("Sub", projected, self.g.const("tokens.mean", mean), out="tokens")
        return PROJECTED

    def _shared_constants(self) -> None:
        g = self.g
        g.const("axis1", [1], np.int64)
        g.const("last_axis", [-1], np.int64)
        g.const("start", [0], np.int64)
        g.const("flat", [-1, HIDDEN], np.int64)
        g.const("one", 1.0)
        g.const("middle", 128, np.uint8)
        g.const("gelu_zero", GELU_ZERO, np.uint8)
        g.const("step", 1 / 127)
        g.const("gelu_step", 1 / (255 - GELU_ZERO))
        g.const("gelu_least", GELU_MIN / GELU_ZERO)
        g.const("least", 1e-8)  # a token of zeros must not divide by zero
        shape = g.op("Shape", "input_ids")
        self.to_rows = g.op("Concat", shape, g.const("hidden", [HIDDEN], np.int64), axis=0)
        self.to_heads = g.op("Concat", shape, g.const("heads", [HEADS, HEAD], np.int64), axis=0)

    def _embed(self) -> tuple[str, str]:
        g, words = self.g, self.t["embeddings.word_embeddings.weight"]
        scale = np.abs(words).max(axis=1, keepdims=True) / 127.0
        scale[scale == 0] = 1.0
        g.const("words", np.rint(words / scale), np.int8)
        g.const("word_scale", scale)
        positions = self.t["embeddings.position_embeddings.weight"][:POSITIONS]
        g.const("positions", (positions + self.t["embeddings.token_type_embeddings.weight"][0])[None])
        length = g.op("Shape", "input_ids", start=1, end=2)
        word = g.op("Cast", g.op("Gather", "words", "input_ids"), to=TensorProto.FLOAT)
        word = g.op("Mul", word, g.op("Gather", "word_scale", "input_ids"))
        x = g.op("Add", word, g.op("Slice", "positions", "start", length, "axis1"))
        x = g.op("Reshape", x, "flat")
        tokens = g.op("Shape", x, start=0, end=1)
        self.middles = g.op("Expand", "middle", tokens)
        self.gelu_zeros = g.op("Expand", "gelu_zero", tokens)
        return self._norm("embeddings.LayerNorm", x, "encoder.layer.0.attention")

    def _norm(self, name: str, x: str, smoothed: str) -> tuple[str, str]:
        """Returns (smoothed output, name of its smoothing): output * scale + shift is the real one."""
        gain, bias = self.t[name + ".weight"], self.t[name + ".bias"]
        if smoothed:
            shift, scale = self._smoothing(smoothed)
            gain, bias = gain / scale, (bias - shift) / scale
        g = self.g
        inputs = g.const(name + ".gain", gain), g.const(name + ".bias", bias)
        return g.op("LayerNormalization", x, *inputs, axis=-1, epsilon=EPSILON), smoothed

    def _smoothing(self, name: str) -> tuple[Array, Array]:
        entry = self.smoothing[name]
        return np.array(entry["shift"]) / SMOOTHING_UNIT, np.array(entry["scale"]) / SMOOTHING_UNIT

    def _layer(self, prefix: str, hidden: tuple[str, str], *, last: bool) -> tuple[str, str]:
        g = self.g
        x = self._residual(prefix + "attention.output", self._attend(prefix, hidden), hidden)
        attended = self._norm(prefix + "attention.output.LayerNorm", x, prefix + "intermediate")
        name = prefix + "intermediate.dense"
        wide = self._linear(name, self._quantise(attended[0]), *self._folded(name, attended[1]))
        wide = g.op("Gelu", wide, domain=FUSED)
        x = self._residual(prefix + "output", self._quantise(wide, gelu=True), attended)
        following = "" if last else f"encoder.layer.{int(prefix.split('.')[2]) + 1}.attention"
        return self._norm(prefix + "output.LayerNorm", x, following)

    def _attend(self, prefix: str, hidden: tuple[str, str]) -> tuple[str, str, str]:
        g = self.g
        quantised = self._quantise(hidden[0])
        parts = {}
        for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
            name = f"{prefix}attention.self.{part}"
            weight, bias = self._folded(name, hidden[1])
            if part == "query":  # the division by sqrt(head size) costs nothing here
                weight, bias = weight / math.sqrt(HEAD), bias / math.sqrt(HEAD)
            projected = self._linear(name, quantised, weight, bias)
            parts[part] = g.op("Transpose", g.op("Reshape", projected, self.to_heads), perm=order)
        weights = g.op("Softmax", g.op("MatMul", parts["query"], parts["key"]), axis=-1)
        mixed = g.op("Transpose", g.op("MatMul", weights, parts["value"]), perm=[0, 2, 1, 3])
        return self._quantise(g.op("Reshape", mixed, "flat"))

    def _folded(self, name: str, smoothed: str) -> tuple[Array, Array]:
        """Returns weight and bias of a linear layer that reads a smoothed input."""
        weight, bias = self.t[name + ".weight"], self.t[name + ".bias"]
        shift, scale = self._smoothing(smoothed)
        # math.fsum is exact, so the bytes do not depend on the order a BLAS adds in.
        moved = np.array([math.fsum(row) for row in (weight * shift).tolist()])
        return weight * scale, bias + moved

    def _residual(self, prefix: str, quantised: tuple[str, str, str], skipped: tuple[str, str]) -> str:
        """Returns linear(input) + skipped, with the smoothing of ``skipped`` undone."""
        g, name = self.g, prefix + ".dense"
        shift, scale = self._smoothing(skipped[1])
        out = self._linear(name, quantised, self.t[name + ".weight"], self.t[name + ".bias"] + shift)
        return g.op("Add", out, g.op("Mul", skipped[0], g.const(prefix + ".skip", scale)))

    def _quantise(self, x: str, *, gelu: bool = False) -> tuple[str, str, str]:
        """Returns (uint8 tokens, scale per token as a column, zero point)."""
        g = self.g
        if gelu:
            top = g.op("Mul", g.op("ReduceMax", x, "last_axis", keepdims=0), "gelu_step")
            scale = g.op("Max", top, "gelu_least")
        else:
            top = g.op("ReduceMax", g.op("Abs", x), "last_axis", keepdims=0)
            scale = g.op("Max", g.op("Mul", top, "step"), "least")
        zeros = self.gelu_zeros if gelu else self.middles
        numbers = g.op("QuantizeLinear", x, scale, zeros, axis=0)
        return numbers, g.op("Unsqueeze", scale, "axis1"), "gelu_zero" if gelu else "middle"

    def _linear(self, name: str, x: tuple[str, str, str], weight: Array, bias: Array) -> str:
        g, (numbers, scale, zero) = self.g, x
        rounded, step = quantise(weight)
        inputs = (
            g.const(name + ".weight", rounded, np.int8),
            "one",
            g.const(name + ".scale", step),
            zero,
        )
        product = g.op("MatMulIntegerToFloat", numbers, *inputs, domain=FUSED)
        return g.op("Add", g.op("Mul", product, scale), g.const(name + ".bias", bias))


def save(model: onnx.ModelProto, folder: Path) -> list[Path]:
    """Writes the graph, and every constant of more than ``INLINE_BYTES`` into a second file."""
    graph, weights = folder / "model.onnx", folder / "model.onnx.data"
    offset = 0
    with weights.open("wb") as file:
        for tensor in model.graph.initializer:
            raw = tensor.raw_data
            if len(raw) <= INLINE_BYTES:
                continue
            padding = -offset % ALIGNMENT
            file.write(bytes(padding) + raw)
            set_external_data(tensor, weights.name, offset=offset + padding, length=len(raw))
            tensor.ClearField("raw_data")
            offset += padding + len(raw)
    graph.write_bytes(model.SerializeToString(deterministic=True))
    return [graph, weights]


def main() -> None:
    source = Path(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE
    smoothing = json.loads((HERE / "smoothing.json").read_text())
    projection = np.load(HERE / "projection.npy").astype(np.float32)  # made by project.py
    for path in save(Builder(read_weights(source), smoothing, projection).model(), folder):
        data = path.read_bytes()
        print(f"{hashlib.sha256(data).hexdigest()}  {path.name}  {len(data)} bytes")


if __name__ == "__main__":
    main()
