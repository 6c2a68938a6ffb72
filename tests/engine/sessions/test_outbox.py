"""The mailbox of one client: bounded, in order, and no text is lost."""

from __future__ import annotations

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.sessions import outbox as outbox_module
from flower.engine.sessions.outbox import RESYNC, Outbox, Resync
from flower.protocol.messages import ChatChunk, ChunkMeta, Event, State, SystemUpdate


def chunk(text: str, offset: int, turn: str = "t") -> ChatChunk:
    return ChatChunk(text, ChunkMeta("m", 1.0, "w", turn, offset))


async def drain(outbox: Outbox) -> list[Event | Resync]:
    """Takes everything that waits."""
    taken: list[Event | Resync] = []
    while len(outbox):
        item = await outbox.get()
        assert item is not None
        taken.append(item)
    return taken


async def test_waiting_chunks_of_a_turn_become_one() -> None:
    outbox = Outbox()
    for offset, text in ((0, "The "), (4, "tide "), (9, "turns.")):
        outbox.put_nowait(chunk(text, offset))
    assert await drain(outbox) == [chunk("The tide turns.", 0)]


async def test_chunks_of_other_turns_and_gaps_stay_apart() -> None:
    outbox = Outbox()
    events = [chunk("a", 0, "one"), chunk("b", 0, "two"), chunk("c", 5, "two")]
    for event in events:
        outbox.put_nowait(event)
    assert await drain(outbox) == events


@given(
    st.lists(st.text(min_size=1, max_size=30) | st.none(), max_size=60),
    st.lists(st.booleans(), max_size=60),
)
def test_any_order_of_putting_and_taking_keeps_text_and_order(
    texts: list[str | None], take: list[bool]
) -> None:
    """None stands for an event between chunks; what comes out reads like what went in."""

    async def scenario() -> None:
        outbox = Outbox()
        expected, seen = "", ""
        offset = 0
        schedule = iter(take)

        def read(item: object) -> str:
            return "|" if isinstance(item, SystemUpdate) else item.content  # type: ignore[attr-defined, no-any-return]

        for text in texts:
            if text is None:
                outbox.put_nowait(SystemUpdate("", State()))
                expected += "|"
            else:
                outbox.put_nowait(chunk(text, offset))
                offset += len(text)
                expected += text
            if next(schedule, False) and len(outbox):
                seen += read(await outbox.get())
        while len(outbox):
            seen += read(await outbox.get())
        assert seen == expected

    trio.run(scenario)


async def test_too_many_events_become_one_resync() -> None:
    outbox = Outbox(events=10)
    for number in range(1000):
        outbox.put_nowait(SystemUpdate(str(number)))
    assert await drain(outbox) == [RESYNC]
    outbox.put_nowait(SystemUpdate("after"))
    assert await drain(outbox) == [SystemUpdate("after")]


async def test_too_much_text_becomes_one_resync() -> None:
    outbox = Outbox()
    offset = 0
    for _ in range(2 * outbox_module.OUTBOX_BYTES // 10_000):
        outbox.put_nowait(chunk("x" * 10_000, offset))
        offset += 10_000
    assert await drain(outbox) == [RESYNC]


async def test_get_waits_for_the_next_event(autojump_clock: trio.testing.MockClock) -> None:
    outbox = Outbox()
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(3)
            outbox.put_nowait(SystemUpdate("now"))

        nursery.start_soon(later)
        assert await outbox.get() == SystemUpdate("now")
        assert trio.current_time() == 3


async def test_a_closed_outbox_hands_out_the_rest_then_ends() -> None:
    outbox = Outbox()
    outbox.put_nowait(SystemUpdate("last words"))
    outbox.close()
    outbox.put_nowait(SystemUpdate("too late"))
    assert await outbox.get() == SystemUpdate("last words")
    assert await outbox.get() is None
