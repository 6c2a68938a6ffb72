"""The GGUF files in the models folders: which are models, how large, how each would be run on this machine.

Owns what the last look into the folders brought. Reads heads of files, never the weights; runs nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import trio
from msgspec import Struct
from msgspec.structs import replace

from flower import file_io
from flower.engine.provider.base import ModelInfo
from flower.engine.provider.llamacpp import gguf
from flower.engine.provider.llamacpp.gguf import Header, LoadPlan
from flower.engine.provider.text_prompts import BASE_NOTE, is_base, is_tuned
from flower.errors import ProviderError

PREFIX = "local"  # of the ids of models from files

log = logging.getLogger(__name__)

FileVersion = tuple[Path, int, int]  # a file, its size and its date: while they stay, it is the same


class LocalModel(Struct, frozen=True):
    """A model in a GGUF file. ``size_bytes``: all its parts; ``base``: it only completes text."""

    name: str
    path: Path
    size_bytes: int
    header: Header
    plan: LoadPlan
    base: bool = False


class ModelFiles:
    """The models in some folders; of two with one name the one in the earlier folder counts.

    ``memory`` returns (total, available) bytes of this machine.
    """

    def __init__(
        self, folders: Sequence[Path], memory: Callable[[], tuple[int, int]] | None = None
    ) -> None:
        self.folder = folders[0]  # the user's own
        self.problems: tuple[str, ...] = ()  # files that are no models, with the reason
        self._folders = folders
        self._memory = memory or read_memory
        self._models: dict[str, LocalModel] = {}
        self._scanned = False
        self._base: dict[FileVersion, bool] = {}  # whether a file only completes text

    async def scan(self) -> None:
        """Looks for files again; what is no model is in the log and in ``problems``."""
        before = self.problems
        self._models = await trio.to_thread.run_sync(self._scan)
        for problem in self.problems:
            if problem not in before:
                log.warning("model skipped: %s", problem)
        self._scanned = True

    def __contains__(self, name: object) -> bool:
        return name in self._models

    def get(self, name: str) -> LocalModel | None:
        """Returns a model of the last scan."""
        return self._models.get(name)

    def is_base(self, name: str) -> bool:
        """Returns whether a model only completes text; False for one that is not there."""
        return name in self._models and self._models[name].base

    def listed(self) -> tuple[ModelInfo, ...]:
        """Returns the models of the last scan as they are listed."""
        return tuple(_info(model) for model in self._models.values())

    def info(self, name: str) -> ModelInfo | None:
        """Returns one of them as it is listed; None for one that is not there."""
        model = self._models.get(name)
        return None if model is None else _info(model)

    def sizes(self) -> dict[str, int]:
        """Returns the bytes of every model by its id for ``/model``."""
        return {f"{PREFIX}/{name}": model.size_bytes for name, model in self._models.items()}

    def check_is_here(self, name: str) -> None:
        """Raises ``ProviderError`` when a model is not there, as far as is known without I/O."""
        if self._scanned and name not in self._models:
            raise ProviderError(
                "model_not_found",
                f"there is no file {name}.gguf in {self.folder}; put it there, or choose with /model.",
            )

    def check_memory(self, model: LocalModel) -> None:
        """Raises ``ProviderError`` when a model does not fit beside what else runs here."""
        _, free_bytes = self._memory()
        if model.plan.needs_bytes > free_bytes:
            need, free = model.plan.needs_bytes / 1e9, free_bytes / 1e9
            raise ProviderError(
                "bad_request",
                f"{model.name} needs {need:.1f} GB of memory and {free:.1f} GB are free; "
                "close something, or choose a smaller GGUF file.",
            )

    def _scan(self) -> dict[str, LocalModel]:
        memory_bytes, _ = self._memory()
        models: dict[str, LocalModel] = {}
        problems: list[str] = []
        before, self._base = self._base, {}
        for path in (path for folder in self._folders for path in sorted(folder.glob("*.gguf"))):
            name = gguf.model_name(path.name)
            if not name or name in models:
                continue
            model = _read_file(name, path, memory_bytes, core_count())
            if model is not None:
                models[name] = replace(model, base=self._completes_only(path, before))
            else:
                problems.append(f"models/{path.name}: {_why(path)}")
        self.problems = tuple(problems)
        return models

    def _completes_only(self, path: Path, before: Mapping[FileVersion, bool]) -> bool:
        """The same as ``completes_only``, which takes long: asked once for each version of a file."""
        try:
            status = path.stat()
            key = (path, status.st_size, status.st_mtime_ns)
            self._base[key] = before[key] if key in before else completes_only(path)
        except OSError:
            return False
        return self._base[key]


def read_memory() -> tuple[int, int]:
    """Returns total and available bytes of memory; available is total where the system is silent."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return total, total
    figures = {line.partition(":")[0]: line.split()[1] for line in lines if len(line.split()) > 1}
    return total, int(figures.get("MemAvailable", total // 1024)) * 1024


def core_count() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def template_of(path: Path) -> str:
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
    return not any(map(is_tuned, names)) and bool(template_of(path))


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
        return gguf.problem_of(path) or "it cannot be read"
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def _info(model: LocalModel) -> ModelInfo:
    size = f"{model.size_bytes / 1e9:.1f} GB" + (f", {BASE_NOTE}" if model.base else "")
    return ModelInfo(model.name, f"{model.name} ({size})", model.plan.context_tokens, 0.0, 0.0)
