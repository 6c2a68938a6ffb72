"""Three engines behind HAProxy, sixty stories that stream, and one engine after the other killed.

Nothing acknowledged is lost, nothing is doubled, and everybody is back within seconds.
"""

from __future__ import annotations

import json
import os
import random
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from tests import haproxy, postgres_cluster, stores
from tests.engine_process import Process, kill, make_home, output, start, wait_announced

pytestmark = [
    pytest.mark.faults,
    postgres_cluster.needed,
    haproxy.needed,
    pytest.mark.timeout(3600),
]

ENGINES = 3
PLAYERS = int(os.environ.get("FLEET_PLAYERS", "60"))
KILLS = int(os.environ.get("FLEET_KILLS", "50"))
BACK_S = 8.0
WORDS_PER_S = 4
UNFLUSHED_CHARS = 40 * WORDS_PER_S  # a flush each half second, and some way through the proxy
TOKEN = "a-token-of-a-fleet-long-enough"
LOST = (OSError, ConnectionClosed, HandshakeError, trio.BrokenResourceError)


class Player:
    """A V1 client that comes back when its connection breaks, as V1 says, and sends again what nobody confirmed."""

    def __init__(self, number: int, place: tuple[str, int]) -> None:
        self.name = f"player-{number}"
        self.place = place
        self.session = ""
        self.lines = 0
        self.confirmed: set[str] = set()
        self.ends: dict[int, list[str]] = {}
        self.seen: dict[int, str] = {}  # by reply: its text as far as it was heard
        self.cut: dict[int, str] = {}  # the same, of replies that broke off
        self.growing: int | None = None
        self.saw_story_at = 0.0
        self.sent: dict[str, str] = {}

    async def play(self) -> None:
        """Plays until cancelled."""
        while True:
            try:
                async with self._connected() as socket:
                    await self._talk(socket)
            except* LOST:
                pass
            await trio.sleep(0.1)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[WebSocketConnection]:
        host, port = self.place
        headers = [(b"Authorization", f"Bearer {TOKEN}".encode())]
        async with (
            await trio.open_tcp_stream(host, port) as stream,
            trio.open_nursery() as nursery,
        ):
            socket = await wrap_client_stream(
                nursery,
                stream,
                f"{host}:{port}",
                f"/ws/rpc?client={self.name}",
                extra_headers=headers,
            )
            yield socket
            nursery.cancel_scope.cancel()

    async def _talk(self, socket: WebSocketConnection) -> None:
        while True:
            frame = json.loads(await socket.get_message())
            meta = frame["payload"]["metadata"]
            event, content = frame["event"], frame["payload"]["content"]
            self.session = meta.get("session_id") or self.session
            if event == "sync_state" and not self.session:
                for prompt in ("/world select orrinsay", "/session new"):
                    await socket.send_message(json.dumps({"prompt": prompt}))
            if event == "chat_history":
                self._history(meta["history"])
                await self._say_on(socket)
            elif event == "chat_message" and meta["role"] == "user":
                self.confirmed.add(meta["request"])
            elif event == "chat_message":
                self.growing = meta["message"]
                self.seen[self.growing] = content
            elif event == "chat_chunk":
                reply = int(meta["turn"].rpartition("-")[2])
                self.seen[reply] = self.seen.get(reply, "")[: meta["offset"]] + content
            elif event == "chat_end":
                self.ends.setdefault(meta["message"], []).append(meta["reason"])
                self.growing = None
                await self._say_on(socket)

    def _history(self, history: list[dict[str, Any]]) -> None:
        self.saw_story_at = trio.current_time()
        self.confirmed |= {item["request"] for item in history if item.get("request")}
        for item in history:
            if item.get("status") == "interrupted" and item["message"] not in self.cut:
                self.cut[item["message"]] = self.seen.get(item["message"], "")
        last = history[-1] if history else {}
        self.growing = last["message"] if last.get("status") == "streaming" else None
        if self.growing is not None:
            self.seen[self.growing] = last["content"]

    async def _say_on(self, socket: WebSocketConnection) -> None:
        """Sends the line that is not confirmed again, else the next one when no reply is growing."""
        request = f"{self.name}-{self.lines}"
        if self.lines and request not in self.confirmed:
            pass
        elif self.growing is None:
            self.lines += 1
            request = f"{self.name}-{self.lines}"
        else:
            return
        line = f"I wait at the pier for the {self.lines}. time and look at every lamp of the harbour."
        self.sent[request] = line
        prompt = {"prompt": line, "request": request, "client": self.name}
        await socket.send_message(json.dumps(prompt))


class Fleet:
    """The engines of a test, each in a home of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self.homes = [folder / str(number) / "home" for number in range(ENGINES)]
        self.ports = [haproxy.free_port() for _ in self.homes]
        self.running: list[Process] = []
        config = f"narrator:\n  seed: 7\n  words_per_s: {WORDS_PER_S}\n"
        for home in self.homes:
            home.parent.mkdir()
            make_home(home, f"{config}engine:\n  token: {TOKEN}\n")

    @property
    def places(self) -> list[tuple[str, int]]:
        return [("127.0.0.1", port) for port in self.ports]

    async def start(self, number: int) -> Process:
        environ = {"FLOWER_STORE": self.url}
        home = self.homes[number]
        process = await start(home, "--port", str(self.ports[number]), environ=environ)
        await wait_announced(process)
        return process

    def stories_of(self, number: int) -> set[str]:
        """Returns the stories that an engine plays."""
        name = self.homes[number].resolve()
        found = self.sql(
            "SELECT l.story FROM flower.leases l JOIN flower.engines e ON e.number = l.engine"
            f" WHERE e.name LIKE '%:{name}'"
        )
        return {story for (story,) in found}

    def leases(self) -> list[Any]:
        return self.sql(
            "SELECT l.*, e.* FROM flower.leases l JOIN flower.engines e ON e.number = l.engine"
        )

    def sql(self, statement: str) -> list[Any]:
        return stores.cluster().sql(statement, self.url.split("/")[3].split("?")[0])


async def test_engines_killed_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20)
    fleet = Fleet(tmp_path, stores.new_url())
    back: list[float] = []
    running = [await fleet.start(number) for number in range(ENGINES)]
    try:
        async with (
            haproxy.proxy(tmp_path, fleet.places, TOKEN) as place,
            trio.open_nursery() as nursery,
        ):
            players = [Player(number, place) for number in range(PLAYERS)]
            for player in players:
                nursery.start_soon(player.play)
            with trio.fail_after(120):
                while not all(player.seen for player in players):
                    await trio.sleep(0.2)
            for number in range(KILLS):
                await trio.sleep(chance.uniform(0.5, 2.0))
                victim = chance.randrange(ENGINES)
                theirs = await trio.to_thread.run_sync(fleet.stories_of, victim)
                affected = [player for player in players if player.session in theirs]
                running[victim].process.kill()
                killed = trio.current_time()
                await running[victim].process.wait()
                with trio.move_on_after(3 * BACK_S):
                    while any(player.saw_story_at < killed for player in affected):
                        await trio.sleep(0.02)
                times = [player.saw_story_at - killed for player in affected]
                late = [player for player in affected if player.saw_story_at < killed]
                assert not late, (
                    f"kill {number} of {victim}: {[vars(one) for one in late]} {fleet.leases()}"
                )
                back += times
                running[victim] = await fleet.start(victim)
            # Everybody says one more line, and hears the end of its reply.
            lines = {player: player.lines for player in players}
            with trio.fail_after(180):
                while any(player.lines < lines[player] + 2 for player in players):
                    await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
    finally:
        for process in running:
            await kill(process)
    for home in fleet.homes:
        assert "others play its stories" not in output(home), "an engine that lived counted as dead"
    look_through(fleet, players)
    with capsys.disabled():
        middle = statistics.median(back) if back else 0.0
        print(
            f"\n{KILLS} kills, {PLAYERS} players: {len(back)} came back,"
            f" p50 {middle:.1f} s, p90 {statistics.quantiles(back, n=10)[8]:.1f} s, max {max(back, default=0):.1f} s;"
            f" {sum(len(player.cut) for player in players)} replies interrupted"
        )
    assert max(back) <= BACK_S


def look_through(fleet: Fleet, players: list[Player]) -> None:
    """What was acknowledged is there, once; what was heard is there up to the last flush; each end was told once."""
    rows = fleet.sql(
        "SELECT id, session_id, parent_id, role, content, status, request FROM flower.messages"
    )
    replies = {row[0]: row for row in rows if row[3] == "assistant"}
    answered: dict[int, int] = {}
    for row in replies.values():
        answered[row[2]] = answered.get(row[2], 0) + 1
    requests = [row[6] for row in rows if row[6]]
    assert len(requests) == len(set(requests)), "a line is there twice"
    for player in players:
        assert player.confirmed <= set(requests), f"{player.name}: an acknowledged line is gone"
        for reply, heard in player.cut.items():
            kept = replies[reply][4]
            assert kept.startswith(heard[: len(kept)]), f"{player.name}: another text"
            assert len(heard) - len(kept) <= UNFLUSHED_CHARS, f"{player.name}: {heard!r} {kept!r}"
            assert player.ends.get(reply) == ["interrupted"], f"{player.name}: {player.ends.get(reply)}"
        assert all(len(reasons) == 1 for reasons in player.ends.values()), player.ends
    for row in rows:
        if row[6]:
            assert answered.get(row[0]) == 1, f"{row}: {answered.get(row[0])} replies"
