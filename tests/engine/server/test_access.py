"""Who may come in: the matrix of Origin, Host and token, and what wrong tokens cost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.server import access as access_module
from flower.engine.server.access import Access, Attempts, Peer, is_local

ORIGINS = (None, "null", "http://localhost:8000", "http://evil.example", "")
OUR_HOSTS = ("127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000", "127.9.9.9", "pi.home:80")
OTHER_HOSTS = (None, "", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.5",
               "0.0.0.0:8000", "[::]:1", "pi.home.evil:8000", "x@127.0.0.1")  # fmt: skip
TOKENS = (
    None,
    "",
    "Bearer",
    "Bearer ",
    "Bearer wrong",
    "secret",
    "Basic secret",
    "Bearer secretx",
    "Bearer secre",
)


def ask(access: Access, *, address: str = "127.0.0.1", now: float = 0.0, **headers: str | None) -> int:
    """Returns the status of the refusal, 0 for none."""
    refused = access.refusal(headers.get, Peer(address), now)
    return refused.status if refused is not None else 0


@pytest.mark.parametrize("token", [None, "secret"])
def test_exactly_the_rows_that_should_open_do(token: str | None) -> None:
    opened = []
    for origin, host, sent in itertools.product(
        ORIGINS, OUR_HOSTS + OTHER_HOSTS, (*TOKENS, "Bearer secret")
    ):
        access = Access(token, frozenset({"pi.home"}))
        if not ask(access, Origin=origin, Host=host, Authorization=sent):
            opened.append((origin, host, sent))
    sent_ones = ["Bearer secret"] if token else [*TOKENS, "Bearer secret"]
    assert opened == [(None, host, sent) for host in OUR_HOSTS for sent in sent_ones]


def test_behind_a_token_or_a_unix_socket_any_name_will_do() -> None:
    access = Access("secret", None)
    assert ask(access, Host="flower.example", Authorization="Bearer secret") == 0
    assert ask(access, Host="flower.example", Authorization="bearer secret") == 0
    assert ask(access, Host="flower.example", Origin="null", Authorization="Bearer secret") == 403


def test_wrong_tokens_are_slowed_down_for_their_address_alone() -> None:
    access = Access("secret")
    statuses = [ask(access, Host="localhost", Authorization=f"Bearer {n}") for n in range(6)]
    assert statuses == [401] * 4 + [429, 429], "three for free, one that starts the wait"
    assert ask(access, Host="localhost", Authorization="Bearer secret") == 429, (
        "even the right one waits"
    )
    assert ask(access, address="10.0.0.9", Host="localhost", Authorization="Bearer secret") == 0
    later = access_module.TOKEN_WAIT_S
    assert ask(access, now=later, Host="localhost", Authorization="Bearer secret") == 0
    assert ask(access, now=later, Host="localhost", Authorization="Bearer wrong") == 401, "forgiven"


def test_a_client_without_a_token_is_told_so_and_does_not_wait() -> None:
    access = Access("secret")
    assert [ask(access, Host="localhost") for _ in range(20)] == [401] * 20
    assert ask(access, Host="localhost", Authorization="Bearer secret") == 0


def test_guessing_gets_slower_up_to_a_limit_and_is_forgotten() -> None:
    attempts = Attempts()
    now, waits = 0.0, []
    for _ in range(40):
        now += attempts.wait_s("a", now)
        attempts.failed("a", now)
        waits.append(attempts.wait_s("a", now))
    assert waits == sorted(waits)
    assert waits[-1] == access_module.TOKEN_WAIT_MAX_S
    in_a_day = sum(1 for _ in range(int(24 * 3600 / access_module.TOKEN_WAIT_MAX_S)))
    assert in_a_day < 3000
    attempts.failed("a", now + waits[-1] + access_module.TOKEN_FORGET_S + 1)
    assert attempts.wait_s("a", now + waits[-1] + access_module.TOKEN_FORGET_S + 1) == 0.0


@given(st.lists(st.integers(0, 5000), max_size=200))
def test_addresses_are_remembered_up_to_a_number(addresses: list[int]) -> None:
    attempts = Attempts()
    for number in itertools.chain(addresses, range(access_module.TOKEN_ADDRESSES + 10)):
        attempts.failed(str(number), 0.0)
    assert len(attempts._wrong) == access_module.TOKEN_ADDRESSES


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_header_is_answered(host: str, authorization: str) -> None:
    assert ask(Access("secret"), Host=host, Authorization=authorization) in (0, 401, 421)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("", True),
        ("<local>", True),
        ("10.1.2.3", False),
        ("x", False),
    ],
)
def test_pages_about_the_engine_are_for_this_machine_or_a_token(address: str, local: bool) -> None:
    assert is_local(address) is local
    headers = {"Host": "localhost"}
    refused = Access(None).private_refusal(headers.get, Peer(address), 0.0)
    assert (refused is None) is local
    told = {"Host": "localhost", "Authorization": "Bearer secret"}
    assert Access("secret").private_refusal(told.get, Peer(address), 0.0) is None
    assert Access("secret").private_refusal(headers.get, Peer(address), 0.0) is not None
