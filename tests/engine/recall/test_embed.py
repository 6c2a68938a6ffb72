"""The embedding model: faithful, patient with the background, clear when it cannot run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flower import limits, machine
from flower.engine.recall import embedder, native_check
from flower.engine.recall import minilm as model_files
from flower.engine.recall.embedder import EMBED_BATCH_TOKENS, Job, Pool
from flower.engine.recall.minilm import DIMENSION, NAME, TOKEN_WIDTH, MiniLM, OnnxModel, find_model
from flower.engine.recall.native_check import check_native
from flower.errors import EmbedError
from tests.paths import ROOT

if TYPE_CHECKING:
    from flower.engine.store.vector_rows import TokenVectors, Vectors

MODELS = ROOT / "models"
REFERENCE = ROOT / "tests" / "fidelity"  # small, in every clone; make.py there says how it came to be
FIDELITY = ROOT.parent / "shared" / "minilm"  # large, where there is one


@pytest.fixture(scope="module")
def model() -> Iterator[MiniLM]:
    """The shipped model; one for all tests, as loading takes longer than most of them."""
    minilm = MiniLM([MODELS])
    yield minilm
    minilm.close()


async def test_vectors_have_length_one_and_mean_something(model: MiniLM) -> None:
    vectors = await model.embed(
        ["Who rules the city below the docks?", "The harbour is governed by a council.", "I like jam."]
    )
    assert vectors.shape == (3, model.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


async def test_a_vector_does_not_depend_on_its_company(model: MiniLM) -> None:
    """Batches are not padded, and every token is scaled by itself."""
    texts = ["The tide is out.", "A much longer sentence about the lamps on the quay.", "Ash.", "Rain."]
    together = await model.embed(texts)
    alone = np.concatenate([await model.embed([text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-5


async def test_odd_texts_have_vectors(model: MiniLM) -> None:
    """Empty, other scripts, lone surrogates, NUL, and far too long ones."""
    odd = ["", "  ", "竜の洞窟", "🐉", "\ud800", "a\0b", "word " * 100_000]
    vectors = await model.embed(odd)
    assert np.isfinite(vectors).all()
    assert await model.embed([]) == pytest.approx(np.empty((0, 384)))


async def test_text_after_the_limit_does_not_count(model: MiniLM) -> None:
    start = "tide " * (limits.EMBED_TOKENS + 10)
    long, longer = await model.embed([start, start + "and a dragon"])
    assert np.array_equal(long, longer)


async def test_the_shipped_model_agrees_with_its_source(model: MiniLM) -> None:
    """Cosine to the fp32 model's vectors, and whose nearest neighbour is whose, on 100 texts."""
    texts = json.loads((REFERENCE / "texts.json").read_text())
    expected = np.load(REFERENCE / "vectors.npy").astype(np.float32)
    found = await model.embed(texts)
    cosines = (found * expected).sum(axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.995
    itself = 2 * np.eye(len(texts))
    nearest = [(vectors @ vectors.T - itself).argmax(axis=1) for vectors in (expected, found)]
    assert (nearest[0] == nearest[1]).mean() >= 0.95


async def test_the_shipped_model_is_faithful_to_its_source(model: MiniLM) -> None:
    """Cosine to the fp32 model's vectors: mean >= 0.998, worst >= 0.995 on 600 texts."""
    if not FIDELITY.exists():
        pytest.skip("the fidelity set is not here")
    texts = json.loads((FIDELITY / "fidelity_texts.json").read_text())
    expected = np.load(FIDELITY / "fidelity_vectors.npz")["vectors"]
    found = await model.embed(texts)
    cosines = (found * expected).sum(axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.995


def test_the_build_script_makes_the_shipped_bytes(tmp_path: Path) -> None:
    """Anyone can make the files from the original weights, byte for byte."""
    pytest.importorskip("onnx")
    source = FIDELITY / "all-MiniLM-L6-v2.fp32.onnx"
    if not source.exists():
        pytest.skip("the original weights are not here")
    script = MODELS / NAME / "build.py"
    subprocess.run([sys.executable, "-B", script, source, tmp_path], check=True, capture_output=True)
    for name in ("model.onnx", "model.onnx.data"):
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == model_files.SHA256[name]


async def test_urgent_texts_go_before_the_rest_of_the_background(model: MiniLM) -> None:
    """A turn waits for one batch at most, however much lore is being read."""
    order: list[str] = []

    async def read_lore() -> None:
        await model.embed([f"word {'tide ' * (number % 90)}" for number in range(200)])
        order.append("lore")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_lore)
        await trio.testing.wait_all_tasks_blocked()
        await model.embed(["Where is Mara?"], urgent=True)
        order.append("turn")
    assert order == ["turn", "lore"]


@pytest.mark.skipif(sys.platform != "linux", reason="a nice value of its own for each thread")
async def test_on_a_busy_core_what_nobody_waits_for_goes_after_the_rest(model: MiniLM) -> None:
    """So that a streamed reply does not wait for vectors; a line that waits for one goes before as all else does."""
    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await model.embed(["The tide turns."])
    await model.embed(["Where is Mara?"], urgent=True)
    threads = {one.name: one.native_id for one in threading.enumerate()}
    stepped_back = os.getpriority(os.PRIO_PROCESS, threads["embedder-later"] or 0)
    assert stepped_back == min(19, ours + embedder.POLITENESS)
    for native_id in (threads["embedder"], threading.get_native_id()):
        assert os.getpriority(os.PRIO_PROCESS, native_id or 0) == ours


@pytest.mark.parametrize("urgent", [False, True])
async def test_only_what_is_urgent_runs_in_the_thread_that_stays(urgent: bool) -> None:
    """Who is asked for runs where, and ends with the embedder; what fails there fails for whoever waits."""
    ran: list[str] = []

    class Session:
        def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
            return [[1] for _ in texts]

        def run(self, batch: Sequence[Sequence[int]]) -> tuple[Vectors, list[TokenVectors]]:
            ran.append(threading.current_thread().name)
            raise EmbedError("no")

        def rest(self) -> None:
            pass

    model = embedder.OnnxEmbedder(Session, "m", DIMENSION)
    with pytest.raises(EmbedError, match="no"):
        await model._encoded(["a"], urgent=urgent)
    model.close()
    assert ran == ["embedder" if urgent else "embedder-later"]


async def test_a_cancelled_request_does_not_hold_up_the_next(model: MiniLM) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await model.embed(["one"] * 500)
    assert (await model.embed(["two"], urgent=True)).shape == (1, 384)


@pytest.fixture
def soon_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was needed for loading is given back at once."""
    monkeypatch.setattr(embedder, "TIDY_AFTER_S", 0.01)


@pytest.mark.usefixtures("soon_idle")
async def test_an_idle_model_leaves_memory_and_comes_back() -> None:
    minilm = MiniLM([MODELS], unload_after_s=0.01)
    unloaded = threading.Event()
    opened = minilm._open

    class Watched:
        """Tells when the session it holds is gone."""

        def __init__(self) -> None:
            self._session = opened()

        def __getattr__(self, name: str) -> object:
            return getattr(self._session, name)

        def __del__(self) -> None:
            unloaded.set()

    minilm._open = Watched  # type: ignore[assignment]  # stands in for the session
    first = await minilm.embed(["a"])
    assert await trio.to_thread.run_sync(unloaded.wait, 10)
    assert np.array_equal(first, await minilm.embed(["a"]))
    minilm.close()


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data", "tokenizer.json"])
def test_a_damaged_or_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """A flipped bit may load and give other vectors, so nothing but the right bytes is loaded."""
    folder = shutil.copytree(MODELS / NAME, tmp_path / NAME)
    assert find_model([tmp_path]) == folder
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(EmbedError, match=f"{name} is damaged"):
        find_model([tmp_path])
    assert find_model([tmp_path, MODELS]) == MODELS / NAME
    (folder / name).write_bytes(data[:1000])
    with pytest.raises(EmbedError, match="damaged"):
        find_model([tmp_path])
    (folder / name).unlink()
    with pytest.raises(EmbedError, match=f"{name} is missing"):
        find_model([tmp_path])


async def test_a_missing_model_is_an_error_of_every_request(tmp_path: Path) -> None:
    minilm = MiniLM([tmp_path])
    for _ in range(2):
        with pytest.raises(EmbedError, match="not in"):
            await minilm.embed(["a"])
    minilm.close()


class FailsOnce:
    """A model whose first call of one method meets what nobody foresaw."""

    fails = ""

    def __init__(self, *_: object) -> None:
        self._failing = self.fails

    def tokenise(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        self._fail("tokenise")
        return [(1, 2, 3) for _ in texts]

    def rest(self) -> None:
        """It has nothing to let go of."""

    def run(self, batch: Sequence[object]) -> tuple[Vectors, list[Vectors]]:
        self._fail("run")
        tokens = np.ones((1, TOKEN_WIDTH), np.float32)
        return np.ones((len(batch), DIMENSION), np.float32), [tokens for _ in batch]

    def _fail(self, method: str) -> None:
        if self._failing == method:
            self._failing = ""
            raise MemoryError


@pytest.mark.parametrize("method", ["tokenise", "run"])
async def test_what_nobody_foresaw_is_an_error_of_one_request(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on: a turn never waits for an answer that nobody will give."""
    monkeypatch.setattr(FailsOnce, "fails", method)
    monkeypatch.setattr(model_files, "OnnxModel", FailsOnce)
    minilm = MiniLM([])
    with trio.fail_after(30):
        with pytest.raises(EmbedError, match="MemoryError"):
            await minilm.embed(["a"])
        assert (await minilm.embed(["b"], urgent=True)).shape == (1, DIMENSION)
    minilm.close()


async def test_tokens_have_vectors_of_their_own(model: MiniLM) -> None:
    """One for each piece of a word, none for what has no letter; the same as when asked for alone."""
    encoded = await model.encode(["The bell, drowned.", "...", "bell"])
    assert [tokens.shape for tokens in encoded.tokens] == [
        (3, TOKEN_WIDTH),
        (0, TOKEN_WIDTH),
        (1, TOKEN_WIDTH),
    ]
    assert np.array_equal(encoded.vectors, await model.embed(["The bell, drowned.", "...", "bell"]))
    similar = encoded.tokens[0] @ encoded.tokens[2][0]
    assert similar.argmax() == 1, "the bell is most like the bell"


TEXTS = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(tuple)


@given(st.lists(st.lists(TEXTS, max_size=20), max_size=20))
def test_batches_answer_every_text_once_at_one_length_within_the_budget(
    requests: list[list[tuple[int, ...]]],
) -> None:
    """Whoever waits gets a row for each of its texts, and equal texts are run once in a batch."""
    pool = Pool()
    jobs = [Job(texts) for texts in requests]
    for job in jobs:
        pool.add(job)
    answered: list[tuple[Job, int]] = []
    while pool:
        batch = pool.take()
        assert len({len(text) for text in batch.texts}) == 1
        assert len(set(batch.texts)) == len(batch.texts)
        assert len(batch.texts) == 1 or sum(map(len, batch.texts)) <= EMBED_BATCH_TOKENS
        for job, index, row in batch.owners:
            assert batch.texts[row] == job.tokens[index]
            answered.append((job, index))
    assert len(answered) == len(set(answered))
    assert set(answered) == {(job, i) for job in jobs for i in range(len(job.tokens))}


def test_the_oldest_request_decides_what_is_run_and_others_of_its_length_join() -> None:
    """Nobody waits for ever behind many others of another length."""
    pool = Pool()
    first, second, third = Job([[1] * 5]), Job([[2] * 3]), Job([[3] * 5, [4] * 3])
    for job in (first, second, third):
        pool.add(job)
    assert [job for job, _, _ in pool.take().owners] == [first, third]
    assert [job for job, _, _ in pool.take().owners] == [second, third]
    assert not pool


async def test_texts_that_wait_together_are_run_together_with_the_same_result(model: MiniLM) -> None:
    """Many turns that begin at once: the same vectors as one by one, in fewer runs."""
    lines = [f"I ask the keeper about lamp {number}." for number in range(40)]
    pairs = [[line, "The tide is out, and the quay is wet."] for line in lines]
    alone = [await model.embed(pair, urgent=True) for pair in pairs]
    together: dict[int, Vectors] = {}

    async def ask(number: int) -> None:
        together[number] = await model.embed(pairs[number], urgent=True)

    async with trio.open_nursery() as nursery:
        for number in range(len(pairs)):
            nursery.start_soon(ask, number)
    for number, vectors in enumerate(alone):
        assert np.abs(vectors - together[number]).max() < 1e-5


async def test_urgent_texts_share_runs_and_equal_ones_are_run_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    minilm = MiniLM([MODELS])
    await minilm.embed(["warm"])
    batches: list[int] = []
    run, entered, gate = OnnxModel.run, threading.Event(), threading.Event()

    def noted(session: OnnxModel, batch: Sequence[Sequence[int]]) -> Vectors:
        if not entered.is_set():  # the others come while this one runs
            entered.set()
            gate.wait(10)
        batches.append(len(batch))
        return run(session, batch)

    monkeypatch.setattr(OnnxModel, "run", noted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(minilm.embed, ["something that runs already"])
        await trio.to_thread.run_sync(entered.wait, 10)
        for number in range(10):
            nursery.start_soon(partial(minilm.embed, [f"lamp {number}", "the scene"], urgent=True))
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    minilm.close()
    assert sum(batches) == 1 + 10 + 1
    assert len(batches) == 2, "lamp and scene have the same number of tokens"


def test_a_module_that_dies_takes_only_the_child_along(tmp_path: Path) -> None:
    with pytest.raises(EmbedError, match=r"cannot run on this processor \(SIGILL\)"):
        check_native(["numpy"], "import os, signal; os.kill(os.getpid(), signal.SIGILL)", tmp_path)
    with pytest.raises(EmbedError, match="No module named"):
        check_native(["numpy"], "import nosuchmodule", tmp_path)
    with pytest.raises(EmbedError, match="not installed"):
        check_native(["no-such-package"], "", tmp_path)


def test_success_is_remembered_until_something_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child costs half a second, on a Pi several: it runs once per machine and versions."""
    runs: list[object] = []
    monkeypatch.setattr(native_check, "_run", lambda packages, code: runs.append(code))
    for _ in range(3):
        check_native(["numpy"], "import numpy", tmp_path)
    assert len(runs) == 1
    monkeypatch.setattr(sys, "version", "3.99")
    check_native(["numpy"], "import numpy", tmp_path)
    assert len(runs) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_idle_model_gives_back_what_only_loading_needed(model: MiniLM) -> None:
    """The code of its library that is not in use leaves memory; then it computes what it did before."""
    first = await model.embed(["The tide is out."])
    kept = resident("onnxruntime_pybind11_state")
    assert machine.let_go() > 0
    assert resident("onnxruntime_pybind11_state") < kept / 2
    assert np.array_equal(first, await model.embed(["The tide is out."]))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.usefixtures("soon_idle")
async def test_words_are_in_memory_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve megabytes that grow with the story stay on the disk; the same vectors come of them again."""
    rested = threading.Semaphore(0)
    rest = OnnxModel.rest

    def watched(model: OnnxModel) -> None:
        rest(model)
        rested.release()

    monkeypatch.setattr(OnnxModel, "rest", watched)
    text = " ".join(chr(97 + number % 26) * (number % 9 + 1) for number in range(200))
    minilm = MiniLM([MODELS])
    first = await minilm.embed([text])
    assert await trio.to_thread.run_sync(rested.acquire, True, 60)
    assert resident("model.onnx.data") < 4096
    assert np.array_equal(first, await minilm.embed([text]))
    minilm.close()


def test_only_what_is_as_on_the_disk_is_let_go() -> None:
    """Not what can be written, what the loader has changed, what is shared, nor a library that is being loaded."""
    rows = [
        ("100-200 r--p 0 08:01 7 /lib/a b.so", 0),
        ("200-300 r-xp 0 08:01 7 /lib/a b.so", 0),
        ("300-400 r--p 0 08:01 7 /lib/a b.so", 8),
        ("400-500 rw-p 0 08:01 7 /lib/a b.so", 0),
        ("500-600 r--p 0 08:01 8 /lib/half.so", 0),
        ("600-700 r-xp 0 00:00 0 [vdso]", 0),
        ("700-800 rw-p 0 00:00 0 ", 0),
        ("800-900 r--p 0 00:00 0 ", 0),
    ]
    smaps = "".join(f"{head}\nRss: 4 kB\nAnonymous: {own} kB\n" for head, own in rows)
    assert machine.unchanged_pieces(smaps) == [(0x100, 0x200), (0x200, 0x300)]


def resident(name: str) -> int:
    """Returns the KiB in memory of what is mapped from files of that name."""
    found, total = False, 0
    for line in Path("/proc/self/smaps").read_text().splitlines():
        words = line.split()
        if "-" in words[0]:
            found = name in words[-1]
        elif words[0] == "Rss:" and found:
            total += int(words[1])
    return total


async def test_memory_is_given_back_once_after_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the model is loaded and once after its first work, not again and again: a process at rest sleeps."""
    monkeypatch.setattr(embedder, "TIDY_AFTER_S", 0.01)
    given = threading.Semaphore(0)
    monkeypatch.setattr(machine, "give_back", given.release)
    minilm = MiniLM([MODELS])
    await minilm.embed(["a"])
    for _ in range(2):
        assert await trio.to_thread.run_sync(given.acquire, True, 60)
    await minilm.embed(["b"])
    minilm.close()
    assert not given.acquire(blocking=False)
