"""GGUF files in the models folders, run by a llama.cpp of our own.

Owns at most one child process. A file is listed as ``local/NAME``; choosing it loads it, with
progress; it is started again if it dies, and unloaded when nobody used it for a while. Talks to the
child like to any llama.cpp server.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import file_io, limits
from flower.engine.provider import factory
from flower.engine.provider.base import Completion, Loading, ModelInfo, Piece, Provider, Template
from flower.engine.provider.endpoint import Endpoint, Patch
from flower.engine.provider.gate import Gate
from flower.engine.provider.instruct import BASE, BASE_NOTE, base_remark, is_base, is_tuned
from flower.engine.provider.llamacpp import gguf, process
from flower.engine.provider.llamacpp.gguf import Header, LoadPlan
from flower.engine.provider.llamacpp.process import LlamaProcess
from flower.engine.provider.request_fields import Refusals
from flower.errors import ProviderError

# How a base model is asked, unless the player sets something else: without, the small ones repeat themselves.
COMPLETING = {"repeat_penalty": 1.1, "repeat_last_n": 256, "dry_multiplier": 0.8}
log = logging.getLogger(__name__)


class LocalModel(Struct, frozen=True):
    """A GGUF file that was found. ``size_bytes``: all its parts; ``base``: it only completes text."""

    name: str
    path: Path
    size_bytes: int
    header: Header
    plan: LoadPlan
    base: bool = False


class LocalProvider:
    """Models from files.

    ``memory`` returns (total, available) bytes of this machine; ``command`` starts the child. Both
    are arguments for tests.
    """

    local = True

    def __init__(
        self,
        folders: Sequence[Path],
        log: Path,
        *,
        memory: Callable[[], tuple[int, int]] | None = None,
        command: tuple[str, ...] = process.COMMAND,
    ) -> None:
        self._folders = folders
        self._log = log
        self._memory = memory or read_memory
        self._command = command
        self._found: dict[str, LocalModel] = {}
        self.problems: tuple[str, ...] = ()  # files that are no models, with the reason
        self._scanned = False
        self._child: LlamaProcess | None = None
        self._server: Provider | None = None
        self._changing = trio.Lock()
        self._claims: Counter[str] = Counter()  # streams by the model they need
        self._used_at = 0.0
        self._started = trio.Event()
        self._refusals = Refusals()
        self._judged: dict[
            tuple[Path, int, int], bool
        ] = {}  # by file, size and date: it only completes text
        self._gate = Gate(_one_place)  # as many as the child has slots

    @property
    def name(self) -> str:
        """The prefix of local models."""
        return "local"

    def open(self, completion: Completion) -> LocalStream:
        """Returns the stream of one completion; loading the model is part of it."""
        return LocalStream(self, completion)

    def gate(self, model: str) -> Gate:
        """Returns the line of those who wait for the one model that is loaded."""
        return self._gate

    def remarks(self, model: str) -> tuple[str, ...]:
        """Returns what the player should know about a model."""
        return (base_remark(model),) if self._completes_only(model) else ()

    def refuse(self, model: str, field: str) -> bool:
        """Remembers a refused parameter."""
        return self._refusals.add(model, field)

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        """Returns the wanted parameters that are not sent."""
        return tuple(name for name in completion.params if name in self._refusals.of(completion.model))

    def prefills(self, model: str, template: Template | str | None) -> bool:
        """Returns True: llama.cpp lets a reply go on in its own words."""
        return True

    async def models(self) -> tuple[ModelInfo, ...]:
        """Returns the files on disk as models."""
        await self.scan()
        return self.listed()

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact count while a model is loaded."""
        return await self._server.count_tokens(text) if self._server is not None else None

    async def aclose(self) -> None:
        """Ends the child."""
        async with self._changing:
            await self._stop()

    # --- files ----------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Looks for files again; what is no model is in the log and in ``problems``."""
        before = self.problems
        self._found = await trio.to_thread.run_sync(self._scan)
        for problem in self.problems:
            if problem not in before:
                log.warning("model skipped: %s", problem)
        self._scanned = True

    def listed(self) -> tuple[ModelInfo, ...]:
        """Returns what the last scan found."""
        return tuple(_info(model) for model in self._found.values())

    def sizes(self) -> dict[str, int]:
        """Returns the bytes of every model found, by its id for ``/model``."""
        return {f"local/{name}": model.size_bytes for name, model in self._found.items()}

    def info(self, name: str) -> ModelInfo | None:
        """Returns one of the models found."""
        model = self._found.get(name)
        return None if model is None else _info(model)

    def check(self, name: str) -> None:
        """Raises ``ProviderError`` when a model cannot be run here, as far as is known without I/O."""
        if self._scanned and name not in self._found:
            raise ProviderError(
                "model_not_found",
                f"there is no file {name}.gguf in {self._folders[0]}; put it there, or choose with /model.",
            )
        if self._command is process.COMMAND and importlib.util.find_spec("xllamacpp") is None:
            raise ProviderError(
                "model_not_found",
                "GGUF files need llama.cpp; install it with: ./start.sh --setup local",
            )

    def _completes_only(self, name: str) -> bool:
        return name in self._found and self._found[name].base

    def _scan(self) -> dict[str, LocalModel]:
        memory_bytes, _ = self._memory()
        cores = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        )
        found: dict[str, LocalModel] = {}
        problems: list[str] = []
        judged, self._judged = self._judged, {}
        for folder in self._folders:
            for path in sorted(folder.glob("*.gguf")):
                name = gguf.model_name(path.name)
                if name and name not in found:
                    model = _read_file(name, path, memory_bytes, cores)
                    if model is not None:
                        found[name] = replace(model, base=self._judge(model, judged))
                    else:
                        problems.append(f"models/{path.name}: {_why(path)}")
        self.problems = tuple(problems)
        return found

    def _judge(self, model: LocalModel, judged: Mapping[tuple[Path, int, int], bool]) -> bool:
        try:
            status = model.path.stat()
            key = (model.path, status.st_size, status.st_mtime_ns)
            verdict = judged[key] if key in judged else completes_only(model.path)
        except OSError:
            return False
        self._judged[key] = verdict
        return verdict

    # --- the child ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Unloads a model that nobody has used for ``LOCAL_IDLE_S``; runs until cancelled."""
        while True:
            await self._started.wait()
            while self._child is not None:
                idle_s = 0.0 if self._claims.total() else trio.current_time() - self._used_at
                if idle_s < limits.LOCAL_IDLE_S:
                    await trio.sleep(limits.LOCAL_IDLE_S - idle_s)
                    continue
                async with self._changing:
                    if not self._claims.total():
                        await self._stop()
            self._started = trio.Event()

    async def advance(self, name: str) -> Loading | Provider:
        """Returns the provider of the loaded model, or what it is waiting for."""
        async with self._changing:
            child = self._child
            if child is not None and child.name != name and self._claims[child.name]:
                await trio.sleep(limits.LOCAL_PROGRESS_S)
                return Loading(f"waiting until {child.name} is free")
            if child is None or child.dead or child.name != name:
                await self._stop()
                child = await self._start(name)
        progress = await self._step(child)
        if progress is not None:
            return progress
        if self._server is None:
            base = self._completes_only(name)
            endpoint = Endpoint(
                "local",
                "llamacpp",
                child.address,
                api_key=child.key,
                params=COMPLETING if base else {},
                patch=(Patch(template=BASE),) if base else (),
            )
            self._server = factory.build(endpoint)
        return self._server

    def lost(self, error: ProviderError) -> ProviderError:
        """Returns a better reason for a failed request when the child has died."""
        if self._child is not None and self._child.dead:
            return self._child.failure()
        return error

    def claim(self, name: str) -> None:
        """Keeps a model from being unloaded or replaced while a stream needs it."""
        self._claims[name] += 1

    def release(self, name: str) -> None:
        """Takes a claim back."""
        self._claims[name] -= 1
        self._used_at = trio.current_time()

    async def _step(self, child: LlamaProcess) -> Loading | None:
        try:
            return await child.step()
        except ProviderError:
            await self._stop()
            raise

    async def _start(self, name: str) -> LlamaProcess:
        if name not in self._found:
            await self.scan()
        self.check(name)
        model = self._found[name]
        await trio.to_thread.run_sync(self._check_memory, model)
        template = await trio.to_thread.run_sync(_template, model.path)
        child = await process.start(
            name, model.path, model.size_bytes, model.plan, template, self._log, self._command
        )
        self._child = child
        self._used_at = trio.current_time()
        self._started.set()
        return child

    def _check_memory(self, model: LocalModel) -> None:
        _, free_bytes = self._memory()
        if model.plan.needs_bytes > free_bytes:
            need, free = model.plan.needs_bytes / 1e9, free_bytes / 1e9
            raise ProviderError(
                "bad_request",
                f"{model.name} needs {need:.1f} GB of memory and {free:.1f} GB are free; "
                "close something, or choose a smaller GGUF file.",
            )

    async def _stop(self) -> None:
        child, self._child = self._child, None
        server, self._server = self._server, None
        if server is not None:
            await server.aclose()
        if child is not None:
            await child.stop()


class LocalStream:
    """Loading and completion as one stream of pieces; see ``Provider.open``."""

    def __init__(self, local: LocalProvider, completion: Completion) -> None:
        self._local = local
        self._completion = completion
        self._manager: AbstractAsyncContextManager[AsyncIterator[Piece]] | None = None
        self._pieces: AsyncIterator[Piece] | None = None

    async def __aenter__(self) -> LocalStream:
        self._local.claim(self._completion.model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._manager is not None:
                await self._manager.__aexit__(kind, error, trace)
        finally:
            self._local.release(self._completion.model)

    @property
    def body(self) -> dict[str, Any] | None:
        """The body of the request as it was sent; None before the model is loaded."""
        return getattr(self._manager, "body", None)

    def __aiter__(self) -> LocalStream:
        return self

    async def __anext__(self) -> Piece:
        try:
            if self._pieces is None:
                reached = await self._local.advance(self._completion.model)
                if isinstance(reached, Loading):
                    return reached
                manager = reached.open(self._completion)
                self._pieces = await manager.__aenter__()
                self._manager = manager
            return await anext(self._pieces)
        except ProviderError as error:
            if error.kind in ("network", "interrupted"):
                raise self._local.lost(error) from error
            raise


async def _one_place() -> int:
    return 1


def read_memory() -> tuple[int, int]:
    """Returns total and available bytes of memory; available is total where the system is silent."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return total, total
    figures = {line.partition(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    return total, int(figures.get("MemAvailable", total // 1024)) * 1024


def _read_file(name: str, path: Path, memory_bytes: int, cores: int) -> LocalModel | None:
    """Returns the model in a file; None for a file that cannot be one, which is not listed."""
    try:
        with file_io.opened(path) as stream:
            header = gguf.read_header(stream)
        parts = [path]
        if path.stem != name:
            parts = [part for part in path.parent.glob("*.gguf") if part.stem.startswith(f"{name}-0")]
        size_bytes = sum(part.stat().st_size for part in parts)
    except (OSError, ValueError):
        return None
    return LocalModel(
        name, path, size_bytes, header, gguf.plan(header, size_bytes, memory_bytes, cores)
    )


def _why(path: Path) -> str:
    try:
        return gguf.trouble_of(path) or "it cannot be read"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def _template(path: Path) -> str:
    """Returns the name of a chat template for a file that brings none, "" for one that does."""
    try:
        with file_io.opened(path) as stream:
            return gguf.template_for(gguf.read_header(stream, whole=True))
    except (OSError, ValueError):
        return ""  # llama.cpp will say what is wrong with the file


def completes_only(path: Path) -> bool:
    """Returns whether a file only completes text: its name says so, or says nothing and it has no chat template.

    Only in the second case all of the file's head is read, half a second of a small machine for a large list of tokens.
    """
    names = [gguf.model_name(path.name)]
    try:
        with file_io.opened(path) as stream:
            names.append(gguf.read_header(stream).name)
    except (OSError, ValueError):
        return False
    if any(map(is_base, names)):
        return True
    return not any(map(is_tuned, names)) and bool(_template(path))


def _info(model: LocalModel) -> ModelInfo:
    size = f"{model.size_bytes / 1e9:.1f} GB" + (f", {BASE_NOTE}" if model.base else "")
    return ModelInfo(model.name, f"{model.name} ({size})", model.plan.context_tokens, 0.0, 0.0)
