"""GGUF files: their headers, their memory, and the child process that runs them."""

from __future__ import annotations

import importlib.util
import io
import os
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.base import Finish, Loading, Piece, PromptMessage, Spent, Text
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.llamacpp import gguf, process
from flower.engine.provider.llamacpp.files import ModelFiles
from flower.engine.provider.llamacpp.gguf import (
    LOCAL_CONTEXT_MIN_TOKENS,
    LOCAL_CONTEXT_TOKENS,
    LOCAL_THREADS_MAX,
    Header,
)
from flower.engine.provider.llamacpp.provider import LOCAL_IDLE_S, LocalProvider
from flower.engine.provider.retry import Stream
from flower.engine.provider.services import build
from flower.errors import ProviderError
from tests.provider_world import completion, text_of

# --- headers ------------------------------------------------------------------------------------


def string(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(key: str, value: object) -> bytes:
    head = string(key)
    match value:
        case str():
            return head + struct.pack("<I", 8) + string(value)
        case int():
            return head + struct.pack("<II", 4, value)
        case [str(), *_]:
            return (
                head + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(string(str(v)) for v in value)
            )
        case [*numbers]:
            return (
                head
                + struct.pack("<IIQ", 9, 4, len(numbers))
                + struct.pack(f"<{len(numbers)}I", *numbers)
            )
    raise AssertionError(value)


def gguf_file(values: dict[str, object], version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, 0, len(values))
    return head + b"".join(entry(key, value) for key, value in values.items())


GEMMA: dict[str, object] = {
    "general.architecture": "gemma3",
    "general.name": "Gemma 3 270M",
    "gemma3.context_length": 32768,
    "gemma3.block_count": 18,
    "gemma3.embedding_length": 640,
    "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1,
    "gemma3.attention.key_length": 256,
    "gemma3.attention.value_length": 256,
    "tokenizer.ggml.tokens": ["a", "bb", "ccc"] * 100,
    "tokenizer.ggml.scores": [7] * 5000,
    "tokenizer.chat_template": "{{ messages }}",
}


def test_a_header() -> None:
    header = gguf.read_header(io.BytesIO(gguf_file(GEMMA)))
    assert header == Header("gemma3", "Gemma 3 270M", 32768, 18, 18 * 1 * 512 * 2)
    whole = gguf.read_header(io.BytesIO(gguf_file(GEMMA)), whole=True)
    assert whole.has_template
    assert gguf.template_for(whole) == ""
    assert gguf.template_for(header) == "gemma"


def test_figures_by_layer_and_without_head_sizes() -> None:
    values = {
        "general.architecture": "llama",
        "llama.block_count": 2,
        "llama.embedding_length": 64,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": [2, 1],
    }
    header = gguf.read_header(io.BytesIO(gguf_file(values)))
    assert header.kv_bytes_per_token == 2 * 2 * (16 + 16) * 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"ELF!" + bytes(100), "no GGUF"),
        (b"GGUF" + struct.pack("<I", 99), "version 99"),
        (gguf_file(GEMMA)[:90], "cut off"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**63), "damaged"),
    ],
)
def test_files_that_are_no_models(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        gguf.read_header(io.BytesIO(data))


@given(place=st.integers(0, 400), value=st.integers(0, 255), whole=st.booleans())
def test_a_damaged_header_is_a_header_or_a_reason(place: int, value: int, whole: bool) -> None:
    data = bytearray(gguf_file(GEMMA))
    data[place % len(data)] = value
    try:
        gguf.read_header(io.BytesIO(bytes(data)), whole=whole)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # either way is fine, anything else is not


@given(
    size=st.integers(0, 64 * 1024 * limits.MIB),
    memory=st.integers(0, 64 * 1024 * limits.MIB),
    kv=st.integers(0, 1_000_000),
    trained=st.integers(0, 200_000),
    cores=st.integers(1, 64),
)
def test_a_plan_is_never_larger_than_the_machine_when_it_fits_at_all(
    size: int, memory: int, kv: int, trained: int, cores: int
) -> None:
    header = Header(context_tokens=trained, kv_bytes_per_token=kv)
    plan = gguf.plan(header, size, memory, cores)
    assert LOCAL_CONTEXT_MIN_TOKENS <= plan.context_tokens <= LOCAL_CONTEXT_TOKENS
    assert 1 <= plan.threads <= LOCAL_THREADS_MAX
    smallest = size + limits.LOCAL_OVERHEAD_BYTES + LOCAL_CONTEXT_MIN_TOKENS * kv
    if smallest + limits.LOCAL_RESERVE_BYTES <= memory:
        assert plan.needs_bytes + limits.LOCAL_RESERVE_BYTES <= memory


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("gemma-3-270m.gguf", "gemma-3-270m"),
        ("big-00001-of-00003.gguf", "big"),
        ("big-00002-of-00003.gguf", ""),
        ("mmproj-gemma.gguf", ""),
    ],
)
def test_names(file: str, name: str) -> None:
    assert gguf.model_name(file) == name


# --- the child ----------------------------------------------------------------------------------

# Speaks the protocol of the real child and a little of llama.cpp's HTTP, with the standard library.
CHILD = r"""
import http.server, json, os, sys, threading
orders = json.loads(sys.stdin.readline())
name = orders["name"]
if name == "broken":
    print("E llama_model_load: error loading model: unknown architecture", file=sys.stderr)
    print("failed", flush=True)
    sys.exit(1)
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *args): pass
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.headers["authorization"] != "Bearer " + orders["key"]:
            self.send_error(401)
            return
        if "messages" in body and body["messages"][-1]["content"] == "die":
            os._exit(1)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        text = f"{name} {os.getpid()}" if "messages" in body else self.path + " " + body["prompt"][-20:]
        delta = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
        self.wfile.write(b"data: " + json.dumps(delta).encode() + b"\n\ndata: [DONE]\n\n")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)
"""


@asynccontextmanager
async def running(
    tmp_path: Path, *names: str, memory: tuple[int, int] = (8 * 1024 * limits.MIB,) * 2
) -> AsyncIterator[LocalProvider]:
    for name in names:
        (tmp_path / f"{name}.gguf").write_bytes(gguf_file(GEMMA))
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    provider = LocalProvider(
        ModelFiles((tmp_path, tmp_path / "no-such-folder"), lambda: memory),
        tmp_path / "logs" / "llama.log",
        command=(sys.executable, str(script)),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(provider.run)
        await provider.files.scan()
        try:
            yield provider
        finally:
            await provider.aclose()
            nursery.cancel_scope.cancel()


async def ask(
    provider: LocalProvider, model: str, line: str = "hello"
) -> tuple[list[Piece], ProviderError | None]:
    asked = completion(model=model)
    messages = (*asked.messages[:-1], type(asked.messages[0])("user", line))
    asked = completion(model=model, messages=messages)
    pieces: list[Piece] = []
    async with provider.open(asked) as opened:
        try:
            async for piece in opened:
                pieces.append(piece)  # noqa: PERF401  # what came before an error must be kept
        except ProviderError as error:
            return pieces, error
    return pieces, None


async def test_a_file_is_listed_loaded_and_asked(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "gemma") as provider:
        (info,) = provider.files.listed()
        assert (info.id, info.context_tokens, info.prompt_price) == (
            "gemma",
            LOCAL_CONTEXT_TOKENS,
            0.0,
        )
        pieces, error = await ask(provider, "gemma")
        assert error is None
        assert text_of(pieces).startswith("gemma ")
        assert pieces[-1] == Finish("done")
        again, _ = await ask(provider, "gemma")
        assert text_of(again) == text_of(pieces), "the same process answers again"


async def test_a_file_without_a_chat_template_gets_text_to_go_on_with(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """A base model is told the story as text, and said to be one; a tuned model of an old file is not."""
    bare = {key: value for key, value in GEMMA.items() if key != "tokenizer.chat_template"}
    async with running(tmp_path) as provider:
        for name in ("gemma-3-270m", "gemma-3-270m-it"):
            (tmp_path / f"{name}.gguf").write_bytes(gguf_file(bare))
        listed = {info.id: info.name for info in await provider.models()}
        assert "base model" in listed["gemma-3-270m"], "before it is chosen"
        assert "base model" not in listed["gemma-3-270m-it"]
        assert "base model" in provider.remarks("gemma-3-270m")[0], "before it is loaded"
        pieces, error = await ask(provider, "gemma-3-270m")
        assert error is None
        assert text_of(pieces).startswith("/v1/completions ")
        assert text_of(pieces).endswith("\n> hello\n\n")
        tuned, error = await ask(provider, "gemma-3-270m-it")
        assert text_of(tuned).startswith("gemma-3-270m-it ")
        assert provider.remarks("gemma-3-270m-it") == ()


async def test_the_key_is_in_no_process_list(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "gemma") as provider:
        pieces, _ = await ask(provider, "gemma")
        assert provider._child is not None
        key = provider._child.key.encode()
        assert len(key) >= 32
        assert key not in shown_of_process(int(text_of(pieces).split()[1]))


def shown_of_process(pid: int) -> bytes:
    """Returns what other programs can see of a process: its arguments and its environment."""
    places = (Path(f"/proc/{pid}/{file}") for file in ("cmdline", "environ"))
    return b"".join(place.read_bytes() for place in places if place.exists())


async def test_another_model_replaces_the_first(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "one", "two") as provider:
        first, _ = await ask(provider, "one")
        second, _ = await ask(provider, "two")
        assert text_of(second).startswith("two ")
        assert not alive(int(text_of(first).split()[1]))


async def test_two_stories_at_once_load_it_once(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "gemma") as provider:
        answers: list[str] = []

        async def tell() -> None:
            pieces, _ = await ask(provider, "gemma")
            answers.append(text_of(pieces))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            nursery.start_soon(tell)
        assert answers[0] == answers[1]


async def test_a_model_in_use_is_not_replaced(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "one", "two") as provider:
        await ask(provider, "one")
        provider.claim("one")
        async with provider.open(completion(model="two")) as opened:
            with trio.move_on_after(limits.LOCAL_PROGRESS_S * 1.5):
                mock_clock.rate = 1000
                assert await anext(opened) == Loading("waiting until one is free")
            mock_clock.rate = 0
            provider.release("one")
            assert text_of([piece async for piece in opened]).startswith("two ")


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    async with running(tmp_path, "gemma") as provider:
        first, _ = await ask(provider, "gemma")
        _, error = await ask(provider, "gemma", "die")
        assert error is not None
        assert error.kind in ("network", "server", "model_not_found")
        again = [piece async for piece in _told(provider, "gemma")]
        assert text_of(again).startswith("gemma ")
        assert text_of(again) != text_of(first)


async def _told(provider: LocalProvider, model: str) -> AsyncIterator[Piece]:
    async with Stream(provider, completion(model=model)) as pieces:
        async for piece in pieces:
            yield piece


async def test_a_file_that_cannot_be_run_says_why(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "broken") as provider:
        _, error = await ask(provider, "broken")
        assert error is not None
        assert error.kind == "model_not_found"
        assert "unknown architecture" in str(error)


async def test_a_file_that_is_not_there(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path) as provider:
        _, error = await ask(provider, "nothing")
        assert error is not None
        assert error.kind == "model_not_found"
        assert str(tmp_path) in str(error)
        with pytest.raises(ProviderError):
            provider.check("nothing")


async def test_too_little_memory_is_said_before_loading(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "gemma", memory=(1024 * limits.MIB, 16 * limits.MIB)) as provider:
        _, error = await ask(provider, "gemma")
        assert error is not None
        assert "GB of memory" in str(error)


async def test_an_idle_model_is_unloaded(tmp_path: Path, mock_clock: MockClock) -> None:
    async with running(tmp_path, "gemma") as provider:
        pieces, _ = await ask(provider, "gemma")
        pid = int(text_of(pieces).split()[1])
        await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(LOCAL_IDLE_S - 1)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert alive(pid)
        mock_clock.jump(LOCAL_IDLE_S)
        with trio.fail_after(3600):
            while alive(pid):
                await trio.testing.wait_all_tasks_blocked(0.01)
        again, _ = await ask(provider, "gemma")
        assert text_of(again) != text_of(pieces), "and loaded again when it is needed"


async def test_leaving_while_loading_is_quick(tmp_path: Path) -> None:
    async with running(tmp_path, "gemma") as provider:
        with trio.fail_after(5):
            with trio.move_on_after(0.01):
                await ask(provider, "gemma")
            await provider.aclose()


def test_an_engine_that_is_killed_takes_the_model_with_it(tmp_path: Path) -> None:
    """The child's standard input closes with its parent, however the parent ends."""
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "gemma.gguf").write_bytes(gguf_file(GEMMA))
    engine = f"""
import os, pathlib, sys, trio
from flower.engine.provider.llamacpp.files import ModelFiles
from flower.engine.provider.llamacpp.files import ModelFiles
from flower.engine.provider.llamacpp.provider import LocalProvider
folder = pathlib.Path({str(tmp_path)!r})
async def main():
    local = LocalProvider(ModelFiles((folder,)), folder / "log", command=(sys.executable, str(folder / "child.py")))
    local.claim("gemma")
    await local.advance("gemma")
    print(local._child._process.pid, flush=True)
    os.kill(os.getpid(), 9)
trio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", engine], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    pid = int(done.stdout)
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        os.sched_yield()
    assert not alive(pid)


async def test_the_missing_extra_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gemma.gguf").write_bytes(gguf_file(GEMMA))
    provider = LocalProvider(ModelFiles((tmp_path,)), tmp_path / "llama.log")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, error = await ask(provider, "gemma")
    assert error is not None
    assert "./start.sh --setup local" in str(error)


def alive(pid: int) -> bool:
    """Returns whether a process runs; one that waits to be collected by its parent does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc").exists()


# --- a real llama.cpp ---------------------------------------------------------------------------


def _real_python() -> str:
    """Returns a Python that has xllamacpp: this one, or the one that FLOWER_TEST_LLAMA names."""
    named = os.environ.get("FLOWER_TEST_LLAMA", "")
    return named or (sys.executable if importlib.util.find_spec("xllamacpp") else "")


REAL_MODEL = os.environ.get("FLOWER_TEST_GGUF", "")
real = pytest.mark.skipif(
    not (_real_python() and REAL_MODEL),
    reason="needs xllamacpp (or FLOWER_TEST_LLAMA=python that has it) and FLOWER_TEST_GGUF=file",
)


@asynccontextmanager
async def real_model(tmp_path: Path) -> AsyncIterator[LocalProvider]:
    (tmp_path / "real.gguf").symlink_to(REAL_MODEL)
    command = (_real_python(), *process.COMMAND[1:])
    provider = LocalProvider(ModelFiles((tmp_path,)), tmp_path / "llama.log", command=command)
    await provider.files.scan()
    try:
        yield provider
    finally:
        await provider.aclose()


@real
async def test_three_doors_to_a_real_model(tmp_path: Path) -> None:
    """GGUF child, llama.cpp and compatible server tell the same story, cached the second time."""
    asked = completion(model="real", max_tokens=16, params={"temperature": 0.0, "seed": 1})
    async with real_model(tmp_path) as local:
        async with Stream(local, asked) as pieces:
            first = [piece async for piece in pieces]
        assert any(isinstance(piece, Loading) and "loading" in piece.what for piece in first)
        assert await local.count_tokens("Hello world") == 2
        child = local._child
        assert child is not None
        for kind in ("llamacpp", "compatible"):
            provider = build(Endpoint("door", kind, child.address, api_key=child.key))
            (info,) = await provider.models()
            assert (info.id, info.context_tokens) == ("real", LOCAL_CONTEXT_TOKENS)
            async with Stream(provider, asked) as pieces:
                again = [piece async for piece in pieces]
            await provider.aclose()
            assert text_of(again) == text_of(first) != ""
            assert isinstance(again[-1], Finish)
            (spent,) = [piece for piece in again if isinstance(piece, Spent)]
            assert spent.prompt_tokens - (spent.cached_tokens or 0) <= 8, "the prompt is in the cache"


@real
async def test_failures_of_a_real_server(tmp_path: Path) -> None:
    """A wrong key, a prompt that is too long and a stop in the middle, as llama.cpp answers them."""
    async with real_model(tmp_path) as local:
        async with Stream(local, completion(model="real", max_tokens=1)) as pieces:
            assert [piece async for piece in pieces]
        child = local._child
        assert child is not None
        stranger = build(Endpoint("door", "llamacpp", child.address, api_key="wrong-key"))
        with pytest.raises(ProviderError) as refused:
            async with stranger.open(completion()):
                pass
        await stranger.aclose()
        assert refused.value.kind == "auth"
        long = completion(model="real", messages=(PromptMessage("user", "word " * 20_000),))
        with pytest.raises(ProviderError) as too_long:
            async with local.open(long) as opened:
                assert [piece async for piece in opened]
        assert too_long.value.kind == "context_exceeded"
        assert too_long.value.limit_tokens == LOCAL_CONTEXT_TOKENS
        assert (too_long.value.used_tokens or 0) > 20_000
        with trio.fail_after(20):  # an endless reply is stopped, and the server is free again
            for _ in range(3):
                async with Stream(local, completion(model="real", max_tokens=100_000)) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Text):
                            break
