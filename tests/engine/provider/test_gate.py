"""A full server: stories wait in line, are told their place, and nobody waits for a server that is not full."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.base import Completion, Finish, Loading, Piece, Text
from flower.engine.provider.gate import Gate
from flower.engine.provider.retry import Stream
from flower.errors import ProviderError
from tests.engine.provider.test_provider_streaming import Play, Script
from tests.provider_world import completion


class Full(Script):
    """Answers ``places`` requests at once for ``seconds`` each, and refuses the others."""

    def __init__(
        self, places: int, *, known: bool = False, seconds: float = 10.0, after: float | None = None
    ) -> None:
        super().__init__([])
        self.places = places
        self.most = 0
        self.refusals = 0
        self._after = after
        self._seconds = seconds
        self._gate = Gate(self._say if known else None)

    async def _say(self) -> int:
        return self.places

    def gate(self, model: str) -> Gate:
        return self._gate

    def open(self, completion: Completion) -> Play:
        if self.open_now >= self.places:
            self.refusals += 1
            return Play(self, [ProviderError("rate_limit", "acme is full.", retry_after_s=self._after)])
        self.most = max(self.most, self.open_now + 1)
        return Play(self, [Text("The gate "), self._seconds, Text("opens."), Finish("done")])


async def story(script: Script, told: list[list[Piece]]) -> None:
    pieces: list[Piece] = []
    told.append(pieces)
    async with Stream(script, completion()) as listening:
        async for piece in listening:
            pieces.append(piece)  # noqa: PERF401  # what came before an error must be kept


async def play(script: Script, stories: int) -> list[list[Piece]]:
    told: list[list[Piece]] = []
    async with trio.open_nursery() as nursery:
        for _ in range(stories):
            nursery.start_soon(story, script, told)
    return told


def places(pieces: list[Piece]) -> list[str]:
    return [
        piece.what.partition(" place ")[2].removesuffix(" in line")
        for piece in pieces
        if isinstance(piece, Loading) and "place" in piece.what
    ]


@pytest.mark.parametrize("known", [True, False])
async def test_stories_wait_in_line_and_know_their_place(
    known: bool, autojump_clock: MockClock
) -> None:
    """Everybody is answered, in turn; who waits hears of every step."""
    script = Full(2, known=known)
    told = await play(script, 8)
    assert all(pieces[-1] == Finish("done") for pieces in told)
    assert script.most == 2
    lines = [[int(place) for place in places(pieces)] for pieces in told if places(pieces)]
    assert len(lines) >= 6
    assert max(line[0] for line in lines) == 6
    assert all(line == sorted(line, reverse=True) for line in lines if known)
    if known:
        assert script.refusals == 0
        assert trio.current_time() == pytest.approx(4 * 10.0)
    else:
        assert trio.current_time() < 6 * 10.0


async def test_nobody_waits_for_a_server_that_is_not_full(autojump_clock: MockClock) -> None:
    """Without a refusal all ask at once."""
    script = Full(200)
    told = await play(script, 200)
    assert script.most == 200
    assert not any(places(pieces) for pieces in told)
    assert trio.current_time() == pytest.approx(10.0)


async def test_a_server_that_asks_to_be_left_alone_is(autojump_clock: MockClock) -> None:
    """Nobody is sent before the time it asked for has passed."""
    script = Full(1, seconds=2.0, after=30.0)
    told = await play(script, 2)
    assert all(pieces[-1] == Finish("done") for pieces in told)
    assert trio.current_time() == pytest.approx(32.0)


async def test_a_refusal_without_others_is_tried_again_as_ever(autojump_clock: MockClock) -> None:
    """When it is not we who fill the server, three tries are made."""
    script = Full(0)
    with pytest.raises(ProviderError, match="full"):
        await story(script, [])
    assert script.refusals == limits.TRIES_BEFORE_FIRST_PIECE


async def test_who_leaves_the_line_holds_nobody_up(autojump_clock: MockClock) -> None:
    """A story that is stopped while it waits, or while it is told, makes room."""
    script = Full(1, known=True)
    told: list[list[Piece]] = []
    async with trio.open_nursery() as nursery:
        scopes = []
        for _ in range(4):
            scope = trio.CancelScope()
            scopes.append(scope)

            async def cancellable(scope: trio.CancelScope = scope) -> None:
                with scope:
                    await story(script, told)

            nursery.start_soon(cancellable)
        await trio.sleep(1)
        scopes[1].cancel()
        scopes[0].cancel()
    assert sum(pieces[-1] == Finish("done") for pieces in told) >= 2
    gate = script.gate("")
    assert gate.active == 0
    assert trio.current_time() <= 31.0


async def test_waiting_for_long_is_not_a_server_that_does_not_answer(autojump_clock: MockClock) -> None:
    """Time in the line does not count as silence."""
    script = Full(1, known=True, seconds=400.0)
    told = await play(script, 30)
    assert all(pieces[-1] == Finish("done") for pieces in told)
