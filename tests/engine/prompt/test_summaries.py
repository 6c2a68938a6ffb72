"""What leaves the history is summarised ahead, told from then on, and never on another branch."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from flower.engine.prompt.assemble import PromptLine
from flower.engine.prompt.summary import EXTRACT_CHARS, extract, lines_to_cover, summary_prompt
from flower.engine.provider.base import Completion, Finish, Text
from flower.engine.store import exchanges, search, stories
from flower.engine.store.sqlite.connection import migrate
from flower.engine.token_counter import TokenCounter
from tests.engine_world import engine_world
from tests.fakes import ScriptedProvider, passage

COUNTER = TokenCounter()


class Narrating(ScriptedProvider):
    """Tells a long passage; asked for a record, gives one that says how many it has given."""

    records = 0
    record_gap_s = 0.0

    def open(self, completion: Completion):  # type: ignore[no-untyped-def]
        asked_for_record = completion.messages[0].content.startswith("You keep the record")
        self.gap_s = self.record_gap_s if asked_for_record else 0.0
        if asked_for_record:
            self.records += 1
            self.pieces = [Text(f"RECORD {self.records}: the lamp was lost."), Finish("done")]
        else:
            self.pieces = [Text(passage(51)), Finish("done")]
        return super().open(completion)


def story(count: int) -> list[PromptLine]:
    return [PromptLine(i, "user" if i % 2 else "assistant", "word " * 60) for i in range(count)]


def test_nothing_is_covered_before_a_trim_is_near() -> None:
    assert lines_to_cover(story(10), 5000, COUNTER) == 0


def test_what_is_covered_leaves_half_of_the_room() -> None:
    lines = story(40)
    count = lines_to_cover(lines, 3000, COUNTER)
    kept = sum(COUNTER.count(line.content) + 4 for line in lines[count:])
    assert 0 < count < 40
    assert kept <= 3000 * 0.5


def test_an_extract_keeps_the_first_sentences_and_its_bounds() -> None:
    lines = [
        PromptLine(1, "user", "I take the lamp. It is heavy."),
        PromptLine(2, "assistant", "“Mind it!” says Mara. She goes."),
    ]
    assert extract("Before.", lines) == "Before.\nThe player: I take the lamp.\n“Mind it!”"
    long = extract("x" * 3000, story(60))
    assert len(long) <= EXTRACT_CHARS + 1


def test_the_request_holds_the_record_and_the_lines() -> None:
    system, user = summary_prompt(
        "Mara left.", [PromptLine(1, "user", "I follow."), PromptLine(2, "assistant", "Rain.")]
    )
    assert system.role == "system"
    for part in ("Mara left.", "The player: I follow.", "The narrator: Rain."):
        assert part in user.content


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    migrate(connection)
    yield connection
    connection.close()


def test_a_summary_belongs_to_the_branches_its_message_is_on(db: sqlite3.Connection) -> None:
    stories.create_session(db, "s", "harbour", "", "Hello.", 1.0)
    left = exchanges.begin_exchange(db, "s", "Left.", "m", None, 1.0)
    search.add(db, left.user_id, "Went left.", 1.0)
    db.execute("UPDATE sessions SET active_leaf = 1 WHERE id = 's'")
    right = exchanges.begin_exchange(db, "s", "Right.", "m", None, 1.0)
    assert search.newest(db, left.reply_id) == search.Summary(left.user_id, "Went left.")
    assert search.newest(db, right.reply_id) is None
    assert search.newest(db, left.reply_id, before=left.user_id) is None


async def test_a_long_story_is_summarised_before_it_is_trimmed(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """At the trim the record stands in the system message and meets the history without a gap."""
    provider = Narrating()
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        for number in range(14):
            await face.say_and_wait(f"Line {number}: I go on.")
            await trio.sleep(5)
        assert provider.records >= 1
        session_id = face.client.chosen.session_id
        path = await world.database.read(stories.active_path, session_id)
        manifest = await world.database.read(exchanges.manifest, session_id)
        assert manifest is not None
        entries = {entry.section: entry for entry in manifest}
        left_out = int(entries["history"].note.split()[0])
        assert entries["summary"].source == f"up to message {path[left_out - 1].id}"
        assert "RECORD" in provider.completions[-1].messages[0].content


async def test_a_new_line_ends_the_summarising_at_once(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    provider = Narrating()
    provider.record_gap_s = 60.0
    async with engine_world(tmp_path / "db", provider) as world:
        face = await world.playing()
        while not provider.records:
            await face.say_and_wait("I go on.")
        started = trio.current_time()
        await face.say_and_wait("Quick!")
        assert trio.current_time() - started < provider.record_gap_s
        end = await world.database.read(stories.active_path, face.client.chosen.session_id, most=1)
        assert await world.database.read(search.newest, end[0].id) is None, "the record was dropped"
