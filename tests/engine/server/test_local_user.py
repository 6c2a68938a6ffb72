"""Whose program is at the other end of a loopback connection, and what another user's may do."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.server.access import Access, Peer
from flower.engine.server.door import TokenHolders, find, is_own, owner
from tests.engine_process import engine

NOBODY = 65534  # the user that owns nothing, on every Linux
HOST = {"Host": "127.0.0.1:8000"}


def connected(family: socket.AddressFamily, address: str) -> tuple[socket.socket, socket.socket]:
    """Returns a client's socket and the server's side of it."""
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind((address, 0))
        listening.listen(1)
        client = socket.create_connection(listening.getsockname()[:2])
        return client, listening.accept()[0]


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="only Linux tells sockets' owners")
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_program_of_our_own_is_known(family: socket.AddressFamily, address: str) -> None:
    try:
        client, server = connected(family, address)
    except OSError:
        pytest.skip("no IPv6 here")
    with client, server:
        assert owner(server.getpeername()[:2], server.getsockname()[:2]) == os.getuid()
        assert is_own(server.getpeername()[:2], server.getsockname()[:2])
        assert owner((address, 1), server.getsockname()[:2]) is None


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="only Linux tells sockets' owners")
def test_a_program_that_has_closed_its_end_is_nobodys() -> None:
    """The kernel prints user 0 for such a socket: whoever sends and closes at once would pass for root."""
    client, server = connected(socket.AF_INET, "127.0.0.1")
    with server:
        ends = server.getpeername()[:2], server.getsockname()[:2]
        client.sendall(b"a command")
        client.close()
        assert owner(*ends) is None
        assert not is_own(*ends)
        assert server.recv(100) == b"a command", "what it has sent still comes"


def test_the_kernels_spelling_is_read_whole() -> None:
    """Local and remote end must both be right; broken rows name nobody."""
    row = "   0: 0100007F:D431 0100007F:1F40 01 00000000:00000000 00:00000000 00000000  1000        0 1"
    mapped = row.replace("0100007F", "0000000000000000FFFF00000100007F")
    assert find([row], ["0100007F:D431"], ["0100007F:1F40"]) == 1000
    assert (
        find(
            [mapped],
            ["0000000000000000FFFF00000100007F:D431"],
            ["0000000000000000FFFF00000100007F:1F40"],
        )
        == 1000
    )
    assert find([row], ["0100007F:1F40"], ["0100007F:D431"]) is None
    assert (
        find(["", "x", "0: 0100007F:D431 0100007F:1F40"], ["0100007F:D431"], ["0100007F:1F40"]) is None
    )
    assert owner(("no address", 1), ("127.0.0.1", 2)) is None
    assert owner(("127.0.0.1", 1), ("127.0.0.1", 2), [Path("/nowhere")]) is None


def status(access: Access, peer: Peer, token: str = "") -> int:
    headers = {**HOST, "Authorization": f"Bearer {token}"} if token else HOST
    refused = access.refusal(headers.get, peer, 0.0)
    return refused.status if refused is not None else 0


def test_who_needs_the_token() -> None:
    """By default other users do; with a token in the settings everybody does."""
    own, other = Peer("127.0.0.1", own=True), Peer("127.0.0.1")
    default = Access("secret", trusts_own=True)
    assert [status(default, own), status(default, other), status(default, other, "secret")] == [
        0,
        401,
        0,
    ]
    named = Access("secret")
    assert [status(named, own), status(named, other)] == [401, 401]
    assert status(Access(), other) == 0


async def test_who_came_in_by_a_revoked_token_leaves() -> None:
    holders, access = TokenHolders(), Access("old", trusts_own=True)
    access.on_new_token = holders.revoke_others
    left: list[str] = []

    async def stay(name: str, token: str | None) -> None:
        with holders.admitted(token) as scope:
            await trio.sleep_forever()
        if scope.cancelled_caught:
            left.append(name)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay, "a guest", "old")
        nursery.start_soon(stay, "our own", None)
        await trio.testing.wait_all_tasks_blocked()
        access.token = "old"
        await trio.testing.wait_all_tasks_blocked()
        assert left == []
        access.token = "new"
        await trio.testing.wait_all_tasks_blocked()
        assert left == ["a guest"]
        nursery.cancel_scope.cancel()


ASK = (  # $0: the port, $1: a header
    "exec 3<>/dev/tcp/127.0.0.1/$0;"
    ' printf "GET /readyz HTTP/1.1\\r\\nHost: localhost\\r\\n$1\\r\\n" >&3; head -n 1 <&3'
)


@pytest.mark.skipif(
    os.getuid() != 0 or not shutil.which("bash"), reason="needs root and bash to be another user"
)
async def test_another_user_of_the_machine_needs_the_token(tmp_path: Path) -> None:
    """A real second user, over a real socket, at an engine of the default settings."""
    async with engine(tmp_path / "home") as running:
        port = str(running.address[1])
        token = (tmp_path / "home" / "token").read_text().strip()

        async def ask(user: int, header: str = "") -> str:
            done = await trio.run_process(
                ["bash", "-c", ASK, port, header], capture_stdout=True, user=user, cwd="/"
            )
            return done.stdout.decode().split()[1]

        assert await ask(0) == "200"
        assert await ask(NOBODY) == "401"
        assert await ask(NOBODY, f"Authorization: Bearer {token}\r\n") == "200"
