"""Small rules of a stream, one by one: what of it is the text of the reply, what is told before it and at its end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from trio.testing import MockClock

from flower import limits
from flower.engine.prompt.model import ChosenModel
from flower.engine.provider.base import Finish, Proposal, Spent, Text, Withdrawn
from flower.engine.sessions.outbox import Outbox
from flower.engine.sessions.session import GrowingReply, Session
from flower.engine.sessions.turn import Turn
from flower.errors import ProviderError
from flower.protocol.messages import (
    ChatEnd,
    ErrorEvent,
    ErrorMeta,
    Progress,
    Recall,
    RecallItem,
    RecallMeta,
    State,
    SystemUpdate,
    Usage,
)
from tests.engine.sessions.test_reply_rules import prompt_of
from tests.engine.sessions.test_side_rules import CHOSEN
from tests.fakes import ComposingProvider

# --- what comes of a stream ---------------------------------------------------------------------


class Written:
    """A turn whose pieces a test hands over, and what its watchers get."""

    def __init__(self, *, updates: bool = False) -> None:
        self.story, self.outbox = Session("s", "harbour", "mara"), Outbox()
        self.story.subscribe(self.outbox)
        self.reply = GrowingReply("t", 1, "line", "scripted/one", "w")
        services: Any = SimpleNamespace(database=None, narrator_updates=updates)
        task: Any = SimpleNamespace(selection=SimpleNamespace(client="laptop"))
        self.turn = Turn(self.story, self.reply, task, services=services, models=None)  # type: ignore[arg-type]

    def take(self, *pieces: Any, by: str = "one") -> None:
        stream: Any = SimpleNamespace(provider=CHOSEN.provider, model=by)
        for piece in pieces:
            self.turn._take(piece, stream, CHOSEN)

    async def notices(self) -> list[str]:
        events = [await self.outbox.get() for _ in range(len(self.outbox))]
        return [one.content for one in events if isinstance(one, SystemUpdate)]


async def test_progress_is_told_twice_a_second_and_that_it_is_over(mock_clock: MockClock) -> None:
    mock_clock.jump(10.0)
    for progress in (True, False):
        written = Written()
        for _ in range(4 * progress):
            written.turn._show_progress(Progress("loading", 1, 9))
            mock_clock.jump(limits.PROGRESS_INTERVAL_S / 2)
        written.take(Text("Fog."))
        told = ["loading …", "loading …", "✓ The narrator begins."] if progress else []
        assert await written.notices() == told


async def test_a_reply_is_of_the_model_that_wrote_it() -> None:
    own, other = Written(), Written()
    own.take(Text("Fog."))
    other.take(Text("Fog."), by="two")
    assert (own.reply.model, other.reply.model) == ("scripted/one", "scripted/two")


async def test_what_is_no_text_is_noted_and_what_is_withdrawn_is_gone() -> None:
    written = Written()
    written.take(Text("Fog. Rain."), Proposal("+ rope"), Spent(7, 5), Withdrawn(), Text("Sun. "))
    assert (written.reply.text, written.reply.proposed) == ("Sun. ", "+ rope")
    assert written.turn._meter.spent == Spent(7, 5)
    assert written.turn._meter.tokens == 3 + 1
    written.take(Finish("done"))
    assert "ended at" not in repr(written.turn._storage._ending)
    written.take(Finish("done", cut="Mara:"))
    assert "ended at 'Mara:'" in repr(written.turn._storage._ending)


async def test_a_loop_in_a_continuation_is_taken_back_to_where_it_was_worth_it() -> None:
    written = Written()
    written.take(Text("Fog. Rain. Rain."))
    written.turn._begins = 3
    written.turn._end_loop(5)
    assert written.reply.text == "Fog. Rai"
    assert (await written.notices())[-1].startswith("✗ The model went round in circles")
    assert "ended in a loop" in repr(written.turn._storage._ending)


@pytest.mark.parametrize(
    ("role", "by", "exactly", "known"),
    [
        ("assistant", "one", True, True),
        ("assistant", "one", False, False),
        ("assistant", "two", True, False),  # a fallback has its own words
        ("user", "one", True, False),
        ("system", "one", True, False),
    ],
)
async def test_a_model_that_is_sent_the_end_of_its_reply_goes_on_exactly(
    monkeypatch: pytest.MonkeyPatch, role: str, by: str, exactly: bool, known: bool
) -> None:
    monkeypatch.setattr("flower.engine.sessions.turn.goes_on_exactly", lambda *_: exactly)
    sent: list[str] = []
    written, stream = Written(), SimpleNamespace(provider=CHOSEN.provider, model=by)
    turn: Any = written.turn
    monkeypatch.setattr(written.reply, "goes_on_exactly", sent.append)
    turn._join_exactly(stream, CHOSEN)  # there is no prompt yet
    turn._prompt = prompt_of("user", role)
    turn._join_exactly(stream, CHOSEN)
    assert sent == [turn._prompt.completion.messages[-1].content] * known


async def test_a_block_of_changes_that_is_withdrawn_is_none_of_the_reply() -> None:
    block = "\n\n```update\n+ rope\n```"
    written = Written(updates=True)
    written.take(Text(f"Fog.{block}"), Withdrawn(), Text("Sun."))
    written.turn._publish_rest()
    assert (written.reply.text, written.reply.proposed) == ("Sun.", "")
    plain = Written()
    plain.take(Text("Fog."), Withdrawn())
    assert plain.turn._update_filter is None


async def test_no_more_is_read_than_is_worth_it() -> None:
    written = Written()
    turn: Any = written.turn
    assert not turn._has_enough(last_try=False)
    turn._watch.phrase = "a shiver"
    assert turn._has_enough(last_try=False)
    assert not turn._has_enough(last_try=True)
    updating: Any = Written(updates=True).turn
    assert not updating._has_enough(last_try=True)
    updating._update_filter.full = True
    assert updating._has_enough(last_try=True)
    full = Written()
    full.reply.length = limits.REPLY_CHARS
    assert full.turn._has_enough(last_try=True)


def test_phrases_of_the_offline_narrator_are_sampled_by_nobody() -> None:
    turn = Turn.__new__(Turn)
    turn._session = Session("s", "harbour", "mara")
    prompt = prompt_of(*("assistant",) * 3)
    model = ChosenModel(id="offline/one", provider=ComposingProvider(), name="one")
    assert turn._against_loops(prompt, model) is prompt
    assert turn._session.looped == ""


# --- what goes before a stream ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "trouble", "items", "scripts", "told"),
    [
        (False, "", 0, 0, []),
        (True, "", 0, 0, ["✗ Recall took too long; this reply does without it."]),
        (False, "A bad key.", 0, 2, ["✗ A bad key."]),
        (False, "", 1, 0, []),
    ],
)
async def test_what_was_recalled_is_told_and_what_was_not(
    monkeypatch: pytest.MonkeyPatch,
    late: bool,
    trouble: str,
    items: int,
    scripts: int,
    told: list[str],
) -> None:
    context = SimpleNamespace(
        acted=SimpleNamespace(scripts=("s",) * scripts),
        recall_late=late,
        entries=SimpleNamespace(trouble=trouble),
        direction=SimpleNamespace(speaker="mara"),
        hits=(),
    )
    recalled = Recall("recalled", RecallMeta("t", (RecallItem("lore", "t", "text"),) * items))

    async def gather(*_: object) -> object:
        return context

    monkeypatch.setattr("flower.engine.sessions.turn.gather", gather)
    monkeypatch.setattr("flower.engine.sessions.turn.recall_event", lambda *_, **__: recalled)
    written = Written()
    for _ in range(2):  # what would be the same in every turn is told once
        await written.turn._gather_context()
    events = [await written.outbox.get() for _ in range(len(written.outbox))]
    assert events.count(recalled) == 2 * items
    notices = [one for one in events if isinstance(one, SystemUpdate)]
    assert [one.content for one in notices if one.content] == told * (2 if late else 1)
    assert [one for one in notices if not one.content] == [SystemUpdate("", State(speaker="mara"))]
    assert written.reply.scripted == bool(scripts)


@pytest.mark.parametrize(
    ("before", "start", "leaves_out", "embeds"),
    [(None, 3, True, 1), (3, 3, True, 0), (2, 3, False, 0), (2, 3, True, 1)],
)
async def test_memories_get_their_vectors_when_a_prompt_begins_to_leave_some_out(
    monkeypatch: pytest.MonkeyPatch, before: int | None, start: int, leaves_out: bool, embeds: int
) -> None:
    calls: list[int] = []
    prepared = replace(
        prompt_of("user"), assembled=SimpleNamespace(window_start=start), record="record"
    )  # type: ignore[arg-type]

    async def build(*args: Any) -> object:
        assert args[-1] == before
        return prepared

    monkeypatch.setattr("flower.engine.sessions.turn.build_prompt", build)
    written = Written()
    turn: Any = written.turn
    turn._services.library = SimpleNamespace(embed_soon=lambda: calls.append(1))
    written.story.move_window(before)
    assert (
        await turn._build_prompt(SimpleNamespace(leaves_out=lambda _: leaves_out), CHOSEN) is prepared
    )
    assert (len(calls), written.story.window_start) == (embeds, start)
    assert (turn._prompt, turn._storage.record) == (prepared, "record")


async def test_an_end_that_failed_is_told_before_it_has_ended() -> None:
    written = Written()
    written.turn._announce("error", ProviderError("auth", "No key."), Usage(7, 5), "The disk is full")
    first, second, end = [await written.outbox.get() for _ in range(len(written.outbox))]
    assert first == ErrorEvent(
        "The disk is full. The reply stays on screen and is tried again.", ErrorMeta("store")
    )
    assert second == ErrorEvent("No key.", ErrorMeta("auth", "t"))
    assert isinstance(end, ChatEnd)
    assert (end.metadata.reason, end.metadata.total_tokens) == ("error", 12)
