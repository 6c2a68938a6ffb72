"""Whom proxies speak for: believed of those the settings name, and of nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flower.engine.server.access import FORWARDED_MOST, UNKNOWN, Access, Proxies
from flower.engine.server.app import create_app
from flower.engine.server.lifetime import Lifetime
from flower.engine.store import audit
from flower.errors import ConfigError
from flower.home import Home, load_config
from tests.engine_world import engine_world

PROXY, SPOOFED, PLAYER = "10.0.0.9", "127.0.0.1", "203.0.113.7"


def behind(
    peer: str, *, listed: tuple[str, ...] = (), told: tuple[str, ...] = (), trusted: str = "10.0.0.0/8"
) -> str | None:
    sent = {"X-Forwarded-For": listed, "Forwarded": told}
    return Proxies(trusted.split()).client_behind(peer, lambda name: sent[name])


def test_only_those_that_are_named_are_believed() -> None:
    for peer in (PLAYER, "127.0.0.1", "", "::1", "nonsense"):
        assert behind(peer, listed=(SPOOFED,)) is None
    assert behind(PROXY, listed=(PLAYER,)) == PLAYER
    assert behind("::ffff:10.0.0.9", listed=(PLAYER,)) == PLAYER
    assert behind("", listed=(PLAYER,), trusted="unix") == PLAYER
    assert behind(PROXY) is None


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ((f"{SPOOFED}, {PLAYER}",), PLAYER),  # what the client sent stands before what the proxy saw
        ((SPOOFED, PLAYER), PLAYER),
        ((f"{SPOOFED}, {PLAYER}, 10.1.2.3",), PLAYER),  # two proxies of ours
        ((f"{SPOOFED},{PLAYER}:4711",), PLAYER),
        (("[2001:db8::7]:80",), "2001:db8::7"),
        (("2001:DB8::7",), "2001:db8::7"),
        (("::ffff:203.0.113.7",), PLAYER),
        (("10.1.2.3, 10.4.5.6",), "10.1.2.3"),
        ((f"{PLAYER}, nonsense",), UNKNOWN),
        (("",), UNKNOWN),
        ((f"{PLAYER},",), UNKNOWN),
        ((f"{PLAYER}, " * 1000 + "10.1.1.1",), PLAYER),
        ((", ".join([PLAYER] + ["10.1.1.1"] * (FORWARDED_MOST + 5)),), "10.1.1.1"),
    ],
)
def test_the_last_address_that_is_no_proxy_of_ours_is_the_clients(
    listed: tuple[str, ...], found: str
) -> None:
    assert behind(PROXY, listed=listed) == found


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ((f"for={SPOOFED}, for={PLAYER};proto=https;by=10.0.0.9",), PLAYER),
        (('For="[2001:db8::7]:4711"',), "2001:db8::7"),
        ((f"proto=https; for={PLAYER}", "for=10.2.2.2"), PLAYER),
        (("for=_hidden",), UNKNOWN),
        (("for=unknown",), UNKNOWN),
        (("proto=https",), UNKNOWN),
    ],
)
def test_the_standard_header_says_the_same(told: tuple[str, ...], found: str) -> None:
    assert behind(PROXY, told=told) == found


def test_who_sends_both_headers_is_nobody_known() -> None:
    assert behind(PROXY, listed=(PLAYER,), told=(f"for={SPOOFED}",)) == UNKNOWN


@given(st.lists(st.text(max_size=30), max_size=5), st.text(max_size=60))
def test_whatever_a_client_sends_before_it_what_the_proxy_saw_counts(
    before: list[str], last: str
) -> None:
    line = ", ".join([*before, PLAYER])
    assert behind(PROXY, listed=(last, line)) == PLAYER
    assert behind(PROXY, told=(last, f"for={PLAYER}")) == PLAYER


@pytest.mark.parametrize("wrong", ["10.0.0.0/40", "proxy.example", "'*'", "''"])
def test_what_is_no_address_is_refused_in_the_settings(home: Home, wrong: str) -> None:
    home.config.write_text(f"engine:\n  trusted_proxies: [{wrong}]\n")
    with pytest.raises(ConfigError, match="trusted_proxies"):
        load_config(home, {})
    home.config.write_text("engine:\n  trusted_proxies: [10.0.0.9, '2001:db8::/32', unix]\n")
    assert len(load_config(home, {}).engine.trusted_proxies) == 3


@pytest.mark.parametrize("trusted", [("10.0.0.9",), ()])
async def test_wrong_tokens_slow_down_the_player_and_not_the_proxy(
    tmp_path: Path, trusted: tuple[str, ...]
) -> None:
    """And a player who says to be somebody else gains nothing, with or without the setting."""
    async with engine_world(tmp_path / "flower.db") as world:
        access = Access("secret", None, proxies=trusted)
        client = create_app(
            world.engine, Lifetime(managed=False, linger_s=1), access=access
        ).test_client()

        async def status(sent_by: str, token: str, spoofed: str = "") -> int:
            line = f"{spoofed}, {sent_by}" if spoofed else sent_by
            headers = {"X-Forwarded-For": line, "Authorization": f"Bearer {token}", "Host": "x"}
            scope = {"client": (PROXY, 1)}
            return (await client.get("/status", headers=headers, scope_base=scope)).status_code

        tries = [await status(PLAYER, f"wrong{n}", f"10.9.9.{n}") for n in range(6)]
        assert tries == [401] * 4 + [429] * 2
        assert await status("198.51.100.1", "secret") == (200 if trusted else 429)
        user_token = "0" * 12 + ".wrong"
        await status("198.51.100.2", user_token)
        entries = await world.database.read(audit.newest, 5)
        assert [one.about for one in entries] == (["a token from 198.51.100.2"] if trusted else [])


async def test_nobody_behind_a_proxy_is_a_program_of_ours(tmp_path: Path) -> None:
    async with engine_world(tmp_path / "flower.db") as world:
        access = Access(None, frozenset(), proxies=("unix",), trusts_own=True)
        client = create_app(
            world.engine, Lifetime(managed=False, linger_s=1), access=access
        ).test_client()
        for headers, seen in (({}, 200), ({"X-Forwarded-For": PLAYER}, 403)):
            sent = {"Host": "localhost", **headers}
            answer = await client.get("/status", headers=sent, scope_base={"client": None})
            assert answer.status_code == seen
