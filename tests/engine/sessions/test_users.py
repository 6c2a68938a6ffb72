"""Users and their tokens: who comes in as whom, what is kept of a token, and what is left when somebody goes."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing
from quart.testing.connections import WebsocketResponseError
from trio.testing import MockClock

from flower.engine.admin import users_cli
from flower.engine.server.access import Access, Peer
from flower.engine.server.app import create_app
from flower.engine.server.lifetime import Lifetime
from flower.engine.sessions.departures import USERS_LOOK_S
from flower.engine.sessions.rights import GUEST, Visitor
from flower.engine.store import audit, seats, selections, stories, users, whispers
from flower.engine.store.audit import AUDIT_CHARS
from flower.engine.store.connection import Connection
from flower.engine.store.users import USER_TOKENS
from flower.errors import CommandError
from flower.home import Home
from tests import postgres_cluster
from tests.engine_world import EngineWorld, engine_world
from tests.stores import new_url


def test_a_token_is_its_users_until_it_ends_or_is_revoked(db: Connection) -> None:
    ines, ned = users.add(db, "ines", 1.0), users.add(db, "ned", 1.0)
    laptop, phone, his = users.new_token(), users.new_token(), users.new_token()
    users.add_token(db, ines, laptop, "laptop", 1.0)
    users.add_token(db, ines, phone, "phone", 1.0, ends=10.0)
    users.add_token(db, ned, his, "laptop", 1.0)
    found = [users.by_token(db, one.text, 5.0) for one in (laptop, phone, his)]
    assert [user.name for user in found if user is not None] == ["ines", "ines", "ned"]
    assert users.by_token(db, phone.text, 10.0) is None, "ended"
    assert users.in_force(db, [laptop.mark, phone.mark, "x"], 10.0) == {laptop.mark}
    assert users.revoke(db, ines, "laptop")
    assert users.by_token(db, laptop.text, 5.0) is None
    assert users.by_token(db, his.text, 5.0) is not None, "of the same label, somebody else's"


def test_no_part_of_a_token_and_no_other_secret_lets_in(db: Connection) -> None:
    user, token, other = users.add(db, "ines", 1.0), users.new_token(), users.new_token()
    users.add_token(db, user, token, "laptop", 1.0)
    secret = token.text.partition(".")[2]
    for wrong in ("", ".", token.mark, f"{token.mark}.", secret, f"{other.mark}.{secret}",
                  f"{token.mark}.{secret}x", f"{token.mark}.{secret[:-1]}",
                  f"{token.mark}.{token.hash.hex()}"):  # fmt: skip
        assert users.by_token(db, wrong, 1.0) is None, wrong


def test_the_secret_of_a_token_is_nowhere_in_the_database(db: Connection) -> None:
    user, token = users.add(db, "ines", 1.0), users.new_token()
    users.add_token(db, user, token, "laptop", 1.0)
    rows = [
        db.execute(f"SELECT * FROM {table}").fetchall() for table in ("users", "user_tokens", "audit")
    ]
    assert token.text.partition(".")[2] not in repr(rows)


def test_who_comes_later_under_a_name_finds_nothing_of_who_had_it_before(db: Connection) -> None:
    first = users.add(db, "ines", 1.0)
    stories.create_session(db, "s1", "", "", "Hello.", 1.0, first)
    assert users.remove(db, first, 2.0) == 1
    second = users.add(db, "ines", 3.0)
    assert second != first
    assert stories.sessions(db, user=second, archived=True) == []
    assert stories.session(db, "s1") is None, "it is in the trash"


@pytest.mark.parametrize(
    "name", ["", "Ines Ito", "../x", "a" * 33, "ines/..", "@1", "inés", "home", "Home"]
)
def test_names_are_plain(db: Connection, name: str) -> None:
    with pytest.raises(CommandError):
        users.add(db, name, 1.0)


def test_there_are_so_many_tokens_of_one_user_and_no_two_of_a_label(db: Connection) -> None:
    user = users.add(db, "ines", 1.0)
    for number in range(USER_TOKENS):
        users.add_token(db, user, users.new_token(), f"t{number}", 1.0)
    with pytest.raises(CommandError, match="most"):
        users.add_token(db, user, users.new_token(), "one more", 1.0)
    users.revoke(db, user, "t0")
    with pytest.raises(CommandError, match="already"):
        users.add_token(db, user, users.new_token(), "t1", 1.0)


def test_the_audit_log_keeps_the_newest_alone(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flower.engine.store.audit.AUDIT_ROWS", 3)
    for number in range(5):
        audit.note(db, 0, "login", "x" * 500 + str(number), float(number))
    assert [entry.at for entry in audit.newest(db, 10)] == [4.0, 3.0, 2.0]
    assert all(len(entry.about) <= AUDIT_CHARS for entry in audit.newest(db, 10))


def test_nobody_pushes_others_out_of_the_audit_log(
    db: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flower.engine.store.audit.AUDIT_ROWS_USER", 3)
    audit.note(db, 0, "refused", "a token", 1.0)
    audit.note(db, 2, "login", "ned", 2.0)
    for number in range(20):
        audit.note(db, 1, "invited", "ned as player", 3.0 + number)
    assert [entry.event for entry in audit.newest(db, 10)] == ["invited"] * 3 + ["login", "refused"]


def test_seats_codes_guests_and_whispers_are_the_same_in_both_databases(db: Connection) -> None:
    ines, ned = users.add(db, "ines", 1.0), users.add(db, "ned", 1.0)
    stories.create_session(db, "s1", "", "", "Hello.", 1.0, ines)
    stories.create_session(db, "s2", "", "", "Hello.", 1.0, ned)
    seats.give(db, "s1", ned, "reader", 1.0)
    seats.give(db, "s1", ned, "player", 2.0)
    assert [one.id for one in stories.sessions(db, user=ned, archived=True)] == ["s2", "s1"]
    assert [one.id for one in stories.sessions(db, user=ines)] == ["s1"]
    assert stories.sessions(db, user=0) == []
    assert sorted(seats.seen_ids(db, ned)) == ["s1", "s2"]
    code = users.new_token()
    seats.add_code(db, "s1", code, "player", 10.0, 1.0)
    guest = seats.seat_guest(db, code.text, 2.0)
    assert guest is not None
    assert [one.role for one in seats.at(db, "s1")] == ["player", "player"]
    assert selections.load(db, selections.client_key(guest.id, "x"), guest.id).session_id == "s1"
    users.remove_ended_guests(db, 5.0)
    assert len(seats.at(db, "s1")) == 2
    users.remove_ended_guests(db, 10.0)
    assert [one.user_name for one in seats.at(db, "s1")] == ["ned"]
    leaf = stories.append(db, "s1", None, "user", "Hello?", "complete", now=1.0)
    stories.set_message_extra(db, leaf, {"there": [ines]})
    assert seats.unwitnessed(db, "s1", ned) == {leaf}
    assert seats.unwitnessed(db, "s1", ines) == frozenset()
    whispers.add(db, "s1", leaf, ines, ned, "Psst.", 1.0)
    assert [one.text for one in whispers.between(db, "s1", ned, 9)] == ["Psst."]
    assert whispers.between(db, "s1", 0, 9) == []
    assert whispers.has_others(db, "s1", 0)
    assert not whispers.has_others(db, "s1", ned)
    assert list(whispers.after(db, [leaf, leaf + 1])) == [leaf]


# --- at the door ------------------------------------------------------------------------------------


def test_a_users_token_that_is_wrong_lets_nobody_in_be_it_the_home_owner() -> None:
    sent = {"Host": "localhost", "Authorization": f"Bearer {users.new_token().text}"}
    for access in (Access(None), Access("secret", trusts_own=True)):
        refused = access.refusal(sent.get, Peer("127.0.0.1", own=True), 0.0)
        assert refused is not None
        assert refused.status == 401


def test_guessing_users_tokens_is_slowed_down_and_not_looked_up_meanwhile() -> None:
    access, peer = Access("secret"), Peer("10.0.0.9")
    statuses, looked_up = [], []
    for _ in range(8):
        sent = {"Host": "localhost", "Authorization": f"Bearer {users.new_token().text}"}
        looked_up.append(bool(access.user_token(sent.get, peer, 0.0)))
        refused = access.refusal(sent.get, peer, 0.0)
        statuses.append(refused.status if refused is not None else 0)
    assert statuses == [401] * 4 + [429] * 4
    assert looked_up == [True] * 4 + [False] * 4


def test_a_web_page_and_another_name_cost_no_look_at_the_tokens() -> None:
    access, token = Access("secret"), f"Bearer {users.new_token().text}"
    for headers in ({"Origin": "null", "Host": "localhost"}, {"Host": "evil.example"}, {}):
        sent = {**headers, "Authorization": token}
        assert access.user_token(sent.get, Peer("10.0.0.9"), 0.0) == ""


def test_a_users_token_forgives_no_guesses_of_the_homes() -> None:
    access, peer = Access("secret"), Peer("10.0.0.9")
    statuses = []
    for number in range(6):
        own = {"Host": "localhost", "Authorization": f"Bearer {users.new_token().text}"}
        access.refusal(own.get, peer, 0.0, users.User(1, "ines", 1.0))
        guess = {"Host": "localhost", "Authorization": f"Bearer {number}"}
        refused = access.refusal(guess.get, peer, 0.0)
        statuses.append(refused.status if refused is not None else 0)
    assert statuses == [401] * 4 + [429] * 2


async def _user(world: EngineWorld, name: str) -> str:
    token = users.new_token()

    def write(db: Connection) -> None:
        users.add_token(db, users.add(db, name, 1.0), token, "laptop", 1.0)

    await world.database.write(write)
    return token.text


async def test_pages_about_the_engine_are_not_for_users(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        token = await _user(world, "ines")
        app = create_app(world.engine, Lifetime(managed=False, linger_s=1), access=Access("secret"))
        client, sent = app.test_client(), {"Authorization": f"Bearer {token}", "Host": "localhost"}
        for page in ("/metrics", "/status", "/readyz"):
            assert (await client.get(page, headers=sent)).status_code == 403, page
        own = {"Authorization": "Bearer secret", "Host": "localhost"}
        assert (await client.get("/status", headers=own)).status_code == 200


async def test_a_login_and_a_refusal_are_in_the_audit_log_without_the_token(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        token = await _user(world, "ines")
        app = create_app(world.engine, Lifetime(managed=False, linger_s=1), access=Access("secret"))
        wrong = users.new_token().text
        with pytest.RaisesGroup(pytest.RaisesExc(WebsocketResponseError), flatten_subgroups=True):
            async with app.test_client().websocket(
                "/ws/rpc", headers={"Authorization": f"Bearer {wrong}", "Host": "localhost"}
            ) as socket:
                await socket.receive()
        async with app.test_client().websocket(
            "/ws/rpc", headers={"Authorization": f"Bearer {token}", "Host": "localhost"}
        ) as socket:
            await socket.receive()
            (client,) = world.engine.clients
            assert (client.visitor.name, client.rights) == ("ines", GUEST)
        entries = await world.database.read(audit.newest, 10)
        assert [entry.event for entry in entries] == ["login", "refused"]
        assert wrong not in repr(entries)
        assert token not in repr(entries)


async def test_who_is_in_with_a_token_leaves_when_it_is_revoked(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        token = users.new_token()
        number = await world.database.write(users.add, "ines", 1.0)
        await world.database.write(users.add_token, number, token, "laptop", 1.0)
        gone: list[str] = []
        visitor = Visitor(number, "ines", token.mark, lambda: gone.append("ines"))
        client = await _connect(world, visitor)
        await trio.sleep(2 * USERS_LOOK_S)
        assert gone == []
        await world.database.write(users.revoke, number, "laptop")
        await trio.sleep(2 * USERS_LOOK_S)
        assert set(gone) == {"ines"}
        world.engine.disconnect(client)


async def _connect(world: EngineWorld, visitor: Visitor) -> object:
    from flower.engine.sessions.outbox import Outbox

    return await world.engine.connect(Outbox(), "x", rights=GUEST, visitor=visitor)


# --- flower user ------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_works_until_it_is_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    users_cli.add(home, "Ines", "30d")
    shown = capsys.readouterr().out.splitlines()[1]
    assert users_cli.change(home, lambda db: users.by_token(db, shown, 1.0)) is not None
    users_cli.show(home)
    users_cli.token(home, "ines", "", "", revoked=False)
    users_cli.log(home)
    later = capsys.readouterr().out
    assert "ines" in later
    assert shown.partition(".")[2] not in later
    users_cli.token(home, "ines", "first", "", revoked=True)
    assert users_cli.change(home, lambda db: users.by_token(db, shown, 1.0)) is None
    users_cli.remove(home, "ines")
    with pytest.raises(CommandError, match="no user"):
        users_cli.token(home, "ines", "phone", "", revoked=False)


@pytest.mark.parametrize("text", ["", "d", "3", "-1d", "3w", "0d", "99999999d", "٣d"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CommandError, match="How long"):
        users_cli.seconds(text)


@postgres_cluster.needed
def test_users_of_stories_in_postgresql_need_no_lease(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    home.config.write_text(f"store: {new_url()}\n", encoding="utf-8")
    users_cli.add(home, "ines", "")
    users_cli.limit(home, "ines", "stories", "3")
    shown = capsys.readouterr().out.splitlines()[1]
    found = users_cli.change(home, lambda db: users.by_token(db, shown, 1.0))
    assert found is not None
    assert found.name == "ines"
    with pytest.raises(CommandError, match="already"):
        users_cli.add(home, "ines", "")
    assert not home.database.exists()
