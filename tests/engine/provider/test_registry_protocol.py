"""What every registry of models keeps to: the real one, and those that tests of other things play with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from flower.engine.provider.base import Registry
from flower.engine.provider.registry import ModelRegistry
from flower.errors import ProviderError
from flower.home import Home
from flower.settings.config import Config
from tests.fakes import OneModelRegistry, ScriptedProvider, words


def real(folder: Path) -> Registry:
    return ModelRegistry(Config(), Home(folder), environ={})


def one_model(folder: Path) -> Registry:
    return OneModelRegistry(ScriptedProvider(words("Well met.")))


Made = Callable[[Path], Registry]


@pytest.fixture(params=[real, one_model], ids=["real", "fake"])
def made(request: pytest.FixtureRequest) -> Made:
    chosen: Made = request.param
    return chosen


def test_the_default_is_on_offer_and_known(made: Made, tmp_path: Path) -> None:
    registry = made(tmp_path)
    default = registry.default()
    assert default in [option.id for option in registry.options()]
    assert registry.info(default) is not None


def test_a_model_on_offer_has_a_provider_that_knows_its_name(made: Made, tmp_path: Path) -> None:
    registry = made(tmp_path)
    for option in registry.options():
        provider, model = registry.resolve(option.id)
        assert option.id == f"{provider.name}/{model}"
        assert registry.resolve(option.id)[0] is provider


def test_an_id_is_offered_once(made: Made, tmp_path: Path) -> None:
    ids = [option.id for option in made(tmp_path).options()]
    assert len(ids) == len(set(ids))


def test_an_unknown_model_is_refused_with_what_to_take_instead(made: Made, tmp_path: Path) -> None:
    registry = made(tmp_path)
    with pytest.raises(ProviderError) as refused:
        registry.resolve("nobody/nothing")
    assert refused.value.kind in (
        "model_not_found",
        "auth",
    )  # one that a key would bring is not there either
    assert registry.info("nobody/nothing") is None
    assert not registry.composes("nobody/nothing")


async def test_it_runs_until_it_is_cancelled_and_closes(
    made: Made, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    registry = made(tmp_path)
    assert await registry.refresh() == ()
    with trio.move_on_after(1) as scope:
        await registry.run()
    assert scope.cancelled_caught
    assert dict(registry.problems) == {}
    await registry.aclose()
