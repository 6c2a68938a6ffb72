"""One running llama.cpp: the child process, its progress, its end.

Owns the process and both pipes. Knows nothing of stories or requests.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from pathlib import Path

import trio

from flower import limits
from flower.engine.provider.base import Loading
from flower.engine.provider.llamacpp.gguf import LoadPlan
from flower.errors import ProviderError
from flower.installation import own_python

LOCAL_STOP_S = 2.0  # from asking the child to end to killing it

COMMAND = tuple(own_python("-m", "flower.engine.provider.llamacpp.child")[0])
_PAGE_BYTES = 4096


class LlamaProcess:
    """A child that loads or serves one model. ``address`` is set once it serves."""

    def __init__(self, name: str, size_bytes: int, process: trio.Process, key: str, log: Path) -> None:
        self.name = name
        self.key = key
        self.address = ""
        self._size_bytes = size_bytes
        self._process = process
        self._log = log
        self._answer = b""
        self._reading = trio.Lock()

    @property
    def serving(self) -> bool:
        """True once the model is loaded."""
        return bool(self.address)

    @property
    def dead(self) -> bool:
        """True when the process has ended, by itself or by the system."""
        return self._process.poll() is not None

    async def step(self) -> Loading | None:
        """Waits a moment for the child; returns the progress of loading, None once it serves.

        Raises ``ProviderError`` when the child has given up.
        """
        async with self._reading:
            if not self.serving:
                await self._read()
        if self.serving:
            return None
        done = await trio.to_thread.run_sync(_resident_bytes, self._process.pid)
        total = self._size_bytes // limits.MIB
        return Loading("loading the model", min(done // limits.MIB, total), total if done else 0)

    async def stop(self) -> None:
        """Ends the child: politely, then by force. Safe to call twice."""
        with trio.move_on_after(LOCAL_STOP_S, shield=True):
            assert self._process.stdin is not None
            await self._process.stdin.aclose()
            await self._process.wait()
        if self.dead:
            return
        self._process.kill()
        with trio.CancelScope(shield=True):
            await self._process.wait()  # a killed process ends; without this it stays as a zombie

    def failure(self) -> ProviderError:
        """Returns why the child is gone, as a sentence.

        A child that could not load is not worth another try, one that died while it served is.
        """
        code = self._process.returncode or 0
        kind = "server" if self.serving else "model_not_found"
        if code < 0:
            why = (
                "probably for lack of memory; choose a smaller GGUF file" if code == -9 else "try again"
            )
            return ProviderError(
                kind, f"the local model {self.name} was ended by signal {-code}, {why}."
            )
        if self.serving:
            return ProviderError(kind, f"the local model {self.name} has stopped; try again.")
        return ProviderError(
            kind, f"llama.cpp cannot run {self.name}: {self._last_error()}; choose another GGUF file."
        )

    async def _read(self) -> None:
        assert self._process.stdout is not None
        with trio.move_on_after(limits.LOCAL_PROGRESS_S):
            data = await self._process.stdout.receive_some(1024)
            if not data:
                await self._process.wait()
                raise self.failure()
            self._answer += data
        word, _, port = self._answer.decode("ascii", "replace").partition(" ")
        if word == "ready" and port.endswith("\n"):
            self.address = f"http://127.0.0.1:{int(port)}/v1"

    def _last_error(self) -> str:
        """Returns the first error llama.cpp wrote; it names the cause, the later ones its effects."""
        try:
            lines = self._log.read_text("utf-8", "replace")[: limits.ERROR_BODY_BYTES].splitlines()
        except OSError:
            lines = []
        for line in lines:
            if "error loading model" in line:
                return line.rpartition("error loading model:")[2].strip()[: limits.ERROR_TEXT_CHARS]
        return lines[-1][: limits.ERROR_TEXT_CHARS] if lines else "it did not say why"


async def start(
    name: str,
    path: Path,
    size_bytes: int,
    plan: LoadPlan,
    template: str,
    log: Path,
    command: tuple[str, ...],
) -> LlamaProcess:
    """Returns a child that has begun to load ``path``; raises ``ProviderError`` if it cannot start."""
    key = secrets.token_urlsafe(24)
    orders = {
        "name": name,
        "path": str(path),
        "context_tokens": plan.context_tokens,
        "threads": plan.threads,
        "template": template,
        "key": key,
    }
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            process = await trio.lowlevel.open_process(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=own_python()[1],
            )
    except OSError as error:
        raise ProviderError("server", f"llama.cpp could not be started: {error.strerror}.") from error
    child = LlamaProcess(name, size_bytes, process, key, log)
    assert process.stdin is not None
    try:
        await process.stdin.send_all(json.dumps(orders).encode() + b"\n")
    except trio.BrokenResourceError:
        await process.wait()
        raise child.failure() from None
    except BaseException:
        await child.stop()
        raise
    return child


def _resident_bytes(pid: int) -> int:
    """Returns how much of the child, mapped weights included, is in memory; 0 where unknown."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
