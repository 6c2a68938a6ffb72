"""A player who writes down what the engine has acknowledged, and a judge who looks into the files.

``Player.play`` talks to an engine until it dies. ``judge`` then compares the database with the notes:
whatever was acknowledged must be there, once, and the growing reply up to the last flush.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import trio
import trio_websocket

from flower.engine.sessions import turn_outcome
from flower.engine.store import schema, streaming_text
from flower.engine.store.sqlite import file
from tests.engine_process import Process, Wire, connected

GONE = (
    OSError,
    trio_websocket.ConnectionClosed,
    trio_websocket.HandshakeError,
    trio.ClosedResourceError,
)
# A flush begins this often, waits for the disk, and the bytes it misses were already on the socket.
FLUSH_SLACK_S = 0.35


class Growing:
    """A reply as its watcher has seen it arrive."""

    def __init__(self) -> None:
        self.text = ""
        self.arrived: list[tuple[float, int]] = []  # (trio time, length by then)

    def due(self, at: float) -> int:
        """Returns how many characters must have been flushed by ``at``."""
        latest = at - turn_outcome.FLUSH_INTERVAL_S - FLUSH_SLACK_S
        return max((length for when, length in self.arrived if when < latest), default=0)


class Player:
    """Plays at random and keeps what was acknowledged, over any number of engines on one home."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._sent = 0
        self._unconfirmed: dict[str, tuple[str, str]] = {}  # request -> story, line
        self.lines: dict[str, tuple[int, str]] = {}  # request -> message id, text
        self.ended: dict[int, tuple[str, str]] = {}  # reply -> text, reason
        self.growing: dict[int, Growing] = {}
        self.lore: set[str] = set()
        self.deleted: set[str] = set()
        self.session = ""
        self._turns: dict[str, int] = {}  # turn -> reply
        self._synced = trio.Event()
        self._deleting = ""
        self._telling = ""

    async def play(self, running: Process) -> None:
        """Talks until the engine is gone."""
        self._synced = trio.Event()
        try:
            async with (
                connected(running, "/ws/rpc?client=player") as wire,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._listen, wire)
                await self._talk(wire)
        except* GONE:
            pass  # killed, as it should be; what counts is on the disk

    async def _talk(self, wire: Wire) -> None:
        with trio.move_on_after(2):
            await self._synced.wait()
        for request, (session, line) in list(self._unconfirmed.items()):
            if session == self.session:  # was it heard? sending twice must be safe
                await wire.say(line, request=request)
        while True:
            await self._act(wire)
            await trio.sleep(self._rng.expovariate(4))

    async def _act(self, wire: Wire) -> None:
        dice = self._rng.random()
        if not self.session or dice < 0.06:
            await wire.say("/world select orrinsay")
            await wire.say("/session new")
            await trio.sleep(0.1)
        elif dice < 0.12:
            self._deleting = self.session
            await wire.say(f"/session delete {self.session}")
            await trio.sleep(0.1)
        elif dice < 0.25:
            await wire.say("/cancel")
        elif dice < 0.35:
            self._sent += 1
            self._telling = f"The well of number {self._sent} is dry and nobody knows why."
            await wire.say(f"/world attach_lore {self._telling}")
        else:
            self._sent += 1
            request, line = f"r{self._sent}", f"I turn over stone number {self._sent}."
            self._unconfirmed[request] = (self.session, line)
            await wire.say(line, request=request)

    async def _listen(self, wire: Wire) -> None:
        while True:
            event, content, metadata = await wire.receive()
            if event == "chat_message" and metadata["role"] == "user":
                self._confirm(metadata.get("request"), metadata["message"], content)
            elif event == "chat_message":
                self.growing[metadata["message"]] = Growing()
                self._turns[metadata["turn"]] = metadata["message"]
            elif event == "chat_chunk" and metadata["turn"] in self._turns:
                growing = self.growing[self._turns[metadata["turn"]]]
                growing.text = growing.text[: metadata["offset"]] + content
                growing.arrived.append((trio.current_time(), len(growing.text)))
            elif event == "chat_end" and metadata.get("turn") in self._turns:
                reply = self._turns.pop(metadata["turn"])
                self.ended[reply] = (self.growing.pop(reply).text, metadata["reason"])
            elif event == "chat_history":
                self._read_page(metadata)
            elif event in ("system_update", "sync_state"):
                self._update(content, metadata)

    def _confirm(self, request: str | None, message: int, text: str) -> None:
        if request is not None:
            self.lines[request] = (message, text)
            self._unconfirmed.pop(request, None)

    def _read_page(self, metadata: dict[str, object]) -> None:
        history = metadata["history"]
        assert isinstance(history, list)
        for item in history:
            if "request" in item:
                self._confirm(item["request"], item["message"], item["content"])

    def _update(self, content: str, metadata: dict[str, object]) -> None:
        if "available_worlds" in metadata:
            self._synced.set()
        if "session_id" in metadata:
            self.session = str(metadata["session_id"])
        if content.startswith("✓ Deleted"):
            self.deleted.add(self._deleting)
        if "knows this now" in content:
            self.lore.add(self._telling)

    def engine_died(self) -> None:
        """Forgets what only a living engine could have gone on with."""
        self.growing.clear()
        self._turns.clear()


def copy_database(home: Path, to: Path) -> Path:
    """Copies the database as a power cut would leave it: file and logs, no shared memory."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    for path in file.with_log(home / "flower.db"):
        if path.exists():
            shutil.copy(path, to / path.name)
    return to / "flower.db"


def judge(home: Path, scratch: Path, player: Player, killed_at: float, last_id: int) -> int:
    """Asserts that nothing acknowledged is lost or doubled; returns the newest message's id.

    ``last_id`` is what this returned for the engine before: replies up to it cannot be streaming.
    """
    with closing(sqlite3.connect(copy_database(home, scratch))) as db:
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'messages'").fetchone():
            assert not player.lines, "the engine had acknowledged lines, and there is no table"
            return last_id
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        newest_schema = db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
        text = streaming_text.text_of("m") if newest_schema else "m.content"
        rows = {
            row[0]: row[1:]
            for row in db.execute(
                f"SELECT m.id, m.role, {text}, m.status, m.request, m.session_id FROM messages m"
            )
        }
        _judge_lines(rows, player)
        _judge_replies(rows, player, killed_at, last_id)
        _judge_the_rest(db, player)
        if newest_schema:
            _judge_growth(db, rows, last_id)
        return max(rows, default=last_id)


Rows = dict[int, tuple[str, str, str, str | None, str]]


def _judge_lines(rows: Rows, player: Player) -> None:
    kept = {sid for *_, sid in rows.values()}
    for request, (message, text) in player.lines.items():
        if message not in rows:
            raise AssertionError(
                f"{request} was acknowledged as message {message}; there are {len(kept)} stories"
            )
        role, content, _, stored_request, _ = rows[message]
        assert (role, content, stored_request) == ("user", text, request)
    said = [content for role, content, *_ in rows.values() if role == "user"]
    assert len(said) == len(set(said)), "a line was stored twice"


def _judge_replies(rows: Rows, player: Player, killed_at: float, last_id: int) -> None:
    for reply, (text, reason) in player.ended.items():
        _, content, status, *_ = rows[reply]
        assert (content, status) == (text, "complete" if reason == "done" else reason)
    for reply, growing in player.growing.items():
        _, content, status, *_ = rows[reply]
        assert growing.text.startswith(content) or content.startswith(growing.text)
        assert len(content) >= growing.due(killed_at), f"reply {reply} ({status}) lost a flush"
    stale = [i for i, row in rows.items() if row[2] == "streaming" and i <= last_id]
    assert not stale, "a reply of an engine that died before is still marked as streaming"


def _judge_growth(db: sqlite3.Connection, rows: Rows, last_id: int) -> None:
    """No part of a reply outlives its growing, and recovering makes one text of them."""
    growing = {place >> streaming_text.AT_BITS for (place,) in db.execute("SELECT place FROM growth")}
    assert all(rows[reply][2] == "streaming" for reply in growing), "a part outlived its reply"
    assert all(reply > last_id for reply in growing), "parts of an engine that died before are left"
    streaming = {reply: row[1] for reply, row in rows.items() if row[2] == "streaming"}
    assert streaming_text.recover(db) == len(streaming)
    assert db.execute("SELECT count(*) FROM growth").fetchone() == (0,)
    for reply, text in streaming.items():
        after = db.execute("SELECT content, status FROM messages WHERE id = ?", (reply,)).fetchone()
        assert after == (text, "interrupted")
    db.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('integrity-check', 1)")


def _judge_the_rest(db: sqlite3.Connection, player: Player) -> None:
    lore = [text for (text,) in db.execute("SELECT text FROM attached_lore")]
    assert player.lore <= set(lore)
    assert len(lore) == len(set(lore)), "lore was stored twice"
    if db.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),):
        wordless = db.execute(
            "SELECT p.id FROM passages p LEFT JOIN passage_terms t ON t.passage_id = p.id"
            " WHERE t.passage_id IS NULL"
        ).fetchall()
        assert not wordless, "a passage cannot be found by its words"
    doubled = db.execute(
        "SELECT message_id, text, count(*) FROM passages WHERE kind = 'memory' GROUP BY 1, 2 HAVING count(*) > 1"
    ).fetchall()
    assert not doubled, "an exchange is remembered twice"
    unanswered = db.execute(
        "SELECT u.id FROM messages u WHERE u.role = 'user'"
        " AND (SELECT count(*) FROM messages r WHERE r.parent_id = u.id) != 1"
    ).fetchall()
    assert not unanswered, "a line has no reply row, or two"
    forgotten = db.execute(
        "SELECT r.id FROM messages r WHERE r.role = 'assistant' AND r.parent_id IS NOT NULL AND r.content != ''"
        " AND r.id < (SELECT max(id) FROM messages m WHERE m.session_id = r.session_id AND m.role = 'user')"
        " AND NOT EXISTS (SELECT 1 FROM passages p WHERE p.message_id = r.id)"
    ).fetchall()
    assert not forgotten, "an exchange before the last one never became a memory"
    if db.execute("PRAGMA user_version").fetchone() == (1,):
        return  # killed before it came to migrating
    living = {sid for (sid,) in db.execute("SELECT id FROM sessions WHERE deleted IS NULL")}
    assert not player.deleted & living, "a deleted story came back"
