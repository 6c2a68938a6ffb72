"""The registry offers, finds and keeps every model without making anybody wait."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.provider import registry as registry_module
from flower.engine.provider.base import ModelInfo, Provider
from flower.engine.provider.endpoint import Endpoint
from flower.engine.provider.registry import OFFLINE, ModelRegistry, listens
from flower.errors import ProviderError
from flower.home import Home
from flower.settings.config import parse
from tests.engine.provider.test_provider_streaming import Script


class Listing(Script):
    """A provider that offers models, after ``answer`` has been awaited."""

    def __init__(self, endpoint: Endpoint, answer: Callable[[], object]) -> None:
        super().__init__([], name=endpoint.name)
        self.answer = answer
        self.asked = 0
        self.closed = False

    async def models(self) -> tuple[ModelInfo, ...]:
        self.asked += 1
        answer = self.answer()
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            await trio.sleep_forever()
        assert isinstance(answer, tuple)
        return answer

    async def aclose(self) -> None:
        self.closed = True


class World:
    """A registry whose providers are played. ``lists``: endpoint name -> models, an error, None: silence."""

    def __init__(
        self, tmp_path: Path, lists: Mapping[str, object] | None = None, **settings: object
    ) -> None:
        self.lists = dict(lists or {})
        self.providers: dict[str, Listing] = {}
        self.fetched = trio.Event()
        self.changes = 0
        self.now = 1_000_000.0
        home = Home(tmp_path)
        home.models.mkdir(exist_ok=True)
        self.registry = ModelRegistry(
            parse(settings, {}, {}), home, environ={}, build=self.build, clock=lambda: self.now
        )
        self.registry.on_change = self.change

    def build(self, endpoint: Endpoint) -> Provider:
        name = endpoint.name
        provider = Listing(endpoint, lambda: self.lists.get(name, ()))
        self.providers[name] = provider
        return provider

    def change(self) -> None:
        """The first change is the list from the disk, the second the fetched one."""
        self.changes += 1
        if self.changes == 2:
            self.fetched.set()

    def ids(self) -> list[str]:
        return [option.id for option in self.registry.options()]


@pytest.fixture(autouse=True)
def listening(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The addresses at which servers of this machine listen in these tests."""
    found: set[str] = set()

    async def look(base_url: str) -> bool:
        return base_url in found

    monkeypatch.setattr(registry_module, "listens", look)
    monkeypatch.setattr(registry_module, "SHIPPED_MODELS", Path("/nowhere"))
    return found


GEMMA = (ModelInfo("gemma", "Gemma", 8192),)
TWO = (ModelInfo("x/one", "One", 4096, 1.5, 2.5), ModelInfo("x/two", "Two", 0, None, None, True))


def test_nothing_configured_means_the_offline_narrator(tmp_path: Path) -> None:
    world = World(tmp_path)
    assert world.registry.default() == OFFLINE
    assert world.ids() == [OFFLINE]
    provider, model = world.registry.resolve(OFFLINE)
    assert (provider.name, model) == ("offline", "narrator")


def test_only_the_offline_narrator_plays_without_a_model(tmp_path: Path) -> None:
    """Told by what the provider can do: a model of somebody's whose name begins alike is a model."""
    registry = World(tmp_path, deepseek_api_key="k-123456").registry
    assert registry.composes(OFFLINE)
    for model_id in (
        "deepseek/deepseek-chat",
        "offline-narrator",
        "offlined/narrator",
        "local/a.gguf",
        "",
    ):
        assert not registry.composes(model_id)


def test_the_chosen_model_is_the_default(tmp_path: Path) -> None:
    world = World(
        tmp_path, default_model="deepseek-chat", deepseek_api_key="k-123456", groq_api_key="k-123456"
    )
    assert world.registry.default() == "deepseek-chat"
    provider, model = world.registry.resolve("deepseek-chat")
    assert (provider.name, model) == ("deepseek", "deepseek-chat")


def test_a_key_alone_is_enough(tmp_path: Path) -> None:
    world = World(tmp_path, deepseek_api_key="k-123456")
    assert world.registry.default() == "deepseek/deepseek-chat"
    assert world.ids() == ["deepseek/deepseek-chat", OFFLINE]
    openrouter = World(tmp_path, openrouter_api_key="k-123456")
    assert openrouter.registry.default() == "openrouter/auto"
    assert openrouter.registry.resolve("openrouter/auto")[1] == "openrouter/auto"


def test_an_address_alone_means_the_first_model_of_the_server(tmp_path: Path) -> None:
    world = World(tmp_path, openai_base_url="http://127.0.0.1:18080")
    assert world.registry.default() == "openai/default"
    assert world.registry.resolve("openai/default")[1] == ""


async def test_lists_are_fetched_in_the_background(tmp_path: Path) -> None:
    world = World(tmp_path, {"openai": GEMMA}, openai_base_url="http://127.0.0.1:18080")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.registry.run)
        await world.fetched.wait()
        assert world.registry.default() == "openai/gemma"
        assert world.ids() == ["openai/gemma", OFFLINE]
        assert world.registry.info("openai/gemma") == GEMMA[0]
        assert world.registry.info("gemma") == GEMMA[0]
        nursery.cancel_scope.cancel()
    await world.registry.aclose()
    assert world.providers["openai"].closed


async def test_lists_survive_a_restart_and_are_not_fetched_again_while_fresh(tmp_path: Path) -> None:
    first = World(tmp_path, {"openrouter": TWO}, openrouter_api_key="k-123456")
    await first.registry.refresh()
    second = World(tmp_path, {"openrouter": TWO}, openrouter_api_key="k-123456")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.registry.run)
        await second.fetched.wait()
        nursery.cancel_scope.cancel()
    assert second.ids() == ["openrouter/x/one", "openrouter/x/two", OFFLINE]
    assert "openrouter" not in second.providers, "a fresh list needs no request"
    third = World(tmp_path, {"openrouter": GEMMA}, openrouter_api_key="k-123456")
    third.now += 3 * 24 * 3600
    async with trio.open_nursery() as nursery:
        nursery.start_soon(third.registry.run)
        await third.fetched.wait()
        nursery.cancel_scope.cancel()
    assert third.providers["openrouter"].asked == 1, "an old list is fetched again"


async def test_a_silent_or_broken_provider_does_not_hold_up_the_others(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    lists = {"openai": None, "deepseek": ProviderError("network", "deepseek is away."), "groq": GEMMA}
    world = World(
        tmp_path, lists, openai_api_key="k-123456", deepseek_api_key="k-123456", groq_api_key="k-123456"
    )
    problems: list[str] = []

    async def refresh() -> None:
        problems.extend(await world.registry.refresh())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(refresh)
        while "groq/gemma" not in world.ids():
            await trio.testing.wait_all_tasks_blocked(0.001)
            world.registry._options = None
        mock_clock.jump(60)
    assert "deepseek is away." in problems
    assert any(problem.startswith("openai did not send") for problem in problems)


async def test_the_list_that_was_known_stays_when_a_fetch_fails(tmp_path: Path) -> None:
    world = World(tmp_path, {"openrouter": TWO}, openrouter_api_key="k-123456")
    assert await world.registry.refresh() == ()
    world.lists["openrouter"] = ProviderError("network", "away.")
    assert await world.registry.refresh() == ("away.",)
    assert "openrouter/x/one" in world.ids()


async def test_servers_on_this_machine_are_found(tmp_path: Path, listening: set[str]) -> None:
    listening.add("http://127.0.0.1:11434")
    world = World(tmp_path, {"ollama": GEMMA})
    await world.registry.refresh()
    assert world.ids() == ["ollama/gemma", OFFLINE]
    assert list(world.providers) == ["ollama"], "nothing is asked where nothing listens"
    assert world.registry.default() == OFFLINE, "what is found is offered, not imposed"
    listening.clear()
    await world.registry.refresh()
    assert world.ids() == [OFFLINE]
    assert world.registry.resolve("ollama/gemma")[1] == "gemma", (
        "a server that is off gets its own sentence"
    )


def test_favourites_come_first_with_the_users_names_and_prices(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        openrouter_api_key="k-123456",
        supported_models=[
            "x/llama",
            {"id": "openrouter/y/z", "name": "Zed", "prompt_price": 1.0, "completion_price": 2.0},
        ],
    )
    first, second, *rest = world.registry.options()
    assert (first.id, second.id, second.name) == ("x/llama", "openrouter/y/z", "Zed")
    assert (second.prompt_price, second.completion_price) == (1.0, 2.0)
    assert [option.id for option in rest] == ["openrouter/auto", OFFLINE]
    info = world.registry.info("openrouter/y/z")
    assert info is not None
    assert info.completion_price == 2.0


async def test_prices_that_vary_or_are_unknown_say_so(tmp_path: Path) -> None:
    world = World(tmp_path, {"openrouter": TWO}, openrouter_api_key="k-123456")
    await world.registry.refresh()
    one, two, _ = world.registry.options()
    assert (one.prompt_price, one.completion_price, one.price_varies, one.note) == (1.5, 2.5, False, "")
    assert (two.price_varies, two.prompt_price) == (True, 0.0)
    unknown = World(tmp_path, groq_api_key="k-123456").registry.options()[0]
    assert (unknown.prompt_price, unknown.note) == (0.0, "price unknown")


def test_unknown_models_and_broken_providers(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        deepseek_api_key="k-123456",
        providers=[{"name": "mine", "kind": "compatible"}],
    )
    with pytest.raises(ProviderError, match="base_url"):
        world.registry.resolve("mine/model")
    with pytest.raises(
        ProviderError, match=r"There is no model 'narr'; did you mean offline/narrator\?"
    ) as raised:
        world.registry.resolve("narr")
    assert raised.value.kind == "model_not_found"
    with pytest.raises(ProviderError, match="choose one with /model"):
        world.registry.resolve("zebra")
    assert world.registry.info("claude-sonnet") is None


def test_problem_free_questions_touch_no_provider(tmp_path: Path) -> None:
    """Options, default and info cost no connection and no import of a family."""
    world = World(tmp_path, deepseek_api_key="k-123456", groq_api_key="k-123456")
    world.registry.options()
    world.registry.default()
    world.registry.info("deepseek-chat")
    assert world.providers == {}


async def test_an_unwritable_home_costs_only_the_file(tmp_path: Path) -> None:
    world = World(tmp_path, {"openrouter": TWO}, openrouter_api_key="k-123456")
    (tmp_path / "catalogue.json").mkdir()
    assert await world.registry.refresh() == ()
    assert "openrouter/x/one" in world.ids()


async def test_looking_for_a_server() -> None:
    """A port that is open is seen; a closed one is not."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    assert await listens(f"http://127.0.0.1:{port}/v1")
    await listeners[0].aclose()
    assert not await listens(f"http://127.0.0.1:{port}/v1")


def test_a_start_does_not_load_the_http_client() -> None:
    """httpx costs 0.1 s on a PC and several times that on a Pi; the offline narrator needs none of it."""
    code = "import sys, flower.engine.provider.registry; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
