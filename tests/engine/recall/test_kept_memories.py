"""What is kept of a story can be read and changed by its player: its summary, its memories."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.provider.base import Completion, Finish, Text
from flower.engine.store import exchanges, passages, search, stories
from flower.engine.store.passages import Passage
from flower.engine.store.sqlite.connection import migrate
from flower.protocol.messages import ErrorEvent, SystemUpdate
from tests.engine_world import Face, engine_world
from tests.fakes import ScriptedProvider, passage


class Narrating(ScriptedProvider):
    """Tells a long passage; asked for a record, gives one that counts them."""

    records = 0
    record_gap_s = 0.0

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]  # as its parent
        if completion.quiet:
            self.records += 1
            self.gap_s = self.record_gap_s
            self.pieces = [Text(f"RECORD {self.records}."), Finish("done")]
        else:
            self.gap_s = 0.0
            self.pieces = [Text(passage(51)), Finish("done")]
        return super().open(completion)

    @property
    def asked(self) -> list[Completion]:
        return [completion for completion in self.completions if completion.quiet]


async def settled(face: Face) -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_summary_is_made_on_request_read_and_rewritten(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", Narrating()) as world:
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await face.say("/summary")
        await settled(face)
        assert "no summary" in face.notice
        await face.say("/summary remake As a list of names")
        await settled(face)
        assert "RECORD 1." in face.notice
        asked = world.provider.asked[-1].messages[0].content  # type: ignore[attr-defined]
        assert "As a list of names" in asked
        await face.say("/summary edit Mara owes me a lamp.")
        await face.say("/summary")
        await settled(face)
        assert "Mara owes me a lamp." in face.notice
        assert "As a list of names" in face.notice
        await face.say("/summary edit")
        await settled(face)
        assert face.of(SystemUpdate)[-1].metadata.draft == "/summary edit Mara owes me a lamp."


async def test_a_long_story_is_summarised_in_parts_each_within_the_context(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", Narrating()) as world:
        face = await world.playing()
        for number in range(30):
            await face.say_and_wait(f"Line {number}: I go on.")
        made = len(world.provider.asked)  # type: ignore[attr-defined]
        await face.say("/summary remake")
        await settled(face)
        parts = world.provider.asked[made:]  # type: ignore[attr-defined]
        assert len(parts) > 1
        assert any("Summarising message" in event.content for event in face.of(SystemUpdate))
        assert all(
            sum(len(m.content) for m in part.messages) < 4 * part.context_tokens for part in parts
        )
        assert f"RECORD {made + len(parts)}." in face.notice


async def test_a_summary_belongs_to_its_branch(autojump_clock: MockClock, tmp_path: Path) -> None:
    async with engine_world(tmp_path / "db", Narrating()) as world:
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await face.say("/summary edit The bell has rung.")
        await face.say("/undo")
        await face.say("/summary")
        await settled(face)
        assert "The bell has rung." not in face.notice
        await face.say("/redo")
        await face.say("/summary")
        await settled(face)
        assert "The bell has rung." in face.notice


async def test_an_edited_summary_is_what_the_narrator_is_told(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db", Narrating()) as world:
        face = await world.playing()
        for number in range(16):
            await face.say_and_wait(f"Line {number}: I go on.")
        told = [c for c in world.provider.completions if not c.quiet]
        assert "RECORD" in told[-1].messages[0].content
        await face.say("/summary edit Nobody has drowned.")
        for number in range(8):  # until the window has moved behind what it covers
            await face.say_and_wait(f"And line {number}.")
        told = [
            c
            for c in world.provider.completions
            if not c.quiet and "Nobody has drowned." in c.messages[0].content
        ]
        assert told


async def test_cancel_stops_a_summary_and_keeps_the_old_one(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Narrating()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        await face.say_and_wait("I ring the bell.")
        await face.say("/summary edit The old one.")
        provider.record_gap_s = 50.0
        await face.say("/summary remake")
        await settled(face)
        await face.say("/cancel")
        await settled(face)
        assert face.notice == "✓ Stopped."
        await face.say("/summary")
        await settled(face)
        assert "The old one." in face.notice


async def test_a_memory_is_read_and_remembered_in_other_words(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "db") as world:
        face = await world.playing()
        await face.say("/set-state place The quay")
        await face.say("/set-state time dusk")
        await face.say_and_wait("My brother is called Aldric.")
        (memory,) = [p for p in world.library.passages if p.kind == "memory"]
        await face.say(f"/memory show {memory.id}")
        await settled(face)
        assert "Aldric" in face.notice
        assert "(The quay, dusk)" in face.notice
        await face.say(f"/memory edit {memory.id} My brother is called Edmund.")
        (changed,) = [p for p in world.library.passages if p.kind == "memory"]
        assert changed.text == "My brother is called Edmund."
        assert changed.message_id == memory.message_id  # it is on the same branch
        await face.say("/memory show 999")
        await settled(face)
        assert "no passage 999" in face.of(ErrorEvent)[-1].content


def test_a_rewritten_memory_has_a_number_of_its_own_and_is_not_made_again() -> None:
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    stories.create_session(db, "s", "w", "", "", 1.0)
    exchange = exchanges.begin_exchange(db, "s", "I knock.", "m", None, 1.0)
    db.execute(
        "UPDATE messages SET content = 'Nobody.', status = 'complete' WHERE id = ?",
        (exchange.reply_id,),
    )
    assert exchanges.unremembered(db)
    piece = Passage(0, "memory", "memory:s", "message:2", "", "Old.", exchange.reply_id, pinned=True)
    (old,) = passages.add_memories(db, [piece]).added
    exchanges.forget(db, exchange.reply_id)
    changed = passages.rewrite(db, old, "New.")
    assert changed.removed == (old,)
    (kept,) = passages.list_passages(db, "memory:s")
    assert (kept.text, kept.pinned, kept.id) == ("New.", True, changed.added[0])
    assert kept.id != old
    assert not exchanges.unremembered(db)
    assert passages.rewrite(db, 999, "x") == passages.Changed()
    assert search.newest(db, exchange.reply_id) is None
