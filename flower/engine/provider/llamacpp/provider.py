"""Models from GGUF files, run by a llama.cpp of our own.

Owns at most one child process. ``local/NAME`` is a file; choosing it loads it, with progress; it is started again if
it dies, and unloaded when nobody used it for a while. Talks to the child like to any llama.cpp server.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import trio

from flower import limits
from flower.engine.provider import services
from flower.engine.provider.base import Completion, Loading, ModelInfo, Piece, Provider, Template
from flower.engine.provider.endpoint import Endpoint, Patch, Refusals
from flower.engine.provider.gate import Gate
from flower.engine.provider.llamacpp import process
from flower.engine.provider.llamacpp.files import PREFIX, ModelFiles, template_of
from flower.engine.provider.llamacpp.process import LlamaProcess
from flower.engine.provider.text_prompts import BASE, base_remark
from flower.errors import ProviderError

LOCAL_IDLE_S = 15 * 60.0  # an unused model gives its memory back

# How a base model is asked, unless the player sets something else: without, the small ones repeat themselves.
COMPLETING = {"repeat_penalty": 1.1, "repeat_last_n": 256, "dry_multiplier": 0.8}


class LocalProvider:
    """Models from ``files``; ``command`` starts the child, another one in tests."""

    local = True

    def __init__(
        self, files: ModelFiles, log: Path, *, command: tuple[str, ...] = process.COMMAND
    ) -> None:
        self.files = files
        self._log = log
        self._command = command
        self._child: LlamaProcess | None = None
        self._server: Provider | None = None
        self._changing = trio.Lock()
        self._claims: Counter[str] = Counter()  # streams by the model they need
        self._used_at = 0.0
        self._started = trio.Event()
        self._refusals = Refusals()
        self._gate = Gate(_one_place)  # as many as the child has slots

    @property
    def name(self) -> str:
        """The prefix of local models."""
        return PREFIX

    def open(self, completion: Completion) -> LocalStream:
        """Returns the stream of one completion; loading the model is part of it."""
        return LocalStream(self, completion)

    def gate(self, model: str) -> Gate:
        """Returns the line of those who wait for the one model that is loaded."""
        return self._gate

    def remarks(self, model: str) -> tuple[str, ...]:
        """Returns what the player should know about a model."""
        return (base_remark(model),) if self.files.is_base(model) else ()

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
        await self.files.scan()
        return self.files.listed()

    async def count_tokens(self, text: str) -> int | None:
        """Returns the exact count while a model is loaded."""
        return await self._server.count_tokens(text) if self._server is not None else None

    async def aclose(self) -> None:
        """Ends the child."""
        async with self._changing:
            await self._stop()

    def check(self, name: str) -> None:
        """Raises ``ProviderError`` when a model cannot be run here, as far as is known without I/O."""
        self.files.check_is_here(name)
        if self._command is process.COMMAND and importlib.util.find_spec("xllamacpp") is None:
            raise ProviderError(
                "model_not_found",
                "GGUF files need llama.cpp; install it with: ./start.sh --setup local",
            )

    # --- the child ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Unloads a model that nobody has used for ``LOCAL_IDLE_S``; runs until cancelled."""
        while True:
            await self._started.wait()
            while self._child is not None:
                idle_s = 0.0 if self._claims.total() else trio.current_time() - self._used_at
                if idle_s < LOCAL_IDLE_S:
                    await trio.sleep(LOCAL_IDLE_S - idle_s)
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
            base = self.files.is_base(name)
            endpoint = Endpoint(
                PREFIX,
                "llamacpp",
                child.address,
                api_key=child.key,
                params=COMPLETING if base else {},
                patch=(Patch(template=BASE),) if base else (),
            )
            self._server = services.build(endpoint)
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
        if name not in self.files:
            await self.files.scan()
        self.check(name)
        model = self.files.get(name)
        assert model is not None  # or it would not be here
        await trio.to_thread.run_sync(self.files.check_memory, model)
        template = await trio.to_thread.run_sync(template_of, model.path)
        child = await process.start(
            name, model.path, model.size_bytes, model.plan, template, self._log, self._command
        )
        self._child = child
        self._used_at = trio.current_time()
        self._started.set()
        return child

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
