"""How often one prompt waits for the database's thread before the model is asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trio.testing import MockClock

from flower.engine.provider.base import Completion
from flower.engine.store.sqlite.database import Database
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider

# The line itself, how the story stands, its lorebooks, settings twice, the summary. Recall adds one.
MOST_HOPS = 6
REQUEST = "the request"


async def test_a_prompt_asks_the_database_few_times(
    autojump_clock: MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from the line to the request, without recall, which asks once more."""
    asked: list[str] = []
    for name in ("read", "write"):
        monkeypatch.setattr(Database, name, _noting(getattr(Database, name), name, asked))
    opened = ScriptedProvider.open

    def noted(self: ScriptedProvider, completion: Completion) -> object:
        asked.append(REQUEST)
        return opened(self, completion)

    monkeypatch.setattr(ScriptedProvider, "open", noted)
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        asked.clear()
        await face.say_and_wait("I ring it again.")
    hops = asked[: asked.index(REQUEST)]
    print(*hops, sep="\n")
    assert any("_story_so_far" in hop for hop in hops)
    assert len(hops) <= MOST_HOPS


def _noting(method: Callable[..., Any], name: str, asked: list[str]) -> Callable[..., Any]:
    async def noted(self: Database, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        asked.append(f"{name} {getattr(function, '__name__', function)}")
        return await method(self, function, *args, **kwargs)

    return noted
