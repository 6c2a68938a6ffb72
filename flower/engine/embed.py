"""Turns text into vectors: all-MiniLM-L6-v2 on onnxruntime, in one thread of its own.

``MiniLM`` owns that thread, the session and the tokenizer. Nothing is loaded, not even the modules,
before the first text comes. Requests are worked off in small batches; between two batches an urgent
request (a turn is waiting) goes first, so the background never delays a reply by more than one batch.

Never downloads anything, never touches the database.
"""

from __future__ import annotations

import gc
import hashlib
import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from flower import limits
from flower.engine.recall.probe import check_native
from flower.errors import EmbedError

if TYPE_CHECKING:
    from flower.engine.recall.base import Vectors

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

NAME = "all-MiniLM-L6-v2"
DIMENSION = 384
# What models/all-MiniLM-L6-v2/build.py makes. Any other bytes may load and give wrong vectors.
SHA256 = {
    "model.onnx": "fae777d9cfb6a3076c6d95c24c2b790ad0b80df81cf9103458da185e84b532a4",
    "model.onnx.data": "855d1c8f336902830e4b2ca740294467da7a2006e87301e2986a458bf85f7830",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MODEL_ID = f"{NAME}-{SHA256['model.onnx'][:6]}{SHA256['model.onnx.data'][:6]}"

_PACKAGES = ("numpy", "onnxruntime", "tokenizers")
_PROBE = "import numpy, onnxruntime, tokenizers; onnxruntime.get_available_providers()"
_URGENT, _LATER, _CLOSE = 0, 1, -1


class MiniLM:
    """The shipped embedding model; implements ``recall.base.Embedder``.

    ``models_dirs`` are searched in order for a folder ``all-MiniLM-L6-v2``. ``state_dir`` remembers
    that the native modules run here. ``threads`` is the number of cores one batch may use. After
    ``unload_after_s`` seconds without work the model leaves memory; ``None`` keeps it.
    """

    def __init__(
        self,
        models_dirs: Sequence[Path],
        *,
        state_dir: Path | None = None,
        threads: int = 1,
        unload_after_s: float | None = None,
    ) -> None:
        self._open = partial(_Session, models_dirs, state_dir, threads)
        self._unload_after_s = unload_after_s
        self._queue: queue.PriorityQueue[tuple[int, int, _Request | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._thread: threading.Thread | None = None

    @property
    def model_id(self) -> str:
        return MODEL_ID

    @property
    def dimension(self) -> int:
        return DIMENSION

    async def embed(self, texts: Sequence[str], *, urgent: bool = False) -> Vectors:
        """Returns one row of length 1 per text; raises ``EmbedError``.

        Text after ``limits.EMBED_TOKENS`` tokens does not count. Cancelling drops the batches that
        have not begun.
        """
        import numpy as np

        if not texts:
            await trio.lowlevel.checkpoint()
            return np.empty((0, DIMENSION), np.float32)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="embedder", daemon=True)
            self._thread.start()
        finished = trio.Event()
        token = trio.lowlevel.current_trio_token()
        request = _Request(texts, lambda: token.run_sync_soon(finished.set))
        self._queue.put((_URGENT if urgent else _LATER, next(self._order), request))
        try:
            await finished.wait()
        finally:
            request.dropped = True
        if request.error is not None:
            raise request.error
        return request.vectors

    def close(self) -> None:
        """Ends the thread after its current batch; waiting requests are never answered."""
        if self._thread is not None:
            self._queue.put((_CLOSE, next(self._order), None))
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        session: _Session | None = None
        while True:
            try:
                # With nothing loaded there is nothing to unload: sleep until work comes.
                timeout = None if session is None else self._unload_after_s
                priority, order, request = self._queue.get(timeout=timeout)
            except queue.Empty:
                session = None
                gc.collect()
                continue
            if request is None:
                return
            if request.dropped:
                continue
            try:
                session = session or self._open()
                if request.advance(session):
                    request.done()
                else:
                    self._queue.put((priority, order, request))
            except EmbedError as error:
                request.error = error
                request.done()


class _Request:
    """Texts on their way to vectors, a batch at a time."""

    def __init__(self, texts: Sequence[str], wake: Callable[[], None]) -> None:
        import numpy as np

        self.vectors = np.empty((len(texts), DIMENSION), np.float32)
        self.error: EmbedError | None = None
        self.dropped = False
        self._texts = texts
        self._wake = wake
        self._batches: list[list[int]] | None = None
        self._tokens: list[list[int]] = []

    def advance(self, session: _Session) -> bool:
        """Does one batch; returns whether that was the last."""
        if self._batches is None:
            self._tokens = session.tokenise(self._texts)
            self._batches = plan_batches([len(ids) for ids in self._tokens])
        batch = self._batches.pop()
        self.vectors[batch] = session.run([self._tokens[index] for index in batch])
        return not self._batches

    def done(self) -> None:
        try:
            self._wake()
        except trio.RunFinishedError:
            self.dropped = True  # the engine has ended; nobody waits any more


def plan_batches(lengths: Sequence[int]) -> list[list[int]]:
    """Returns batches of indices: one token length each, within ``limits.EMBED_BATCH_TOKENS``.

    The model has no attention mask, so a batch must not be padded. Batches come longest first, to be
    popped from the end: short texts are answered first.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[index]
        if batches:
            last = batches[-1]
            if lengths[last[0]] == length and (len(last) + 1) * length <= limits.EMBED_BATCH_TOKENS:
                last.append(index)
                continue
        batches.append([index])
    return batches


class _Session:
    """The loaded model; lives in the embedder's thread only."""

    def __init__(self, models_dirs: Sequence[Path], state_dir: Path | None, threads: int) -> None:
        folder = find_model(models_dirs)
        check_native(_PACKAGES, _PROBE, state_dir)
        import onnxruntime
        import tokenizers

        self._tokenizer: tokenizers.Tokenizer = tokenizers.Tokenizer.from_file(
            str(folder / "tokenizer.json")
        )
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(limits.EMBED_TOKENS)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena keeps the memory of the largest batch for ever, which EMBED_BATCH_TOKENS bounds:
        # 10 MiB less at the peak than malloc, which fragments. A pattern would hold one per shape.
        options.enable_cpu_mem_arena = True
        options.enable_mem_pattern = False
        # Fused operators are slower here than the plain ones the graph was written with.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: onnxruntime.InferenceSession = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except RuntimeError as error:  # onnxruntime's own errors all derive from it
            raise EmbedError(f"onnxruntime cannot load {folder / 'model.onnx'}: {error}") from error

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        clean = [_clean(text) for text in texts]
        # One by one: encode_batch would start a thread for every core.
        return [self._tokenizer.encode(text).ids for text in clean]

    def run(self, batch: Sequence[Sequence[int]]) -> Vectors:
        """Returns the vectors of texts that all have the same number of tokens."""
        import numpy as np

        ids = np.array(batch, np.int64)
        try:
            (vectors,) = self._session.run(None, {"input_ids": ids})
        except RuntimeError as error:
            raise EmbedError(f"the embedding model failed: {error}") from error
        return np.asarray(vectors, np.float32)


def find_model(models_dirs: Sequence[Path]) -> Path:
    """Returns the first folder with an intact model; raises ``EmbedError`` saying what is wrong."""
    wrong = ""
    for models in models_dirs:
        folder = models / NAME
        if folder.is_dir():
            wrong_here = _whats_wrong(folder)
            if not wrong_here:
                return folder
            wrong = wrong or wrong_here
    places = " or ".join(str(models) for models in models_dirs)
    raise EmbedError(wrong or f"the embedding model {NAME} is not in {places}; copy its folder there")


def _whats_wrong(folder: Path) -> str:
    for name, expected in SHA256.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return f"{path} is missing; restore the folder {NAME} from the release"
        except OSError as error:
            return f"{path} cannot be read ({error.strerror}); restore it from the release"
        if found != expected:
            return f"{path} is damaged or of another version; restore it from the release"
    return ""


def _clean(text: str) -> str:
    """Returns what the tokenizer can read: bounded, without lone surrogates."""
    return text[: limits.EMBED_CHARS].encode("utf-8", "replace").decode("utf-8")
