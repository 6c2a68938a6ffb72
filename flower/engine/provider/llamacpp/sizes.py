"""Which models from files fit a machine, and how fast they would be. Pure.

The bytes of a weight are those of llama.cpp's quantisations (its ``quantize`` tool, bits per weight of a whole file);
what else a model takes is that of ``gguf.plan``. Speed follows from the bytes that are read for each token: a model of
twice the size says half as many words a second.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from flower import limits

BILLION = 1e9
CONTEXT_BYTES_SHARE = 0.12  # of the weights: the context of 8192 tokens, about


class Quantisation(Struct, frozen=True):
    """How weights are stored; ``bits`` a weight, over a whole file."""

    name: str
    bits: float
    about: str


class Size(Struct, frozen=True):
    """A usual size of models in billions of weights, and what to expect of it."""

    billions: float
    about: str


QUANTISATIONS = (
    Quantisation("Q4_K_M", 4.85, "the usual one: a third of the size, hardly worse"),
    Quantisation("Q8_0", 8.5, "as good as the original; for small models, which suffer more"),
)
SIZES = (
    Size(0.5, "tells short replies, forgets and repeats itself"),
    Size(1.5, "follows simple stories"),
    Size(3.0, "a fair narrator"),
    Size(4.0, "a fair narrator with more words"),
    Size(8.0, "a good narrator"),
    Size(12.0, "a very good narrator, mostly made for stories"),
    Size(24.0, "as good as it gets at home"),
)


class Measured(Struct, frozen=True):
    """A model from a file that has written something here: its bytes and its tokens a second."""

    name: str
    size_bytes: int
    tokens_per_second: float


def file_bytes(size: Size, quantisation: Quantisation) -> int:
    """Returns the bytes of a file, about."""
    return int(size.billions * BILLION * quantisation.bits / 8)


def needed_bytes(size: Size, quantisation: Quantisation) -> int:
    """Returns the memory a model takes with a full context, about."""
    weights = file_bytes(size, quantisation)
    return int(weights * (1 + CONTEXT_BYTES_SHARE)) + limits.LOCAL_OVERHEAD_BYTES


def sizes_for(memory_bytes: int) -> tuple[tuple[Size, Quantisation], ...]:
    """Returns what fits into a machine with so much memory, the best last."""
    room = memory_bytes - limits.LOCAL_RESERVE_BYTES
    return tuple(
        (size, quantisation)
        for size in SIZES
        for quantisation in QUANTISATIONS
        if needed_bytes(size, quantisation) <= room
    )


def advice(memory_bytes: int, cores: int, measured: Sequence[Measured]) -> str:
    """Returns what this machine can run, in lines for people who have never heard of GGUF."""
    lines = [f"This machine has {memory_bytes / BILLION:.1f} GB of memory and {cores} processor cores."]
    lines += [
        f"Measured: {one.name} ({one.size_bytes / BILLION:.1f} GB) tells {one.tokens_per_second:.1f} tokens a second,"
        f" about {one.tokens_per_second * 0.75:.0f} words."
        for one in measured
    ]
    fits = sizes_for(memory_bytes)
    if not fits:
        return "\n".join([*lines, "No model fits beside the rest; the offline narrator needs none."])
    lines.append("These fit (size in billions of weights, quantisation, file):")
    for size, quantisation in fits:
        weights = file_bytes(size, quantisation)
        speed = _speed(weights, measured)
        lines.append(
            f"  {size.billions:>4g}B {quantisation.name:<7} {weights / BILLION:5.1f} GB  {size.about}{speed}"
        )
    lines += [f"{one.name}: {one.about}." for one in QUANTISATIONS]
    return "\n".join(lines)


def _speed(weights: int, measured: Sequence[Measured]) -> str:
    if not measured or not weights:
        return ""
    best = max(measured, key=lambda one: one.size_bytes)  # the least of its time goes into other things
    return f", about {best.tokens_per_second * best.size_bytes / weights:.1f} tokens a second"
