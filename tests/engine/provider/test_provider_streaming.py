"""Deadlines, retries and fallbacks, in virtual time."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from types import TracebackType

import pytest
import trio
from trio.testing import MockClock

from flower import limits
from flower.engine.provider.base import (
    Completion,
    Finish,
    Loading,
    ModelInfo,
    Piece,
    Provider,
    Reasoning,
    Spent,
    Text,
)
from flower.engine.provider.retry import (
    CLOUD,
    IDLE_TIMEOUT_S,
    LOADING_POLL_S,
    LOCAL,
    RETRY_AFTER_MAX_S,
    RETRY_CAP_S,
    Stream,
)
from flower.engine.provider.services.openai import OpenAIProvider
from flower.errors import ProviderError
from tests.provider_world import (
    FAMILIES,
    Network,
    completion,
    make_provider,
    refused,
    streamed,
    text_of,
)

Step = Piece | float | ProviderError
DONE = Finish("done")


class Script:
    """A provider that plays one list of steps per call; numbers are seconds of silence."""

    local = True

    def __init__(self, *plays: Sequence[Step], name: str = "acme", local: bool = True) -> None:
        self.name = name
        self.local = local
        self.plays = list(plays)
        self.opened: list[Completion] = []
        self.open_now = 0
        self.refused: list[str] = []

    def open(self, completion: Completion) -> Play:
        self.opened.append(completion)
        return Play(self, self.plays.pop(0) if len(self.plays) > 1 else self.plays[0])

    def refuse(self, model: str, field: str) -> bool:
        self.refused.append(field)
        return self.refused.count(field) == 1

    def left_out(self, completion: Completion) -> tuple[str, ...]:
        return tuple(name for name in completion.params if name in self.refused)

    async def models(self) -> tuple[ModelInfo, ...]:
        return ()

    async def count_tokens(self, text: str) -> int | None:
        return None

    async def aclose(self) -> None:
        """Nothing is open."""


class Play:
    def __init__(self, script: Script, steps: Sequence[Step]) -> None:
        self._script = script
        self._steps = list(steps)

    async def __aenter__(self) -> AsyncIterator[Piece]:
        self._script.open_now += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._script.open_now -= 1

    def __aiter__(self) -> AsyncIterator[Piece]:
        return self

    async def __anext__(self) -> Piece:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, ProviderError):
                raise step
            if not isinstance(step, float):
                return step
            await trio.sleep(step)
        raise StopAsyncIteration


async def listen(stream: Stream) -> tuple[list[Piece], ProviderError | None]:
    pieces: list[Piece] = []
    async with stream:
        try:
            async for piece in stream:
                pieces.append(piece)  # noqa: PERF401  # what came before an error must be kept
        except ProviderError as error:
            return pieces, error
    return pieces, None


def of(provider: Provider, *fallbacks: tuple[Provider, str], **params: object) -> Stream:
    return Stream(provider, completion(params=params), rng=random.Random(7), fallbacks=fallbacks)


def failure(kind: str, **more: float) -> ProviderError:
    return ProviderError(kind, f"acme: {kind}.", retry_after_s=more.get("after"))


async def test_pieces_pass_through() -> None:
    script = Script([Loading("x"), Reasoning("r"), Text("a"), Spent(1, 2), DONE])
    pieces, error = await listen(of(script))
    assert pieces == [Loading("x"), Reasoning("r"), Text("a"), Spent(1, 2), DONE]
    assert error is None
    assert script.open_now == 0


async def test_nothing_is_read_after_the_end_mark() -> None:
    pieces, error = await listen(of(Script([Text("a"), DONE, Text("b")])))
    assert pieces == [Text("a"), DONE]
    assert error is None


RETRIED = ["rate_limit", "overloaded", "network", "server", "interrupted"]
FINAL = [
    "auth",
    "payment",
    "context_exceeded",
    "blocked",
    "bad_request",
    "model_not_found",
    "malformed_stream",
]


@pytest.mark.parametrize("kind", RETRIED)
async def test_passing_failures_are_retried_before_the_first_word(
    kind: str, autojump_clock: MockClock
) -> None:
    script = Script([failure(kind)], [Reasoning("r"), failure(kind)], [Text("a"), DONE])
    pieces, error = await listen(of(script))
    assert error is None
    assert text_of(pieces) == "a"
    assert len(script.opened) == 3
    assert any("again in" in piece.what for piece in pieces if isinstance(piece, Loading))
    assert trio.current_time() < 3 * RETRY_CAP_S


@pytest.mark.parametrize("kind", RETRIED)
async def test_tries_are_counted(kind: str, autojump_clock: MockClock) -> None:
    script = Script([failure(kind)])
    _, error = await listen(of(script))
    assert error is not None
    assert error.kind == kind
    assert len(script.opened) == limits.TRIES_BEFORE_FIRST_PIECE


@pytest.mark.parametrize("kind", FINAL)
async def test_lasting_failures_are_not_retried(kind: str) -> None:
    script = Script([failure(kind)])
    _, error = await listen(of(script))
    assert error is not None
    assert error.kind == kind
    assert len(script.opened) == 1


@pytest.mark.parametrize("kind", RETRIED + FINAL)
async def test_nothing_is_repeated_after_a_word(kind: str) -> None:
    script = Script([Text("The door"), failure(kind)])
    pieces, error = await listen(of(script, (Script([Text("b"), DONE]), "m2")))
    assert text_of(pieces) == "The door"
    assert error is not None
    assert error.kind == ("interrupted" if kind == "network" else kind)
    assert len(script.opened) == 1


async def test_retry_after_is_honoured(autojump_clock: MockClock) -> None:
    script = Script([failure("rate_limit", after=20.0)], [Text("a"), DONE])
    _, error = await listen(of(script))
    assert error is None
    assert 20 <= trio.current_time() <= 20 + RETRY_CAP_S


async def test_a_wait_that_is_too_long_is_left_to_the_user(autojump_clock: MockClock) -> None:
    script = Script([failure("rate_limit", after=RETRY_AFTER_MAX_S + 1)])
    _, error = await listen(of(script))
    assert error is not None
    assert error.kind == "rate_limit"
    assert trio.current_time() == 0


async def test_jitter_comes_from_the_given_generator(autojump_clock: MockClock) -> None:
    """Two generators with one seed wait equally long; another seed waits differently."""
    waits = []
    for seed in (1, 1, 2):
        start = trio.current_time()
        script = Script([failure("server")], [Text("a"), DONE])
        await listen(Stream(script, completion(), rng=random.Random(seed)))
        waits.append(trio.current_time() - start)
    assert waits[0] == pytest.approx(waits[1])
    assert waits[0] != pytest.approx(waits[2])


# --- deadlines ----------------------------------------------------------------------------------


async def test_silence_before_the_first_piece(autojump_clock: MockClock) -> None:
    """A cloud endpoint gets less patience than a local one that may load a model from an SD card."""
    for local, patience in ((False, CLOUD), (True, LOCAL)):
        start = trio.current_time()
        script = Script([10_000.0], local=local)
        _, error = await listen(of(script))
        assert error is not None
        assert error.kind == "timeout_first_byte"
        assert trio.current_time() - start == pytest.approx(min(patience.silence_s, patience.first_s))
        assert script.open_now == 0
        assert len(script.opened) == 1, "who waited that long does not want to wait again"


async def test_comments_keep_a_queued_request_alive_but_not_for_ever(autojump_clock: MockClock) -> None:
    comments: list[Step] = [Loading("waiting for the model"), 10.0] * 1000
    _, error = await listen(of(Script(comments, local=False)))
    assert error is not None
    assert error.kind == "timeout_first_byte"
    assert trio.current_time() == pytest.approx(CLOUD.first_s)


async def test_a_long_queue_with_comments_is_waited_for(autojump_clock: MockClock) -> None:
    queue: list[Step] = [Loading("waiting for the model"), 100.0] * 5
    pieces, error = await listen(of(Script([*queue, Text("a"), DONE], local=False)))
    assert error is None
    assert text_of(pieces) == "a"


async def test_loading_progress_extends_the_wait(autojump_clock: MockClock) -> None:
    """A Pi that reads a long prompt for 25 minutes is working, not hanging."""
    steps: list[Step] = []
    for done in range(15):
        steps += [Loading("reading the prompt", done, 15), 100.0]
    pieces, error = await listen(of(Script([*steps, Text("a"), DONE])))
    assert error is None
    assert text_of(pieces) == "a"
    assert trio.current_time() == pytest.approx(1500)


async def test_reading_the_prompt_is_progress_of_its_own(autojump_clock: MockClock) -> None:
    """Megabytes loaded say nothing about tokens read."""
    steps: list[Step] = [Loading("loading the model", 4000, 4000), 500.0]
    for done in range(1, 5):
        steps += [Loading("reading the prompt", done, 15), 500.0]
    pieces, error = await listen(of(Script([*steps, Text("a"), DONE])))
    assert error is None
    assert text_of(pieces) == "a"


async def test_loading_without_progress_does_not(autojump_clock: MockClock) -> None:
    stuck: list[Step] = [Loading("reading the prompt", 3, 15), 100.0] * 100
    _, error = await listen(of(Script(stuck)))
    assert error is not None
    assert error.kind == "timeout_first_byte"
    assert trio.current_time() == pytest.approx(LOCAL.first_s)


@pytest.mark.parametrize("life", [Loading("waiting for the model"), Spent(1, 1)])
async def test_only_content_counts_after_the_first_content(
    life: Piece, autojump_clock: MockClock
) -> None:
    """Signs of life are waited for, but comments for ever are a stall."""
    alive: list[Step] = [life, 5.0] * 1000
    pieces, error = await listen(of(Script([Text("The door"), *alive])))
    assert error is not None
    assert error.kind == "timeout_idle"
    assert text_of(pieces) == "The door"
    assert trio.current_time() == pytest.approx(LOCAL.first_s)


async def test_slow_words_are_fine(autojump_clock: MockClock) -> None:
    slow: list[Step] = [Text("a "), 60.0] * 50
    pieces, error = await listen(of(Script([*slow, DONE])))
    assert error is None
    assert len(text_of(pieces)) == 100


async def test_the_listener_may_take_its_time(autojump_clock: MockClock) -> None:
    """Time spent outside the stream is not the provider's fault."""
    script = Script([Text("a"), Text("b"), DONE])
    said = ""
    async with of(script) as pieces:
        async for piece in pieces:
            said += text_of([piece])
            await trio.sleep(IDLE_TIMEOUT_S + 10)
    assert said == "ab"


# --- ends ---------------------------------------------------------------------------------------


async def test_a_stream_without_end_mark_is_interrupted() -> None:
    pieces, error = await listen(of(Script([Text("The door")])))
    assert text_of(pieces) == "The door"
    assert error is not None
    assert error.kind == "interrupted"
    assert "/continue" in str(error)


@pytest.mark.parametrize("empty", [[], [DONE], [Spent(3, 0), DONE]])
async def test_an_empty_reply_is_tried_again(empty: list[Step], autojump_clock: MockClock) -> None:
    script = Script(empty, [Text("a"), DONE])
    pieces, error = await listen(of(script))
    assert error is None
    assert text_of(pieces) == "a"


async def test_a_reply_that_was_only_thinking_is_explained_and_paid_once() -> None:
    """A second try would think again; what can be set is said instead."""
    script = Script([Reasoning("hm"), DONE])
    _, error = await listen(of(script))
    assert error is not None
    assert "only thought" in str(error)
    assert len(script.opened) == 1


async def test_thinking_that_used_up_the_reply_is_explained() -> None:
    _, error = await listen(of(Script([Reasoning("hm"), Finish("length")])))
    assert error is not None
    assert error.kind == "bad_request"
    assert "max_tokens" in str(error)


async def test_a_blocked_reply_is_an_end_with_a_reason() -> None:
    pieces, error = await listen(of(Script([Finish("blocked", "SAFETY")])))
    assert error is None
    assert pieces == [Finish("blocked", "SAFETY")]


async def test_leaving_early_closes_the_provider() -> None:
    script = Script([Text("a"), Text("b"), DONE])
    async with of(script) as pieces:
        async for _ in pieces:
            break
    assert script.open_now == 0


@pytest.mark.parametrize("stop_at", [0.5, 5.0, 12.0, 21.0, 35.0])
async def test_cancelled_at_any_moment_closes_the_provider_at_once(
    stop_at: float, autojump_clock: MockClock
) -> None:
    script = Script(
        [10.0, failure("rate_limit", after=10.0)], [10.0, Text("a"), 10.0, Text("b"), 10.0, DONE]
    )
    with trio.move_on_at(stop_at) as scope:
        await listen(of(script))
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(stop_at)
    assert script.open_now == 0


# --- adapting -----------------------------------------------------------------------------------


async def test_a_refused_parameter_is_left_out_and_noted() -> None:
    refusal = ProviderError("bad_request", "acme did not accept it.", field="top_k")
    script = Script([refusal], [Text("a"), DONE])
    asking = of(script, top_k=5)
    pieces, error = await listen(asking)
    assert error is None
    assert text_of(pieces) == "a"
    assert script.refused == ["top_k"]
    assert asking.notes == ["acme does not take top_k for this model; it was left out."]


async def test_a_field_that_is_refused_again_is_an_error() -> None:
    refusal = ProviderError("bad_request", "acme did not accept it.", field="top_k")
    script = Script([refusal])
    _, error = await listen(of(script))
    assert error is refusal
    assert len(script.opened) == 2


async def test_a_refused_field_is_remembered_for_the_next_turn() -> None:
    """Through a real provider: the second turn does not ask for what the first was refused."""
    family = FAMILIES["groq"]
    body = '{"error":{"message":"property \'seed\' is unsupported","type":"invalid_request_error"}}'
    network = Network(
        refused(400, body), streamed(family, family.recorded), streamed(family, family.recorded)
    )
    provider = make_provider(family, network)
    for _ in range(2):
        asking = of(provider, seed=7)
        pieces, error = await listen(asking)
        assert error is None
        assert text_of(pieces)
        assert asking.notes == ["acme does not take seed for this model; it was left out."]
    assert [b'"seed"' in body for body in network.bodies] == [True, False, False]
    assert isinstance(provider, OpenAIProvider)


async def test_max_tokens_has_two_names() -> None:
    family = FAMILIES["compatible"]
    body = (
        '{"error":{"message":"Unsupported parameter: \'max_tokens\' is not supported with this model. Use '
        '\'max_completion_tokens\' instead.","param":"max_tokens","code":"unsupported_parameter"}}'
    )
    network = Network(refused(400, body), streamed(family, family.recorded))
    _, error = await listen(of(make_provider(family, network)))
    assert error is None
    assert b'"max_completion_tokens":99' in network.bodies[1]
    assert b'"max_tokens"' not in network.bodies[1]


async def test_a_server_that_loads_its_model_is_waited_for(autojump_clock: MockClock) -> None:
    loading = '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}'
    family = FAMILIES["llamacpp"]
    answers = [refused(503, loading) for _ in range(60)]
    network = Network(*answers, streamed(family, family.recorded))
    pieces, error = await listen(of(make_provider(family, network)))
    assert error is None
    assert Loading("loading the model") in pieces
    assert trio.current_time() == pytest.approx(60 * LOADING_POLL_S)


async def test_a_server_that_loads_for_ever_is_given_up(autojump_clock: MockClock) -> None:
    _, error = await listen(of(Script([failure("loading")])))
    assert error is not None
    assert error.kind == "loading"
    assert trio.current_time() <= LOCAL.first_s


# --- fallbacks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["auth", "payment", "model_not_found", "overloaded", "network", "malformed_stream"]
)
async def test_another_model_steps_in_before_the_first_word(
    kind: str, autojump_clock: MockClock
) -> None:
    first, second = Script([failure(kind)]), Script([Text("a"), DONE], name="other")
    asking = of(first, (second, "m2"))
    pieces, error = await listen(asking)
    assert error is None
    assert text_of(pieces) == "a"
    assert (asking.provider, asking.model) == (second, "m2")
    assert second.opened[0].model == "m2"
    assert asking.notes == [f"acme: {kind}.", "other/m2 narrates instead."]


async def test_another_model_steps_in_for_a_silent_one(autojump_clock: MockClock) -> None:
    asking = of(Script([10_000.0], local=False), (Script([Text("a"), DONE], name="other"), "m2"))
    pieces, error = await listen(asking)
    assert error is None
    assert text_of(pieces) == "a"


@pytest.mark.parametrize("kind", ["blocked", "bad_request", "context_exceeded"])
async def test_no_other_model_is_asked_when_the_prompt_is_at_fault(kind: str) -> None:
    second = Script([Text("a"), DONE])
    _, error = await listen(of(Script([failure(kind)]), (second, "m2")))
    assert error is not None
    assert error.kind == kind
    assert second.opened == []


async def test_the_last_failure_is_reported(autojump_clock: MockClock) -> None:
    _, error = await listen(of(Script([failure("payment")]), (Script([failure("auth")]), "m2")))
    assert error is not None
    assert error.kind == "auth"
