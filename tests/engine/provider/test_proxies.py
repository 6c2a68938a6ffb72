"""Whatever the environment says about proxies and certificates, what can be reached is reached."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from flower.engine.provider.base import Completion
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.http.client import HttpClient
from flower.engine.provider.http.proxies import certificates, proxy_for
from flower.engine.provider.services.openai import OpenAIProvider
from flower.engine.provider.services.remote import bearer
from flower.errors import ProviderError
from tests.provider_world import completion

PROXY = "http://proxy.example:3128"
FAR = "https://api.acme.example/v1"


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, FAR, ""),
        ({"HTTPS_PROXY": PROXY}, FAR, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, FAR, PROXY),
        ({"ALL_PROXY": PROXY}, FAR, PROXY),
        ({"HTTP_PROXY": PROXY}, FAR, ""),
        ({"HTTPS_PROXY": "proxy.example:3128"}, FAR, PROXY),
        ({"HTTPS_PROXY": " "}, FAR, ""),
        # this machine is never reached through one
        ({"ALL_PROXY": PROXY}, "http://127.0.0.1:8080/v1", ""),
        ({"ALL_PROXY": PROXY}, "http://localhost:8080/v1", ""),
        ({"ALL_PROXY": PROXY}, "https://[::1]:8080/v1", ""),
        ({"HTTP_PROXY": "foo://x"}, "http://127.0.0.1:8080/v1", ""),
    ],
)
def test_the_proxy_in_force(environ: dict[str, str], url: str, proxy: str) -> None:
    """The variable of the scheme comes first, small letters before capitals."""
    assert proxy_for(url, environ) == proxy


@pytest.mark.parametrize(
    ("exceptions", "host", "excepted"),
    [
        ("*", "api.acme.example", True),
        ("acme.example", "api.acme.example", True),
        (".acme.example", "api.acme.example", True),
        ("*.acme.example", "api.acme.example", True),
        ("me.example", "api.acme.example", False),
        ("API.acme.example", "api.acme.example", True),
        ("other, acme.example", "api.acme.example", True),
        ("other acme.example", "api.acme.example", True),
        ("acme.example:443", "api.acme.example", True),
        ("acme.example:80", "api.acme.example", False),
        ("192.168.1.20", "192.168.1.20", True),
        ("192.168.0.0/16", "192.168.1.20", True),
        ("10.0.0.0/8", "192.168.1.20", False),
        ("192.168.1.20:443", "192.168.1.20", True),
        ("[fd00::5]", "[fd00::5]", True),
        ("fd00::5", "[fd00::5]", True),
        ("fd00::/8", "[fd00::5]", True),
        ("[fd00::]/8", "[fd00::5]", True),
        ("[fd00::5]:443", "[fd00::5]", True),
        ("[::1], nonsense/99, ::::, /, :80", "api.acme.example", False),
    ],
)
def test_every_form_of_no_proxy(exceptions: str, host: str, excepted: bool) -> None:
    """Names, suffixes, ports, addresses and ranges; what cannot be understood excepts nobody."""
    found = proxy_for(f"https://{host}/v1", {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions})
    assert (found == "") == excepted


@pytest.mark.parametrize(
    "environ",
    [
        {"HTTPS_PROXY": "foo://user:secret@x"},
        {"ALL_PROXY": "socks4://user:secret@x:1"},
        {"ALL_PROXY": "http://[user:secret"},
        {"all_proxy": "http://user:secret@x:99999"},
        {"HTTPS_PROXY": "http://"},
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_not_quoted(environ: dict[str, str]) -> None:
    """One sentence names the variable; passwords in it are not shown."""
    with pytest.raises(ProviderError) as raised:
        proxy_for(FAR, environ)
    assert next(iter(environ)) in str(raised.value)
    assert "secret" not in str(raised.value)


def test_socks_is_used_or_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the package it is a proxy like others, without it a sentence says what is missing."""
    environ = {"ALL_PROXY": "socks5://127.0.0.1:1080"}
    monkeypatch.setattr("flower.engine.provider.http.proxies.find_spec", lambda name: object())
    assert proxy_for(FAR, environ) == "socks5://127.0.0.1:1080"
    monkeypatch.setattr("flower.engine.provider.http.proxies.find_spec", lambda name: None)
    with pytest.raises(ProviderError, match=r"ALL_PROXY.*SOCKS"):
        proxy_for(FAR, environ)


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The variable is named; without it our own list is used."""
    assert isinstance(certificates({}), ssl.SSLContext)
    (tmp_path / "text.pem").write_text("no certificate")
    for environ in (
        {"SSL_CERT_FILE": "/nonexistent/ca.pem"},
        {"SSL_CERT_FILE": str(tmp_path / "text.pem")},
        {"SSL_CERT_DIR": "/nonexistent"},
    ):
        with pytest.raises(ProviderError, match=next(iter(environ))):
            certificates(environ)


async def test_a_far_model_says_it_and_a_near_one_works() -> None:
    """A broken proxy costs the models behind it, with its name, and no other."""
    environ = {"ALL_PROXY": "foo://x", "SSL_CERT_FILE": "/nonexistent"}
    asked: Completion = completion()
    for url, word in ((FAR, "ALL_PROXY"), ("http://127.0.0.1:9/v1", "no server at")):
        endpoint = Endpoint("acme", "compatible", url)
        provider = OpenAIProvider(endpoint, HttpClient(endpoint, bearer, environ=environ))
        with pytest.raises(ProviderError, match=word):
            async with provider.open(asked):
                pytest.fail("nobody is there")
        with pytest.raises(ProviderError, match=word):
            await provider.models()
        await provider.aclose()
