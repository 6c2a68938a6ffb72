"""Small rules of what goes along with a transaction: with the next one of its block, once, and with no other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from flower.engine.store import transactions
from flower.engine.store.transactions import alongside, apart, change_alongside, with_alongside

DB: Any = object()


def run(function: Callable[[Any], object]) -> object:
    return function(DB)


def written(done: list[str], name: str) -> object:
    """Writes ``name`` in a transaction of this task."""

    def write(_: object) -> str:
        done.append(name)
        return name

    return with_alongside(run, write)()


def test_a_change_goes_with_the_next_transaction_before_what_that_writes() -> None:
    done: list[str] = []
    assert written(done, "none") == "none"
    with alongside(lambda db: done.append("along" if db is DB else "other")) as change:
        assert (change.due, change.done, change.closed) == (True, False, False)
        assert change_alongside() is change
        assert written(done, "first") == "first"
        assert (change.due, change.done) == (False, True)
        written(done, "second")
    written(done, "third")
    assert done == ["none", "along", "first", "second", "third"]
    assert (change.due, change.done, change.closed) == (False, True, True)
    assert change_alongside() is None


def test_a_change_whose_block_has_ended_goes_with_nothing() -> None:
    done: list[str] = []
    with alongside(lambda _: done.append("along")) as change:
        late = with_alongside(run, lambda _: done.append("late"))
    assert not change.due
    late()
    assert (done, change.done) == (["late"], False)


def test_a_block_that_fails_is_closed_as_well() -> None:
    with pytest.raises(ValueError, match="a bug"), alongside(lambda _: None) as change:
        raise ValueError("a bug")
    assert (change.closed, change.due, change_alongside()) == (True, False, None)


def test_a_change_is_done_only_when_its_transaction_is() -> None:
    def fails(function: Callable[[Any], object]) -> object:
        function(DB)
        raise ValueError("a full disk")

    times: list[int] = []
    with alongside(lambda _: times.append(1)) as change:
        with pytest.raises(ValueError, match="a full disk"):
            with_alongside(fails, lambda _: None)()
        assert change.due
        with_alongside(run, lambda _: None)()
        assert change.done
    assert len(times) == 2  # what it did first was rolled back


def test_a_transaction_that_is_done_again_takes_its_change_along_again() -> None:
    def twice(function: Callable[[Any], object]) -> object:
        function(DB)
        return function(DB)

    done: list[str] = []
    with alongside(lambda _: done.append("along")) as change:
        with_alongside(twice, lambda _: done.append("own"))()
        assert change.done
    assert done == ["along", "own"] * 2


def test_a_change_that_refuses_keeps_the_transaction_from_happening() -> None:
    done: list[str] = []

    def refuse(_: object) -> None:
        raise ValueError("refused")

    with alongside(refuse) as change:
        with pytest.raises(ValueError, match="refused"):
            written(done, "own")
        assert change.due
    assert done == []


def test_what_is_written_apart_takes_nothing_along() -> None:
    done: list[str] = []
    with alongside(lambda _: done.append("along")) as change:
        with apart():
            assert change_alongside() is None
            written(done, "apart")
        assert change_alongside() is change
        assert change.due
        with alongside(lambda _: done.append("inner")) as inner:
            written(done, "own")
            assert (inner.done, change.due) == (True, True)
        assert change_alongside() is change
    assert done == ["apart", "inner", "own"]


async def test_tasks_of_a_block_share_its_change() -> None:
    done: list[str] = []

    async def write(name: str) -> None:
        written(done, name)

    with alongside(lambda _: done.append("along")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, "task")
        written(done, "own")
    assert done == ["along", "task", "own"]


async def test_calls_run_one_at_a_time_in_another_thread_or_on_the_spot() -> None:
    here = threading.get_ident()
    one = transactions.OneThread()
    assert one._one_at_a_time.total_tokens == 1
    assert await one(threading.get_ident) != here
    assert await transactions.Inline()(threading.get_ident) == here
    with trio.CancelScope() as scope:
        scope.cancel()
        await transactions.Inline()(lambda: pytest.fail("a cancelled call has not begun"))
    assert scope.cancelled_caught
