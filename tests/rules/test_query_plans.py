"""No query of the engine reads a whole table that grows, whatever SQLite's statistics say."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from flower.engine.recall.library import PassageLibrary
from flower.engine.store import search, stories
from flower.protocol.messages import ErrorEvent
from tests.engine_world import engine_world
from tests.fakes import HashEmbedder
from tests.query_plans import Noting, faults, pretend_many_messages

PLAYED = """
/world select harbour|/session new|I wait.|I knock.|/retry|/variants|/variant 1|/variant next|/continue
/edit I knock twice.|/edit 3 No answer.|/undo|/redo|/history 5|/export md all|/export jsonl|/tree|/tree 3|/show 3
/branch 3 the other door|/branches|/checkout the other door|/goto 3|I go on.|/delete 5|/restore|/restore 5
/session list|/session rename The night|/session search knock|/session pin|/session archive|/session archive
/world attach_lore The bell rings.|/lore add harbour A gull.|/lore list|/lore search bell|/memory list
/memory search knock|/set temperature 0.8|/set model temperature 0.7|/set|/rules add slow|/rules on dice
/rules off dice|/rules clear|/nsfw|/why|/persona Ines, a surveyor|/cast add mara|/cast|/as mara|/note Rain.
/roll 2d6|/state|/sheet|/sheet set HP 3|/people|/clock add Tide 4|/clocks|/recap|/pin The lamp is lit.|/time 2 hours
/session new|I look.|/session continue FIRST|/session delete FIRST|/session restore|/session restore FIRST
""".replace("\n", "|").split("|")

# A part of the statement, a part of the step of its plan, and why it may stay
EXCEPTIONS = (
    ("FROM book_owners o JOIN books", "TEMP B-TREE", "the lorebooks of one owner"),
    ("FROM personas p WHERE p.owner", "TEMP B-TREE", "all personas of a user, when they are listed"),
    ("FROM json_each(:ids) j CROSS JOIN messages", "TEMP B-TREE", "the messages of one page"),
    (
        "FROM characters ORDER BY name, id",
        "TEMP B-TREE",
        "once, when an engine starts; some hundred rows",
    ),
    ("FROM personas p LEFT JOIN", "TEMP B-TREE", "the few personas that may be meant"),
    (
        "FROM selections WHERE",
        "TEMP B-TREE",
        "a row for each client that ever came, once when one comes",
    ),
    ("FROM branches WHERE session_id", "TEMP B-TREE", "the names of one story's branches"),
    (
        "FROM messages c JOIN messages m ON m.id = c.parent_id",
        "TEMP B-TREE",
        "the variants of one message",
    ),
    ("FROM messages m WHERE m.parent_id = ?", "TEMP B-TREE", "the variants of one message"),
    ("m.deleted_with = m.id ORDER BY", "TEMP B-TREE", "what is in the trash of one story"),
    (
        "FROM sessions s WHERE s.rowid IN",
        "SCAN s",
        "the list of stories is of all stories: 10,000 at most",
    ),
    (
        "FROM sessions s WHERE s.rowid IN",
        "TEMP B-TREE",
        "the same: sorted before their messages are counted",
    ),
    ("FROM messages_fts CROSS JOIN", "TEMP B-TREE", "at most SEARCH_RANKED rows are ranked"),
    (
        "JOIN messages u ON u.id = r.parent_id",
        "SCAN s",
        "once, when an engine starts: the end of each story",
    ),
    ("SELECT count(*) FROM sessions", "SCAN sessions", "10,000 stories at most, when one begins"),
    (
        "INSERT INTO messages (session_id",
        "SCAN sessions",
        "only run while a reference to a message dangles",
    ),
)


@pytest.fixture
def noted(monkeypatch: pytest.MonkeyPatch) -> list[Noting]:
    """Every connection that is opened from now on, keeping its statements."""
    opened: list[Noting] = []
    connect = sqlite3.connect

    def noting(*arguments: object, **named: object) -> sqlite3.Connection:
        connection = connect(*arguments, **{**named, "factory": Noting})  # type: ignore[call-overload]
        opened.append(connection)
        return connection

    monkeypatch.setattr("flower.engine.store.sqlite.database.sqlite3.connect", noting)
    return opened


def unexplained(connection: Noting) -> list[str]:
    """Returns the costly steps of a connection's statements that no exception names."""
    return [
        f"{step}  <-  {sql[:100]} ... {sql[-160:]}"
        for sql, steps in connection.noted.items()
        for step in faults(sql, steps)
        if not any(part in sql and at in step for part, at, _ in EXCEPTIONS)
    ]


@pytest.mark.parametrize(
    "messages", [30_000, 750_000]
)  # filters over a table are made at some sizes only
async def test_playing_reads_no_whole_table(
    messages: int, tmp_path: Path, noted: list[Noting], autojump_clock: trio.testing.MockClock
) -> None:
    """What players do costs no more in a home of 750,000 messages than in an empty one."""
    pretend_many_messages(tmp_path / "flower.db", messages)
    async with engine_world(tmp_path / "flower.db") as world:
        library = PassageLibrary(
            world.database, HashEmbedder(), tmp_path, notify=lambda line, progress: None
        )
        world.engine.use(replace(world.engine.services, library=library), world.engine.registry)
        world.nursery.start_soon(library.run)
        face = await world.face("one")
        first = ""
        for line in PLAYED:
            await face.say_and_wait(line.replace("FIRST", first))
            first = first or face.client.chosen.session_id
        assert len(noted[1].noted) > 100
        found = [fault for connection in noted[1:] for fault in unexplained(connection)]
        assert not found, "\n".join(found)


async def test_searches_and_exports_have_connections_of_their_own(
    tmp_path: Path, noted: list[Noting], autojump_clock: trio.testing.MockClock
) -> None:
    """What reads much is read where no turn waits for it."""
    pretend_many_messages(tmp_path / "flower.db", 750_000)
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        for line in ("I knock.", "/session search knock", "/export md all"):
            await face.say_and_wait(line)
        slow = noted[2:]
        assert len(slow) == 2
        assert all("messages" in " ".join(connection.noted) for connection in slow)


async def test_a_story_of_ten_thousand_messages_is_exported(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Every format of a long story is written, the whole tree as well."""

    def lengthen(db: sqlite3.Connection, session_id: str) -> None:
        leaf = stories.active_leaf(db, session_id)
        for number in range(10_000):
            role = ("user", "assistant")[number % 2]
            leaf = stories.append(db, session_id, leaf, role, f"Rain {number}.", "complete", now=2.0)

    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        await world.database.write(lengthen, face.client.chosen.session_id)
        for form in ("md", "html", "txt", "jsonl"):
            await face.say_and_wait(f"/export {form} all")
        assert face.of(ErrorEvent) == []
        written = [path.read_text() for path in (tmp_path / "exports").iterdir()]
        assert len(written) == 4
        assert all("Rain 9999." in text for text in written)


async def test_words_that_everything_holds_bring_the_newest_first(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search for a very common word ranks nothing, and still shows a page without what is in the trash."""
    monkeypatch.setattr(search, "SEARCH_RANKED", 3)
    async with engine_world(tmp_path / "flower.db") as world:
        face = await world.playing()
        for number in range(6):
            await face.say_and_wait(f"I knock, time {number}.")
        await face.say_and_wait("/undo")
        hits = await world.database.read_slowly(search.search, "knock", 2)
        assert [hit.excerpt for hit in hits] == ["I knock, time 5.", "I knock, time 4."]
        (rare,) = await world.database.read_slowly(search.search, "time 3")
        assert rare.excerpt == "I knock, time 3."
